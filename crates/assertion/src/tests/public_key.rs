use std::ops::{Add, Mul};

use sha2::Sha512;

use super::*;

type Entries = Vec<(Value, Value)>;

fn check(signer: &Signer, change: impl Fn(&mut Entries), expected: &str) {
    let mut entries = signer.cose();
    change(&mut entries);
    check_bytes(&encode(&Value::Map(entries)), expected);
}

fn check_bytes(cose: &[u8], expected: &str) {
    let refusal = PublicKey::from_cose(cose).unwrap_err();
    assert!(refusal.to_string().contains(expected), "{refusal}");
}

fn set(label: i64, value: impl Into<Value>) -> impl Fn(&mut Entries) {
    let value = value.into();
    move |entries| {
        let entry = entries.iter_mut().find(|(key, _)| *key == Value::from(label)).unwrap();
        entry.1.clone_from(&value);
    }
}

fn remove(label: i64) -> impl Fn(&mut Entries) {
    move |entries| entries.retain(|(key, _)| *key != Value::from(label))
}

#[test]
fn keys_round_trip() {
    for (signer, length, algorithm) in [(Signer::es256(7), 77, -7), (Signer::eddsa(7), 42, -8)] {
        let cose = encode(&Value::Map(signer.cose()));
        let key = PublicKey::from_cose(&cose).unwrap();
        assert_eq!(key.to_cose(), cose);
        assert_eq!(cose.len(), length);
        assert_eq!(key.algorithm(), algorithm);
        assert!(ALGORITHMS.contains(&algorithm));

        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(json, format!("\"{}\"", base64url::encode(&cose)));
        assert_eq!(serde_json::from_str::<PublicKey>(&json).unwrap(), key);
        serde_json::from_str::<PublicKey>(&json.replace("\"p", "\"q")).unwrap_err();
    }
}

#[test]
fn type_algorithm_and_curve_must_agree() {
    let [es256, eddsa] = signers();
    for (label, value) in [(1, 1), (1, 3), (-1, 2), (-1, 6), (-1, 8)] {
        check(&es256, set(label, value), "ES256 needs");
    }
    for (label, value) in [(1, 2), (1, 4), (-1, 1), (-1, 4), (-1, 7)] {
        check(&eddsa, set(label, value), "EdDSA needs");
    }
    check(&es256, set(3, -8), "EdDSA needs");
    check(&eddsa, set(3, -7), "ES256 needs");
    check(&es256, remove(1), "ES256 needs");
    check(&es256, remove(-1), "ES256 needs");
    check(&es256, remove(3), "`alg` is missing");
    check(&es256, set(3, "ES256"), "`alg` is missing");
    for algorithm in [-257, -35, -19, -9, -47, 0, 7] {
        for signer in signers() {
            let mut entries = signer.cose();
            set(3, algorithm)(&mut entries);
            assert_eq!(
                PublicKey::from_cose(&encode(&Value::Map(entries))),
                Err(Refusal::AlgorithmNotAllowed { algorithm: algorithm.into() })
            );
        }
    }
}

#[test]
fn coordinates_have_32_bytes() {
    let [es256, eddsa] = signers();
    for length in [0, 31, 33, 64] {
        let bytes = Value::Bytes(vec![1; length]);
        check(&es256, set(-2, bytes.clone()), "32 bytes");
        check(&es256, set(-3, bytes.clone()), "32 bytes");
        check(&eddsa, set(-2, bytes), "32 bytes");
    }
    check(&es256, set(-3, true), "32 bytes"); // a compressed point
    check(&es256, remove(-2), "32 bytes");
    check(&es256, remove(-3), "32 bytes");
    check(&eddsa, remove(-2), "32 bytes");
}

#[test]
fn points_are_on_their_curve_and_not_weak() {
    let [es256, eddsa] = signers();
    check(&es256, set(-2, [1; 32].as_slice()), "not on P-256");
    check(&es256, set(-3, [0xff; 32].as_slice()), "not on P-256");
    let mut two = [0; 32];
    two[0] = 2;
    check(&eddsa, set(-2, two.as_slice()), "not on Ed25519");
    let mut identity = [0; 32];
    identity[0] = 1;
    check(&eddsa, set(-2, identity.as_slice()), "weak");
    check(&eddsa, set(-2, [0; 32].as_slice()), "weak"); // of order 4
    // y = p + 3, which is 3 written a second way.
    let mut second_spelling = [0xff; 32];
    second_spelling[0] = 0xf0;
    second_spelling[31] = 0x7f;
    let mut three = [0; 32];
    three[0] = 3;
    let spelled = |bytes: [u8; 32]| ed25519_dalek::VerifyingKey::from_bytes(&bytes).unwrap();
    assert_eq!(spelled(second_spelling).to_edwards(), spelled(three).to_edwards());
    check(&eddsa, set(-2, second_spelling.as_slice()), "not canonically encoded");
}

