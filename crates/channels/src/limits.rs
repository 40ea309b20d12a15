//! The channels' limits, in one place, each with its unit.

use std::time::Duration;

use domain::time::Span;

/// From this risk on a click is confirmed before it counts; a score of 100.
pub const CONFIRM_RISK: i64 = 40;
/// From this risk on nobody approves in a channel: the console asks for a fresh passkey check; a score of 100.
pub const CONSOLE_RISK: i64 = 70;
/// The largest command that a card carries to a channel, in bytes, all parts together: what is longer is decided in the
/// console, where all of it stands.
pub const COMMAND_BYTES: usize = 2_600;
/// The most parts of a payload that a card carries to a channel.
pub const COMMAND_PARTS: usize = 16;
/// The longest name of a resource, reason, question or answer on a card, in bytes; the rest stands in the console.
pub const WORDS_BYTES: usize = 600;
/// The most questions that a card carries: the last ones.
pub const QUESTIONS: usize = 5;

/// The most routes in the configuration.
pub const ROUTES: usize = 256;
/// The most places to which one request goes.
pub const PLACES: usize = 200;
/// How many deliveries are under way at once in one channel.
pub const AT_ONCE: usize = 8;
/// How many deliveries one look into the outbox takes for one channel.
pub const BATCH: usize = 64;
/// How often the outbox is looked into though nothing woke it.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a connection to a receiver may take to stand.
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How many pages of deliveries are looked through at start for cards that fell behind; the newest first.
pub const RECOVERED_PAGES: usize = 50;
/// How long one try may take; afterwards it counts as failed.
pub const TRY_PATIENCE: Duration = Duration::from_secs(20);
/// For how long a gateway that takes a delivery has it to itself; longer than a try may take.
pub const LEASE: Span = Span::from_seconds(60);
/// How often one delivery is tried before it is given up; a new state of the request begins anew.
pub const TRIES: u32 = 12;
/// The shortest pause between two tries of one delivery.
pub const PAUSE_SHORTEST: Duration = Duration::from_secs(1);
/// The longest pause between two tries of one delivery, whatever the channel asks for.
pub const PAUSE_LONGEST: Duration = Duration::from_secs(600);
/// The longest that a reason of a failure is kept, in bytes.
pub const FAILURE_BYTES: usize = 300;
/// The most reminders of one request in one place, whatever a route says.
pub const REMINDERS: u32 = 10;
/// The shortest time between two reminders.
pub const REMIND_SHORTEST: Duration = Duration::from_secs(60);
/// The longest time after which a route escalates.
pub const ESCALATE_LONGEST: Duration = Duration::from_secs(7 * 24 * 3_600);
/// The most cards that an inbox in a channel shows.
pub const INBOX: usize = 20;

/// The most marks of a provider in a click's evidence; and the longest of each, in bytes.
pub const EVIDENCE_MARKS: usize = 12;
/// The longest mark of a provider, and the longest id of a click, in bytes.
pub const EVIDENCE_MARK_BYTES: usize = 200;
/// How many pages of waiting requests are looked through for an inbox.
pub const INBOX_LOOKED_THROUGH: usize = 10;

/// How often a clicked message is looked for that the outbox has not noted.
pub const NOTED_LOOKS: u32 = 4;
/// The pause between two looks; all of them end well within the three seconds that chat services give a click.
pub const NOTED_PAUSE: Duration = Duration::from_millis(250);
/// For how long a click's id is remembered, so that it counts once.
pub const CLICK_REMEMBERED: Span = Span::from_seconds(24 * 3_600);

/// A try ends before its lease does.
const _: () = assert!(TRY_PATIENCE.as_secs() < LEASE.seconds());
