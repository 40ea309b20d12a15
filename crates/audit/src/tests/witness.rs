use proptest::prelude::*;

use super::support::*;
use crate::witness::*;
use crate::*;

const NOW: u64 = 1_800_000_000;

fn logs() -> TrustedLogs {
    TrustedLogs::new([log_key()])
}

/// A request of an honest log of `new` leaves to a witness that has seen `old`.
fn request(old: u64, new: u64) -> AddCheckpoint {
    let log = Log::of_size(new);
    AddCheckpoint::new(old, consistency_proof(&log, old, new).unwrap(), signed(&log).note().clone()).unwrap()
}

/// A witness that has cosigned the log at that size.
fn known(size: u64) -> Witnessed {
    let update = Witnessed::consider(None, &request(0, size), &logs(), time(NOW)).unwrap();
    update.cosign(&witness("w1", 9)).unwrap()
}

fn ask(known: Option<&Witnessed>, request: &AddCheckpoint) -> Result<Witnessed, Refusal> {
    Witnessed::consider(known, request, &logs(), time(NOW))
        .map(|update| update.cosign(&witness("w1", 9)).unwrap())
}

/// The log of the first `size` leaves, then others than everybody knows.
fn forked(size: u64, at: u64) -> Log {
    let mut log = Log::of_size(at);
    let leaves: Vec<_> = (at..size).map(|index| leaf_hash(&entry(index + 1_000))).collect();
    log.append(&leaves);
    log
}

#[test]
fn the_text_is_the_specifications() {
    let log = Log::of_size(3);
    let text = request(2, 3).to_string();
    let expected = format!("old 2\n{}\n\n{}", leaf(2), signed(&log).note());
    assert_eq!(text, expected);
    assert_eq!(AddCheckpoint::parse(text.as_bytes()).unwrap(), request(2, 3));
    assert_eq!(request(0, 3).to_string(), format!("old 0\n\n{}", signed(&log).note()));
    assert_eq!(request(2, 3).origin(), ORIGIN);
}

#[test]
fn an_honest_log_is_cosigned_from_size_to_size() {
    let mut state = None;
    let sizes = [1, 2, 3, 3, 8, 255, 256, 257, 600];
    for (old, new) in std::iter::once(0).chain(sizes).zip(sizes) {
        let next = ask(state.as_ref(), &request(old, new)).unwrap();
        assert_eq!((next.size(), next.time()), (new, time(NOW)));
        let mut checkpoint = signed(&Log::of_size(new));
        assert_eq!(next.root(), checkpoint.checkpoint().root());
        checkpoint.attach(next.line(), witness("w1", 9).key()).unwrap();
        assert_eq!(checkpoint.note(), next.note());
        let kept = next.note().to_string();
        assert_eq!(Witnessed::restore(kept.as_bytes(), ORIGIN, witness("w1", 9).key()), Ok(next.clone()));
        state = Some(next);
    }
}

