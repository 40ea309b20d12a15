//! The card as plain text, for mail and terminals: at most one screen for an ordinary request.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::{Approve, Card, LeftOut, Reversible, Said, Vouched, at, visible};

/// The card as plain text. Words from outside are indented behind `| `, each line of them, so that none passes for ours.
#[must_use]
pub fn render(card: &Card, zone: &TimeZone) -> String {
    let mut out = String::new();
    for line in lines(card, zone) {
        // Writing to a text never fails.
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn lines(card: &Card, zone: &TimeZone) -> Vec<String> {
    let mut lines = vec![card.title(), card.standing(zone)];
    if card.what.production {
        lines.push("PRODUCTION".to_owned());
    }
    lines.push(String::new());
    risk(card, &mut lines);
    parties(card, &mut lines);
    command(card, &mut lines);
    lines.push(format!("Effect     {}; {}", card.effect.words, reversible(card.effect.reversible)));
    if let Some(reason) = &card.reason {
        lines.push("Reason     in the agent's words, which nobody has checked:".to_owned());
        quote(&visible(reason), &mut lines);
    }
    for asked in &card.questions {
        lines.push(format!("Question   {} asks:", asked.by));
        quote(&visible(&asked.question), &mut lines);
        match &asked.answer {
            Some(answer) => {
                lines.push("Answer     in the agent's words, which nobody has checked:".to_owned());
                quote(&visible(answer), &mut lines);
            }
            None if asked.withdrawn => lines.push("           taken back".to_owned()),
            None => lines.push("           open: nothing runs until it is answered or taken back".to_owned()),
        }
    }
    lines.push(String::new());
    lines.push(format!("Asked      {}", at(card.requested, zone)));
    if !card.state.is_over() {
        lines.push(format!("Expires    {}", at(card.expires, zone)));
    }
    for hold in &card.holds {
        let ways: Vec<String> = hold
            .any_of
            .iter()
            .map(|quorum| format!("{} of {} {}", quorum.have, quorum.need, quorum.group))
            .collect();
        lines.push(format!("Approvals  {} ({})", ways.join(" or "), hold.rule));
    }
    if let Some(why) = &card.why_you {
        lines.push(format!("You        {why}"));
    }
    lines.extend(card.state.reviews.iter().flat_map(|said| review(said, zone)));
    if let Some(why) = &card.state.why_not {
        lines.push("Why not".to_owned());
        quote(&visible(why), &mut lines);
    }
    lines.push(String::new());
    match &card.actions.approve {
        Approve::InConsole(why) => lines.push(format!("Review it in the console: {why}.")),
        Approve::Click | Approve::Confirm => {
            lines.push("Approve, ask or deny, here or in the console.".to_owned())
        }
        Approve::Over => {}
    }
    lines.push(card.url.clone());
    if let Some(receipt) = &card.state.receipt {
        lines.push(format!("Receipt    {receipt}"));
    }
    lines
}

fn risk(card: &Card, lines: &mut Vec<String>) {
    let why: Vec<String> =
        card.risk.reasons.iter().map(|(points, why)| format!("{why} {points:+}")).collect();
    let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) };
    lines.push(format!("Risk       {} of 100{why}", card.risk.score));
    for (rule, why) in &card.risk.rules {
        lines.push(format!("Held by    {why} ({rule})"));
    }
}

fn parties(card: &Card, lines: &mut Vec<String>) {
    for party in &card.parties {
        let role = if party.role == "caller" { "Asked by" } else { party.role.as_str() };
        lines.push(format!("{role:<10} {} ({}, {})", party.name, party.kind, vouched(party.vouched)));
    }
    if let Some(run) = &card.run {
        let run = visible(run).replace('\n', " ");
        lines.push(format!("Run        {run} ({})", vouched(Vouched::Claimed)));
    }
}

fn command(card: &Card, lines: &mut Vec<String>) {
    let command = &card.command;
    lines.push(format!("Payload    {} bytes, action {}", command.bytes, command.digest));
    for part in &command.parts {
        lines.push(format!("           {} =", part.path));
        quote(&visible(&part.text), lines);
    }
    for (path, classes) in &command.masked {
        lines.push(format!("Masked     {} in {path}", classes.join(", ")));
    }
    if let Some(left_out) = command.left_out {
        lines.push(format!("Left out   {}", left_out_words(left_out)));
    }
}

fn review(said: &Said, zone: &TimeZone) -> Vec<String> {
    let alone = if said.broke_glass { " ALONE, by break-glass," } else { "" };
    let void = if said.dismissed { "; it counts no more" } else { "" };
    let line = format!(
        "Review     {} {}{alone} with {}, {}{void}",
        said.name,
        said.verdict,
        said.by,
        at(said.at, zone)
    );
    let mut lines = vec![line];
    if let Some(note) = &said.note {
        quote(&visible(note), &mut lines);
    }
    lines
}

fn quote(text: &str, lines: &mut Vec<String>) {
    lines.extend(text.split('\n').map(|line| format!("           | {line}")));
}

/// Whose word something is.
pub(super) fn vouched(vouched: Vouched) -> &'static str {
    match vouched {
        Vouched::Verified => "verified",
        Vouched::Claimed => "claimed",
    }
}

/// Whether an effect can be undone, in words.
pub(super) fn reversible(reversible: Reversible) -> &'static str {
    match reversible {
        Reversible::Yes => "can be undone",
        Reversible::No => "CANNOT be undone",
        Reversible::Unknown => "whether it can be undone is not known here",
    }
}

/// Why something of the command is not here, in words.
pub(super) fn left_out_words(left_out: LeftOut) -> &'static str {
    match left_out {
        LeftOut::Kept => "what exactly would run does not leave the gateway for this place",
        LeftOut::TooLong => "not all of what would run fits here",
        LeftOut::NoText => "a part of it is no text",
        LeftOut::Erased => "a part of it was erased",
    }
}
