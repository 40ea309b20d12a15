//! Who stands where, and by whose word: memberships, one key for two people, withheld changes, the bootstrap key.

use domain::directory::{DirectoryEvent, Passkey};
use domain::event::Event;
use domain::id::PersonId;
use domain::requirement::Separation;
use domain::review::Proof;
use domain::statement::Verdict;

use crate::countersigned::every_way;
use crate::pack::{Pack, withhold};
use crate::scene::*;
use crate::vectors::{Set, held, one};

const EVE: u8 = 5;
const VALID: [&str; 2] = ["valid"; 2];
const INVALID: [&str; 2] = ["invalid"; 2];

pub(crate) fn standings(set: &mut Set) {
    memberships(set);
    one_key_for_two(set);
    withheld_changes(set);
    signed_revocations(set);
    bootstrap_keys(set);
}

/// Ada and Alice administer; Eve has a key.
fn two_administrators() -> Scene {
    let mut scene = Scene::administered(draft(1, "prod"), one());
    scene.enrol(ALICE);
    scene.join(ALICE, "admins");
    scene.enrol(EVE);
    scene
}

fn approved_by_eve(scene: &mut Scene) {
    scene.request();
    scene.review(EVE, Verdict::Approve);
    scene.redeem(&[EVE]);
    scene.finish();
}

fn memberships(set: &mut Set) {
    let mut scene = two_administrators();
    scene.join(EVE, "dba");
    approved_by_eve(&mut scene);
    every_way(set, "membership-signed-for", &scene, VALID);
    // The case in which Ada signed for it is left out, or what she signed is.
    let request = *scene.keys.keys().next_back().unwrap();
    let case = |index: u64| (request..request + 3).contains(&usize::try_from(index).unwrap());
    let mut receipt = scene.receipt();
    receipt.entries.retain(|entry| !case(entry.index));
    receipt.keys.pop();
    set.receipt("membership-case-not-shown", &receipt, "indeterminate");
    let mut receipt = scene.receipt();
    receipt.keys.last_mut().unwrap().payload.iter_mut().for_each(withhold);
    set.receipt("membership-payload-withheld", &receipt, "indeterminate");

    type Under = fn(&mut Scene) -> (Option<PersonId>, Option<domain::id::ActionId>);
    let lies: [(&str, Under); 8] = [
        ("of-one-of-two-administrators", |_| (Some(person(ADA)), None)),
        ("of-who-is-no-administrator", |_| (Some(person(EVE)), None)),
        ("of-nobody", |_| (None, None)),
        ("signed-for-as-another-group", |s| {
            let event = joined(EVE, "oncall");
            (Some(person(EVE)), Some(s.countersign(&of_group(Countersign::of(EVE)), &event)))
        }),
        ("signed-for-as-another-person", |s| {
            let event = joined(BOB, "dba");
            (Some(person(EVE)), Some(s.countersign(&of_group(Countersign::of(EVE)), &event)))
        }),
        ("signed-for-under-another-verb", |s| {
            (Some(person(EVE)), Some(s.countersign(&Countersign::of(EVE), &joined(EVE, "dba"))))
        }),
        ("signed-for-and-not-run", |s| {
            let case = Countersign { until: 2, ..of_group(Countersign::of(EVE)) };
            (Some(person(EVE)), Some(s.countersign(&case, &joined(EVE, "dba"))))
        }),
        ("signed-for-by-no-administrator", |s| {
            let case = Countersign { by: EVE, group: "dba", ..of_group(Countersign::of(BOB)) };
            (Some(person(EVE)), Some(s.countersign(&case, &joined(EVE, "dba"))))
        }),
    ];
    for (name, under) in lies {
        let mut scene = two_administrators();
        let (by, approval) = under(&mut scene);
        scene.change_under(joined(EVE, "dba"), by, approval);
        approved_by_eve(&mut scene);
        every_way(set, &format!("membership-{name}"), &scene, INVALID);
    }
    // One approval, two memberships.
    let mut scene = two_administrators();
    let id = scene.countersign(&of_group(Countersign::of(EVE)), &joined(EVE, "dba"));
    scene.change_under(joined(EVE, "dba"), Some(person(EVE)), Some(id));
    scene.leave(EVE, "dba");
    scene.change_under(joined(EVE, "dba"), Some(person(EVE)), Some(id));
    approved_by_eve(&mut scene);
    every_way(set, "membership-signed-for-once-and-given-twice", &scene, INVALID);
    // An approval that was denied signs for nothing, whether its payload is shown or not.
    let mut scene = two_administrators();
    let case = Countersign { until: 1, ..of_group(Countersign::of(EVE)) };
    let id = scene.countersign_then(&case, &joined(EVE, "dba"), |scene| {
        let admins = |s: &mut domain::statement::Statement| s.group = None;
        scene.review_with(ADA, Verdict::Deny, admins, &Hand::of(ADA));
    });
    scene.change_under(joined(EVE, "dba"), Some(person(EVE)), Some(id));
    approved_by_eve(&mut scene);
    every_way(set, "membership-denied", &scene, INVALID);
    let pack = Pack::cases(&scene).with(|p| p.entries.iter_mut().for_each(|line| line.payload = None));
    set.add("cases-key-membership-denied-and-not-told", pack.bytes(), "invalid");
}

fn of_group(case: Countersign) -> Countersign {
    Countersign { verb: "config.group", ..case }
}

