//! The trail: everything that is on record, searched, newest first. For administrators.

pub(crate) mod view;

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query as Address, State};
use domain::directory::Directory;
use domain::time::Timestamp;
use gateway::{Gateway, GatewayError};
use search::{Answer, Ask, Clause, Facet, Index, Query, QueryError};
use serde::Deserialize;

use crate::failure::Failure;
use crate::frame::{Frame, Page, Room};
use crate::limits;
use crate::viewer::{SignedIn, Viewer};

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    q: String,
    after: Option<u64>,
}

/// The trail as one search found it.
pub(crate) struct Trail<'a> {
    /// The query as it was typed.
    pub(crate) typed: String,
    /// The query, where it reads.
    pub(crate) query: Result<Query, QueryError>,
    /// What was found; nothing where the query does not read.
    pub(crate) answer: Option<Answer>,
    /// Whether this is not the first page.
    pub(crate) later: bool,
    /// How many entries of the log the index has not read yet.
    pub(crate) behind: u64,
    /// How many segments of activity are not in this gateway's folder, nor in its index.
    pub(crate) elsewhere: u64,
    pub(crate) directory: &'a Directory,
    pub(crate) now: Timestamp,
}

/// `GET /trail`.
pub(crate) async fn page(
    State(gateway): State<Arc<Gateway>>,
    Extension(index): Extension<Arc<Index>>,
    signed_in: SignedIn,
    Address(asked): Address<Asked>,
) -> Result<Page, Failure> {
    let viewer = administrator(&gateway, &signed_in)?;
    let directory = gateway.directory();
    let trail = gather(&gateway, &index, &directory, asked).await?;
    let frame =
        Frame { title: "Trail", room: Room::Trail, viewer: &viewer, scripts: &["trail.js"], now: trail.now };
    Ok(Page(frame.around(&view::page(&trail))))
}

/// `GET /trail/list`: what was found alone, for the page that keeps itself current.
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Extension(index): Extension<Arc<Index>>,
    signed_in: SignedIn,
    Address(asked): Address<Asked>,
) -> Result<Page, Failure> {
    administrator(&gateway, &signed_in)?;
    let directory = gateway.directory();
    Ok(Page(view::list(&gather(&gateway, &index, &directory, asked).await?)))
}

fn administrator(gateway: &Gateway, signed_in: &SignedIn) -> Result<Viewer, Failure> {
    let viewer = signed_in.viewer(gateway);
    if viewer.admin {
        return Ok(viewer);
    }
    let why = "The whole trail is searched by administrators. Your own requests stand in the inbox.";
    Err(GatewayError::Forbidden(why.to_owned()).into())
}

async fn gather<'a>(
    gateway: &Gateway,
    index: &Arc<Index>,
    directory: &'a Directory,
    asked: Asked,
) -> Result<Trail<'a>, Failure> {
    let now = gateway.now();
    let query = Query::parse(&asked.q, now);
    let answer = match &query {
        Ok(query) => {
            let (plan, cursor, limit) = (query.plan(directory), asked.after, limits::TRAIL_ROWS);
            let ask = Ask { plan, cursor, limit, counts: cursor.is_none() };
            Some(index.search(ask).await.map_err(unavailable)?)
        }
        Err(_) => None,
    };
    let size = gateway.store().head().await.map_err(GatewayError::from)?.size;
    Ok(Trail {
        typed: asked.q,
        query,
        answer,
        later: asked.after.is_some(),
        behind: size.saturating_sub(index.progress().entries),
        elsewhere: index.elsewhere().map_err(unavailable)?,
        directory,
        now,
    })
}

fn unavailable(error: search::SearchError) -> Failure {
    match error {
        search::SearchError::Store(error) => GatewayError::from(error).into(),
        search::SearchError::Failed(why) => {
            tracing::error!(why, "the trail could not be searched");
            GatewayError::Unavailable("the search index does not answer; ask an operator".to_owned()).into()
        }
    }
}

/// The address of a search.
pub(crate) fn address(query: &str, after: Option<u64>) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let escaped: String = query
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    match after {
        Some(after) => format!("/trail?q={escaped}&after={after}"),
        None if escaped.is_empty() => "/trail".to_owned(),
        None => format!("/trail?q={escaped}"),
    }
}

/// Whether a query asks for this value already.
pub(crate) fn asks_for(query: &Query, facet: Facet, value: &str) -> bool {
    query.clauses().iter().any(|clause| match clause {
        Clause::Facet { facet: of, value: known, not: false, .. } => *of == facet && known == value,
        Clause::Facet { .. }
        | Clause::Words { .. }
        | Clause::Since(_)
        | Clause::Until(_)
        | Clause::Action(_)
        | Clause::Entry(_) => false,
    })
}
