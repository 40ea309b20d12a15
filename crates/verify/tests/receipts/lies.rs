//! Logs that prove what must not have happened. Each proof holds; the case does not.

use domain::commitment::Field;
use domain::digest::{Blob, Digest};
use domain::directory::DirectoryEvent;
use domain::entry::{self, Kind};
use domain::evaluation::Decision;
use domain::event::Event;
use domain::outcome::Outcome;
use domain::principal::Principal;
use domain::requirement::{Assurance, Requirement, Separation};
use domain::statement::{Statement, Verdict};

use crate::scene::*;

/// What is wrong with a statement.
type Change = fn(&mut Statement);
/// What policy is said to have answered at the run.
type Fresh = fn(&Scene) -> domain::evaluation::Evaluation;

fn invalid(scene: &Scene, why: &str) {
    let report = verified(&scene.receipt());
    assert_eq!(report.verdict, verify::Verdict::Invalid, "{report}");
    assert!(report.summary.is_none(), "nothing of an invalid receipt is repeated");
    assert!(
        report.reasons.iter().any(|reason| reason.contains(why)),
        "`{why}` is not among {:#?}",
        report.reasons
    );
}

/// Held for one of `dba`, after something was done to the directory.
fn held_after(prepare: impl FnOnce(&mut Scene)) -> Scene {
    let mut scene = Scene::staffed(draft(1, "prod"), requirement(&[(1, "dba")]));
    prepare(&mut scene);
    scene.request();
    scene
}

fn held() -> Scene {
    held_after(|_| {})
}

#[test]
fn who_may_not_review() {
    let mut scene = held_after(|scene| {
        scene.enrol(SAM);
        scene.join(SAM, "dba");
    });
    scene.review(SAM, Verdict::Approve);
    invalid(&scene, "self-review");

    // Production refuses what solo evaluation allows.
    let solo = Requirement { separation: Separation::None, ..requirement(&[(1, "dba")]) };
    let mut scene = Scene::staffed(draft(1, "prod"), solo);
    scene.enrol(SAM);
    scene.join(SAM, "dba");
    scene.request();
    scene.review(SAM, Verdict::Approve);
    invalid(&scene, "self-review");

    // The agent has another sponsor by now.
    let mut scene = held();
    scene.change(DirectoryEvent::AgentSponsorChanged { id: agent(), sponsor: person(ALICE) });
    scene.review(ALICE, Verdict::Approve);
    invalid(&scene, "self-review");

    let mut scene = held_after(|scene| {
        scene.leave(ALICE, "dba");
    });
    scene.review(ALICE, Verdict::Approve);
    invalid(&scene, "is not in the group `dba`");

    let mut scene = held_after(|scene| {
        scene.change(DirectoryEvent::PersonDeactivated { id: person(ALICE) });
    });
    scene.review(ALICE, Verdict::Deny);
    invalid(&scene, "was deactivated by entry");

    let mut scene = held();
    scene.review_with(ALICE, Verdict::Approve, |s| s.group = Some("dev".parse().unwrap()), &Hand::of(ALICE));
    invalid(&scene, "no hold on this action asks for the group `dev`");
}

#[test]
fn whose_key_signed() {
    let revoke = |scene: &mut Scene| {
        scene.change(DirectoryEvent::KeyRevoked { person: person(ALICE), credential_id: credential(ALICE) });
    };
    let mut scene = held_after(revoke);
    scene.review(ALICE, Verdict::Approve);
    invalid(&scene, "was revoked by entry");

    // Enrolled, but only after the review.
    let mut scene = held_after(|scene| {
        scene.hire(5, "Eve");
        scene.told.retain(|at| *at != scene.log.len() - 2);
    });
    scene.review(5, Verdict::Approve);
    scene.enrol(5);
    invalid(&scene, "was enrolled only later");

    // Bob's key under a statement of Alice's, under either name.
    let mut scene = held();
    scene.review_with(ALICE, Verdict::Approve, |_| {}, &Hand::of(BOB));
    invalid(&scene, "enrols the key for");
    let mut scene = held();
    let mut statement = scene.statement(ALICE, Verdict::Approve);
    statement.nonce = Blob(vec![9; 32]);
    let mut review = Hand::of(BOB).sign(&statement.write().unwrap());
    let domain::review::Proof::Passkey(proof) = &mut review.proof else { panic!("no passkey's") };
    proof.credential_id = credential(ALICE);
    scene.event(&Event::Reviewed { review });
    invalid(&scene, "is not by this key");

    // Between review and run the key was revoked, the group left, the person gone: nothing counts any more.
    let take: [fn(&mut Scene); 3] = [
        |scene| {
            scene.change(DirectoryEvent::KeyRevoked {
                person: person(ALICE),
                credential_id: credential(ALICE),
            });
        },
        |scene| {
            scene.leave(ALICE, "dba");
        },
        |scene| {
            scene.change(DirectoryEvent::PersonDeactivated { id: person(ALICE) });
        },
    ];
    for take in take {
        let mut scene = held();
        scene.review(ALICE, Verdict::Approve);
        take(&mut scene);
        scene.redeem(&[ALICE]);
        invalid(&scene, "do not satisfy what policy asks for now");
    }
}

