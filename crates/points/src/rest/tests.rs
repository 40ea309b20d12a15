//! The API over the real gateway. Every answer is held against the document by the client itself.

mod activity;
mod house;
mod passkey;
mod search;
mod throttle;

use std::time::Duration;

use domain::id::ActionId;
use futures_util::StreamExt as _;
use house::{House, PUBLIC_URL, destroy, eventually};
use passkey::Enrolled as _;
use serde_json::{Value, json};

use super::shapes;

const UUID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[test]
fn the_document_is_what_clients_are_built_on() {
    insta::assert_snapshot!("openapi", super::openapi().to_pretty_json().unwrap());
}

/// Whether OTLP comes here: others define its JSON, and a refusal of it is RPC's `Status`.
fn takes_otlp(path: &str) -> bool {
    ["/v1/logs", "/v1/activity"].iter().any(|otlp| path.ends_with(otlp))
}

/// The answer is this refusal, as a problem; for OTLP of its status.
fn assert_refused(answer: &house::Answer, code: &str, what: &str) {
    if takes_otlp(what) && answer.body.get("message").is_some() {
        assert_eq!(answer.status.to_string(), code.split(' ').next().unwrap(), "{what}");
    } else {
        assert_eq!(answer.code(), code, "{what}");
    }
}

/// A path with something of the right form in each place.
fn filled(template: &str) -> String {
    let parts = template.split('/').map(|part| match part {
        "{name}" | "{group}" => "some-name",
        "{index}" => "0",
        "{credential}" => "AAAA",
        part if part.starts_with('{') => UUID,
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn schemes(operation: &Value) -> Vec<String> {
    let security = operation["security"].as_array().cloned().unwrap_or_default();
    security.iter().flat_map(|way| way.as_object().unwrap().keys().cloned()).collect()
}

fn is_json(operation: &Value) -> bool {
    operation["requestBody"]["content"].get("application/json").is_some()
}

#[tokio::test]
async fn every_operation_asks_for_the_credential_that_it_documents() {
    let house = House::usual().await;
    let (agent, session) = (house.token("bot").await, house.session("bob").await);
    let mut open = Vec::new();
    for (method, path, operation) in house.operations() {
        let what = format!("{method} {path}");
        let ask = || house.ask(method, filled(&path)).raw("application/json", "{\"no-such-field\":1}");
        let schemes = schemes(&operation);
        if schemes.is_empty() {
            open.push(what);
            continue;
        }
        for refused in [
            ask(),
            ask().bearer("a.b"),
            ask().bearer("a.b.c"),
            ask().bearer("a"),
            ask().with("cookie", "countersign_session=a.b"),
        ] {
            let answer = refused.send().await;
            assert_refused(&answer, "401 unauthenticated", &what);
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{what}");
        }
        let both = ask().bearer(&agent).with("cookie", format!("countersign_session={session}")).send().await;
        assert_eq!(both.status, 401, "{what}");
        if schemes.contains(&"agent".to_owned()) {
            continue;
        }
        let answer = ask().bearer(&agent).send().await;
        let code = answer.code();
        assert!(code.starts_with("403 agent-cannot-") || code == "403 people-only", "{what}: {code}");
    }
    insta::assert_snapshot!("open_operations", open.join("\n"));
}

#[tokio::test]
async fn an_agent_never_reviews_and_never_administers() {
    let house = House::usual().await;
    let agent = house.token("bot").await;
    let mut refused = Vec::new();
    for (method, path, operation) in house.operations() {
        if !schemes(&operation).is_empty() && !schemes(&operation).contains(&"agent".to_owned()) {
            let answer = house.ask(method, filled(&path)).bearer(&agent).json(&json!({})).send().await;
            refused.push(format!("{} {method} {path}", answer.code()));
        }
    }
    insta::assert_snapshot!("agents_refused", refused.join("\n"));
}

#[tokio::test]
async fn another_sites_page_changes_nothing() {
    let house = House::usual().await;
    let session = house.session("ada").await;
    let cookie = format!("theme=dark; countersign_session={session}");
    for (method, path, operation) in house.operations() {
        if method == "GET" {
            continue;
        }
        let what = format!("{method} {path}");
        let ask = || house.ask(method, filled(&path)).with("cookie", &cookie);
        let elsewhere =
            ask().with("origin", "https://evil.example").raw("application/json", "{}").send().await;
        assert_refused(&elsewhere, "403 cross-origin", &what);
        if schemes(&operation).is_empty() {
            continue;
        }
        let silent = ask().raw("application/json", "{}").send().await;
        assert_refused(&silent, "403 cross-origin", &what);
        let form = ask().with("origin", PUBLIC_URL).raw("text/plain", "{}").send().await;
        assert_eq!(form.code(), "415 wrong-content-type", "{what}");
        let bare = ask().with("origin", PUBLIC_URL).send().await;
        assert_eq!(bare.code(), "415 wrong-content-type", "{what}");
    }
    // A page of ours comes through, and so does reading.
    let ours = house.ask("POST", "/v1/policy/check").with("cookie", &cookie).with("origin", PUBLIC_URL);
    assert_eq!(ours.json(&json!({ "text": "" })).send().await.status, 200);
    assert_eq!(house.ask("GET", "/v1/me").with("cookie", &cookie).send().await.status, 200);
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let house = House::usual().await;
    let (agent, session) = (house.token("bot").await, house.session("ada").await);
    for (method, path, operation) in
        house.operations().into_iter().filter(|(_, path, operation)| is_json(operation) && !takes_otlp(path))
    {
        let what = format!("{method} {path}");
        let token = if schemes(&operation).contains(&"agent".to_owned()) { &agent } else { &session };
        let ask = || house.ask(method, filled(&path)).bearer(token);
        let json = |body: &str| ask().raw("application/json", body);
        for body in [
            "{\"text\":\"a\",\"text\":\"b\"}",
            "{} {}",
            "{",
            "",
            "[]",
            "\"text\"",
            "{\"n\":1.5}",
            "\u{feff}{}",
        ] {
            assert_eq!(json(body).send().await.code(), "400 bad-json", "{what} {body}");
        }
        if !path.contains("/routes/") {
            assert_eq!(json("{\"no-such-field\":1}").send().await.code(), "400 bad-json", "{what}");
            // Without a word, a bundle is of the whole log.
            let expected = if path.ends_with("/bundles") { "200" } else { "400 bad-json" };
            assert_eq!(json("{}").send().await.code(), expected, "{what}");
        }
        for kind in ["text/plain", "application/json; charset=latin1", "application/x-www-form-urlencoded"] {
            assert_eq!(ask().raw(kind, "{}").send().await.code(), "415 wrong-content-type", "{what} {kind}");
        }
        let large = json(&format!("{{\"text\":\"{}\"}}", "a".repeat(super::config::BODY_LIMIT_BYTES)));
        assert_eq!(large.send().await.code(), "413 too-large", "{what}");
    }
    let mut unknown = destroy("orders");
    unknown["urgent"] = true.into();
    let answer = house.ask("POST", "/v1/actions").bearer(&agent).json(&unknown).send().await;
    assert_eq!(answer.code(), "400 bad-json");
    assert!(answer.text("detail").contains("urgent"), "{}", answer.body);
}

#[tokio::test]
async fn what_does_not_exist_is_said_in_the_same_form() {
    let house = House::usual().await;
    assert_eq!(house.ask("GET", "/v1/no/such/path").send().await.code(), "404 no-such-path");
    assert_eq!(house.ask("GET", "/v1/").send().await.code(), "404 no-such-path");
    for (method, path, operation) in house.operations() {
        let wrong = house.ask("PATCH", filled(&path)).send().await;
        assert_eq!(wrong.code(), "405 method-not-allowed", "{path}");
        assert!(
            wrong.header("allow").split(',').any(|allowed| allowed == method),
            "{path} {}",
            wrong.header("allow")
        );
        let _ = operation;
    }
    let session = house.session("ada").await;
    for path in [
        "/v1/approvals/nonsense",
        "/v1/log/entries/-1",
        "/v1/log/entries/x",
        "/v1/routes/UPPER",
        "/v1/approvals/%ff",
    ] {
        assert_eq!(house.ask("GET", path).bearer(&session).send().await.code(), "400 bad-path", "{path}");
    }
    for path in [
        "/v1/approvals?limit=0",
        "/v1/approvals?limit=201",
        "/v1/approvals?limit=a",
        "/v1/approvals?state=open",
        "/v1/approvals?cursor=1",
        "/v1/approvals?x=1",
        "/v1/approvals?limit=1&limit=2",
        "/v1/log/consistency",
        "/v1/log/consistency?old=1",
        "/v1/log/consistency?old=1&new=9007199254740993",
    ] {
        assert_eq!(house.ask("GET", path).bearer(&session).send().await.code(), "400 bad-query", "{path}");
    }
    for path in
        [format!("/v1/approvals/{UUID}"), "/v1/routes/none".to_owned(), "/v1/log/entries/9999".to_owned()]
    {
        assert_eq!(house.ask("GET", &path).bearer(&session).send().await.code(), "404 not-found", "{path}");
    }
    let document = house.ask("GET", "/openapi.json").send().await;
    assert_eq!(document.body["openapi"], "3.1.0");
    assert_eq!(house.ask("POST", "/openapi.json").send().await.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn an_action_is_asked_held_approved_redeemed_and_reported() {
    let house = House::usual().await;
    let token = house.token("bot").await;
    let ask = |prefer: &'static str| {
        house.ask("POST", "/v1/actions").bearer(&token).with("prefer", prefer).json(&destroy("orders"))
    };
    let pending = ask("wait=0").send().await;
    assert_eq!(pending.code(), "503 approval-pending");
    assert_eq!(pending.header("retry-after"), "5");
    let id = pending.text("id");
    assert_eq!(pending.text("approval_url"), format!("{PUBLIC_URL}/approvals/{id}"));

    let later = ask("respond-async").send().await;
    assert_eq!(
        (later.status, later.text("id"), later.text("decision")),
        (202, id.clone(), "pending".to_owned())
    );
    assert_eq!(later.header("location"), later.text("status_url"));
    assert_eq!(later.body["rules"][0]["id"], "deletes");

    // Not before people have approved.
    let early = house.ask("POST", format!("/v1/actions/{id}/redeem")).bearer(&token).send().await;
    assert_eq!(early.code(), "409 wrong-state");
    // The sponsor stands on the chain.
    assert_eq!(house.review("ada", &id, "approve", None).await.code(), "403 forbidden");

    let waiting = ask("wait=20").send();
    let approving = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        house.review("bob", &id, "approve", None).await
    };
    let (heard, approved) = tokio::join!(waiting, approving);
    assert_eq!(approved.text("state"), "approved", "{}", approved.body);
    assert_eq!((heard.status, heard.text("decision")), (200, "approved".to_owned()), "{}", heard.body);

    let redeem = || house.ask("POST", format!("/v1/actions/{id}/redeem")).bearer(&token).send();
    assert_eq!(redeem().await.text("state"), "executing");
    assert_eq!(redeem().await.code(), "409 wrong-state");
    assert_eq!(ask("wait=0").send().await.code(), "409 already-running");

    let report = json!({ "ending": "succeeded", "detail": "1 queue deleted" });
    let report =
        || house.ask("POST", format!("/v1/actions/{id}/outcome")).bearer(&token).json(&report).send();
    let reported = report().await;
    assert_eq!(reported.body["outcome"]["witnessed"], "reported");
    assert_eq!(report().await.code(), "409 wrong-state");
    let again = ask("wait=0").send().await;
    assert_eq!(again.code(), "409 already-ran");
    assert_eq!(again.body["outcome"]["detail"], "1 queue deleted");
    assert_eq!(
        house.ask("GET", format!("/v1/actions/{id}")).bearer(&token).send().await.text("state"),
        "finished"
    );

    let receipt =
        house.ask("GET", format!("/v1/approvals/{id}/receipt?payload=true")).bearer(&token).send().await;
    assert_eq!(
        receipt.header("content-disposition"),
        format!("attachment; filename=\"countersign-{id}.receipt.json\"")
    );
    let receipt: shapes::Receipt = serde_json::from_value(receipt.body).unwrap();
    assert!(receipt.payload.iter().all(|field| matches!(field, shapes::Disclosed::Open(_))));
    let bare = house.ask("GET", format!("/v1/approvals/{id}/receipt")).bearer(&token).send().await;
    let bare: shapes::Receipt = serde_json::from_value(bare.body).unwrap();
    assert!(bare.payload.iter().all(|field| matches!(field, shapes::Disclosed::Withheld(_))));
}

#[tokio::test]
async fn policy_permits_and_denies_at_once() {
    let house = House::usual().await;
    let token = house.token("bot").await;
    let ask = |verb: &str| {
        let mut body = destroy("orders");
        body["verb"] = verb.into();
        house.ask("POST", "/v1/actions").bearer(&token).json(&body)
    };
    let permitted = ask("action.read").send().await;
    assert_eq!((permitted.status, permitted.text("decision")), (200, "permit".to_owned()));
    let denied = ask("action.export").send().await;
    assert_eq!(denied.code(), "403 denied");
    assert_eq!(denied.body["rules"][0]["why"], "no exports");
    assert_eq!(ask("http.delete").send().await.code(), "400 bad-json");
    // A human asks like an agent.
    let session = house.session("cyd").await;
    let human = house.ask("POST", "/v1/actions").bearer(&session).with("prefer", "respond-async");
    assert_eq!(human.json(&destroy("orders")).send().await.status, 202);
}

/// Whatever of a request differs makes another call: an approval of one never serves the other.
#[tokio::test]
async fn no_part_of_an_action_changes_under_its_approval() {
    let house = House::usual().await;
    let token = house.token("bot").await;
    let held = |body: Value, key: Option<&'static str>| {
        let asked =
            house.ask("POST", "/v1/actions").bearer(&token).with("prefer", "respond-async").json(&body);
        let asked = if let Some(key) = key { asked.with("idempotency-key", key) } else { asked };
        async move { asked.send().await.text("id") }
    };
    let mut ids = vec![held(destroy("orders"), None).await];
    assert_eq!(held(destroy("orders"), None).await, ids[0], "the same call finds its approval");
    for (part, value) in [
        ("resource", json!("queues/orders2")),
        ("environment", json!("dev")),
        ("labels", json!({ "team": "a" })),
        ("target", json!("other")),
        ("parameters", json!({ "if-empty": "false" })),
        ("parameters", json!({ "if-empty": { "base64": "dHJ1ZQ==" }, "x": "" })),
        ("rows", json!(7)),
        ("bulk", json!(true)),
    ] {
        let mut body = destroy("orders");
        body[part] = value;
        ids.push(held(body, None).await);
    }
    ids.push(held(destroy("orders"), Some("second")).await);
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[tokio::test]
async fn a_changed_action_shows_its_difference() {
    let house = House::usual().await;
    let token = house.token("bot").await;
    let earlier = house.held(&token, "orders").await;
    let mut body = destroy("orders");
    body["parameters"] = json!({ "if-empty": "false", "blob": { "base64": "/wA=" } });
    body["rows"] = 12.into();
    body["supersedes"] = earlier.clone().into();
    let ask = |token: &str| {
        house.ask("POST", "/v1/actions").bearer(token).with("prefer", "respond-async").json(&body)
    };
    let answer = ask(&token).send().await;
    let parts: Vec<_> =
        answer.body["difference"].as_array().unwrap().iter().map(|d| d["part"].as_str().unwrap()).collect();
    assert_eq!(parts, ["action.rows", "parameters.blob", "parameters.if-empty"], "{}", answer.body);
    assert_eq!(
        answer.body["difference"][2],
        json!({ "part": "parameters.if-empty", "before": "true", "after": "false" })
    );

    let session = house.session("bob").await;
    let seen = house.ask("GET", format!("/v1/approvals/{}", answer.text("id"))).bearer(&session).send().await;
    assert_eq!(seen.body["supersedes"]["id"], earlier);
    assert_eq!(seen.body["supersedes"]["difference"], answer.body["difference"]);
    // Somebody else's action is none that one can replace.
    assert_eq!(ask(&session).send().await.code(), "404 not-found");
}

#[tokio::test]
async fn an_approval_is_listed_shown_questioned_and_taken_back() {
    let house = House::usual().await;
    let (token, bob, ada) =
        (house.token("bot").await, house.session("bob").await, house.session("ada").await);
    let mut ids = Vec::new();
    for queue in ["a", "b", "c"] {
        ids.push(house.held(&token, queue).await);
        house.clock.forward(Duration::from_millis(10));
    }
    let page = house.ask("GET", "/v1/approvals?state=pending&limit=2").bearer(&bob).send().await;
    let rows = page.body["approvals"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["id"], ids[2]);
    assert_eq!(rows[0]["may_approve"], true);
    assert_eq!(
        rows[0]["progress"][0],
        json!({
            "rule": "deletes", "why": "it cannot be brought back", "lifted": false,
            "any_of": [{ "group": "dba", "count": 1 }], "have": [0],
        })
    );
    let next = page.text("next");
    let rest = house
        .ask("GET", format!("/v1/approvals?state=pending&limit=2&cursor={next}"))
        .bearer(&bob)
        .send()
        .await;
    assert_eq!(rest.body["approvals"].as_array().unwrap().len(), 1);
    assert_eq!(rest.body["next"], Value::Null);
    let own = house.ask("GET", "/v1/approvals").bearer(&token).send().await;
    assert_eq!(own.body["approvals"].as_array().unwrap().len(), 3);
    assert_eq!(own.body["approvals"][0]["may_approve"], false);

    let id = &ids[0];
    let show = |token: &str| house.ask("GET", format!("/v1/approvals/{id}")).bearer(token).send();
    let seen = show(&bob).await;
    assert_eq!(seen.body["standing"]["group"], "dba");
    let card: shapes::Card = serde_json::from_value(seen.body["card"].clone()).unwrap();
    assert_eq!(card.resource.pieces[0].text, "queues/a");
    assert_eq!(show(&ada).await.body["standing"]["may_approve"], false);
    assert_eq!(show(&token).await.body["standing"], Value::Null);

    assert_eq!(house.review("bob", id, "ask", None).await.code(), "422 question-needs-words");
    assert_eq!(house.review("bob", id, "ask", Some("which queue is that?")).await.text("state"), "pending");
    let seen = show(&token).await;
    let card: shapes::Card = serde_json::from_value(seen.body["card"].clone()).unwrap();
    let question = card.questions[0].id.clone();
    let answer = json!({ "question": question, "text": "the old one" });
    let answers = |token: &str| {
        house.ask("POST", format!("/v1/approvals/{id}/answers")).bearer(token).json(&answer).send()
    };
    assert_eq!(answers(&bob).await.code(), "404 not-found", "not of the chain");
    assert_eq!(answers(&token).await.status, 200);
    assert_eq!(answers(&token).await.code(), "404 no-such-question");
    let withdraw = format!("/v1/approvals/{id}/questions/{question}/withdraw");
    assert_eq!(house.ask("POST", withdraw).bearer(&bob).send().await.code(), "404 no-such-question");

    let payload = house.ask("POST", format!("/v1/approvals/{id}/payload/open")).bearer(&bob).send().await;
    let fields = payload.body["fields"].as_array().unwrap().clone();
    assert!(
        fields.iter().any(|field| field["path"] == "parameters.if-empty" && field["text"] == "true"),
        "{fields:?}"
    );

    let cancel = |token: &str| {
        let reason = json!({ "reason": "not needed" });
        house.ask("POST", format!("/v1/approvals/{id}/cancel")).bearer(token).json(&reason).send()
    };
    assert_eq!(cancel(&bob).await.code(), "404 not-found");
    assert_eq!(cancel(&token).await.text("state"), "cancelled");
    assert_eq!(cancel(&token).await.code(), "409 wrong-state");
    let gone = house.ask("POST", "/v1/actions").bearer(&token).json(&destroy("a")).send().await;
    assert_eq!(gone.code(), "403 approval-cancelled");
}

#[tokio::test]
async fn a_denial_is_heard() {
    let house = House::usual().await;
    let token = house.token("bot").await;
    let id = house.held(&token, "orders").await;
    assert_eq!(house.review("bob", &id, "deny", Some("wrong queue")).await.text("state"), "denied");
    let heard = house.ask("POST", "/v1/actions").bearer(&token).json(&destroy("orders")).send().await;
    assert_eq!(heard.code(), "403 denied");
    assert_eq!(heard.text("detail"), "bob denied it: wrong queue");
    assert_eq!(house.review("cyd", &id, "approve", None).await.code(), "403 forbidden");
}

#[tokio::test]
async fn whoever_waits_hears_when_it_moves() {
    let house = House::usual().await;
    let (token, bob) = (house.token("bot").await, house.session("bob").await);
    let id = house.held(&token, "orders").await;

    let follow = |path: String| house.ask("GET", path).bearer(&bob).open();
    let one = follow(format!("/v1/approvals/{id}/events")).await;
    assert_eq!(one.headers()["content-type"], "text/event-stream");
    let (mut one, mut inbox) = (
        one.into_body().into_data_stream(),
        follow("/v1/events".to_owned()).await.into_body().into_data_stream(),
    );
    let first = one.next().await.unwrap().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&first),
        format!(
            "event: approval\nid: {id}.1\ndata: {{\"id\":\"{id}\",\"state\":\"pending\",\"version\":1}}\n\n"
        )
    );
    assert_eq!(inbox.next().await.unwrap().unwrap(), "event: open\ndata: {}\n\n");

    let path = |query: &str| format!("/v1/approvals/{id}/wait{query}");
    let wait = |query: &str| house.ask("GET", path(query)).bearer(&token).send();
    assert_eq!(wait("?seconds=56").await.code(), "400 bad-query");
    assert_eq!(wait("?seconds=0").await.body["version"], 1);
    assert_eq!(wait("?seconds=20&version=0").await.body["version"], 1, "another version is answered at once");
    let denying = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        house.review("bob", &id, "deny", Some("no")).await
    };
    let (moved, _) = tokio::join!(wait("?seconds=20"), denying);
    assert_eq!((moved.text("state"), moved.body["version"].as_u64()), ("denied".to_owned(), Some(2)));
    assert_eq!(wait("?seconds=20").await.text("state"), "denied", "what has ended is not waited for");

    let second = one.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&second).contains("\"denied\""));
    assert!(one.next().await.is_none(), "what has ended is not followed");
    let heard = inbox.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&heard).contains(&id));
}

