//! No key speaks for anybody before an administrator has signed for exactly this key; a key is revoked at once.

use domain::commitment::Disclosure;
use domain::directory::{Change, DirectoryEvent, Passkey};
use domain::id::{ActionId, PersonId};
use domain::key::{NotCountersigned, countersigners};
use domain::requirement::Separation;
use gateway::GatewayError;
use gateway::change::{Proposed, Revoking};
use gateway::people::{Enrolment, HeldKey};

use crate::house::{Call, House, PERMIT, PUBLIC_URL, forbidden, held_by};
use crate::passkey::{Enrolled as _, SoftPasskey};
use crate::ssh::SecurityKey;

const ALONE: &[(&str, &[&str])] = &[("ada", &["admins"])];

/// Somebody comes by Ada's invitation and makes a passkey.
pub(crate) async fn invited(house: &House, person: PersonId, passkey: &SoftPasskey) -> HeldKey {
    let link = house.gateway.invite(&house.human("ada").await, person).await.unwrap();
    let token = link.strip_prefix(&format!("{PUBLIC_URL}/enrol#")).unwrap();
    let options = house.gateway.begin_enrolment(token).await.unwrap();
    match house.gateway.finish_enrolment(token, "phone", &passkey.create(&options)).await.unwrap() {
        Enrolment::Held(held) => held,
        Enrolment::Done(_) => panic!("enrolled without anybody's signature"),
    }
}

/// A further passkey of somebody's, which waits.
async fn further(house: &House, name: &str, passkey: &SoftPasskey) -> HeldKey {
    let human = house.human(name).await;
    let options = house.gateway.begin_further_key(&human).await.unwrap();
    house.gateway.finish_further_key(&human, "tablet", &passkey.create(&options)).await.unwrap()
}

async fn signs_in(house: &House, passkey: &SoftPasskey) -> bool {
    let options = house.gateway.begin_login(None).await.unwrap();
    house.gateway.finish_login(&passkey.get(&options)).await.is_ok()
}

/// The last change that the log tells of somebody.
async fn last_change(house: &House, person: PersonId) -> Change {
    let at = house.store().directory_entries(&format!("person:{person}")).await.unwrap();
    let entry = house.store().entry(*at.last().unwrap()).await.unwrap();
    domain::canonical::read(&gateway::store::open_fields(&entry.fields)[0].value.0).unwrap()
}

