//! From what a person types to what the API names: ids by their beginning or end, people and agents by name.

use anyhow::bail;
use domain::digest::Blob;
use domain::directory::{Directory, DirectoryEvent, Passkey};
use domain::time::Timestamp;
use serde_json::Value;

use crate::cli::Usage;
use crate::client::Client;
use crate::output::one_line;

/// A whole UUID, in characters.
const ID_LENGTH: usize = 36;
/// The shortest part of an id that is looked for, in characters.
const PART_LENGTH: usize = 4;
/// How much of an id a table shows, in characters. Ids of one minute begin alike, so it is the end.
const SHORT_LENGTH: usize = 8;

/// The end of an id, as tables show it.
pub(crate) fn short(id: &str) -> String {
    id.get(id.len().saturating_sub(SHORT_LENGTH)..).unwrap_or(id).to_owned()
}

/// The id of the one approval that is meant.
pub(crate) async fn approval(client: &Client, part: &str) -> anyhow::Result<String> {
    if is_id(part) {
        return Ok(part.to_owned());
    }
    let page = client.get("/v1/approvals?limit=200").await?;
    let known = list(&page, "approvals").filter_map(|row| row.get("id")?.as_str());
    one("request", part, known, "list them with `countersign inbox --all`")
}

/// The person who is meant: by name, or by id.
pub(crate) async fn person(client: &Client, who: &str) -> anyhow::Result<Value> {
    named("person", who, list(&client.get("/v1/people").await?, "people"), "`countersign person list`")
}

/// The agent that is meant: by name, or by id.
pub(crate) async fn agent(client: &Client, who: &str) -> anyhow::Result<Value> {
    named("agent", who, list(&client.get("/v1/agents").await?, "agents"), "`countersign agent list`")
}

/// The id in a row.
pub(crate) fn id(row: &Value) -> &str {
    row.get("id").and_then(Value::as_str).unwrap_or_default()
}

/// The rows of a listing.
pub(crate) fn list<'a>(answer: &'a Value, name: &str) -> std::slice::Iter<'a, Value> {
    answer.get(name).and_then(Value::as_array).map(|rows| rows.iter()).unwrap_or_default()
}

/// The directory, as far as the API shows it: keys stand in it by their number alone.
pub(crate) async fn directory(client: &Client) -> anyhow::Result<Directory> {
    let mut directory = Directory::default();
    // What the API shows stands already; what does not fit (a sponsor who has left) is left out.
    let mut apply = |event| drop(directory.apply(&event, Timestamp::ZERO));
    for person in list(&client.get("/v1/people").await?, "people").filter(|person| is_active(person)) {
        let id = self::id(person).parse()?;
        apply(DirectoryEvent::PersonAdded { id, name: text(person, "name") });
        let keys = person.get("key_count").and_then(Value::as_u64).unwrap_or(0);
        for number in 0..keys {
            let key = Passkey {
                credential_id: Blob(format!("{id}/{number}").into_bytes()),
                public_key: Blob(Vec::new()),
                rp_id: String::new(),
                origin: String::new(),
                label: "a passkey".to_owned(),
            };
            apply(DirectoryEvent::KeyEnrolled { person: id, key });
        }
        for group in list(person, "groups").filter_map(Value::as_str) {
            apply(DirectoryEvent::GroupJoined { group: group.parse()?, person: id });
        }
    }
    for agent in list(&client.get("/v1/agents").await?, "agents").filter(|agent| is_active(agent)) {
        let (id, sponsor) = (self::id(agent).parse()?, text(agent, "sponsor").parse()?);
        apply(DirectoryEvent::AgentAdded { id, name: text(agent, "name"), sponsor, key: Blob(vec![0; 32]) });
    }
    for route in list(&client.get("/v1/routes").await?, "routes") {
        let document = route.get("document").map(Value::to_string).unwrap_or_default();
        apply(DirectoryEvent::RouteSet { name: text(route, "name").parse()?, document });
    }
    let policy = text(&client.get("/v1/policy").await?, "text");
    if !policy.is_empty() {
        apply(DirectoryEvent::PolicyApplied { text: policy });
    }
    Ok(directory)
}

fn named<'a>(
    what: &str,
    who: &str,
    rows: impl Iterator<Item = &'a Value> + Clone,
    listing: &str,
) -> anyhow::Result<Value> {
    let active = rows.filter(|row| is_active(row));
    let wanted = who.to_lowercase();
    let by_name: Vec<_> = active.clone().filter(|row| text(row, "name").to_lowercase() == wanted).collect();
    if let [found] = by_name.as_slice() {
        return Ok((*found).clone());
    }
    let ids = active.clone().map(id);
    let found = one(what, who, ids, &format!("{listing} shows them"))?;
    active
        .clone()
        .find(|row| id(row) == found)
        .cloned()
        .ok_or_else(|| anyhow::anyhow!("there is no such {what}"))
}

/// The one id of which this is the whole, the beginning or the end.
fn one<'a>(
    what: &str,
    part: &str,
    known: impl Iterator<Item = &'a str>,
    next: &str,
) -> anyhow::Result<String> {
    let wanted = part.to_lowercase();
    let long_enough = wanted.chars().count() >= PART_LENGTH;
    let fits = |id: &&str| long_enough && (id.starts_with(&wanted) || id.ends_with(&wanted));
    let found: Vec<&str> = known.filter(fits).collect();
    match found.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => bail!("there is no {what} `{}` that you may see; {next}", one_line(part)),
        several => {
            bail!(Usage(format!("`{}` is {} of them; give more of the id", one_line(part), several.len())))
        }
    }
}

fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.parse::<domain::id::ActionId>().is_ok()
}

fn is_active(row: &Value) -> bool {
    row.get("active").and_then(Value::as_bool).unwrap_or(false)
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_names_one_or_nobody() {
        let ids = ["0190aaaa-1111", "0190aaaa-2222", "0190bbbb-3333"];
        let check =
            |part: &str| one("request", part, ids.into_iter(), "look").map_err(|error| error.to_string());
        assert_eq!(check("2222").as_deref(), Ok("0190aaaa-2222"));
        assert_eq!(check("0190B").as_deref(), Ok("0190bbbb-3333"));
        assert_eq!(check("0190a").unwrap_err(), "`0190a` is 2 of them; give more of the id");
        assert_eq!(check("333").unwrap_err(), "there is no request `333` that you may see; look");
    }
}
