//! Every limit of this crate, with its unit.

/// The most bytes of one field that are scanned. A larger field is masked whole: what was not scanned is not shown.
pub const SCAN_LIMIT_BYTES: usize = 8 << 20;

/// The most findings in one field; with more of them the field is masked whole.
pub const FINDINGS_LIMIT: usize = 50_000;

/// How often a masked text is scanned again until nothing is found in it; then it is masked whole.
pub const ROUNDS_LIMIT: usize = 6;

/// How deep JSON may be nested, in levels; a deeper text is not taken for JSON.
pub const DEPTH_LIMIT: usize = 128;

/// How many times over a text may be wrapped in backslash escapes, as JSON within JSON is.
pub const ESCAPE_LEVELS: usize = 2;

/// How much of a value beside a telling name is looked at, in bytes; one that counts is masked to its end.
pub const VALUE_LIMIT_BYTES: usize = 512;

/// The longest name that is looked at, in bytes.
pub const NAME_LIMIT_BYTES: usize = 64;

/// How far behind a telling word a number still belongs to it, in bytes.
pub const HINT_REACH_BYTES: usize = 32;

/// The shortest text that is tried as base64, in bytes.
pub const BASE64_MIN_BYTES: usize = 16;

/// The most entries in each list of a route's rules.
pub const RULES_LIMIT: usize = 64;

/// The longest name, path or pattern of a route's rules, in bytes.
pub const RULE_LIMIT_BYTES: usize = 512;

/// The largest compiled pattern, in bytes of memory.
pub const PATTERN_LIMIT_BYTES: usize = 1 << 20;
