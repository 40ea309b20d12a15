//! A webhook's body, as Standard Webhooks recommends it: `type`, `timestamp`, `data`. The data is the card.

use serde_json::{Value, json};

use crate::card::{Approve, Card, LeftOut, Reversible, Tier, Vouched, visible};

/// The message's id: the same for every try of one state of one request, so that a receiver knows one that it has had.
pub(super) fn id(card: &Card, kind: &str) -> String {
    format!("{}.{}.{}", card.approval, card.version, kind.rsplit('.').next().unwrap_or(kind))
}

/// The body's exact bytes.
///
/// # Errors
/// In words; none that a card can cause.
pub(super) fn write(kind: &str, card: &Card) -> Result<String, String> {
    let body = json!({ "type": kind, "timestamp": rfc3339(card.made.micros()), "data": data(card) });
    serde_json::to_string(&body).map_err(|error| error.to_string())
}

/// The card as a machine reads it. Words from outside come as they are shown, with what is hidden in them named.
fn data(card: &Card) -> Value {
    let command = &card.command;
    json!({
        "id": card.approval,
        "version": card.version,
        "state": card.state.word,
        "url": card.url,
        "card_digest": card.displayed,
        "action_digest": command.digest,
        "verb": card.what.verb,
        "resource": visible(&card.what.resource),
        "target": card.what.target,
        "environment": card.what.environment,
        "production": card.what.production,
        "risk": {
            "score": card.risk.score,
            "tier": match card.risk.tier { Tier::Low => "low", Tier::Medium => "medium", Tier::High => "high" },
            "reasons": card.risk.reasons.iter().map(|(points, why)| json!({"points": points, "why": why})).collect::<Vec<_>>(),
        },
        "rules": card.risk.rules.iter().map(|(id, why)| json!({"id": id, "why": why})).collect::<Vec<_>>(),
        "parties": card.parties.iter().map(|party| json!({
            "name": party.name, "kind": party.kind, "role": party.role,
            "verified": party.vouched == Vouched::Verified,
        })).collect::<Vec<_>>(),
        "run": card.run.as_ref().map(visible),
        "command": {
            "parts": command.parts.iter().map(|part| json!({"path": part.path, "text": visible(&part.text)})).collect::<Vec<_>>(),
            "bytes": command.bytes,
            "masked": command.masked.iter().map(|(path, classes)| json!({"path": path, "classes": classes})).collect::<Vec<_>>(),
            "left_out": command.left_out.map(|left_out| match left_out {
                LeftOut::Kept => "kept",
                LeftOut::TooLong => "too-long",
                LeftOut::NoText => "no-text",
                LeftOut::Erased => "erased",
            }),
        },
        "effect": {
            "words": card.effect.words,
            "reversible": match card.effect.reversible { Reversible::Yes => "yes", Reversible::No => "no", Reversible::Unknown => "unknown" },
        },
        "reason_untrusted": card.reason.as_ref().map(visible),
        "questions": card.questions.iter().map(|asked| json!({
            "by": asked.by, "question": visible(&asked.question),
            "answer_untrusted": asked.answer.as_ref().map(visible), "withdrawn": asked.withdrawn,
        })).collect::<Vec<_>>(),
        "requested": rfc3339(card.requested.micros()),
        "expires": rfc3339(card.expires.micros()),
        "holds": card.holds.iter().map(|hold| json!({
            "rule": hold.rule, "lifted": hold.lifted,
            "any_of": hold.any_of.iter().map(|quorum| json!({
                "group": quorum.group, "have": quorum.have, "need": quorum.need,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "console": match &card.actions.approve {
            Approve::InConsole(why) => Some(why.as_str()),
            Approve::Click | Approve::Confirm | Approve::Over => None,
        },
        "reviews": card.state.reviews.iter().map(|said| json!({
            "person": said.person, "name": said.name, "verdict": said.verdict, "by": said.by,
            "at": rfc3339(said.at.micros()), "break_glass": said.broke_glass, "dismissed": said.dismissed,
            "note": said.note.as_ref().map(visible),
        })).collect::<Vec<_>>(),
        "why_not": card.state.why_not.as_ref().map(visible),
        "ended": card.state.ended.map(|ended| rfc3339(ended.micros())),
        "outcome": card.state.outcome.as_ref().map(crate::card::ending),
        "receipt": card.state.receipt,
    })
}

fn rfc3339(micros: u64) -> String {
    let micros = i64::try_from(micros).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).map(|time| time.to_string()).unwrap_or_default()
}
