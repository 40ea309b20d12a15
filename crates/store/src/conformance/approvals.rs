//! A case from its opening to its end.

use domain::approval::{Approval, Command};
use domain::evaluation::Decision;
use domain::event::Event;
use domain::id::ActionId;
use domain::principal::Principal;
use domain::statement::Verdict;
use domain::time::Span;
use domain::{Malformed, Refusal};

use super::World;
use super::testing::{TTL, after, entropy, person, question, worked};
use crate::{Effect, Opened, StoreError, Wake, open_fields};

pub(super) async fn opens_and_reads_back(world: World) {
    let World { store, desk, .. } = &world;
    let request = desk.request(store.as_ref(), "orders");
    let Opened::New(recorded) = store.open(request.clone()).await.unwrap() else { panic!("attached") };
    let position = recorded.position();
    let id = request.action.id();

    let summary = store.approval(id).await.unwrap();
    assert_eq!(summary.approval, *recorded.get());
    assert_eq!(summary.action, request.action);
    assert_eq!(summary.shape, request.shape);
    assert_eq!(summary.run_when_gone, request.run_when_gone);
    assert_eq!(summary.approval.deadline(), Some(position.time.after(TTL)));

    let history = store.history(id).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].1, position);
    assert!(
        matches!(&history[0].0, Event::Requested { evaluation, .. } if *evaluation == request.evaluation)
    );

    let payload = store.payload(id).await.unwrap();
    let open: Vec<_> = open_fields(&payload).into_iter().cloned().collect();
    assert_eq!(open, request.payload.into_vec());

    let entry = store.entry(position.index).await.unwrap();
    let action = open_fields(&entry.fields).into_iter().find(|field| field.path == "action").unwrap();
    assert_eq!(action.value.0, request.action.bytes());
    assert_eq!(store.head().await.unwrap().size, position.index + 1);

    let unknown = ActionId::new(store.now(), &entropy());
    assert!(matches!(store.approval(unknown).await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.history(unknown).await, Err(StoreError::NotFound(_))));
    assert!(matches!(store.payload(unknown).await, Err(StoreError::NotFound(_))));
    let expire = store.advance(unknown, Command::Expire, Effect::default()).await;
    assert!(matches!(expire, Err(StoreError::NotFound(_))));
}

pub(super) async fn every_command_moves_it(world: World) {
    let World { store, desk, .. } = &world;
    let id = desk.open(store.as_ref(), "orders").await;
    let go = async |command, word: &str| {
        let recorded = store.advance(id, command, Effect::default()).await.unwrap();
        let head = store.head().await.unwrap();
        assert_eq!(recorded.position().index + 1, head.size, "the head is at the step that was acknowledged");
        assert_eq!(recorded.get().approval.word(), word);
        let summary = store.approval(id).await.unwrap();
        assert_eq!(summary.approval, recorded.get().approval);
        (recorded, summary)
    };
    let summary = store.approval(id).await.unwrap();
    let (asker, answerer) = (person(), desk.caller());

    for withdrawn in [false, true] {
        let ask = desk.review(&summary, asker, Verdict::Ask, store.now());
        let Command::Review { question, .. } = &ask else { panic!() };
        let question = *question;
        go(ask, "pending").await;
        let settle = if withdrawn {
            Command::Withdraw { question, by: asker }
        } else {
            Command::Answer { question, by: answerer, text: "yes".to_owned() }
        };
        go(settle, "pending").await;
    }
    let evaluation = desk.evaluation(&summary.action, 0, 2);
    let (_, summary) = go(Command::Reevaluate(evaluation), "pending").await;
    let (_, summary) = go(desk.review(&summary, asker, Verdict::Approve, store.now()), "pending").await;
    let (_, summary) = go(desk.review(&summary, person(), Verdict::Approve, store.now()), "approved").await;

    let permit = desk.permit(&summary, 0).unwrap();
    let (redeemed, _) = go(Command::Redeem(permit), "executing").await;
    let position = redeemed.position();
    let redemption = redeemed.redemption().unwrap();
    assert_eq!(redemption.position(), position);
    assert_eq!(redemption.into_inner().into_grant().action(), summary.action.digest());
    let (finished, last) = go(Command::Finish(worked()), "finished").await;
    assert!(finished.redemption().is_none());

    let history = store.history(id).await.unwrap();
    let words: Vec<_> = history.iter().map(|(event, _)| event.word()).collect();
    assert_eq!(
        words,
        [
            "requested",
            "asked",
            "answered",
            "asked",
            "withdrawn",
            "reevaluated",
            "reviewed",
            "reviewed",
            "redeemed",
            "finished"
        ]
    );
    let replayed = Approval::replay(history.iter().map(|(event, position)| (event, position.time))).unwrap();
    assert_eq!(replayed, last.approval);
    assert!(history.is_sorted_by_key(|(_, position)| position.index));
    store.audit().await.unwrap();
}

