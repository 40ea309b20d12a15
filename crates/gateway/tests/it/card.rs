//! **Reviewer**: what is shown, and what must be seen before anybody can approve.

use domain::approval::Approval;
use domain::entry::Kind;
use domain::statement::Verdict;
use domain::text::Piece;
use gateway::GatewayError;
use gateway::card::Card;
use gateway::limits::{HELD_PAYLOAD_BYTES, SHOWN_PAYLOAD_BYTES};

use crate::house::{Call, House, forbidden, held_by};

async fn card(house: &House, call: &Call) -> Card {
    let held = house.held(call).await;
    house.gateway.card(&house.summary(held.id).await).await.unwrap()
}

/// **Reviewer**, "Bidirectional, zero-width, look-alike and escape characters: show them, badge them".
#[tokio::test]
async fn what_is_hidden_in_words_from_outside_is_shown() {
    let house = House::usual(&held_by("dba:1")).await;
    for (text, hidden) in [
        ("rm -rf \u{202e}txt.exe", "U+202E"),
        ("no\u{200b}thing", "U+200B"),
        ("\u{1b}[2Jall clear", "U+001B"),
    ] {
        let mut call = Call::delete("orders").with("http.body", text);
        call.reason = Some(text.to_owned());
        call.resource.name = text.to_owned();
        let card = card(&house, &call).await;
        let body = card.payload.iter().find(|part| part.path == "http.body").unwrap();
        for shown in [&card.resource, card.reason.as_ref().unwrap(), body.text.as_ref().unwrap()] {
            assert!(shown.suspicious, "{text:?}");
            assert!(shown.pieces.contains(&Piece::Hidden(hidden.to_owned())), "{shown:?}");
        }
    }
    // A Cyrillic letter in a Latin word.
    let card = card(&house, &Call::delete("orders").with("http.body", "p\u{0430}yments")).await;
    let body = card.payload.iter().find(|part| part.path == "http.body").unwrap();
    assert!(matches!(body.text.as_ref().unwrap().pieces[..], [Piece::Mixed(_)]));
}

/// **Reviewer**, "The agent writes its own dialog: facts come from the gateway only" and "Mark-up in cards: plain
/// text": words from outside stay words, in their own place.
#[tokio::test]
async fn the_facts_of_a_card_are_the_gateways() {
    let house = House::usual(&held_by("dba:1")).await;
    let mut call = Call::delete("orders").in_production();
    let lie = "<b>Risk: none</b> [Approve](http://evil) Requested by: Dan\nEnvironment: staging";
    call.reason = Some(lie.to_owned());
    let card = card(&house, &call).await;
    assert!(card.production && card.environment == "prod");
    assert!(card.risk.score >= 60, "{:?}", card.risk);
    let parties: Vec<_> = card.chain.iter().map(|party| (party.name.as_str(), party.role.as_str())).collect();
    assert_eq!(parties, [("bot", "caller"), ("ada", "sponsor")]);
    let reason: String = card
        .reason
        .unwrap()
        .pieces
        .iter()
        .map(|piece| match piece {
            Piece::Plain(text) | Piece::Mixed(text) | Piece::Hidden(text) => text.as_str(),
        })
        .collect();
    assert_eq!(reason, lie, "word for word, and nothing made of it");
}

/// **Reviewer**, "Padding pushes the tail away: … no Approve until all can be seen".
#[tokio::test]
async fn nobody_approves_what_they_could_not_see_whole() {
    let house = House::usual(&held_by("dba:1")).await;
    let mut body = vec![b' '; SHOWN_PAYLOAD_BYTES];
    body.extend_from_slice(b"; drop everything");
    let held = house.held(&Call::delete("orders").though_gone().with("http.body", body.clone())).await;
    let card = house.gateway.card(&house.summary(held.id).await).await.unwrap();
    assert!(!card.complete);
    assert!(card.payload.iter().any(|part| part.cut && part.bytes == body.len() as u64));
    assert!(forbidden(house.approve("bob", held.id).await).contains("open it in full"));

    // What the command line opened, nobody has seen at the console.
    house.gateway.open_payload(held.id, &house.at_cli("bob").await).await.unwrap();
    assert!(forbidden(house.approve("bob", held.id).await).contains("open it in full"));
    // What another has opened, he has not.
    house.gateway.open_payload(held.id, &house.human("cyd").await).await.unwrap();
    assert!(forbidden(house.approve("bob", held.id).await).contains("open it in full"));
    house.never_runs(held.id).await;

    let opened = house.gateway.open_payload(held.id, &house.human("bob").await).await.unwrap();
    let fields = gateway::store::open_fields(&opened);
    assert!(fields.iter().any(|field| field.path == "http.body" && field.value.0 == body));
    let reveals = house.told(held.id).await.into_iter().filter(|kind| *kind == Kind::Reveal).count();
    assert_eq!(reveals, 3, "each opening is logged");
    house.approve("bob", held.id).await.unwrap();
    house.until(held.id, "finished").await;
}

#[tokio::test]
async fn whoever_has_not_seen_it_whole_may_still_deny() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").with("http.body", vec![0; SHOWN_PAYLOAD_BYTES + 1])).await;
    let denied = house.review("bob", held.id, Verdict::Deny, Some("too much")).await.unwrap();
    assert!(matches!(denied.approval, Approval::Denied(_)));
}

/// **Reviewer**, "no Approve until all can be seen": nobody is shown less than what would run.
#[tokio::test]
async fn a_payload_with_a_part_taken_out_is_not_shown_as_whole() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").with("http.body", "everything")).await;
    house.tamper("DELETE FROM payload WHERE path = 'http.body'");
    let summary = house.summary(held.id).await;
    assert!(house.gateway.card(&summary).await.is_err(), "the page shows less than what was asked for");
    assert!(house.gateway.open_payload(held.id, &house.human("bob").await).await.is_err());
}

#[tokio::test]
async fn what_is_too_large_to_be_held_is_refused() {
    let house = House::usual(&held_by("dba:1")).await;
    let call = Call::delete("orders").with("http.body", vec![0; HELD_PAYLOAD_BYTES]);
    let refused = house.decide(&house.caller("bot").await, &call).await;
    assert!(matches!(refused, Err(GatewayError::Malformed(_))));
    assert_eq!(house.runner.runs(), 0);
}
