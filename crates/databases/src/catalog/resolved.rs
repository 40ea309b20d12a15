//! What of the catalog one statement stands on: what its names mean, and how everything it reaches is defined.

use std::collections::BTreeSet;

use serde::Serialize;
use sql::statement::{Found, Object, ObjectKind, Via};
use sql::{Statement, Use};
use thiserror::Error;

use super::limits::RESOLVED_LIMIT;
use super::picture::{Definition, Picture};
use super::session::SessionNames;

/// What a statement stands on. Its canonical bytes belong to the action's payload; [`recheck`](super::recheck) asks for
/// the same again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// The version of this shape: 1.
    pub v: u8,
    /// The database.
    pub database: String,
    /// The role that it runs as.
    pub role: String,
    /// The search path; the session's temporary schema stands in it as `pg_temp`.
    pub search_path: Vec<String>,
    /// The names that it says, in order, with what they mean.
    pub names: Vec<Name>,
    /// All that it reaches of the database's own, by kind and id: relations with their triggers, rules, checks and
    /// policies, functions that it or these may run, operators, types.
    pub objects: Vec<Defined>,
    /// Where it changes definitions: the event triggers that fire in this database, by id.
    pub event_triggers: Vec<u32>,
}

/// A name, and what it means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Name {
    /// `table` for any relation, `function`, `operator` or `type`.
    pub kind: &'static str,
    /// The schema that the statement says; none where the search path decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The name.
    pub name: String,
    /// What of the database's own it can mean, by id: of a function each overload.
    pub oids: Vec<u32>,
    /// Whether it is PostgreSQL's own relation.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub system: bool,
}

/// Something that has a definition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Defined {
    /// `relation`, `function`, `operator` or `type`.
    pub kind: &'static str,
    /// Its id.
    pub oid: u32,
    /// Its schema; `pg_temp` for what is the session's own.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// SHA-256 over the catalog's rows of it, in hexadecimal digits. Empty where the picture does not have it.
    pub definition: String,
}

/// A statement that reaches more than its digest can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the statement reaches more than {RESOLVED_LIMIT} objects; send it in parts")]
pub struct TooMuch;

impl Resolved {
    /// The bytes for the digest: RFC 8785.
    ///
    /// # Errors
    /// A record that is over the canonical form's own limit.
    pub fn bytes(&self) -> Result<Vec<u8>, domain::Malformed> {
        domain::canonical::write(self)
    }
}

/// Says what a statement stands on.
///
/// `picture` and `names` have to be those that the statement was classified with. What could not be found is named as
/// such, so that a statement which is held because of it is bound all the same.
///
/// # Errors
/// [`TooMuch`]; such a statement cannot be bound, and is refused.
pub fn resolve(picture: &Picture, names: &SessionNames, statement: &Statement) -> Result<Resolved, TooMuch> {
    let mut reached = Reached {
        picture,
        names,
        relations: BTreeSet::new(),
        functions: BTreeSet::new(),
        operators: BTreeSet::new(),
        types: BTreeSet::new(),
    };
    for used in &statement.uses {
        reached.used(used);
    }
    for atom in &statement.atoms {
        reached.object(&atom.object);
    }
    let defines = statement.atoms.iter().any(|atom| {
        !matches!(
            atom.verb.as_str(),
            "sql.select"
                | "sql.insert"
                | "sql.update"
                | "sql.delete"
                | "sql.merge"
                | "sql.export"
                | "sql.import"
                | "sql.transaction"
                | "sql.set"
                | "sql.lock"
        )
    });
    if defines {
        reached.functions.extend(picture.events.iter().map(|event| event.runs));
    }
    reached.follow();
    let objects = reached.objects();
    let mut said: BTreeSet<Name> = statement.uses.iter().filter(|used| !used.stored).map(name).collect();
    said.extend(
        statement
            .atoms
            .iter()
            .filter(|atom| atom.via == Via::Statement)
            .filter_map(|atom| whole(&atom.object)),
    );
    if objects.len() + said.len() > RESOLVED_LIMIT {
        return Err(TooMuch);
    }
    Ok(Resolved {
        v: 1,
        database: picture.database().to_owned(),
        role: names.role.clone(),
        search_path: names.search_path.iter().map(|schema| shown(schema, names)).collect(),
        names: said.into_iter().collect(),
        objects,
        event_triggers: if defines {
            picture.events.iter().map(|event| event.oid).collect()
        } else {
            Vec::new()
        },
    })
}

/// A schema's name; the temporary one's number differs from session to session.
fn shown(schema: &str, names: &SessionNames) -> String {
    let temporary = names.temporary.as_ref().is_some_and(|temporary| temporary.schema == schema);
    if temporary { "pg_temp".to_owned() } else { schema.to_owned() }
}

fn name(used: &Use) -> Name {
    Name {
        kind: used.kind.as_str(),
        schema: used.schema.clone(),
        name: used.name.clone(),
        oids: used.oids.iter().copied().collect(),
        system: used.kind == ObjectKind::Table && used.shipped,
    }
}

