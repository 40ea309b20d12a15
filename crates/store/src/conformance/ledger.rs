//! The log: its order, its proofs, what is erased of it, and its copies.

use std::time::Duration;

use audit::{Checkpoint, Hash, leaf_hash, verify_consistency, verify_inclusion};
use domain::canonical;
use domain::commitment::{Disclosure, disclosed_root};
use domain::entry::{Draft, Kind, Leaf};
use domain::principal::Principal;
use domain::time::Timestamp;

use super::testing::{arrival, note, person};
use super::{PATIENCE, World};
use crate::{Clock as _, Filter, Store, StoreError, limits, open_fields};

/// Every leaf that stands.
pub(super) async fn leaves(store: &dyn Store) -> Vec<Vec<u8>> {
    let size = store.head().await.unwrap().size;
    let mut leaves = Vec::new();
    while (leaves.len() as u64) < size {
        let page = store.leaves(leaves.len() as u64, size).await.unwrap();
        assert!(!page.is_empty() && page.len() <= limits::PAGE_LIMIT);
        leaves.extend(page);
    }
    leaves
}

pub(super) fn read(leaf: &[u8]) -> Leaf {
    canonical::read(leaf).unwrap()
}

pub(super) fn hashes(proof: Vec<[u8; 32]>) -> Vec<Hash> {
    proof.into_iter().map(Hash::from_bytes).collect()
}

async fn checkpoint(world: &World) -> Checkpoint {
    let head = world.store.head().await.unwrap();
    let signed = Checkpoint::open(head.checkpoint.as_bytes(), &[world.deployment.log_key()]).unwrap();
    assert_eq!(signed.checkpoint().size(), head.size);
    assert_eq!(signed.checkpoint().origin(), world.store.origin().as_str());
    signed.checkpoint().clone()
}

pub(super) async fn entries_are_consecutive_and_time_never_falls(world: World) {
    let World { store, desk, .. } = &world;
    let start = store.now();
    for round in 0..5_u64 {
        let recorded = store.record(note("tick")).await.unwrap();
        assert_eq!(recorded.position().index, round + 1, "behind the genesis");
        world.clock().forward(Duration::from_secs(60));
    }
    let late = store.record(note("before the clock went back")).await.unwrap().position();
    world.clock().set(start);
    assert_eq!(store.now(), late.time, "now is never before the head");
    desk.open(store.as_ref(), "orders").await;
    store.change(0, vec![arrival(person(), "Ada")]).await.unwrap();
    let last = store.record(note("after")).await.unwrap().position();
    assert_eq!((last.time, last.index), (late.time, late.index + 3));

    let leaves: Vec<_> = leaves(store.as_ref()).await.iter().map(|leaf| read(leaf)).collect();
    assert_eq!(leaves.len() as u64, store.head().await.unwrap().size);
    assert_eq!(leaves[0].kind, Kind::Genesis);
    assert!(leaves.is_sorted_by_key(|leaf| leaf.time));
    assert!(leaves.iter().all(|leaf| leaf.origin == *store.origin()));
    assert_eq!(store.head().await.unwrap().time, leaves.last().unwrap().time);
    assert!(matches!(store.entry(leaves.len() as u64).await, Err(StoreError::NotFound(_))));
    assert_eq!(store.leaves(100, 200).await.unwrap(), Vec::<Vec<u8>>::new());
}

pub(super) async fn a_clock_a_day_off_changes_no_order(mut world: World) {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let start = world.clock().now();
    world.clock().forward(DAY);
    let ahead = world.store.record(note("a day ahead")).await.unwrap().position();
    assert!(ahead.time > start);
    world.clock().set(Timestamp::from_micros(start.micros() - 86_400_000_000));
    let back = world.store.record(note("a day behind")).await.unwrap().position();
    assert_eq!((back.index, back.time), (ahead.index + 1, ahead.time));
    // A start anew does not forget it.
    world.reopen().await;
    assert_eq!(world.store.now(), ahead.time);
    let again = world.store.record(note("a day behind, reopened")).await.unwrap().position();
    assert_eq!((again.index, again.time), (back.index + 1, ahead.time));
    world.clock().set(ahead.time);
    world.clock().forward(DAY);
    let on = world.store.record(note("on its way again")).await.unwrap().position();
    assert!(on.time > ahead.time);
    assert_eq!(world.store.audit().await.unwrap(), world.store.head().await.unwrap());
}

