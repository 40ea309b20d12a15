//! What the server is asked.
//!
//! The expressions for definitions are used twice: by our own connection when the picture is read, and by a client's
//! session when what was approved is checked before it runs. There a hostile search path may be in force, so that every
//! name in them, operators too, says its schema. `pg_get_functiondef` and its kin print names as the search path has them
//! and would differ between the two; the catalog's own rows do not.

/// The definition of the relation `c` (`pg_class`): columns and defaults, constraints, triggers (those of foreign keys that
/// point at it too), rules, policies, computed indexes, children; of indexes and sequences only what they are. As `bytea`, SHA-256.
pub(crate) const RELATION: &str = "CASE WHEN c.relkind OPERATOR(pg_catalog.=) ANY ('{i,I,S}'::pg_catalog.\"char\"[])
  THEN pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array(c.relnamespace, c.relname, c.relkind,
    c.relowner)::pg_catalog.text, 'UTF8'))
  ELSE pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array(
  c.relnamespace, c.relname, c.relkind, c.relowner, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
  c.relispartition, c.reloptions, c.relpartbound::pg_catalog.text, c.reloftype,
  (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull,
      a.attidentity, a.attgenerated, a.attcollation, d.adbin::pg_catalog.text) ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d
       ON d.adrelid OPERATOR(pg_catalog.=) a.attrelid AND d.adnum OPERATOR(pg_catalog.=) a.attnum
    WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped),
  (SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(k) ORDER BY k.oid) FROM pg_catalog.pg_constraint k
    WHERE k.conrelid OPERATOR(pg_catalog.=) c.oid),
  (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(pg_catalog.encode(t.tgargs, 'hex'),
      pg_catalog.to_jsonb(t) OPERATOR(pg_catalog.-) 'tgargs'::pg_catalog.text) ORDER BY t.oid)
     FROM pg_catalog.pg_trigger t WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid),
  (SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(r) ORDER BY r.oid) FROM pg_catalog.pg_rewrite r
    WHERE r.ev_class OPERATOR(pg_catalog.=) c.oid),
  (SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(p) ORDER BY p.oid) FROM pg_catalog.pg_policy p
    WHERE p.polrelid OPERATOR(pg_catalog.=) c.oid),
  (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(i.indexrelid, i.indexprs::pg_catalog.text,
      i.indpred::pg_catalog.text) ORDER BY i.indexrelid)
     FROM pg_catalog.pg_index i
    WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)),
  (SELECT pg_catalog.jsonb_agg(h.inhrelid ORDER BY h.inhrelid) FROM pg_catalog.pg_inherits h
    WHERE h.inhparent OPERATOR(pg_catalog.=) c.oid)
)::pg_catalog.text, 'UTF8')) END";

/// The definition of the function `p` (`pg_proc`): all of its row but who may call it, and what the planner thinks of it.
/// An aggregate's own functions stand in `pg_aggregate`.
pub(crate) const FUNCTION: &str = "pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array(
  pg_catalog.to_jsonb(p) OPERATOR(pg_catalog.-)
    ARRAY['proacl', 'procost', 'prorows', 'prosupport']::pg_catalog.text[],
  p.prosupport::pg_catalog.oid,
  (SELECT pg_catalog.jsonb_build_array(g.aggkind, g.aggtransfn::pg_catalog.oid, g.aggfinalfn::pg_catalog.oid,
      g.aggcombinefn::pg_catalog.oid, g.aggserialfn::pg_catalog.oid, g.aggdeserialfn::pg_catalog.oid,
      g.aggmtransfn::pg_catalog.oid, g.aggminvtransfn::pg_catalog.oid, g.aggmfinalfn::pg_catalog.oid,
      g.agginitval, g.aggminitval)
     FROM pg_catalog.pg_aggregate g WHERE g.aggfnoid::pg_catalog.oid OPERATOR(pg_catalog.=) p.oid)
)::pg_catalog.text, 'UTF8'))";

/// The definition of the operator `o` (`pg_operator`).
pub(crate) const OPERATOR: &str = "pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array(
  o.oprnamespace, o.oprname, o.oprkind, o.oprleft, o.oprright, o.oprresult, o.oprcode::pg_catalog.oid, o.oprcom,
  o.oprnegate)::pg_catalog.text, 'UTF8'))";

