//! Records that one reader would take and another not: each has one shape.

use domain::canonical;
use domain::entry;
use domain::event::Event;
use domain::statement::Verdict;
use serde_json::{Value, json};

use crate::pack::Pack;
use crate::scene::*;
use crate::vectors::{Set, held, one};

pub(crate) fn spellings(set: &mut Set) {
    receipts(set);
    records(set);
    client_data(set);
}

fn value(bytes: &[u8]) -> Value {
    canonical::read_value(bytes).unwrap()
}

/// The members of an object as a list, in the order in which our own types have them.
fn listed(object: &Value, order: &[&str]) -> Value {
    order.iter().map(|name| object.get(*name).cloned().unwrap_or(Value::Null)).collect()
}

fn receipts(set: &mut Set) {
    let good = value(&canonical::write(&ran().receipt()).unwrap());
    let id = good["approval"].as_str().unwrap();
    let with = |path: &str, to: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(path).unwrap() = to;
        changed
    };
    let members = ["v", "origin", "approval", "checkpoint", "entries", "payload", "keys"];
    let field = good.pointer("/payload/0/open").unwrap();
    let entry = good.pointer("/entries/0").unwrap();
    let mut empty = value(&canonical::write(&held(one()).receipt()).unwrap());
    empty["keys"] = json!([]);
    for (name, changed) in [
        ("is-a-list", listed(&good, &members)),
        ("entry-is-a-list", with("/entries/0", listed(entry, &["index", "leaf", "proof", "fields"]))),
        ("field-is-a-list", with("/payload/0/open", listed(field, &["path", "salt", "value"]))),
        ("version-is-true", with("/v", json!(true))),
        ("version-is-text", with("/v", json!("1"))),
        ("id-without-hyphens", with("/approval", json!(id.replace('-', "")))),
        ("id-in-braces", with("/approval", json!(format!("{{{id}}}")))),
        ("id-as-a-urn", with("/approval", json!(format!("urn:uuid:{id}")))),
        ("keys-empty", empty),
        ("member-null", with("/payload", Value::Null)),
    ] {
        set.add(&format!("receipt-{name}"), serde_json::to_vec(&changed).unwrap(), "invalid");
    }
    let upper = with("/approval", json!(id.to_uppercase()));
    set.add("receipt-id-in-capitals", serde_json::to_vec(&upper).unwrap(), "valid");
}

