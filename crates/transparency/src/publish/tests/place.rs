//! Targets for tests, and what must stand at a target.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use audit::{
    Checkpoint, Hash, TileId, TilePath, Tiles, check_every_tile, decode_bundle, decode_tile, encode_bundle,
    encode_tile, leaf_hash,
};

use super::super::{Standing, Target, TargetError};
use super::fake::{Fake, log_key};

pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Files in memory, and a fault at one step.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    pub(super) files: Arc<Mutex<Files>>,
    fault: Arc<Mutex<Option<Fault>>>,
}

/// The step that fails, and whether it was done all the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) step: usize,
    pub(super) done: bool,
}

impl Memory {
    pub(super) fn failing(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Does a step, unless it is the one that fails.
    fn step<T>(&self, work: impl FnOnce(&mut Files) -> Result<T, TargetError>) -> Result<T, TargetError> {
        let mut fault = self.fault.lock().unwrap();
        let now = match fault.as_mut() {
            Some(Fault { step: 0, done }) => Some(*done),
            Some(fault) => {
                fault.step -= 1;
                None
            }
            None => None,
        };
        let failed = || Err(TargetError::Failed("no space left on device".to_owned()));
        match now {
            // Once it has failed, nothing succeeds any more: the process is gone.
            Some(false) => failed(),
            Some(true) => {
                *fault = Some(Fault { step: 0, done: false });
                work(&mut self.files.lock().unwrap())?;
                failed()
            }
            None => work(&mut self.files.lock().unwrap()),
        }
    }
}

#[async_trait]
impl Target for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, TargetError> {
        self.step(|files| Ok(files.get(path).cloned()))
    }

    async fn put(&self, path: &str, bytes: &[u8]) -> Result<(), TargetError> {
        self.step(|files| match files.insert(path.to_owned(), bytes.to_vec()) {
            Some(standing) if standing != bytes => Err(TargetError::Conflict(path.to_owned())),
            Some(_) | None => Ok(()),
        })
    }

    async fn checkpoint(&self) -> Result<Option<Standing>, TargetError> {
        let standing = |note: &Vec<u8>| Standing { note: note.clone(), version: String::new() };
        self.step(|files| Ok(files.get("checkpoint").map(standing)))
    }

    async fn set_checkpoint(&self, note: &[u8], over: Option<&Standing>) -> Result<(), TargetError> {
        self.step(|files| {
            if files.get("checkpoint") != over.map(|over| &over.note) {
                return Err(TargetError::Moved("another note".to_owned()));
            }
            files.insert("checkpoint".to_owned(), note.to_vec());
            Ok(())
        })
    }

    async fn remove_partials(&self, tile: TilePath) -> Result<(), TargetError> {
        let prefix = super::super::target::partials_of(tile);
        self.step(|files| {
            files.retain(|path, _| !path.starts_with(&prefix));
            Ok(())
        })
    }
}

/// Every file under a folder.
pub(super) fn read_folder(root: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// The files of a tree of a size, from its hashes and leaves alone.
pub(super) fn expected(log: &Fake, size: u64, checkpoint: &str) -> Files {
    let mut files = Files::from([("checkpoint".to_owned(), checkpoint.as_bytes().to_vec())]);
    let mut entries = usize::try_from(size).unwrap();
    for (level, hashes) in (0_u8..).zip(log.levels()) {
        for (index, tile) in (0..).zip(hashes[..entries].chunks(256)) {
            let id = TileId::new(level, index, u16::try_from(tile.len()).unwrap()).unwrap();
            files.insert(TilePath::Hashes(id).to_string(), encode_tile(tile));
        }
        if level == 0 {
            for (index, leaves) in (0..).zip(log.leaves()[..entries].chunks(256)) {
                let id = TileId::new(0, index, u16::try_from(leaves.len()).unwrap()).unwrap();
                files.insert(TilePath::Entries(id).to_string(), encode_bundle(leaves).unwrap());
            }
        }
        entries /= 256;
    }
    files
}

/// These are the files of a tree of 700 leaves that was published at 300 leaves before.
pub(super) fn is_700_after_300(mut files: Files, log: &Fake) {
    // The level above still has a partial tile, and so every width of it that was published.
    assert!(files.remove("tile/1/000.p/1").is_some());
    let wanted = expected(log, 700, &log.note(700));
    assert_eq!(files.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    assert!(files == wanted);
}

/// Tiles read from files, as a client reads them.
struct Served<'f>(&'f Files);

impl Tiles for Served<'_> {
    type Error = audit::Error;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, audit::Error> {
        let id = TileId::new(level, index, width)?;
        let bytes = self.0.get(&TilePath::Hashes(id).to_string());
        decode_tile(bytes.ok_or(audit::Error::TileMissing { level, index })?, width)
    }
}

/// Whoever mirrors these files at this moment has a log that verifies, with every entry; answers its size.
pub(super) fn check(files: &Files) -> u64 {
    let Some(note) = files.get("checkpoint") else { return 0 };
    let signed = Checkpoint::open(note, &[log_key()]).unwrap();
    let (size, root) = (signed.checkpoint().size(), signed.checkpoint().root());
    check_every_tile(&Served(files), size, root).unwrap();
    let mut left = size;
    for index in 0.. {
        let width = u16::try_from(left.min(256)).unwrap();
        if width == 0 {
            break;
        }
        let id = TileId::new(0, index, width).unwrap();
        let bundle = &files[&TilePath::Entries(id).to_string()];
        let hashes: Vec<Hash> = decode_bundle(bundle, width).unwrap().into_iter().map(leaf_hash).collect();
        assert_eq!(hashes, Served(files).tile(0, index, width).unwrap());
        left -= u64::from(width);
    }
    size
}
