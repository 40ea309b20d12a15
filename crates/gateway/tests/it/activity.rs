//! Permitted activity: every line stands under a digest in the log, whatever happens in between.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use domain::digest::{Digest, Purpose};
use domain::entry::{Draft, Kind};
use domain::time::Timestamp;
use gateway::GatewayError;
use gateway::store::{Leaves, Pruning};
use serde_json::Value;

use crate::between::Answers;
use crate::house::{Call, House, PATIENCE, PERMIT, eventually};

/// The segments that the log has leaves of, by file.
async fn sealed(house: &House) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (index, leaf) in house.leaves().await.iter().enumerate() {
        if leaf.kind == Kind::Activity {
            let entry = house.store().entry(index as u64).await.unwrap();
            let segment = &gateway::store::open_fields(&entry.fields)[0].value.0;
            let segment = domain::canonical::read_value(segment).unwrap();
            let file = segment["file"].as_str().unwrap().to_owned();
            assert!(found.insert(file.clone(), segment).is_none(), "{file} stands in the log twice");
        }
    }
    found
}

/// Every closed segment has a leaf with its digest and count, and every leaf its segment; how many lines there are.
async fn check(house: &House) -> usize {
    let mut leaves = sealed(house).await;
    let mut lines = 0;
    for file in std::fs::read_dir(house.activity_folder()).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        assert!(name.ends_with(".jsonl"), "`{name}` was left open");
        let bytes = std::fs::read(file.path()).unwrap();
        let leaf = leaves.remove(&name).unwrap_or_else(|| panic!("no leaf of `{name}`"));
        let count = bytes.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(leaf["digest"].as_str().unwrap(), Digest::of(Purpose::Segment, &bytes).to_string());
        assert_eq!(leaf["records"].as_u64().unwrap(), count as u64);
        lines += count;
    }
    assert!(leaves.is_empty(), "leaves without their segments: {leaves:?}");
    lines
}

fn open_segment(house: &House) -> std::path::PathBuf {
    let entries = std::fs::read_dir(house.activity_folder()).unwrap();
    let mut open: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    open.retain(|path| path.extension().is_some_and(|extension| extension == "open"));
    assert_eq!(open.len(), 1);
    open.remove(0)
}

#[tokio::test]
async fn a_stop_seals_what_was_permitted() {
    let mut house = House::usual(PERMIT).await;
    for n in 0..5 {
        house.permitted(&Call::get(&format!("queue-{n}"))).await;
    }
    house.gateway.stop(PATIENCE).await;
    house.fall_still();
    house.reopen().unwrap();
    assert_eq!(check(&house).await, 5);
}

#[tokio::test]
async fn a_line_names_who_what_and_by_which_rule() {
    let house = House::usual(PERMIT).await;
    house.permitted(&Call::get("orders")).await;
    let line = std::fs::read_to_string(open_segment(&house)).unwrap();
    let line = domain::canonical::read_value(line.trim_end().as_bytes()).unwrap();
    assert_eq!(line["effect"], "permit");
    assert_eq!(line["caller"], house.principal("bot").to_string());
    assert_eq!(line["behind"][0]["party"], house.principal("ada").to_string());
    assert_eq!(
        (line["verb"].as_str(), line["resource"]["name"].as_str()),
        (Some("http.get"), Some("queues/orders"))
    );
    assert_eq!(line["rules"][0], "all");
}