/// The definition of the type `t` (`pg_type`), with a domain's checks and an enumeration's labels.
pub(crate) const TYPE: &str = "pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array(
  t.typnamespace, t.typname, t.typowner, t.typtype, t.typbasetype, t.typtypmod, t.typnotnull, t.typelem, t.typrelid,
  t.typinput::pg_catalog.oid, t.typoutput::pg_catalog.oid, t.typreceive::pg_catalog.oid, t.typdefaultbin::pg_catalog.text,
  (SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(k) ORDER BY k.oid) FROM pg_catalog.pg_constraint k
    WHERE k.contypid OPERATOR(pg_catalog.=) t.oid),
  (SELECT pg_catalog.jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e
    WHERE e.enumtypid OPERATOR(pg_catalog.=) t.oid)
)::pg_catalog.text, 'UTF8'))";

/// Whether `n` (`pg_namespace`) and `oid` say that something is not PostgreSQL's own; 16384 is `FirstNormalObjectId`.
macro_rules! own {
    ($oid:literal) => {
        concat!(
            "(n.nspname NOT IN ('pg_catalog', 'information_schema') OR ",
            $oid,
            " >= 16384)
             AND n.nspname !~ '^pg_(toast|temp)'"
        )
    };
}

pub(crate) const SERVER: &str =
    "SELECT current_setting('server_version_num')::int4, current_database()::text";

/// Whether anything that the picture is made of was changed: how many rows each catalog has, and a sum over who wrote
/// each. Temporary tables come and go without end, and are no part of the picture.
pub(crate) const PROBE: &str = "
SELECT string_agg(line, ' ' ORDER BY line) FROM (
  SELECT 'class ' || count(*) || ' ' || coalesce(sum(hashint8extended(x.xmin::text::int8, x.oid::int8)), 0) AS line
    FROM pg_class x WHERE x.relpersistence <> 't'
  UNION ALL SELECT 'attribute ' || count(*) || ' '
      || coalesce(sum(hashint8extended(a.xmin::text::int8, a.attrelid::int8 * 4096 + a.attnum)), 0)
    FROM pg_attribute a JOIN pg_class x ON x.oid = a.attrelid AND x.relpersistence <> 't'
   WHERE a.attnum > 0
  UNION ALL SELECT 'default ' || count(*) || ' ' || coalesce(sum(hashint8extended(x.xmin::text::int8, x.oid::int8)), 0)
    FROM pg_attrdef x
  UNION ALL SELECT 'proc ' || count(*) || ' ' || coalesce(sum(hashint8extended(x.xmin::text::int8, x.oid::int8)), 0)
    FROM pg_proc x
  UNION ALL SELECT 'type ' || count(*) || ' ' || coalesce(sum(hashint8extended(x.xmin::text::int8, x.oid::int8)), 0)
    FROM pg_type x JOIN pg_namespace n ON n.oid = x.typnamespace AND n.nspname !~ '^pg_(toast|temp)'
  UNION ALL SELECT 'enum ' || count(*) || ' ' || coalesce(sum(hashint8extended(x.xmin::text::int8, x.oid::int8)), 0)
    FROM pg_enum x
  UNION ALL SELECT 'operator ' || count(*) || ' ' || coalesce(sum(hashint8extended(x.xmin::text::int8, x.oid::int8)), 0)
    FROM pg_operator x
  UNION ALL SELECT 'trigger ' || count(*) || ' ' || coalesce(sum(hashint8extended(x.xmin::text::int8, x.oid::int8)), 0)
    FROM pg_trigger x
  UNION ALL SELECT 'rewrite ' || count(*) || ' ' || coalesce(sum(hashint8extended(x.xmin::text::int8, x.oid::int8)), 0)
    FROM pg_rewrite x
  UNION ALL SELECT 'constraint ' || count(*) || ' ' || coalesce(sum(hashint8extended(x.xmin::text::int8, x.oid::int8)), 0)
    FROM pg_constraint x
  UNION ALL SELECT 'policy ' || count(*) || ' ' || coalesce(sum(hashint8extended(x.xmin::text::int8, x.oid::int8)), 0)
    FROM pg_policy x
  UNION ALL SELECT 'namespace ' || count(*) || ' ' || coalesce(sum(hashint8extended(x.xmin::text::int8, x.oid::int8)), 0)
    FROM pg_namespace x WHERE x.nspname !~ '^pg_(toast|temp)'
  UNION ALL SELECT 'event ' || count(*) || ' ' || coalesce(sum(hashint8extended(x.xmin::text::int8, x.oid::int8)), 0)
    FROM pg_event_trigger x
  UNION ALL SELECT 'extension ' || count(*) || ' ' || coalesce(sum(hashint8extended(x.xmin::text::int8, x.oid::int8)), 0)
    FROM pg_extension x
  UNION ALL SELECT 'inherits ' || count(*) || ' '
      || coalesce(sum(hashint8extended(x.xmin::text::int8, x.inhrelid::int8)), 0)
    FROM pg_inherits x
  UNION ALL SELECT 'comment ' || count(*) || ' '
      || coalesce(sum(hashint8extended(x.xmin::text::int8, x.objoid::int8 * 4096 + x.objsubid)), 0)
    FROM pg_description x WHERE x.classoid IN ('pg_class'::regclass, 'pg_proc'::regclass)
  UNION ALL SELECT 'label ' || count(*) || ' '
      || coalesce(sum(hashint8extended(x.xmin::text::int8, x.objoid::int8 * 4096 + x.objsubid)), 0)
    FROM pg_seclabel x
) AS lines";