/// Two people, and one of them signs for both.
fn one_key_for_two(set: &mut Set) {
    let twin = Passkey { credential_id: credential(EVE), ..enrolment(ALICE, "her key") };
    let same_id = enrolment(ALICE, "her key");
    for (name, key, first_revoked, verdicts) in [
        ("one-public-key-for-two", &twin, false, INVALID),
        ("one-credential-for-two", &same_id, false, INVALID),
        ("one-public-key-for-two-in-turn", &twin, true, VALID),
        ("one-credential-for-two-in-turn", &same_id, true, VALID),
    ] {
        let needed = if first_revoked { one() } else { requirement(&[(2, "dba")]) };
        let mut scene = Scene::staffed(draft(1, "prod"), needed);
        if first_revoked {
            let credential_id = credential(ALICE);
            scene.change(DirectoryEvent::KeyRevoked { person: person(ALICE), credential_id });
        }
        scene.change(DirectoryEvent::PersonAdded { id: person(EVE), name: "Eve".to_owned() });
        scene.enrol_key(EVE, DirectoryEvent::KeyEnrolled { person: person(EVE), key: key.clone() });
        scene.join(EVE, "dba");
        scene.request();
        let mut counted = vec![EVE];
        if !first_revoked {
            scene.review(ALICE, Verdict::Approve);
            counted.insert(0, ALICE);
        }
        let statement = scene.statement(EVE, Verdict::Approve).write().unwrap();
        let mut review = Hand::of(ALICE).sign(&statement);
        if let Proof::Passkey(proof) = &mut review.proof {
            proof.credential_id = key.credential_id.clone();
        }
        scene.event(&Event::Reviewed { review });
        scene.redeem(&counted);
        every_way(set, name, &scene, verdicts);
    }
}

/// A change that is withheld may be the one that speaks against a review.
fn withheld_changes(set: &mut Set) {
    let revoked = |at_once: bool| {
        let mut scene = Scene::staffed(draft(1, "prod"), one());
        let credential_id = credential(ALICE);
        let revocation = DirectoryEvent::KeyRevoked { person: person(ALICE), credential_id };
        let mut place = at_once.then(|| scene.change(revocation.clone()));
        scene.request();
        scene.review(ALICE, Verdict::Approve);
        scene.redeem(&[ALICE]);
        scene.finish();
        let place = *place.get_or_insert_with(|| scene.change(revocation));
        (scene, place)
    };
    let (scene, _) = revoked(false);
    every_way(set, "revoked-at-once-after-its-review", &scene, VALID);
    let (scene, place) = revoked(true);
    every_way(set, "revoked-at-once-before-its-review", &scene, INVALID);
    let mut receipt = scene.receipt();
    let entry = receipt.entries.iter_mut().find(|entry| entry.index == place as u64).unwrap();
    entry.fields.iter_mut().for_each(withhold);
    set.receipt("revocation-withheld", &receipt, "indeterminate");
    let whole = Pack::period(&scene, 0, scene.log.len());
    let pack = whole.clone().with(|p| p.leaves[place].fields.iter_mut().flatten().for_each(withhold));
    set.add("period-revocation-withheld", pack.bytes(), "indeterminate");
    let pack = whole.with(|p| p.leaves[place].fields = None);
    set.add("period-revocation-not-told", pack.bytes(), "indeterminate");
    // The agent came to another sponsor, who reviewed; that is withheld.
    let mut scene = held(one());
    let place = scene.change(DirectoryEvent::AgentSponsorChanged { id: agent(), sponsor: person(ALICE) });
    scene.review(ALICE, Verdict::Approve);
    let shown = Pack::period(&scene, 0, scene.log.len());
    set.add("period-reviewed-by-the-new-sponsor", shown.bytes(), "invalid");
    let pack = shown.with(|p| p.leaves[place].fields = None);
    set.add("period-new-sponsor-withheld", pack.bytes(), "indeterminate");
}

/// A key that approved is taken away later, and Ada signed for that alone; for another key's end; or not enough of it is
/// shown. It is taken away in any case.
fn signed_revocations(set: &mut Set) {
    let of = |who| DirectoryEvent::KeyRevoked { person: person(who), credential_id: credential(who) };
    for (name, signed, until) in [
        ("under-a-signature", EVE, 3),
        ("under-a-signature-for-another", ALICE, 3),
        ("before-its-run", EVE, 2),
    ] {
        let mut scene = two_administrators();
        scene.join(EVE, "dba");
        approved_by_eve(&mut scene);
        let case = Countersign { separation: Separation::None, until, ..Countersign::of(ADA) };
        let id = scene.countersign(&case, &of(signed));
        scene.change_under(of(EVE), Some(person(ADA)), Some(id));
        every_way(set, &format!("revoked-{name}"), &scene, VALID);
    }
    // What a reviewer signs with a key that is gone stays refused, whoever signed for its end.
    let mut scene = two_administrators();
    scene.join(EVE, "dba");
    let case = Countersign { separation: Separation::None, ..Countersign::of(ADA) };
    let id = scene.countersign(&case, &of(EVE));
    scene.change_under(of(EVE), Some(person(ADA)), Some(id));
    approved_by_eve(&mut scene);
    every_way(set, "revoked-under-a-signature-before-its-review", &scene, INVALID);
}

fn bootstrap_keys(set: &mut Set) {
    let scene = ran();
    for (name, key, verdict) in [("pinned", ADA, "valid"), ("pinned-to-another", ALICE, "invalid")] {
        let fingerprint = enrolment(key, "").fingerprint();
        for (kind, file) in [
            ("receipt", domain::canonical::write(&scene.receipt()).unwrap()),
            ("cases", Pack::cases(&scene).bytes()),
            ("period", Pack::period(&scene, 0, scene.log.len()).bytes()),
        ] {
            set.add(&format!("{kind}-bootstrap-key-{name}"), file, verdict);
            set.0.last_mut().unwrap().bootstrap = Some(fingerprint.clone());
        }
    }
}
