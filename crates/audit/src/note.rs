//! Signed notes (C2SP `signed-note`): a text that people can read, with signatures that name their
//! keys. The secret key may live in a file today and in a key service tomorrow, so signing is a port
//! ([`NoteSigner`]); checking needs public keys only.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::text::{from_base64, to_base64};
use crate::{Error, SignError};

/// The longest note that is read or signed, in bytes; Go's `sumdb/note` has the same limit.
pub const MAX_NOTE_BYTES: usize = 1_000_000;

/// The most signatures that a note can carry. C2SP asks for at least 16; Go's limit is the same.
pub const MAX_NOTE_SIGNATURES: usize = 100;

/// The longest key name, in bytes. C2SP sets no limit.
pub const MAX_KEY_NAME_BYTES: usize = 255;

/// The signature type byte of plain Ed25519 (C2SP `signed-note`, "Signature types").
const ED25519: u8 = 0x01;

/// How each signature line starts: em dash (U+2014) and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// A text with signatures that nobody has checked yet; [`verify`](Self::verify) does.
///
/// Display writes the note's bytes. What [`parse`](Self::parse) read is written back unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line. Its key may be unknown to us, a witness's for example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: KeyName,
    id: KeyId,
    signature: Vec<u8>,
}

/// Custody of a signing key: in memory now, in a key service later.
///
/// Contract: `sign` returns an Ed25519 signature (RFC 8032) over exactly `body` by the key that
/// `verifier` names; the caller checks it. A key that cannot be reached is an error, never a wait
/// without end: an implementation that calls a service has its own named time limit.
pub trait NoteSigner: Send + Sync {
    /// The public half of the key.
    fn verifier(&self) -> &VerifierKey;

    /// Signs a note's text.
    ///
    /// # Errors
    /// [`SignError`], with a reason that names no secret.
    fn sign(&self, body: &[u8]) -> Result<[u8; 64], SignError>;
}

/// A public key under a name: `name+hex(keyID)+base64(type ‖ key)` (C2SP `signed-note`). Of the
/// signature types only Ed25519 (`0x01`) is read.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    key: VerifyingKey,
}

/// A key's name, recommended to be a URL without its scheme. Not empty, at most
/// [`MAX_KEY_NAME_BYTES`], without white space, control characters and `+`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// A key's short id, `SHA256(name ‖ 0x0A ‖ type ‖ key)[:4]`. It finds a key; it proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 4]);

/// A signing key held in memory. Dropping it wipes the secret; printing it shows the public half.
pub struct Ed25519Signer {
    verifier: VerifierKey,
    secret: SigningKey,
}

impl Note {
    /// Signs a text. Each signature is checked before it is kept, so that a custodian that holds
    /// another key than it names is found here and not by an auditor.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the text does not end in a newline or has other control characters;
    /// [`Error::TooLarge`]; [`Error::Sign`] and [`Error::SignerMismatch`] from a signer. No signer at
    /// all is [`Error::Malformed`]: a note has at least one signature.
    pub fn sign(text: impl Into<String>, signers: &[&dyn NoteSigner]) -> Result<Self, Error> {
        let text = text.into();
        check_text(&text)?;
        let signatures = signers.iter().map(|signer| NoteSignature::by(*signer, &text));
        let note = Self { signatures: signatures.collect::<Result<_, _>>()?, text };
        if note.signatures.is_empty() {
            return Err(malformed(&note.text, "it has no signature"));
        }
        note.check_limits()?;
        Ok(note)
    }

    /// Adds a signature made elsewhere, by a witness for example. It is not checked here.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the note has no room for it; the note is unchanged.
    pub fn add_signature(&mut self, signature: NoteSignature) -> Result<(), Error> {
        self.signatures.push(signature);
        let checked = self.check_limits();
        if checked.is_err() {
            self.signatures.pop();
        }
        checked
    }

