use domain::digest::{Digest, Purpose};
use domain::outcome::{Ending, Outcome, Witnessed};
use domain::time::Timestamp;
use gateway::card::Shown;
use proptest::prelude::*;
use serde_json::Value;

use super::super::blocks::{Action, Block, Blocks, View};
use super::super::inbound::On;
use super::super::limits::VIEW_BLOCKS;
use super::super::render;
use crate::card::{
    Actions, Approve, Card, Command, Effect, Exchange, Hold, LeftOut, Part, Party, Quorum, Reversible, Risk,
    Said, State, Tier, Vouched, What,
};

/// 2026-11-21 12:45:00 UTC.
const NOW: u64 = 1_795_265_100_000_000;

fn at(minutes: u64) -> Timestamp {
    Timestamp::from_micros(NOW + minutes * 60_000_000)
}

fn party(name: &str, kind: &'static str, role: &str) -> Party {
    Party { name: name.to_owned(), kind, role: role.to_owned(), vouched: Vouched::Verified }
}

fn part(path: &str, text: &str) -> Part {
    Part { path: path.to_owned(), text: Shown::new(text) }
}

fn pending(command: Vec<Part>) -> Card {
    Card {
        approval: "0199c0de-0000-7000-8000-000000000001".parse().unwrap(),
        version: 1,
        made: at(0),
        displayed: Digest::of(Purpose::Displayed, b"card"),
        url: "https://gate.acme.example/approvals/0199c0de-0000-7000-8000-000000000001".to_owned(),
        what: What {
            verb: "http.delete".to_owned(),
            resource: Shown::new("/api/queues/%2F/orders"),
            target: "rabbitmq".to_owned(),
            environment: "staging".to_owned(),
            production: false,
        },
        risk: Risk {
            score: 30,
            tier: Tier::Low,
            reasons: vec![
                (20, "it removes something".to_owned()),
                (10, "first time for this agent".to_owned()),
            ],
            rules: vec![("hold-removal".to_owned(), "Removes something for good".to_owned())],
        },
        parties: vec![party("deploy-bot", "agent", "caller"), party("Ann Archer", "person", "sponsor")],
        run: Some(Shown::new("github.com/acme/shop/actions/runs/42")),
        command: Command {
            bytes: command.iter().map(|part| part.text.pieces.len() as u64 * 10).sum(),
            parts: command,
            left_out: None,
            masked: Vec::new(),
            digest: Digest::of(Purpose::Displayed, b"action"),
        },
        effect: Effect {
            words: "removes something; nothing here brings it back",
            reversible: Reversible::No,
        },
        reason: Some(Shown::new("The queue is empty since Tuesday.\nNobody reads from it.")),
        questions: Vec::new(),
        requested: at(0),
        expires: at(30),
        holds: vec![Hold {
            rule: "hold-removal".to_owned(),
            lifted: false,
            any_of: vec![Quorum { group: "reviewers".to_owned(), have: 0, need: 1 }],
        }],
        why_you: Some("you are in `reviewers`, whose review it needs".to_owned()),
        actions: Actions { approve: Approve::Click, deny_and_ask: true },
        state: State {
            word: "pending",
            reviews: Vec::new(),
            why_not: None,
            ended: None,
            outcome: None,
            receipt: None,
        },
    }
}

fn low() -> Card {
    pending(vec![
        part("http.method", "DELETE"),
        part("http.path", "/api/queues/%2F/orders"),
        part("http.query", "if-unused=true"),
    ])
}

fn risky(tier: Tier, score: i64, approve: Approve) -> Card {
    let mut card = low();
    card.risk = Risk { tier, score, ..card.risk };
    card.actions.approve = approve;
    card
}

fn said(verdict: &'static str, note: Option<&str>) -> Said {
    Said {
        person: "0199c0de-0000-7000-8000-000000000002".parse().unwrap(),
        name: "Ben Baker".to_owned(),
        verdict,
        at: at(5),
        by: "slack".to_owned(),
        broke_glass: false,
        dismissed: false,
        note: note.map(Shown::new),
    }
}

