//! What a text would do, in the gateway's words.

use std::collections::BTreeSet;
use std::ops::Range;

use domain::evaluation::{Fact, Facts};
use domain::verb::Verb;

use crate::parse::Unread;

/// A text, statement by statement. Every byte of it that PostgreSQL would run stands in one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified {
    /// The statements, in order. A text without any (blanks, comments) has none.
    pub statements: Vec<Statement>,
    /// The reason that a leading comment gives: `/* countersign: reason="…" */`. The caller's words, untrusted.
    pub reason: Option<String>,
    /// Why nothing of it could be read; it is then one opaque statement.
    pub unread: Option<Unread>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its bytes in the text, without the semicolon.
    pub range: Range<usize>,
    /// Its kind in the parser's words, such as `DeleteStmt`.
    pub kind: &'static str,
    /// All that it would do. Each is decided on, and the strictest answer wins. There is at least one.
    pub atoms: Vec<Atom>,
    /// The names that it uses, with what they mean in the catalog; those in the views and rules that it goes through too.
    /// What its digest binds, so that a name that comes to mean something else is found.
    pub uses: BTreeSet<Use>,
    /// Why it was not understood in full; nothing where it was.
    pub opaque: BTreeSet<String>,
    /// Whether it can run within a transaction block, so that its effects can be compared and rolled back.
    pub bindable: bool,
    /// Where values are bound (`$1`).
    pub binds: Vec<Bind>,
    /// What it does to the transaction.
    pub control: Option<Control>,
    /// The settings that it changes.
    pub settings: Vec<Setting>,
    /// The reason that it gives by `SET countersign.reason`. The caller's words, untrusted.
    pub reason: Option<String>,
    /// The name under which it keeps a statement (`PREPARE`).
    pub prepares: Option<String>,
    /// The name of the kept statement that it runs (`EXECUTE`).
    pub executes: Option<String>,
}

/// One thing that a statement would do to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Atom {
    /// What it does.
    pub verb: Verb,
    /// To what.
    pub object: Object,
    /// How it comes to that.
    pub via: Via,
    /// For UPDATE, DELETE and MERGE: whether a condition that reads a column narrows the rows. It may still be true of all.
    pub filtered: Option<bool>,
    /// For COPY and programs: where data goes or comes from.
    pub copy: Option<CopyData>,
    /// For UPDATE: the columns that it sets. None are known for what follows from another statement.
    pub columns: BTreeSet<String>,
    /// The classes of the columns that it reads or writes, as far as the statement's words tell.
    pub classes: BTreeSet<String>,
    /// Whether triggers of the object would fire.
    pub triggers: bool,
    /// Whether a rule of the object rewrites it.
    pub rules: bool,
    /// Whether it asks that what depends on the object goes with it (`CASCADE`), or a foreign key does.
    pub cascades: bool,
}

/// A name that a statement uses: a relation, a function, an operator, or a type that values are made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// What it names. Of relations it is [`ObjectKind::Table`], whatever they are.
    pub kind: ObjectKind,
    /// The schema that is written before it.
    pub schema: Option<String>,
    /// The name.
    pub name: String,
    /// What of the database's own it can mean: for a function each overload; empty where it is PostgreSQL's own.
    pub oids: BTreeSet<u32>,
    /// Whether all that it can mean is PostgreSQL's own, or came with a known extension, and only computes.
    pub shipped: bool,
    /// Whether it stands in a view or a rule, which keeps its meaning whatever the search path.
    pub stored: bool,
}

/// Data's way in or out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyData {
    /// Into the database.
    pub inward: bool,
    /// The other end.
    pub end: CopyEnd,
}

/// The other end of a COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyEnd {
    /// The client's connection.
    Client,
    /// A file on the server.
    File,
    /// A program on the server.
    Program,
}

/// How a statement comes to do something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// It says so.
    Statement,
    /// The query of a view.
    View(String),
    /// A rule, `table.rule`.
    Rule(String),
    /// A foreign key of the table named.
    Cascade(String),
    /// A partition, or a table that inherits from the one named.
    Inheritance(String),
    /// A statement that was kept under this name.
    Prepared(String),
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A table; partitioned ones too.
    Table,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A table of another server.
    ForeignTable,
    /// A sequence.
    Sequence,
    /// An index.
    Index,
    /// A composite type.
    Composite,
    /// A function, a procedure or an aggregate.
    Function,
    /// An operator.
    Operator,
    /// A type.
    Type,
    /// A role.
    Role,
    /// A schema.
    Schema,
    /// A database.
    Database,
    /// A setting.
    Setting,
    /// A channel of NOTIFY.
    Channel,
    /// A cursor.
    Cursor,
    /// A kept statement.
    Prepared,
    /// A program on the server.
    Program,
    /// A file on the server.
    File,
    /// The session and its transaction.
    Session,
    /// Something else, named as it stands.
    Other,
}

/// An object, as far as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// The schema that it was found in, or that the statement names.
    pub schema: Option<String>,
    /// Its name; empty where a statement names none.
    pub name: String,
    /// Its id, where the catalog has it.
    pub oid: Option<u32>,
    /// How sure its name is.
    pub found: Found,
}

/// How a name was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// In the catalog.
    Catalog,
    /// It is PostgreSQL's own.
    System,
    /// It is the session's own: a temporary table.
    Temporary,
    /// Nothing had to be found: the statement makes it, or it is no object of a schema.
    Named,
    /// Nowhere. The catalog's picture is too old, or the statement will fail.
    Nowhere,
}

