//! Keys, and who signed for them: each enrolment as a log could tell it whose holder lies but cannot sign as others.

use domain::directory::{DirectoryEvent, Passkey};
use domain::id::PersonId;
use domain::requirement::Separation;
use domain::statement::Verdict;

use crate::pack::{Pack, withhold};
use crate::scene::*;
use crate::vectors::{Set, one};

/// Eve's key is enrolled as the test says, and she approves and is counted.
fn approved_by_eve(scene: &mut Scene) {
    scene.join(EVE, "dba");
    scene.request();
    scene.review(EVE, Verdict::Approve);
    scene.redeem(&[EVE]);
    scene.finish();
}

/// The person whose key it is all about.
const EVE: u8 = 5;

fn hers() -> DirectoryEvent {
    enrolled(EVE, "her key")
}

/// A log in which Ada administers and Eve is known.
fn with_eve() -> Scene {
    let mut scene = Scene::administered(draft(1, "prod"), one());
    scene.change(DirectoryEvent::PersonAdded { id: person(EVE), name: "Eve".to_owned() });
    scene
}

/// Each as a receipt, as a bundle of cases and as a whole period.
pub(crate) fn every_way(set: &mut Set, name: &str, scene: &Scene, verdicts: [&'static str; 2]) {
    set.scene(&format!("key-{name}"), scene, verdicts[0]);
    set.add(&format!("cases-key-{name}"), Pack::cases(scene).bytes(), verdicts[1]);
    set.add(&format!("period-key-{name}"), Pack::period(scene, 0, scene.log.len()).bytes(), verdicts[1]);
}

pub(crate) fn countersigned_keys(set: &mut Set) {
    let (valid, invalid) = (["valid"; 2], ["invalid"; 2]);
    let under = |case: &Countersign, signed: &DirectoryEvent, made: DirectoryEvent, by: Option<PersonId>| {
        let mut scene = with_eve();
        scene.change(DirectoryEvent::PersonAdded { id: person(ALICE), name: "Alice".to_owned() });
        scene.enrol(ALICE);
        scene.join(ALICE, "dba");
        let id = scene.countersign(case, signed);
        scene.change_under(made, by, Some(id));
        approved_by_eve(&mut scene);
        scene
    };
    let eve = Some(person(EVE));
    let good = Countersign::of(EVE);
    every_way(set, "countersigned", &under(&good, &hers(), hers(), eve), valid);

    // Nobody signed for it: once with an administrator's name beside it, once as if it were the first key.
    for (name, by) in [("not-countersigned", Some(person(ADA))), ("of-a-second-bootstrap", None)] {
        let mut scene = with_eve();
        scene.change_under(hers(), by, None);
        approved_by_eve(&mut scene);
        every_way(set, name, &scene, invalid);
    }
    let mut scene = Scene::of(draft(1, "prod"), one());
    scene.change_under(hers(), Some(person(ADA)), None);
    approved_by_eve(&mut scene);
    every_way(set, "not-countersigned-and-the-first", &scene, invalid);

    // Alice reviews, and is no administrator: under her own group, and under one that she is not in.
    for (name, group) in [("by-no-administrator", "dba"), ("by-who-says-to-be-one", "admins")] {
        let case = Countersign { by: ALICE, group, ..Countersign::of(EVE) };
        let mut scene = under(&case, &hers(), hers(), eve);
        if group == "admins" {
            scene = with_eve();
            scene.enrol(ALICE);
            scene.join(ALICE, "admins");
            scene.leave(ALICE, "admins");
            let id = scene.countersign(&case, &hers());
            scene.change_under(hers(), eve, Some(id));
            approved_by_eve(&mut scene);
        }
        every_way(set, &format!("countersigned-{name}"), &scene, invalid);
    }

    // Ada signs for a further key of her own: alone where there is nobody else, and not otherwise.
    let further = Passkey { credential_id: credential(EVE), ..enrolment(EVE, "a second key") };
    let further = DirectoryEvent::KeyEnrolled { person: person(ADA), key: further };
    for (name, caller, separation, verdict) in [
        ("by-its-owner", ADA, Separation::Full, invalid),
        ("by-its-owner-for-somebody-else", SAM, Separation::Full, invalid),
        ("by-its-owner-alone", ADA, Separation::None, valid),
    ] {
        let mut scene = with_eve();
        let case = Countersign { separation, ..Countersign::of(caller) };
        let id = scene.countersign(&case, &further);
        scene.change_under(further.clone(), Some(person(ADA)), Some(id));
        scene.join(ADA, "dba");
        scene.request();
        let ada = |s: &mut domain::statement::Statement| s.reviewer = person(ADA);
        scene.review_with(ADA, Verdict::Approve, ada, &Hand::of(EVE));
        scene.redeem(&[ADA]);
        every_way(set, &format!("countersigned-{name}"), &scene, verdict);
    }

    // What was signed is another change than the one that was made.
    let others = [
        ("another-key", enrolled(ALICE, "her key")),
        (
            "another-owner",
            DirectoryEvent::KeyEnrolled { person: person(SAM), key: enrolment(EVE, "her key") },
        ),
        ("another-label", enrolled(EVE, "another label")),
        ("a-revocation", DirectoryEvent::KeyRevoked { person: person(EVE), credential_id: credential(EVE) }),
    ];
    for (name, signed) in others {
        every_way(set, &format!("countersigned-as-{name}"), &under(&good, &signed, hers(), eve), invalid);
    }

    // The approval is not there yet, is over, or was spent before.
    for (name, until) in [("requested-only", 1), ("approved-and-not-run", 2), ("after-its-end", 4)] {
        let case = Countersign { until, ..Countersign::of(EVE) };
        every_way(set, &format!("countersigned-{name}"), &under(&case, &hers(), hers(), eve), invalid);
    }
    let mut scene = with_eve();
    let id = scene.countersign(&good, &hers());
    scene.change_under(hers(), eve, Some(id));
    scene.change(DirectoryEvent::KeyRevoked { person: person(EVE), credential_id: credential(EVE) });
    scene.change_under(hers(), eve, Some(id));
    approved_by_eve(&mut scene);
    every_way(set, "countersigned-once-and-enrolled-twice", &scene, invalid);

    // Another kind of change: a receipt passes over its case, a bundle replays it.
    let case = Countersign { verb: "config.group", ..Countersign::of(EVE) };
    let scene = under(&case, &hers(), hers(), eve);
    set.add("cases-key-countersigned-under-another-verb", Pack::cases(&scene).bytes(), "invalid");

    withheld(set, &under(&good, &hers(), hers(), eve));
    deeper(set);
}

/// What shows who signed is left out, or a part of it.
fn withheld(set: &mut Set, scene: &Scene) {
    // The case of Eve's key: Alice's stands before it.
    let request = *scene.keys.keys().next_back().unwrap();
    let case = request..request + 3;
    let mut receipt = scene.receipt();
    receipt.entries.retain(|entry| !case.contains(&usize::try_from(entry.index).unwrap()));
    receipt.keys.pop();
    set.receipt("key-case-not-shown", &receipt, "indeterminate");
    let pack = Pack::cases(scene).with(|p| {
        p.entries.retain(|line| !case.contains(&usize::try_from(line.entry.index).unwrap()));
    });
    set.add("cases-key-case-not-shown", pack.bytes(), "indeterminate");

    for (name, place) in [("request", 0), ("review", 1), ("run", 2)] {
        let mut receipt = scene.receipt();
        let index = (request + place) as u64;
        let entry = receipt.entries.iter_mut().find(|entry| entry.index == index).unwrap();
        entry.fields.iter_mut().for_each(withhold);
        if name == "request" {
            receipt.keys.pop();
        }
        set.receipt(&format!("key-case-{name}-withheld"), &receipt, "indeterminate");
        let mut receipt = scene.receipt();
        receipt.entries.retain(|entry| entry.index != index);
        set.receipt(&format!("key-case-{name}-missing"), &receipt, "invalid");
    }
    let mut receipt = scene.receipt();
    receipt.keys.iter_mut().flat_map(|key| &mut key.payload).for_each(withhold);
    set.receipt("key-payload-withheld", &receipt, "indeterminate");
    receipt.keys.clear();
    set.receipt("key-payload-not-told", &receipt, "indeterminate");
    for (name, index) in [("of-a-review", request + 1), ("of-an-entry-that-is-not-there", 10_000)] {
        let mut receipt = scene.receipt();
        receipt.keys.last_mut().unwrap().entry = index as u64;
        set.receipt(&format!("key-payload-{name}"), &receipt, "invalid");
    }
    let mut receipt = scene.receipt();
    receipt.keys.reverse();
    set.receipt("key-payloads-swapped", &receipt, "invalid");
    let mut receipt = scene.receipt();
    receipt.keys[0].payload = receipt.keys[1].payload.clone();
    set.receipt("key-payload-of-another", &receipt, "invalid");
}

/// Ada signs for Alice, who becomes an administrator and signs for Eve.
fn deeper(set: &mut Set) {
    let mut scene = with_eve();
    scene.enrol(ALICE);
    scene.join(ALICE, "admins");
    let id = scene.countersign(&Countersign { by: ALICE, ..Countersign::of(EVE) }, &hers());
    scene.change_under(hers(), Some(person(EVE)), Some(id));
    approved_by_eve(&mut scene);
    every_way(set, "countersigned-by-the-second-administrator", &scene, ["valid"; 2]);
    let mut receipt = scene.receipt();
    let first = usize::try_from(receipt.keys[0].entry).unwrap();
    receipt.entries.retain(|entry| !(first..first + 3).contains(&usize::try_from(entry.index).unwrap()));
    receipt.keys.remove(0);
    set.receipt("key-case-of-the-signers-key-not-shown", &receipt, "indeterminate");
    // The second administrator's own key was signed for by nobody.
    let mut scene = with_eve();
    scene.change_under(enrolled(ALICE, "a key"), Some(person(ADA)), None);
    scene.join(ALICE, "admins");
    let id = scene.countersign(&Countersign { by: ALICE, ..Countersign::of(EVE) }, &hers());
    scene.change_under(hers(), Some(person(EVE)), Some(id));
    approved_by_eve(&mut scene);
    every_way(set, "countersigned-by-who-was-not", &scene, ["invalid"; 2]);
}
