//! One request, in the order in which a reviewer decides: what, how risky, who asks, exactly which bytes, with
//! what effect, why, until when and by whom, and then the decision.

pub(crate) mod brought;
mod change;
pub(crate) mod payload;
pub(crate) mod view;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use domain::approval::{Approval, Case, DeniedBy};
use domain::directory::Directory;
use domain::id::{ActionId, GroupName, PersonId, QuestionId};
use domain::later::Finding;
use domain::outcome::{Ending, Outcome};
use domain::principal::Principal;
use domain::requirement::{Progress, Requirement, Separation, Tally};
use domain::review::Proof;
use domain::statement::Verdict;
use domain::time::Timestamp;
use domain::verb::{VOCABULARY, Verb, VerbGroup};
use gateway::card::{Card, Shown, name_of};
use gateway::later::Later;
use gateway::people::Human;
use gateway::reveal::Viewer;
use gateway::review::Standing;
use gateway::store::{Filter, Prior, RunWhenGone, Summary};
use gateway::{Gateway, GatewayError};
use serde::Deserialize;

use crate::failure::Failure;
use crate::frame::{Frame, Page, Room};
use crate::limits;
use crate::viewer::SignedIn;

pub(crate) use brought::BroughtView;
pub(crate) use change::Proposal;

/// The header in which scripts send the session's secret.
const CSRF_HEADER: &str = "x-csrf-token";

/// Everything that the page shows.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) card: Card,
    /// The card's digest, which the signed statement names as displayed.
    pub(crate) displayed: String,
    pub(crate) group: VerbGroup,
    /// What the verb means, in the vocabulary's words.
    pub(crate) meaning: &'static str,
    pub(crate) stage: Stage,
    pub(crate) standing: Standing,
    /// Whether whoever looks may open what is masked.
    pub(crate) may_reveal: bool,
    pub(crate) mine: Mine,
    pub(crate) holds: Vec<HoldView>,
    pub(crate) reviews: Vec<ReviewView>,
    pub(crate) later: LaterView,
    /// Where it was brought to people.
    pub(crate) brought: Vec<BroughtView>,
    pub(crate) solo: bool,
    pub(crate) prior: Prior,
    /// The last ones of this shape that whoever looks may see, newest first.
    pub(crate) earlier: Vec<Earlier>,
    /// What would change, where the request is to change Countersign itself.
    pub(crate) proposal: Option<Proposal>,
    /// The log's verifier key.
    pub(crate) log_key: String,
    pub(crate) now: Timestamp,
}

/// Where the request stands.
#[derive(Debug)]
pub(crate) enum Stage {
    Pending { question: bool },
    Approved { spend_by: Timestamp, by_itself: bool },
    Executing { since: Timestamp },
    Finished { outcome: Outcome, at: Timestamp },
    Denied { by: Option<String>, why: Option<Shown>, at: Timestamp },
    Expired { at: Timestamp },
    Cancelled { by: String, reason: Shown, at: Timestamp },
}

/// What whoever looks has to do with it beyond reviewing.
#[derive(Debug, Default)]
pub(crate) struct Mine {
    /// Whether they stand on the chain: they may answer and take it back.
    pub(crate) on_chain: bool,
    /// The questions that are theirs to withdraw.
    pub(crate) asked: BTreeSet<QuestionId>,
}

/// One rule's hold and how far it has come.
#[derive(Debug)]
pub(crate) struct HoldView {
    pub(crate) rule: String,
    pub(crate) any_of: Vec<Progress>,
    /// The groups of which one may break glass instead.
    pub(crate) glass: Vec<GroupName>,
    pub(crate) lifted: bool,
}

/// One review in the record.
#[derive(Debug)]
pub(crate) struct ReviewView {
    pub(crate) by: String,
    pub(crate) verdict: Verdict,
    pub(crate) group: Option<GroupName>,
    pub(crate) note: Option<Shown>,
    pub(crate) at: Timestamp,
    /// What signed it, in words.
    pub(crate) key: &'static str,
    /// Whether they broke glass: approved alone, in an emergency.
    pub(crate) broke_glass: bool,
    /// Whether it counts no more, because its reviewer lost their standing.
    pub(crate) dismissed: bool,
}

