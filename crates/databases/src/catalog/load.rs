//! Reads a whole catalog in one transaction, whose snapshot is one moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::{StreamExt as _, pin_mut};
use sha2::{Digest as _, Sha256};
use sql::catalog::{
    Column, Event, Follow, Function, Objects, Operator, Reference, Relation, Rule, Trigger, Trust, Type,
};
use sql::statement::ObjectKind;
use tokio_postgres::types::{FromSql, FromSqlOwned, ToSql};
use tokio_postgres::{Client, Row};

use super::labels::{self, ColumnLabel, TRUSTED};
use super::limits::{COLUMNS_LIMIT, OBJECTS_LIMIT, READ_LIMIT_BYTES, RELATIONS_LIMIT};
use super::picture::{Behind, ByRelation, Definition, Described, EventTrigger, FIRST_OWN, Operated, Picture};
use super::session::kind;
use super::{CatalogError, queries};

/// The oldest server that is asked, as `server_version_num` says it: PostgreSQL 13.
const OLDEST_SERVER: i32 = 130_000;
/// Extensions of which every function that is neither volatile nor written in a procedural language only computes. They
/// come with PostgreSQL, but `vector`. What runs SQL it is given, or reaches out, is not among them: `dblink`,
/// `tablefunc`, `xml2`, `postgres_fdw`, `adminpack`, `lo`.
const KNOWN_EXTENSIONS: [&str; 14] = [
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "earthdistance",
    "fuzzystrmatch",
    "hstore",
    "intarray",
    "isn",
    "ltree",
    "pg_trgm",
    "seg",
    "unaccent",
    "vector",
];

/// Whether anything changed since a probe that gave the same answer.
pub(super) async fn probe(client: &Client) -> Result<String, CatalogError> {
    let row = client.query_typed(queries::PROBE, &[]).await?;
    row.first()
        .map(|row| field::<String>(row, 0))
        .transpose()?
        .ok_or_else(|| unknown("no answer to the probe"))
}

/// Reads a picture, and the probe's answer at the same moment. The picture's generation is left at zero.
pub(super) async fn load(
    client: &mut Client,
    labels: &[ColumnLabel],
) -> Result<(Picture, String), CatalogError> {
    let transaction = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    let mut reader = Reader { client: transaction.client(), digest: Sha256::new(), bytes: 0 };
    let server = reader.rows(queries::SERVER, "settings", 1).await?;
    let server = server.first().ok_or_else(|| unknown("no version"))?;
    let version: i32 = field(server, 0)?;
    if version < OLDEST_SERVER {
        return Err(CatalogError::Version(version));
    }
    let fingerprint = probe(reader.client).await?;
    let mut loaded = Loaded::default();
    loaded.relations(&mut reader).await?;
    loaded.columns(&mut reader, labels).await?;
    loaded.firing(&mut reader).await?;
    loaded.functions(&mut reader).await?;
    loaded.types(&mut reader).await?;
    loaded.behind(&mut reader).await?;
    let digest = reader.digest.finalize().into();
    let picture = loaded.picture(field(server, 1)?, version, digest);
    transaction.rollback().await?;
    Ok((picture, fingerprint))
}

/// Asks, counts and digests.
struct Reader<'c> {
    client: &'c Client,
    digest: Sha256,
    bytes: usize,
}

impl Reader<'_> {
    async fn rows(&mut self, text: &str, what: &'static str, limit: usize) -> Result<Vec<Row>, CatalogError> {
        self.rows_with(text, &[], what, limit).await
    }

    async fn rows_with(
        &mut self,
        text: &str,
        parameters: &[&(dyn ToSql + Sync)],
        what: &'static str,
        limit: usize,
    ) -> Result<Vec<Row>, CatalogError> {
        let rows = self.client.query_raw(text, parameters.iter().copied()).await?;
        pin_mut!(rows);
        let mut read = Vec::new();
        while let Some(row) = rows.next().await {
            let row = row?;
            self.bytes += row.raw_size_bytes();
            if read.len() >= limit {
                return Err(CatalogError::TooLarge { what, limit });
            }
            if self.bytes > READ_LIMIT_BYTES {
                return Err(CatalogError::TooLarge {
                    what: "definitions, in bytes",
                    limit: READ_LIMIT_BYTES,
                });
            }
            self.digest.update(what);
            for column in 0..row.len() {
                let bytes: Option<&[u8]> = row.try_get::<_, Raw<'_>>(column)?.0;
                self.digest.update(bytes.map_or(u64::MAX, |bytes| bytes.len() as u64).to_be_bytes());
                self.digest.update(bytes.unwrap_or_default());
            }
            read.push(row);
        }
        Ok(read)
    }
}

