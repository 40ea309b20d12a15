//! `countersign person`.

use std::path::PathBuf;

use anyhow::bail;
use clap::Subcommand;
use domain::time::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Context, browser, lookup, propose, terminal};
use crate::cli::Ending;
use crate::client::Client;
use crate::output::{Tone, note, one_line, when};

#[derive(Debug, Subcommand)]
pub(crate) enum Person {
    /// List the people
    List {
        /// Those who have left too
        #[arg(long)]
        all: bool,
    },
    /// Add a person
    Add {
        /// Their name, as cards show it
        name: String,
    },
    /// Open the page that makes a person's one-time link, at which they enrol their first passkey
    Invite {
        /// Who: their name, or their id
        who: String,
        /// Print the page's address, and open no browser
        #[arg(long)]
        no_open: bool,
    },
    /// Keys: list them, add an SSH key of yours, revoke one
    #[command(subcommand)]
    Key(Key),
    /// Let a person do nothing any more: sessions end, keys sign no more
    Deactivate {
        /// Who: their name, or their id
        who: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// List a person's keys
    List {
        /// Who: their name, or their id
        who: String,
    },
    /// Add an SSH key on a security key, to review at a terminal; an administrator signs for it in the console
    Add {
        /// The key's public half, such as `~/.ssh/id_ed25519_sk.pub`
        #[arg(long, value_name = "FILE")]
        ssh: PathBuf,
        /// What to call it
        #[arg(long, default_value = "SSH key")]
        label: String,
    },
    /// Ask for a key to be revoked; an administrator signs for it
    Revoke {
        /// Whose: their name, or their id
        who: String,
        /// The key: its fingerprint, or what its owner calls it
        key: String,
    },
}

pub(crate) async fn run(person: &Person, context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    match person {
        Person::List { all } => {
            let answer = client.get("/v1/people").await?;
            if context.output.json {
                context.output.json(&answer);
            } else {
                list(context, &answer, *all);
            }
            Ok(Ending::Fine)
        }
        Person::Add { name } => {
            let body = json!({ "name": name });
            let what = format!("add {}", one_line(name));
            let ending =
                propose::propose(context, &client, Method::POST, "/v1/people", Some(&body), &what).await?;
            if ending == Ending::Fine && !context.output.json {
                note(&format!("invite them with `countersign person invite '{}'`", one_line(name)));
            }
            Ok(ending)
        }
        Person::Invite { who, no_open } => invite(who, *no_open, &client, context).await,
        Person::Key(key) => keys(key, &client, context).await,
        Person::Deactivate { who } => {
            let person = lookup::person(&client, who).await?;
            let what = format!("deactivate {}", name(&person));
            let path = format!("/v1/people/{}", lookup::id(&person));
            propose::propose(context, &client, Method::DELETE, &path, None, &what).await
        }
    }
}

/// Who holds such a link becomes its person, and whatever runs as this user can read this command line's session:
/// so the link is made in the console, with a passkey.
async fn invite(who: &str, no_open: bool, client: &Client, context: &Context) -> anyhow::Result<Ending> {
    let person = lookup::person(client, who).await?;
    let info = client.get("/v1/info").await?;
    let console = info.get("public_url").and_then(Value::as_str).unwrap_or(client.url());
    let url = format!("{}/people", one_line(console));
    if context.output.json {
        context.output.json(&json!({ "person": person, "url": url }));
    } else {
        context.output.line(&format!("Make the link for {} with your passkey at {url}", name(&person)));
    }
    if !no_open {
        browser::open(&url);
    }
    Ok(Ending::Fine)
}

async fn keys(key: &Key, client: &Client, context: &Context) -> anyhow::Result<Ending> {
    let (who, wanted) = match key {
        Key::Add { ssh, label } => return terminal::enrol(ssh, label, client, context).await,
        Key::List { who } => (who, None),
        Key::Revoke { who, key } => (who, Some(key)),
    };
    let person = lookup::person(client, who).await?;
    let text = |row: &Value, name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(wanted) = wanted else {
        if context.output.json {
            context.output.json(person.get("keys").unwrap_or(&Value::Null));
            return Ok(Ending::Fine);
        }
        let rows: Vec<_> = lookup::list(&person, "keys")
            .map(|key| {
                vec![text(key, "label").into(), text(key, "kind").into(), text(key, "fingerprint").into()]
            })
            .collect();
        let nothing = "no keys that you may see: only a person and administrators see them";
        context.output.table(&["label", "kind", "fingerprint"], &rows, nothing);
        return Ok(Ending::Fine);
    };
    let fits = |key: &&Value| text(key, "fingerprint") == *wanted || text(key, "label") == *wanted;
    let found: Vec<&Value> = lookup::list(&person, "keys").filter(fits).collect();
    let [found] = found.as_slice() else {
        bail!(
            "`{}` is no one key of {}; list them with `countersign person key list`",
            one_line(wanted),
            name(&person)
        );
    };
    let what = format!("revoke the key {} of {}", one_line(&text(found, "label")), name(&person));
    let path = format!("/v1/people/{}/keys/{}", lookup::id(&person), text(found, "credential"));
    propose::propose(context, client, Method::DELETE, &path, None, &what).await
}

/// A row's name, as a line shows it.
pub(crate) fn name(row: &Value) -> String {
    one_line(row.get("name").and_then(Value::as_str).unwrap_or_default())
}

fn list(context: &Context, answer: &Value, all: bool) {
    let rows: Vec<_> = lookup::list(answer, "people")
        .filter_map(|person| {
            let active = person.get("active")?.as_bool()?;
            let groups: Vec<&str> = lookup::list(person, "groups").filter_map(Value::as_str).collect();
            let keys = person.get("key_count").and_then(Value::as_u64).unwrap_or(0);
            let since = person.get("since").and_then(Value::as_u64).map(Timestamp::from_micros).map(when);
            let state = match (active, keys) {
                (false, _) => super::state("inactive"),
                (true, 0) => crate::output::Cell::toned("no passkey yet", Tone::Warn),
                (true, _) => super::state("active"),
            };
            (active || all).then(|| {
                vec![
                    name(person).into(),
                    state,
                    groups.join(", ").into(),
                    keys.to_string().into(),
                    since.unwrap_or_default().into(),
                    lookup::short(lookup::id(person)).into(),
                ]
            })
        })
        .collect();
    context.output.table(&["name", "state", "groups", "keys", "since", "id"], &rows, "nobody is known yet");
}
