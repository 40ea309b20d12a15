//! The request as a page. The sections stand in the order of deciding; what stands first decides first.

use domain::action::{Level, Point};
use domain::id::GroupName;
use domain::later::Finding;
use domain::outcome::{Ending, Witnessed};
use domain::principal::Principal;
use domain::requirement::Progress;
use domain::statement::Verdict;
use domain::verb::VerbGroup;
use gateway::card::{Exchange, Party};
use maud::{Markup, html};

use super::change::Line;
use super::{Proposal, Stage, View, brought, payload};
use crate::marks::{capital, copy_button, environment_badge, level, progress, risk_meter, verb_chip};
use crate::words;

/// The page.
pub(crate) fn page(view: &View) -> Markup {
    let card = &view.card;
    html! {
        article.request id="request" data-id=(card.id) data-displayed=(view.displayed) data-state=(view.stage.word())
            data-complete[card.complete] {
            div id="changed" class="banner" data-tone="ask" role="alert" hidden {
                p { strong { "This request has changed since you opened it. " } "Look at it again before you decide." }
                button type="button" data-do="reload" { "Show what it is now" }
            }
            div data-live="stage" { (broken_glass(view)) (stage(view)) }
            (what(view))
            (risk(view))
            (who(view))
            (bytes(view))
            (effect(view))
            (reason(view))
            (thread(view))
            (standing(view))
            (decide(view))
        }
    }
}

fn section(name: &str, id: &str, content: &Markup) -> Markup {
    html! {
        section.step aria-labelledby={ "h-" (id) } id=(id) {
            h2 id={ "h-" (id) } { (name) }
            div.step-body { (content) }
        }
    }
}

/// Whoever broke glass, before all else.
fn broken_glass(view: &View) -> Markup {
    html! {
        @for review in view.reviews.iter().filter(|review| review.broke_glass) {
            section.banner data-tone="bad" role="alert" {
                h2 { "Break-glass: one person approved this alone" }
                p {
                    strong { (words::outside(&review.by)) }
                    @if let Some(group) = &review.group { ", of " strong { (group) } }
                    " · " (words::ago(review.at, view.now))
                    @if view.later.awaited && view.stage.is_open() { " · somebody else looks at it once it has run" }
                }
                @if let Some(note) = &review.note { blockquote { (words::shown(note)) } }
            }
        }
        (looked_at(view))
    }
}

/// What somebody found who looked at the broken glass afterwards, or that nobody has.
fn looked_at(view: &View) -> Markup {
    let later = &view.later;
    html! {
        @if let Some(found) = &later.found {
            section.banner data-tone=(match found.finding { Finding::Justified => "good", Finding::NotJustified => "bad" }) {
                h2 { @match found.finding { Finding::Justified => "Looked at afterwards: justified", Finding::NotJustified => "Looked at afterwards: not justified" } }
                p {
                    strong { (words::outside(&found.by)) } ", of " strong { (found.group) }
                    " · " (words::ago(found.at, view.now)) " · signed with " (found.key)
                }
                blockquote { (words::shown(&found.note)) }
            }
        } @else if later.altered {
            section.banner data-tone="bad" role="alert" {
                h2 { "The stored later review is not what was signed" }
                p { "Do not believe it. Somebody has altered the store: ask an operator to audit the log." }
            }
        } @else if later.awaited && !view.stage.is_open() {
            section.banner data-tone="ask" {
                h2 { "Nobody has looked at this since" }
                p {
                    @match &later.group {
                        Some(group) => { "You may, as one of " strong { (group) } ": look at what was done, and sign below whether it was justified." },
                        None => { "One of those who were passed over, or an administrator, looks at what was done and signs whether it was justified: never whoever broke the glass, nor whoever asked." },
                    }
                }
            }
        }
    }
}

