//! Where requests were brought to people, when, and whether they arrived.

use axum::Json;
use axum::extract::State;
use domain::id::{ActionId, PersonId, TargetName};
use domain::principal::Principal;
use domain::time::Timestamp;
use gateway::card::name_of;
use gateway::deliveries::{Arrived, DeliveryPage, DeliveryView, Reason};
use gateway::store::{ParcelCursor, ParcelFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::HumanCaller;
use super::config::{PAGE_DEFAULT, PAGE_LIMIT};
use super::parse::StrictQuery;
use super::reply::Problem;
use super::shapes::{Id, Name};
use super::{App, Rest};

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list))
}

/// Which deliveries a listing shows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeliveryQuery {
    /// Only those of this approval, if you may see it; all otherwise, for administrators.
    #[param(value_type = Option<Id>, inline)]
    approval: Option<ActionId>,
    /// Only those of this channel.
    #[param(value_type = Option<Name>, inline)]
    channel: Option<TargetName>,
    /// Where the page begins: the `next` of the page before.
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,16}\\.[0-9a-f-]{36}$", inline)]
    cursor: Option<Place>,
    /// How many rows, 1 to 200; 50 where it is not stated.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// A place in the listing, as `<microseconds>.<id>`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Place(ParcelCursor);

impl TryFrom<String> for Place {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bad = "the `next` of a page before is expected";
        let (made, id) = text.split_once('.').ok_or(bad)?;
        let made = made.parse().map_err(|_| bad)?;
        let id: ActionId = id.parse().map_err(|_| bad)?;
        Ok(Self(ParcelCursor { made: Timestamp::from_micros(made), id: id.uuid() }))
    }
}

/// A page of deliveries, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeliveryRows {
    /// The rows.
    pub deliveries: Vec<DeliveryRow>,
    /// The next page's `cursor`; none on the last.
    pub next: Option<String>,
}

/// One request in one place.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeliveryRow {
    /// The approval.
    #[schema(value_type = Id)]
    pub approval: ActionId,
    /// By which channel.
    pub channel: String,
    /// Where to: a conversation, an address, a user's id.
    pub to: String,
    /// Who alone reads it, where one person does.
    #[schema(value_type = Option<Id>)]
    pub person: Option<PersonId>,
    /// Their name.
    pub name: Option<String>,
    /// Why it goes there.
    pub why: DeliveryReason,
    /// How it stands.
    pub state: DeliveryState,
    /// When it was planned, in microseconds since 1970.
    pub planned: u64,
    /// When it arrived first, in microseconds since 1970.
    pub arrived: Option<u64>,
    /// When it was brought up to date last, in microseconds since 1970.
    pub updated: Option<u64>,
    /// The version of the approval that stands there.
    pub version: Option<u64>,
    /// How many tries have failed since the last that did not.
    pub failures: u32,
    /// Why the last try failed, where it did.
    pub error: Option<String>,
    /// When it is looked at next, where that is known; in microseconds since 1970.
    pub next: Option<u64>,
}

/// Why a request goes to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryReason {
    /// A route names the place.
    Asked,
    /// Nobody decided in time.
    Escalated,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Its time has not come.
    Waiting,
    /// It is on its way.
    Sending,
    /// A try failed; it is tried again.
    Retrying,
    /// It stands there.
    Delivered,
    /// It was given up.
    Failed,
    /// It was not needed any more when its time came.
    Unneeded,
}

/// Where requests were brought, newest first.
#[utoipa::path(
    get, path = "/deliveries", tag = "approvals", operation_id = "listDeliveries",
    params(DeliveryQuery),
    responses((status = 200, description = "A page", body = DeliveryRows)),
    security(("session" = []), ("cookie" = []))
)]
async fn list(
    State(app): State<App>,
    HumanCaller(human): HumanCaller,
    StrictQuery(query): StrictQuery<DeliveryQuery>,
) -> Result<Json<DeliveryRows>, Problem> {
    let page = match query.approval {
        Some(id) => {
            let rows = app.gateway.deliveries_of(&human, id).await?;
            let wanted = |row: &DeliveryView| query.channel.as_ref().is_none_or(|name| row.channel == *name);
            DeliveryPage { rows: rows.into_iter().filter(wanted).collect(), next: None }
        }
        None => {
            let filter = ParcelFilter { approval: None, channel: query.channel };
            let limit = match query.limit.map(usize::from) {
                None => PAGE_DEFAULT,
                Some(limit) if (1..=PAGE_LIMIT).contains(&limit) => limit,
                Some(_) => return Err(Problem::bad("bad-query", format!("`limit` is 1 to {PAGE_LIMIT}"))),
            };
            app.gateway.deliveries(&human, &filter, query.cursor.map(|place| place.0), limit).await?
        }
    };
    let next = page.next.map(|next| format!("{}.{}", next.made.micros(), next.id));
    Ok(Json(DeliveryRows { deliveries: page.rows.iter().map(|row| told(&app, row)).collect(), next }))
}

fn told(app: &Rest, view: &DeliveryView) -> DeliveryRow {
    let record = &view.record;
    let person = record.to.person();
    DeliveryRow {
        approval: view.approval,
        channel: view.channel.to_string(),
        to: record.to.to_string(),
        person,
        name: person.map(|person| name_of(Principal::Person(person), &app.gateway.directory())),
        why: match record.why {
            Reason::Asked => DeliveryReason::Asked,
            Reason::Escalated => DeliveryReason::Escalated,
        },
        state: match view.arrived {
            Arrived::Waiting => DeliveryState::Waiting,
            Arrived::Sending => DeliveryState::Sending,
            Arrived::Retrying => DeliveryState::Retrying,
            Arrived::Delivered => DeliveryState::Delivered,
            Arrived::Failed => DeliveryState::Failed,
            Arrived::Unneeded => DeliveryState::Unneeded,
        },
        planned: view.made.micros(),
        arrived: record.sent.as_ref().map(|sent| sent.first.micros()),
        updated: record.sent.as_ref().map(|sent| sent.last.micros()),
        version: record.sent.as_ref().map(|sent| sent.version),
        failures: record.failures,
        error: record.error.clone(),
        next: view.next.map(Timestamp::micros),
    }
}
