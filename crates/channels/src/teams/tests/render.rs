use domain::text::Piece;
use gateway::card::Shown;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::elements::{Line, lines};
use super::super::limits::{CARD_BYTES, INBOX_ROWS, REFRESH_USERS};
use super::super::render::{self, View};
use crate::card::{Approve, Card, LeftOut, Part, Quorum, Tier};
use crate::click::Answer;
use crate::tests::{card, denied, finished, metadata};

const OWN: View<'_> = View::Own { answer: None };

fn low() -> Card {
    let mut low = card();
    (low.risk.score, low.risk.tier, low.actions.approve) = (20, Tier::Low, Approve::Click);
    low
}

fn with(parts: &[(&str, &str)]) -> Card {
    let mut card = low();
    card.command.parts =
        parts.iter().map(|(path, text)| Part { path: (*path).to_owned(), text: Shown::new(text) }).collect();
    card
}

/// Every verb that a button of a card has, folded ones too.
fn verbs(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("verb").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(members.iter().flat_map(|(_, member)| verbs(member))).collect()
        }
        Value::Array(items) => items.iter().flat_map(verbs).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// Every text of a kind of element.
fn texts(value: &Value, kind: &str) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let is = members.get("type").and_then(Value::as_str) == Some(kind);
            let own = members.get("text").and_then(Value::as_str).filter(|_| is).map(str::to_owned);
            own.into_iter().chain(members.values().flat_map(|member| texts(member, kind))).collect()
        }
        Value::Array(items) => items.iter().flat_map(|item| texts(item, kind)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[test]
fn a_card_of_each_kind() {
    let reviewers = ["29:ann".to_owned()];
    let done = Answer::done("Your approval counts; others are asked still.");
    let refused = Answer::refused("self-review", "You stand behind this request, so you cannot review it.");
    let mut high = card();
    high.risk.tier = Tier::High;
    high.risk.score = 80;
    high.actions.approve = Approve::InConsole("its risk is high; it takes your passkey".to_owned());
    for (name, card, view) in [
        ("shared", card(), View::Shared { reviewers: &reviewers }),
        ("own_low", low(), OWN),
        ("own_medium", card(), OWN),
        ("own_high", high, OWN),
        ("own_among_others", low(), View::OwnAmongOthers { answer: Some(&done), reader: "29:ann" }),
        ("own_refused", low(), View::Own { answer: Some(&refused) }),
        ("metadata", metadata(), OWN),
        ("finished", finished(), View::Shared { reviewers: &reviewers }),
        ("denied", denied(), OWN),
    ] {
        insta::assert_json_snapshot!(format!("card_{name}"), render::card(&card, view));
    }
}

#[test]
fn answers_and_the_inbox() {
    let link = Answer::done("Open this link.").with_link("https://countersign.example.com/link/1".to_owned());
    insta::assert_json_snapshot!("notice", render::notice(&link, None));
    let waiting: Vec<Card> = std::iter::repeat_with(card).take(INBOX_ROWS + 2).collect();
    let written = render::inbox(&waiting);
    assert!(written.to_string().contains("and 2 more in the console"));
    assert!(written.to_string().len() <= CARD_BYTES);
    insta::assert_json_snapshot!("inbox_empty", render::inbox(&[]));
}

#[test]
fn nobody_decides_on_what_all_see() {
    let reviewers: Vec<String> = (0..100).map(|each| format!("29:{each}")).collect();
    for card in [low(), card(), metadata()] {
        let written = render::card(&card, View::Shared { reviewers: &reviewers });
        assert!(verbs(&written).iter().all(|verb| verb == "view"), "{:?}", verbs(&written));
        assert_eq!(written["refresh"]["userIds"].as_array().unwrap().len(), REFRESH_USERS);
    }
    assert_eq!(render::card(&finished(), View::Shared { reviewers: &reviewers }).get("refresh"), None);
    assert!(verbs(&render::card(&finished(), OWN)).is_empty());
}

#[test]
fn approve_stands_only_where_one_may_click() {
    let high = |approve| {
        let mut card = low();
        (card.risk.tier, card.actions.approve) = (Tier::High, approve);
        card
    };
    let console = || Approve::InConsole("why".to_owned());
    let left_out = |why| {
        let mut card = low();
        card.command.left_out = Some(why);
        card
    };
    for (what, card, verb) in [
        ("low", low(), Some("approve")),
        ("medium", card(), Some("confirm")),
        ("high", high(console()), None),
        ("high, though a click was allowed", high(Approve::Click), None),
        ("too long", left_out(LeftOut::TooLong), None),
        ("kept, though a click was allowed", left_out(LeftOut::Kept), None),
        ("no command at all", with(&[]), None),
        ("many lines", with(&[("http.body", &"x\n".repeat(200))]), None),
        ("more than a card holds", with(&[("http.body", &"é".repeat(20_000))]), None),
        ("a long line", with(&[("http.body", &"x".repeat(2_500))]), Some("approve")),
    ] {
        let written = render::card(&card, OWN);
        let found: Vec<String> =
            verbs(&written).into_iter().filter(|verb| verb == "approve" || verb == "confirm").collect();
        assert_eq!(found.first().map(String::as_str), verb, "{what}");
        assert!(verbs(&written).contains(&"deny".to_owned()), "{what}");
        assert!(written.to_string().contains("Review in console"), "{what}");
    }
}

#[test]
fn every_button_falls_back_to_the_same_data() {
    fn check(value: &Value) {
        match value {
            Value::Object(members) => {
                if members.get("type") == Some(&json!("Action.Execute")) {
                    assert_eq!(members["fallback"]["type"], "Action.Submit");
                    assert_eq!(members["fallback"]["data"], members["data"]);
                    assert_eq!(members["data"]["press"], members["verb"]);
                }
                members.values().for_each(check);
            }
            Value::Array(items) => items.iter().for_each(check),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    check(&render::card(&card(), OWN));
    check(&render::card(&low(), View::Shared { reviewers: &[] }));
}

#[test]
fn no_two_inputs_have_one_name() {
    let written = render::card(&card(), OWN).to_string();
    for id in ["reason", "question"] {
        assert_eq!(written.matches(&format!("\"id\":\"{id}\"")).count(), 1, "{id}");
    }
    assert_eq!(written.matches("Input.Text").count(), 2);
}

#[test]
fn nobody_elses_words_stand_where_markdown_is_read() {
    let evil = "[click](https://evil.example) {{DATE(2020-01-01T00:00:00Z)}} **bold**";
    let mut card = with(&[("http.body", evil)]);
    card.what.resource = Shown::new(evil);
    card.what.environment = evil.to_owned();
    card.reason = Some(Shown::new(evil));
    card.run = Some(Shown::new(evil));
    card.parties[0].name = evil.to_owned();
    card.risk.rules = vec![(evil.to_owned(), evil.to_owned())];
    card.risk.reasons = vec![(5, evil.to_owned())];
    card.questions[0].question = Shown::new(evil);
    card.questions[0].answer = Some(Shown::new(evil));
    card.questions[0].by = evil.to_owned();
    card.holds[0].any_of = vec![Quorum { group: evil.to_owned(), have: 0, need: 1 }];
    card.why_you = Some(evil.to_owned());
    card.state.reviews[0].note = Some(Shown::new(evil));
    card.actions.approve = Approve::InConsole(evil.to_owned());
    let answer = Answer::refused("x", evil);
    for written in [
        render::card(&card, View::Own { answer: Some(&answer) }),
        render::card(&card, View::Shared { reviewers: &[] }),
        render::inbox(std::slice::from_ref(&card)),
        render::notice(&answer, None),
    ] {
        assert!(texts(&written, "TextRun").iter().any(|text| text.contains("evil.example")));
        for text in texts(&written, "TextBlock") {
            assert!(!text.contains("evil.example"), "{text}");
        }
        for text in texts(&written, "TextRun") {
            assert!(!text.contains("{{"), "{text}");
        }
    }
}

#[test]
fn what_is_hidden_is_marked_and_what_folds_does_not() {
    let line = Line::default().code(&Shown::new("rm  -rf\t/\u{202e}x p\u{430}ypal")).block();
    insta::assert_json_snapshot!("line", line);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lines_and_runs_lose_nothing(text in "[ -~\\n\\t\u{202e}\u{430}{]{0,300}") {
        let shown = Shown::new(&text);
        let mut back = String::new();
        for (place, line) in lines(&shown).iter().enumerate() {
            if place > 0 {
                back.push('\n');
            }
            let marked = |piece: &Piece| match piece {
                Piece::Plain(_) => None,
                Piece::Hidden(name) => Some(format!("⟨{name}⟩")),
                Piece::Mixed(word) => Some(format!("⟨mixed scripts: {word}⟩")),
            };
            for run in Line::default().code(line).block()["inlines"].as_array().unwrap() {
                let run = run["text"].as_str().unwrap();
                prop_assert!(!run.contains("{{"));
                let found = line.pieces.iter().find(|piece| marked(piece).as_deref() == Some(run));
                match found {
                    Some(Piece::Hidden(name)) => {
                        let code = u32::from_str_radix(name.trim_start_matches("U+"), 16).unwrap();
                        back.push(char::from_u32(code).unwrap());
                    }
                    Some(Piece::Mixed(word)) => back.push_str(word),
                    Some(Piece::Plain(_)) | None => {
                        back.push_str(&run.replace('\u{a0}', " ").replace('⇥', "\t"));
                    }
                }
            }
        }
        prop_assert_eq!(back, text);
    }

    #[test]
    fn no_card_is_too_large_and_none_approves_over_less_than_all(
        words in prop::collection::vec("[a-z*{\"\\\\\\n\u{202e}𝔸é]{0,700}", 6),
        parts in prop::collection::vec("[&<>a-z`\"\\\\\\n]{0,2600}", 0..6),
        rows in 0_usize..40,
        shared in any::<bool>(),
    ) {
        let mut card = low();
        let word = |at: usize| words[at].clone();
        card.command.parts = parts
            .iter()
            .map(|text| Part { path: "http.body".to_owned(), text: Shown::new(text) })
            .collect();
        card.what.resource = Shown::new(&word(0));
        card.reason = Some(Shown::new(&word(1)));
        card.risk.rules = vec![(word(2), word(3)); rows];
        card.parties = vec![card.parties[0].clone(); rows];
        card.questions = vec![card.questions[0].clone(); rows];
        card.state.reviews = vec![card.state.reviews[0].clone(); rows];
        card.holds = vec![card.holds[0].clone(); rows];
        let view = if shared { View::Shared { reviewers: &[] } } else { OWN };
        let written = render::card(&card, view);
        prop_assert!(written.to_string().len() <= CARD_BYTES);
        if verbs(&written).contains(&"approve".to_owned()) {
            let runs = texts(&written, "TextRun").concat().replace('\u{a0}', " ");
            for line in parts.iter().flat_map(|part| part.split('\n')) {
                prop_assert!(runs.contains(line), "{line}");
            }
        }
    }
}