fn stage(view: &View) -> Markup {
    let now = view.now;
    match &view.stage {
        Stage::Pending { .. } => html! {},
        Stage::Approved { spend_by, by_itself } => html! {
            section.banner data-tone="good" {
                h2 { "Approved" }
                p {
                    @if *by_itself { "It runs now, once policy has been asked again." }
                    @else { "It runs when its caller comes back for it, once policy has been asked again. " "It can be run for another " (words::until(*spend_by, now)) "." }
                }
            }
        },
        Stage::Executing { since } => html! {
            section.banner data-tone="good" { h2 { "Running" } p { "Since " (words::ago(*since, now)) ". It runs once." } }
        },
        Stage::Finished { outcome, at } => {
            let (tone, title) = match outcome.ending {
                Ending::Succeeded => ("good", "It ran and succeeded"),
                Ending::Failed => ("bad", "It ran and failed"),
                Ending::Unknown => ("ask", "Nobody knows how it ended"),
            };
            html! {
                section.banner data-tone=(tone) {
                    h2 { (title) }
                    p {
                        @if !outcome.detail.is_empty() { code.detail { (words::outside(&outcome.detail)) } " · " }
                        @match outcome.witnessed {
                            Witnessed::Observed => "observed by the gateway",
                            Witnessed::Reported => "as the caller reports",
                        }
                        " · " (words::ago(*at, now))
                        @if outcome.bytes > 0 { " · the result had " (words::size(outcome.bytes)) }
                    }
                    @if outcome.ending == Ending::Unknown {
                        p { "The gateway lost sight of it between start and answer, and never runs it again. Look at the target itself." }
                    }
                    (receipt(view))
                }
            }
        }
        Stage::Denied { by, why, at } => html! {
            section.banner data-tone="bad" {
                h2 { "Denied" }
                p {
                    @match by { Some(name) => (words::outside(name)), None => "Policy, asked again" }
                    " · " (words::ago(*at, now)) " · nothing ran"
                }
                @if let Some(why) = why { blockquote { (words::shown(why)) } }
                (receipt(view))
            }
        },
        Stage::Expired { at } => html! {
            section.banner data-tone="plain" {
                h2 { "Lapsed" }
                p { "Nobody decided, or nobody ran it, in time · " (words::ago(*at, now)) " · nothing ran" }
                (receipt(view))
            }
        },
        Stage::Cancelled { by, reason, at } => html! {
            section.banner data-tone="plain" {
                h2 { "Taken back" }
                p { (words::outside(by)) " · " (words::ago(*at, now)) " · nothing ran" }
                blockquote { (words::shown(reason)) }
                (receipt(view))
            }
        },
    }
}

fn receipt(view: &View) -> Markup {
    let id = view.card.id;
    let file = format!("receipt-{id}.json");
    html! {
        details.receipt {
            summary { "Receipt: proof that verifies without us" }
            p { a.button href={ "/v1/approvals/" (id) "/receipt" } download=(file) { "Download the receipt" } }
            p.dim { "Verify it on any machine, offline:" }
            pre.block id="verify" tabindex="0" { "countersign audit verify " (file) " --log-key '" (view.log_key) "'" }
            p { (copy_button("verify")) }
        }
    }
}

/// 1: verb, target, environment.
fn what(view: &View) -> Markup {
    let card = &view.card;
    html! {
        header.what {
            p.kicker {
                (verb_chip(&card.verb, view.group)) " "
                (environment_badge(&card.environment, card.production)) " "
                span.dim { "in " } strong { (card.target) }
            }
            @match &view.proposal {
                Some(proposal) => { (proposed(proposal)) p.dim { code { (words::shown(&card.resource)) } } },
                None => { h1 { (words::shown(&card.resource)) } },
            }
            @if let Some(marks) = words::warning([&card.resource]) {
                p.warn { "The name is not what it looks like: " (marks) "." }
            }
        }
    }
}

fn proposed(proposal: &Proposal) -> Markup {
    html! {
        h1.sentence { (words::outside(&proposal.sentence)) }
        @if !proposal.lines.is_empty() {
            pre.diff tabindex="0" aria-label="What would change" {
                @for line in &proposal.lines {
                    @match line {
                        Line::Same(text) => { span.same { "  " (words::pieces(text)) "\n" } },
                        Line::Added(text) => { ins { "+ " (words::pieces(text)) "\n" } },
                        Line::Removed(text) => { del { "- " (words::pieces(text)) "\n" } },
                        Line::Skipped(count) => { span.skipped { (words::counted(*count, "line")) " as before\n" } },
                    }
                }
            }
        }
    }
}

