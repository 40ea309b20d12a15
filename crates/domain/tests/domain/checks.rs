//! Who may review what: each reason to refuse a review, one at a time.

use domain::Refusal;
use domain::action::{Action, Draft};
use domain::approval::{Approval, Command};
use domain::canonical;
use domain::digest::{Blob, Digest};
use domain::directory::{Directory, DirectoryEvent};
use domain::grant::Permit;
use domain::id::PersonId;
use domain::principal::{Chain, Link, Principal, Role};
use domain::requirement::{Assurance, Requirement, Separation};
use domain::review::{CheckedReview, Proof, SignedReview};
use domain::statement::{Statement, Verdict};

use crate::support::*;

struct Try {
    action: Draft,
    requirement: Requirement,
    statement: fn(&mut Statement),
    desk: fn(&mut Desk),
    signed: fn(&mut SignedReview),
    who: u8,
    verdict: Verdict,
}

impl Try {
    fn new() -> Self {
        Self {
            action: draft("staging"),
            requirement: requirement(&[&[(1, 0)]]),
            statement: |_| {},
            desk: |_| {},
            signed: |_| {},
            who: 2,
            verdict: Verdict::Approve,
        }
    }

    fn code(self) -> &'static str {
        let action = Action::seal(self.action).unwrap();
        let mut statement =
            statement(&action, &held(&action, self.requirement.clone()), self.who, self.verdict, 1);
        (self.statement)(&mut statement);
        let mut signed = sign(&statement);
        (self.signed)(&mut signed);
        let mut desk = Desk::open();
        (self.desk)(&mut desk);
        match CheckedReview::check(signed.clone(), &action, &self.requirement, &origin(), &desk) {
            Ok(checked) => {
                assert_eq!((checked.signed(), checked.statement()), (&signed, &statement));
                "accepted"
            }
            Err(refusal) => refusal.code(),
        }
    }
}

fn solo() -> Requirement {
    Requirement { separation: Separation::None, ..requirement(&[&[(1, 0)]]) }
}

