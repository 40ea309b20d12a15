//! **Authority**, "break-glass": the later review, by another human, of exactly what was done.

use domain::approval::Approval;
use domain::canonical;
use domain::digest::Blob;
use domain::entry::Kind;
use domain::event::Event;
use domain::id::ActionId;
use domain::later::{Finding, LaterStatement};
use domain::statement::Verdict;
use domain::time::Span;
use gateway::GatewayError;
use gateway::later::Later;
use gateway::people::Human;
use gateway::review::Prepared;
use gateway::store::Summary;

use crate::authority::{breaks_glass, glazed};
use crate::house::{Call, House, forbidden, refusal};
use crate::passkey::SoftPasskey;
use crate::receipts::shown;

/// A house in which Fay has broken the glass of a deletion, and it ran.
async fn broken() -> (House, ActionId) {
    let house = glazed("dev").await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    breaks_glass(&house, "fay", held.id, "the disk is full").await.unwrap();
    house.until(held.id, "finished").await;
    (house, held.id)
}

async fn prepare(house: &House, human: &Human, id: ActionId) -> Result<Prepared, GatewayError> {
    let displayed = house.gateway.card(&house.summary(id).await).await?.digest()?;
    let note = "nobody of dba was awake".to_owned();
    house.gateway.prepare_later_review(id, human, Finding::Justified, note, displayed).await
}

async fn looks(house: &House, name: &str, id: ActionId) -> Result<Summary, GatewayError> {
    let human = house.human(name).await;
    let prepared = prepare(house, &human, id).await?;
    let response = house.passkey(name).get(&prepared.options);
    house.gateway.submit_later_review(id, &human, &prepared.statement, &response).await
}

async fn waiting(house: &House) -> u64 {
    house.store().awaiting_later_review().await.unwrap()
}

fn changed(prepared: &Prepared, change: impl FnOnce(&mut LaterStatement)) -> Blob {
    let mut statement = LaterStatement::read(&prepared.statement.0).unwrap();
    change(&mut statement);
    Blob(statement.write().unwrap())
}

/// Somebody who was passed over looks at it, once, and nothing that happened changes.
#[tokio::test]
async fn another_looks_at_broken_glass_once_and_it_is_told() {
    let (house, id) = broken().await;
    assert_eq!(waiting(&house).await, 1);
    assert_eq!(house.gateway.later_review(&house.summary(id).await), Later::Awaited);
    let before = house.summary(id).await;
    let looked = looks(&house, "bob", id).await.unwrap();
    let (Approval::Finished(was), Approval::Finished(is)) = (&before.approval, &looked.approval) else {
        panic!("it ran");
    };
    assert_eq!((was.at, &was.outcome, was.grant), (is.at, &is.outcome, is.grant));
    assert_eq!(house.runner.runs(), 1, "nothing runs again");
    let Later::Done(review) = house.gateway.later_review(&looked) else { panic!("it is not believed") };
    assert_eq!(review.statement.group.as_str(), "dba");
    assert_eq!(review.statement.finding, Finding::Justified);
    assert_eq!(waiting(&house).await, 0);
    assert!(house.told(id).await.contains(&Kind::LaterReview));
    // One a case: neither theirs again nor another's.
    for name in ["bob", "cyd"] {
        assert_eq!(refusal(looks(&house, name, id).await), "later-reviewed", "{name}");
    }
    house.audit().await;
}

/// Nobody judges their own: who broke it, who asked, who sponsors the agent. Nor does whoever was never asked.
#[tokio::test]
async fn nobody_looks_at_their_own_broken_glass() {
    let (house, id) = broken().await;
    house.join("fay", "dba").await;
    for name in ["fay", "ada"] {
        assert!(forbidden(looks(&house, name, id).await).contains("somebody else must look"), "{name}");
    }
    // An administrator may, who is in no group that was passed over.
    let dan = house.gateway.later_standing(&house.summary(id).await, house.person("dan"));
    assert_eq!(dan.group, Some(domain::id::GroupName::admins()));
    looks(&house, "dan", id).await.unwrap();
    assert!(house.told(id).await.contains(&Kind::Refusal), "that they tried is logged");
}

/// Only what has ended, and only broken glass.
#[tokio::test]
async fn only_broken_glass_is_looked_at_and_only_afterwards() {
    let house = glazed("dev").await;
    let held = house.held(&Call::delete("orders")).await;
    assert_eq!(refusal(looks(&house, "bob", held.id).await), "glass-not-broken");
    breaks_glass(&house, "fay", held.id, "now").await.unwrap();
    assert_eq!(house.state(held.id).await, "approved");
    assert_eq!(refusal(looks(&house, "bob", held.id).await), "not-ended");
    assert_eq!(waiting(&house).await, 1, "it is on the list from the first");
    house.deny("bob", held.id, "not so").await.unwrap();
    // Bob denied it, and may say why afterwards as well: he approved nothing.
    looks(&house, "bob", held.id).await.unwrap();
    assert_eq!(house.state(held.id).await, "denied");
}

