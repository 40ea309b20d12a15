//! SSH's binary forms (RFC 4251 §5), read strictly.

use crate::refusal::Refusal;

/// Reads from the front; every read refuses what is cut short.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (head, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Refusal> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], Refusal> {
        let length = usize::try_from(self.u32()?).map_err(|_| CUT)?;
        let (head, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(head)
    }

    /// A positive integer in its shortest form, as 32 bytes.
    pub(super) fn scalar(&mut self) -> Result<[u8; 32], Refusal> {
        let bytes = self.string()?;
        let digits = match bytes {
            // A leading zero only keeps the number from reading as a negative one.
            [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => rest,
            [first, ..] if (1..0x80).contains(first) => bytes,
            _ => return Err(Refusal::SignatureMalformed),
        };
        let mut scalar = [0; 32];
        let start = scalar.len().checked_sub(digits.len()).ok_or(Refusal::SignatureMalformed)?;
        scalar.get_mut(start..).ok_or(Refusal::SignatureMalformed)?.copy_from_slice(digits);
        Ok(scalar)
    }

    /// Refuses what follows.
    pub(super) fn end(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::SshTrailing { bytes: self.0.len() }) }
    }
}

const CUT: Refusal = Refusal::SshTruncated;

/// Writes a string behind what stands; ours are all shorter than 2^32 bytes.
pub(super) fn put_string(bytes: &mut Vec<u8>, string: &[u8]) {
    let length = u32::try_from(string.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(string);
}
