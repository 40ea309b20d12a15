//! Every state against every command, as a table that people can read.

use domain::action::Action;
use domain::approval::{Approval, Command};
use domain::evaluation::Decision;
use domain::event::Event;
use domain::grant::Permit;
use domain::later::CheckedLaterReview;
use domain::outcome::{Ending, Outcome, Witnessed};
use domain::principal::Principal;
use domain::requirement::Requirement;
use domain::review::CheckedReview;
use domain::statement::Verdict;
use domain::time::Timestamp;

use crate::support::*;

fn held_for_two() -> Requirement {
    requirement(&[&[(2, 0)]])
}

fn review(action: &Action, who: u8, verdict: Verdict) -> Command {
    let standing = held(action, held_for_two());
    let statement = statement(action, &standing, who, verdict, who);
    let review =
        CheckedReview::check(sign(&statement), action, &held_for_two(), &origin(), &Desk::open()).unwrap();
    Command::Review { review, question: question(who) }
}

fn then(approval: Approval, command: &Command, now: Timestamp) -> Approval {
    let step = approval.handle(command, now).unwrap();
    Approval::apply(Some(approval), &step.event, now).unwrap()
}

fn finish() -> Command {
    Command::Finish(Outcome::new(Ending::Succeeded, Witnessed::Observed, "204"))
}

fn cancel(by: Principal) -> Command {
    Command::Cancel { by, reason: "no need".to_owned() }
}

fn dismiss(people: &[u8]) -> Command {
    Command::Dismiss(dismissed(people))
}

fn redeem(approval: &Approval, action: &Action) -> Command {
    let fresh = approval.case().evaluation.clone();
    Command::Redeem(Permit::issue(approval, action, fresh, &origin(), &Desk::open(), grant(1)).unwrap())
}

/// Every state, with the moment at which it is looked at.
fn states(action: &Action) -> Vec<(&'static str, Approval, Timestamp)> {
    let now = at(60);
    let pending = open(action, held_for_two());
    let half = then(pending.clone(), &review(action, 2, Verdict::Approve), at(10));
    let asked = then(half.clone(), &review(action, 5, Verdict::Ask), at(15));
    let approved = then(half.clone(), &review(action, 3, Verdict::Approve), at(20));
    let asked_late = then(approved.clone(), &review(action, 5, Verdict::Ask), at(25));
    let permitted = then(pending.clone(), &Command::Reevaluate(evaluation(action, Decision::Permit)), at(20));
    let executing = then(approved.clone(), &redeem(&approved, action), at(30));
    vec![
        ("pending", pending.clone(), now),
        ("pending, one of two approved", half, now),
        ("pending, with an open question", asked, now),
        ("pending, with a question after enough approvals", asked_late, now),
        ("pending, lapsed", pending.clone(), at(1_800)),
        ("approved", approved.clone(), now),
        ("approved, lapsed", approved, at(320)),
        ("approved, since policy permits outright", permitted, now),
        ("denied", then(pending.clone(), &review(action, 2, Verdict::Deny), at(20)), now),
        ("expired", then(pending.clone(), &Command::Expire, at(1_800)), at(1_900)),
        ("cancelled", then(pending, &cancel(Principal::Agent(agent())), at(20)), now),
        ("executing", executing.clone(), now),
        ("finished", then(executing, &finish(), at(40)), now),
        ("finished, glass broken", crate::format::ended(action), now),
        ("finished, glass broken and looked at", looked_at(action), now),
    ]
}

fn looked_at(action: &Action) -> Approval {
    let ended = crate::format::ended(action);
    let look_back = look_back(action, &ended);
    then(ended, &look_back, at(50))
}

/// Every command, good and bad, made for the state where that matters.
fn commands(action: &Action, state: &Approval) -> Vec<(&'static str, Command)> {
    let other = self::action("staging");
    let answer = |n, by| Command::Answer { question: question(n), by, text: "the stuck one".to_owned() };
    let withdraw = |n, by| Command::Withdraw { question: question(n), by: person(by) };
    let reevaluate = |decision| Command::Reevaluate(evaluation(action, decision));
    let approved = states_approved(action);
    let current = match state {
        Approval::Approved(_) => redeem(state, action),
        _ => redeem(&approved, action),
    };
    let mut stale = approved.clone();
    if let Approval::Approved(approved) = &mut stale {
        approved.case.version += 1;
    }
    vec![
        ("approve, a new reviewer", review(action, 4, Verdict::Approve)),
        ("approve, who approved before", review(action, 2, Verdict::Approve)),
        ("approve, another action", review(&other, 4, Verdict::Approve)),
        ("deny", review(action, 6, Verdict::Deny)),
        ("deny, who asked for it", review(action, SPONSOR, Verdict::Deny)),
        ("ask", review(action, 6, Verdict::Ask)),
        ("answer, by the agent", answer(5, Principal::Agent(agent()))),
        ("answer, by a stranger", answer(5, Principal::Person(person(4)))),
        ("answer, no such question", answer(9, Principal::Agent(agent()))),
        ("withdraw, by the asker", withdraw(5, 5)),
        ("withdraw, by another", withdraw(5, 4)),
        ("re-evaluate, the same", reevaluate(Decision::NeedsReview(held_for_two()))),
        ("re-evaluate, weaker", reevaluate(Decision::NeedsReview(requirement(&[&[(1, 0)]])))),
        ("re-evaluate, stronger", reevaluate(Decision::NeedsReview(requirement(&[&[(3, 0)]])))),
        ("re-evaluate, what nobody can meet", reevaluate(Decision::NeedsReview(requirement(&[])))),
        ("re-evaluate, permit", reevaluate(Decision::Permit)),
        ("re-evaluate, deny", reevaluate(Decision::Deny)),
        ("re-evaluate, another action", Command::Reevaluate(held(&other, held_for_two()))),
        ("dismiss, an approval", dismiss(&[2])),
        ("dismiss, one and another", dismiss(&[2, 3])),
        ("dismiss, who did not approve", dismiss(&[4])),
        ("dismiss, one twice", dismiss(&[2, 2])),
        ("dismiss, nobody", dismiss(&[])),
        ("expire", Command::Expire),
        ("cancel, by the agent", cancel(Principal::Agent(agent()))),
        ("cancel, by a stranger", cancel(Principal::Person(person(4)))),
        ("redeem", current),
        ("redeem, with an older permit", redeem(&stale, action)),
        ("redeem, another action", redeem(&states_approved(&other), &other)),
        ("finish", finish()),
        ("look back", look_back(action, state)),
    ]
}

