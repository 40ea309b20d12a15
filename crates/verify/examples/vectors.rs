//! Writes the shared set of good and broken receipts and bundles into a folder, with `set.json` that says of each file
//! what is trusted and which verdict every verifier must come to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test says what it looks for")]

#[path = "../tests/bundles/pack.rs"]
mod pack;
#[path = "../tests/bundles/reviews.rs"]
mod reviews;
#[path = "../tests/bundles/countersigned.rs"]
mod countersigned;
#[path = "../tests/bundles/later.rs"]
mod later;
#[path = "../tests/bundles/receipts.rs"]
mod receipts;
#[path = "../tests/bundles/cases.rs"]
mod cases;
#[path = "../tests/bundles/logs.rs"]
mod logs;
#[path = "../tests/bundles/periods.rs"]
mod periods;
#[path = "../tests/bundles/archives.rs"]
mod archives;
#[path = "../tests/bundles/standings.rs"]
mod standings;
#[path = "../tests/bundles/clicks.rs"]
mod clicks;
#[path = "../tests/bundles/spellings.rs"]
mod spellings;
#[path = "../tests/receipts/scene.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod scene;
#[path = "../tests/bundles/vectors.rs"]
mod vectors;

use std::fs;
use std::path::PathBuf;

use serde_json::json;

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("usage: vectors FOLDER"));
    fs::create_dir_all(&folder).unwrap();
    let mut set = Vec::new();
    for vector in vectors::all() {
        fs::write(folder.join(&vector.name), &vector.file).unwrap();
        fs::write(folder.join(format!("{}.trust", vector.name)), &vector.trust).unwrap();
        set.push(json!({
            "name": vector.name,
            "rp_id": vector.rp_id,
            "web_origin": vector.web_origin,
            "bootstrap": vector.bootstrap,
            "verdict": vector.verdict,
        }));
    }
    for (name, file) in [("small-cases", vectors::small_cases()), ("small-period", vectors::small_period())] {
        fs::write(folder.join(name), file).unwrap();
    }
    fs::write(folder.join("small.trust"), format!("{}\n", scene::trust().logs[0])).unwrap();
    fs::write(folder.join("set.json"), serde_json::to_vec_pretty(&set).unwrap()).unwrap();
}
