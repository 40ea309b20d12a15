//! **Reviewer**: forged, replayed, stale, foreign, unlinked, non-member and self-review clicks count for nothing, are on
//! record, and are answered in words.

use channels::card::Approve;
use channels::click::{Clicks as _, Pressed};
use domain::entry::Kind;
use domain::id::ActionId;
use domain::statement::Verdict;

use crate::house::{Call, House, eventually};
use crate::memory::{APPROVE, Memory, Message, Running, account, by_click, click, deny, link};

const DBA: &str = "group = 'dba'\nchannel = 'slack'\nto = 'C-dba'\nshows = 'command'";

struct Scene {
    house: House,
    running: Running,
    slack: std::sync::Arc<Memory>,
}

async fn scene(hold: &str) -> Scene {
    let house = House::usual(&by_click(hold)).await;
    for name in ["ada", "bob", "cyd", "dan", "fay"] {
        link(&house, name).await;
    }
    let slack = Memory::new("slack");
    let running = Running::start(&house, &[&slack], &[DBA]);
    Scene { house, running, slack }
}

impl Scene {
    async fn asked(&self, queue: &str) -> Message {
        let held = self.house.held(&Call::delete(queue).though_gone()).await;
        self.slack.message(held.id).await;
        eventually("it is noted", async || {
            let bob = self.house.human("bob").await;
            self.house.gateway.deliveries_of(&bob, held.id).await.unwrap()[0].record.sent.is_some()
        })
        .await;
        self.slack.of(held.id).remove(0)
    }

    async fn refusals(&self, id: ActionId) -> usize {
        self.house.told(id).await.into_iter().filter(|kind| *kind == Kind::Refusal).count()
    }
}

#[tokio::test]
async fn a_click_approves_and_every_card_says_so() {
    let scene = scene("dba:1").await;
    let message = scene.asked("orders").await;
    let answer = scene.running.click("bob", &message, APPROVE).await;
    assert!(answer.done, "{answer:?}");
    assert_eq!(answer.card.unwrap().state.reviews[0].by, "slack");
    let id = message.card().approval;
    scene.slack.says(id, "finished").await;
    assert_eq!(scene.house.runner.runs(), 1);
    let summary = scene.house.summary(id).await;
    let recorded = &summary.approval.case().reviews[0].signed;
    let domain::review::Proof::Chat(proof) = &recorded.proof else { panic!("another proof") };
    let evidence = domain::canonical::read_value(&proof.evidence.0).unwrap();
    assert_eq!(evidence["message"]["place"], "C-dba");
    assert_eq!(evidence["marks"]["app_id"], "A1");
}

#[tokio::test]
async fn clicks_that_count_for_nothing_are_answered_and_on_record() {
    let scene = scene("dba:1").await;
    let (message, other) = (scene.asked("orders").await, scene.asked("others").await);
    let id = message.card().approval;
    let mut codes = Vec::new();
    for user in ["nobody", "ada", "dan", "fay"] {
        codes.push((user, scene.running.click(user, &message, APPROVE).await));
    }
    let mut forged = message.clone();
    forged.placed.message = "m999".to_owned();
    codes.push(("another message", scene.running.click("bob", &forged, APPROVE).await));
    let mut forged = message.clone();
    forged.placed.team = "T2".to_owned();
    codes.push(("another team", scene.running.click("bob", &forged, APPROVE).await));
    let mut forged = message.clone();
    forged.placed = other.placed.clone();
    codes.push(("another request's message", scene.running.click("bob", &forged, APPROVE).await));
    let mut ahead = click("bob", &message, APPROVE, "once-ahead");
    ahead.version += 1;
    codes.push(("a version to come", scene.running.desk.click(ahead).await));
    codes.push((
        "unconfirmed",
        scene.running.click("bob", &message, Pressed::Approve { confirmed: false }).await,
    ));
    let mut long = click("bob", &message, APPROVE, "once-long");
    long.evidence.marks.insert("x".to_owned(), "x".repeat(1_000));
    codes.push(("long evidence", scene.running.desk.click(long).await));
    let told: Vec<String> =
        codes.iter().map(|(what, answer)| format!("{what}: {}: {}", answer.code, answer.words)).collect();
    insta::assert_snapshot!(told.join("\n"));
    assert!(codes.iter().all(|(_, answer)| !answer.done));
    assert_eq!(scene.refusals(id).await, codes.len());
    assert_eq!((scene.house.state(id).await, scene.house.runner.runs()), ("pending", 0));
}

#[tokio::test]
async fn a_click_counts_once() {
    let scene = scene("dba:2").await;
    let message = scene.asked("orders").await;
    let first = click("bob", &message, APPROVE, "trigger");
    assert!(scene.running.desk.click(first.clone()).await.done);
    assert_eq!(scene.running.desk.click(first).await.code, "replayed");
    let again = scene.running.click("bob", &message, APPROVE).await;
    assert!(again.words.contains("one human counts once"), "{again:?}");
    // The other's card was made before the first approval, which changes nothing of what it shows.
    assert!(scene.running.click("cyd", &message, APPROVE).await.done);
    scene.slack.says(message.card().approval, "finished").await;
}