#[test]
fn each_refusal_has_its_status() {
    let state = known(7);
    let refused = |request: &AddCheckpoint| {
        let refusal = ask(Some(&state), request).unwrap_err();
        (refusal.status(), refusal)
    };
    let with =
        |old, proof: &[Hash], note: &Note| AddCheckpoint::new(old, proof.to_vec(), note.clone()).unwrap();
    let honest = request(7, 9);

    // Another log, and one whose name is not quite ours.
    for origin in ["log.example.", "other.example"] {
        let other = signer(origin, 1);
        let tree = Checkpoint::new(origin, 9, leaf(0), vec![]).unwrap().sign(&[&other]).unwrap();
        assert_eq!(refused(&with(7, &[], tree.note())).0, 404);
    }
    // Not signed by the log: another key of its name, a witness alone, or a bad line.
    let impostor = signer(ORIGIN, 2);
    let text = honest.checkpoint().text();
    let forged = Note::sign(text, &[&impostor]).unwrap();
    assert_eq!(refused(&with(7, honest.proof(), &forged)), (403, Refusal::Unsigned(Error::NoKnownSignature)));
    let bad = honest.to_string().replace(&honest.checkpoint().signatures()[0].to_string(), &{
        state.note().signatures()[0].to_string()
    });
    let bad = AddCheckpoint::parse(bad.as_bytes()).unwrap();
    assert!(matches!(refused(&bad), (403, Refusal::Unsigned(Error::BadSignature { .. }))));

    // Sizes.
    assert_eq!(refused(&with(10, &[], honest.checkpoint())), (400, Refusal::OldTooLarge { old: 10, new: 9 }));
    for old in [0, 6, 8] {
        assert_eq!(refused(&request(old, 9)), (409, Refusal::Conflict { known: 7 }));
    }
    // Going back is a conflict, whatever is claimed.
    assert_eq!(refused(&request(5, 6)), (409, Refusal::Conflict { known: 7 }));
    assert_eq!(refused(&with(7, &[], request(0, 6).checkpoint())).0, 400);

    // Proofs.
    assert_eq!(refused(&with(7, &[], honest.checkpoint())).0, 422);
    assert_eq!(refused(&with(7, request(6, 9).proof(), honest.checkpoint())).0, 422);
    let same = request(7, 7);
    assert_eq!(refused(&with(7, &[leaf(0)], same.checkpoint())).0, 422);
    assert!(matches!(ask(None, &with(0, &[leaf(0)], same.checkpoint())), Err(Refusal::Inconsistent(_))));
}

#[test]
fn a_fork_is_refused() {
    let state = known(7);
    // Of equal size, and grown past it with a proof that is right for the fork.
    let same = signed(&forked(7, 6));
    let refused = ask(Some(&state), &AddCheckpoint::new(7, vec![], same.note().clone()).unwrap());
    assert_eq!(refused, Err(Refusal::Inconsistent(Error::ProofMismatch)));
    for at in 0..7 {
        let fork = forked(20, at);
        let proof = consistency_proof(&fork, 7, 20).unwrap();
        let refused = ask(Some(&state), &AddCheckpoint::new(7, proof, signed(&fork).note().clone()).unwrap());
        assert_eq!(refused, Err(Refusal::Inconsistent(Error::ProofMismatch)), "forked at {at}");
    }
}

#[test]
fn the_empty_tree_has_one_root() {
    let empty = Checkpoint::new(ORIGIN, 0, empty_root(), vec![]).unwrap();
    let log = signer(ORIGIN, 1);
    let good = Note::sign(empty.to_string(), &[&log]).unwrap();
    assert_eq!(ask(None, &AddCheckpoint::new(0, vec![], good).unwrap()).unwrap().size(), 0);
    let wrong = Note::sign(format!("{ORIGIN}\n0\n{}\n", leaf(0)), &[&log]).unwrap();
    let refused = ask(None, &AddCheckpoint::new(0, vec![], wrong).unwrap()).unwrap_err();
    assert_eq!(refused.status(), 422);
    // Signed by the log, and no checkpoint.
    let nonsense = Note::sign(format!("{ORIGIN}\nseven\n"), &[&log]).unwrap();
    let refused = ask(None, &AddCheckpoint::new(0, vec![], nonsense).unwrap()).unwrap_err();
    assert_eq!(refused.status(), 400);
}

#[test]
fn only_the_logs_own_signatures_are_kept() {
    let mut checkpoint = signed(&Log::of_size(3));
    cosign(&mut checkpoint, &witness("w2", 2), 5);
    cosign(&mut checkpoint, &witness("w1", 9), 5);
    let next = ask(None, &AddCheckpoint::new(0, vec![], checkpoint.note().clone()).unwrap()).unwrap();
    let names: Vec<_> = next.note().signatures().iter().map(|line| line.name().as_str()).collect();
    assert_eq!(names, [ORIGIN, "w1"]);
    // Two keys of one log, both its own.
    let rotating = TrustedLogs::new([log_key(), key_of(&signer(ORIGIN, 2))]);
    assert_eq!(rotating.origins().collect::<Vec<_>>(), [ORIGIN]);
    let tree: Checkpoint = checkpoint.note().text().parse().unwrap();
    let both = tree.sign(&[&signer(ORIGIN, 2), &signer(ORIGIN, 1)]).unwrap();
    let request = AddCheckpoint::new(0, vec![], both.note().clone()).unwrap();
    let update = Witnessed::consider(None, &request, &rotating, time(NOW)).unwrap();
    assert_eq!(update.checkpoint().note().signatures().len(), 2);
}

