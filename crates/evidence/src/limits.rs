//! The limits of what leaves the house, in one place, each with its unit.

use std::time::Duration;

use domain::time::Span;

/// How many events are read at a time.
pub const PAGE: usize = 256;
/// How many actions are remembered for the events that come after them.
pub const BRIEFS: usize = 65_536;
/// The longest line of activity that is read, in bytes; the gateway writes none that is longer.
pub const LINE_BYTES: usize = 512 << 10;
/// How much of a segment is read at a time, in bytes.
pub const READ_BYTES: usize = 256 << 10;
/// How many pieces of an export or of a live tail wait for their reader.
pub const PIECES: usize = 4;
/// How often a tail or a sink that has told everything looks again.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The most sinks.
pub const SINKS: usize = 64;
/// The longest that one delivery may take, of whatever number of events.
pub const DELIVERY_PATIENCE: Duration = Duration::from_secs(60);
/// The longest that reaching a receiver may take.
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// The pause after the first failure; each failure after it doubles it.
pub const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// The longest pause between two tries.
pub const PAUSE_LONGEST: Duration = Duration::from_secs(60);
/// The longest text of a failure that is kept for the status, in bytes.
pub const FAILURE_BYTES: usize = 500;
/// The largest answer of a receiver that is read, in bytes.
pub const ANSWER_BYTES: usize = 64 << 10;
/// How long a cursor is kept without being moved. It is moved with every delivery.
pub const CURSOR_LIFETIME: Span = Span::from_seconds(100 * 365 * 24 * 3_600);
/// How long one gateway holds the right to feed a sink before it must take it anew, in seconds.
pub const LEASE_SECONDS: u64 = 20;
/// How often that right is renewed during a delivery.
pub const LEASE_RENEWED_EVERY: Duration = Duration::from_secs(4);

/// The most events in one request of Splunk's collector, and in one TLS connection to a syslog receiver.
pub const BATCH_EVENTS: usize = 256;
/// The most bytes in one such request or connection; one event may be larger.
pub const BATCH_BYTES: usize = 1 << 20;
/// How often Splunk is asked whether it has indexed a request.
pub const ACK_EVERY: Duration = Duration::from_millis(500);
/// How long Splunk may take to acknowledge a request.
pub const ACK_PATIENCE: Duration = Duration::from_secs(45);
/// The largest syslog message where the configuration does not say, in bytes: RFC 5425 asks receivers to take
/// 8192.
pub const SYSLOG_MESSAGE_BYTES: usize = 8_192;
/// The least that a syslog message may be limited to, in bytes: what RFC 5425 obliges every receiver to take.
pub const SYSLOG_MESSAGE_LEAST_BYTES: usize = 2_048;
/// How long a syslog receiver may take to read everything and close.
pub const SYSLOG_CLOSE_PATIENCE: Duration = Duration::from_secs(20);
/// The size at which a file is closed and the next begins where the configuration does not say, in bytes.
pub const FILE_BYTES: u64 = 64 << 20;
/// The most events in one object.
pub const OBJECT_EVENTS: usize = 20_000;
/// The size of an object beyond which the next begins, in bytes.
pub const OBJECT_BYTES: usize = 16 << 20;
/// How long events wait for an object to fill where the configuration does not say, in seconds.
pub const OBJECT_SECONDS: u64 = 60;
/// How long a signature over a request to an object store is good.
pub const SIGNATURE_LIFETIME: Duration = Duration::from_secs(300);
