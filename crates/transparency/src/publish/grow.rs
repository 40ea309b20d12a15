//! A tree on its way from one size to the next, as files. Pure: leaves go in, file names and bytes come out.

use audit::{
    Error, Frontier, Hash, TILE_WIDTH, TileId, TilePath, Tiles, TreeReader, encode_bundle, encode_tile,
    leaf_hash,
};

/// How many levels of tiles a tree of at most 2^64 - 1 leaves has.
const LEVELS: usize = 8;

/// A file of the log: its name under the log's prefix, and its bytes.
pub type TileFile = (TilePath, Vec<u8>);

/// One entry on its way to the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Its leaf's bytes.
    Whole(Vec<u8>),
    /// Its leaf was pruned; the hash stands for it, and its bundle is not published.
    Pruned(Hash),
}

/// A tree that grows, and the files that growing completes.
#[derive(Debug, Clone)]
pub struct Growth {
    frontier: Frontier,
    /// The tile on the right edge of each level, not yet full.
    edge: [Vec<Hash>; LEVELS],
    /// The leaves of the edge's tile; `None` once one of them was found to be pruned.
    bundle: Option<Vec<Vec<u8>>>,
    /// How many entries the edge's tile at level 0 had before this growth: they come again with their leaves.
    again: usize,
}

impl Growth {
    /// The tree that a checkpoint describes, read from its published tiles. The tiles of its right edge are checked
    /// against the root.
    ///
    /// # Errors
    /// As [`TreeReader::open`].
    pub fn from_tiles<T: Tiles>(tiles: &T, size: u64, root: Hash) -> Result<Self, T::Error> {
        let frontier = TreeReader::open(tiles, size, root)?.frontier().clone();
        let mut edge: [Vec<Hash>; LEVELS] = Default::default();
        for (level, hashes) in (0_u8..).zip(&mut edge) {
            let entries = entries_at(size, level);
            // Less than a tile's width.
            let width = (entries % u64::from(TILE_WIDTH)) as u16;
            if width > 0 {
                *hashes = tiles.tile(level, entries / u64::from(TILE_WIDTH), width)?;
            }
        }
        let again = edge.first().map_or(0, Vec::len);
        Ok(Self { frontier, edge, bundle: Some(Vec::new()), again })
    }

    /// The tree's size in leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The tree's root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The index of the entry that is to come next. Entries of the edge's bundle come once more, for their leaves.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.size().saturating_sub(self.again as u64)
    }

    /// Takes the next entry; answers the files that it completes.
    ///
    /// # Errors
    /// [`Error::ProofMismatch`] for an entry that is not the one that was published; [`Error::LogFull`];
    /// [`Error::EntryTooLong`].
    pub fn push(&mut self, entry: Entry) -> Result<Vec<TileFile>, Error> {
        let hash = match &entry {
            Entry::Whole(leaf) => leaf_hash(leaf),
            Entry::Pruned(hash) => *hash,
        };
        if self.again > 0 {
            let [leaves, ..] = &self.edge;
            let published = leaves.len().checked_sub(self.again).and_then(|at| leaves.get(at));
            if published != Some(&hash) {
                return Err(Error::ProofMismatch);
            }
            self.again -= 1;
            self.remember(entry);
            return Ok(Vec::new());
        }
        let index = self.frontier.size();
        let mut files = Vec::new();
        let completed = self.frontier.append_all(&[hash])?;
        self.remember(entry);
        self.add(0, index, hash, &mut files)?;
        for tile in completed {
            self.add(tile.level, tile.position, tile.hash, &mut files)?;
        }
        Ok(files)
    }

    /// The files of the right edge: a checkpoint of this size needs them beside the full ones.
    ///
    /// # Errors
    /// [`Error::EntryTooLong`].
    pub fn edge(&self) -> Result<Vec<TileFile>, Error> {
        let mut files = Vec::new();
        for (level, hashes) in (0_u8..).zip(&self.edge) {
            let index = entries_at(self.size(), level) / u64::from(TILE_WIDTH);
            if let Some(id) = id(level, index, hashes.len())? {
                files.push((TilePath::Hashes(id), encode_tile(hashes)));
                if let (0, Some(bundle)) = (level, &self.bundle) {
                    files.push((TilePath::Entries(id), encode_bundle(bundle)?));
                }
            }
        }
        Ok(files)
    }

    fn remember(&mut self, entry: Entry) {
        match (entry, &mut self.bundle) {
            (Entry::Whole(leaf), Some(bundle)) => bundle.push(leaf),
            (Entry::Whole(_) | Entry::Pruned(_), _) => self.bundle = None,
        }
    }

    /// Another hash at a level; a tile that it fills is done.
    fn add(&mut self, level: u8, position: u64, hash: Hash, files: &mut Vec<TileFile>) -> Result<(), Error> {
        let Some(edge) = self.edge.get_mut(usize::from(level)) else {
            return Err(Error::LogFull);
        };
        edge.push(hash);
        if edge.len() < usize::from(TILE_WIDTH) {
            return Ok(());
        }
        let hashes = std::mem::take(edge);
        if let Some(id) = id(level, position / u64::from(TILE_WIDTH), hashes.len())? {
            files.push((TilePath::Hashes(id), encode_tile(&hashes)));
            if level == 0
                && let Some(bundle) = self.bundle.replace(Vec::new())
            {
                files.push((TilePath::Entries(id), encode_bundle(&bundle)?));
            }
        }
        Ok(())
    }
}

/// The names of the tiles on the right edge of a tree, which a larger one may have outgrown.
#[must_use]
pub fn edge_of(size: u64) -> Vec<TilePath> {
    let mut paths = Vec::new();
    for level in 0..LEVELS as u8 {
        let entries = entries_at(size, level);
        let width = (entries % u64::from(TILE_WIDTH)) as u16;
        if let Ok(id) = TileId::new(level, entries / u64::from(TILE_WIDTH), width) {
            paths.push(TilePath::Hashes(id));
            if level == 0 {
                paths.push(TilePath::Entries(id));
            }
        }
    }
    paths
}

/// How many hashes a tree has at a level of tiles.
pub(crate) fn entries_at(size: u64, level: u8) -> u64 {
    size.checked_shr(8 * u32::from(level)).unwrap_or(0)
}

fn id(level: u8, index: u64, width: usize) -> Result<Option<TileId>, Error> {
    match u16::try_from(width) {
        Ok(0) | Err(_) => Ok(None),
        Ok(width) => TileId::new(level, index, width).map(Some),
    }
}