#[tokio::test]
async fn proposals_apply_while_there_is_one_administrator_and_are_held_from_then_on() {
    let mut house = House::usual().await;
    let (ada, bob) = (house.session("ada").await, house.session("bob").await);
    let add = |token: &str, name: &str, key: &'static str| {
        let asked = house.ask("POST", "/v1/people").bearer(token).json(&json!({ "name": name }));
        let asked = if key.is_empty() { asked } else { asked.with("idempotency-key", key) };
        asked.send()
    };
    assert_eq!(add(&bob, "dan", "").await.code(), "403 forbidden");
    let first = add(&ada, "dan", "one").await;
    assert_eq!((first.status, first.text("status")), (200, "applied".to_owned()), "{}", first.body);
    let again = add(&ada, "dan", "one").await;
    assert_eq!(again.body, first.body, "the same key, the same answer");
    assert_eq!(add(&ada, "eve", "one").await.code(), "422 idempotency-key-reused");
    assert_eq!(add(&ada, "dan", "").await.code(), "409 does-not-fit");
    assert_eq!(add(&ada, "x", "bad key").await.code(), "400 bad-idempotency-key");
    let dan = first.text("subject").trim_start_matches("person:").to_owned();

    let people = house.ask("GET", "/v1/people").bearer(&bob).send().await;
    assert_eq!(people.body["people"].as_array().unwrap().len(), 4);
    let of = |name: &str| {
        people.body["people"].as_array().unwrap().iter().find(|p| p["name"] == name).unwrap()["keys"].clone()
    };
    assert_eq!(of("ada"), Value::Null, "another's keys are not for Bob");
    assert_eq!(of("bob").as_array().unwrap().len(), 1);
    let invite = house.ask("POST", format!("/v1/people/{dan}/invite")).bearer(&ada).send().await;
    let secret = invite.text("url").split_once('#').unwrap().1.to_owned();
    let options = house.ask("POST", "/v1/enrolment/options").json(&json!({ "invite": secret })).send().await;
    let passkey = passkey::SoftPasskey::new(99);
    let enrol =
        json!({ "invite": secret, "label": "phone", "credential": passkey.create_json(&options.body) });
    let enrolled = house.ask("POST", "/v1/enrolment").json(&enrol).send().await;
    assert_eq!((enrolled.status, enrolled.text("status")), (202, "held".to_owned()), "{}", enrolled.body);
    assert_eq!(enrolled.text("key"), passkey.enrolled().fingerprint());
    assert_eq!(
        house.ask("POST", "/v1/enrolment").json(&enrol).send().await.status,
        401,
        "an invite is good once"
    );
    let sign_in = async || {
        let options = house.ask("POST", "/v1/login/options").send().await;
        let credential = json!({ "credential": passkey.get_json(&options.body) });
        house.ask("POST", "/v1/login").json(&credential).send().await
    };
    assert_eq!(sign_in().await.status, 401, "nobody has signed for the key");
    house.settle("ada", &enrolled.text("id")).await;
    assert!(sign_in().await.header("set-cookie").contains("HttpOnly; SameSite=Strict"));

    let join = format!("/v1/groups/ops/members/{dan}");
    assert_eq!(house.ask("PUT", &join).bearer(&ada).send().await.status, 200);
    assert_eq!(house.ask("DELETE", &join).bearer(&ada).send().await.status, 200);
    assert_eq!(house.ask("DELETE", &join).bearer(&ada).send().await.code(), "404 not-found");

    let agent = json!({ "name": "other", "sponsor": dan, "key": identity_key() });
    let added = house.ask("POST", "/v1/agents").bearer(&ada).json(&agent).send().await;
    let id = added.text("subject").trim_start_matches("agent:").to_owned();
    let key = json!({ "key": identity_key() });
    assert_eq!(
        house.ask("PUT", format!("/v1/agents/{id}/key")).bearer(&ada).json(&key).send().await.status,
        200
    );
    let sponsor = json!({ "sponsor": house.person("bob") });
    assert_eq!(
        house.ask("PUT", format!("/v1/agents/{id}/sponsor")).bearer(&ada).json(&sponsor).send().await.status,
        200
    );
    assert_eq!(house.ask("DELETE", format!("/v1/agents/{id}")).bearer(&ada).send().await.status, 200);
    assert_eq!(
        house.ask("DELETE", format!("/v1/agents/{id}")).bearer(&ada).send().await.code(),
        "404 not-found"
    );
    let agents = house.ask("GET", "/v1/agents").bearer(&bob).send().await;
    assert_eq!(agents.body["agents"].as_array().unwrap().len(), 2);

    let route = |document: Value| house.ask("PUT", "/v1/routes/broker").bearer(&ada).json(&document).send();
    assert_eq!(route(json!({})).await.code(), "422 bad-route");
    assert_eq!(route(json!({ "upstream": "http://127.0.0.1:1" })).await.status, 200);
    let shown = house.ask("GET", "/v1/routes/broker").bearer(&bob).send().await;
    assert_eq!(shown.body["document"]["upstream"], "http://127.0.0.1:1");
    assert_eq!(house.ask("DELETE", "/v1/routes/broker").bearer(&ada).send().await.status, 200);

    let apply =
        |text: &str| house.ask("PUT", "/v1/policy").bearer(&ada).json(&json!({ "text": text })).send();
    let broken = apply("permit (").await;
    assert_eq!(broken.code(), "422 bad-policy");
    assert_eq!(broken.body["findings"][0]["severity"], "error");
    assert_eq!(apply(house::POLICY).await.status, 200);
    let policy = house.ask("GET", "/v1/policy").bearer(&bob).send().await;
    assert_eq!(policy.text("text"), house::POLICY);

    // A passkey that was used too long ago does not propose.
    house.clock.forward(Duration::from_secs(600));
    assert_eq!(add(&ada, "fay", "").await.code(), "403 step-up-required");
    let options = house.ask("POST", "/v1/step-up/options").bearer(&ada).send().await;
    let credential = json!({ "credential": house.passkey("ada").get_json(&options.body) });
    assert_eq!(house.ask("POST", "/v1/step-up").bearer(&ada).json(&credential).send().await.status, 204);
    assert_eq!(add(&ada, "fay", "").await.status, 200);

    house.arrives("gil", &["admins"]).await;
    let held = house.ask("POST", "/v1/people").bearer(&ada).json(&json!({ "name": "hal" })).send().await;
    assert_eq!((held.status, held.text("status")), (202, "held".to_owned()));
    assert!(held.text("approval_url").starts_with(PUBLIC_URL));
    let id = held.text("id");
    assert_eq!(house.review("ada", &id, "approve", None).await.code(), "403 forbidden");
    assert_eq!(house.review("gil", &id, "approve", None).await.status, 200);
}

