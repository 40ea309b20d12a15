//! Reading one CBOR item strictly (RFC 8949): definite lengths, shortest forms, no key twice at any
//! depth, and no tags (CTAP 2.2 §8). WebAuthn Level 3 §2.4 asks decoders to reject the rest. No
//! floating-point numbers either: nobody sends them, and two readers need not agree on their shortest
//! form. The order of keys is not judged
//! here: attestation statements from the field, and from the specification's own test vectors, do not
//! keep it. Where order matters, in the public key, `public_key` compares the whole encoding.

use std::collections::BTreeSet;

use ciborium::Value;

use crate::limits::MAX_CBOR_DEPTH;

/// One item at the start of some bytes.
pub(crate) struct Item<'a> {
    pub(crate) value: Value,
    /// The item's own bytes.
    pub(crate) bytes: &'a [u8],
    /// What follows the item.
    pub(crate) rest: &'a [u8],
}

/// The first item of `bytes`; `None` if it is not well-formed or not strict. The caller bounds the
/// length of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> Option<Item<'_>> {
    let mut rest = bytes;
    let value: Value = ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_CBOR_DEPTH).ok()?;
    let length = bytes.len().checked_sub(rest.len())?;
    let (bytes, rest) = bytes.split_at_checked(length)?;
    let strict = encode(&value)? == bytes && is_plain(&value);
    strict.then_some(Item { value, bytes, rest })
}

fn encode(value: &Value) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).ok()?;
    Some(bytes)
}

/// Whether no key stands twice, and no tag and no float anywhere. Recursion is as deep as the value, which `read`
/// bounds by [`MAX_CBOR_DEPTH`].
fn is_plain(value: &Value) -> bool {
    if let Some(entries) = value.as_map() {
        let mut seen = BTreeSet::new();
        return entries.iter().all(|(key, value)| {
            encode(key).is_some_and(|key| seen.insert(key)) && is_plain(key) && is_plain(value)
        });
    }
    if let Some(items) = value.as_array() {
        return items.iter().all(is_plain);
    }
    !value.is_tag() && !value.is_float()
}
