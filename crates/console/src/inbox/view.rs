//! The inbox as a page.

use maud::{Markup, html};

use super::{Inbox, Mine, Row, Stage, Tab};
use crate::marks::{capital, environment_badge, level, progress, risk_meter, verb_chip};
use crate::words;

/// The page's title: how many wait.
pub(crate) fn title(mine: usize) -> String {
    if mine == 0 { "Inbox".to_owned() } else { format!("({mine}) Inbox") }
}

/// The page.
pub(crate) fn page(inbox: &Inbox) -> Markup {
    html! {
        div.inbox-head {
            h1 { "Inbox" }
            p.live id="live" data-state="on" { span.dot aria-hidden="true" {} span.live-word { "Live" } }
        }
        div id="inbox" data-tab=(word(inbox.tab)) { (list(inbox)) }
        p.keys.dim.fine { kbd { "j" } kbd { "k" } " move  " kbd { "Enter" } " opens" }
    }
}

/// What is replaced when something moves.
pub(crate) fn list(inbox: &Inbox) -> Markup {
    html! {
        div id="inbox-list" data-title=(title(inbox.mine)) {
            nav.tabs aria-label="Which requests" {
                (tab(inbox, Tab::Mine, Some(inbox.mine), "Waiting for me"))
                (tab(inbox, Tab::All, Some(inbox.open), "All open"))
                (tab(inbox, Tab::Done, None, "Done"))
                @if inbox.administers || inbox.glass > 0 { (tab(inbox, Tab::Glass, Some(inbox.glass), "Broken glass")) }
            }
            @if inbox.tab == Tab::Glass { p.warn { "Glass was broken: one person approved each of these alone, and nobody has looked at it since. Open each, look at what was done, and sign whether it was justified." } }
            @if matches!(inbox.tab, Tab::Mine | Tab::All) { (glance(inbox)) }
            @if inbox.rows.is_empty() { (empty(inbox.tab)) } @else {
                ol.rows { @for row in &inbox.rows { (row_view(row, inbox)) } }
            }
            @if inbox.more {
                p.dim { "There are more open requests than this page looks through; decide some, or use the command line." }
            }
            @if let Some(older) = inbox.older {
                p { a.button href={ "/?tab=" (word(inbox.tab)) "&after=" (older) } { "Older" } }
            }
        }
    }
}

fn word(tab: Tab) -> &'static str {
    match tab {
        Tab::Mine => "mine",
        Tab::All => "all",
        Tab::Done => "done",
        Tab::Glass => "glass",
    }
}

fn tab(inbox: &Inbox, tab: Tab, count: Option<usize>, name: &str) -> Markup {
    html! {
        a href={ "/?tab=" (word(tab)) } aria-current=[(tab == inbox.tab).then_some("page")]
            data-some[count.is_some_and(|n| n > 0) && matches!(tab, Tab::Mine | Tab::Glass)] {
            @if let Some(count) = count { span.count { (count) } } " " span { (name) }
        }
    }
}

/// The state in one line.
fn glance(inbox: &Inbox) -> Markup {
    html! {
        @if inbox.open > 0 {
            p.glance {
                @if let Some(next) = inbox.next {
                    span { "Next lapses in " (words::until(next, inbox.now)) }
                }
                @if inbox.production > 0 {
                    span { b.prod-count { (inbox.production) } " in production" }
                }
                @if inbox.mine == 0 { span { "None of the open ones waits for you" } }
            }
        }
    }
}

fn empty(tab: Tab) -> Markup {
    html! {
        section.empty {
            @match tab {
                Tab::Mine => {
                    h2 { "Nothing waits for you" }
                    p {
                        "A request appears here the moment that an agent tries something that a rule holds for a group of yours. "
                        "Nobody needs to reload: this page hears of it by itself."
                    }
                    p.dim { "Which actions are held stands in the " a href="/policy" { "policy" } ". Try one: send a " code { "DELETE" } " through a route as one of your " a href="/agents" { "agents" } "." }
                },
                Tab::All => {
                    h2 { "Nothing is open" }
                    p { "No agent waits for anybody. Requests that you may review, and those of your own agents, stand here while they are open." }
                },
                Tab::Glass => {
                    h2 { "No broken glass waits" }
                    p { "Requests that one person approved alone, by break-glass, stand here until somebody else has looked at what was done and signed what they found." }
                },
                Tab::Done => {
                    h2 { "Nothing has ended yet" }
                    p { "Requests that ran, were denied, lapsed or were taken back stand here, each with its receipt." }
                },
            }
        }
    }
}

fn row_view(row: &Row, inbox: &Inbox) -> Markup {
    html! {
        li.row data-level=(level(row.risk)) data-mine[row.mine != Mine::Nothing] {
            a id={ "r-" (row.id) } href={ "/approvals/" (row.id) } {
                span.row-what {
                    (verb_chip(row.verb, row.group)) " "
                    span.resource { (words::shown(&row.resource)) }
                }
                span.row-risk { (risk_meter(row.risk)) }
                span.row-where {
                    (environment_badge(&row.environment, row.production))
                    " " (row.target) " · " (words::outside(&row.agent))
                }
                @if let Some((why, more)) = &row.why {
                    span.row-why {
                        (words::outside(why))
                        @if *more > 0 { span.dim { " and " (words::counted(*more, "more rule")) } }
                    }
                }
                span.row-state { (state(row, inbox)) }
            }
        }
    }
}

fn state(row: &Row, inbox: &Inbox) -> Markup {
    html! {
        @if row.broken_glass { span.chip data-tone="bad" { "Break-glass" } " " }
        @if row.may_look_back { span.chip data-tone="ask" { "Yours to look at" } " " }
        @match row.stage {
            Stage::Waiting(until) => {
                (progress(&row.missing))
                @if row.question { span.chip data-tone="ask" { @if row.mine == Mine::Answer { "Answer asked of you" } @else { "Question open" } } }
                span.left { (words::until(until, inbox.now)) " left" }
            },
            Stage::Approved(until) => {
                span.chip data-tone="good" { "Approved" }
                span.left { "to be run within " (words::until(until, inbox.now)) }
            },
            Stage::Running => { span.chip data-tone="good" { "Running" } },
            Stage::Ended(how, at) => {
                span.chip data-tone=(tone(how)) { (capital(how)) }
                span.left { (words::ago(at, inbox.now)) }
            },
        }
    }
}

fn tone(how: &str) -> &'static str {
    match how {
        "succeeded" => "good",
        "failed" | "denied" => "bad",
        "unknown" => "ask",
        _ => "plain",
    }
}
