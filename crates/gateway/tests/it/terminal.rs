//! Reviews at a terminal: the command line's session fetches and carries, and the SSH key's signature decides.

use domain::id::ActionId;
use domain::review::Proof;
use domain::statement::Verdict;
use gateway::GatewayError;
use gateway::change::Revoking;
use gateway::people::Human;
use gateway::review::Prepared;
use gateway::store::Summary;

use crate::house::{Call, House, forbidden, held_by, refusal};
use crate::passkey::{USER_PRESENT, USER_VERIFIED};
use crate::ssh::SecurityKey;

/// The usual house; Bob and Cyd have an SSH key each.
async fn house() -> House {
    let house = House::usual(&held_by("dba:1")).await;
    house.enrol_ssh("bob").await;
    house.enrol_ssh("cyd").await;
    house
}

async fn prepared(house: &House, human: &Human, id: ActionId) -> Prepared {
    house.prepare(human, id, Verdict::Approve, None).await.unwrap()
}

async fn submit(
    house: &House,
    human: &Human,
    id: ActionId,
    prepared: &Prepared,
    key: &SecurityKey,
) -> Result<Summary, GatewayError> {
    let signature = key.review(&prepared.statement);
    house.gateway.submit_ssh_review(id, human, &prepared.statement, &signature).await
}

#[tokio::test]
async fn an_ssh_key_approves_denies_and_asks() {
    let house = house().await;
    let bob = house.at_cli("bob").await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    let approved =
        submit(&house, &bob, held.id, &prepared(&house, &bob, held.id).await, &house.ssh_key("bob")).await;
    let case = approved.unwrap();
    let [review] = case.approval.case().reviews.as_slice() else { panic!("not one review") };
    assert!(matches!(review.signed.proof, Proof::SshSig(_)));
    house.until(held.id, "finished").await;
    assert_eq!(house.runner.runs(), 1);

    for (verdict, note, state) in
        [(Verdict::Ask, "which one?", "pending"), (Verdict::Deny, "not now", "denied")]
    {
        let held = house.held(&Call::delete(note).though_gone()).await;
        let prepared = house.prepare(&bob, held.id, verdict, Some(note)).await.unwrap();
        submit(&house, &bob, held.id, &prepared, &house.ssh_key("bob")).await.unwrap();
        assert_eq!(house.state(held.id).await, state);
        house.never_runs(held.id).await;
    }
}

#[tokio::test]
async fn its_receipt_verifies_offline_and_an_altered_signature_does_not() {
    let house = House::staffed(&held_by("dba:1")).await;
    house.brings_ssh("bob").await;
    let bob = house.at_cli("bob").await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    let prepared = prepared(&house, &bob, held.id).await;
    submit(&house, &bob, held.id, &prepared, &house.ssh_key("bob")).await.unwrap();
    house.until(held.id, "finished").await;
    let summary = crate::receipts::shown(&house, held.id).await;
    let key = summary.reviews[0].key.as_ref().unwrap();
    assert_eq!(key.label, "desk");
}

/// **Reviewer**, "Forged or replayed click": at a terminal as in the console.
#[tokio::test]
async fn a_signature_is_good_once_for_one_request_in_time_and_for_its_signer() {
    let house = house().await;
    let bob = house.at_cli("bob").await;
    let key = house.ssh_key("bob");
    let (one, two) = (house.held(&Call::delete("one")).await.id, house.held(&Call::delete("two")).await.id);
    // Another request.
    let first = prepared(&house, &bob, one).await;
    assert_eq!(refusal(submit(&house, &bob, two, &first, &key).await), "other-action");
    // Somebody else's session carries it.
    let cyd = house.at_cli("cyd").await;
    assert_eq!(refusal(submit(&house, &cyd, one, &first, &key).await), "other-action");
    // Once.
    submit(&house, &bob, one, &first, &key).await.unwrap();
    assert_eq!(refusal(submit(&house, &bob, one, &first, &key).await), "statement-expired");
    // In time.
    let late = prepared(&house, &bob, two).await;
    house.later(10 * 60);
    assert_eq!(refusal(submit(&house, &bob, two, &late, &key).await), "statement-expired");
    // Words of one's own.
    let mut made_up = prepared(&house, &bob, two).await;
    let mut statement = domain::statement::Statement::read(&made_up.statement.0).unwrap();
    statement.nonce.0[0] ^= 1;
    made_up.statement.0 = statement.write().unwrap();
    assert_eq!(refusal(submit(&house, &bob, two, &made_up, &key).await), "statement-expired");
    assert_eq!(house.state(two).await, "pending");
}

