//! What is shown instead of a field: its open parts, and masks in place of the rest.

use std::fmt;

use crate::class::{Class, Finding};

/// A field as people see it. Nothing that was masked is in it, so that printing it in any way shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Masked {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) is_text: bool,
}

/// A piece of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes that stand as they are.
    Open(Vec<u8>),
    /// Something that is masked: what stands for it, and of what class it is.
    Masked {
        /// The class.
        class: Class,
        /// The mask, such as `[masked: card …4242]`.
        mask: String,
    },
}

impl Masked {
    /// The pieces, in order.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What was masked, in order, by its place in the original bytes; none overlaps another.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether anything is masked.
    #[must_use]
    pub fn is_masked(&self) -> bool {
        !self.findings.is_empty()
    }

    /// Whether the field is masked as a whole, because it could not be scanned in full.
    #[must_use]
    pub fn is_unscanned(&self) -> bool {
        self.findings.iter().any(|finding| finding.class == Class::Unscanned)
    }

    /// The bytes that are shown.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.pieces
            .iter()
            .flat_map(|piece| match piece {
                Piece::Open(bytes) => bytes.as_slice(),
                Piece::Masked { mask, .. } => mask.as_bytes(),
            })
            .copied()
            .collect()
    }

    /// The text that is shown; none where the field is no text.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        if self.is_text { String::from_utf8(self.bytes()).ok() } else { None }
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes()))
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Masked").field(&self.to_string()).finish()
    }
}
