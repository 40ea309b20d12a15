//! SSH signatures by a software security key, which signs as FIDO's authenticators do (`PROTOCOL.u2f`). OpenSSH
//! itself is asked whether it takes them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;

/// One signing, every part of it changeable; whatever is signed is signed afresh.
#[derive(Clone)]
struct Signing {
    signer: Signer,
    application: String,
    /// Another key than the signer's, as the signature's own.
    carried: Option<Vec<u8>>,
    magic: [u8; 6],
    version: u32,
    namespace: String,
    reserved: Vec<u8>,
    hash: &'static str,
    /// Another type than the signer's, before the signature.
    algorithm: Option<&'static str>,
    flags: u8,
    counter: u32,
    message: Vec<u8>,
    /// What follows the counter.
    tail: Vec<u8>,
    /// What follows everything.
    outer_tail: Vec<u8>,
}

impl Signing {
    fn of(signer: Signer) -> Self {
        Self {
            signer,
            application: "ssh:".to_owned(),
            carried: None,
            magic: *b"SSHSIG",
            version: 1,
            namespace: STATEMENT_NAMESPACE.to_owned(),
            reserved: Vec::new(),
            hash: "sha512",
            algorithm: None,
            flags: UP | UV,
            counter: 7,
            message: statement_message(STATEMENT),
            tail: Vec::new(),
            outer_tail: Vec::new(),
        }
    }

    fn key_bytes(&self) -> Vec<u8> {
        let mut parts = vec![self.algorithm().as_bytes().to_vec()];
        match &self.signer {
            Signer::Es256(key) => {
                parts.push(b"nistp256".to_vec());
                parts.push(key.verifying_key().to_sec1_point(false).as_bytes().to_vec());
            }
            Signer::EdDsa(key) => parts.push(key.verifying_key().to_bytes().to_vec()),
        }
        parts.push(self.application.clone().into_bytes());
        strings(&parts)
    }

    fn algorithm(&self) -> &'static str {
        match &self.signer {
            Signer::Es256(_) => "sk-ecdsa-sha2-nistp256@openssh.com",
            Signer::EdDsa(_) => "sk-ssh-ed25519@openssh.com",
        }
    }

    fn key(&self) -> SshPublicKey {
        SshPublicKey::from_bytes(&self.key_bytes()).unwrap()
    }

    fn line(&self) -> String {
        use base64::Engine as _;
        let base64 = base64::engine::general_purpose::STANDARD.encode(self.key_bytes());
        format!("{} {base64} ada@laptop", self.algorithm())
    }

    /// What the authenticator signs.
    fn signed(&self) -> Vec<u8> {
        let hashed = match self.hash {
            "sha256" => Sha256::digest(&self.message).to_vec(),
            _ => sha2::Sha512::digest(&self.message).to_vec(),
        };
        let namespace = self.namespace.clone().into_bytes();
        let data = [
            b"SSHSIG".to_vec(),
            strings(&[namespace, self.reserved.clone(), self.hash.as_bytes().to_vec(), hashed]),
        ]
        .concat();
        let application = Sha256::digest(&self.application);
        let counter = self.counter.to_be_bytes();
        [application.as_slice(), &[self.flags], &counter, &Sha256::digest(data)].concat()
    }

    fn signature(&self) -> Vec<u8> {
        let raw = match &self.signer {
            Signer::EdDsa(key) => key.sign(&self.signed()).to_bytes().to_vec(),
            Signer::Es256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(&self.signed());
                let (r, s) = signature.split_bytes();
                strings(&[mpint(&r), mpint(&s)])
            }
        };
        let algorithm = self.algorithm.unwrap_or_else(|| self.algorithm());
        let inner = strings(&[algorithm.as_bytes().to_vec(), raw]);
        let inner =
            [inner, vec![self.flags], self.counter.to_be_bytes().to_vec(), self.tail.clone()].concat();
        let rest = strings(&[
            self.carried.clone().unwrap_or_else(|| self.key_bytes()),
            self.namespace.clone().into_bytes(),
            self.reserved.clone(),
            self.hash.as_bytes().to_vec(),
            inner,
        ]);
        [self.magic.to_vec(), self.version.to_be_bytes().to_vec(), rest, self.outer_tail.clone()].concat()
    }

    fn check(&self) -> Result<CheckedSshSignature, Refusal> {
        check_ssh_signature(
            &Self::of(self.signer.clone()).key(),
            STATEMENT_NAMESPACE,
            &statement_message(STATEMENT),
            &self.signature(),
        )
    }
}

