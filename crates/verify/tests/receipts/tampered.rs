//! Good receipts with their parts moved about.

use domain::commitment::{Disclosure, Field};
use domain::digest::Blob;
use domain::receipt::Receipt;
use domain::statement::Verdict;

use crate::scene::*;

fn spoilt(change: impl FnOnce(&mut Receipt), why: &str) {
    let mut receipt = ran().receipt();
    change(&mut receipt);
    refused(&receipt, why);
}

fn refused(receipt: &Receipt, why: &str) {
    let report = verified(receipt);
    assert_eq!(report.verdict, verify::Verdict::Invalid, "{report}");
    assert!(
        report.reasons.iter().any(|reason| reason.contains(why)),
        "`{why}` is not among {:#?}",
        report.reasons
    );
}

#[test]
fn proofs_and_places() {
    let not_proven = "not proven to be in the log";
    spoilt(
        |r| {
            let proof = r.entries[BASE].proof.clone();
            r.entries[BASE].proof = r.entries[BASE + 1].proof.clone();
            r.entries[BASE + 1].proof = proof;
        },
        not_proven,
    );
    spoilt(
        |r| {
            r.entries[BASE + 3].proof.pop();
        },
        not_proven,
    );
    spoilt(|r| r.entries[BASE + 3].proof.push(Blob(vec![0; 32])), not_proven);
    spoilt(|r| r.entries[BASE + 3].proof.reverse(), not_proven);
    spoilt(|r| r.entries[BASE + 3].proof[0] = Blob(vec![0; 31]), "its proof");
    spoilt(|r| r.entries[BASE + 3].proof.clear(), not_proven);
    spoilt(|r| r.entries[BASE + 3].index += 1, not_proven);
    spoilt(|r| r.entries[BASE + 3].index = 1 << 40, not_proven);
    spoilt(|r| r.entries.swap(BASE + 4, BASE + 5), "indices rise");
    spoilt(|r| r.entries.reverse(), "indices rise");
    spoilt(
        |r| {
            let again = r.entries[BASE + 9].clone();
            r.entries.insert(BASE + 9, again);
        },
        "indices rise",
    );
}

#[test]
fn leaves_and_fields() {
    spoilt(|r| r.entries[BASE + 9].leaf = r.entries[BASE + 8].leaf.clone(), "not proven to be in the log");
    spoilt(
        |r| r.entries[BASE + 9].fields = r.entries[BASE + 7].fields.clone(),
        "not those that its leaf commits to",
    );
    spoilt(|r| r.entries[BASE + 9].fields.clear(), "shows 0 fields where its leaf counts 1");
    spoilt(
        |r| {
            let more = r.entries[BASE + 9].fields[0].clone();
            r.entries[BASE + 9].fields.push(more);
        },
        "shows 2 fields where its leaf counts 1",
    );
    spoilt(|r| r.entries[BASE + 8].fields.reverse(), "field");
    let value = |r: &mut Receipt, change: fn(&mut Field)| {
        let Disclosure::Open(field) = &mut r.entries[BASE + 9].fields[0] else { panic!("open") };
        change(field);
    };
    spoilt(|r| value(r, |field| field.value.0.push(b' ')), "not those that its leaf commits to");
    spoilt(|r| value(r, |field| field.salt.0[0] ^= 1), "not those that its leaf commits to");
    spoilt(|r| value(r, |field| field.salt.0.push(0)), "32 bytes are expected");
    spoilt(|r| value(r, |field| field.path.push('s')), "not those that its leaf commits to");
}

#[test]
fn payload() {
    let why = "the payload";
    spoilt(
        |r| {
            r.payload.pop();
        },
        why,
    );
    spoilt(|r| r.payload.reverse(), why);
    spoilt(|r| r.payload.clear(), why);
    spoilt(|r| r.payload.push(Disclosure::Open(Field::new("x", [0; 32], *b""))), why);
    let value = |r: &mut Receipt, change: fn(&mut Field)| {
        let Disclosure::Open(field) = &mut r.payload[0] else { panic!("open") };
        change(field);
    };
    spoilt(|r| value(r, |field| field.value.0[0] ^= 1), why);
    spoilt(|r| value(r, |field| field.salt.0[0] ^= 1), why);
    spoilt(|r| value(r, |field| field.path.push('x')), why);
}

