use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::time::Timestamp;
use proptest::prelude::*;
use tokio::sync::watch;

use super::house::{House, START, finished, permit};
use crate::event::Place;
use crate::event::walk::Part;
use crate::export::Ocsf;
use crate::limits::{LEASE_SECONDS, PAUSE_LONGEST};
use crate::sink::config::{SecretRef, check_all};
use crate::sink::courier::{Courier, holding};
use crate::sink::lease::Lease;
use crate::sink::pause::pause;
use crate::sink::{Appetite, Delivered, Failure, Parcel, Sink, SinkConfig, Sinks, Source, cursor};

fn config(to: &str) -> SinkConfig {
    #[derive(serde::Deserialize)]
    struct File {
        sinks: Vec<SinkConfig>,
    }
    let text = format!("[[sinks]]\nname = \"siem\"\n{to}");
    toml::from_str::<File>(&text).unwrap().sinks.remove(0)
}

fn source(house: &House) -> Source {
    let store = Arc::clone(&house.store);
    Source { store, activity: house.folder(), ocsf: Ocsf::default(), node: None }
}

/// What a receiver has, in the order in which it took it.
type Taken = Arc<Mutex<Vec<String>>>;

/// A receiver that takes what its plan says, again and again: so many of a batch, and then fails.
struct Moody {
    plan: Vec<usize>,
    turn: usize,
    taken: Taken,
}

#[async_trait]
impl Sink for Moody {
    fn appetite(&self) -> Appetite {
        Appetite { events: 3, bytes: 1 << 20, linger: Duration::ZERO }
    }

    async fn deliver(&mut self, batch: &[Parcel], _now: Timestamp) -> Delivered {
        let count = self.plan[self.turn % self.plan.len()].min(batch.len());
        self.turn += 1;
        let ids = batch[..count].iter().map(|parcel| parcel.told.event.id.clone());
        self.taken.lock().unwrap().extend(ids);
        match count == batch.len() {
            true => Delivered::all(batch),
            false => Delivered::partly(count, Failure::new("not now")),
        }
    }
}

