use super::*;

fn with_attested(flags: u8, tail: Vec<u8>) -> Result<AuthenticatorData, Refusal> {
    let mut ceremony = Ceremony::create(Signer::es256(7));
    ceremony.flags = flags;
    ceremony.tail = tail;
    AuthenticatorData::parse(&ceremony.authenticator_data())
}

fn cose() -> Vec<u8> {
    encode(&Value::Map(Signer::es256(7).cose()))
}

#[test]
fn every_field_is_read() {
    let extensions = encode(&cbor!({"credProtect" => 2}).unwrap());
    let tail = [attested(b"id", &cose()), extensions].concat();
    let data = with_attested(UP | BE | AT | ED, tail).unwrap();
    assert_eq!(data.rp_id_hash, <[u8; 32]>::from(Sha256::digest(RP_ID)));
    assert_eq!(data.counter, 7);
    let flags = data.flags;
    assert!(flags.user_present() && flags.backup_eligible());
    assert!(flags.attested() && flags.extensions());
    assert!(!flags.user_verified() && !flags.backed_up());
    let attested = data.attested.unwrap();
    assert_eq!(attested.aaguid.to_string(), "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa");
    assert_eq!(attested.credential_id.as_bytes(), b"id");
    assert_eq!(attested.credential_id.to_string(), "aWQ");
    assert_eq!(attested.public_key, Signer::es256(7).public_key());
}

#[test]
fn reserved_bits_are_not_judged() {
    let data = with_attested(UP | 0x02 | 0x20, Vec::new()).unwrap();
    assert!(data.flags.user_present() && !data.flags.user_verified());
}

#[test]
fn every_cut_is_refused() {
    let mut ceremony = Ceremony::create(Signer::es256(7));
    ceremony.flags |= ED;
    ceremony.tail.extend(encode(&cbor!({"credProtect" => 2}).unwrap()));
    let whole = ceremony.authenticator_data();
    AuthenticatorData::parse(&whole).unwrap();
    for length in 0..whole.len() {
        AuthenticatorData::parse(&whole[..length]).unwrap_err();
    }
    for length in 0..37 {
        assert_eq!(AuthenticatorData::parse(&whole[..length]), Err(Refusal::AuthenticatorDataTruncated));
    }
}

#[test]
fn bytes_that_no_flag_announces_are_refused() {
    let extensions = encode(&cbor!({"credProtect" => 2}).unwrap());
    let bytes = extensions.len();
    let tail = [attested(b"id", &cose()), extensions].concat();
    assert_eq!(with_attested(UP | AT, tail.clone()), Err(Refusal::AuthenticatorDataTrailing { bytes }));
    let bytes = tail.len();
    assert_eq!(with_attested(UP, tail), Err(Refusal::AuthenticatorDataTrailing { bytes }));
}

#[test]
fn a_credential_id_has_1_to_1023_bytes() {
    for length in [1, MAX_CREDENTIAL_ID_BYTES] {
        with_attested(UP | AT, attested(&vec![1; length], &cose())).unwrap();
    }
    for bytes in [0, MAX_CREDENTIAL_ID_BYTES + 1] {
        let refusal = Err(Refusal::CredentialIdLength { bytes });
        assert_eq!(with_attested(UP | AT, attested(&vec![1; bytes], &cose())), refusal);
        assert_eq!(CredentialId::new(vec![1; bytes]).map(drop), refusal.map(drop));
    }
}

#[test]
fn authenticator_data_has_a_limit() {
    assert_eq!(
        AuthenticatorData::parse(&[0; MAX_AUTHENTICATOR_DATA_BYTES + 1]),
        Err(Refusal::AuthenticatorDataTooLong { bytes: MAX_AUTHENTICATOR_DATA_BYTES + 1 })
    );
    assert_eq!(
        AuthenticatorData::parse(&[0; MAX_AUTHENTICATOR_DATA_BYTES]),
        Err(Refusal::AuthenticatorDataTrailing { bytes: MAX_AUTHENTICATOR_DATA_BYTES - 37 })
    );
}