#[tokio::test]
async fn a_card_that_is_behind_is_stale() {
    let scene = scene("dba:1").await;
    let message = scene.asked("orders").await;
    let id = message.card().approval;
    scene.house.review("cyd", id, Verdict::Ask, Some("who reads it?")).await.unwrap();
    let answer = scene.running.click("bob", &message, APPROVE).await;
    assert_eq!(answer.code, "stale", "{answer:?}");
    let question = scene.house.summary(id).await.approval.case().questions[0].id;
    scene
        .house
        .gateway
        .answer(id, scene.house.principal("bot"), question, "nobody".to_owned())
        .await
        .unwrap();
    eventually("the card is brought up to date", async || scene.slack.of(id)[0].card().version == 3).await;
    let now = scene.slack.of(id).remove(0);
    eventually("it can be clicked", async || scene.running.click("bob", &now, APPROVE).await.done).await;
}

#[tokio::test]
async fn a_message_of_ones_own_is_nobody_elses() {
    let house = House::usual(&by_click("dba:1")).await;
    for name in ["bob", "cyd"] {
        link(&house, name).await;
    }
    let slack = Memory::new("slack");
    let running = Running::start(&house, &[&slack], &["channel = 'slack'\nto = 'people'\nshows = 'command'"]);
    let held = house.held(&Call::delete("orders")).await;
    eventually("both are asked", async || slack.of(held.id).len() == 2).await;
    let bobs = |message: &Message| message.delivery.to.person() == Some(house.person("bob"));
    let bobs = slack.of(held.id).into_iter().find(bobs).unwrap();
    assert_eq!(running.click("cyd", &bobs, deny()).await.code, "not-ours");
    eventually("bob denies", async || running.click("bob", &bobs, deny()).await.done).await;
    slack.says(held.id, "denied").await;
}

#[tokio::test]
async fn what_is_risky_is_approved_in_the_console_and_denied_anywhere() {
    let scene = scene("dba:1").await;
    let held = scene.house.held(&Call::delete("orders").in_production()).await;
    let message = scene.slack.message(held.id).await;
    assert!(matches!(&message.card().actions.approve, Approve::InConsole(why) if why.contains("risk")));
    eventually("the click is answered", async || {
        let answer = scene.running.click("bob", &message, APPROVE).await;
        answer.code == "in-console" && answer.link.is_some_and(|link| link.contains("/approvals/"))
    })
    .await;
    assert!(scene.running.click("bob", &message, deny()).await.done);
    assert_eq!(scene.house.state(held.id).await, "denied");
}

#[tokio::test]
async fn an_inbox_holds_what_its_person_may_review() {
    let scene = scene("dba:1").await;
    scene.asked("a").await;
    scene.asked("b").await;
    let inbox = scene.running.desk.inbox(&account("bob")).await.unwrap();
    assert_eq!(inbox.len(), 2);
    assert!(inbox[0].command.parts.is_empty(), "an inbox shows no command");
    assert!(
        scene.running.desk.inbox(&account("ada")).await.unwrap().is_empty(),
        "the sponsor has nothing to review"
    );
    assert_eq!(scene.running.desk.inbox(&account("nobody")).await.unwrap_err().code, "unlinked");
    let id = inbox[0].approval;
    assert_eq!(scene.running.desk.look(&account("fay"), id).await.unwrap_err().code, "not-found");
    assert_eq!(scene.running.desk.look(&account("bob"), id).await.unwrap().approval, id);
}

/// Approve in one place races deny in another, again and again: one outcome, and every card agrees with it.
#[tokio::test]
async fn approval_races_denial() {
    const ROUNDS: usize = 100;
    let house = House::usual(&by_click("dba:1")).await;
    for name in ["bob", "cyd"] {
        link(&house, name).await;
    }
    let (slack, teams) = (Memory::new("slack"), Memory::new("teams"));
    let also = DBA.replace("slack", "teams").replace("C-dba", "G-dba");
    let running = Running::start(&house, &[&slack, &teams], &[DBA, &also]);
    let mut outcomes = std::collections::BTreeMap::new();
    for round in 0..ROUNDS {
        let held = house.held(&Call::delete(&format!("q{round}")).though_gone()).await;
        let (ours, theirs) = (slack.message(held.id).await, teams.message(held.id).await);
        eventually("both are noted", async || {
            let bob = house.human("bob").await;
            let rows = house.gateway.deliveries_of(&bob, held.id).await.unwrap();
            rows.iter().all(|row| row.record.sent.is_some())
        })
        .await;
        let approve = click("bob", &ours, APPROVE, &format!("approve-{round}"));
        let mut refuse = click("cyd", &theirs, deny(), &format!("deny-{round}"));
        refuse.channel = "teams".parse().unwrap();
        let (approved, denied) = tokio::join!(running.desk.click(approve), running.desk.click(refuse));
        let ended = if denied.done { "denied" } else { "finished" };
        assert!(approved.done || denied.done, "{approved:?} {denied:?}");
        house.until(held.id, ended).await;
        slack.says(held.id, ended).await;
        teams.says(held.id, ended).await;
        *outcomes.entry(ended).or_insert(0) += 1;
    }
    assert_eq!(house.runner.runs(), outcomes.get("finished").copied().unwrap_or(0));
    house.audit().await;
}
