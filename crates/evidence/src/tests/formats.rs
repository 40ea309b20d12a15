use domain::entry::Draft;
use domain::event::Event;
use domain::outcome::{Ending, Outcome, Witnessed};
use domain::requirement::Separation;
use serde_json::Value;

use super::house::{action, evaluation, told};
use crate::event::{TrailEvent, Untrusted};
use crate::export::csv::{COLUMNS, defused, head, row};
use crate::export::{Format, Ocsf, Shape};
use crate::sink::syslog::{MessageFormat, escaped, frame};

fn event(resource: &str) -> TrailEvent {
    let action = action(resource);
    let event = Event::Redeemed {
        grant: domain::id::GrantId::from_uuid(action.id().uuid()),
        evaluation: evaluation(&action),
        counted: vec![action.chain().sponsor().unwrap()],
    };
    let mut told = told(Draft::of_event(&event, &action).unwrap(), false);
    told.separation = Some(Separation::Full);
    told
}

fn outcome() -> TrailEvent {
    let outcome = Outcome::new(Ending::Failed, Witnessed::Observed, "503");
    told(Draft::of_event(&Event::Finished { outcome }, &action("queues/a")).unwrap(), false)
}

#[test]
fn an_event_in_every_shape() {
    let execution = event("queues/%2F/orders");
    insta::assert_json_snapshot!("ocsf_execution", Shape::Ocsf.value(&execution, &Ocsf::default()).unwrap());
    insta::assert_json_snapshot!(
        "cloudevents_execution",
        Shape::CloudEvents.value(&execution, &Ocsf::default()).unwrap()
    );
    insta::assert_snapshot!(
        "csv_execution",
        String::from_utf8([head().unwrap(), row(&execution).unwrap()].concat()).unwrap()
    );
}

#[test]
fn the_ocsf_version_is_the_operators() {
    let ocsf = Ocsf { version: "1.7.0".to_owned() };
    let value = Shape::Ocsf.value(&outcome(), &ocsf).unwrap();
    assert_eq!(value["metadata"]["version"], "1.7.0");
    assert_eq!((value["class_uid"].as_u64(), value["status_id"].as_u64()), (Some(6003), Some(2)));
    assert_eq!(value["unmapped"]["record_integrity"]["log_index"], 41);
}

#[test]
fn no_cell_is_taken_for_a_formula() {
    for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
        assert_eq!(defused(bad), format!("'{bad}"));
    }
    assert_eq!(defused("a=1"), "a=1");
    let mut event = outcome();
    event.reason = Some(Untrusted::new("=HYPERLINK(\"http://x\",\"a, \r\n b\")"));
    let text = [head().unwrap(), row(&event).unwrap()].concat();
    let mut reader = ::csv::ReaderBuilder::new().from_reader(text.as_slice());
    let record = reader.records().next().unwrap().unwrap();
    assert_eq!(record.len(), COLUMNS.len());
    let cell = &record[COLUMNS.iter().position(|name| *name == "reason_untrusted").unwrap()];
    assert_eq!(cell, "'=HYPERLINK(\"http://x\",\"a, \r\n b\")");
}

#[test]
fn what_leads_a_formula_in_is_found_behind_blanks_and_in_wide_letters() {
    for cell in [
        " =1+1",
        "\n=1+1",
        "\u{ff1d}1+1",
        "\u{feff}@sum",
        "\t\u{ff0d}1",
        "\u{a0}+1",
        "\0=1",
        "-1",
        "\u{200b}=1",
    ] {
        assert_eq!(defused(cell), format!("'{cell}"), "{cell:?}");
    }
    for cell in ["a=1", "1+1", "queues/-x", "'=1", "", " a"] {
        assert_eq!(defused(cell), cell);
    }
}

/// Python's `splitlines`, and some log shippers, take these for a line's end.
#[test]
fn an_event_is_one_line_whatever_stands_in_it() {
    let mut event = event("queues/\u{2028}{\"forged\":1}\u{2029}\u{85}x\u{b}y");
    event.reason = Some(Untrusted::new("a\u{2028}b\nc"));
    for shape in [Shape::Json, Shape::Ocsf, Shape::CloudEvents] {
        let text = shape.text(&event, &Ocsf::default()).unwrap();
        assert!(!text.contains(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, shape.value(&event, &Ocsf::default()).unwrap(), "and it is the same event");
    }
    assert!(!event.sentence().contains(['\n', '\t']), "{}", event.sentence());
}

#[test]
fn formats_have_their_names_and_no_other() {
    for format in crate::export::FORMATS {
        assert!(Format::named(format.name).is_ok());
    }
    assert!(Format::named("xml").is_err());
}

fn format(limit: usize) -> MessageFormat {
    let host = "countersign.example/log".to_owned();
    MessageFormat { facility: 13, enterprise: 32_473, host, limit, shape: Shape::Json }
}

#[test]
fn a_syslog_message_says_its_place_in_structured_data() {
    let event = event("queues/a");
    let text = Shape::Json.text(&event, &Ocsf::default()).unwrap();
    let message = String::from_utf8(format(8_192).message(&event, &text).unwrap()).unwrap();
    let head = "<110>1 2027-01-15T08:00:00.000000Z countersign.example/log countersign - execution [countersign@32473 ";
    assert!(message.starts_with(head), "{message}");
    assert!(
        message.contains(" index=\"41\" leaf=\"") && message.contains(" size=\"50\"] \u{feff}{"),
        "{message}"
    );
    assert_eq!(frame(b"abc"), b"3 abc");
    assert_eq!(escaped("a\"b\\c]d\u{1b}"), "a\\\"b\\\\c\\]d⟨U+001B⟩");
}

#[test]
fn a_syslog_message_that_is_too_large_keeps_what_finds_it() {
    let mut event = event(&"q/".repeat(4_000));
    event.reason = Some(Untrusted::new(&"why ".repeat(2_000)));
    let text = Shape::Json.text(&event, &Ocsf::default()).unwrap();
    for limit in [2_048, 4_096, 8_192] {
        let message = String::from_utf8(format(limit).message(&event, &text).unwrap()).unwrap();
        assert!(message.len() <= limit);
        assert!(message.contains(" index=\"41\" leaf=\""), "{message}");
        let json = message.split_once('\u{feff}').unwrap().1;
        let value: Value = domain::canonical::read_value(json.as_bytes()).unwrap();
        assert_eq!(value["cut"], true);
        assert_eq!(value["log"]["index"], 41);
    }
}

proptest::proptest! {
    #[test]
    fn any_words_make_one_csv_record(words in "\\PC{0,40}", control in "[\\x00-\\x1f\"',;=+@-]{0,12}") {
        let mut event = outcome();
        event.reason = Some(Untrusted::new(&format!("{control}{words}")));
        let line = row(&event).unwrap();
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_slice());
        let records: Vec<_> = reader.records().map(Result::unwrap).collect();
        proptest::prop_assert_eq!(records.len(), 1);
        proptest::prop_assert_eq!(records[0].len(), COLUMNS.len());
        proptest::prop_assert!(records[0].iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])));
    }

    #[test]
    fn no_value_ends_its_parameter(value in ".{0,60}") {
        let text = escaped(&value);
        let mut escape = false;
        for c in text.chars() {
            proptest::prop_assert!(escape || !matches!(c, '"' | ']'));
            escape = c == '\\' && !escape;
        }
        proptest::prop_assert!(!escape);
    }
}
