//! The trail, searched: by facets, words and time, newest first. Administrators only, and no agent ever.

use ::search::{Ask, Clause, Facet, Hit, Moment, Place, Query, QueryError, SearchError};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::id::{ActionId, GroupName};
use domain::principal::Principal;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::HumanCaller;
use super::config::{PAGE_DEFAULT, PAGE_LIMIT, UNAVAILABLE_RETRY_SECONDS};
use super::parse::StrictQuery;
use super::reply::Problem;
use super::shapes::{Id, PrincipalText};

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(find))
}

/// What is looked for. All must hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SearchQuery {
    /// A query: `who:ana verb:http.delete env:production "drop table" since:2026-11-01`.
    #[param(max_length = 1024)]
    q: Option<String>,
    /// Whoever has to do with it: a name, `agent:<id>` or `person:<id>`.
    who: Option<String>,
    /// The agent that asked, by name or id.
    agent: Option<String>,
    /// The agent's sponsor, by name or id.
    sponsor: Option<String>,
    /// What would be done.
    verb: Option<String>,
    /// The route.
    target: Option<String>,
    /// Where the resource stands.
    environment: Option<String>,
    /// What policy or a human said.
    verdict: Option<String>,
    /// A rule that decided.
    rule: Option<String>,
    /// What kind of thing happened.
    kind: Option<String>,
    /// How it ended.
    outcome: Option<String>,
    /// Where it is on record.
    source: Option<String>,
    /// Not before this moment: `2026-11-01`, `2026-11-01T08:30Z`, or `7d` ago.
    since: Option<String>,
    /// Before this moment, written likewise.
    until: Option<String>,
    /// Where the page begins: the `next` of the page before.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    cursor: Option<u64>,
    /// How many results, 1 to 200; 50 where it is not stated.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
    /// Whether the values of facets are counted. Only on the first page.
    counts: Option<bool>,
}

/// A page of the trail, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SearchPage {
    /// The results. A page may hold fewer than asked for, and still have a next one: what one search may cost
    /// is bounded.
    pub results: Vec<SearchResult>,
    /// The next page's `cursor`; none on the last.
    pub next: Option<u64>,
    /// The counts, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<SearchCounts>,
    /// How far the index has followed the log.
    pub indexed: Indexed,
    /// Whether something that the log names is not in this index at all, so that what is not found here may stand there.
    pub incomplete: bool,
    /// Why, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete_why: Option<String>,
}

/// How far the index has followed the log.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct Indexed {
    /// How many entries of the log have been read.
    pub entries: u64,
    /// How many the log has.
    pub of: u64,
}

/// One thing that happened. The index is derived and masked: the log's entry or the segment's line is the record.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SearchResult {
    /// When, in microseconds.
    #[schema(value_type = u64)]
    pub time: Timestamp,
    /// What kind of thing, such as `request`, `decision`, `review`, `outcome`.
    pub kind: String,
    /// Where it is on record.
    pub record: RecordPlace,
    /// The action that it belongs to.
    #[schema(value_type = Option<Id>)]
    pub action: Option<ActionId>,
    /// Whether people were asked about the action: an approval stands under its id.
    pub held: bool,
    /// Who did this.
    pub by: Option<Named>,
    /// The agent that asked.
    pub agent: Option<Named>,
    /// Who answers for the agent.
    pub sponsor: Option<Named>,
    /// Everybody who has to do with it.
    pub who: Vec<Named>,
    /// What would be done.
    pub verb: Option<String>,
    /// The resource, as the caller wrote it, masked.
    pub resource: Option<String>,
    /// Where it stands.
    pub environment: Option<String>,
    /// The route.
    pub target: Option<String>,
    /// What policy or a human said.
    pub verdict: Option<String>,
    /// The rules that decided.
    pub rules: Vec<String>,
    /// How it ended.
    pub outcome: Option<String>,
    /// Who says how it ended, `observed` or `reported`; or that all of it was `reported`.
    pub said: Option<String>,
    /// Where it was intercepted.
    pub point: Option<String>,
    /// Whether the caller could have gone round: `enforced` or `cooperative`.
    pub level: Option<String>,
    /// What somebody said: a reason, a note, an answer; masked.
    pub words: Option<String>,
    /// What is said beside: a target's own word, a run's id; masked.
    pub detail: Option<String>,
}

/// Where a thing is on record: an entry of the log, or a line of an activity segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordPlace {
    /// The log's entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// The segment's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// Where in the segment the line begins, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

/// Somebody, with the name that they have now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Named {
    /// Who.
    #[schema(value_type = PrincipalText)]
    pub principal: String,
    /// What they are called.
    pub name: String,
}

/// How many results have which values.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SearchCounts {
    /// How many were counted, the newest first.
    pub records: u64,
    /// Whether there are more: then every number says "at least".
    pub more: bool,
    /// The commonest values of each facet.
    pub facets: Vec<SearchCount>,
}

/// How many results have a value.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SearchCount {
    /// The facet, as a query names it.
    pub facet: String,
    /// Its value.
    pub value: String,
    /// What whoever it is, is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many.
    pub records: u64,
}

