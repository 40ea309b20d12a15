//! The tables, as forward migrations, and how a connection is set up.
//!
//! The log is the store: an approval's events and the directory's changes are read back from the fields of
//! their log entries, which stand here once, sealed. `event` says where to look; `approval` and `tally` repeat what
//! events come to, for look-ups; `audit` checks that they fit.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::StoreError;

/// Migrations in order; the schema's version is how many were applied. None is ever edited.
const MIGRATIONS: &[&str] = &[V1, V2, V3, V4, V5];

const V1: &str = "
-- The log. `kind`, `subject` and `time` repeat what the leaf says.
CREATE TABLE entry (
    idx       INTEGER PRIMARY KEY,
    leaf_hash BLOB NOT NULL CHECK (length(leaf_hash) = 32),
    kind      TEXT NOT NULL,
    subject   TEXT,
    time      INTEGER NOT NULL,
    leaf      BLOB NOT NULL
) STRICT;
CREATE INDEX entry_of_directory ON entry (subject) WHERE kind = 'directory/1';

-- The fields behind the leaves: id = entry << 10 | position. `sealed` is salt and value; NULL once erased.
CREATE TABLE field (
    id         INTEGER PRIMARY KEY,
    path       TEXT NOT NULL,
    commitment BLOB NOT NULL CHECK (length(commitment) = 32),
    sealed     BLOB
) STRICT;

