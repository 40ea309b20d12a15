//! **Binding**: what runs is what was reviewed, whatever was done to the store in between. The store
//! seals its values; some of these have its sealing key too, and only lack the reviewers' passkeys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::house::{Call, House, held_by};

/// Nothing of this approval runs, whoever waits for it, and after a restart neither.
async fn never_runs_however_long(house: &House, id: domain::id::ActionId) {
    let waited = house.gateway.wait(id, std::time::Duration::from_millis(120)).await;
    assert!(!matches!(waited, Ok(gateway::hold::Heard::Ran { .. })), "{waited:?}");
    assert_eq!(house.runner.runs(), 0);
}

/// The row says that it was approved just now, and has ten minutes.
fn made_approved(house: &House, id: domain::id::ActionId) {
    let deadline = house.gateway.now().after(domain::time::Span::from_seconds(600)).micros();
    let id = id.uuid().simple();
    house.tamper(&format!(
        "UPDATE approval SET state = 'approved', ended = NULL, retry_until = NULL, deadline = {deadline}
         WHERE id = x'{id}'"
    ));
}

fn edit(bytes: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value = domain::canonical::read_value(bytes).unwrap();
    change(&mut value);
    domain::canonical::write(&value).unwrap()
}

/// A review's event with another statement in it.
fn edit_statement(event: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    edit(event, |event| {
        let statement = event["review"]["statement"].as_str().unwrap();
        let statement = edit(&URL_SAFE_NO_PAD.decode(statement).unwrap(), change);
        event["review"]["statement"] = URL_SAFE_NO_PAD.encode(statement).into();
    })
}

/// **Binding**, "Parameters changed after review … flip each byte": of the stored payload.
#[tokio::test]
async fn a_stored_payload_with_a_flipped_byte_does_not_run() {
    let house = House::usual(&held_by("dba:1")).await;
    let length = "queues/orders".len();
    for at in 0..length {
        let id = house
            .approved(&Call { idempotency: Some("x"), ..Call::delete("orders") }.with("n", [at as u8]))
            .await;
        let request = house.event_at(id, 0).await;
        house.forge_payload(request, id, "http.path", |mut value| {
            value[at] ^= 1;
            value
        });
        if at % 4 == 0 {
            never_runs_however_long(&house, id).await;
        } else {
            // The waiter's run is over when it has looked at the payload.
            let _ = house.gateway.wait(id, std::time::Duration::from_millis(30)).await;
        }
        assert_eq!(house.runner.runs(), 0, "byte {at}");
    }
}

/// **Binding**, "Script changed while pending: … run the snapshot": a part that was swapped, dropped or added.
#[tokio::test]
async fn a_stored_payload_with_parts_swapped_dropped_or_erased_does_not_run() {
    let house = House::usual(&held_by("dba:1")).await;
    for (n, tampering) in [
        "UPDATE payload SET sealed = (SELECT sealed FROM payload WHERE path = 'http.method' ORDER BY id DESC LIMIT 1)
         WHERE path = 'http.path' AND id >> 10 = :request",
        "DELETE FROM payload WHERE path = 'http.path' AND id >> 10 = :request",
        "UPDATE payload SET sealed = NULL WHERE path = 'http.path' AND id >> 10 = :request",
        "UPDATE payload SET path = 'http.body' WHERE path = 'http.path' AND id >> 10 = :request",
        "UPDATE payload SET sealed = (SELECT sealed FROM payload WHERE path = 'http.path' ORDER BY id LIMIT 1)
         WHERE path = 'http.path' AND id >> 10 = :request",
    ]
    .into_iter()
    .enumerate()
    {
        house.held(&Call::delete(&format!("another-{n}"))).await;
        let id = house.approved(&Call::delete(&format!("orders-{n}"))).await;
        let request = house.event_at(id, 0).await;
        house.tamper(&tampering.replace(":request", &request.to_string()));
        never_runs_however_long(&house, id).await;
    }
}

/// **Binding**, "digest over canonical bytes": the stored action, and the event that names its digest.
#[tokio::test]
async fn a_stored_action_that_was_altered_does_not_run() {
    let house = House::usual(&held_by("dba:1")).await;
    let other_resource =
        |bytes: Vec<u8>| edit(&bytes, |action| action["resource"]["name"] = "queues/all".into());

    // The action alone: it is not the one that was asked for.
    let id = house.approved(&Call::delete("alone")).await;
    let request = house.event_at(id, 0).await;
    house.forge(request, "action", other_resource);
    never_runs_however_long(&house, id).await;

    // The action with the digest that the request names: the reviews are of another one.
    let id = house.approved(&Call::delete("both")).await;
    let request = house.event_at(id, 0).await;
    let altered = other_resource(house.summary(id).await.action.bytes().to_vec());
    let digest = domain::digest::Digest::of(domain::digest::Purpose::Action, &altered).to_string();
    house.forge(request, "event", |event| {
        edit(&event, |event| {
            event["action"] = digest.clone().into();
            event["evaluation"]["action"] = digest.into();
        })
    });
    house.forge(request, "action", |_| altered);
    never_runs_however_long(&house, id).await;
    let state = house.store().approval(id).await.map(|summary| summary.approval.word());
    assert_eq!(state.unwrap(), "approved", "the forgery reads well, and still does not run");
}

