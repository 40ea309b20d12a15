//! The question by which the session that runs a statement shows that nothing which was reviewed has changed.
//!
//! It is asked in the transaction that carries the statement out, so that what it answers is what the statement finds. A
//! function replaced after the review, a temporary table that shadows a name, another search path: each gives other bytes.

use std::fmt::Write as _;

use bytes::Bytes;

use super::queries::{FUNCTION, OPERATOR, RELATION, TYPE};
use super::resolved::{Name, Resolved};

/// A question, and the only answer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recheck {
    /// The question: one statement that only reads, whatever the session's search path.
    pub sql: String,
    /// The rows that it has to bring, as text.
    pub expected: Vec<Vec<Option<Bytes>>>,
    /// What each row is about, in words.
    about: Vec<String>,
}

impl Recheck {
    /// What of an answer is not as it was reviewed, in words; nothing where all is.
    #[must_use]
    pub fn differs(&self, answer: &[Vec<Option<Bytes>>]) -> Option<String> {
        if answer == self.expected {
            return None;
        }
        let pairs = self.expected.iter().zip(answer).zip(&self.about);
        let first = pairs.into_iter().find(|((expected, found), _)| expected != found);
        Some(
            first
                .map_or_else(|| "the session's answer has other rows".to_owned(), |(_, about)| about.clone()),
        )
    }
}

/// Asks the session that is about to run a statement for what it stands on.
#[must_use]
pub fn recheck(resolved: &Resolved) -> Recheck {
    let mut asked = Asked::default();
    asked.one("the search path", SEARCH_PATH, &json(&resolved.search_path));
    asked.one("the role", "current_user::pg_catalog.text", &resolved.role);
    for (kind, state) in NAMES {
        asked.names(kind, state, resolved.names.iter().filter(|name| name.kind == kind));
    }
    for (kind, (table, definition)) in DEFINITIONS {
        let state = format!(
            "(SELECT pg_catalog.encode({definition}, 'hex') FROM {table} \
             WHERE {alias}.oid OPERATOR(pg_catalog.=) v.oid)",
            alias = alias(table)
        );
        let objects = resolved.objects.iter().filter(|object| object.kind == kind);
        asked.definitions(
            &state,
            objects.map(|object| {
                let about = format!("the definition of the {kind} `{}.{}`", object.schema, object.name);
                (object.oid, object.definition.as_str(), about)
            }),
        );
    }
    if !resolved.event_triggers.is_empty() {
        let oids: Vec<String> = resolved.event_triggers.iter().map(u32::to_string).collect();
        asked.one("the event triggers", EVENTS, &oids.join(","));
    }
    asked.finish()
}

/// The search path, as [`Resolved`] shows it.
const SEARCH_PATH: &str = "pg_catalog.to_json(pg_catalog.array_replace(pg_catalog.current_schemas(true),
    (SELECT n.nspname FROM pg_catalog.pg_namespace n
      WHERE n.oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()), 'pg_temp'::pg_catalog.name))::pg_catalog.text";

const EVENTS: &str = "(SELECT pg_catalog.string_agg(e.oid::pg_catalog.text, ',' ORDER BY e.oid)
    FROM pg_catalog.pg_event_trigger e WHERE e.evtenabled OPERATOR(pg_catalog.<>) 'D')";

/// Names by kind, and what each means to the session: `v.schema` and `v.name` are as the statement has them.
const NAMES: [(&str, &str); 4] = [
    ("table", "(SELECT CASE WHEN r.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid THEN 'system'
         ELSE r.oid::pg_catalog.text END
    FROM (SELECT pg_catalog.to_regclass(pg_catalog.concat(pg_catalog.quote_ident(v.schema) OPERATOR(pg_catalog.||) '.',
            pg_catalog.quote_ident(v.name)))::pg_catalog.oid AS oid) r WHERE r.oid IS NOT NULL)"),
    ("function", "(SELECT pg_catalog.string_agg(p.oid::pg_catalog.text, ',' ORDER BY p.oid)
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
         JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang
   WHERE p.proname OPERATOR(pg_catalog.=) v.name::pg_catalog.name AND n.oid OPERATOR(pg_catalog.<>) pg_catalog.pg_my_temp_schema()
     AND n.nspname OPERATOR(pg_catalog.=) ANY (CASE WHEN v.schema IS NULL THEN pg_catalog.current_schemas(true)
           ELSE ARRAY[v.schema]::pg_catalog.name[] END)
     AND (n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}'::pg_catalog.name[])
       OR p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
       OR (n.nspname OPERATOR(pg_catalog.=) 'pg_catalog'
         AND l.lanname OPERATOR(pg_catalog.<>) ALL ('{c,internal,sql}'::pg_catalog.name[]))))"),
    ("operator", "(SELECT pg_catalog.string_agg(o.oid::pg_catalog.text, ',' ORDER BY o.oid)
    FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace
   WHERE o.oprname OPERATOR(pg_catalog.=) v.name::pg_catalog.name AND n.oid OPERATOR(pg_catalog.<>) pg_catalog.pg_my_temp_schema()
     AND n.nspname OPERATOR(pg_catalog.=) ANY (CASE WHEN v.schema IS NULL THEN pg_catalog.current_schemas(true)
           ELSE ARRAY[v.schema]::pg_catalog.name[] END)
     AND (n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}'::pg_catalog.name[])
       OR o.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid))"),
    ("type", "(SELECT CASE WHEN t.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid THEN t.oid::pg_catalog.text END
    FROM pg_catalog.unnest(CASE WHEN v.schema IS NULL THEN pg_catalog.current_schemas(true)
           ELSE ARRAY[v.schema]::pg_catalog.name[] END) WITH ORDINALITY AS s (name, place)
         JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) s.name
         JOIN pg_catalog.pg_type t ON t.typnamespace OPERATOR(pg_catalog.=) n.oid
           AND t.typname OPERATOR(pg_catalog.=) v.name::pg_catalog.name
   ORDER BY s.place LIMIT 1)"),
];

