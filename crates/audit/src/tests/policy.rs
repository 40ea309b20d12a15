use proptest::prelude::*;

use super::support::*;
use crate::*;

/// Three witnesses of one operator, two of another, and a quorum over both, as in the specification.
fn nested() -> String {
    format!(
        "# two operators\n\n \tlog {} https://log.example/\n\
         witness X1 {}\nwitness X2\t{}   https://x2.example/\nwitness X3 {}\n\
         group X 2 X1 X2 X3\n  # the other one\nwitness Y1 {}\nwitness Y2 {}\ngroup Y any Y1 Y2\n\
         group both all X Y\nquorum both \t\n",
        log_key(),
        w(1).key(),
        w(2).key(),
        w(3).key(),
        w(4).key(),
        w(5).key(),
    )
}

fn w(seed: u8) -> WitnessSigner {
    witness(&format!("w{seed}.example"), seed + 50)
}

fn cosigned(by: &[u8]) -> SignedCheckpoint {
    let mut checkpoint = signed(&Log::of_size(7));
    by.iter().for_each(|seed| cosign(&mut checkpoint, &w(*seed), 1_000 + u64::from(*seed)));
    checkpoint
}

fn verdict(policy: &str, by: &[u8]) -> Result<Verdict, Error> {
    Policy::parse(policy.as_bytes()).unwrap().check(cosigned(by).note(), ORIGIN)
}

#[test]
fn a_nested_quorum_counts_each_group() {
    for (by, met) in [
        (&[1, 2, 4][..], true),
        (&[1, 3, 5], true),
        (&[1, 2, 3, 4, 5], true),
        (&[2, 3, 5, 9], true),
        (&[1, 2, 3], false),
        (&[1, 4, 5], false),
        (&[4, 5], false),
        (&[], false),
        (&[9], false),
    ] {
        let verdict = verdict(&nested(), by).unwrap();
        assert_eq!(verdict.quorum_is_met(), met, "{by:?}");
        assert_eq!(verdict.clone().require().is_ok(), met);
        for (seed, witness) in (1..).zip(verdict.witnesses()) {
            let expected = by.contains(&seed).then(|| 1_000 + u64::from(seed));
            assert_eq!(witness.time.map(CosignatureTime::seconds), expected);
        }
    }
    let missed = verdict(&nested(), &[1, 4, 5]).unwrap().require().unwrap_err();
    assert_eq!(missed, Error::QuorumMissed { cosigned: 3, known: 5, quorum: "both".into() });
}

#[test]
fn each_form_of_quorum() {
    let three: String = (1..=3).map(|seed| format!("witness w{seed} {}\n", w(seed).key())).collect();
    let three = format!("log {}\n{three}", log_key());
    for (rest, by, met) in [
        ("quorum none", &[][..], true),
        ("quorum w2", &[2], true),
        ("quorum w2", &[1, 3], false),
        ("group g any w1 w2 w3\nquorum g", &[3], true),
        ("group g any w1 w2 w3\nquorum g", &[], false),
        ("group g all w1 w2 w3\nquorum g", &[1, 2], false),
        ("group g all w1 w2 w3\nquorum g", &[1, 2, 3], true),
        ("group g 2 w1 w2 w3\nquorum g", &[1, 3], true),
        ("group g 2 w1 w2 w3\nquorum g", &[1], false),
        // A group may have any name, and a quorum may name a member of a group.
        ("group any 2 w1 w2\ngroup 7 1 any\nquorum any", &[1, 2], true),
        ("group all all w1\nquorum w3", &[1], false),
    ] {
        assert_eq!(verdict(&format!("{three}{rest}\n"), by).unwrap().quorum_is_met(), met, "{rest} {by:?}");
    }
}

#[test]
fn what_a_file_says_can_be_read_back() {
    let policy = Policy::parse(nested().as_bytes()).unwrap();
    let log = &policy.logs()[0];
    assert_eq!((log.origin(), log.key()), (ORIGIN, Some(&log_key())));
    assert_eq!(log.url().and_then(PolicyText::as_str), Some("https://log.example/"));
    let witnesses = policy.witnesses();
    assert_eq!(witnesses.len(), 5);
    assert_eq!(witnesses[1].name().as_bytes(), b"X2");
    assert_eq!(witnesses[1].url().and_then(PolicyText::as_str), Some("https://x2.example/"));
    assert_eq!((witnesses[0].url(), witnesses[0].key().readable()), (None, Some(w(1).key())));
    assert_eq!(policy.quorum().unwrap().to_string(), "both");
    assert_eq!(Policy::parse(b"quorum none\n").unwrap().quorum(), None);
}

