//! Broken glass that nobody has looked at: it is listed until somebody does, and nothing of it goes before.

use std::time::Duration;

use domain::Refusal;
use domain::approval::{Approval, Command};
use domain::entry::Kind;
use domain::evaluation::Decision;
use domain::grant::Permit;
use domain::id::{ActionId, GrantId};
use domain::principal::Principal;
use domain::requirement::Quorum;
use domain::time::Timestamp;

use super::World;
use super::testing::{Believer, after, dba, entropy, note, person, worked};
use crate::{Effect, Filter, Leaves, Opened, Prior, Pruning, StoreError};

const AWAITED: &str = "awaits its later review";

/// A request of which one of `dba` has broken the glass.
async fn broken(world: &World, queue: &str) -> ActionId {
    let World { store, desk, .. } = world;
    let mut request = desk.request(store.as_ref(), queue);
    let Decision::NeedsReview(requirement) = &mut request.evaluation.decision else { panic!("no hold") };
    requirement.holds[0].any_of = vec![Quorum::of(dba(), 2), Quorum::break_glass(dba())];
    let Opened::New(opened) = store.open(request).await.unwrap() else { panic!("attached") };
    let id = opened.get().case().id;
    let summary = store.approval(id).await.unwrap();
    let breaks = desk.break_glass(&summary, person(), store.now());
    assert_eq!(after(store.advance(id, breaks, Effect::default()).await.unwrap()).word(), "approved");
    id
}

/// The same, run to its end.
async fn ran(world: &World, queue: &str) -> ActionId {
    let store = &world.store;
    let id = broken(world, queue).await;
    let summary = store.approval(id).await.unwrap();
    let fresh = summary.approval.case().evaluation.clone();
    let grant = GrantId::new(Timestamp::ZERO, &entropy());
    let permit =
        Permit::issue(&summary.approval, &summary.action, fresh, store.origin(), &Believer, grant).unwrap();
    store.advance(id, Command::Redeem(permit), Effect::default()).await.unwrap();
    store.advance(id, Command::Finish(worked()), Effect::default()).await.unwrap();
    id
}

async fn awaiting(world: &World) -> Vec<ActionId> {
    let filter = Filter { awaits_later_review: true, ..Filter::default() };
    let mut found = Vec::new();
    let mut next = None;
    loop {
        let page = world.store.list(&filter, next, 1).await.unwrap();
        found.extend(page.rows.iter().map(|row| row.approval.case().id));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(world.store.awaiting_later_review().await.unwrap(), found.len() as u64, "{AWAITED}");
    found
}

pub(super) async fn waits_until_somebody_looks(mut world: World) {
    assert_eq!(awaiting(&world).await, []);
    world.desk.finished(&world.store, "ordinary").await;
    let first = ran(&world, "a").await;
    world.clock().forward(Duration::from_millis(1));
    let second = broken(&world, "b").await;
    assert_eq!(awaiting(&world).await, [second, first]);
    world.reopen().await;
    assert_eq!(awaiting(&world).await, [second, first], "after reopening");

    let store = &world.store;
    let finished =
        Filter { states: vec!["finished".to_owned()], awaits_later_review: true, ..Filter::default() };
    assert_eq!(store.list(&finished, None, 10).await.unwrap().rows.len(), 1);
    let before = store.approval(first).await.unwrap();
    let looks = world.desk.looks_back(&before, person(), store.now());
    let advanced = store.advance(first, looks, Effect::default()).await.unwrap();
    let (index, looked) = (advanced.position().index, after(advanced));
    assert!(store.entry(index).await.unwrap().leaf.windows(14).any(|part| part == b"later-review/1"));
    assert_eq!(looked.word(), "finished");
    let (Approval::Finished(was), Approval::Finished(is)) = (&before.approval, &looked) else {
        panic!("ended")
    };
    assert_eq!((was.at, &was.outcome, was.grant), (is.at, &is.outcome, is.grant), "what happened stays");
    assert!(is.case.later.is_some());
    assert_eq!(awaiting(&world).await, [second]);
    let counts = Prior { ran: 2, denied: 0, denied_today: 0 };
    assert_eq!(
        store.prior(world.desk.caller(), "broker http.delete").await.unwrap(),
        counts,
        "ran once each"
    );

    // Once a case, and never before its end.
    let again = world.desk.looks_back(&before, person(), store.now());
    let refused = store.advance(first, again, Effect::default()).await.err();
    assert!(matches!(refused, Some(StoreError::Refused(Refusal::LaterReviewed))), "{refused:?}");
    store.audit().await.unwrap();
    world.reopen().await;
    assert_eq!(awaiting(&world).await, [second]);
    let history = world.store.history(first).await.unwrap();
    assert_eq!(history.last().unwrap().0.word(), "later-reviewed");
    assert_eq!(world.store.approval(first).await.unwrap().approval, looked);
}

pub(super) async fn stays_whole_until_then(world: World) {
    let World { store, desk, .. } = &world;
    let id = ran(&world, "a").await;
    let request = store.history(id).await.unwrap()[0].1.index;
    let admin = Principal::Person(person());
    let erased = store.erase(request, &["action".to_owned()], admin).await.err();
    assert!(erased.is_some_and(|error| error.to_string().contains("broken glass")));
    for round in 0..600 {
        store.record(note(&format!("{round}"))).await.unwrap();
    }
    world.clock().forward(Duration::from_secs(24 * 3_600));
    let pruning = || Pruning {
        before: store.now(),
        leaves: Leaves::Drop,
        by: "the suite".to_owned(),
        policy: "nothing is kept".to_owned(),
    };
    assert!(store.prune(pruning()).await.unwrap().is_none(), "from the first that waits on, all stays");
    let looks = desk.looks_back(&store.approval(id).await.unwrap(), person(), store.now());
    store.advance(id, looks, Effect::default()).await.unwrap();
    assert!(store.prune(pruning()).await.unwrap().is_some());
    assert!(store.approval(id).await.is_err());
    assert_eq!(awaiting(&world).await, []);
    store.audit().await.unwrap();
}

/// Nothing but an approval's own way writes a later review.
pub(super) async fn has_no_other_way(world: World) {
    let draft = domain::entry::Draft { kind: Kind::LaterReview, ..note("forged") };
    assert!(world.store.record(draft).await.is_err());
}
