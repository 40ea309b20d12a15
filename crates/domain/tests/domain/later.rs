//! The later review of broken glass: by another human, once, of exactly what happened.

use domain::Refusal;
use domain::approval::{Approval, Command};
use domain::canonical;
use domain::digest::{Blob, Digest, Purpose};
use domain::event::Event;
use domain::id::GroupName;
use domain::later::{CheckedLaterReview, End, Finding, LaterStatement, broken};
use domain::requirement::Assurance;
use domain::review::{CheckedReview, SignedReview};
use domain::statement::{NOTE_LIMIT_BYTES, Statement, Verdict};
use domain::time::Timestamp;

use crate::format::ended;
use crate::support::*;

fn check_as(
    statement: &LaterStatement,
    approval: &Approval,
    desk: &Desk,
) -> Result<CheckedLaterReview, Refusal> {
    CheckedLaterReview::check(sign_later(statement), &action("prod"), approval, &origin(), desk)
}

fn check(change: impl FnOnce(&mut LaterStatement)) -> Result<CheckedLaterReview, &'static str> {
    let (action, desk) = (action("prod"), Desk::open());
    let approval = ended(&action);
    let mut statement = later(&action, &approval, 5, group(0));
    change(&mut statement);
    check_as(&statement, &approval, &desk).map_err(|refusal| refusal.code())
}

fn look(approval: Approval, review: CheckedLaterReview) -> Result<Approval, Refusal> {
    let step = approval.handle(&Command::LookBack(review), at(60))?;
    Ok(Approval::apply(Some(approval), &step.event, at(60)).unwrap())
}

#[test]
fn broken_glass_is_looked_at_once_and_nothing_of_it_changes() {
    let approval = ended(&action("prod"));
    assert!(approval.case().awaits_later_review());
    let review = check(|said| said.finding = Finding::NotJustified).unwrap();
    let looked = look(approval.clone(), review.clone()).unwrap();
    assert_eq!((looked.word(), looked.is_terminal()), ("finished", true));
    assert_eq!(End::of(&looked), End::of(&approval));
    assert_eq!(looked.case().version, approval.case().version + 1);
    assert!(!looked.case().awaits_later_review());
    let found = looked.case().later.as_ref().unwrap();
    assert_eq!((found.statement.finding, found.at), (Finding::NotJustified, at(60)));
    // Not twice: not the same, and not another's.
    assert_eq!(look(looked.clone(), review), Err(Refusal::LaterReviewed));
    let another = later(&action("prod"), &looked, 6, group(0));
    assert_eq!(check_as(&another, &looked, &Desk::open()), Err(Refusal::LaterReviewed));
    let again = Event::LaterReviewed { review: sign_later(&another) };
    assert!(Approval::apply(Some(looked), &again, at(61)).is_err(), "nor by an altered store");
}

#[test]
fn nobody_looks_at_their_own() {
    assert_eq!(check(|said| said.reviewer = person(4)), Err("self-review"), "who broke the glass");
    assert_eq!(check(|said| said.reviewer = person(SPONSOR)), Err("self-review"), "the sponsor");
    assert_eq!(check(|said| said.reviewer = person(SUBJECT)), Err("self-review"), "for whom it was");
    let action = action("prod");
    let approval = ended(&action);
    let desk = Desk { controls: [person(5)].into(), ..Desk::open() };
    let said = later(&action, &approval, 5, group(0));
    assert_eq!(check_as(&said, &approval, &desk), Err(Refusal::SelfReview), "who controls the agent now");

    // Whoever approved it the ordinary way has said what they think of it.
    let asked = requirement(&[&[(2, 0), (0, 1)]]);
    let approval = open(&action, asked.clone());
    let ordinary = statement(&action, &held(&action, asked.clone()), 5, Verdict::Approve, 7);
    let ordinary = Event::Reviewed { review: sign(&ordinary) };
    let mut approval = Approval::apply(Some(approval), &ordinary, at(10)).unwrap();
    let mut glass = statement(&action, &held(&action, asked), 4, Verdict::Approve, 1);
    (glass.group, glass.break_glass, glass.note) = (Some(group(1)), true, Some("now".to_owned()));
    for event in [Event::Reviewed { review: sign(&glass) }, Event::Expired {}] {
        approval = Approval::apply(Some(approval), &event, at(20)).unwrap();
    }
    let refused = check_as(&later(&action, &approval, 5, group(0)), &approval, &Desk::open());
    assert_eq!(refused, Err(Refusal::DuplicateReviewer));
    let review = check_as(&later(&action, &approval, 6, group(0)), &approval, &Desk::open()).unwrap();
    assert_eq!(look(approval, review).unwrap().word(), "expired", "though nothing ran: glass was broken");
}

#[test]
fn those_look_who_were_passed_over_and_administrators() {
    assert!(check(|_| ()).is_ok());
    assert!(check(|said| said.group = GroupName::admins()).is_ok());
    assert_eq!(check(|said| said.group = group(1)), Err("group-not-asked"), "the group that breaks glass");
    assert_eq!(check(|said| said.group = group(2)), Err("group-not-asked"));
    let (action, mut desk) = (action("prod"), Desk::open());
    let approval = ended(&action);
    desk.groups.entry(person(5)).or_default().remove(&group(0));
    let refused = check_as(&later(&action, &approval, 5, group(0)), &approval, &desk);
    assert_eq!(refused.unwrap_err().code(), "not-eligible");
    desk.revoked.insert(person(6));
    let refused = check_as(&later(&action, &approval, 6, group(0)), &approval, &desk);
    assert_eq!(refused.unwrap_err().code(), "not-active");
}

