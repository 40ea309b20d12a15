//! **Reviewer**: secrets and personal data are masked on the card; the digest covers the real bytes; who has the right
//! opens a field, and that is on record first.

use domain::approval::Approval;
use domain::directory::DirectoryEvent;
use domain::entry::Kind;
use domain::id::ActionId;
use domain::statement::Verdict;
use domain::text::Piece;
use gateway::GatewayError;
use gateway::card::{Card, Shown};
use gateway::limits::LISTED_SCAN_BYTES;
use gateway::reveal::Viewer;

use crate::house::{Call, House, forbidden, held_by, read};

const BODY: &str = r#"{"card":"4111 1111 1111 1111","note":"ok"}"#;

fn words(shown: &Shown) -> String {
    let word = |piece: &Piece| match piece {
        Piece::Plain(text) | Piece::Mixed(text) | Piece::Hidden(text) => text.clone(),
    };
    shown.pieces.iter().map(word).collect()
}

fn body(card: &Card) -> String {
    let part = card.payload.iter().find(|part| part.path == "http.body").unwrap();
    words(part.text.as_ref().unwrap())
}

fn call() -> Call {
    Call::delete("orders").though_gone().with("http.body", BODY)
}

async fn route(house: &House, rules: &str) {
    let event = DirectoryEvent::RouteSet {
        name: "broker".parse().unwrap(),
        document: format!(r#"{{"mask":{rules},"name":"broker","point":"http"}}"#),
    };
    house.change(event).await;
}

async fn card_of(house: &House, name: &str, id: ActionId) -> Card {
    let viewer = Viewer::Person(house.person(name));
    house.gateway.card_for(&house.summary(id).await, viewer).await.unwrap()
}

#[tokio::test]
async fn people_see_masks_and_the_agent_its_own_bytes() {
    let house = House::usual(&held_by("dba:1")).await;
    let mut call = call().with("http.header.000.authorization", "Custom abc");
    call.reason = Some("for ann@example.org".to_owned());
    call.resource.name = "keys/ghp_16C7e42F292c6912E7710c838347Ae178B4a".to_owned();
    let held = house.held(&call).await;
    let card = card_of(&house, "bob", held.id).await;
    assert_eq!(body(&card), r#"{"card":"[masked: card …1111]","note":"ok"}"#);
    assert_eq!(words(&card.resource), "keys/[masked: API key]");
    assert_eq!(words(card.reason.as_ref().unwrap()), "for [masked: e-mail]");
    let fields: Vec<_> =
        card.masked.iter().map(|field| (field.path.as_str(), field.classes.join(","))).collect();
    let expected = [
        ("http.body", "card"),
        ("http.header.000.authorization", "token"),
        ("reason", "email"),
        ("resource", "api-key"),
    ];
    for (path, class) in expected {
        assert!(
            fields.iter().any(|(field, classes)| *field == path && classes == class),
            "{path} in {fields:?}"
        );
    }
    let text = serde_json::to_string(&card).unwrap();
    for secret in ["4111 1111", "Custom abc", "ann@example", "ghp_16C7"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert_eq!(house.gateway.shown_resource(&house.summary(held.id).await), "keys/[masked: API key]");
    let own = house.gateway.card_for(&house.summary(held.id).await, Viewer::Caller).await.unwrap();
    assert_eq!(body(&own), BODY);
    assert!(own.masked.is_empty());
}

#[tokio::test]
async fn a_reviewer_opens_a_field_which_is_on_record_and_in_what_they_sign() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&call()).await;
    let bob = house.human("bob").await;
    let before = card_of(&house, "bob", held.id).await.digest().unwrap();
    let revealed = house.gateway.reveal(held.id, &bob, "http.body").await.unwrap();
    assert_eq!(revealed.value, BODY.as_bytes());
    assert!(!format!("{revealed:?}").contains("4111"));
    assert!(house.told(held.id).await.contains(&Kind::Reveal));

    let after = card_of(&house, "bob", held.id).await;
    assert_eq!(after.revealed, ["http.body"]);
    assert_eq!(after.digest().unwrap(), revealed.displayed);
    assert_ne!(before, revealed.displayed);
    assert!(!body(&after).contains("4111"), "to see it again is to open it again");
    assert!(card_of(&house, "cyd", held.id).await.revealed.is_empty(), "what Bob opened, Cyd has not");

    let prepare = |displayed| house.gateway.prepare_review(held.id, &bob, Verdict::Approve, None, displayed);
    assert!(
        matches!(prepare(before).await, Err(GatewayError::Stale(_))),
        "the page showed less than he has seen"
    );
    assert_eq!(read(&prepare(revealed.displayed).await.unwrap()).displayed, revealed.displayed);
}

#[tokio::test]
async fn what_runs_are_the_real_bytes() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&call()).await;
    house.approve("bob", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    let payload = house.store().payload(held.id).await.unwrap();
    let fields = gateway::store::open_fields(&payload);
    assert!(fields.iter().any(|field| field.path == "http.body" && field.value.0 == BODY.as_bytes()));
}