/// What was not handed out, twice, or for another case or session, is nothing.
#[tokio::test]
async fn a_later_reviews_statement_is_good_for_one_case_once() {
    let (house, id) = broken().await;
    let other = house.held(&Call::delete("invoices").though_gone()).await.id;
    breaks_glass(&house, "fay", other, "now").await.unwrap();
    house.until(other, "finished").await;
    let (bob, cyd) = (house.human("bob").await, house.human("cyd").await);
    let submit = |human: Human, at: ActionId, statement: Blob, response: Vec<u8>| {
        let gateway = house.gateway.clone();
        async move { gateway.submit_later_review(at, &human, &statement, &response).await }
    };
    let prepared = prepare(&house, &bob, id).await.unwrap();
    let response = house.passkey("bob").get(&prepared.options);
    let refused = submit(bob.clone(), other, prepared.statement.clone(), response.clone()).await;
    assert_eq!(refusal(refused), "other-action", "at another case");
    let refused = submit(cyd, id, prepared.statement.clone(), response.clone()).await;
    assert_eq!(refusal(refused), "other-action", "in another's session");
    // Renamed to the other case, and handed out as such: the signature is over this one.
    let renamed = changed(&prepared, |statement| statement.approval = other);
    hand_out(&house, &renamed).await;
    assert!(submit(bob.clone(), other, renamed, response.clone()).await.is_err());
    // Turned round, and handed out as such.
    let turned = changed(&prepared, |statement| statement.finding = Finding::NotJustified);
    hand_out(&house, &turned).await;
    assert_eq!(refusal(submit(bob.clone(), id, turned, response).await), "bad-signature");
    // Nobody's passkey.
    let prepared = prepare(&house, &bob, id).await.unwrap();
    let forged = SoftPasskey::new(250).get(&prepared.options);
    assert_eq!(refusal(submit(bob.clone(), id, prepared.statement, forged).await), "not-active");
    // A verdict's signature is none of these: its line is another one.
    let prepared = prepare(&house, &bob, id).await.unwrap();
    let challenge = assertion::statement_challenge(&prepared.statement.0);
    let response = house.passkey("bob").get(&crate::passkey::options(&challenge));
    assert_eq!(refusal(submit(bob.clone(), id, prepared.statement, response).await), "bad-signature");
    assert_eq!(waiting(&house).await, 2);
    // What is in order passes, once.
    let prepared = prepare(&house, &bob, id).await.unwrap();
    let response = house.passkey("bob").get(&prepared.options);
    submit(bob.clone(), id, prepared.statement.clone(), response.clone()).await.unwrap();
    assert_eq!(refusal(submit(bob, id, prepared.statement, response).await), "statement-expired");
    assert_eq!(waiting(&house).await, 1);
}

async fn hand_out(house: &House, statement: &Blob) {
    let read = LaterStatement::read(&statement.0).unwrap();
    let nonce: String = read.nonce.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("later/statement/{nonce}");
    house.store().keep(&key, &statement.0, Span::from_seconds(600)).await.unwrap();
}

/// A stored later review that is not what was signed is not believed, and an alarm is raised.
#[tokio::test]
async fn a_later_review_that_was_altered_is_not_believed() {
    let (house, id) = broken().await;
    let looked = looks(&house, "bob", id).await.unwrap();
    let last = house.store().history(id).await.unwrap().len() - 1;
    let entry = house.event_at(id, last).await;
    // Somebody with the sealing key turns the finding round, and leaves the signature.
    house.forge(entry, "event", |bytes| {
        let Event::LaterReviewed { mut review } = canonical::read(&bytes).unwrap() else { panic!("another") };
        let statement = LaterStatement::read(&review.statement.0).unwrap();
        let turned = LaterStatement { finding: Finding::NotJustified, ..statement };
        review.statement = Blob(turned.write().unwrap());
        canonical::write(&Event::LaterReviewed { review }).unwrap()
    });
    assert_eq!(house.gateway.later_review(&house.summary(id).await), Later::Altered);
    // A key that was taken away since made what it made all the same.
    house.revoke_key("bob").await;
    assert!(matches!(house.gateway.later_review(&looked), Later::Done(_)));
}

/// The receipt shows it, and verifies without us; before it, the receipt says that nobody has looked.
#[tokio::test]
async fn the_receipt_tells_who_looked_at_broken_glass() {
    let house = House::staffed(&format!(
        "{} @id(\"deletes\") @hold(\"dba:2\") @break_glass(\"dev\") \
         forbid (principal, action in Action::\"destroy\", resource);",
        crate::house::PERMIT
    ))
    .await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    breaks_glass(&house, "fay", held.id, "the disk is full").await.unwrap();
    house.until(held.id, "finished").await;
    let before = shown(&house, held.id).await;
    assert!(before.awaits_later_review && before.later_review.is_none());
    looks(&house, "bob", held.id).await.unwrap();
    let after = shown(&house, held.id).await;
    let found = after.later_review.unwrap();
    assert_eq!((found.finding, found.note.as_str()), (Finding::Justified, "nobody of dba was awake"));
    assert!(!after.awaits_later_review && found.key.is_some());
    assert_eq!(after.state, before.state);
    let Verdict::Approve = after.reviews[0].verdict else { panic!("glass was broken by an approval") };
}
