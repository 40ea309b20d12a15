//! The card as an Adaptive Card 1.5, in the order in which people decide, within Teams' limits.
//!
//! The command stands whole or not at all, and where it does not, nobody approves here. In a conversation that several
//! read, the buttons that decide stand only in each reader's own view, which the gateway makes for who they are.

use serde_json::{Value, json};

use super::elements::{Line, boxed, execute, heading, input, lines, moment, open, ours, subtle, unfold};
use super::inbound::{Button, Press, QUESTION, REASON};
use super::limits::{CARD_BYTES, COMMAND_LINES, INBOX_ROWS, REFRESH_USERS, ROWS};
use crate::card::{Approve, Card, Exchange, LeftOut, Reversible, Said, Tier, Vouched, ending};
use crate::click::Answer;

/// The version of Adaptive Cards that is written.
pub(super) const VERSION: &str = "1.5";

/// For whom a card is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum View<'a> {
    /// For all who read a conversation. Clients of `reviewers` ask for their own view by themselves, of others when they
    /// press Review.
    Shared {
        /// Teams' ids of people who review here.
        reviewers: &'a [String],
    },
    /// For one person in their own chat with the bot.
    Own {
        /// What came of their click.
        answer: Option<&'a Answer>,
    },
    /// For one person, in a conversation that several read.
    OwnAmongOthers {
        /// What came of their click.
        answer: Option<&'a Answer>,
        /// Teams' id of them.
        reader: &'a str,
    },
}

/// The card for a view, never over [`CARD_BYTES`].
pub(super) fn card(card: &Card, view: View<'_>) -> Value {
    let parts = command(card);
    let whole = parts.is_some();
    let tries = [(parts, true), (None, true), (None, false)];
    for (parts, middle) in tries {
        let whole = whole && parts.is_some();
        let written = write(card, view, parts, middle);
        if size(&written) <= CARD_BYTES && (whole || !approves(&written)) {
            return written;
        }
    }
    small(card)
}

/// An activity that carries a card. Notifications and screen readers get its line.
pub(super) fn message(line: &str, content: Value) -> Value {
    json!({
        "type": "message",
        "summary": line,
        "attachments": [{ "contentType": "application/vnd.microsoft.card.adaptive", "content": content }],
    })
}

/// The line for notifications.
pub(super) fn line(card: &Card) -> String {
    match card.state.word {
        "pending" => format!("Review wanted: {}", card.title()),
        word => format!("{word}: {}", card.title()),
    }
}

/// An answer that comes without a card of its request.
pub(super) fn notice(answer: &Answer, again: Option<&Button>) -> Value {
    let mut actions: Vec<Value> = Vec::new();
    if let Some(link) = &answer.link {
        actions.push(open("Go on in the console", link));
    }
    if let Some(button) = again {
        actions.push(execute("Show the request", None, button));
    }
    envelope(told(answer), actions, &answer.words)
}

/// What waits for somebody, one line each.
pub(super) fn inbox(waiting: &[Card]) -> Value {
    let mut body = vec![heading("What waits for you")];
    if waiting.is_empty() {
        body.push(ours("Nothing waits for you."));
    }
    for card in waiting.iter().take(INBOX_ROWS) {
        let title = Line::default().name(&card.title()).block();
        let facts = subtle(&format!("Risk {} of 100 · until {}", card.risk.score, moment(card.expires)));
        let review = json!({ "type": "ActionSet", "actions": [open("Review in console", &card.url)] });
        body.push(boxed("emphasis", vec![title, facts, review]));
    }
    let more = waiting.len().saturating_sub(INBOX_ROWS);
    if more > 0 {
        body.push(subtle(&format!("and {more} more in the console")));
    }
    envelope(body, Vec::new(), "What waits for you")
}

