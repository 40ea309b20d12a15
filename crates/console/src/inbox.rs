//! The inbox: what waits, for whom, how risky and for how long, most pressing first.

pub(crate) mod view;

use std::cmp::Reverse;
use std::sync::Arc;

use axum::extract::{Query, State};
use domain::action::Point;
use domain::approval::{Approval, Case};
use domain::directory::Directory;
use domain::id::{ActionId, GroupName};
use domain::outcome::Ending;
use domain::principal::Principal;
use domain::requirement::Progress;
use domain::time::Timestamp;
use domain::verb::VerbGroup;
use gateway::card::{Shown, name_of};
use gateway::people::Human;
use gateway::store::{Cursor, Filter, Summary, limits::PAGE_LIMIT};
use gateway::{Gateway, GatewayError, risk};
use serde::Deserialize;

use crate::failure::Failure;
use crate::frame::{Frame, Page, Room};
use crate::limits;
use crate::viewer::SignedIn;

/// The states in which something can still happen.
const OPEN: [&str; 3] = ["pending", "approved", "executing"];
/// The states in which nothing can.
const DONE: [&str; 4] = ["finished", "denied", "expired", "cancelled"];

/// Which requests are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tab {
    /// Those that wait for whoever looks.
    #[default]
    Mine,
    /// All that are open.
    All,
    /// Those that have ended.
    Done,
    /// Those whose broken glass nobody has looked at.
    Glass,
}

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    tab: Tab,
    after: Option<String>,
}

/// The inbox of one person at one moment.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) tab: Tab,
    /// How many wait for whoever looks.
    pub(crate) mine: usize,
    /// How many are open.
    pub(crate) open: usize,
    /// How many of the open ones touch production.
    pub(crate) production: usize,
    /// When the next of those that wait for whoever looks lapses.
    pub(crate) next: Option<Timestamp>,
    /// Whether there are more open requests than were looked through.
    pub(crate) more: bool,
    pub(crate) rows: Vec<Row>,
    /// Whether whoever looks administers, and is shown the list of broken glass though it is empty.
    pub(crate) administers: bool,
    /// How many broken glasses that whoever looks may see wait for somebody to look at them.
    pub(crate) glass: usize,
    /// Behind which row older ended requests stand.
    pub(crate) older: Option<ActionId>,
    pub(crate) now: Timestamp,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: ActionId,
    pub(crate) verb: &'static str,
    pub(crate) group: VerbGroup,
    pub(crate) resource: Shown,
    pub(crate) environment: String,
    pub(crate) production: bool,
    pub(crate) target: String,
    pub(crate) risk: i64,
    pub(crate) agent: String,
    /// The first rule's words, and how many more rules hold it.
    pub(crate) why: Option<(String, usize)>,
    pub(crate) stage: Stage,
    pub(crate) missing: Vec<Progress>,
    pub(crate) question: bool,
    /// Whether glass was broken.
    pub(crate) broken_glass: bool,
    /// Whether whoever looks may look at the broken glass, and sign what they find.
    pub(crate) may_look_back: bool,
    pub(crate) mine: Mine,
}

/// How far a request is, as a row says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// People are asked, until then.
    Waiting(Timestamp),
    /// It may run, until then.
    Approved(Timestamp),
    /// It runs.
    Running,
    /// It ended so, then.
    Ended(&'static str, Timestamp),
}

/// What whoever looks can do for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mine {
    Decide,
    Answer,
    Nothing,
}

/// `GET /`.
pub(crate) async fn page(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Query(asked): Query<Asked>,
) -> Result<Page, Failure> {
    let inbox = gather(&gateway, &signed_in.0, &asked).await?;
    let (viewer, title) = (signed_in.viewer(&gateway), view::title(inbox.mine));
    let frame =
        Frame { title: &title, room: Room::Inbox, viewer: &viewer, scripts: &["inbox.js"], now: inbox.now };
    Ok(Page(frame.around(&view::page(&inbox))))
}

/// `GET /inbox/list`: the list alone, for the page that keeps itself current.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Query(asked): Query<Asked>,
) -> Result<Page, Failure> {
    Ok(Page(view::list(&gather(&gateway, &signed_in.0, &asked).await?)))
}

async fn gather(gateway: &Gateway, human: &Human, asked: &Asked) -> Result<Inbox, Failure> {
    let (open, more) = open_requests(gateway, human).await?;
    let directory = gateway.directory();
    let mut rows = rows_of(gateway, &directory, human, open.iter()).await?;
    rows.sort_by_key(|row| (Reverse(row.risk), row.stage.until(), row.id));
    let mut inbox = Inbox {
        tab: asked.tab,
        mine: rows.iter().filter(|row| row.mine != Mine::Nothing).count(),
        open: rows.len(),
        production: rows.iter().filter(|row| row.production).count(),
        next: rows.iter().filter(|row| row.mine != Mine::Nothing).filter_map(|row| row.stage.until()).min(),
        more,
        rows,
        administers: administers(&directory, human),
        glass: broken_glass(gateway, human, None).await?.0.len(),
        older: None,
        now: gateway.now(),
    };
    match asked.tab {
        Tab::All => {}
        Tab::Mine => inbox.rows.retain(|row| row.mine != Mine::Nothing),
        Tab::Done => {
            let done = store_page(gateway, &DONE, after(asked), limits::DONE_ROWS).await?;
            let visible = done.rows.iter().filter(|row| gateway.may_see(row, human.person));
            inbox.rows = rows_of(gateway, &directory, human, visible).await?;
            inbox.older = done.next.map(|Cursor(id)| id);
        }
        Tab::Glass => {
            let (found, after) = broken_glass(gateway, human, after(asked)).await?;
            inbox.rows = rows_of(gateway, &directory, human, found.iter()).await?;
            inbox.older = after.map(|Cursor(id)| id);
        }
    }
    Ok(inbox)
}

