use proptest::prelude::*;

use super::support::*;
use crate::*;

const LATER: u64 = 1_900_000_000;

#[test]
fn the_message_is_the_specifications() {
    use ed25519_dalek::{Signature, VerifyingKey};

    let (checkpoint, w1) = (checkpoint(3), witness("witness.example/w1", 9));
    let line = w1.cosign(&checkpoint, time(1_679_315_147)).unwrap();
    let (stamp, signature) = line.payload().split_at(8);
    assert_eq!(stamp, 1_679_315_147_u64.to_be_bytes());
    let message = format!("cosignature/v1\ntime 1679315147\n{}", checkpoint.note().text());
    let public = VerifyingKey::from_bytes(&w1.key().public_bytes()).unwrap();
    public.verify_strict(message.as_bytes(), &Signature::from_slice(signature).unwrap()).unwrap();
    // Type 0x04 is part of the key's id and of its spelling.
    let as_log = VerifierKey::new(w1.key().name().clone(), &w1.key().public_bytes()).unwrap();
    assert_ne!(as_log.id(), w1.key().id());
    assert!(w1.key().to_string().starts_with(&format!("witness.example/w1+{}+B", w1.key().id())));
}

#[test]
fn cosignatures_of_known_witnesses_are_read_and_others_ignored() {
    let (w1, w2, stranger) = (witness("w1", 1), witness("w2", 2), witness("w3", 3));
    let mut checkpoint = checkpoint(7);
    cosign(&mut checkpoint, &w2, 5);
    cosign(&mut checkpoint, &stranger, 6);
    cosign(&mut checkpoint, &w1, 7);
    let known = [w1.key().clone(), w2.key().clone()];
    let found = reopened(&checkpoint).cosignatures(&known).unwrap().iter().map(named).collect::<Vec<_>>();
    assert_eq!(found, [("w2".to_owned(), 5), ("w1".to_owned(), 7)]);
    assert_eq!(checkpoint.cosignatures(&[]), Ok(vec![]));
    // A key of the same name, or one that the log's line bears, is another key.
    let namesake = witness("w1", 4);
    assert_eq!(checkpoint.cosignatures(&[namesake.key().clone()]), Ok(vec![]));
}

#[test]
fn the_latest_of_several_good_lines_counts_and_one_bad_line_spoils_the_note() {
    let w1 = witness("w1", 1);
    let known = [w1.key().clone()];
    let (plain, other) = (checkpoint(7), checkpoint(8));
    let lines = [LATER, 3, 5].map(|at| w1.cosign(&plain, time(at)).unwrap());
    let note = format!("{}{}\n{}\n{}\n{}\n", plain.note(), lines[1], lines[0], lines[2], lines[0]);
    let found = open(&note).cosignatures(&known).unwrap();
    assert_eq!(found.iter().map(named).collect::<Vec<_>>(), [("w1".to_owned(), LATER)]);

    // A good line before or after it does not help.
    let spliced = w1.cosign(&other, time(9)).unwrap();
    let bad = Error::BadSignature { name: "w1".into(), id: w1.key().id() };
    for lines in [format!("{spliced}\n{}\n", lines[0]), format!("{}\n{spliced}\n", lines[0])] {
        let note = open(&format!("{}{lines}", plain.note()));
        assert_eq!(note.cosignatures(&known), Err(bad.clone()));
        assert_eq!(note.cosignatures(&[]), Ok(vec![]));
    }
}

#[test]
fn attaching_checks_and_replaces() {
    let (w1, w2) = (witness("w1", 1), witness("w2", 2));
    let mut checkpoint = checkpoint(7);
    cosign(&mut checkpoint, &w1, 5);
    cosign(&mut checkpoint, &w2, 5);
    let before = checkpoint.clone();
    let foreign = w1.cosign(&self::checkpoint(8), time(9)).unwrap();
    assert!(matches!(checkpoint.attach(&foreign, w1.key()), Err(Error::BadSignature { .. })));
    let line = w1.cosign(&checkpoint, time(9)).unwrap();
    assert!(matches!(checkpoint.attach(&line, w2.key()), Err(Error::BadSignature { .. })));
    assert_eq!(checkpoint, before);
    assert_eq!(checkpoint.attach(&line, w1.key()).unwrap().seconds(), 9);
    let known = [w1.key().clone(), w2.key().clone()];
    let found = reopened(&checkpoint).cosignatures(&known).unwrap();
    assert_eq!(found.iter().map(named).collect::<Vec<_>>(), [("w2".to_owned(), 5), ("w1".to_owned(), 9)]);
    assert_eq!(checkpoint.note().signatures().len(), 3);
}