/// What stands in the log itself, hashed as it is.
fn records(set: &mut Set) {
    type Change = fn(&mut Value);
    let leaves: [(&str, Change); 4] = [
        ("leaf-is-a-list", |leaf| {
            *leaf = listed(leaf, &["v", "origin", "kind", "time", "subject", "count", "fields"]);
        }),
        ("leaf-kind-is-an-object", |leaf| leaf["kind"] = json!({ leaf["kind"].as_str().unwrap(): null })),
        ("leaf-version-is-true", |leaf| leaf["v"] = json!(true)),
        ("leaf-time-is-text", |leaf| leaf["time"] = json!("1")),
    ];
    for (name, change) in leaves {
        let mut scene = ran();
        let last = scene.log.len() - 2;
        let mut leaf = value(&scene.log[last].0);
        change(&mut leaf);
        scene.log[last].0 = serde_json::to_vec(&leaf).unwrap();
        set.scene(name, &scene, "invalid");
        set.add(&format!("cases-{name}"), Pack::cases(&scene).bytes(), "invalid");
        set.add(&format!("period-{name}"), Pack::period(&scene, 0, scene.log.len()).bytes(), "invalid");
    }
    let events: [(&str, Change); 4] = [
        ("event-is-a-list", |event| *event = listed(event, &["type", "review"])),
        ("review-is-a-list", |event| {
            event["review"] = listed(&event["review"], &["statement", "proof"]);
        }),
        ("proof-is-a-list", |event| {
            let order = ["credentialId", "clientDataJSON", "authenticatorData", "signature"];
            event["review"]["proof"]["passkey"] = listed(&event["review"]["proof"]["passkey"], &order);
        }),
        ("event-type-is-an-object", |event| event["type"] = json!({ "reviewed": null })),
    ];
    for (name, change) in events {
        let mut scene = held(one());
        let statement = scene.statement(ALICE, Verdict::Approve).write().unwrap();
        let event = Event::Reviewed { review: Hand::of(ALICE).sign(&statement) };
        let mut event = value(&canonical::write(&event).unwrap());
        change(&mut event);
        log(&mut scene, entry::Kind::Review, &event);
        set.scene(name, &scene, "invalid");
        set.add(&format!("cases-{name}"), Pack::cases(&scene).bytes(), "invalid");
    }
    let statements: [(&str, Change); 5] = [
        ("statement-verdict-is-an-object", |s| s["verdict"] = json!({ "approve": null })),
        ("statement-version-is-true", |s| s["v"] = json!(true)),
        ("statement-one-use-is-true", |s| s["grant"]["uses"] = json!(true)),
        ("statement-grant-is-a-list", |s| s["grant"] = json!([1, 300])),
        ("statement-reviewer-without-hyphens", |s| {
            s["reviewer"] = json!(s["reviewer"].as_str().unwrap().replace('-', ""));
        }),
    ];
    for (name, change) in statements {
        let mut scene = held(one());
        let mut statement = value(&scene.statement(ALICE, Verdict::Approve).write().unwrap());
        change(&mut statement);
        let review = Hand::of(ALICE).sign(&serde_json::to_vec(&statement).unwrap());
        scene.event(&Event::Reviewed { review });
        set.scene(name, &scene, "invalid");
    }
    // What is blank to one reader is no white space to Unicode.
    for (name, note, verdict) in
        [("blank", " \u{85}\u{2003}", "invalid"), ("of-a-control", "\u{1f}", "valid")]
    {
        let mut scene = held(one());
        let mut statement = value(&scene.statement(ALICE, Verdict::Ask).write().unwrap());
        statement["note"] = json!(note);
        let review = Hand::of(ALICE).sign(&serde_json::to_vec(&statement).unwrap());
        scene.event(&Event::Asked { question: question(), review });
        set.scene(&format!("question-{name}"), &scene, verdict);
    }
}

fn log(scene: &mut Scene, kind: entry::Kind, event: &Value) {
    let fields = vec![("event".to_owned(), serde_json::to_vec(event).unwrap())];
    scene.write(entry::Draft { kind, subject: Some(scene.action.id().to_string()), fields });
}

/// What a browser may write beside what we know of.
fn client_data(set: &mut Set) {
    for (name, more, verdict) in [
        ("a-member", r#""x":{"y":[1,null,true]}"#, "valid"),
        ("the-largest-number", r#""x":18446744073709551615"#, "valid"),
        ("the-smallest-number", r#""x":-9223372036854775808"#, "valid"),
        ("a-larger-number", r#""x":18446744073709551616"#, "invalid"),
        ("a-fraction", r#""x":0.5"#, "invalid"),
        ("an-infinite-number", r#""x":1e999"#, "invalid"),
        ("minus-zero", r#""x":-0"#, "invalid"),
        ("a-member-twice", r#""x":1,"x":1"#, "invalid"),
        ("a-frame", r#""topOrigin":"https://other.example""#, "invalid"),
        ("half-a-surrogate", r#""x":"\ud800""#, "invalid"),
    ] {
        let mut scene = held(one());
        let statement = scene.statement(ALICE, Verdict::Approve).write().unwrap();
        let kind: &'static str = Box::leak(format!("webauthn.get\",{more},\"z\":\"z").into_boxed_str());
        let review = Hand { kind, ..Hand::of(ALICE) }.sign(&statement);
        scene.event(&Event::Reviewed { review });
        set.scene(&format!("client-data-with-{name}"), &scene, verdict);
    }
}
