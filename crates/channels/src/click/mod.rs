//! Clicks: what somebody did in a channel, carried to the gateway, and the answer in words that they understand.
//!
//! A channel reports; it decides nothing. It has checked that its provider says so (a signature, a token, a socket that
//! only the provider can write to), and that is all that it vouches for. Who that account is here, whether they may, and
//! whether a click suffices is asked behind [`Clicks`], at every click anew.

mod desk;

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::account::ExternalAccount;
use domain::id::{ActionId, TargetName};

use crate::card::Card;
use crate::deliver::Placed;
pub use desk::Desk;

/// A click on a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// In which channel, by its name in the configuration.
    pub channel: TargetName,
    /// In which account it was made, as the provider says.
    pub account: ExternalAccount,
    /// On which message, as the provider says. It must be one that we placed, or the click counts for nothing. `extra`
    /// is not looked at.
    pub placed: Placed,
    /// The request, as the button has it.
    pub approval: ActionId,
    /// The version that the card had, as the button has it.
    pub version: u64,
    /// What was clicked.
    pub pressed: Pressed,
    /// What the provider said of the click.
    pub evidence: Evidence,
}

/// What was clicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pressed {
    /// Approve. `confirmed` says that a second click confirmed it: see [`crate::card::Approve::Confirm`].
    Approve {
        /// Whether it was confirmed.
        confirmed: bool,
    },
    /// Deny, with a reason.
    Deny {
        /// Why, in their words.
        reason: String,
    },
    /// Ask.
    Ask {
        /// What, in their words.
        question: String,
    },
}

/// What the provider said of a click: it goes into the log as it is, so it holds ids and no words of anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What the provider gives each click once, such as a trigger id: a second click with it is a replay.
    pub once: String,
    /// How the channel knows: `signed request`, `socket`, `bot framework token`.
    pub checked: &'static str,
    /// The provider's own marks, such as `app_id`; at most [`crate::limits::EVIDENCE_MARKS`].
    pub marks: BTreeMap<String, String>,
}

/// Where clicks go.
#[async_trait]
pub trait Clicks: Send + Sync + 'static {
    /// Takes a click. Whatever comes of it is on record, and the answer is for whoever clicked, and for nobody else.
    async fn click(&self, click: Click) -> Answer;

    /// A channel refused a click itself, by what its provider says of the account: it goes on record, as refused clicks do.
    async fn turned_away(&self, account: &ExternalAccount, approval: ActionId, why: &str) {
        let _ = (account, approval, why);
    }

    /// Somebody wants to look at a request in their own account, such as to be asked for a reason. Nothing is decided.
    async fn look(&self, account: &ExternalAccount, approval: ActionId) -> Result<Card, Answer>;

    /// The same for a card that stands somewhere: as much of the request as that place may be shown, as whoever looks
    /// sees it. The message must be one that we placed.
    async fn look_at(
        &self,
        account: &ExternalAccount,
        channel: &TargetName,
        placed: &Placed,
        approval: ActionId,
    ) -> Result<Card, Answer> {
        let _ = (channel, placed);
        self.look(account, approval).await
    }

    /// What waits for the person of an account: what they may review, most urgent first.
    async fn inbox(&self, account: &ExternalAccount) -> Result<Vec<Card>, Answer>;

    /// Somebody wants their account to stand for them. The answer has a link into the console, good once and for ten
    /// minutes; only they are shown it. `shown_name` is their name as the provider shows it, for the page to say whom it
    /// links. The console shows a code at the end, for [`Clicks::finish_link`].
    async fn begin_link(&self, account: &ExternalAccount, shown_name: &str) -> Answer;

    /// They bring back the code that the console showed them: what they typed, in the same account. Without it, a link
    /// that somebody was talked into opening would make another's account theirs.
    async fn finish_link(&self, account: &ExternalAccount, code: &str) -> Answer;

    /// Takes the account's link away, at once.
    async fn unlink(&self, account: &ExternalAccount) -> Answer;
}

/// What whoever clicked is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether it was done.
    pub done: bool,
    /// What came of it, in a sentence or two for them.
    pub words: String,
    /// Why not, as one word for metrics and tests, such as `unlinked`, `self-review`, `stale`, `replayed`.
    pub code: &'static str,
    /// Where to go on, where that is elsewhere: the request in the console, or a link for their account.
    pub link: Option<String>,
    /// The card as it stands now, where the clicker may see it.
    pub card: Option<Box<Card>>,
}

impl Answer {
    /// It was done.
    #[must_use]
    pub fn done(words: impl Into<String>) -> Self {
        Self { done: true, words: words.into(), code: "done", link: None, card: None }
    }

    /// It was not done.
    #[must_use]
    pub fn refused(code: &'static str, words: impl Into<String>) -> Self {
        Self { done: false, words: words.into(), code, link: None, card: None }
    }

    /// The same, with where to go on.
    #[must_use]
    pub fn with_link(mut self, link: String) -> Self {
        self.link = Some(link);
        self
    }

    /// The same, with the card as it stands now.
    #[must_use]
    pub fn with_card(mut self, card: Card) -> Self {
        self.card = Some(Box::new(card));
        self
    }
}