/// `pg_class`: id, kind, schema, name; definition.
pub(crate) fn relations() -> String {
    format!(
        "SELECT c.oid, c.relkind::text, n.nspname::text, c.relname::text,
                {RELATION}
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I', 'c') AND c.relpersistence <> 't' AND {}",
        own!("c.oid")
    )
}

/// PostgreSQL's own relations: schema, name.
pub(crate) const SYSTEM: &str = "
SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.oid < 16384 ORDER BY 1, 2";

/// `pg_attribute`: relation, name, the type of its values (of an array, its elements'), comment; in order.
pub(crate) const COLUMNS: &str = concat!(
    "SELECT a.attrelid, a.attname::text, CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE a.atttypid END, d.description
       FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_type t ON t.oid = a.atttypid
            LEFT JOIN pg_description d
              ON d.classoid = 'pg_class'::regclass AND d.objoid = a.attrelid AND d.objsubid = a.attnum
      WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
        AND c.relpersistence <> 't' AND ",
    own!("c.oid"),
    " ORDER BY a.attrelid, a.attnum"
);

/// Security labels of columns: relation, column, provider, label.
pub(crate) const LABELS: &str = "
SELECT l.objoid, a.attname::text, l.provider, l.label
  FROM pg_seclabel l JOIN pg_attribute a ON a.attrelid = l.objoid AND a.attnum = l.objsubid
 WHERE l.classoid = 'pg_class'::regclass AND l.objsubid > 0";

/// Views: id, query.
pub(crate) const VIEWS: &str = concat!(
    "SELECT c.oid, pg_get_viewdef(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'v' AND c.relpersistence <> 't' AND ",
    own!("c.oid")
);

/// Rules but views' own, those that fire: relation, name, event, text.
pub(crate) const RULES: &str = "
SELECT r.ev_class, r.rulename::text, r.ev_type::text, pg_get_ruledef(r.oid)
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
 WHERE r.ev_enabled <> 'D' AND NOT (c.relkind IN ('v', 'm') AND r.ev_type = '1') AND c.relpersistence <> 't' AND r.oid >= 16384";

/// Triggers but foreign keys' own, those that fire: relation, name, kind, function, its schema and name.
pub(crate) const TRIGGERS: &str = "
SELECT t.tgrelid, t.tgname::text, t.tgtype::int4, t.tgfoid, n.nspname::text, p.proname::text
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
       JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND c.relpersistence <> 't'
 ORDER BY t.tgrelid, t.tgname";

/// Foreign keys: the table that is pointed at, the one that points, the columns pointed at, on delete, on update.
pub(crate) const KEYS: &str = "
SELECT k.confrelid, k.conrelid,
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u (number, place)
               JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY u.place),
       k.confdeltype::text, k.confupdtype::text
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
 WHERE k.contype = 'f' AND c.relpersistence <> 't'
 ORDER BY k.confrelid, k.oid";

/// Partitions, and tables that inherit: parent, child.
pub(crate) const CHILDREN: &str = "
SELECT h.inhparent, h.inhrelid FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
 WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' ORDER BY h.inhparent, h.inhrelid";

/// Functions: id, schema, name, definition, comment, whether it was shipped with an extension of `$1` and only computes.
/// What stands in PostgreSQL's own schema under a low id, and in a language that its own functions are not in, was replaced.
pub(crate) fn functions() -> String {
    format!(
        "SELECT p.oid, n.nspname::text, p.proname::text, {FUNCTION}, d.description,
                coalesce(o.rolsuper AND e.extname::text = ANY ($1) AND p.provolatile <> 'v'
                  AND l.lanname IN ('c', 'internal', 'sql'), false)
           FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
                LEFT JOIN pg_roles o ON o.oid = p.proowner
                LEFT JOIN pg_depend x ON x.classid = 'pg_proc'::regclass AND x.objid = p.oid
                     AND x.refclassid = 'pg_extension'::regclass AND x.deptype = 'e'
                LEFT JOIN pg_extension e ON e.oid = x.refobjid
                LEFT JOIN pg_description d
                  ON d.classoid = 'pg_proc'::regclass AND d.objoid = p.oid AND d.objsubid = 0
          WHERE ({} OR (n.nspname = 'pg_catalog' AND l.lanname NOT IN ('c', 'internal', 'sql')))
          ORDER BY p.oid",
        own!("p.oid")
    )
}