#[tokio::test]
async fn a_signature_that_proves_less_than_a_human_there_is_refused() {
    let house = house().await;
    let bob = house.at_cli("bob").await;
    let id = house.held(&Call::delete("orders").though_gone()).await.id;
    let key = || house.ssh_key("bob");
    let refused = [
        (SecurityKey { flags: USER_PRESENT, ..key() }, "bad-signature"),
        (SecurityKey { flags: USER_VERIFIED, ..key() }, "bad-signature"),
        (SecurityKey { namespace: "git".to_owned(), ..key() }, "bad-signature"),
        (SecurityKey { namespace: assertion::ENROLMENT_NAMESPACE.to_owned(), ..key() }, "bad-signature"),
        // Keys that nobody enrolled for Bob.
        (SecurityKey { application: "ssh:other".to_owned(), ..key() }, "not-active"),
        (SecurityKey::new(77), "not-active"),
        (house.ssh_key("cyd"), "not-active"),
    ];
    for (key, code) in refused {
        let prepared = prepared(&house, &bob, id).await;
        assert_eq!(refusal(submit(&house, &bob, id, &prepared, &key).await), code);
    }
    // Flipped bits, and what is no signature.
    let signature = key().review(&prepared(&house, &bob, id).await.statement);
    for altered in [signature.replacen('A', "B", 3), signature.replace("SSH", "PGP"), String::new()] {
        let prepared = prepared(&house, &bob, id).await;
        let refused = house.gateway.submit_ssh_review(id, &bob, &prepared.statement, &altered).await;
        assert_eq!(refusal(refused), "bad-signature");
    }
    house.never_runs(id).await;
    // Each refusal of a review is in the log.
    let refusals = house.told(id).await.into_iter().filter(|kind| *kind == domain::entry::Kind::Refusal);
    assert!(refusals.count() >= 7);
}

#[tokio::test]
async fn a_revoked_key_approves_nothing_before_or_after_it_signed() {
    let house = house().await;
    let bob = house.at_cli("bob").await;
    let id = house.held(&Call::delete("orders")).await.id;
    let signed_before = prepared(&house, &bob, id).await;
    let key = house.ssh_key("bob").enrolled().id();
    let console = house.human("bob").await;
    house.gateway.revoke_key(&console, house.person("bob"), key, Revoking::AtOnce).await.unwrap();
    assert_eq!(refusal(submit(&house, &bob, id, &signed_before, &house.ssh_key("bob")).await), "not-active");
    forbidden(house.prepare(&bob, id, Verdict::Approve, None).await);
    house.never_runs(id).await;
}

/// **Authority**: what is prepared for a passkey is no terminal's, nor the other way about, and a session without an
/// enrolled key prepares nothing.
#[tokio::test]
async fn a_statement_is_signed_by_what_it_was_prepared_for() {
    let house = house().await;
    let id = house.held(&Call::delete("orders").though_gone()).await.id;
    let (console, at_cli) = (house.human("bob").await, house.at_cli("bob").await);
    let for_passkey = prepared(&house, &console, id).await;
    for human in [&console, &at_cli] {
        let refused = submit(&house, human, id, &for_passkey, &house.ssh_key("bob")).await;
        assert_eq!(refusal(refused), "statement-expired");
    }
    for human in [&console, &at_cli] {
        let for_ssh = prepared(&house, &at_cli, id).await;
        let response = house.passkey("bob").get(&for_ssh.options);
        let refused = house.gateway.submit_review(id, human, &for_ssh.statement, &response).await;
        assert_eq!(refusal(refused), "statement-expired");
    }
    forbidden(house.prepare(&house.at_cli("eve").await, id, Verdict::Approve, None).await);
    house.never_runs(id).await;
}

/// **Reviewer**, "Reviewer is requester": the sponsor's key is as little good as her passkey.
#[tokio::test]
async fn who_stands_on_the_chain_does_not_sign_at_a_terminal_either() {
    let house = house().await;
    house.enrol_ssh("ada").await;
    let id = house.held(&Call::delete("orders").though_gone()).await.id;
    let ada = house.at_cli("ada").await;
    assert!(forbidden(house.prepare(&ada, id, Verdict::Approve, None).await).contains("chain"));
    house.never_runs(id).await;
}

/// **Binding**, "bytes that nobody saw": what the card does not hold is taken in full before it is approved.
#[tokio::test]
async fn a_payload_larger_than_the_card_is_taken_before_it_is_approved() {
    let house = house().await;
    let bob = house.at_cli("bob").await;
    let mut call = Call::delete("orders").though_gone();
    call.payload.push(("http.body".to_owned(), vec![b'x'; gateway::limits::SHOWN_PAYLOAD_BYTES + 1]));
    let id = house.held(&call).await.id;
    assert!(forbidden(house.prepare(&bob, id, Verdict::Approve, None).await).contains("in full"));
    house.gateway.open_payload(id, &bob).await.unwrap();
    // The console's page has not shown it.
    let console = house.human("bob").await;
    assert!(forbidden(house.prepare(&console, id, Verdict::Approve, None).await).contains("in full"));
    let prepared = prepared(&house, &bob, id).await;
    submit(&house, &bob, id, &prepared, &house.ssh_key("bob")).await.unwrap();
    house.until(id, "finished").await;
}
