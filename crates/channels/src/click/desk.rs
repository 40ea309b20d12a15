//! Where clicks come to the gateway: everything that can be wrong with one is asked here or behind it, in this order.
//!
//! It is a click on a message that we placed, for this request; it is the first with its id; the account stands for
//! somebody; the card is of the version that stands, but for approvals that came since; the place may decide what was
//! clicked (its command stood there whole, its risk is not high, a medium one was confirmed); and the gateway lets them.

use std::sync::Arc;

use async_trait::async_trait;
use domain::account::ExternalAccount;
use domain::digest::{Blob, Digest};
use domain::event::Event;
use domain::id::{ActionId, PersonId, TargetName};
use domain::statement::Verdict;
use gateway::click::Clicked;
use gateway::deliveries::{Record, Sent, Shows};
use gateway::store::{Filter, ParcelFilter, StoreError, Summary, limits::PAGE_LIMIT};
use gateway::{Gateway, GatewayError};
use serde_json::json;

use super::{Answer, Click, Clicks, Pressed};
use crate::ChannelError;
use crate::card::{Approve, Audience, Card};
use crate::deliver::Placed;
use crate::limits::{
    CLICK_REMEMBERED, EVIDENCE_MARK_BYTES, EVIDENCE_MARKS, INBOX, INBOX_LOOKED_THROUGH, NOTED_LOOKS,
    NOTED_PAUSE,
};

/// The way of a click into the gateway.
#[derive(Debug)]
pub struct Desk {
    gateway: Arc<Gateway>,
}

impl Desk {
    /// A desk before this gateway.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>) -> Arc<Self> {
        Arc::new(Self { gateway })
    }

    async fn take(&self, click: &Click) -> Result<Answer, Refused> {
        let gateway = &self.gateway;
        check_evidence(click)?;
        let placed = self.placed(&click.account, &click.channel, &click.placed, click.approval).await?;
        // Nobody's second click with one id counts, whatever came of the first.
        let once = format!("click/{}/{}", click.channel, click.evidence.once);
        if !gateway.store().claim(&once, CLICK_REMEMBERED).await? {
            return Err(Refused::told("replayed", "This click was taken already; it counts once."));
        }
        let Some(person) = gateway.person_of(&click.account) else {
            return Err(Refused::told(
                "unlinked",
                "This account is linked to nobody in Countersign, so it cannot review. Link it first.",
            ));
        };
        let summary = gateway.approval_seen_by(click.approval, person).await?;
        let displayed = self.shown(&summary, click, &placed.sent).await?;
        let card = Card::of(gateway, &summary, &audience(person, placed.shows)).await?;
        let (verdict, note) = allowed(&click.pressed, &card)?;
        let clicked = Clicked {
            account: click.account.clone(),
            approval: click.approval,
            verdict,
            note,
            displayed,
            evidence: evidence(click)?,
        };
        let taken = gateway.review_by_click(clicked).await.map_err(Refused::recorded)?;
        let words = match verdict {
            Verdict::Approve => match taken.approval.word() {
                "pending" => "Your approval counts; others are asked still.",
                _ => "Approved.",
            },
            Verdict::Deny => "Denied. Nothing runs.",
            Verdict::Ask => {
                "Your question is with the agent. Nothing runs until it is answered or you take it back."
            }
        };
        let answer = Answer::done(words);
        Ok(match Card::of(gateway, &taken, &audience(person, placed.shows)).await {
            Ok(card) => answer.with_card(card),
            Err(_) => answer,
        })
    }

    /// The message that was clicked, as it was placed. A card can be clicked before the outbox has noted where it stands, so
    /// an unknown one is looked for again, a moment later.
    async fn placed(
        &self,
        account: &ExternalAccount,
        channel: &TargetName,
        placed: &Placed,
        approval: ActionId,
    ) -> Result<Standing, Refused> {
        for _ in 1..NOTED_LOOKS {
            if let Some(standing) = self.noted(account, channel, placed, approval).await? {
                return Ok(standing);
            }
            tokio::time::sleep(NOTED_PAUSE).await;
        }
        let why =
            "This is no message of Countersign's about this request, so a click on it counts for nothing.";
        let last = self.noted(account, channel, placed, approval).await?;
        last.ok_or_else(|| Refused::told("not-ours", why))
    }

    async fn noted(
        &self,
        account: &ExternalAccount,
        channel: &TargetName,
        placed: &Placed,
        approval: ActionId,
    ) -> Result<Option<Standing>, Refused> {
        let filter = ParcelFilter { approval: Some(approval), channel: Some(channel.clone()) };
        let (parcels, _) = self.gateway.store().parcels(&filter, None, PAGE_LIMIT).await?;
        for parcel in &parcels {
            let record = Record::read(parcel)?;
            if let Some(sent) = record.sent
                && sent.placed.is(placed)
            {
                let reader = record.to.person();
                if reader.is_some() && reader != self.gateway.person_of(account) {
                    break;
                }
                return Ok(Some(Standing { sent, shows: record.shows }));
            }
        }
        Ok(None)
    }

    /// The digest of the card that stood there; stale where anything but approvals came since.
    async fn shown(&self, summary: &Summary, click: &Click, sent: &Sent) -> Result<Digest, Refused> {
        let stale =
            || Refused::told("stale", "The request has moved since this card was shown; look at it again.");
        let version = summary.approval.case().version;
        // A provider may show an older card for a while; none shows one that we never made.
        if click.version > version || click.version > sent.version {
            return Err(stale());
        }
        let history = self.gateway.store().history(click.approval).await?;
        let since = history.iter().skip(usize::try_from(click.version).unwrap_or(usize::MAX));
        for (event, _) in since {
            if !matches!(event, Event::Reviewed { .. }) {
                return Err(stale());
            }
        }
        Ok(sent.displayed)
    }

    async fn record(&self, click: &Click, refused: &Refused) {
        if refused.recorded {
            return;
        }
        let why =
            format!("a click by `{}`: {}: {}", click.channel, refused.answer.code, refused.answer.words);
        let recorded = self.gateway.record_refused_click(click.approval, &click.account, &why).await;
        if let Err(error) = recorded {
            tracing::error!(approval = %click.approval, %error, "could not record a refused click");
        }
    }

    async fn cards(&self, person: PersonId) -> Result<Vec<Card>, ChannelError> {
        let store = self.gateway.store();
        let filter = Filter { states: vec!["pending".to_owned()], ..Filter::default() };
        let (mut cards, mut after) = (Vec::new(), None);
        for _ in 0..INBOX_LOOKED_THROUGH {
            let page = store.list(&filter, after, PAGE_LIMIT).await?;
            for summary in &page.rows {
                if cards.len() < INBOX && self.gateway.standing(summary, person).may_approve {
                    cards.push(Card::of(&self.gateway, summary, &audience(person, Shows::Metadata)).await?);
                }
            }
            match page.next {
                Some(next) if cards.len() < INBOX => after = Some(next),
                Some(_) | None => break,
            }
        }
        cards.sort_by_key(|card| std::cmp::Reverse(card.risk.score));
        Ok(cards)
    }

    fn known(&self, account: &ExternalAccount) -> Result<PersonId, Answer> {
        self.gateway.person_of(account).ok_or_else(|| {
            Answer::refused("unlinked", "This account is linked to nobody in Countersign. Link it first.")
        })
    }
}

