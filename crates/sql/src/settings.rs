//! What SET and RESET change.

use crate::statement::Setting;
use crate::tree::At;

/// The setting by which an agent says why.
pub(crate) const REASON: &str = "countersign.reason";

/// Settings that change neither what a statement means, nor what it may do, nor what is written. Whatever stands not
/// here changes the session (`sql.session`): roles, row security, replication roles, how strings are read.
/// `search_path` stands here since names are resolved through the path that is in force.
const HARMLESS: &[&str] = &[
    REASON,
    "application_name",
    "bytea_output",
    "client_min_messages",
    "cursor_tuple_fraction",
    "datestyle",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "geqo",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "max_parallel_workers_per_gather",
    "plan_cache_mode",
    "search_path",
    "session characteristics",
    "statement_timeout",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "timezone",
    "transaction",
    "transaction_isolation",
    "transaction_read_only",
    "work_mem",
];

// `VariableSetKind` of the parser's messages.
const SET_VALUE: i64 = 1;
const SET_CURRENT: i64 = 3;
const SET_MULTI: i64 = 4;
const RESET_ALL: i64 = 6;

/// Reads a `VariableSetStmt`. PostgreSQL's names of settings do not tell upper from lower case.
pub(crate) fn read(at: At<'_>) -> Setting {
    let kind = at.number("kind");
    let name = if kind == RESET_ALL { "*".to_owned() } else { at.text("name").to_ascii_lowercase() };
    let words: Vec<String> = at.list("args").filter_map(constant).collect();
    let has_value = matches!(kind, SET_VALUE | SET_MULTI | SET_CURRENT);
    Setting { name, value: has_value.then(|| words.join(", ")), local: at.flag("is_local") }
}

/// Whether a setting changes nothing that matters.
pub(crate) fn is_harmless(setting: &Setting) -> bool {
    HARMLESS.contains(&setting.name.as_str())
}

fn constant(at: At<'_>) -> Option<String> {
    let value = at.all().find(|at| matches!(at.kind(), "String" | "Integer" | "Float" | "Boolean"))?;
    Some(match value.kind() {
        "String" => value.text("sval").to_owned(),
        "Integer" => value.number("ival").to_string(),
        "Float" => value.text("fval").to_owned(),
        _ => value.flag("boolval").to_string(),
    })
}