/// 2: risk, and which rule stopped it.
fn risk(view: &View) -> Markup {
    let risk = &view.card.risk;
    section(
        "Risk",
        "risk",
        &html! {
            div.risk-block data-level=(level(risk.score)) {
                (risk_meter(risk.score))
                ul.reasons {
                    @for reason in &risk.reasons { li { span.points { "+" (reason.points) } span { (words::outside(&reason.why)) } } }
                }
            }
            ul.rules {
                @for rule in &view.card.rules {
                    li { span { "Stopped by " } code { (rule.id) } p.why { (words::outside(&rule.why)) } }
                }
            }
            @if view.solo {
                p.banner data-tone="ask" {
                    strong { "Solo evaluation. " }
                    "There is nobody else yet who could review it, so the agent's own sponsor may, or the one administrator what enrols a key. The receipt says " code { "separation: none" } "."
                }
            }
        },
    )
}

/// 3: who asks, and everybody behind.
fn who(view: &View) -> Markup {
    let card = &view.card;
    section(
        "Who asks",
        "who",
        &html! {
            ul.parties {
                @for party in &card.chain {
                    li { (party_view(party)) }
                }
                @if let Some(run) = &card.run {
                    li { span.role { "run" } span { strong.mono { (words::shown(run)) } " " span.proof data-kind="claimed" { "claimed" } } }
                }
            }
            p.dim { "Asked " (words::ago(card.requested, view.now)) " through the " (card.point.as_str()) " point." }
        },
    )
}

fn party_view(party: &Party) -> Markup {
    let role = match (party.role.as_str(), party.principal) {
        ("caller", Principal::Agent(_)) => "agent",
        ("caller", Principal::Person(_)) => "person",
        ("subject", _) => "acting for",
        (role, _) => role,
    };
    html! {
        span.role { (role) }
        span { strong { (words::outside(&party.name)) } " " span.proof data-kind="verified" { "verified" } }
    }
}

/// 4: the exact payload.
fn bytes(view: &View) -> Markup {
    let card = &view.card;
    let what = if card.point == Point::Config { "Exact change" } else { "Exactly this would run" };
    section(
        what,
        "payload",
        &html! {
            @if !card.complete {
                div.banner data-tone="ask" id="open-whole" {
                    p {
                        strong { "The payload has " (words::size(card.payload_bytes)) " and does not fit here. " }
                        "Nobody approves what they could not see: open it in full first. That you did is logged."
                    }
                    button type="button" data-do="open" { "Open it in full" }
                }
            }
            (payload::masked(&card.masked, &card.revealed, view.may_reveal))
            (payload::whole(&card.payload, None))
        },
    )
}

/// 5: effect, and whether it can be undone.
fn effect(view: &View) -> Markup {
    let card = &view.card;
    let (undo, words) = match view.group {
        VerbGroup::Read => ("Nothing to undo", "It only reads."),
        VerbGroup::Write => {
            ("Usually reversible, by hand", "It makes or changes something. Countersign does not undo it.")
        }
        VerbGroup::Destroy => {
            ("Not reversible", "It removes something. Only a backup of yours brings it back.")
        }
        VerbGroup::Admin => ("Reversible, but not what happens meanwhile", "It changes who may do what."),
        VerbGroup::Exec => {
            ("Take it as not reversible", "It runs code, and what that does is not known beforehand.")
        }
        VerbGroup::Export => ("Not reversible", "Data leaves, and what has left does not come back."),
    };
    section(
        "Effect",
        "effect",
        &html! {
            p { strong { (undo) ". " } (words) @if !view.meaning.is_empty() { span.dim { " (" code { (card.verb) } ": " (view.meaning) ")" } } }
            p.dim {
                @match card.level {
                    Level::Enforced => {
                        "The gateway runs exactly these bytes, once"
                        @if let Some(credential) = &card.credential { ", with the credential " code { (credential) } ", which the agent never sees" }
                        "."
                    },
                    Level::Cooperative if card.point == Point::Rest => "The caller runs it itself and tells us what came of it. It could have gone round this gateway.",
                    Level::Cooperative => "The gateway runs exactly these bytes, once. It holds no credential of its own here, so the caller could have gone round it.",
                }
            }
        },
    )
}