/// **Binding**, "Crash between run and log": a kill loses no line, and its segment is sealed as it is.
#[tokio::test]
async fn a_kill_loses_no_line() {
    let mut house = House::usual(PERMIT).await;
    for n in 0..7 {
        house.permitted(&Call::get(&format!("queue-{n}"))).await;
    }
    house.restart().await;
    assert_eq!(check(&house).await, 7);
    let leaves = sealed(&house).await;
    assert!(leaves.values().all(|leaf| leaf["recovered"] == true));
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off() {
    let mut house = House::usual(PERMIT).await;
    for n in 0..3 {
        house.permitted(&Call::get(&format!("queue-{n}"))).await;
    }
    house.kill().await;
    let path = open_segment(&house);
    std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .unwrap()
        .write_all(b"{\"v\":1,\"id\":\"01a3")
        .unwrap();
    house.reopen().unwrap();
    house.start().await;
    assert_eq!(check(&house).await, 3);
}

/// The clock stands still (or went back before a restart): a segment never takes the place of another.
#[tokio::test]
async fn segments_of_one_moment_stand_beside_each_other() {
    let mut house = House::usual(PERMIT).await;
    for _ in 0..4 {
        house.permitted(&Call::get("orders")).await;
        house.restart().await;
    }
    assert_eq!(check(&house).await, 4);
}

/// **Shell, MCP, operations**, "Store … fails: deny": a segment whose leaf could not be recorded gets it later.
#[tokio::test]
async fn a_segment_whose_leaf_was_not_recorded_gets_it_later() {
    let mut house = House::usual(PERMIT).await;
    house.permitted(&Call::get("orders")).await;
    let caller = house.caller("bot").await;
    house.between.fail(true);
    house.later(61);
    // Its line fills the segment's time, and the leaf cannot be recorded: it does not run. (Or the sweep was there
    // first, and failed.)
    let _ = house.decide(&caller, &Call::get("invoices")).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    assert!(sealed(&house).await.is_empty());
    house.between.fail(false);
    eventually("the leaf is recorded", async || !sealed(&house).await.is_empty()).await;
    house.restart().await;
    assert!(check(&house).await >= 1);
}

/// The log is slow: segments wait for it, up to a limit; then whoever asks waits too, and is refused in the end.
#[tokio::test]
async fn too_many_segments_behind_the_log_hold_up_what_comes_next() {
    let mut house = House::usual(PERMIT).await;
    house.between.stall(true);
    let mut permitted = 0;
    loop {
        let call = Call::get(&format!("queue-{permitted}"));
        let asking = house.permitted(&call);
        // Longer than a permit takes anywhere, and shorter than the gateway's own patience.
        if tokio::time::timeout(std::time::Duration::from_secs(3), asking).await.is_err() {
            break;
        }
        permitted += 1;
        // The next line finds the segment's time over, unless the sweep was there first.
        house.later(61);
        assert!(permitted <= 2 * gateway::limits::SEGMENTS_BEHIND, "nothing holds it up");
    }
    assert!(permitted >= gateway::limits::SEGMENTS_BEHIND);
    let caller = house.caller("bot").await;
    match house.decide(&caller, &Call::get("orders")).await {
        Err(GatewayError::Unavailable(why)) => assert!(why.contains("4 segments wait"), "{why}"),
        other => panic!("not refused: {other:?}"),
    }
    let late = Call::get("late");
    tokio::join!(house.permitted(&late), async { house.between.stall(false) });
    house.gateway.stop(PATIENCE).await;
    house.fall_still();
    house.reopen().unwrap();
    assert_eq!(check(&house).await, permitted + 1);
}

/// The same where it was killed before the log came back.
#[tokio::test]
async fn a_segment_whose_leaf_was_not_recorded_before_a_kill_gets_it_after() {
    let mut house = House::usual(PERMIT).await;
    house.permitted(&Call::get("orders")).await;
    house.between.fail(true);
    house.later(61);
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    house.restart().await;
    assert_eq!(check(&house).await, 1);
}

/// Killed after its leaf was committed and before its file had its name: it has that one leaf, by which it is found.
#[tokio::test]
async fn a_segment_that_had_its_leaf_before_a_kill_gets_no_second() {
    let mut house = House::usual(PERMIT).await;
    house.permitted(&Call::get("orders")).await;
    house.between.answers(Answers::Never);
    house.later(61);
    eventually("the leaf stands", async || sealed(&house).await.len() == 1).await;
    let open = open_segment(&house);
    house.restart().await;
    assert_eq!(check(&house).await, 1);
    let (leaves, date) = (house.leaves().await, open.with_extension("jsonl").metadata().unwrap());
    let leaf = leaves.iter().find(|leaf| leaf.kind == Kind::Activity).unwrap();
    let date = date.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(date.as_micros(), u128::from(leaf.time.micros()), "it goes when its leaf's values do");
}

/// The same where the machine's clock was set back between the last line and the leaf.
#[tokio::test]
async fn a_leaf_that_is_dated_before_its_segment_is_found() {
    let mut house = House::usual(PERMIT).await;
    house.permitted(&Call::get("orders")).await;
    house.kill().await;
    let open = open_segment(&house);
    let ahead = std::fs::read_to_string(&open).unwrap().replace("\"time\":18", "\"time\":19");
    std::fs::write(&open, ahead).unwrap();
    for _ in 0..2 {
        house.reopen().unwrap();
        house.start().await;
        assert_eq!(check(&house).await, 1);
        house.kill().await;
        std::fs::rename(open.with_extension("jsonl"), &open).unwrap();
    }
}

/// The commit stood, and its answer did not come: it is looked for before it is written again.
#[tokio::test]
async fn a_segment_whose_leafs_answer_was_lost_gets_no_second() {
    let mut house = House::usual(PERMIT).await;
    house.permitted(&Call::get("orders")).await;
    house.between.answers(Answers::AreLost);
    house.later(61);
    eventually("the leaf stands", async || sealed(&house).await.len() == 1).await;
    house.between.answers(Answers::Arrive);
    eventually("it was found", async || house.activity_folder().read_dir().unwrap().all(is_closed)).await;
    assert_eq!(check(&house).await, 1);
    house.restart().await;
    assert_eq!(check(&house).await, 1);
}

fn is_closed(file: std::io::Result<std::fs::DirEntry>) -> bool {
    file.unwrap().path().extension().is_some_and(|extension| extension == "jsonl")
}

/// Whoever follows the trail live is not kept waiting for a minute.
#[tokio::test]
async fn a_segment_is_sealed_soon_while_somebody_follows_or_is_sent() {
    let house = House::usual(PERMIT).await;
    let permits = async |seconds: u64| {
        house.permitted(&Call::get("first")).await;
        house.later(seconds);
        house.permitted(&Call::get("second")).await;
    };
    permits(30).await;
    assert!(sealed(&house).await.is_empty(), "nobody waits for it");
    let following = house.gateway.follow_activity();
    permits(3).await;
    eventually("sealed", async || sealed(&house).await.len() == 1).await;
    drop(following);
    permits(3).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(sealed(&house).await.len(), 1, "nobody follows any more");
    house.gateway.send_activity();
    permits(11).await;
    eventually("sealed", async || sealed(&house).await.len() >= 2).await;
}

/// With the values of its leaf, a segment goes too; the leaf stays, and the log says what was pruned.
#[tokio::test]
async fn segments_go_with_their_pruned_leaves_and_no_sooner() {
    let house = House::usual(PERMIT).await;
    let one = async || {
        house.permitted(&Call::get("orders")).await;
        house.later(61);
        house.permitted(&Call::get("orders")).await;
    };
    let fill = async || {
        let note = |n: usize| Draft {
            kind: Kind::Gap,
            subject: None,
            fields: vec![("reason".to_owned(), n.to_string().into_bytes())],
        };
        let records = (0..300).map(|n| {
            let (store, note) = (Arc::clone(house.gateway.store()), note(n));
            tokio::spawn(async move { store.record(note).await.unwrap() })
        });
        for record in records.collect::<Vec<_>>() {
            record.await.unwrap();
        }
    };
    let files = || std::fs::read_dir(house.activity_folder()).unwrap().count();
    one().await;
    eventually("sealed", async || sealed(&house).await.len() == 1).await;
    house.later(2 * 3_600);
    fill().await;
    house.later(86_400);
    one().await;
    eventually("sealed", async || sealed(&house).await.len() == 2).await;
    fill().await;
    assert_eq!(house.gateway.drop_pruned_activity().await.unwrap(), 0, "nothing was pruned");
    let before = Timestamp::from_micros(house.store().now().micros() - 3_600 * 1_000_000);
    let pruning =
        Pruning { before, leaves: Leaves::Keep, by: "the test".to_owned(), policy: "a day".to_owned() };
    assert!(house.store().prune(pruning).await.unwrap().is_some());
    eventually("dropped", async || house.gateway.drop_pruned_activity().await.unwrap() == 0 && files() == 1)
        .await;
    let leaves = house.leaves().await;
    assert_eq!(leaves.iter().filter(|leaf| leaf.kind == Kind::Activity).count(), 2, "leaves stay");
    assert!(leaves.iter().any(|leaf| leaf.kind == Kind::Pruning));
}

/// Segments are not sealed as values of the store are: what agents write freely stands in them masked.
#[tokio::test]
async fn what_agents_write_freely_stands_in_segments_masked() {
    let house = House::usual(PERMIT).await;
    let mut call = Call::get("orders");
    call.reason = Some("with AKIAIOSFODNN7EXAMPLE for ann@example.org".to_owned());
    house.permitted(&call).await;
    let line = std::fs::read_to_string(open_segment(&house)).unwrap();
    assert!(line.contains("with [masked: API key] for [masked: e-mail]"), "{line}");
    assert!(!line.contains("AKIA") && !line.contains("ann@"), "{line}");
}