#[test]
fn a_quorum_that_cannot_be_met_is_seen() {
    let policy = Policy::parse(nested().as_bytes()).unwrap();
    assert!(policy.could_be_met_by(|_| true));
    assert!(!policy.could_be_met_by(|witness| witness.url().is_some()));
    assert!(Policy::parse(b"quorum none\n").unwrap().could_be_met_by(|_| false));
    let unread = format!("witness a {}\nquorum a\n", ml_dsa("pq.example", 1));
    assert!(!Policy::parse(unread.as_bytes()).unwrap().could_be_met_by(|_| true));
}

#[test]
fn names_are_bytes_and_case_counts() {
    // A letter K, a Kelvin sign, and bytes that are no UTF-8 are three names.
    let mut file = format!("log {}\n", log_key()).into_bytes();
    for (name, seed) in [(&b"K"[..], 1), (b"\xe2\x84\xaa", 2), (b"\xff\xfe", 3)] {
        file.extend([b"witness ", name, format!(" {}\n", w(seed).key()).as_bytes()].concat());
    }
    file.extend(b"# caf\xe9\nquorum \xff\xfe\n");
    let policy = Policy::parse(&file).unwrap();
    assert!(policy.check(cosigned(&[3]).note(), ORIGIN).unwrap().quorum_is_met());
    assert!(!policy.check(cosigned(&[1, 2]).note(), ORIGIN).unwrap().quorum_is_met());
    assert_eq!(policy.witnesses()[2].name().as_str(), None);
}

#[test]
fn logs_are_told_apart_by_their_origin() {
    let other = key_of(&signer("other.example", 1));
    let second = key_of(&signer(ORIGIN, 3));
    let policy = format!("log {second}\nlog {}\nlog {other}\nquorum none\n", log_key());
    // The key of `other.example` wraps the same public key as that of the first log.
    let error = Policy::parse(policy.as_bytes()).unwrap_err();
    assert_eq!(error, PolicyError { line: 3, problem: PolicyProblem::DuplicateKey });

    let other = key_of(&signer("other.example", 2));
    let policy = format!("log {second}\nlog {}\nlog {other}\nquorum none\n", log_key());
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let note = cosigned(&[]).note().clone();
    assert!(policy.check(&note, ORIGIN).is_ok());
    assert_eq!(policy.check(&note, "other.example"), Err(Error::NoKnownSignature));
    let untrusted = Error::UntrustedLog { origin: "third.example".into() };
    assert_eq!(policy.check(&note, "third.example"), Err(untrusted));
    // A policy without logs serves where the log is known from elsewhere.
    let bare = Policy::parse(b"quorum none\n").unwrap();
    assert!(matches!(bare.check(&note, ORIGIN), Err(Error::UntrustedLog { .. })));
    assert!(bare.check_with(&note, &[log_key()]).unwrap().require().is_ok());
    assert!(bare.check_with(&note, &[]).is_err());
}

#[test]
fn a_trusted_log_cannot_sign_for_another() {
    let other = signer("other.example", 2);
    let policy = format!("log {}\nlog {}\nquorum none\n", log_key(), key_of(&other));
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let tree = Checkpoint::new(ORIGIN, 1, leaf(0), vec![]).unwrap();
    let forged = Note::sign(tree.to_string(), &[&other]).unwrap();
    assert!(policy.check(&forged, ORIGIN).is_err());
    assert!(matches!(policy.check(&forged, "other.example"), Err(Error::OriginMismatch { .. })));
}

#[test]
fn a_bad_cosignature_of_a_known_witness_spoils_the_note() {
    let policy = Policy::parse(nested().as_bytes()).unwrap();
    let mut other = signed(&Log::of_size(8));
    cosign(&mut other, &w(3), 9);
    let spliced = other.note().signatures()[1].to_string();
    let note = format!("{}{spliced}\n", cosigned(&[1, 2, 4]).note());
    let bad = policy.check(&Note::parse(note.as_bytes()).unwrap(), ORIGIN);
    assert!(matches!(bad, Err(Error::BadSignature { .. })), "{bad:?}");
    let stranger = w(9).cosign(&signed(&Log::of_size(8)), time(9)).unwrap();
    let note = format!("{}{stranger}\n", cosigned(&[1, 2, 4]).note());
    assert!(policy.check(&Note::parse(note.as_bytes()).unwrap(), ORIGIN).unwrap().quorum_is_met());
}

