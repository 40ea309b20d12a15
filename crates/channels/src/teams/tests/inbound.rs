use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::inbound::{How, Inbound, Press, read};

const TENANT: &str = "7a9c1b2e-0000-4000-8000-000000000001";
const APPROVAL: &str = "0199c0de-0000-7000-8000-000000000001";

/// A click, as the Playground sends it and Teams documents it.
fn click() -> Value {
    json!({
        "type": "invoke", "name": "adaptiveCard/action", "id": "f:1", "channelId": "msteams",
        "serviceUrl": "https://smba.trafficmanager.net/emea/",
        "from": { "id": "29:ann", "name": "Ann", "aadObjectId": "7a9c1b2e-0000-4000-8000-0000000000a0" },
        "recipient": { "id": "28:bot", "name": "Countersign" },
        "conversation": { "id": "19:a@thread.tacv2;messageid=1", "conversationType": "channel", "isGroup": true,
            "tenantId": TENANT },
        "channelData": { "tenant": { "id": TENANT }, "source": { "name": "message" } },
        "replyToId": "1711",
        "value": { "action": { "type": "Action.Execute", "verb": "deny", "data": {
            "v": 1, "press": "deny", "approval": APPROVAL, "version": 2, "reason": "not on a Friday" } },
            "trigger": "manual" },
    })
}

/// A message in somebody's own chat.
fn message(text: &str) -> Value {
    let mut message = click();
    message["type"] = json!("message");
    message["text"] = json!(text);
    message["conversation"] = json!({ "id": "a:1", "conversationType": "personal", "tenantId": TENANT });
    for name in ["name", "value", "replyToId"] {
        message.as_object_mut().unwrap().remove(name);
    }
    message
}

/// An activity with what stands at a pointer changed, or taken out where it is null.
fn with(mut activity: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let members = activity.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    activity
}

fn inbound(activity: &Value) -> Option<Inbound> {
    read(activity.to_string().as_bytes()).ok().map(|activity| activity.inbound)
}

#[test]
fn a_click_a_look_a_submit_and_a_word() {
    insta::assert_debug_snapshot!("click", read(click().to_string().as_bytes()).unwrap());
    let Some(Inbound::Wrote(wrote)) = inbound(&message("<at>Countersign</at>&nbsp; link  <b>ABCD</b>\n"))
    else {
        panic!("it was written");
    };
    assert_eq!((wrote.text.as_str(), wrote.actor.personal), ("link ABCD", true));

    let look = with(
        click(),
        "/value/action",
        json!({ "verb": "view", "data": {
        "v": 1, "press": "view", "approval": APPROVAL, "version": 2 } }),
    );
    for (trigger, how) in [("automatic", How::Refresh), ("manual", How::Execute), ("other", How::Execute)] {
        let Some(Inbound::Pressed(pressed)) = inbound(&with(look.clone(), "/value/trigger", json!(trigger)))
        else {
            panic!("it was pressed");
        };
        assert_eq!((pressed.how, pressed.button.press), (how, Press::View));
    }

    let submit = with(message(""), "/value", click()["value"]["action"]["data"].clone());
    let Some(Inbound::Pressed(pressed)) = inbound(&with(submit, "/replyToId", json!("1711"))) else {
        panic!("it was pressed");
    };
    assert_eq!((pressed.how, pressed.button.press), (How::Submit, Press::Deny));
}

