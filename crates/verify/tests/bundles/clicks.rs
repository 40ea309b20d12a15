//! Clicks in linked accounts: what they are good for, and what they are not.

use domain::account::ExternalAccount;
use domain::digest::Blob;
use domain::directory::DirectoryEvent;
use domain::event::Event;
use domain::requirement::{Assurance, Requirement};
use domain::review::{ChatProof, Proof, SignedReview};
use domain::statement::Verdict;

use crate::countersigned::every_way;
use crate::scene::*;
use crate::vectors::{Set, one};

const VALID: [&str; 2] = ["valid"; 2];
const INVALID: [&str; 2] = ["invalid"; 2];

pub(crate) fn clicks(set: &mut Set) {
    let scene = clicked(&by_click(), |scene| link(scene, ALICE, ALICE), ALICE, Assurance::Chat);
    every_way(set, "click-of-a-linked-account", &scene, VALID);
    // What happens to the account later changes nothing.
    let mut scene = clicked(&by_click(), |scene| link(scene, ALICE, ALICE), ALICE, Assurance::Chat);
    unlink(&mut scene, ALICE);
    every_way(set, "click-of-an-account-unlinked-later", &scene, VALID);

    type Before = fn(&mut Scene);
    let lies: [(&str, Before); 4] = [
        ("linked-to-another", |scene| link(scene, BOB, BOB)),
        ("linked-by-another", |scene| link(scene, ALICE, ADA)),
        ("unlinked-before", |scene| {
            link(scene, ALICE, ALICE);
            unlink(scene, ALICE);
        }),
        ("of-which-only-the-end-is-shown", |scene| unlink(scene, ALICE)),
    ];
    for (name, before) in lies {
        let scene = clicked(&by_click(), before, ALICE, Assurance::Chat);
        every_way(set, &format!("click-{name}"), &scene, INVALID);
    }
    let strict = clicked(&one(), |scene| link(scene, ALICE, ALICE), ALICE, Assurance::Chat);
    every_way(set, "click-where-policy-asks-for-a-signature", &strict, INVALID);
    let vain = clicked(&one(), |scene| link(scene, ALICE, ALICE), ALICE, Assurance::Passkey);
    every_way(set, "click-that-says-it-is-a-signature", &vain, INVALID);
    let unlinked = clicked(&by_click(), |_| {}, ALICE, Assurance::Chat);
    set.scene("click-of-an-account-that-no-entry-links", &unlinked, "indeterminate");
    let mut late = clicked(&by_click(), |_| {}, ALICE, Assurance::Chat);
    link(&mut late, ALICE, ALICE);
    every_way(set, "click-of-an-account-linked-only-later", &late, INVALID);
}

/// One of `dba`, and a click suffices.
fn by_click() -> Requirement {
    Requirement { assurance: Assurance::Chat, ..one() }
}

/// A case that somebody approved by a click in the account `U1`, and that ran.
fn clicked(
    requirement: &Requirement,
    before: impl FnOnce(&mut Scene),
    who: u8,
    assurance: Assurance,
) -> Scene {
    let mut scene = Scene::staffed(draft(1, "prod"), requirement.clone());
    before(&mut scene);
    scene.request();
    let mut statement = scene.statement(who, Verdict::Approve);
    statement.assurance = assurance;
    let review = SignedReview {
        statement: Blob(statement.write().unwrap()),
        proof: Proof::Chat(ChatProof {
            account: account(),
            evidence: Blob(br#"{"channel":"slack"}"#.to_vec()),
        }),
    };
    scene.event(&Event::Reviewed { review });
    scene.redeem(&[who]);
    scene.finish();
    scene
}

fn account() -> ExternalAccount {
    ExternalAccount::new("slack", "T1", "U1").unwrap()
}

fn link(scene: &mut Scene, who: u8, by: u8) {
    let event = DirectoryEvent::AccountLinked { person: person(who), account: account() };
    scene.change_under(event, Some(person(by)), None);
}

fn unlink(scene: &mut Scene, who: u8) {
    let event = DirectoryEvent::AccountUnlinked { person: person(who), account: account() };
    scene.change_under(event, Some(person(who)), None);
}
