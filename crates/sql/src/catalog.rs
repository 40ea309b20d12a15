//! What the database says of its names: a picture of the catalog, which whoever asks has taken.
//!
//! The picture must be of the session that will run the statement: its search path and its temporary schema. It may leave
//! out PostgreSQL's own schema, which is known. What it does not know is told as unresolved, so that a picture that is too
//! old or too small can only hold too much.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::builtin::{INFORMATION_SCHEMA, PG_CATALOG};
use crate::statement::{Atom, ObjectKind};

/// A picture of one database's catalog, as one session sees it.
///
/// What all sessions share is held once ([`Objects`]), so that a clone costs as little for thousands of tables as for one.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The database's name.
    pub database: String,
    /// Where names without a schema are looked for, in order: `current_schemas(true)`.
    pub search_path: Vec<String>,
    /// The session's temporary schema, such as `pg_temp_3`, where it has one.
    pub temporary: Option<String>,
    /// What statements the session has under a name (`PREPARE`): the atoms of each.
    pub prepared: Arc<BTreeMap<String, Vec<Atom>>>,
    /// What the database has, for all its sessions.
    shared: Arc<Objects>,
    /// What this session has besides: its temporary tables and types.
    own: Arc<Objects>,
}

/// What a database has: relations, functions, operators and types by their names.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    relations: HashMap<u32, Relation>,
    /// Ids of relations by schema and name.
    names: HashMap<String, HashMap<String, u32>>,
    functions: HashMap<String, Vec<Function>>,
    operators: HashMap<String, Vec<Operator>>,
    /// PostgreSQL's own relations, by schema and name. Where none are told, every name is one that begins like one.
    system: HashMap<String, HashSet<String>>,
    /// By schema and name.
    types: HashMap<String, HashMap<String, (u32, Type)>>,
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
    /// That function's id (`pg_trigger.tgfoid`).
    pub runs: u32,
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
    /// Whether it may run unasked, and who says so.
    pub trust: Trust,
}

/// Whether something of the database's own may run unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It may not.
    Never,
    /// Its owners say that it may.
    Said,
    /// It came with an extension that is known to compute and do nothing else, and is a superuser's.
    Shipped,
}

/// An operator of the database's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its id (`pg_operator.oid`).
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Whether its function may run unasked. An extension that brings its own `=` would otherwise have every comparison held.
    pub trust: Trust,
    /// The function that it runs (`oprcode`).
    pub runs: u32,
}

/// A type of the database's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Reading a value runs no code of the database's own: an enumeration, a row, a range.
    Plain,
    /// Reading a value may: a domain with checks, or a base type.
    RunsCode,
}

impl Objects {
    /// Adds a relation.
    pub fn add_relation(&mut self, relation: Relation) {
        let schema = self.names.entry(relation.schema.clone()).or_default();
        schema.insert(relation.name.clone(), relation.oid);
        self.relations.insert(relation.oid, relation);
    }

    /// Adds a function, or an overload of one.
    pub fn add_function(&mut self, name: &str, function: Function) {
        self.functions.entry(name.to_owned()).or_default().push(function);
    }

    /// Adds an operator of the database's own.
    pub fn add_operator(&mut self, name: &str, operator: Operator) {
        self.operators.entry(name.to_owned()).or_default().push(operator);
    }

    /// Adds a type of the database's own, by its schema, name and id.
    pub fn add_type(&mut self, schema: &str, name: &str, oid: u32, what: Type) {
        self.types.entry(schema.to_owned()).or_default().insert(name.to_owned(), (oid, what));
    }

    /// Adds one of PostgreSQL's own relations, which has no more than a name. A table of the database's own may have a
    /// name that begins with `pg_` too, and is found when all of these are told.
    pub fn add_system(&mut self, schema: &str, name: &str) {
        self.system.entry(schema.to_owned()).or_default().insert(name.to_owned());
    }

    /// A relation by its id.
    #[must_use]
    pub fn relation_by_oid(&self, oid: u32) -> Option<&Relation> {
        self.relations.get(&oid)
    }

