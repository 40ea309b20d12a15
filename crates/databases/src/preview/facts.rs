//! What is known without asking the database: tables and what fires, from the classified statement and the picture.

use std::collections::BTreeSet;

use serde::Serialize;
use sql::Atom;
use sql::catalog::Event;
use sql::statement::{Found, Via};

use super::Asked;
use super::limits::LISTED_LIMIT;

/// A table, or what else has rows, that a statement reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Touched {
    /// Its name, with its schema.
    pub table: String,
    /// What it is, such as `table` or `view`.
    pub kind: &'static str,
    /// What happens to it, as verbs.
    pub verbs: BTreeSet<&'static str>,
    /// How the statement comes to it, where it does not name it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub through: BTreeSet<String>,
    /// Its size on disk with its indexes, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// About how many rows it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Its id.
    #[serde(skip)]
    pub(crate) oid: Option<u32>,
}

/// Something that fires when a statement runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fires {
    /// `trigger`, `rule`, `cascade` or `event trigger`.
    pub kind: &'static str,
    /// On which table, with its schema; of a cascade the table that it reaches. Empty for an event trigger.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub on: String,
    /// Its name; of a cascade the table that it comes from.
    pub name: String,
    /// The function that it runs, where it runs one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runs: String,
}

/// The tables, in the order in which the statement comes to them.
pub(super) fn tables(asked: &Asked<'_>) -> Vec<Touched> {
    let mut all: Vec<Touched> = Vec::new();
    for atom in &asked.statement.atoms {
        let object = &atom.object;
        let is_table = object.oid.is_some() && event(atom).is_some() || object.found == Found::System;
        let ddl = matches!(
            atom.verb.as_str(),
            "sql.define" | "sql.drop" | "sql.maintain" | "sql.lock" | "sql.grant"
        );
        if !(is_table || ddl && object.oid.is_some()) || object.name.is_empty() {
            continue;
        }
        let table = object.full_name();
        let place = all.iter().position(|touched| touched.table == table).unwrap_or_else(|| {
            all.push(Touched {
                table,
                kind: object.kind.as_str(),
                verbs: BTreeSet::new(),
                through: BTreeSet::new(),
                bytes: None,
                rows: None,
                oid: object.oid,
            });
            all.len() - 1
        });
        if let Some(touched) = all.get_mut(place) {
            touched.verbs.insert(atom.verb.as_str());
            touched.through.extend(through(&atom.via));
        }
    }
    all.truncate(LISTED_LIMIT);
    all
}

fn through(via: &Via) -> Option<String> {
    match via {
        Via::Statement => None,
        Via::View(name) => Some(format!("the view {name}")),
        Via::Rule(name) => Some(format!("the rule {name}")),
        Via::Cascade(name) => Some(format!("a foreign key to {name}")),
        Via::Inheritance(name) => Some(format!("a partition or child of {name}")),
        Via::Prepared(name) => Some(format!("the kept statement {name}")),
    }
}

/// What fires, each once.
pub(super) fn fires(asked: &Asked<'_>) -> Vec<Fires> {
    let mut all = BTreeSet::new();
    let mut defines = false;
    for atom in &asked.statement.atoms {
        let on = atom.object.full_name();
        defines |= matches!(
            atom.verb.as_str(),
            "sql.define" | "sql.drop" | "sql.grant" | "sql.system" | "sql.maintain" | "sql.opaque"
        );
        if let Via::Cascade(from) = &atom.via {
            let name = from.clone();
            all.insert(Fires { kind: "cascade", on: on.clone(), name, runs: String::new() });
        }
        let relation = atom.object.oid.and_then(|oid| asked.picture.objects.relation_by_oid(oid));
        let Some((relation, event)) = relation.zip(event(atom)) else {
            if atom.triggers {
                // Of a session's own tables only that there are some is known.
                all.insert(Fires {
                    kind: "trigger",
                    on,
                    name: "(not known)".to_owned(),
                    runs: String::new(),
                });
            }
            continue;
        };
        for trigger in relation.triggers.iter().filter(|trigger| trigger.events.contains(&event)) {
            let (name, runs) = (trigger.name.clone(), trigger.function.clone());
            all.insert(Fires { kind: "trigger", on: on.clone(), name, runs });
        }
        for rule in relation.rules.iter().filter(|rule| rule.event == event) {
            let name = rule.name.clone();
            all.insert(Fires { kind: "rule", on: on.clone(), name, runs: String::new() });
        }
    }
    if defines {
        for event in &asked.picture.events {
            let runs = asked.picture.functions.get(&event.runs);
            let runs = runs.map(|one| format!("{}.{}", one.schema, one.name)).unwrap_or_default();
            let name = format!("{} ({})", event.name, event.event);
            all.insert(Fires { kind: "event trigger", on: String::new(), name, runs });
        }
    }
    all.into_iter().take(LISTED_LIMIT).collect()
}

/// What happens to a table's rows by an atom.
pub(super) fn event(atom: &Atom) -> Option<Event> {
    Some(match atom.verb.as_str() {
        "sql.select" | "sql.export" => Event::Select,
        "sql.insert" | "sql.import" => Event::Insert,
        "sql.update" => Event::Update,
        "sql.delete" => Event::Delete,
        "sql.truncate" => Event::Truncate,
        _ => return None,
    })
}
