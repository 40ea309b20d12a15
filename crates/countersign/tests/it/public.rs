//! The log in public, its next key, its age, and copies of it while it runs.

use std::fs;
use std::time::Duration;

use audit::{Checkpoint, VerifierKey};

use crate::support::Place;

fn place(config: &str) -> Place {
    let place = Place::new();
    let standing = fs::read_to_string(place.path("countersign.toml")).unwrap();
    place.write("countersign.toml", &format!("{standing}\n{config}"));
    place
}

async fn get(place: &Place, path: &str) -> (u16, Vec<u8>) {
    let answer = reqwest::get(format!("{}{path}", place.url)).await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
}

/// The checkpoint of a log with this key, whose size is at least this.
async fn published(place: &Place, key: &str, size: u64) -> Checkpoint {
    let key: VerifierKey = key.parse().unwrap();
    for _ in 0..100 {
        let note = fs::read(place.path("public/checkpoint")).unwrap_or_default();
        let signed = Checkpoint::open(&note, std::slice::from_ref(&key));
        if let Some(signed) = signed.ok().filter(|signed| signed.checkpoint().size() >= size) {
            return signed.checkpoint().clone();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{}", fs::read_to_string(place.path("gateway.log")).unwrap());
}

#[tokio::test]
async fn the_log_is_public_where_the_operator_says_so() {
    let silent = Place::new();
    let running = silent.start();
    for path in ["/log/checkpoint", "/log/tile/0/000.p/1"] {
        assert_ne!(get(&silent, path).await.0, 200, "{path}");
    }
    drop(running);

    let place = place("[transparency]\nserve = true\nfolder = \"public\"\n");
    let running = place.start();
    let checkpoint = published(&place, &running.log_key, 1).await;
    let size = checkpoint.size();
    assert!(size < 256, "{size}");
    for file in [format!("tile/0/000.p/{size}"), format!("tile/entries/000.p/{size}")] {
        let (status, bytes) = get(&place, &format!("/log/{file}")).await;
        assert_eq!(
            (status, bytes),
            (200, fs::read(place.path(&format!("public/{file}"))).unwrap()),
            "{file}"
        );
    }
    let (status, note) = get(&place, "/log/checkpoint").await;
    let served = Checkpoint::open(&note, &[running.log_key.parse().unwrap()]).unwrap();
    assert!(status == 200 && served.checkpoint().size() >= size);
    assert_eq!(get(&place, "/log/tile/0/001").await.0, 404);
}

#[tokio::test]
async fn the_log_gets_a_new_key_and_goes_on() {
    let place = place("[transparency]\nfolder = \"public\"\n");
    let running = place.start();
    let first = running.log_key.clone();
    let size = published(&place, &running.log_key, 1).await.size();
    let refused = place.run(&["keys", "rotate", "--reason", "once a year"]);
    assert!(refused.code == 1 && refused.err.contains("only a stopped gateway"), "{refused:#?}");
    drop(running);

    let said = place.json(&["keys", "rotate", "--reason", "once a year"]);
    let (second, entry) = (said["new"].as_str().unwrap().to_owned(), said["entry"].as_u64().unwrap());
    assert!(entry >= size && said["old"] == first.as_str() && second != first, "{said}");
    let retired = format!("log.key.retired-{}", first.split('+').nth(1).unwrap());
    let keys = place.path("countersign-keys");
    assert!(keys.join(&retired).exists() && !keys.join("log.key.next").exists());
    assert!(place.must(&["audit", "log"]).contains(&second));
    let running = place.start();
    assert_eq!(running.log_key, second);
    // The old key's last word, and then the new key's first.
    assert_eq!(published(&place, &first, entry + 1).await.size(), entry + 1);
    drop(place.alice(&running).await);
    published(&place, &second, entry + 2).await;
    drop(running);

    // The process ended when the log had said it and the files had not been switched.
    fs::rename(keys.join("log.key"), keys.join("log.key.next")).unwrap();
    fs::rename(keys.join(&retired), keys.join("log.key")).unwrap();
    assert_eq!(place.start().log_key, second);
    assert!(keys.join(&retired).exists() && !keys.join("log.key.next").exists());

    // It ended before the log had said anything: the key that was made is the next one's.
    fs::copy(keys.join("seal.key"), keys.join("log.key.next")).unwrap();
    assert_eq!(place.start().log_key, second);
    let third = place.json(&["keys", "rotate", "--reason", "again"]);
    assert_eq!(third["old"], second.as_str());
    assert_eq!(fs::read(keys.join("log.key")).unwrap(), fs::read(keys.join("seal.key")).unwrap());
    assert!(place.must(&["audit", "log"]).contains(third["new"].as_str().unwrap()));

    // The first key opens nothing any more.
    fs::copy(keys.join(&retired), keys.join("log.key")).unwrap();
    let refused = place.run(&["up"]);
    assert!(refused.code == 1 && refused.err.contains("the log says that its key is"), "{refused:#?}");
}

#[tokio::test]
async fn a_running_gateway_copies_itself_into_its_operators_folder() {
    let silent = Place::new();
    let running = silent.start();
    drop(silent.alice(&running).await);
    let refused = silent.run(&["backup", "create"]);
    assert!(refused.code == 1 && refused.err.contains("set `backups` in `[store]`"), "{refused:#?}");
    drop(running);

    let place = place("[store]\nbackups = \"copies\"\n");
    let running = place.start();
    drop(place.alice(&running).await);
    let made = place.json(&["backup", "create"]);
    let copy = place.path("copies").join(made["file"].as_str().unwrap());
    assert!(fs::metadata(&copy).unwrap().len() > 0);
    assert!(place.must(&["backup", "create"]).starts_with("wrote `countersign-"));
    drop(running);
    fs::remove_dir_all(place.path("countersign-data")).unwrap();
    let copy = copy.to_str().unwrap();
    let refused = place.run(&["backup", "restore", copy]);
    assert!(refused.code == 1 && refused.err.contains("old backup"), "{refused:#?}");
    place.must(&["backup", "restore", copy, "--accept-loss", "a drill"]);
    assert!(place.must(&["audit", "log"]).starts_with("the log holds"));
}

#[test]
fn a_young_log_has_nothing_to_prune() {
    let place = place("[retention]\ndays = 400\n");
    let running = place.start();
    let refused = place.run(&["audit", "prune", "--before", "2026-01-31"]);
    assert!(refused.code == 1 && refused.err.contains("set `[retention]`"), "{refused:#?}");
    drop(running);
    assert!(place.must(&["audit", "prune", "--before", "2100-01-01"]).starts_with("nothing is old enough"));
    assert_eq!(place.run(&["audit", "prune", "--before", "January"]).code, 2);
}