#[test]
fn time_never_goes_back() {
    let state = known(7);
    let earlier = Witnessed::consider(Some(&state), &request(7, 9), &logs(), time(NOW - 86_400)).unwrap();
    assert_eq!(earlier.cosign(&witness("w1", 9)).unwrap().time(), time(NOW));
    let later = Witnessed::consider(Some(&state), &request(7, 7), &logs(), time(NOW + 5)).unwrap();
    assert_eq!(later.cosign(&witness("w1", 9)).unwrap().time(), time(NOW + 5));
}

#[test]
fn what_was_kept_is_checked() {
    let (state, key) = (known(7), witness("w1", 9).key().clone());
    let kept = state.note().to_string().into_bytes();
    let log_line = kept.windows(4).rposition(|four| four == "\n\u{2014}".as_bytes()).unwrap();
    for changed in bit_flips(&kept) {
        if let Ok(read) = Witnessed::restore(&changed, ORIGIN, &key) {
            // Only what no witness's signature covers can change: the log's own line.
            assert_eq!((read.size(), read.root(), read.time()), (state.size(), state.root(), state.time()));
            assert!(changed.iter().zip(&kept).position(|(a, b)| a != b).unwrap() < log_line);
        }
    }
    assert!(Witnessed::restore(&kept, "other.example", &key).is_err());
    assert_eq!(Witnessed::restore(&kept, ORIGIN, witness("w1", 8).key()), Err(Error::NoKnownSignature));
    assert!(Witnessed::restore(b"", ORIGIN, &key).is_err());
}

#[test]
fn no_changed_byte_passes() {
    let state = known(7);
    let body = request(7, 9).to_string().into_bytes();
    let considered =
        |body: &[u8]| AddCheckpoint::parse(body).ok().and_then(|request| ask(Some(&state), &request).ok());
    assert!(considered(&body).is_some());
    for changed in bit_flips(&body).chain(edits(&body)) {
        assert_eq!(considered(&changed), None, "{:?}", String::from_utf8_lossy(&changed));
    }
}

#[test]
fn malformed_requests_are_refused() {
    let text = request(7, 9).to_string();
    for (from, to) in [
        ("old 7", "old 07"),
        ("old 7", "old +7"),
        ("old 7", "old"),
        ("old 7", "Old 7"),
        ("old 7", "old 7 "),
        ("old 7", "old 18446744073709551616"),
        ("old 7\n", ""),
        ("\n\n", "\n"),
        ("\n", "\r\n"),
    ] {
        let wrong = text.replacen(from, to, 1);
        assert_ne!(wrong, text);
        assert!(AddCheckpoint::parse(wrong.as_bytes()).is_err(), "{wrong:?}");
    }
    let note = request(7, 9).checkpoint().clone();
    let most = AddCheckpoint::new(7, vec![leaf(0); MAX_REQUEST_HASHES], note.clone()).unwrap();
    assert_eq!(AddCheckpoint::parse(most.to_string().as_bytes()).unwrap(), most);
    assert!(AddCheckpoint::new(7, vec![leaf(0); MAX_REQUEST_HASHES + 1], note).is_err());
    let more = most.to_string().replacen("\n\n", &format!("\n{}\n\n", leaf(0)), 1);
    assert!(matches!(AddCheckpoint::parse(more.as_bytes()), Err(Error::TooLarge { .. })));
    let long = vec![b'a'; MAX_REQUEST_BYTES + 1];
    assert!(matches!(AddCheckpoint::parse(&long), Err(Error::TooLarge { .. })));
}

