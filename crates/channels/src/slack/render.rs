//! The card in Block Kit, in the order in which people decide, within Slack's limits.
//!
//! Words of anybody else than this program stand in plain text or as code, where Slack formats and links nothing. The
//! command stands whole or not at all, and where it does not, nobody approves here.

use domain::time::Timestamp;
use jiff::tz::TimeZone;

use super::blocks::{Action, Block, Blocks, Button, Carried, Confirm, Input, Message, View};
use super::inbound::{On, WORDS};
use super::limits::{BLOCKS, COMMAND_BLOCKS, SECTION};
use super::text::{Markup, Text, code_blocks, escaped, quoted, units};
use crate::card::{
    Approve, Card, Exchange, LeftOut, Part, Reversible, Said, Tier, Vouched, at, ending, visible,
};
use crate::limits::INBOX;

/// The card as a message.
pub(super) fn message(card: &Card) -> Message {
    let mut blocks = Blocks::<BLOCKS>::default();
    let command = command(card);
    let tail = tail(card, command.is_some());
    for block in head(card) {
        blocks.push(block);
    }
    match command {
        Some(parts) => parts.into_iter().for_each(|block| blocks.push(block)),
        None => blocks.push(Block::context(&left_out(card))),
    }
    // What stands between the command and the buttons gives way to the buttons.
    for block in middle(card) {
        if blocks.room() > tail.len() {
            blocks.push(block);
        }
    }
    for block in tail {
        blocks.push(block);
    }
    let line = match card.state.word {
        "pending" => format!("Review wanted: {}", card.title()),
        _ => format!("{}: {}", card.title(), card.standing(&TimeZone::UTC)),
    };
    Message::new(&line, blocks)
}

/// What, how it stands, and how risky it is.
fn head(card: &Card) -> Vec<Block> {
    let what = &card.what;
    let environment = if what.production && what.environment != "production" {
        format!("{} (production)", what.environment)
    } else {
        what.environment.clone()
    };
    let mut blocks = vec![
        Block::header(&format!("{} · {} · {environment}", what.verb, what.target)),
        Block::section(Text::plain(&visible(&what.resource))),
        Block::context(&standing(card)),
    ];
    blocks.extend(decided(card));
    let tier = match card.risk.tier {
        Tier::Low => "low",
        Tier::Medium => "medium",
        Tier::High => "high",
    };
    let mut risk = Markup::new(&format!("*Risk {} of 100, {tier}*", card.risk.score));
    for (rule, why) in &card.risk.rules {
        risk = risk.ours("\nStopped by ").code(rule).ours(": ").words(why);
    }
    blocks.push(Block::section(Text::markup(&risk)));
    if !card.risk.reasons.is_empty() {
        let reasons: Vec<String> =
            card.risk.reasons.iter().map(|(points, why)| format!("+{points} {why}")).collect();
        blocks.push(Block::context(&Markup::default().words(&reasons.join(" · "))));
    }
    let mut rows: Vec<(Markup, String)> = card
        .parties
        .iter()
        .map(|party| {
            let role = if party.role == "caller" { party.kind } else { party.role.as_str() };
            (Markup::new("*").words(role).ours("*").ours(vouched(party.vouched)), party.name.clone())
        })
        .collect();
    rows.extend(
        card.run.as_ref().map(|run| (Markup::new("*run*").ours(vouched(Vouched::Claimed)), visible(run))),
    );
    blocks.extend(Block::rows(rows));
    blocks
}

fn vouched(vouched: Vouched) -> &'static str {
    match vouched {
        Vouched::Verified => " – verified",
        Vouched::Claimed => " – the agent says so",
    }
}

