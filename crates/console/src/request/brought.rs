//! Where a request was brought to people, and whether it arrived.

use domain::id::TargetName;
use domain::principal::Principal;
use domain::time::Timestamp;
use gateway::Gateway;
use gateway::card::name_of;
use gateway::deliveries::{Arrived, Reason};
use gateway::people::Human;
use gateway::store::Summary;
use maud::{Markup, html};

use crate::failure::Failure;
use crate::words;

/// One place.
#[derive(Debug)]
pub(crate) struct BroughtView {
    pub(crate) channel: TargetName,
    /// Who alone reads it there; none where several do.
    pub(crate) person: Option<String>,
    pub(crate) to: String,
    pub(crate) escalated: bool,
    pub(crate) arrived: Arrived,
    /// When it arrived first.
    pub(crate) at: Option<Timestamp>,
    /// When it is tried, or brought there, next.
    pub(crate) next: Option<Timestamp>,
    pub(crate) error: Option<String>,
}

/// Every place, in the order in which they were planned.
pub(super) async fn places(
    gateway: &Gateway,
    summary: &Summary,
    human: &Human,
) -> Result<Vec<BroughtView>, Failure> {
    let directory = gateway.directory();
    let mut rows = gateway.deliveries_of(human, summary.action.id()).await?;
    rows.reverse();
    let view = |row: gateway::deliveries::DeliveryView| BroughtView {
        person: row.record.to.person().map(|person| name_of(Principal::Person(person), &directory)),
        to: row.record.to.to_string(),
        channel: row.channel,
        escalated: row.record.why == Reason::Escalated,
        arrived: row.arrived,
        at: row.record.sent.map(|sent| sent.first),
        next: row.next,
        error: row.record.error,
    };
    Ok(rows.into_iter().map(view).collect())
}

/// The list; nothing where it was brought nowhere.
pub(super) fn list(places: &[BroughtView], now: Timestamp) -> Markup {
    html! {
        @if !places.is_empty() {
            details.brought {
                summary { "Who was asked, and where: " (arrived(places)) }
                ul {
                    @for place in places {
                        li {
                            strong { (words::outside(place.person.as_deref().unwrap_or(&place.to))) }
                            " by " (place.channel)
                            @if place.person.is_some() { " " span.dim { (words::outside(&place.to)) } }
                            @if place.escalated { " " span.chip data-tone="ask" { "escalated" } }
                            " · " (told(place, now))
                            @if let Some(error) = &place.error { blockquote { (words::outside(error)) } }
                        }
                    }
                }
            }
        }
    }
}

fn arrived(places: &[BroughtView]) -> String {
    let there = places.iter().filter(|place| place.at.is_some()).count();
    format!("{there} of {} arrived", places.len())
}

fn told(place: &BroughtView, now: Timestamp) -> Markup {
    html! {
        @match (place.arrived, place.at, place.next) {
            (Arrived::Waiting, _, Some(next)) => { "in " (words::until(next, now)) ", if nobody has decided by then" },
            (Arrived::Retrying, _, Some(next)) if next > now => { "did not arrive; tried again in " (words::until(next, now)) },
            (Arrived::Retrying, ..) => { "did not arrive; tried again now" },
            (Arrived::Failed, ..) => { strong { "did not arrive, and was given up" } },
            (Arrived::Unneeded, ..) => { "was not needed any more" },
            (Arrived::Delivered, Some(at), _) => { "arrived " (words::ago(at, now)) },
            (Arrived::Sending | Arrived::Waiting | Arrived::Delivered, ..) => { "on its way" },
        }
    }
}