#[tokio::test]
async fn whoever_may_not_open_it_does_not_see_it_and_cannot_approve() {
    let house = House::usual(&held_by("dba:1")).await;
    route(&house, r#"{"reveal":"ops"}"#).await;
    let held = house.held(&call()).await;
    let (bob, eve, dan) = (house.human("bob").await, house.human("eve").await, house.human("dan").await);
    for who in [&bob, &dan] {
        assert!(forbidden(house.gateway.reveal(held.id, who, "http.body").await).contains("may open it"));
        assert!(forbidden(house.gateway.open_payload(held.id, who).await).contains("may open it"));
    }
    let reveals = async || house.told(held.id).await.into_iter().filter(|kind| *kind == Kind::Reveal).count();
    let refusals = house.told(held.id).await.into_iter().filter(|kind| *kind == Kind::Refusal).count();
    assert_eq!((reveals().await, refusals), (0, 4), "each try is on record");
    let standing = house.gateway.standing_over(&house.summary(held.id).await, bob.person, true).unwrap();
    assert!(!standing.may_approve && standing.may_deny);
    assert!(standing.why_not.unwrap().contains("masked"));
    assert!(forbidden(house.approve("bob", held.id).await).contains("masked"));

    house.gateway.reveal(held.id, &eve, "http.body").await.unwrap();
    assert_eq!(reveals().await, 1);
    // Fay is asked by nobody and stands on no chain: to her there is no such request.
    let fay = house.human("fay").await;
    assert!(matches!(house.gateway.reveal(held.id, &fay, "http.body").await, Err(GatewayError::NotFound(_))));
    let card = card_of(&house, "eve", held.id).await.digest().unwrap();
    assert!(house.gateway.prepare_review(held.id, &eve, Verdict::Approve, None, card).await.is_ok());
}

#[tokio::test]
async fn administrators_alone_where_the_route_says_so() {
    let house = House::usual(&held_by("dba:1")).await;
    route(&house, r#"{"reveal":"admins"}"#).await;
    let held = house.held(&call()).await;
    house.gateway.reveal(held.id, &house.human("dan").await, "http.body").await.unwrap();
    assert!(
        forbidden(house.gateway.reveal(held.id, &house.human("bob").await, "http.body").await)
            .contains("masked")
    );
}

#[tokio::test]
async fn a_route_s_rules_mask_and_let_stand() {
    let house = House::usual(&held_by("dba:1")).await;
    route(&house, r#"{"keep":["/card"],"names":["note"]}"#).await;
    let held = house.held(&call()).await;
    let card = card_of(&house, "bob", held.id).await;
    assert_eq!(body(&card), r#"{"card":"4111 1111 1111 1111","note":"[masked: by rule]"}"#);
    assert_eq!(card.masked[0].classes, ["rule"]);
}

/// What people write beside an action is masked as the action is, by the route's rules too; what they signed stays whole.
#[tokio::test]
async fn notes_and_reasons_are_masked_where_they_are_shown() {
    let house = House::usual(&held_by("dba:1")).await;
    route(&house, r#"{"patterns":[{"name":"case","regex":"CASE-\\d+"}]}"#).await;
    let held = house.held(&call()).await;
    let note = "no: AKIAIOSFODNN7EXAMPLE of CASE-4711; ask ann@example.org";
    let denied = house.deny("bob", held.id, note).await.unwrap();
    let shown = house.gateway.shown_words(&denied, note);
    for secret in ["AKIA", "4711", "ann@"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let Approval::Denied(why) = &denied.approval else { panic!("denied") };
    let told = house.gateway.why_denied(&denied, &why.by);
    assert!(!told.contains("AKIA") && !told.contains("4711"), "{told}");
    assert!(told.contains("ask ann@example.org"), "its caller reads whom to turn to: {told}");
    let said = &denied.approval.case().reviews[0].statement.note;
    assert_eq!(said.as_deref(), Some(note), "what was signed is whole");
}

#[tokio::test]
async fn a_list_says_may_approve_only_to_those_who_may_open_what_is_masked() {
    let house = House::usual(&held_by("dba:1")).await;
    route(&house, r#"{"reveal":"ops"}"#).await;
    let held = house.held(&call()).await;
    let listed = async |id, name: &str| {
        let summary = house.summary(id).await;
        house.gateway.may_approve_listed(&summary, house.person(name)).await.unwrap()
    };
    assert!(!listed(held.id, "bob").await, "he is asked, and may not open the card's number");
    assert!(listed(held.id, "eve").await);
    assert!(!listed(held.id, "fay").await);
    let plain = house.held(&Call::delete("plain").though_gone()).await;
    assert!(listed(plain.id, "bob").await, "nothing is masked there");
    let large = Call::delete("large").though_gone().with("http.body", "x".repeat(LISTED_SCAN_BYTES + 1));
    let large = house.held(&large).await;
    assert!(!listed(large.id, "bob").await, "too large to be looked through for a list");
    route(&house, r#"{"nmaes":[]}"#).await;
    assert!(!listed(plain.id, "bob").await, "rules that cannot be read");
}

#[tokio::test]
async fn rules_that_cannot_be_read_show_nothing() {
    let house = House::usual(&held_by("dba:1")).await;
    route(&house, r#"{"nmaes":[]}"#).await;
    let held = house.held(&call()).await;
    let summary = house.summary(held.id).await;
    assert!(matches!(house.gateway.card(&summary).await, Err(GatewayError::Unavailable(_))));
    assert!(house.gateway.shown_resource(&summary).starts_with("[masked"));
    assert!(house.gateway.reveal(held.id, &house.human("bob").await, "http.body").await.is_err());
}

#[tokio::test]
async fn only_masked_fields_are_opened_and_the_terminal_s_opening_is_no_display() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&call()).await;
    let bob = house.human("bob").await;
    for field in ["http.method", "http.nothing", "resource"] {
        assert!(
            matches!(house.gateway.reveal(held.id, &bob, field).await, Err(GatewayError::NotFound(_))),
            "{field}"
        );
    }
    assert!(!house.told(held.id).await.contains(&Kind::Reveal));
    house.gateway.reveal(held.id, &house.at_cli("bob").await, "http.body").await.unwrap();
    assert!(house.told(held.id).await.contains(&Kind::Reveal));
    assert!(card_of(&house, "bob", held.id).await.revealed.is_empty());
    // The whole payload, opened in the console, counts for each masked field of it.
    house.gateway.open_payload(held.id, &bob).await.unwrap();
    assert_eq!(card_of(&house, "bob", held.id).await.revealed, ["http.body"]);
}
