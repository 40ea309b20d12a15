//! What goes for its age, what stays, and that every proof does.

use std::sync::Arc;
use std::time::Duration;

use audit::{Hash, leaf_hash};
use domain::canonical;
use domain::commitment::disclosed_root;
use domain::directory::{Change, DirectoryEvent};
use domain::entry::Kind;
use domain::principal::Principal;
use domain::statement::Verdict;
use domain::time::Timestamp;

use super::World;
use super::ledger::{leaves, read};
use super::testing::{arrival, note, person};
use crate::{Filter, Leaves, Ledger, Pruning, StoreError, open_fields};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn before(time: Timestamp, leaves: Leaves) -> Pruning {
    Pruning {
        before: time,
        leaves,
        by: "the suite".to_owned(),
        policy: "values are kept for a day".to_owned(),
    }
}

/// Repeats it until nothing is left to do; answers the first entry that was not looked at.
async fn prune(store: &dyn Ledger, pruning: &Pruning) -> u64 {
    let mut below = 0;
    while let Some(pruned) = store.prune(pruning.clone()).await.unwrap() {
        let pruned = *pruned.get();
        assert!(pruned.from < pruned.below && pruned.below % 256 == 0, "{pruned:?}");
        below = pruned.below;
    }
    below
}

async fn notes(world: &World, count: usize) {
    let records = (0..count).map(|n| {
        let store = Arc::clone(&world.store);
        tokio::spawn(async move { store.record(note(&n.to_string())).await.unwrap() })
    });
    for record in records.collect::<Vec<_>>() {
        record.await.unwrap();
    }
}

/// Proofs of every kind, in the trees of the sizes that stood before.
async fn proofs(store: &dyn Ledger, size: u64) -> Vec<Vec<[u8; 32]>> {
    let mut proofs = Vec::new();
    for index in (0..size).step_by(37) {
        proofs.push(store.inclusion(index, size).await.unwrap());
        proofs.push(store.consistency(index + 1, size).await.unwrap());
        proofs.push(store.inclusion(index / 2, index + 1).await.unwrap());
    }
    proofs
}

pub(super) async fn values_go_and_proofs_stay(mut world: World) {
    let ran = world.desk.finished(&world.store, "orders").await;
    let change = world.store.change(0, vec![arrival(person(), "Ada")]).await.unwrap().position();
    notes(&world, 600).await;
    world.clock().forward(DAY);
    let limit = world.store.record(note("young")).await.unwrap().position();
    notes(&world, 300).await;
    let size = world.store.head().await.unwrap().size;
    let (all, proven) = (leaves(world.store.as_ref()).await, proofs(world.store.as_ref(), size).await);

    let pruning = before(limit.time, Leaves::Keep);
    let below = prune(world.store.as_ref(), &pruning).await;
    assert_eq!(below, limit.index - limit.index % 256, "whole tiles below the limit");
    assert_eq!(world.store.pruned_below().await.unwrap(), below);
    assert!(world.store.prune(pruning.clone()).await.unwrap().is_none());
    world.reopen().await;
    let store = &world.store;
    assert_eq!(leaves(store.as_ref()).await[..all.len()], all);
    assert_eq!(proofs(store.as_ref(), size).await, proven);
    for index in 0..size {
        let entry = store.entry(index).await.unwrap();
        assert_eq!(disclosed_root(&entry.fields).unwrap(), read(&entry.leaf).fields);
        let stays = index >= below || matches!(read(&entry.leaf).kind, Kind::Genesis | Kind::Directory);
        assert_eq!(!open_fields(&entry.fields).is_empty(), stays, "entry {index}");
    }
    assert_eq!(
        store
            .directory_entries(&read(&all[usize::try_from(change.index).unwrap()]).subject.unwrap())
            .await
            .unwrap(),
        [change.index]
    );

    let said = store.entry(size).await.unwrap();
    assert_eq!(read(&said.leaf).kind, Kind::Pruning);
    let value = |path: &str| {
        let open = open_fields(&said.fields);
        String::from_utf8(open.iter().find(|field| field.path == path).unwrap().value.0.clone()).unwrap()
    };
    let kept = canonical::write(&vec![0, change.index]).unwrap();
    assert_eq!(
        [value("from"), value("below"), value("leaves")],
        ["0".to_owned(), below.to_string(), "kept".to_owned()]
    );
    assert_eq!(value("kept").into_bytes(), kept);
    assert_eq!([value("by"), value("policy")], [pruning.by, pruning.policy]);

    // The approval is out of sight; that it ran still counts.
    for missing in
        [store.approval(ran).await.err(), store.payload(ran).await.err(), store.history(ran).await.err()]
    {
        assert!(matches!(missing, Some(StoreError::NotFound(_))), "{missing:?}");
    }
    assert!(store.list(&Filter::default(), None, 10).await.unwrap().rows.is_empty());
    assert_eq!(store.prior(world.desk.caller(), "broker http.delete").await.unwrap().ran, 1);
    store.audit().await.unwrap();
}