#[test]
fn each_reason_to_refuse_a_review() {
    let tries: Vec<(&str, Try)> = vec![
        ("a stranger to the chain approves", Try::new()),
        (
            "a statement for another deployment",
            Try { statement: |s| s.origin = "other.example/log".parse().unwrap(), ..Try::new() },
        ),
        (
            "a statement of another action's bytes",
            Try { statement: |s| s.action = Digest::from_bytes([9; 32]), ..Try::new() },
        ),
        (
            "a statement of another approval",
            Try {
                statement: |s| s.approval = domain::id::ActionId::from_uuid(grant(9).uuid()),
                ..Try::new()
            },
        ),
        (
            "a statement altered after signing",
            Try {
                signed: |s| {
                    s.statement = Blob(
                        String::from_utf8(s.statement.0.clone())
                            .unwrap()
                            .replace("approve", "deny")
                            .into_bytes(),
                    )
                },
                ..Try::new()
            },
        ),
        ("a statement that does not read", Try { signed: |s| s.statement.0.push(b'x'), ..Try::new() }),
        (
            "a signature altered",
            Try {
                signed: |s| {
                    let Proof::Passkey(proof) = &mut s.proof else { panic!("no passkey's") };
                    proof.signature.0[0] ^= 1;
                },
                ..Try::new()
            },
        ),
        (
            "a reviewer who has left",
            Try {
                desk: |d| {
                    d.revoked.insert(person(2));
                },
                ..Try::new()
            },
        ),
        ("a reviewer outside the group", Try { desk: |d| d.groups.clear(), ..Try::new() }),
        ("a group that nobody asked", Try { statement: |s| s.group = Some(group(1)), ..Try::new() }),
        (
            "chat, where passkeys are demanded",
            Try { statement: |s| s.assurance = Assurance::Chat, ..Try::new() },
        ),
        (
            "chat, where passkeys are demanded, with an altered signature",
            Try {
                statement: |s| s.assurance = Assurance::Chat,
                signed: |s| {
                    let Proof::Passkey(proof) = &mut s.proof else { panic!("no passkey's") };
                    proof.signature.0.clear();
                },
                ..Try::new()
            },
        ),
        (
            "chat, where chat is enough",
            Try {
                statement: |s| s.assurance = Assurance::Chat,
                requirement: Requirement { assurance: Assurance::Chat, ..requirement(&[&[(1, 0)]]) },
                ..Try::new()
            },
        ),
        ("the sponsor approves", Try { who: SPONSOR, ..Try::new() }),
        ("the subject approves", Try { who: SUBJECT, ..Try::new() }),
        (
            "who controls the caller now approves",
            Try {
                desk: |d| {
                    d.controls.insert(person(2));
                },
                ..Try::new()
            },
        ),
        ("the sponsor asks", Try { who: SPONSOR, verdict: Verdict::Ask, ..Try::new() }),
        ("the sponsor denies", Try { who: SPONSOR, verdict: Verdict::Deny, ..Try::new() }),
        ("the subject denies", Try { who: SUBJECT, verdict: Verdict::Deny, ..Try::new() }),
        (
            "a denial from outside every group asked",
            Try { verdict: Verdict::Deny, desk: |d| d.groups.clear(), ..Try::new() },
        ),
        (
            "a question from outside every group asked",
            Try { verdict: Verdict::Ask, desk: |d| d.groups.clear(), ..Try::new() },
        ),
        (
            "a denial by somebody who has left",
            Try {
                verdict: Verdict::Deny,
                desk: |d| {
                    d.revoked.insert(person(2));
                },
                ..Try::new()
            },
        ),
        (
            "a denial with an altered signature",
            Try {
                verdict: Verdict::Deny,
                signed: |s| {
                    let Proof::Passkey(proof) = &mut s.proof else { panic!("no passkey's") };
                    proof.signature.0.clear();
                },
                ..Try::new()
            },
        ),
        ("solo: the sponsor approves", Try { who: SPONSOR, requirement: solo(), ..Try::new() }),
        ("solo: the subject approves", Try { who: SUBJECT, requirement: solo(), ..Try::new() }),
        (
            "solo: the sponsor approves production",
            Try { who: SPONSOR, requirement: solo(), action: draft("prod"), ..Try::new() },
        ),
        (
            "solo: the sponsor approves what calls itself production",
            Try { who: SPONSOR, requirement: solo(), action: draft("production"), ..Try::new() },
        ),
        (
            "solo: the sponsor approves what is labelled production",
            Try { who: SPONSOR, requirement: solo(), action: labelled(), ..Try::new() },
        ),
        (
            "solo: the sponsor, who is the subject too",
            Try { who: SPONSOR, requirement: solo(), action: sponsored(Role::Subject), ..Try::new() },
        ),
        (
            "solo: the sponsor, who edited it too",
            Try { who: SPONSOR, requirement: solo(), action: sponsored(Role::Editor), ..Try::new() },
        ),
        (
            "solo: the sponsor, who triggered it too",
            Try { who: SPONSOR, requirement: solo(), action: sponsored(Role::Trigger), ..Try::new() },
        ),
        (
            "solo: a human's own action",
            Try {
                who: SPONSOR,
                requirement: solo(),
                action: Draft { chain: Chain::person(person(SPONSOR)), ..draft("staging") },
                ..Try::new()
            },
        ),
        (
            "solo: the sponsor outside the group",
            Try { who: SPONSOR, requirement: solo(), desk: |d| d.groups.clear(), ..Try::new() },
        ),
    ];
    let rows: Vec<_> =
        tries.into_iter().map(|(name, attempt)| format!("{name:<60}{}", attempt.code())).collect();
    insta::assert_snapshot!(rows.join("\n"));
}

fn labelled() -> Draft {
    let mut draft = draft("staging");
    draft.resource.labels.insert("production".to_owned(), "true".to_owned());
    draft
}

/// The sponsor stands on the chain a second time.
fn sponsored(role: Role) -> Draft {
    let mut draft = draft("staging");
    draft.chain.behind.push(Link { party: Principal::Person(person(SPONSOR)), role });
    draft
}

#[test]
fn a_review_enters_only_the_evaluation_that_its_words_tell_of() {
    let action = action("prod");
    let approval = open(&action, requirement(&[&[(2, 0)]]));
    let standing = approval.case().evaluation.clone();
    let submit = |change: fn(&mut Statement), seconds| {
        let mut statement = statement(&action, &standing, 2, Verdict::Approve, 1);
        statement.expires = at(100);
        change(&mut statement);
        let asked = requirement(&[&[(2, 0)]]);
        let review =
            CheckedReview::check(sign(&statement), &action, &asked, &origin(), &Desk::open()).unwrap();
        approval
            .handle(&Command::Review { review, question: question(0) }, at(seconds))
            .map(|step| step.event.word())
    };
    assert_eq!(submit(|_| {}, 99), Ok("reviewed"));
    assert_eq!(submit(|_| {}, 100), Err(Refusal::StatementExpired));
    assert_eq!(submit(|s| s.evaluation.digest = Digest::from_bytes([1; 32]), 9), Err(Refusal::Stale));
    assert_eq!(submit(|s| s.evaluation.policy = Digest::from_bytes([1; 32]), 9), Err(Refusal::Stale));
    assert_eq!(submit(|s| s.evaluation.requirement = requirement(&[&[(1, 0)]]), 9), Err(Refusal::Stale));
    assert_eq!(submit(|s| s.evaluation.requirement.separation = Separation::None, 9), Err(Refusal::Stale));
}

