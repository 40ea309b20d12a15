//! Fields that only reviewers need: made where people are asked, and part of what they sign.

use std::sync::atomic::{AtomicUsize, Ordering};

use domain::commitment::Disclosure;
use gateway::decide::{Decided, Shown};

use crate::house::{Call, DENIED, House, PERMIT, held_by};

const PATH: &str = "preview";

/// A field that counts how often it was made.
fn counted<'a>(made: &'a AtomicUsize, text: &'a str) -> Option<Shown<'a>> {
    Some(Box::pin(async move {
        made.fetch_add(1, Ordering::SeqCst);
        vec![(PATH.to_owned(), text.as_bytes().to_vec())]
    }))
}

/// A call that is known again by its bytes, whatever reviewers are shown beside them.
fn call() -> Call {
    let call = Call::delete("public.orders").though_gone();
    Call { retry_parts: Some(call.payload.clone()), ..call }
}

#[tokio::test]
async fn what_reviewers_are_shown_is_in_what_they_sign() {
    let house = House::usual(&held_by("dba:1")).await;
    let (bot, made) = (house.caller("bot").await, AtomicUsize::new(0));
    let first = house.decide_shown(&bot, &call(), || {}, counted(&made, "3 rows")).await.unwrap();
    let Decided::Held(held) = first else { panic!("{first:?}") };
    assert_eq!(made.load(Ordering::SeqCst), 1);
    let payload = house.store().payload(held.id).await.unwrap();
    let shown = payload.iter().find_map(|field| match field {
        Disclosure::Open(field) if field.path == PATH => Some(field.value.0.clone()),
        _ => None,
    });
    assert_eq!(shown.as_deref(), Some(&b"3 rows"[..]));
    // Another count is no other call.
    let again = house.decide_shown(&bot, &call(), || {}, counted(&made, "4 rows")).await.unwrap();
    assert!(matches!(&again, Decided::Held(again) if again.id == held.id), "{again:?}");
    house.approve("bob", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    house.audit().await;
}

#[tokio::test]
async fn nothing_is_made_where_nobody_is_asked() {
    let made = AtomicUsize::new(0);
    for policy in [PERMIT, DENIED] {
        let house = House::usual(policy).await;
        let decided =
            house.decide_shown(&house.caller("bot").await, &call(), || {}, counted(&made, "")).await;
        assert!(matches!(decided.unwrap(), Decided::Permitted(_) | Decided::Denied(_)));
    }
    let house = House::usual(&held_by("dba:1")).await;
    let unheld = Call { holdable: false, ..call() };
    let decided = house.decide_shown(&house.caller("bot").await, &unheld, || {}, counted(&made, "")).await;
    assert!(matches!(decided.unwrap(), Decided::Denied(_)));
    assert_eq!(made.load(Ordering::SeqCst), 0);
}
