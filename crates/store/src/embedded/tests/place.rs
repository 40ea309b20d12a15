//! A directory with a deployment in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use audit::{Ed25519Signer, NoteSigner as _, VerifierKey};
use domain::id::Origin;
use domain::time::Timestamp;
use rusqlite::Connection;
use tempfile::TempDir;

use super::super::open::{self, Terms};
use super::super::{EmbeddedConfig, EmbeddedStore, restore};
use crate::clock::ManualClock;
use crate::conformance::Deployment;
use crate::seal::SealingKey;
use crate::{Store, StoreError};

pub(super) struct Place {
    pub(super) dir: TempDir,
    pub(super) clock: Arc<ManualClock>,
}

impl Place {
    pub(super) fn new() -> Self {
        let start = Timestamp::from_micros(1_800_000_000_000_000);
        Self { dir: tempfile::tempdir().unwrap(), clock: Arc::new(ManualClock::new(start)) }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("log.db")
    }

    pub(super) fn anchor(&self) -> PathBuf {
        self.dir.path().join("anchor")
    }

    pub(super) fn config(&self) -> EmbeddedConfig {
        self.config_at(&self.path(), &self.anchor())
    }

    pub(super) fn config_at(&self, path: &Path, anchor: &Path) -> EmbeddedConfig {
        let origin: Origin = "countersign.example.com/log".parse().unwrap();
        EmbeddedConfig {
            path: path.to_owned(),
            anchor_path: anchor.to_owned(),
            signer: Box::new(signer()),
            origin,
            sealing_key: SealingKey::new([5; 32]),
            clock: self.clock.clone(),
        }
    }

    pub(super) fn try_open(&self) -> Result<EmbeddedStore, StoreError> {
        EmbeddedStore::open(self.config())
    }

    pub(super) fn open_store(&self) -> EmbeddedStore {
        self.try_open().unwrap()
    }

    pub(super) fn open_on(&self, terms: &Terms) -> EmbeddedStore {
        open::open(self.config(), terms).unwrap()
    }

    /// Another way into the database.
    pub(super) fn connection(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// What somebody with a hand on the files does to the database.
    pub(super) fn tamper(&self, statements: &str) {
        let connection = self.connection();
        connection.execute_batch(statements).unwrap();
        assert!(connection.total_changes() > 0, "nothing was altered by {statements}");
    }
}

pub(super) fn signer() -> Ed25519Signer {
    Ed25519Signer::new("countersign.example.com/log".parse().unwrap(), &[3; 32])
}

#[async_trait]
impl Deployment for Place {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.open_store())
    }

    async fn restore(&self, backup: &Path) -> Arc<dyn Store> {
        let elsewhere = self.dir.path().join("restored");
        let (path, anchor) = (elsewhere.join("log.db"), elsewhere.join("anchor"));
        // The anchor belongs to the log, not to the place.
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::copy(self.dir.path().join("anchor.latest"), &anchor).unwrap();
        let restored = restore(backup, self.config_at(&path, &anchor), None).unwrap();
        assert_eq!(restored.loss, None);
        Arc::new(EmbeddedStore::open(self.config_at(&path, &anchor)).unwrap())
    }

    async fn open_with(&self, key: Ed25519Signer) -> Result<Arc<dyn Store>, StoreError> {
        let config = EmbeddedConfig { signer: Box::new(key), ..self.config() };
        Ok(Arc::new(EmbeddedStore::open(config)?))
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn log_key(&self) -> VerifierKey {
        signer().verifier().clone()
    }

    fn behind_its_back(&self, statements: &str) {
        self.tamper(statements);
    }

    fn scratch(&self) -> &Path {
        self.dir.path()
    }
}