fn write(card: &Card, view: View<'_>, parts: Option<Vec<Value>>, middle: bool) -> Value {
    let whole = parts.is_some();
    let mut body = Vec::new();
    if let View::Own { answer: Some(answer) } | View::OwnAmongOthers { answer: Some(answer), .. } = view {
        body.extend(told(answer));
    }
    body.extend(head(card));
    body.push(match parts {
        Some(parts) => boxed("emphasis", parts),
        None => boxed("emphasis", left_out(card)),
    });
    if middle {
        body.extend(self::middle(card));
    }
    body.extend(decided(card));
    let actions = match view {
        View::Shared { .. } => shared(card),
        View::Own { .. } | View::OwnAmongOthers { .. } => {
            let approve = approve(card, whole);
            if let Approve::InConsole(why) = &approve {
                body.push(Line::default().strong("Approve it in the console: ").name(why).ours(".").block());
            }
            own(card, &approve)
        }
    };
    let mut written = envelope(body, actions, &card.title());
    let readers = match view {
        View::Shared { reviewers } => reviewers.iter().take(REFRESH_USERS).cloned().collect(),
        View::OwnAmongOthers { reader, .. } => vec![reader.to_owned()],
        View::Own { .. } => Vec::new(),
    };
    let refreshes = !matches!(view, View::Own { .. }) && card.actions.approve != Approve::Over;
    if let (true, Some(object)) = (refreshes, written.as_object_mut()) {
        let look = execute("Review", None, &button(card, Press::View));
        let mut refresh = json!({ "action": look });
        if let (false, Some(refresh)) = (readers.is_empty(), refresh.as_object_mut()) {
            refresh.insert("userIds".to_owned(), json!(readers));
        }
        object.insert("refresh".to_owned(), refresh);
    }
    written
}

/// What came of a click.
fn told(answer: &Answer) -> Vec<Value> {
    let (style, word) = if answer.done { ("good", "Done") } else { ("warning", "Not done") };
    vec![boxed(
        style,
        vec![heading(word), Line::default().words(&gateway::card::Shown::new(&answer.words)).block()],
    )]
}

/// What, how it stands, how risky it is, and who asks.
fn head(card: &Card) -> Vec<Value> {
    let what = &card.what;
    let verb = Line::default().strong(&format!("{} · {} · ", what.verb, what.target)).name(&what.environment);
    let verb =
        if what.production && what.environment != "production" { verb.strong(" (production)") } else { verb };
    let mut top = vec![heading(title(card)), verb.block(), Line::default().code(&what.resource).block()];
    top.push(ours(&standing(card)));
    let style = match (card.state.word, card.risk.tier) {
        ("pending", Tier::High) => "attention",
        ("pending", Tier::Medium) => "warning",
        ("pending", Tier::Low) => "accent",
        _ => "default",
    };
    let tier = match card.risk.tier {
        Tier::Low => "low",
        Tier::Medium => "medium",
        Tier::High => "high",
    };
    let risk = format!("Risk {} of 100, {tier}", card.risk.score);
    let mut body = vec![boxed(style, top), Line::default().strong(&risk).block()];
    for (rule, why) in card.risk.rules.iter().take(ROWS) {
        body.push(Line::default().ours("Stopped by ").name(rule).ours(": ").name(why).block());
    }
    let reasons: Vec<String> =
        card.risk.reasons.iter().take(ROWS).map(|(points, why)| format!("+{points} {why}")).collect();
    if !reasons.is_empty() {
        body.push(Line::default().words(&gateway::card::Shown::new(&reasons.join(" · "))).block());
    }
    for party in card.parties.iter().take(ROWS) {
        let role = if party.role == "caller" { party.kind } else { party.role.as_str() };
        let label = format!("{role} ({}): ", vouched(party.vouched));
        body.push(Line::default().ours(&label).name(&party.name).close());
    }
    if let Some(run) = &card.run {
        let label = format!("run ({}): ", vouched(Vouched::Claimed));
        body.push(Line::default().ours(&label).words(run).close());
    }
    body
}

fn title(card: &Card) -> &'static str {
    match card.state.word {
        "pending" => "Review wanted",
        "approved" => "Approved",
        "executing" => "Approved, running",
        "finished" => "Approved, and ran",
        "denied" => "Denied",
        "expired" => "Expired",
        _ => "Cancelled",
    }
}

fn vouched(vouched: Vouched) -> &'static str {
    match vouched {
        Vouched::Verified => "verified",
        Vouched::Claimed => "the agent says so",
    }
}

fn standing(card: &Card) -> String {
    let ended = card.state.ended.map(|ended| format!(", {}", moment(ended))).unwrap_or_default();
    match card.state.word {
        "pending" => format!("Waits for review until {}; then it is denied.", moment(card.expires)),
        "approved" => "It has not run yet.".to_owned(),
        "executing" => "It is running.".to_owned(),
        "finished" => {
            let outcome = card.state.outcome.as_ref().map_or("nobody knows how it ended", ending);
            format!("Outcome: {outcome}{ended}.")
        }
        _ => format!("Nothing ran{ended}."),
    }
}