/// A value's bytes as the server sent them.
struct Raw<'r>(Option<&'r [u8]>);

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(
        _: &tokio_postgres::types::Type,
        raw: &'r [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(
        _: &tokio_postgres::types::Type,
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &tokio_postgres::types::Type) -> bool {
        true
    }
}

fn field<T: FromSqlOwned>(row: &Row, place: usize) -> Result<T, CatalogError> {
    Ok(row.try_get(place)?)
}

fn definition(row: &Row, place: usize) -> Result<Definition, CatalogError> {
    let bytes: Vec<u8> = field(row, place)?;
    bytes.try_into().map(Definition).map_err(|_| unknown("a hash of another length"))
}

fn unknown(what: &str) -> CatalogError {
    CatalogError::Unknown(what.to_owned())
}

/// What was read so far.
#[derive(Default)]
struct Loaded {
    found: BTreeMap<u32, Relation>,
    relations: HashMap<u32, Definition>,
    objects: Objects,
    functions: HashMap<u32, Described>,
    trusts: HashMap<u32, Trust>,
    operators: HashMap<u32, Operated>,
    types: HashMap<u32, Described>,
    active_types: BTreeSet<u32>,
    /// The types of each relation's columns that are the database's own.
    column_types: HashMap<u32, BTreeSet<u32>>,
    behind: HashMap<u32, Behind>,
    below_functions: HashMap<u32, BTreeSet<u32>>,
    below_types: HashMap<u32, BTreeSet<u32>>,
    events: Vec<EventTrigger>,
    unmatched: Vec<String>,
}

impl Loaded {
    async fn relations(&mut self, reader: &mut Reader<'_>) -> Result<(), CatalogError> {
        for row in reader.rows(&queries::relations(), "relations", RELATIONS_LIMIT).await? {
            let (oid, letter): (u32, String) = (field(&row, 0)?, field(&row, 1)?);
            let kind = kind(&letter).ok_or_else(|| unknown("a relation of a new kind"))?;
            self.relations.insert(oid, definition(&row, 4)?);
            let relation = Relation {
                oid,
                kind,
                schema: field(&row, 2)?,
                name: field(&row, 3)?,
                columns: Vec::new(),
                query: None,
                rules: Vec::new(),
                triggers: Vec::new(),
                referenced_by: Vec::new(),
                children: Vec::new(),
            };
            self.found.insert(oid, relation);
        }
        for row in reader.rows(queries::SYSTEM, "system relations", RELATIONS_LIMIT).await? {
            let (schema, name): (String, String) = (field(&row, 0)?, field(&row, 1)?);
            self.objects.add_system(&schema, &name);
        }
        for row in reader.rows(queries::VIEWS, "views", RELATIONS_LIMIT).await? {
            if let Some(relation) = self.found.get_mut(&field(&row, 0)?) {
                relation.query = Some(field(&row, 1)?);
            }
        }
        let views = self.found.values().filter(|relation| relation.kind == ObjectKind::View);
        if views.into_iter().any(|view| view.query.is_none()) {
            return Err(unknown("a view without a query"));
        }
        Ok(())
    }

    async fn columns(&mut self, reader: &mut Reader<'_>, labels: &[ColumnLabel]) -> Result<(), CatalogError> {
        let mut said: HashMap<(u32, String), BTreeSet<String>> = HashMap::new();
        for row in reader.rows(queries::LABELS, "security labels", OBJECTS_LIMIT).await? {
            let (provider, label): (String, String) = (field(&row, 2)?, field(&row, 3)?);
            let classes = said.entry((field(&row, 0)?, field(&row, 1)?)).or_default();
            classes.extend(labels::security(&provider, &label));
        }
        for row in reader.rows(queries::COLUMNS, "columns", COLUMNS_LIMIT).await? {
            let (oid, name, own): (u32, String, u32) = (field(&row, 0)?, field(&row, 1)?, field(&row, 2)?);
            let comment: Option<String> = field(&row, 3)?;
            let mut classes = comment.as_deref().map(labels::words).unwrap_or_default();
            classes.extend(said.remove(&(oid, name.clone())).unwrap_or_default());
            if own >= FIRST_OWN {
                self.column_types.entry(oid).or_default().insert(own);
            }
            if let Some(relation) = self.found.get_mut(&oid) {
                relation.columns.push(Column { name, classes });
            }
        }
        if labels.is_empty() {
            return Ok(());
        }
        let by_name: HashMap<(String, String), u32> = self
            .found
            .values()
            .map(|relation| ((relation.schema.clone(), relation.name.clone()), relation.oid))
            .collect();
        for label in labels {
            let oid = by_name.get(&(label.schema.clone(), label.table.clone()));
            let relation = oid.and_then(|oid| self.found.get_mut(oid));
            let column = relation
                .and_then(|relation| relation.columns.iter_mut().find(|column| column.name == label.column));
            match column {
                Some(column) => column.classes.extend(label.classes.iter().cloned()),
                None => {
                    self.unmatched.push(format!("{}.{}.{}", label.schema, label.table, label.column));
                }
            }
        }
        Ok(())
    }

