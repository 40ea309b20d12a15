//! Where requests were brought to people, and whether they arrived: what the rooms that reach them keep, for everybody
//! else to read.

use std::collections::BTreeSet;
use std::fmt;

use domain::digest::Digest;
use domain::id::{ActionId, GroupName, PersonId, TargetName};
use domain::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Parcel, ParcelCursor, ParcelFilter, Summary};

use crate::people::Human;
use crate::{Gateway, GatewayError};

/// Where a delivery goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Place {
    /// A place that several read: a conversation, a list, an endpoint.
    Shared(String),
    /// One person, at an address of theirs: a linked account's team and user, or an e-mail address.
    Person {
        /// Who.
        person: PersonId,
        /// In which team of the provider; empty where it has none.
        team: String,
        /// Their user id there, or their address.
        address: String,
    },
}

impl Place {
    /// Who alone reads it, where one person does.
    #[must_use]
    pub fn person(&self) -> Option<PersonId> {
        match self {
            Self::Shared(_) => None,
            Self::Person { person, .. } => Some(*person),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(place) => f.write_str(place),
            Self::Person { team, address, .. } if team.is_empty() => f.write_str(address),
            Self::Person { team, address, .. } => write!(f, "{team}/{address}"),
        }
    }
}

/// Why a request goes to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// A route names the place.
    Asked,
    /// Nobody decided in time, and a route names the place for that.
    Escalated,
}

/// What a place may be shown of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shows {
    /// Who, what and where; nothing of the payload or the caller's words.
    #[default]
    Metadata,
    /// The command too, masked as its route says.
    Command,
}

/// Where a card stands: what a channel answered, and gets back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// The provider's team, workspace or tenant; empty where it has none.
    pub team: String,
    /// The provider's id of the conversation, or the address.
    pub place: String,
    /// The provider's id of the message there. A click counts only if all three are the ones that stand here.
    pub message: String,
    /// What else the channel needs to bring it up to date, as it wrote it; 2,048 bytes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<String>,
}

impl Placed {
    /// Whether this is the same message.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        (&self.team, &self.place, &self.message) == (&other.team, &other.place, &other.message)
    }
}

/// What stands in a place now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// Where.
    pub placed: Placed,
    /// The request's version that it shows.
    pub version: u64,
    /// The request's state that it shows.
    pub state: String,
    /// The digest of the gateway's card that it was made of.
    pub displayed: Digest,
    /// When it came there first.
    pub first: Timestamp,
    /// When it was brought up to date last.
    pub last: Timestamp,
}

/// Reminders to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reminders {
    /// After how many seconds of silence each.
    pub every: u64,
    /// How many are left.
    pub left: u32,
    /// When the next one is due, once the card stands.
    pub next: Option<Timestamp>,
}

/// What is kept of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The version of this record: 1.
    pub v: u8,
    /// Where to.
    pub to: Place,
    /// Why there.
    pub why: Reason,
    /// What the place may be shown.
    pub shows: Shows,
    /// Not before this moment: an escalation waits for the others.
    pub not_before: Timestamp,
    /// Reminders, where the route asks for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminders: Option<Reminders>,
    /// What stands there, once it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
    /// How many tries have failed since the last that did not.
    #[serde(default)]
    pub failures: u32,
    /// Why the last try failed, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The request's version for which it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<u64>,
    /// Whether it was not needed any more when its time came.
    #[serde(default)]
    pub unneeded: bool,
}

impl Record {
    /// Reads what a parcel holds.
    ///
    /// # Errors
    /// [`GatewayError::Malformed`] for what is no such record.
    pub fn read(parcel: &Parcel) -> Result<Self, GatewayError> {
        Ok(domain::canonical::read(&parcel.record)?)
    }

    /// Its bytes.
    ///
    /// # Errors
    /// None that a value of this type can cause.
    pub fn write(&self) -> Result<Vec<u8>, GatewayError> {
        Ok(domain::canonical::write(self)?)
    }
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrived {
    /// Its time has not come.
    Waiting,
    /// It is on its way.
    Sending,
    /// A try failed; it is tried again.
    Retrying,
    /// It stands there, as the request stands.
    Delivered,
    /// It was given up.
    Failed,
    /// It was not needed any more when its time came.
    Unneeded,
}

impl Arrived {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Unneeded => "unneeded",
        }
    }
}

