//! What is brought where, when, and what comes of it when it does not arrive.

use std::time::Duration;

use channels::card::Approve;
use channels::deliver::{Failed, Place};
use channels::limits::TRIES;
use gateway::deliveries::Arrived;
use gateway::store::ParcelFilter;

use crate::house::{Call, House, eventually};
use crate::memory::{Memory, Running, account, by_click, link};

const DBA: &str = "group = 'dba'\nchannel = 'slack'\nto = 'C-dba'\nshows = 'command'";

async fn arrived(house: &House) -> Vec<Arrived> {
    let dan = house.human("dan").await;
    let page = house.gateway.deliveries(&dan, &ParcelFilter::default(), None, 200).await.unwrap();
    page.rows.iter().map(|row| row.arrived).collect()
}

#[tokio::test]
async fn a_request_stands_where_its_route_says_and_is_followed_to_its_end() {
    let house = House::usual(&by_click("dba:1")).await;
    let slack = Memory::new("slack");
    let elsewhere = "environment = 'prod'\nchannel = 'slack'\nto = 'C-prod'";
    let running = Running::start(&house, &[&slack], &[DBA, elsewhere]);
    let held = house.held(&Call::delete("orders").though_gone()).await;
    let message = slack.message(held.id).await;
    assert_eq!(message.delivery.to, Place::Shared("C-dba".to_owned()));
    assert_eq!(message.card().actions.approve, Approve::Confirm);
    assert_eq!(message.card().command.parts.len(), 2);
    house.approve("bob", held.id).await.unwrap();
    slack.says(held.id, "finished").await;
    let card = slack.of(held.id).remove(0).cards.pop().unwrap();
    assert_eq!((card.actions.approve, card.state.reviews[0].by.as_str()), (Approve::Over, "passkey"));
    assert!(card.state.receipt.is_some());
    assert_eq!(slack.messages().len(), 1, "one place, one message");
    running.stop();
}

#[tokio::test]
async fn what_a_place_may_not_be_shown_never_comes_there() {
    let house = House::usual(&by_click("dba:1")).await;
    let slack = Memory::new("slack");
    let _running = Running::start(&house, &[&slack], &["channel = 'slack'\nto = 'C-all'"]);
    let held = house.held(&Call::delete("orders").with("note", "launch code 0000")).await;
    let message = slack.message(held.id).await;
    let card = message.card();
    assert!(card.command.parts.is_empty() && card.reason.is_none() && card.run.is_none());
    assert!(!format!("{card:?}").contains("launch code"));
    assert!(matches!(&card.actions.approve, Approve::InConsole(why) if why.contains("does not leave")));
}

#[tokio::test]
async fn each_who_may_review_is_asked_by_themself() {
    let house = House::usual(&by_click("dba:1")).await;
    for name in ["ada", "bob", "cyd", "fay"] {
        link(&house, name).await;
    }
    let slack = Memory::new("slack");
    let _running = Running::start(&house, &[&slack], &["channel = 'slack'\nto = 'people'"]);
    let held = house.held(&Call::delete("orders")).await;
    eventually("both are asked", async || slack.of(held.id).len() == 2).await;
    let mut asked: Vec<_> = slack.of(held.id).iter().map(|message| message.delivery.to.clone()).collect();
    asked.sort();
    let place = |name: &str| Place::Person {
        person: house.person(name),
        team: "T1".to_owned(),
        address: account(name).user().to_owned(),
    };
    let mut expected = vec![place("bob"), place("cyd")];
    expected.sort();
    assert_eq!(asked, expected, "not the agent's sponsor, nor who is in no group that is asked");
    assert!(slack.of(held.id)[0].card().why_you.as_deref().is_some_and(|why| why.contains("dba")));
}

#[tokio::test]
async fn what_does_not_arrive_is_tried_again_and_given_up_in_the_end() {
    let house = House::usual(&by_click("dba:1")).await;
    let slack = Memory::new("slack");
    slack.fails([
        Failed::later("busy"),
        Failed::Later { after: Some(Duration::from_secs(30)), why: "rate".to_owned() },
    ]);
    let _running = Running::start(&house, &[&slack], &[DBA]);
    let held = house.held(&Call::delete("orders")).await;
    eventually("it is tried", async || slack.tries() == 1).await;
    eventually("it waits", async || arrived(&house).await == [Arrived::Retrying]).await;
    house.later(3);
    eventually("it is tried again", async || slack.tries() == 2).await;
    house.later(29);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(slack.tries(), 2, "not before the provider said");
    house.later(2);
    slack.message(held.id).await;
    eventually("it arrived", async || arrived(&house).await == [Arrived::Delivered]).await;

    slack.fails([Failed::never("no such channel")]);
    house.approve("bob", held.id).await.unwrap();
    eventually("it is given up", async || arrived(&house).await == [Arrived::Failed]).await;
    let row = house.gateway.deliveries_of(&house.human("bob").await, held.id).await.unwrap().remove(0);
    assert_eq!(row.record.error.as_deref(), Some("no such channel"));
}

