//! The card: the one model of what a reviewer sees in a channel, in the order in which people decide.
//!
//! It is made of the gateway's card ([`gateway::card::Card`]), which is what the console shows and what a statement
//! names as displayed; this one holds no more than it, and less where something must not leave. Each channel writes it
//! in its own form: [`html`] and [`text`] are here, Block Kit and Adaptive Cards in their channels.

pub mod html;
pub mod text;

mod build;
mod shorten;

use domain::digest::Digest;
use domain::id::{ActionId, PersonId};
use domain::outcome::Outcome;
use domain::text::Piece;
use domain::time::Timestamp;
use gateway::card::Shown;
pub use gateway::deliveries::Shows;
use jiff::tz::TimeZone;

/// What a reviewer sees of one request, for one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The request.
    pub approval: ActionId,
    /// How many events stand behind it: a click names the version that it was made over.
    pub version: u64,
    /// When this card was made, by the store's clock: just before it is sent.
    pub made: Timestamp,
    /// The digest of the gateway's card: what a statement names as displayed.
    pub displayed: Digest,
    /// Where it stands in the console.
    pub url: String,

    /// What would be done.
    pub what: What,
    /// How risky, and which rules stopped it.
    pub risk: Risk,
    /// Who asks: the agent first, then everybody behind it, each with who vouches for that.
    pub parties: Vec<Party>,
    /// The run, as the caller claims.
    pub run: Option<Shown>,
    /// Exactly what would run, as far as it may stand here.
    pub command: Command,
    /// What it does, and whether it can be undone.
    pub effect: Effect,
    /// The agent's reason: untrusted words, always quoted.
    pub reason: Option<Shown>,
    /// Questions and answers so far, the last ones.
    pub questions: Vec<Exchange>,
    /// Until when it waits.
    pub requested: Timestamp,
    /// When it lapses undecided.
    pub expires: Timestamp,
    /// How far each hold has come.
    pub holds: Vec<Hold>,
    /// Why whoever reads this is asked.
    pub why_you: Option<String>,
    /// What can be done here.
    pub actions: Actions,
    /// How it stands.
    pub state: State,
}

/// What would be done, to what, where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct What {
    /// The verb, such as `http.delete`.
    pub verb: String,
    /// To what.
    pub resource: Shown,
    /// In which target.
    pub target: String,
    /// Where that stands.
    pub environment: String,
    /// Whether that is production.
    pub production: bool,
}

/// How risky, and which rules stopped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Risk {
    /// From 0 to 100.
    pub score: i64,
    /// What that means for a click.
    pub tier: Tier,
    /// What the score is made of, largest first.
    pub reasons: Vec<(i64, String)>,
    /// The rules that hold it, each with its author's words.
    pub rules: Vec<(String, String)>,
}

/// What a risk means for a click in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// One click is enough.
    Low,
    /// A click is confirmed first.
    Medium,
    /// Nobody approves in a channel; the console asks for a fresh passkey check.
    High,
}

/// Somebody who stands behind a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Their name as the directory has it.
    pub name: String,
    /// `agent` or `person`.
    pub kind: &'static str,
    /// `caller`, `sponsor`, `subject`, `delegate`, `trigger`, `editor`.
    pub role: String,
    /// Whose word it is.
    pub vouched: Vouched,
}

/// Whose word something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouched {
    /// The gateway checked it.
    Verified,
    /// The caller says so.
    Claimed,
}

/// Exactly what would run, as far as it may stand in this place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its parts, masked; empty where nothing of it may leave.
    pub parts: Vec<Part>,
    /// How many bytes it has.
    pub bytes: u64,
    /// What is not here, and why, where that is so.
    pub left_out: Option<LeftOut>,
    /// What is masked in it: paths with classes.
    pub masked: Vec<(String, Vec<String>)>,
    /// The digest of the exact action, over all of it.
    pub digest: Digest,
}

/// A part of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is, such as `http.body`.
    pub path: String,
    /// Its text, with what is hidden in it shown.
    pub text: Shown,
}

/// Why something of the command is not on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// Nothing of it leaves the gateway for this place.
    Kept,
    /// It is too long for this place.
    TooLong,
    /// It is no text.
    NoText,
    /// It was erased.
    Erased,
}

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// In words.
    pub words: &'static str,
    /// Whether it can be undone.
    pub reversible: Reversible,
}

/// Whether an effect can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reversible {
    /// It can be changed back, or changes nothing.
    Yes,
    /// What is gone, or out, stays so.
    No,
    /// Nobody here knows.
    Unknown,
}

/// A question and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Who asked.
    pub by: String,
    /// The question.
    pub question: Shown,
    /// The answer: untrusted words.
    pub answer: Option<Shown>,
    /// Whether the asker took it back.
    pub withdrawn: bool,
}