fn standing(card: &Card) -> Markup {
    let over = |markup: Markup| match card.state.ended {
        Some(ended) => time(markup.ours(", "), ended),
        None => markup,
    };
    match card.state.word {
        "pending" => time(Markup::new("*Waits for review* until "), card.expires).ours("; then it is denied"),
        "approved" => Markup::new("*Approved*; it has not run yet"),
        "executing" => Markup::new("*Approved*; it is running"),
        "finished" => {
            let outcome = card.state.outcome.as_ref().map_or("nobody knows how", ending);
            over(Markup::new("*Ran*: ").words(outcome))
        }
        "denied" => over(Markup::new("*Denied*, nothing ran")),
        "expired" => over(Markup::new("*Expired*, nothing ran")),
        "cancelled" => over(Markup::new("*Cancelled*, nothing ran")),
        word => over(Markup::default().words(word)),
    }
}

/// A moment, in each reader's own time zone.
fn time(markup: Markup, when: Timestamp) -> Markup {
    markup.time(when.micros() / 1_000_000, &at(when, &TimeZone::UTC))
}

/// Exactly what would run, or nothing where not all of it can stand here as it is.
fn command(card: &Card) -> Option<Vec<Block>> {
    if card.command.left_out.is_some() || units(&escaped(&visible(&card.what.resource))) > SECTION {
        return None;
    }
    let bytes = card.command.bytes;
    let title = Markup::new(&format!("*Exactly what would run*, {bytes} bytes, digest "));
    let mut blocks = vec![Block::context(&title.code(&card.command.digest.to_string()))];
    // Parts of one line stand together: without a line of its own, none can pass for another.
    let (lines, texts): (Vec<&Part>, Vec<&Part>) =
        card.command.parts.iter().partition(|part| !visible(&part.text).contains('\n'));
    let lines: Vec<String> =
        lines.iter().map(|part| format!("{}  {}", part.path, visible(&part.text))).collect();
    if !lines.is_empty() {
        blocks.extend(
            code_blocks(&lines.join("\n"), SECTION)?.iter().map(|code| Block::section(Text::markup(code))),
        );
    }
    for part in texts {
        blocks.push(Block::context(&Markup::default().code(&part.path)));
        let shown = code_blocks(&visible(&part.text), SECTION)?;
        blocks.extend(shown.iter().map(|code| Block::section(Text::markup(code))));
    }
    for (path, classes) in &card.command.masked {
        let markup = Markup::new("Masked in ").code(path).ours(": ").words(&classes.join(", "));
        blocks.push(Block::context(&markup));
    }
    (blocks.len() <= COMMAND_BLOCKS).then_some(blocks)
}

fn left_out(card: &Card) -> Markup {
    let why = match card.command.left_out {
        Some(LeftOut::Kept) => "does not leave the gateway for this place",
        Some(LeftOut::NoText) => "is no text",
        Some(LeftOut::Erased) => "was erased in part",
        Some(LeftOut::TooLong) | None => "cannot stand here whole",
    };
    let markup =
        Markup::new(&format!("*Exactly what would run* ({} bytes) {why}. Digest ", card.command.bytes));
    markup.code(&card.command.digest.to_string())
}

/// Effect, the agent's words, questions, and who was asked; once it is over, only what was said.
fn middle(card: &Card) -> Vec<Block> {
    if card.state.is_over() {
        return card.questions.iter().flat_map(exchange).collect();
    }
    let undone = match card.effect.reversible {
        Reversible::Yes => "It can be undone.",
        Reversible::No => "*It cannot be undone.*",
        Reversible::Unknown => "Nobody here knows whether it can be undone.",
    };
    let effect = Markup::new("*Effect*: ").words(card.effect.words).ours(". ").ours(undone);
    let mut blocks = vec![Block::section(Text::markup(&effect))];
    if let Some(reason) = &card.reason {
        blocks.push(Block::context(&Markup::new(
            "*The agent's reason*, in its own words, which nobody checked:",
        )));
        blocks.push(Block::section(Text::plain(&quoted(&visible(reason)))));
    }
    blocks.extend(card.questions.iter().flat_map(exchange));
    let mut holds = Markup::default();
    for (place, hold) in card.holds.iter().enumerate() {
        let counts: Vec<String> = hold
            .any_of
            .iter()
            .map(|quorum| format!("{} of {} from {}", quorum.have, quorum.need, quorum.group))
            .collect();
        let state = if hold.lifted { "lifted, " } else { "" };
        holds = holds.ours(if place == 0 { "" } else { "\n" }).code(&hold.rule).ours(": ").ours(state);
        holds = holds.words(&format!("approvals {}", counts.join(" or ")));
    }
    if !card.holds.is_empty() {
        blocks.push(Block::context(&holds));
    }
    if let Some(why) = &card.why_you {
        blocks.push(Block::context(&Markup::new("Why you: ").words(why)));
    }
    blocks
}

