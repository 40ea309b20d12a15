use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use audit::witness::AddCheckpoint;
use audit::{Policy, PolicyText};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::support::*;
use crate::witness::*;

struct Scene {
    log: Arc<TestLog>,
    net: Arc<Net>,
    folders: Vec<TempDir>,
    witnesses: Vec<Arc<Witness>>,
}

impl Scene {
    /// A log, and honest witnesses.
    fn new(size: u64, witnesses: u8) -> Self {
        let (log, net) = (TestLog::of_size(size), Arc::new(Net::default()));
        let folders: Vec<_> = (0..witnesses).map(|_| TempDir::new().unwrap()).collect();
        let witnesses: Vec<_> =
            (1..).zip(&folders).map(|(seed, folder)| open_witness(folder.path(), seed)).collect();
        (1..).zip(&witnesses).for_each(|(seed, witness)| net.witness(seed, witness));
        Self { log, net, folders, witnesses }
    }

    fn client(&self, policy: Policy) -> (Client, Cosigned) {
        let log: Arc<dyn WitnessedLog> = Arc::clone(&self.log) as _;
        Client::new(policy, vec![log_key()], log, Arc::clone(&self.net) as _).unwrap()
    }
}

fn size(view: &Cosigned) -> Option<u64> {
    view.latest().map(|verdict| verdict.checkpoint().checkpoint().size())
}

fn named(view: &Cosigned) -> Vec<(String, Standing)> {
    view.standings().into_iter().map(|(name, standing)| (name.to_string(), standing)).collect()
}

fn cosigned(size: u64) -> Standing {
    Standing::Cosigned { size, time: audit::CosignatureTime::new(NOW).unwrap() }
}