#[test]
fn keys_of_a_type_that_is_not_read_never_count() {
    let pq = ml_dsa("pq.example", 1);
    let file = format!("log {}\nlog {pq}\nwitness a {}\nwitness b {pq}\n", log_key(), w(1).key());
    // The same key as log and witness: its lines could not be told apart.
    let error = Policy::parse(format!("{file}quorum a\n").as_bytes()).unwrap_err();
    assert_eq!(error, PolicyError { line: 4, problem: PolicyProblem::AmbiguousKey });
    let file = file.replacen(&pq, &ml_dsa("pqlog.example", 2), 1);
    for (quorum, met) in [
        ("quorum a\n", true),
        ("quorum b\n", false),
        ("group g any a b\nquorum g\n", true),
        ("group g all a b\nquorum g\n", false),
    ] {
        let verdict = verdict(&format!("{file}{quorum}"), &[1]).unwrap();
        assert_eq!(verdict.quorum_is_met(), met, "{quorum}");
        assert_eq!(verdict.witnesses()[1].time, None);
    }
    let policy = Policy::parse(format!("{file}quorum none\n").as_bytes()).unwrap();
    assert_eq!((policy.logs()[1].key(), policy.logs()[1].origin()), (None, "pqlog.example"));
    assert!(matches!(policy.check(cosigned(&[]).note(), "pqlog.example"), Err(Error::UntrustedLog { .. })));
}

/// What each wrong line is told. The lines stand after `log`, `witness a`, `witness b`.
#[test]
fn wrong_lines_are_named() {
    let start = format!("log {}\nwitness a {}\nwitness b {}\n", log_key(), w(1).key(), w(2).key());
    let (c, long) = (w(3).key().to_string(), "n".repeat(MAX_POLICY_NAME_BYTES + 1));
    let cases = [
        (4, String::new(), "the file has no quorum line"),
        (4, "quorum".into(), "expected `quorum <name>|none`"),
        (4, "quorum a b".into(), "expected `quorum <name>|none`"),
        (4, "quorum c".into(), "`c` is not defined on an earlier line"),
        (4, "quorum A".into(), "`A` is not defined"),
        (5, "quorum a\nquorum a".into(), "there is a quorum line already"),
        (4, "quorum g\ngroup g any a".into(), "`g` is not defined on an earlier line"),
        (4, "Quorum a".into(), "`Quorum` is no keyword"),
        (4, "quorum a # and no more".into(), "expected `quorum"),
        (4, "quorum a\r".into(), "byte 0x0d is not allowed"),
        (4, "#\u{7f}".into(), "byte 0x7f is not allowed"),
        (4, "\0".into(), "byte 0x00 is not allowed"),
        (4, "log".into(), "expected `log <vkey> [<url>]`"),
        (4, format!("log {} u v", log_key()), "expected `log <vkey> [<url>]`"),
        (4, format!("log {}", log_key()), "its key stands on an earlier line too"),
        (4, format!("log {c}"), "only Ed25519 keys (type 0x01)"),
        (4, "log log.example".into(), "is not a valid verifier key"),
        (4, format!("witness {c}"), "expected `witness <name> <vkey> [<url>]`"),
        (4, format!("witness c {}", log_key()), "type 0x04 or 0x06"),
        (4, format!("witness c {}", w(1).key()), "its key stands on an earlier line too"),
        (4, format!("witness a {c}"), "the name `a` is taken"),
        (4, format!("witness none {c}"), "the name `none` is taken"),
        (4, format!("witness {long} {c}"), "more than 255 bytes"),
        (4, format!("witness c {c} {}", "u".repeat(MAX_POLICY_URL_BYTES + 1)), "more than 2048 bytes"),
        (4, "group g".into(), "expected `group <name> all|any|<k> <name>...`"),
        (4, "group g any".into(), "expected `group"),
        (4, "group g 0 a".into(), "the threshold `0` is not"),
        (4, "group g 2 a".into(), "a decimal from 1 to 1"),
        (4, "group g 01 a b".into(), "the threshold `01`"),
        (4, "group g +1 a b".into(), "the threshold `+1`"),
        (4, "group g most a b".into(), "the threshold `most`"),
        (4, "group g 99999999999999999999 a b".into(), "the threshold `99999999999999999999`"),
        (4, "group g any c".into(), "`c` is not defined"),
        (4, "group g any g".into(), "`g` is not defined"),
        (4, "group g any none".into(), "`none` cannot be a member"),
        (4, "group g any a a".into(), "`a` is a member of a group already"),
        (5, "group g any a\ngroup h any b a".into(), "`a` is a member of a group already"),
        (4, "group a any b".into(), "the name `a` is taken"),
        (4, "group none any b".into(), "the name `none` is taken"),
    ];
    for (line, wrong, expected) in cases {
        let error = Policy::parse(format!("{start}{wrong}\n").as_bytes()).unwrap_err();
        assert_eq!(error.line, line, "{wrong}");
        assert!(error.to_string().contains(expected), "{wrong}: {error}");
    }
    let cut = Policy::parse(format!("{start}quorum a").as_bytes()).unwrap_err();
    assert_eq!(cut, PolicyError { line: 4, problem: PolicyProblem::NoNewline });
    assert_eq!(Policy::parse(b"").unwrap_err().problem, PolicyProblem::NoQuorum);
}

