//! Configuration takes the same way: one administrator proposes, another reviews, and exactly that is applied.

use domain::directory::{Change, DirectoryEvent};
use domain::id::{AgentId, PersonId};
use gateway::GatewayError;
use gateway::change::Proposed;
use gateway::hold::{Heard, Held};

use crate::house::{Call, DENIED, House, PERMIT, forbidden, held_by};

async fn proposed(house: &House, by: &str, event: DirectoryEvent) -> Held {
    match house.gateway.propose(&house.human(by).await, event).await.unwrap() {
        Proposed::Held(held) => held,
        other => panic!("not held: {other:?}"),
    }
}

fn policy(text: &str) -> DirectoryEvent {
    DirectoryEvent::PolicyApplied { text: text.to_owned() }
}

/// **Authority**, "Reviewer is requester": in configuration too.
#[tokio::test]
async fn a_change_of_policy_needs_the_other_administrator_and_is_applied_once() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = proposed(&house, "ada", policy(DENIED)).await;
    assert!(forbidden(house.approve("ada", held.id).await).contains("chain"));
    assert!(
        matches!(house.approve("bob", held.id).await, Err(GatewayError::NotFound(_))),
        "he administers nothing"
    );
    house.held(&Call::delete("orders")).await;

    let version = house.store().directory().version();
    house.approve("dan", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    let Heard::Ran { outcome, .. } = house.hear(held.id).await else { panic!("not applied") };
    assert_eq!(outcome.detail, format!("applied as directory version {}", version + 1));
    assert_eq!(house.store().directory().version(), version + 1);
    house.denied(&Call::delete("invoices")).await;

    // Its log entry names who proposed it and under which approval.
    let at = house.store().directory_entries("policy").await.unwrap();
    let entry = house.store().entry(*at.last().unwrap()).await.unwrap();
    let change: Change =
        domain::canonical::read(&gateway::store::open_fields(&entry.fields)[0].value.0).unwrap();
    assert_eq!((change.by, change.approval), (Some(house.principal("ada")), Some(held.id)));
}

#[tokio::test]
async fn what_is_denied_is_not_applied() {
    let house = House::usual(&held_by("dba:1")).await;
    let version = house.store().directory().version();
    let held = proposed(&house, "ada", policy(PERMIT)).await;
    house.deny("dan", held.id, "no").await.unwrap();
    house.never_runs(held.id).await;
    assert_eq!(house.store().directory().version(), version);
    assert!(matches!(
        house.gateway.propose(&house.human("bob").await, policy(PERMIT)).await,
        Err(GatewayError::Forbidden(_))
    ));
}

/// **Authority**: no rule of the deployment's own makes its configuration permitted, or lets somebody else review it.
#[tokio::test]
async fn no_policy_loosens_the_review_of_configuration() {
    let house = House::usual(PERMIT).await;
    let held = proposed(&house, "ada", policy(DENIED)).await;
    assert_eq!(house.state(held.id).await, "pending");
    let loose = r#"@id("countersign.config-review") @why("mine") permit (principal, action, resource);"#;
    let refused = house.gateway.propose(&house.human("ada").await, policy(loose)).await;
    assert!(matches!(refused, Err(GatewayError::Malformed(_))));
}