    /// What fires when rows are written: rules, triggers, foreign keys, partitions.
    async fn firing(&mut self, reader: &mut Reader<'_>) -> Result<(), CatalogError> {
        for row in reader.rows(queries::RULES, "rules", OBJECTS_LIMIT).await? {
            let event: String = field(&row, 2)?;
            let event = match event.as_str() {
                "1" => Event::Select,
                "2" => Event::Update,
                "3" => Event::Insert,
                "4" => Event::Delete,
                _ => return Err(unknown("a rule on a new event")),
            };
            if let Some(relation) = self.found.get_mut(&field(&row, 0)?) {
                relation.rules.push(Rule { name: field(&row, 1)?, event, definition: field(&row, 3)? });
            }
        }
        for row in reader.rows(queries::TRIGGERS, "triggers", OBJECTS_LIMIT).await? {
            let (schema, name): (String, String) = (field(&row, 4)?, field(&row, 5)?);
            let trigger = Trigger {
                name: field(&row, 1)?,
                events: events(field(&row, 2)?),
                function: format!("{schema}.{name}"),
                runs: field(&row, 3)?,
            };
            if let Some(relation) = self.found.get_mut(&field(&row, 0)?) {
                relation.triggers.push(trigger);
            }
        }
        for row in reader.rows(queries::KEYS, "foreign keys", OBJECTS_LIMIT).await? {
            let (delete, update): (String, String) = (field(&row, 3)?, field(&row, 4)?);
            let reference = Reference {
                from: field(&row, 1)?,
                columns: field(&row, 2)?,
                on_delete: follow(&delete)?,
                on_update: follow(&update)?,
            };
            if let Some(relation) = self.found.get_mut(&field(&row, 0)?) {
                relation.referenced_by.push(reference);
            }
        }
        let mut children: ByRelation<u32> = BTreeMap::new();
        for row in reader.rows(queries::CHILDREN, "partitions", RELATIONS_LIMIT).await? {
            children.entry(field(&row, 0)?).or_default().push(field(&row, 1)?);
        }
        for (parent, below) in children {
            if let Some(relation) = self.found.get_mut(&parent) {
                relation.children = below;
            }
        }
        for row in reader.rows(queries::EVENTS, "event triggers", OBJECTS_LIMIT).await? {
            let (oid, runs) = (field(&row, 0)?, field(&row, 3)?);
            self.events.push(EventTrigger { oid, name: field(&row, 1)?, event: field(&row, 2)?, runs });
        }
        Ok(())
    }

    async fn functions(&mut self, reader: &mut Reader<'_>) -> Result<(), CatalogError> {
        let known: &[&str] = &KNOWN_EXTENSIONS;
        let rows = reader.rows_with(&queries::functions(), &[&known], "functions", OBJECTS_LIMIT).await?;
        for row in rows {
            let (oid, schema, name): (u32, String, String) =
                (field(&row, 0)?, field(&row, 1)?, field(&row, 2)?);
            let (comment, shipped): (Option<String>, bool) = (field(&row, 4)?, field(&row, 5)?);
            let said = comment.is_some_and(|comment| labels::words(&comment).contains(TRUSTED));
            let trust = match (shipped, said) {
                (true, _) => Trust::Shipped,
                // What stands in PostgreSQL's own schema is nobody's to trust.
                (false, true) if schema != "pg_catalog" => Trust::Said,
                (false, _) => Trust::Never,
            };
            self.trusts.insert(oid, trust);
            self.objects.add_function(&name, Function { oid, schema: schema.clone(), trust });
            self.functions.insert(oid, Described { schema, name, definition: definition(&row, 3)? });
        }
        for row in reader.rows(&queries::operators(), "operators", OBJECTS_LIMIT).await? {
            let (oid, schema, name): (u32, String, String) =
                (field(&row, 0)?, field(&row, 1)?, field(&row, 2)?);
            let (runs, system): (u32, Option<String>) = (field(&row, 4)?, field(&row, 5)?);
            let computes = || system.as_deref().is_some_and(sql::computes);
            let trust = match self.trusts.get(&runs) {
                Some(trust) => *trust,
                None if computes() => Trust::Shipped,
                None => Trust::Never,
            };
            self.objects.add_operator(&name, Operator { oid, schema: schema.clone(), trust, runs });
            let described = Described { schema, name, definition: definition(&row, 3)? };
            self.operators.insert(oid, Operated { described, runs });
        }
        Ok(())
    }