/// The later review of broken glass.
#[derive(Debug, Default)]
pub(crate) struct LaterView {
    /// Whether glass was broken and nobody has looked at it since.
    pub(crate) awaited: bool,
    /// Whether what is stored of it is not what was signed.
    pub(crate) altered: bool,
    /// What somebody found.
    pub(crate) found: Option<FindingView>,
    /// The group as one of which whoever looks may do so now.
    pub(crate) group: Option<GroupName>,
}

/// What somebody found who looked at broken glass.
#[derive(Debug)]
pub(crate) struct FindingView {
    pub(crate) by: String,
    pub(crate) finding: Finding,
    pub(crate) group: GroupName,
    pub(crate) note: Shown,
    pub(crate) at: Timestamp,
    /// What signed it, in words.
    pub(crate) key: &'static str,
}

/// An earlier request of the same shape.
#[derive(Debug)]
pub(crate) struct Earlier {
    pub(crate) id: ActionId,
    pub(crate) resource: Shown,
    pub(crate) how: &'static str,
    pub(crate) requested: Timestamp,
}

/// `GET /approvals/{id}`.
pub(crate) async fn page(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Page, Failure> {
    let id: ActionId = id.parse().map_err(|_| Failure::NotFound)?;
    let summary = gateway.approval_for(id, &signed_in.0).await?;
    let view = gather(&gateway, &summary, &signed_in.0).await?;
    let title = format!("{} {}", view.card.verb, domain::text::visible(&gateway.shown_resource(&summary)));
    let (viewer, now) = (signed_in.viewer(&gateway), view.now);
    let frame = Frame { title: &title, room: Room::Inbox, viewer: &viewer, scripts: &["request.js"], now };
    Ok(Page(frame.around(&view::page(&view))))
}

/// `POST /approvals/{id}/payload`: the payload whole, as a part of the page. The gateway logs that this person
/// opened it, which lets them approve. It stands here and not in the API because what it answers is
/// rendered, with nothing invisible.
pub(crate) async fn open(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Page, Failure> {
    let id: ActionId = id.parse().map_err(|_| Failure::NotFound)?;
    require_token(&signed_in, &headers)?;
    let fields = gateway.open_payload(id, &signed_in.0).await?;
    let summary = gateway.approval_for(id, &signed_in.0).await?;
    let card = gateway.card_for(&summary, Viewer::Person(signed_in.0.person)).await?;
    Ok(Page(payload::whole(&payload::parts(&fields), Some(&card.digest()?.to_string()))))
}

/// Which masked field to open.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Field {
    field: String,
}

/// `POST /approvals/{id}/reveal`: one masked field as it really is, as a part of the page. That this person opened it
/// is logged first. It stands here as well as in the API because what it answers is rendered, with nothing invisible.
pub(crate) async fn reveal(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(Field { field }): Form<Field>,
) -> Result<Page, Failure> {
    let id: ActionId = id.parse().map_err(|_| Failure::NotFound)?;
    require_token(&signed_in, &headers)?;
    let revealed = gateway.reveal(id, &signed_in.0, &field).await?;
    Ok(Page(payload::revealed(&revealed)))
}

fn require_token(signed_in: &SignedIn, headers: &HeaderMap) -> Result<(), Failure> {
    let token = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if signed_in.0.session.csrf.matches(token) {
        return Ok(());
    }
    Err(GatewayError::Forbidden("this page is out of date; reload it and retry".to_owned()).into())
}

async fn gather(gateway: &Gateway, summary: &Summary, human: &Human) -> Result<View, Failure> {
    let person = human.person;
    let (action, case) = (summary.action.parts(), summary.approval.case());
    let directory = gateway.directory();
    let card = gateway.card_for(summary, Viewer::Person(person)).await?;
    let store = gateway.store();
    let caller = action.chain.caller;
    Ok(View {
        displayed: card.digest()?.to_string(),
        group: action.verb.group(),
        meaning: meaning(action.verb),
        stage: Stage::of(gateway, summary, &directory),
        standing: gateway.standing_over(summary, person, !card.masked.is_empty())?,
        may_reveal: gateway.may_reveal(summary, person)?,
        mine: Mine { on_chain: case.chain.contains(person), asked: asked_by(case, person) },
        holds: case
            .evaluation
            .requirement()
            .map(|requirement| holds(requirement, &case.approvals()))
            .unwrap_or_default(),
        reviews: reviews(gateway, summary, &directory),
        later: later(gateway, summary, person, &directory),
        brought: brought::places(gateway, summary, human).await?,
        solo: case
            .evaluation
            .requirement()
            .is_some_and(|requirement| requirement.separation == Separation::None),
        prior: store.prior(caller, &summary.shape).await.map_err(GatewayError::from)?,
        earlier: earlier(gateway, summary, human).await?,
        proposal: Proposal::read(&card, &directory),
        log_key: gateway.settings().log_key.clone(),
        now: gateway.now(),
        card,
    })
}

async fn earlier(gateway: &Gateway, summary: &Summary, human: &Human) -> Result<Vec<Earlier>, Failure> {
    let (this, caller) = (summary.action.id(), summary.action.chain().caller);
    let filter = Filter { caller: Some(caller), shape: Some(summary.shape.clone()), ..Filter::default() };
    let page =
        gateway.store().list(&filter, None, limits::PRIOR_ROWS + 1).await.map_err(GatewayError::from)?;
    let visible =
        page.rows.iter().filter(|row| row.action.id() != this && gateway.may_see(row, human.person));
    Ok(visible
        .take(limits::PRIOR_ROWS)
        .map(|row| Earlier {
            id: row.action.id(),
            resource: Shown::new(&gateway.shown_resource(row)),
            how: how(&row.approval),
            requested: row.approval.case().requested,
        })
        .collect())
}

fn how(approval: &Approval) -> &'static str {
    match approval {
        Approval::Pending(_) => "waiting",
        Approval::Approved(_) => "approved",
        Approval::Denied(_) => "denied",
        Approval::Expired(_) => "lapsed",
        Approval::Cancelled(_) => "taken back",
        Approval::Executing(_) => "running",
        Approval::Finished(finished) => match finished.outcome.ending {
            Ending::Succeeded => "succeeded",
            Ending::Failed => "failed",
            Ending::Unknown => "unknown",
        },
    }
}