#[tokio::test]
async fn a_policy_that_does_not_load_never_replaces_the_last_good_one() {
    let house = House::usual(&held_by("dba:1")).await;
    let before = house.store().directory().policy().unwrap().digest;
    for text in [
        "permit (",
        r#"permit (principal, action, resource) when { context.nonsense };"#,
        "@id(\"x\") forbid;",
    ] {
        let refused = house.gateway.propose(&house.human("ada").await, policy(text)).await;
        assert!(matches!(refused, Err(GatewayError::Malformed(_))), "{text}");
    }
    assert_eq!(house.store().directory().policy().unwrap().digest, before);
    house.held(&Call::delete("orders")).await;
    // One that got in past us decides nothing: nothing is permitted, and nothing approved runs.
    let id = house.approved(&Call::delete("approved")).await;
    house.change(policy("permit (")).await;
    let caller = house.caller("bot").await;
    assert!(house.decide(&caller, &Call::get("orders")).await.is_err());
    house.never_runs(id).await;
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let house = House::usual(PERMIT).await;
    // Two of them: one may go, with the other's consent.
    let held = proposed(&house, "ada", DirectoryEvent::PersonDeactivated { id: house.person("dan") }).await;
    house.approve("dan", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    let alone = house.human("ada").await;
    for event in
        [DirectoryEvent::PersonDeactivated { id: house.person("ada") }, house.leaving("ada", "admins")]
    {
        let refused = house.gateway.propose(&alone, event).await;
        assert!(matches!(refused, Err(GatewayError::Malformed(_))), "{refused:?}");
    }
}

/// Both administrators ask for the other's departure, and both consent: one goes.
#[tokio::test]
async fn two_administrators_who_remove_each_other_leave_one() {
    let house = House::usual(PERMIT).await;
    let one = proposed(&house, "ada", house.leaving("dan", "admins")).await;
    let two = proposed(&house, "dan", house.leaving("ada", "admins")).await;
    house.approve("dan", one.id).await.unwrap();
    house.until(one.id, "finished").await;
    // Dan administers no more: what he reviews of it does not count, and what he asked for finds nobody.
    assert!(house.approve("ada", two.id).await.is_err() || house.state(two.id).await != "pending");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let admins = house.store().directory().members(&domain::id::GroupName::admins()).count();
    assert_eq!(admins, 1);
}

/// **Authority**, "Group changed while pending": who proposed it must administer still when it is applied.
#[tokio::test]
async fn a_proposal_of_somebody_deactivated_is_void() {
    let mut house = House::usual(PERMIT).await;
    house.arrives("gil", &["admins"]).await;
    house.enrol("gil").await;
    let held = proposed(&house, "ada", policy(DENIED)).await;
    house.change(DirectoryEvent::PersonDeactivated { id: house.person("ada") }).await;
    let _ = house.approve("dan", held.id).await;
    house.never_runs(held.id).await;
    house.until(held.id, "denied").await;
}

#[tokio::test]
async fn the_command_lines_session_proposes_and_does_nothing_else() {
    let house = House::usual(PERMIT).await;
    let ada = house.at_cli("ada").await;
    let Proposed::Held(held) = house.gateway.propose(&ada, policy(DENIED)).await.unwrap() else {
        panic!("not held")
    };
    let dan = house.at_cli("dan").await;
    let prepared = house.prepare(&dan, held.id, domain::statement::Verdict::Approve, None).await;
    if let Ok(prepared) = prepared {
        let response = house.passkey("dan").get(&prepared.options);
        forbidden(house.gateway.submit_review(held.id, &dan, &prepared.statement, &response).await);
    }
    forbidden(house.gateway.invite(&ada, house.person("bob")).await);
    forbidden(house.gateway.begin_further_key(&ada).await);
    forbidden(house.gateway.finish_further_key(&ada, "mine", b"{}").await);
    forbidden(house.gateway.confirm_cli_login(&ada, "BCDFGHJK").await);
}

#[tokio::test]
async fn a_change_asks_for_a_fresh_passkey() {
    let house = House::usual(PERMIT).await;
    let ada = house.human("ada").await;
    house.later(5 * 60);
    assert!(matches!(house.gateway.propose(&ada, policy(DENIED)).await, Err(GatewayError::StepUp)));
    assert!(matches!(house.gateway.invite(&ada, house.person("bob")).await, Err(GatewayError::StepUp)));
    let options = house.gateway.begin_login(Some(&ada)).await.unwrap();
    house.gateway.finish_step_up(&ada, &house.passkey("ada").get(&options)).await.unwrap();
}

#[tokio::test]
async fn nobody_enrols_a_key_for_somebody_by_proposing_it() {
    let house = House::usual(PERMIT).await;
    let key = crate::passkey::Enrolled::enrolled(&crate::passkey::SoftPasskey::new(99));
    let event = DirectoryEvent::KeyEnrolled { person: house.person("bob"), key };
    forbidden(house.gateway.propose(&house.human("ada").await, event).await);
}

#[tokio::test]
async fn alone_an_administrators_change_applies_at_once_and_says_so() {
    let house = House::open(PERMIT, &[("ada", &["admins"])], &[]).await;
    let ada = house.human("ada").await;
    let id = house.gateway.new_id(PersonId::new).unwrap();
    let added = house.gateway.propose(&ada, DirectoryEvent::PersonAdded { id, name: "bob".to_owned() }).await;
    assert!(matches!(added.unwrap(), Proposed::Applied { .. }));
    let at = house.store().directory_entries(&format!("person:{id}")).await.unwrap();
    let entry = house.store().entry(at[0]).await.unwrap();
    let change: Change =
        domain::canonical::read(&gateway::store::open_fields(&entry.fields)[0].value.0).unwrap();
    assert_eq!((change.by, change.approval), (Some(house.principal("ada")), None));
    // What makes no sense is refused, alone or not.
    let agent = house.gateway.new_id(AgentId::new).unwrap();
    assert!(house.gateway.propose(&ada, DirectoryEvent::AgentDisabled { id: agent }).await.is_err());
}

/// What was reviewed is applied over what stands, or not at all.
#[tokio::test]
async fn a_change_that_makes_no_sense_any_more_fails_and_changes_nothing() {
    let house = House::usual(PERMIT).await;
    let held = proposed(&house, "ada", house.leaving("bob", "dba")).await;
    house.leave("bob", "dba").await;
    let version = house.store().directory().version();
    house.approve("dan", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    let Heard::Ran { outcome, .. } = house.hear(held.id).await else { panic!("no outcome") };
    assert_eq!(outcome.ending, domain::outcome::Ending::Failed);
    assert_eq!(house.store().directory().version(), version);
}

/// **Authority**: nobody is taken for somebody else, whichever of two such changes is applied last.
#[tokio::test]
async fn a_name_that_looks_like_anothers_is_neither_proposed_nor_applied() {
    let house = House::usual(PERMIT).await;
    let added = |n: u8, name: &str| DirectoryEvent::PersonAdded {
        id: PersonId::new(domain::time::Timestamp::ZERO, &[n; 10]),
        name: name.to_owned(),
    };
    for alike in ["BOB", "b\u{43e}b", "bot", "B0B"] {
        let refused = house.gateway.propose(&house.human("ada").await, added(1, alike)).await;
        assert!(matches!(refused, Err(GatewayError::Malformed(_))), "{alike}: {refused:?}");
    }
    let (one, two) =
        (proposed(&house, "ada", added(1, "alice")).await, proposed(&house, "ada", added(2, "a1ice")).await);
    for held in [&one, &two] {
        house.approve("dan", held.id).await.unwrap();
        house.until(held.id, "finished").await;
    }
    let Heard::Ran { outcome, .. } = house.hear(two.id).await else { panic!("not tried") };
    assert!(outcome.detail.contains("looks like the name of another"), "{}", outcome.detail);
}