#[test]
fn times_have_a_range() {
    let (w1, checkpoint) = (witness("w1", 1), checkpoint(7));
    assert!(CosignatureTime::new(1 << 63).is_err());
    let last = CosignatureTime::new((1 << 63) - 1).unwrap();
    let line = w1.cosign(&checkpoint, last).unwrap();
    assert_eq!(checkpoint.clone().attach(&line, w1.key()), Ok(last));
    assert!(w1.cosign(&checkpoint, time(0)).is_err());
}

#[test]
fn ml_dsa_keys_are_known_by_name_and_their_lines_ignored() {
    let vkey = ml_dsa("witness.example/pq", 7);
    let key: CosignerKey = vkey.parse().unwrap();
    assert!(key.readable().is_none());
    assert_eq!(key.name().as_str(), "witness.example/pq");
    assert!(vkey.parse::<WitnessKey>().is_err());
    assert!(vkey.parse::<VerifierKey>().is_err());

    // A line as that key would write it: 2,420 bytes of signature behind the time.
    let payload = [key.id().as_bytes().as_slice(), &9_u64.to_be_bytes(), &[5; 2_420]].concat();
    let w1 = witness("w1", 1);
    let mut checkpoint = checkpoint(7);
    cosign(&mut checkpoint, &w1, 5);
    let line = format!("\u{2014} witness.example/pq {}", text::to_base64(&payload));
    let note = open(&format!("{}{line}\n", checkpoint.note()));
    let known = [w1.key().clone()];
    assert_eq!(note.cosignatures(&known).unwrap().len(), 1);
}

#[test]
fn witness_keys_have_one_spelling() {
    let good = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    let key: WitnessKey = good.parse().unwrap();
    assert_eq!(key.to_string(), good);
    assert_eq!(WitnessKey::new(key.name().clone(), &key.public_bytes()).unwrap(), key);
    for changed in bit_flips(good.as_bytes()).chain(edits(good.as_bytes())) {
        let Ok(text) = String::from_utf8(changed) else {
            continue;
        };
        assert!(text.parse::<CosignerKey>().is_err(), "{text}");
    }
    // A log's key, and an ML-DSA-44 key of the wrong length.
    let log = key_of(&signer("w1", 1)).to_string();
    assert!(log.parse::<WitnessKey>().unwrap_err().to_string().contains("0x04"));
    let pq = ml_dsa("w1", 1);
    let short = vkey("w1", 6, &[1; 1_311]);
    assert!(pq.parse::<CosignerKey>().is_ok() && short.parse::<CosignerKey>().is_err());
    let printed = format!("{:?}", witness("w1", 0xab));
    assert!(!printed.contains("171") && !printed.contains("abab"), "{printed}");
}

#[test]
fn no_changed_byte_passes() {
    let w1 = witness("w1", 1);
    let mut checkpoint = checkpoint(7);
    cosign(&mut checkpoint, &w1, LATER);
    let bytes = checkpoint.note().to_string().into_bytes();
    let known = [w1.key().clone()];
    let good = |bytes: &[u8]| {
        let opened = Checkpoint::open(bytes, &[log_key()]).ok()?;
        opened.cosignatures(&known).ok()?.first().map(|found| found.time.seconds())
    };
    assert_eq!(good(&bytes), Some(LATER));
    for changed in bit_flips(&bytes).chain(edits(&bytes)) {
        assert_eq!(good(&changed), None, "{:?}", String::from_utf8_lossy(&changed));
    }
}

proptest! {
    #[test]
    fn what_is_cosigned_verifies_and_nothing_else(size in 1..50_u64, other in 1..50_u64, at in 1..u64::MAX / 2, seed in 1..9_u8) {
        let signer = witness("w", seed);
        let line = signer.cosign(&checkpoint(size), time(at)).unwrap();
        let attached = checkpoint(other).attach(&line, signer.key());
        prop_assert_eq!(attached.is_ok(), size == other);
        let stranger = witness("w", seed + 1);
        prop_assert!(checkpoint(size).attach(&line, stranger.key()).is_err());
    }
}

fn checkpoint(size: u64) -> SignedCheckpoint {
    signed(&Log::of_size(size))
}

fn open(note: &str) -> SignedCheckpoint {
    Checkpoint::open(note.as_bytes(), &[log_key()]).unwrap()
}

fn reopened(checkpoint: &SignedCheckpoint) -> SignedCheckpoint {
    open(&checkpoint.note().to_string())
}

fn named(found: &Cosignature<'_>) -> (String, u64) {
    (found.key.name().to_string(), found.time.seconds())
}