pub(super) async fn tiles_are_what_the_leaves_come_to(world: World) {
    let World { store, .. } = &world;
    let records = (0..600).map(|n| {
        let store = std::sync::Arc::clone(store);
        tokio::spawn(async move { store.record(note(&n.to_string())).await.unwrap() })
    });
    for record in records.collect::<Vec<_>>() {
        record.await.unwrap();
    }
    let leaves: Vec<Hash> = leaves(store.as_ref()).await.iter().map(|leaf| leaf_hash(leaf)).collect();
    for (index, tile) in (0..).zip(leaves.chunks(256)) {
        let width = u16::try_from(tile.len()).unwrap();
        assert_eq!(hashes(store.tile(0, index, width).await.unwrap()), tile);
        assert_eq!(hashes(store.tile(0, index, 1).await.unwrap()), tile[..1]);
    }
    let above: Vec<Hash> = leaves.chunks_exact(256).map(audit::tile_root).collect();
    assert_eq!(hashes(store.tile(1, 0, 2).await.unwrap()), above);
    for (level, index, width) in [(0, 2, 256), (1, 0, 3), (2, 0, 1), (0, 3, 1), (0, u64::MAX, 1), (0, 0, 0)] {
        let missing = store.tile(level, index, width).await;
        assert!(matches!(missing, Err(StoreError::NotFound(_))), "{level}/{index}/{width}: {missing:?}");
    }
}

pub(super) async fn every_proof_verifies(world: World) {
    let World { store, .. } = &world;
    let mut signed = vec![checkpoint(&world).await];
    // Past one tile, in batches of uneven sizes.
    for batch in 1..24 {
        let records = (0..batch).map(|n| store.record(note(&format!("{batch}/{n}"))));
        let mut waiting: Vec<_> = records.collect();
        while let Some(record) = waiting.pop() {
            record.await.unwrap();
        }
        signed.push(checkpoint(&world).await);
    }
    let leaves = leaves(store.as_ref()).await;
    assert!(leaves.len() > 256, "{}", leaves.len());
    let last = signed.last().unwrap();
    for (index, leaf) in leaves.iter().enumerate() {
        for tree in [signed.iter().find(|tree| tree.size() > index as u64).unwrap(), last] {
            let proof = hashes(store.inclusion(index as u64, tree.size()).await.unwrap());
            verify_inclusion(leaf_hash(leaf), index as u64, tree.size(), &proof, tree.root()).unwrap();
        }
    }
    for (old, new) in signed.iter().zip(signed.iter().skip(1)).chain(signed.iter().map(|old| (old, last))) {
        let proof = hashes(store.consistency(old.size(), new.size()).await.unwrap());
        verify_consistency(old.size(), old.root(), new.size(), new.root(), &proof).unwrap();
    }
    let size = last.size();
    for (what, answer) in [
        ("an entry behind the tree", store.inclusion(size, size).await),
        ("a tree that is not yet", store.inclusion(0, size + 1).await),
        ("a later tree", store.consistency(size, size + 1).await),
        ("a tree that shrinks", store.consistency(size, size - 1).await),
    ] {
        assert!(matches!(answer, Err(StoreError::NotFound(_))), "{what}: {answer:?}");
    }
    store.audit().await.unwrap();
}