/// Kinds of objects: where they stand in the catalog, and their definitions.
const DEFINITIONS: [(&str, (&str, &str)); 4] = [
    ("relation", ("pg_catalog.pg_class c", RELATION)),
    ("function", ("pg_catalog.pg_proc p", FUNCTION)),
    ("operator", ("pg_catalog.pg_operator o", OPERATOR)),
    ("type", ("pg_catalog.pg_type t", TYPE)),
];

fn alias(table: &str) -> &str {
    table.rsplit_once(' ').map_or(table, |(_, alias)| alias)
}

/// The question's parts, numbered in the order of their answers.
#[derive(Default)]
struct Asked {
    parts: Vec<String>,
    expected: Vec<Vec<Option<Bytes>>>,
    about: Vec<String>,
}

impl Asked {
    fn expect(&mut self, about: String, state: &str) -> usize {
        self.expected.push(vec![Some(Bytes::copy_from_slice(state.as_bytes()))]);
        self.about.push(about);
        self.expected.len()
    }

    fn one(&mut self, about: &str, state: &str, expected: &str) {
        let number = self.expect(about.to_owned(), expected);
        self.parts.push(format!("SELECT {number} AS n, coalesce({state}, '') AS state"));
    }

    fn names<'n>(&mut self, kind: &str, state: &str, names: impl Iterator<Item = &'n Name>) {
        let mut rows = String::new();
        for name in names {
            let oids: Vec<String> = name.oids.iter().map(u32::to_string).collect();
            let means = if name.system { "system".to_owned() } else { oids.join(",") };
            let number = self.expect(format!("what the {kind} `{}` means", name.name), &means);
            let schema = name.schema.as_deref().map_or_else(|| "NULL".to_owned(), literal);
            let comma = if rows.is_empty() { "" } else { ", " };
            let _ = write!(
                rows,
                "{comma}({number}, {schema}::pg_catalog.text, {}::pg_catalog.text)",
                literal(&name.name)
            );
        }
        if !rows.is_empty() {
            self.parts.push(format!(
                "SELECT v.n, coalesce({state}, '') FROM (VALUES {rows}) AS v (n, schema, name)"
            ));
        }
    }

    fn definitions<'d>(&mut self, state: &str, objects: impl Iterator<Item = (u32, &'d str, String)>) {
        let mut rows = String::new();
        for (oid, definition, about) in objects {
            let number = self.expect(about, definition);
            let comma = if rows.is_empty() { "" } else { ", " };
            let _ = write!(rows, "{comma}({number}, {oid}::pg_catalog.oid)");
        }
        if !rows.is_empty() {
            self.parts.push(format!("SELECT v.n, coalesce({state}, '') FROM (VALUES {rows}) AS v (n, oid)"));
        }
    }

    fn finish(self) -> Recheck {
        let sql = format!("SELECT x.state FROM (\n{}\n) AS x ORDER BY x.n", self.parts.join("\nUNION ALL\n"));
        Recheck { sql, expected: self.expected, about: self.about }
    }
}

/// A list of names as `to_json` writes an array of them.
fn json(names: &[String]) -> String {
    let quoted: Vec<String> =
        names.iter().map(|name| serde_json::Value::from(name.as_str()).to_string()).collect();
    format!("[{}]", quoted.join(","))
}

/// A text as a literal, which reads the same whatever `standard_conforming_strings` says.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// A name as an identifier.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
