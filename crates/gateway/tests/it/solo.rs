//! Solo evaluation is honest: one person may review what their own agent asks, and everything says so.

use domain::requirement::Separation;

use crate::house::{Call, House, forbidden, held_by};

const ALONE: &[(&str, &[&str])] = &[("ada", &["admins", "dba"])];
const HER_AGENT: &[(&str, &str)] = &[("bot", "ada")];

#[tokio::test]
async fn the_only_person_reviews_her_own_agent_and_it_is_stamped() {
    let house = House::open(&held_by("dba:1"), ALONE, HER_AGENT).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    assert_eq!(house.separation(held.id).await, Some(Separation::None));
    house.approve("ada", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    assert_eq!(house.separation(held.id).await, Some(Separation::None));
}

#[tokio::test]
async fn she_does_not_review_what_she_calls_herself() {
    let house = House::open(&held_by("dba:1"), ALONE, HER_AGENT).await;
    let caller = house.gateway.caller_of(&house.human("ada").await);
    let decided = house.decide(&caller, &Call::delete("orders").though_gone()).await.unwrap();
    let gateway::decide::Decided::Held(held) = decided else { panic!("not held") };
    assert!(forbidden(house.approve("ada", held.id).await).contains("chain"));
    house.never_runs(held.id).await;
}

/// **Authority**, "Reviewer … controls the agent": production knows no solo evaluation.
#[tokio::test]
async fn production_needs_somebody_else() {
    let house = House::open(&held_by("dba:1"), ALONE, HER_AGENT).await;
    let mut labelled = Call::delete("labelled").though_gone();
    labelled.resource.labels.insert("production".to_owned(), "true".to_owned());
    for call in [Call::delete("named").in_production().though_gone(), labelled] {
        let held = house.held(&call).await;
        assert_eq!(house.separation(held.id).await, Some(Separation::Full));
        assert!(forbidden(house.approve("ada", held.id).await).contains("chain"));
        house.never_runs(held.id).await;
    }
}

#[tokio::test]
async fn a_second_person_with_a_passkey_ends_it_also_for_what_waits() {
    let mut house = House::open(&held_by("dba:1"), ALONE, HER_AGENT).await;
    let pending = house.held(&Call::delete("pending").though_gone()).await.id;
    let approved = house.held(&Call::delete("approved")).await.id;
    house.approve("ada", approved).await.unwrap();

    // Without a passkey he is nobody who could review.
    house.arrives("bob", &["dba"]).await;
    let still = house.held(&Call::delete("still").though_gone()).await.id;
    assert_eq!(house.separation(still).await, Some(Separation::None));
    house.enrol("bob").await;

    let fresh = house.held(&Call::delete("fresh").though_gone()).await.id;
    assert_eq!(house.separation(fresh).await, Some(Separation::Full));
    for id in [pending, approved, still] {
        crate::house::eventually("it asks for two people", async || {
            house.separation(id).await == Some(Separation::Full)
        })
        .await;
        assert!(house.approve("ada", id).await.is_err());
        house.never_runs(id).await;
    }
    house.approve("bob", pending).await.unwrap();
    house.until(pending, "finished").await;
    assert_eq!(house.runner.runs(), 1);
}
