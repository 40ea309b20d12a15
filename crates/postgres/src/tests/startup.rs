//! What a client may ask for when it begins.

use crate::config::{Asked, PARAMETER_LIMIT_BYTES, Secret, is_utf8};
use crate::parse::Text;
use crate::reply::State;

fn text(word: &str) -> Text {
    Text::try_from(word.to_owned()).expect("text")
}

fn ask(parameters: &[(&str, &str)]) -> Result<Asked, String> {
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| (text(name), text(value))).collect();
    Asked::read(&parameters).map_err(|refusal| format!("{} {}", refusal.state.as_str(), refusal.message))
}

#[test]
fn the_database_is_the_users_where_none_is_named() {
    let asked = ask(&[("user", "anna"), ("_pq_.novel", "1")]).expect("taken");
    assert_eq!((asked.user.as_str(), asked.database.as_str(), asked.settings.len()), ("anna", "anna", 0));
    assert!(ask(&[("database", "shop")]).is_err(), "no user");
}

#[test]
fn only_parameters_on_the_list_go_on() {
    let good = [
        ("application_name", "any 'thing' \\ at all"),
        ("client_encoding", "UTF-8"),
        ("client_encoding", "'utf8'"),
        ("DateStyle", "ISO, MDY"),
        ("TimeZone", "America/Argentina/Buenos_Aires"),
        ("timezone", "UTC+03:30"),
        ("extra_float_digits", "-15"),
        ("statement_timeout", "30s"),
        ("jit", "off"),
        ("client_min_messages", "notice"),
    ];
    for (name, value) in good {
        let asked = ask(&[("user", "anna"), (name, value)]).expect(name);
        assert_eq!(asked.settings, [(text(name), text(value))]);
    }
    let long = "x".repeat(PARAMETER_LIMIT_BYTES + 1);
    let bad = [
        ("options", "-c standard_conforming_strings=off"),
        ("options", ""),
        ("replication", "true"),
        ("standard_conforming_strings", "on"),
        ("search_path", "public"),
        ("role", "postgres"),
        ("session_authorization", "postgres"),
        ("client_encoding", "LATIN1"),
        ("DateStyle", "ISO'"),
        ("TimeZone", "a;b"),
        ("statement_timeout", ""),
        ("statement_timeout", "1 s"),
        ("jit", "maybe"),
        ("application_name", &long),
    ];
    for (name, value) in bad {
        assert!(ask(&[("user", "anna"), (name, value)]).is_err(), "{name}={value}");
    }
}

#[test]
fn utf8_has_many_names() {
    for name in ["UTF8", "utf-8", "Unicode", "U T F_8"] {
        assert!(is_utf8(name), "{name}");
    }
    for name in ["", "UTF16", "LATIN1", "SQL_ASCII", "UTF88"] {
        assert!(!is_utf8(name), "{name}");
    }
}

#[test]
fn a_secret_does_not_print_itself() {
    assert_eq!(format!("{:?}", Secret::new(b"hush".to_vec())), "Secret");
}

#[test]
fn a_state_has_five_characters() {
    assert_eq!(State::new("42501"), Some(State::DENIED));
    for code in ["", "4250", "425011", "4250a", "4250é"] {
        assert_eq!(State::new(code), None, "{code}");
    }
}