#[test]
fn what_was_signed_and_how() {
    let statements: [(Change, &str); 9] = [
        (|s| s.action = Digest::from_bytes([3; 32]), "another action"),
        (|s| s.approval = domain::id::ActionId::from_uuid(grant().uuid()), "another action"),
        (|s| s.origin = "other.example/log".parse().unwrap(), "another deployment"),
        (|s| s.evaluation.digest = Digest::from_bytes([3; 32]), "changed in the meantime"),
        (|s| s.evaluation.policy = Digest::from_bytes([3; 32]), "changed in the meantime"),
        (|s| s.evaluation.requirement.ttl = domain::time::Span::from_seconds(1), "changed in the meantime"),
        (|s| s.assurance = Assurance::Chat, "stronger signature"),
        (|s| s.expires = at(3), "statement has expired"),
        (|s| s.v = 2, "version 1 is expected"),
    ];
    for (change, why) in statements {
        let mut scene = held();
        scene.review_with(ALICE, Verdict::Approve, change, &Hand::of(ALICE));
        invalid(&scene, why);
    }
    let hands = [
        (Hand { web: "https://evil.example", ..Hand::of(ALICE) }, "is not allowed"),
        (Hand { rp_id: "evil.example", ..Hand::of(ALICE) }, "another relying party"),
        (Hand { flags: 0x01, ..Hand::of(ALICE) }, "did not verify its user"),
        (Hand { flags: 0x04, ..Hand::of(ALICE) }, "nobody present"),
        (Hand { kind: "webauthn.create", ..Hand::of(ALICE) }, "is of type `webauthn.create`"),
        (
            Hand { instead: Some(b"another statement".to_vec()), ..Hand::of(ALICE) },
            "another challenge was signed",
        ),
    ];
    for (hand, why) in hands {
        let mut scene = held();
        scene.review_with(ALICE, Verdict::Approve, |_| {}, &hand);
        invalid(&scene, why);
    }
    // One signed statement, submitted twice.
    let mut scene = Scene::staffed(draft(1, "prod"), requirement(&[(2, "dba")]));
    scene.request();
    let statement = scene.statement(ALICE, Verdict::Approve);
    let review = Hand::of(ALICE).sign(&statement.write().unwrap());
    scene.event(&Event::Reviewed { review: review.clone() });
    scene.event(&Event::Reviewed { review });
    invalid(&scene, "one human counts once");
}

