//! Actions that do several things: each is decided on, when they are asked for and when they are redeemed.

use std::sync::Arc;

use domain::action::Point;
use domain::digest::{Digest, Purpose};
use domain::evaluation::{Decision, Fact, Facts};
use gateway::decide::{Decided, PARTS_PATH, Part};
use gateway::hold::Heard;

use crate::house::{Call, House, PATIENCE, eventually};
use crate::runner::CountingRunner;

const RULES: &str = r#"
    @id("all") permit (principal, action, resource);
    @id("destroys") @hold("dba:1") @ttl("30m") @grant("10m") @why("it removes rows")
    forbid (principal, action in Action::"destroy", resource);
    @id("unbounded") @hold("dba:1") @ttl("10m") @grant("5m") @why("nothing narrows it")
    forbid (principal, action in Action::"write", resource) when { context has bulk && context.bulk };
    @id("secrets") @why("nobody reads them")
    forbid (principal, action, resource) when { context has data_classes && context.data_classes like "*,secret,*" };
"#;

fn facts(more: &[(&str, Fact)]) -> Facts {
    let known = [("matched", Fact::Bool(true)), ("parsed", Fact::Bool(true))];
    known.iter().chain(more).map(|(name, fact)| ((*name).to_owned(), fact.clone())).collect()
}

fn part(verb: &str, resource: &str, more: &[(&str, Fact)]) -> Part {
    Part { verb: verb.parse().unwrap(), resource: resource.to_owned(), facts: facts(more) }
}

/// A statement of PostgreSQL's that does these things, the first of them what people see.
fn statement(parts: &[Part]) -> Call {
    let mut call = Call { point: Point::Postgres, facts: facts(&[]), ..Call::get("public.orders") };
    call.verb = "sql.select";
    call.parts = parts.to_vec();
    call
}

async fn house() -> (House, Arc<CountingRunner>) {
    let house = House::usual(RULES).await;
    let runner = Arc::new(CountingRunner::new(Point::Postgres));
    house.gateway.install(Arc::clone(&runner) as _);
    (house, runner)
}

#[tokio::test]
async fn the_strictest_of_its_parts_decides() {
    let (house, _) = house().await;
    let read = part("sql.select", "public.orders", &[]);
    let delete = part("sql.delete", "public.orders", &[]);
    let bulk = part("sql.update", "public.users", &[("bulk", Fact::Bool(true))]);
    let secret = part("sql.select", "public.keys", &[("data_classes", Fact::Text(",secret,".to_owned()))]);

    house.permitted(&statement(&[read.clone(), read.clone()])).await;
    let held = house.held(&statement(&[read.clone(), delete.clone()])).await;
    assert_eq!(held.why.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["destroys"]);
    let both = house.held(&statement(&[read.clone(), delete, bulk])).await;
    let summary = house.summary(both.id).await;
    let evaluation = &summary.approval.case().evaluation;
    let Decision::NeedsReview(requirement) = &evaluation.decision else { panic!("{evaluation:?}") };
    assert_eq!(requirement.holds.len(), 2, "both rules ask");
    assert_eq!((requirement.ttl.seconds(), requirement.grant.seconds()), (600, 300), "the shortest times");
    let denied = house.denied(&statement(&[read, secret])).await;
    assert_eq!(denied.rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["secrets"]);
}

#[tokio::test]
async fn what_people_see_and_sign_covers_every_part() {
    let (house, _) = house().await;
    let parts = [part("sql.select", "public.orders", &[]), part("sql.delete", "public.orders", &[])];
    let held = house.held(&statement(&parts)).await;
    let summary = house.summary(held.id).await;
    let payload = house.store().payload(held.id).await.unwrap();
    let stored = payload
        .iter()
        .find_map(|field| match field {
            domain::commitment::Disclosure::Open(field) if field.path == PARTS_PATH => {
                Some(field.value.0.clone())
            }
            _ => None,
        })
        .expect("the parts stand in the payload");
    assert_eq!(domain::canonical::read::<Vec<Part>>(&stored).unwrap(), parts);
    assert_eq!(summary.action.parts().point, Point::Postgres);
}