fn meaning(verb: Verb) -> &'static str {
    VOCABULARY.iter().find(|(name, ..)| *name == verb.as_str()).map_or("", |(_, _, meaning)| meaning)
}

fn asked_by(case: &Case, person: PersonId) -> BTreeSet<QuestionId> {
    let theirs = case.questions.iter().filter(|question| question.asked.statement.reviewer == person);
    theirs.filter(|question| question.settled.is_none()).map(|question| question.id).collect()
}

fn holds(requirement: &Requirement, approvals: &Tally) -> Vec<HoldView> {
    requirement
        .holds
        .iter()
        .map(|hold| {
            let any_of: Vec<Progress> = hold
                .any_of
                .iter()
                .filter(|quorum| !quorum.break_glass)
                .map(|quorum| Progress {
                    group: quorum.group.clone(),
                    have: approvals.have(quorum),
                    need: quorum.count,
                })
                .collect();
            let glass = hold.any_of.iter().filter(|quorum| quorum.break_glass);
            HoldView {
                rule: hold.rule.to_string(),
                any_of,
                glass: glass.map(|quorum| quorum.group.clone()).collect(),
                lifted: hold.is_lifted_by(approvals),
            }
        })
        .collect()
}

fn reviews(gateway: &Gateway, summary: &Summary, directory: &Directory) -> Vec<ReviewView> {
    let one = |record: &domain::approval::Recorded| ReviewView {
        by: name_of(Principal::Person(record.statement.reviewer), directory),
        verdict: record.statement.verdict,
        group: record.statement.group.clone(),
        note: record.statement.note.as_deref().map(|note| Shown::new(&gateway.shown_words(summary, note))),
        at: record.at,
        key: key_word(&record.signed.proof),
        broke_glass: record.statement.break_glass,
        dismissed: record.dismissed.is_some(),
    };
    summary.approval.case().reviews.iter().map(one).collect()
}

