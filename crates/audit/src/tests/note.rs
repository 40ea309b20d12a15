use proptest::prelude::*;

use super::support::*;
use crate::*;

/// The example of Go's `golang.org/x/mod/sumdb/note`, its secret key included.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_SECRET: &str = "gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM=";
const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n";
const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\
    \n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn peter() -> VerifierKey {
    PETER.parse().unwrap()
}

#[test]
fn gos_example_verifies_and_is_what_we_sign() {
    assert_eq!(peter().to_string(), PETER);
    let note = Note::parse(NOTE.as_bytes()).unwrap();
    assert_eq!(note.text(), TEXT);
    assert_eq!(note.to_string(), NOTE);
    assert_eq!(note.verify(&[peter()]).unwrap(), [&peter()]);

    let secret = *PETER_SECRET.parse::<Hash>().unwrap().as_bytes();
    let signer = Ed25519Signer::new("PeterNeumann".parse().unwrap(), &secret);
    assert_eq!(signer.verifier(), &peter());
    assert_eq!(Note::sign(TEXT, &[&signer]).unwrap().to_string(), NOTE);
}

/// The examples of the C2SP documents; their keys are not published.
#[test]
fn the_specifications_examples_parse() {
    let poem = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\n\
        ed \u{e8} subito sera.\n\n\u{2014} quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    let note = Note::parse(poem.as_bytes()).unwrap();
    assert!(note.text().ends_with(":\n\ned \u{e8} subito sera.\n"));
    assert_eq!(note.to_string(), poem);
    assert_eq!(note.verify(&[peter()]), Err(Error::NoKnownSignature));

    let cosigned = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        \u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
    let note = Note::parse(cosigned.as_bytes()).unwrap();
    assert_eq!(note.to_string(), cosigned);
    let [_, witness] = note.signatures() else { panic!("two signatures") };
    assert_eq!((witness.name().as_str(), witness.payload().len()), ("witness.example.com/w1", 72));
    assert_eq!(note.text().parse::<Checkpoint>().unwrap().size(), 20_852_163);
}

#[test]
fn no_changed_byte_passes() {
    let opens = |bytes: &[u8]| Note::parse(bytes).and_then(|note| note.verify(&[peter()]).map(|_| ()));
    assert_eq!(opens(NOTE.as_bytes()), Ok(()));
    for changed in bit_flips(NOTE.as_bytes()).chain(edits(NOTE.as_bytes())) {
        assert!(opens(&changed).is_err(), "{:?}", String::from_utf8_lossy(&changed));
    }
}

#[test]
fn malformed_notes_are_refused() {
    let signature = NOTE.lines().last().unwrap();
    for wrong in [
        String::new(),
        "\n".into(),
        "\n\n".into(),
        TEXT.into(),
        format!("{TEXT}\n"),
        format!("{TEXT}\n\n"),
        format!("{TEXT}{signature}\n"),
        format!("{TEXT}\n{signature}"),
        format!("{TEXT}\n{signature}\n\n"),
        format!("{TEXT}\n{signature}\r\n"),
        format!("{TEXT}\n {signature}\n"),
        format!("{TEXT}\n{signature} \n"),
        format!("{TEXT}\n{signature}\nmore\n"),
        format!("tab\t\n\n{signature}\n"),
        format!("nul\0\n\n{signature}\n"),
        format!("{TEXT}\n- PeterNeumann x08go/ZJkuBS\n"),
        format!("{TEXT}\n\u{2014} PeterNeumann\n"),
        format!("{TEXT}\n\u{2014} PeterNeumann \n"),
        format!("{TEXT}\n\u{2014}  x08go/ZJkuBS\n"),
        format!("{TEXT}\n\u{2014} Peter+Neumann x08go/ZJkuBS\n"),
        format!("{TEXT}\n\u{2014} Peter\u{a0}Neumann x08go/ZJkuBS\n"),
        format!("{TEXT}\n\u{2014} PeterNeumann x08gow==\n"),
        format!("{TEXT}\n\u{2014} PeterNeumann x08go/Zx\u{2014}\n"),
    ] {
        assert!(matches!(Note::parse(wrong.as_bytes()), Err(Error::Malformed { .. })), "{wrong:?}");
    }
    assert!(Note::parse(b"\xff\n\n\xff\n").is_err());
}

#[test]
fn unknown_signatures_are_kept_and_known_ones_must_be_good() {
    let (log, other) = (signer("log.example", 1), signer("other.example", 2));
    let note = Note::sign("hello\n", &[&other, &log]).unwrap();
    assert_eq!(note.verify(&[key(&log)]).unwrap(), [&key(&log)]);
    assert_eq!(note.verify(&[key(&log), key(&other)]).unwrap(), [&key(&other), &key(&log)]);
    assert_eq!(note.signatures().len(), 2);
    assert_eq!(note.verify(&[]), Err(Error::NoKnownSignature));

    // The same name under another key is unknown: its id differs.
    assert_eq!(note.verify(&[key(&signer("log.example", 3))]), Err(Error::NoKnownSignature));

    // One bad signature of a known key spoils the good one beside it, in either order.
    let elsewhere = Note::sign("other text\n", &[&other]).unwrap();
    for known in [[key(&log), key(&other)], [key(&other), key(&log)]] {
        let mut spoilt = Note::sign("hello\n", &[&log]).unwrap();
        spoilt.add_signature(elsewhere.signatures()[0].clone()).unwrap();
        let bad = Error::BadSignature { name: "other.example".into(), id: key(&other).id() };
        assert_eq!(spoilt.verify(&known), Err(bad));
        assert!(spoilt.verify(&known[..1]).is_ok() == (known[0] == key(&log)));
    }

    // Repeated signatures count once.
    let mut twice = note.clone();
    twice.add_signature(note.signatures()[1].clone()).unwrap();
    assert_eq!(twice.verify(&[key(&log)]).unwrap().len(), 1);
    assert_eq!(twice.verify(&[key(&log), key(&log)]).unwrap().len(), 1);
}