#[test]
fn what_is_left_alone_and_what_is_not_understood() {
    for (what, activity, expected) in [
        ("an installation", with(click(), "/type", json!("installationUpdate")), Some(Inbound::Nothing)),
        ("a member", with(click(), "/type", json!("conversationUpdate")), Some(Inbound::Nothing)),
        ("another invoke", with(click(), "/name", json!("task/fetch")), Some(Inbound::Unknown)),
        ("a nameless invoke", with(click(), "/name", Value::Null), Some(Inbound::Unknown)),
        ("no type", with(click(), "/type", Value::Null), None),
        ("no service URL", with(click(), "/serviceUrl", Value::Null), None),
        ("no channel", with(click(), "/channelId", Value::Null), None),
        ("from nobody", with(click(), "/from", Value::Null), None),
        ("from nowhere", with(click(), "/conversation", Value::Null), None),
        ("no id", with(click(), "/id", Value::Null), None),
        ("an id with a break", with(click(), "/id", json!("a\nb")), None),
        ("an id longer than evidence", with(click(), "/id", json!("a".repeat(201))), None),
        ("no message", with(click(), "/replyToId", Value::Null), None),
        ("no value", with(click(), "/value", Value::Null), None),
        ("no data", with(click(), "/value/action/data", Value::Null), None),
        ("another version", with(click(), "/value/action/data/v", json!(2)), None),
        ("another button", with(click(), "/value/action/data/press", json!("run")), None),
        ("no request", with(click(), "/value/action/data/approval", json!("all")), None),
        ("a version that is none", with(click(), "/value/action/data/version", json!(-1)), None),
        ("a verb that is not the data's", with(click(), "/value/action/verb", json!("view")), None),
        ("a click by itself", with(click(), "/value/trigger", json!("automatic")), None),
        ("two tenants", with(click(), "/channelData/tenant/id", json!("other")), None),
        ("a sender of another tenant", with(click(), "/from/tenantId", json!("other")), None),
        (
            "no tenant",
            with(with(click(), "/channelData", Value::Null), "/conversation/tenantId", Value::Null),
            None,
        ),
    ] {
        assert_eq!(inbound(&activity), expected, "{what}");
    }
    for bytes in ["", "[]", "{", "null", r#"{"type":"message","type":"invoke"}"#, "\u{feff}{}"] {
        assert!(read(bytes.as_bytes()).is_err(), "{bytes}");
    }
}

#[test]
fn bots_and_people_without_an_id() {
    for (what, activity, user, is_bot) in [
        ("a person", click(), true, false),
        ("no object id", with(click(), "/from/aadObjectId", Value::Null), false, false),
        ("an empty object id", with(click(), "/from/aadObjectId", json!("")), false, false),
        ("a bot by its id", with(click(), "/from/id", json!("28:other")), true, true),
        ("a bot by its role", with(click(), "/from/role", json!("bot")), true, true),
        ("a user by role", with(click(), "/from/role", json!("user")), true, false),
        ("an agent", with(click(), "/from/role", json!("agenticUser")), true, true),
    ] {
        let Some(Inbound::Pressed(pressed)) = inbound(&activity) else { panic!("{what}") };
        assert_eq!((pressed.actor.user.is_some(), pressed.actor.is_bot), (user, is_bot), "{what}");
    }
}

/// Any JSON, with the names that activities have.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof![
            "[ -~]{0,12}",
            Just("<at>".to_owned()),
            Just("invoke".to_owned()),
            Just("\u{202e}<".to_owned())
        ]
        .prop_map(Value::from),
    ];
    let names = prop_oneof![
        Just("type"),
        Just("name"),
        Just("id"),
        Just("from"),
        Just("value"),
        Just("action"),
        Just("data"),
        Just("verb"),
        Just("press"),
        Just("tenant"),
        Just("conversation"),
        Just("text"),
        Just("replyToId"),
    ]
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn a_click_with_one_thing_changed_is_read_or_refused(
        pointer in prop::sample::select(vec![
            "/type", "/name", "/id", "/from", "/from/id", "/from/aadObjectId", "/conversation", "/conversation/id",
            "/conversation/tenantId", "/channelData", "/channelData/tenant", "/replyToId", "/value", "/value/action",
            "/value/action/verb", "/value/action/data", "/value/action/data/press", "/value/action/data/reason",
            "/value/trigger", "/serviceUrl", "/channelId",
        ]),
        value in any_json(),
    ) {
        let activity = with(click(), pointer, value);
        if let Some(Inbound::Pressed(pressed)) = inbound(&activity) {
            // Whatever is read is within its limits and of one tenant.
            prop_assert_eq!(&pressed.actor.tenant, TENANT);
            prop_assert!(pressed.actor.activity.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!((1..=512).contains(&pressed.message.len()));
            prop_assert_eq!(pressed.button.v, 1);
            prop_assert!(pressed.how != How::Refresh || pressed.button.press == Press::View);
        }
    }

    #[test]
    fn what_was_written_holds_no_tags(text in "[ -~<>/\\n]{0,80}") {
        let Some(Inbound::Wrote(wrote)) = inbound(&message(&text)) else { panic!("it was written") };
        prop_assert!(!wrote.text.contains('<'));
        prop_assert!(!wrote.text.contains("  ") && wrote.text.trim() == wrote.text);
    }
}
