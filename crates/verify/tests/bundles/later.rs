//! Broken glass, looked at afterwards: as it should be, and as somebody who holds the log's key would like it.

use domain::canonical;
use domain::digest::{Blob, Digest, Purpose};
use domain::entry::Leaf;
use domain::event::Event;
use domain::later::{End, Finding, LaterStatement};
use domain::requirement::Assurance;
use domain::statement::Verdict;

use crate::pack::{Pack, withhold};
use crate::scene::*;
use crate::vectors::{Set, glass};

/// Behind which line a later review is signed.
const LINE: &str = "later-review-statement";

pub(crate) fn later(set: &mut Set) {
    type Change = fn(&mut LaterStatement);

    let as_it_should_be = looked(BOB, |_| {}, &by(BOB));
    set.scene("glass-looked-at", &as_it_should_be, "valid");
    set.scene("glass-not-looked-at", &ran(), "valid");
    let unjust = |s: &mut LaterStatement| s.finding = Finding::NotJustified;
    set.scene("glass-found-not-justified", &looked(BOB, unjust, &by(BOB)), "valid");
    let admin = |s: &mut LaterStatement| s.group = "admins".parse().unwrap();
    set.scene("glass-looked-at-by-an-administrator", &looked(ADA, admin, &by(ADA)), "valid");

    let forged: [(&str, Change); 9] = [
        ("of-another-outcome", |s| {
            let End::Finished { outcome, .. } = &mut s.end else { panic!("it ran") };
            outcome.detail = "500".to_owned();
        }),
        ("of-another-end", |s| s.end = End::Expired { at: at(1) }),
        ("of-another-time", |s| {
            let End::Finished { at: when, .. } = &mut s.end else { panic!("it ran") };
            *when = at(1);
        }),
        ("of-other-glass", |s| s.broken = vec![Digest::from_bytes([1; 32])]),
        ("of-another-action", |s| s.action = Digest::from_bytes([1; 32])),
        ("for-the-group-that-breaks", |s| s.group = "oncall".parse().unwrap()),
        ("too-weakly", |s| s.assurance = Assurance::Chat),
        ("too-late", |s| s.expires = at(1)),
        ("elsewhere", |s| s.origin = "other.example/log".parse().unwrap()),
    ];
    for (name, change) in forged {
        set.scene(&format!("glass-looked-at-{name}"), &looked(BOB, change, &by(BOB)), "invalid");
    }
    set.scene("glass-looked-at-by-its-breaker", &looked(ALICE, |_| {}, &by(ALICE)), "invalid");
    set.scene("glass-looked-at-with-anothers-key", &looked(BOB, |_| {}, &by(ALICE)), "invalid");
    // A signature behind a verdict's line, over the same bytes.
    set.scene("glass-looked-at-behind-a-verdicts-line", &looked(BOB, |_| {}, &Hand::of(BOB)), "invalid");
    let mut twice = looked(BOB, |_| {}, &by(BOB));
    look(&mut twice, ADA, |s| s.group = "admins".parse().unwrap(), &by(ADA));
    set.scene("glass-looked-at-twice", &twice, "invalid");
    let mut early = broken();
    look(&mut early, BOB, |s| s.end = End::Expired { at: at(1) }, &by(BOB));
    set.scene("glass-looked-at-before-its-end", &early, "invalid");
    let mut whole = Scene::staffed(draft(1, "staging"), crate::vectors::one());
    whole.request();
    whole.review(ALICE, Verdict::Approve);
    whole.redeem(&[ALICE]);
    whole.finish();
    look(&mut whole, BOB, |s| s.broken = vec![Digest::from_bytes([1; 32])], &by(BOB));
    set.scene("no-glass-looked-at", &whole, "invalid");

    let mut receipt = as_it_should_be.receipt();
    receipt.entries.last_mut().unwrap().fields.iter_mut().for_each(withhold);
    set.receipt("glass-looked-at-withheld", &receipt, "indeterminate");
    set.add("cases-glass-looked-at", Pack::cases(&as_it_should_be).bytes(), "valid");
}

/// A hand that signs behind a later review's line.
fn by(who: u8) -> Hand {
    Hand { line: LINE, ..Hand::of(who) }
}

/// A case whose glass Alice broke.
fn broken() -> Scene {
    let mut scene = Scene::staffed(draft(1, "staging"), glass());
    scene.join(ALICE, "oncall");
    scene.request();
    let breaks = |s: &mut domain::statement::Statement| {
        (s.group, s.break_glass) = (Some("oncall".parse().unwrap()), true);
        s.note = Some("the disk is full".to_owned());
    };
    scene.review_with(ALICE, Verdict::Approve, breaks, &Hand::of(ALICE));
    scene
}

fn ran() -> Scene {
    let mut scene = broken();
    scene.redeem(&[ALICE]);
    scene.finish();
    scene
}

fn looked(who: u8, change: impl FnOnce(&mut LaterStatement), hand: &Hand) -> Scene {
    let mut scene = ran();
    look(&mut scene, who, change, hand);
    scene
}

/// Somebody looks at what stands in the log, and says so with this change.
fn look(scene: &mut Scene, who: u8, change: impl FnOnce(&mut LaterStatement), hand: &Hand) {
    let (mut broken, mut end) = (Vec::new(), None);
    for (leaf, fields) in &scene.log {
        let leaf: Leaf = canonical::read(leaf).unwrap();
        if leaf.subject != Some(scene.action.id().to_string()) {
            continue;
        }
        let event = fields.as_slice().iter().find(|field| field.path == "event").unwrap();
        match canonical::read(&event.value.0).unwrap() {
            Event::Reviewed { review } => broken.push(Digest::of(Purpose::Statement, &review.statement.0)),
            Event::Finished { outcome } => {
                end = Some(End::Finished { at: leaf.time, grant: grant(), outcome });
            }
            _ => {}
        }
    }
    let mut statement = LaterStatement {
        v: 1,
        origin: origin(),
        approval: scene.action.id(),
        action: scene.action.digest(),
        broken,
        end: end.unwrap_or(End::Expired { at: at(1) }),
        finding: Finding::Justified,
        note: "nobody else was awake".to_owned(),
        group: "dba".parse().unwrap(),
        reviewer: person(who),
        assurance: Assurance::Passkey,
        nonce: Blob(vec![200; 32]),
        expires: at(scene.seconds + 100),
        displayed: Digest::of(Purpose::Displayed, b"a card"),
    };
    change(&mut statement);
    let review = hand.sign(&canonical::write(&statement).unwrap());
    scene.event(&Event::LaterReviewed { review });
}