pub(super) async fn fields_recompute_to_the_leaf(world: World) {
    let World { store, desk, .. } = &world;
    desk.finished(store, "orders").await;
    store.change(0, vec![arrival(person(), "Ada")]).await.unwrap();
    for index in 0..store.head().await.unwrap().size {
        let entry = store.entry(index).await.unwrap();
        let leaf = read(&entry.leaf);
        assert_eq!(entry.index, index);
        assert_eq!(entry.fields.len(), leaf.count as usize);
        assert!(leaf.count > 0);
        assert_eq!(open_fields(&entry.fields).len(), entry.fields.len());
        assert_eq!(disclosed_root(&entry.fields).unwrap(), leaf.fields);
        // Each field can be shown alone.
        let withheld = |field: &Disclosure| match field {
            Disclosure::Open(open) => Disclosure::Withheld(open.commitment().unwrap()),
            Disclosure::Withheld(commitment) => Disclosure::Withheld(*commitment),
        };
        let closed: Vec<_> = entry.fields.iter().map(withheld).collect();
        assert_eq!(disclosed_root(&closed).unwrap(), leaf.fields);
    }
}

pub(super) async fn record_takes_only_what_has_no_other_way(world: World) {
    let World { store, desk, .. } = &world;
    let id = desk.open(store.as_ref(), "orders").await;
    let size = store.head().await.unwrap().size;
    let draft = |kind, subject| Draft { kind, subject, fields: Vec::new() };
    for kind in [
        Kind::Genesis,
        Kind::Request,
        Kind::Review,
        Kind::Question,
        Kind::Answer,
        Kind::Reevaluation,
        Kind::End,
        Kind::Execution,
        Kind::Outcome,
        Kind::Directory,
        Kind::Erasure,
        Kind::Heartbeat,
        Kind::Rotation,
        Kind::Pruning,
    ] {
        let refused = store.record(draft(kind, Some(id.to_string()))).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{}: {refused:?}", kind.as_str());
    }
    assert_eq!(store.head().await.unwrap().size, size);
    for kind in
        [Kind::Decision, Kind::Activity, Kind::Reported, Kind::Backup, Kind::Refusal, Kind::Reveal, Kind::Gap]
    {
        store.record(draft(kind, Some(id.to_string()))).await.unwrap();
    }
    // An action that people were not asked about.
    for kind in [Kind::Execution, Kind::Outcome] {
        let unasked = desk.request(store.as_ref(), "unasked").action.id();
        store.record(draft(kind, Some(unasked.to_string()))).await.unwrap();
    }
    store.audit().await.unwrap();
}

