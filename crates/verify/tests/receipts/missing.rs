//! Receipts in which something is left out or withheld: never valid, and invalid where what is left tells of
//! something that did not follow.

use domain::commitment::Disclosure;
use domain::digest::Blob;
use domain::receipt::Receipt;
use domain::statement::Verdict;
use verify::report::State;

use crate::scene::*;

fn found(receipt: &Receipt, verdict: &str, why: &str) -> verify::Report {
    let report = verified(receipt);
    assert_eq!(report.verdict.as_str(), verdict, "{report}");
    assert!(
        report.reasons.iter().any(|reason| reason.contains(why)),
        "`{why}` is not among {:#?}",
        report.reasons
    );
    report
}

/// Entries of [`ran`], behind those of [`BASE`]: 1 Sam, 2 the agent, 3 to 5 Alice (person, key, group), 6 to 8 Bob, 10 the request, 11 Bob's
/// question, 12 its answer, 13 Alice's approval, 15 Bob's, 16 the run, 17 its outcome.
fn without(index: u64) -> Receipt {
    let mut receipt = ran().receipt();
    let before = receipt.entries.len();
    receipt.entries.retain(|entry| entry.index != index);
    assert_eq!(receipt.entries.len(), before - 1);
    receipt
}

fn withheld(index: u64, which: usize) -> Receipt {
    let mut receipt = ran().receipt();
    let entry = receipt.entries.iter_mut().find(|entry| entry.index == index).unwrap();
    let Disclosure::Open(field) = entry.fields[which].clone() else { panic!("open") };
    entry.fields[which] = Disclosure::Withheld(field.commitment().unwrap());
    receipt
}

#[test]
fn an_entry_is_left_out() {
    for index in [1, 2, 3, 6].map(|at| AT + at) {
        assert_eq!(verified(&without(index)).verdict, verify::Verdict::Valid, "a name is not needed");
    }
    for (index, who) in [(4, ALICE), (7, BOB)] {
        let report = found(
            &without(AT + index),
            "indeterminate",
            &format!("no entry enrols the key of {}", person(who)),
        );
        let reviews = report.summary.as_ref().unwrap().reviews.iter();
        assert!(reviews.filter(|review| review.person == person(who)).all(|review| review.key.is_none()));
        assert!(report.render().contains("UNCHECKED"));
    }
    for (index, who) in [(5, ALICE), (8, BOB)] {
        found(
            &without(AT + index),
            "indeterminate",
            &format!("whether {} stood in the group `dba`", person(who)),
        );
    }
    found(&without(AT + 10), "invalid", "the request that it follows on is missing");
    found(&without(AT + 11), "invalid", "no such open question");
    found(&without(AT + 12), "invalid", "is pending already");
    found(&without(AT + 13), "invalid", "is pending already");
    found(&without(AT + 15), "invalid", "is pending already");
    found(&without(AT + 16), "invalid", "is approved already");
    // Nothing shows that there was more: an auditor asks the log.
    let report = verified(&without(AT + 17));
    assert_eq!((report.verdict, report.summary.unwrap().state), (verify::Verdict::Valid, State::Executing));
}

#[test]
fn an_entry_is_withheld() {
    // The sponsor's own name: nothing leans on it.
    assert_eq!(verified(&withheld(AT + 1, 0)).verdict, verify::Verdict::Valid);
    // A change of a reviewer or of the agent may be the one that speaks against a review.
    for index in [2, 3, 6].map(|at| AT + at) {
        found(&withheld(index, 0), "indeterminate", "is withheld, and may speak against a review");
    }
    for index in [4, 5, 7, 8].map(|at| AT + at) {
        found(&withheld(index, 0), "indeterminate", "no entry");
    }
    for which in [0, 1] {
        let report = found(&withheld(AT + 10, which), "indeterminate", "nobody can say what was asked");
        assert!(report.summary.is_none());
    }
    for index in [11, 12, 13, 15, 16, 17].map(|at| AT + at) {
        let why = format!("entry {index}, an event of the case, is withheld");
        let report = found(&withheld(index, 0), "indeterminate", &why);
        let summary = report.summary.unwrap();
        assert_eq!(summary.state, State::Undetermined, "nobody claims that nothing ran");
    }
}

#[test]
fn everything_is_left_out() {
    let mut receipt = ran().receipt();
    receipt.entries.retain(|entry| entry.index < AT + 10);
    found(&receipt, "invalid", "the request is missing");
    receipt.entries.clear();
    found(&receipt, "invalid", "it has no entries");
}

#[test]
fn a_denial_needs_some_group_that_was_asked() {
    let mut scene = Scene::of(draft(1, "prod"), requirement(&[(1, "dba"), (1, "dev")]));
    let key = scene.enrol(ALICE);
    let dba = scene.join(ALICE, "dba");
    let left = scene.leave(ALICE, "dev");
    scene.request();
    scene.review(ALICE, Verdict::Deny);
    let told = scene.told.clone();
    assert_eq!(verified(&scene.receipt()).verdict, verify::Verdict::Valid);
    let mut without = |gone: &[usize]| {
        scene.told = told.iter().copied().filter(|at| !gone.contains(at)).collect();
        verified(&scene.receipt()).verdict.as_str()
    };
    assert_eq!(without(&[left]), "valid");
    assert_eq!(without(&[dba]), "indeterminate");
    assert_eq!(without(&[dba, left]), "indeterminate");
    assert_eq!(without(&[key]), "indeterminate");
    let mut scene = Scene::of(draft(1, "prod"), requirement(&[(1, "dba")]));
    scene.enrol(ALICE);
    scene.leave(ALICE, "dba");
    scene.request();
    scene.review(ALICE, Verdict::Deny);
    found(&scene.receipt(), "invalid", "is not in the group");
}

#[test]
fn an_unchecked_signature_is_never_enough_for_valid() {
    // A lie that the missing enrolment hides: it passes as indeterminate, and says why.
    let mut scene = Scene::of(draft(1, "prod"), requirement(&[(1, "dba")]));
    scene.join(ALICE, "dba");
    scene.request();
    let statement = scene.statement(ALICE, Verdict::Approve);
    let mut review = Hand::of(ALICE).sign(&statement.write().unwrap());
    let domain::review::Proof::Passkey(proof) = &mut review.proof else { panic!("no passkey's") };
    proof.signature = Blob(Vec::new());
    scene.event(&domain::event::Event::Reviewed { review });
    scene.redeem(&[ALICE]);
    found(&scene.receipt(), "indeterminate", "so their signature is unchecked");
}