fn key_word(proof: &Proof) -> &'static str {
    match proof {
        Proof::Passkey(_) => "a passkey",
        Proof::SshSig(_) => "an SSH key",
        Proof::Chat(_) => "a click in a linked chat account, and no key",
    }
}

fn later(gateway: &Gateway, summary: &Summary, person: PersonId, directory: &Directory) -> LaterView {
    let group = gateway.later_standing(summary, person).group;
    match gateway.later_review(summary) {
        Later::None => LaterView::default(),
        Later::Awaited => LaterView { awaited: true, group, ..LaterView::default() },
        Later::Altered => LaterView { altered: true, ..LaterView::default() },
        Later::Done(review) => {
            let statement = &review.statement;
            let found = FindingView {
                by: name_of(Principal::Person(statement.reviewer), directory),
                finding: statement.finding,
                group: statement.group.clone(),
                note: Shown::new(&gateway.shown_words(summary, &statement.note)),
                at: review.at,
                key: key_word(&review.signed.proof),
            };
            LaterView { found: Some(found), ..LaterView::default() }
        }
    }
}

impl Stage {
    fn of(gateway: &Gateway, summary: &Summary, directory: &Directory) -> Self {
        let words = |text: &str| gateway.shown_words(summary, text);
        match &summary.approval {
            Approval::Pending(pending) => Self::Pending { question: pending.case.question_open() },
            Approval::Approved(approved) => Self::Approved {
                spend_by: approved.spend_by,
                by_itself: summary.run_when_gone == RunWhenGone::Yes,
            },
            Approval::Executing(executing) => Self::Executing { since: executing.since },
            Approval::Finished(finished) => {
                let detail = words(&finished.outcome.detail);
                Self::Finished { outcome: Outcome { detail, ..finished.outcome.clone() }, at: finished.at }
            }
            Approval::Denied(denied) => match &denied.by {
                DeniedBy::Person(person, why) => Self::Denied {
                    by: Some(name_of(Principal::Person(*person), directory)),
                    why: why.as_deref().map(|why| Shown::new(&words(why))),
                    at: denied.at,
                },
                DeniedBy::Policy(why) => Self::Denied { by: None, why: Some(Shown::new(why)), at: denied.at },
            },
            Approval::Expired(ended) => Self::Expired { at: ended.at },
            Approval::Cancelled(cancelled) => Self::Cancelled {
                by: name_of(cancelled.by, directory),
                reason: Shown::new(&words(&cancelled.reason)),
                at: cancelled.at,
            },
        }
    }

    /// The state's word, as the API says it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Approved { .. } => "approved",
            Self::Executing { .. } => "executing",
            Self::Finished { .. } => "finished",
            Self::Denied { .. } => "denied",
            Self::Expired { .. } => "expired",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Whether people may still decide.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Pending { .. } | Self::Approved { .. })
    }
}

impl View {
    /// Whether an approval takes typing a name.
    pub(crate) fn is_high_risk(&self) -> bool {
        let loud = self.card.production && self.group == VerbGroup::Destroy;
        self.card.risk.score >= limits::HIGH_RISK || loud
    }

    /// What a reviewer types to approve: the resource's name where it can be typed, else the target's.
    pub(crate) fn to_type(&self) -> String {
        let resource = typeable(&self.card.resource);
        resource
            .filter(|name| name.chars().count() <= limits::TYPED_CHARS)
            .unwrap_or_else(|| self.card.target.clone())
    }
}

/// The words, where they are what they look like and stand on one line.
fn typeable(shown: &Shown) -> Option<String> {
    let text = crate::words::original(shown)?;
    (domain::text::is_plain(&text) && text.trim() == text && !text.is_empty()).then_some(text)
}
