use super::support::*;
use crate::*;

const ROOT: &str = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";

fn checkpoint(extensions: &[&str]) -> Checkpoint {
    let extensions = extensions.iter().map(ToString::to_string).collect();
    Checkpoint::new("log.example", 20_852_163, ROOT.parse().unwrap(), extensions).unwrap()
}

#[test]
fn bodies_come_back() {
    for (extensions, text) in [
        (&[][..], format!("log.example\n20852163\n{ROOT}\n")),
        (&["one", "two 2"], format!("log.example\n20852163\n{ROOT}\none\ntwo 2\n")),
    ] {
        assert_eq!(checkpoint(extensions).to_string(), text);
        assert_eq!(text.parse::<Checkpoint>().unwrap(), checkpoint(extensions));
    }
    let largest = format!("log.example\n{}\n{ROOT}\n", u64::MAX);
    assert_eq!(largest.parse::<Checkpoint>().unwrap().size(), u64::MAX);
    let empty = format!("log.example\n0\n{}\n", empty_root());
    assert_eq!(empty.parse::<Checkpoint>().unwrap().root(), empty_root());
}

#[test]
fn other_bodies_are_refused() {
    for wrong in [
        String::new(),
        "\n".into(),
        "log.example\n".into(),
        "log.example\n5\n".into(),
        format!("log.example\n5\n{ROOT}"),
        format!("\n5\n{ROOT}\n"),
        format!("log.example\n\n{ROOT}\n"),
        format!("log.example\n05\n{ROOT}\n"),
        format!("log.example\n+5\n{ROOT}\n"),
        format!("log.example\n-5\n{ROOT}\n"),
        format!("log.example\n 5\n{ROOT}\n"),
        format!("log.example\n5 \n{ROOT}\n"),
        format!("log.example\n0x5\n{ROOT}\n"),
        format!("log.example\n\u{665}\n{ROOT}\n"),
        format!("log.example\n18446744073709551616\n{ROOT}\n"),
        format!("log.example\n5\n{ROOT}\n\n"),
        format!("log.example\n5\n{ROOT}\none\n\ntwo\n"),
        format!("log.example\n5\n{ROOT} \n"),
        format!("log.example\n5\n{}\n", ROOT.replace("2I=", "2J=")),
        format!("log.example\n5\n{}\n", ROOT.replace('=', "")),
        "log.example\n5\nAAAA\n".into(),
    ] {
        assert!(matches!(wrong.parse::<Checkpoint>(), Err(Error::Malformed { .. })), "{wrong:?}");
    }
    let root: Hash = ROOT.parse().unwrap();
    assert!(Checkpoint::new("", 5, root, vec![]).is_err());
    assert!(Checkpoint::new("two\nlines", 5, root, vec![]).is_err());
    assert!(Checkpoint::new("log.example", 5, root, vec![String::new()]).is_err());
    let empty = Err(Error::EmptyTreeRoot { origin: "log.example".into() });
    assert_eq!(Checkpoint::new("log.example", 0, root, vec![]), empty);
    assert_eq!(format!("log.example\n0\n{ROOT}\n").parse(), empty);
}

#[test]
fn signed_by_the_log_and_by_nobody_else() {
    let (log, other) = (signer("log.example", 1), signer("other.example", 2));
    let signed = checkpoint(&[]).sign(&[&log]).unwrap();
    let bytes = signed.note().to_string().into_bytes();
    assert_eq!(Checkpoint::open(&bytes, &[key(&other), key(&log)]).unwrap(), signed);
    assert_eq!(signed.checkpoint(), &checkpoint(&[]));
    assert_eq!(Checkpoint::open(&bytes, &[key(&other)]), Err(Error::NoKnownSignature));

    // A trusted key of another log does not speak for this one, however it came to sign.
    let wrong_origin = Err(Error::OriginMismatch { origin: "log.example".into() });
    assert_eq!(checkpoint(&[]).sign(&[&other]), wrong_origin);
    let forged = Note::sign(checkpoint(&[]).to_string(), &[&other]).unwrap().to_string();
    assert_eq!(Checkpoint::open(forged.as_bytes(), &[key(&other), key(&log)]), wrong_origin);

    let both = checkpoint(&[]).sign(&[&log, &other]).unwrap();
    assert_eq!(both.note().signatures().len(), 2);
}

#[test]
fn no_changed_byte_passes() {
    let log = signer("log.example", 1);
    let bytes = checkpoint(&["one"]).sign(&[&log]).unwrap().note().to_string().into_bytes();
    let known = [key(&log)];
    assert!(Checkpoint::open(&bytes, &known).is_ok());
    for changed in bit_flips(&bytes).chain(edits(&bytes)) {
        assert!(Checkpoint::open(&changed, &known).is_err(), "{:?}", String::from_utf8_lossy(&changed));
    }
}
