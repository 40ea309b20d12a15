//! What the names in a statement mean: common table expressions by their scope, relations through the search path.

use crate::builtin::{INFORMATION_SCHEMA, PG_CATALOG};
use crate::catalog::{Catalog, Relation};
use crate::statement::{Found, Object, ObjectKind, Use};
use crate::tree::At;

/// Whether a table's name stands where rows are read from it. Only there can it name a common table expression:
/// what is written is always a table.
pub(crate) fn is_read(range: At<'_>) -> bool {
    let parent = range.parent().map_or("", At::kind);
    matches!(
        (parent, range.field()),
        (_, "from_clause" | "using_clause" | "source_relation")
            | ("JoinExpr", "larg" | "rarg")
            | ("RangeTableSample" | "TableLikeClause", "relation")
    )
}

/// Whether a table's name is one that a WITH around it gives. In a WITH that is not recursive, a query sees only the names
/// before its own: `WITH t AS (SELECT * FROM t)` reads the table.
pub(crate) fn is_common(range: At<'_>) -> bool {
    let name = range.text("relname");
    let is_whole = !range.text("schemaname").is_empty() || !range.text("catalogname").is_empty();
    if is_whole || !is_read(range) {
        return false;
    }
    let mut inside = None;
    let mut below_with = false;
    for above in range.ancestors() {
        match above.kind() {
            "CommonTableExpr" => inside = Some(above.index()),
            "WithClause" => {
                let mut seen = above.list("ctes");
                let recursive = above.flag("recursive");
                let visible = |cte: &At<'_>| recursive || inside.is_none_or(|own| cte.index() < own);
                if seen.any(|cte| visible(&cte) && cte.text("ctename") == name) {
                    return true;
                }
                below_with = true;
            }
            _ => {
                let with = above.child("with_clause").filter(|_| !below_with);
                if with.is_some_and(|with| with.list("ctes").any(|cte| cte.text("ctename") == name)) {
                    return true;
                }
                below_with = false;
            }
        }
    }
    false
}

/// Finds the relation that a `RangeVar` names.
pub(crate) fn relation<'c>(range: At<'_>, catalog: &'c Catalog) -> (Object, Option<&'c Relation>) {
    let (database, schema, name) =
        (range.text("catalogname"), range.text("schemaname"), range.text("relname"));
    if !database.is_empty() && database != catalog.database {
        return (nowhere(Some(schema), name), None);
    }
    find((!schema.is_empty()).then_some(schema), name, catalog)
}

/// Finds a relation by its name, through the search path where the name has no schema.
pub(crate) fn find<'c>(
    schema: Option<&str>,
    name: &str,
    catalog: &'c Catalog,
) -> (Object, Option<&'c Relation>) {
    let one = |schema: &str| -> Option<(Object, Option<&'c Relation>)> {
        if let Some(relation) = catalog.relation(schema, name) {
            return Some((object(relation, catalog), Some(relation)));
        }
        catalog.is_system(schema, name).then(|| {
            let object = Object {
                kind: ObjectKind::Table,
                schema: Some(schema.to_owned()),
                name: name.to_owned(),
                oid: None,
                found: Found::System,
            };
            (object, None)
        })
    };
    let found = match schema {
        Some(schema) => one(schema),
        None => catalog.search_path.iter().find_map(|schema| one(schema)),
    };
    found.unwrap_or_else(|| (nowhere(schema, name), None))
}

/// A relation's name, as a statement uses it.
pub(crate) fn used(schema: Option<&str>, name: &str, found: &Object) -> Use {
    Use {
        kind: ObjectKind::Table,
        schema: schema.filter(|schema| !schema.is_empty()).map(str::to_owned),
        name: name.to_owned(),
        oids: found.oid.into_iter().collect(),
        shipped: found.found == Found::System,
        stored: false,
    }
}

/// The object of a relation that the catalog has.
pub(crate) fn object(relation: &Relation, catalog: &Catalog) -> Object {
    let schema = relation.schema.as_str();
    let found = if catalog.temporary.as_deref() == Some(schema) {
        Found::Temporary
    } else if matches!(schema, PG_CATALOG | INFORMATION_SCHEMA) {
        Found::System
    } else {
        Found::Catalog
    };
    Object {
        kind: relation.kind,
        schema: Some(relation.schema.clone()),
        name: relation.name.clone(),
        oid: Some(relation.oid),
        found,
    }
}

/// Where an object without a schema would be made: in the first schema of the path that is not PostgreSQL's own.
pub(crate) fn made(range: At<'_>, catalog: &Catalog) -> Object {
    let named = range.text("schemaname");
    let is_temporary = range.text("relpersistence") == "t" || named == "pg_temp";
    let own = || catalog.search_path.iter().find(|schema| !schema.starts_with("pg_")).cloned();
    let schema = match named {
        _ if is_temporary => catalog.temporary.clone().or_else(|| Some("pg_temp".to_owned())),
        "" => own(),
        named => Some(named.to_owned()),
    };
    let name = range.text("relname");
    let there = schema.as_deref().and_then(|schema| catalog.relation(schema, name));
    there.map_or_else(
        || Object {
            kind: ObjectKind::Table,
            schema,
            name: name.to_owned(),
            oid: None,
            found: if is_temporary { Found::Temporary } else { Found::Named },
        },
        |relation| object(relation, catalog),
    )
}

fn nowhere(schema: Option<&str>, name: &str) -> Object {
    let schema = schema.filter(|schema| !schema.is_empty()).map(str::to_owned);
    Object { kind: ObjectKind::Other, schema, name: name.to_owned(), oid: None, found: Found::Nowhere }
}