#[test]
fn limits_hold() {
    let logs: String = (0..MAX_POLICY_LOGS)
        .map(|i| format!("log {}\n", key_of(&Ed25519Signer::new("l".parse().unwrap(), &[i as u8 + 100; 32]))))
        .collect();
    let witnesses: String = (0..MAX_POLICY_WITNESSES)
        .map(|i| format!("witness w{i} {}\n", witness("w", i as u8 + 100).key()))
        .collect();
    let groups: String =
        (1..MAX_POLICY_GROUPS).map(|i| format!("group g{i} all g{} w{i}\n", i - 1)).collect();
    // As many as may be, nested as deep as may be.
    let most = format!("{logs}{witnesses}group g0 any w0\n{groups}quorum g{}\n", MAX_POLICY_GROUPS - 1);
    let policy = Policy::parse(most.as_bytes()).unwrap();
    assert_eq!(policy.witnesses().len(), MAX_POLICY_WITNESSES);
    for (more, problem) in [
        (format!("log {}\n", key_of(&signer("l", 1))), PolicyProblem::TooManyLogs),
        (format!("witness w {}\n", w(1).key()), PolicyProblem::TooManyWitnesses),
        (format!("group g any g{}\n", MAX_POLICY_GROUPS - 1), PolicyProblem::TooManyGroups),
    ] {
        assert_eq!(Policy::parse(format!("{most}{more}").as_bytes()).unwrap_err().problem, problem);
    }
    let long = vec![b'\n'; MAX_POLICY_BYTES + 1];
    assert_eq!(Policy::parse(&long).unwrap_err().problem, PolicyProblem::FileTooLong);
}

/// No flipped bit makes a policy easier to meet without being read as another policy; most are
/// refused, and none crashes.
#[test]
fn changed_bytes_never_crash_and_keys_never_change() {
    let file = nested();
    let keys: Vec<_> = (1..=5).map(|seed| w(seed).key().clone()).collect();
    for changed in bit_flips(file.as_bytes()) {
        let Ok(policy) = Policy::parse(&changed) else {
            continue;
        };
        assert!(policy.logs().iter().all(|log| log.key() == Some(&log_key())));
        let readable = policy.witnesses().iter().filter_map(|witness| witness.key().readable());
        assert!(readable.into_iter().all(|key| keys.contains(key)));
    }
}

proptest! {
    #[test]
    fn anything_is_parsed_or_refused(bytes in any::<Vec<u8>>(), text in "((log|witness|group|quorum|#)[ \t](a|b|any|all|1|none)?( a| b| none)?\n){0,6}") {
        let _ = Policy::parse(&bytes);
        let _ = Policy::parse(text.as_bytes());
    }

    /// A threshold is met by as many members as it says, whoever they are.
    #[test]
    fn thresholds_count(k in 1..=5_usize, by in prop::collection::btree_set(1..=5_u8, 0..=5)) {
        let witnesses: String = (1..=5).map(|seed| format!("witness w{seed} {}\n", w(seed).key())).collect();
        let file = format!("log {}\n{witnesses}group g {k} w1 w2 w3 w4 w5\nquorum g\n", log_key());
        let by: Vec<u8> = by.into_iter().collect();
        prop_assert_eq!(verdict(&file, &by).unwrap().quorum_is_met(), by.len() >= k);
    }
}