/// A relation by its whole name: one that is renamed, moved or made anew is found.
fn whole(object: &Object) -> Option<Name> {
    let oid = object.oid.filter(|_| is_relation(object.kind))?;
    let schema =
        if object.found == Found::Temporary { Some("pg_temp".to_owned()) } else { object.schema.clone() };
    Some(Name { kind: "table", schema, name: object.name.clone(), oids: vec![oid], system: false })
}

fn is_relation(kind: ObjectKind) -> bool {
    matches!(
        kind,
        ObjectKind::Table
            | ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::ForeignTable
            | ObjectKind::Sequence
            | ObjectKind::Index
            | ObjectKind::Composite
    )
}

/// What a statement reaches, by id.
struct Reached<'p> {
    picture: &'p Picture,
    names: &'p SessionNames,
    relations: BTreeSet<u32>,
    functions: BTreeSet<u32>,
    operators: BTreeSet<u32>,
    types: BTreeSet<u32>,
}

impl Reached<'_> {
    fn used(&mut self, used: &Use) {
        if let Some(into) = self.kept(used.kind) {
            into.extend(used.oids.iter().copied());
        }
    }

    fn object(&mut self, object: &Object) {
        if let Some(into) = self.kept(object.kind) {
            into.extend(object.oid);
        }
    }

    /// Where the ids of a kind are kept; nowhere for what has no definition of its own.
    fn kept(&mut self, kind: ObjectKind) -> Option<&mut BTreeSet<u32>> {
        if is_relation(kind) {
            return Some(&mut self.relations);
        }
        let places = [
            (ObjectKind::Function, &mut self.functions),
            (ObjectKind::Operator, &mut self.operators),
            (ObjectKind::Type, &mut self.types),
        ];
        places.into_iter().find(|(known, _)| *known == kind).map(|(_, place)| place)
    }

    /// Adds what runs through definitions: triggers, defaults, checks, policies, operators' functions, aggregates' own.
    fn follow(&mut self) {
        for oid in &self.relations {
            let triggers =
                self.picture.objects.relation_by_oid(*oid).map(|relation| relation.triggers.as_slice());
            self.functions.extend(triggers.unwrap_or_default().iter().map(|trigger| trigger.runs));
            if let Some(behind) = self.picture.behind.get(oid) {
                self.functions.extend(behind.functions.iter().copied());
                self.types.extend(behind.types.iter().copied());
            }
        }
        let runs = self.operators.iter().filter_map(|oid| self.picture.operators.get(oid));
        self.functions.extend(runs.map(|operator| operator.runs));
        for oid in &self.types {
            self.functions.extend(self.picture.below_types.get(oid).into_iter().flatten().copied());
        }
        let below: BTreeSet<u32> = self
            .functions
            .iter()
            .filter_map(|oid| self.picture.below_functions.get(oid))
            .flatten()
            .copied()
            .collect();
        self.functions.extend(below);
        // What is PostgreSQL's own has no definition of ours.
        let known = &self.picture.functions;
        self.functions.retain(|oid| known.contains_key(oid) || *oid >= super::picture::FIRST_OWN);
    }

    fn objects(&self) -> Vec<Defined> {
        let relation = |oid: &u32| {
            let (schema, name) = self.relation(*oid);
            let definition = self.picture.definition_of(*oid, self.names);
            Defined { kind: "relation", oid: *oid, schema, name, definition: hex(definition) }
        };
        let described = |kind, oid: u32, found: Option<&super::picture::Described>| Defined {
            kind,
            oid,
            schema: found.map(|one| one.schema.clone()).unwrap_or_default(),
            name: found.map(|one| one.name.clone()).unwrap_or_default(),
            definition: hex(found.map(|one| one.definition)),
        };
        let mut all: Vec<Defined> = self.relations.iter().map(relation).collect();
        let functions = self.functions.iter();
        all.extend(functions.map(|oid| described("function", *oid, self.picture.functions.get(oid))));
        let operators = self.operators.iter();
        all.extend(operators.map(|oid| {
            let found = self.picture.operators.get(oid).map(|operator| &operator.described);
            described("operator", *oid, found)
        }));
        let types = self.types.iter();
        all.extend(types.map(|oid| described("type", *oid, self.picture.types.get(oid))));
        all.sort_unstable();
        all
    }

    fn relation(&self, oid: u32) -> (String, String) {
        if let Some(relation) = self.picture.objects.relation_by_oid(oid) {
            return (relation.schema.clone(), relation.name.clone());
        }
        let own = self.names.temporary.as_ref().map(|own| own.relations.as_slice()).unwrap_or_default();
        let own = own.iter().find(|one| one.oid == oid);
        ("pg_temp".to_owned(), own.map(|one| one.name.clone()).unwrap_or_default())
    }
}

fn hex(definition: Option<Definition>) -> String {
    definition.map(|definition| definition.hex()).unwrap_or_default()
}
