use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::directory::{Change, DirectoryEvent};
use domain::outcome::Witnessed;
use serde_json::json;

use super::house::{House, finished, id, permit};
use crate::event::walk::Part;
use crate::event::{Place, TrailEvent, Walk, event_id};

fn kinds(events: &[TrailEvent]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

async fn usual() -> House {
    let house = House::new();
    house.gap("one").await;
    house.segment(&[permit(20), permit(21), finished(20), finished(21), finished(99)]).await;
    house.gap("two").await;
    house
}

#[tokio::test]
async fn entries_and_lines_are_told_in_their_order() {
    let house = usual().await;
    let events = house.all(Place::default(), 3).await;
    let lines =
        ["activity.permit", "activity.permit", "activity.outcome", "activity.outcome", "activity.outcome"];
    assert_eq!(kinds(&events), [&["genesis", "gap", "activity"][..], &lines, &["gap"]].concat());
    // An outcome is told with what its permit said, and one whose permit is nowhere is told all the same.
    assert_eq!(events[5].resource.as_deref(), Some("queues/20"));
    assert_eq!(events[5].verb.as_deref(), Some("http.get"));
    assert!(events[7].resource.is_none() && events[7].approval == Some(id(99).to_string()));
    let log = events[4].log.unwrap();
    assert_eq!((log.index, log.line, log.size), (2, Some(2), 4));
    assert_eq!(log.leaf, events[2].log.unwrap().leaf, "a line stands under its segment's leaf");
    assert!(
        events
            .iter()
            .all(|event| event.id
                == event_id(&event.origin, event.log.unwrap().index, event.log.unwrap().line))
    );
}

#[tokio::test]
async fn the_way_goes_on_from_every_place_as_it_began() {
    let house = usual().await;
    let whole = house.all(Place::default(), 100).await;
    for page in [1, 2, 5, 6, 100] {
        let mut walk = house.walk(Place::default());
        let (mut told, mut seen) = (Vec::new(), 0);
        loop {
            let next = walk.next(page, None).await.unwrap();
            if next.is_empty() {
                break;
            }
            for one in next {
                told.push(one.event);
                seen += 1;
                assert_eq!(house.all(one.next, page).await, whole[seen..], "from {} on", one.next);
            }
        }
        assert_eq!(told, whole, "in pages of {page}");
    }
}

#[tokio::test]
async fn of_an_altered_segment_nothing_is_told_but_that() {
    let house = House::new();
    let file = house.segment(&[permit(20), permit(21)]).await;
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("queues/21", "queues/22")).unwrap();
    assert_eq!(kinds(&house.all(Place::entry(1), 10).await), ["activity", "activity.altered"]);
    std::fs::write(&file, text.lines().next().unwrap()).unwrap();
    assert_eq!(kinds(&house.all(Place::entry(1), 10).await), ["activity", "activity.altered"]);
    std::fs::remove_file(&file).unwrap();
    house.gap("after").await;
    assert_eq!(kinds(&house.all(Place::entry(1), 10).await), ["activity", "activity.missing", "gap"]);
}

#[tokio::test]
async fn a_report_is_told_as_reported_and_a_line_that_does_not_read_as_such() {
    let house = House::new();
    let caller = permit(1)["caller"].clone();
    let report = json!({
        "v": 1, "id": id(30), "time": 1, "effect": "reported", "caller": caller, "behind": [],
        "event": {
            "form": "otlp", "kind": "gen_ai.choice", "source": "bot", "event": null, "subject": "gpt-x",
            "occurred": 5, "severity": null, "trace": null, "attributes": { "gen_ai.usage.input_tokens": 12 },
            "data": { "text": "hello" },
        },
    });
    let mut liar = report.clone();
    liar["event"]["witnessed"] = "observed".into();
    house.segment(&[report, liar, json!({ "effect": "permit" })]).await;
    let events = house.all(Place::entry(1), 10).await;
    assert_eq!(kinds(&events)[1..], ["activity.reported", "activity.unreadable", "activity.unreadable"]);
    assert_eq!(events[1].witnessed, Witnessed::Reported);
    assert_eq!(events[1].verb.as_deref(), Some("model.call"));
    assert!(events[1].who.agent.is_some());
}

#[tokio::test]
async fn a_secret_in_an_agents_words_is_masked_on_its_way_out() {
    let house = House::new();
    let mut line = permit(20);
    line["reason"] = "use the key AKIAIOSFODNN7EXAMPLE for it".into();
    line["resource"]["name"] = "users/ada@corp.example.com".into();
    house.segment(&[line]).await;
    let event = house.all(Place { index: 1, line: 1 }, 10).await.remove(0);
    let reason = event.reason.unwrap().untrusted;
    assert!(reason.starts_with("use the ") && !reason.contains("AKIAIOSFODNN7"), "{reason}");
    assert!(!event.resource.as_deref().unwrap().contains("ada@corp"), "{:?}", event.resource);
}

