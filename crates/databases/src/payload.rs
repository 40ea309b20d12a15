//! The fields that an action's digest covers: the exact text, and every value that is bound to it.

use postgres::hold::StatementGroup;
use postgres::parse::Format;

use crate::judge::Unasked;
use crate::limits::BIND_FIELDS_LIMIT;

/// The exact text.
pub(crate) const TEXT: &str = "sql.text";
/// The types that the client named for its values, as a JSON list of ids (`pg_type.oid`).
const TYPES: &str = "sql.types";
/// What of the catalog each statement stands on: what its names mean, and how everything that it reaches is defined, as
/// canonical JSON ([`crate::catalog::Resolved`]).
pub(crate) const OBJECTS: &str = "sql.objects";
/// What it would do, in plain lines for reviewers ([`crate::preview`]). What was found out when people were asked, and no
/// part of what an identical statement is known by.
pub(crate) const PREVIEW: &str = "sql.preview";
/// Values, by number; where there are too many for a field each, all of them in one.
const VALUE: &str = "sql.value";

/// The fields of what one message runs: its bytes alone, by which it is known again.
pub(crate) fn bytes_of(group: &StatementGroup<'_>) -> Result<Vec<(String, Vec<u8>)>, Unasked> {
    let mut fields = vec![(TEXT.to_owned(), group.text.as_bytes().to_vec())];
    let Some(bind) = group.bind else { return Ok(fields) };
    let types =
        domain::canonical::write(&group.types).map_err(|error| Unasked::Unwritten(error.to_string()))?;
    fields.push((TYPES.to_owned(), types));
    if bind.values.len() <= BIND_FIELDS_LIMIT {
        for (index, value) in bind.values.iter().enumerate() {
            let (form, bytes) = match value {
                None => ("null", Vec::new()),
                Some(value) => (form(bind.format(index)), value.to_vec()),
            };
            fields.push((format!("{VALUE}.{:03}.{form}", index + 1), bytes));
        }
        return Ok(fields);
    }
    // Each with its form and its length before it, so that no two lists are the same bytes.
    let mut all = Vec::new();
    for (index, value) in bind.values.iter().enumerate() {
        let (form, bytes) =
            value.as_ref().map_or(("null", &[][..]), |value| (form(bind.format(index)), value));
        all.extend_from_slice(format!("${} {form} {}\n", index + 1, bytes.len()).as_bytes());
        all.extend_from_slice(bytes);
        all.push(b'\n');
    }
    fields.push((format!("{VALUE}s"), all));
    Ok(fields)
}

fn form(format: Format) -> &'static str {
    match format {
        Format::Text => "text",
        Format::Binary => "binary",
    }
}
