//! What is written into SQL for made roles.

use proptest::prelude::*;

use crate::made::{identifier, literal};

/// Reads what stands between quotes, as the server does, and nothing behind it.
fn unquoted(written: &str, quote: char) -> Option<String> {
    let inner = written.strip_prefix(quote)?.strip_suffix(quote)?;
    let doubled = format!("{quote}{quote}");
    let alone = inner.replace(&doubled, "");
    (!alone.contains(quote)).then(|| inner.replace(&doubled, &quote.to_string()))
}

proptest! {
    #[test]
    fn what_is_quoted_is_one_word(value in "[a-z'\"\\\\;$ -]{0,20}") {
        prop_assert_eq!(unquoted(&identifier(&value), '"'), Some(value.clone()));
        prop_assert_eq!(unquoted(&literal(&value), '\''), Some(value));
    }
}