fn after(asked: &Asked) -> Option<Cursor> {
    asked.after.as_deref().and_then(|id| id.parse().ok()).map(Cursor)
}

fn administers(directory: &Directory, human: &Human) -> bool {
    directory.person(human.person).is_some_and(|person| person.groups.contains(&GroupName::admins()))
}

/// A page of those whose broken glass nobody has looked at, as far as whoever looks may see them, and where the next begins.
async fn broken_glass(
    gateway: &Gateway,
    human: &Human,
    after: Option<Cursor>,
) -> Result<(Vec<Summary>, Option<Cursor>), Failure> {
    let filter = Filter { awaits_later_review: true, ..Filter::default() };
    let mut page = gateway.store().list(&filter, after, PAGE_LIMIT).await.map_err(GatewayError::from)?;
    page.rows.retain(|row| gateway.may_see(row, human.person));
    Ok((page.rows, page.next))
}

async fn open_requests(gateway: &Gateway, human: &Human) -> Result<(Vec<Summary>, bool), Failure> {
    let (mut open, mut after) = (Vec::new(), None);
    for _ in 0..limits::INBOX_PAGES {
        let page = store_page(gateway, &OPEN, after, PAGE_LIMIT).await?;
        open.extend(page.rows.into_iter().filter(|row| gateway.may_see(row, human.person)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok((open, after.is_some()))
}

async fn store_page(
    gateway: &Gateway,
    states: &[&str],
    after: Option<Cursor>,
    limit: usize,
) -> Result<gateway::store::Page<Summary>, Failure> {
    let states = states.iter().map(|&state| state.to_owned()).collect();
    let filter = Filter { states, ..Filter::default() };
    gateway.store().list(&filter, after, limit).await.map_err(|error| GatewayError::from(error).into())
}

/// The rows of a list. Only so many are looked into for what their viewer may not open; of the rest, only what they ask
/// for counts.
async fn rows_of<'a>(
    gateway: &Gateway,
    directory: &Directory,
    human: &Human,
    listed: impl Iterator<Item = &'a Summary>,
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for (number, summary) in listed.enumerate() {
        let may_approve = if number < limits::LOOKED_INTO {
            gateway.may_approve_listed(summary, human.person).await?
        } else {
            gateway.standing(summary, human.person).may_approve
        };
        rows.push(row(gateway, directory, human, summary, may_approve));
    }
    Ok(rows)
}

fn row(gateway: &Gateway, directory: &Directory, human: &Human, summary: &Summary, may_approve: bool) -> Row {
    let (action, case) = (summary.action.parts(), summary.approval.case());
    let rules = &case.evaluation.rules;
    Row {
        id: action.id,
        verb: action.verb.as_str(),
        group: action.verb.group(),
        resource: Shown::new(&named(gateway, summary, directory)),
        environment: action.resource.environment.to_string(),
        production: action.resource.is_production(),
        target: action.target.name.to_string(),
        risk: risk::of(action, &case.evaluation.facts).score,
        agent: name_of(action.chain.caller, directory),
        why: rules.first().map(|rule| (rule.why.clone(), rules.len() - 1)),
        stage: Stage::of(&summary.approval),
        missing: case.open(),
        question: case.question_open(),
        broken_glass: case.broken_glass().next().is_some(),
        may_look_back: gateway.later_standing(summary, human.person).group.is_some(),
        mine: mine(case, human, summary, may_approve),
    }
}

/// The resource's name, masked; of a person or an agent, what they are called.
fn named(gateway: &Gateway, summary: &Summary, directory: &Directory) -> String {
    let action = summary.action.parts();
    match (action.point, action.resource.name.parse::<Principal>()) {
        (Point::Config, Ok(principal)) => name_of(principal, directory),
        (_, _) => gateway.shown_resource(summary),
    }
}

fn mine(case: &Case, human: &Human, summary: &Summary, may_approve: bool) -> Mine {
    let on_chain = case.chain.parties().any(|party| party == Principal::Person(human.person));
    if summary.approval.is_terminal() {
        Mine::Nothing
    } else if on_chain && case.question_open() {
        Mine::Answer
    } else if matches!(summary.approval, Approval::Pending(_)) && may_approve {
        Mine::Decide
    } else {
        Mine::Nothing
    }
}

impl Stage {
    fn of(approval: &Approval) -> Self {
        match approval {
            Approval::Pending(pending) => Self::Waiting(pending.case.expires),
            Approval::Approved(approved) => Self::Approved(approved.spend_by),
            Approval::Executing(_) => Self::Running,
            Approval::Denied(denied) => Self::Ended("denied", denied.at),
            Approval::Expired(ended) => Self::Ended("lapsed", ended.at),
            Approval::Cancelled(cancelled) => Self::Ended("taken back", cancelled.at),
            Approval::Finished(finished) => {
                let word = match finished.outcome.ending {
                    Ending::Succeeded => "succeeded",
                    Ending::Failed => "failed",
                    Ending::Unknown => "unknown",
                };
                Self::Ended(word, finished.at)
            }
        }
    }

    fn until(self) -> Option<Timestamp> {
        match self {
            Self::Waiting(until) | Self::Approved(until) => Some(until),
            Self::Running | Self::Ended(..) => None,
        }
    }
}