pub(super) async fn leaves_go_and_hashes_stay(mut world: World) {
    world.desk.finished(&world.store, "orders").await;
    world.store.change(0, vec![arrival(person(), "Ada")]).await.unwrap();
    notes(&world, 700).await;
    world.clock().forward(DAY);
    let first = world.store.record(note("young")).await.unwrap().position();
    notes(&world, 600).await;
    world.clock().forward(DAY);
    let second = world.store.record(note("younger")).await.unwrap().position();
    let size = world.store.head().await.unwrap().size;
    let (all, proven) = (leaves(world.store.as_ref()).await, proofs(world.store.as_ref(), size).await);

    // Values first, and later the leaves too.
    prune(world.store.as_ref(), &before(first.time, Leaves::Keep)).await;
    let below = prune(world.store.as_ref(), &before(second.time, Leaves::Drop)).await;
    assert_eq!(below, second.index - second.index % 256);
    world.reopen().await;
    let store = &world.store;
    assert_eq!(proofs(store.as_ref(), size).await, proven);
    for ((index, leaf), now) in (0..).zip(&all).zip(&leaves(store.as_ref()).await) {
        let stays = index >= below || matches!(read(leaf).kind, Kind::Genesis | Kind::Directory);
        assert_eq!(now.as_slice(), if stays { leaf.as_slice() } else { b"" }, "entry {index}");
        let entry = store.entry(index).await;
        let fits = if stays { entry.is_ok() } else { matches!(entry, Err(StoreError::NotFound(_))) };
        assert!(fits, "entry {index}: {entry:?}");
        let tile = store.tile(0, index / 256, u16::try_from(index % 256).unwrap() + 1).await.unwrap();
        assert_eq!(tile.last().copied().map(Hash::from_bytes), Some(leaf_hash(leaf)));
    }
    store.audit().await.unwrap();
    assert!(store.erase(7, &["text".to_owned()], Principal::Person(person())).await.is_err());
    // The log goes on, and so does pruning.
    notes(&world, 300).await;
    world.clock().forward(DAY);
    let next = prune(world.store.as_ref(), &before(world.store.now(), Leaves::Drop)).await;
    assert!(next > below, "{next}");
    world.store.audit().await.unwrap();
}

pub(super) async fn what_is_needed_stays(world: World) {
    let World { store, desk, .. } = &world;
    notes(&world, 300).await;
    let pending = desk.open(store.as_ref(), "orders").await;
    notes(&world, 600).await;
    world.clock().forward(Duration::from_secs(600));
    let late = before(Timestamp::from_micros(store.now().micros() + 1), Leaves::Drop);
    assert_eq!(prune(store.as_ref(), &late).await, 256, "nothing from the first open request on");
    store.audit().await.unwrap();
    assert_eq!(desk.decide(store.as_ref(), pending, Verdict::Deny).await.word(), "denied");
    // It came to its end, but not before the limit.
    let ended = store.now();
    assert!(store.prune(before(ended, Leaves::Drop)).await.unwrap().is_none());
    world.clock().forward(DAY);
    notes(&world, 1).await;
    let later = before(Timestamp::from_micros(ended.micros() + 1), Leaves::Drop);
    assert_eq!(prune(store.as_ref(), &later).await, 768, "the tile on the right edge stays");
    assert!(store.approval(pending).await.is_err());
    store.audit().await.unwrap();
}

/// Who signed for a key or a standing must be told for as long as anybody's review may rest on it.
pub(super) async fn what_keys_and_standings_need_stays(mut world: World) {
    let who = person();
    world.store.change(0, vec![arrival(who, "Ada")]).await.unwrap();
    let mut kept = Vec::new();
    for (group, queue) in [("dba", "first"), ("ops", "second")] {
        let approval = world.desk.finished(&world.store, queue).await;
        let event = DirectoryEvent::GroupJoined { group: group.parse().unwrap(), person: who };
        let change = Change { event, by: Some(Principal::Person(who)), approval: Some(approval) };
        world.store.change(world.store.directory().version(), vec![change]).await.unwrap();
        kept.push(approval);
    }
    // One that the directory names, and neither a key nor a group rests on it.
    let named = world.desk.finished(&world.store, "third").await;
    let gone = Change { approval: Some(named), ..arrival(person(), "Bob") };
    world.store.change(world.store.directory().version(), vec![gone]).await.unwrap();
    notes(&world, 600).await;
    world.clock().forward(DAY);
    let whole = async |world: &World, id| {
        let store = &world.store;
        let (approval, payload) = (store.approval(id).await.unwrap(), store.payload(id).await.unwrap());
        let mut entries = Vec::new();
        for (_, position) in store.history(id).await.unwrap() {
            entries.push(store.entry(position.index).await.unwrap());
        }
        format!("{approval:?} {payload:?} {entries:?}")
    };
    let stood = [whole(&world, kept[0]).await, whole(&world, kept[1]).await];
    for leaves in [Leaves::Keep, Leaves::Drop] {
        let below = prune(world.store.as_ref(), &before(world.store.now(), leaves)).await;
        assert_eq!(below, 512);
        world.reopen().await;
        assert_eq!([whole(&world, kept[0]).await, whole(&world, kept[1]).await], stood, "{leaves:?}");
        assert!(matches!(world.store.approval(named).await, Err(StoreError::NotFound(_))));
        assert_eq!(world.store.list(&Filter::default(), None, 10).await.unwrap().rows.len(), 2);
        world.store.audit().await.unwrap();
    }
}