fn identity_key() -> String {
    "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned()
}

#[tokio::test]
async fn agents_trade_an_assertion_once() {
    let house = House::usual().await;
    let form =
        |body: String| house.ask("POST", "/v1/token").raw("application/x-www-form-urlencoded", body).send();
    let grant = "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer";
    let good = format!("{grant}&assertion={}&scope=ignored", house.assertion("bot"));
    let answer = form(good.clone()).await;
    assert_eq!(
        (answer.text("token_type"), answer.body["expires_in"].as_u64()),
        ("Bearer".to_owned(), Some(900))
    );
    assert_eq!(answer.header("pragma"), "no-cache");
    let me = house.ask("GET", "/v1/me").bearer(&answer.text("access_token")).send().await;
    assert_eq!((me.text("name"), &me.body["session"]), ("bot".to_owned(), &Value::Null));
    for (body, error) in [
        (good, "invalid_grant"),
        (String::new(), "invalid_request"),
        (grant.to_owned(), "invalid_request"),
        (format!("{grant}&assertion=x&assertion=y"), "invalid_request"),
        (format!("{grant}&assertion=x"), "invalid_grant"),
        ("grant_type=password&assertion=x".to_owned(), "unsupported_grant_type"),
    ] {
        let answer = form(body).await;
        assert_eq!((answer.status, answer.text("error").as_str()), (400, error));
    }
    assert_eq!(house.ask("POST", "/v1/token").json(&json!({})).send().await.status, 415);
}

