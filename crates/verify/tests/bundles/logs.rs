//! Witnesses of a log, and changes of its key.

use audit::{CosignatureTime, Ed25519Signer, NoteSigner as _, SignedCheckpoint, WitnessSigner};
use domain::canonical;
use domain::entry::{self, Kind};
use domain::receipt::Receipt;
use verify::bundle::manifest::RotationLine;

use crate::pack::{Pack, withhold};
use crate::scene::*;
use crate::vectors::{Set, key_file, two};

fn witness(n: u8) -> WitnessSigner {
    WitnessSigner::new(format!("witness-{n}.example/w").parse().unwrap(), &[n + 100; 32])
}

fn policy(quorum: &str) -> String {
    let mut text = format!("# whom the tests trust\nlog {}\n", log_key(ORIGIN, 1).verifier());
    for n in 1..=3 {
        text.push_str(&format!("witness w{n} {}\n", witness(n).key()));
    }
    text + "group two 2 w1 w2 w3\nquorum " + quorum + "\n"
}

fn cosigned(mut checkpoint: SignedCheckpoint, by: &[u8]) -> SignedCheckpoint {
    for n in by {
        let time = CosignatureTime::new(1_767_230_000 + u64::from(*n)).unwrap();
        let line = witness(*n).cosign(&checkpoint, time).unwrap();
        checkpoint.attach(&line, witness(*n).key()).unwrap();
    }
    checkpoint
}

pub(crate) fn witnesses(set: &mut Set) {
    let scene = two();
    let (size, key) = (scene.log.len(), log_key(ORIGIN, 1));
    let pack = Pack::cases(&scene);
    let note = |by: &[u8]| cosigned(scene.checkpoint(size, &key), by).note().to_string();
    let mut add = |name: &str, note: String, quorum: &str, verdict| {
        let bytes = pack.clone().with(|p| p.checkpoint = note).bytes();
        set.trusting(&format!("cases-{name}"), bytes, &policy(quorum), verdict);
    };
    add("cosigned-by-two-of-three", note(&[1, 3]), "two", "valid");
    add("cosigned-by-one-of-three", note(&[2]), "two", "indeterminate");
    add("cosigned-by-nobody", note(&[]), "two", "indeterminate");
    add("cosigned-by-the-one", note(&[1]), "w1", "valid");
    add("cosigned-by-another-than-the-one", note(&[2]), "w1", "indeterminate");
    add("cosigned-by-nobody-and-nobody-asked", note(&[]), "none", "valid");
    add("cosigned-by-a-stranger-too", note(&[1, 2, 9]), "two", "valid");
    // A good cosignature, of another checkpoint of the same log.
    let earlier = cosigned(scene.checkpoint(size - 1, &key), &[1, 2]).note().to_string();
    let lines: Vec<_> = earlier.lines().filter(|line| line.starts_with("\u{2014} witness")).collect();
    add("cosignatures-of-another-checkpoint", note(&[]) + &lines.join("\n") + "\n", "two", "invalid");
    let spliced = note(&[1]) + lines[1] + "\n";
    add("one-cosignature-of-another-checkpoint", spliced, "two", "invalid");
    // One witness's signature under another's name.
    let one = note(&[1]);
    let line = one.lines().last().unwrap();
    let renamed = one.clone() + &line.replace("witness-1", "witness-2") + "\n";
    add("cosignature-renamed", renamed, "two", "indeterminate");
    let receipt = canonical::write(&Receipt { checkpoint: note(&[1, 2]), ..scene.receipt() }).unwrap();
    set.trusting("receipt-cosigned", receipt, &policy("two"), "valid");
    let receipt = canonical::write(&scene.receipt()).unwrap();
    set.trusting("receipt-not-cosigned", receipt, &policy("two"), "indeterminate");
}

/// A log whose key changed twice, and what a verifier is given to follow.
pub(crate) fn rotations(set: &mut Set) {
    let mut scene = two();
    let keys = [1, 2, 3].map(|seed| log_key(ORIGIN, seed));
    let mut places = Vec::new();
    for (old, new) in [(0, 1), (1, 2)] {
        places.push(rotate(&mut scene, &keys[old], &keys[new]));
        scene.told.pop();
        scene.untold(Kind::Heartbeat);
    }
    let size = scene.log.len();
    let line = |at: usize, key: &Ed25519Signer| RotationLine {
        checkpoint: scene.checkpoint(at + 1, key).note().to_string(),
        entry: scene.entry(at, at + 1),
        consistency: blobs(&consistency(at + 1, &scene.hashes(size), true)),
    };
    let pack = Pack {
        checkpoint: scene.checkpoint(size, &keys[2]).note().to_string(),
        keys: vec![line(places[0], &keys[0]), line(places[1], &keys[1])],
        ..Pack::cases(&scene)
    };
    let mut add = |name: &str, seed: u8, verdict, change: &dyn Fn(&mut Pack)| {
        set.trusting(
            &format!("cases-key-{name}"),
            pack.clone().with(change).bytes(),
            &key_file(seed),
            verdict,
        );
    };
    add("changed-and-followed", 1, "valid", &|_| {});
    add("changed-and-followed-from-the-middle", 2, "valid", &|_| {});
    add("changed-and-the-newest-trusted", 3, "valid", &|_| {});
    add("changed-and-nobody-trusted", 4, "invalid", &|_| {});
    add("changed-and-not-told", 1, "invalid", &|p| p.keys.clear());
    add("changed-and-told-by-half", 1, "invalid", &|p| p.keys.truncate(1));
    add("changed-in-another-order", 1, "invalid", &|p| p.keys.reverse());
    add("used-after-its-change", 1, "invalid", &|p| {
        p.checkpoint = scene.checkpoint(size, &keys[0]).note().to_string();
    });
    add("change-signed-by-the-new-one", 1, "invalid", &|p| p.keys[0] = line(places[0], &keys[1]));
    add("change-withheld", 1, "invalid", &|p| p.keys[0].entry.fields.iter_mut().for_each(withhold));
    add("change-without-consistency", 1, "invalid", &|p| p.keys[0].consistency.clear());
    add("change-is-another-entry", 1, "invalid", &|p| p.keys[0] = line(places[0] - 1, &keys[0]));
    // The old key's holder signs a tree of their own, in which the log goes to their own new key.
    let mut fork = two();
    let mine = log_key(ORIGIN, 66);
    let place = rotate(&mut fork, &keys[0], &mine);
    let forged = RotationLine {
        checkpoint: fork.checkpoint(place + 1, &keys[0]).note().to_string(),
        entry: fork.entry(place, place + 1),
        consistency: blobs(&consistency(place + 1, &scene.hashes(size), true)),
    };
    add("changed-in-a-fork", 1, "invalid", &|p| {
        p.keys = vec![forged.clone()];
        p.checkpoint = scene.checkpoint(size, &mine).note().to_string();
    });
}

fn rotate(scene: &mut Scene, old: &Ed25519Signer, new: &Ed25519Signer) -> usize {
    scene.write(entry::Draft {
        kind: Kind::Rotation,
        subject: None,
        fields: vec![
            ("new".to_owned(), new.verifier().to_string().into_bytes()),
            ("old".to_owned(), old.verifier().to_string().into_bytes()),
            ("reason".to_owned(), b"yearly".to_vec()),
        ],
    })
}
