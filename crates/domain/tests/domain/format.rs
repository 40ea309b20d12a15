//! The formats' frozen bytes.
//!
//! These snapshots guard the format: what was logged and signed is verified from exactly such bytes for
//! as long as anybody keeps a receipt. A change here is a new version of the record (or of the entry's kind), with the
//! old one still read; it is never made by accepting a new snapshot. Each line is a name, the bytes, and a digest.

use std::fmt::Write as _;

use domain::account::ExternalAccount;
use domain::action::Action;
use domain::approval::Approval;
use domain::canonical;
use domain::commitment::{Disclosure, Field, Fields};
use domain::digest::{Blob, Digest, Purpose};
use domain::directory::{Change, DirectoryEvent, Passkey};
use domain::entry::{self, Kind, Leaf, Sealed};
use domain::evaluation::Decision;
use domain::event::Event;
use domain::outcome::{Ending, Outcome, Witnessed};
use domain::principal::Principal;
use domain::receipt::{Entry, Receipt};
use domain::requirement::{Assurance, Requirement, Separation};
use domain::review::{ChatProof, Proof};
use domain::statement::Verdict;

use crate::support::*;

/// One event of each kind.
pub(crate) fn events() -> Vec<Event> {
    let action = action("prod");
    let required = requirement(&[&[(2, 0), (1, 1)]]);
    let standing = held(&action, required.clone());
    let signed = |verdict| sign(&statement(&action, &standing, 2, verdict, 1));
    let mut denied = statement(&action, &standing, 2, Verdict::Deny, 1);
    denied.note = Some("not on a Friday\n\u{202e}".to_owned());
    vec![
        requested(&action, required),
        Event::Reviewed { review: signed(Verdict::Approve) },
        Event::Reviewed { review: sign(&denied) },
        Event::Asked { question: question(1), review: signed(Verdict::Ask) },
        Event::Answered { question: question(1), by: Principal::Agent(agent()), text: "orders".to_owned() },
        Event::Withdrawn { question: question(1), by: person(2) },
        Event::Reevaluated { evaluation: evaluation(&action, Decision::Permit) },
        Event::Reevaluated { evaluation: evaluation(&action, Decision::Deny) },
        Event::Expired {},
        Event::Cancelled { by: Principal::Person(person(SUBJECT)), reason: "no need".to_owned() },
        Event::Redeemed { grant: grant(1), evaluation: standing, counted: vec![person(2), person(3)] },
        Event::Finished {
            outcome: Outcome::new(Ending::Succeeded, Witnessed::Observed, "204")
                .with_result(Digest::of(Purpose::Result, b"{}"), 2),
        },
        Event::Finished { outcome: Outcome::unknown("the gateway died") },
        Event::Reviewed { review: sign_at_a_terminal(&denied) },
        Event::Dismissed { reviews: dismissed(&[2, 3]) },
        Event::LaterReviewed { review: sign_later(&later(&action, &ended(&action), 5, group(0))) },
    ]
}

/// A request that one of the second group let run alone, and that ran.
pub(crate) fn ended(action: &Action) -> Approval {
    let asked = requirement(&[&[(2, 0), (0, 1)]]);
    let mut approval = open(action, asked.clone());
    let mut said = statement(action, &held(action, asked.clone()), 4, Verdict::Approve, 1);
    (said.group, said.break_glass, said.note) = (Some(group(1)), true, Some("the disk is full".to_owned()));
    let review = Event::Reviewed { review: sign(&said) };
    let redeemed =
        Event::Redeemed { grant: grant(1), evaluation: held(action, asked), counted: vec![person(4)] };
    let outcome = Outcome::new(Ending::Succeeded, Witnessed::Observed, "204");
    for event in [review, redeemed, Event::Finished { outcome }] {
        approval = Approval::apply(Some(approval), &event, at(20)).unwrap();
    }
    approval
}

