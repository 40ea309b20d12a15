//! The tables, as forward migrations.
//!
//! The log is the store, as in the embedded twin: an approval's events and the directory's changes are read back from
//! the sealed fields of their log entries. What differs is how an entry comes to its index. A state change puts
//! its entry into `outbox` in its own transaction; whoever sequences moves it to `entry`. Both bear the same id,
//! under which the fields stand from the beginning.

use deadpool_postgres::ClientWrapper;

use super::link::{Fault, Link};
use crate::StoreError;

/// Migrations in order; the schema's version is how many were applied. None is ever edited.
const MIGRATIONS: &[&str] = &[V1, V2, V3, V4];

const V1: &str = "
-- Whoever writes an entry holds this table shared until the transaction ends; whoever sequences holds it alone. So
-- no transaction that began before a batch was cut commits behind it, with a time that the log has passed.
CREATE TABLE gate ();

-- What waits for its index. `mark` is sealed over the row, so that only a holder of the sealing key adds to the log.
CREATE TABLE outbox (
    serial    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id        uuid NOT NULL UNIQUE,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    kind      text NOT NULL,
    subject   text,
    time      bigint NOT NULL,
    leaf      bytea NOT NULL,
    mark      bytea NOT NULL,
    approval  uuid,
    version   bigint
);
CREATE INDEX outbox_in_order ON outbox (time, serial);

-- The log. `kind`, `subject` and `time` repeat what the leaf says; `approval` and `version` say whom to wake.
-- `leaf` is empty once it was pruned.
CREATE TABLE entry (
    idx       bigint PRIMARY KEY CHECK (idx >= 0),
    id        uuid NOT NULL UNIQUE,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    kind      text NOT NULL,
    subject   text,
    time      bigint NOT NULL,
    leaf      bytea NOT NULL,
    approval  uuid,
    version   bigint
);
CREATE INDEX entry_of_directory ON entry (subject, idx) WHERE kind = 'directory/1';
CREATE INDEX entry_of_pruning ON entry (idx) WHERE kind = 'pruning/1';
CREATE INDEX entry_in_time ON entry (time, idx);

-- The fields behind the leaves. `sealed` is salt and value; NULL once erased.
CREATE TABLE field (
    entry      uuid NOT NULL,
    position   integer NOT NULL,
    path       bytea NOT NULL,
    commitment bytea NOT NULL CHECK (octet_length(commitment) = 32),
    sealed     bytea,
    PRIMARY KEY (entry, position)
);

-- Hashes of level 1 and up; level 0 is entry.leaf_hash.
CREATE TABLE tile (
    level    smallint NOT NULL,
    position bigint NOT NULL,
    hash     bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (level, position)
);

-- The tree as far as entries have an index: one row, which whoever sequences locks.
CREATE TABLE head (
    id       integer PRIMARY KEY CHECK (id = 1),
    size     bigint NOT NULL,
    root     bytea NOT NULL CHECK (octet_length(root) = 32),
    time     bigint NOT NULL,
    frontier bytea NOT NULL
);

-- The tree as far as it is signed: one row. Nothing behind it has been acknowledged.
CREATE TABLE checkpoint (
    id       integer PRIMARY KEY CHECK (id = 1),
    size     bigint NOT NULL,
    root     bytea NOT NULL CHECK (octet_length(root) = 32),
    time     bigint NOT NULL,
    frontier bytea NOT NULL,
    note     text NOT NULL
);
INSERT INTO head VALUES (1, 0, sha256(''), 0, '');
INSERT INTO checkpoint VALUES (1, 0, sha256(''), 0, '', '');

-- The checkpoints with which keys ended: each over a tree whose last entry says which key comes next.
CREATE TABLE rotation (
    idx  bigint PRIMARY KEY,
    note text NOT NULL
);

-- What was pruned, as that entry says: entries `first` to `below`, with `leaves` also the leaves themselves.
CREATE TABLE pruning (
    entry  uuid PRIMARY KEY,
    first  bigint NOT NULL,
    below  bigint NOT NULL,
    leaves boolean NOT NULL
);

