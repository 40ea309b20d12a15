//! The trail as a page.

use domain::principal::Principal;
use domain::verb::{Verb, VerbGroup};
use gateway::card::{Shown, name_of};
use maud::{Markup, html};
use search::{Clause, Counts, Facet, Hit, Place, Query, QueryError};

use super::{Trail, address, asks_for};
use crate::marks::{capital, environment_badge, verb_chip};
use crate::words;

/// The page.
pub(crate) fn page(trail: &Trail<'_>) -> Markup {
    html! {
        div.inbox-head {
            h1 { "Trail" }
            p.live id="live" data-state="on" { span.dot aria-hidden="true" {} span.live-word { "Live" } }
        }
        form.search action="/trail" method="get" role="search" {
            label.visually-hidden for="q" { "Search the trail" }
            input id="q" name="q" type="search" value=(trail.typed) maxlength="1024" autocomplete="off" autocapitalize="none"
                spellcheck="false" placeholder="who:ana verb:http.delete env:production \"drop table\" since:7d"
                aria-describedby="q-help" aria-invalid=[trail.query.is_err().then_some("true")];
            button.primary type="submit" { "Search" }
        }
        details.search-help id="q-help" {
            summary { "How to search" }
            (help())
        }
        div id="trail" data-first[!trail.later] { (list(trail)) }
        p.keys.dim.fine { kbd { "/" } " search  " kbd { "j" } kbd { "k" } " move  " kbd { "Enter" } " opens" }
    }
}

/// What is replaced when something moves.
pub(crate) fn list(trail: &Trail<'_>) -> Markup {
    html! {
        div.trail id="trail-list" {
            section.trail-found aria-label="What was found" {
                @match &trail.query {
                    Err(error) => { (broken(&trail.typed, error)) },
                    Ok(query) => {
                        (chosen(query))
                        @if let Some(answer) = &trail.answer {
                            (total(trail, answer.counts.as_ref()))
                            @if answer.hits.is_empty() { (nothing(query, answer.next.is_some())) } @else {
                                ol.rows { @for hit in &answer.hits { (row(hit, trail)) } }
                            }
                            @if let Some(next) = answer.next {
                                p { a.button href=(address(&query.to_string(), Some(next))) { "Older" } }
                            }
                        }
                    },
                }
            }
            @if let (Ok(query), Some(counts)) = (&trail.query, trail.answer.as_ref().and_then(|a| a.counts.as_ref())) {
                (facets(query, counts, trail))
            }
        }
    }
}

fn help() -> Markup {
    html! {
        p { "Words are looked for in resources, reasons, notes and answers. What stands in quotes is looked for as it stands, " code { "-" } " leaves out, and " code { "*" } " stands for any ending." }
        ul.plain {
            li { code { "who:" } " " code { "agent:" } " " code { "sponsor:" } " a name or an id" }
            li { code { "verb:" } " " code { "target:" } " " code { "env:" } " " code { "rule:" } " " code { "verdict:" } " " code { "kind:" } " " code { "outcome:" } }
            li { code { "since:" } " " code { "until:" } " a date, a date and time in UTC, or a length of time back such as " code { "7d" } }
            li { code { "id:" } " one action, " code { "entry:" } " one entry of the log" }
        }
    }
}

/// The query with its broken place marked.
fn broken(typed: &str, error: &QueryError) -> Markup {
    let characters: Vec<char> = typed.chars().collect();
    let part = |from: usize, to: usize| -> String {
        characters
            .get(from.min(characters.len())..to.min(characters.len()))
            .unwrap_or_default()
            .iter()
            .collect()
    };
    let end = error.at.saturating_add(error.length);
    html! {
        div.banner data-tone="bad" role="alert" {
            p { strong { "This does not read." } " " (capital(&error.why)) "." }
            p.mono {
                (words::outside(&part(0, error.at)))
                mark.broken { (words::outside(&part(error.at, end))) }
                (words::outside(&part(end, characters.len())))
            }
        }
    }
}

/// What the query asks for, each part with a way to drop it.
fn chosen(query: &Query) -> Markup {
    html! {
        @if !query.clauses().is_empty() {
            ul.chosen aria-label="Searched for" {
                @for clause in query.clauses() {
                    li {
                        a.chip href=(address(&query.without(clause).to_string(), None)) {
                            span.visually-hidden { "Drop " }
                            (words::outside(&clause.to_string()))
                            span aria-hidden="true" { " ×" }
                        }
                    }
                }
            }
        }
    }
}

fn total(trail: &Trail<'_>, counts: Option<&Counts>) -> Markup {
    html! {
        p.glance {
            @if let Some(counts) = counts {
                span { (found(counts)) }
            }
            @if trail.elsewhere > 0 {
                span.warn { "Incomplete: the permits, denials and reports in " (words::counted(usize::try_from(trail.elsewhere).unwrap_or(usize::MAX), "segment")) " of activity are at other gateways" }
            }
            @if trail.behind > 0 {
                span { "The index is " (words::counted(usize::try_from(trail.behind).unwrap_or(usize::MAX), "log entry").replace("entrys", "entries")) " behind" }
            }
        }
    }
}

fn found(counts: &Counts) -> String {
    if counts.more {
        format!("More than {} found", counts.records)
    } else {
        format!("{} found", counts.records)
    }
}