/// One change of each kind.
pub(crate) fn changes() -> Vec<(&'static str, Change)> {
    let key = Passkey {
        credential_id: Blob(vec![1, 2, 3]),
        public_key: Blob(vec![4, 5, 6]),
        rp_id: "countersign.example".to_owned(),
        origin: "https://countersign.example".to_owned(),
        label: "blue key".to_owned(),
    };
    let events = vec![
        ("person-added", DirectoryEvent::PersonAdded { id: person(2), name: "Zoë".to_owned() }),
        ("person-deactivated", DirectoryEvent::PersonDeactivated { id: person(2) }),
        ("key-enrolled", DirectoryEvent::KeyEnrolled { person: person(2), key }),
        ("key-revoked", DirectoryEvent::KeyRevoked { person: person(2), credential_id: Blob(vec![1, 2, 3]) }),
        ("group-joined", DirectoryEvent::GroupJoined { group: group(0), person: person(2) }),
        ("group-left", DirectoryEvent::GroupLeft { group: group(0), person: person(2) }),
        (
            "agent-added",
            DirectoryEvent::AgentAdded {
                id: agent(),
                name: "janitor".to_owned(),
                sponsor: person(SPONSOR),
                key: Blob(vec![7; 32]),
            },
        ),
        ("agent-key-replaced", DirectoryEvent::AgentKeyReplaced { id: agent(), key: Blob(vec![8; 32]) }),
        ("agent-sponsor-changed", DirectoryEvent::AgentSponsorChanged { id: agent(), sponsor: person(3) }),
        ("agent-disabled", DirectoryEvent::AgentDisabled { id: agent() }),
        (
            "route-set",
            DirectoryEvent::RouteSet { name: "rabbit".parse().unwrap(), document: "{}".to_owned() },
        ),
        ("route-removed", DirectoryEvent::RouteRemoved { name: "rabbit".parse().unwrap() }),
        (
            "policy-applied",
            DirectoryEvent::PolicyApplied { text: "permit(principal, action, resource);".to_owned() },
        ),
        ("ssh-key-enrolled", DirectoryEvent::SshKeyEnrolled { person: person(2), key: ssh_key() }),
        ("account-linked", DirectoryEvent::AccountLinked { person: person(2), account: account() }),
        ("account-unlinked", DirectoryEvent::AccountUnlinked { person: person(2), account: account() }),
    ];
    let by = Some(Principal::Person(person(3)));
    events
        .into_iter()
        .map(|(name, event)| (name, Change { event, by, approval: Some(action("prod").id()) }))
        .collect()
}

fn account() -> ExternalAccount {
    ExternalAccount::new("slack", "T0001", "U42").unwrap()
}

pub(crate) fn sealed_request() -> Sealed {
    let action = action("prod");
    let mut salt = 0;
    let mut next = || {
        salt += 1;
        [salt; 32]
    };
    entry::Draft::of_event(&events()[0], &action).unwrap().seal(&origin(), at(1), &mut next).unwrap()
}

pub(crate) fn receipt() -> Receipt {
    let sealed = sealed_request();
    let fields = sealed.fields.into_vec();
    Receipt {
        v: 1,
        origin: origin(),
        approval: action("prod").id(),
        checkpoint: "countersign.example/log\n1\nAAAA\n\n\u{2014} x y\n".to_owned(),
        keys: Vec::new(),
        entries: vec![Entry {
            index: 5,
            leaf: Blob(sealed.leaf),
            proof: vec![Blob(vec![1; 32]), Blob(vec![2; 32])],
            fields: vec![
                Disclosure::Withheld(fields[0].commitment().unwrap()),
                Disclosure::Open(Field::new("event", [2; 32], *b"{}")),
            ],
        }],
        payload: vec![Disclosure::Open(Field::new("http.body", [3; 32], *b"hello"))],
    }
}

fn row(table: &mut String, name: &str, bytes: &[u8]) {
    let sum = Digest::of(Purpose::Result, bytes);
    writeln!(table, "{name}\n{}\n{sum}\n", std::str::from_utf8(bytes).unwrap()).unwrap();
}

#[test]
fn an_actions_record_and_digest() {
    let action: Action = action("prod");
    insta::assert_snapshot!(format!("{}\n{}", std::str::from_utf8(action.bytes()).unwrap(), action.digest()));
}

