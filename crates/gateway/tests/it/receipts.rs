//! The receipts of all of this verify without us.

use domain::directory::DirectoryEvent;
use domain::id::ActionId;
use domain::requirement::Separation;
use domain::statement::Verdict as Says;
use gateway::change::Proposed;
use gateway::hold::Heard;
use verify::report::{Report, State, Summary, Verdict};
use verify::{Trust, verify_receipt};

use crate::house::{Call, DENIED, House, PERMIT, held_by, log_key};

async fn bytes(house: &House, id: ActionId, with_payload: bool) -> Vec<u8> {
    let receipt = house.gateway.receipt(&house.summary(id).await, with_payload).await.unwrap();
    domain::canonical::write(&receipt).unwrap()
}

fn verified(bytes: &[u8]) -> Report {
    let trust = Trust {
        rp_id: Some("localhost".to_owned()),
        web_origins: Some(vec!["http://localhost:7676".to_owned()]),
        ..Trust::in_log(log_key())
    };
    verify_receipt(bytes, &trust)
}

/// Its receipt is valid, with and without the payload; what it shows.
pub(crate) async fn shown(house: &House, id: ActionId) -> Summary {
    for with_payload in [false, true] {
        let report = verified(&bytes(house, id, with_payload).await);
        assert_eq!(report.verdict, Verdict::Valid, "{:?}", report.reasons);
    }
    verified(&bytes(house, id, true).await).summary.unwrap()
}

#[tokio::test]
async fn of_an_action_that_was_approved_and_ran() {
    let house = House::staffed(&held_by("dba:2")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    let pending = shown(&house, held.id).await;
    assert_eq!(pending.state, State::Pending);
    house.review("bob", held.id, Says::Ask, Some("who reads it?")).await.unwrap();
    let question = house.summary(held.id).await.approval.case().questions[0].id;
    house.gateway.answer(held.id, house.principal("bot"), question, "nobody".to_owned()).await.unwrap();
    house.approve("bob", held.id).await.unwrap();
    house.approve("cyd", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    let summary = shown(&house, held.id).await;
    assert_eq!(summary.state, State::Finished);
    assert_eq!(summary.separation, Some(Separation::Full));
    assert_eq!(summary.reviews.len(), 3);
    assert_eq!(summary.payload.len(), 2);

    // What happens to the reviewers later changes nothing of it.
    house.revoke_key("bob").await;
    house.leave("cyd", "dba").await;
    house.change(DirectoryEvent::PersonDeactivated { id: house.person("cyd") }).await;
    assert_eq!(shown(&house, held.id).await.state, State::Finished);
}

#[tokio::test]
async fn of_one_that_was_denied_expired_or_taken_back() {
    let house = House::staffed(&held_by("dba:1")).await;
    let denied = house.held(&Call::delete("denied")).await.id;
    house.deny("bob", denied, "no").await.unwrap();
    assert!(matches!(shown(&house, denied).await.state, State::Denied { by: Some(_), .. }));

    let cancelled = house.held(&Call::delete("cancelled")).await.id;
    house.gateway.cancel(cancelled, house.principal("bot"), "never mind".to_owned()).await.unwrap();
    assert!(matches!(shown(&house, cancelled).await.state, State::Cancelled { .. }));

    let pending = house.held(&Call::delete("pending")).await.id;
    let approved = house.approved(&Call::delete("approved")).await;
    assert_eq!(shown(&house, approved).await.state, State::Approved);
    house.later(3_600);
    for id in [pending, approved] {
        house.until(id, "expired").await;
        assert!(matches!(shown(&house, id).await.state, State::Expired { .. }));
    }
}

#[tokio::test]
async fn of_one_that_policy_came_to_deny_permit_or_ask_more_for() {
    let house = House::staffed(&held_by("dba:1")).await;
    let denied = house.held(&Call::delete("denied")).await.id;
    house.apply(DENIED).await;
    house.until(denied, "denied").await;
    assert!(matches!(shown(&house, denied).await.state, State::Denied { by: None, .. }));

    house.apply(&held_by("dba:1")).await;
    let more = house.approved(&Call::delete("more")).await;
    let permitted = house.held(&Call::delete("permitted").though_gone()).await.id;
    house.apply(&held_by("dba:2")).await;
    house.until(more, "pending").await;
    house.approve("cyd", more).await.unwrap();
    assert!(matches!(house.hear(more).await, Heard::Ran { .. }));
    assert_eq!(shown(&house, more).await.state, State::Finished);

    house.apply(PERMIT).await;
    house.approve("bob", permitted).await.unwrap();
    house.approve("cyd", permitted).await.unwrap();
    house.until(permitted, "finished").await;
    assert_eq!(shown(&house, permitted).await.state, State::Finished);
}

#[tokio::test]
async fn of_a_change_of_configuration_and_of_solo_evaluation() {
    let house = House::staffed(PERMIT).await;
    let ada = house.human("ada").await;
    let event = DirectoryEvent::PolicyApplied { text: DENIED.to_owned() };
    let Proposed::Held(held) = house.gateway.propose(&ada, event).await.unwrap() else { panic!("not held") };
    house.approve("dan", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    assert_eq!(shown(&house, held.id).await.state, State::Finished);

    let alone = House::open(&held_by("dba:1"), &[("ada", &["dba"])], &[("bot", "ada")]).await;
    let held = alone.held(&Call::delete("orders").though_gone()).await;
    alone.approve("ada", held.id).await.unwrap();
    alone.until(held.id, "finished").await;
    assert_eq!(shown(&alone, held.id).await.separation, Some(Separation::None));
}

#[tokio::test]
async fn of_an_outcome_that_nobody_knows() {
    let mut house = House::staffed(&held_by("dba:1")).await;
    house.runner.block();
    let held = house.held(&Call::delete("orders").though_gone()).await;
    house.approve("bob", held.id).await.unwrap();
    crate::house::eventually("it runs", async || house.runner.runs() == 1).await;
    assert_eq!(shown(&house, held.id).await.state, State::Executing);
    house.restart().await;
    house.until(held.id, "finished").await;
    let summary = shown(&house, held.id).await;
    assert_eq!(summary.state, State::Finished);
}

/// **Binding**, "flip each byte": of a receipt. (Every byte is the verifier's own test.)
#[tokio::test]
async fn a_receipt_that_was_touched_is_not_valid() {
    let house = House::staffed(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    house.approve("bob", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    let good = bytes(&house, held.id, true).await;
    for at in (0..good.len()).step_by(97) {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        assert_ne!(verified(&flipped).verdict, Verdict::Valid, "byte {at}");
    }
    let other = audit::Ed25519Signer::new("countersign.example/log".parse().unwrap(), &[4; 32]);
    let trust = Trust::in_log(audit::NoteSigner::verifier(&other).clone());
    assert_eq!(verify_receipt(&good, &trust).verdict, Verdict::Invalid);
}

/// A receipt without its payload says nothing of it.
#[tokio::test]
async fn a_withheld_payload_is_not_in_the_receipt() {
    let house = House::staffed(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").with("http.body", "the secret")).await;
    let receipt = house.gateway.receipt(&house.summary(held.id).await, false).await.unwrap();
    assert!(gateway::store::open_fields(&receipt.payload).is_empty());
    let receipt = house.gateway.receipt(&house.summary(held.id).await, true).await.unwrap();
    assert_eq!(gateway::store::open_fields(&receipt.payload).len(), 3);
}
