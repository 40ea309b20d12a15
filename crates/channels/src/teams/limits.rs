//! Teams' limits and ours towards it, each with its unit.

use std::time::Duration;

/// The largest card, in bytes of its JSON. Teams takes messages of about 28 KB, and the envelope needs some of that
/// ("Format your bot messages", message size); a card that would be larger leaves the command to the console.
pub(super) const CARD_BYTES: usize = 25_000;
/// The most users in `refresh.userIds` ("Up-to-date cards"). Everybody else presses Review.
pub(super) const REFRESH_USERS: usize = 60;
/// How many conversations' reviewers are remembered for `refresh.userIds`; the oldest give way.
pub(super) const REFRESH_CONVERSATIONS: usize = 1_024;
/// The most lines of a command on a card; what has more is reviewed in the console.
pub(super) const COMMAND_LINES: usize = 60;
/// The longest name on a card, in bytes, as the directory has it.
pub(super) const NAME_BYTES: usize = 200;
/// The most rules, parties, holds and reviews that a card names, each.
pub(super) const ROWS: usize = 12;
/// The most requests in an inbox's answer: each is one line of one card.
pub(super) const INBOX_ROWS: usize = 10;

/// The largest activity, in bytes. Teams' own limit for a message is far below it.
pub(super) const BODY_BYTES: usize = 256 * 1024;
/// The longest id of a conversation or activity, in bytes.
pub(super) const ID_BYTES: usize = 512;
/// The longest service URL, in bytes.
pub(super) const URL_BYTES: usize = 512;
/// The longest text that is read of a message, in bytes; commands are shorter.
pub(super) const TEXT_BYTES: usize = 1_024;
/// The longest token, in bytes; those of the Bot Framework have about 1,000.
pub(super) const TOKEN_BYTES: usize = 8 * 1024;

/// How far the clock of whoever signed a token may be from ours, in seconds ("Authentication with the Bot Connector
/// API", step 4).
pub(super) const SKEW_SECONDS: u64 = 300;
/// How far ahead a token's end may be, in seconds: clicks are remembered for as long, so that none of them can be sent
/// again while its token is good. The Bot Framework's live for an hour.
pub(super) const TOKEN_SECONDS: u64 = 24 * 3_600 - 2 * SKEW_SECONDS;

/// After how long the signing keys are fetched again ("at least every 24 hours").
pub(super) const KEYS_FRESH: Duration = Duration::from_secs(12 * 3_600);
/// From which age on keys are not used, when fetching them fails all the time.
pub(super) const KEYS_OLDEST: Duration = Duration::from_secs(3 * 24 * 3_600);
/// The shortest time between two tries to fetch keys, whatever comes in.
pub(super) const KEYS_PAUSE: Duration = Duration::from_secs(60);
/// The most keys of a key set.
pub(super) const KEYS: usize = 256;
/// The most endorsements of a key.
pub(super) const ENDORSEMENTS: usize = 256;
/// The largest key set or OpenID metadata, in bytes; Microsoft's has about 100 KB.
pub(super) const KEYS_BYTES: usize = 1024 * 1024;

/// How long one call of the connector, the token endpoint or the key set's server may take.
pub(super) const CALL_PATIENCE: Duration = Duration::from_secs(8);
/// How long a connection to one of them may take to be made.
pub(super) const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer of the connector or the token endpoint, in bytes.
pub(super) const ANSWER_BYTES: usize = 256 * 1024;
/// How long before its end an access token is not used any more.
pub(super) const ACCESS_MARGIN: Duration = Duration::from_secs(300);
/// The longest that an access token is used, whatever its endpoint says.
pub(super) const ACCESS_LONGEST: Duration = Duration::from_secs(24 * 3_600);
/// How many service hosts the configuration may name.
pub(super) const SERVICE_HOSTS: usize = 32;

/// How long an activity may be worked on: Teams gives up on an invoke after about ten seconds.
pub(super) const WORK_PATIENCE: Duration = Duration::from_secs(9);
/// How many activities are worked on at once; past that Teams is told to come again.
pub(super) const AT_ONCE: usize = 64;

/// A click's id is remembered for longer than its token can be good.
const _: () = assert!(TOKEN_SECONDS + SKEW_SECONDS < crate::limits::CLICK_REMEMBERED.seconds());
