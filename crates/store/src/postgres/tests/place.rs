//! A database with a deployment in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use audit::{Ed25519Signer, NoteSigner as _, VerifierKey};
use domain::id::Origin;
use domain::time::Timestamp;
use tempfile::TempDir;

use super::super::open::{self, Terms};
use super::super::{DatabaseUrl, PostgresConfig, PostgresStore};
use super::server::Server;
use crate::clock::ManualClock;
use crate::conformance::Deployment;
use crate::seal::SealingKey;
use crate::{Store, StoreError};

pub(super) struct Place {
    pub(super) server: Arc<Server>,
    pub(super) name: String,
    pub(super) url: DatabaseUrl,
    pub(super) dir: TempDir,
    pub(super) clock: Arc<ManualClock>,
}

impl Place {
    pub(super) fn new(server: &Arc<Server>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("log_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let start = Timestamp::from_micros(1_800_000_000_000_000);
        Self {
            server: Arc::clone(server),
            url: DatabaseUrl::parse(&server.database(&name)).unwrap(),
            name,
            dir: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::new(start)),
        }
    }

    pub(super) fn anchor(&self) -> PathBuf {
        self.dir.path().join("anchor")
    }

    pub(super) fn config(&self) -> PostgresConfig {
        self.config_at(self.url.clone(), &self.anchor())
    }

    pub(super) fn config_at(&self, url: DatabaseUrl, anchor: &Path) -> PostgresConfig {
        let origin: Origin = "countersign.example.com/log".parse().unwrap();
        PostgresConfig {
            url,
            anchor_path: anchor.to_owned(),
            signer: Box::new(signer()),
            origin,
            sealing_key: SealingKey::new([5; 32]),
            clock: self.clock.clone(),
            skew_limit: None,
        }
    }

    pub(super) async fn try_open(&self) -> Result<PostgresStore, StoreError> {
        PostgresStore::open(self.config()).await
    }

    pub(super) async fn open_store(&self) -> PostgresStore {
        self.try_open().await.unwrap()
    }

    pub(super) async fn open_on(&self, terms: &Terms) -> PostgresStore {
        open::open(self.config(), terms).await.unwrap()
    }

    /// Opens the same store as another gateway does, from a copy of this one's anchor.
    pub(super) async fn open_beside(&self, name: &str, url: DatabaseUrl) -> PostgresStore {
        let anchor = self.dir.path().join(name);
        std::fs::copy(self.dir.path().join("anchor.latest"), &anchor).unwrap();
        PostgresStore::open(self.config_at(url, &anchor)).await.unwrap()
    }

    pub(super) fn signer_origin(&self) -> Origin {
        self.config().origin
    }

    /// What somebody with a hand on the database does to it.
    pub(super) fn sql(&self, statement: &str) -> String {
        self.server.sql(&self.name, &format!("SET search_path = countersign; {statement}"))
    }
}

pub(super) fn signer() -> Ed25519Signer {
    Ed25519Signer::new("countersign.example.com/log".parse().unwrap(), &[3; 32])
}

#[async_trait]
impl Deployment for Place {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.open_store().await)
    }

    async fn back_up(&self, store: &dyn Store, to: &Path) -> Result<(), StoreError> {
        let ours = store.backup(to).await;
        assert!(ours.is_err_and(|error| error.to_string().contains("pg_dump")));
        if to.exists() {
            return Err(StoreError::Failed("it stands already".to_owned()));
        }
        let mut dump = self.server.client("pg_dump");
        let dumped =
            dump.args(["--format=custom", "--dbname", &self.name, "--file"]).arg(to).output().unwrap();
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        Ok(())
    }

    async fn restore(&self, backup: &Path) -> Arc<dyn Store> {
        let name = format!("{}_restored", self.name);
        let url = DatabaseUrl::parse(&self.server.database(&name)).unwrap();
        let mut restore = self.server.client("pg_restore");
        let restored = restore.args(["--dbname", &name]).arg(backup).output().unwrap();
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
        // The anchor belongs to the log, not to the place.
        let anchor = self.dir.path().join("restored-anchor");
        std::fs::copy(self.dir.path().join("anchor.latest"), &anchor).unwrap();
        Arc::new(PostgresStore::open(self.config_at(url, &anchor)).await.unwrap())
    }

    async fn open_with(&self, key: Ed25519Signer) -> Result<Arc<dyn Store>, StoreError> {
        let config = PostgresConfig { signer: Box::new(key), ..self.config() };
        Ok(Arc::new(PostgresStore::open(config).await?))
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn log_key(&self) -> VerifierKey {
        signer().verifier().clone()
    }

    fn behind_its_back(&self, statements: &str) {
        self.sql(statements);
    }

    fn scratch(&self) -> &Path {
        self.dir.path()
    }
}
