//! An SSH key on a software security key: what `ssh-keygen -Y sign` writes, every part of it changeable.

use assertion::{STATEMENT_NAMESPACE, enarmor, statement_message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::digest::Blob;
use domain::key::SshKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use sha2::{Digest as _, Sha256, Sha512};

use crate::passkey::{USER_PRESENT, USER_VERIFIED};

const KIND: &str = "sk-ecdsa-sha2-nistp256@openssh.com";

/// One ECDSA key.
#[derive(Clone)]
pub(crate) struct SecurityKey {
    pub(crate) key: SigningKey,
    pub(crate) application: String,
    pub(crate) namespace: String,
    pub(crate) flags: u8,
}

impl SecurityKey {
    /// The key of this number; another number is another key.
    pub(crate) fn new(number: u8) -> Self {
        Self {
            key: SigningKey::from_slice(&[number + 100; 32]).unwrap(),
            application: "ssh:".to_owned(),
            namespace: STATEMENT_NAMESPACE.to_owned(),
            flags: USER_PRESENT | USER_VERIFIED,
        }
    }

    fn public(&self) -> Vec<u8> {
        let point = self.key.verifying_key().to_sec1_point(false);
        strings(&[KIND.as_bytes(), b"nistp256", point.as_bytes(), self.application.as_bytes()])
    }

    /// As the directory enrols it.
    pub(crate) fn enrolled(&self) -> SshKey {
        SshKey { public_key: Blob(self.public()), label: "desk".to_owned() }
    }

    /// The line of its `.pub` file.
    pub(crate) fn line(&self) -> String {
        format!("{KIND} {} somebody@laptop", STANDARD.encode(self.public()))
    }

    /// Signs a statement.
    pub(crate) fn review(&self, statement: &Blob) -> String {
        self.sign(&statement_message(&statement.0))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> String {
        let (namespace, hash) = (self.namespace.as_bytes(), Sha512::digest(message));
        let data = [b"SSHSIG".as_slice(), &strings(&[namespace, b"", b"sha512", &hash])].concat();
        let tail = [&[self.flags][..], &[0, 0, 0, 9]].concat();
        let application = Sha256::digest(&self.application);
        let signed = [application.as_slice(), &tail, &Sha256::digest(data)].concat();
        let signature: Signature = self.key.sign(&signed);
        let (r, s) = signature.split_bytes();
        let inner = [strings(&[KIND.as_bytes(), &strings(&[&integer(&r), &integer(&s)])]), tail].concat();
        let rest = strings(&[&self.public(), namespace, b"", b"sha512", &inner]);
        enarmor(&[b"SSHSIG".as_slice(), &[0, 0, 0, 1], &rest].concat())
    }
}

fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let one = |part: &&[u8]| [&u32::try_from(part.len()).unwrap().to_be_bytes(), *part].concat();
    parts.iter().flat_map(one).collect()
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if digits.first().is_some_and(|first| *first >= 0x80) { [vec![0], digits].concat() } else { digits }
}
