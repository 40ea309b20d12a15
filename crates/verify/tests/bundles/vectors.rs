//! The shared set: files, what is trusted, and the verdict that every verifier must come to.

use audit::{CosignatureTime, Ed25519Signer, NoteSigner as _, SignedCheckpoint, WitnessSigner};
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
use verify::bundle::manifest::{LeafLine, RotationLine};

use crate::countersigned::countersigned_keys;
use crate::pack::{Pack, entry_line, lines, tarred, withhold};
use crate::reviews::{lying_reviews, other_keys};
use crate::scene::*;

/// One file of the set.
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) file: Vec<u8>,
    /// The trust file.
    pub(crate) trust: String,
    pub(crate) rp_id: Option<&'static str>,
    pub(crate) web_origin: Option<&'static str>,
    pub(crate) verdict: &'static str,
}

/// The whole set.
pub(crate) fn all() -> Vec<Vector> {
    let mut set = Set(Vec::new());
    good_receipts(&mut set);
    broken_receipts(&mut set);
    other_keys(&mut set);
    countersigned_keys(&mut set);
    cases(&mut set);
    witnesses(&mut set);
    rotations(&mut set);
    periods(&mut set);
    archives(&mut set);
    set.0
}

pub(crate) struct Set(Vec<Vector>);

impl Set {
    pub(crate) fn add(&mut self, name: &str, file: Vec<u8>, verdict: &'static str) {
        self.trusting(name, file, &key_file(1), verdict);
    }

    fn trusting(&mut self, name: &str, file: Vec<u8>, trust: &str, verdict: &'static str) {
        let (name, trust) = (name.to_owned(), trust.to_owned());
        self.0.push(Vector { name, file, trust, rp_id: None, web_origin: None, verdict });
    }

    pub(crate) fn receipt(&mut self, name: &str, receipt: &Receipt, verdict: &'static str) {
        self.add(&format!("receipt-{name}"), canonical::write(receipt).unwrap(), verdict);
    }

    pub(crate) fn scene(&mut self, name: &str, scene: &Scene, verdict: &'static str) {
        self.receipt(name, &scene.receipt(), verdict);
    }
}

fn key_file(seed: u8) -> String {
    format!("{}\n", log_key(ORIGIN, seed).verifier())
}

pub(crate) fn held(requirement: Requirement) -> Scene {
    let mut scene = Scene::staffed(draft(1, "prod"), requirement);
    scene.request();
    scene
}

pub(crate) fn one() -> Requirement {
    requirement(&[(1, "dba")])
}