/// One delivery, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryView {
    /// The request.
    pub approval: ActionId,
    /// By which channel.
    pub channel: TargetName,
    /// When it was planned.
    pub made: Timestamp,
    /// How it stands.
    pub arrived: Arrived,
    /// When it is looked at next, where that is known.
    pub next: Option<Timestamp>,
    /// What is kept of it.
    pub record: Record,
}

/// A page of deliveries, newest first.
#[derive(Debug, Clone)]
pub struct DeliveryPage {
    /// The rows.
    pub rows: Vec<DeliveryView>,
    /// Where the next page begins; none on the last.
    pub next: Option<ParcelCursor>,
}

/// Whom policy says to tell of a request besides those who review it. It widens who hears, never who may review.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hearers {
    /// The places that its rules name (`@notify`), such as `#dba`.
    pub notify: BTreeSet<String>,
    /// The groups that hear of it when nobody has decided after so long (`@escalate`).
    pub escalate: Vec<(Span, GroupName)>,
}

impl Gateway {
    /// Whom policy says to tell of a request besides those who review it: what the rules say now that hold it.
    ///
    /// # Errors
    /// A stored policy set that does not load.
    pub fn hearers(&self, summary: &Summary) -> Result<Hearers, GatewayError> {
        let deciding = self.deciding(&self.store.directory())?;
        let mut hearers = Hearers::default();
        for rule in &summary.approval.case().evaluation.rules {
            let Some(terms) = deciding.set().rule(&rule.id).and_then(policy::Rule::terms) else { continue };
            hearers.notify.extend(terms.notify.iter().cloned());
            hearers.escalate.extend(terms.escalate.iter().map(|to| (to.after, to.group.clone())));
        }
        Ok(hearers)
    }

    /// Where a request was brought, for whoever may see it.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] for whoever may not; store failures.
    pub async fn deliveries_of(
        &self,
        human: &Human,
        id: ActionId,
    ) -> Result<Vec<DeliveryView>, GatewayError> {
        self.approval_for(id, human).await?;
        let filter = ParcelFilter { approval: Some(id), ..ParcelFilter::default() };
        Ok(self.delivery_page(&filter, None, store::limits::PAGE_LIMIT).await?.rows)
    }

    /// Every delivery, for administrators.
    ///
    /// # Errors
    /// [`GatewayError::Forbidden`] for others; store failures.
    pub async fn deliveries(
        &self,
        human: &Human,
        filter: &ParcelFilter,
        after: Option<ParcelCursor>,
        limit: usize,
    ) -> Result<DeliveryPage, GatewayError> {
        self.require_admin(human)?;
        self.delivery_page(filter, after, limit).await
    }

    async fn delivery_page(
        &self,
        filter: &ParcelFilter,
        after: Option<ParcelCursor>,
        limit: usize,
    ) -> Result<DeliveryPage, GatewayError> {
        let (parcels, next) = self.store.parcels(filter, after, limit).await?;
        let now = self.store.now();
        let rows = parcels.iter().map(|parcel| view(parcel, now)).collect::<Result<Vec<_>, _>>()?;
        Ok(DeliveryPage { rows, next })
    }
}

fn view(parcel: &Parcel, now: Timestamp) -> Result<DeliveryView, GatewayError> {
    let record = Record::read(parcel)?;
    let arrived = if record.unneeded {
        Arrived::Unneeded
    } else if record.given_up.is_some() && parcel.due.is_none() {
        Arrived::Failed
    } else if record.failures > 0 {
        Arrived::Retrying
    } else if record.sent.is_some() {
        Arrived::Delivered
    } else if now < record.not_before {
        Arrived::Waiting
    } else {
        Arrived::Sending
    };
    Ok(DeliveryView {
        approval: parcel.approval,
        channel: parcel.channel.clone(),
        made: parcel.made,
        arrived,
        next: parcel.due,
        record,
    })
}
