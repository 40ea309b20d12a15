use serde_json::{Value, json};

use super::super::blocks::Action;
use super::super::inbound::{Actor, Command, Inbound, Kind, On, Pressed, Submitted, read};

const APPROVAL: &str = "0199c0de-0000-7000-8000-000000000001";

fn click() -> Value {
    json!({
        "type": "block_actions", "api_app_id": "A1", "team": { "id": "T1", "domain": "acme" },
        "user": { "id": "U1", "team_id": "T1" }, "trigger_id": "1.2",
        "container": { "type": "message", "message_ts": "1732190400.000100", "channel_id": "C1" },
        "channel": { "id": "C1" }, "message": { "ts": "1732190400.000100" },
        "actions": [{ "action_id": "approve", "type": "button", "value": format!("{APPROVAL}.3") }],
    })
}

fn on() -> On {
    On {
        approval: APPROVAL.parse().unwrap(),
        version: 3,
        channel: "C1".to_owned(),
        ts: "1732190400.000100".to_owned(),
    }
}

fn actor() -> Actor {
    let text = |text: &str| text.to_owned();
    Actor { app: text("A1"), team: text("T1"), user: text("U1"), user_team: Some(text("T1")) }
}

fn submission(private_metadata: &str, words: &str) -> Value {
    json!({
        "type": "view_submission", "api_app_id": "A1", "team": { "id": "T1" }, "user": { "id": "U1", "team_id": "T1" },
        "view": {
            "id": "V1", "callback_id": "deny", "private_metadata": private_metadata,
            "state": { "values": { "words": { "words": { "type": "plain_text_input", "value": words } } } },
        },
    })
}

#[test]
fn a_click_is_read_with_who_where_and_what() {
    let expected = |confirmed| {
        let (actor, action, on) = (actor(), Action::Approve, on());
        Ok(Inbound::Pressed(Pressed { actor, action, on, confirmed, trigger: "1.2".to_owned() }))
    };
    let mut payload = click();
    assert_eq!(read(Kind::Interactive, &payload), expected(false));
    *payload.pointer_mut("/actions/0").unwrap() = json!({
        "action_id": "approve", "value": format!("{APPROVAL}.3"), "confirm": { "title": { "text": "Approve this?" } },
    });
    assert_eq!(read(Kind::Interactive, &payload), expected(true));
}

#[test]
fn a_click_that_contradicts_itself_or_lacks_something_is_none() {
    for (pointer, value) in [
        ("/api_app_id", Value::Null),
        ("/team/id", Value::Null),
        ("/team/id", json!("T1\n")),
        ("/user/id", json!("")),
        ("/user/id", json!("u1")),
        ("/user/id", json!("U".repeat(33))),
        ("/container/type", json!("view")),
        ("/container/channel_id", json!("C2")),
        ("/container/message_ts", json!("1732190400.000200")),
        ("/message/ts", Value::Null),
        ("/channel/id", Value::Null),
        ("/actions", json!([])),
        ("/actions", json!([{ "action_id": "approve" }, { "action_id": "approve" }])),
        ("/actions/0/value", Value::Null),
        ("/actions/0/value", json!("3")),
        ("/actions/0/value", json!(APPROVAL)),
        ("/actions/0/value", json!(format!("{APPROVAL}.-3"))),
        ("/actions/0/value", json!(format!("{APPROVAL}.+3"))),
        ("/actions/0/value", json!(format!("{APPROVAL}.03"))),
        ("/actions/0/value", json!(format!("{APPROVAL}.3.4"))),
        ("/actions/0/value", json!("not-an-id.3")),
        ("/type", Value::Null),
        ("/trigger_id", Value::Null),
    ] {
        let mut payload = click();
        *payload.pointer_mut(pointer).unwrap() = value.clone();
        assert!(read(Kind::Interactive, &payload).is_err(), "{pointer} = {value}");
    }
}

#[test]
fn what_decides_nothing_is_left_alone() {
    for action in ["open", "somebody-elses"] {
        let mut payload = click();
        *payload.pointer_mut("/actions/0/action_id").unwrap() = json!(action);
        assert_eq!(read(Kind::Interactive, &payload), Ok(Inbound::Nothing), "{action}");
    }
    for (kind, payload) in [
        (Kind::Interactive, json!({ "type": "shortcut" })),
        (Kind::Interactive, json!({ "type": "view_submission", "view": { "callback_id": "other" } })),
        (Kind::EventsApi, json!({ "event": { "type": "message" } })),
        (Kind::EventsApi, json!({ "event": { "type": "app_home_opened", "tab": "messages" } })),
    ] {
        assert_eq!(read(kind, &payload), Ok(Inbound::Nothing), "{payload}");
    }
}

#[test]
fn the_words_of_a_modal_come_with_the_card_that_they_are_about() {
    let carried = serde_json::to_string(&on()).unwrap();
    let expected = Submitted {
        actor: actor(),
        action: Action::Deny,
        on: on(),
        words: "not now".to_owned(),
        view: "V1".to_owned(),
    };
    let read_words = read(Kind::Interactive, &submission(&carried, "  not now\n"));
    assert_eq!(read_words, Ok(Inbound::Submitted(expected)));
    for carried in ["", "{}", "[]", &carried.replace("channel", "chanel"), &carried.replace('3', "\"3\"")] {
        assert!(read(Kind::Interactive, &submission(carried, "x")).is_err(), "{carried}");
    }
}

#[test]
fn a_command_and_a_look_at_the_tab_name_who_asks() {
    let alone = Actor { user_team: None, ..actor() };
    let command = json!({
        "api_app_id": "A1", "team_id": "T1", "user_id": "U1", "user_name": "ann", "channel_id": "C1", "text": "link 123",
    });
    let text = |text: &str| text.to_owned();
    let expected =
        Command { actor: alone.clone(), text: text("link 123"), name: text("ann"), place: Some(text("C1")) };
    assert_eq!(read(Kind::SlashCommands, &command), Ok(Inbound::Asked(expected)));
    let event = json!({
        "api_app_id": "A1", "team_id": "T1", "event": { "type": "app_home_opened", "tab": "home", "user": "U1" },
    });
    assert_eq!(read(Kind::EventsApi, &event), Ok(Inbound::Home(alone)));
    assert!(read(Kind::SlashCommands, &json!({ "api_app_id": "A1", "team_id": "T1" })).is_err());
}
