//! The gateway's limits, in one place, each with its unit.

use std::time::Duration;

use domain::time::Span;

/// How often a redemption that met a change in the meantime is tried again.
pub const REDEEM_TRIES: usize = 8;
/// How often opening a request that met a change of the directory is tried again.
pub const OPEN_TRIES: usize = 8;
/// How many actions run at once on behalf of callers that wait or have gone.
pub const RUNS_AT_ONCE: usize = 256;
/// How many decisions are remembered; beyond that the memory starts anew.
pub const REMEMBERED_DECISIONS: usize = 65_536;
/// The largest payload that a page shows whole, in bytes; a larger one is opened by its own link first.
pub const SHOWN_PAYLOAD_BYTES: usize = 64 << 10;
/// The largest payload in which a listing looks for what is masked, in bytes.
pub const LISTED_SCAN_BYTES: usize = 64 << 10;
/// The largest payload that can be held for review, in bytes, all fields together.
pub const HELD_PAYLOAD_BYTES: usize = 4 << 20;
/// How long a result waits for its caller.
pub const RESULT_LIFETIME: Span = Span::from_seconds(3_600);
/// The largest result that waits for its caller, in bytes.
pub const RESULT_LIMIT_BYTES: usize = store::limits::VAULT_VALUE_LIMIT_BYTES;
/// How long an identical call finds an approval that has ended.
pub const RETRY_WINDOW: Span = Span::from_seconds(600);
/// How often the sweep looks for what has lapsed.
pub const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How many lapsed approvals one sweep ends.
pub const SWEEP_BATCH: usize = 256;
/// How long somebody who runs an action themself may take to report what came of it.
pub const REPORT_LIFETIME: Span = Span::from_seconds(24 * 3_600);
/// How many records a segment of activity holds before it is sealed.
pub const SEGMENT_RECORDS: u64 = 65_536;
/// The size at which a segment of activity is sealed, in bytes: reported events are larger than permits.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// How long a segment of activity stays open before it is sealed.
pub const SEGMENT_AGE: Duration = Duration::from_secs(60);
/// How long a segment of activity stays open while somebody follows the trail live.
pub const SEGMENT_AGE_FOLLOWED: Duration = Duration::from_secs(2);
/// How long a segment of activity stays open where the trail is sent on to other systems.
pub const SEGMENT_AGE_SENT: Duration = Duration::from_secs(10);
/// How much longer than its leaf's values a segment's file is kept: its date may be the last line's after a power cut.
pub const SEGMENT_GRACE: Duration = Duration::from_secs(3_600);
/// How often segments are looked through for those whose leaf's values were pruned.
pub const SEGMENTS_DROPPED_EVERY: Duration = Duration::from_secs(600);
/// How many of the log's last entries are searched for the leaf of a segment that may have one, at the least; all since
/// its last line are.
pub const LEAVES_LOOKED_BACK: u64 = 4_096;
/// How many full segments may wait to be made durable and recorded; with so many, what comes next waits too.
pub const SEGMENTS_BEHIND: usize = 4;
/// How long it waits then until it is refused.
pub const SEGMENT_PATIENCE: Duration = Duration::from_secs(5);
/// The most requests that one caller may have pending; more are refused until some are decided.
pub const PENDING_PER_AGENT: usize = 20_000;
/// How long somebody who waits for an approved action waits until it is tried again, where it could not be run.
pub const TRY_AGAIN_EVERY: Duration = Duration::from_secs(5);
/// How often recording what came of a run is tried before it is left to the next start.
pub const SEAL_TRIES: usize = 5;
/// How long a failed try to record what came of a run waits for the next.
pub const SEAL_PAUSE: Duration = Duration::from_secs(1);
/// The most that one agent's pending requests may hold together, in bytes of payload.
pub const PENDING_BYTES_PER_AGENT: usize = 256 << 20;
/// The most people that one receipt names.
pub const RECEIPT_PEOPLE: usize = 64;
/// How many keys stand between a reviewer's and the first administrator's, at most, each signed for with the next.
pub const COUNTERSIGNED_DEPTH: usize = 32;
/// The most cases in which keys were signed for that one approval's evidence brings along.
pub const COUNTERSIGNED_CASES: usize = 128;
/// The most events that one report carries.
pub const REPORTED_EVENTS: usize = 4_096;
/// The longest id, source, kind or subject of a reported event, in bytes.
pub const REPORTED_NAME_BYTES: usize = 1_024;
/// The most attributes of a reported event.
pub const REPORTED_ATTRIBUTES: usize = 128;
/// The longest name of an attribute of a reported event, in bytes.
pub const REPORTED_ATTRIBUTE_NAME_BYTES: usize = 256;
/// The longest value of an attribute of a reported event, in bytes.
pub const REPORTED_ATTRIBUTE_BYTES: usize = 8 << 10;
/// The largest data of a reported event, in bytes.
pub const REPORTED_DATA_BYTES: usize = 64 << 10;
/// The largest reported event whole, in bytes, as JSON writes it.
pub const REPORTED_LINE_BYTES: usize = 256 << 10;
/// The most that one report puts on record, all its events together, in bytes: what many of them share in the
/// sender's form stands in each one's line.
pub const REPORTED_BYTES: usize = 16 << 20;
/// How long a gateway at which nobody waits leaves an approved action to the one at which somebody may.
pub(crate) const ELSEWHERE_FIRST: Duration = Duration::from_millis(500);
