//! People come by invite, with a passkey; what they hold ends when they do.

use gateway::GatewayError;
use gateway::people::{Enrolment, HeldKey};

use crate::house::{Call, House, PERMIT, PUBLIC_URL, held_by};
use crate::passkey::{SoftPasskey, USER_PRESENT};

fn token(link: &str) -> &str {
    link.strip_prefix(&format!("{PUBLIC_URL}/enrol#")).unwrap()
}

#[tokio::test]
async fn the_first_administrator_enrols_by_a_link_that_is_good_once() {
    let mut house = House::empty();
    house.start().await;
    let link = house.gateway.first_invite("ada").await.unwrap().unwrap();
    let options = house.gateway.begin_enrolment(token(&link)).await.unwrap();
    let passkey = SoftPasskey::new(50);
    let unverified = SoftPasskey { flags: USER_PRESENT, ..passkey.clone() };
    let refused = house.gateway.finish_enrolment(token(&link), "laptop", &unverified.create(&options)).await;
    assert!(matches!(refused, Err(GatewayError::Unauthenticated(_))));

    // The challenge is spent, the invite is not.
    let options = house.gateway.begin_enrolment(token(&link)).await.unwrap();
    let answer = passkey.create(&options);
    let enrolled = house.gateway.finish_enrolment(token(&link), "laptop", &answer).await.unwrap();
    let Enrolment::Done(signed_in) = enrolled else { panic!("held") };
    let ada = house.gateway.admit_session(&signed_in.token.expose()).await.unwrap();
    assert_eq!(ada.name, "ada");
    assert!(house.gateway.begin_enrolment(token(&link)).await.is_err(), "the link is spent");
    assert!(house.gateway.finish_enrolment(token(&link), "again", &answer).await.is_err());
    assert_eq!(house.gateway.first_invite("mallory").await.unwrap(), None);

    let options = house.gateway.begin_login(None).await.unwrap();
    house.gateway.finish_login(&passkey.get(&options)).await.unwrap();
}

/// **Authority**: with two administrators nobody new comes in by one of them alone.
#[tokio::test]
async fn an_invited_persons_key_is_looked_at_by_another_administrator() {
    let mut house = House::usual(PERMIT).await;
    let gil = house.arrives("gil", &["dba"]).await;
    let ada = house.human("ada").await;
    let link = house.gateway.invite(&ada, gil).await.unwrap();
    let options = house.gateway.begin_enrolment(token(&link)).await.unwrap();
    let answer = house.passkey("gil").create(&options);
    let Enrolment::Held(HeldKey { held, .. }) =
        house.gateway.finish_enrolment(token(&link), "phone", &answer).await.unwrap()
    else {
        panic!("one administrator was enough");
    };
    assert!(house.store().directory().person(gil).unwrap().keys.is_empty());
    let login = house.gateway.begin_login(None).await.unwrap();
    assert!(house.gateway.finish_login(&house.passkey("gil").get(&login)).await.is_err());
    assert!(house.approve("ada", held.id).await.is_err(), "she invited");
    house.approve("dan", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    house.human("gil").await;
}

/// **Authority**, "One human, two accounts": a leftover invitation puts no second key on anybody.
#[tokio::test]
async fn a_leftover_invitation_is_void_once_its_person_has_a_passkey() {
    let mut house = House::usual(PERMIT).await;
    let gil = house.arrives("gil", &["dba"]).await;
    let ada = house.human("ada").await;
    let spent = house.gateway.invite(&ada, gil).await.unwrap();
    let leftover = house.gateway.invite(&ada, gil).await.unwrap();
    let begun = house.gateway.begin_enrolment(token(&leftover)).await.unwrap();

    let options = house.gateway.begin_enrolment(token(&spent)).await.unwrap();
    let answer = house.passkey("gil").create(&options);
    let Enrolment::Held(HeldKey { held, .. }) =
        house.gateway.finish_enrolment(token(&spent), "phone", &answer).await.unwrap()
    else {
        panic!("one administrator was enough");
    };
    house.approve("dan", held.id).await.unwrap();
    house.until(held.id, "finished").await;

    let adas = SoftPasskey::new(77).create(&begun);
    assert!(house.gateway.finish_enrolment(token(&leftover), "not gil's", &adas).await.is_err());
    assert!(house.gateway.begin_enrolment(token(&leftover)).await.is_err());
    assert_eq!(house.store().directory().person(gil).unwrap().keys.len(), 1);
}

#[tokio::test]
async fn an_invite_is_for_somebody_without_a_passkey_and_lapses() {
    let mut house = House::usual(PERMIT).await;
    let ada = house.human("ada").await;
    assert!(matches!(house.gateway.invite(&ada, house.person("bob")).await, Err(GatewayError::Forbidden(_))));
    assert!(house.gateway.invite(&house.human("bob").await, house.person("bob")).await.is_err());
    let gil = house.arrives("gil", &[]).await;
    let link = house.gateway.invite(&ada, gil).await.unwrap();
    house.later(3_600);
    assert!(house.gateway.begin_enrolment(token(&link)).await.is_err());
}

#[tokio::test]
async fn a_challenge_is_answered_once_and_for_what_it_was_drawn() {
    let house = House::usual(PERMIT).await;
    let options = house.gateway.begin_login(None).await.unwrap();
    let answer = house.passkey("bob").get(&options);
    house.gateway.finish_login(&answer).await.unwrap();
    assert!(house.gateway.finish_login(&answer).await.is_err(), "replayed");
    let bob = house.human("bob").await;
    let options = house.gateway.begin_login(Some(&bob)).await.unwrap();
    assert!(house.gateway.finish_step_up(&bob, &house.passkey("cyd").get(&options)).await.is_err());
    let options = house.gateway.begin_further_key(&bob).await.unwrap();
    assert!(house.gateway.finish_login(&house.passkey("bob").get(&options)).await.is_err());
}

/// **Authority**, "Forged or replayed click": a statement's signature signs nobody in, and a login approves nothing.
#[tokio::test]
async fn a_review_is_no_login_and_a_login_no_review() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    let bob = house.human("bob").await;
    let prepared = house.prepare(&bob, held.id, domain::statement::Verdict::Approve, None).await.unwrap();
    assert!(house.gateway.finish_login(&house.passkey("bob").get(&prepared.options)).await.is_err());
    let login = house.gateway.begin_login(None).await.unwrap();
    let answer = house.passkey("bob").get(&login);
    assert!(house.gateway.submit_review(held.id, &bob, &prepared.statement, &answer).await.is_err());
    house.never_runs(held.id).await;
}