/// What the log has of an enrolment: the entry names the approval, whose one review signed an action over this very
/// key.
async fn is_countersigned(house: &House, person: PersonId, held: ActionId, by: &str) {
    let change = last_change(house, person).await;
    assert_eq!(change.approval, Some(held));
    let summary = house.summary(held).await;
    let payload = house.store().payload(held).await.unwrap();
    let signed = |change: &Change| countersigners(change, &summary.approval, &summary.action, &payload);
    assert_eq!(signed(&change), Ok(vec![house.person(by)]));
    // For this key and person, and for no other.
    let other = match change.event.clone() {
        DirectoryEvent::KeyEnrolled { key, .. } => DirectoryEvent::KeyEnrolled {
            person: house.person("ada"),
            key: Passkey { label: "x".to_owned(), ..key },
        },
        DirectoryEvent::SshKeyEnrolled { person, .. } => {
            DirectoryEvent::SshKeyEnrolled { person, key: SecurityKey::new(9).enrolled() }
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(signed(&Change { event: other, ..change.clone() }), Err(NotCountersigned::OtherChange));
    assert_eq!(signed(&Change { approval: None, ..change.clone() }), Err(NotCountersigned::NoApproval));
    let another = house.gateway.new_id(ActionId::new).unwrap();
    assert_eq!(signed(&Change { approval: Some(another), ..change }), Err(NotCountersigned::OtherCase));
    let hide = |field: &Disclosure| match field {
        Disclosure::Open(open) => Disclosure::Withheld(open.commitment().unwrap()),
        Disclosure::Withheld(_) => field.clone(),
    };
    let withheld: Vec<_> = payload.iter().map(hide).collect();
    let nothing_shown =
        countersigners(&last_change(house, person).await, &summary.approval, &summary.action, &withheld);
    assert_eq!(nothing_shown, Err(NotCountersigned::Withheld));
    let [review] = summary.approval.case().reviews.as_slice() else { panic!("not one review") };
    assert_eq!(review.statement.reviewer, house.person(by));
    assert_eq!(review.statement.action, summary.action.digest());
}

/// **Authority**: an invitation is to a name, and whoever opens it brings the key: the administrator signs for that.
#[tokio::test]
async fn the_only_administrator_signs_for_every_key_after_her_own() {
    let mut house = House::open(PERMIT, ALONE, &[]).await;
    let gil = house.arrives("gil", &["dba"]).await;
    let passkey = house.passkey("gil");
    let held = invited(&house, gil, &passkey).await;
    assert_eq!(held.fingerprint, passkey.enrolled().fingerprint());
    let id = held.held.id;
    assert_eq!(house.separation(id).await, Some(Separation::None), "she invited, and she signs: it says so");
    assert!(house.store().directory().person(gil).unwrap().keys.is_empty());
    assert!(!signs_in(&house, &passkey).await);
    house.approve("ada", id).await.unwrap();
    house.until(id, "finished").await;
    assert!(signs_in(&house, &passkey).await);
    is_countersigned(&house, gil, id, "ada").await;
}

#[tokio::test]
async fn what_is_denied_is_not_enrolled() {
    let mut house = House::open(PERMIT, ALONE, &[]).await;
    let gil = house.arrives("gil", &["dba"]).await;
    let id = invited(&house, gil, &house.passkey("gil")).await.held.id;
    house.deny("ada", id, "not the fingerprint that gil told me").await.unwrap();
    house.never_runs(id).await;
    assert!(!signs_in(&house, &house.passkey("gil")).await);
}

#[tokio::test]
async fn a_further_key_waits_for_another_administrator() {
    let house = House::usual(PERMIT).await;
    let passkey = SoftPasskey::new(60);
    let id = further(&house, "ada", &passkey).await.held.id;
    assert_eq!(house.separation(id).await, Some(Separation::Full));
    assert!(forbidden(house.approve("ada", id).await).contains("chain"));
    assert!(matches!(house.approve("bob", id).await, Err(GatewayError::NotFound(_))));
    assert!(!signs_in(&house, &passkey).await);
    house.approve("dan", id).await.unwrap();
    house.until(id, "finished").await;
    assert!(signs_in(&house, &passkey).await);
    is_countersigned(&house, house.person("ada"), id, "dan").await;

    // Somebody who administers nothing asks, and one administrator is enough.
    let passkey = SoftPasskey::new(61);
    let id = further(&house, "bob", &passkey).await.held.id;
    house.approve("ada", id).await.unwrap();
    house.until(id, "finished").await;
    assert!(signs_in(&house, &passkey).await);
}

#[tokio::test]
async fn the_only_administrator_signs_for_a_further_key_of_her_own_with_the_first() {
    let house = House::open(PERMIT, ALONE, &[]).await;
    let passkey = SoftPasskey::new(60);
    let id = further(&house, "ada", &passkey).await.held.id;
    assert_eq!(house.separation(id).await, Some(Separation::None));
    assert!(!signs_in(&house, &passkey).await);
    house.approve("ada", id).await.unwrap();
    house.until(id, "finished").await;
    assert!(signs_in(&house, &passkey).await);
    is_countersigned(&house, house.person("ada"), id, "ada").await;
}

/// **Authority**: what the one administrator could have signed alone waits for the second, once there is one; also
/// what she had signed and nobody had run.
#[tokio::test]
async fn a_second_administrator_ends_it_for_what_waits() {
    let mut house = House::open(PERMIT, ALONE, &[]).await;
    house.arrives("dan", &["admins"]).await;
    let gil = house.arrives("gil", &[]).await;
    let id = invited(&house, gil, &house.passkey("gil")).await.held.id;
    assert_eq!(house.separation(id).await, Some(Separation::None));
    house.enrol("dan").await;
    crate::house::eventually("it asks for two people", async || {
        house.separation(id).await == Some(Separation::Full)
    })
    .await;
    assert!(forbidden(house.approve("ada", id).await).contains("chain"));
    house.approve("dan", id).await.unwrap();
    house.until(id, "finished").await;
    is_countersigned(&house, gil, id, "dan").await;
}

/// **Authority**: signing alone is for keys; what an agent of hers asks, and what she asks herself, stays apart.
#[tokio::test]
async fn the_exception_is_for_keys_alone() {
    let people: &[(&str, &[&str])] = &[("ada", &["admins", "dba"]), ("bob", &["dba"])];
    let house = House::open(&held_by("dba:1"), people, &[("bot", "ada")]).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    assert_eq!(house.separation(held.id).await, Some(Separation::Full));
    assert!(forbidden(house.approve("ada", held.id).await).contains("chain"));
    let id = further(&house, "ada", &SoftPasskey::new(60)).await.held.id;
    assert_eq!(house.separation(id).await, Some(Separation::None));
    assert!(house.approve("bob", id).await.is_err(), "he administers nothing");
}

#[tokio::test]
async fn a_key_is_revoked_at_once_by_its_owner_or_an_administrator() {
    let mut house = House::usual(PERMIT).await;
    house.arrives("gil", &["admins"]).await;
    house.enrol("gil").await;
    let (bob, ada) = (house.human("bob").await, house.human("ada").await);
    let revoke = async |by, name: &str, how| {
        let key = house.passkey(name).enrolled().credential_id;
        house.gateway.revoke_key(by, house.person(name), key, how).await
    };
    // Nobody else's, for somebody who administers nothing.
    forbidden(revoke(&bob, "cyd", Revoking::AtOnce).await);
    forbidden(revoke(&bob, "cyd", Revoking::Signed).await);
    // One's own key may be the one that is lost: nobody is asked to sign with it.
    let own = revoke(&bob, "bob", Revoking::Signed).await.unwrap();
    assert!(matches!(own, Proposed::Applied { .. }));
    assert!(!signs_in(&house, &house.passkey("bob")).await);
    assert!(!house.gateway.is_signed_in(&bob).await.unwrap(), "the session ends with its key");
    let change = last_change(&house, house.person("bob")).await;
    assert_eq!((change.by, change.approval), (Some(house.principal("bob")), None));

    let another = revoke(&ada, "cyd", Revoking::AtOnce).await.unwrap();
    assert!(matches!(another, Proposed::Applied { .. }));
    assert!(!signs_in(&house, &house.passkey("cyd")).await);
    let change = last_change(&house, house.person("cyd")).await;
    assert_eq!((change.by, change.approval), (Some(house.principal("ada")), None));
    // Nobody's key is nobody's.
    let fays = house.passkey("fay").enrolled().credential_id;
    let wrong = house.gateway.revoke_key(&ada, house.person("eve"), fays, Revoking::AtOnce).await;
    assert!(matches!(wrong, Err(GatewayError::Malformed(_))));
    // One of three administrators loses the key at once; two are left.
    let third = revoke(&ada, "gil", Revoking::AtOnce).await.unwrap();
    assert!(matches!(third, Proposed::Applied { .. }));
}

/// **Authority**: an administrator who takes a key away signs for exactly that, alone, and the entry names it.
#[tokio::test]
async fn an_administrator_signs_for_a_revocation_alone() {
    let alone: &[(&str, &[&str])] = &[("ada", &["admins"]), ("bob", &["dba"])];
    for people in [crate::house::USUAL_PEOPLE, alone] {
        let house = House::open(PERMIT, people, &[]).await;
        let bobs = house.passkey("bob").enrolled().credential_id;
        let ada = house.human("ada").await;
        let revoked =
            house.gateway.revoke_key(&ada, house.person("bob"), bobs.clone(), Revoking::Signed).await;
        let Ok(Proposed::Held(held)) = revoked else { panic!("{revoked:?}") };
        assert!(signs_in(&house, &house.passkey("bob")).await, "nobody has signed");
        assert_eq!(house.separation(held.id).await, Some(Separation::None));
        house.approve("ada", held.id).await.unwrap();
        house.until(held.id, "finished").await;
        assert!(!signs_in(&house, &house.passkey("bob")).await);
        let change = last_change(&house, house.person("bob")).await;
        let event = DirectoryEvent::KeyRevoked { person: house.person("bob"), credential_id: bobs };
        assert_eq!((&change.event, change.approval), (&event, Some(held.id)));
        let summary = house.summary(held.id).await;
        let payload = house.store().payload(held.id).await.unwrap();
        let signed = countersigners(&change, &summary.approval, &summary.action, &payload);
        assert_eq!(signed, Ok(vec![house.person("ada")]));
    }
}

/// **Authority**: signing alone takes a key away, and lets none in.
#[tokio::test]
async fn nobody_signs_alone_for_a_key_that_is_let_in() {
    let house = House::usual(PERMIT).await;
    let bobs = house.passkey("bob").enrolled().credential_id;
    let ada = house.human("ada").await;
    let revoked = house.gateway.revoke_key(&ada, house.person("bob"), bobs, Revoking::Signed).await.unwrap();
    let Proposed::Held(revocation) = revoked else { panic!("at once") };
    let enrolment = further(&house, "ada", &SoftPasskey::new(60)).await.held.id;
    let mut said = Vec::new();
    for id in [revocation.id, enrolment] {
        let labels = house.summary(id).await.action.parts().resource.labels.clone();
        said.push((labels.contains_key("change"), house.separation(id).await));
    }
    assert_eq!(said, [(true, Some(Separation::None)), (false, Some(Separation::Full))]);
    assert!(forbidden(house.approve("ada", enrolment).await).contains("chain"));
}

/// **Authority**: nobody gets rid of the second administrator alone.
#[tokio::test]
async fn whoever_would_be_left_the_only_administrator_proposes_it() {
    for how in [Revoking::Signed, Revoking::AtOnce] {
        let house = House::usual(PERMIT).await;
        let ada = house.human("ada").await;
        let dans = house.passkey("dan").enrolled().credential_id;
        let proposed = house.gateway.revoke_key(&ada, house.person("dan"), dans, how).await.unwrap();
        let Proposed::Held(held) = proposed else { panic!("at once") };
        assert!(signs_in(&house, &house.passkey("dan")).await);
        assert_eq!(house.separation(held.id).await, Some(Separation::Full));
        assert!(forbidden(house.approve("ada", held.id).await).contains("chain"));
        house.approve("dan", held.id).await.unwrap();
        house.until(held.id, "finished").await;
        assert!(!signs_in(&house, &house.passkey("dan")).await);
        assert_eq!(last_change(&house, house.person("dan")).await.approval, Some(held.id));
        // And the last one stays.
        let (ada, adas) = (house.human("ada").await, house.passkey("ada").enrolled().credential_id);
        let last = house.gateway.revoke_key(&ada, house.person("ada"), adas, how).await;
        assert!(matches!(last, Err(GatewayError::Malformed(_))));
    }
}

/// **Authority**: two requests side by side, each of which left an administrator: the second waits for the one it
/// would take away.
#[tokio::test]
async fn nobody_gets_rid_of_the_others_one_by_one() {
    let mut house = House::usual(PERMIT).await;
    house.arrives("gil", &["admins"]).await;
    house.enrol("gil").await;
    let ada = house.human("ada").await;
    let mut held = Vec::new();
    for name in ["gil", "dan"] {
        let key = house.passkey(name).enrolled().credential_id;
        let revoked =
            house.gateway.revoke_key(&ada, house.person(name), key, Revoking::Signed).await.unwrap();
        let Proposed::Held(one) = revoked else { panic!("at once") };
        assert_eq!(house.separation(one.id).await, Some(Separation::None));
        held.push(one.id);
    }
    house.approve("ada", held[0]).await.unwrap();
    house.until(held[0], "finished").await;
    crate::house::eventually("it asks for two people", async || {
        house.separation(held[1]).await == Some(Separation::Full)
    })
    .await;
    assert!(forbidden(house.approve("ada", held[1]).await).contains("chain"));
    assert!(signs_in(&house, &house.passkey("dan")).await);
}

#[tokio::test]
async fn a_command_line_only_asks_for_a_revocation_and_a_stale_session_not_even_that() {
    let house = House::usual(PERMIT).await;
    let bobs = house.passkey("bob").enrolled().credential_id;
    let at_cli = house.at_cli("bob").await;
    let revoke = async |human| {
        let (bob, key) = (house.person("bob"), bobs.clone());
        house.gateway.revoke_key(human, bob, key, Revoking::AtOnce).await
    };
    assert!(matches!(revoke(&at_cli).await.unwrap(), Proposed::Held(_)));
    assert!(signs_in(&house, &house.passkey("bob")).await);
    let console = house.human("bob").await;
    house.later(5 * 60);
    assert!(matches!(revoke(&console).await, Err(GatewayError::StepUp)));
}

#[tokio::test]
async fn an_ssh_key_is_enrolled_by_its_owners_signature_and_an_administrators() {
    let house = House::usual(PERMIT).await;
    let key = SecurityKey { namespace: assertion::ENROLMENT_NAMESPACE.to_owned(), ..SecurityKey::new(1) };
    let bob = house.at_cli("bob").await;
    let begin = async || house.gateway.begin_ssh_key(&bob, &key.line(), "desk").await.unwrap();
    let finish =
        async |enrolment, signature: String| house.gateway.finish_ssh_key(&bob, &enrolment, &signature).await;

    // Signed by another key, without its user verified, under another namespace, and twice.
    let wrong = [
        SecurityKey { key: SecurityKey::new(2).key, ..key.clone() },
        SecurityKey { flags: crate::passkey::USER_PRESENT, ..key.clone() },
        SecurityKey { namespace: "file".to_owned(), ..key.clone() },
    ];
    for wrong in wrong {
        let (enrolment, message) = begin().await;
        let refused = finish(enrolment.clone(), wrong.sign(&message.0)).await;
        forbidden(refused);
        assert!(finish(enrolment, key.sign(&message.0)).await.is_err(), "the enrolment is spent");
    }
    // Begun by Bob, finished by Cyd; and too late.
    let (enrolment, message) = begin().await;
    let cyd = house.at_cli("cyd").await;
    let others = house.gateway.finish_ssh_key(&cyd, &enrolment, &key.sign(&message.0)).await;
    assert!(forbidden(others).contains("another person"));
    // A key that anything can use.
    let plain = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF8xhWkGE6yYyy7q5rC5qIeK0nkz7kKvJZ7b0E2s0b1U bob";
    assert!(house.gateway.begin_ssh_key(&bob, plain, "desk").await.is_err());

    let (enrolment, message) = begin().await;
    let held = finish(enrolment, key.sign(&message.0)).await.unwrap();
    assert_eq!(held.fingerprint, key.enrolled().fingerprint());
    assert!(house.store().directory().person(house.person("bob")).unwrap().ssh_keys.is_empty());
    house.approve("ada", held.held.id).await.unwrap();
    house.until(held.held.id, "finished").await;
    assert_eq!(house.store().directory().person(house.person("bob")).unwrap().ssh_keys, [key.enrolled()]);
    is_countersigned(&house, house.person("bob"), held.held.id, "ada").await;
    // It is enrolled once, and lets nobody in.
    assert!(house.gateway.begin_ssh_key(&bob, &key.line(), "again").await.is_err());
    let event =
        DirectoryEvent::SshKeyEnrolled { person: house.person("bob"), key: SecurityKey::new(3).enrolled() };
    forbidden(house.gateway.propose(&house.human("ada").await, event).await);
}