fn exchange(exchange: &Exchange) -> Vec<Block> {
    let asked = Markup::default().code(&exchange.by).ours(" asked:");
    let mut blocks =
        vec![Block::context(&asked), Block::section(Text::plain(&quoted(&visible(&exchange.question))))];
    match &exchange.answer {
        Some(answer) => {
            blocks.push(Block::context(&Markup::new(
                "*The agent answered*, in its own words, which nobody checked:",
            )));
            blocks.push(Block::section(Text::plain(&quoted(&visible(answer)))));
        }
        None if exchange.withdrawn => {
            blocks.push(Block::context(&Markup::new("The question was taken back.")))
        }
        None => {}
    }
    blocks
}

/// Who said what so far, and why it will not run.
fn decided(card: &Card) -> Vec<Block> {
    let mut blocks = Vec::new();
    if !card.state.reviews.is_empty() {
        let mut said = Markup::default();
        for (place, review) in card.state.reviews.iter().enumerate() {
            said = verdict(said.ours(if place == 0 { "" } else { "\n" }), review);
        }
        blocks.push(Block::section(Text::markup(&said)));
    }
    // A denial's words stand beside who denied.
    if let Some(why) = card.state.why_not.as_ref().filter(|_| card.state.reviews.is_empty()) {
        blocks.push(Block::section(Text::plain(&visible(why))));
    }
    blocks
}

/// The buttons, and why Approve is not among them.
fn tail(card: &Card, whole: bool) -> Vec<Block> {
    let mut blocks = Vec::new();
    let approve = match (&card.actions.approve, whole, card.risk.tier) {
        (Approve::Click | Approve::Confirm, false, _) => {
            Approve::InConsole("what exactly would run cannot stand here whole".to_owned())
        }
        (Approve::Click | Approve::Confirm, true, Tier::High) => {
            Approve::InConsole("its risk is high".to_owned())
        }
        (Approve::Click, true, Tier::Medium) => Approve::Confirm,
        (approve, _, _) => approve.clone(),
    };
    if let Approve::InConsole(why) = &approve {
        blocks.push(Block::context(&Markup::new("Approve it in the console: ").words(why).ours(".")));
    }
    let title = card.title();
    let button = |action, label| Button {
        action,
        label,
        said: format!("{label}: {title}"),
        value: On::value(card.approval, card.version),
        url: None,
        confirm: None,
    };
    let mut buttons = Vec::new();
    match approve {
        Approve::Click => buttons.push(button(Action::Approve, "Approve")),
        Approve::Confirm => {
            let confirm = Some(confirm(&title));
            buttons.push(Button { confirm, ..button(Action::Approve, "Approve") });
        }
        Approve::InConsole(_) | Approve::Over => {}
    }
    if card.actions.deny_and_ask {
        buttons.push(button(Action::Ask, "Ask"));
        buttons.push(button(Action::Deny, "Deny"));
    }
    let leads = if card.actions.approve == Approve::Over { "Open in console" } else { "Review in console" };
    let open = Button { url: Some(card.url.clone()), value: String::new(), ..button(Action::Open, leads) };
    buttons.push(open);
    let receipt = card.state.receipt.as_ref();
    if let Some(receipt) = receipt {
        let markup = Markup::new("Proof: ").link(receipt, "receipt").ours(", digest ");
        blocks.push(Block::context(&markup.code(&card.command.digest.to_string())));
    }
    blocks.push(Block::Actions { block_id: format!("card.{}", card.version), elements: buttons });
    blocks
}

