use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use audit::witness::{AddCheckpoint, Answer, MAX_REQUEST_BYTES, SIZE_CONTENT_TYPE, TrustedLogs};
use audit::{Policy, SignedCheckpoint};
use tempfile::TempDir;

use super::support::*;
use crate::witness::*;

fn request(old: u64, leaves: &Leaves) -> Vec<u8> {
    let proof = if old as usize <= leaves.0.len() { leaves.proof(old) } else { vec![] };
    AddCheckpoint::new(old, proof, leaves.signed().note().clone()).unwrap().to_string().into_bytes()
}

fn ask(witness: &Witness, old: u64, leaves: &Leaves) -> Answer {
    witness.add_checkpoint(&request(old, leaves)).unwrap()
}

/// The checkpoint with what the witness said under it.
fn under(leaves: &Leaves, answer: &Answer) -> SignedCheckpoint {
    let Answer::Cosigned(lines) = answer else { panic!("{answer:?}") };
    let mut checkpoint = leaves.signed();
    checkpoint.attach(&lines[0], &witness_key(1)).unwrap();
    checkpoint
}

fn record(folder: &TempDir) -> std::path::PathBuf {
    let files = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    files.into_iter().find(|path| path.file_name().unwrap().len() == 64).unwrap()
}

#[test]
fn what_is_cosigned_is_on_disk_and_outlives_the_process() {
    let folder = TempDir::new().unwrap();
    let witness = open_witness(folder.path(), 1);
    let five = Leaves::of_size(5);
    let cosigned = under(&five, &ask(&witness, 0, &five));
    let policy = format!("log {}\nwitness a {}\nquorum a\n", log_key(), witness.key());
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    assert!(policy.check(cosigned.note(), ORIGIN).unwrap().quorum_is_met());
    assert!(!policy.check(five.signed().note(), ORIGIN).unwrap().quorum_is_met());
    assert_eq!(fs::read_to_string(record(&folder)).unwrap(), cosigned.note().to_string());

    drop(witness);
    let witness = open_witness(folder.path(), 1);
    assert_eq!(ask(&witness, 0, &Leaves::of_size(9)), Answer::Conflict { known: 5 });
    assert_eq!(under(&Leaves::of_size(9), &ask(&witness, 5, &Leaves::of_size(9))).checkpoint().size(), 9);
}

#[test]
fn a_log_that_shows_two_histories_is_refused() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let [one, two] = [1, 2].map(|seed| open_witness(folders[usize::from(seed) - 1].path(), seed));
    let (shown, hidden) = (Leaves::of_size(9), Leaves::forked(9, 6));
    assert_eq!(ask(&one, 0, &shown).status(), 200);
    // The second witness sees the other history first. Neither takes what the other saw.
    assert_eq!(ask(&two, 0, &hidden).status(), 200);
    for leaves in [&hidden, &Leaves::forked(20, 6)] {
        assert_eq!(ask(&one, 9, leaves).status(), 422);
    }
    for leaves in [&shown, &Leaves::of_size(20)] {
        assert_eq!(ask(&two, 9, leaves).status(), 422);
    }
    assert_eq!(ask(&one, 9, &Leaves::of_size(20)).status(), 200);
    assert_eq!(ask(&one, 20, &shown).status(), 400);
}

#[test]
fn requests_at_once_cannot_roll_the_witness_back() {
    let folder = TempDir::new().unwrap();
    let witness = open_witness(folder.path(), 1);
    assert_eq!(ask(&witness, 0, &Leaves::of_size(3)).status(), 200);
    // Many sizes at once, all from three: one gets through, and no two answers contradict.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (4..36)
            .map(|size| {
                scope.spawn({
                    let witness = &witness;
                    move || ask(witness, 3, &Leaves::of_size(size))
                })
            })
            .collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let well = answers.iter().filter(|answer| answer.status() == 200).count();
    assert_eq!(well, 1);
    let won = 4 + answers.iter().position(|answer| answer.status() == 200).unwrap() as u64;
    assert!(
        answers.iter().all(|answer| answer.status() == 200 || *answer == Answer::Conflict { known: won })
    );
}

#[test]
fn nothing_is_cosigned_that_cannot_be_written_down() {
    let folder = TempDir::new().unwrap();
    let witness = open_witness(folder.path(), 1);
    assert_eq!(ask(&witness, 0, &Leaves::of_size(5)).status(), 200);
    // A folder stands where the new file should be made, or where it should be moved to.
    let path = record(&folder);
    let blocked = path.with_extension("new");
    fs::create_dir(&blocked).unwrap();
    let failed = witness.add_checkpoint(&request(5, &Leaves::of_size(9)));
    assert!(matches!(failed, Err(RecordError::Disk { .. })), "{failed:?}");
    // Still five, as the disk says.
    assert_eq!(ask(&witness, 9, &Leaves::of_size(20)), Answer::Conflict { known: 5 });
    fs::remove_dir(&blocked).unwrap();
    assert_eq!(ask(&witness, 5, &Leaves::of_size(9)).status(), 200);

    let kept = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(witness.add_checkpoint(&request(9, &Leaves::of_size(20))).is_err());
    // What it holds cannot be read now: nothing is decided, and least of all from size zero.
    for old in [0, 9, 20] {
        assert!(witness.add_checkpoint(&request(old, &Leaves::of_size(20))).is_err());
    }
    fs::remove_dir(&path).unwrap();
    fs::write(&path, kept).unwrap();
    assert_eq!(ask(&witness, 0, &Leaves::of_size(20)), Answer::Conflict { known: 9 });
}

