//! One action's way: held, asked, approved, run once, heard.

use std::time::Duration;

use domain::approval::Approval;
use domain::entry::Kind;
use domain::evaluation::Decision;
use domain::outcome::Ending;
use domain::statement::Verdict;
use gateway::hold::Heard;
use gateway::ports::RunResult;
use gateway::store::Wake;

use crate::house::{Call, DENIED, House, PATIENCE, forbidden, held_by, refusal};

#[tokio::test]
async fn held_then_approved_then_run_once_and_heard() {
    let house = House::usual(&held_by("dba:1")).await;
    let mut wakes = house.store().wakes();

    let held = house.held(&Call::delete("orders")).await;
    assert!(!held.attached);
    assert_eq!(held.url, format!("http://localhost:7676/approvals/{}", held.id));
    assert_eq!(held.why[0].why, "it cannot be brought back");

    // Nobody can have been asked before this: the wake comes behind the commit, and the entry is there.
    assert_eq!(wakes.recv().await.unwrap(), Wake::Approval(held.id));
    assert_eq!(house.told(held.id).await, [Kind::Request]);
    assert_eq!(house.state(held.id).await, "pending");
    assert!(matches!(house.gateway.wait(held.id, Duration::from_millis(20)).await.unwrap(), Heard::Waiting));

    let waiter = tokio::spawn({
        let gateway = house.gateway.clone();
        async move { gateway.wait(held.id, PATIENCE).await.unwrap() }
    });
    assert_eq!(house.approve("bob", held.id).await.unwrap().approval.word(), "approved");
    let Heard::Ran { outcome, result: Some(RunResult::Whole(bytes)) } = waiter.await.unwrap() else {
        panic!("the waiter got no result");
    };
    assert_eq!((outcome.ending, bytes.as_slice()), (Ending::Succeeded, b"done".as_slice()));
    assert_eq!(house.runner.runs(), 1);
    assert_eq!(
        house.told(held.id).await,
        [Kind::Request, Kind::Review, Kind::Execution, Kind::Outcome],
        "in the order in which it happened"
    );
    house.audit().await;
}

#[tokio::test]
async fn a_denial_is_heard_with_its_reason_and_nothing_runs() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders")).await;
    house.deny("bob", held.id, "it still has consumers").await.unwrap();
    let Heard::Refused { state, why } = house.hear(held.id).await else { panic!("not refused") };
    assert_eq!((state, why.as_str()), ("denied", "bob denied it: it still has consumers"));
    assert!(forbidden(house.approve("bob", held.id).await).contains("denied already"));
    house.never_runs(held.id).await;
}

#[tokio::test]
async fn undecided_it_expires_and_nothing_runs() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    let late = house.prepare(&house.human("bob").await, held.id, Verdict::Approve, None).await.unwrap();
    house.later(30 * 60);
    // Whether or not the sweep was there first, a verdict comes too late.
    let response = house.passkey("bob").get(&late.options);
    let bob = house.human("bob").await;
    house.gateway.submit_review(held.id, &bob, &late.statement, &response).await.unwrap_err();
    let Heard::Refused { state, .. } = house.hear(held.id).await else { panic!("not refused") };
    assert_eq!(state, "expired");
    house.never_runs(held.id).await;
    assert_eq!(house.told(held.id).await.last(), Some(&Kind::End));
}

#[tokio::test]
async fn approved_and_not_spent_in_its_time_it_expires() {
    let house = House::usual(&held_by("dba:1")).await;
    // Its caller has gone, and it needs its caller.
    let held = house.held(&Call::delete("orders")).await;
    house.approve("bob", held.id).await.unwrap();
    house.later(10 * 60);
    house.until(held.id, "expired").await;
    house.never_runs(held.id).await;
}

#[tokio::test]
async fn approved_it_waits_for_a_caller_who_comes_back_in_time() {
    let house = House::usual(&held_by("dba:1")).await;
    let call = Call::delete("orders");
    let held = house.held(&call).await;
    house.approve("bob", held.id).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(house.state(held.id).await, "approved", "it needs its caller");
    let again = house.held(&call).await;
    assert!(again.attached && again.id == held.id);
    assert!(matches!(house.hear(held.id).await, Heard::Ran { .. }));
    assert_eq!(house.runner.runs(), 1);
}

#[tokio::test]
async fn approved_it_runs_though_its_caller_has_gone_where_the_route_says_so() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    house.approve("bob", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    assert_eq!(house.runner.runs(), 1);
}

#[tokio::test]
async fn those_who_asked_can_take_it_back_and_nobody_else() {
    let house = House::usual(&held_by("dba:1")).await;
    for (by, may) in [("bot", true), ("ada", true), ("bob", false), ("other", false), ("dan", false)] {
        let held = house.held(&Call::delete(&format!("orders-of-{by}"))).await;
        let cancelled = house.gateway.cancel(held.id, house.principal(by), "not needed".to_owned()).await;
        assert_eq!(cancelled.is_ok(), may, "{by}");
        if may {
            let Heard::Refused { state, why } = house.hear(held.id).await else { panic!("not refused") };
            assert_eq!((state, why.as_str()), ("cancelled", "it was taken back: not needed"));
            house.never_runs(held.id).await;
        } else {
            assert_eq!(house.state(held.id).await, "pending");
        }
    }
}