fn verdict(markup: Markup, said: &Said) -> Markup {
    let verb = match said.verdict {
        "approved" => "*Approved*",
        "denied" => "*Denied*",
        _ => "*Asked*",
    };
    let mut markup = markup.ours(verb).ours(" by ").code(&said.name).ours(" (").words(&said.by).ours(") ");
    markup = time(markup, said.at);
    if said.broke_glass {
        markup = markup.ours(", *breaking glass*");
    }
    if said.dismissed {
        markup = markup.ours("; it counts no more");
    }
    match &said.note {
        Some(note) => markup.ours(": ").code(&visible(note)),
        None => markup,
    }
}

fn confirm(title: &str) -> Confirm {
    Confirm {
        title: Text::plain("Approve this?"),
        text: Text::plain(&format!("It runs once, exactly as shown: {title}")),
        confirm: Text::plain("Approve"),
        deny: Text::plain("Not yet"),
    }
}

/// The modal that asks for the words of a denial or a question; nothing where they are not needed.
pub(super) fn modal(action: Action, on: &On, what: &str) -> Option<View> {
    let (callback_id, title, label) = match action {
        Action::Deny => ("deny", "Deny", "Why not? The agent and the record get your words."),
        Action::Ask => {
            ("ask", "Ask", "What do you want to know? The agent gets your words and its answer comes here.")
        }
        Action::Approve | Action::Open => return None,
    };
    let mut blocks = Blocks::default();
    blocks.push(Block::section(Text::plain(what)));
    let element = Input { id: WORDS, longest: domain::statement::NOTE_LIMIT_BYTES };
    blocks.push(Block::Input { block_id: WORDS.to_owned(), label: Text::plain(label), element });
    Some(View::Modal {
        callback_id,
        title: Text::plain(title),
        submit: Text::plain(title),
        close: Text::plain("Cancel"),
        private_metadata: Carried::new(serde_json::to_string(on).ok()?)?,
        blocks,
    })
}

/// What somebody has to decide, as blocks of a home tab or of an answer.
pub(super) fn inbox<const MAX: usize>(waiting: &[Card], more: usize) -> Blocks<MAX> {
    let mut blocks = Blocks::default();
    if waiting.is_empty() {
        blocks.push(Block::section(Text::plain("Nothing waits for you.")));
        return blocks;
    }
    for card in waiting.iter().take(INBOX) {
        let line = Markup::default()
            .code(&card.title())
            .ours(&format!("\nRisk {} of 100 · until ", card.risk.score));
        blocks.push(Block::Section {
            text: Text::markup(&time(line, card.expires)),
            accessory: Some(Button {
                action: Action::Open,
                label: "Review",
                said: format!("Review {}", card.title()),
                value: String::new(),
                url: Some(card.url.clone()),
                confirm: None,
            }),
        });
    }
    if more > 0 {
        blocks.push(Block::context(&Markup::new(&format!("and {more} more in the console"))));
    }
    blocks
}

/// An answer of the agent's, for the card's thread.
pub(super) fn answer(exchange: &Exchange) -> Option<Message> {
    let said = exchange.answer.as_ref()?;
    let mut blocks = Blocks::default();
    let title = Markup::new("*The agent answered* ")
        .code(&exchange.by)
        .ours(", in its own words, which nobody checked:");
    blocks.push(Block::context(&title));
    blocks.push(Block::section(Text::plain(&quoted(&visible(said)))));
    Some(Message::new("The agent answered a question", blocks))
}

/// A word on a card that still waits, for its thread.
pub(super) fn reminder(card: &Card) -> Message {
    let mut blocks = Blocks::default();
    blocks.push(Block::section(Text::markup(&time(
        Markup::new("*This still waits for review*, until "),
        card.expires,
    ))));
    Message::new(&format!("Still waits for review: {}", card.title()), blocks)
}

/// An answer to one person, with where to go on.
pub(super) fn told<const MAX: usize>(words: &str, link: Option<&str>) -> Blocks<MAX> {
    let mut blocks = Blocks::default();
    blocks.push(Block::section(Text::plain(words)));
    if let Some(link) = link {
        blocks.push(Block::context(&Markup::default().link(link, "Go on in the console")));
    }
    blocks
}