/// A place for a value that is bound later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Its number: 1 for `$1`.
    pub number: i64,
    /// What the value does there.
    pub place: BindPlace,
}

/// What a bound value does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindPlace {
    /// It chooses rows.
    Filter,
    /// It is stored or returned.
    Value,
    /// It bounds how many rows.
    Limit,
    /// It goes into a function that is not known to be safe, or into a kept statement.
    Argument,
    /// Something else.
    Other,
}

/// A change of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // They are PostgreSQL's statements.
pub enum Control {
    Begin,
    Commit { chain: bool },
    Rollback { chain: bool },
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    PrepareTransaction,
    CommitPrepared,
    RollbackPrepared,
}

/// A setting that is changed for the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name in lower case; `*` for all of them.
    pub name: String,
    /// Its new value; none where it goes back to its default.
    pub value: Option<String>,
    /// Whether it lasts only as long as the transaction.
    pub local: bool,
}

impl Statement {
    /// Whether it was understood in full.
    #[must_use]
    pub fn is_parsed(&self) -> bool {
        self.opaque.is_empty()
    }

    /// Whether it was understood in full, every name was found, and every function, operator and type that it names is
    /// PostgreSQL's own or came with a known extension. Triggers, and what a table's own definition runs, are not in this.
    #[must_use]
    pub fn only_computes(&self) -> bool {
        let is_known = |atom: &Atom| atom.verb.as_str() != "sql.call" && atom.object.found != Found::Nowhere;
        let runs = |used: &Use| used.kind != ObjectKind::Table && !used.shipped;
        self.is_parsed() && self.atoms.iter().all(is_known) && !self.uses.iter().any(runs)
    }

    /// Whether bound values could change what it does, beyond rows and values. Where they cannot, a decision holds for
    /// every set of values.
    #[must_use]
    pub fn depends_on_binds(&self) -> bool {
        !self.is_parsed() || self.binds.iter().any(|bind| bind.place == BindPlace::Argument)
    }

    /// The facts of one of its atoms, for policy. `matched` says that every name was found.
    #[must_use]
    pub fn facts(&self, atom: &Atom) -> Facts {
        let mut facts = Facts::new();
        let mut put = |name: &str, fact| drop(facts.insert(name.to_owned(), fact));
        let known = self.is_parsed();
        put("parsed", Fact::Bool(known));
        put("matched", Fact::Bool(atom.object.found != Found::Nowhere));
        put("sql_kind", Fact::Text(atom.object.kind.as_str().to_owned()));
        put("sql_statement", Fact::Text(self.kind.to_owned()));
        put("sql_bindable", Fact::Bool(self.bindable));
        put("sql_direct", Fact::Bool(atom.via == Via::Statement));
        put("sql_system", Fact::Bool(atom.object.found == Found::System));
        put("sql_temporary", Fact::Bool(atom.object.found == Found::Temporary));
        put("sql_triggers", Fact::Bool(atom.triggers));
        put("sql_rules", Fact::Bool(atom.rules));
        put("sql_cascades", Fact::Bool(atom.cascades));
        // What is not filtered, or takes all there is, has no bound at all.
        let unbounded = matches!(atom.verb.as_str(), "sql.truncate" | "sql.drop" | "sql.export");
        put("bulk", Fact::Bool(unbounded || atom.filtered == Some(false) || !known));
        if let Some(filtered) = atom.filtered {
            put("sql_where", Fact::Bool(filtered));
        }
        if let Some(copy) = &atom.copy {
            put("sql_copy", Fact::Text(if copy.inward { "in" } else { "out" }.to_owned()));
            put("sql_copy_end", Fact::Text(copy.end.as_str().to_owned()));
        }
        if let Some(setting) = self.settings.first() {
            put("sql_setting", Fact::Text(setting.name.clone()));
        }
        if !atom.classes.is_empty() {
            // Each between commas, so that `like "*,pii,*"` finds one and not a part of another.
            let mut classes = String::from(",");
            for class in &atom.classes {
                classes.push_str(class);
                classes.push(',');
            }
            put("data_classes", Fact::Text(classes));
        }
        facts
    }
}

impl Object {
    /// Its name as PostgreSQL would write it, with its schema: what a policy's resource is called.
    #[must_use]
    pub fn full_name(&self) -> String {
        let name = quoted(&self.name);
        self.schema.as_ref().map_or(name.clone(), |schema| {
            // A temporary schema's number differs from session to session.
            let schema = if self.found == Found::Temporary { "pg_temp".into() } else { quoted(schema) };
            format!("{schema}.{name}")
        })
    }
}

/// A name as `quote_ident` would write it, keywords aside.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain || name.is_empty() { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

impl ObjectKind {
    /// Its name in facts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::ForeignTable => "foreign table",
            Self::Sequence => "sequence",
            Self::Index => "index",
            Self::Composite => "composite",
            Self::Function => "function",
            Self::Operator => "operator",
            Self::Type => "type",
            Self::Role => "role",
            Self::Schema => "schema",
            Self::Database => "database",
            Self::Setting => "setting",
            Self::Channel => "channel",
            Self::Cursor => "cursor",
            Self::Prepared => "prepared",
            Self::Program => "program",
            Self::File => "file",
            Self::Session => "session",
            Self::Other => "other",
        }
    }
}

impl CopyEnd {
    /// Its name in facts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::File => "file",
            Self::Program => "program",
        }
    }
}
