//! What owners say of their columns and functions: in comments, in security labels, in the database's configuration.

use std::collections::BTreeSet;

/// The classes that the configuration gives a column, besides those that the database gives it itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnLabel {
    /// The table's schema.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// The classes of its data, such as `pii`.
    pub classes: BTreeSet<String>,
}

/// The class of a column whose label does not read: it means something, and we do not know what.
pub(crate) const UNREADABLE: &str = "unreadable";
/// What the owners of a function call it that may run unasked.
pub(crate) const TRUSTED: &str = "trusted";
/// How a label begins within a comment.
const MARK: &str = "countersign:";
/// The longest class, in bytes.
const CLASS_LIMIT_BYTES: usize = 40;

/// The words of a comment: those behind `countersign:`, up to the end of its line or of its bracket. None where the
/// comment speaks of something else.
pub(crate) fn words(comment: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in comment.match_indices(MARK) {
        let said = comment.get(at + MARK.len()..).unwrap_or_default();
        let end = said.find(['\n', '\r', ')', ']', ';', '.']).unwrap_or(said.len());
        let list = said.get(..end).unwrap_or_default();
        found.extend(list.split(',').map(class));
    }
    found
}

/// The classes that a security label gives a column. PostgreSQL Anonymizer's masks (`MASKED WITH …`) say `pii`.
pub(crate) fn security(provider: &str, label: &str) -> BTreeSet<String> {
    let mut found = words(label);
    if provider == "countersign" && found.is_empty() {
        found.extend(label.split(',').map(class));
    }
    if label.trim_start().to_ascii_uppercase().starts_with("MASKED") {
        found.insert("pii".to_owned());
    }
    found
}

fn class(word: &str) -> String {
    let word = word.trim().to_ascii_lowercase();
    let reads = (1..=CLASS_LIMIT_BYTES).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if reads { word } else { UNREADABLE.to_owned() }
}
