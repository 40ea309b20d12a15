//! **Reviewer**: a click in a linked account is a review of the weakest assurance, and only where policy lets that
//! suffice; and nobody comes to be linked by anything but their own doing on both sides.

use domain::account::ExternalAccount;
use domain::digest::Blob;
use domain::directory::DirectoryEvent;
use domain::entry::Kind;
use domain::id::ActionId;
use domain::requirement::Assurance;
use domain::statement::Verdict;
use gateway::GatewayError;
use gateway::click::Clicked;
use gateway::store::Summary;
use verify::report::State;

use crate::house::{Call, House, PERMIT, forbidden, held_by, refusal};
use crate::receipts::shown;

fn account(user: &str) -> ExternalAccount {
    ExternalAccount::new("slack", "T1", user).unwrap()
}

/// Whatever removes something needs one of `dba`, and a click suffices.
fn by_click() -> String {
    format!(
        r#"{PERMIT}
        @id("deletes") @hold("dba:1") @ttl("30m") @grant("10m") @why("it cannot be brought back") @assurance("chat")
        forbid (principal, action in Action::"destroy", resource);"#
    )
}

async fn begin(house: &House, account: &ExternalAccount) -> String {
    let link = house.gateway.begin_link(account, "B\u{202e}ob").await.unwrap();
    link.split_once("/link#").unwrap().1.to_owned()
}

async fn link(house: &House, name: &str, account: &ExternalAccount) {
    let token = begin(house, account).await;
    let human = house.human(name).await;
    let code = house.gateway.confirm_link(&human, &token).await.unwrap();
    assert_eq!(house.gateway.finish_link(account, &code).await.unwrap(), house.person(name));
}

/// A click on another card than the one that stands.
fn clicked(id: ActionId, user: &str, verdict: Verdict) -> Clicked {
    Clicked {
        account: account(user),
        approval: id,
        verdict,
        note: (verdict == Verdict::Ask).then(|| "who reads it?".to_owned()),
        displayed: domain::digest::Digest::of(domain::digest::Purpose::Displayed, b"another card"),
        evidence: Blob(b"{}".to_vec()),
    }
}

async fn click(house: &House, id: ActionId, user: &str, verdict: Verdict) -> Result<Summary, GatewayError> {
    let summary = house.summary(id).await;
    let displayed = house.gateway.card(&summary).await?.digest()?;
    let clicked = Clicked { displayed, ..clicked(id, user, verdict) };
    house.gateway.review_by_click(clicked).await
}

async fn refusals(house: &House, id: ActionId) -> usize {
    house.told(id).await.into_iter().filter(|kind| *kind == Kind::Refusal).count()
}