#[test]
fn a_folder_that_was_altered_or_is_in_use_is_refused() {
    let folder = TempDir::new().unwrap();
    let open = |seed| {
        let logs = TrustedLogs::new([log_key()]);
        Witness::open(folder.path(), witness_signer(seed), logs, || NOW).map(|_| ())
    };
    let witness = open_witness(folder.path(), 1);
    assert_eq!(ask(&witness, 0, &Leaves::of_size(5)).status(), 200);
    assert!(matches!(open(1), Err(RecordError::InUse { .. })));
    drop(witness);
    assert!(open(1).is_ok());
    // Another key would begin at zero: it must not.
    assert!(matches!(open(2), Err(RecordError::Altered { .. })));
    let path = record(&folder);
    let kept = fs::read_to_string(&path).unwrap();
    for changed in [kept.replacen("\n5\n", "\n4\n", 1), String::new(), kept.replace(ORIGIN, "log.exam")] {
        fs::write(&path, changed).unwrap();
        assert!(matches!(open(1), Err(RecordError::Altered { .. })));
    }
    fs::write(&path, kept).unwrap();
    assert!(open(1).is_ok());
}

#[test]
fn a_clock_that_is_set_back_does_not_reach_the_cosignatures() {
    let folder = TempDir::new().unwrap();
    let clock = Arc::new(AtomicU64::new(NOW));
    let read = Arc::clone(&clock);
    let logs = TrustedLogs::new([log_key()]);
    let witness =
        Witness::open(folder.path(), witness_signer(1), logs, move || read.load(Ordering::Relaxed)).unwrap();
    let mut times = Vec::new();
    for (size, now) in [(1, NOW), (2, NOW - 86_400), (3, NOW + 86_400), (4, NOW)] {
        clock.store(now, Ordering::Relaxed);
        let leaves = Leaves::of_size(size);
        let cosigned = under(&leaves, &ask(&witness, size - 1, &leaves));
        times.push(cosigned.cosignatures(&[witness_key(1)]).unwrap()[0].time.seconds());
    }
    assert_eq!(times, [NOW, NOW, NOW + 86_400, NOW + 86_400]);
    clock.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(ask(&witness, 4, &Leaves::of_size(5)).status(), 500);
    let other = TempDir::new().unwrap();
    let logs = TrustedLogs::new([log_key()]);
    let epoch = Witness::open(other.path(), witness_signer(1), logs, || 0).unwrap();
    assert_eq!(ask(&epoch, 0, &Leaves::of_size(5)).status(), 500);
}

/// Over a real socket: the statuses, the media type of a conflict, limits, and the monitors' address.
#[tokio::test]
async fn over_http() {
    let folder = TempDir::new().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = router(open_witness(folder.path(), 1));
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let transport = HttpTransport::new().unwrap();
    let post = async |body: Vec<u8>| {
        transport.post(&format!("{url}/add-checkpoint"), String::from_utf8(body).unwrap()).await.unwrap()
    };

    let five = Leaves::of_size(5);
    let reply = post(request(0, &five)).await;
    assert_eq!(reply.status, 200);
    let cosigned = under(&five, &Answer::parse(200, None, &reply.body).unwrap());
    let reply = post(request(4, &Leaves::of_size(9))).await;
    assert_eq!((reply.status, reply.content_type.as_deref()), (409, Some(SIZE_CONTENT_TYPE)));
    assert_eq!(reply.body, b"5\n");
    assert_eq!(post(request(5, &Leaves::forked(9, 4))).await.status, 422);
    assert_eq!(post(b"hello".to_vec()).await.status, 400);
    let other = String::from_utf8(request(0, &five)).unwrap().replace(ORIGIN, "other.example");
    assert_eq!(post(other.into_bytes()).await.status, 404);
    assert_eq!(post(vec![b'a'; MAX_REQUEST_BYTES + 1]).await.status, 413);

    let client = reqwest::Client::new();
    let hash = "1d66d49d1b1a2aae1c9b3b7b0fa8a6b93a3ad9d7a1f1c6a0";
    for (path, status) in
        [(format!("/{hash}/checkpoint"), 404), ("/add-checkpoint".into(), 405), ("/".into(), 404)]
    {
        assert_eq!(
            client.get(format!("{url}{path}")).send().await.unwrap().status().as_u16(),
            status,
            "{path}"
        );
    }
    let name = record(&folder).file_name().unwrap().to_str().unwrap().to_owned();
    let shown = client.get(format!("{url}/{name}/checkpoint")).send().await.unwrap().text().await.unwrap();
    assert_eq!(shown, cosigned.note().to_string());
    serving.abort();
}
