//! The tables of the index, and how a connection is set up.
//!
//! `record` holds what is shown, `text` finds its words (FTS5 over `record`'s columns, so that no word stands twice),
//! `posting` holds one roaring bitmap for each facet's value and block of records. Whatever is deleted is overwritten:
//! `secure_delete` for the pages, FTS5's own `secure-delete` for the words' lists.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::SearchError;
use crate::limits;

/// The version of these tables. Another one is no reason to migrate: the index is dropped and filled anew.
pub(super) const VERSION: u32 = 2;

const TABLES: &str = "
-- Where the follower stands, and of which log: origin, cursor, the hash of the last leaf.
CREATE TABLE progress (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    origin TEXT NOT NULL,
    entry  INTEGER NOT NULL,
    leaf   BLOB NOT NULL,
    next   INTEGER NOT NULL
) STRICT;

-- The values of facets, by number. 0 stands for every record, and is not here.
CREATE TABLE value (
    id    INTEGER PRIMARY KEY,
    facet INTEGER NOT NULL,
    text  TEXT NOT NULL,
    UNIQUE (facet, text)
) STRICT;

-- id = value << 24 | block. The newest block stands in memory, and is filled from `record` at open.
CREATE TABLE posting (
    id   INTEGER PRIMARY KEY,
    rows BLOB NOT NULL
) STRICT;

-- The earliest and the latest time of each run of records.
CREATE TABLE span (
    id    INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL
) STRICT;

-- `segment` is 0 for the log. `facets` are the values' numbers, as little-endian 32-bit words.
CREATE TABLE record (
    id       INTEGER PRIMARY KEY,
    time     INTEGER NOT NULL,
    segment  INTEGER NOT NULL,
    place    INTEGER NOT NULL,
    action   BLOB,
    facets   BLOB NOT NULL,
    resource TEXT,
    words    TEXT,
    detail   TEXT
) STRICT;
CREATE INDEX record_of_action ON record (action) WHERE action IS NOT NULL;
CREATE INDEX record_of_entry ON record (place) WHERE segment = 0;

-- Segments of activity, by name: how far each was read, in bytes, and between which records its own stand.
CREATE TABLE segment (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    offset INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL
) STRICT;

-- Entries whose segment of activity is not in this gateway's folder: their lines are not here.
CREATE TABLE elsewhere (entry INTEGER PRIMARY KEY) STRICT;

CREATE VIRTUAL TABLE text USING fts5 (
    resource, words, detail, content = 'record', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO text (text, rank) VALUES ('secure-delete', 1);
";

/// Opens the writer's connection. A file that is of another version, or no index, is dropped first.
pub(super) fn open_writer(path: &Path) -> Result<Connection, SearchError> {
    match opened(path) {
        Ok(connection) => Ok(connection),
        Err(error) => {
            tracing::warn!(%error, "the search index is built anew");
            remove(path)?;
            opened(path)
        }
    }
}

fn opened(path: &Path) -> Result<Connection, SearchError> {
    // Made by us first, so that nobody else can read it for a moment. SQLite gives its side files the same mode.
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    made.map_err(|error| SearchError::file("open", path, &error))?;
    let connection = Connection::open(path)?;
    set_up(&connection)?;
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == VERSION {
        return Ok(connection);
    }
    let empty: bool = connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    if !empty {
        return Err(SearchError::Failed(format!("the index is of version {version}")));
    }
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(connection)
}

/// Opens a connection that reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, SearchError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -limits::CACHE_KIB)?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> Result<(), SearchError> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A power cut may take the newest records: their place is in the same transaction, so they come again.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cache_size", -limits::CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Removes the index with its side files. It is derived: nothing is lost.
pub(super) fn remove(path: &Path) -> Result<(), SearchError> {
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let file = PathBuf::from(name);
        match fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(SearchError::file("remove", &file, &error)),
        }
    }
    Ok(())
}
