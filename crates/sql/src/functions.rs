//! Which functions, operators and types a statement runs, and which of them may run unasked.
//!
//! Which overload runs depends on the types of the arguments, which are not known here. So a name is safe only when every
//! function that it could mean is.

use crate::builtin::{self, PG_CATALOG};
use crate::catalog::{Catalog, Type};
use crate::statement::{Found, Object, ObjectKind};

/// The function that a call would run where it may not run unasked.
pub(crate) fn call(words: &[&str], catalog: &Catalog) -> Option<Object> {
    let (schema, name) = split(words);
    let own = |safe: bool| catalog.functions(schema, name).find(|function| function.trusted == safe);
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
    let found = if catalog.operators(schema, name).any(|trusted| !trusted) {
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
        Some(Type::Plain) => Some(None),
        Some(Type::RunsCode) => {
            let schema = Some(schema.to_owned());
            Some(Some(object(ObjectKind::Type, schema, name, None, Found::Catalog)))
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