-- Hashes of level 1 and up; level 0 is entry.leaf_hash.
CREATE TABLE tile (
    level    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hash     BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;

-- The head: one row.
CREATE TABLE checkpoint (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    root BLOB NOT NULL CHECK (length(root) = 32),
    time INTEGER NOT NULL,
    note TEXT NOT NULL
) STRICT;

-- What each approval's events come to. `deadline` stands while it can lapse; `ended` and `retry_until`
-- once it is terminal; `erased` once its record was.
CREATE TABLE approval (
    id            BLOB PRIMARY KEY CHECK (length(id) = 16),
    request       INTEGER NOT NULL UNIQUE REFERENCES entry (idx),
    state         TEXT NOT NULL,
    caller        TEXT NOT NULL,
    shape         TEXT NOT NULL,
    retry         BLOB NOT NULL CHECK (length(retry) = 32),
    retry_window  INTEGER NOT NULL,
    retry_until   INTEGER,
    deadline      INTEGER,
    ended         INTEGER,
    run_when_gone INTEGER NOT NULL,
    erased        INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX approval_by_state ON approval (state, id);
CREATE INDEX approval_by_caller ON approval (caller, state, id);
CREATE INDEX approval_by_shape ON approval (shape, state, id);
CREATE INDEX approval_by_both ON approval (caller, shape, state, id);
CREATE INDEX approval_by_retry ON approval (retry, request);
CREATE INDEX approval_by_deadline ON approval (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX approval_by_denial ON approval (caller, ended) WHERE state = 'denied';

-- What went before, of one caller and shape: how many approvals were finished, and how many denied.
CREATE TABLE tally (
    caller TEXT NOT NULL,
    shape  TEXT NOT NULL,
    ran    INTEGER NOT NULL,
    denied INTEGER NOT NULL,
    PRIMARY KEY (caller, shape)
) STRICT, WITHOUT ROWID;

-- Where in the log an approval's events stand.
CREATE TABLE event (
    approval BLOB NOT NULL REFERENCES approval (id),
    seq      INTEGER NOT NULL,
    entry    INTEGER NOT NULL REFERENCES entry (idx),
    PRIMARY KEY (approval, seq)
) STRICT, WITHOUT ROWID;

-- A request's payload: id = request << 10 | position.
CREATE TABLE payload (
    id         INTEGER PRIMARY KEY,
    path       TEXT NOT NULL,
    commitment BLOB NOT NULL CHECK (length(commitment) = 32),
    sealed     BLOB
) STRICT;

CREATE TABLE vault (
    key     TEXT PRIMARY KEY,
    expires INTEGER NOT NULL,
    sealed  BLOB NOT NULL
) STRICT;
CREATE INDEX vault_by_end ON vault (expires);

CREATE TABLE claim (
    key     TEXT PRIMARY KEY,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX claim_by_end ON claim (expires);
";

const V2: &str = "
-- Changes of the log's key: the old key's last checkpoint, whose last leaf is the entry.
CREATE TABLE rotation (
    entry INTEGER PRIMARY KEY REFERENCES entry (idx),
    note  TEXT NOT NULL
) STRICT;

-- What was pruned for its age. A leaf that was dropped is empty in `entry`, and has no subject and no fields.
CREATE TABLE pruning (
    entry  INTEGER PRIMARY KEY REFERENCES entry (idx),
    first  INTEGER NOT NULL,
    below  INTEGER NOT NULL,
    leaves INTEGER NOT NULL
) STRICT;
";

const V3: &str = "
-- The seal over what of the row no event repeats. Rows from before it have none: no call attaches to them any more.
ALTER TABLE approval ADD COLUMN bound BLOB;
";

const V4: &str = "
-- Approvals whose glass was broken and at which nobody has looked since. `told` is 0 where nobody knows yet: of approvals
-- that an older release left, until the store is opened.
CREATE TABLE glass (
    approval BLOB PRIMARY KEY REFERENCES approval (id),
    told     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO glass SELECT id, 0 FROM approval WHERE erased = 0;
CREATE INDEX glass_untold ON glass (approval) WHERE told = 0;
";

const V5: &str = "
-- What is to be brought to people. `due` is when somebody is to look at it next; `leased` until when somebody has it;
-- `stirred` how often its request moved. What is in it is sealed.
CREATE TABLE delivery (
    id       BLOB PRIMARY KEY CHECK (length(id) = 16),
    approval BLOB NOT NULL,
    channel  TEXT NOT NULL,
    due      INTEGER,
    leased   INTEGER NOT NULL DEFAULT 0,
    stirred  INTEGER NOT NULL DEFAULT 0,
    made     INTEGER NOT NULL,
    sealed   BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_by_approval ON delivery (approval);
CREATE INDEX delivery_by_due ON delivery (channel, due) WHERE due IS NOT NULL;
CREATE INDEX delivery_by_age ON delivery (made, id);
";

/// How long a statement waits for another connection's lock. Only schema changes and truncations of the
/// write-ahead log ever hold one that long.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How many statements a connection keeps prepared: more than there are in the source.
const STATEMENT_CACHE: usize = 128;

/// The pages of 4 KiB that the write-ahead log has when the writer moves them itself: 64 MiB. Before that another thread
/// has moved most.
pub(super) const WAL_PAGES: u32 = 16_384;

/// The one connection that writes.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = open_beside(path)?;
    // Deleted values are overwritten, not only unlinked.
    connection.execute_batch("PRAGMA secure_delete = ON; PRAGMA cache_size = -16384;")?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// A connection that syncs as the writer's does: a commit is on the disk when it returns, and so is what was moved out of
/// the write-ahead log before that is overwritten.
pub(super) fn open_beside(path: &Path) -> Result<Connection, StoreError> {
    let connection = open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;",
    )?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = open(path)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096;")?;
    Ok(connection)
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    // No CREATE: the file was made before, with its permissions. No URI: a path is a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    connection.execute_batch(
        "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;",
    )?;
    Ok(connection)
}

/// Brings an older schema forward, each migration in one transaction with its number.
fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found = check_version(connection)?;
    for (number, migration) in (1_usize..).zip(MIGRATIONS).skip(found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The schema's version, unless a newer release made it.
fn check_version(connection: &Connection) -> Result<usize, StoreError> {
    let found: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found <= MIGRATIONS.len() {
        return Ok(found);
    }
    Err(StoreError::LogStopped(format!(
        "the database has schema {found}, written by a newer release, and this one knows up to {}; \
         run the newer release, or restore a backup that this one wrote",
        MIGRATIONS.len()
    )))
}