/// **Authority**, "A stored review altered in the database: every review's signature is verified again at
/// redemption": a denial made an approval.
#[tokio::test]
async fn a_stored_denial_turned_into_an_approval_does_not_run() {
    let house = House::usual(&held_by("dba:1")).await;
    let id = house.held(&Call::delete("orders")).await.id;
    house.deny("bob", id, "no").await.unwrap();
    let review = house.event_at(id, 1).await;
    house.forge(review, "event", |event| {
        edit_statement(&event, |statement| {
            statement["verdict"] = "approve".into();
            statement["group"] = "dba".into();
        })
    });
    made_approved(&house, id);
    assert_eq!(house.state(id).await, "approved", "the forgery reads well");
    never_runs_however_long(&house, id).await;
}

/// **Authority**, "A stored review altered": somebody else's name, another group, another action under it.
#[tokio::test]
async fn a_stored_review_with_anything_else_in_it_does_not_run() {
    let house = House::usual(&held_by("dba:1")).await;
    let cyd = house.person("cyd").to_string();
    let edits: [&dyn Fn(&mut Value); 5] = [
        &|statement| statement["reviewer"] = cyd.clone().into(),
        &|statement| statement["expires"] = 1_900_000_000_000_000_u64.into(),
        &|statement| statement["displayed"] = URL_SAFE_NO_PAD.encode([1; 32]).into(),
        &|statement| statement["nonce"] = URL_SAFE_NO_PAD.encode([1; 32]).into(),
        &|statement| statement["note"] = "gladly".into(),
    ];
    for (n, change) in edits.into_iter().enumerate() {
        let id = house.approved(&Call::delete(&format!("orders-{n}"))).await;
        let review = house.event_at(id, 1).await;
        house.forge(review, "event", |event| edit_statement(&event, change));
        assert_eq!(house.state(id).await, "approved", "the forgery reads well");
        never_runs_however_long(&house, id).await;
    }
    // And the signature itself.
    let id = house.approved(&Call::delete("signature")).await;
    let review = house.event_at(id, 1).await;
    house.forge(review, "event", |event| {
        edit(&event, |event| {
            let signature = &mut event["review"]["proof"]["passkey"]["signature"];
            let mut bytes = URL_SAFE_NO_PAD.decode(signature.as_str().unwrap()).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            *signature = URL_SAFE_NO_PAD.encode(bytes).into();
        })
    });
    never_runs_however_long(&house, id).await;
}

/// **Authority**, "A stored review altered": one review of another approval, put where one is missing.
#[tokio::test]
async fn a_review_of_another_approval_does_not_lift_this_one() {
    let house = House::usual(&held_by("dba:1")).await;
    let id = house.held(&Call::delete("orders")).await.id;
    house.deny("bob", id, "no").await.unwrap();
    let other = house.approved(&Call::delete("invoices")).await;
    let (mine, theirs) = (house.event_at(id, 1).await, house.event_at(other, 1).await);
    // The row alone is not even one of this approval's events.
    let hex = |id: domain::id::ActionId| id.uuid().simple().to_string();
    house.tamper(&format!("UPDATE event SET entry = {theirs} WHERE approval = x'{}' AND seq = 2", hex(id)));
    never_runs_however_long(&house, id).await;
    house.tamper(&format!("UPDATE event SET entry = {mine} WHERE approval = x'{}' AND seq = 2", hex(id)));
    // The event itself reads well, and its review is of another action.
    let approval = house.store().history(other).await.unwrap()[1].0.clone();
    house.forge(mine, "event", |_| domain::canonical::write(&approval).unwrap());
    made_approved(&house, id);
    assert_eq!(house.state(id).await, "approved", "the forgery reads well");
    never_runs_however_long(&house, id).await;
}

/// **Binding**, "policy asked again at redemption": the recorded requirement is evidence, not authority.
#[tokio::test]
async fn a_stored_requirement_made_smaller_does_not_run() {
    let house = House::usual(&held_by("dba:2")).await;
    let id = house.held(&Call::delete("orders")).await.id;
    house.approve("bob", id).await.unwrap();
    let request = house.event_at(id, 0).await;
    house.forge(request, "event", |event| {
        edit(&event, |event| {
            event["evaluation"]["decision"]["requirement"]["holds"][0]["any_of"][0]["count"] = 1.into();
        })
    });
    made_approved(&house, id);
    assert_eq!(house.state(id).await, "approved", "the forgery reads well");
    never_runs_however_long(&house, id).await;
    // People are asked again for what is missing.
    house.until(id, "pending").await;
    house.approve("cyd", id).await.unwrap();
    assert!(matches!(house.hear(id).await, gateway::hold::Heard::Ran { .. }));
}

/// **Binding**: without the sealing key nothing can be written that reads back, and one such row stops nothing
/// else from coming to its end.
#[tokio::test]
async fn a_row_that_does_not_read_back_runs_nothing_and_holds_up_nothing() {
    let house = House::usual(&held_by("dba:1")).await;
    let broken = house.approved(&Call::delete("broken")).await;
    let review = house.event_at(broken, 1).await;
    house.tamper(&format!("UPDATE field SET sealed = zeroblob(length(sealed)) WHERE id >> 10 = {review}"));
    assert!(house.gateway.wait(broken, std::time::Duration::from_millis(50)).await.is_err());
    let whole = house.held(&Call::delete("whole").though_gone()).await.id;
    house.later(31 * 60);
    house.until(whole, "expired").await;
    assert_eq!(house.runner.runs(), 0);
    assert!(house.store().audit().await.is_err(), "whoever looks finds it");
}

/// **Authority**, "A stored review altered": a state written beside the events is not believed.
#[tokio::test]
async fn a_state_that_its_events_do_not_come_to_runs_nothing() {
    let house = House::usual(&held_by("dba:1")).await;
    let id = house.held(&Call::delete("orders")).await.id;
    made_approved(&house, id);
    never_runs_however_long(&house, id).await;
    assert!(house.store().approval(id).await.is_err(), "it says so");
}