/// What a route says of its own counts wherever its words go, and what it says holds for reports, which are no route's.
#[tokio::test]
async fn a_routes_own_rules_mask_what_leaves() {
    let house = House::new();
    let document =
        json!({ "mask": { "patterns": [{ "name": "case", "regex": "CASE-[0-9]+" }] } }).to_string();
    let event = DirectoryEvent::RouteSet { name: "broker".parse().unwrap(), document };
    let change = Change { event, by: None, approval: None };
    house.store.change(house.store.directory().version(), vec![change]).await.unwrap();
    let (mut ours, mut theirs) = (permit(20), permit(21));
    for line in [&mut ours, &mut theirs] {
        line["reason"] = "for CASE-4711".into();
        line["resource"]["name"] = "queues/CASE-4711".into();
    }
    theirs["target"]["name"] = "other".into();
    let mut report = permit(22);
    report["effect"] = "reported".into();
    report["event"] = json!({ "form": "otlp", "kind": "log", "source": "CASE-4712", "event": null, "subject": null,
        "occurred": null, "severity": null, "trace": null, "attributes": { "case": "CASE-4713" },
        "data": { "text": "see CASE-4714" } });
    house.segment(&[ours, theirs, report]).await;
    let events = house.all(Place::default(), 100).await;
    let text = |at: usize| serde_json::to_string(&events[events.len() - 3 + at]).unwrap();
    assert!(!text(0).contains("CASE-4711") && text(0).contains("queues/"), "{}", text(0));
    assert!(text(1).contains("CASE-4711"), "another route's words are not its");
    assert!(!text(2).contains("CASE-47"), "{}", text(2));
    assert!(text(2).contains("see [masked"), "{}", text(2));
}

/// Of several gateways over one store, each tells its own lines, and nobody takes another's for lost.
#[tokio::test]
async fn a_segment_of_another_gateway_is_no_alarm_and_one_of_ours_that_is_gone_is() {
    let house = House::new();
    let theirs = house.segment_of(&[permit(20)], Some("theirs")).await;
    let ours = house.segment_of(&[permit(21)], Some("ours")).await;
    std::fs::remove_file(theirs).unwrap();
    let told = async |part| {
        let walk = Walk::from(Arc::clone(&house.store), house.folder(), Place::default(), part);
        let told = walk.at_node(Some("ours".to_owned())).next(100, None).await.unwrap();
        told.into_iter().map(|told| told.event).collect::<Vec<_>>()
    };
    let all = told(Part::All).await;
    assert_eq!(kinds(&all), ["genesis", "activity", "activity.elsewhere", "activity", "activity.permit"]);
    assert!(!all[2].kind.is_alarm() && all[2].note.as_deref().unwrap().contains("theirs"));
    assert_eq!(kinds(&told(Part::OwnLines).await), ["activity.permit"]);
    std::fs::remove_file(ours).unwrap();
    let lines = told(Part::OwnLines).await;
    assert_eq!(kinds(&lines), ["activity.missing"], "a sink of several gateways hears of it too");
    assert!(lines[0].kind.is_alarm());
}

/// The gateway renames a segment when its leaf is recorded, whoever reads just then.
#[tokio::test]
async fn a_segment_that_is_renamed_while_it_is_read_is_not_missing() {
    let house = House::new();
    let closed = house.segment(&[permit(20)]).await;
    let open = closed.with_extension("open");
    let stop = Arc::new(AtomicBool::new(false));
    let renaming = std::thread::spawn({
        let (closed, stop) = (closed.clone(), Arc::clone(&stop));
        move || {
            while !stop.load(Ordering::Relaxed) {
                // Its way is one way only: it begins as the one and ends as the other.
                std::fs::copy(&closed, &open).unwrap();
                std::fs::remove_file(&closed).unwrap();
                std::fs::rename(&open, &closed).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(3));
            }
        }
    });
    for _ in 0..500 {
        let told = kinds(&house.all(Place::entry(1), 10).await).join(" ");
        assert!(told == "activity activity.permit", "{told}");
    }
    stop.store(true, Ordering::Relaxed);
    renaming.join().unwrap();
}

#[tokio::test]
async fn a_place_beyond_the_log_is_an_error_and_never_the_end() {
    let house = House::new();
    assert!(house.walk(Place::entry(9)).next(1, None).await.is_err());
    assert!(house.walk(Place::entry(1)).next(1, None).await.unwrap().is_empty());
}

#[test]
fn places_are_read_as_they_are_written() {
    for text in ["0", "17", "17.3"] {
        assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
    }
    for text in ["", "-1", "1.", ".1", "1.2.3", "+1", "9007199254740993", "99999999999999999999", "x"] {
        assert!(text.parse::<Place>().is_err(), "{text}");
    }
}