fn strings(parts: &[Vec<u8>]) -> Vec<u8> {
    let one = |part: &Vec<u8>| [&u32::try_from(part.len()).unwrap().to_be_bytes(), part.as_slice()].concat();
    parts.iter().flat_map(one).collect()
}

/// A positive integer as RFC 4251 §5 writes it.
fn mpint(bytes: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if digits.first().is_some_and(|first| *first >= 0x80) { [vec![0], digits].concat() } else { digits }
}

/// A change to a good signing, and how it must be refused.
type SigningCase = (fn(&mut Signing), Refusal);

fn malformed(reason: &'static str) -> Refusal {
    Refusal::SshSignatureMalformed { reason }
}

#[test]
fn both_kinds_of_key_sign_over_both_hashes() {
    for signer in signers() {
        for hash in ["sha256", "sha512"] {
            for counter in [0, 7, u32::MAX] {
                let signing = Signing { hash, counter, ..Signing::of(signer.clone()) };
                assert_eq!(signing.check().unwrap().counter, counter);
                assert_eq!(claimed_key(&signing.signature()).unwrap(), signing.key_bytes());
            }
        }
    }
}

#[test]
fn each_reason_to_refuse_a_signature() {
    let announced = || malformed("its flags announce data that an SSH signature has no room for");
    let begins = || malformed("it does not begin as version 1 does");
    let cases: Vec<SigningCase> = vec![
        (|s| s.flags = UV, Refusal::UserNotPresent),
        (|s| s.flags = UP, Refusal::UserNotVerified),
        (|s| s.flags = 0, Refusal::UserNotPresent),
        (|s| s.flags |= AT, announced()),
        (|s| s.flags |= ED, announced()),
        (|s| s.namespace = "git".to_owned(), Refusal::SshNamespace),
        (|s| s.namespace = String::new(), Refusal::SshNamespace),
        (|s| s.namespace = ENROLMENT_NAMESPACE.to_owned(), Refusal::SshNamespace),
        (|s| s.namespace.push('\0'), Refusal::SshNamespace),
        (|s| s.application = "ssh:other".to_owned(), Refusal::SshOtherKey),
        (|s| s.application = RP_ID.to_owned(), Refusal::SshOtherKey),
        (|s| s.message = statement_message(br#"{"verdict":"deny"}"#), Refusal::SignatureMismatch),
        (|s| s.message = STATEMENT.to_vec(), Refusal::SignatureMismatch),
        (|s| s.message.push(b'\n'), Refusal::SignatureMismatch),
        (|s| s.reserved = vec![0], malformed("its reserved field is not empty")),
        (|s| s.hash = "sha1", malformed("its hash is neither `sha256` nor `sha512`")),
        (|s| s.magic = *b"SSHSIH", begins()),
        (|s| s.version = 2, begins()),
        (|s| s.tail = vec![0], Refusal::SshTrailing { bytes: 1 }),
        (|s| s.outer_tail = vec![0, 0], Refusal::SshTrailing { bytes: 2 }),
        (|s| s.outer_tail = vec![0; 4_096], Refusal::SshSignatureTooLong { bytes: 0 }),
        (|s| s.algorithm = Some("ssh-ed25519"), Refusal::SshKeyType),
        (|s| s.algorithm = Some("webauthn-sk-ecdsa-sha2-nistp256@openssh.com"), Refusal::SshKeyType),
    ];
    for signer in signers() {
        for (n, (change, expected)) in cases.iter().enumerate() {
            let mut signing = Signing::of(signer.clone());
            change(&mut signing);
            let refused = signing.check().unwrap_err();
            let fits = match (&refused, expected) {
                (Refusal::SshSignatureTooLong { bytes }, Refusal::SshSignatureTooLong { .. }) => {
                    *bytes > MAX_SSH_SIGNATURE_BYTES
                }
                (refused, expected) => refused == expected,
            };
            assert!(fits, "case {n}: {refused:?} for {expected:?}");
        }
    }
}

#[test]
fn another_key_is_refused_whatever_the_signature_carries() {
    for signer in signers() {
        let good = Signing::of(signer);
        for other in [Signer::es256(8), Signer::eddsa(8)] {
            let theirs = Signing::of(other);
            // Theirs outright, and theirs under our key's name.
            let message = statement_message(STATEMENT);
            let check =
                |signature: &[u8]| check_ssh_signature(&good.key(), STATEMENT_NAMESPACE, &message, signature);
            assert_eq!(check(&theirs.signature()), Err(Refusal::SshOtherKey));
            let under_our_name = Signing { carried: Some(good.key_bytes()), ..theirs.clone() };
            let same_type = theirs.algorithm() == good.algorithm();
            let expected = if same_type { Refusal::SignatureMismatch } else { Refusal::SshKeyType };
            assert_eq!(check(&under_our_name.signature()), Err(expected));
        }
    }
}

#[test]
fn no_bit_can_be_flipped_and_no_byte_be_missing() {
    for signer in signers() {
        let good = Signing::of(signer);
        let (key, message, signature) = (good.key(), &good.message, good.signature());
        let check = |signature: &[u8]| check_ssh_signature(&key, STATEMENT_NAMESPACE, message, signature);
        check(&signature).unwrap();
        for bit in 0..signature.len() * 8 {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            check(&flipped).unwrap_err();
        }
        for end in 0..signature.len() {
            check(&signature[..end]).unwrap_err();
        }
    }
}

#[test]
fn an_integer_of_ecdsa_has_one_form() {
    let good = Signing::of(Signer::es256(7));
    let Signer::Es256(key) = &good.signer else { panic!("no such signer") };
    let signature: p256::ecdsa::Signature = key.sign(&good.signed());
    let (r, s) = signature.split_bytes();
    let check = |r: Vec<u8>, s: Vec<u8>| {
        let inner = strings(&[good.algorithm().as_bytes().to_vec(), strings(&[r, s])]);
        let inner = [inner, vec![good.flags], good.counter.to_be_bytes().to_vec()].concat();
        let namespace = good.namespace.clone().into_bytes();
        let rest = strings(&[good.key_bytes(), namespace, Vec::new(), b"sha512".to_vec(), inner]);
        let blob = [b"SSHSIG".to_vec(), vec![0, 0, 0, 1], rest].concat();
        check_ssh_signature(&good.key(), STATEMENT_NAMESPACE, &good.message, &blob)
    };
    check(mpint(&r), mpint(&s)).unwrap();
    let refused = [
        (vec![], mpint(&s)),
        (vec![0], mpint(&s)),
        ([vec![0, 0], mpint(&r)].concat(), mpint(&s)),
        ([vec![0], vec![1]].concat(), mpint(&s)),
        (vec![0x80; 32], mpint(&s)),
        (mpint(&r), vec![1; 33]),
        (mpint(&r), [vec![0], vec![0xff; 32]].concat()),
    ];
    for (r, s) in refused {
        assert_eq!(check(r, s).unwrap_err(), Refusal::SignatureMalformed);
    }
}

#[test]
fn a_key_is_read_from_its_line_and_written_back() {
    for signer in signers() {
        let signing = Signing::of(signer);
        let key = SshPublicKey::from_line(&signing.line()).unwrap();
        assert_eq!(key, signing.key());
        assert_eq!((key.application(), key.as_bytes()), ("ssh:", signing.key_bytes().as_slice()));
        assert_eq!(SshPublicKey::from_line(&key.to_string()).unwrap(), key);
    }
}

#[test]
fn only_keys_of_security_keys_are_read() {
    let ed25519 = Signing::of(Signer::eddsa(7));
    let ecdsa = Signing::of(Signer::es256(7));
    let refused = |line: &str| SshPublicKey::from_line(line).unwrap_err();
    for line in [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF8xhWkGE6yYyy7q5rC5qIeK0nkz7kKvJZ7b0E2s0b1U ada",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ==",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY=",
        "sk-ssh-ed25519-cert-v01@openssh.com AAAA",
        "",
    ] {
        assert_eq!(refused(line), Refusal::SshKeyType, "{line}");
    }
    let (kind, other) = (ed25519.line(), ecdsa.line());
    let swapped = format!("{} {}", kind.split(' ').next().unwrap(), other.split(' ').nth(1).unwrap());
    assert!(matches!(refused(&swapped), Refusal::PublicKeyMalformed { .. }));
    assert!(matches!(refused("sk-ssh-ed25519@openssh.com !"), Refusal::PublicKeyMalformed { .. }));

    let of_bytes = |bytes: &[u8]| SshPublicKey::from_bytes(bytes).unwrap_err();
    let key = |parts: &[&[u8]]| strings(&parts.iter().map(|part| part.to_vec()).collect::<Vec<_>>());
    let point = ed25519.key_bytes()[34..66].to_vec();
    let name = b"sk-ssh-ed25519@openssh.com".as_slice();
    assert_eq!(SshPublicKey::from_bytes(&key(&[name, &point, b"ssh:"])).unwrap(), ed25519.key());
    for application in [b"".as_slice(), b"ssh", RP_ID.as_bytes(), b"ssh:\0", b"ssh: x", &[0xff], &[b's'; 300]]
    {
        assert_eq!(of_bytes(&key(&[name, &point, application])), Refusal::SshApplication);
    }
    assert_eq!(
        of_bytes(&[key(&[name, &point, b"ssh:"]), vec![0]].concat()),
        Refusal::SshTrailing { bytes: 1 }
    );
    assert_eq!(of_bytes(&key(&[name, &point])), Refusal::SshTruncated);
    // Small order, not on the curve, of another length.
    for point in [vec![0; 32], vec![2; 32], vec![1; 31]] {
        assert!(matches!(of_bytes(&key(&[name, &point, b"ssh:"])), Refusal::PublicKeyMalformed { .. }));
    }
    let name = b"sk-ecdsa-sha2-nistp256@openssh.com".as_slice();
    let good = ecdsa.key_bytes();
    let uncompressed = &good[good.len() - 8 - 65..good.len() - 8];
    let compressed = [&[2], &uncompressed[1..33]].concat();
    for (curve, point) in [
        (b"nistp384".as_slice(), uncompressed),
        (b"nistp256", compressed.as_slice()),
        (b"nistp256", &uncompressed[..64]),
        (b"nistp256", &[4; 65]),
    ] {
        assert!(matches!(of_bytes(&key(&[name, curve, point, b"ssh:"])), Refusal::PublicKeyMalformed { .. }));
    }
    assert_eq!(of_bytes(&vec![0; 2_000]), Refusal::SshKeyTooLong { bytes: 2_000 });
}

#[test]
fn the_armour_is_two_lines_and_base64() {
    let signature = Signing::of(Signer::eddsa(7)).signature();
    let armoured = enarmor(&signature);
    assert_eq!(dearmor(&armoured).unwrap(), signature);
    assert_eq!(dearmor(&armoured.replace('\n', "\r\n")).unwrap(), signature);
    for loose in [
        armoured.replace("BEGIN", "begin"),
        armoured.replace("SSH SIGNATURE", "PGP SIGNATURE"),
        format!("note\n{armoured}"),
        format!("{armoured}note\n"),
        armoured.replacen('\n', "\n ", 2),
        armoured.replacen("-----\n", "-----\nVersion: 1\n", 1),
        armoured.replace("-----END SSH SIGNATURE-----", ""),
        format!("{armoured}{armoured}"),
        String::new(),
        "\n".repeat(5_000),
    ] {
        assert_eq!(dearmor(&loose), Err(Refusal::SshArmor), "{loose}");
    }
}

proptest! {
    #[test]
    fn nothing_arbitrary_is_a_signature(bytes in prop::collection::vec(any::<u8>(), 0..400), text in ".{0,200}") {
        let key = Signing::of(Signer::eddsa(7)).key();
        prop_assert!(check_ssh_signature(&key, STATEMENT_NAMESPACE, STATEMENT, &bytes).is_err());
        prop_assert!(SshPublicKey::from_bytes(&bytes).is_err());
        prop_assert!(SshPublicKey::from_line(&text).is_err());
        prop_assert!(dearmor(&text).is_err());
        prop_assert_eq!(dearmor(&enarmor(&bytes)).unwrap(), bytes);
    }
}

/// Runs `ssh-keygen`, which the tests need: Debian has it in `openssh-client`.
fn ssh_keygen(arguments: &[&str], folder: &Path, input: &[u8]) -> std::process::Output {
    let mut child = Command::new("ssh-keygen")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`ssh-keygen` is missing: install Debian's `openssh-client`");
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn openssh_takes_the_same_signature_and_refuses_it_altered() {
    let folder = tempfile::tempdir().unwrap();
    let verify = |signing: &Signing, armoured: &str, namespace: &str| {
        let allowed = format!("ada namespaces=\"{namespace}\" {}\n", signing.line());
        std::fs::write(folder.path().join("allowed"), allowed).unwrap();
        std::fs::write(folder.path().join("signature"), armoured).unwrap();
        let arguments = ["-Y", "verify", "-f", "allowed", "-I", "ada", "-n", namespace, "-s", "signature"];
        ssh_keygen(&arguments, folder.path(), &signing.message)
    };
    for signer in signers() {
        for hash in ["sha256", "sha512"] {
            let good = Signing { hash, ..Signing::of(signer.clone()) };
            good.check().unwrap();
            let taken = verify(&good, &enarmor(&good.signature()), STATEMENT_NAMESPACE);
            assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
            for altered in [
                Signing { namespace: "git".to_owned(), ..good.clone() },
                Signing { tail: vec![0], ..good.clone() },
                Signing { carried: Some(Signing::of(Signer::eddsa(8)).key_bytes()), ..good.clone() },
            ] {
                let refused = verify(&good, &enarmor(&altered.signature()), STATEMENT_NAMESPACE);
                assert!(!refused.status.success());
            }
            let other = Signing { message: b"another message".to_vec(), ..good.clone() };
            assert!(!verify(&other, &enarmor(&good.signature()), STATEMENT_NAMESPACE).status.success());
        }
    }
}

#[test]
fn openssh_itself_signs_with_a_key_that_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let made = ssh_keygen(&["-q", "-t", "ed25519", "-N", "", "-f", "key"], folder.path(), b"");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let line = std::fs::read_to_string(folder.path().join("key.pub")).unwrap();
    assert_eq!(SshPublicKey::from_line(&line), Err(Refusal::SshKeyType));
    let arguments = ["-Y", "sign", "-n", STATEMENT_NAMESPACE, "-f", "key"];
    let signed = ssh_keygen(&arguments, folder.path(), &statement_message(STATEMENT));
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    // Its armour is read; its signature is by a key that anything can use.
    let signature = dearmor(std::str::from_utf8(&signed.stdout).unwrap()).unwrap();
    assert_eq!(claimed_key(&signature), Err(Refusal::SshKeyType));
    let key = Signing::of(Signer::eddsa(7)).key();
    let refused = check_ssh_signature(&key, STATEMENT_NAMESPACE, &statement_message(STATEMENT), &signature);
    assert_eq!(refused, Err(Refusal::SshKeyType));
}
