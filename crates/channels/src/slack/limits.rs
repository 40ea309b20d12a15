//! Slack's limits and ours towards it, each with its unit. Lengths are in UTF-16 units after escaping: Slack does not say
//! what it counts, and no other count of a text is larger.

use std::time::Duration;

/// A header's text (Block Kit, "Header block").
pub(super) const HEADER: usize = 150;
/// A section's text (Block Kit, "Section block").
pub(super) const SECTION: usize = 3_000;
/// One field of a section.
pub(super) const FIELD: usize = 2_000;
/// The fields of a section.
pub(super) const FIELDS: usize = 10;
/// A text of a context block; Slack gives no limit for it alone, and fields have this one.
pub(super) const CONTEXT: usize = 2_000;
/// A button's text (Block Kit, "Button element").
pub(super) const BUTTON: usize = 75;
/// A button's address.
pub(super) const BUTTON_URL: usize = 3_000;
/// The title of a confirmation (Block Kit, "Confirmation dialog object").
pub(super) const CONFIRM_TITLE: usize = 100;
/// The text of a confirmation.
pub(super) const CONFIRM_TEXT: usize = 300;
/// A button of a confirmation.
pub(super) const CONFIRM_BUTTON: usize = 30;
/// The title and the buttons of a modal (Block Kit, "View").
pub(super) const VIEW_TITLE: usize = 24;
/// What a modal carries for us and nobody sees, in bytes.
pub(super) const PRIVATE_METADATA: usize = 3_000;
/// The label of an input (Block Kit, "Input block").
pub(super) const INPUT_LABEL: usize = 2_000;
/// The blocks of a message.
pub(super) const BLOCKS: usize = 50;
/// The blocks of a home tab or modal.
pub(super) const VIEW_BLOCKS: usize = 100;
/// A message's own text, which notifications and screen readers use. Slack allows 40,000 and advises 4,000.
pub(super) const TEXT: usize = 4_000;
/// The blocks of a card that the command may take; what needs more is reviewed in the console.
pub(super) const COMMAND_BLOCKS: usize = 18;
/// An id of Slack's for a person, team, channel or app, in bytes; they have 9 to 11.
pub(super) const ID_BYTES: usize = 32;
/// What is read of a typed command, or of a name that somebody chose, in bytes.
pub(super) const TYPED_BYTES: usize = 200;

/// How far a signed request's time may be from ours, before or after, in seconds ("Verifying requests from Slack").
pub(super) const SKEW_SECONDS: u64 = 300;
/// For how long a request or an envelope is remembered, so that it acts once: as long as its time can be accepted, and
/// over the time in which Slack tries an event again.
pub(super) const REMEMBERED: Duration = Duration::from_secs(3_600);
/// How many of them are remembered at once. Past that nothing is accepted until some are forgotten.
pub(super) const REMEMBERED_COUNT: usize = 65_536;
/// The largest body of a signed request, in bytes. A payload repeats the message that it came from.
pub(super) const BODY_BYTES: usize = 512 * 1024;
/// The largest message on a Socket Mode connection, in bytes.
pub(super) const FRAME_BYTES: usize = 1024 * 1024;
/// The largest answer of the Web API, in bytes.
pub(super) const ANSWER_BYTES: usize = 1024 * 1024;

/// Slack waits three seconds for an acknowledgement; one that carries an answer leaves after this.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_millis(2_000);
/// How long one payload may be worked on at all.
pub(super) const WORK_PATIENCE: Duration = Duration::from_secs(30);
/// How many payloads are worked on at once. Past that they are not acknowledged, and Slack tells whoever clicked.
pub(super) const AT_ONCE: usize = 64;
/// How long one call of the Web API may take.
pub(super) const CALL_PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection to Slack may take to be made.
pub(super) const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// One message a second into one conversation ("Rate limits", `chat.postMessage`).
pub(super) const SPACING: Duration = Duration::from_millis(1_000);
/// How long a message waits for its turn in here; one that would wait longer goes back to the outbox.
pub(super) const TURN_PATIENCE: Duration = Duration::from_secs(5);
/// How many conversations' turns are remembered.
pub(super) const CONVERSATIONS: usize = 4_096;
/// What a 429 without a readable `Retry-After` asks for.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(30);
/// The longest `Retry-After` that is obeyed in full.
pub(super) const RETRY_AFTER_LONGEST: Duration = Duration::from_secs(600);

/// A connection on which nothing came for so long is given up; Slack sends a ping every few seconds.
pub(super) const SILENCE: Duration = Duration::from_secs(30);
/// How often we send a ping of our own.
pub(super) const PING_EVERY: Duration = Duration::from_secs(10);
/// How long Slack's first word on a connection may take.
pub(super) const HELLO_PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection that was told to go still takes envelopes, beside the one that follows it.
pub(super) const OVERLAP: Duration = Duration::from_secs(20);
/// The pause after the first connection that failed; it doubles.
pub(super) const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// The longest pause between two tries of a connection.
pub(super) const PAUSE_LONGEST: Duration = Duration::from_secs(60);
/// A connection that stood for so long ended well: the next failure begins with the shortest pause.
pub(super) const STOOD: Duration = Duration::from_secs(30);