/// What stands where somebody clicked.
struct Standing {
    sent: Sent,
    shows: Shows,
}

fn audience(person: PersonId, shows: Shows) -> Audience {
    Audience { person: Some(person), shows, decides: true }
}

/// Whether what was clicked could be clicked on this card.
fn allowed(pressed: &Pressed, card: &Card) -> Result<(Verdict, Option<String>), Refused> {
    let console = |why: &str| {
        let words = format!("Review it in the console: {why}.");
        let mut refused = Refused::told("in-console", words);
        refused.answer.link = Some(card.url.clone());
        refused
    };
    let words = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    match (pressed, &card.actions.approve) {
        (_, Approve::Over) => Err(Refused::told(
            "over",
            format!("There is nothing to decide any more: it is {}.", card.state.word),
        )),
        (Pressed::Approve { .. }, Approve::InConsole(why)) => Err(console(why)),
        (Pressed::Approve { confirmed: false }, Approve::Confirm) => {
            Err(Refused::told("unconfirmed", "Its risk is not low: confirm it with a second click."))
        }
        (Pressed::Approve { .. }, Approve::Click | Approve::Confirm) => Ok((Verdict::Approve, None)),
        (Pressed::Deny { .. } | Pressed::Ask { .. }, Approve::InConsole(why))
            if !card.actions.deny_and_ask =>
        {
            Err(console(why))
        }
        (Pressed::Deny { reason }, _) => Ok((Verdict::Deny, words(reason))),
        (Pressed::Ask { question }, _) => match words(question) {
            Some(question) => Ok((Verdict::Ask, Some(question))),
            None => Err(Refused::told("empty", "A question needs words.")),
        },
    }
}

fn check_evidence(click: &Click) -> Result<(), Refused> {
    let long = |text: &str| text.is_empty() || text.len() > EVIDENCE_MARK_BYTES;
    let marks = &click.evidence.marks;
    let bad = long(&click.evidence.once)
        || marks.len() > EVIDENCE_MARKS
        || marks.iter().any(|(name, mark)| long(name) || mark.len() > EVIDENCE_MARK_BYTES);
    if bad { Err(Refused::told("malformed", "This click cannot be read.")) } else { Ok(()) }
}

/// What the log keeps of a click beside the account.
fn evidence(click: &Click) -> Result<Blob, Refused> {
    let evidence = json!({
        "v": 1,
        "channel": click.channel,
        "checked": click.evidence.checked,
        "once": click.evidence.once,
        "message": {
            "team": click.placed.team, "place": click.placed.place, "message": click.placed.message,
        },
        "version": click.version,
        "marks": click.evidence.marks,
    });
    Ok(Blob(domain::canonical::write(&evidence).map_err(GatewayError::from)?))
}

