//! The command line against a gateway, and a person with a passkey in software beside it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Place;

const POLICY: &str = r#"
@id("look") @why("Looking passes") permit (principal, action in Action::"read", resource);
@id("act") @why("Acting passes") permit (principal, action in [Action::"write", Action::"destroy"], resource);
@id("remove") @hold("reviewers:1") @why("Removes something") forbid (principal, action in Action::"destroy", resource);
@id("never") @why("Never in the archive") forbid (principal, action, resource)
when { resource.name == "archive" };
"#;

const ASK: &[&str] = &["request", "--agent-key", "bot.agent.json", "--environment", "staging"];

fn ask<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    ASK.iter().copied().chain(rest.iter().copied()).collect()
}

async fn set_up(place: &Place, running: &crate::support::Running) -> demo::Person {
    let alice = place.alice(running).await;
    place.write("policy.cedar", POLICY);
    for args in [
        &["agent", "new", "bot", "--sponsor", "alice"][..],
        &["group", "add", "reviewers", "Alice"],
        &["policy", "apply", "policy.cedar"],
    ] {
        place.must(args);
    }
    alice
}

#[tokio::test]
async fn a_request_is_asked_shown_approved_and_proven() {
    let place = Place::new();
    let running = place.start();
    let mut alice = set_up(&place, &running).await;

    let permitted = place.must(&ask(&["--verb", "read", "--resource", "queue"]));
    assert!(permitted.starts_with("permitted: run it"), "{permitted}");
    let denied = place.run(&ask(&["--verb", "read", "--resource", "archive"]));
    assert!(denied.code == 1 && denied.out.starts_with("denied: policy denies this"), "{denied:#?}");

    let destroy =
        ask(&["--verb", "destroy", "--resource", "queue\u{202e}", "--param", "force=yes", "--reason", "old"]);
    let held = place.run(&destroy);
    assert!(held.code == 2 && held.out.starts_with("held: people are asked"), "{held:#?}");
    let row = place.json(&["inbox"])["approvals"][0].clone();
    let id = row["id"].as_str().unwrap().to_owned();
    let table = place.must(&["inbox"]);
    assert!(table.contains("queue⟨U+202E⟩") && table.contains("may approve"), "{table}");

    let sheet = place.must(&["show", &id[28..]]);
    for shown in [
        "action.destroy  queue⟨U+202E⟩",
        "bot (agent, verified)",
        "parameters.force = yes",
        "│ old",
        "0/1 reviewers",
    ] {
        assert!(sheet.contains(shown), "`{shown}` is not in:\n{sheet}");
    }
    assert!(place.must(&["policy", "explain", &id]).contains("Lifted by 1 of `reviewers`"));
    assert!(place.must(&["approve", &id, "--no-open"]).contains(&format!("{}/approvals/{id}", place.url)));

    alice.ask(&id, "which one?").await.unwrap();
    let sheet = place.json(&["show", &id]);
    let question = sheet["card"]["questions"][0]["id"].as_str().unwrap().to_owned();
    place.must(&["answer", &id, &question, "the small one", "--agent-key", "bot.agent.json"]);
    alice.approve(&id).await.unwrap();
    let decided = place.must(&["approve", &id, "--no-open", "--wait"]);
    assert_eq!(decided, "the request is approved already");

    let approved = place.must(&destroy);
    assert!(approved.starts_with("approved: redeem it"), "{approved}");
    place.must(&["audit", "receipt", &id, "-o", "receipt.json"]);
    let report = place.must(&["audit", "verify", "receipt.json", "--log-key", &running.log_key]);
    assert!(report.starts_with("VALID") && report.contains("SEPARATION: NONE"), "{report}");
    assert!(place.must(&["audit", "checkpoint"]).contains("countersign/"));
}

#[tokio::test]
async fn waiting_hears_a_denial_and_taking_back_ends_it() {
    let place = Place::new();
    let running = place.start();
    let mut alice = set_up(&place, &running).await;

    let waits = place
        .command(&ask(&["--verb", "destroy", "--resource", "a", "--wait"]))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let id = pending(&place).await;
    alice.deny(&id, "not today").await.unwrap();
    let output = waits.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("denied: Alice denied it: not today"));

    place.run(&ask(&["--verb", "destroy", "--resource", "b"]));
    let id = pending(&place).await;
    place.must(&["cancel", &id, "--reason", "a mistake", "--agent-key", "bot.agent.json"]);
    let again = place.run(&["approve", &id, "--no-open"]);
    assert!(again.code == 1 && again.out.contains("cancelled already"), "{again:#?}");
    assert_eq!(place.must(&["inbox"]), "nothing waits for people");
    assert!(place.must(&["inbox", "--all"]).contains("cancelled"));
}