#[test]
fn runs_that_nobody_allowed() {
    let mut scene = held();
    scene.redeem(&[]);
    invalid(&scene, "is pending already");

    let mut scene = Scene::staffed(draft(1, "prod"), requirement(&[(2, "dba")]));
    scene.request();
    scene.review(ALICE, Verdict::Approve);
    scene.redeem(&[ALICE]);
    invalid(&scene, "is pending already");

    // The counted are not those who approved.
    for counted in [&[][..], &[BOB], &[ALICE, BOB], &[ALICE, ALICE]] {
        let mut scene = held();
        scene.review(ALICE, Verdict::Approve);
        scene.redeem(counted);
        invalid(&scene, "it does not count the reviews that count");
    }

    // Policy, asked again at the run, wanted more, said no, or was asked about something else.
    let fresh: [(Fresh, &str); 3] = [
        (|s| evaluation(&s.action, Decision::NeedsReview(requirement(&[(2, "dba")]))), "do not satisfy"),
        (|s| evaluation(&s.action, Decision::Deny), "policy, asked again before running, denies"),
        (
            |_| evaluation(&domain::action::Action::seal(draft(2, "prod")).unwrap(), Decision::Permit),
            "another action",
        ),
    ];
    for (fresh, why) in fresh {
        let mut scene = held();
        scene.review(ALICE, Verdict::Approve);
        scene.standing = fresh(&scene);
        scene.redeem(&[ALICE]);
        invalid(&scene, why);
    }

    // An open question.
    let mut scene = held();
    scene.review(ALICE, Verdict::Approve);
    scene.ask(BOB);
    scene.redeem(&[ALICE]);
    invalid(&scene, "is pending already");

    // Too late.
    let mut scene = held();
    scene.review(ALICE, Verdict::Approve);
    scene.seconds += 300;
    scene.redeem(&[ALICE]);
    invalid(&scene, "has expired");

    // After a denial; twice; finished twice; finished without a run.
    let mut scene = held();
    scene.review(BOB, Verdict::Deny);
    scene.review(ALICE, Verdict::Approve);
    invalid(&scene, "is denied already");
    let mut scene = held();
    scene.review(ALICE, Verdict::Approve);
    scene.redeem(&[ALICE]);
    scene.redeem(&[ALICE]);
    invalid(&scene, "is executing already");
    let mut scene = ran();
    scene.event(&Event::Finished { outcome: Outcome::unknown("") });
    invalid(&scene, "is finished already");
    let mut scene = held();
    scene.finish();
    invalid(&scene, "is pending already");
}

#[test]
fn other_events_that_cannot_be() {
    let mut scene = held();
    scene.event(&Event::Expired {});
    invalid(&scene, "has not expired yet");
    let mut scene = held();
    scene.event(&Event::Cancelled { by: Principal::Person(person(BOB)), reason: String::new() });
    invalid(&scene, "those who asked for the action only");
    let mut scene = held();
    scene.ask(BOB);
    scene.event(&Event::Withdrawn { question: question(), by: person(ALICE) });
    invalid(&scene, "the reviewer who asked the question only");
    let mut scene = held();
    scene.answer();
    invalid(&scene, "no such open question");
    let mut scene = held();
    scene.request();
    invalid(&scene, "a second request");
    let mut scene = Scene::staffed(draft(1, "prod"), requirement(&[(1, "dba")]));
    scene.standing = evaluation(&scene.action, Decision::Permit);
    scene.request();
    invalid(&scene, "cannot follow on");
}

#[test]
fn requests_that_do_not_fit_their_record() {
    let other = domain::action::Action::seal(draft(2, "prod")).unwrap();
    let moved = domain::action::Action::seal(draft(1, "staging")).unwrap();
    let request = |change: &dyn Fn(&mut Event)| {
        let mut scene = Scene::staffed(draft(1, "prod"), requirement(&[(1, "dba")]));
        let mut event = Event::Requested {
            id: scene.action.id(),
            action: scene.action.digest(),
            chain: scene.action.chain().clone(),
            evaluation: scene.standing.clone(),
        };
        change(&mut event);
        scene.event(&event);
        scene
    };
    let set = |change: &dyn Fn(
        &mut domain::id::ActionId,
        &mut Digest,
        &mut domain::principal::Chain,
        &mut Digest,
    )| {
        request(&|event| {
            let Event::Requested { id, action, chain, evaluation } = event else { panic!("a request") };
            change(id, action, chain, &mut evaluation.action);
        })
    };
    invalid(&set(&|id, _, _, _| *id = other.id()), "another approval");
    invalid(&set(&|_, digest, _, _| *digest = moved.digest()), "does not hash to the digest");
    invalid(&set(&|_, _, _, digest| *digest = moved.digest()), "does not hash to the digest");
    invalid(&set(&|_, _, chain, _| *chain = domain::principal::Chain::person(person(BOB))), "another chain");

    // The receipt's payload is another's.
    let mut draft = draft(1, "prod");
    draft.payload = Digest::from_bytes([0; 32]);
    let mut scene = Scene::staffed(draft, requirement(&[(1, "dba")]));
    scene.request();
    invalid(&scene, "the payload is not the one");
}

