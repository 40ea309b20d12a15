//! Permits that are remembered: never longer than what they were given over.

use domain::directory::DirectoryEvent;
use domain::evaluation::Fact;
use gateway::decide::Decided;

use crate::house::{Call, DENIED, House, PERMIT, held_by};

/// How many payloads were read: a remembered permit reads none.
async fn reads_payload(house: &House, call: &Call) -> bool {
    use std::sync::atomic::{AtomicBool, Ordering};
    let read = AtomicBool::new(false);
    let caller = house.caller("bot").await;
    let decided = house.decide_with(&caller, call, || read.store(true, Ordering::SeqCst)).await.unwrap();
    assert!(matches!(decided, Decided::Permitted(_)), "{decided:?}");
    read.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_permit_is_remembered_where_it_depends_on_no_value() {
    let house = House::usual(&held_by("dba:1")).await;
    assert!(reads_payload(&house, &Call::get("orders")).await);
    assert!(!reads_payload(&house, &Call::get("orders")).await);
    assert!(!reads_payload(&house, &Call::get("invoices")).await);
    let other = Call { operation: 2, ..Call::get("orders") };
    assert!(reads_payload(&house, &other).await, "another operation is another question");
    let silent = Call { reason: None, ..Call::get("orders") };
    assert!(reads_payload(&house, &silent).await, "so is one without a reason");
    let mut recorded = Call::get("orders");
    recorded.record = gateway::decide::RecordPermit::BeforeRun;
    assert!(reads_payload(&house, &recorded).await, "what is recorded is sealed whole");
}

#[tokio::test]
async fn a_remembered_permit_ends_with_the_policy_the_group_and_the_agent() {
    let in_group = r#"@id("devs") @why("sponsored by dev")
        permit (principal is Agent, action, resource) when { principal.sponsor in Group::"dba" };"#;
    let house = House::usual(PERMIT).await;
    let call = Call::delete("orders");
    house.permitted(&call).await;
    assert!(!reads_payload(&house, &call).await);
    house.apply(DENIED).await;
    house.denied(&call).await;

    house.apply(in_group).await;
    house.permitted(&call).await;
    assert!(!reads_payload(&house, &call).await);
    house.leave("ada", "dba").await;
    house.denied(&call).await;
    house.join("ada", "dba").await;
    house.permitted(&call).await;

    // Even for a caller that was admitted a moment before.
    let caller = house.caller("bot").await;
    house.change(DirectoryEvent::AgentDisabled { id: house.agent("bot") }).await;
    assert!(matches!(house.decide(&caller, &call).await.unwrap(), Decided::Denied(_)));
}

#[tokio::test]
async fn a_rule_that_reads_the_requests_own_values_is_asked_each_time() {
    let rules = [
        r#"@id("path") @why("no such path") forbid (principal, action, resource)
           when { context has path && context.path == "/secret" };"#,
        r#"@id("name") @why("no such queue") forbid (principal, action, resource)
           when { resource.name == "queues/secret" };"#,
        r#"@id("one") @why("not this one")
           forbid (principal, action, resource == Resource::"broker/queues/secret");"#,
        r#"@id("risk") @hold("dba:1") @why("too risky") forbid (principal, action, resource)
           when { context.risk >= 90 };"#,
    ];
    let of_path = |path: &str| {
        let mut call = Call::get(path);
        call.facts.insert("path".to_owned(), Fact::Text(format!("/{path}")));
        call
    };
    for (n, rule) in rules.iter().enumerate() {
        let house = House::usual(&format!("{PERMIT}{rule}")).await;
        for _ in 0..3 {
            assert!(reads_payload(&house, &of_path("orders")).await, "{rule}");
        }
        if n < 3 {
            house.denied(&of_path("secret")).await;
        }
    }
}

/// What a rule may read without the request's own values is part of what is remembered, whatever operation the
/// point calls it.
#[tokio::test]
async fn a_permit_is_remembered_for_its_place_and_for_what_is_known_of_it() {
    let house = House::usual(&format!(
        r#"{PERMIT}
        @id("prod") @why("not in production") forbid (principal, action, resource) when {{ resource.production }};
        @id("team") @why("not theirs") forbid (principal, action, resource)
          when {{ resource.hasTag("team") && resource.getTag("team") == "payments" }};
        @id("unmatched") @why("no route") forbid (principal, action, resource) unless {{ context.matched }};
        @id("rest") @why("not by the API") forbid (principal, action, resource) when {{ context.point == "rest" }};"#
    ))
    .await;
    let call = Call::get("orders");
    house.permitted(&call).await;
    assert!(!reads_payload(&house, &call).await);
    let mut theirs = call.clone();
    theirs.resource.labels.insert("team".to_owned(), "payments".to_owned());
    let mut unmatched = call.clone();
    unmatched.facts.insert("matched".to_owned(), Fact::Bool(false));
    let rest = Call { point: domain::action::Point::Rest, ..call.clone() };
    for other in [call.clone().in_production(), theirs, unmatched, rest] {
        house.denied(&other).await;
    }
}

#[tokio::test]
async fn what_is_held_or_denied_is_never_remembered_as_a_permit() {
    let house = House::usual(&held_by("dba:1")).await;
    let held = house.held(&Call::delete("orders").though_gone()).await;
    house.approve("bob", held.id).await.unwrap();
    house.until(held.id, "finished").await;
    let another = house.held(&Call::delete("invoices")).await;
    assert!(!another.attached);
    house.never_runs(another.id).await;
}
