//! A picture of one database's catalog: what all its sessions share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use sql::catalog::{Catalog, Column, Event, Objects, Relation, Rule, Trigger, Type};
use sql::statement::ObjectKind;

use super::session::{SessionNames, Temporary};

/// What a database has, as it was read at one moment.
#[derive(Debug)]
pub struct Picture {
    pub(crate) generation: u64,
    pub(crate) database: String,
    pub(crate) version: i32,
    pub(crate) objects: Arc<Objects>,
    pub(crate) relations: HashMap<u32, Definition>,
    pub(crate) functions: HashMap<u32, Described>,
    pub(crate) operators: HashMap<u32, Operated>,
    pub(crate) types: HashMap<u32, Described>,
    /// Types whose values run code of the database's own when they are read.
    pub(crate) active_types: BTreeSet<u32>,
    /// Functions that came with a known extension and only compute.
    pub(crate) shipped: BTreeSet<u32>,
    /// What a relation's own definition runs: defaults, checks, indexes, policies.
    pub(crate) behind: HashMap<u32, Behind>,
    /// What an aggregate, by id, runs.
    pub(crate) below_functions: HashMap<u32, BTreeSet<u32>>,
    /// What a domain's checks, by id, run.
    pub(crate) below_types: HashMap<u32, BTreeSet<u32>>,
    pub(crate) events: Vec<EventTrigger>,
    /// Labels of the configuration for columns that are not there.
    pub(crate) unmatched: Vec<String>,
    /// Over everything that was read.
    pub(crate) digest: [u8; 32],
}

/// A definition's SHA-256, over the catalog's own rows of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Definition(pub(crate) [u8; 32]);

/// A function, a type or an operator, as its digest names it.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) definition: Definition,
}

/// An operator, and the function that it runs.
#[derive(Debug, Clone)]
pub(crate) struct Operated {
    pub(crate) described: Described,
    pub(crate) runs: u32,
}

/// What a relation's definition is built on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Behind {
    pub(crate) functions: BTreeSet<u32>,
    pub(crate) types: BTreeSet<u32>,
    /// Whether a column's value is taken from a sequence, whose numbers no rollback gives back.
    pub(crate) counts: bool,
    /// Whether a column's type runs code when a value is read.
    pub(crate) active: bool,
}

/// A trigger on definitions.
#[derive(Debug, Clone)]
pub(crate) struct EventTrigger {
    pub(crate) oid: u32,
    pub(crate) name: String,
    pub(crate) event: String,
    pub(crate) runs: u32,
}

/// A catalog in which no name is found: for where there is no picture. Every statement that names anything is then held.
#[must_use]
pub fn blind(database: &str) -> Catalog {
    Catalog::new(database, &[])
}

impl Picture {
    /// Its number. It grows with every change that was seen, and starts anew with the process.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The database's name.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The server's version, as `server_version_num` says it: 150018 for 15.18.
    #[must_use]
    pub fn version(&self) -> i32 {
        self.version
    }

    /// Labels of the configuration that name no column of the database, as `schema.table.column`.
    #[must_use]
    pub fn unmatched_labels(&self) -> &[String] {
        &self.unmatched
    }

    /// How many relations it has.
    #[must_use]
    pub fn relations(&self) -> usize {
        self.objects.relations()
    }

    /// The catalog as a session sees it. What all sessions share is not copied, so that this costs the same for any database.
    #[must_use]
    pub fn of_session(&self, names: &SessionNames) -> Catalog {
        if names.changed {
            return blind(&self.database);
        }
        let own = names.temporary.as_ref().map(own).unwrap_or_default();
        let shared = Arc::clone(&self.objects);
        let mut catalog = Catalog::over(shared, own, &self.database, names.search_path.clone());
        catalog.temporary = names.temporary.as_ref().map(|temporary| temporary.schema.clone());
        catalog.prepared = Arc::clone(&names.prepared);
        catalog
    }

    pub(crate) fn definition_of(&self, oid: u32, names: &SessionNames) -> Option<Definition> {
        let own = || names.temporary.as_ref()?.relations.iter().find(|one| one.oid == oid);
        self.relations.get(&oid).copied().or_else(|| own().map(|one| one.definition))
    }

    /// Types whose values run code when they are read, and types that are not known.
    pub(crate) fn is_active(&self, oid: u32) -> bool {
        oid >= FIRST_OWN && (self.active_types.contains(&oid) || !self.types.contains_key(&oid))
    }
}

/// The first id that is not PostgreSQL's own (`FirstNormalObjectId`, `access/transam.h`).
pub(crate) const FIRST_OWN: u32 = 16_384;

/// A session's temporary tables. Of what their rules, triggers and views do nothing was read, so that whatever goes
/// through one is not understood.
fn own(temporary: &Temporary) -> Objects {
    /// Parses as nothing, and is therefore opaque.
    const UNREAD: &str = "(not read)";
    let mut objects = Objects::default();
    for one in &temporary.relations {
        let events = [Event::Select, Event::Insert, Event::Update, Event::Delete, Event::Truncate];
        let rule = |event| Rule { name: "?".to_owned(), event, definition: UNREAD.to_owned() };
        let trigger =
            || Trigger { name: "?".to_owned(), events: events.into(), function: String::new(), runs: 0 };
        objects.add_relation(Relation {
            oid: one.oid,
            kind: one.kind,
            schema: temporary.schema.clone(),
            name: one.name.clone(),
            columns: Vec::<Column>::new(),
            query: (one.kind == ObjectKind::View).then(|| UNREAD.to_owned()),
            rules: if one.rules { events.map(rule).into() } else { Vec::new() },
            triggers: if one.triggers { vec![trigger()] } else { Vec::new() },
            referenced_by: Vec::new(),
            children: Vec::new(),
        });
    }
    for (oid, name) in &temporary.types {
        objects.add_type(&temporary.schema, name, *oid, Type::RunsCode);
    }
    objects
}

impl Definition {
    /// As lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('?'));
            }
        }
        text
    }

    /// Reads what [`Definition::hex`] writes.
    pub(crate) fn read(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(place * 2..place * 2 + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl serde::Serialize for Definition {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.hex())
    }
}

/// Where [`Picture`]'s maps are filled from rows, in order.
pub(crate) type ByRelation<T> = BTreeMap<u32, Vec<T>>;
