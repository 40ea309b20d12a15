//! Every limit of the point, with its unit. Those of the wire stand in `postgres::config`, those of the classifier in
//! `sql::limits`.

use std::time::Duration;

/// The most things that one message may do: each is a question to policy, and a line of the card.
pub const PARTS_LIMIT: usize = 512;
/// The most values that stand in a field of their own; more stand in one together.
pub const BIND_FIELDS_LIMIT: usize = 256;
/// How many texts' judgements are kept for one database; beyond that the memory starts anew.
pub const JUDGEMENTS_LIMIT: usize = 8_192;
/// The longest text whose judgement is kept, in bytes: longer ones are bulk data, and do not come again.
pub const JUDGED_TEXT_LIMIT_BYTES: usize = 16 << 10;
/// The most names under which one session keeps statements (`PREPARE`); those beyond are not known, and so held.
pub const PREPARED_LIMIT: usize = 256;
/// The most text that one session's kept statements hold together, in bytes.
pub const PREPARED_LIMIT_BYTES: usize = 1 << 20;
/// How often identical statements that ran are told apart, before one is refused as too many.
pub const AGAIN_LIMIT: usize = 64;
/// The most statements of one message that a preview is made of.
pub const PREVIEWED_LIMIT: usize = 4;
/// How many previews of one database are made at once: however often statements are sent, no more run there.
pub const PREVIEWS_LIMIT: usize = 2;
/// How long a statement waits for its turn to have a preview made; without one people are asked all the same.
pub const PREVIEW_PATIENCE: Duration = Duration::from_secs(10);
/// How often a session's agent is looked up again, whatever was heard meanwhile.
pub const STANDING_EVERY: Duration = Duration::from_secs(5);
/// How long a statement waits for the catalog to be read again, after definitions have changed.
pub const CATALOG_PATIENCE: Duration = Duration::from_secs(5);