    /// Reads a note's bytes strictly, without checking signatures.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over [`MAX_NOTE_BYTES`] or [`MAX_NOTE_SIGNATURES`]; [`Error::Malformed`] for
    /// anything that is not UTF-8 text without control characters but newline, a blank line, and
    /// one signature line after another to the end.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Error::check_limit("note", bytes.len(), MAX_NOTE_BYTES, "bytes")?;
        let whole =
            str::from_utf8(bytes).map_err(|_| Error::malformed_bytes("note", bytes, "it is not UTF-8"))?;
        // The text may have blank lines of its own: the last one ends it. Its final newline is
        // part of it, the blank line is not.
        let (text, lines) = whole
            .rfind("\n\n")
            .and_then(|blank| whole.split_at_checked(blank + 1))
            .and_then(|(text, rest)| Some((text, rest.strip_prefix('\n')?)))
            .ok_or_else(|| malformed(whole, "expected a blank line before the signatures"))?;
        check_text(text)?;
        let lines = lines
            .strip_suffix('\n')
            .ok_or_else(|| malformed(whole, "expected signature lines, each ending in a newline"))?;
        let count = lines.split('\n').count();
        Error::check_limit("note", count, MAX_NOTE_SIGNATURES, "signatures")?;
        let signatures = lines.split('\n').map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Checks every signature by a known key and returns the keys that signed, each once, at least
    /// one. Signatures by other keys are ignored: they may be a witness's or a future key's. As in
    /// Go's `note.Open`, a bad signature under a known key's name and id spoils the whole note.
    ///
    /// Signatures with small-order components are refused (`verify_strict` of `ed25519-dalek`).
    ///
    /// # Errors
    /// [`Error::BadSignature`], [`Error::NoKnownSignature`], [`Error::AmbiguousKey`].
    pub fn verify<'k>(&self, known: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, Error> {
        let mut signed: Vec<&VerifierKey> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = signature.key_among(known)? else {
                continue;
            };
            if !key.verifies(self.text.as_bytes(), &signature.signature) {
                let name = signature.name.to_string();
                return Err(Error::BadSignature { name, id: signature.id });
            }
            if !signed.contains(&key) {
                signed.push(key);
            }
        }
        if signed.is_empty() { Err(Error::NoKnownSignature) } else { Ok(signed) }
    }

    /// The signed text with its final newline. Trust it only after [`verify`](Self::verify).
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures in the note's order, known or not.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    fn check_limits(&self) -> Result<(), Error> {
        Error::check_limit("note", self.signatures.len(), MAX_NOTE_SIGNATURES, "signatures")?;
        Error::check_limit("note", self.to_string().len(), MAX_NOTE_BYTES, "bytes")
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

fn check_text(text: &str) -> Result<(), Error> {
    if text.chars().any(|c| c < ' ' && c != '\n') {
        return Err(malformed(text, "it has a control character other than newline"));
    }
    if !text.ends_with('\n') {
        return Err(malformed(text, "its text does not end in a newline"));
    }
    Ok(())
}

fn malformed(value: &str, why: &'static str) -> Error {
    Error::malformed("note", value, why)
}

impl NoteSignature {
    /// The signing key's name, as the line claims.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The signing key's id, as the line claims.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The signature's bytes after the key id; their meaning depends on the key's type.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.signature
    }

    fn by(signer: &dyn NoteSigner, text: &str) -> Result<Self, Error> {
        let key = signer.verifier();
        let signature = signer.sign(text.as_bytes())?;
        if !key.verifies(text.as_bytes(), &signature) {
            return Err(Error::SignerMismatch { name: key.name.to_string() });
        }
        Ok(Self { name: key.name.clone(), id: key.id, signature: signature.to_vec() })
    }

    /// The known key with this line's name and id.
    fn key_among<'k>(&self, known: &'k [VerifierKey]) -> Result<Option<&'k VerifierKey>, Error> {
        let mut matching = known.iter().filter(|key| key.name == self.name && key.id == self.id);
        let first = matching.next();
        if matching.any(|other| Some(other) != first) {
            return Err(Error::AmbiguousKey { name: self.name.to_string(), id: self.id });
        }
        Ok(first)
    }
}

/// One signature line without its newline: `— name base64(keyID ‖ signature)`.
impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = [self.id.0.as_slice(), &self.signature].concat();
        write!(f, "{SIGNATURE_PREFIX}{} {}", self.name, to_base64(&payload))
    }
}

impl FromStr for NoteSignature {
    type Err = Error;

