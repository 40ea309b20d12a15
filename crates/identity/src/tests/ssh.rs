//! SSH keys on a software security key: enrolled by their owner's signature, and signing reviews at a terminal.

use assertion::{ENROLMENT_NAMESPACE, STATEMENT_NAMESPACE, enarmor, statement_message};
use domain::key::SshKey;
use domain::review::{Proof, SignedReview};
use domain::statement::{Statement, Verdict};
use sha2::Sha512;

use super::reviewer::{of_bot, signature, statement, verify_in};
use super::*;

/// An Ed25519 key of OpenSSH's on a security key, every part of what it signs changeable.
#[derive(Clone)]
struct SecurityKey {
    key: SigningKey,
    application: &'static str,
    namespace: &'static str,
    flags: u8,
}

impl SecurityKey {
    fn of(n: u8) -> Self {
        Self {
            key: SigningKey::from_bytes(&[200 - n; 32]),
            application: "ssh:",
            namespace: STATEMENT_NAMESPACE,
            flags: USER_PRESENT | USER_VERIFIED,
        }
    }

    fn public(&self) -> Vec<u8> {
        let point = self.key.verifying_key();
        strings(&[b"sk-ssh-ed25519@openssh.com", point.as_bytes(), self.application.as_bytes()])
    }

    fn line(&self) -> String {
        let base64 = base64::engine::general_purpose::STANDARD.encode(self.public());
        format!("sk-ssh-ed25519@openssh.com {base64} bob@laptop")
    }

    fn enrolled(&self) -> SshKey {
        SshKey { public_key: Blob(self.public()), label: "desk".to_owned() }
    }

    /// What `ssh-keygen -Y sign` writes (`PROTOCOL.sshsig`, `PROTOCOL.u2f`).
    fn sign(&self, message: &[u8]) -> String {
        let (namespace, hash) = (self.namespace.as_bytes(), Sha512::digest(message));
        let data = [b"SSHSIG".as_slice(), &strings(&[namespace, b"", b"sha512", &hash])].concat();
        let tail = [&[self.flags][..], &[0, 0, 0, 9]].concat();
        let application = Sha256::digest(self.application);
        let signed = [application.as_slice(), &tail, &Sha256::digest(data)].concat();
        let raw = self.key.sign(&signed).to_bytes();
        let inner = [strings(&[b"sk-ssh-ed25519@openssh.com", &raw]), tail].concat();
        let rest = strings(&[&self.public(), namespace, b"", b"sha512", &inner]);
        enarmor(&[b"SSHSIG".as_slice(), &[0, 0, 0, 1], &rest].concat())
    }
}

fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let one = |part: &&[u8]| [&u32::try_from(part.len()).unwrap().to_be_bytes(), *part].concat();
    parts.iter().flat_map(one).collect()
}

/// The usual directory, and Bob has an SSH key besides.
fn with_bobs_key() -> Directory {
    let mut directory = directory();
    let key = SecurityKey::of(BOB).enrolled();
    apply(&mut directory, DirectoryEvent::SshKeyEnrolled { person: person(BOB), key });
    directory
}

fn sign(statement: &Statement, key: &SecurityKey) -> SignedReview {
    let statement = statement.write().unwrap();
    let proof = ssh_review_proof(&key.sign(&statement_message(&statement))).unwrap();
    SignedReview { statement: Blob(statement), proof }
}

#[test]
fn a_reviewers_own_ssh_key_over_the_statement_passes() {
    let statement = statement(&of_bot(), BOB);
    let signed = sign(&statement, &SecurityKey::of(BOB));
    assert!(matches!(signed.proof, Proof::SshSig(_)));
    let standing = verify_in(&with_bobs_key(), &statement, &signed, &of_bot()).unwrap();
    assert!(standing.groups.contains(&"dba".parse().unwrap()));
    // A record of it reads back to the same, and verifies still.
    let stored: SignedReview = domain::canonical::read(&domain::canonical::write(&signed).unwrap()).unwrap();
    assert_eq!(stored, signed);
    verify_in(&with_bobs_key(), &statement, &stored, &of_bot()).unwrap();
}

#[test]
fn an_ssh_key_signs_one_statement_for_its_owner_alone_with_the_owner_verified() {
    let good = statement(&of_bot(), BOB);
    let bob = || SecurityKey::of(BOB);
    let directory = with_bobs_key();
    for (key, words) in [
        (SecurityKey { flags: USER_PRESENT, ..bob() }, "did not verify its user"),
        (SecurityKey { flags: USER_VERIFIED, ..bob() }, "nobody present"),
        (SecurityKey { namespace: "git", ..bob() }, "another namespace"),
        (SecurityKey { namespace: ENROLMENT_NAMESPACE, ..bob() }, "another namespace"),
    ] {
        let why = signature(verify_in(&directory, &good, &sign(&good, &key), &of_bot()));
        assert!(why.contains(words), "{why}");
    }
    // Keys that are not enrolled for Bob: Alice's, and his own with another application.
    for key in [SecurityKey::of(ALICE), SecurityKey { application: "ssh:other", ..bob() }] {
        let refused = verify_in(&directory, &good, &sign(&good, &key), &of_bot());
        assert_eq!(refused.unwrap_err().code(), "not-active");
    }
    // Alice's signature under the name of Bob's key.
    let mut signed = sign(&good, &SecurityKey::of(ALICE));
    let Proof::SshSig(proof) = &mut signed.proof else { panic!("no SSH key's") };
    proof.key = bob().enrolled().id();
    assert!(signature(verify_in(&directory, &good, &signed, &of_bot())).contains("another key"));
    // Other bytes under the signature; another deployment, action or verdict are other bytes.
    let signed = sign(&good, &bob());
    for other in [
        Statement { verdict: Verdict::Deny, ..good.clone() },
        Statement { origin: "elsewhere.example/log".parse().unwrap(), ..good.clone() },
        Statement { nonce: Blob(vec![5; 32]), ..good.clone() },
        Statement { expires: later(9_999), ..good.clone() },
    ] {
        let swapped = SignedReview { statement: Blob(other.write().unwrap()), ..signed.clone() };
        assert!(signature(verify_in(&directory, &other, &swapped, &of_bot())).contains("not by this key"));
    }
}

