//! **Authority**: who may review, at the moment of the review and again at the moment of the run.

use domain::directory::{Change, DirectoryEvent};
use domain::entry::Kind;
use domain::statement::Verdict;
use gateway::GatewayError;
use gateway::decide::Decided;

use crate::house::{Call, House, PERMIT, altered, forbidden, held_by, refusal};
use crate::passkey::{Enrolled as _, SoftPasskey};

/// **Authority**, "Reviewer is requester, owner or controls the agent": the sponsor, who is a `dba` herself.
#[tokio::test]
async fn the_sponsor_does_not_review_what_her_agent_asks() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    assert!(forbidden(house.approve("ada", held.id).await).contains("chain"));
    assert!(forbidden(house.review("ada", held.id, Verdict::Ask, Some("why?")).await).contains("chain"));
    house.never_runs(held.id).await;
    assert!(house.told(held.id).await.contains(&Kind::Refusal), "that she tried is logged");
    // She may always stop it.
    house.deny("ada", held.id, "not now").await.unwrap();
}

/// **Authority**, "Reviewer is requester": a person who calls for themself.
#[tokio::test]
async fn a_person_does_not_review_what_they_ask_for_themself() {
    let house = House::usual(&held_by("dba:1")).await;
    let caller = house.gateway.caller_of(&house.human("bob").await);
    let Decided::Held(held) = house.decide(&caller, &Call::delete("orders").though_gone()).await.unwrap()
    else {
        panic!("not held");
    };
    assert!(forbidden(house.approve("bob", held.id).await).contains("chain"));
    house.never_runs(held.id).await;
    house.approve("cyd", held.id).await.unwrap();
    house.until(held.id, "finished").await;
}

/// **Authority**, "Reviewer … controls the agent": whoever becomes the sponsor while it waits.
#[tokio::test]
async fn whoever_becomes_the_sponsor_does_not_review_what_was_asked_before() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    let bob = house.human("bob").await;
    let prepared = house.prepare(&bob, held.id, Verdict::Approve, None).await.unwrap();
    let (id, sponsor) = (house.agent("bot"), house.person("bob"));
    house.change(DirectoryEvent::AgentSponsorChanged { id, sponsor }).await;
    let response = house.passkey("bob").get(&prepared.options);
    house.gateway.submit_review(held.id, &bob, &prepared.statement, &response).await.unwrap_err();
    house.never_runs(held.id).await;
    // Nor does anybody else: the chain that was recorded is not the agent's any more.
    let _ = house.approve("cyd", held.id).await;
    house.never_runs(held.id).await;
}

/// **Authority**, "One human, two accounts or groups".
#[tokio::test]
async fn one_human_in_two_groups_counts_once() {
    let both = format!(
        "{} @id(\"ops-too\") @hold(\"ops:1\") @why(\"ops must know\") \
         forbid (principal, action in Action::\"destroy\", resource);",
        held_by("dba:1")
    );
    let house = House::usual(&both).await;
    house.join("fay", "ops").await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    assert_eq!(house.approve("eve", held.id).await.unwrap().approval.word(), "pending");
    assert!(forbidden(house.approve("eve", held.id).await).contains("one human counts once"));
    house.never_runs(held.id).await;
    // Whichever of her groups she was counted under, a second human lifts the other hold.
    let left = house.summary(held.id).await.approval.case().open();
    let second = if left[0].group.as_str() == "dba" { "bob" } else { "fay" };
    house.approve(second, held.id).await.unwrap();
    house.until(held.id, "finished").await;
}

/// **Authority**, "One human, two accounts": two statements of one person, prepared before either was signed, and
/// two passkeys of one person.
#[tokio::test]
async fn the_same_person_twice_counts_once() {
    let house = House::usual(&held_by("dba:2")).await;
    let second = SoftPasskey::new(200);
    let key = second.enrolled();
    house.change(DirectoryEvent::KeyEnrolled { person: house.person("bob"), key }).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    let bob = house.human("bob").await;
    let one = house.prepare(&bob, held.id, Verdict::Approve, None).await.unwrap();
    let two = house.prepare(&bob, held.id, Verdict::Approve, None).await.unwrap();
    let (first, again) = (house.passkey("bob").get(&one.options), second.get(&two.options));
    house.gateway.submit_review(held.id, &bob, &one.statement, &first).await.unwrap();
    let refused = house.gateway.submit_review(held.id, &bob, &two.statement, &again).await;
    assert_eq!(refusal(refused), "duplicate-reviewer");
    house.never_runs(held.id).await;
}

/// **Authority**, "Agent approves through API, command line or browser": an agent's token is no session, and a
/// session is no agent's token. (That a review needs a `Human`, who comes of a session only, is the compiler's.)
#[tokio::test]
async fn an_agents_token_makes_no_human_and_a_session_no_agent() {
    let house = House::usual(&held_by("dba:1")).await;
    let token = house.token("bot").await;
    assert!(matches!(house.gateway.admit_session(&token).await, Err(GatewayError::Unauthenticated(_))));
    let options = house.gateway.begin_login(None).await.unwrap();
    let signed_in = house.gateway.finish_login(&house.passkey("bob").get(&options)).await.unwrap();
    let admitted = house.gateway.admit_agent(&signed_in.token.expose());
    assert!(matches!(admitted, Err(GatewayError::Unauthenticated(_))));
}

