//! Where a request goes: the configuration's routes, held against the request as it stands. Pure.

use std::collections::{BTreeMap, BTreeSet};

use domain::approval::Case;
use domain::directory::{Directory, Person};
use domain::id::{GroupName, PersonId};
use domain::time::Span;
use gateway::deliveries::{Hearers, Place, Reason, Record, Reminders};
use gateway::store::Summary;

use crate::config::Route;
use crate::email;
use crate::limits::PLACES;

/// One place for a request, by one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) channel: domain::id::TargetName,
    pub(super) record: Record,
}

/// Every place for a request that waits. Of several routes to one place by one channel the first counts.
pub(super) fn places(
    routes: &[Route],
    summary: &Summary,
    hearers: &Hearers,
    directory: &Directory,
    addresses: &BTreeMap<PersonId, String>,
    may_review: &dyn Fn(PersonId) -> bool,
) -> Vec<Planned> {
    let case = summary.approval.case();
    let mut seen = BTreeSet::new();
    let mut planned = Vec::new();
    for (route, after) in routes.iter().filter_map(|route| Some((route, applies(route, summary, hearers)?))) {
        // Whom policy escalates to hears of it, whether or not they may review it.
        let hears = |person| after > Span::from_seconds(0) || may_review(person);
        let places = match &route.to {
            None => vec![Place::Shared(route.channel.to_string())],
            Some(_) if route.is_to_people() => people(route, case, directory, addresses, &hears),
            Some(place) => vec![Place::Shared(place.clone())],
        };
        for to in places {
            if planned.len() < PLACES && seen.insert((route.channel.clone(), to.clone())) {
                planned
                    .push(Planned { channel: route.channel.clone(), record: record(route, after, case, to) });
            }
        }
    }
    planned
}

fn record(route: &Route, after: Span, case: &Case, to: Place) -> Record {
    let after = Span::from_seconds(after.seconds().max(route.after));
    Record {
        v: 1,
        to,
        why: if after.seconds() > 0 { Reason::Escalated } else { Reason::Asked },
        shows: route.shows,
        not_before: case.requested.after(after),
        reminders: route.reminding().map(|(every, left)| Reminders {
            every: every.as_secs(),
            left,
            next: None,
        }),
        sent: None,
        failures: 0,
        error: None,
        given_up: None,
        unneeded: false,
    }
}

/// After how long a route applies to a request, by what policy says of its group; none where it does not.
fn applies(route: &Route, summary: &Summary, hearers: &Hearers) -> Option<Span> {
    let (parts, case) = (summary.action.parts(), summary.approval.case());
    let after = match &route.group {
        Some(group) if !open_groups(case).contains(group) => {
            let to = hearers.escalate.iter().filter(|(_, to)| to == group);
            to.map(|(after, _)| *after).min_by_key(|after| after.seconds())?
        }
        Some(_) | None => Span::from_seconds(0),
    };
    let fits = route
        .rule
        .as_ref()
        .is_none_or(|rule| case.evaluation.rules.iter().any(|held| held.id == *rule))
        && route.notify.as_ref().is_none_or(|place| hearers.notify.contains(place))
        && route.environment.as_ref().is_none_or(|environment| parts.resource.environment == *environment)
        && route.target.as_ref().is_none_or(|target| parts.target.name == *target)
        && route.risk.is_none_or(|least| gateway::risk::of(parts, &case.evaluation.facts).score >= least);
    fits.then_some(after)
}

fn open_groups(case: &Case) -> BTreeSet<GroupName> {
    case.open().into_iter().map(|progress| progress.group).collect()
}

/// Each who may review it now, by themself: of the route's group, or of every group that is waited for. Whoever has no
/// address in the channel is not reached by it.
fn people(
    route: &Route,
    case: &Case,
    directory: &Directory,
    addresses: &BTreeMap<PersonId, String>,
    may_review: &dyn Fn(PersonId) -> bool,
) -> Vec<Place> {
    let groups = match &route.group {
        Some(group) => [group.clone()].into(),
        None => open_groups(case),
    };
    let asked = |person: &&Person| groups.iter().any(|group| person.groups.contains(group));
    directory
        .active_people()
        .filter(asked)
        .filter(|person| may_review(person.id))
        .flat_map(|person| at(route.channel.as_str(), person, addresses))
        .collect()
}

fn at(channel: &str, person: &Person, addresses: &BTreeMap<PersonId, String>) -> Vec<Place> {
    if channel == email::NAME {
        let address = addresses.get(&person.id).cloned();
        return address
            .map(|address| Place::Person { person: person.id, team: String::new(), address })
            .into_iter()
            .collect();
    }
    let linked = person.accounts.iter().filter(|account| account.provider() == channel);
    linked
        .map(|account| Place::Person {
            person: person.id,
            team: account.team().to_owned(),
            address: account.user().to_owned(),
        })
        .collect()
}
