//! What only the session itself can say: where its names are looked for, and as whom it acts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use bytes::Bytes;
use postgres::hold::Facts;
use sha2::{Digest as _, Sha256};

use crate::catalog::{LOOK, SessionNames, Unreadable};
use crate::limits::{PREPARED_LIMIT, PREPARED_LIMIT_BYTES};

/// Asks the session: for its names, and in one further row for who signed in and for settings that nobody tells of. Every
/// name is PostgreSQL's own with its schema, so that no search path and no operator of the database's answers instead.
pub(crate) static QUESTION: LazyLock<String> = LazyLock::new(|| {
    let settings =
        ASKED.map(|name| format!("pg_catalog.current_setting('{name}')::pg_catalog.text")).join(", ");
    format!("{} UNION ALL SELECT '{STATE}', session_user::pg_catalog.text, {settings}, NULL, NULL", *LOOK)
});

/// What the further row begins with.
const STATE: &str = "state";

/// The settings that it holds, in its order, behind the user.
const ASKED: [&str; 3] = ["row_security", "session_replication_role", "transform_null_equals"];

/// Settings that the server tells of by itself and that change what a text means.
const TOLD: [&str; 5] =
    ["DateStyle", "IntervalStyle", "TimeZone", "client_encoding", "standard_conforming_strings"];

/// What a session said of itself.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) session: SessionNames,
    /// As whom it signed in, and the settings that were asked for.
    state: BTreeMap<String, String>,
    digest: [u8; 32],
}

impl Names {
    /// Reads the answer to [`QUESTION`].
    pub(crate) fn read(rows: Vec<Vec<Option<Bytes>>>) -> Result<Self, Unreadable> {
        let mut hash = Sha256::new();
        for value in rows.iter().flatten() {
            put(&mut hash, value.as_deref().unwrap_or(b"\0"));
        }
        let is_state = |row: &Vec<Option<Bytes>>| {
            row.first().is_some_and(|kind| kind.as_deref() == Some(STATE.as_bytes()))
        };
        let (states, names): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_state);
        let session = SessionNames::read(&names)?;
        let unread = Unreadable::Row("its state");
        let [row] = states.as_slice() else { return Err(unread) };
        let mut state = BTreeMap::new();
        for (place, name) in std::iter::once("session_user").chain(ASKED).enumerate() {
            let value = row.get(place + 1).and_then(Option::as_deref).ok_or_else(|| unread.clone())?;
            let text = std::str::from_utf8(value).map_err(|_| unread.clone())?;
            state.insert(name.to_owned(), text.to_owned());
        }
        Ok(Self { session, state, digest: hash.finalize().into() })
    }

    /// Over all that was said.
    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// What of it changes what a statement means, for the action's record. A temporary schema's number differs from session
    /// to session.
    fn told(&self) -> BTreeMap<String, String> {
        let temporary = self.session.temporary.as_ref().map(|temporary| &temporary.schema);
        let path = self
            .session
            .search_path
            .iter()
            .map(|schema| if Some(schema) == temporary { "pg_temp".to_owned() } else { schema.clone() });
        // Written as JSON: a schema's name may hold a comma.
        let path = serde_json::Value::from(path.collect::<Vec<_>>()).to_string();
        let mut told = self.state.clone();
        told.insert("search_path".to_owned(), path);
        told.insert("role".to_owned(), self.session.role.clone());
        told
    }
}

/// The session's state that changes what a text means, as it stands in an action's record.
pub(crate) fn state(names: Option<&Names>, facts: &Facts) -> BTreeMap<String, String> {
    let mut state = names.map(Names::told).unwrap_or_default();
    for name in TOLD {
        if let Some(value) = facts.settings.get(name.as_bytes()) {
            state.insert(name.to_owned(), String::from_utf8_lossy(value).into_owned());
        }
    }
    state
}

/// Whether the server last said that a backslash in a string is one.
pub(crate) fn standard_strings(facts: &Facts) -> bool {
    facts.settings.get(b"standard_conforming_strings".as_slice()).is_some_and(|value| value.as_ref() == b"on")
}

/// Statements that a session keeps under a name (SQL's PREPARE). A name stands for all that it was ever given: whether the
/// server took the newest is not known when the next statement is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prepared {
    texts: BTreeMap<String, BTreeSet<String>>,
    bytes: usize,
    /// There were more than are kept: from here on no name is known.
    full: bool,
    digest: [u8; 32],
}

impl Prepared {
    /// The same with one more.
    pub(crate) fn with(&self, name: &str, text: &str) -> Self {
        let mut more = self.clone();
        let names = more.texts.len() + usize::from(!more.texts.contains_key(name));
        let bytes = more.bytes.saturating_add(name.len()).saturating_add(text.len());
        if more.full || names > PREPARED_LIMIT || bytes > PREPARED_LIMIT_BYTES {
            more = Self { full: true, ..Self::default() };
        } else if more.texts.entry(name.to_owned()).or_default().insert(text.to_owned()) {
            more.bytes = bytes;
        }
        let mut hash = Sha256::new();
        for (name, texts) in &more.texts {
            put(&mut hash, name.as_bytes());
            texts.iter().for_each(|text| put(&mut hash, text.as_bytes()));
        }
        more.digest = hash.finalize().into();
        more
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = (&String, &BTreeSet<String>)> {
        self.texts.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Over all of them.
    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// With its length before it, so that no two lists are the same bytes.
pub(crate) fn put(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}