/// 6: the reason, in the caller's words.
fn reason(view: &View) -> Markup {
    section(
        "Reason given",
        "reason",
        &html! {
            @match &view.card.reason {
                Some(reason) => {
                    blockquote.untrusted { (words::shown(reason)) }
                    p.dim.fine { "The caller's own words. Nobody has checked them." }
                    @if let Some(marks) = words::warning([reason]) { p.warn { "They hold " (marks) "." } }
                },
                None => { p.dim { "None was given." } },
            }
        },
    )
}

/// Questions and answers; an open question stops everything.
fn thread(view: &View) -> Markup {
    let questions = &view.card.questions;
    html! {
        @if !questions.is_empty() {
            (section("Questions", "questions", &html! {
                ol.thread { @for exchange in questions { li { (exchange_view(view, exchange)) } } }
            }))
        }
    }
}

fn exchange_view(view: &View, exchange: &Exchange) -> Markup {
    let open = exchange.answer.is_none() && !exchange.withdrawn && view.stage.is_open();
    html! {
        p.question { strong { (words::outside(&exchange.by)) } " asks: " (words::shown(&exchange.question)) }
        @if let Some(answer) = &exchange.answer {
            blockquote.untrusted { (words::shown(answer)) }
        } @else if exchange.withdrawn {
            p.dim { "Taken back." }
        } @else if open {
            p.chip data-tone="ask" { "Open: nothing runs until it is answered or taken back" }
        }
        @if open && view.mine.on_chain {
            form.answer data-question=(exchange.id) {
                label for={ "a-" (exchange.id) } { "Your answer" }
                textarea id={ "a-" (exchange.id) } name="text" rows="3" required maxlength="500" {}
                button.primary type="submit" { "Answer" }
            }
        }
        @if open && view.mine.asked.contains(&exchange.id) {
            button type="button" data-do="withdraw" data-question=(exchange.id) { "Take the question back" }
        }
    }
}

/// 7: until when, by whom, why you; what went before; the digest.
fn standing(view: &View) -> Markup {
    let card = &view.card;
    section(
        "Decision",
        "decision",
        &html! {
            div data-live="progress" {
                @if let Stage::Pending { question } = view.stage {
                    p.deadline { (words::until(card.expires, view.now)) " left" span.dim { ", then it lapses and nothing runs" } }
                    @if question { p.chip data-tone="ask" { "A question is open" } }
                }
                ul.holds {
                    @for hold in &view.holds {
                        li data-lifted[hold.lifted] {
                            (alternatives(&hold.any_of)) " "
                            @for group in &hold.glass { span.dim { "or in an emergency one of " (group) ", by break-glass " } }
                            span.dim { "for " code { (hold.rule) } }
                        }
                    }
                }
                @if !view.reviews.is_empty() {
                    ul.reviews {
                        @for review in &view.reviews {
                            li {
                                strong { (words::outside(&review.by)) }
                                @match review.verdict { Verdict::Approve if review.broke_glass => " approved alone, by break-glass,", Verdict::Approve => " approved", Verdict::Deny => " denied", Verdict::Ask => " asked" }
                                @if let Some(group) = &review.group { " for " (group) }
                                " " span.dim { (words::ago(review.at, view.now)) ", signed with " (review.key) }
                                @if review.dismissed { " " span.chip data-tone="plain" { "counts no more" } }
                                @if let Some(note) = &review.note { blockquote { (words::shown(note)) } }
                            }
                        }
                    }
                }
                @if view.stage.is_open() { p.why-you { (why_you(view)) } }
                (brought::list(&view.brought, view.now))
            }
            (prior(view))
            p.digest {
                span.dim { "Digest " } code { (card.action.short()) } " "
                details { summary { "in full" } code.long id="digest" { (card.action) } (copy_button("digest")) }
            }
        },
    )
}

fn alternatives(any_of: &[Progress]) -> Markup {
    html! {
        @for (n, part) in any_of.iter().enumerate() {
            @if n > 0 { span.dim { " or " } }
            (progress(std::slice::from_ref(part)))
        }
    }
}