/// One rule's hold, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The rule.
    pub rule: String,
    /// Whether it is lifted.
    pub lifted: bool,
    /// The alternatives, any of which lifts it; break-glass is not among them.
    pub any_of: Vec<Quorum>,
}

/// So many of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    /// The group.
    pub group: String,
    /// How many have approved.
    pub have: u8,
    /// How many it takes.
    pub need: u8,
}

/// What can be done in this place. A channel shows these buttons and no others; the gateway asks again at each click.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actions {
    /// Whether Approve stands here.
    pub approve: Approve,
    /// Whether Deny and Ask stand here.
    pub deny_and_ask: bool,
}

/// Whether Approve stands on a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approve {
    /// One click.
    Click,
    /// A click, and a second one that confirms it.
    Confirm,
    /// Only "review in console", and why, in words for the reader.
    InConsole(String),
    /// Nothing is to be decided any more.
    Over,
}

impl Actions {
    /// Nothing is to be decided any more.
    pub const OVER: Self = Self { approve: Approve::Over, deny_and_ask: false };
}

/// How a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// `pending`, `approved`, `denied`, `expired`, `cancelled`, `executing` or `finished`.
    pub word: &'static str,
    /// Who said what so far, in order.
    pub reviews: Vec<Said>,
    /// Why it will not run, where it will not.
    pub why_not: Option<Shown>,
    /// When it came to its end, where it has.
    pub ended: Option<Timestamp>,
    /// What came of it, where it ran.
    pub outcome: Option<Outcome>,
    /// Where the proof of it is, once it is over.
    pub receipt: Option<String>,
}

impl State {
    /// Whether nothing more can happen to it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.word, "denied" | "expired" | "cancelled" | "finished")
    }
}

/// Somebody's verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who.
    pub person: PersonId,
    /// Their name.
    pub name: String,
    /// `approved`, `denied` or `asked`.
    pub verdict: &'static str,
    /// When.
    pub at: Timestamp,
    /// By what: `passkey`, `SSH key`, or the account's provider, such as `slack`.
    pub by: String,
    /// Whether they broke glass.
    pub broke_glass: bool,
    /// Whether it counts no more.
    pub dismissed: bool,
    /// Their words.
    pub note: Option<Shown>,
}

/// For whom a card is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audience {
    /// The one person who reads it; none in a place that several read.
    pub person: Option<PersonId>,
    /// What the place may be shown.
    pub shows: Shows,
    /// Whether people can decide there at all.
    pub decides: bool,
}

/// A time in the reader's time zone, to the second: `2026-11-21 13:45:00 CET`.
#[must_use]
pub fn at(time: Timestamp, zone: &TimeZone) -> String {
    let micros = i64::try_from(time.micros()).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_microsecond(micros) {
        Ok(moment) => moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        Err(_) => format!("{} microseconds since 1970", time.micros()),
    }
}

/// Words with what is hidden in them shown: `⟨U+202E⟩`. For channels that cannot mark a piece otherwise.
#[must_use]
pub fn visible(words: &Shown) -> String {
    words
        .pieces
        .iter()
        .map(|piece| match piece {
            Piece::Plain(text) => text.clone(),
            Piece::Hidden(name) => format!("⟨{name}⟩"),
            Piece::Mixed(word) => format!("⟨mixed scripts: {word}⟩"),
        })
        .collect()
}

impl Card {
    /// The first line: what, to what, where. One line, for subjects and notifications.
    #[must_use]
    pub fn title(&self) -> String {
        let What { verb, resource, target, environment, .. } = &self.what;
        let line = format!("{verb} {} in {target} ({environment})", visible(resource));
        line.replace(['\n', '\t'], " ")
    }

    /// How it stands, in one line for people, with times in the reader's zone.
    #[must_use]
    pub fn standing(&self, zone: &TimeZone) -> String {
        let ended = self.state.ended.map(|ended| at(ended, zone)).unwrap_or_default();
        match self.state.word {
            "pending" => format!("waits for review until {}", at(self.expires, zone)),
            "approved" => "approved; it has not run yet".to_owned(),
            "executing" => "approved; it is running".to_owned(),
            "finished" => match &self.state.outcome {
                Some(outcome) => format!("ran: {} ({ended})", ending(outcome)),
                None => format!("ran ({ended})"),
            },
            word => format!("{word} ({ended}); nothing ran"),
        }
    }
}

/// What came of a run, in a word.
#[must_use]
pub fn ending(outcome: &Outcome) -> &'static str {
    match outcome.ending {
        domain::outcome::Ending::Succeeded => "succeeded",
        domain::outcome::Ending::Failed => "failed",
        domain::outcome::Ending::Unknown => "unknown: nobody saw how it ended",
    }
}