/// Policy is asked about each part again: one that is forbidden meanwhile stops all of it.
#[tokio::test]
async fn every_part_is_decided_on_again_when_it_is_redeemed() {
    let (house, runner) = house().await;
    let parts = [part("sql.select", "public.orders", &[]), part("sql.delete", "public.orders", &[])];
    let held = house.held(&statement(&parts)).await;
    runner.leave_alone();
    house.approve("bob", held.id).await.unwrap();
    let stricter = format!(
        "{RULES} @id(\"frozen\") @why(\"nobody deletes now\") forbid (principal, action == Action::\"sql.delete\", resource);"
    );
    house.apply(&stricter).await;
    runner.come_back();
    let heard = house.hear(held.id).await;
    assert!(matches!(heard, Heard::Refused { .. }), "{heard:?}");
    assert_eq!(runner.runs(), 0);
}

/// A runner that runs only for whoever waits in their own session: without one the approval is not spent.
#[tokio::test]
async fn what_nobody_awaits_stays_unspent() {
    let (house, runner) = house().await;
    runner.leave_alone();
    let held = house.held(&statement(&[part("sql.delete", "a", &[]), part("sql.delete", "b", &[])])).await;
    house.approve("bob", held.id).await.unwrap();
    let waiter = tokio::spawn({
        let gateway = house.gateway.clone();
        async move { gateway.wait(held.id, PATIENCE).await.unwrap() }
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!((house.state(held.id).await, runner.runs()), ("approved", 0));
    runner.come_back();
    eventually("it runs", async || runner.runs() == 1).await;
    assert!(matches!(waiter.await.unwrap(), Heard::Ran { .. }));
    assert_eq!(runner.runs_of(held.id), 1);
    house.audit().await;
}

/// Where policy reads an action's own values, a permit is remembered for the very same question, and for no other.
#[tokio::test]
async fn a_permit_is_remembered_for_the_same_question() {
    let (house, _) = house().await;
    let caller = house.caller("bot").await;
    let asked = |word: &[u8]| {
        let same = Some(Digest::of(Purpose::Definition, word));
        Call { same, ..statement(&[part("sql.select", "a", &[]), part("sql.select", "b", &[])]) }
    };
    let reads = async |call: &Call| {
        let read = std::sync::atomic::AtomicBool::new(false);
        let seen = || read.store(true, std::sync::atomic::Ordering::SeqCst);
        let decided = house.decide_with(&caller, call, seen).await.unwrap();
        assert!(matches!(decided, Decided::Permitted(_)), "{decided:?}");
        read.load(std::sync::atomic::Ordering::SeqCst)
    };
    assert!(reads(&asked(b"one")).await);
    assert!(!reads(&asked(b"one")).await);
    assert!(reads(&asked(b"two")).await);
    assert!(reads(&Call { same: None, ..asked(b"one") }).await);
    // Another version of the directory is another question, whatever changed.
    house.apply(&format!("{RULES}// the same, and another text\n")).await;
    assert!(reads(&asked(b"one")).await);
    // What others have done may change the answer: it is not remembered.
    let risky = r#"@id("risky") @hold("dba:1") @why("risky") forbid (principal, action, resource) when { context.risk > 90 };"#;
    house.apply(&format!("{RULES}{risky}")).await;
    assert!(reads(&asked(b"one")).await);
    assert!(reads(&asked(b"one")).await);
}

/// What a session began with is held against its agent and its key for as long as it lives, not against the token's time.
#[tokio::test]
async fn a_lasting_session_ends_with_its_agent_and_not_with_its_token() {
    use domain::directory::DirectoryEvent;
    let (house, _) = house().await;
    let token = house.token("bot").await;
    let (caller, lasting) = house.gateway.admit_session_of_agent(&token).unwrap();
    assert_eq!(house.gateway.still_admits(&lasting).unwrap().chain(), caller.chain());
    house.later(3_600);
    assert!(house.gateway.admit_agent(&token).is_err(), "the token is over");
    assert!(house.gateway.still_admits(&lasting).is_ok());
    house.change(DirectoryEvent::AgentDisabled { id: house.agent("bot") }).await;
    assert!(house.gateway.still_admits(&lasting).is_err());
    assert!(house.gateway.admit_session_of_agent(&token).is_err());
}
