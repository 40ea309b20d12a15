//! Whether a statement may be planned, and whether it may be run to be rolled back. Each answer no says why.

use sql::statement::{Found, ObjectKind};

use super::Asked;
use super::facts::fires;
use crate::catalog::Picture;

/// Why a statement is not planned. PostgreSQL evaluates functions that call themselves immutable while it plans: those of
/// the statement, of views and rules, and of tables' own defaults, checks, indexes and policies.
pub(super) fn not_planned(asked: &Asked<'_>) -> Option<String> {
    let statement = asked.statement;
    if asked.names.changed {
        return Some("its transaction has changed definitions that nobody else can see".to_owned());
    }
    if !statement.is_parsed() {
        return Some("it was not understood in full".to_owned());
    }
    if !matches!(statement.kind, "SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt") {
        return Some("PostgreSQL has no plan for a statement of this kind".to_owned());
    }
    if !statement.only_computes() {
        return Some("it uses a function, an operator or a type that is not PostgreSQL's own".to_owned());
    }
    if !statement.binds.is_empty() && asked.bind.is_none() {
        return Some("its values are not known yet".to_owned());
    }
    if asked.types.iter().any(|oid| asked.picture.is_active(*oid)) {
        return Some("a value is of a type that is not PostgreSQL's own".to_owned());
    }
    for atom in &statement.atoms {
        let object = &atom.object;
        let name = || object.full_name();
        if object.found == Found::Temporary {
            return Some(format!("{} is the session's own temporary table", name()));
        }
        if object.kind == ObjectKind::ForeignTable {
            return Some(format!("{} stands on another server", name()));
        }
        if let Some(why) = object.oid.and_then(|oid| runs(asked.picture, oid)) {
            return Some(format!("{} {why}", name()));
        }
    }
    None
}

/// What a relation's own definition runs that is not known to compute only.
fn runs(picture: &Picture, oid: u32) -> Option<String> {
    let behind = picture.behind.get(&oid)?;
    if let Some(function) = behind.functions.iter().find(|oid| !picture.shipped.contains(oid)) {
        let name = picture.functions.get(function);
        let name = name.map_or_else(|| function.to_string(), |one| format!("{}.{}", one.schema, one.name));
        return Some(format!("runs {name} in a default, a check, an index or a policy"));
    }
    behind.active.then(|| "has a column of a type that runs code".to_owned())
}

/// Why a statement is not run to be rolled back, besides the reasons against planning it.
pub(super) fn not_run(asked: &Asked<'_>) -> Option<String> {
    let statement = asked.statement;
    if !statement.bindable {
        return Some("it cannot run inside a transaction, and could not be rolled back".to_owned());
    }
    if let Some(why) = not_planned(asked) {
        return Some(why);
    }
    let rows = |verb| matches!(verb, "sql.select" | "sql.insert" | "sql.update" | "sql.delete" | "sql.merge");
    if let Some(atom) = statement.atoms.iter().find(|atom| !rows(atom.verb.as_str())) {
        return Some(format!("it does more than read and write rows ({})", atom.verb));
    }
    if statement.atoms.iter().all(|atom| atom.verb.as_str() == "sql.select") {
        return Some("it only reads".to_owned());
    }
    if let Some(trigger) = fires(asked).into_iter().find(|fires| fires.kind == "trigger") {
        return Some(format!("it would run the trigger {} of {}", trigger.name, trigger.on));
    }
    for atom in statement.atoms.iter().filter(|atom| matches!(atom.verb.as_str(), "sql.insert" | "sql.merge"))
    {
        let behind = atom.object.oid.and_then(|oid| asked.picture.behind.get(&oid));
        if behind.is_some_and(|behind| behind.counts) {
            let name = atom.object.full_name();
            return Some(format!("{name} takes numbers from a sequence, which no rollback gives back"));
        }
    }
    None
}
