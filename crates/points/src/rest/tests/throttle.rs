//! Whoever floods what asks for no credential is told to wait, and stands in nobody else's way.

use std::collections::BTreeSet;

use serde_json::json;

use super::house::{Answer, House};
use crate::rest::config::PEER_TRIES_AT_ONCE;
use crate::rest::throttle::DOORS;

const FLOODER: &str = "198.51.100.66";
const OTHER: &str = "198.51.100.7";
const PROXY: &str = "192.0.2.9";
/// More than a peer has, with what comes to it meanwhile.
const FLOOD: u32 = PEER_TRIES_AT_ONCE + 20;

#[tokio::test]
async fn whatever_changes_something_for_anybody_has_its_door() {
    let house = House::usual().await;
    let open = house
        .operations()
        .into_iter()
        .filter(|(method, _, operation)| *method != "GET" && super::schemes(operation).is_empty());
    let open: BTreeSet<_> = open.map(|(_, path, _)| path).collect();
    assert_eq!(open, DOORS.iter().map(|(path, _, _)| (*path).to_owned()).collect());
}

/// A refusal from a flood at one of the doors. While it goes on, a try comes back each second.
async fn flood(house: &House, path: &'static str, from: &str) -> Answer {
    let mut refused = None;
    for _ in 0..FLOOD {
        let bad = json!({ "invite": "x", "secret": "x", "label": "x", "credential": {} });
        let bad = match path {
            "/v1/login/options" | "/v1/cli-logins" => json!({}),
            _ => bad,
        };
        let answer = house.ask("POST", path).from(from).json(&bad).send().await;
        refused = Some(answer).filter(|answer| answer.status == 429).or(refused);
    }
    refused.expect("a flood is refused")
}

#[tokio::test]
async fn every_door_tells_a_flooder_to_wait_and_lets_others_in() {
    let house = House::usual().await;
    for (path, _, _) in DOORS {
        let refused = flood(&house, path, FLOODER).await;
        assert_eq!(refused.code(), "429 too-many-tries", "{path}");
        assert!(refused.text("detail").contains("your network; wait"), "{path}");
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=2).contains(&wait), "{path}: {wait}");
        let other = house.ask("POST", path).from(OTHER).json(&json!({})).send().await;
        assert_ne!(other.status, 429, "{path}");
    }
    // And the other signs in.
    let options = house.ask("POST", "/v1/login/options").from(OTHER).send().await;
    let credential = house.passkey("bob").get_json(&options.body);
    let login = json!({ "credential": credential });
    let entered = house.ask("POST", "/v1/login").from(OTHER).json(&login).send().await;
    assert_eq!(entered.status, 200, "{}", entered.body);
}

#[tokio::test]
async fn what_is_signed_in_for_is_no_door() {
    let house = House::usual().await;
    flood(&house, "/v1/login/options", FLOODER).await;
    let session = house.session("bob").await;
    for _ in 0..FLOOD {
        let me = house.ask("GET", "/v1/me").from(FLOODER).bearer(&session).send().await;
        assert_eq!(me.status, 200);
    }
}

#[tokio::test]
async fn agents_that_trade_good_assertions_are_never_too_many() {
    let house = House::usual().await;
    let trade = async |assertion: String| {
        let form = format!("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion={assertion}");
        house.ask("POST", "/v1/token").from(OTHER).raw("application/x-www-form-urlencoded", form).send().await
    };
    for _ in 0..FLOOD {
        assert_eq!(trade(house.assertion("bot")).await.status, 200);
    }
    let mut refused = None;
    for _ in 0..FLOOD {
        trade("a.b.c".to_owned()).await;
        let answer = trade(house.assertion("bot")).await;
        refused = Some(answer).filter(|answer| answer.status == 429).or(refused);
    }
    let refused = refused.expect("whoever guesses that much waits");
    assert_eq!(refused.code(), "429 too-many-tries");
    assert_eq!(refused.text("error"), "temporarily_unavailable", "OAuth's clients read this");
}

#[tokio::test]
async fn only_a_trusted_proxy_says_who_somebody_is() {
    let house = House::usual().await;
    let options = async |from: &str, client: String| {
        let ask = house.ask("POST", "/v1/login/options").from(from).with("x-forwarded-for", client);
        ask.send().await.status
    };
    let mut refused = 0;
    for n in 0..FLOOD {
        refused += u32::from(options(FLOODER, format!("203.0.113.{n}")).await == 429);
    }
    assert!(refused > 0, "a made-up address is no other peer");
    for n in 0..FLOOD {
        assert_eq!(
            options(PROXY, format!("203.0.113.{n}")).await,
            200,
            "each client of the proxy is its own"
        );
    }
    let mut refused = 0;
    for n in 0..FLOOD {
        refused += u32::from(options(PROXY, format!("10.0.0.{n}, 203.0.113.250")).await == 429);
    }
    assert!(refused > 0, "what a client adds is not read");
}

#[tokio::test]
async fn requests_without_an_address_are_one_peer() {
    let house = House::usual().await;
    let mut refused = 0;
    for _ in 0..FLOOD {
        refused += u32::from(house.ask("POST", "/v1/login/options").send().await.status == 429);
    }
    assert!(refused > 0);
}
