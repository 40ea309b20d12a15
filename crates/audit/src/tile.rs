//! Tiles as files: their names and bytes as C2SP `tlog-tiles` writes them, so that any client of
//! such logs reads ours from a plain web server.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::text::from_decimal;
use crate::{Error, Hash, Tiles};

/// How many hashes, or entries, a full tile holds.
pub const TILE_WIDTH: u16 = 256;

/// How many levels of the binary tree one tile spans: `2^8 = 256`.
pub(crate) const TILE_HEIGHT: u32 = 8;

/// How many levels of tiles a tree of at most 2^64 - 1 leaves has.
pub(crate) const LEVELS: u8 = 8;

/// The longest entry that an entry bundle can carry, in bytes: its length prefix has 16 bits.
pub const MAX_ENTRY_BYTES: usize = 65_535;

/// The highest tile level that a path can name (C2SP `tlog-tiles`), which is higher than
/// trees grow.
const MAX_PATH_LEVEL: u8 = 63;

/// Which hashes of the tree: `width` entries of `level` from entry `index * 256` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    level: u8,
    index: u64,
    width: u16,
}

/// The name of a tile under the log's prefix: `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TilePath {
    /// A tile of hashes.
    Hashes(TileId),
    /// An entry bundle; its id has level 0, whose leaf hashes it explains.
    Entries(TileId),
}

/// Hashes side by side, 32 bytes each: a tile's body.
#[must_use]
pub fn encode_tile(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Reads a tile's body, which must hold exactly `width` hashes.
///
/// # Errors
/// [`Error::Malformed`] for any other length.
pub fn decode_tile(bytes: &[u8], width: u16) -> Result<Vec<Hash>, Error> {
    let (hashes, rest) = bytes.as_chunks::<{ Hash::BYTES }>();
    if !rest.is_empty() || hashes.len() != usize::from(width) {
        return Err(Error::malformed_bytes("tile", bytes, "expected 32 bytes for each hash of its width"));
    }
    Ok(hashes.iter().copied().map(Hash::from_bytes).collect())
}

/// An entry bundle: each entry behind its length, 16 bits, big-endian.
///
/// # Errors
/// [`Error::EntryTooLong`] for an entry over [`MAX_ENTRY_BYTES`]; [`Error::TooLarge`] for more
/// than [`TILE_WIDTH`] entries.
pub fn encode_bundle<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, Error> {
    Error::check_limit("entry bundle", entries.len(), usize::from(TILE_WIDTH), "entries")?;
    let mut bundle = Vec::new();
    for entry in entries.iter().map(AsRef::as_ref) {
        let length = u16::try_from(entry.len()).map_err(|_| Error::EntryTooLong { bytes: entry.len() })?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// Reads an entry bundle, which must hold exactly `width` entries and nothing after them. The
/// entries are as trusted as their source: compare their leaf hashes with a checked tile.
///
/// # Errors
/// [`Error::Malformed`] for a bundle cut short, or with more or fewer entries.
pub fn decode_bundle(bundle: &[u8], width: u16) -> Result<Vec<&[u8]>, Error> {
    let cut_short = || Error::malformed_bytes("entry bundle", bundle, "it ends within an entry");
    let mut rest = bundle;
    let mut entries = Vec::new();
    while entries.len() < usize::from(width) {
        let (length, after) = rest.split_first_chunk::<2>().ok_or_else(cut_short)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or_else(cut_short)?;
        entries.push(entry);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(Error::malformed_bytes("entry bundle", bundle, "bytes follow its last entry"));
    }
    Ok(entries)
}

impl TileId {
    /// A tile's name.
    ///
    /// # Errors
    /// [`Error::TileShape`] unless `level` is 0 to 63 and `width` 1 to 256.
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, Error> {
        if level > MAX_PATH_LEVEL || width == 0 || width > TILE_WIDTH {
            return Err(Error::TileShape { level, width });
        }
        Ok(Self { level, index, width })
    }

    /// The tile's level: 0 holds leaf hashes.
    #[must_use]
    pub fn level(self) -> u8 {
        self.level
    }

    /// The tile's place within its level, from zero.
    #[must_use]
    pub fn index(self) -> u64 {
        self.index
    }

    /// How many hashes it holds: 1 to 256.
    #[must_use]
    pub fn width(self) -> u16 {
        self.width
    }
}

/// `<N>[.p/<W>]`, where `N` is in groups of three digits so that a directory holds at most 1,000
/// names and none is a file and a directory at once.
impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = match self {
            Self::Hashes(id) => {
                write!(f, "tile/{}/", id.level)?;
                id
            }
            Self::Entries(id) => {
                f.write_str("tile/entries/")?;
                id
            }
        };
        write_grouped(f, id.index / 1_000)?;
        write!(f, "{:03}", id.index % 1_000)?;
        if id.width < TILE_WIDTH { write!(f, ".p/{}", id.width) } else { Ok(()) }
    }
}

fn write_grouped(f: &mut fmt::Formatter<'_>, thousands: u64) -> fmt::Result {
    if thousands == 0 {
        return Ok(());
    }
    write_grouped(f, thousands / 1_000)?;
    write!(f, "x{:03}/", thousands % 1_000)
}

impl FromStr for TilePath {
    type Err = Error;

    /// Reads a path and refuses every spelling but the one that [`Display`](fmt::Display) writes.
    fn from_str(path: &str) -> Result<Self, Error> {
        parse_path(path)
            .filter(|parsed| parsed.to_string() == path)
            .ok_or_else(|| Error::malformed("tile path", path, "expected tile/<L>/<N>[.p/<W>]"))
    }
}

/// Lenient about zeros and groups; the caller compares with the canonical spelling.
fn parse_path(path: &str) -> Option<TilePath> {
    let (kind, tile) = path.strip_prefix("tile/")?.split_once('/')?;
    let (index, width) = match tile.split_once(".p/") {
        Some((index, width)) => (index, u16::try_from(from_decimal(width)?).ok()?),
        None => (tile, TILE_WIDTH),
    };
    let index = index.split('/').try_fold(0_u64, |index, group| {
        let group = group.strip_prefix('x').unwrap_or(group).parse::<u16>().ok()?;
        index.checked_mul(1_000)?.checked_add(u64::from(group))
    })?;
    match kind {
        "entries" => TileId::new(0, index, width).ok().map(TilePath::Entries),
        level => {
            let level = u8::try_from(from_decimal(level)?).ok()?;
            TileId::new(level, index, width).ok().map(TilePath::Hashes)
        }
    }
}

/// Tiles fetched beforehand: how a caller whose reads are asynchronous makes proofs. It fetches
/// what [`tiles_for_inclusion`](crate::tiles_for_inclusion) or
/// [`tiles_for_consistency`](crate::tiles_for_consistency) list, and passes the map.
impl Tiles for BTreeMap<TileId, Vec<Hash>> {
    type Error = Error;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Error> {
        let id = TileId::new(level, index, width)?;
        self.get(&id).cloned().ok_or(Error::TileMissing { level, index })
    }
}
