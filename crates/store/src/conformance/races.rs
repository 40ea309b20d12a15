//! Many at once, and one outcome.

use std::sync::Arc;

use domain::Refusal;
use domain::approval::Command;
use domain::id::ActionId;
use domain::statement::Verdict;
use domain::time::Span;

use super::World;
use super::testing::{Desk, person};
use crate::{Advance, Effect, Opened, Recorded, Store, StoreError};

const MANY: usize = 100;

/// Runs so many at once and gathers their answers.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    tasks: impl IntoIterator<Item = F>,
) -> Vec<T> {
    let running: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut answers = Vec::with_capacity(running.len());
    for task in running {
        answers.push(task.await.unwrap());
    }
    answers
}

fn advance(
    store: &Arc<dyn Store>,
    id: ActionId,
    command: Command,
) -> impl Future<Output = Result<Recorded<Advance>, StoreError>> + Send + 'static {
    let store = Arc::clone(store);
    async move { store.advance(id, command, Effect::default()).await }
}

pub(super) async fn one_of_a_hundred_redemptions(world: World) {
    let World { store, desk, .. } = &world;
    let id = desk.approved(store.as_ref(), "orders").await;
    let summary = store.approval(id).await.unwrap();
    let redeem = |_| advance(store, id, Command::Redeem(desk.permit(&summary, 0).unwrap()));
    let answers = at_once((0..MANY).map(redeem)).await;
    let (redeemed, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(redeemed.len(), 1);
    for answer in refused {
        assert!(matches!(answer, Err(StoreError::Refused(Refusal::NotInState("executing")))), "{answer:?}");
    }
    let spent = store.history(id).await.unwrap();
    assert_eq!(spent.iter().filter(|(event, _)| event.word() == "redeemed").count(), 1);
}

pub(super) async fn denial_against_approval(world: World) {
    let World { store, desk, .. } = &world;
    at_once((0..MANY).map(|round| deny_while_approving(Arc::clone(store), desk.clone(), round))).await;
}

async fn deny_while_approving(store: Arc<dyn Store>, desk: Desk, round: usize) {
    let id = desk.open(store.as_ref(), &format!("queue-{round}")).await;
    let summary = store.approval(id).await.unwrap();
    let review = |verdict| advance(&store, id, desk.review(&summary, person(), verdict, store.now()));
    let mut both = [review(Verdict::Approve), review(Verdict::Deny)];
    if round % 2 == 1 {
        both.reverse();
    }
    let answers = at_once(both).await;
    let history = store.history(id).await.unwrap();
    let approval = store.approval(id).await.unwrap().approval;
    assert_eq!(approval.word(), "denied", "a denial stands whichever came first");
    let recorded = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(history.len(), 1 + recorded);
    // Behind a denial nothing is approved.
    assert_eq!(approval.case().reviews.last().unwrap().statement.verdict, Verdict::Deny);
}

pub(super) async fn denial_against_redemption(world: World) {
    let World { store, desk, .. } = &world;
    at_once((0..MANY).map(|round| deny_while_redeeming(Arc::clone(store), desk.clone(), round))).await;
}

async fn deny_while_redeeming(store: Arc<dyn Store>, desk: Desk, round: usize) {
    let id = desk.approved(store.as_ref(), &format!("queue-{round}")).await;
    let summary = store.approval(id).await.unwrap();
    let redeem = Command::Redeem(desk.permit(&summary, 0).unwrap());
    let deny = desk.review(&summary, person(), Verdict::Deny, store.now());
    let mut both = [advance(&store, id, redeem), advance(&store, id, deny)];
    if round % 2 == 1 {
        both.reverse();
    }
    let answers = at_once(both).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "one of them: {answers:?}");
    let redeemed = answers.into_iter().flatten().any(|advance| advance.redemption().is_some());
    let word = store.approval(id).await.unwrap().approval.word();
    assert_eq!(word, if redeemed { "executing" } else { "denied" });
}

pub(super) async fn one_of_a_hundred_openings(world: World) {
    let World { store, desk, .. } = &world;
    let open = |_| {
        let (store, request) = (Arc::clone(store), desk.request(store.as_ref(), "orders"));
        async move { store.open(request).await.unwrap() }
    };
    let opened = at_once((0..MANY).map(open)).await;
    let new: Vec<_> = opened
        .iter()
        .filter_map(|opened| match opened {
            Opened::New(approval) => Some(approval.get().case().id),
            Opened::Attached(_) => None,
        })
        .collect();
    assert_eq!(new.len(), 1);
    for opened in &opened {
        assert!(
            matches!(opened, Opened::New(_)) || matches!(opened, Opened::Attached(to) if to.id == new[0])
        );
    }
}

pub(super) async fn one_of_a_hundred_claims(world: World) {
    let claim = |_| {
        let store = Arc::clone(&world.store);
        async move { store.claim("nonce:1", Span::from_seconds(60)).await.unwrap() }
    };
    let claims = at_once((0..MANY).map(claim)).await;
    assert_eq!(claims.iter().filter(|claimed| **claimed).count(), 1);
}

pub(super) async fn one_of_a_hundred_takes(world: World) {
    world.store.keep("code:1", b"value", Span::from_seconds(60)).await.unwrap();
    let take = |_| {
        let store = Arc::clone(&world.store);
        async move { store.take("code:1").await.unwrap() }
    };
    let taken = at_once((0..MANY).map(take)).await;
    assert_eq!(taken.into_iter().flatten().collect::<Vec<_>>(), [b"value".to_vec()]);
}