-- What each approval's events come to. `deadline` stands while it can lapse; `ended` and `retry_until` once it is
-- terminal; `erased` once its record was; `node` says who runs it, or ran it.
CREATE TABLE approval (
    serial        bigint GENERATED ALWAYS AS IDENTITY,
    id            uuid PRIMARY KEY,
    request       uuid NOT NULL UNIQUE,
    state         text NOT NULL,
    caller        text NOT NULL,
    shape         bytea NOT NULL,
    retry         bytea NOT NULL CHECK (octet_length(retry) = 32),
    retry_window  bigint NOT NULL,
    retry_until   bigint,
    deadline      bigint,
    ended         bigint,
    run_when_gone boolean NOT NULL,
    erased        boolean NOT NULL DEFAULT false,
    node          uuid
);
CREATE INDEX approval_by_state ON approval (state, id DESC);
CREATE INDEX approval_by_caller ON approval (caller, state, id DESC);
CREATE INDEX approval_by_shape ON approval (shape, state, id DESC);
CREATE INDEX approval_by_both ON approval (caller, shape, state, id DESC);
CREATE INDEX approval_by_retry ON approval (retry, serial DESC);
CREATE INDEX approval_by_deadline ON approval (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX approval_by_denial ON approval (caller, ended) WHERE state = 'denied';

-- What went before, of one caller and shape: how many approvals were finished, and how many denied.
CREATE TABLE tally (
    caller text NOT NULL,
    shape  bytea NOT NULL,
    ran    bigint NOT NULL,
    denied bigint NOT NULL,
    PRIMARY KEY (caller, shape)
);

-- An approval's events, each under the id of its entry.
CREATE TABLE event (
    approval uuid NOT NULL REFERENCES approval (id),
    seq      bigint NOT NULL,
    entry    uuid NOT NULL UNIQUE,
    PRIMARY KEY (approval, seq)
);

-- The directory's version: one row, which whoever changes it locks; and its changes in order.
CREATE TABLE directory (
    id      integer PRIMARY KEY CHECK (id = 1),
    version bigint NOT NULL
);
INSERT INTO directory VALUES (1, 0);
CREATE TABLE change (
    version bigint PRIMARY KEY,
    entry   uuid NOT NULL UNIQUE
);

-- A request's payload.
CREATE TABLE payload (
    approval   uuid NOT NULL REFERENCES approval (id),
    position   integer NOT NULL,
    path       bytea NOT NULL,
    commitment bytea NOT NULL CHECK (octet_length(commitment) = 32),
    sealed     bytea,
    PRIMARY KEY (approval, position)
);

-- Keys are bytes, so that they are compared byte by byte whatever the database's collation.
CREATE TABLE vault (
    key     bytea PRIMARY KEY,
    expires bigint NOT NULL,
    sealed  bytea NOT NULL
);
CREATE INDEX vault_by_end ON vault (expires);
CREATE TABLE claim (
    key     bytea PRIMARY KEY,
    expires bigint NOT NULL
);
CREATE INDEX claim_by_end ON claim (expires);

-- The processes that have the store open, each with when it last said so, by the database's clock.
CREATE TABLE node (
    id   uuid PRIMARY KEY,
    seen timestamptz NOT NULL
);
";

const V2: &str = "
-- The seal over what of the row no event repeats. Rows from before it have none: no call attaches to them any more.
ALTER TABLE approval ADD COLUMN bound bytea;
";

const V3: &str = "
-- Approvals whose glass was broken and at which nobody has looked since. `told` is false where nobody knows yet: of
-- approvals that an older release left, until a store is opened.
CREATE TABLE glass (
    approval uuid PRIMARY KEY REFERENCES approval (id),
    told     boolean NOT NULL
);
INSERT INTO glass SELECT id, false FROM approval WHERE NOT erased;
CREATE INDEX glass_untold ON glass (approval) WHERE NOT told;
";

const V4: &str = "
-- What is to be brought to people. `due` is when somebody is to look at it next; `leased` until when somebody has it;
-- `stirred` how often its request moved. What is in it is sealed.
CREATE TABLE delivery (
    id       uuid PRIMARY KEY,
    approval uuid NOT NULL,
    channel  text NOT NULL,
    due      bigint,
    leased   bigint NOT NULL DEFAULT 0,
    stirred  bigint NOT NULL DEFAULT 0,
    made     bigint NOT NULL,
    sealed   bytea NOT NULL
);
CREATE INDEX delivery_by_approval ON delivery (approval);
CREATE INDEX delivery_by_due ON delivery (channel, due) WHERE due IS NOT NULL;
CREATE INDEX delivery_by_age ON delivery (made, id);
";

/// Who holds this lock opens the store; the next one waits. Any number does, as long as nobody else takes it.
const OPENING: i64 = 0x636f_756e_7465_7273;

/// Takes the lock under which stores are opened, one after the other. It is the session's: the connection is to be
/// closed, not given back.
pub(super) async fn lock(client: &ClientWrapper) -> Result<(), Fault> {
    client.execute("SELECT pg_advisory_lock($1)", &[&OPENING]).await?;
    Ok(())
}

/// Brings an older schema forward, each migration in one transaction with its number.
pub(super) async fn migrate(client: &mut ClientWrapper) -> Result<(), Fault> {
    let there = "SELECT to_regclass('countersign.migration') IS NOT NULL";
    if !client.query_one(there, &[]).await?.get::<_, bool>(0) {
        let link = Link::write(client).await?;
        // A role that may not make schemas finds one that was made for it.
        let made = link.one("SELECT to_regnamespace('countersign') IS NOT NULL", &[]).await?;
        if !made.get::<_, bool>(0) {
            link.batch("CREATE SCHEMA countersign").await?;
        }
        link.batch("CREATE TABLE countersign.migration (number integer PRIMARY KEY)").await?;
        link.commit().await?;
    }
    let found = client.query_one("SELECT count(*)::int FROM migration", &[]).await?;
    let found = usize::try_from(found.get::<_, i32>(0)).unwrap_or(usize::MAX);
    check(found)?;
    for (number, migration) in (1_i32..).zip(MIGRATIONS).skip(found) {
        let link = Link::write(client).await?;
        if number > 1 {
            // Whoever writes has ended, and finds the new schema when they begin again.
            link.batch("LOCK TABLE gate IN EXCLUSIVE MODE").await?;
        }
        link.batch(migration).await?;
        link.execute("INSERT INTO migration VALUES ($1)", &[&number]).await?;
        link.commit().await?;
    }
    Ok(())
}

/// Refuses a database that a newer release has brought forward, before this one or under its feet.
pub(super) fn check(found: usize) -> Result<(), StoreError> {
    if found <= MIGRATIONS.len() {
        return Ok(());
    }
    Err(StoreError::LogStopped(format!(
        "the database has schema {found}, written by a newer release, and this one knows up to {}; run the newer release",
        MIGRATIONS.len()
    )))
}