/// Exactly what would run, or nothing where not all of it can stand here as it is.
fn command(card: &Card) -> Option<Vec<Value>> {
    if card.command.left_out.is_some() || card.command.parts.is_empty() {
        return None;
    }
    let title =
        Line::default().strong("Exactly what would run").ours(&format!(", {} bytes", card.command.bytes));
    let digest = Line::default().ours("digest ").name(&card.command.digest.to_string());
    let mut items = vec![title.block(), digest.small()];
    let mut count = 0_usize;
    for part in &card.command.parts {
        items.push(Line::default().name(&part.path).ours(":").small());
        let lines = lines(&part.text);
        count = count.saturating_add(lines.len());
        items.extend(lines.iter().map(|line| Line::default().code(line).close()));
    }
    for (path, classes) in &card.command.masked {
        items
            .push(Line::default().ours("Masked in ").name(path).ours(": ").name(&classes.join(", ")).block());
    }
    (count <= COMMAND_LINES).then_some(items)
}

fn left_out(card: &Card) -> Vec<Value> {
    let why = match card.command.left_out {
        Some(LeftOut::Kept) => "does not leave the gateway for this place",
        Some(LeftOut::NoText) => "is no text",
        Some(LeftOut::Erased) => "was erased in part",
        Some(LeftOut::TooLong) | None => "cannot stand here whole",
    };
    let line = Line::default()
        .strong("Exactly what would run")
        .ours(&format!(" ({} bytes) {why}. Digest ", card.command.bytes))
        .name(&card.command.digest.to_string());
    vec![line.block()]
}

/// Effect, the agent's words, questions, and who was asked.
fn middle(card: &Card) -> Vec<Value> {
    let undone = match card.effect.reversible {
        Reversible::Yes => "It can be undone.",
        Reversible::No => "It cannot be undone.",
        Reversible::Unknown => "Nobody here knows whether it can be undone.",
    };
    let effect = Line::default().strong("Effect").ours(&format!(": {}. ", card.effect.words));
    let undone = match card.effect.reversible {
        Reversible::No => effect.strong(undone),
        Reversible::Yes | Reversible::Unknown => effect.ours(undone),
    };
    let mut body = vec![undone.block()];
    if let Some(reason) = &card.reason {
        body.push(quoted("The agent's reason, in its own words, which nobody checked:", reason));
    }
    for exchange in &card.questions {
        body.extend(self::exchange(exchange));
    }
    for hold in card.holds.iter().take(ROWS) {
        let counts: Vec<String> = hold
            .any_of
            .iter()
            .map(|quorum| format!("{} of {} from {}", quorum.have, quorum.need, quorum.group))
            .collect();
        let state = if hold.lifted { "lifted, " } else { "" };
        let line = Line::default().name(&hold.rule).ours(&format!(": {state}approvals "));
        body.push(line.name(&counts.join(" or ")).block());
    }
    if let (Some(why), false) = (&card.why_you, card.state.is_over()) {
        body.push(Line::default().ours("Why you: ").name(why).block());
    }
    body
}

fn quoted(label: &str, words: &gateway::card::Shown) -> Value {
    let mut items = vec![subtle(label)];
    items.extend(lines(words).iter().map(|line| Line::default().ours("│ ").words(line).close()));
    json!({ "type": "Container", "items": items, "spacing": "Medium", "separator": true })
}

fn exchange(exchange: &Exchange) -> Vec<Value> {
    let mut body = vec![
        Line::default().name(&exchange.by).ours(" asked:").block(),
        Line::default().ours("│ ").words(&exchange.question).close(),
    ];
    match &exchange.answer {
        Some(answer) => {
            body.push(quoted("The agent answered, in its own words, which nobody checked:", answer))
        }
        None if exchange.withdrawn => body.push(subtle("The question was taken back.")),
        None => {}
    }
    body
}

/// Who said what, why it will not run, and the proof.
fn decided(card: &Card) -> Vec<Value> {
    let mut body = Vec::new();
    for said in card.state.reviews.iter().take(ROWS) {
        body.extend(verdict(said));
    }
    if let Some(why) = &card.state.why_not {
        body.push(Line::default().words(why).block());
    }
    if card.state.receipt.is_some() {
        let digest = card.command.digest.to_string();
        body.push(Line::default().ours("Its receipt proves it; digest ").name(&digest).block());
    }
    body
}

