//! What the database says of its names: a picture of the catalog, which whoever asks has taken.
//!
//! The picture must be of the session that will run the statement: its search path and its temporary schema. It may leave
//! out PostgreSQL's own schema, which is known. What it does not know is told as unresolved, so that a picture that is too
//! old or too small can only hold too much.

use std::collections::{BTreeMap, BTreeSet};

use crate::statement::{Atom, ObjectKind};

/// A picture of one database's catalog, as one session sees it.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The database's name.
    pub database: String,
    /// Where names without a schema are looked for, in order: `current_schemas(true)`.
    pub search_path: Vec<String>,
    /// The session's temporary schema, such as `pg_temp_3`, where it has one.
    pub temporary: Option<String>,
    /// What statements the session has under a name (`PREPARE`): the atoms of each.
    pub prepared: BTreeMap<String, Vec<Atom>>,
    relations: BTreeMap<(String, String), Relation>,
    by_oid: BTreeMap<u32, (String, String)>,
    functions: BTreeMap<String, Vec<Function>>,
    operators: BTreeMap<String, Vec<(String, bool)>>,
    types: BTreeMap<(String, String), Type>,
}

/// A table, a view, or what else has rows (`pg_class`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its id (`pg_class.oid`).
    pub oid: u32,
    /// What it is.
    pub kind: ObjectKind,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// For a view: its query, as `pg_get_viewdef` prints it under an empty search path.
    pub query: Option<String>,
    /// Its rules, but a view's own (`pg_rewrite`).
    pub rules: Vec<Rule>,
    /// Its triggers, but those of foreign keys (`pg_trigger`).
    pub triggers: Vec<Trigger>,
    /// The foreign keys that point at it (`pg_constraint.confrelid`).
    pub referenced_by: Vec<Reference>,
    /// Its partitions and the tables that inherit from it, by id (`pg_inherits`).
    pub children: Vec<u32>,
}

/// A column and what its owners say of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The classes of its data, such as `pii`.
    pub classes: BTreeSet<String>,
}

/// What happens to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// They are read.
    Select,
    /// They are added.
    Insert,
    /// They are changed.
    Update,
    /// They are removed.
    Delete,
    /// All of them are.
    Truncate,
}

/// A rewrite rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// On what it acts.
    pub event: Event,
    /// The whole rule, as `pg_get_ruledef` prints it under an empty search path.
    pub definition: String,
}

/// A trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// On what it fires.
    pub events: BTreeSet<Event>,
    /// The function that it runs, with its schema.
    pub function: String,
}

/// A foreign key, seen from the table that it points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The table that has the key, by id.
    pub from: u32,
    /// The columns that it points at.
    pub columns: Vec<String>,
    /// What a removed row does (`confdeltype`).
    pub on_delete: Follow,
    /// What a changed key does (`confupdtype`).
    pub on_update: Follow,
}

/// What a foreign key does to the rows that have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// It refuses.
    Refuse,
    /// It removes them, or changes their key too.
    Cascade,
    /// It sets their key to null or to its default.
    Set,
}

/// A function of the database's own: PostgreSQL's are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its id (`pg_proc.oid`).
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Whether its owners say that it may run unasked.
    pub trusted: bool,
}

/// A type of the database's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Reading a value runs no code of the database's own: an enumeration, a row, a range.
    Plain,
    /// Reading a value may: a domain with checks, or a base type.
    RunsCode,
}

impl Catalog {
    /// A picture of a database without anything of its own, as a session with this `search_path` sees it.
    #[must_use]
    pub fn new(database: &str, search_path: &[&str]) -> Self {
        let search_path = search_path.iter().map(|schema| (*schema).to_owned()).collect();
        Self { database: database.to_owned(), search_path, ..Self::default() }
    }

    /// Adds a relation.
    pub fn add_relation(&mut self, relation: Relation) {
        let key = (relation.schema.clone(), relation.name.clone());
        self.by_oid.insert(relation.oid, key.clone());
        self.relations.insert(key, relation);
    }

    /// Adds a function, or an overload of one.
    pub fn add_function(&mut self, name: &str, function: Function) {
        self.functions.entry(name.to_owned()).or_default().push(function);
    }

    /// Adds an operator of the database's own. As with functions, its owners may say that it can run unasked; an extension
    /// that brings its own `=` would otherwise have every comparison held.
    pub fn add_operator(&mut self, schema: &str, name: &str, trusted: bool) {
        self.operators.entry(name.to_owned()).or_default().push((schema.to_owned(), trusted));
    }

    /// Adds a type of the database's own.
    pub fn add_type(&mut self, schema: &str, name: &str, what: Type) {
        self.types.insert((schema.to_owned(), name.to_owned()), what);
    }

    /// A relation by its whole name.
    #[must_use]
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        // `pg_temp` is the session's own temporary schema, whatever its number.
        let schema = if schema == "pg_temp" { self.temporary.as_deref()? } else { schema };
        self.relations.get(&(schema.to_owned(), name.to_owned()))
    }

    /// A relation by its id.
    #[must_use]
    pub fn relation_by_oid(&self, oid: u32) -> Option<&Relation> {
        self.relations.get(self.by_oid.get(&oid)?)
    }

    /// The database's own functions of a name: in one schema, or wherever the search path leads.
    pub(crate) fn functions(&self, schema: Option<&str>, name: &str) -> impl Iterator<Item = &Function> {
        let all = self.functions.get(name).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(move |function| self.reaches(schema, &function.schema))
    }

    /// Whether each of the database's own operators of a name is trusted; empty where there is none.
    pub(crate) fn operators(&self, schema: Option<&str>, name: &str) -> impl Iterator<Item = bool> {
        let all = self.operators.get(name).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(move |(found, _)| self.reaches(schema, found)).map(|(_, trusted)| *trusted)
    }

    pub(crate) fn type_(&self, schema: &str, name: &str) -> Option<Type> {
        self.types.get(&(schema.to_owned(), name.to_owned())).copied()
    }

    /// Whether a name, with this schema or with none, can mean something in `schema`. The temporary schema is never
    /// searched for functions and operators, but it may be named.
    fn reaches(&self, named: Option<&str>, schema: &str) -> bool {
        match named {
            Some("pg_temp") => self.temporary.as_deref() == Some(schema),
            Some(named) => named == schema,
            None => self.search_path.iter().any(|searched| searched == schema),
        }
    }
}