/// Two of `dba`, or by break-glass one of `oncall`; in solo evaluation, which does not reach so far.
pub(crate) fn glass() -> Requirement {
    let mut requirement = requirement(&[(2, "dba")]);
    requirement.separation = Separation::None;
    requirement.assurance = domain::requirement::Assurance::Chat;
    let glass = domain::requirement::Quorum::break_glass("oncall".parse().unwrap());
    requirement.holds.iter_mut().for_each(|hold| hold.any_of.push(glass.clone()));
    requirement
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

/// Two cases in one log: one ran, one was denied.
fn two() -> Scene {
    let mut scene = held(one());
    scene.review(ALICE, Verdict::Approve);
    scene.redeem(&[ALICE]);
    scene.finish();
    scene.untold(Kind::Heartbeat);
    scene.another(draft(2, "prod"), one());
    scene.request();
    scene.review(BOB, Verdict::Deny);
    scene.untold(Kind::Heartbeat);
    scene
}

/// The smallest bundle of a case that ran.
pub(crate) fn small_cases() -> Vec<u8> {
    Pack::cases(&small()).bytes()
}

/// The smallest bundle of a period: its cases began before it.
pub(crate) fn small_period() -> Vec<u8> {
    let scene = small();
    Pack::period(&scene, 4, scene.log.len()).bytes()
}

fn small() -> Scene {
    let mut scene = Scene::of(draft(1, "prod"), one());
    scene.enrol(ALICE);
    scene.join(ALICE, "dba");
    scene.request();
    scene.review(ALICE, Verdict::Approve);
    scene.redeem(&[ALICE]);
    scene.finish();
    scene
}

fn good_receipts(set: &mut Set) {
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

fn broken_receipts(set: &mut Set) {
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

fn cases(set: &mut Set) {
    let scene = two();
    let pack = Pack::cases(&scene);
    let mut add = |name: &str, verdict, change: &dyn Fn(&mut Pack)| {
        set.add(&format!("cases-{name}"), pack.clone().with(change).bytes(), verdict);
    };
    add("two", "valid", &|_| {});
    add("payload-not-told", "valid", &|p| {
        p.entries.iter_mut().skip(BASE).for_each(|line| line.payload = None);
    });
    add("payload-withheld", "valid", &|p| {
        p.entries.iter_mut().skip(BASE).flat_map(|line| &mut line.payload).flatten().for_each(withhold)
    });
    add("key-payload-not-told", "indeterminate", &|p| {
        p.entries.iter_mut().for_each(|line| line.payload = None);
    });
    add("key-payload-withheld", "indeterminate", &|p| {
        p.entries.iter_mut().flat_map(|line| &mut line.payload).flatten().for_each(withhold)
    });
    add("entry-missing", "invalid", &|p| p.entries.retain(|line| line.entry.index != AT + 11));
    add("entry-twice", "invalid", &|p| p.entries.insert(BASE + 3, p.entries[BASE + 3].clone()));
    add("entries-swapped", "invalid", &|p| p.entries.swap(BASE + 4, BASE + 5));
    add("proofs-swapped", "invalid", &|p| {
        let proof = p.entries[BASE].entry.proof.clone();
        p.entries[BASE].entry.proof = std::mem::replace(&mut p.entries[BASE + 1].entry.proof, proof);
    });
    add("enrolment-missing", "indeterminate", &|p| p.entries.retain(|line| line.entry.index != AT + 4));
    add("review-withheld", "indeterminate", &|p| {
        p.entries[BASE + 9].entry.fields.iter_mut().for_each(withhold)
    });
    add("payload-of-no-request", "invalid", &|p| p.entries[BASE + 9].payload = Some(open_payload()));
    add("payload-changed", "invalid", &|p| {
        for line in &mut p.entries {
            line.payload.iter_mut().for_each(|payload| payload.reverse());
        }
    });
    add("entries-miscounted", "invalid", &|p| p.counted.0 = 1);
    add("cases-miscounted", "invalid", &|p| p.counted.1 = -1);
    add("of-another-origin", "invalid", &|p| p.origin = "other.example/log".parse().unwrap());
    add("of-an-unknown-kind", "invalid", &|p| p.kind = "all");
    add("without-cases", "valid", &|p| p.entries.retain(|line| line.entry.index < AT + 10));
    add("without-entries", "valid", &|p| p.entries.clear());
    let lying = {
        let mut scene = two();
        scene.another(draft(3, "prod"), one());
        scene.request();
        scene.redeem(&[]);
        scene
    };
    add("one-does-not-hold", "invalid", &|p| *p = Pack::cases(&lying));
    let other = format!("{}\n", log_key("other.example/log", 1).verifier());
    set.trusting("cases-under-another-log", pack.bytes(), &other, "invalid");
}

fn witness(n: u8) -> WitnessSigner {
    WitnessSigner::new(format!("witness-{n}.example/w").parse().unwrap(), &[n + 100; 32])
}

fn policy(quorum: &str) -> String {
    let mut text = format!("# whom the tests trust\nlog {}\n", log_key(ORIGIN, 1).verifier());
    for n in 1..=3 {
        text.push_str(&format!("witness w{n} {}\n", witness(n).key()));
    }
    text + "group two 2 w1 w2 w3\nquorum " + quorum + "\n"
}

fn cosigned(mut checkpoint: SignedCheckpoint, by: &[u8]) -> SignedCheckpoint {
    for n in by {
        let time = CosignatureTime::new(1_767_230_000 + u64::from(*n)).unwrap();
        let line = witness(*n).cosign(&checkpoint, time).unwrap();
        checkpoint.attach(&line, witness(*n).key()).unwrap();
    }
    checkpoint
}

fn witnesses(set: &mut Set) {
    let scene = two();
    let (size, key) = (scene.log.len(), log_key(ORIGIN, 1));
    let pack = Pack::cases(&scene);
    let note = |by: &[u8]| cosigned(scene.checkpoint(size, &key), by).note().to_string();
    let mut add = |name: &str, note: String, quorum: &str, verdict| {
        let bytes = pack.clone().with(|p| p.checkpoint = note).bytes();
        set.trusting(&format!("cases-{name}"), bytes, &policy(quorum), verdict);
    };
    add("cosigned-by-two-of-three", note(&[1, 3]), "two", "valid");
    add("cosigned-by-one-of-three", note(&[2]), "two", "indeterminate");
    add("cosigned-by-nobody", note(&[]), "two", "indeterminate");
    add("cosigned-by-the-one", note(&[1]), "w1", "valid");
    add("cosigned-by-another-than-the-one", note(&[2]), "w1", "indeterminate");
    add("cosigned-by-nobody-and-nobody-asked", note(&[]), "none", "valid");
    add("cosigned-by-a-stranger-too", note(&[1, 2, 9]), "two", "valid");
    // A good cosignature, of another checkpoint of the same log.
    let earlier = cosigned(scene.checkpoint(size - 1, &key), &[1, 2]).note().to_string();
    let lines: Vec<_> = earlier.lines().filter(|line| line.starts_with("\u{2014} witness")).collect();
    add("cosignatures-of-another-checkpoint", note(&[]) + &lines.join("\n") + "\n", "two", "invalid");
    let spliced = note(&[1]) + lines[1] + "\n";
    add("one-cosignature-of-another-checkpoint", spliced, "two", "invalid");
    // One witness's signature under another's name.
    let one = note(&[1]);
    let line = one.lines().last().unwrap();
    let renamed = one.clone() + &line.replace("witness-1", "witness-2") + "\n";
    add("cosignature-renamed", renamed, "two", "indeterminate");
    let receipt = canonical::write(&Receipt { checkpoint: note(&[1, 2]), ..scene.receipt() }).unwrap();
    set.trusting("receipt-cosigned", receipt, &policy("two"), "valid");
    let receipt = canonical::write(&scene.receipt()).unwrap();
    set.trusting("receipt-not-cosigned", receipt, &policy("two"), "indeterminate");
}

/// A log whose key changed twice, and what a verifier is given to follow.
fn rotations(set: &mut Set) {
    let mut scene = two();
    let keys = [1, 2, 3].map(|seed| log_key(ORIGIN, seed));
    let mut places = Vec::new();
    for (old, new) in [(0, 1), (1, 2)] {
        places.push(rotate(&mut scene, &keys[old], &keys[new]));
        scene.told.pop();
        scene.untold(Kind::Heartbeat);
    }
    let size = scene.log.len();
    let line = |at: usize, key: &Ed25519Signer| RotationLine {
        checkpoint: scene.checkpoint(at + 1, key).note().to_string(),
        entry: scene.entry(at, at + 1),
        consistency: blobs(&consistency(at + 1, &scene.hashes(size), true)),
    };
    let pack = Pack {
        checkpoint: scene.checkpoint(size, &keys[2]).note().to_string(),
        keys: vec![line(places[0], &keys[0]), line(places[1], &keys[1])],
        ..Pack::cases(&scene)
    };
    let mut add = |name: &str, seed: u8, verdict, change: &dyn Fn(&mut Pack)| {
        set.trusting(
            &format!("cases-key-{name}"),
            pack.clone().with(change).bytes(),
            &key_file(seed),
            verdict,
        );
    };
    add("changed-and-followed", 1, "valid", &|_| {});
    add("changed-and-followed-from-the-middle", 2, "valid", &|_| {});
    add("changed-and-the-newest-trusted", 3, "valid", &|_| {});
    add("changed-and-nobody-trusted", 4, "invalid", &|_| {});
    add("changed-and-not-told", 1, "invalid", &|p| p.keys.clear());
    add("changed-and-told-by-half", 1, "invalid", &|p| p.keys.truncate(1));
    add("changed-in-another-order", 1, "invalid", &|p| p.keys.reverse());
    add("used-after-its-change", 1, "invalid", &|p| {
        p.checkpoint = scene.checkpoint(size, &keys[0]).note().to_string();
    });
    add("change-signed-by-the-new-one", 1, "invalid", &|p| p.keys[0] = line(places[0], &keys[1]));
    add("change-withheld", 1, "invalid", &|p| p.keys[0].entry.fields.iter_mut().for_each(withhold));
    add("change-without-consistency", 1, "invalid", &|p| p.keys[0].consistency.clear());
    add("change-is-another-entry", 1, "invalid", &|p| p.keys[0] = line(places[0] - 1, &keys[0]));
    // The old key's holder signs a tree of their own, in which the log goes to their own new key.
    let mut fork = two();
    let mine = log_key(ORIGIN, 66);
    let place = rotate(&mut fork, &keys[0], &mine);
    let forged = RotationLine {
        checkpoint: fork.checkpoint(place + 1, &keys[0]).note().to_string(),
        entry: fork.entry(place, place + 1),
        consistency: blobs(&consistency(place + 1, &scene.hashes(size), true)),
    };
    add("changed-in-a-fork", 1, "invalid", &|p| {
        p.keys = vec![forged.clone()];
        p.checkpoint = scene.checkpoint(size, &mine).note().to_string();
    });
}

fn rotate(scene: &mut Scene, old: &Ed25519Signer, new: &Ed25519Signer) -> usize {
    scene.write(entry::Draft {
        kind: Kind::Rotation,
        subject: None,
        fields: vec![
            ("new".to_owned(), new.verifier().to_string().into_bytes()),
            ("old".to_owned(), old.verifier().to_string().into_bytes()),
            ("reason".to_owned(), b"yearly".to_vec()),
        ],
    })
}

fn periods(set: &mut Set) {
    let scene = two();
    let size = scene.log.len();
    let whole = Pack::period(&scene, 0, size);
    let part = Pack::period(&scene, BASE + 13, size - 2);
    let mut add = |name: &str, pack: Pack, verdict| set.add(&format!("period-{name}"), pack.bytes(), verdict);
    add("whole", whole.clone(), "valid");
    add("of-one-entry", Pack::period(&scene, BASE + 5, BASE + 6), "valid");
    add("that-begins-within-a-case", part.clone(), "valid");
    add(
        "whose-cases-begin-before-it",
        part.clone().with(|p| p.entries.retain(|line| line.entry.index != AT + 10)),
        "indeterminate",
    );
    add("leaf-dropped", whole.clone().with(|p| drop(p.leaves.remove(BASE + 12))), "invalid");
    add(
        "leaf-dropped-and-counted",
        whole.clone().with(|p| {
            p.leaves.remove(BASE + 12);
            p.period.iter_mut().for_each(|period| period.end -= 1);
        }),
        "invalid",
    );
    add("last-leaf-dropped", whole.clone().with(|p| drop(p.leaves.pop())), "invalid");
    add("leaves-swapped", whole.clone().with(|p| p.leaves.swap(BASE + 1, BASE + 2)), "invalid");
    add(
        "leaf-twice",
        whole.clone().with(|p| p.leaves.insert(BASE + 2, p.leaves[BASE + 2].clone())),
        "invalid",
    );
    add(
        "leaf-of-another",
        whole.clone().with(|p| p.leaves[BASE + 9].leaf = p.leaves[BASE + 8].leaf.clone()),
        "invalid",
    );
    add(
        "fields-of-another",
        whole.clone().with(|p| p.leaves[BASE + 12].fields = p.leaves[BASE + 11].fields.clone()),
        "invalid",
    );
    add(
        "fields-not-told",
        whole.clone().with(|p| {
            for line in &mut p.leaves {
                (line.fields, line.payload) = (None, None);
            }
        }),
        "indeterminate",
    );
    add("heartbeats-not-told", whole.clone().with(|p| p.leaves[BASE + 9].fields = None), "valid");
    add("leaf-pruned", whole.clone().with(|p| prune(&scene, p, BASE + 9)), "indeterminate");
    add("request-pruned", whole.clone().with(|p| prune(&scene, p, BASE + 10)), "indeterminate");
    add("review-pruned", whole.clone().with(|p| prune(&scene, p, BASE + 11)), "invalid");
    add(
        "leaf-pruned-to-another-hash",
        whole.clone().with(|p| prune_as(&scene, p, BASE + 9, BASE + 8)),
        "invalid",
    );
    add(
        "leaf-and-hash",
        whole.clone().with(|p| p.leaves[BASE + 9].hash = Some(Blob(vec![0; 32]))),
        "invalid",
    );
    add("neither-leaf-nor-hash", whole.clone().with(|p| p.leaves[BASE + 9].leaf = None), "invalid");
    add(
        "other-consistency",
        part.clone().with(|p| {
            p.period.iter_mut().for_each(|period| period.consistency.push(Blob(vec![0; 32])));
        }),
        "invalid",
    );
    add(
        "other-frontier",
        part.clone().with(|p| {
            p.period.iter_mut().for_each(|period| period.frontier.reverse());
        }),
        "invalid",
    );
    add(
        "frontier-too-long",
        part.clone().with(|p| {
            p.period.iter_mut().for_each(|period| period.frontier.push(Blob(vec![0; 32])));
        }),
        "invalid",
    );
    add(
        "before-of-another-size",
        part.clone().with(|p| {
            p.before = Some(scene.checkpoint(BASE + 12, &log_key(ORIGIN, 1)).note().to_string());
        }),
        "invalid",
    );
    add(
        "before-by-another-key",
        part.clone().with(|p| {
            p.before = Some(scene.checkpoint(BASE + 13, &log_key(ORIGIN, 2)).note().to_string());
        }),
        "invalid",
    );
    add("before-not-told", part.clone().with(|p| p.before = None), "valid");
    add(
        "neighbour-before-missing",
        part.clone().with(|p| p.entries.retain(|line| line.entry.index != AT + 12)),
        "invalid",
    );
    add("neighbour-behind-missing", part.clone().with(|p| drop(p.entries.pop())), "invalid");
    add(
        "no-moments-and-no-neighbours",
        part.clone().with(|p| {
            p.entries.pop();
            p.period.iter_mut().for_each(|period| (period.since, period.until) = (None, None));
        }),
        "valid",
    );
    add(
        "begins-too-late",
        part.clone().with(|p| {
            p.period.iter_mut().for_each(|period| period.since = Some(at(5)));
        }),
        "invalid",
    );
    add(
        "ends-too-early",
        part.clone().with(|p| {
            p.period.iter_mut().for_each(|period| period.until = Some(at(900)));
        }),
        "invalid",
    );
    add(
        "entry-from-within",
        part.clone().with(|p| {
            p.entries.push(entry_line(&scene, BASE + 15, size));
        }),
        "invalid",
    );
    add(
        "empty",
        part.clone().with(|p| {
            p.leaves.clear();
            p.period.iter_mut().for_each(|period| period.end = period.first);
        }),
        "invalid",
    );
    add("miscounted", part.with(|p| p.counted.0 = -1), "invalid");
    add("without-a-period", whole.clone().with(|p| p.period = None), "invalid");
    let of_cases = Pack::cases(&scene);
    add("in-a-bundle-of-cases", of_cases.with(|p| p.period = whole.period), "invalid");
}

fn prune(scene: &Scene, pack: &mut Pack, at: usize) {
    prune_as(scene, pack, at, at);
}

fn prune_as(scene: &Scene, pack: &mut Pack, at: usize, of: usize) {
    let hash = scene.hashes(of + 1)[of];
    pack.leaves[at] =
        LeafLine { leaf: None, hash: Some(Blob(hash.as_bytes().to_vec())), fields: None, payload: None };
}

/// The names and contents of an archive's files.
type Files = Vec<(String, Vec<u8>)>;

/// What is wrong with the file itself.
fn archives(set: &mut Set) {
    let pack = Pack::cases(&two());
    let files = pack.files();
    let manifest = canonical::write(&pack.manifest(&files)).unwrap();
    let mut add = |name: &str, bytes: Vec<u8>| set.add(&format!("archive-{name}"), bytes, "invalid");
    let text = String::from_utf8(manifest.clone()).unwrap();
    let spelt = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        tarred(changed.as_bytes(), &files)
    };
    add("manifest-with-white-space", spelt("{\"cases\"", "{ \"cases\""));
    add("manifest-with-a-key-twice", spelt("{\"cases\":4", "{\"cases\":4,\"cases\":4"));
    add("manifest-of-another-version", spelt("bundle/v1", "bundle/v2"));
    add("manifest-with-another-member", spelt("{\"cases\":4", "{\"a\":1,\"cases\":4"));
    add("manifest-out-of-order", spelt("{\"cases\":4,\"entries\":", "{\"entries\":"));
    add("manifest-of-an-escaped-name", spelt("\"checkpoint\"", "\"checkpoin\\u0074\""));
    let renamed = |to: &str| {
        let mut files = files.clone();
        files[1].0 = to.to_owned();
        let manifest = text.replacen("\"checkpoint\"", &format!("\"{to}\""), 1);
        tarred(manifest.as_bytes(), &files)
    };
    for (name, to) in [
        ("up", "../checkpoint"),
        ("absolute", "/checkpoint"),
        ("folder", "a/checkpoint"),
        ("dot", "./checkpoint"),
        ("unknown", "notes"),
    ] {
        add(&format!("path-{name}"), renamed(to));
    }
    let repacked = |files: &[(String, Vec<u8>)]| {
        let manifest = canonical::write(&pack.manifest(files)).unwrap();
        tarred(&manifest, files)
    };
    let changed = |change: &dyn Fn(&mut Files)| {
        let mut files = files.clone();
        change(&mut files);
        repacked(&files)
    };
    add("files-swapped", changed(&|f| f.swap(0, 1)));
    add("file-twice", changed(&|f| f.insert(1, f[1].clone())));
    add("file-missing", changed(&|f| drop(f.remove(0))));
    add("file-unknown", changed(&|f| f.push(("extra".to_owned(), b"x".to_vec()))));
    add("file-not-in-the-manifest", {
        let mut more = files.clone();
        more.push(("extra".to_owned(), b"x".to_vec()));
        tarred(&manifest, &more)
    });
    add("file-not-in-the-archive", tarred(&manifest, &files[..2]));
    add("empty-line", changed(&|f| f[2].1.insert(0, b'\n')));
    add(
        "last-line-without-its-end",
        changed(&|f| {
            let _ = f[2].1.pop();
        }),
    );
    add(
        "line-too-long",
        changed(&|f| {
            f[2].1.splice(0..0, [vec![b' '; canonical::RECORD_LIMIT_BYTES], b"{}\n".to_vec()].concat());
        }),
    );
    add("line-that-is-no-json", changed(&|f| f[2].1.splice(0..0, *b"hello\n").for_each(drop)));
    add("about-too-large", changed(&|f| f[0].1.extend(vec![b' '; 64 << 10])));
    add(
        "about-with-another-member",
        changed(&|f| f[0].1 = br#"{"made":1,"maker":"m","query":"q","who":"x"}"#.to_vec()),
    );
    add("content-changed", {
        let mut files = files.clone();
        files[0].1[3] ^= 1;
        tarred(&manifest, &files)
    });
    let bytes = tarred(&manifest, &files);
    add("cut-short", bytes[..bytes.len() - 1].to_vec());
    add("cut-to-its-manifest", bytes[..512].to_vec());
    add("goes-on", [bytes.clone(), vec![0; 512]].concat());
    add("header-of-another-owner", with_byte(&bytes, 108, b'1'));
    add("padding-not-zeros", with_byte(&bytes, 512 + manifest.len(), 1));
    add("size-in-another-base", with_byte(&bytes, 124, 0x80));
    let key_twice = String::from_utf8(lines(&pack.entries)).unwrap().replacen(
        "{\"entry\":",
        "{\"payload\":null,\"entry\":",
        1,
    );
    add("line-with-a-key-twice", changed(&|f| f[2].1 = key_twice.clone().into_bytes()));
}

fn with_byte(bytes: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    assert_ne!(changed[at], byte);
    changed[at] = byte;
    changed
}