#[test]
fn entries_that_say_two_things() {
    let mut scene = held();
    let event = Event::Expired {};
    let value = domain::canonical::write(&event).unwrap();
    let entry = |kind, subject: &str, fields: Vec<(&str, &[u8])>| entry::Draft {
        kind,
        subject: Some(subject.to_owned()),
        fields: fields.into_iter().map(|(path, value)| (path.to_owned(), value.to_vec())).collect(),
    };
    let id = scene.action.id().to_string();
    let told = scene.told.clone();
    let mut attempt = |draft: entry::Draft, why: &str| {
        scene.told = told.clone();
        scene.write(draft);
        invalid(&scene, why);
    };
    attempt(
        entry(Kind::Review, &id, vec![("event", &value)]),
        "its leaf says `review/1` and its event `expired`",
    );
    attempt(entry(Kind::End, &id, vec![("event", &value), ("event2", &value)]), "it has other fields");
    attempt(entry(Kind::End, &id, vec![("action", &value), ("event", &value)]), "it has other fields");
    attempt(entry(Kind::End, &id, vec![("events", &value)]), "it has other fields");
    attempt(entry(Kind::End, &id, vec![]), "it has other fields");
    attempt(
        entry(Kind::End, &id, vec![("event", b"{\"type\":\"expired\",\"type\":\"expired\"}")]),
        "stands twice",
    );
    attempt(entry(Kind::End, &id, vec![("event", b"{\"type\":\"expired\",\"x\":1}")]), "cannot be read");
    let change = domain::directory::Change {
        event: DirectoryEvent::GroupJoined { group: "dba".parse().unwrap(), person: person(SAM) },
        by: None,
        approval: None,
    };
    let change = domain::canonical::write(&change).unwrap();
    let bob = Principal::Person(person(BOB)).to_string();
    attempt(entry(Kind::Directory, &bob, vec![("change", &change)]), "about somebody else");

    // One leaf that commits to two events under one path, one of which is always withheld.
    let twice = |shown: usize| {
        let fields = [Field::new("event", [1; 32], value.clone()), Field::new("event", [2; 32], *b"{}")];
        let commitments = fields.clone().map(|field| field.commitment().unwrap());
        let leaf = entry::Leaf {
            v: 1,
            origin: origin(),
            kind: Kind::End,
            time: at(2_000),
            subject: Some(id.clone()),
            count: 2,
            fields: domain::commitment::root(&commitments),
        };
        let mut scene = held();
        scene.log.push((domain::canonical::write(&leaf).unwrap(), domain::commitment::Fields::default()));
        scene.told.push(scene.log.len() - 1);
        let mut receipt = scene.receipt();
        receipt.entries.last_mut().unwrap().fields = (0..2)
            .map(|n| match n == shown {
                true => domain::commitment::Disclosure::Open(fields[n].clone()),
                false => domain::commitment::Disclosure::Withheld(commitments[n]),
            })
            .collect();
        verified(&receipt)
    };
    for shown in 0..2 {
        let report = twice(shown);
        assert_eq!(report.verdict, verify::Verdict::Invalid);
        assert!(report.reasons[0].contains("other fields"), "{report}");
    }
}

#[test]
fn entries_of_another_log_or_another_time() {
    let mut scene = held();
    scene.seconds -= 5;
    scene.review(ALICE, Verdict::Approve);
    invalid(&scene, "time never falls");

    let mut scene = held();
    let leaf = |origin: &str, v: u8| {
        let leaf = entry::Draft { kind: Kind::Heartbeat, subject: None, fields: Vec::new() };
        let sealed = leaf.seal(&origin.parse().unwrap(), at(900), || [0; 32]).unwrap();
        String::from_utf8(sealed.leaf).unwrap().replace("\"v\":1", &format!("\"v\":{v}")).into_bytes()
    };
    let told = scene.told.clone();
    for (leaf, why) in [(leaf("other.example/log", 1), "another log"), (leaf(ORIGIN, 2), "version 2")] {
        scene.log.push((leaf, domain::commitment::Fields::default()));
        scene.told = [told.as_slice(), &[scene.log.len() - 1]].concat();
        invalid(&scene, why);
    }
}