#[tokio::test]
async fn the_directory_is_seen_and_changed() {
    let place = Place::new();
    let running = place.start();
    set_up(&place, &running).await;

    assert!(place.must(&["whoami"]).contains("Alice"));
    place.must(&["person", "add", "Bob"]);
    assert!(place.must(&["person", "list"]).contains("no passkey yet"));
    place.must(&["group", "add", "dba", "bob"]);
    assert!(place.must(&["group", "list"]).contains("dba        Bob"));
    place.must(&["group", "remove", "dba", "Bob"]);
    place.must(&["person", "deactivate", "Bob"]);
    assert!(!place.must(&["person", "list"]).contains("Bob"));

    place.write("r.toml", "name = \"orders\"\nupstream = \"http://127.0.0.1:9\"\nenvironment = \"dev\"\ncredential = { secret = \"upstream\" }\n");
    place.must(&["route", "set", "r.toml"]);
    let shown = place.must(&["route", "show", "orders"]);
    place.write("again.toml", &shown);
    place.must(&["route", "set", "again.toml"]);
    assert_eq!(place.must(&["route", "show", "orders"]), shown);
    assert!(place.must(&["route", "list"]).contains("orders  dev"));
    place.must(&["route", "remove", "orders"]);

    let key = std::fs::read_to_string(place.path("bot.agent.json")).unwrap();
    let again = place.run(&["agent", "rekey", "bot"]);
    assert!(again.code == 1 && again.err.contains("not replaced"), "{again:#?}");
    place.must(&["agent", "rekey", "bot", "-o", "new.agent.json"]);
    let old = place.run(&["agent", "token", "bot.agent.json"]);
    assert_eq!(old.code, 1, "the old key is good no more: {old:#?} {key}");
    assert_eq!(place.must(&["agent", "token", "new.agent.json"]).matches('.').count(), 2);
    place.must(&["agent", "disable", "bot"]);
    assert_eq!(place.run(&["agent", "token", "new.agent.json"]).code, 1);

    assert_eq!(place.must(&["policy", "export"]).trim(), POLICY.trim());
    assert_eq!(place.run(&["doctor"]).code, 0);
    place.must(&["logout"]);
    let out = place.run(&["whoami"]);
    assert!(out.code == 1 && out.err.contains("countersign login"), "{out:#?}");
}

#[tokio::test]
async fn the_command_line_never_reviews() {
    let place = Place::new();
    let running = place.start();
    set_up(&place, &running).await;
    place.run(&ask(&["--verb", "destroy", "--resource", "a"]));
    let id = pending(&place).await;
    let saved = std::fs::read_dir(place.path("config/countersign"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "session"))
        .unwrap();
    let saved: Value = serde_json::from_str(&std::fs::read_to_string(saved).unwrap()).unwrap();
    let token = saved["token"].as_str().unwrap();
    let call = async |method: reqwest::Method, path: &str, body: Value| {
        let request =
            reqwest::Client::new().request(method, format!("{}/v1/approvals/{id}{path}", place.url));
        let answer = request.bearer_auth(token).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (_, shown) = call(reqwest::Method::GET, "", Value::Null).await;
    let asked = json!({ "verdict": "approve", "displayed": shown["card_digest"] });
    // It is handed no statement, since its human has no key that signs at a terminal; and it hands in no passkey's answer.
    let (status, problem) = call(reqwest::Method::POST, "/statements", asked).await;
    assert_eq!((status, problem["detail"].as_str()), (403, Some(CONSOLE_ONLY)), "{problem}");
    let signed = json!({ "statement": "AA", "credential": {} });
    let (status, problem) = call(reqwest::Method::POST, "/reviews", signed).await;
    assert!(matches!(status, 403 | 409), "{status} {problem}");
}

/// What the command line's session is told that would act as its human.
const CONSOLE_ONLY: &str =
    "do this in the console, with your passkey; a terminal needs an SSH key on a security key, enrolled";

async fn pending(place: &Place) -> String {
    for _ in 0..100 {
        if let Some(id) = place.json(&["inbox"])["approvals"][0]["id"].as_str() {
            return id.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing was held");
}
