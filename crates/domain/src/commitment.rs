//! Salted commitments, one for each field, and a root over them.
//!
//! The log carries the root. A field can be shown with its salt and nothing else of its neighbours
//! is learnt; when value and salt are erased, the commitment stays and says nothing.
//!
//! `commitment = SHA256("countersign/field/v1" ‖ u32be(len(path)) ‖ path ‖ salt[32] ‖ value)`,
//! `root = SHA256("countersign/fields/v1" ‖ u32be(n) ‖ commitment_1 ‖ … ‖ commitment_n)`, the fields in the
//! byte order of their paths.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Malformed;
use crate::digest::{Blob, Digest};

/// The most fields that one record may commit to.
pub const FIELDS_LIMIT: usize = 1_024;

/// The longest path of a field, in bytes.
pub const PATH_LIMIT_BYTES: usize = 1_024;

/// Thirty-two random bytes that hide a field's value until it is shown.
pub type Salt = [u8; 32];

/// A field in the open: its path, its salt, its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// What the field is, such as `http.body`.
    pub path: String,
    /// The salt, 32 bytes.
    pub salt: Blob,
    /// The value's exact bytes.
    pub value: Blob,
}

impl Field {
    /// A field with the salt that the edge drew.
    #[must_use]
    pub fn new(path: impl Into<String>, salt: Salt, value: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), salt: Blob(salt.to_vec()), value: Blob(value.into()) }
    }

    /// What the log knows of this field.
    ///
    /// # Errors
    /// A salt that is not 32 bytes, or a path over [`PATH_LIMIT_BYTES`].
    pub fn commitment(&self) -> Result<Digest, Malformed> {
        if self.salt.0.len() != 32 {
            return Err(Malformed::value("salt", &self.path, "32 bytes are expected"));
        }
        let length = u32::try_from(self.path.len()).unwrap_or(u32::MAX);
        if self.path.len() > PATH_LIMIT_BYTES {
            return Err(Malformed::TooLarge {
                what: "a field's path",
                actual: self.path.len(),
                limit: PATH_LIMIT_BYTES,
                unit: "bytes",
            });
        }
        let mut hash = Sha256::new_with_prefix(b"countersign/field/v1");
        hash.update(length.to_be_bytes());
        hash.update(self.path.as_bytes());
        hash.update(&self.salt.0);
        hash.update(&self.value.0);
        Ok(Digest::from_bytes(hash.finalize().into()))
    }
}

/// Fields in the order of their paths, each path once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields(Vec<Field>);

impl Fields {
    /// Sorts the fields by path.
    ///
    /// # Errors
    /// A path that stands twice, or more than [`FIELDS_LIMIT`] fields.
    pub fn new(mut fields: Vec<Field>) -> Result<Self, Malformed> {
        if fields.len() > FIELDS_LIMIT {
            return Err(Malformed::TooLarge {
                what: "the record",
                actual: fields.len(),
                limit: FIELDS_LIMIT,
                unit: "fields",
            });
        }
        fields.sort_by(|a, b| a.path.cmp(&b.path));
        if let Some(twice) = fields.array_windows().find(|[a, b]| a.path == b.path) {
            return Err(Malformed::value("field path", &twice[0].path, "each path stands once"));
        }
        Ok(Self(fields))
    }

    /// The root over the fields' commitments.
    ///
    /// # Errors
    /// As [`Field::commitment`].
    pub fn root(&self) -> Result<Digest, Malformed> {
        Ok(root(&self.commitments()?))
    }

    /// The commitment to each field, in their order.
    ///
    /// # Errors
    /// As [`Field::commitment`].
    pub fn commitments(&self) -> Result<Vec<Digest>, Malformed> {
        self.0.iter().map(Field::commitment).collect()
    }

    /// The fields, sorted by path.
    #[must_use]
    pub fn as_slice(&self) -> &[Field] {
        &self.0
    }

