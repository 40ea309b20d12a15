//! Receipts, as they should be and spoilt.

use audit::NoteSigner as _;
use domain::canonical;
use domain::commitment::Disclosure;
use domain::digest::Blob;
use domain::entry::{self, Kind};
use domain::evaluation::Decision;
use domain::event::{Dismissal, Event};
use domain::outcome::Outcome;
use domain::principal::Principal;
use domain::receipt::Receipt;
use domain::requirement::{Requirement, Separation};
use domain::statement::{Statement, Verdict};

use crate::pack::withhold;
use crate::reviews::lying_reviews;
use crate::scene::*;
use crate::vectors::{Set, glass, held, one};

pub(crate) fn good_receipts(set: &mut Set) {
    type Change = fn(&mut Statement);
    set.scene("ran", &ran(), "valid");
    let mut scene = held(one());
    set.scene("pending", &scene, "valid");
    scene.review(ALICE, Verdict::Approve);
    set.scene("approved", &scene, "valid");
    scene.redeem(&[ALICE]);
    set.scene("executing", &scene, "valid");
    scene.event(&Event::Finished { outcome: Outcome::unknown("the gateway died") });
    set.scene("unknown", &scene, "valid");
    let mut scene = held(one());
    scene.review(ALICE, Verdict::Approve);
    scene.review(ALICE, Verdict::Deny);
    set.scene("denied-by-who-had-approved", &scene, "valid");
    let mut scene = held(one());
    scene.reevaluate(Decision::Deny);
    set.scene("denied-by-policy", &scene, "valid");
    let mut scene = held(one());
    scene.seconds += 1_800;
    scene.event(&Event::Expired {});
    set.scene("expired", &scene, "valid");
    let mut scene = held(one());
    scene.event(&Event::Cancelled { by: Principal::Person(person(SAM)), reason: "no need".to_owned() });
    set.scene("cancelled", &scene, "valid");
    let mut scene = held(one());
    scene.ask(BOB);
    scene.event(&Event::Withdrawn { question: question(), by: person(BOB) });
    set.scene("asked-and-withdrawn", &scene, "valid");
    let mut scene = held(one());
    scene.reevaluate(Decision::Permit);
    scene.redeem(&[]);
    set.scene("permitted-after-all", &scene, "valid");
    let mut scene = held(one());
    scene.reevaluate(Decision::NeedsReview(requirement(&[(2, "dba")])));
    scene.review(ALICE, Verdict::Approve);
    scene.review(BOB, Verdict::Approve);
    scene.redeem(&[ALICE, BOB]);
    set.scene("run-under-a-stronger-requirement", &scene, "valid");
    let solo = Requirement { separation: Separation::None, ..one() };
    let mut scene = Scene::staffed(draft(1, "staging"), solo);
    scene.enrol(SAM);
    scene.join(SAM, "dba");
    scene.request();
    scene.review(SAM, Verdict::Approve);
    scene.redeem(&[SAM]);
    set.scene("solo", &scene, "valid");
    // Alice leaves the group, her approval is dismissed, and Bob approves in her place.
    let mut scene = held(one());
    scene.review(ALICE, Verdict::Approve);
    scene.leave(ALICE, "dba");
    let why = "not-eligible".to_owned();
    scene.event(&Event::Dismissed { reviews: vec![Dismissal { reviewer: person(ALICE), why }] });
    set.scene("dismissed", &scene, "valid");
    scene.review(BOB, Verdict::Approve);
    scene.redeem(&[BOB]);
    set.scene("dismissed-and-replaced", &scene, "valid");

    let mut scene = broken(|_| {}, ALICE);
    scene.redeem(&[ALICE]);
    scene.finish();
    set.scene("glass-broken", &scene, "valid");
    let forged: [(&str, Change); 4] = [
        ("without-a-reason", |s| s.note = Some(" ".to_owned())),
        ("of-a-group-that-may-not", |s| s.group = Some("dba".parse().unwrap())),
        ("without-saying-so", |s| s.break_glass = false),
        ("too-weakly", |s| s.assurance = domain::requirement::Assurance::Chat),
    ];
    for (name, change) in forged {
        set.scene(&format!("glass-broken-{name}"), &broken(change, ALICE), "invalid");
    }
    set.scene("glass-broken-by-the-sponsor", &broken(|_| {}, SAM), "invalid");
    // One ordinary approval of two is not the one that breaks glass.
    let mut scene = held(glass());
    scene.review(ALICE, Verdict::Approve);
    scene.redeem(&[ALICE]);
    set.scene("glass-not-broken-and-run", &scene, "invalid");

    let mut receipt = ran().receipt();
    receipt.payload.iter_mut().for_each(withhold);
    set.receipt("payload-withheld", &receipt, "valid");
    set.receipt("payload-erased-with-tombstone", &erased(), "valid");
    let pretty = serde_json::to_vec_pretty(
        &canonical::read_value(&canonical::write(&ran().receipt()).unwrap()).unwrap(),
    );
    set.add("receipt-with-white-space", pretty.unwrap(), "valid");

    let bytes = canonical::write(&ran().receipt()).unwrap();
    for (name, rp_id, web_origin, verdict) in [
        ("pinned", Some(RP_ID), Some(WEB), "valid"),
        ("pinned-to-another-relying-party", Some("other.example"), None, "invalid"),
        ("pinned-to-another-web-origin", None, Some("https://other.example"), "invalid"),
    ] {
        set.add(&format!("receipt-{name}"), bytes.clone(), verdict);
        let last = set.0.last_mut().unwrap();
        (last.rp_id, last.web_origin) = (rp_id, web_origin);
    }
}