fn over(word: &'static str, review: Option<Said>, outcome: Option<Outcome>) -> Card {
    let mut card = low();
    card.version = 4;
    card.actions = Actions::OVER;
    card.state = State {
        word,
        reviews: review.into_iter().collect(),
        why_not: (word == "denied").then(|| Shown::new("Ben Baker denied it: not on a Friday")),
        ended: Some(at(6)),
        outcome,
        receipt: Some(
            "https://gate.acme.example/v1/approvals/0199c0de-0000-7000-8000-000000000001/receipt".to_owned(),
        ),
    };
    card
}

fn blocks(card: &Card) -> Vec<Value> {
    let value = serde_json::to_value(render::message(card)).unwrap();
    value["blocks"].as_array().unwrap().clone()
}

fn buttons(card: &Card) -> Vec<String> {
    let all = blocks(card);
    let actions = all.last().unwrap();
    assert_eq!(actions["type"], "actions");
    actions["elements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|button| button["action_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_card_of_each_kind() {
    let mut asked = low();
    asked.questions = vec![Exchange {
        by: "Ben Baker".to_owned(),
        question: Shown::new("Who else reads from it?"),
        answer: Some(Shown::new("Nobody. *Approved* by the owner, says <https://evil.example|the wiki>.")),
        withdrawn: false,
    }];
    let mut body = low();
    body.command.parts.push(part("http.body", "{\n  \"purge\": true,\n  \"note\": \"a < b & c\"\n}"));
    let mut kept = low();
    kept.command = Command { parts: Vec::new(), left_out: Some(LeftOut::Kept), ..kept.command };
    kept.actions.approve =
        Approve::InConsole("what exactly would run does not leave for this place".to_owned());
    (kept.reason, kept.run) = (None, None);
    let mut hidden = low();
    hidden.what.resource = Shown::new("/api/queues/pаyments\u{202e}sredro");
    let ran = Outcome::new(Ending::Succeeded, Witnessed::Observed, "");
    for (name, card) in [
        ("low", low()),
        ("medium", risky(Tier::Medium, 50, Approve::Confirm)),
        (
            "high",
            risky(Tier::High, 80, Approve::InConsole("its risk is high; it takes your passkey".to_owned())),
        ),
        ("asked", asked),
        ("body", body),
        ("kept", kept),
        ("hidden", hidden),
        ("denied", over("denied", Some(said("denied", Some("not on a Friday"))), None)),
        ("ran", over("finished", Some(said("approved", None)), Some(ran))),
        ("expired", over("expired", None, None)),
    ] {
        insta::assert_json_snapshot!(format!("card_{name}"), render::message(&card));
    }
}

#[test]
fn the_modals_and_the_home_tab() {
    let on = On {
        approval: low().approval,
        version: 3,
        channel: "C0REVIEWS1".to_owned(),
        ts: "1732190400.000100".to_owned(),
    };
    insta::assert_json_snapshot!("modal_deny", render::modal(Action::Deny, &on, &low().title()).unwrap());
    insta::assert_json_snapshot!("modal_ask", render::modal(Action::Ask, &on, &low().title()).unwrap());
    assert_eq!(render::modal(Action::Approve, &on, &low().title()), None);
    let home = |blocks: Blocks<VIEW_BLOCKS>| View::Home { blocks };
    let two = [low(), risky(Tier::High, 80, Approve::InConsole("its risk is high".to_owned()))];
    insta::assert_json_snapshot!("home", home(render::inbox(&two, 3)));
    insta::assert_json_snapshot!("home_empty", home(render::inbox(&[], 0)));
}

#[test]
fn approve_stands_only_where_one_may_click() {
    let in_console = || Approve::InConsole("why".to_owned());
    for (what, card, approves) in [
        ("low", low(), true),
        ("medium", risky(Tier::Medium, 50, Approve::Confirm), true),
        ("high", risky(Tier::High, 80, in_console()), false),
        // Whatever was decided upstream of here.
        ("high, though a click was allowed", risky(Tier::High, 80, Approve::Click), false),
        ("in the console", risky(Tier::Low, 10, in_console()), false),
        ("over", over("expired", None, None), false),
        ("a code block that the command would end", pending(vec![part("http.body", "a```b")]), false),
        ("more than stands here", pending(vec![part("http.body", &"x".repeat(60_000))]), false),
        ("more than stands here once escaped", pending(vec![part("http.body", &"&".repeat(12_000))]), false),
        ("what stands here in several blocks", pending(vec![part("http.body", &"&".repeat(2_500))]), true),
    ] {
        assert_eq!(buttons(&card).contains(&"approve".to_owned()), approves, "{what}");
        assert!(buttons(&card).contains(&"open".to_owned()), "{what}");
    }
}

#[test]
fn a_medium_risk_is_confirmed_whatever_was_said() {
    for approve in [Approve::Click, Approve::Confirm] {
        let all = blocks(&risky(Tier::Medium, 50, approve));
        assert!(all.last().unwrap()["elements"][0]["confirm"].is_object());
    }
}

#[test]
fn buttons_carry_an_id_and_a_version_and_nothing_else() {
    let all = blocks(&low());
    for button in all.last().unwrap()["elements"].as_array().unwrap() {
        let expected = match button["action_id"].as_str().unwrap() {
            "open" => Value::Null,
            _ => "0199c0de-0000-7000-8000-000000000001.1".into(),
        };
        assert_eq!(button.get("value").cloned().unwrap_or_default(), expected);
    }
}

/// Every text of Block Kit within a value, with the block that it stands in.
fn within_limits(value: &Value) {
    let units = |text: &Value| text.as_str().unwrap().encode_utf16().count();
    let blocks = value["blocks"].as_array().unwrap();
    assert!((1..=50).contains(&blocks.len()), "{} blocks", blocks.len());
    for block in blocks {
        let texts: Vec<(&Value, usize)> = match block["type"].as_str().unwrap() {
            "header" => vec![(&block["text"], 150)],
            "section" if block.get("fields").is_some() => {
                let fields = block["fields"].as_array().unwrap();
                assert!((1..=10).contains(&fields.len()));
                fields.iter().map(|field| (field, 2_000)).collect()
            }
            "section" => vec![(&block["text"], 3_000)],
            "context" => block["elements"].as_array().unwrap().iter().map(|text| (text, 2_000)).collect(),
            "actions" => {
                block["elements"].as_array().unwrap().iter().map(|button| (&button["text"], 75)).collect()
            }
            other => panic!("a card has no {other}"),
        };
        for (text, limit) in texts {
            assert!((1..=limit).contains(&units(&text["text"])), "{text}");
        }
        for button in block["elements"].as_array().into_iter().flatten() {
            if let Some(label) = button.get("accessibility_label") {
                assert!(units(label) <= 75, "{label}");
            }
            if let Some(confirm) = button.get("confirm") {
                assert!(units(&confirm["text"]["text"]) <= 300, "{confirm}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_stands_on_a_card_keeps_slacks_limits(
        words in prop::collection::vec("[&<>a-z*`\\n\u{202e}𝔸é]{0,700}", 8),
        parts in prop::collection::vec("[&<>a-z`\\n]{0,900}", 0..6),
        questions in 0_usize..6,
        reviews in 0_usize..6,
        parties in 1_usize..9,
    ) {
        let word = |at: usize| words[at].clone();
        let mut card = pending(parts.iter().map(|text| part("http.body", text)).collect());
        card.what.resource = Shown::new(&word(0));
        card.what.target = word(1);
        card.reason = Some(Shown::new(&word(2)));
        card.run = Some(Shown::new(&word(3)));
        card.risk = Risk { tier: Tier::Medium, rules: vec![(word(4), word(5)); 4], ..card.risk };
        card.parties = vec![party(&word(6), "agent", "caller"); parties];
        let exchange = || Exchange {
            by: word(6),
            question: Shown::new(&word(7)),
            answer: Some(Shown::new(&word(2))),
            withdrawn: false,
        };
        card.questions = (0..questions).map(|_| exchange()).collect();
        card.state.reviews = (0..reviews).map(|_| said("asked", Some(&word(7)))).collect();
        card.actions.approve = Approve::Confirm;
        within_limits(&serde_json::to_value(render::message(&card)).unwrap());
        let last = blocks(&card).pop().unwrap();
        prop_assert_eq!(&last["type"], "actions");
    }
}

#[test]
fn rows_of_names_and_values_stay_together() {
    let rows = (0..7).map(|_| (super::super::text::Markup::new("*name*"), "value".to_owned())).collect();
    let fields: Vec<usize> = Block::rows(rows)
        .iter()
        .map(|block| serde_json::to_value(block).unwrap()["fields"].as_array().unwrap().len())
        .collect();
    assert_eq!(fields, [10, 4]);
}