#[tokio::test]
async fn sessions_begin_and_end() {
    let house = House::usual().await;
    let session = house.session("ada").await;
    let me = house.ask("GET", "/v1/me").bearer(&session).send().await;
    assert_eq!((me.text("name"), me.body["session"]["stepped_up"].as_bool()), ("ada".to_owned(), Some(true)));

    let begun = house.ask("POST", "/v1/cli-logins").send().await;
    // The address must not carry the code: whoever is sent there by somebody else types nothing of theirs.
    assert!(begun.text("url").ends_with("/cli"));
    let poll =
        || house.ask("POST", "/v1/cli-logins/poll").json(&json!({ "secret": begun.text("secret") })).send();
    assert_eq!(poll().await.body, json!({ "confirmed": false, "token": null }));
    let confirm = |code: &str| {
        house.ask("POST", "/v1/cli-logins/confirm").bearer(&session).json(&json!({ "code": code })).send()
    };
    assert_eq!(confirm("BBBBBBBB").await.code(), "404 not-found");
    assert_eq!(confirm(&begun.text("code")).await.status, 204);
    let cli = poll().await.text("token");
    assert_eq!(poll().await.status, 401, "the session is handed out once");
    let me = house.ask("GET", "/v1/me").bearer(&cli).send().await;
    assert_eq!(me.body["session"]["kind"], "cli");

    let cookie = format!("countersign_session={session}");
    let out = house
        .ask("POST", "/v1/logout")
        .with("cookie", &cookie)
        .with("origin", PUBLIC_URL)
        .json(&json!({}))
        .send()
        .await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(house.ask("GET", "/v1/me").with("cookie", &cookie).send().await.status, 401);
}

