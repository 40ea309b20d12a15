//! Signed notes (C2SP `signed-note`): a text that people can read, with signatures that name their
//! keys. Whatever a note says is hearsay until [`Note::verify`] has found a known key under it.

use std::fmt;
use std::str::FromStr;

use crate::key::LineKey;
use crate::text::{from_base64, to_base64};
use crate::{Error, KeyId, KeyName, NoteSigner, VerifierKey};

/// The longest note that is read or signed, in bytes; Go's `sumdb/note` has the same limit.
pub const MAX_NOTE_BYTES: usize = 1_000_000;

/// The most signatures that a note can carry. C2SP asks for at least 16; Go's limit is the same.
pub const MAX_NOTE_SIGNATURES: usize = 100;

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
    /// # Errors
    /// [`Error::BadSignature`], [`Error::NoKnownSignature`], [`Error::AmbiguousKey`].
    pub fn verify<'k>(&self, known: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, Error> {
        let mut signed: Vec<&VerifierKey> = Vec::new();
        for (key, _) in self.signed_by(known)? {
            if !signed.contains(&key) {
                signed.push(key);
            }
        }
        if signed.is_empty() { Err(Error::NoKnownSignature) } else { Ok(signed) }
    }

    /// Every line whose key is known, checked; a bad one spoils the note.
    pub(crate) fn signed_by<'n, 'k, K: LineKey>(
        &'n self,
        known: &'k [K],
    ) -> Result<Vec<(&'k K, &'n NoteSignature)>, Error> {
        let mut lines = Vec::new();
        for signature in &self.signatures {
            let Some(key) = signature.key_among(known)? else {
                continue;
            };
            if !key.verifies(self.text.as_bytes(), &signature.signature) {
                let name = signature.name.to_string();
                return Err(Error::BadSignature { name, id: signature.id });
            }
            lines.push((key, signature));
        }
        Ok(lines)
    }

    /// Drops the lines that do not answer to `keep`.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&NoteSignature) -> bool) {
        self.signatures.retain(keep);
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
            return Err(Error::SignerMismatch { name: key.name().to_string() });
        }
        Ok(Self { name: key.name().clone(), id: key.id(), signature: signature.to_vec() })
    }

    pub(crate) fn new(name: KeyName, id: KeyId, signature: Vec<u8>) -> Self {
        Self { name, id, signature }
    }

    /// Whether the line claims to be by that key.
    pub(crate) fn claims<K: LineKey>(&self, key: &K) -> bool {
        *key.name() == self.name && key.id() == self.id
    }

    /// The known key with this line's name and id.
    fn key_among<'k, K: LineKey>(&self, known: &'k [K]) -> Result<Option<&'k K>, Error> {
        let mut matching = known.iter().filter(|key| self.claims(*key));
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
        let payload = [self.id.as_bytes().as_slice(), &self.signature].concat();
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
        Ok(Self { name: name.parse()?, id: KeyId::from_bytes(*id), signature: signature.to_vec() })
    }
}