#[test]
fn only_the_canonical_encoding_passes() {
    for signer in signers() {
        check(&signer, |entries| entries.reverse(), "canonical");
        check(&signer, |entries| entries.push((Value::from(2), Value::from("kid"))), "canonical");
        check(&signer, |entries| entries.push(entries[0].clone()), "strict CBOR");
        let cose = encode(&Value::Map(signer.cose()));
        check_bytes(&[cose.as_slice(), &[0]].concat(), "canonical");
        check_bytes(&cose[..cose.len() - 1], "strict CBOR");
        // The map's length in two bytes; the map of indefinite length.
        check_bytes(&[&[0xb8, cose[0] & 0x1f], &cose[1..]].concat(), "strict CBOR");
        check_bytes(&[&[0xbf], &cose[1..], &[0xff]].concat(), "strict CBOR");
        // A tag around it.
        check_bytes(&[&[0xc1], cose.as_slice()].concat(), "strict CBOR");
    }
    check_bytes(b"", "strict CBOR");
    check_bytes(b"\x01", "not a CBOR map");
    check_bytes(&[0x81; 64], "strict CBOR");
    check_bytes(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "strict CBOR");
    check_bytes(b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff", "strict CBOR");
}

#[test]
fn signatures_verify_over_their_message_only() {
    for signer in signers() {
        let key = signer.public_key();
        let signature = signer.sign(b"message");
        key.verify(b"message", &signature).unwrap();
        assert_eq!(key.verify(b"massage", &signature), Err(Refusal::SignatureMismatch));
        assert_eq!(key.verify(b"", &signature), Err(Refusal::SignatureMismatch));
        assert_eq!(key.verify(b"message", b""), Err(Refusal::SignatureMalformed));
        let trailing = [signature.as_slice(), &[0]].concat();
        assert_eq!(key.verify(b"message", &trailing), Err(Refusal::SignatureMalformed));
        let short = &signature[..signature.len() - 1];
        assert_eq!(key.verify(b"message", short), Err(Refusal::SignatureMalformed));
        assert_eq!(key.verify(b"message", &[0x30; 4096]), Err(Refusal::SignatureMalformed));
    }
}

#[test]
fn es256_accepts_both_values_of_s() {
    let signer = Signer::es256(7);
    let key = signer.public_key();
    for message in [b"a", b"b", b"c", b"d"] {
        let signature = p256::ecdsa::Signature::from_der(&signer.sign(message)).unwrap();
        let (r, s) = signature.split_scalars();
        let twin = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
        assert_ne!(signature, twin);
        key.verify(message, signature.to_der().as_bytes()).unwrap();
        key.verify(message, twin.to_der().as_bytes()).unwrap();
    }
}

#[test]
fn es256_reads_one_der_encoding() {
    let signer = Signer::es256(7);
    let key = signer.public_key();
    let der = signer.sign(b"message");
    let (r, s) = {
        let signature = p256::ecdsa::Signature::from_der(&der).unwrap();
        let bytes: [u8; 64] = signature.to_bytes().into();
        assert_eq!(key.verify(b"message", &bytes), Err(Refusal::SignatureMalformed)); // raw r ‖ s
        (bytes[..32].to_vec(), bytes[32..].to_vec())
    };
    let integer = |bytes: &[u8]| [&[0x02, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let sequence = |r: &[u8], s: &[u8]| {
        let body = [integer(r), integer(s)].concat();
        [&[0x30, u8::try_from(body.len()).unwrap()], body.as_slice()].concat()
    };
    let padded = |zeros: usize, bytes: &[u8]| {
        let positive = usize::from(bytes[0] >= 0x80);
        [vec![0; positive + zeros], bytes.to_vec()].concat()
    };
    assert_eq!(sequence(&padded(0, &r), &padded(0, &s)), der);
    let long_form = [&[0x30, 0x81], &der[1..]].concat();
    let indefinite = [&[0x30, 0x80], &der[2..], &[0, 0]].concat();
    for loose in [
        sequence(&padded(1, &r), &padded(0, &s)),
        sequence(&padded(0, &r), &padded(1, &s)),
        sequence(&[0], &padded(0, &s)),
        sequence(&padded(0, &r), &[0]),
        sequence(&padded(0, &r), &[]),
        sequence(&padded(0, &[0xff; 32]), &padded(0, &s)),
        long_form,
        indefinite,
    ] {
        assert_eq!(key.verify(b"message", &loose), Err(Refusal::SignatureMalformed), "{loose:02x?}");
    }
}

#[test]
fn eddsa_is_strict() {
    // s + L is the same scalar written a second way (RFC 8032 §5.1.7 refuses it).
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let signer = Signer::eddsa(7);
    let mut signature = signer.sign(b"message");
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    signer.public_key().verify(b"message", &signature).unwrap_err();
}

/// Reads little-endian bytes as a number in `T`, whose type this crate cannot name: `zero` names it.
fn number<T: From<u64> + Add<Output = T> + Mul<Output = T>>(zero: T, bytes: &[u8]) -> T {
    bytes.iter().rev().fold(zero, |sum, byte| sum * T::from(256) + T::from(u64::from(*byte)))
}

#[test]
fn eddsa_refuses_a_commitment_of_small_order() {
    // With the identity as commitment, s = H(R, A, M) * a satisfies the plain equation of RFC 8032.
    let signer = Signer::eddsa(7);
    let Signer::EdDsa(private) = &signer else { unreachable!() };
    let mut identity = [0; 32];
    identity[0] = 1;
    let key = private.verifying_key();
    let hash = Sha512::digest([identity.as_slice(), key.as_bytes(), b"message"].concat());
    let a = private.to_scalar();
    let s = number(a - a, &hash) * a;
    let signature = [identity, s.to_bytes()].concat();
    let plain = ed25519_dalek::Signature::from_slice(&signature).unwrap();
    ed25519_dalek::Verifier::verify(&key, b"message", &plain).unwrap();
    let refusal = signer.public_key().verify(b"message", &signature);
    assert_eq!(refusal, Err(Refusal::SignatureMismatch));
}
