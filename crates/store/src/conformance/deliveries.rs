//! The outbox of what is brought to people.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::id::{ActionId, TargetName};
use domain::time::{Span, Timestamp};
use uuid::Uuid;

use super::World;
use crate::deliveries::{PARCEL_KEPT_SECONDS, PARCEL_LIMIT_BYTES, Parcel, ParcelFilter};
use crate::{Store, StoreError};

const LEASE: Span = Span::from_seconds(60);

fn slack() -> TargetName {
    "slack".parse().unwrap()
}

fn request(n: u128) -> ActionId {
    ActionId::from_uuid(Uuid::from_u128(n))
}

fn parcel(id: u128, approval: u128, due: Option<Timestamp>) -> Parcel {
    Parcel {
        id: Uuid::from_u128(id),
        approval: request(approval),
        channel: slack(),
        due,
        made: Timestamp::ZERO,
        stirred: 0,
        record: format!("record {id}").into_bytes(),
    }
}

async fn leased(store: &Arc<dyn Store>) -> Vec<Parcel> {
    store.lease(&slack(), 10, LEASE).await.unwrap()
}

pub(super) async fn what_is_due_is_leased_to_one(world: World) {
    let World { store, .. } = &world;
    let now = store.now();
    let later = now.after(Span::from_seconds(30));
    let planned = vec![parcel(1, 1, Some(now)), parcel(2, 1, Some(later)), parcel(3, 1, None)];
    assert_eq!(store.plan(planned.clone()).await.unwrap(), 3);
    assert_eq!(store.plan(planned).await.unwrap(), 0, "what stands stays");
    let elsewhere: TargetName = "teams".parse().unwrap();
    assert!(store.lease(&elsewhere, 10, LEASE).await.unwrap().is_empty(), "each channel has its own");
    let first = leased(store).await;
    assert_eq!(first.iter().map(|parcel| parcel.record.as_slice()).collect::<Vec<_>>(), [b"record 1"]);
    assert!(leased(store).await.is_empty(), "it is leased");
    world.clock().forward(Duration::from_secs(30));
    assert_eq!(leased(store).await.len(), 1, "the second is due by now");
    // The lease of the first ends, and somebody else gets it.
    world.clock().forward(Duration::from_secs(30));
    assert_eq!(leased(store).await, first);
}

pub(super) async fn what_comes_back_is_due_as_it_says(world: World) {
    let World { store, .. } = &world;
    store.plan(vec![parcel(1, 1, Some(store.now()))]).await.unwrap();
    let mut taken = leased(store).await.remove(0);
    taken.record = b"delivered".to_vec();
    taken.due = Some(store.now().after(Span::from_seconds(10)));
    store.put_back(taken).await.unwrap();
    assert!(leased(store).await.is_empty());
    world.clock().forward(Duration::from_secs(10));
    let mut taken = leased(store).await.remove(0);
    assert_eq!(taken.record, b"delivered");
    taken.due = None;
    store.put_back(taken).await.unwrap();
    world.clock().forward(Duration::from_secs(1_000));
    assert!(leased(store).await.is_empty(), "nothing is due of it");
    assert_eq!(store.stir(request(1)).await.unwrap(), 1);
    assert_eq!(store.stir(request(2)).await.unwrap(), 0);
    assert_eq!(leased(store).await.len(), 1, "its request moved");
}

pub(super) async fn what_moves_under_a_lease_is_not_lost(world: World) {
    let World { store, .. } = &world;
    store.plan(vec![parcel(1, 1, Some(store.now()))]).await.unwrap();
    let mut taken = leased(store).await.remove(0);
    store.stir(request(1)).await.unwrap();
    assert!(leased(store).await.is_empty(), "it is leased still");
    taken.due = None;
    store.put_back(taken).await.unwrap();
    let again = leased(store).await;
    assert_eq!(again.len(), 1, "it moved while it was out");
    assert_eq!(again[0].stirred, 1);
}

pub(super) async fn parcels_are_listed_newest_first_and_survive(world: World) {
    let mut world = world;
    for id in 1..=5 {
        world.store.plan(vec![parcel(id, id % 2, None)]).await.unwrap();
        world.clock().forward(Duration::from_secs(1));
    }
    world.reopen().await;
    let World { store, .. } = &world;
    let all = ParcelFilter::default();
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let (page, next) = store.parcels(&all, after, 2).await.unwrap();
        seen.extend(page.iter().map(|parcel| parcel.id.as_u128()));
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    let of_one = ParcelFilter { approval: Some(request(1)), ..ParcelFilter::default() };
    let (page, _) = store.parcels(&of_one, None, 10).await.unwrap();
    assert_eq!(page.iter().map(|parcel| parcel.id.as_u128()).collect::<Vec<_>>(), [5, 3, 1]);
    let of_teams = ParcelFilter { channel: Some("teams".parse().unwrap()), ..ParcelFilter::default() };
    assert!(store.parcels(&of_teams, None, 10).await.unwrap().0.is_empty());
}

pub(super) async fn records_are_limited_and_old_ones_go(world: World) {
    let World { store, .. } = &world;
    let large = Parcel { record: vec![0; PARCEL_LIMIT_BYTES + 1], ..parcel(1, 1, None) };
    assert!(matches!(store.plan(vec![large.clone()]).await, Err(StoreError::Refused(_))));
    assert!(matches!(store.put_back(large).await, Err(StoreError::Refused(_))));
    let due = Some(store.now());
    store.plan(vec![parcel(1, 1, None), parcel(2, 1, due)]).await.unwrap();
    world.clock().forward(Duration::from_secs(PARCEL_KEPT_SECONDS + 1));
    store.plan(vec![parcel(3, 2, None)]).await.unwrap();
    let (page, _) = store.parcels(&ParcelFilter::default(), None, 10).await.unwrap();
    let left: BTreeSet<u128> = page.iter().map(|parcel| parcel.id.as_u128()).collect();
    assert_eq!(left, [2, 3].into(), "what is due never goes for its age");
}

pub(super) async fn a_record_opens_in_its_own_row_only(world: World) {
    let World { store, .. } = &world;
    store.plan(vec![parcel(1, 1, None), parcel(2, 1, None)]).await.unwrap();
    world.deployment.behind_its_back("UPDATE delivery SET channel = 'teams'");
    let read = store.parcels(&ParcelFilter::default(), None, 10).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
}

pub(super) async fn one_of_many_leases_each(world: World) {
    let World { store, .. } = &world;
    let now = store.now();
    store.plan((0..50).map(|id| parcel(id, id, Some(now))).collect()).await.unwrap();
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.lease(&slack(), 10, LEASE).await.unwrap() })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.extend(task.await.unwrap().into_iter().map(|parcel| parcel.id));
    }
    // One that somebody else was just leasing is left to them; nobody gets one twice.
    seen.extend(store.lease(&slack(), 50, LEASE).await.unwrap().into_iter().map(|parcel| parcel.id));
    let distinct: BTreeSet<Uuid> = seen.iter().copied().collect();
    assert_eq!((seen.len(), distinct.len()), (50, 50));
}
