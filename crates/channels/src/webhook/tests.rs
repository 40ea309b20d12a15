//! What a receiver gets.

use crate::tests::{card, denied, finished, metadata};

use super::body;

#[test]
fn a_body_is_the_card() {
    let written = |kind: &str, card: &crate::card::Card| {
        let body = body::write(kind, card).unwrap();
        let read: serde_json::Value = serde_json::from_str(&body).unwrap();
        serde_json::to_string_pretty(&read).unwrap()
    };
    insta::assert_snapshot!("requested", written("approval.requested", &card()));
    insta::assert_snapshot!("metadata", written("approval.requested", &metadata()));
    insta::assert_snapshot!("finished", written("approval.updated", &finished()));
    insta::assert_snapshot!("denied", written("approval.updated", &denied()));
}

/// A receiver that knows ids has each state once, however often it was sent.
#[test]
fn an_id_is_of_one_state() {
    let (card, later) = (card(), finished());
    assert_eq!(body::id(&card, "approval.requested"), body::id(&card, "approval.requested"));
    assert_ne!(body::id(&card, "approval.updated"), body::id(&later, "approval.updated"));
    assert_ne!(body::id(&card, "approval.requested"), body::id(&card, "approval.waiting"));
}