/// **Authority**, "Agent approves through … command line": whatever runs as its human can read that session.
#[tokio::test]
async fn a_session_of_the_command_line_reviews_nothing() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    let bob = house.at_cli("bob").await;
    let prepared = house.prepare(&bob, held.id, Verdict::Approve, None).await;
    if let Ok(prepared) = prepared {
        let response = house.passkey("bob").get(&prepared.options);
        let submitted = house.gateway.submit_review(held.id, &bob, &prepared.statement, &response).await;
        assert!(forbidden(submitted).contains("console"));
    }
    house.never_runs(held.id).await;
    // Nor does it take back the question that keeps something from running.
    house.review("bob", held.id, Verdict::Ask, Some("why?")).await.unwrap();
    let question = house.summary(held.id).await.approval.case().questions[0].id;
    assert!(forbidden(house.gateway.withdraw(held.id, &bob, question).await).contains("console"));
}

/// **Authority**, "Group changed while pending": who is not in the group at the review does not count.
#[tokio::test]
async fn whoever_has_left_the_group_by_the_review_does_not_review() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    let bob = house.human("bob").await;
    let prepared = house.prepare(&bob, held.id, Verdict::Approve, None).await.unwrap();
    house.leave("bob", "dba").await;
    let response = house.passkey("bob").get(&prepared.options);
    house.gateway.submit_review(held.id, &bob, &prepared.statement, &response).await.unwrap_err();
    house.never_runs(held.id).await;
    assert!(matches!(house.approve("bob", held.id).await, Err(GatewayError::NotFound(_))));
}

/// **Authority**, "Group changed while pending: check at review and at redemption", and everything else that can
/// happen to a reviewer, an agent or a sponsor between the two.
#[tokio::test]
async fn what_happens_between_review_and_run_keeps_it_from_running() {
    for what in [
        "leaves",
        "deactivated",
        "revoked",
        "disabled",
        "sponsor gone",
        "sponsor changed",
        "sponsor is reviewer",
    ] {
        let house = House::usual(&held_by("dba:1")).await;
        let id = house.approved(&Call::delete("orders")).await;
        let (bot, bob) = (house.agent("bot"), house.person("bob"));
        let fay = house.person("fay");
        match what {
            "leaves" => house.leave("bob", "dba").await,
            "deactivated" => house.change(DirectoryEvent::PersonDeactivated { id: bob }).await,
            "revoked" => house.revoke_key("bob").await,
            "disabled" => house.change(DirectoryEvent::AgentDisabled { id: bot }).await,
            "sponsor gone" => {
                house.change(DirectoryEvent::PersonDeactivated { id: house.person("ada") }).await
            }
            "sponsor changed" => {
                house.change(DirectoryEvent::AgentSponsorChanged { id: bot, sponsor: fay }).await
            }
            _ => house.change(DirectoryEvent::AgentSponsorChanged { id: bot, sponsor: bob }).await,
        }
        let before = house.between.looks();
        house.never_runs(id).await;
        let looks = house.between.looks() - before;
        assert!(looks < 20, "{what}: whoever waits asks again and again: {looks} times in 120 ms");
        assert_eq!(house.runner.runs(), 0, "{what}");
        // And time does not heal it.
        house.later(10 * 60);
        house.never_runs(id).await;
    }
}

/// **Authority**, "Group changed while pending … at redemption": at the worst moment, while it is being redeemed.
#[tokio::test]
async fn a_reviewer_who_leaves_while_it_is_redeemed_does_not_count() {
    let house = House::usual(&held_by("dba:1")).await;
    // The waiter looks, the run looks, the redemption looks.
    for (n, name) in [(1, "bob"), (2, "cyd"), (3, "eve")] {
        let held = house.held(&Call::delete(&format!("orders-{n}"))).await;
        house.approve(name, held.id).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        let event = house.leaving(name, "dba");
        house.between.at_look(n, move |store| async move {
            let change = Change { event, by: None, approval: None };
            store.change(store.directory().version(), vec![change]).await.unwrap();
        });
        house.never_runs(held.id).await;
        assert!(
            !house
                .store()
                .directory()
                .person(house.person(name))
                .unwrap()
                .groups
                .contains(&crate::house::group("dba"))
        );
    }
}

/// **Authority**: who was deactivated has no session, no login and no token; nor has their agent.
#[tokio::test]
async fn whoever_is_deactivated_is_out_at_once() {
    let house = House::usual(&held_by("dba:1")).await;
    let options = house.gateway.begin_login(None).await.unwrap();
    let signed_in = house.gateway.finish_login(&house.passkey("fay").get(&options)).await.unwrap();
    let (session, token) = (signed_in.token.expose(), house.token("other").await);
    let fay = house.gateway.admit_session(&session).await.unwrap();
    house.gateway.admit_agent(&token).unwrap();
    house.change(DirectoryEvent::PersonDeactivated { id: house.person("fay") }).await;
    assert!(house.gateway.admit_session(&session).await.is_err());
    assert!(!house.gateway.is_signed_in(&fay).await.unwrap());
    assert!(house.gateway.admit_agent(&token).is_err());
    let options = house.gateway.begin_login(None).await.unwrap();
    assert!(house.gateway.finish_login(&house.passkey("fay").get(&options)).await.is_err());
}