    /// A relation by its whole name.
    #[must_use]
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.relations.get(self.names.get(schema)?.get(name)?)
    }

    /// All relations, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Relation> {
        self.relations.values()
    }

    /// How many relations it has.
    #[must_use]
    pub fn relations(&self) -> usize {
        self.relations.len()
    }

    fn type_(&self, schema: &str, name: &str) -> Option<(u32, Type)> {
        self.types.get(schema)?.get(name).copied()
    }
}

impl Catalog {
    /// A picture of a database without anything of its own, as a session with this `search_path` sees it.
    #[must_use]
    pub fn new(database: &str, search_path: &[&str]) -> Self {
        let search_path = search_path.iter().map(|schema| (*schema).to_owned()).collect();
        Self { database: database.to_owned(), search_path, ..Self::default() }
    }

    /// What a session sees of a database: what all share, and what it has itself.
    #[must_use]
    pub fn over(shared: Arc<Objects>, own: Objects, database: &str, search_path: Vec<String>) -> Self {
        let database = database.to_owned();
        Self { database, search_path, shared, own: Arc::new(own), ..Self::default() }
    }

    /// Adds a relation that only this session has.
    pub fn add_relation(&mut self, relation: Relation) {
        Arc::make_mut(&mut self.own).add_relation(relation);
    }

    /// Adds a function, or an overload of one, that only this session has.
    pub fn add_function(&mut self, name: &str, function: Function) {
        Arc::make_mut(&mut self.own).add_function(name, function);
    }

    /// Adds an operator that only this session has.
    pub fn add_operator(&mut self, name: &str, operator: Operator) {
        Arc::make_mut(&mut self.own).add_operator(name, operator);
    }

    /// Adds a type that only this session has.
    pub fn add_type(&mut self, schema: &str, name: &str, oid: u32, what: Type) {
        Arc::make_mut(&mut self.own).add_type(schema, name, oid, what);
    }

    /// The same as the texts that the catalog keeps are written for: an empty search path, in which only PostgreSQL's own
    /// schema is found.
    pub(crate) fn stored(&self) -> Self {
        Self { search_path: vec![PG_CATALOG.to_owned()], prepared: Arc::default(), ..self.clone() }
    }

    /// A relation by its whole name.
    #[must_use]
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        // `pg_temp` is the session's own temporary schema, whatever its number.
        let schema = if schema == "pg_temp" { self.temporary.as_deref()? } else { schema };
        self.own.relation(schema, name).or_else(|| self.shared.relation(schema, name))
    }

    /// A relation by its id.
    #[must_use]
    pub fn relation_by_oid(&self, oid: u32) -> Option<&Relation> {
        self.own.relation_by_oid(oid).or_else(|| self.shared.relation_by_oid(oid))
    }

    /// Whether a name is one of PostgreSQL's own relations.
    pub(crate) fn is_system(&self, schema: &str, name: &str) -> bool {
        if self.shared.system.is_empty() {
            return schema == INFORMATION_SCHEMA || (schema == PG_CATALOG && name.starts_with("pg_"));
        }
        self.shared.system.get(schema).is_some_and(|names| names.contains(name))
    }

    /// The database's own functions of a name: in one schema, or wherever the search path leads.
    pub(crate) fn functions(&self, schema: Option<&str>, name: &str) -> impl Iterator<Item = &Function> {
        let all =
            [&self.own, &self.shared].into_iter().filter_map(move |objects| objects.functions.get(name));
        all.flatten().filter(move |function| self.reaches(schema, &function.schema))
    }

    /// The database's own operators of a name.
    pub(crate) fn operators(&self, schema: Option<&str>, name: &str) -> impl Iterator<Item = &Operator> {
        let all =
            [&self.own, &self.shared].into_iter().filter_map(move |objects| objects.operators.get(name));
        all.flatten().filter(move |operator| self.reaches(schema, &operator.schema))
    }

    /// A type of the database's own: its id, and what it is.
    pub(crate) fn type_(&self, schema: &str, name: &str) -> Option<(u32, Type)> {
        self.own.type_(schema, name).or_else(|| self.shared.type_(schema, name))
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