#[test]
fn answers_come_back() {
    let state = known(7);
    let conflict = ask(Some(&state), &request(5, 9)).unwrap_err();
    let unknown = Refusal::UnknownLog { origin: "x".into() };
    for answer in [Answer::from(&state), Answer::from(&conflict), Answer::from(&unknown)] {
        let read = Answer::parse(answer.status(), Some(answer.content_type()), answer.body().as_bytes());
        assert_eq!(read, Ok(answer));
    }
    assert_eq!(Answer::from(&conflict), Answer::Conflict { known: 7 });
    assert_eq!(Answer::from(&conflict).body(), "7\n");
}

#[test]
fn wrong_answers_are_refused() {
    let line = Answer::from(&known(7)).body();
    let size = Some(SIZE_CONTENT_TYPE);
    for (status, kind, body) in [
        (200, None, ""),
        (200, None, "\n"),
        (200, None, "fine\n"),
        (200, None, line.trim_end()),
        (200, None, &format!("{line}\n")),
        (200, None, &line.repeat(MAX_RESPONSE_LINES + 1)),
        (409, None, "7\n"),
        (409, Some("text/plain"), "7\n"),
        (409, size, "7"),
        (409, size, "07\n"),
        (409, size, "-7\n"),
        (409, size, "7\n7\n"),
        (409, size, ""),
    ] {
        assert!(Answer::parse(status, kind, body.as_bytes()).is_err(), "{status} {body:?}");
    }
    assert!(Answer::parse(200, None, line.repeat(MAX_RESPONSE_LINES).as_bytes()).is_ok());
    let parameters = Answer::parse(409, Some("Text/X.tlog.size; charset=utf-8"), b"7\n");
    assert_eq!(parameters, Ok(Answer::Conflict { known: 7 }));
    assert!(Answer::parse(200, None, &vec![b'a'; MAX_RESPONSE_BYTES + 1]).is_err());
    // Whatever a proxy says, it is one short line.
    let odd = Answer::parse(502, None, b"<html>\x1b[2J\nbad gateway").unwrap();
    assert_eq!(odd, Answer::Refused { status: 502, reason: "<html>\u{fffd}[2J".into() });
}

proptest! {
    #[test]
    fn anything_is_parsed_or_refused(bytes in any::<Vec<u8>>(), text in "(old [0-9]{1,3}\n)(aGk=\n)?\na\n\n\u{2014} a x08go/ZJkuBS\n", status in 200..600_u16) {
        let _ = AddCheckpoint::parse(&bytes);
        let _ = Answer::parse(status, None, &bytes);
        if let Ok(request) = AddCheckpoint::parse(text.as_bytes()) {
            prop_assert_eq!(request.to_string(), text);
        }
    }

    /// Whatever is asked in whatever order, sizes rise, and all that was cosigned is one history.
    #[test]
    fn a_witness_never_contradicts_itself(steps in prop::collection::vec((0..12_u64, 1..12_u64, 0..12_u64, any::<bool>(), 0..9_u64), 1..30)) {
        let mut state: Option<Witnessed> = None;
        for (old, new, at, fork, clock) in steps {
            let log = if fork { forked(new, at.min(new)) } else { Log::of_size(new) };
            let proof = consistency_proof(&log, old.min(new), new).unwrap();
            let request = AddCheckpoint::new(old, proof, signed(&log).note().clone()).unwrap();
            let before = state.as_ref().map_or(0, Witnessed::size);
            let Ok(update) = Witnessed::consider(state.as_ref(), &request, &logs(), time(NOW + clock)) else {
                continue;
            };
            let next = update.cosign(&witness("w1", 9)).unwrap();
            prop_assert!(old == before && next.size() >= before);
            if let Some(last) = &state {
                prop_assert!(next.time() >= last.time());
                prop_assert!(verify_consistency(last.size(), last.root(), next.size(), next.root(), request.proof()).is_ok());
            }
            state = Some(next);
        }
    }
}
