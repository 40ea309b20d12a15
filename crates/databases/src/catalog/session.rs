//! What one session's names mean: its search path, role, temporary tables and kept statements.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use sql::Atom;
use sql::statement::ObjectKind;
use thiserror::Error;

use super::limits::{SEARCH_PATH_LIMIT, TEMPORARY_LIMIT};
use super::picture::Definition;
use super::queries::RELATION;

/// What a session sees by its names, besides what the database has for all.
#[derive(Debug, Clone, Default)]
pub struct SessionNames {
    /// Where names without a schema are looked for: `current_schemas(true)`.
    pub search_path: Vec<String>,
    /// The role that statements run as: `current_user`.
    pub role: String,
    /// What it has for itself, if it has made anything temporary.
    pub temporary: Option<Temporary>,
    /// What it keeps by SQL's `PREPARE`: the atoms of each.
    pub prepared: Arc<BTreeMap<String, Vec<Atom>>>,
    /// Whether its open transaction changed definitions, which nobody else can see yet. No name is then found.
    pub changed: bool,
}

/// A session's temporary schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Temporary {
    /// Its name, such as `pg_temp_3`.
    pub schema: String,
    pub(crate) relations: Vec<TemporaryRelation>,
    /// Ids and names of its types.
    pub(crate) types: Vec<(u32, String)>,
}

/// A temporary table, view or sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemporaryRelation {
    pub(crate) oid: u32,
    pub(crate) kind: ObjectKind,
    pub(crate) name: String,
    pub(crate) definition: Definition,
    pub(crate) triggers: bool,
    pub(crate) rules: bool,
}

/// The session's answer is not what [`LOOK`] asks for, or is over a limit. Its names are then unknown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// A row that does not read.
    #[error("the session's answer about its names does not read: {0}")]
    Row(&'static str),
    /// More temporary tables or schemas than are looked at.
    #[error("the session has more than {0} {1}")]
    TooMany(usize, &'static str),
}

/// The question to a session about its names. It only reads, says the schema of every name, and answers a few rows of
/// text for [`SessionNames::read`]. It reads all of `pg_class`: some 2 ms with 10,000 tables.
pub static LOOK: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT 'session', pg_catalog.to_json(pg_catalog.current_schemas(true))::pg_catalog.text,
       (SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_namespace n
         WHERE n.oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()),
       current_user::pg_catalog.text, NULL, NULL, NULL
UNION ALL
SELECT 'relation', c.relname::pg_catalog.text, c.oid::pg_catalog.text, c.relkind::pg_catalog.text,
       pg_catalog.encode({RELATION}, 'hex'),
       EXISTS (SELECT FROM pg_catalog.pg_trigger t
         WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND NOT t.tgisinternal)::pg_catalog.text,
       EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid
           AND r.rulename OPERATOR(pg_catalog.<>) '_RETURN')::pg_catalog.text
  FROM pg_catalog.pg_class c
 WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
UNION ALL
SELECT 'type', t.typname::pg_catalog.text, t.oid::pg_catalog.text, NULL, NULL, NULL, NULL
  FROM pg_catalog.pg_type t
 WHERE t.typnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()
   AND t.typrelid OPERATOR(pg_catalog.=) 0::pg_catalog.oid AND t.typelem OPERATOR(pg_catalog.=) 0::pg_catalog.oid"
    )
});

impl SessionNames {
    /// Reads the rows that [`LOOK`] brings. What the session keeps by `PREPARE` it does not say.
    ///
    /// # Errors
    /// [`Unreadable`]; the session's names are then unknown, and [`blind`](super::blind) is its catalog.
    pub fn read(rows: &[Vec<Option<Bytes>>]) -> Result<Self, Unreadable> {
        let mut names: Option<Self> = None;
        let mut found = Temporary::default();
        for row in rows {
            let text = |place: usize| {
                let value = row.get(place)?.as_ref()?;
                str::from_utf8(value).ok()
            };
            match text(0).ok_or(Unreadable::Row("its kind"))? {
                "session" if names.is_none() => {
                    let path = text(1).ok_or(Unreadable::Row("the search path"))?;
                    let search_path: Vec<String> = domain::canonical::read(path.as_bytes())
                        .map_err(|_| Unreadable::Row("the search path"))?;
                    if search_path.len() > SEARCH_PATH_LIMIT {
                        return Err(Unreadable::TooMany(SEARCH_PATH_LIMIT, "schemas on its search path"));
                    }
                    let role = text(3).ok_or(Unreadable::Row("the role"))?.to_owned();
                    found.schema = text(2).unwrap_or_default().to_owned();
                    names = Some(Self { search_path, role, ..Self::default() });
                }
                "relation" => {
                    let one = relation(&text).ok_or(Unreadable::Row("a temporary table"))?;
                    found.relations.push(one);
                }
                "type" => {
                    let one = text(2).and_then(|oid| oid.parse().ok()).zip(text(1));
                    let (oid, name) = one.ok_or(Unreadable::Row("a temporary type"))?;
                    found.types.push((oid, name.to_owned()));
                }
                _ => return Err(Unreadable::Row("a row of another kind")),
            }
            if found.relations.len() + found.types.len() > TEMPORARY_LIMIT {
                return Err(Unreadable::TooMany(TEMPORARY_LIMIT, "temporary tables and types"));
            }
        }
        let names = names.ok_or(Unreadable::Row("no search path"))?;
        if found.schema.is_empty() {
            let has_none = found.relations.is_empty() && found.types.is_empty();
            return if has_none { Ok(names) } else { Err(Unreadable::Row("a temporary table of nowhere")) };
        }
        found.relations.sort_by_key(|one| one.oid);
        found.types.sort_unstable();
        Ok(Self { temporary: Some(found), ..names })
    }
}

fn relation<'r>(text: &impl Fn(usize) -> Option<&'r str>) -> Option<TemporaryRelation> {
    Some(TemporaryRelation {
        oid: text(2)?.parse().ok()?,
        kind: kind(text(3)?)?,
        name: text(1)?.to_owned(),
        definition: Definition::read(text(4)?)?,
        triggers: flag(text(5)?)?,
        rules: flag(text(6)?)?,
    })
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// What `pg_class.relkind` means.
pub(crate) fn kind(letter: &str) -> Option<ObjectKind> {
    Some(match letter {
        "r" | "p" => ObjectKind::Table,
        "v" => ObjectKind::View,
        "m" => ObjectKind::MaterializedView,
        "f" => ObjectKind::ForeignTable,
        "S" => ObjectKind::Sequence,
        "i" | "I" => ObjectKind::Index,
        "c" => ObjectKind::Composite,
        // Where long values are kept; no statement names it.
        "t" => ObjectKind::Other,
        _ => return None,
    })
}