    /// Reads one line without its newline, in its only spelling.
    fn from_str(line: &str) -> Result<Self, Error> {
        let malformed = |why| Error::malformed("signature line", line, why);
        let (name, payload) = line
            .strip_prefix(SIGNATURE_PREFIX)
            .and_then(|line| line.split_once(' '))
            .ok_or_else(|| malformed("expected an em dash, a key name and base64"))?;
        let payload = from_base64(payload).ok_or_else(|| malformed("expected canonical base64"))?;
        let (id, signature) = payload
            .split_first_chunk::<4>()
            .filter(|(_, signature)| !signature.is_empty())
            .ok_or_else(|| malformed("expected a signature after the four bytes of the key id"))?;
        Ok(Self { name: name.parse()?, id: KeyId(*id), signature: signature.to_vec() })
    }
}

impl VerifierKey {
    /// A key from its 32 public bytes (RFC 8032).
    ///
    /// # Errors
    /// [`Error::Malformed`] if the bytes are not a point of the curve, or a small-order one, for
    /// which anybody can make signatures.
    pub fn new(name: KeyName, public: &[u8; 32]) -> Result<Self, Error> {
        let key = VerifyingKey::from_bytes(public).ok().filter(|key| !key.is_weak()).ok_or_else(|| {
            let why = "its 32 bytes are no usable Ed25519 public key";
            Error::malformed("verifier key", &name.0, why)
        })?;
        Ok(Self::of(name, key))
    }

    /// The key's name; for a log's key, the origin of its checkpoints.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key's id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key's 32 bytes.
    #[must_use]
    pub fn public_bytes(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    fn of(name: KeyName, key: VerifyingKey) -> Self {
        let id = KeyId::of(&name, ED25519, key.as_bytes());
        Self { name, id, key }
    }

    fn verifies(&self, body: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(body, &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ED25519], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, self.id, to_base64(&key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = Error;

    /// Reads a key in its only spelling; the id must be the one that the name and key hash to.
    fn from_str(text: &str) -> Result<Self, Error> {
        // Only the name is repeated in errors: a secret key pasted here by mistake stays unsaid.
        let (name, rest) = text.split_once('+').unwrap_or_default();
        let malformed = |why| Error::malformed("verifier key", name, why);
        let shape = || malformed("expected name+hex(key id)+base64(type and key)");
        let (_, encoded) = rest.split_once('+').ok_or_else(shape)?;
        let encoded = from_base64(encoded).ok_or_else(shape)?;
        let (kind, public) = encoded.split_first().ok_or_else(shape)?;
        if *kind != ED25519 {
            return Err(malformed("only Ed25519 keys (type 0x01) are read"));
        }
        let public = public.try_into().map_err(|_| malformed("expected a key of 32 bytes"))?;
        let key = Self::new(name.parse()?, public)?;
        if key.to_string() != text {
            return Err(malformed("its key id does not belong to its name and key"));
        }
        Ok(key)
    }
}

impl KeyName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let forbidden = |c: char| c == '+' || c.is_whitespace() || c.is_control();
        if name.is_empty() || name.len() > MAX_KEY_NAME_BYTES || name.contains(forbidden) {
            let why = "expected 1 to 255 bytes without white space, control characters and `+`";
            return Err(Error::malformed("key name", name, why));
        }
        Ok(Self(name.to_owned()))
    }
}

impl KeyId {
    /// The id's four bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }

    fn of(name: &KeyName, kind: u8, key: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(&name.0).chain_update([b'\n', kind]);
        let [a, b, c, d, ..] = <[u8; 32]>::from(digest.chain_update(key).finalize());
        Self([a, b, c, d])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl Ed25519Signer {
    /// A signer from 32 secret bytes (an RFC 8032 seed). The caller wipes its own copy.
    #[must_use]
    pub fn new(name: KeyName, secret: &[u8; 32]) -> Self {
        let secret = SigningKey::from_bytes(secret);
        Self { verifier: VerifierKey::of(name, secret.verifying_key()), secret }
    }
}

impl NoteSigner for Ed25519Signer {
    fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    fn sign(&self, body: &[u8]) -> Result<[u8; 64], SignError> {
        let signature = self.secret.try_sign(body).map_err(SignError::new)?;
        Ok(signature.to_bytes())
    }
}

impl fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519Signer").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}