    /// The value of the field with this path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        let at = self.0.binary_search_by(|field| field.path.as_str().cmp(path)).ok()?;
        self.0.get(at).map(|field| field.value.0.as_slice())
    }

    /// The fields as a list.
    #[must_use]
    pub fn into_vec(self) -> Vec<Field> {
        self.0
    }
}

/// The root over commitments that stand in the order of their fields' paths.
#[must_use]
pub fn root(commitments: &[Digest]) -> Digest {
    let mut hash = Sha256::new_with_prefix(b"countersign/fields/v1");
    hash.update(u32::try_from(commitments.len()).unwrap_or(u32::MAX).to_be_bytes());
    for commitment in commitments {
        hash.update(commitment.as_bytes());
    }
    Digest::from_bytes(hash.finalize().into())
}

/// A record's fields as somebody else sees them: each in the open, or only its commitment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disclosure {
    /// The field with salt and value.
    Open(#[serde(deserialize_with = "crate::canonical::object")] Field),
    /// A field that was withheld or erased.
    Withheld(Digest),
}

/// The root over disclosed and withheld fields, in their order.
///
/// # Errors
/// As [`Field::commitment`], more than [`FIELDS_LIMIT`] of them, or open fields out of order (a path
/// that stands twice would let one record show two values).
pub fn disclosed_root(fields: &[Disclosure]) -> Result<Digest, Malformed> {
    if fields.len() > FIELDS_LIMIT {
        return Err(Malformed::TooLarge {
            what: "the record",
            actual: fields.len(),
            limit: FIELDS_LIMIT,
            unit: "fields",
        });
    }
    let mut last: Option<&str> = None;
    let mut commitments = Vec::with_capacity(fields.len());
    for field in fields {
        match field {
            Disclosure::Open(open) => {
                if last.is_some_and(|last| last >= open.path.as_str()) {
                    return Err(Malformed::value("field order", &open.path, "paths rise, each once"));
                }
                last = Some(&open.path);
                commitments.push(open.commitment()?);
            }
            Disclosure::Withheld(commitment) => commitments.push(*commitment),
        }
    }
    Ok(root(&commitments))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields() -> impl Strategy<Value = Fields> {
        proptest::collection::btree_map("[a-z.]{1,12}", (any::<[u8; 32]>(), any::<Vec<u8>>()), 1..8).prop_map(
            |map| {
                Fields::new(
                    map.into_iter().map(|(path, (salt, value))| Field::new(path, salt, value)).collect(),
                )
                .unwrap()
            },
        )
    }

    proptest! {
        #[test]
        fn any_choice_of_withheld_fields_keeps_the_root(fields in fields(), mask in any::<u8>()) {
            let shown: Vec<_> = fields.as_slice().iter().enumerate().map(|(i, field)| {
                if mask >> i & 1 == 1 { Disclosure::Open(field.clone()) }
                else { Disclosure::Withheld(field.commitment().unwrap()) }
            }).collect();
            prop_assert_eq!(disclosed_root(&shown).unwrap(), fields.root().unwrap());
        }

        #[test]
        fn a_changed_value_salt_or_path_changes_the_root(fields in fields(), which in any::<prop::sample::Index>(), part in 0..3) {
            let mut changed = fields.as_slice().to_vec();
            let field = which.get(&changed).clone();
            let at = changed.iter().position(|f| *f == field).unwrap();
            match part {
                0 => changed[at].value.0.push(0),
                1 => changed[at].salt.0[0] ^= 1,
                _ => changed[at].path.push('!'),
            }
            prop_assert_ne!(Fields::new(changed).unwrap().root().unwrap(), fields.root().unwrap());
        }
    }

    #[test]
    fn path_and_value_cannot_flow_into_each_other() {
        let a = Field::new("ab", [0; 32], *b"c").commitment().unwrap();
        let b = Field::new("a", [0; 32], *b"bc").commitment().unwrap();
        assert_ne!(a, b);
        assert!(Fields::new(vec![Field::new("a", [0; 32], *b"1"), Field::new("a", [1; 32], *b"2")]).is_err());
    }
}
