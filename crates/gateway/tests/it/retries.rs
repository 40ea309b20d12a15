//! Which calls are one call tried again. **Reviewer**, "Floods: cap, attach duplicates".

use domain::evaluation::{Fact, Facts};
use gateway::decide::Decided;
use gateway::hold::Heard;

use crate::house::{Call, House, held_by};

async fn house() -> House {
    House::usual(&held_by("dba:1")).await
}

/// **Reviewer**: floods of identical calls are one request.
#[tokio::test]
async fn an_identical_call_attaches() {
    let house = house().await;
    let first = house.held(&Call::delete("orders")).await;
    for _ in 0..10 {
        let again = house.held(&Call::delete("orders")).await;
        assert!(again.attached && again.id == first.id);
    }
    // Why it is asked is not what is asked.
    let mut call = Call::delete("orders");
    call.reason = Some("it is still empty".to_owned());
    assert_eq!(house.held(&call).await.id, first.id);
    assert_ne!(house.held(&Call::delete("invoices")).await.id, first.id);
}

#[tokio::test]
async fn within_the_window_after_its_end_an_identical_call_finds_it() {
    let house = house().await;
    let first = house.held(&Call::delete("orders").though_gone()).await;
    house.deny("bob", first.id, "no").await.unwrap();
    house.later(599);
    let again = house.held(&Call::delete("orders")).await;
    assert!(again.attached && again.id == first.id);
    assert!(matches!(house.hear(again.id).await, Heard::Refused { state: "denied", .. }));
    house.later(1);
    let anew = house.held(&Call::delete("orders")).await;
    assert!(!anew.attached && anew.id != first.id);
}

#[tokio::test]
async fn after_a_run_an_identical_call_hears_of_it_and_nothing_runs_twice() {
    let house = house().await;
    let first = house.held(&Call::delete("orders").though_gone()).await;
    house.approve("bob", first.id).await.unwrap();
    house.until(first.id, "finished").await;
    let again = house.held(&Call::delete("orders").though_gone()).await;
    assert!(again.attached);
    assert!(matches!(house.hear(again.id).await, Heard::Ran { result: Some(_), .. }));
    assert_eq!(house.runner.runs(), 1);
}

#[tokio::test]
async fn an_idempotency_key_tells_two_intended_calls_apart() {
    let house = house().await;
    let mut call = Call::delete("orders");
    let bare = house.held(&call).await;
    call.idempotency = Some("one");
    let one = house.held(&call).await;
    call.idempotency = Some("two");
    let two = house.held(&call).await;
    assert!(!one.attached && !two.attached);
    assert!(bare.id != one.id && one.id != two.id);
    call.idempotency = Some("one");
    assert_eq!(house.held(&call).await.id, one.id);
}

#[tokio::test]
async fn another_agents_identical_call_does_not_attach() {
    let house = house().await;
    let first = house.held(&Call::delete("orders")).await;
    let other = house.caller("other").await;
    let Decided::Held(held) = house.decide(&other, &Call::delete("orders")).await.unwrap() else {
        panic!("not held");
    };
    assert!(!held.attached && held.id != first.id);
}

#[tokio::test]
async fn what_differs_from_try_to_try_separates_unless_the_point_says_what_the_call_is() {
    let house = house().await;
    let traced = |trace: &str| Call::delete("orders").with("http.header.traceparent", trace);
    let first = house.held(&traced("00-1")).await;
    assert_ne!(house.held(&traced("00-2")).await.id, first.id);

    let steady = |trace: &str| Call { retry_parts: Some(Call::delete("steady").payload), ..traced(trace) };
    let first = house.held(&steady("00-3")).await;
    let again = house.held(&steady("00-4")).await;
    assert!(again.attached && again.id == first.id);
    // What runs is what the first one was: the bytes that a human sees.
    assert_eq!(house.store().payload(first.id).await.unwrap().len(), 3);
}

/// **Binding**, "digest over canonical bytes, target, identity, session state": what the digest tells apart is
/// never one call, even where the bytes are the same.
#[tokio::test]
async fn another_verb_resource_target_or_session_is_another_call() {
    let house = house().await;
    let call = Call::delete("orders");
    let first = house.held(&call).await;
    let mut others = Vec::new();
    others.push(Call { verb: "http.destroy", ..call.clone() });
    let mut other = call.clone();
    other.resource.name = "queues/invoices".to_owned();
    others.push(other);
    others.push(call.clone().in_production());
    let mut other = call.clone();
    other.target.name = "broker-2".parse().unwrap();
    others.push(other);
    let mut other = call.clone();
    other.target.definition = domain::digest::Digest::of(domain::digest::Purpose::Definition, b"another");
    others.push(other);
    let mut other = call.clone();
    other.session.insert("search_path".to_owned(), "evil".to_owned());
    others.push(other);
    for (n, other) in others.iter().enumerate() {
        assert_ne!(house.held(other).await.id, first.id, "difference {n}");
    }
    // What is only known about it, and no part of the digest, does not separate.
    let mut same = call.clone();
    same.facts = Facts::from([
        ("matched".to_owned(), Fact::Bool(true)),
        ("parsed".to_owned(), Fact::Bool(true)),
        ("rows".to_owned(), Fact::Int(3)),
    ]);
    assert_eq!(house.held(&same).await.id, first.id);
}