/// Why a click was refused, for whoever made it; and whether that is on record already.
struct Refused {
    answer: Answer,
    recorded: bool,
}

impl Refused {
    fn told(code: &'static str, words: impl Into<String>) -> Self {
        Self { answer: Answer::refused(code, words), recorded: false }
    }

    fn recorded(error: GatewayError) -> Self {
        Self { recorded: true, ..Self::from(error) }
    }
}

impl From<GatewayError> for Refused {
    fn from(error: GatewayError) -> Self {
        let code = match &error {
            GatewayError::Refused(refusal) => refusal.code(),
            GatewayError::Forbidden(_) => "forbidden",
            GatewayError::Stale(_) => "stale",
            GatewayError::NotFound(_) => "not-found",
            GatewayError::Busy | GatewayError::Unavailable(_) => "unavailable",
            GatewayError::Unauthenticated(_) | GatewayError::StepUp | GatewayError::Malformed(_) => "refused",
        };
        let mut words = error.to_string();
        if let Some(first) = words.get(..1).map(str::to_uppercase) {
            words.replace_range(..1, &first);
        }
        words.push('.');
        Self::told(code, words)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        GatewayError::from(error).into()
    }
}

impl From<ChannelError> for Refused {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Gateway(error) => error.into(),
            ChannelError::Store(error) => error.into(),
            ChannelError::Config { .. } => Self::told("unavailable", "It cannot be decided here now."),
        }
    }
}

#[async_trait]
impl Clicks for Desk {
    async fn click(&self, click: Click) -> Answer {
        let taken = Box::pin(self.take(&click)).await;
        let (answer, code) = match taken {
            Ok(answer) => (answer, "done"),
            Err(refused) => {
                self.record(&click, &refused).await;
                let code = refused.answer.code;
                (refused.answer, code)
            }
        };
        metrics::counter!("countersign_clicks_total", "channel" => click.channel.to_string(), "answer" => code)
            .increment(1);
        answer
    }

    async fn turned_away(&self, account: &ExternalAccount, approval: ActionId, why: &str) {
        let why = format!("a click by `{}`: {why}", account.provider());
        if let Err(error) = self.gateway.record_refused_click(approval, account, &why).await {
            tracing::error!(%approval, %error, "could not record a refused click");
        }
    }

    async fn look(&self, account: &ExternalAccount, approval: ActionId) -> Result<Card, Answer> {
        let person = self.known(account)?;
        let found = async {
            let summary = self.gateway.approval_seen_by(approval, person).await?;
            Card::of(&self.gateway, &summary, &audience(person, Shows::Metadata)).await
        };
        found.await.map_err(|error| Refused::from(error).answer)
    }

    async fn look_at(
        &self,
        account: &ExternalAccount,
        channel: &TargetName,
        placed: &Placed,
        approval: ActionId,
    ) -> Result<Card, Answer> {
        let person = self.known(account)?;
        let found = async {
            let standing = self.placed(account, channel, placed, approval).await?;
            let summary = self.gateway.approval_seen_by(approval, person).await?;
            Ok::<_, Refused>(Card::of(&self.gateway, &summary, &audience(person, standing.shows)).await?)
        };
        found.await.map_err(|refused| refused.answer)
    }

    async fn inbox(&self, account: &ExternalAccount) -> Result<Vec<Card>, Answer> {
        let person = self.known(account)?;
        self.cards(person).await.map_err(|error| Refused::from(error).answer)
    }

    async fn begin_link(&self, account: &ExternalAccount, shown_name: &str) -> Answer {
        match self.gateway.begin_link(account, shown_name).await {
            Ok(link) => Answer::done(
                "Open this link, sign in to Countersign and confirm with your passkey. It shows you a code: bring it \
                 back here. Open no such link that somebody sent you, and tell nobody the code.",
            )
            .with_link(link),
            Err(error) => Refused::from(error).answer,
        }
    }

    async fn finish_link(&self, account: &ExternalAccount, code: &str) -> Answer {
        match self.gateway.finish_link(account, code).await {
            Ok(person) => {
                let directory = self.gateway.directory();
                let name = directory.person(person).map(|person| person.name.clone()).unwrap_or_default();
                Answer::done(format!("This account stands for {name} in Countersign now."))
            }
            Err(GatewayError::NotFound(_)) => Answer::refused(
                "unknown-code",
                "This code is not known here, or was used, or is too old. Begin anew.",
            ),
            Err(error) => Refused::from(error).answer,
        }
    }

    async fn unlink(&self, account: &ExternalAccount) -> Answer {
        match self.gateway.unlink_itself(account).await {
            Ok(()) => Answer::done("This account stands for nobody in Countersign any more."),
            Err(error) => Refused::from(error).answer,
        }
    }
}