#[tokio::test(start_paused = true)]
async fn a_quorum_cosigns_and_the_checkpoint_carries_them_all() {
    let scene = Scene::new(5, 3);
    let (mut client, view) = scene.client(policy(3, 2));
    assert_eq!((size(&view), named(&view)[0].1.clone()), (None, Standing::Untried));
    client.start().await.unwrap();
    let verdict = view.latest().unwrap();
    assert!(verdict.quorum_is_met());
    assert_eq!(verdict.checkpoint().note().signatures().len(), 4);
    assert_eq!(named(&view), ["w1", "w2", "w3"].map(|name| (name.to_owned(), cosigned(5))));
    // What witnesses are shown has the log's signature alone.
    let asked = scene.net.asked.lock().unwrap().clone();
    assert!(
        asked.iter().all(|(_, body)| AddCheckpoint::parse(body.as_bytes())
            .unwrap()
            .checkpoint()
            .signatures()
            .len()
            == 1)
    );
    assert_eq!(asked.len(), 3);

    // The log grows: the next round proves it from what each witness knows, in one question each.
    scene.log.become_(Leaves::of_size(9));
    client.start().await.unwrap();
    assert_eq!((size(&view), scene.net.count()), (Some(9), 6));
    // Nothing new: nobody is asked.
    client.start().await.unwrap();
    assert_eq!(scene.net.count(), 6);
    // An old cosignature over a log that stands still is renewed.
    tokio::time::advance(limits::REFRESH).await;
    client.start().await.unwrap();
    assert_eq!((size(&view), scene.net.count()), (Some(9), 9));
    assert_eq!(view.latest().unwrap().checkpoint().note().signatures().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_begins_anew_finds_out_what_witnesses_know() {
    let scene = Scene::new(5, 1);
    scene.client(policy(1, 1)).0.start().await.unwrap();
    scene.log.become_(Leaves::of_size(12));
    let (mut client, view) = scene.client(policy(1, 1));
    client.start().await.unwrap();
    assert_eq!(size(&view), Some(12));
    let olds: Vec<_> = scene
        .net
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|(_, body)| body.lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(olds, ["old 0", "old 0", "old 5"]);
}

#[tokio::test(start_paused = true)]
async fn a_witness_that_is_ahead_stops_the_log() {
    let scene = Scene::new(9, 2);
    scene.client(policy(2, 1)).0.start().await.unwrap();
    // An old backup.
    scene.log.become_(Leaves::of_size(6));
    let (mut client, view) = scene.client(policy(2, 1));
    let ahead = ClientError::Ahead { witness: view.standings()[0].0.clone(), theirs: 9, ours: 6 };
    assert_eq!(client.start().await, Err(ahead.clone()));
    assert!(ahead.to_string().contains("cosigned this log at size 9, and the log has 6 entries"));
    assert_eq!(view.latest(), None);
    assert!(view.standings().iter().all(|(_, standing)| standing.is_alarm()));
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_grew_past_the_witness_is_found_too() {
    for (grown, at) in [(20, 6), (9, 6), (20, 0), (20, 8)] {
        let scene = Scene::new(9, 1);
        scene.client(policy(1, 1)).0.start().await.unwrap();
        scene.log.become_(Leaves::forked(grown, at));
        let (mut client, view) = scene.client(policy(1, 1));
        let stopped = client.start().await;
        assert!(matches!(stopped, Err(ClientError::Disagrees { theirs: 9, .. })), "{grown} {at} {stopped:?}");
        assert_eq!(view.latest(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_alarm_while_running_ends_the_run() {
    let scene = Scene::new(9, 1);
    let (mut client, mut view) = scene.client(policy(1, 1));
    client.start().await.unwrap();
    assert!(view.changed().await.is_some());
    scene.log.become_(Leaves::forked(11, 4));
    let (_stop, stopped) = oneshot::channel::<()>();
    let ended = client.run(Duration::from_secs(5), async { drop(stopped.await) }).await;
    assert!(matches!(ended, Err(ClientError::Disagrees { .. })), "{ended:?}");
    assert_eq!(size(&view), Some(9));
    assert_eq!(view.changed().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_quicker_gateway_of_the_same_log_is_no_alarm() {
    let scene = Scene::new(9, 1);
    scene.client(policy(1, 1)).0.start().await.unwrap();
    // This one read the head before the other's entries were in.
    scene.log.stale.lock().unwrap().push(Leaves::of_size(7).signed().note().to_string());
    let (mut client, view) = scene.client(policy(1, 1));
    client.start().await.unwrap();
    assert_eq!((size(&view), named(&view)[0].1.clone()), (Some(9), cosigned(9)));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_hears_late_of_the_others_is_no_alarm() {
    let scene = Scene::new(9, 1);
    scene.client(policy(1, 1)).0.start().await.unwrap();
    // It has not heard for seconds, and then it has.
    let late = Leaves::of_size(7).signed().note().to_string();
    scene.log.stale.lock().unwrap().extend(vec![late; limits::BEHIND_LOOKS as usize]);
    let (mut client, view) = scene.client(policy(1, 1));
    client.start().await.unwrap();
    assert_eq!((size(&view), named(&view)[0].1.clone()), (Some(9), cosigned(9)));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_answer_is_contradicted_by_nobody() {
    let scene = Scene::new(9, 1);
    scene.client(policy(1, 1)).0.start().await.unwrap();
    // What this process remembers is old, and the store cannot be asked.
    scene.log.become_(Leaves::of_size(7));
    scene.log.silent.store(true, Ordering::Relaxed);
    let (mut client, view) = scene.client(policy(1, 1));
    assert!(matches!(client.start().await, Err(ClientError::Head(_))));
    assert!(!named(&view)[0].1.is_alarm());
    // Once it can be, the alarm is true.
    scene.log.silent.store(false, Ordering::Relaxed);
    assert!(matches!(client.start().await, Err(ClientError::Ahead { theirs: 9, ours: 7, .. })));
}

#[tokio::test(start_paused = true)]
async fn witnesses_that_fail_are_left_alone_longer_and_longer() {
    let scene = Scene::new(5, 1);
    scene.net.host(2, |_| Err(TransportError("refused".into())));
    let (mut client, view) = scene.client(policy(2, 1));
    client.start().await.unwrap();
    assert_eq!(named(&view)[1].1, Standing::Unreachable { why: "refused".into() });
    assert_eq!(scene.net.count(), 2);
    let mut pauses = Vec::new();
    let mut waited = Duration::ZERO;
    while pauses.len() < 12 {
        tokio::time::advance(Duration::from_secs(1)).await;
        waited += Duration::from_secs(1);
        let before = scene.net.asked.lock().unwrap().iter().filter(|(url, _)| url.contains("w2")).count();
        client.start().await.unwrap();
        let after = scene.net.asked.lock().unwrap().iter().filter(|(url, _)| url.contains("w2")).count();
        if after > before {
            pauses.push(waited.as_secs());
            waited = Duration::ZERO;
        }
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    // The witness comes back.
    let folder = TempDir::new().unwrap();
    scene.net.witness(2, &open_witness(folder.path(), 2));
    tokio::time::advance(limits::BACKOFF_LIMIT).await;
    client.start().await.unwrap();
    assert_eq!(named(&view)[1].1, cosigned(5));
    assert_eq!(view.latest().unwrap().checkpoint().note().signatures().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_quorum_the_last_good_checkpoint_stays() {
    let scene = Scene::new(5, 2);
    let (mut client, view) = scene.client(policy(2, 2));
    client.start().await.unwrap();
    scene.net.host(2, |_| reply(503, "text/plain", "busy\n"));
    scene.log.become_(Leaves::of_size(8));
    client.start().await.unwrap();
    assert_eq!(size(&view), Some(5));
    assert_eq!(named(&view)[1].1, Standing::Unreachable { why: "it answered 503: busy".into() });
    // It answers again: the head that the first has cosigned already gets the second line.
    scene.net.witness(2, &scene.witnesses[1]);
    tokio::time::advance(limits::BACKOFF).await;
    client.start().await.unwrap();
    assert_eq!(size(&view), Some(8));
    assert_eq!(view.latest().unwrap().checkpoint().note().signatures().len(), 3);
    assert_eq!(scene.folders.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn answers_that_prove_nothing_count_for_nothing() {
    let good = |seed: u8, leaves: Leaves| {
        let line =
            witness_signer(seed).cosign(&leaves.signed(), audit::CosignatureTime::new(NOW).unwrap()).unwrap();
        format!("{line}\n")
    };
    let (ours, others) = (Leaves::of_size(5), Leaves::of_size(4));
    for (status, kind, body) in [
        // Another witness's line, a line over another head, and the log's own.
        (200, "text/plain", good(2, ours.clone())),
        (200, "text/plain", good(1, others)),
        (200, "text/plain", format!("{}\n", ours.signed().note().signatures()[0])),
        (200, "text/plain", String::new()),
        (200, "text/plain", "yes\n".into()),
        (204, "text/plain", String::new()),
        (302, "text/plain", String::new()),
        (403, "text/plain", "no\n".into()),
        (404, "text/plain", "no\n".into()),
        (422, "text/plain", "no\n".into()),
        (409, "text/plain", "5\n".into()),
        (409, "text/x.tlog.size", "five\n".into()),
        // The very size that it was asked from, which is no tree of the head's size.
        (409, "text/x.tlog.size", "0\n".into()),
        (409, "text/x.tlog.size", "3\n".into()),
        (500, "text/plain", "<html>".into()),
    ] {
        let scene = Scene::new(5, 0);
        let said = body.clone();
        scene.net.host(1, move |_| reply(status, kind, &said));
        let (mut client, view) = scene.client(policy(1, 1));
        client.start().await.unwrap();
        assert_eq!(view.latest(), None, "{status} {body}");
        assert!(!named(&view)[0].1.is_alarm());
    }
    // Lines by others beside its own do no harm.
    let scene = Scene::new(5, 0);
    let both = format!("{}{}", good(2, ours.clone()), good(1, ours));
    scene.net.host(1, move |_| reply(200, "text/plain", &both));
    let (mut client, view) = scene.client(policy(1, 1));
    client.start().await.unwrap();
    assert_eq!(view.latest().unwrap().checkpoint().note().signatures().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_witness_that_never_decides_is_given_up() {
    let scene = Scene::new(50, 0);
    let size = std::sync::atomic::AtomicU64::new(0);
    scene.net.host(1, move |_| {
        let known = size.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        reply(409, "text/x.tlog.size", &format!("{known}\n"))
    });
    let (mut client, view) = scene.client(policy(1, 1));
    client.start().await.unwrap();
    assert_eq!(scene.net.count(), limits::CONFLICTS_LIMIT);
    assert!(matches!(named(&view)[0].1, Standing::Unreachable { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_the_log_did_not_sign_is_shown_to_nobody() {
    let scene = Scene::new(5, 1);
    let stranger = audit::Ed25519Signer::new(ORIGIN.parse().unwrap(), &[9; 32]);
    let tree = Leaves::of_size(5).signed().checkpoint().clone();
    let forged = tree.sign(&[&stranger]).unwrap().note().to_string();
    scene.log.stale.lock().unwrap().push(forged);
    let (mut client, _) = scene.client(policy(1, 1));
    assert!(matches!(client.start().await, Err(ClientError::Head(_))));
    assert_eq!(scene.net.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_asks_at_every_turn_and_when_nudged() {
    let scene = Scene::new(5, 1);
    let (client, mut view) = scene.client(policy(1, 1));
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(client.run(Duration::from_secs(60), async { drop(stopped.await) }));
    view.nudge();
    assert_eq!(view.changed().await.unwrap().checkpoint().checkpoint().size(), 5);
    scene.log.become_(Leaves::of_size(6));
    let start = tokio::time::Instant::now();
    assert_eq!(view.changed().await.unwrap().checkpoint().checkpoint().size(), 6);
    assert_eq!(start.elapsed().as_secs(), 60);
    stop.send(()).unwrap();
    assert_eq!(running.await.unwrap(), Ok(()));
    assert_eq!(size(&view), Some(6));
}

#[test]
fn policies_that_cannot_work_are_refused_at_once() {
    let new = |text: &str| {
        let policy = Policy::parse(text.as_bytes()).unwrap();
        Client::new(policy, vec![log_key()], TestLog::of_size(1) as _, Arc::new(Net::default()) as _).err()
    };
    let key = witness_key(1);
    assert_eq!(new(&format!("witness a {key}\nquorum a\n")), Some(ClientError::Unreachable));
    assert_eq!(new(&format!("witness a {key}\nquorum none\n")), None);
    assert_eq!(new(&format!("witness a {key} https://a.example/w\nquorum a\n")), None);
    let odd = new(&format!("witness a {key} ftp://a.example\nquorum a\n")).unwrap();
    let named = |name: &PolicyText| name.to_string() == "a";
    assert!(matches!(&odd, ClientError::Address { witness, .. } if named(witness)), "{odd}");
}