#[test]
fn a_nonce_is_used_once_even_across_questions() {
    let action = action("prod");
    let mut approval = open(&action, requirement(&[&[(2, 0)]]));
    let command = |who: u8, verdict, nonce| {
        let statement = statement(&action, &held(&action, requirement(&[&[(2, 0)]])), who, verdict, nonce);
        let asked = requirement(&[&[(2, 0)]]);
        let review =
            CheckedReview::check(sign(&statement), &action, &asked, &origin(), &Desk::open()).unwrap();
        Command::Review { review, question: question(nonce) }
    };
    let event = approval.handle(&command(2, Verdict::Ask, 1), at(1)).unwrap().event;
    approval = Approval::apply(Some(approval), &event, at(1)).unwrap();
    for verdict in [Verdict::Ask, Verdict::Approve, Verdict::Deny] {
        assert_eq!(approval.handle(&command(2, verdict, 1), at(2)).unwrap_err(), Refusal::DuplicateReviewer);
    }
    assert!(approval.handle(&command(2, Verdict::Approve, 2), at(2)).is_ok(), "who asked may still approve");
}

#[test]
fn a_cases_reviewers_are_told_once_each() {
    let action = action("prod");
    let standing = held(&action, requirement(&[&[(2, 0)]]));
    let statements =
        [(2, 1), (3, 2), (2, 3)].map(|(who, n)| statement(&action, &standing, who, Verdict::Approve, n));
    let people: Vec<PersonId> = domain::review::reviewers(&statements).into_iter().collect();
    assert_eq!(people, [person(2), person(3)]);
}

#[test]
fn a_stored_review_that_was_altered_is_an_alarm_and_not_only_not_counted() {
    let action = action("prod");
    let asked = requirement(&[&[(1, 0)]]);
    let mut approval = open(&action, asked.clone());
    let standing = approval.case().evaluation.clone();
    for who in [2, 3] {
        let statement = statement(&action, &standing, who, Verdict::Approve, who);
        let review =
            CheckedReview::check(sign(&statement), &action, &asked, &origin(), &Desk::open()).unwrap();
        let command = Command::Review { review, question: question(0) };
        let event = approval.handle(&command, at(1)).unwrap().event;
        approval = Approval::apply(Some(approval), &event, at(1)).unwrap();
    }
    let issue = |change: fn(&mut Statement), forge: bool| {
        let mut approval = approval.clone();
        let Approval::Approved(approved) = &mut approval else { panic!("approved") };
        let mut statement = approved.case.reviews[0].statement.clone();
        change(&mut statement);
        let mut signed = sign(&statement);
        if forge {
            let Proof::Passkey(proof) = &mut signed.proof else { panic!("no passkey's") };
            proof.signature.0[0] ^= 1;
        }
        approved.case.reviews[0].signed = signed;
        let fresh = held(&action, asked.clone());
        let permit = Permit::issue(&approval, &action, fresh, &origin(), &Desk::open(), grant(1));
        permit.map(|permit| permit.counted().len()).map_err(|refusal| refusal.code())
    };
    assert_eq!(issue(|_| {}, false), Ok(2));
    assert_eq!(issue(|_| {}, true), Err("bad-signature"), "the other review alone would have sufficed");
    assert_eq!(issue(|s| s.assurance = Assurance::Chat, true), Err("bad-signature"));
    assert_eq!(issue(|s| s.group = Some(group(2)), true), Err("bad-signature"));
    assert_eq!(issue(|s| s.origin = "other.example/log".parse().unwrap(), false), Err("other-origin"));
    assert_eq!(issue(|s| s.action = Digest::from_bytes([1; 32]), false), Err("other-action"));
    assert_eq!(
        issue(|s| s.group = Some(group(2)), false),
        Ok(1),
        "a group that is asked no more does not count"
    );
}

