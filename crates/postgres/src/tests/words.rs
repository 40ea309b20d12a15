//! The first words of a text.

use proptest::prelude::*;

use crate::parse::statement::{begin_tag, begins_transaction, begins_with_copy, deallocated};

#[test]
fn only_what_a_server_never_refuses_is_put_off() {
    for text in [
        "begin",
        "BEGIN;",
        " -- why\n/* not /* nested */ */ Begin  Work ; ; -- done",
        "BEGIN TRANSACTION READ ONLY",
        "START TRANSACTION",
        "start transaction isolation level repeatable read;",
        "BEGIN ISOLATION LEVEL READ COMMITTED",
    ] {
        assert!(begins_transaction(text), "{text}");
    }
    for text in [
        "",
        ";begin",
        "BEGIN; DELETE FROM t",
        "BEGIN READ WRITE",
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY",
        "BEGIN WORK TRANSACTION",
        "START",
        "START TRANSACTION WORK",
        "begin'x'",
        "BEGIN \"work\"",
        "BEGIN /* open",
        "BEGIN; COMMIT AND CHAIN",
        "beginning",
        "begin a b c d e f g",
    ] {
        // A comment that is not closed is the server's to refuse, and leaves nothing behind it.
        assert_eq!(begins_transaction(text), text == "BEGIN /* open", "{text}");
    }
}

#[test]
fn a_begin_is_answered_in_the_servers_words() {
    for (text, tag) in [
        ("/* s */ begin;", Some("BEGIN")),
        ("-- b\n START transaction READ only", Some("START TRANSACTION")),
        ("COMMIT", None),
    ] {
        assert_eq!(begin_tag(text), tag, "{text}");
    }
}

#[test]
fn a_copy_is_one_behind_whatever_stands_before_it() {
    for text in ["copy t from stdin", ";; /* a */ -- b\n COPY\tt TO stdout", "COPY(SELECT 1) TO STDOUT"] {
        assert!(begins_with_copy(text), "{text}");
    }
    for text in ["", "copying", "SELECT 'copy'", "-- copy", "/* copy */ select", "EXPLAIN COPY", "copy'"] {
        assert!(!begins_with_copy(text), "{text}");
    }
}

#[test]
fn a_deallocate_names_one_statement() {
    for (text, name) in [
        ("DEALLOCATE s1", Some("s1")),
        ("deallocate PREPARE S1;", Some("s1")),
        ("deallocate prepare", None),
        ("/* x */ DEALLOCATE \"Mixed Case\" ; ", Some("Mixed Case")),
        ("DEALLOCATE ALL", None),
        ("DEALLOCATE PREPARE ALL", None),
        ("DEALLOCATE \"a\"\"b\"", None),
        ("DEALLOCATE \"a\"b", None),
        ("DEALLOCATE s1; SELECT 1", None),
        ("DEALLOCATE U&\"a\"", None),
        ("DEALLOCATE", None),
        ("DEALLOCATE \"\"", None),
        ("SELECT 1", None),
    ] {
        assert_eq!(deallocated(text).as_deref(), name, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in "(?s)([-/*;\" 'a-zé\n]|begin|copy|deallocate|/\\*|\\*/|--){0,30}") {
        let begins = begins_transaction(&text);
        prop_assert!(!begins || text.to_ascii_lowercase().contains("begin"));
        prop_assert!(!begins_with_copy(&text) || text.to_ascii_lowercase().contains("copy"));
        if let Some(name) = deallocated(&text) {
            prop_assert!(text.to_ascii_lowercase().contains(&name.to_ascii_lowercase()));
        }
    }
}
