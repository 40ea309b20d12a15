//! Every kind of node that the parser's messages have is known, and a field that a new parser brings is noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use pg_query::protobuf::Node;
use prost_wire::Message as _;
use serde_json::Value;

use crate::kinds::{PLANNED, Role, STATEMENTS, role};
use crate::tree::{EMPTY, Tree};

/// Numbers of kinds that the messages could have: far more than they do.
const TAGS: u32 = 2_000;

/// Every kind, by asking the parser's own messages for each number there could be: an empty message of that kind.
fn kinds() -> BTreeMap<&'static str, Value> {
    let mut found = BTreeMap::new();
    for tag in 1..TAGS {
        let mut bytes = Vec::new();
        prost_wire::encoding::encode_key(tag, prost_wire::encoding::WireType::LengthDelimited, &mut bytes);
        bytes.push(0);
        let node = Node::decode(bytes.as_slice()).unwrap();
        if node.node.is_none() {
            continue;
        }
        let mut tree = Tree::default();
        let root = tree.add(&node).unwrap();
        let json = serde_json::to_value(&node).unwrap();
        assert_eq!(found.insert(tree.at(root).kind(), json), None, "two kinds have one name");
    }
    found
}

#[test]
fn every_kind_of_the_parser_is_known_and_no_other() {
    let kinds: BTreeSet<&str> = kinds().into_keys().collect();
    assert!(kinds.len() > 260, "{}", kinds.len());
    let planned: BTreeSet<&str> = PLANNED.split(' ').collect();
    let ours: BTreeSet<&str> = kinds.iter().copied().filter(|kind| role(kind).is_some()).collect();
    let unknown: Vec<_> =
        kinds.iter().filter(|kind| !ours.contains(*kind) && !planned.contains(*kind)).collect();
    assert!(unknown.is_empty(), "the parser makes kinds that are not known: {unknown:?}");
    let both: Vec<_> = planned.iter().filter(|kind| role(kind).is_some()).collect();
    assert!(both.is_empty(), "{both:?}");
    let gone: Vec<_> = planned.iter().filter(|kind| !kinds.contains(*kind)).collect();
    assert!(gone.is_empty(), "the parser no longer makes: {gone:?}");
    assert_eq!(role("NoSuchStmt"), None);
    assert_eq!(role(EMPTY), None);
}

/// A new parser's new field may say what a statement does. Whoever accepts this snapshot has read what it means.
#[test]
fn the_fields_of_every_kind_that_is_read_are_these() {
    let mut lines = String::new();
    for (kind, json) in kinds().iter().filter(|(kind, _)| role(kind).is_some()) {
        let fields = json["node"].as_object().unwrap().values().next().unwrap();
        // In order: whether a JSON object keeps its own hangs on what else is built.
        let names: BTreeSet<&str> =
            fields.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let _ = writeln!(lines, "{kind}: {}", names.join(" "));
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn every_statement_has_a_verb_of_the_vocabulary() {
    for (verb, kinds) in STATEMENTS {
        assert!(verb.parse::<domain::verb::Verb>().is_ok(), "{verb}");
        for kind in kinds.split(' ') {
            assert_eq!(role(kind), Some(Role::Statement(verb)), "{kind} stands twice");
        }
    }
    for verb in ["sql.lock", "sql.program", "sql.session", "sql.import", "sql.opaque", "sql.call"] {
        assert!(verb.parse::<domain::verb::Verb>().is_ok(), "{verb}");
    }
}