#[test]
fn signers_are_checked() {
    struct Liar(Ed25519Signer, Ed25519Signer);
    impl NoteSigner for Liar {
        fn verifier(&self) -> &VerifierKey {
            self.0.verifier()
        }
        fn sign(&self, body: &[u8]) -> Result<[u8; 64], SignError> {
            self.1.sign(body)
        }
    }
    struct Away(Ed25519Signer);
    impl NoteSigner for Away {
        fn verifier(&self) -> &VerifierKey {
            self.0.verifier()
        }
        fn sign(&self, _: &[u8]) -> Result<[u8; 64], SignError> {
            Err(SignError::new("the key service did not answer within 2 s"))
        }
    }
    let liar = Liar(signer("log.example", 1), signer("log.example", 2));
    let mismatch = Error::SignerMismatch { name: "log.example".into() };
    assert_eq!(Note::sign("hello\n", &[&liar]), Err(mismatch));
    let away = Note::sign("hello\n", &[&Away(signer("log.example", 1))]).unwrap_err();
    assert_eq!(
        away.to_string(),
        "the signing key could not be used: the key service did not answer within 2 s"
    );

    let log = signer("log.example", 1);
    for wrong in ["", "no newline", "tab\t\n", "nul\0\n"] {
        assert!(Note::sign(wrong, &[&log]).is_err(), "{wrong:?}");
    }
    assert!(Note::sign("hello\n", &[]).is_err());
}

#[test]
fn limits_hold_when_reading_and_signing() {
    let log = signer("log.example", 1);
    let long = format!("{}\n", "a".repeat(MAX_NOTE_BYTES));
    assert!(matches!(Note::sign(long.clone(), &[&log]), Err(Error::TooLarge { .. })));
    assert!(matches!(Note::parse(long.as_bytes()), Err(Error::TooLarge { .. })));

    let mut note = Note::sign("hello\n", &[&log]).unwrap();
    let line = note.signatures()[0].clone();
    for _ in 1..MAX_NOTE_SIGNATURES {
        note.add_signature(line.clone()).unwrap();
    }
    assert_eq!(Note::parse(note.to_string().as_bytes()).unwrap(), note);
    let full = note.clone();
    assert!(note.add_signature(line.clone()).is_err());
    assert_eq!(note, full);
    assert!(Note::parse(format!("{note}{line}\n").as_bytes()).is_err());
}

#[test]
fn verifier_keys_have_one_spelling() {
    for changed in bit_flips(PETER.as_bytes()).chain(edits(PETER.as_bytes())) {
        let Ok(text) = String::from_utf8(changed) else {
            continue;
        };
        assert!(text.parse::<VerifierKey>().is_err(), "{text}");
    }
    let upper = PETER.replace("c74f20a3", "C74F20A3");
    assert!(upper.parse::<VerifierKey>().is_err());
    // A witness's key (type 0x04) and a small-order key, for which anybody can sign.
    let witness = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    assert!(witness.parse::<VerifierKey>().unwrap_err().to_string().contains("type 0x01"));
    let mut identity = [0; 32];
    identity[0] = 1;
    assert!(VerifierKey::new("log.example".parse().unwrap(), &identity).is_err());
    // Other implementations' keys.
    for good in [
        "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",
        "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6",
    ] {
        assert_eq!(good.parse::<VerifierKey>().unwrap().to_string(), good);
    }
}

#[test]
fn key_names() {
    for good in ["a", "log.example/2026", "\u{e8}", &"n".repeat(MAX_KEY_NAME_BYTES)] {
        assert_eq!(good.parse::<KeyName>().unwrap().as_str(), good);
    }
    for wrong in
        ["", " ", "a b", "a+b", "a\n", "a\u{2003}b", "a\u{85}", "\0", &"n".repeat(MAX_KEY_NAME_BYTES + 1)]
    {
        assert!(wrong.parse::<KeyName>().is_err(), "{wrong:?}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let log = signer("log.example", 0xab);
    let printed = format!("{log:?}");
    assert!(printed.contains("log.example") && printed.ends_with(", .. }"), "{printed}");
    assert!(!printed.contains("171") && !printed.contains("abab"), "{printed}");

    // A secret key given where a public one belongs is not repeated in the error.
    let pasted = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    let error = pasted.parse::<VerifierKey>().unwrap_err().to_string();
    assert!(!error.contains("AYEK"), "{error}");
    let error = pasted.replace('+', "").parse::<VerifierKey>().unwrap_err().to_string();
    assert!(!error.contains("AYEK"), "{error}");
    // Nor are control characters.
    assert!(!"a\u{1b}[2J".parse::<KeyName>().unwrap_err().to_string().contains('\u{1b}'));
}

proptest! {
    #[test]
    fn anything_is_parsed_or_refused(bytes in any::<Vec<u8>>(), text in "(a|b|\n|\u{2014} | |x08go/ZJkuBS){0,20}") {
        let _ = Note::parse(&bytes);
        if let Ok(note) = Note::parse(text.as_bytes()) {
            prop_assert_eq!(note.to_string(), text);
        }
    }

    #[test]
    fn texts_come_back(text in "(\\PC|\n){0,40}\n") {
        let log = signer("log.example", 1);
        let note = Note::sign(text.clone(), &[&log]).unwrap();
        let read = Note::parse(note.to_string().as_bytes()).unwrap();
        prop_assert_eq!(read.text(), text);
        prop_assert!(read.verify(&[key(&log)]).is_ok());
    }
}
