use proptest::prelude::*;

use super::support::*;
use crate::*;

fn proof(index: u64, size: u64) -> (TlogProof, VerifierKey) {
    let log = Log::of_size(size);
    let signer = signer("log.example", 1);
    let root = log.frontier.root();
    let signed = Checkpoint::new("log.example", size, root, vec![]).unwrap().sign(&[&signer]).unwrap();
    let hashes = TreeReader::open(&log, size, root).unwrap().inclusion_proof(index).unwrap();
    (TlogProof::new(index, hashes, signed.note().clone()).unwrap(), key(&signer))
}

#[test]
fn files_come_back_and_verify() {
    for (index, size) in [(0, 1), (0, 2), (6, 7), (255, 257), (256, 257)] {
        let (proof, key) = proof(index, size);
        let bytes = proof.to_string().into_bytes();
        let read = TlogProof::parse(&bytes).unwrap();
        assert_eq!(read, proof);
        let signed = read.verify(leaf(index), &[key]).unwrap();
        assert_eq!(signed.checkpoint().size(), size);
        assert_eq!((read.index(), read.extra()), (index, None));
    }
}

#[test]
fn the_text_is_the_specifications() {
    let (proof, _) = proof(2, 3);
    let text = proof.with_extra(b"hi".to_vec()).unwrap().to_string();
    let lines: Vec<_> = text.lines().collect();
    let left = node_hash(leaf(0), leaf(1)).to_string();
    assert_eq!(lines[..6], ["c2sp.org/tlog-proof@v1", "extra aGk=", "index 2", &left, "", "log.example"]);
}

#[test]
fn no_changed_byte_passes() {
    let (proof, key) = proof(6, 7);
    let known = [key];
    let bytes = proof.to_string().into_bytes();
    let opens = |bytes: &[u8]| TlogProof::parse(bytes).and_then(|proof| proof.verify(leaf(6), &known));
    assert!(opens(&bytes).is_ok());
    for changed in bit_flips(&bytes).chain(edits(&bytes)) {
        assert!(opens(&changed).is_err(), "{:?}", String::from_utf8_lossy(&changed));
    }
    assert_eq!(proof.verify(leaf(5), &known), Err(Error::ProofMismatch));
    assert_eq!(proof.verify(leaf(6), &[]), Err(Error::NoKnownSignature));
}

/// The format does not sign extra data, so all that can be promised is what is checked here.
#[test]
fn extra_data_changes_nothing_but_itself() {
    let (proof, key) = proof(6, 7);
    let known = [key];
    let bytes = proof.with_extra(b"from elsewhere".to_vec()).unwrap().to_string().into_bytes();
    let original = TlogProof::parse(&bytes).unwrap();
    for changed in bit_flips(&bytes) {
        let Ok(proof) = TlogProof::parse(&changed) else {
            continue;
        };
        assert_eq!(proof.to_string().into_bytes(), changed);
        if proof.verify(leaf(6), &known).is_ok() {
            assert_ne!(proof.extra(), original.extra());
            let without =
                |proof: &TlogProof| (proof.index(), proof.hashes().to_vec(), proof.checkpoint().clone());
            assert_eq!(without(&proof), without(&original));
        }
    }
}

#[test]
fn malformed_files_are_refused() {
    let (proof, _) = proof(6, 7);
    let text = proof.to_string();
    for (from, to) in [
        ("c2sp.org/tlog-proof@v1\n", ""),
        ("@v1", "@v2"),
        ("index 6", "index 06"),
        ("index 6", "index +6"),
        ("index 6", "index"),
        ("index 6\n", ""),
        ("index 6\n", "index 6\nindex 6\n"),
        ("index 6\n", "extra \nindex 6\n"),
        ("index 6\n", "extra aGk\nindex 6\n"),
        ("index 6\n", "extra aGk=\nextra aGk=\nindex 6\n"),
        ("index 6\n", "index 6\nextra aGk=\n"),
        ("\n\nlog.example", "\nlog.example"),
        ("\n", "\r\n"),
    ] {
        let wrong = text.replacen(from, to, if from == "\n" { 99 } else { 1 });
        assert_ne!(wrong, text);
        assert!(TlogProof::parse(wrong.as_bytes()).is_err(), "{wrong:?}");
    }
}