/// A finished case whose payload was erased, and the entry that says so.
fn erased() -> Receipt {
    let mut scene = ran();
    let request = scene.log.len() as u64;
    scene.write(entry::Draft {
        kind: Kind::Erasure,
        subject: Some(scene.action.id().to_string()),
        fields: vec![
            ("by".to_owned(), Principal::Person(person(9)).to_string().into_bytes()),
            ("entry".to_owned(), request.to_string().into_bytes()),
            ("paths".to_owned(), canonical::write(&["http.body"]).unwrap()),
        ],
    });
    let mut receipt = scene.receipt();
    withhold(&mut receipt.payload[0]);
    receipt
}

pub(crate) fn broken_receipts(set: &mut Set) {
    lying_reviews(set);
    let spoilt = |set: &mut Set, name: &str, verdict, change: &dyn Fn(&mut Receipt)| {
        let mut receipt = ran().receipt();
        change(&mut receipt);
        set.receipt(name, &receipt, verdict);
    };
    spoilt(set, "proofs-swapped", "invalid", &|r| {
        let proof = r.entries[BASE].proof.clone();
        r.entries[BASE].proof = std::mem::replace(&mut r.entries[BASE + 1].proof, proof);
    });
    spoilt(set, "proof-too-long", "invalid", &|r| r.entries[BASE + 3].proof.push(Blob(vec![0; 32])));
    spoilt(set, "proof-too-short", "invalid", &|r| drop(r.entries[BASE + 3].proof.pop()));
    spoilt(set, "entries-swapped", "invalid", &|r| r.entries.swap(BASE + 8, BASE + 9));
    spoilt(set, "entry-twice", "invalid", &|r| r.entries.insert(BASE + 9, r.entries[BASE + 9].clone()));
    spoilt(set, "no-entries", "invalid", &|r| r.entries.clear());
    spoilt(set, "index-moved", "invalid", &|r| r.entries[BASE + 3].index += 1);
    spoilt(set, "leaf-of-another", "invalid", &|r| {
        r.entries[BASE + 9].leaf = r.entries[BASE + 8].leaf.clone()
    });
    spoilt(set, "fields-of-another", "invalid", &|r| {
        r.entries[BASE + 9].fields = r.entries[BASE + 7].fields.clone()
    });
    spoilt(set, "payload-reordered", "invalid", &|r| r.payload.reverse());
    spoilt(set, "payload-cut", "invalid", &|r| drop(r.payload.pop()));
    spoilt(set, "payload-changed", "invalid", &|r| {
        if let Disclosure::Open(open) = &mut r.payload[0] {
            open.value.0.push(b'!');
        }
    });
    spoilt(set, "enrolment-missing", "indeterminate", &|r| r.entries.retain(|entry| entry.index != AT + 4));
    spoilt(set, "membership-missing", "indeterminate", &|r| r.entries.retain(|entry| entry.index != AT + 5));
    spoilt(set, "enrolment-withheld", "indeterminate", &|r| withhold_entry(r, AT + 4));
    spoilt(set, "request-withheld", "indeterminate", &|r| withhold_entry(r, AT + 10));
    spoilt(set, "review-withheld", "indeterminate", &|r| withhold_entry(r, AT + 13));
    spoilt(set, "request-missing", "invalid", &|r| r.entries.retain(|entry| entry.index != AT + 10));
    spoilt(set, "review-missing", "invalid", &|r| r.entries.retain(|entry| entry.index != AT + 13));
    spoilt(set, "of-another-case", "invalid", &|r| {
        r.approval = domain::id::ActionId::from_uuid(grant().uuid());
    });
    spoilt(set, "of-another-origin", "invalid", &|r| r.origin = "other.example/log".parse().unwrap());
    set.receipt("signed-by-another-key", &ran().receipt_signed(&log_key(ORIGIN, 2)), "invalid");
    let bytes = canonical::write(&ran().receipt()).unwrap();
    let other = format!("{}\n", log_key("other.example/log", 1).verifier());
    set.trusting("receipt-under-another-log", bytes.clone(), &other, "invalid");

    let text = String::from_utf8(bytes).unwrap();
    let duplicate = text.replacen("\"v\":1}", "\"v\":1,\"v\":1}", 1);
    assert_ne!(duplicate, text);
    set.add("receipt-key-twice", duplicate.into_bytes(), "invalid");
    set.add(
        "receipt-number-with-exponent",
        text.replacen("\"index\":1,", "\"index\":1e0,", 1).into_bytes(),
        "invalid",
    );
    set.add("receipt-number-minus-zero", text.replacen("\"v\":1}", "\"v\":-0}", 1).into_bytes(), "invalid");
    set.add(
        "receipt-unknown-member",
        text.replacen("\"v\":1}", "\"v\":1,\"w\":1}", 1).into_bytes(),
        "invalid",
    );
    set.add("receipt-with-more-behind", format!("{text} x").into_bytes(), "invalid");
    set.add("receipt-empty", Vec::new(), "invalid");
    set.add("receipt-nested-deep", b"[".repeat(5_000), "invalid");
    let half = text.replacen("countersign.example/log\",\"payload", "\\ud800\",\"payload", 1);
    assert_ne!(half, text);
    set.add("receipt-half-a-surrogate", half.into_bytes(), "invalid");
}

fn withhold_entry(receipt: &mut Receipt, index: u64) {
    let entry = receipt.entries.iter_mut().find(|entry| entry.index == index).unwrap();
    entry.fields.iter_mut().for_each(withhold);
}

/// A case whose glass somebody of `oncall` breaks, in a statement with this change.
fn broken(change: impl FnOnce(&mut Statement), who: u8) -> Scene {
    let mut scene = Scene::staffed(draft(1, "staging"), glass());
    if who == SAM {
        scene.enrol(SAM);
    }
    scene.join(who, "oncall");
    scene.request();
    let breaks = |s: &mut Statement| {
        (s.group, s.break_glass) = (Some("oncall".parse().unwrap()), true);
        s.note = Some("the disk is full".to_owned());
        change(s);
    };
    scene.review_with(who, Verdict::Approve, breaks, &Hand::of(who));
    scene
}
