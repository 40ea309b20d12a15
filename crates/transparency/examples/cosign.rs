//! Takes a log of the leaves `entry 0`, `entry 1`, ... to the witnesses of a policy, and prints the checkpoint that
//! comes of it: `cosign POLICY ORIGIN SIZE [FORK]`, where leaves from FORK on are others. `cosign key ORIGIN` prints the
//! log's key. `tests/log` runs it against witnesses that we did not write.
#![allow(clippy::print_stdout, reason = "a tool of the tests")]

use std::error::Error as StdError;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use audit::{
    Checkpoint, Ed25519Signer, Error, Frontier, Hash, NoteSigner as _, Policy, Tiles, consistency_proof,
    leaf_hash,
};
use transparency::witness::{Client, HttpTransport, SourceError, WitnessedLog};

/// The log's key. Nothing depends on its secrecy.
const SEED: [u8; 32] = [23; 32];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match cosign().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn cosign() -> Result<(), Box<dyn StdError>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (policy, origin, size, fork) =
        match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["key", origin] => {
                println!("{}", Ed25519Signer::new(origin.parse()?, &SEED).verifier());
                return Ok(());
            }
            [policy, origin, size] => (*policy, *origin, size.parse()?, u64::MAX),
            [policy, origin, size, fork] => (*policy, *origin, size.parse()?, fork.parse()?),
            _ => return Err("expected `key ORIGIN` or `POLICY ORIGIN SIZE [FORK]`".into()),
        };
    let policy = Policy::parse(&std::fs::read(policy)?)?;
    let signer = Ed25519Signer::new(origin.parse()?, &SEED);
    let key = signer.verifier().clone();
    let leaves = (0..size).map(|index| leaf(index, fork)).collect();
    let log = Arc::new(SmallLog { signer, leaves });
    let (mut client, view) = Client::new(policy, vec![key], log, Arc::new(HttpTransport::new()?))?;
    client.start().await?;
    let cosigned = view.latest().ok_or_else(|| format!("the quorum was not met: {:?}", view.standings()))?;
    print!("{}", cosigned.checkpoint().note());
    Ok(())
}

fn leaf(index: u64, fork: u64) -> Hash {
    let what = if index < fork { "entry" } else { "other" };
    leaf_hash(format!("{what} {index}").as_bytes())
}

/// A log of at most 256 leaves, which are one tile.
struct SmallLog {
    signer: Ed25519Signer,
    leaves: Vec<Hash>,
}

impl Tiles for SmallLog {
    type Error = Error;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Error> {
        let tile = self.leaves.get(..usize::from(width)).filter(|_| (level, index) == (0, 0));
        tile.map(<[Hash]>::to_vec).ok_or(Error::TileMissing { level, index })
    }
}

#[async_trait]
impl WitnessedLog for SmallLog {
    async fn head(&self) -> Result<String, SourceError> {
        let mut frontier = Frontier::new();
        let signed = frontier
            .append_all(&self.leaves)
            .and_then(|_| {
                Checkpoint::new(
                    self.signer.verifier().name().as_str(),
                    frontier.size(),
                    frontier.root(),
                    vec![],
                )
            })
            .and_then(|checkpoint| checkpoint.sign(&[&self.signer]));
        signed.map(|signed| signed.note().to_string()).map_err(|error| SourceError(error.to_string()))
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, SourceError> {
        consistency_proof(self, old, new).map_err(|error| SourceError(error.to_string()))
    }
}
