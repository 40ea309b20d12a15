//! The log as static resources, straight from the ledger: what a published folder holds, without the folder.

use std::sync::Arc;
use std::time::Duration;

use audit::{TilePath, encode_bundle, encode_tile};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};
use store::{Ledger, StoreError};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::{Notes, read_leaves};

/// What a file of hashes or entries is (C2SP `tlog-tiles`).
pub(crate) const OCTETS: &str = "application/octet-stream";
/// What a checkpoint is (C2SP `tlog-tiles`).
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// A full tile never changes, and stays.
const FULL_CACHE: &str = "public, max-age=31536000, immutable";
/// A partial tile never changes either, but goes once the full one stands.
const PARTIAL_CACHE: &str = "public, max-age=3600, immutable";
/// The most files that are read from the store at once. Anybody may ask for them; those whose actions wait for the
/// store's few readers must not stand behind a crowd of strangers.
const READS_AT_ONCE: usize = 2;
/// How long a request waits for its turn to read.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// How long a checkpoint may be cached, in seconds.
const CHECKPOINT_SECONDS: u32 = 2;

/// Routes for `checkpoint` and `tile/…`, to be nested under the log's prefix.
///
/// A published checkpoint is the one that `notes` has: the head's own, or the last that witnesses cosigned. Leaves hold
/// commitments and no values; yet whoever may read them sees of every entry its kind, subject and time. So whether
/// this is open to everybody is the operator's decision, and nothing here asks who it is that reads.
pub fn router<S>(ledger: Arc<dyn Ledger>, notes: Notes) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Router::new().route("/checkpoint", get(checkpoint)).route("/tile/{*path}", get(tile)).with_state(Served {
        ledger,
        notes,
        turns: Arc::new(Semaphore::new(READS_AT_ONCE)),
    })
}

#[derive(Clone)]
struct Served {
    ledger: Arc<dyn Ledger>,
    notes: Notes,
    turns: Arc<Semaphore>,
}

impl Served {
    /// A turn to read from the store; `None` where too many others wait.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        timeout(TURN_PATIENCE, self.turns.acquire()).await.ok()?.ok()
    }
}

/// How long a tile may be cached, by its name.
pub(crate) fn tile_cache(path: &str) -> &'static str {
    if path.contains(".p/") { PARTIAL_CACHE } else { FULL_CACHE }
}

pub(crate) fn checkpoint_cache() -> String {
    format!("public, max-age={CHECKPOINT_SECONDS}")
}

async fn checkpoint(State(served): State<Served>, headers: HeaderMap) -> Response {
    let note = match served.notes.newest(served.ledger.as_ref()).await {
        Ok(Some(note)) => note,
        Ok(None) => return not_there(),
        Err(error) => return failed(&error),
    };
    let tag = format!("\"{}\"", hex(&Sha256::digest(note.as_bytes())));
    let fixed = [(CONTENT_TYPE, TEXT.to_owned()), (CACHE_CONTROL, checkpoint_cache()), (ETAG, tag.clone())];
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    if known.flat_map(|tags| tags.split(',')).any(|known| known.trim() == tag) {
        return (StatusCode::NOT_MODIFIED, fixed).into_response();
    }
    (fixed, note).into_response()
}

async fn tile(State(served): State<Served>, Path(path): Path<String>) -> Response {
    // Only the one spelling of a path is a file.
    let Ok(path) = format!("tile/{path}").parse::<TilePath>() else {
        return not_there();
    };
    let Some(_turn) = served.turn().await else { return busy() };
    match file(served.ledger.as_ref(), path).await {
        Ok(Some(bytes)) => {
            let cache = tile_cache(&path.to_string());
            ([(CONTENT_TYPE, OCTETS), (CACHE_CONTROL, cache)], bytes).into_response()
        }
        Ok(None) => (StatusCode::GONE, [(CONTENT_TYPE, TEXT)], "these entries were pruned\n").into_response(),
        Err(StoreError::NotFound(_)) => not_there(),
        Err(error) => failed(&error),
    }
}

/// A file's bytes; `None` for a bundle of which something was pruned.
///
/// # Errors
/// [`StoreError::NotFound`] where the log has no such file (yet); store failures.
async fn file(ledger: &dyn Ledger, path: TilePath) -> Result<Option<Vec<u8>>, StoreError> {
    match path {
        TilePath::Hashes(id) => {
            let hashes = ledger.tile(id.level(), id.index(), id.width()).await?;
            let hashes: Vec<_> = hashes.into_iter().map(audit::Hash::from_bytes).collect();
            Ok(Some(encode_tile(&hashes)))
        }
        TilePath::Entries(id) => {
            let missing = || StoreError::NotFound("tile");
            let from = id.index().checked_mul(u64::from(audit::TILE_WIDTH)).ok_or_else(missing)?;
            let to = from.checked_add(u64::from(id.width())).ok_or_else(missing)?;
            if to > ledger.head().await?.size {
                return Err(missing());
            }
            let leaves = read_leaves(ledger, from, to).await?;
            if leaves.iter().any(Vec::is_empty) {
                return Ok(None);
            }
            Ok(Some(encode_bundle(&leaves)?))
        }
    }
}

fn not_there() -> Response {
    (StatusCode::NOT_FOUND, [(CONTENT_TYPE, TEXT)], "the log has no such file\n").into_response()
}

fn busy() -> Response {
    let wait = [(CONTENT_TYPE, TEXT), (RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, wait, "too many read the log now; ask again\n").into_response()
}

fn failed(error: &StoreError) -> Response {
    tracing::error!(%error, "a file of the log could not be served");
    (StatusCode::SERVICE_UNAVAILABLE, [(CONTENT_TYPE, TEXT)], "the log cannot be read now\n").into_response()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