#[test]
fn checkpoints_and_origins() {
    let scene = ran();
    // Another key under the same name; another log's key; another log altogether.
    refused(&scene.receipt_signed(&log_key(ORIGIN, 2)), "no known key signed");
    refused(&scene.receipt_signed(&log_key("other.example/log", 1)), "no known key signed");
    let other = verify::Trust::in_log(audit::NoteSigner::verifier(&log_key("other.example/log", 1)).clone());
    let bytes = domain::canonical::write(&scene.receipt()).unwrap();
    let report = verify::verify_receipt(&bytes, &other);
    assert_eq!(report.verdict, verify::Verdict::Invalid);
    assert!(report.reasons[0].contains("it is of the log"), "{report}");
    spoilt(|r| r.origin = "other.example/log".parse().unwrap(), "it is of the log `other.example/log`");
    spoilt(|r| r.checkpoint = r.checkpoint.replacen("28\n", "27\n", 1), "does not verify");
    spoilt(|r| r.checkpoint.push_str("more"), "the checkpoint");
    spoilt(|r| r.checkpoint.clear(), "the checkpoint");
    // The checkpoint of an earlier, smaller tree, honestly signed.
    let mut earlier = ran();
    earlier.log.truncate(BASE + 12);
    earlier.told.retain(|at| *at < BASE + 12);
    spoilt(|r| r.checkpoint = earlier.receipt().checkpoint, "not proven to be in the log");
    // The trusted key, under the trusted name, signed a checkpoint whose origin line is another's.
    let name = |line: &str| {
        audit::Note::sign(format!("{line}\n1\n{}\n", audit::leaf_hash(b"")), &[&log_key(ORIGIN, 1)])
    };
    spoilt(|r| r.checkpoint = name("other.example/log").unwrap().to_string(), "belongs to another log");
}

#[test]
fn another_case() {
    // The whole receipt is honest, but under another approval's id.
    let other = domain::id::ActionId::from_uuid(grant().uuid());
    spoilt(|r| r.approval = other, "the request is missing");

    // The entries of two cases of one log: a review of the other one does not pass for this one's.
    let mut scene = Scene::staffed(draft(1, "prod"), requirement(&[(1, "dba")]));
    scene.request();
    let first = scene.action.clone();
    scene.action = domain::action::Action::seal(draft(2, "prod")).unwrap();
    scene.standing =
        evaluation(&scene.action, domain::evaluation::Decision::NeedsReview(requirement(&[(1, "dba")])));
    scene.request();
    scene.review(ALICE, Verdict::Approve);
    scene.redeem(&[ALICE]);
    assert_eq!(
        verified(&scene.receipt()).verdict,
        verify::Verdict::Valid,
        "the second case, with entries of the first"
    );
    scene.action = first;
    let report = verified(&scene.receipt());
    assert_eq!(report.summary.unwrap().state, verify::report::State::Pending, "the first case has not moved");

    // The other case's signed review, logged under this case.
    let mut theirs = Scene::staffed(draft(2, "prod"), requirement(&[(1, "dba")]));
    let statement = theirs.statement(ALICE, Verdict::Approve);
    let review = Hand::of(ALICE).sign(&statement.write().unwrap());
    let mut scene = Scene::staffed(draft(1, "prod"), requirement(&[(1, "dba")]));
    scene.request();
    scene.event(&domain::event::Event::Reviewed { review });
    refused(&scene.receipt(), "the review is of another action");
}

#[test]
fn the_file_itself() {
    let bytes = domain::canonical::write(&ran().receipt()).unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    for (changed, why) in [
        (text.replacen("\"v\":1}", "\"v\":2}", 1), "version 2"),
        (text.replacen("\"v\":1}", "\"v\":1,\"v\":1}", 1), "stands twice"),
        (text.replacen("\"index\":", "\"index\":0,\"index\":", 1), "stands twice"),
        (text.replacen("\"v\":1}", "\"v\":1,\"note\":\"trust me\"}", 1), "unknown field"),
        (text.replacen("\"index\":", "\"hint\":0,\"index\":", 1), "unknown field"),
        (text.replacen("\"index\":1,", "\"index\":1.0,", 1), "not an integer"),
        (text.replacen("\"v\":1}", "\"v\":1} {}", 1), "trailing"),
        (text.replacen("\"payload\"", "\"payloads\"", 1), "cannot be read"),
        (String::new(), "cannot be read"),
        ("[]".to_owned(), "cannot be read"),
        (" ".repeat(domain::canonical::RECORD_LIMIT_BYTES + 1), "the limit is"),
    ] {
        assert_ne!(changed, text);
        let report = verify::verify_receipt(changed.as_bytes(), &trust());
        assert_eq!(report.verdict, verify::Verdict::Invalid);
        assert!(report.reasons[0].contains(why), "{why}: {:?}", report.reasons);
    }
}