pub(super) async fn erasure_keeps_the_leaf(world: World) {
    let World { store, desk, .. } = &world;
    let noted = store.record(note("a name")).await.unwrap().position();
    let before = store.entry(noted.index).await.unwrap();
    let by = Principal::Person(person());
    let erased = store.erase(noted.index, &["text".to_owned()], by).await.unwrap().position();

    let after = store.entry(noted.index).await.unwrap();
    assert_eq!(after.leaf, before.leaf);
    assert_eq!(disclosed_root(&after.fields).unwrap(), read(&after.leaf).fields);
    assert!(open_fields(&after.fields).is_empty());
    let tombstone = store.entry(erased.index).await.unwrap();
    assert_eq!(read(&tombstone.leaf).kind, Kind::Erasure);
    let fields = open_fields(&tombstone.fields);
    let values: Vec<_> = fields.iter().map(|field| (&*field.path, field.value.0.clone())).collect();
    let expected = [
        ("by", by.to_string().into_bytes()),
        ("entry", noted.index.to_string().into_bytes()),
        ("paths", br#"["text"]"#.to_vec()),
    ];
    assert_eq!(values, expected);
    for (index, path) in [(noted.index, "text"), (noted.index, "other"), (10_000, "text")] {
        let missing = store.erase(index, &[path.to_owned()], by).await;
        assert!(matches!(missing, Err(StoreError::NotFound(_))), "{index} {path}: {missing:?}");
    }

    // Of a request at its end the payload goes too, and at last the record itself.
    let id = desk.finished(store, "orders").await;
    let request = store.history(id).await.unwrap()[0].1.index;
    store.erase(request, &["http.body".to_owned()], by).await.unwrap();
    let payload = store.payload(id).await.unwrap();
    assert_eq!(open_fields(&payload).iter().map(|field| &*field.path).collect::<Vec<_>>(), ["http.method"]);
    let root = store.approval(id).await.unwrap().action.parts().payload;
    assert_eq!(disclosed_root(&payload).unwrap(), root);
    store.erase(request, &["action".to_owned(), "event".to_owned()], by).await.unwrap();
    assert!(matches!(store.approval(id).await, Err(StoreError::NotFound(_))));
    assert_eq!(store.list(&Filter::default(), None, 10).await.unwrap().rows.len(), 0);
    assert_eq!(store.prior(desk.caller(), "broker http.delete").await.unwrap().ran, 1);
    // An identical call is a new one.
    desk.open(store.as_ref(), "orders").await;
    store.audit().await.unwrap();
}

pub(super) async fn what_still_works_is_not_erased(world: World) {
    let World { store, desk, .. } = &world;
    let id = desk.open(store.as_ref(), "orders").await;
    let request = store.history(id).await.unwrap()[0].1.index;
    let change = store.change(0, vec![arrival(person(), "Ada")]).await.unwrap().position();
    let by = Principal::Person(person());
    for (index, path) in [
        (0, "origin"),
        (request, "event"),
        (request, "action"),
        (request, "http.body"),
        (change.index, "change"),
    ] {
        let refused = store.erase(index, &[path.to_owned()], by).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{index} {path}: {refused:?}");
    }
    assert_eq!(store.head().await.unwrap().size, change.index + 1);
}

pub(super) async fn backups_restore(world: World) {
    let World { store, desk, deployment, .. } = &world;
    let id = desk.finished(store, "orders").await;
    store.keep("session:1", b"ada", domain::time::Span::from_seconds(3_600)).await.unwrap();
    let file = deployment.scratch().join("copy.backup");
    deployment.back_up(store.as_ref(), &file).await.unwrap();
    let bytes = std::fs::read(&file).unwrap();
    assert!(deployment.back_up(store.as_ref(), &file).await.is_err(), "an existing file stays");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);

    let head = store.head().await.unwrap();
    let summary = store.approval(id).await.unwrap();
    let restored = deployment.restore(&file).await;
    assert_eq!(restored.head().await.unwrap(), head);
    assert_eq!(restored.audit().await.unwrap(), head);
    assert_eq!(restored.approval(id).await.unwrap().approval, summary.approval);
    assert_eq!(restored.look("session:1").await.unwrap().unwrap(), b"ada");
    restored.close(PATIENCE).await;
}

pub(super) async fn reopening_sees_all(mut world: World) {
    let finished = world.desk.finished(&world.store, "orders").await;
    let pending = world.desk.open(world.store.as_ref(), "invoices").await;
    world.store.keep("session:1", b"ada", domain::time::Span::from_seconds(3_600)).await.unwrap();
    assert!(world.store.claim("nonce:1", domain::time::Span::from_seconds(3_600)).await.unwrap());
    let head = world.store.head().await.unwrap();
    let history = world.store.history(finished).await.unwrap();
    world.reopen().await;

    let World { store, desk, .. } = &world;
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!(store.audit().await.unwrap(), head);
    assert_eq!(store.history(finished).await.unwrap(), history);
    assert_eq!(store.look("session:1").await.unwrap().unwrap(), b"ada");
    assert!(!store.claim("nonce:1", domain::time::Span::from_seconds(3_600)).await.unwrap());
    let denied = desk.decide(store.as_ref(), pending, domain::statement::Verdict::Deny).await;
    assert_eq!(denied.word(), "denied");
    assert_eq!(store.head().await.unwrap().size, head.size + 1);

    store.close(PATIENCE).await;
    assert!(store.record(note("too late")).await.is_err(), "a closed store takes no writes");
}
