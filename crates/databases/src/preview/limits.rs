//! Every limit of previews, with its unit. What takes longer is given up, and the reviewer is told.

use std::time::Duration;

/// How long the server may take to plan a statement, and to tell the sizes of tables.
pub const PLAN_LIMIT: Duration = Duration::from_secs(3);
/// How long a statement that is run to be rolled back may take.
pub const EXACT_LIMIT: Duration = Duration::from_secs(10);
/// How long either waits for somebody's lock.
pub const LOCK_LIMIT: Duration = Duration::from_millis(500);
/// How long a whole preview may take, connecting included.
pub const PREVIEW_LIMIT: Duration = Duration::from_secs(30);
/// The most rows that are shown of one table, before and after.
pub const SAMPLE_ROWS_LIMIT: usize = 5;
/// The most tables of which rows are shown.
pub const SAMPLE_TABLES_LIMIT: usize = 4;
/// The most columns of a row that are shown.
pub const SAMPLE_COLUMNS_LIMIT: usize = 40;
/// How much of one value is shown, in characters.
pub const VALUE_LIMIT_CHARACTERS: usize = 120;
/// The most tables that are listed, and the most triggers, rules and cascades.
pub const LISTED_LIMIT: usize = 60;
/// The most steps of a plan that are shown.
pub const STEPS_LIMIT: usize = 60;
/// The largest plan that is read, in bytes.
pub const PLAN_LIMIT_BYTES: usize = 1 << 20;