    async fn types(&mut self, reader: &mut Reader<'_>) -> Result<(), CatalogError> {
        let known: &[&str] = &KNOWN_EXTENSIONS;
        let rows = reader.rows_with(&queries::types(), &[&known], "types", OBJECTS_LIMIT).await?;
        for row in rows {
            let (oid, schema, name): (u32, String, String) =
                (field(&row, 0)?, field(&row, 1)?, field(&row, 2)?);
            let (kind, shipped, checks): (String, bool, bool) =
                (field(&row, 4)?, field(&row, 5)?, field(&row, 6)?);
            let base: Option<u32> = field(&row, 7)?;
            let plain = match kind.as_str() {
                "e" | "c" | "m" => true,
                // A domain over PostgreSQL's own type that checks nothing; a range without code for its canonical form.
                "d" => !checks && base.is_some_and(|base| base < FIRST_OWN),
                "r" => base.is_none_or(|canonical| canonical < FIRST_OWN),
                _ => false,
            };
            let what = if plain || shipped { Type::Plain } else { Type::RunsCode };
            if what == Type::RunsCode {
                self.active_types.insert(oid);
            }
            self.objects.add_type(&schema, &name, oid, what);
            self.types.insert(oid, Described { schema, name, definition: definition(&row, 3)? });
        }
        Ok(())
    }

    /// What definitions run that no statement names.
    async fn behind(&mut self, reader: &mut Reader<'_>) -> Result<(), CatalogError> {
        for row in reader.rows(queries::BEHIND, "dependencies", COLUMNS_LIMIT).await? {
            let (kind, oid): (String, u32) = (field(&row, 1)?, field(&row, 2)?);
            let behind = self.behind.entry(field(&row, 0)?).or_default();
            match kind.as_str() {
                "function" => {
                    behind.functions.insert(oid);
                }
                "operator" => behind.functions.extend(self.operators.get(&oid).map(|operator| operator.runs)),
                "type" => {
                    behind.types.insert(oid);
                }
                _ => behind.counts = true,
            }
        }
        for row in reader.rows(queries::BELOW, "aggregates and checks", COLUMNS_LIMIT).await? {
            let kind: String = field(&row, 0)?;
            let below = if kind == "type" { &mut self.below_types } else { &mut self.below_functions };
            below.entry(field(&row, 1)?).or_default().insert(field(&row, 2)?);
        }
        Ok(())
    }

    fn picture(mut self, database: String, version: i32, digest: [u8; 32]) -> Picture {
        let rows: BTreeSet<u32> = self.column_types.values().flatten().copied().collect();
        // A table's rows are a type without an entry of its own: reading one runs nothing.
        let strange: BTreeSet<u32> = rows.into_iter().filter(|oid| !self.types.contains_key(oid)).collect();
        for (relation, types) in &self.column_types {
            let active = types.iter().any(|oid| self.active_types.contains(oid) || strange.contains(oid));
            let behind = self.behind.entry(*relation).or_default();
            behind.active |= active;
            behind.types.extend(types.iter().filter(|oid| self.types.contains_key(oid)));
        }
        for relation in std::mem::take(&mut self.found).into_values() {
            self.objects.add_relation(relation);
        }
        let shipped = self.trusts.iter().filter(|(_, trust)| **trust == Trust::Shipped).map(|(oid, _)| *oid);
        Picture {
            generation: 0,
            database,
            version,
            shipped: shipped.collect(),
            objects: Arc::new(self.objects),
            relations: self.relations,
            functions: self.functions,
            operators: self.operators,
            types: self.types,
            active_types: self.active_types,
            behind: self.behind,
            below_functions: self.below_functions,
            below_types: self.below_types,
            events: self.events,
            unmatched: self.unmatched,
            digest,
        }
    }
}

/// The events of `pg_trigger.tgtype` (`catalog/pg_trigger.h`).
fn events(kind: i32) -> BTreeSet<Event> {
    const BITS: [(i32, Event); 4] = [
        (1 << 2, Event::Insert),
        (1 << 3, Event::Delete),
        (1 << 4, Event::Update),
        (1 << 5, Event::Truncate),
    ];
    BITS.iter().filter(|(bit, _)| kind & bit != 0).map(|(_, event)| *event).collect()
}

/// `pg_constraint.confdeltype` and `confupdtype`.
fn follow(letter: &str) -> Result<Follow, CatalogError> {
    match letter {
        "a" | "r" => Ok(Follow::Refuse),
        "c" => Ok(Follow::Cascade),
        "n" | "d" => Ok(Follow::Set),
        _ => Err(unknown("a foreign key that does something new")),
    }
}
