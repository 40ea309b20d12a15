//! An approval whose reviewer loses their standing before it is spent goes back to those who can decide.

use domain::entry::Kind;
use gateway::hold::Heard;

use crate::house::{Call, House, eventually, held_by};

/// Approved by Bob for a caller who does not wait; then this happens to Bob.
async fn lost(how: impl AsyncFn(&House)) -> (House, domain::id::ActionId) {
    let house = House::staffed(&held_by("dba:1")).await;
    let id = house.approved(&Call::delete("orders")).await;
    how(&house).await;
    house.until(id, "pending").await;
    (house, id)
}

/// **Authority**, "Group changed while pending": the request waits for somebody else while there is time.
#[tokio::test]
async fn the_request_asks_again_and_another_reviewer_decides() {
    let (house, id) = lost(async |house| house.leave("bob", "dba").await).await;
    let case = house.summary(id).await.approval.case().clone();
    assert!(case.reviews[0].dismissed.is_some());
    assert_eq!(case.open()[0].have, 0);
    assert_eq!(house.told(id).await, [Kind::Request, Kind::Review, Kind::Reevaluation]);
    house.never_runs(id).await;
    house.approve("cyd", id).await.unwrap();
    assert!(matches!(house.hear(id).await, Heard::Ran { .. }));
    assert_eq!(house.runner.runs_of(id), 1);
    let told = crate::receipts::shown(&house, id).await;
    assert_eq!(told.execution.unwrap().counted, [house.person("cyd")]);
}

#[tokio::test]
async fn it_is_the_same_whatever_the_reviewer_lost() {
    for leaves in [false, true] {
        let (house, id) = lost(async |house| {
            let id = house.person("bob");
            if leaves {
                house.change(domain::directory::DirectoryEvent::PersonDeactivated { id }).await;
            } else {
                house.revoke_key("bob").await;
            }
        })
        .await;
        house.never_runs(id).await;
        house.approve("cyd", id).await.unwrap();
        assert!(matches!(house.hear(id).await, Heard::Ran { .. }));
    }
}

#[tokio::test]
async fn a_caller_who_waits_gets_the_answer_of_the_second_reviewer() {
    let house = House::staffed(&held_by("dba:2")).await;
    let id = house.held(&Call::delete("orders").though_gone()).await.id;
    house.approve("bob", id).await.unwrap();
    house.leave("bob", "dba").await;
    eventually("his approval counts no more", async || {
        house.summary(id).await.approval.case().open()[0].have == 0
    })
    .await;
    house.approve("cyd", id).await.unwrap();
    assert_eq!(house.state(id).await, "pending", "one of two");
    // He comes back, and may say it again: it counts once.
    house.rejoins("bob", "dba").await;
    house.approve("bob", id).await.unwrap();
    house.until(id, "finished").await;
    assert_eq!(house.runner.runs_of(id), 1);
    assert_eq!(crate::receipts::shown(&house, id).await.execution.unwrap().counted.len(), 2);
}

#[tokio::test]
async fn who_stands_as_they_stood_is_not_asked_again() {
    let house = House::staffed(&held_by("dba:1")).await;
    let id = house.approved(&Call::delete("orders")).await;
    // What is changed has nothing to do with Bob.
    house.leave("eve", "ops").await;
    house.revoke_key("fay").await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(house.state(id).await, "approved");
    assert!(house.summary(id).await.approval.case().reviews[0].dismissed.is_none());
    assert!(matches!(house.hear(id).await, Heard::Ran { .. }));
}
