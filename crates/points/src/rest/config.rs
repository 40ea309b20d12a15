//! What the API is told at start, and its limits, each with its unit.

use std::sync::Arc;
use std::time::Duration;

use domain::id::TargetName;
use domain::time::Span;
use gateway::Gateway;
use gateway::ports::{Bundles, Trail};
use gateway::store::limits as store_limits;

use crate::peer::TrustedProxies;

/// Reads a route's document as the point that owns it does: the document as it is to be stored, or what is
/// wrong with it, in words.
pub type RouteReader = dyn Fn(&TargetName, &str) -> Result<String, String> + Send + Sync;

/// What the API is made of.
pub struct Parts {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Reads and normalises a route's document.
    pub check_route: Arc<RouteReader>,
    /// Tells the trail.
    pub trail: Arc<dyn Trail>,
    /// Makes bundles.
    pub bundles: Arc<dyn Bundles>,
    /// The trail's index, which somebody else keeps following.
    pub search: Arc<search::Index>,
    /// Where an administrator's copies of the store go; none are made where it is not given.
    pub backup_folder: Option<std::path::PathBuf>,
    /// The proxies that are believed when they say for whom they speak.
    pub trusted_proxies: TrustedProxies,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

/// The largest body that is read, in bytes: a held payload of 3 MiB in base64, and room.
pub const BODY_LIMIT_BYTES: usize = domain::canonical::RECORD_LIMIT_BYTES;
/// The largest report of activity, in bytes, out of its compression.
pub const REPORT_LIMIT_BYTES: usize = 4 << 20;
/// How long `POST /v1/actions` waits for people when the caller states no preference.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(30);
/// The longest that a caller waits in one request; proxies commonly cut at 60 seconds.
pub const WAIT_LIMIT: Duration = Duration::from_secs(55);
/// When a caller whose patience ended should come back, in seconds.
pub const PENDING_RETRY_SECONDS: u64 = 5;
/// When a caller should come back that met a busy gateway, in seconds.
pub const BUSY_RETRY_SECONDS: u64 = 1;
/// When a caller should come back that met another bundle in the making, in seconds.
pub const BUNDLE_RETRY_SECONDS: u64 = 10;
/// When a caller should come back that met a store which cannot be written, in seconds.
pub const UNAVAILABLE_RETRY_SECONDS: u64 = 30;
/// The silence on an event stream after which a comment keeps it open.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often an open event stream asks whether its reader is still let in.
pub const RECHECK: Duration = Duration::from_secs(60);
/// The longest that one event stream lives; its reader reconnects.
pub const STREAM_LIMIT: Duration = Duration::from_secs(3_600);
/// How many event streams stand open at once; more are told to come back.
pub const STREAMS_AT_ONCE: usize = 1_024;
/// The most rows on a page of a listing.
pub const PAGE_LIMIT: usize = store_limits::PAGE_LIMIT;
/// The rows on a page when the caller states no limit.
pub const PAGE_DEFAULT: usize = 50;
/// The most rows that one listing looks at to fill its page with what the caller may see.
pub const SCAN_LIMIT: usize = 2_000;
/// The longest `Idempotency-Key`, in characters.
pub const IDEMPOTENCY_KEY_LIMIT: usize = 128;
/// How long the answer to a proposal is kept for an identical request with the same `Idempotency-Key`.
pub const IDEMPOTENCY_LIFETIME: Span = Span::from_seconds(24 * 3_600);
/// How long a proposal with an `Idempotency-Key` may be under way before another may try.
pub const IDEMPOTENCY_PROGRESS: Span = Span::from_seconds(10);
/// The most parameters of an action.
pub const PARAMETERS_LIMIT: usize = 256;
/// The most labels of an action's resource.
pub const LABELS_LIMIT: usize = 32;
/// The longest value shown on one side of a difference, in bytes.
pub const DIFFERENCE_LIMIT_BYTES: usize = 4_096;
/// How many tries one peer has at once where no credential is asked for. A whole office may be one peer.
pub const PEER_TRIES_AT_ONCE: u32 = 60;
/// After how long one peer has one try more.
pub const PEER_TRY_EVERY: Duration = Duration::from_secs(1);
/// How many tries all peers together have at once, at each door.
pub const ALL_TRIES_AT_ONCE: u32 = 2_000;
/// After how long all peers together have one try more: 200 a second, each one small write at most.
pub const ALL_TRY_EVERY: Duration = Duration::from_millis(5);
/// The most peers that are remembered at each door, at 40 bytes each. All together are let in so seldom that it never
/// fills: whoever tried once is forgotten after [`PEER_TRY_EVERY`].
pub const PEERS_REMEMBERED: usize = 4_096;
