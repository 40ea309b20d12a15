//! The index's limits, in one place, each with its unit.

use std::time::Duration;

/// How many records one block of the index holds: what one roaring container spans.
pub const BLOCK_RECORDS: u64 = 1 << 16;
/// How many records share one earliest and one latest time.
pub const SPAN_RECORDS: u64 = 1 << 10;
/// The most records that one transaction of the follower writes.
pub const BATCH_RECORDS: usize = 4_096;
/// How long the follower rests when there was nothing to follow.
pub const REST: Duration = Duration::from_millis(250);
/// How far apart two changes of a folder are at least for its date to tell them apart, on every file system that we know.
pub const FOLDER_DATE_TICK: Duration = Duration::from_secs(3);
/// How long the follower rests after an error.
pub const REST_AFTER_ERROR: Duration = Duration::from_secs(5);
/// How many entries the follower reads from the store at once.
pub const ENTRIES_AT_ONCE: usize = 8;
/// The most values of one facet that are told apart; what comes later stands under [`OTHER`].
pub const VALUES_LIMIT: usize = 10_000;
/// The value under which a facet's values beyond [`VALUES_LIMIT`] stand.
pub const OTHER: &str = "(other)";
/// The longest value of a facet, in bytes; longer ones are cut.
pub const VALUE_LIMIT_BYTES: usize = 256;
/// The longest text of a record, in bytes; longer ones are cut.
pub const TEXT_LIMIT_BYTES: usize = 2_048;
/// The longest line of a segment that is read, in bytes; a longer one is skipped, and counted.
pub const LINE_LIMIT_BYTES: u64 = 1 << 20;
/// How many actions' facets are kept at hand for what follows on them.
pub const CASES_KEPT: usize = 65_536;

/// The longest query, in bytes.
pub const QUERY_LIMIT_BYTES: usize = 1_024;
/// The most clauses of a query.
pub const CLAUSES_LIMIT: usize = 32;
/// The most records on a page.
pub const PAGE_LIMIT: usize = 200;
/// The most records that are counted; beyond, a count says "more than".
pub const COUNT_LIMIT: usize = 10_000;
/// The most values that a facet's counts name.
pub const COUNTED_VALUES: usize = 12;
/// The most places of the full-text index that one search looks at; beyond, it says where it stopped.
pub const SCAN_LIMIT: u64 = 200_000;
/// The longest that one search goes on; beyond, it says where it stopped.
pub const SEARCH_TIME: Duration = Duration::from_millis(1_000);
/// How many searches run at once; more wait.
pub const SEARCHES_AT_ONCE: usize = 2;
/// The most blocks that one look at the full-text index spans.
pub const WINDOW_BLOCKS: u64 = 32;
/// Up to so many records are asked one by one whether they hold the words.
pub const ASKED_ONE_BY_ONE: u64 = 48;
/// The page cache of one connection, in KiB.
pub const CACHE_KIB: i64 = 32 << 10;