pub(super) async fn commands_end_it(world: World) {
    let World { store, desk, .. } = &world;
    let denied = desk.open(store.as_ref(), "a").await;
    assert_eq!(desk.decide(store.as_ref(), denied, Verdict::Deny).await.word(), "denied");

    let cancelled = desk.open(store.as_ref(), "b").await;
    let cancel = |by| Command::Cancel { by, reason: "no longer".to_owned() };
    let stranger = store.advance(cancelled, cancel(Principal::Person(person())), Effect::default()).await;
    assert!(matches!(stranger, Err(StoreError::Refused(Refusal::NotYours(_)))));
    let ended = store.advance(cancelled, cancel(desk.caller()), Effect::default()).await.unwrap();
    assert_eq!(after(ended).word(), "cancelled");

    let by_policy = desk.open(store.as_ref(), "c").await;
    let action = store.approval(by_policy).await.unwrap().action;
    let mut evaluation = desk.evaluation(&action, 0, 1);
    evaluation.decision = Decision::Deny;
    let ended = store.advance(by_policy, Command::Reevaluate(evaluation), Effect::default()).await.unwrap();
    assert_eq!(after(ended).word(), "denied");

    let size = store.head().await.unwrap().size;
    for id in [denied, cancelled, by_policy] {
        for command in [Command::Finish(worked()), Command::Expire, cancel(desk.caller())] {
            let refused = store.advance(id, command, Effect::default()).await;
            assert!(matches!(refused, Err(StoreError::Refused(Refusal::NotInState(_)))), "{refused:?}");
        }
    }
    assert_eq!(store.head().await.unwrap().size, size, "a refusal changes nothing");
}

pub(super) async fn refuses_what_does_not_fit(world: World) {
    let World { store, desk, .. } = &world;
    let good = || desk.request(store.as_ref(), "orders");
    let size = store.head().await.unwrap().size;

    let mut permitted = good();
    permitted.evaluation.decision = Decision::Permit;
    let mut denied = good();
    denied.evaluation.decision = Decision::Deny;
    let mut nobody = good();
    if let Decision::NeedsReview(requirement) = &mut nobody.evaluation.decision {
        requirement.holds.clear();
    }
    let mut other_payload = good();
    other_payload.payload = desk.request(store.as_ref(), "invoices").payload;
    let mut other_action = good();
    other_action.evaluation.action = desk.request(store.as_ref(), "invoices").action.digest();
    for request in [permitted, denied, nobody, other_payload, other_action] {
        let refused = store.open(request).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    }
    assert_eq!(store.head().await.unwrap().size, size, "a refusal changes nothing");

    let first = good();
    store.open(first.clone()).await.unwrap();
    let mut again = desk.request(store.as_ref(), "invoices");
    again.evaluation = first.evaluation;
    again.payload = first.payload;
    again.action = first.action;
    let taken = store.open(again).await;
    assert!(
        matches!(taken, Err(StoreError::Refused(Refusal::Malformed(Malformed::Value { .. })))),
        "{taken:?}"
    );

    let id = desk.open(store.as_ref(), "fields").await;
    let unknown = Command::Answer { question: question(), by: desk.caller(), text: String::new() };
    let refused = store.advance(id, unknown, Effect::default()).await;
    assert!(matches!(refused, Err(StoreError::Refused(Refusal::NoSuchQuestion))), "{refused:?}");
}

pub(super) async fn expires_when_its_time_is_over(world: World) {
    let World { store, desk, .. } = &world;
    let id = desk.open(store.as_ref(), "orders").await;
    let early = store.advance(id, Command::Expire, Effect::default()).await;
    assert!(matches!(early, Err(StoreError::Refused(Refusal::NotYetExpired))), "{early:?}");
    assert_eq!(store.lapsed(10).await.unwrap(), []);

    world.clock().forward(TTL.duration());
    let later = desk.open(store.as_ref(), "later").await;
    assert_eq!(store.lapsed(10).await.unwrap(), [id]);
    let summary = store.approval(id).await.unwrap();
    let late =
        store.advance(id, desk.review(&summary, person(), Verdict::Approve, store.now()), Effect::default());
    assert!(matches!(late.await, Err(StoreError::Refused(Refusal::Expired))));

    let expired = store.advance(id, Command::Expire, Effect::default()).await.unwrap();
    assert_eq!(after(expired).word(), "expired");
    assert_eq!(store.lapsed(10).await.unwrap(), []);

    world.clock().forward(Span::from_seconds(1).duration() + TTL.duration());
    assert_eq!(store.lapsed(10).await.unwrap(), [later]);
    assert_eq!(store.lapsed(0).await.unwrap(), []);
}

pub(super) async fn what_nobody_runs_any_more_is_told(mut world: World) {
    let running = world.desk.approved(world.store.as_ref(), "orders").await;
    world.desk.redeem(&world.store, running).await;
    world.desk.finished(&world.store, "invoices").await;
    world.desk.approved(world.store.as_ref(), "not spent").await;
    assert_eq!(world.store.orphans(10).await.unwrap(), [], "who spent it has it open");
    world.reopen().await;
    assert_eq!(world.store.orphans(10).await.unwrap(), [running]);
    assert_eq!(world.store.orphans(0).await.unwrap(), []);
    let again = world.desk.approved(world.store.as_ref(), "again").await;
    world.desk.redeem(&world.store, again).await;
    assert_eq!(world.store.orphans(10).await.unwrap(), [running], "what this one runs is none");
    let lost = Command::Finish(domain::outcome::Outcome::unknown("whoever ran it has gone"));
    world.store.advance(running, lost, Effect::default()).await.unwrap();
    assert_eq!(world.store.orphans(10).await.unwrap(), []);
}

pub(super) async fn wakes_whoever_listens(world: World) {
    let World { store, desk, .. } = &world;
    let mut wakes = store.wakes();
    let id = desk.open(store.as_ref(), "orders").await;
    desk.decide(store.as_ref(), id, Verdict::Deny).await;
    store.change(0, vec![super::testing::arrival(person(), "Ada")]).await.unwrap();
    for expected in [Wake::Approval(id), Wake::Approval(id), Wake::Directory(1)] {
        assert_eq!(wakes.recv().await.unwrap(), expected);
    }
    assert!(wakes.is_empty());
}