/// Operators: id, schema, name, definition, function, that function's name.
pub(crate) fn operators() -> String {
    format!(
        "SELECT o.oid, n.nspname::text, o.oprname::text, {OPERATOR}, o.oprcode::oid,
                CASE WHEN f.pronamespace = 'pg_catalog'::regnamespace THEN f.proname::text END
           FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
                LEFT JOIN pg_proc f ON f.oid = o.oprcode::oid
          WHERE {} ORDER BY o.oid",
        own!("o.oid")
    )
}

/// Types but arrays and tables' rows: id, schema, name, definition, kind, whether it was shipped, whether it checks,
/// the id of what it is built on.
pub(crate) fn types() -> String {
    format!(
        "SELECT t.oid, n.nspname::text, t.typname::text, {TYPE}, t.typtype::text,
                coalesce(o.rolsuper AND e.extname::text = ANY ($1), false),
                EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'),
                CASE WHEN t.typtype = 'd' THEN t.typbasetype
                     WHEN t.typtype = 'r' THEN (SELECT r.rngcanonical::oid FROM pg_range r WHERE r.rngtypid = t.oid)
                     ELSE 0 END
           FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
                LEFT JOIN pg_roles o ON o.oid = t.typowner
                LEFT JOIN pg_depend x ON x.classid = 'pg_type'::regclass AND x.objid = t.oid
                     AND x.refclassid = 'pg_extension'::regclass AND x.deptype = 'e'
                LEFT JOIN pg_extension e ON e.oid = x.refobjid
          WHERE t.typtype IN ('e', 'c', 'r', 'm', 'd', 'b') AND t.typcategory <> 'A'
            AND (t.typtype <> 'c' OR c.relkind = 'c') AND {} ORDER BY t.oid",
        own!("t.oid")
    )
}

/// What a relation's own definition runs or is made of, besides what a statement says: in defaults, generated columns,
/// checks, indexes and policies. Relation, what it is (`pg_proc`, `pg_operator`, `pg_type`, `pg_class` for a sequence), id.
pub(crate) const BEHIND: &str = "
SELECT DISTINCT b.relation, CASE b.refclassid WHEN 'pg_proc'::regclass THEN 'function' WHEN 'pg_operator'::regclass
         THEN 'operator' WHEN 'pg_type'::regclass THEN 'type' ELSE 'sequence' END, b.refobjid
  FROM (
    SELECT x.adrelid AS relation, d.refclassid, d.refobjid FROM pg_attrdef x
      JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = x.oid
    UNION ALL SELECT k.conrelid, d.refclassid, d.refobjid FROM pg_constraint k
      JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid WHERE k.conrelid <> 0
    UNION ALL SELECT i.indrelid, d.refclassid, d.refobjid FROM pg_index i
      JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
    UNION ALL SELECT p.polrelid, d.refclassid, d.refobjid FROM pg_policy p
      JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
    UNION ALL SELECT d.refobjid, 'pg_class'::regclass, d.objid FROM pg_depend d JOIN pg_class s ON s.oid = d.objid
     WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i' AND s.relkind = 'S'
  ) b LEFT JOIN pg_class s ON b.refclassid = 'pg_class'::regclass AND s.oid = b.refobjid
 WHERE b.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass) OR s.relkind = 'S'
 ORDER BY 1, 2, 3";

/// The functions that an aggregate or a domain's check runs: what has them (`function` or `type`), its id, the function.
pub(crate) const BELOW: &str = "
SELECT 'function', g.aggfnoid::oid, f.number FROM pg_aggregate g
  CROSS JOIN LATERAL (VALUES (g.aggtransfn::oid), (g.aggfinalfn::oid), (g.aggcombinefn::oid), (g.aggmtransfn::oid),
    (g.aggminvtransfn::oid), (g.aggmfinalfn::oid)) AS f (number)
 WHERE g.aggfnoid::oid >= 16384 AND f.number >= 16384
UNION ALL
SELECT 'type', k.contypid, d.refobjid FROM pg_constraint k
  JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid AND d.refclassid = 'pg_proc'::regclass
 WHERE k.contypid <> 0
 ORDER BY 1, 2, 3";

/// Event triggers that fire: id, name, event, function.
pub(crate) const EVENTS: &str = "
SELECT e.oid, e.evtname::text, e.evtevent::text, e.evtfoid FROM pg_event_trigger e WHERE e.evtenabled <> 'D' ORDER BY e.oid";
