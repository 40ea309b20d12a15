//! A log in memory that can be cut back or rewritten, and a way to witnesses without a network.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use audit::witness::TrustedLogs;
use audit::{
    Checkpoint, Ed25519Signer, Error, Frontier, Hash, NoteSigner as _, Policy, SignedCheckpoint, Tiles,
    VerifierKey, WitnessKey, WitnessSigner, consistency_proof, leaf_hash,
};

use crate::witness::*;

pub(super) const ORIGIN: &str = "log.example";

pub(super) const NOW: u64 = 1_800_000_000;

/// Fewer than 256 leaves, so that there is one tile.
#[derive(Clone, Default)]
pub(super) struct Leaves(pub(super) Vec<Hash>);

impl Tiles for Leaves {
    type Error = Error;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Error> {
        let missing = Error::TileMissing { level, index };
        if (level, index) != (0, 0) {
            return Err(missing);
        }
        Ok(self.0.get(..usize::from(width)).ok_or(missing)?.to_vec())
    }
}

impl Leaves {
    pub(super) fn of_size(size: u64) -> Self {
        Self((0..size).map(|index| leaf_hash(format!("entry {index}").as_bytes())).collect())
    }

    /// Other leaves than everybody knows, from `at` on.
    pub(super) fn forked(size: u64, at: u64) -> Self {
        let mut leaves = Self::of_size(at);
        leaves.0.extend((at..size).map(|index| leaf_hash(format!("other {index}").as_bytes())));
        leaves
    }

    pub(super) fn signed(&self) -> SignedCheckpoint {
        let mut frontier = Frontier::new();
        frontier.append_all(&self.0).unwrap();
        let tree = Checkpoint::new(ORIGIN, frontier.size(), frontier.root(), vec![]).unwrap();
        tree.sign(&[&signer()]).unwrap()
    }

    pub(super) fn proof(&self, old: u64) -> Vec<Hash> {
        consistency_proof(self, old, self.0.len() as u64).unwrap()
    }
}

pub(super) fn signer() -> Ed25519Signer {
    Ed25519Signer::new(ORIGIN.parse().unwrap(), &[1; 32])
}

pub(super) fn log_key() -> VerifierKey {
    signer().verifier().clone()
}

pub(super) fn witness_signer(seed: u8) -> WitnessSigner {
    WitnessSigner::new(format!("w{seed}.example").parse().unwrap(), &[seed + 50; 32])
}

pub(super) fn witness_key(seed: u8) -> WitnessKey {
    witness_signer(seed).key().clone()
}

/// The log that the client serves; a test changes it under the client's feet.
#[derive(Default)]
pub(super) struct TestLog {
    pub(super) leaves: Mutex<Leaves>,
    /// Heads to answer before the real one: what a reader sees who is late.
    pub(super) stale: Mutex<Vec<String>>,
    /// Whether the store behind it cannot be asked.
    pub(super) silent: AtomicBool,
}

impl TestLog {
    pub(super) fn of_size(size: u64) -> Arc<Self> {
        let log = Self::default();
        log.become_(Leaves::of_size(size));
        Arc::new(log)
    }

    pub(super) fn become_(&self, leaves: Leaves) {
        *self.leaves.lock().unwrap() = leaves;
    }
}

#[async_trait]
impl WitnessedLog for TestLog {
    async fn head(&self) -> Result<String, SourceError> {
        if let Some(stale) = self.stale.lock().unwrap().pop() {
            return Ok(stale);
        }
        Ok(self.leaves.lock().unwrap().signed().note().to_string())
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, SourceError> {
        if self.silent.load(Ordering::Relaxed) {
            return Err(SourceError("the store is away".into()));
        }
        let leaves = self.leaves.lock().unwrap().clone();
        consistency_proof(&leaves, old, new).map_err(|error| SourceError(error.to_string()))
    }
}

type Behaviour = Box<dyn Fn(&str) -> Result<Reply, TransportError> + Send + Sync>;

/// What answers at each URL, and what was asked.
#[derive(Default)]
pub(super) struct Net {
    hosts: Mutex<BTreeMap<String, Behaviour>>,
    pub(super) asked: Mutex<Vec<(String, String)>>,
}

impl Net {
    pub(super) fn host(
        &self,
        seed: u8,
        behaviour: impl Fn(&str) -> Result<Reply, TransportError> + Send + Sync + 'static,
    ) {
        let url = format!("https://w{seed}.example/add-checkpoint");
        self.hosts.lock().unwrap().insert(url, Box::new(behaviour));
    }

    /// A real witness behind the URL.
    pub(super) fn witness(&self, seed: u8, witness: &Arc<Witness>) {
        let witness = Arc::clone(witness);
        self.host(seed, move |body| {
            let answer = witness.add_checkpoint(body.as_bytes()).unwrap();
            let content_type = Some(answer.content_type().to_owned());
            Ok(Reply { status: answer.status(), content_type, body: answer.body().into_bytes() })
        });
    }

    pub(super) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[async_trait]
impl Transport for Net {
    async fn post(&self, url: &str, body: String) -> Result<Reply, TransportError> {
        self.asked.lock().unwrap().push((url.to_owned(), body.clone()));
        let hosts = self.hosts.lock().unwrap();
        hosts.get(url).ok_or_else(|| TransportError("no such host".into()))?(&body)
    }
}

pub(super) fn reply(status: u16, content_type: &str, body: &str) -> Result<Reply, TransportError> {
    Ok(Reply { status, content_type: Some(content_type.to_owned()), body: body.as_bytes().to_vec() })
}

/// A policy over witnesses 1 to `n`.
pub(super) fn policy(n: u8, threshold: u8) -> Policy {
    let witnesses: String = (1..=n)
        .map(|seed| format!("witness w{seed} {} https://w{seed}.example/\n", witness_key(seed)))
        .collect();
    let names: String = (1..=n).map(|seed| format!(" w{seed}")).collect();
    Policy::parse(format!("{witnesses}group g {threshold}{names}\nquorum g\n").as_bytes()).unwrap()
}

pub(super) fn open_witness(folder: &std::path::Path, seed: u8) -> Arc<Witness> {
    Arc::new(Witness::open(folder, witness_signer(seed), TrustedLogs::new([log_key()]), || NOW).unwrap())
}
