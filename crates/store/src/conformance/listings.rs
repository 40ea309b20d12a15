//! Lists of approvals, and what went before.

use domain::id::ActionId;
use domain::statement::Verdict;

use super::World;
use super::testing::Desk;
use crate::{Filter, Prior, limits};

/// Every id that a filter lets through, in pages of so many.
async fn ids(world: &World, filter: &Filter, limit: usize) -> Vec<ActionId> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = world.store.list(filter, after, limit).await.unwrap();
        assert!(page.rows.len() <= limit);
        ids.extend(page.rows.iter().map(|row| row.approval.case().id));
        after = page.next;
        if after.is_none() {
            return ids;
        }
        assert_eq!(page.rows.len(), limit, "only the last page is short");
    }
}

pub(super) async fn pages_are_newest_first(world: World) {
    let World { store, desk, .. } = &world;
    assert_eq!(ids(&world, &Filter::default(), 10).await, []);
    let mut opened = Vec::new();
    for round in 0..7 {
        world.clock().forward(std::time::Duration::from_millis(1));
        opened.push(desk.open(store.as_ref(), &format!("queue-{round}")).await);
    }
    desk.decide(store.as_ref(), opened[3], Verdict::Deny).await;
    opened.reverse();
    for limit in [1, 2, 3, 7, 100] {
        assert_eq!(ids(&world, &Filter::default(), limit).await, opened, "in pages of {limit}");
    }
    let all = store.list(&Filter::default(), None, usize::MAX).await.unwrap();
    assert!(all.rows.len() <= limits::PAGE_LIMIT);
    let none = store.list(&Filter::default(), None, 0).await.unwrap();
    assert!(none.rows.len() <= 1, "a page of nothing would never end");
}

pub(super) async fn filters_narrow(world: World) {
    let World { store, desk, .. } = &world;
    let other = Desk::new(store.origin().clone());
    let pending = desk.open(store.as_ref(), "a").await;
    let denied = desk.open(store.as_ref(), "b").await;
    desk.decide(store.as_ref(), denied, Verdict::Deny).await;
    let theirs = other.open(store.as_ref(), "a").await;

    let sorted = |mut ids: Vec<ActionId>| {
        ids.sort();
        ids
    };
    let states = |states: &[&str]| states.iter().map(|state| (*state).to_owned()).collect::<Vec<_>>();
    let shape = || Some("broker http.delete".to_owned());
    for (filter, expected) in [
        (Filter { states: states(&["pending"]), ..Filter::default() }, vec![pending, theirs]),
        (Filter { states: states(&["denied", "expired"]), ..Filter::default() }, vec![denied]),
        (Filter { states: states(&["finished"]), ..Filter::default() }, vec![]),
        (Filter { states: states(&["no such state"]), ..Filter::default() }, vec![]),
        (Filter { caller: Some(desk.caller()), ..Filter::default() }, vec![pending, denied]),
        (Filter { shape: shape(), ..Filter::default() }, vec![pending, denied, theirs]),
        (Filter { shape: Some("other".to_owned()), ..Filter::default() }, vec![]),
        (
            Filter {
                states: states(&["pending"]),
                caller: Some(other.caller()),
                shape: shape(),
                ..Filter::default()
            },
            vec![theirs],
        ),
    ] {
        assert_eq!(sorted(ids(&world, &filter, 2).await), sorted(expected), "{filter:?}");
    }
}

pub(super) async fn prior_counts(world: World) {
    let World { store, desk, .. } = &world;
    let shape = "broker http.delete";
    assert_eq!(store.prior(desk.caller(), shape).await.unwrap(), Prior::default());
    desk.finished(store, "a").await;
    desk.finished(store, "b").await;
    let denied = desk.open(store.as_ref(), "c").await;
    desk.decide(store.as_ref(), denied, Verdict::Deny).await;
    desk.open(store.as_ref(), "d").await;

    let counts = |ran, denied, denied_today| Prior { ran, denied, denied_today };
    assert_eq!(store.prior(desk.caller(), shape).await.unwrap(), counts(2, 1, 1));
    assert_eq!(store.prior(desk.caller(), "other").await.unwrap(), counts(0, 0, 1));
    let stranger = Desk::new(store.origin().clone()).caller();
    assert_eq!(store.prior(stranger, shape).await.unwrap(), Prior::default());
    world.clock().forward(std::time::Duration::from_secs(24 * 3_600));
    assert_eq!(store.prior(desk.caller(), shape).await.unwrap(), counts(2, 1, 0));
}
