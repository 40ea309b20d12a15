//! What is too long, too deep or no text at all is one opaque statement, never a crash and never nothing.

use super::{classify, shop};
use crate::limits::{
    CACHE_ENTRIES_LIMIT, CACHE_LIMIT_BYTES, CACHED_TEXT_LIMIT_BYTES, DEPTH_LIMIT_MESSAGES, STATEMENTS_LIMIT,
    TEXT_LIMIT_BYTES,
};
use crate::{Classifier, Unread};

fn unread(text: &[u8]) -> Option<Unread> {
    let classified = Classifier::default().classify(text, true, &shop());
    if let Some(why) = &classified.unread {
        assert_eq!(classified.statements.len(), 1);
        let statement = &classified.statements[0];
        assert!(!statement.is_parsed());
        assert_eq!(statement.range, 0..text.len());
        assert_eq!(statement.opaque.first(), Some(&why.to_string()));
        assert_eq!(statement.atoms[0].verb.as_str(), "sql.opaque");
    }
    classified.unread
}

#[test]
fn what_nests_too_deeply_is_an_error() {
    let deep = |open: &str, close: &str, times: usize| {
        format!("SELECT {}1{}", open.repeat(times), close.repeat(times)).into_bytes()
    };
    // Parentheses leave no node, so that only the grammar's own stack bounds them.
    assert_eq!(unread(&deep("(", ")", 1_000)), None);
    assert_eq!(unread(&deep("(", ")", 100_000)), Some(Unread::TooDeep));
    assert_eq!(unread(&deep("ARRAY[", "]", 40_000)), Some(Unread::TooDeep));
    assert_eq!(unread(&deep("(SELECT ", ")", 40_000)), Some(Unread::TooDeep));
    assert_eq!(unread(&deep("abs(", ")", 100_000)), Some(Unread::TooDeep));
    assert_eq!(unread(&deep("CASE WHEN true THEN ", " END", 20_000)), Some(Unread::TooDeep));
    assert_eq!(unread(&deep("- ", "", 200_000)), Some(Unread::TooDeep));
    // What nests to the left needs no stack of the grammar, and all of ours.
    assert_eq!(unread(&deep("1+", "", 200_000)), Some(Unread::TooDeep));
    assert_eq!(unread(&deep("1", "::int", 50_000)), Some(Unread::TooDeep));
    assert_eq!(
        unread(format!("SELECT 1{}", " UNION SELECT 1".repeat(30_000)).as_bytes()),
        Some(Unread::TooDeep)
    );
    assert_eq!(
        unread(format!("SELECT x FROM t{}", " JOIN t ON true".repeat(30_000)).as_bytes()),
        Some(Unread::TooDeep)
    );
    assert!(unread(&b"SELECT /*".repeat(50_000)).is_some());
}

#[test]
fn the_decoder_s_own_limit_is_where_we_think() {
    // Each operator takes two messages: the node and the expression.
    let chain = |terms: usize| format!("SELECT 1{}", "+1".repeat(terms));
    let fits =
        (1..DEPTH_LIMIT_MESSAGES).take_while(|terms| unread(chain(*terms).as_bytes()).is_none()).count();
    assert!((DEPTH_LIMIT_MESSAGES / 2 - 8..DEPTH_LIMIT_MESSAGES / 2).contains(&fits), "{fits}");
}

#[test]
fn a_small_stack_is_enough() {
    let run = || {
        let deep = format!("SELECT {}1", "1+".repeat(100_000));
        assert_eq!(unread(deep.as_bytes()), Some(Unread::TooDeep));
        assert_eq!(unread("SELECT 1".as_bytes()), None);
    };
    std::thread::Builder::new().stack_size(1024 * 1024).spawn(run).unwrap().join().unwrap();
}

#[test]
fn bytes_that_are_no_text_are_an_error() {
    assert_eq!(unread(b"SELECT '\xff'"), Some(Unread::Encoding(8)));
    assert_eq!(unread(b"SELECT 1;\0 DELETE FROM orders"), Some(Unread::Nul(9)));
    // In another encoding these two bytes are one character that ends in a backslash.
    assert_eq!(unread(b"SELECT '\x95\\'; DELETE FROM orders; --'"), Some(Unread::Encoding(8)));
    assert!(matches!(unread(b"SELEKT 1"), Some(Unread::Syntax(_))));
    assert!(matches!(unread(b"SELECT 1; SELEKT 1"), Some(Unread::Syntax(_))));
    assert_eq!(unread("SELECT '\u{feff}'".as_bytes()), None);
}

#[test]
fn what_is_too_long_is_an_error() {
    let long = |bytes: usize| format!("SELECT '{}'", "x".repeat(bytes - 9)).into_bytes();
    assert_eq!(unread(&long(TEXT_LIMIT_BYTES)), None);
    assert_eq!(unread(&long(TEXT_LIMIT_BYTES + 1)), Some(Unread::TooLong(TEXT_LIMIT_BYTES + 1)));
    assert_eq!(unread("SELECT 1;".repeat(STATEMENTS_LIMIT).as_bytes()), None);
    assert_eq!(unread("SELECT 1;".repeat(STATEMENTS_LIMIT + 1).as_bytes()), Some(Unread::TooMany));
    let rows = format!("SELECT 1 IN (1{})", ",1".repeat(250_000));
    assert_eq!(unread(rows.as_bytes()), Some(Unread::TooMany));
}

#[test]
fn views_and_rules_that_go_round_end() {
    let mut catalog = shop();
    for oid in 200..240 {
        let mut view = super::relation(oid, "public", &format!("v{oid}"), Vec::new());
        view.kind = crate::statement::ObjectKind::View;
        view.query = Some(format!("SELECT * FROM public.v{}", if oid == 239 { 200 } else { oid + 1 }));
        catalog.add_relation(view);
    }
    let classified = Classifier::default().classify(b"SELECT * FROM v200", true, &catalog);
    assert!(!classified.statements[0].is_parsed());
    let near_the_end =
        Classifier::default().classify(b"SELECT * FROM v239; SELECT * FROM v239", true, &shop());
    assert_eq!(near_the_end.statements.len(), 2);
}

#[test]
fn the_cache_keeps_within_its_bounds() {
    let classifier = Classifier::default();
    let catalog = shop();
    let classify = |text: String| classifier.classify(text.as_bytes(), true, &catalog);
    for number in 0..300 {
        let text = format!("SELECT {number}, '{}'", "y".repeat(100));
        assert_eq!(classify(text.clone()), classify(text));
    }
    assert_eq!(classifier.kept().0, 300);
    // A long text is not kept; one that cannot be read is not either.
    classify(format!("SELECT '{}'", "x".repeat(CACHED_TEXT_LIMIT_BYTES)));
    classify("SELEKT".to_owned());
    assert_eq!(classifier.kept().0, 300);
    for number in 0..2_500 {
        classify(format!("SELECT {number}, '{}'", "x".repeat(CACHED_TEXT_LIMIT_BYTES - 40)));
        let (entries, bytes) = classifier.kept();
        assert!(entries <= CACHE_ENTRIES_LIMIT && bytes <= CACHE_LIMIT_BYTES);
    }
    assert!(classifier.kept().0 < 2_500);
}

#[test]
fn many_threads_parse_at_once() {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for number in 0..50 {
                    assert_eq!(classify(&format!("SELECT {thread}{number}; SELECT 2")).statements.len(), 2);
                }
            });
        }
    });
}
