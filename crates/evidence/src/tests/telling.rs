use domain::entry::{Draft, Kind};
use domain::event::Event;
use domain::outcome::{Ending, Outcome, Witnessed};
use domain::principal::Principal;

use super::house::{action, evaluation, told};
use crate::event::TrailEvent;
use crate::export::json;

fn requested(resource: &str, withhold: bool) -> TrailEvent {
    let action = action(resource);
    let event = Event::Requested {
        id: action.id(),
        action: action.digest(),
        chain: action.chain().clone(),
        evaluation: evaluation(&action),
    };
    told(Draft::of_event(&event, &action).unwrap(), withhold)
}

#[test]
fn a_request_says_who_asked_for_whom_and_what_policy_said() {
    insta::assert_json_snapshot!(json(&requested("queues/%2F/orders", false)).unwrap());
}

#[test]
fn what_was_erased_is_counted_and_not_guessed_at() {
    let event = requested("queues/%2F/orders", true);
    assert_eq!(event.withheld, 2);
    assert!(event.resource.is_none() && event.who.agent.is_none() && event.verdict.is_none());
    assert_eq!(event.kind.as_str(), "request");
    assert!(event.approval.is_some(), "the leaf still names the approval");
}

#[test]
fn words_of_others_are_marked_as_untrusted() {
    let action = action("queues/%2F/orders");
    let event = Event::Cancelled { by: action.chain().caller, reason: "=cmd|' /C calc'!A0".to_owned() };
    let event = told(Draft::of_event(&event, &action).unwrap(), false);
    assert_eq!(event.verdict, Some("cancelled"));
    assert_eq!(json(&event).unwrap()["reason"], serde_json::json!({ "untrusted": "=cmd|' /C calc'!A0" }));
}

#[test]
fn what_was_reported_never_reads_as_seen() {
    let action = action("queues/%2F/orders");
    for witnessed in [Witnessed::Observed, Witnessed::Reported] {
        let outcome = Outcome::new(Ending::Succeeded, witnessed, "204");
        let event = told(Draft::of_event(&Event::Finished { outcome }, &action).unwrap(), false);
        assert_eq!(event.witnessed, witnessed);
        assert_eq!(event.outcome, Some(Ending::Succeeded));
    }
}

#[test]
fn a_refusal_names_its_human_and_why() {
    let Some(sponsor) = action("x").chain().sponsor() else { panic!("it has a sponsor") };
    let fields = vec![
        ("by".to_owned(), Principal::Person(sponsor).to_string().into_bytes()),
        ("why".to_owned(), b"self-review".to_vec()),
    ];
    let event = told(Draft { kind: Kind::Refusal, subject: Some("7".to_owned()), fields }, false);
    assert_eq!(event.who.person, Some(sponsor));
    assert_eq!(event.note.as_deref(), Some("self-review"));
}