#[test]
fn it_is_of_exactly_what_happened() {
    let other = domain::id::ActionId::from_uuid(uuid::Uuid::from_u128(7));
    assert_eq!(check(|said| said.approval = other), Err("other-action"));
    assert_eq!(check(|said| said.action = Digest::from_bytes([1; 32])), Err("other-action"));
    assert_eq!(check(|said| said.broken = vec![Digest::from_bytes([1; 32])]), Err("other-action"));
    assert_eq!(check(|said| said.broken.extend(said.broken.clone())), Err("other-action"));
    assert_eq!(check(|said| said.end = End::Expired { at: at(20) }), Err("other-action"));
    assert_eq!(
        check(|said| {
            let End::Finished { outcome, .. } = &mut said.end else { panic!("it ran") };
            outcome.detail = "500".to_owned();
        }),
        Err("other-action"),
        "another outcome"
    );
    assert_eq!(check(|said| said.origin = "other.example/log".parse().unwrap()), Err("other-origin"));
    assert_eq!(check(|said| said.assurance = Assurance::Chat), Err("assurance-too-low"));
    let review = check(|said| said.expires = at(60)).unwrap();
    assert_eq!(look(ended(&action("prod")), review), Err(Refusal::StatementExpired));

    // What was broken is named by what was signed then: the passkey's challenge, which has the same line before it.
    let approval = ended(&action("prod"));
    let signed = &approval.case().reviews[0].signed.statement.0;
    assert_eq!(broken(approval.case()), [Digest::of(Purpose::Statement, signed)]);
}

#[test]
fn only_broken_glass_is_looked_at_and_only_afterwards() {
    let action = action("prod");
    let asked = requirement(&[&[(2, 0), (0, 1)]]);
    let pending = open(&action, asked);
    let refused = |approval: &Approval| {
        check_as(&later(&action, approval, 5, group(0)), approval, &Desk::open()).unwrap_err()
    };
    assert_eq!(refused(&pending), Refusal::GlassNotBroken);
    let lapsed = Approval::apply(Some(pending.clone()), &Event::Expired {}, at(1_800)).unwrap();
    assert_eq!(refused(&lapsed), Refusal::GlassNotBroken);
    let review = ended(&action).case().reviews[0].signed.clone();
    let broken = Approval::apply(Some(pending), &Event::Reviewed { review }, at(10)).unwrap();
    assert_eq!(refused(&broken), Refusal::NotEnded);
    assert!(broken.case().awaits_later_review(), "it waits from the moment that it was broken");
}

#[test]
fn neither_signature_passes_for_the_other() {
    let action = action("prod");
    let approval = ended(&action);
    let said = later(&action, &approval, 5, group(0));
    let signed = sign_later(&said);
    // A signature over a verdict's line, over the same bytes.
    let asked = requirement(&[&[(1, 0)]]);
    let verdict = statement(&action, &held(&action, asked.clone()), 5, Verdict::Approve, 1);
    let as_verdict = SignedReview { statement: signed.statement.clone(), proof: sign(&verdict).proof };
    let refused = CheckedLaterReview::check(as_verdict, &action, &approval, &origin(), &Desk::open());
    assert_eq!(refused.unwrap_err().code(), "bad-signature");
    // Its statement is none of a verdict's, nor a verdict's one of its.
    assert!(Statement::read(&signed.statement.0).is_err());
    assert!(LaterStatement::read(&verdict.write().unwrap()).is_err());
    let refused = CheckedReview::check(signed, &action, &asked, &origin(), &Desk::open());
    assert_eq!(refused.unwrap_err().code(), "malformed");
}

#[test]
fn one_that_was_altered_is_not_believed() {
    let action = action("prod");
    let approval = ended(&action);
    let said = later(&action, &approval, 5, group(0));
    let mut altered = sign_later(&said);
    altered.statement =
        Blob(LaterStatement { finding: Finding::NotJustified, ..said.clone() }.write().unwrap());
    let refused = CheckedLaterReview::check(altered, &action, &approval, &origin(), &Desk::open());
    assert_eq!(refused.unwrap_err().code(), "bad-signature");
    // In a store: of another end, or of another case, it follows on nothing.
    for change in [
        (|said| said.end = End::Cancelled { at: at(20) }) as fn(&mut LaterStatement),
        |said| said.action = Digest::from_bytes([1; 32]),
        |said| said.broken = vec![Digest::from_bytes([1; 32])],
        |said| said.reviewer = person(4),
        |said| said.reviewer = person(SPONSOR),
    ] {
        let mut said = said.clone();
        change(&mut said);
        let event = Event::LaterReviewed { review: sign_later(&said) };
        assert!(Approval::apply(Some(approval.clone()), &event, at(60)).is_err(), "{said:?}");
    }
    let no_statement = SignedReview { statement: Blob(b"{}".to_vec()), ..sign_later(&said) };
    let event = Event::LaterReviewed { review: no_statement };
    assert!(Approval::apply(Some(approval), &event, Timestamp::ZERO).is_err());
}

#[test]
fn a_statement_has_one_form() {
    let action = action("prod");
    let said = later(&action, &ended(&action), 5, group(0));
    assert_eq!(LaterStatement::read(&said.write().unwrap()), Ok(said.clone()));
    for change in [
        (|said| said.v = 2) as fn(&mut LaterStatement),
        |said| said.nonce = Blob(vec![1; 31]),
        |said| said.broken = Vec::new(),
        |said| said.note = " \n".to_owned(),
        |said| said.note = "x".repeat(NOTE_LIMIT_BYTES + 1),
    ] {
        let mut wrong = said.clone();
        change(&mut wrong);
        assert!(LaterStatement::read(&canonical::write(&wrong).unwrap()).is_err(), "{wrong:?}");
        assert!(wrong.write().is_err());
    }
    insta::assert_snapshot!(String::from_utf8(said.write().unwrap()).unwrap());
}