/// A later review of a case as it stands, where that can be checked at all; else of one in which glass was broken.
fn look_back(action: &Action, state: &Approval) -> Command {
    let check = |of: &Approval| {
        let signed = sign_later(&later(action, of, 5, group(0)));
        CheckedLaterReview::check(signed, action, of, &origin(), &Desk::open())
    };
    Command::LookBack(check(state).or_else(|_| check(&crate::format::ended(action))).unwrap())
}

fn states_approved(action: &Action) -> Approval {
    let half = then(open(action, held_for_two()), &review(action, 2, Verdict::Approve), at(10));
    then(half, &review(action, 3, Verdict::Approve), at(20))
}

#[test]
fn every_state_and_command() {
    let action = action("prod");
    let mut table = String::new();
    for (name, state, now) in states(&action) {
        table.push_str(&format!("{name}\n"));
        for (what, command) in commands(&action, &state) {
            let outcome = match state.handle(&command, now) {
                Err(refusal) => format!("refused: {}", refusal.code()),
                Ok(step) => {
                    assert_eq!(step.redemption.is_some(), matches!(step.event, Event::Redeemed { .. }));
                    let after = Approval::apply(Some(state.clone()), &step.event, now).unwrap();
                    let open = if after.case().question_open() { ", a question open" } else { "" };
                    format!("{} -> {}{open}", step.event.word(), after.word())
                }
            };
            table.push_str(&format!("    {what:<36}{outcome}\n"));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn every_state_and_event_from_an_altered_store() {
    // What `handle` never comes to, a store that was altered may hold: the replay refuses it.
    let action = action("prod");
    let sign_for = |verdict| sign(&statement(&action, &held(&action, held_for_two()), 4, verdict, 4));
    let events = [
        requested(&action, held_for_two()),
        Event::Reviewed { review: sign_for(Verdict::Approve) },
        Event::Reviewed { review: sign_for(Verdict::Ask) },
        Event::Asked { question: question(6), review: sign_for(Verdict::Ask) },
        Event::Answered { question: question(5), by: Principal::Agent(agent()), text: "yes".to_owned() },
        Event::Withdrawn { question: question(9), by: person(5) },
        Event::Reevaluated { evaluation: evaluation(&action, Decision::Deny) },
        Event::Dismissed { reviews: dismissed(&[2]) },
        Event::Expired {},
        Event::Cancelled { by: Principal::Agent(agent()), reason: String::new() },
        Event::Redeemed {
            grant: grant(1),
            evaluation: held(&action, held_for_two()),
            counted: vec![person(4)],
        },
        Event::Finished { outcome: Outcome::unknown("") },
        Event::LaterReviewed {
            review: sign_later(&later(&action, &crate::format::ended(&action), 5, group(0))),
        },
    ];
    let mut table = String::new();
    let states = states(&action).into_iter().map(|(name, state, now)| (name, Some(state), now));
    for (name, state, now) in std::iter::once(("nothing", None, at(0))).chain(states) {
        table.push_str(&format!("{name}\n"));
        for event in &events {
            let after = match Approval::apply(state.clone(), event, now) {
                Ok(after) => after.word().to_owned(),
                Err(error) => error.to_string(),
            };
            table.push_str(&format!("    {:<13} {after}\n", event.word()));
        }
    }
    assert!(
        Approval::apply(
            None,
            &Event::Requested {
                id: action.id(),
                action: action.digest(),
                chain: action.chain().clone(),
                evaluation: evaluation(&action, Decision::Permit),
            },
            at(0)
        )
        .is_err(),
        "what nobody has to review is no case"
    );
    assert!(Approval::replay([]).is_err());
    insta::assert_snapshot!(table);
}
