//! `countersign group`.

use std::collections::BTreeMap;

use clap::Subcommand;
use domain::id::GroupName;
use reqwest::Method;
use serde_json::Value;

use super::{Context, lookup, person, propose};
use crate::cli::Ending;

#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// List the groups and who is in them
    List,
    /// Put a person into a group; a group exists by having members
    Add {
        /// The group, such as `reviewers`
        group: GroupName,
        /// Who: their name, or their id
        who: String,
    },
    /// Take a person out of a group
    Remove {
        /// The group
        group: GroupName,
        /// Who: their name, or their id
        who: String,
    },
}

pub(crate) async fn run(group: &Group, context: &Context) -> anyhow::Result<Ending> {
    let client = context.signed_in()?;
    let (method, group, who) = match group {
        Group::List => return list(context, &client.get("/v1/people").await?),
        Group::Add { group, who } => (Method::PUT, group, who),
        Group::Remove { group, who } => (Method::DELETE, group, who),
    };
    let found = lookup::person(&client, who).await?;
    let name = person::name(&found);
    let what = if method == Method::PUT {
        format!("add {name} to {group}")
    } else {
        format!("take {name} out of {group}")
    };
    let path = format!("/v1/groups/{group}/members/{}", lookup::id(&found));
    propose::propose(context, &client, method, &path, None, &what).await
}

fn list(context: &Context, answer: &Value) -> anyhow::Result<Ending> {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in lookup::list(answer, "people") {
        for group in lookup::list(row, "groups").filter_map(Value::as_str) {
            groups.entry(group).or_default().push(person::name(row));
        }
    }
    if context.output.json {
        context.output.json(&serde_json::to_value(groups)?);
        return Ok(Ending::Fine);
    }
    let rows: Vec<_> =
        groups.iter().map(|(group, names)| vec![(*group).into(), names.join(", ").into()]).collect();
    context.output.table(&["group", "members"], &rows, "no group has members yet");
    Ok(Ending::Fine)
}