#[test]
fn limits_hold() {
    let (proof, _) = proof(0, 1);
    let note = proof.checkpoint().clone();
    let most = TlogProof::new(0, vec![leaf(0); MAX_PROOF_HASHES], note.clone()).unwrap();
    let most = most.with_extra(vec![0; MAX_EXTRA_BYTES]).unwrap();
    assert_eq!(TlogProof::parse(most.to_string().as_bytes()).unwrap(), most);
    assert!(TlogProof::new(0, vec![leaf(0); MAX_PROOF_HASHES + 1], note).is_err());
    let more = most.to_string().replacen("\n\n", &format!("\n{}\n\n", leaf(0)), 1);
    assert!(matches!(TlogProof::parse(more.as_bytes()), Err(Error::TooLarge { .. })));
    assert!(proof.clone().with_extra(vec![0; MAX_EXTRA_BYTES + 1]).is_err());
    assert!(proof.with_extra(vec![]).is_err());
    assert!(matches!(TlogProof::parse(&vec![b'a'; MAX_PROOF_FILE_BYTES + 1]), Err(Error::TooLarge { .. })));
}

#[test]
fn a_quorum_of_witnesses_is_asked_for() {
    let log = Log::of_size(7);
    let (w1, w2) = (witness("w1", 1), witness("w2", 2));
    let policy = format!("log {}\nwitness a {}\nwitness b {}\n", log_key(), w1.key(), w2.key());
    let under = |quorum: &str| Policy::parse(format!("{policy}{quorum}\n").as_bytes()).unwrap();
    let mut checkpoint = signed(&log);
    cosign(&mut checkpoint, &w1, 77);
    let hashes = inclusion_proof(&log, 6, 7).unwrap();
    let bytes = TlogProof::new(6, hashes, checkpoint.note().clone()).unwrap().to_string().into_bytes();
    let proof = TlogProof::parse(&bytes).unwrap();

    let verdict = proof.verify_by(leaf(6), &under("quorum a"), ORIGIN).unwrap();
    assert_eq!(verdict.witnesses()[0].time, Some(time(77)));
    assert!(proof.verify_by(leaf(6), &under("quorum none"), ORIGIN).is_ok());
    let missed = Error::QuorumMissed { cosigned: 1, known: 2, quorum: "b".into() };
    assert_eq!(proof.verify_by(leaf(6), &under("quorum b"), ORIGIN), Err(missed));
    assert_eq!(proof.verify_by(leaf(5), &under("quorum a"), ORIGIN), Err(Error::ProofMismatch));
    assert!(proof.verify_by(leaf(6), &under("quorum a"), "other.example").is_err());

    let policy = under("quorum a");
    let opens = |bytes: &[u8]| TlogProof::parse(bytes)?.verify_by(leaf(6), &policy, ORIGIN);
    for changed in bit_flips(&bytes).chain(edits(&bytes)) {
        assert!(opens(&changed).is_err(), "{:?}", String::from_utf8_lossy(&changed));
    }
}

proptest! {
    #[test]
    fn anything_is_parsed_or_refused(bytes in any::<Vec<u8>>(), text in "(c2sp.org/tlog-proof@v1\n)(extra aGk=\n)?(index [0-9]{1,3}\n)(aGk=\n)?\na\n\n\u{2014} a x08go/ZJkuBS\n") {
        let _ = TlogProof::parse(&bytes);
        if let Ok(proof) = TlogProof::parse(text.as_bytes()) {
            prop_assert_eq!(proof.to_string(), text);
        }
    }
}
