//! Permitted activity: every line stands under a digest in the log, whatever happens in between.

use std::collections::BTreeMap;
use std::io::Write as _;

use domain::digest::{Digest, Purpose};
use domain::entry::Kind;
use serde_json::Value;

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