#[tokio::test]
async fn the_log_is_read_with_its_proofs() {
    let house = House::usual().await;
    let token = house.token("bot").await;
    house.held(&token, "orders").await;
    let get = |path: &str| house.ask("GET", path.to_owned()).bearer(&token).send();
    let info = house.ask("GET", "/v1/info").send().await;
    assert_eq!(get("/v1/log/key").await.body, info.body["log_key"]);
    let checkpoint = get("/v1/log/checkpoint").await;
    assert!(checkpoint.body.as_str().unwrap().starts_with("countersign.example/log\n"));
    assert_eq!(get("/v1/log/rotations").await.body, json!([]));
    let entry = get("/v1/log/entries/3").await;
    let size = entry.body["size"].as_u64().unwrap();
    assert!(size > 3 && !entry.body["proof"].as_array().unwrap().is_empty());
    assert_eq!(get(&format!("/v1/log/consistency?old=2&new={size}")).await.status, 200);
    assert_eq!(get("/v1/log/consistency?old=3&new=2").await.code(), "404 not-found");
    assert_eq!(get("/v1/log/consistency?old=3&new=2000").await.code(), "404 not-found");
}

#[tokio::test]
async fn an_administrator_has_the_store_copied_and_the_log_says_so() {
    let house = House::usual().await;
    let session = house.session("ada").await;
    let ask = |session: &str| house.ask("POST", "/v1/backups").bearer(session).send();
    let before = house.gateway.store().head().await.unwrap().size;
    assert_eq!(ask(&house.session("bob").await).await.status, 403);
    let folder = house.dir.path().join("backups");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    assert_eq!(house.gateway.store().head().await.unwrap().size, before, "what was refused is not done");

    let made = ask(&session).await;
    assert_eq!(made.status, 201);
    let file = made.text("file");
    assert!(std::fs::metadata(folder.join(&file)).unwrap().len() > 0);
    assert_eq!(made.body["size"], json!(before + 1), "the copy holds the entry that tells of it");
    let entry = house.gateway.store().entry(before).await.unwrap();
    assert!(String::from_utf8(entry.leaf).unwrap().contains("\"backup/1\""));
    let fields = gateway::store::open_fields(&entry.fields);
    let fields: Vec<_> = fields
        .iter()
        .map(|field| (&*field.path, String::from_utf8(field.value.0.clone()).unwrap()))
        .collect();
    assert_eq!(fields, [("by", format!("person:{}", house.person("ada"))), ("file", file)]);
}

#[tokio::test]
async fn a_stream_tells_nothing_that_its_reader_may_not_see() {
    let mut house = House::usual().await;
    house.arrives("eve", &["ops"]).await;
    let (token, eve) = (house.token("bot").await, house.session("eve").await);
    let inbox = house.ask("GET", "/v1/events").bearer(&eve).open().await;
    let mut inbox = inbox.into_body().into_data_stream();
    inbox.next().await.unwrap().unwrap();
    let id = house.held(&token, "orders").await;
    let hears = tokio::time::timeout(Duration::from_millis(200), inbox.next()).await;
    assert!(hears.is_err(), "{hears:?}");
    assert_eq!(
        house.ask("GET", format!("/v1/approvals/{id}")).bearer(&eve).send().await.code(),
        "404 not-found"
    );
    let listed = house.ask("GET", "/v1/approvals").bearer(&eve).send().await;
    assert_eq!(listed.body["approvals"], json!([]));
    let id: ActionId = id.parse().unwrap();
    eventually("it stands", async || house.gateway.store().approval(id).await.is_ok()).await;
}
