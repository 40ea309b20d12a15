//! The card as HTML for mail: no script, no image, no style sheet from elsewhere, nothing that a click decides.

use domain::text::Piece;
use gateway::card::Shown;
use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, html};

use super::text::{left_out_words, reversible, vouched};
use super::{Approve, Card, Vouched, at};

/// The card as a whole document.
#[must_use]
pub fn document(card: &Card, zone: &TimeZone) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { (card.title()) }
            }
            body style="font:16px/1.4 sans-serif;max-width:40em;margin:0 auto;padding:1em;color:#1a1a1a;background:#fff" {
                (render(card, zone))
            }
        }
    }
}

/// The card alone.
#[must_use]
pub fn render(card: &Card, zone: &TimeZone) -> Markup {
    let what = &card.what;
    html! {
        h1 style="font-size:1.2em;margin:0" { code { (what.verb) } " " (words(&what.resource)) }
        p style="margin:.2em 0" {
            "in " (what.target) ", " (what.environment)
            @if what.production { " " strong style="color:#a40000" { "production" } }
        }
        p { strong { (card.standing(zone)) } }
        table role="presentation" style="border-spacing:0 .4em;text-align:left;vertical-align:top" {
            (row("Risk", &html! {
                (card.risk.score) " of 100"
                @for (points, why) in &card.risk.reasons { br; (why) " " (format!("{points:+}")) }
            }))
            @for (rule, why) in &card.risk.rules { (row("Held by", &html! { (why) " (" (rule) ")" })) }
            @for party in &card.parties {
                (row(if party.role == "caller" { "Asked by" } else { &party.role }, &html! {
                    (party.name) " (" (party.kind) ", " (vouched(party.vouched)) ")"
                }))
            }
            @if let Some(run) = &card.run {
                (row("Run", &html! { (words(run)) " (" (vouched(Vouched::Claimed)) ")" }))
            }
            (row("Payload", &html! { (card.command.bytes) " bytes, action " code { (card.command.digest) } }))
            @for part in &card.command.parts {
                (row(&part.path, &html! { pre style="white-space:pre-wrap;margin:0" { (words(&part.text)) } }))
            }
            @for (path, classes) in &card.command.masked {
                (row("Masked", &html! { (classes.join(", ")) " in " (path) }))
            }
            @if let Some(left_out) = card.command.left_out {
                (row("Left out", &html! { (left_out_words(left_out)) }))
            }
            (row("Effect", &html! { (card.effect.words) "; " (reversible(card.effect.reversible)) }))
            @if let Some(reason) = &card.reason { (row("Reason", &quoted(reason))) }
            @for asked in &card.questions {
                (row("Question", &html! { (asked.by) " asks: " (words(&asked.question)) }))
                @match &asked.answer {
                    Some(answer) => (row("Answer", &quoted(answer))),
                    None if asked.withdrawn => (row("", &html! { "taken back" })),
                    None => (row("", &html! { "open: nothing runs until it is answered or taken back" })),
                }
            }
            (row("Asked", &html! { (at(card.requested, zone)) }))
            @if !card.state.is_over() { (row("Expires", &html! { (at(card.expires, zone)) })) }
            @for hold in &card.holds {
                (row("Approvals", &html! {
                    @for (count, quorum) in hold.any_of.iter().enumerate() {
                        @if count > 0 { " or " }
                        (quorum.have) " of " (quorum.need) " " (quorum.group)
                    }
                    " (" (hold.rule) ")"
                }))
            }
            @if let Some(why) = &card.why_you { (row("You", &html! { (why) })) }
            @for said in &card.state.reviews {
                (row("Review", &html! {
                    (said.name) " " (said.verdict)
                    @if said.broke_glass { " " strong { "ALONE, by break-glass" } }
                    " with " (said.by) ", " (at(said.at, zone))
                    @if said.dismissed { "; it counts no more" }
                    @if let Some(note) = &said.note { br; (words(note)) }
                }))
            }
            @if let Some(why) = &card.state.why_not { (row("Why not", &words(why))) }
        }
        @if let Approve::InConsole(why) = &card.actions.approve {
            p { "Review it in the console: " (why) "." }
        }
        p { a href=(card.url) { "Open it in the console" } }
        @if let Some(receipt) = &card.state.receipt { p { a href=(receipt) { "Receipt" } } }
    }
}

fn row(name: &str, content: &Markup) -> Markup {
    html! {
        tr {
            th scope="row" style="padding-right:1em;font-weight:normal;color:#555;vertical-align:top" { (name) }
            td { (content) }
        }
    }
}

/// Words from outside that nobody has checked.
fn quoted(text: &Shown) -> Markup {
    html! {
        span style="color:#555" { "in the agent's words, which nobody has checked:" }
        blockquote style="margin:.2em 0;padding-left:.6em;border-left:3px solid #999;white-space:pre-wrap" {
            (words(text))
        }
    }
}

/// Words from outside, isolated: whatever direction they run in, they turn nothing around them.
fn words(text: &Shown) -> Markup {
    html! {
        bdi {
            @for piece in &text.pieces {
                @match piece {
                    Piece::Plain(text) => (text),
                    Piece::Hidden(name) => { mark title="a character that does not show" { (name) } },
                    Piece::Mixed(word) => { mark title="letters of several scripts" { (word) " (mixed scripts)" } },
                }
            }
        }
    }
}