#[tokio::test]
async fn a_question_blocks_until_it_is_answered_or_taken_back() {
    let house = House::usual(&held_by("dba:1")).await;
    for answered in [true, false] {
        let held = house.held(&Call::delete(&format!("orders-{answered}")).though_gone()).await;
        house.review("bob", held.id, Verdict::Ask, Some("who reads it?")).await.unwrap();
        let approved = house.approve("cyd", held.id).await.unwrap();
        assert!(matches!(approved.approval, Approval::Pending(_)), "a question is open");
        house.never_runs(held.id).await;

        let question = house.summary(held.id).await.approval.case().questions[0].id;
        let text = || "nobody".to_owned();
        house.gateway.answer(held.id, house.principal("other"), question, text()).await.unwrap_err();
        house.gateway.answer(held.id, house.principal("cyd"), question, text()).await.unwrap_err();
        house.gateway.withdraw(held.id, &house.human("cyd").await, question).await.unwrap_err();
        house.never_runs(held.id).await;

        if answered {
            house.gateway.answer(held.id, house.principal("bot"), question, text()).await.unwrap();
        } else {
            house.gateway.withdraw(held.id, &house.human("bob").await, question).await.unwrap();
        }
        house.until(held.id, "finished").await;
        assert_eq!(house.runner.runs_of(held.id), 1);
    }
}

#[tokio::test]
async fn what_policy_denies_nobody_is_asked_about() {
    let house = House::usual(DENIED).await;
    let denied = house.denied(&Call::delete("orders")).await;
    assert_eq!(denied.rules[0].why, "deletions are frozen");
    assert!(house.store().approval(denied.id).await.is_err());
    // Without any rule, everything is denied.
    house.apply("").await;
    house.denied(&Call::get("orders")).await;
}

#[tokio::test]
async fn what_cannot_be_shown_is_denied_where_it_would_be_held() {
    let house = House::usual(&held_by("dba:1")).await;
    let mut call = Call::delete("orders");
    call.holdable = false;
    let denied = house.denied(&call).await;
    assert_eq!(denied.rules[0].id.as_str(), "countersign.not-holdable");
    assert!(house.told(denied.id).await.is_empty());
    // What would not be held is let through.
    let mut call = Call::get("orders");
    call.holdable = false;
    house.permitted(&call).await;
}

#[tokio::test]
async fn without_a_runner_of_ours_the_caller_hears_that_it_is_approved_and_reports() {
    use domain::action::Point;
    let house = House::usual(&held_by("dba:1")).await;
    let mut call = Call::delete("orders");
    call.point = Point::Rest;
    let held = house.held(&call).await;
    let (bot, other) = (house.caller("bot").await, house.caller("other").await);
    let redeem = async |caller| Box::pin(house.gateway.redeem_for_caller(held.id, caller)).await;
    redeem(&bot).await.unwrap_err();
    house.approve("bob", held.id).await.unwrap();
    assert!(matches!(house.hear(held.id).await, Heard::Approved));
    // A report of what was never spent is no outcome.
    assert_eq!(refusal(house.gateway.report(held.id, &bot, Ending::Succeeded, "204").await), "wrong-state");
    redeem(&other).await.unwrap_err();
    redeem(&bot).await.unwrap();
    redeem(&bot).await.unwrap_err();
    house.gateway.report(held.id, &other, Ending::Succeeded, "204").await.unwrap_err();
    house.gateway.report(held.id, &bot, Ending::Succeeded, "204").await.unwrap();
    let Heard::Ran { outcome, result: None } = house.hear(held.id).await else { panic!("not run") };
    assert_eq!(outcome.witnessed, domain::outcome::Witnessed::Reported);
    assert_eq!(house.runner.runs(), 0);
}

#[tokio::test]
async fn the_evaluation_stands_in_the_record_with_its_facts() {
    let house = House::usual(&held_by("dba:2")).await;
    let held = house.held(&Call::delete("orders")).await;
    let summary = house.summary(held.id).await;
    let evaluation = &summary.approval.case().evaluation;
    assert!(
        matches!(&evaluation.decision, Decision::NeedsReview(requirement) if requirement.holds.len() == 1)
    );
    assert_eq!(evaluation.directory, house.store().directory().version());
    assert!(evaluation.facts.contains_key("risk") && evaluation.facts.contains_key("prior_runs"));
    let open = summary.approval.case().open();
    assert_eq!((open[0].group.as_str(), open[0].have, open[0].need), ("dba", 0, 2));
}