async fn feed(house: &House, plan: &[usize], taken: &Taken, until: usize) {
    let sink = Moody { plan: plan.to_vec(), turn: 0, taken: Arc::clone(taken) };
    let config = config("to = { file = { folder = \"unused\" } }");
    let courier = Courier::new(&config, Part::All, Box::new(sink), source(house));
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(courier.run(stopped));
    for _ in 0..4_000 {
        if taken.lock().unwrap().len() >= until {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send(true).unwrap();
    running.await.unwrap();
}

async fn busy() -> House {
    let house = House::new();
    for n in 0..4 {
        house.gap(&format!("gap {n}")).await;
        house.segment(&[permit(20 + n), finished(20 + n)]).await;
    }
    house
}

#[tokio::test]
async fn a_moody_receiver_gets_everything_in_order() {
    let house = busy().await;
    let all: Vec<_> = house.all(Place::default(), 100).await.into_iter().map(|event| event.id).collect();
    let taken = Taken::default();
    feed(&house, &[1, 3, 3, 3, 2, 3], &taken, all.len()).await;
    assert_eq!(*taken.lock().unwrap(), all, "each once, since nothing was lost on its way");
}

#[tokio::test]
async fn a_sink_goes_on_where_it_was_after_a_stop() {
    let house = busy().await;
    let all: Vec<_> = house.all(Place::default(), 100).await.into_iter().map(|event| event.id).collect();
    let taken = Taken::default();
    for until in [4, 9, all.len()] {
        feed(&house, &[3], &taken, until).await;
    }
    assert_eq!(*taken.lock().unwrap(), all);
}

#[tokio::test]
async fn what_was_taken_and_not_noted_comes_again_with_the_same_id() {
    let house = busy().await;
    let all: Vec<_> = house.all(Place::default(), 100).await.into_iter().map(|event| event.id).collect();
    let taken = Taken::default();
    feed(&house, &[3], &taken, all.len()).await;
    // As a kill between the delivery and the note leaves it.
    cursor::save(&*house.store, &cursor::key("siem", None), Place { index: 2, line: 1 }).await.unwrap();
    feed(&house, &[3], &taken, all.len() * 2 - 3).await;
    let taken = taken.lock().unwrap();
    assert_eq!(taken.iter().collect::<BTreeSet<_>>(), all.iter().collect());
    assert_eq!(taken[all.len()..], all[3..]);
}

#[tokio::test]
async fn a_sink_that_begins_now_is_told_of_nothing_before() {
    let house = busy().await;
    let config = config("start = \"now\"\nto = { file = { folder = \"unused\" } }");
    let taken = Taken::default();
    let sink = Moody { plan: vec![3], turn: 0, taken: Arc::clone(&taken) };
    let courier = Courier::new(&config, Part::All, Box::new(sink), source(&house));
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(courier.run(stopped));
    while house.store.look(&cursor::key("siem", None)).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.gap("afterwards").await;
    while taken.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send(true).unwrap();
    running.await.unwrap();
    assert_eq!(taken.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn files_turn_at_their_size_and_a_torn_line_is_written_anew() {
    let house = busy().await;
    let folder = house.path("out");
    let one = config(&format!("to = {{ file = {{ folder = {folder:?}, rotate_bytes = 2000 }} }}"));
    let ids = |folder: &std::path::Path| {
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        let lines = text.lines().map(|line| domain::canonical::read_value(line.as_bytes()).unwrap());
        let ids: Vec<_> = lines.map(|line| line["id"].as_str().unwrap().to_owned()).collect();
        (files, ids)
    };
    let all: Vec<_> = house.all(Place::default(), 100).await.into_iter().map(|event| event.id).collect();
    let run = async |end: &str| {
        let sinks = Sinks::start(std::slice::from_ref(&one), &source(&house)).unwrap();
        for _ in 0..1_000 {
            if sinks.status(0)[0].next == end {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sinks.stop(Duration::from_secs(5)).await;
        assert_eq!(sinks.status(0)[0].next, end);
    };
    run("9").await;
    let (files, found) = ids(&folder);
    assert_eq!(found, all);
    assert!(files.len() > 2, "{files:?}");
    let last = files.last().unwrap();
    let mut text = std::fs::read(last).unwrap();
    text.extend_from_slice(b"{\"id\":\"torn");
    std::fs::write(last, text).unwrap();
    house.gap("one more").await;
    run("10").await;
    assert_eq!(ids(&folder).1.len(), all.len() + 1);
}

/// A gateway that was slow to deliver, and lost its lease meanwhile, must not send the next one back.
#[tokio::test]
async fn a_place_never_goes_back_by_a_late_note() {
    let house = House::new();
    let (key, store) = (cursor::key("siem", None), &*house.store);
    let place = |index, line| Place { index, line };
    for (noted, kept) in [
        (place(5, 0), place(5, 0)),
        (place(9, 3), place(9, 3)),
        (place(7, 0), place(9, 3)),
        (place(9, 2), place(9, 3)),
        (place(9, 4), place(9, 4)),
    ] {
        cursor::advance(store, &key, noted).await.unwrap();
        assert_eq!(cursor::load(store, &key).await.unwrap(), Some(kept));
    }
}

/// A delivery that takes many times as long as a lease is for.
#[tokio::test]
async fn whoever_delivers_keeps_the_lease_however_long_it_takes() {
    let house = House::new();
    let store = &*house.store;
    let (mut one, mut other) = (Lease::new("siem"), Lease::new("siem"));
    assert!(one.holds(store, store.now()).await.unwrap());
    let terms = 5;
    let delivery = async {
        for second in 1..LEASE_SECONDS * terms {
            house.clock.set(Timestamp::from_micros(START + second * 1_000_000));
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(!other.holds(store, store.now()).await.unwrap(), "{second}");
        }
    };
    holding(Some(&mut one), store, Duration::from_millis(10), delivery).await;
    assert!(one.holds(store, store.now()).await.unwrap());
}

#[tokio::test]
async fn one_gateway_at_a_time_feeds_a_sink() {
    let house = House::new();
    let (mut one, mut other) = (Lease::new("siem"), Lease::new("siem"));
    let store = &*house.store;
    let at = |seconds: u64| {
        let now = Timestamp::from_micros(START + seconds * 1_000_000);
        house.clock.set(now);
        now
    };
    assert!(one.holds(store, at(0)).await.unwrap());
    assert!(!other.holds(store, at(1)).await.unwrap());
    // Whoever has it keeps it, term after term.
    for second in 2..LEASE_SECONDS * 3 {
        assert!(one.holds(store, at(second)).await.unwrap(), "{second}");
        assert!(!other.holds(store, at(second)).await.unwrap(), "{second}");
    }
    // One that is gone loses it: within two terms the other has it, and only the other.
    let mut taken = None;
    for second in LEASE_SECONDS * 3..LEASE_SECONDS * 6 {
        if taken.is_none() && other.holds(store, at(second)).await.unwrap() {
            taken = Some(second);
        }
    }
    assert!(taken.is_some_and(|second| second <= LEASE_SECONDS * 5), "{taken:?}");
    assert!(!one.holds(store, at(LEASE_SECONDS * 5 - 1)).await.unwrap());
}

#[test]
fn a_configuration_that_cannot_be_is_refused_at_start() {
    let build = |to: &str| config(to).build(&super::house::origin()).err().map(|error| error.to_string());
    let secret = "secret = { env = \"COUNTERSIGN_TEST_NO_SUCH_VARIABLE\" }";
    let unset = build(&format!("to = {{ webhook = {{ url = \"https://x.example/\", {secret} }} }}")).unwrap();
    assert!(unset.contains("is not set"), "{unset}");
    let facility = build("to = { syslog = { host = \"x.example\", facility = 24 } }").unwrap();
    assert!(facility.contains("0 to 23"), "{facility}");
    let half = build("to = { syslog = { host = \"x.example\", certificate = \"a.pem\" } }").unwrap();
    assert!(half.contains("go together"), "{half}");
    let twice =
        vec![config("to = { file = { folder = \"a\" } }"), config("to = { file = { folder = \"b\" } }")];
    assert!(check_all(&twice).unwrap_err().to_string().contains("two sinks"));
}

#[test]
fn a_secret_is_read_from_its_file_and_never_printed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "whsec_abc\n").unwrap();
    let secret = SecretRef::File(path.clone()).read().unwrap();
    assert_eq!(secret.expose(), "whsec_abc");
    assert_eq!(format!("{secret:?}"), "Secret(..)");
    std::fs::write(&path, "\n").unwrap();
    assert!(SecretRef::File(path).read().is_err());
}

proptest! {
    #[test]
    fn pauses_grow_to_a_minute_and_never_beyond(failures in 0_u32..100, random: u32, asked in 0_u64..10_000) {
        let pause = pause(failures, random, Some(Duration::from_secs(asked)));
        prop_assert!(pause <= PAUSE_LONGEST);
        prop_assert!(pause >= Duration::from_millis(250));
        prop_assert!(pause >= Duration::from_secs(asked).min(PAUSE_LONGEST));
        if failures > 10 {
            prop_assert!(pause >= PAUSE_LONGEST / 2);
        }
    }
}