#[tokio::test]
async fn a_click_approves_where_policy_lets_it_and_the_receipt_says_what_it_was() {
    let house = House::staffed(&by_click()).await;
    link(&house, "bob", &account("U-bob")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    click(&house, held.id, "U-bob", Verdict::Approve).await.unwrap();
    house.until(held.id, "finished").await;
    assert_eq!(house.runner.runs(), 1);
    let summary = shown(&house, held.id).await;
    assert_eq!(summary.state, State::Finished);
    let review = &summary.reviews[0];
    assert_eq!((review.assurance, review.counted, review.key.as_ref()), (Assurance::Chat, true, None));
    let shown_account = review.account.as_ref().unwrap();
    assert_eq!((shown_account.user.as_str(), shown_account.linked.is_some()), ("U-bob", true));
    house.audit().await;
    // What happens to the account later changes nothing of it, and is told.
    house.gateway.unlink_itself(&account("U-bob")).await.unwrap();
    let review = shown(&house, held.id).await.reviews.remove(0);
    assert!(review.account.unwrap().unlinked.is_none(), "it was linked when it was clicked");
}

#[tokio::test]
async fn a_click_is_refused_where_policy_asks_for_a_signature() {
    let house = House::staffed(&held_by("dba:1")).await;
    link(&house, "bob", &account("U-bob")).await;
    let held = house.held(&Call::delete("orders")).await;
    for verdict in [Verdict::Approve, Verdict::Deny, Verdict::Ask] {
        assert_eq!(refusal(click(&house, held.id, "U-bob", verdict).await), "assurance-too-low");
    }
    assert_eq!((house.state(held.id).await, refusals(&house, held.id).await), ("pending", 3));
}

#[tokio::test]
async fn only_whoever_may_review_clicks() {
    let house = House::staffed(&by_click()).await;
    for name in ["ada", "dan", "fay", "bob"] {
        link(&house, name, &account(&format!("U-{name}"))).await;
    }
    let held = house.held(&Call::delete("orders")).await;
    assert!(forbidden(click(&house, held.id, "U-ada", Verdict::Approve).await).contains("chain"));
    assert!(forbidden(click(&house, held.id, "U-dan", Verdict::Approve).await).contains("no rule"));
    assert!(matches!(
        click(&house, held.id, "U-fay", Verdict::Approve).await,
        Err(GatewayError::NotFound("approval"))
    ));
    assert!(
        forbidden(click(&house, held.id, "U-nobody", Verdict::Approve).await).contains("linked to nobody")
    );
    let stale = clicked(held.id, "U-bob", Verdict::Approve);
    assert!(matches!(house.gateway.review_by_click(stale).await, Err(GatewayError::Stale(_))));
    assert_eq!((house.state(held.id).await, refusals(&house, held.id).await), ("pending", 5));
    assert_eq!(house.runner.runs(), 0);
    click(&house, held.id, "U-bob", Verdict::Ask).await.unwrap();
    assert!(house.summary(held.id).await.approval.case().question_open());
    click(&house, held.id, "U-bob", Verdict::Deny).await.unwrap();
    assert_eq!(house.state(held.id).await, "denied");
}

#[tokio::test]
async fn what_is_masked_or_too_long_is_approved_in_the_console() {
    let house = House::staffed(&by_click()).await;
    link(&house, "bob", &account("U-bob")).await;
    let held = house.held(&Call::delete("orders").with("note", "card 4111 1111 1111 1111")).await;
    assert!(forbidden(click(&house, held.id, "U-bob", Verdict::Approve).await).contains("console"));
    let held = house.held(&Call::delete("others").with("note", vec![b'x'; 80 << 10])).await;
    assert!(forbidden(click(&house, held.id, "U-bob", Verdict::Approve).await).contains("console"));
    click(&house, held.id, "U-bob", Verdict::Deny).await.unwrap();
}

#[tokio::test]
async fn an_approval_falls_with_the_link_that_it_stands_on() {
    let house = House::staffed(&by_click()).await;
    link(&house, "bob", &account("U-bob")).await;
    let held = house.held(&Call::delete("orders")).await;
    click(&house, held.id, "U-bob", Verdict::Approve).await.unwrap();
    let (bob, dan) = (house.human("bob").await, house.human("dan").await);
    let cyd = house.human("cyd").await;
    forbidden(house.gateway.unlink(&cyd, &account("U-bob")).await);
    house.gateway.unlink(&dan, &account("U-bob")).await.unwrap();
    house.until(held.id, "pending").await;
    let summary = house.summary(held.id).await;
    assert!(summary.approval.case().reviews[0].dismissed.is_some());
    assert!(matches!(
        house.gateway.unlink(&bob, &account("U-bob")).await,
        Err(GatewayError::NotFound("account"))
    ));
    house.never_runs(held.id).await;
}

#[tokio::test]
async fn a_link_takes_both_sides() {
    let house = House::staffed(&by_click()).await;
    let eves = account("U-eve");
    let token = begin(&house, &eves).await;
    let bob = house.human("bob").await;
    let asking = house.gateway.look_at_link(&bob, &token).await.unwrap();
    assert_eq!(asking.account, eves);
    assert_eq!(asking.shown_name, "B⟨U+202E⟩ob", "a name says nothing that does not show");
    // Bob is talked into opening Eve's link: the code is good in her account alone, and he has it.
    let code = house.gateway.confirm_link(&bob, &token).await.unwrap();
    assert!(matches!(house.gateway.confirm_link(&bob, &token).await, Err(GatewayError::NotFound("link"))));
    assert!(matches!(
        house.gateway.finish_link(&account("U-bob"), &code).await,
        Err(GatewayError::NotFound("code"))
    ));
    assert!(matches!(house.gateway.finish_link(&eves, &code).await, Err(GatewayError::NotFound("code"))));
    assert_eq!(house.gateway.person_of(&eves), None);
    // A code that is guessed, or too old.
    for guess in ["", "BCDFGHJK", "link/x", "../x"] {
        assert!(matches!(house.gateway.finish_link(&eves, guess).await, Err(GatewayError::NotFound("code"))));
    }
    let token = begin(&house, &eves).await;
    let eve = house.human("eve").await;
    let code = house.gateway.confirm_link(&eve, &token).await.unwrap();
    house.later(601);
    assert!(matches!(house.gateway.finish_link(&eves, &code).await, Err(GatewayError::NotFound("code"))));
}

#[tokio::test]
async fn a_link_takes_a_fresh_passkey_in_the_console_and_a_free_account() {
    let house = House::staffed(&by_click()).await;
    let bobs = account("U-bob");
    let token = begin(&house, &bobs).await;
    let at_cli = house.at_cli("bob").await;
    forbidden(house.gateway.confirm_link(&at_cli, &token).await);
    let stale = house.human("bob").await;
    house.later(121);
    assert!(matches!(house.gateway.confirm_link(&stale, &token).await, Err(GatewayError::StepUp)));
    link(&house, "bob", &bobs).await;
    assert!(forbidden(house.gateway.begin_link(&bobs, "Bob").await).contains("linked already"));
    let cyd = house.human("cyd").await;
    assert!(forbidden(house.gateway.confirm_link(&cyd, &token).await).contains("linked already"));
    // Whoever leaves takes their accounts along.
    house.change(DirectoryEvent::PersonDeactivated { id: house.person("bob") }).await;
    assert_eq!(house.gateway.person_of(&bobs), None);
}