fn why_you(view: &View) -> Markup {
    let standing = &view.standing;
    html! {
        @match (&standing.group, &standing.why_not) {
            (Some(group), _) => { "You are asked as one of " strong { (group) } ": your approval counts there." },
            (None, Some(why)) => { "You cannot approve: " (words::outside(why)) "." },
            (None, None) => {},
        }
    }
}

fn prior(view: &View) -> Markup {
    let prior = view.prior;
    let said = match (prior.ran, prior.denied) {
        (0, 0) => "Nothing of this shape was ever approved for this caller.".to_owned(),
        (ran, 0) => format!("{ran} of this shape ran before, none was denied."),
        (ran, 1) => format!("{ran} of this shape ran before, 1 was denied."),
        (ran, denied) => format!("{ran} of this shape ran before, {denied} were denied."),
    };
    html! {
        div.prior {
            p { (said) }
            @if !view.earlier.is_empty() {
                details {
                    summary { "The last ones" }
                    ul { @for earlier in &view.earlier {
                        li {
                            a href={ "/approvals/" (earlier.id) } { (words::shown(&earlier.resource)) }
                            " " span.dim { (earlier.how) ", asked " (words::ago(earlier.requested, view.now)) }
                        }
                    } }
                }
            }
        }
    }
}

/// 8: approve, ask, deny.
fn decide(view: &View) -> Markup {
    let standing = &view.standing;
    let (decides, takes_back) = (
        standing.may_approve || standing.may_deny || standing.glass.is_some(),
        view.mine.on_chain && view.stage.is_open(),
    );
    html! {
        footer.decide id="decide" data-live="decide" data-may=(if view.later.group.is_some() { "look-back" } else if standing.may_approve { "approve" } else if standing.glass.is_some() { "glass" } else if standing.may_deny { "deny" } else { "look" }) {
            @if view.stage.is_open() && decides {
                @if standing.may_approve || standing.glass.is_some() {
                    p.gate id="gate" data-what="Approve" {
                        span { "Approve opens once you have seen the payload to its end." }
                        button.quiet type="button" data-do="show-rest" { "Show the rest" }
                    }
                }
                div.buttons {
                    @if standing.may_approve {
                        button.approve id="approve" type="button" aria-describedby="gate" aria-keyshortcuts="a" disabled { "Approve" }
                        button id="ask" type="button" aria-keyshortcuts="?" { "Ask" }
                    }
                    @if standing.may_deny {
                        button.deny id="deny" type="button" aria-keyshortcuts="d" { "Deny" }
                    }
                    @if standing.glass.is_some() {
                        button.deny id="glass" type="button" aria-describedby="gate" disabled { "Break glass" }
                    }
                    @if takes_back { (take_back()) }
                }
            } @else if takes_back {
                div.buttons { (take_back()) }
            } @else if view.stage.is_open() {
                p.dim { (why_you(view)) }
            } @else if let Some(group) = &view.later.group {
                p.gate id="gate" data-what="Your finding" {
                    span { "Your finding opens once you have seen the payload to its end." }
                    button.quiet type="button" data-do="show-rest" { "Show the rest" }
                }
                div.buttons {
                    button.primary id="look-back" type="button" aria-describedby="gate" disabled { "Look back at it" }
                    a.button href="/?tab=glass" { "Back to the list" }
                }
                (look_back(view, group))
            } @else {
                p { strong { (capital(ended(&view.stage))) } span.dim { " · digest " code { (view.card.action.short()) } } " " a.button href="/" { "Back to the inbox" } }
            }
        }
        @if view.stage.is_open() { (sheets(view)) }
    }
}

fn take_back() -> Markup {
    html! { button id="cancel" type="button" { "Take it back" } }
}

fn ended(stage: &Stage) -> &'static str {
    match stage {
        Stage::Pending { .. } => "waiting",
        Stage::Approved { .. } => "approved",
        Stage::Executing { .. } => "running",
        Stage::Finished { outcome, .. } => match outcome.ending {
            Ending::Succeeded => "succeeded",
            Ending::Failed => "failed",
            Ending::Unknown => "ended, nobody knows how",
        },
        Stage::Denied { .. } => "denied",
        Stage::Expired { .. } => "lapsed",
        Stage::Cancelled { .. } => "taken back",
    }
}