fn nothing(query: &Query, more: bool) -> Markup {
    html! {
        section.empty {
            @if more {
                h2 { "Nothing yet" }
                p { "The newest part of the trail holds nothing that fits. “Older” goes on from there." }
            } @else if query.clauses().is_empty() {
                h2 { "Nothing is on record yet" }
                p { "Every request, decision, verdict, run and change appears here as it happens." }
            } @else {
                h2 { "Nothing fits" }
                p { "Drop a part of the search above, or widen the time." }
            }
        }
    }
}

fn row(hit: &Hit, trail: &Trail<'_>) -> Markup {
    let kind = hit.first(Facet::Kind).unwrap_or("event");
    let verb = hit.first(Facet::Verb);
    let group = verb.and_then(|verb| verb.parse::<Verb>().ok()).map_or(VerbGroup::Read, Verb::group);
    html! {
        li.row {
            a.event id={ "r-" (hit.id) } href=(leads_to(hit)) {
                span.event-what {
                    span.kind { (capital(kind)) } " "
                    @if let Some(verb) = verb { (verb_chip(verb, group)) " " }
                    @if let Some(resource) = &hit.words.resource {
                        span.resource { (words::shown(&Shown::new(resource))) }
                    }
                }
                span.event-when { (words::ago(hit.time, trail.now)) }
                span.event-where {
                    @if let Some(environment) = hit.first(Facet::Environment) {
                        (environment_badge(environment, matches!(environment, "prod" | "production"))) " "
                    }
                    (who(hit, trail))
                    @if let Some(target) = hit.first(Facet::Target) { " · " (words::outside(target)) }
                }
                @if let Some(said) = said(hit) { span.event-said { (words::outside(said)) } }
                span.event-state {
                    @for word in [hit.first(Facet::Verdict), hit.first(Facet::Outcome)].into_iter().flatten() {
                        span.chip data-tone=(tone(word)) { (capital(&word.replace('-', " "))) }
                    }
                    @if hit.first(Facet::Said) == Some("reported") { span.chip data-tone="ask" { "Reported" } }
                    @for rule in hit.all(Facet::Rule).take(2) { span.rule.dim { (words::outside(rule)) } }
                }
            }
        }
    }
}

/// Where a row leads: to the request, where people were asked; else to all that is on record of the same action.
fn leads_to(hit: &Hit) -> String {
    match (hit.action, hit.first(Facet::Held), &hit.place) {
        (Some(action), Some(_), _) => format!("/approvals/{action}"),
        (Some(action), None, _) => address(&format!("id:{action}"), None),
        (None, _, Place::Log(index)) => address(&format!("entry:{index}"), None),
        (None, _, Place::Activity { .. }) => "/trail".to_owned(),
    }
}

/// Who did it: by name, and for whom.
fn who(hit: &Hit, trail: &Trail<'_>) -> Markup {
    let name = |facet| {
        let principal = hit.first(facet)?.parse::<Principal>().ok()?;
        Some(name_of(principal, trail.directory))
    };
    let (by, agent, sponsor) = (name(Facet::By), name(Facet::Agent), name(Facet::Sponsor));
    html! {
        @match (by.or_else(|| agent.clone()), sponsor) {
            (Some(by), Some(sponsor)) if Some(&by) == agent.as_ref() => {
                (words::outside(&by)) span.dim { " for " (words::outside(&sponsor)) }
            },
            (Some(by), _) => { (words::outside(&by)) },
            (None, _) => { span.dim { "Countersign" } },
        }
    }
}

fn said(hit: &Hit) -> Option<&str> {
    hit.words.words.as_deref().or(hit.words.detail.as_deref())
}

fn tone(word: &str) -> &'static str {
    match word {
        "permit" | "approve" | "succeeded" => "good",
        "deny" | "failed" => "bad",
        "needs-review" | "ask" | "unknown" => "ask",
        _ => "plain",
    }
}

/// The commonest values of each facet, each a way to narrow the search.
fn facets(query: &Query, counts: &Counts, trail: &Trail<'_>) -> Markup {
    html! {
        aside.facet-list aria-label="Narrow the search" {
            @for facet in Facet::COUNTED {
                @let values: Vec<_> = counts.facets.iter().filter(|one| one.facet == facet).collect();
                @if values.len() > 1 || values.iter().any(|one| asks_for(query, facet, &one.value)) {
                    section {
                        h2 { (capital(facet.as_str())) }
                        ul {
                            @for one in values {
                                @let chosen = asks_for(query, facet, &one.value);
                                li {
                                    a href=(toggled(query, facet, &one.value, chosen)) aria-current=[chosen.then_some("true")] {
                                        span.facet-value { (named(facet, &one.value, trail)) }
                                        span.facet-count { (one.records) @if counts.more { "+" } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn named(facet: Facet, value: &str, trail: &Trail<'_>) -> Markup {
    match value.parse::<Principal>() {
        Ok(principal) if facet.is_principal() => words::outside(&name_of(principal, trail.directory)),
        Ok(_) | Err(_) => words::outside(value),
    }
}

fn toggled(query: &Query, facet: Facet, value: &str, chosen: bool) -> String {
    let clause = Clause::Facet { facet, value: value.to_owned(), prefix: false, not: false };
    let query = if chosen { query.without(&clause) } else { query.with(facet, value) };
    address(&query.to_string(), None)
}
