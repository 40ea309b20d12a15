//! What the shared store does differently, tried over a PostgreSQL server of its own.

use std::sync::Arc;

use domain::entry::{Kind, Leaf};
use gateway::store::Store;
use store::clock::SystemClock;
use store::postgres::{DatabaseUrl, PostgresConfig, PostgresStore};
use store::seal::SealingKey;
use tempfile::TempDir;

use crate::between::{Answers, Between};
use crate::house::{self, Source, eventually};
use crate::server::Server;

/// A gateway's life from its start: until its start has ended, or until its segment's leaf stands, if it then hears of
/// nothing any more. How many leaves there are of segments.
fn live(dir: &TempDir, url: &str, answers: Answers) -> usize {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store: Arc<dyn Store> = Arc::new(
            PostgresStore::open(PostgresConfig {
                url: DatabaseUrl::parse(url).unwrap(),
                anchor_path: dir.path().join("anchor"),
                signer: Box::new(house::signer()),
                origin: house::ORIGIN.parse().unwrap(),
                sealing_key: SealingKey::new([5; 32]),
                clock: Arc::new(SystemClock::new()),
                skew_limit: None,
            })
            .await
            .unwrap(),
        );
        let between = Arc::new(Between::new(Arc::clone(&store)));
        between.answers(answers);
        let gateway = house::open_gateway(dir, &between, &Arc::new(Source::default())).unwrap();
        let start = tokio::spawn(async move { gateway.start().await });
        if answers == Answers::Arrive {
            start.await.unwrap().unwrap();
        } else {
            eventually("the leaf stands", async || segments(store.as_ref()).await > 0).await;
        }
        segments(store.as_ref()).await
    })
}

async fn segments(store: &dyn Store) -> usize {
    let leaves = store.leaves(0, store.head().await.unwrap().size).await.unwrap();
    let kinds = leaves.iter().map(|leaf| domain::canonical::read::<Leaf>(leaf).unwrap().kind);
    kinds.filter(|kind| *kind == Kind::Activity).count()
}

/// As with the embedded store: killed after the leaf was committed and before the file had its name, twice.
#[test]
fn a_segment_that_had_its_leaf_before_a_kill_gets_no_second() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let url = server.database("activity");
    let folder = dir.path().join("activity");
    std::fs::create_dir(&folder).unwrap();
    let open = folder.join("01800000000000000000-000000.open");
    std::fs::write(&open, "{\"time\":1800000000000000}\n").unwrap();
    assert_eq!(live(&dir, &url, Answers::Never), 1);
    assert!(open.exists(), "it was killed before that");
    for _ in 0..2 {
        assert_eq!(live(&dir, &url, Answers::Arrive), 1);
        std::fs::rename(open.with_extension("jsonl"), &open).unwrap();
    }
}