fn verdict(said: &Said) -> Vec<Value> {
    let verb = match said.verdict {
        "approved" => "Approved",
        "denied" => "Denied",
        _ => "Asked",
    };
    let mut line = Line::default().strong(verb).ours(" by ").name(&said.name).ours(" with ").name(&said.by);
    if said.broke_glass {
        line = line.strong(", breaking glass");
    }
    if said.dismissed {
        line = line.ours("; it counts no more");
    }
    if let Some(note) = &said.note {
        line = line.ours(": ").words(note);
    }
    vec![line.block(), subtle(&moment(said.at))]
}

/// Whether Approve stands here: never over less than the whole command, never at high risk, and at medium risk never
/// with one click, whatever the card says.
fn approve(card: &Card, whole: bool) -> Approve {
    match (&card.actions.approve, whole, card.risk.tier) {
        (Approve::Click | Approve::Confirm, false, _) => {
            Approve::InConsole("what exactly would run cannot stand here whole".to_owned())
        }
        (Approve::Click | Approve::Confirm, true, Tier::High) => {
            Approve::InConsole("its risk is high".to_owned())
        }
        (Approve::Click, true, Tier::Medium) => Approve::Confirm,
        (approve, _, _) => approve.clone(),
    }
}

fn button(card: &Card, press: Press) -> Button {
    Button {
        v: 1,
        press,
        approval: card.approval,
        version: card.version,
        reason: String::new(),
        question: String::new(),
    }
}

fn shared(card: &Card) -> Vec<Value> {
    match card.actions.approve {
        Approve::Over => over(card),
        Approve::Click | Approve::Confirm | Approve::InConsole(_) => vec![
            execute("Review", Some("positive"), &button(card, Press::View)),
            open("Review in console", &card.url),
        ],
    }
}

fn own(card: &Card, approve: &Approve) -> Vec<Value> {
    const WHY_NOT: &str = "Why not? The agent and the record get your words.";
    const WHAT: &str = "What do you want to know? The agent gets your words, and its answer comes here.";
    let longest = domain::statement::NOTE_LIMIT_BYTES;
    let mut actions = Vec::new();
    match approve {
        Approve::Click => actions.push(execute("Approve", Some("positive"), &button(card, Press::Approve))),
        Approve::Confirm => {
            let line = Line::default().ours("It runs once, exactly as shown: ").name(&card.title()).block();
            let then = execute("Yes, approve", Some("positive"), &button(card, Press::Confirm));
            actions.push(unfold("Approve", Some("positive"), vec![line], then));
        }
        Approve::InConsole(_) => {}
        Approve::Over => return over(card),
    }
    if card.actions.deny_and_ask {
        let ask = execute("Send the question", None, &button(card, Press::Ask));
        actions.push(unfold("Ask", None, vec![input(QUESTION, WHAT, longest)], ask));
        let deny = execute("Deny it", Some("destructive"), &button(card, Press::Deny));
        actions.push(unfold("Deny", Some("destructive"), vec![input(REASON, WHY_NOT, longest)], deny));
    }
    actions.push(open("Review in console", &card.url));
    actions
}

fn over(card: &Card) -> Vec<Value> {
    let mut actions = vec![open("Open in console", &card.url)];
    actions.extend(card.state.receipt.as_ref().map(|receipt| open("Receipt", receipt)));
    actions
}

/// The least that can be said, where nothing else fits.
fn small(card: &Card) -> Value {
    let body = vec![
        heading(title(card)),
        ours(&standing(card)),
        ours("The rest of it is too much for a message. It stands in the console."),
    ];
    envelope(body, vec![open("Open in console", &card.url)], title(card))
}

fn envelope(body: Vec<Value>, actions: Vec<Value>, fallback: &str) -> Value {
    json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": VERSION,
        "fallbackText": fallback,
        "msteams": { "width": "Full" },
        "body": body,
        "actions": actions,
    })
}

fn size(card: &Value) -> usize {
    serde_json::to_vec(card).map_or(usize::MAX, |bytes| bytes.len())
}

/// Whether a written card lets somebody approve.
fn approves(card: &Value) -> bool {
    match card {
        Value::Object(members) => {
            members
                .get("verb")
                .and_then(Value::as_str)
                .is_some_and(|verb| verb == Press::Approve.as_str() || verb == Press::Confirm.as_str())
                || members.values().any(approves)
        }
        Value::Array(items) => items.iter().any(approves),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