#[test]
fn a_revoked_ssh_key_reviews_no_more_and_a_passkeys_id_is_none() {
    let statement = statement(&of_bot(), BOB);
    let signed = sign(&statement, &SecurityKey::of(BOB));
    assert_eq!(verify_in(&directory(), &statement, &signed, &of_bot()).unwrap_err().code(), "not-active");
    let mut revoked = with_bobs_key();
    let credential_id = SecurityKey::of(BOB).enrolled().id();
    apply(&mut revoked, DirectoryEvent::KeyRevoked { person: person(BOB), credential_id });
    assert_eq!(verify_in(&revoked, &statement, &signed, &of_bot()).unwrap_err().code(), "not-active");
    assert_eq!(revoked.person(person(BOB)).unwrap().keys.len(), 1, "the passkey stays");
    let mut left = with_bobs_key();
    apply(&mut left, DirectoryEvent::PersonDeactivated { id: person(BOB) });
    assert_eq!(verify_in(&left, &statement, &signed, &of_bot()).unwrap_err().code(), "not-active");
    let Proof::SshSig(proof) = &signed.proof else { panic!("no SSH key's") };
    let proof = domain::review::SshSigProof { key: Blob(Authenticator::of(BOB).id), ..proof.clone() };
    let named_after_the_passkey = SignedReview { proof: Proof::SshSig(proof), ..signed.clone() };
    let refused = verify_in(&with_bobs_key(), &statement, &named_after_the_passkey, &of_bot());
    assert_eq!(refused.unwrap_err().code(), "not-active");
}

#[test]
fn what_is_no_ssh_signature_is_no_proof() {
    for text in ["", "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n", "SSHSIG"] {
        assert!(matches!(ssh_review_proof(text), Err(IdentityError::SshKey(_))), "{text}");
    }
}

fn begin(key: &SecurityKey) -> SshEnrolment {
    SshEnrolment::begin(&origin(), person(BOB), &key.line(), "desk", now(), [3; 32]).unwrap()
}

#[test]
fn the_owner_of_a_key_signs_that_it_is_theirs() {
    let key = SecurityKey { namespace: ENROLMENT_NAMESPACE, ..SecurityKey::of(BOB) };
    let enrolment = begin(&key);
    let read = SshEnrolment::read(&enrolment.write().unwrap()).unwrap();
    assert_eq!(read, enrolment);
    let message = enrolment.message().unwrap();
    assert_eq!(read.finish(&key.sign(&message), later(299)).unwrap(), key.enrolled());

    let refused = |signature: String, at| enrolment.clone().finish(&signature, at).unwrap_err();
    assert_eq!(refused(key.sign(&message), later(300)).code(), "expired");
    let altered = [
        SecurityKey { flags: USER_PRESENT, ..key.clone() }.sign(&message),
        SecurityKey { namespace: STATEMENT_NAMESPACE, ..key.clone() }.sign(&message),
        SecurityKey { key: SecurityKey::of(ALICE).key, ..key.clone() }.sign(&message),
        key.sign(&enrolment.write().unwrap()),
        key.sign(&SshEnrolment { person: person(ALICE), ..enrolment.clone() }.message().unwrap()),
        String::new(),
    ];
    for signature in altered {
        assert_eq!(refused(signature, now()).code(), "ssh-key");
    }
}

#[test]
fn a_key_that_no_security_key_holds_is_not_begun_with() {
    let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF8xhWkGE6yYyy7q5rC5qIeK0nkz7kKvJZ7b0E2s0b1U bob";
    let refused = SshEnrolment::begin(&origin(), person(BOB), line, "desk", now(), [3; 32]).unwrap_err();
    assert!(refused.public().contains("ssh-keygen -t ed25519-sk"), "{}", refused.public());
}

#[test]
fn one_key_is_enrolled_once_and_for_one_person() {
    let key = SecurityKey::of(BOB).enrolled();
    let twice = DirectoryEvent::SshKeyEnrolled { person: person(ALICE), key: key.clone() };
    assert!(with_bobs_key().apply(&twice, now()).is_err());
    // Nor does a passkey come to bear its id.
    let id = Authenticator { id: key.id().0, ..Authenticator::of(77) }.enrolled();
    assert!(
        with_bobs_key()
            .apply(&DirectoryEvent::KeyEnrolled { person: person(ALICE), key: id }, now())
            .is_err()
    );
}