#[tokio::test]
async fn signing_out_ends_one_session_or_all() {
    let house = House::usual(PERMIT).await;
    let (one, two) = (house.human("bob").await, house.human("bob").await);
    house.gateway.sign_out(&one).await.unwrap();
    assert!(!house.gateway.is_signed_in(&one).await.unwrap());
    assert!(house.gateway.is_signed_in(&two).await.unwrap());
    let three = house.human("bob").await;
    assert_eq!(house.gateway.sign_out_everywhere(&three).await.unwrap(), 2);
    assert!(!house.gateway.is_signed_in(&two).await.unwrap());
    // A step-up does not bring a session back.
    let options = house.gateway.begin_login(Some(&two)).await.unwrap();
    assert!(house.gateway.finish_step_up(&two, &house.passkey("bob").get(&options)).await.is_err());
    assert!(!house.gateway.is_signed_in(&two).await.unwrap());
}

#[tokio::test]
async fn a_session_and_a_token_lapse() {
    let house = House::usual(PERMIT).await;
    let (bob, token) = (house.human("bob").await, house.token("bot").await);
    house.later(15 * 60);
    assert!(house.gateway.admit_agent(&token).is_err());
    assert!(house.gateway.is_signed_in(&bob).await.unwrap());
    house.later(12 * 3_600);
    assert!(!house.gateway.is_signed_in(&bob).await.unwrap());
}

#[tokio::test]
async fn the_command_lines_session_is_handed_out_once() {
    let house = House::usual(PERMIT).await;
    let bob = house.human("bob").await;
    let (secret, code) = house.gateway.begin_cli_login().await.unwrap();
    assert_eq!(house.gateway.poll_cli_login(&secret).await.unwrap(), None);
    house.gateway.confirm_cli_login(&bob, &code).await.unwrap();
    assert!(house.gateway.confirm_cli_login(&bob, &code).await.is_err());
    assert!(house.gateway.poll_cli_login(&secret).await.unwrap().is_some());
    assert!(house.gateway.poll_cli_login(&secret).await.is_err());
}