#[test]
fn evaluations_and_their_digests() {
    let action = action("prod");
    let chat = Requirement {
        assurance: Assurance::Chat,
        separation: Separation::None,
        ..requirement(&[&[(1, 0)], &[(2, 1), (1, 2)]])
    };
    let mut table = String::new();
    for decision in [Decision::Permit, Decision::Deny, Decision::NeedsReview(chat)] {
        let evaluation = evaluation(&action, decision);
        let bytes = canonical::write(&evaluation).unwrap();
        writeln!(table, "{}\n{}\n", std::str::from_utf8(&bytes).unwrap(), evaluation.digest().unwrap())
            .unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn statements() {
    let action = action("prod");
    let standing = held(&action, requirement(&[&[(2, 0), (1, 1)]]));
    let mut table = String::new();
    for (name, verdict) in [("approve", Verdict::Approve), ("deny", Verdict::Deny), ("ask", Verdict::Ask)] {
        row(&mut table, name, &statement(&action, &standing, 2, verdict, 1).write().unwrap());
    }
    insta::assert_snapshot!(table);
}

#[test]
fn events_of_each_kind() {
    let mut table = String::new();
    for event in events() {
        let bytes = canonical::write(&event).unwrap();
        assert_eq!(canonical::read::<Event>(&bytes).unwrap(), event);
        row(&mut table, event.word(), &bytes);
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_clicks_proof() {
    let proof = Proof::Chat(ChatProof { account: account(), evidence: Blob(b"{}".to_vec()) });
    let bytes = canonical::write(&proof).unwrap();
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        r#"{"chat":{"account":{"provider":"slack","team":"T0001","user":"U42"},"evidence":"e30"}}"#
    );
    assert_eq!((proof.assurance(), proof.key_id().0), (Assurance::Chat, b"slack\nT0001\nU42".to_vec()));
}

#[test]
fn changes_of_each_kind() {
    let mut table = String::new();
    for (name, change) in changes() {
        let bytes = canonical::write(&change).unwrap();
        assert_eq!(canonical::read::<Change>(&bytes).unwrap(), change);
        row(&mut table, name, &bytes);
    }
    insta::assert_snapshot!(table);
}

#[test]
fn leaves_with_their_fields() {
    let sealed = sealed_request();
    let leaf: Leaf = canonical::read(&sealed.leaf).unwrap();
    assert_eq!(canonical::write(&leaf).unwrap(), sealed.leaf);
    let mut table = String::new();
    row(&mut table, "leaf", &sealed.leaf);
    for field in sealed.fields.as_slice() {
        writeln!(table, "{} {}", field.path, field.commitment().unwrap()).unwrap();
    }
    writeln!(table, "no fields at all {}", Fields::default().root().unwrap()).unwrap();
    let kinds = events()
        .iter()
        .map(|event| entry::Draft::of_event(event, &action("prod")).unwrap())
        .collect::<Vec<_>>();
    for (event, draft) in events().iter().zip(&kinds) {
        let paths: Vec<_> = draft.fields.iter().map(|(path, _)| path.as_str()).collect();
        writeln!(table, "{} {} {:?} {paths:?}", event.word(), draft.kind.as_str(), draft.subject).unwrap();
    }
    for (name, change) in changes() {
        let draft = entry::Draft::of_change(&change).unwrap();
        let paths: Vec<_> = draft.fields.iter().map(|(path, _)| path.as_str()).collect();
        writeln!(table, "{name} {} {:?} {paths:?}", draft.kind.as_str(), draft.subject).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn kinds_by_name() {
    let kinds = [
        Kind::Genesis,
        Kind::Request,
        Kind::Decision,
        Kind::Review,
        Kind::Question,
        Kind::Answer,
        Kind::Reevaluation,
        Kind::End,
        Kind::Execution,
        Kind::Outcome,
        Kind::Directory,
        Kind::Activity,
        Kind::Refusal,
        Kind::Reveal,
        Kind::Erasure,
        Kind::Heartbeat,
        Kind::Gap,
        Kind::Rotation,
        Kind::Pruning,
        Kind::Reported,
        Kind::Backup,
        Kind::LaterReview,
    ];
    for kind in kinds {
        let bytes = canonical::write(&kind).unwrap();
        assert_eq!(bytes, format!("\"{}\"", kind.as_str()).into_bytes());
    }
}

#[test]
fn a_receipt_file() {
    let bytes = canonical::write(&receipt()).unwrap();
    assert_eq!(canonical::read::<Receipt>(&bytes).unwrap(), receipt());
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
}

#[test]
fn digests_of_each_purpose() {
    let purposes = [
        Purpose::Action,
        Purpose::Evaluation,
        Purpose::Displayed,
        Purpose::Definition,
        Purpose::Policy,
        Purpose::Result,
        Purpose::Segment,
        Purpose::Statement,
    ];
    let table: Vec<_> =
        purposes.map(|purpose| format!("{purpose:?} {}", Digest::of(purpose, b"bytes"))).into();
    insta::assert_snapshot!(table.join("\n"));
}
