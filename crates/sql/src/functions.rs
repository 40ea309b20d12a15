//! Which functions, operators and types a statement runs, and which of them may run unasked.
//!
//! Which overload runs depends on the types of the arguments, which are not known here. So a name is safe only when every
//! function that it could mean is.

use std::collections::BTreeSet;

use crate::builtin::{self, PG_CATALOG};
use crate::catalog::{Catalog, Trust, Type};
use crate::statement::{Found, Object, ObjectKind, Use};

/// The function that a call would run where it may not run unasked.
pub(crate) fn call(words: &[&str], catalog: &Catalog) -> Option<Object> {
    let (schema, name) = split(words);
    let own = |safe: bool| {
        catalog.functions(schema, name).find(|function| (function.trust != Trust::Never) == safe)
    };
    if let Some(function) = own(false) {
        let schema = Some(function.schema.clone());
        return Some(object(ObjectKind::Function, schema, name, Some(function.oid), Found::Catalog));
    }
    let reaches_builtin = words.len() <= 2
        && schema.map_or_else(
            || catalog.search_path.iter().any(|schema| schema == PG_CATALOG),
            |schema| schema == PG_CATALOG,
        );
    match builtin::function(name).filter(|_| reaches_builtin) {
        Some(true) => None,
        Some(false) => {
            Some(object(ObjectKind::Function, Some(PG_CATALOG.to_owned()), name, None, Found::System))
        }
        None if words.len() <= 2 && own(true).is_some() => None,
        None => {
            let schema = schema.map(str::to_owned);
            Some(object(ObjectKind::Function, schema, name, None, Found::Nowhere))
        }
    }
}

/// The function of a sampling method, where it is not one of PostgreSQL's two.
pub(crate) fn sampling(words: &[&str], catalog: &Catalog) -> Option<Object> {
    let own = matches!(split(words), (None | Some(PG_CATALOG), "bernoulli" | "system"));
    // The methods' functions take what no statement can give, and are therefore not on the list.
    call(words, catalog).filter(|object| !own || object.found == Found::Catalog)
}

/// The function that `value.name` would run, where `name` is a function: PostgreSQL reads `('x'::text).pg_read_file` as
/// `pg_read_file('x')`. Most such names are columns, so that only functions that are there count.
pub(crate) fn attribute(name: &str, catalog: &Catalog) -> Option<Object> {
    call(&[name], catalog).filter(|object| object.found != Found::Nowhere)
}

/// The operator of the database's own that a name could mean: it runs a function.
pub(crate) fn operator(words: &[&str], catalog: &Catalog) -> Option<Object> {
    let (schema, name) = split(words);
    if words.is_empty() {
        return None;
    }
    let found = if catalog.operators(schema, name).any(|operator| operator.trust == Trust::Never) {
        Found::Catalog
    } else if (builtin::has_operator(name) && schema.is_none_or(|schema| schema == PG_CATALOG))
        || catalog.operators(schema, name).next().is_some()
    {
        return None;
    } else {
        Found::Nowhere
    };
    Some(object(ObjectKind::Operator, schema.map(str::to_owned), name, None, found))
}

/// The type that a value is cast to, where that can run code of the database's own.
pub(crate) fn type_(words: &[&str], catalog: &Catalog) -> Option<Object> {
    let (schema, name) = split(words);
    let found = |schema: &str| match catalog.type_(schema, name) {
        Some((_, Type::Plain)) => Some(None),
        Some((oid, Type::RunsCode)) => {
            let schema = Some(schema.to_owned());
            Some(Some(object(ObjectKind::Type, schema, name, Some(oid), Found::Catalog)))
        }
        None if schema == PG_CATALOG && builtin::has_type(name) => Some(None),
        // A table's rows are a type too, and reading one runs nothing.
        None => catalog.relation(schema, name).map(|_| None),
    };
    let answer = match schema {
        Some(schema) => found(schema),
        None => catalog.search_path.iter().find_map(|schema| found(schema)),
    };
    answer.unwrap_or_else(|| {
        Some(object(ObjectKind::Type, schema.map(str::to_owned), name, None, Found::Nowhere))
    })
}

/// What a function's name could mean of the database's own: every overload, since which one runs is not known here.
pub(crate) fn uses_function(words: &[&str], catalog: &Catalog) -> Option<Use> {
    let (schema, name) = split(words);
    let found: Vec<_> = catalog.functions(schema, name).collect();
    let oids = found.iter().map(|function| function.oid).collect();
    let shipped = found.iter().all(|function| function.trust == Trust::Shipped);
    used(ObjectKind::Function, schema, name, oids, shipped)
}

/// The same of an operator.
pub(crate) fn uses_operator(words: &[&str], catalog: &Catalog) -> Option<Use> {
    let (schema, name) = split(words);
    let found: Vec<_> = catalog.operators(schema, name).collect();
    let oids = found.iter().map(|operator| operator.oid).collect();
    let shipped = found.iter().all(|operator| operator.trust == Trust::Shipped);
    used(ObjectKind::Operator, schema, name, oids, shipped)
}

/// The same of a type that values are made of.
pub(crate) fn uses_type(words: &[&str], catalog: &Catalog) -> Option<Use> {
    let (schema, name) = split(words);
    let own = |schema: &str| catalog.type_(schema, name);
    let found = match schema {
        Some(schema) => own(schema),
        // The first on the path is meant, and PostgreSQL's own stands on it too.
        None => catalog.search_path.iter().find_map(|schema| {
            let system = schema == PG_CATALOG && builtin::has_type(name);
            own(schema).map(Some).or(system.then_some(None))
        })?,
    };
    let shipped = found.is_none_or(|(_, what)| what == Type::Plain);
    used(ObjectKind::Type, schema, name, found.into_iter().map(|(oid, _)| oid).collect(), shipped)
}

/// A name that was used. One that names PostgreSQL's own schema means nothing else, now and later.
fn used(
    kind: ObjectKind,
    schema: Option<&str>,
    name: &str,
    oids: BTreeSet<u32>,
    shipped: bool,
) -> Option<Use> {
    let fixed = schema == Some(PG_CATALOG) && oids.is_empty();
    let schema = schema.map(str::to_owned);
    (!fixed && !name.is_empty()).then(|| Use {
        kind,
        schema,
        name: name.to_owned(),
        oids,
        shipped,
        stored: false,
    })
}

/// A qualified name's schema and last word. One of three words or more names a database; its schema is no schema of ours.
fn split<'w>(words: &[&'w str]) -> (Option<&'w str>, &'w str) {
    match words {
        [] => (None, ""),
        [name] => (None, name),
        [schema, name] => (Some(schema), name),
        [.., _, name] => (Some(""), name),
    }
}

fn object(kind: ObjectKind, schema: Option<String>, name: &str, oid: Option<u32>, found: Found) -> Object {
    Object { kind, schema, name: name.to_owned(), oid, found }
}
