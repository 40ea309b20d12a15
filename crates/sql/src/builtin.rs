//! What PostgreSQL brings itself: functions, operators and types by name, and which of the functions may run unasked.
//!
//! `functions.txt` comes from `pg_proc` of PostgreSQL 15: a name is safe when all of its overloads are immutable or
//! stable, take and return no `internal` or `cstring`, and are no trigger or handler. Taken out again, although stable:
//! what reads a table it is told (`table_to_xml`, `schema_to_xml`, `database_to_xml` and their like), and what gives
//! out transaction ids. Put in, although volatile: `random`, `clock_timestamp`, `gen_random_uuid`, `currval`, sizes of
//! relations and the like. A name that stands nowhere is not safe.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// PostgreSQL's own schema.
pub(crate) const PG_CATALOG: &str = "pg_catalog";
/// The standard's views of it.
pub(crate) const INFORMATION_SCHEMA: &str = "information_schema";

/// Whether PostgreSQL has a function of this name, and whether all its overloads may run unasked.
pub(crate) fn function(name: &str) -> Option<bool> {
    static FUNCTIONS: LazyLock<HashMap<&'static str, bool>> = LazyLock::new(|| {
        include_str!("builtin/functions.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.strip_prefix('!').map_or((line, true), |name| (name, false)))
            .collect()
    });
    FUNCTIONS.get(name).copied()
}

/// Whether PostgreSQL has a function of this name of which every overload only computes or looks.
#[must_use]
pub fn computes(name: &str) -> bool {
    function(name) == Some(true)
}

/// Whether PostgreSQL has an operator of this name.
pub(crate) fn has_operator(name: &str) -> bool {
    static OPERATORS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| OPERATOR_NAMES.split(' ').collect());
    OPERATORS.contains(name)
}

/// Whether PostgreSQL has a type of this name; its arrays' names begin with `_`.
pub(crate) fn has_type(name: &str) -> bool {
    static TYPES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| TYPE_NAMES.split(' ').collect());
    TYPES.contains(name) || name.strip_prefix('_').is_some_and(|element| TYPES.contains(element))
}

/// The class of data of PostgreSQL's own relations that hold secrets, or rows of other tables.
pub(crate) fn system_class(relation: &str) -> Option<&'static str> {
    match relation {
        "pg_authid"
        | "pg_shadow"
        | "pg_user_mapping"
        | "pg_user_mappings"
        | "pg_subscription"
        | "pg_foreign_server"
        | "pg_hba_file_rules"
        | "pg_ident_file_mappings"
        | "pg_file_settings" => Some("credentials"),
        "pg_statistic"
        | "pg_stats"
        | "pg_statistic_ext_data"
        | "pg_stats_ext"
        | "pg_stats_ext_exprs"
        | "pg_largeobject" => Some("samples"),
        _ => None,
    }
}

const OPERATOR_NAMES: &str = "!! !~ !~* !~~ !~~* # ## #- #> #>> % & && &< &<| &> * *< *<= *<> *= *> *>= + - -> ->> \
    -|- / < <-> << <<= <<| <= <> <@ <^ = > >= >> >>= >^ ? ?# ?& ?- ?-| ?| ?|| @ @-@ @> @? @@ @@@ ^ ^@ | |&> |/ |>> \
    || ||/ ~ ~* ~<=~ ~<~ ~= ~>=~ ~>~ ~~ ~~*";

const TYPE_NAMES: &str = "aclitem any anyarray anycompatible anycompatiblearray anycompatiblemultirange \
    anycompatiblenonarray anycompatiblerange anyelement anyenum anymultirange anynonarray anyrange bit bool box \
    bpchar bytea char cid cidr circle cstring date datemultirange daterange event_trigger fdw_handler float4 float8 \
    gtsvector index_am_handler inet int2 int2vector int4 int4multirange int4range int8 int8multirange int8range \
    internal interval json jsonb jsonpath language_handler line lseg macaddr macaddr8 money name numeric \
    nummultirange numrange oid oidvector path pg_brin_bloom_summary pg_brin_minmax_multi_summary pg_ddl_command \
    pg_dependencies pg_lsn pg_mcv_list pg_ndistinct pg_node_tree pg_snapshot point polygon record refcursor regclass \
    regcollation regconfig regdictionary regnamespace regoper regoperator regproc regprocedure regrole regtype \
    table_am_handler text tid time timestamp timestamptz timetz trigger tsm_handler tsmultirange tsquery tsrange \
    tstzmultirange tstzrange tsvector txid_snapshot unknown uuid varbit varchar void xid xid8 xml";
