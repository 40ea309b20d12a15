//! How long a period takes to verify: a million entries unless `PERIOD_ENTRIES` says otherwise, one in a hundred a
//! request that a human approved and that ran, the rest activity with one field open.
//!
//! `cargo bench -p verify --bench period`. It makes the bundle once, in a file, and reads it three times.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]
#![allow(clippy::wildcard_enum_match_arm, reason = "a benchmark says what it looks for")]

#[path = "../tests/receipts/scene.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod scene;

use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::time::Instant;

use audit::{Checkpoint, Frontier, leaf_hash};
use domain::canonical;
use domain::commitment::Disclosure;
use domain::digest::Blob;
use domain::entry::{Draft, Kind as EntryKind};
use domain::id::ActionId;
use domain::statement::Verdict;
use domain::time::Timestamp;
use scene::*;
use sha2::{Digest as _, Sha256};
use verify::bundle::manifest::{About, Kind, LeafLine, Period};
use verify::bundle::{Outline, Part, write_bundle};
use verify::verify_bundle;

/// Every so many entries a request is held, reviewed, run and finished.
const CASE_EVERY: u64 = 100;
const ROUNDS: u32 = 3;

fn main() {
    let entries =
        std::env::var("PERIOD_ENTRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let mut file = tempfile::tempfile().unwrap();
    let start = Instant::now();
    make(&mut file, entries);
    let bytes = file.metadata().unwrap().len();
    println!("made {entries} entries, {bytes} bytes, in {:.1} s", start.elapsed().as_secs_f64());
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        file.seek(SeekFrom::Start(0)).unwrap();
        let start = Instant::now();
        let mut cases = 0_u64;
        let report = verify_bundle(&file, &trust(), |_| cases += 1);
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(report.verdict, verify::Verdict::Valid, "{:?}", report.reasons);
        println!("verified {entries} entries with {cases} cases in {seconds:.2} s");
        best = best.min(seconds);
    }
    let count = f64::from(u32::try_from(entries).unwrap_or(u32::MAX));
    println!("best: {best:.2} s, {:.0} entries a second, peak memory {} MiB", count / best, peak_mebibytes());
}

/// The most memory that this process held, as Linux tells it; zero elsewhere.
fn peak_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1_024
}

/// A file on its way into the bundle.
struct Lines {
    file: BufWriter<File>,
    digest: Sha256,
    bytes: u64,
    tree: Frontier,
    requests: u64,
}

impl Lines {
    /// Writes what the scene has logged since it was called last.
    fn take(&mut self, scene: &mut Scene) {
        for (leaf, fields) in std::mem::take(&mut scene.log) {
            let at = usize::try_from(self.tree.size()).unwrap();
            self.tree.append(leaf_hash(&leaf)).unwrap();
            let is_request = leaf.windows(11).any(|word| word == b"\"request/1\"");
            self.requests += u64::from(is_request);
            let fields = fields.into_vec().into_iter().map(Disclosure::Open).collect();
            let payload = is_request.then(|| scene.payload_of(at));
            let line = LeafLine { leaf: Some(Blob(leaf)), hash: None, fields: Some(fields), payload };
            let mut line = canonical::write(&line).unwrap();
            line.push(b'\n');
            self.file.write_all(&line).unwrap();
            self.digest.update(&line);
            self.bytes += line.len() as u64;
        }
        scene.told.clear();
    }
}

fn make(out: &mut File, entries: u64) {
    let mut scene = Scene::staffed(draft(1, "prod"), requirement(&[(1, "dba")]));
    let file = BufWriter::new(tempfile::tempfile().unwrap());
    let mut lines = Lines { file, digest: Sha256::new(), bytes: 0, tree: Frontier::new(), requests: 0 };
    while lines.tree.size() < entries {
        let size = lines.tree.size();
        if size.is_multiple_of(CASE_EVERY) && size > 0 && size + 4 <= entries {
            let id = ActionId::from_uuid(uuid::Uuid::from_u128(u128::from(size)));
            scene.another(domain::action::Draft { id, ..draft(1, "prod") }, requirement(&[(1, "dba")]));
            scene.request();
            scene.review(ALICE, Verdict::Approve);
            scene.redeem(&[ALICE]);
            scene.finish();
        } else {
            let fields = vec![("segment".to_owned(), size.to_be_bytes().repeat(16))];
            scene.write(Draft { kind: EntryKind::Activity, subject: None, fields });
        }
        lines.take(&mut scene);
    }
    let key = log_key(ORIGIN, 1);
    let end = lines.tree.size();
    let checkpoint =
        Checkpoint::new(ORIGIN, end, lines.tree.root(), Vec::new()).unwrap().sign(&[&key]).unwrap();
    let period =
        Period { first: 0, end, since: None, until: None, frontier: Vec::new(), consistency: Vec::new() };
    let made = Timestamp::from_micros(1_767_225_600_000_000);
    let about = About { query: "everything".to_owned(), made, by: None, maker: "a benchmark".to_owned() };
    let mut leaves = lines.file.into_inner().unwrap();
    leaves.seek(SeekFrom::Start(0)).unwrap();
    let mut parts = Vec::new();
    for (name, content) in [
        ("about.json", canonical::write(&about).unwrap()),
        ("checkpoint", checkpoint.note().to_string().into_bytes()),
        ("period.json", canonical::write(&period).unwrap()),
        ("entries.jsonl", Vec::new()),
    ] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let sha256 = Sha256::digest(&content).into();
        parts.push(Part { name: name.to_owned(), bytes: content.len() as u64, sha256, content: file });
    }
    let sha256 = lines.digest.finalize().into();
    parts.push(Part { name: "leaves.jsonl".to_owned(), bytes: lines.bytes, sha256, content: leaves });
    let outline = Outline { origin: origin(), kind: Kind::Period, entries: end, cases: lines.requests };
    write_bundle(&mut BufWriter::new(out), &outline, parts).unwrap();
}