#[tokio::test]
async fn tries_come_to_an_end_and_begin_anew_when_the_request_moves() {
    let house = House::usual(&by_click("dba:2").replace("30m", "24h")).await;
    let slack = Memory::new("slack");
    slack.fails((0..TRIES).map(|_| Failed::later("down")));
    let _running = Running::start(&house, &[&slack], &[DBA]);
    let held = house.held(&Call::delete("orders")).await;
    for tried in 1..=TRIES as usize {
        eventually("it is tried", async || slack.tries() >= tried).await;
        // Longer than the longest pause.
        house.later(601);
    }
    eventually("it is given up", async || arrived(&house).await == [Arrived::Failed]).await;
    house.approve("bob", held.id).await.unwrap();
    slack.message(held.id).await;
}

#[tokio::test]
async fn nobody_is_woken_for_what_was_decided_in_time() {
    let house = House::usual(&by_click("dba:1")).await;
    let slack = Memory::new("slack");
    let late = "channel = 'slack'\nto = 'C-boss'\nafter = 600";
    let _running = Running::start(&house, &[&slack], &[DBA, late]);
    let (decided, left) = (house.held(&Call::delete("a")).await, house.held(&Call::delete("b")).await);
    slack.message(decided.id).await;
    slack.message(left.id).await;
    house.deny("bob", decided.id, "no").await.unwrap();
    slack.says(decided.id, "denied").await;
    house.later(601);
    eventually("it escalates", async || slack.of(left.id).len() == 2).await;
    assert_eq!(slack.of(decided.id).len(), 1);
    assert!(arrived(&house).await.contains(&Arrived::Unneeded));
}

#[tokio::test]
async fn reminders_are_counted() {
    let house = House::usual(&by_click("dba:1")).await;
    let slack = Memory::new("slack");
    let reminding = "channel = 'slack'\nto = 'C-dba'\nremind = 120\nreminders = 2";
    let _running = Running::start(&house, &[&slack], &[reminding]);
    let held = house.held(&Call::delete("orders")).await;
    slack.message(held.id).await;
    for count in [1, 2] {
        house.later(121);
        eventually("it is reminded", async || slack.of(held.id)[0].reminders == count).await;
    }
    house.later(121);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(slack.of(held.id)[0].reminders, 2);
}

#[tokio::test]
async fn a_restart_loses_nothing_and_posts_nothing_twice() {
    let mut house = House::usual(&by_click("dba:1")).await;
    let slack = Memory::new("slack");
    let running = Running::start(&house, &[&slack], &[DBA]);
    let (one, two) = (house.held(&Call::delete("a")).await, house.held(&Call::delete("b")).await);
    slack.message(one.id).await;
    slack.message(two.id).await;
    eventually("both are noted", async || arrived(&house).await == [Arrived::Delivered; 2]).await;
    running.stop();
    house.deny("bob", one.id, "no").await.unwrap();
    house.restart().await;
    let three = house.held(&Call::delete("c")).await;
    let _running = Running::start(&house, &[&slack], &[DBA]);
    slack.says(one.id, "denied").await;
    slack.message(three.id).await;
    assert_eq!(slack.messages().len(), 3);
}

/// What a policy says of whom to tell widens who hears of a request, and never who may review it.
#[tokio::test]
async fn whom_policy_names_hears_of_it() {
    let told = r##"@hold("dba:1") @notify("#billing, #dba") @escalate("10m:dev")"##;
    let house = House::usual(&by_click("dba:1").replace(r#"@hold("dba:1")"#, told)).await;
    link(&house, "fay").await;
    let slack = Memory::new("slack");
    let route = |more: &str| format!("channel = 'slack'\n{more}");
    let routes = [
        route("notify = '#billing'\nto = 'C-billing'"),
        route("notify = '#others'\nto = 'C-others'"),
        route("group = 'dev'\nto = 'people'"),
        route("group = 'ops'\nto = 'C-ops'"),
    ];
    let _running = Running::start(&house, &[&slack], &routes.each_ref().map(String::as_str));
    let held = house.held(&Call::delete("orders")).await;
    let message = slack.message(held.id).await;
    assert_eq!(message.delivery.to, Place::Shared("C-billing".to_owned()));
    house.later(601);
    eventually("it escalates", async || slack.of(held.id).len() == 2).await;
    let fays = slack.of(held.id).into_iter().find(|message| message.delivery.to.person().is_some()).unwrap();
    assert_eq!(fays.delivery.to.person(), Some(house.person("fay")));
    assert!(fays.card().why_you.as_deref().is_some_and(|why| why.contains("no rule")));
}