/// What happened, by facets, words and time.
#[utoipa::path(
    get, path = "/search", tag = "log", operation_id = "searchTrail",
    params(SearchQuery),
    responses((status = 200, description = "A page of the trail", body = SearchPage)),
    security(("session" = []), ("cookie" = []))
)]
async fn find(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    StrictQuery(asked): StrictQuery<SearchQuery>,
) -> Result<Json<SearchPage>, Problem> {
    let directory = app.gateway.directory();
    let known = directory.person(human.person).filter(|person| person.active);
    if !known.is_some_and(|person| person.groups.contains(&GroupName::admins())) {
        let detail = "the whole trail is searched by administrators; your own requests are in the inbox";
        return Err(Problem::forbidden("admins-only", detail));
    }
    let now = app.gateway.now();
    let query = asked.read(now)?;
    let limit = match asked.limit.map(usize::from) {
        None => PAGE_DEFAULT,
        Some(limit) if (1..=PAGE_LIMIT).contains(&limit) => limit,
        Some(_) => return Err(Problem::bad("bad-query", format!("`limit` is 1 to {PAGE_LIMIT}"))),
    };
    let ask = Ask {
        plan: query.plan(directory.as_ref()),
        cursor: asked.cursor,
        limit,
        counts: asked.counts.unwrap_or(false),
    };
    let answer = app.search.search(ask).await.map_err(failed)?;
    let name = |principal: &str| {
        principal.parse::<Principal>().map(|known| gateway::card::name_of(known, &directory)).ok()
    };
    let counts = answer.counts.map(|counts| SearchCounts {
        records: counts.records,
        more: counts.more,
        facets: counts
            .facets
            .into_iter()
            .map(|one| SearchCount {
                name: if one.facet.is_principal() { name(&one.value) } else { None },
                facet: one.facet.as_str().to_owned(),
                value: one.value,
                records: one.records,
            })
            .collect(),
    });
    let of = app.gateway.store().head().await?.size;
    let elsewhere = app.search.elsewhere().map_err(failed)?;
    Ok(Json(SearchPage {
        results: answer.hits.iter().map(|hit| SearchResult::of(hit, &name)).collect(),
        next: answer.next,
        counts,
        indexed: Indexed { entries: app.search.progress().entries.min(of), of },
        incomplete: elsewhere > 0,
        incomplete_why: (elsewhere > 0).then(|| {
            format!(
                "the permits, denials and reports in {elsewhere} segments of activity are not in this gateway's folder, and are \
                 not found here; ask the other gateways over this store too"
            )
        }),
    }))
}

impl SearchQuery {
    /// The query with what the parameters add to it.
    fn read(&self, now: Timestamp) -> Result<Query, Problem> {
        let query =
            Query::parse(self.q.as_deref().unwrap_or_default(), now).map_err(|error| unread(&error))?;
        let facets = [
            (Facet::Who, &self.who),
            (Facet::Agent, &self.agent),
            (Facet::Sponsor, &self.sponsor),
            (Facet::Verb, &self.verb),
            (Facet::Target, &self.target),
            (Facet::Environment, &self.environment),
            (Facet::Verdict, &self.verdict),
            (Facet::Rule, &self.rule),
            (Facet::Kind, &self.kind),
            (Facet::Outcome, &self.outcome),
            (Facet::Source, &self.source),
        ];
        let mut more: Vec<Clause> = facets
            .into_iter()
            .filter_map(|(facet, value)| {
                let value = value.clone()?;
                Some(Clause::Facet { facet, value, prefix: false, not: false })
            })
            .collect();
        let moment = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => Moment::read(text, now).map(Some).ok_or_else(|| {
                let detail = format!(
                    "`{name}` is a moment: `2026-11-01`, `2026-11-01T08:30Z`, or `30m`, `24h`, `7d` ago"
                );
                Problem::bad("bad-query", detail)
            }),
        };
        more.extend(moment("since", &self.since)?.map(Clause::Since));
        more.extend(moment("until", &self.until)?.map(Clause::Until));
        Ok(query.and(&Query::of(more)))
    }
}

fn unread(error: &QueryError) -> Problem {
    Problem::bad("bad-query", format!("`q` does not read, {error}"))
        .with("at", error.at)
        .with("length", error.length)
}

fn failed(error: SearchError) -> Problem {
    match error {
        SearchError::Store(error) => error.into(),
        SearchError::Failed(why) => {
            tracing::error!(why, "the trail could not be searched");
            let detail = "the search index does not answer; an operator can rebuild it: it is derived";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
                .retry_after(UNAVAILABLE_RETRY_SECONDS)
        }
    }
}

impl SearchResult {
    fn of(hit: &Hit, name: &dyn Fn(&str) -> Option<String>) -> Self {
        let text = |facet| hit.first(facet).map(str::to_owned);
        let named =
            |principal: &str| name(principal).map(|name| Named { principal: principal.to_owned(), name });
        let one = |facet| hit.first(facet).and_then(named);
        let record = match &hit.place {
            Place::Log(index) => RecordPlace { entry: Some(*index), segment: None, offset: None },
            Place::Activity { segment, offset } => {
                RecordPlace { entry: None, segment: Some(segment.clone()), offset: Some(*offset) }
            }
        };
        Self {
            time: hit.time,
            kind: text(Facet::Kind).unwrap_or_default(),
            record,
            action: hit.action,
            held: hit.first(Facet::Held).is_some(),
            by: one(Facet::By),
            agent: one(Facet::Agent),
            sponsor: one(Facet::Sponsor),
            who: hit.all(Facet::Who).filter_map(named).collect(),
            verb: text(Facet::Verb),
            resource: hit.words.resource.clone(),
            environment: text(Facet::Environment),
            target: text(Facet::Target),
            verdict: text(Facet::Verdict),
            rules: hit.all(Facet::Rule).map(str::to_owned).collect(),
            outcome: text(Facet::Outcome),
            said: text(Facet::Said),
            point: text(Facet::Point),
            level: text(Facet::Level),
            words: hit.words.words.clone(),
            detail: hit.words.detail.clone(),
        }
    }
}