#[test]
fn glass_is_broken_by_one_who_says_so_and_why() {
    // Two of the first group, or by break-glass one of the second.
    let asked = requirement(&[&[(2, 0), (0, 1)]]);
    let action = action("prod");
    let standing = held(&action, asked.clone());
    let broken = |change: fn(&mut Statement)| {
        let mut said = statement(&action, &standing, 4, Verdict::Approve, 1);
        (said.group, said.break_glass) = (Some(group(1)), true);
        said.note = Some("the disk is full".to_owned());
        change(&mut said);
        let mut desk = Desk::open();
        desk.groups.entry(person(4)).or_default().extend([group(0), group(1)]);
        CheckedReview::check(sign(&said), &action, &asked, &origin(), &desk)
    };
    let review = broken(|_| {}).unwrap();
    let mut approval = open(&action, asked.clone());
    let step = approval.handle(&Command::Review { review, question: question(1) }, at(1)).unwrap();
    approval = Approval::apply(Some(approval), &step.event, at(1)).unwrap();
    assert_eq!(approval.word(), "approved");
    assert_eq!(approval.case().broken_glass().count(), 1);
    // Without saying so, without saying why, under a group that may not, or weaker: nothing.
    assert!(matches!(broken(|s| s.break_glass = false), Err(Refusal::GroupNotAsked(_))));
    assert!(matches!(broken(|s| s.group = Some(group(0))), Err(Refusal::NoGlass(_))));
    assert_eq!(broken(|s| s.assurance = Assurance::Chat), Err(Refusal::Assurance));
    for change in [
        (|s| s.note = None) as fn(&mut Statement),
        |s| s.note = Some(" \n".to_owned()),
        |s| s.verdict = Verdict::Deny,
        |s| s.verdict = Verdict::Ask,
    ] {
        let mut said = statement(&action, &standing, 4, Verdict::Approve, 1);
        (said.group, said.break_glass) = (Some(group(1)), true);
        said.note = Some("the disk is full".to_owned());
        assert!(Statement::read(&canonical::write(&said).unwrap()).is_ok());
        change(&mut said);
        assert!(Statement::read(&canonical::write(&said).unwrap()).is_err(), "{said:?}");
    }
}

#[test]
fn an_ordinary_approval_never_breaks_glass() {
    // The same group stands in both ways: two of it, or one who breaks glass.
    let asked = requirement(&[&[(2, 0), (0, 0)]]);
    let action = action("prod");
    let standing = held(&action, asked.clone());
    let mut approval = open(&action, asked.clone());
    let said = statement(&action, &standing, 2, Verdict::Approve, 1);
    let review = CheckedReview::check(sign(&said), &action, &asked, &origin(), &Desk::open()).unwrap();
    let step = approval.handle(&Command::Review { review, question: question(1) }, at(1)).unwrap();
    approval = Approval::apply(Some(approval), &step.event, at(1)).unwrap();
    assert_eq!(approval.word(), "pending");
    assert_eq!(approval.case().open()[0].have, 1);
    assert_eq!(approval.case().broken_glass().count(), 0);
}

#[test]
fn what_says_nothing_of_break_glass_has_one_spelling() {
    let plain = requirement(&[&[(1, 0)]]);
    let mut value = serde_json::to_value(&plain).unwrap();
    assert!(!value.to_string().contains("break_glass"), "frozen bytes stay");
    value["holds"][0]["any_of"][0]["break_glass"] = false.into();
    assert!(serde_json::from_value::<Requirement>(value.clone()).is_err());
    value["holds"][0]["any_of"][0]["break_glass"] = true.into();
    let glass: Requirement = serde_json::from_value(value).unwrap();
    assert!(glass.check().is_err(), "nothing but break-glass is no requirement");
}

#[test]
fn a_name_that_can_be_taken_for_anothers_is_refused() {
    let mut directory = Directory::default();
    let added = |n, name: &str| DirectoryEvent::PersonAdded { id: person(n), name: name.to_owned() };
    let bot = agent();
    let agent = |name: &str| DirectoryEvent::AgentAdded {
        id: bot,
        name: name.to_owned(),
        sponsor: person(1),
        key: Blob(vec![7; 32]),
    };
    for (n, name) in [(1, "Ana"), (2, "alice"), (3, "J\u{fc}rgen Ohm")] {
        directory.apply(&added(n, name), at(0)).unwrap();
    }
    for alike in [
        "Ana",
        "ANA",
        "\u{410}na",
        "An\u{430}",
        "a1ice",
        "aIice",
        "ALICE",
        "Ju\u{308}rgen Ohm",
        "J\u{fc}rgen 0hm",
    ] {
        for event in [added(9, alike), agent(alike)] {
            let refused = directory.check_looks(&event).unwrap_err().to_string();
            assert!(refused.contains("looks like the name of another"), "{alike}: {refused}");
        }
    }
    for other in ["Anna", "Alicia", "bot", "\u{410}\u{43d}\u{43d}\u{430}"] {
        directory.check_looks(&added(9, other)).unwrap();
        directory.check_looks(&agent(other)).unwrap();
    }
    // Whoever has left takes no name with them.
    directory.apply(&DirectoryEvent::PersonDeactivated { id: person(2) }, at(0)).unwrap();
    directory.check_looks(&agent("a1ice")).unwrap();
}
