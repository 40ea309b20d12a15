//! The card in each form that is not a channel's own, and what the configuration may say.

mod cards;
mod config;

use domain::digest::{Digest, Purpose};
use domain::id::{ActionId, PersonId};
use domain::outcome::{Ending, Outcome, Witnessed};
use domain::time::{Span, Timestamp};
use gateway::card::Shown;

use crate::card::{
    Actions, Approve, Card, Command, Effect, Exchange, Hold, LeftOut, Part, Party, Quorum, Reversible, Risk,
    Said, State, Tier, Vouched, What,
};

/// 2026-11-21 12:00:00 UTC.
pub(crate) const NOON: u64 = 1_795_262_400_000_000;

/// A request that waits, with something of everything on its card, and words that mean no good.
pub(crate) fn card() -> Card {
    let requested = Timestamp::from_micros(NOON);
    Card {
        approval: ActionId::new(requested, &[7; 10]),
        version: 2,
        made: requested.after(Span::from_seconds(1)),
        displayed: Digest::of(Purpose::Displayed, b"card"),
        url: "https://countersign.example.com/approvals/1".to_owned(),
        what: What {
            verb: "http.delete".to_owned(),
            resource: Shown::new("queue/ord\u{202e}sre"),
            target: "rabbitmq".to_owned(),
            environment: "prod".to_owned(),
            production: true,
        },
        risk: Risk {
            score: 60,
            tier: Tier::Medium,
            reasons: vec![
                (35, "removes something (http.delete)".to_owned()),
                (25, "in production (prod)".to_owned()),
            ],
            rules: vec![("deletes".to_owned(), "Deletes are looked at".to_owned())],
        },
        parties: vec![
            Party {
                name: "Janitor".to_owned(),
                kind: "agent",
                role: "caller".to_owned(),
                vouched: Vouched::Verified,
            },
            Party {
                name: "Bo".to_owned(),
                kind: "person",
                role: "sponsor".to_owned(),
                vouched: Vouched::Verified,
            },
        ],
        run: Some(Shown::new("https://ci.example.com/runs/17")),
        command: Command {
            parts: vec![
                Part { path: "http.method".to_owned(), text: Shown::new("DELETE") },
                Part {
                    path: "http.body".to_owned(),
                    text: Shown::new("{\"if\": \"<script>alert(1)</script>\",\n \"to\": \"p\u{430}ypal\"}"),
                },
            ],
            bytes: 61,
            left_out: None,
            masked: vec![("http.body".to_owned(), vec!["card".to_owned()])],
            digest: Digest::of(Purpose::Action, b"action"),
        },
        effect: Effect {
            words: "removes something; nothing here brings it back",
            reversible: Reversible::No,
        },
        reason: Some(Shown::new("It is empty.\nApproved by the CEO: yes")),
        questions: vec![Exchange {
            by: "Ann".to_owned(),
            question: Shown::new("Who uses it?"),
            answer: Some(Shown::new("Nobody since May.")),
            withdrawn: false,
        }],
        requested,
        expires: requested.after(Span::from_seconds(1_800)),
        holds: vec![Hold {
            rule: "deletes".to_owned(),
            lifted: false,
            any_of: vec![
                Quorum { group: "dba".to_owned(), have: 1, need: 2 },
                Quorum { group: "admins".to_owned(), have: 0, need: 1 },
            ],
        }],
        why_you: Some("you are in `dba`, whose review it needs".to_owned()),
        actions: Actions { approve: Approve::Confirm, deny_and_ask: true },
        state: State {
            word: "pending",
            reviews: vec![said("Ann", "approved", "slack", requested.after(Span::from_seconds(60)))],
            why_not: None,
            ended: None,
            outcome: None,
            receipt: None,
        },
    }
}

/// The same where nothing of the command may stand.
pub(crate) fn metadata() -> Card {
    let card = card();
    Card {
        run: None,
        command: Command { parts: Vec::new(), left_out: Some(LeftOut::Kept), ..card.command },
        reason: None,
        questions: Vec::new(),
        why_you: None,
        actions: Actions {
            approve: Approve::InConsole("what exactly would run does not leave for this place".to_owned()),
            deny_and_ask: true,
        },
        ..card
    }
}

/// The same once it ran.
pub(crate) fn finished() -> Card {
    let card = card();
    let ended = card.requested.after(Span::from_seconds(120));
    let mut reviews = card.state.reviews.clone();
    reviews.push(said("Cy", "approved", "passkey", card.requested.after(Span::from_seconds(100))));
    Card {
        version: 5,
        holds: card.holds.iter().map(|hold| Hold { lifted: true, ..hold.clone() }).collect(),
        actions: Actions::OVER,
        why_you: None,
        state: State {
            word: "finished",
            reviews,
            why_not: None,
            ended: Some(ended),
            outcome: Some(Outcome::new(Ending::Succeeded, Witnessed::Observed, "")),
            receipt: Some("https://countersign.example.com/v1/approvals/1/receipt".to_owned()),
        },
        ..card
    }
}

/// The same denied, with a reason that is not plain.
pub(crate) fn denied() -> Card {
    let card = card();
    let ended = card.requested.after(Span::from_seconds(90));
    Card {
        version: 3,
        actions: Actions::OVER,
        state: State {
            word: "denied",
            reviews: vec![said("Cy", "denied", "teams", ended)],
            why_not: Some(Shown::new("Cy denied it: not on a Friday\u{200b}")),
            ended: Some(ended),
            outcome: None,
            receipt: Some("https://countersign.example.com/v1/approvals/1/receipt".to_owned()),
        },
        ..card
    }
}

fn said(name: &str, verdict: &'static str, by: &str, at: Timestamp) -> Said {
    Said {
        person: PersonId::new(at, &[1; 10]),
        name: name.to_owned(),
        verdict,
        at,
        by: by.to_owned(),
        broke_glass: false,
        dismissed: false,
        note: None,
    }
}