/// Ids say nothing: whoever is not asked, not on the chain and no administrator sees no approval.
#[tokio::test]
async fn whoever_is_not_concerned_sees_nothing() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders")).await;
    for (name, sees) in [("ada", true), ("bob", true), ("dan", true), ("fay", false)] {
        let seen = house.gateway.approval_for(held.id, &house.human(name).await).await;
        assert_eq!(seen.is_ok(), sees, "{name}");
    }
    assert!(matches!(house.approve("fay", held.id).await, Err(GatewayError::NotFound(_))));
    assert!(house.approve("dan", held.id).await.is_err(), "an administrator sees it and has no vote");
    house.gateway.on_chain(held.id, house.principal("bot")).await.unwrap();
    house.gateway.on_chain(held.id, house.principal("other")).await.unwrap_err();
    house.never_runs(held.id).await;
}

/// A house in which `dba:2` holds, and one of `dev` (Fay) or `ops` (Eve) may break its glass.
pub(crate) async fn glazed(group: &str) -> House {
    let rule = format!(
        "{PERMIT} @id(\"deletes\") @hold(\"dba:2\") @break_glass(\"{group}\") \
         forbid (principal, action in Action::\"destroy\", resource);"
    );
    House::usual(&rule).await
}

pub(crate) async fn breaks_glass(
    house: &House,
    name: &str,
    id: domain::id::ActionId,
    why: &str,
) -> Result<gateway::store::Summary, GatewayError> {
    let human = house.human(name).await;
    let displayed = house.gateway.card(&house.summary(id).await).await?.digest()?;
    let prepared = house.gateway.prepare_break_glass(id, &human, why.to_owned(), displayed).await?;
    let response = house.passkey(name).get(&prepared.options);
    house.gateway.submit_review(id, &human, &prepared.statement, &response).await
}

/// **Authority**, "break-glass": one named human with a reason, and the record says so for good.
#[tokio::test]
async fn one_named_human_breaks_glass_with_a_reason_and_it_is_told() {
    let house = glazed("dev").await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    assert!(forbidden(breaks_glass(&house, "fay", held.id, " ").await).contains("takes a reason"));
    // Fay may do nothing else here, and an ordinary approval of hers is none.
    let fay = house.human("fay").await;
    let standing = house.gateway.standing(&house.summary(held.id).await, fay.person);
    assert!(!standing.may_approve && !standing.may_deny && standing.glass.is_some());
    assert!(forbidden(house.approve("fay", held.id).await).contains("only break glass"));
    let broken = breaks_glass(&house, "fay", held.id, "the disk is full").await.unwrap();
    let told: Vec<_> = broken.approval.case().broken_glass().map(|one| one.statement.note.clone()).collect();
    assert_eq!(told, [Some("the disk is full".to_owned())]);
    house.until(held.id, "finished").await;
    house.audit().await;
}

/// **Authority**, "break-glass": nobody else, nobody on the chain, and nobody by an ordinary approval.
#[tokio::test]
async fn glass_is_not_broken_by_others_nor_by_an_ordinary_approval() {
    let house = glazed("ops").await;
    house.join("ada", "ops").await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    for name in ["ada", "bob"] {
        assert!(forbidden(breaks_glass(&house, name, held.id, "now").await).contains("lets you break glass"));
    }
    // Eve is of both groups: her ordinary approval is one of two, and after it she breaks no glass.
    assert_eq!(house.approve("eve", held.id).await.unwrap().approval.word(), "pending");
    assert!(forbidden(breaks_glass(&house, "eve", held.id, "now").await).contains("lets you break glass"));
    house.never_runs(held.id).await;
    // A statement that was prepared as ordinary cannot be turned into the other kind.
    let cyd = house.human("cyd").await;
    let prepared = house.prepare(&cyd, held.id, Verdict::Approve, Some("now")).await.unwrap();
    let forged = altered(&prepared, |statement| statement.break_glass = true);
    let response = house.passkey("cyd").get(&prepared.options);
    let refused = house.gateway.submit_review(held.id, &cyd, &forged, &response).await;
    assert_eq!(refusal(refused), "statement-expired");
    house.never_runs(held.id).await;
}

/// **Authority**, "break-glass": what a rule that was held under lets no more lifts nothing at the run.
#[tokio::test]
async fn whoever_has_left_the_group_has_not_broken_its_glass() {
    let house = glazed("dev").await;
    let held = house.held(&Call::delete("orders")).await;
    assert_eq!(breaks_glass(&house, "fay", held.id, "now").await.unwrap().approval.word(), "approved");
    house.leave("fay", "dev").await;
    house.never_runs(held.id).await;
}