/// What the buttons open. Nothing is sent before a passkey has signed.
fn sheets(view: &View) -> Markup {
    let card = &view.card;
    let recap = html! { p.recap { (verb_chip(&card.verb, view.group)) " " strong.mono { (words::shown(&card.resource)) } } };
    html! {
        @if view.standing.may_approve {
            @if view.is_high_risk() {
                (sheet("approve", "Approve this?", "Approve with your passkey", "approve", &html! {
                    (recap)
                    p { "The risk is high. Type " code.typed { (view.to_type()) } " to approve." }
                    label for="typed" { "Its name" }
                    input id="typed" name="typed" type="text" autocomplete="off" autocapitalize="off" spellcheck="false" required data-expected=(view.to_type());
                }))
            }
            (sheet("ask", "Ask those who want it", "Ask with your passkey", "primary", &html! {
                (recap)
                label for="ask-note" { "Your question" }
                textarea id="ask-note" name="note" rows="4" required maxlength="500" {}
                p.dim.fine { "Nothing runs while a question is open. The time runs on." }
            }))
        }
        @if let Some(group) = &view.standing.glass {
            (sheet("glass", "Break glass?", "Break glass with your passkey", "deny", &html! {
                (recap)
                p { "You approve this alone, as one of " strong { (group) } ". An alarm is raised, and the record and the receipt say so for good." }
                p { "Type " code.typed { (view.to_type()) } " to go on." }
                label for="glass-typed" { "Its name" }
                input id="glass-typed" name="typed" type="text" autocomplete="off" autocapitalize="off" spellcheck="false" required data-expected=(view.to_type());
                label for="glass-note" { "Why it cannot wait " span.dim { "(it stands in what you sign)" } }
                textarea id="glass-note" name="note" rows="3" required maxlength="500" {}
            }))
        }
        @if view.standing.may_deny {
            (sheet("deny", "Deny this?", "Deny with your passkey", "deny", &html! {
                (recap)
                label for="deny-note" { "Why " span.dim { "(the caller reads it)" } }
                textarea id="deny-note" name="note" rows="3" maxlength="500" {}
                p.dim.fine { "One denial ends the request, whoever else has approved." }
            }))
        }
        @if view.mine.on_chain {
            (sheet("cancel", "Take the request back?", "Take it back", "primary", &html! {
                (recap)
                label for="cancel-note" { "Why" }
                textarea id="cancel-note" name="note" rows="3" required maxlength="500" {}
            }))
        }
    }
}

/// Whoever looks at broken glass states what they find; it stands within what is kept current, since it comes when all is
/// done.
fn look_back(view: &View, group: &GroupName) -> Markup {
    let card = &view.card;
    sheet(
        "look-back",
        "Was it justified?",
        "Sign it with your passkey",
        "primary",
        &html! {
            p.recap { (verb_chip(&card.verb, view.group)) " " strong.mono { (words::shown(&card.resource)) } " " span.dim { (ended(&view.stage)) } }
            p { "You look at it as one of " strong { (group) } ". What happened stays as it is; what you find stands in the record and the receipt for good." }
            fieldset.finding {
                legend { "What do you find?" }
                label { input type="radio" name="finding" value="justified" required; " Justified " span.dim { "it could not wait, and was right" } }
                label { input type="radio" name="finding" value="not-justified" required; " Not justified " span.dim { "it could have waited, or was wrong" } }
            }
            label for="look-back-note" { "Why " span.dim { "(it stands in what you sign)" } }
            textarea id="look-back-note" name="note" rows="3" required maxlength="500" {}
        },
    )
}

fn sheet(verdict: &str, title: &str, does: &str, class: &str, content: &Markup) -> Markup {
    html! {
        dialog.sheet id={ "sheet-" (verdict) } aria-labelledby={ "sheet-h-" (verdict) } {
            form method="dialog" data-verdict=(verdict) {
                h2 id={ "sheet-h-" (verdict) } { (title) }
                (content)
                div.buttons {
                    button class=(class) type="submit" { (does) }
                    button type="button" data-do="close" { "Back" }
                }
            }
        }
    }
}
