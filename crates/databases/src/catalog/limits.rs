//! Every limit of the catalog's reader, with its unit. A database over one has no picture, and nothing in it is permitted.

use std::time::Duration;

/// The most relations: tables, views, indexes, sequences and composite types.
pub const RELATIONS_LIMIT: usize = 200_000;
/// The most columns of all relations together.
pub const COLUMNS_LIMIT: usize = 1_000_000;
/// The most functions, operators, types, rules, triggers or foreign keys of the database's own, of each.
pub const OBJECTS_LIMIT: usize = 200_000;
/// The most that one reading takes in, in bytes: names, definitions of views and rules, comments.
pub const READ_LIMIT_BYTES: usize = 256 << 20;
/// The most relations and types of one session's temporary schema.
pub const TEMPORARY_LIMIT: usize = 1_000;
/// The most schemas of a search path.
pub const SEARCH_PATH_LIMIT: usize = 256;
/// The most objects that one statement's digest names.
pub const RESOLVED_LIMIT: usize = 2_000;
/// How often the database is asked whether its catalog changed.
pub const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How long a picture is believed after it was last found to be current.
pub const AGE_LIMIT: Duration = Duration::from_secs(30);
/// How often a catalog is read again although nothing seems to have changed: what a role may do is not probed.
pub const READ_AGAIN_EVERY: Duration = Duration::from_secs(600);
/// How long connecting may take.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long one reading of a catalog may take, and one question.
pub const READ_LIMIT: Duration = Duration::from_secs(60);
/// How long a question waits for somebody's lock, such as a table's that is being altered.
pub const LOCK_LIMIT: Duration = Duration::from_secs(5);
/// The pause after a failure; it doubles up to the second.
pub const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
