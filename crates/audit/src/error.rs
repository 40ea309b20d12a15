//! What can go wrong with a log, said for whoever holds the log, the proof or the key.

use std::fmt;

use crate::KeyId;

/// Why a log's bytes, tiles, proofs or signatures were refused. Nothing is accepted beside an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A proof does not connect its ends. The entry is not in that log, or somebody changed bytes.
    #[error("the proof does not lead to the root hash; do not trust what it came with")]
    ProofMismatch,
    /// A proof has more or fewer hashes than its sizes call for.
    #[error("the proof has {found} hashes, which does not fit its tree sizes")]
    ProofLength {
        /// How many hashes were given.
        found: usize,
    },
    /// The entry is not yet in a tree of that size.
    #[error("index {index} is not in a tree of size {size}; ask again when a later checkpoint is signed")]
    IndexOutOfRange {
        /// The entry's index, from zero.
        index: u64,
        /// The tree's size in leaves.
        size: u64,
    },
    /// A consistency proof runs from the smaller tree to the larger one.
    #[error("a tree of size {new} cannot extend one of size {old}; the log may have been rolled back")]
    SizeWentBack {
        /// The earlier tree's size in leaves.
        old: u64,
        /// The later tree's size in leaves.
        new: u64,
    },
    /// The checkpoint carries no signature by a key that the reader trusts.
    #[error("no known key signed the note; add the log's verifier key to your trusted keys")]
    NoKnownSignature,
    /// A trusted key's name stands on a signature that the key did not make.
    #[error("the signature of the known key `{name}+{id}` does not verify; reject the whole note")]
    BadSignature {
        /// The key's name.
        name: String,
        /// The key's id.
        id: KeyId,
    },
    /// Two different trusted keys have the same name and id.
    #[error("two different known keys are named `{name}+{id}`; keep the one that you trust")]
    AmbiguousKey {
        /// The keys' name.
        name: String,
        /// The keys' id.
        id: KeyId,
    },
    /// The checkpoint is validly signed, but by the key of another log.
    #[error("no key named `{origin}` signed the checkpoint; it belongs to another log")]
    OriginMismatch {
        /// The checkpoint's origin line.
        origin: String,
    },
    /// A checkpoint of size zero names another root than `SHA256("")` (RFC 6962 §2.1).
    #[error("the checkpoint of `{origin}` has size 0 and a root that is not the empty tree's")]
    EmptyTreeRoot {
        /// The checkpoint's origin line.
        origin: String,
    },
    /// The policy names no key for the log.
    #[error("the trust policy has no log named `{origin}`; add its `log` line if you trust it")]
    UntrustedLog {
        /// The log's origin.
        origin: String,
    },
    /// Fewer witnesses cosigned the checkpoint than the policy asks for.
    #[error(
        "{cosigned} of the policy's {known} witnesses cosigned, which does not meet its quorum `{quorum}`"
    )]
    QuorumMissed {
        /// How many of the policy's witnesses cosigned.
        cosigned: usize,
        /// How many witnesses the policy names.
        known: usize,
        /// The witness or group that the policy's quorum line names.
        quorum: String,
    },
    /// A tile's hashes are not those that the tree above it was built from.
    #[error(
        "tile {level}/{index} does not hash to the entry above it; restore it from the tiles or leaves below"
    )]
    TileCorrupted {
        /// The tile's level.
        level: u8,
        /// The tile's index within the level.
        index: u64,
    },
    /// The tiles on the tree's right edge do not hash to the root that was signed.
    #[error("the tiles do not hash to the known root of size {size}; stop the log and compare with a backup")]
    RootMismatch {
        /// The tree's size in leaves.
        size: u64,
    },
    /// A tile came back wider or narrower than asked for.
    #[error("tile {level}/{index} has {found} hashes where {expected} were asked for")]
    TileWidth {
        /// The tile's level.
        level: u8,
        /// The tile's index within the level.
        index: u64,
        /// The width asked for, in hashes.
        expected: u16,
        /// The width that came, in hashes.
        found: usize,
    },
    /// A tile that the computation needs was not supplied.
    #[error("tile {level}/{index} is missing")]
    TileMissing {
        /// The tile's level.
        level: u8,
        /// The tile's index within the level.
        index: u64,
    },
    /// A tile's level or width is outside what `tlog-tiles` allows.
    #[error("a tile of level {level} and width {width} does not exist; levels are 0 to 63, widths 1 to 256")]
    TileShape {
        /// The level asked for.
        level: u8,
        /// The width asked for, in hashes.
        width: u16,
    },
    /// Stored right-edge hashes do not fit the stored size.
    #[error("a frontier of size {size} does not have {found} hashes; rebuild it from the tiles of that size")]
    FrontierShape {
        /// The stored size in leaves.
        size: u64,
        /// How many hashes were stored.
        found: usize,
    },
    /// The log has 2^64 - 1 leaves.
    #[error("the log is full; start a new one")]
    LogFull,
    /// An entry does not fit a bundle's 16-bit length.
    #[error("the entry has {bytes} bytes, and the limit is 65535; keep its payload outside the leaf")]
    EntryTooLong {
        /// The entry's length in bytes.
        bytes: usize,
    },
    /// A custodian refused or failed to sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A custodian returned a signature that its own verifier key rejects.
    #[error(
        "the signer of `{name}` returned a signature that its verifier key rejects; check which key it holds"
    )]
    SignerMismatch {
        /// The key's name.
        name: String,
    },
    /// Text or bytes that are not in the format they claim.
    #[error("`{value}` is not a valid {what}: {why}")]
    Malformed {
        /// The format's name in our vocabulary.
        what: &'static str,
        /// What was given: its first line, cut to a readable length, or how many bytes it has.
        value: String,
        /// What is expected.
        why: &'static str,
    },
    /// More than a named limit allows.
    #[error("the {what} has {actual} {unit}, and the limit is {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        actual: usize,
        /// The limit.
        limit: usize,
        /// The unit of both.
        unit: &'static str,
    },
}

impl Error {
    pub(crate) fn malformed(what: &'static str, value: &str, why: &'static str) -> Self {
        Self::Malformed { what, value: crate::text::quoted(value), why }
    }

    /// Bytes that are not for printing: their length is shown instead.
    pub(crate) fn malformed_bytes(what: &'static str, bytes: &[u8], why: &'static str) -> Self {
        Self::malformed(what, &format!("{} bytes", bytes.len()), why)
    }

    pub(crate) fn check_limit(
        what: &'static str,
        actual: usize,
        limit: usize,
        unit: &'static str,
    ) -> Result<(), Self> {
        if actual > limit {
            return Err(Self::TooLarge { what, actual, limit, unit });
        }
        Ok(())
    }
}

/// Why a custodian did not sign: what a [`NoteSigner`](crate::NoteSigner) says in its own words. It
/// must name no secret; it ends up in logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signing key could not be used: {reason}")]
pub struct SignError {
    reason: String,
}

impl SignError {
    /// A refusal with its reason, lowercase and without a full stop.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string() }
    }
}
