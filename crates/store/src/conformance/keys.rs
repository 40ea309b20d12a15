//! The log's key changes, and whoever trusts the old one can follow.

use std::sync::Arc;

use audit::{Checkpoint, Ed25519Signer, NoteSigner as _, VerifierKey, leaf_hash, verify_inclusion};
use domain::entry::Kind;

use super::ledger::{hashes, leaves, read};
use super::testing::note;
use super::{PATIENCE, World};
use crate::{Store, StoreError, open_fields};

/// A key of the deployment's log that is not its first.
fn next(store: &dyn Store, seed: u8) -> Ed25519Signer {
    Ed25519Signer::new(store.origin().as_str().parse().unwrap(), &[seed; 32])
}

fn verifies(note: &str, key: &VerifierKey) -> bool {
    Checkpoint::open(note.as_bytes(), std::slice::from_ref(key)).is_ok()
}

pub(super) async fn the_key_changes(world: World) {
    let first = world.deployment.log_key();
    let (second, third) = (next(world.store.as_ref(), 101), next(world.store.as_ref(), 102));
    let keys = [first.clone(), second.verifier().clone(), third.verifier().clone()];
    world.store.record(note("under the first")).await.unwrap();
    assert_eq!(world.store.rotations().await.unwrap(), []);

    let changed = world.store.rotate(Box::new(second), "once a year").await.unwrap().position();
    let head = world.store.head().await.unwrap();
    assert_eq!(head.size, changed.index + 1, "the entry is the last leaf of the old key's last checkpoint");
    assert!(verifies(&head.checkpoint, &keys[0]) && !verifies(&head.checkpoint, &keys[1]));
    let entry = world.store.entry(changed.index).await.unwrap();
    assert_eq!(read(&entry.leaf).kind, Kind::Rotation);
    let fields: Vec<_> =
        open_fields(&entry.fields).iter().map(|field| (&*field.path, &*field.value.0)).collect();
    let (old, new) = (keys[0].to_string(), keys[1].to_string());
    assert_eq!(fields, [("new", new.as_bytes()), ("old", old.as_bytes()), ("reason", b"once a year")]);

    // Right behind it, and with nothing in between.
    let again = world.store.rotate(Box::new(third), "and once more").await.unwrap().position();
    let between = world.store.head().await.unwrap();
    assert!(verifies(&between.checkpoint, &keys[1]) && !verifies(&between.checkpoint, &keys[0]));
    world.store.record(note("under the third")).await.unwrap();
    let head = world.store.head().await.unwrap();
    assert!(verifies(&head.checkpoint, &keys[2]) && !verifies(&head.checkpoint, &keys[1]));
    assert_eq!(world.store.audit().await.unwrap(), head);

    let rotations = world.store.rotations().await.unwrap();
    assert_eq!(
        rotations.iter().map(|rotation| rotation.index).collect::<Vec<_>>(),
        [changed.index, again.index]
    );
    let all = leaves(world.store.as_ref()).await;
    for (rotation, (old, new)) in rotations.iter().zip(keys.iter().zip(&keys[1..])) {
        assert_eq!((&rotation.old, &rotation.new), (&old.to_string(), &new.to_string()));
        // What a verifier does that trusts the old key alone.
        let signed = Checkpoint::open(rotation.checkpoint.as_bytes(), std::slice::from_ref(old)).unwrap();
        let tree = signed.checkpoint();
        let proof = hashes(world.store.inclusion(rotation.index, tree.size()).await.unwrap());
        let leaf = leaf_hash(&all[usize::try_from(rotation.index).unwrap()]);
        verify_inclusion(leaf, rotation.index, tree.size(), &proof, tree.root()).unwrap();
    }

    // Only the current key opens it.
    world.store.close(PATIENCE).await;
    for seed in [101, 103] {
        let refused = world.deployment.open_with(next(world.store.as_ref(), seed)).await.err();
        assert!(matches!(refused, Some(StoreError::Corrupt(_))), "{seed}: {refused:?}");
    }
    let store = world.deployment.open_with(next(world.store.as_ref(), 102)).await.unwrap();
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!(store.rotations().await.unwrap(), rotations);
    store.record(note("under the third, reopened")).await.unwrap();
    assert!(verifies(&store.head().await.unwrap().checkpoint, &keys[2]));
    store.audit().await.unwrap();
    store.close(PATIENCE).await;
}

pub(super) async fn rotation_among_other_writes(world: World) {
    let World { store, .. } = &world;
    let second = next(store.as_ref(), 101);
    let key = second.verifier().clone();
    let record = |n: usize| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.record(note(&n.to_string())).await.unwrap().position().index })
    };
    let mut waiting: Vec<_> = (0..200).map(record).collect();
    let changing = {
        let store = Arc::clone(store);
        tokio::spawn(
            async move { store.rotate(Box::new(second), "among others").await.unwrap().position().index },
        )
    };
    waiting.extend((200..400).map(record));
    let mut indices = vec![changing.await.unwrap()];
    let changed = indices[0];
    for record in waiting {
        indices.push(record.await.unwrap());
    }
    indices.sort_unstable();
    assert!(indices.iter().copied().eq(1..=401), "every entry stands once");
    store.record(note("behind all")).await.unwrap();
    let rotations = store.rotations().await.unwrap();
    let signed = Checkpoint::open(rotations[0].checkpoint.as_bytes(), &[world.deployment.log_key()]).unwrap();
    assert_eq!((rotations.len(), signed.checkpoint().size()), (1, changed + 1));
    assert!(verifies(&store.head().await.unwrap().checkpoint, &key));
    store.audit().await.unwrap();
}

pub(super) async fn unfit_keys_are_refused(world: World) {
    let World { store, .. } = &world;
    store.rotate(Box::new(next(store.as_ref(), 101)), "once a year").await.unwrap();
    store.rotate(Box::new(next(store.as_ref(), 102)), "once a year").await.unwrap();
    let head = store.head().await.unwrap();
    let other = Ed25519Signer::new("other.example/log".parse().unwrap(), &[103; 32]);
    for (what, key) in [
        ("the current one", next(store.as_ref(), 102)),
        ("one of before", next(store.as_ref(), 101)),
        ("another log's", other),
    ] {
        let refused = store.rotate(Box::new(key), "by mistake").await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{what}: {refused:?}");
    }
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!(store.rotations().await.unwrap().len(), 2);
}
