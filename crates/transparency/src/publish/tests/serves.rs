//! The served files are the published ones.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower_service::Service as _;

use super::super::{Notes, Publisher, router};
use super::fake::{Fake, log_key};
use super::place::Memory;

pub(super) async fn get(router: Router, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    ask(router, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn ask(mut router: Router, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
    let answer = router.as_service::<Body>().call(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test]
async fn every_file_as_published() {
    let log = Arc::new(Fake::new(66_000));
    let target = Memory::default();
    let publisher = Publisher::new(log.clone(), target.clone(), log_key());
    publisher.publish_newest(&Notes::Head).await.unwrap();
    let files = target.files.lock().unwrap().clone();
    let router: Router = router(log.clone(), Notes::Head);
    for (path, bytes) in &files {
        let (status, headers, body) = get(router.clone(), &format!("/{path}")).await;
        assert_eq!((status, &body), (StatusCode::OK, bytes), "{path}");
        let (media, cache) =
            (headers["content-type"].to_str().unwrap(), headers["cache-control"].to_str().unwrap());
        if path == "checkpoint" {
            assert_eq!((media, cache), ("text/plain; charset=utf-8", "public, max-age=2"));
        } else {
            assert_eq!(media, "application/octet-stream");
            assert_eq!(
                cache.contains("max-age=31536000, immutable"),
                !path.contains(".p/"),
                "{path}: {cache}"
            );
        }
    }
    // A client that has an older checkpoint asks for narrower tiles.
    assert_eq!(get(router.clone(), "/tile/0/257.p/5").await.2.len(), 5 * 32);
    for path in [
        "/tile/0/258",
        "/tile/0/0",
        "/tile/00/000",
        "/tile/0/x000/000",
        "/tile/0/257",
        "/tile/0/257.p/256",
        "/tile/0/257.p/0",
        "/tile/0/000.p/07",
        "/tile/1/001.p/200",
        "/tile/9/000",
        "/tile/63/000.p/1",
        "/tile/entries/257",
        "/tile/entries/300.p/1",
        "/tile/entries/x018/x446/x744/x073/x709/551.p/1",
        "/tile/0/",
        "/tile",
        "/tile/0/000/",
        "/tile/0/..%2f000",
        "/other",
    ] {
        assert_eq!(get(router.clone(), path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn an_unchanged_checkpoint_is_not_sent_again() {
    let log = Arc::new(Fake::new(3));
    let (notes, watched) = tokio::sync::watch::channel(None);
    let router: Router = router(log.clone(), Notes::Cosigned(Arc::new(move || watched.borrow().clone())));
    assert_eq!(
        get(router.clone(), "/checkpoint").await.0,
        StatusCode::NOT_FOUND,
        "nobody has cosigned one yet"
    );
    notes.send(Some(log.note(2))).unwrap();
    let (_, headers, body) = get(router.clone(), "/checkpoint").await;
    assert_eq!(body, log.note(2).into_bytes());
    let tag = headers["etag"].to_str().unwrap().to_owned();
    let conditional =
        |tag: &str| Request::get("/checkpoint").header("if-none-match", tag).body(Body::empty()).unwrap();
    let (status, headers, body) = ask(router.clone(), conditional(&format!("\"other\", {tag}"))).await;
    assert_eq!((status, body.len(), headers["etag"].to_str().unwrap()), (StatusCode::NOT_MODIFIED, 0, &*tag));
    notes.send(Some(log.note(3))).unwrap();
    assert_eq!(ask(router, conditional(&tag)).await.0, StatusCode::OK);
}

/// Nobody is let in who does not find the store free.
#[tokio::test(start_paused = true)]
async fn a_crowd_of_strangers_does_not_take_all_readers() {
    let log = Arc::new(Fake::new(300));
    let router: Router = router(log.clone(), Notes::Head);
    let held = log.hold();
    let crowd: Vec<_> = (0..20)
        .map(|_| tokio::spawn(get(router.clone(), "/tile/entries/000")))
        .map(|task| async { task.await.unwrap() })
        .collect();
    let mut crowd = Box::pin(futures_util::future::join_all(crowd));
    assert!(tokio::time::timeout(std::time::Duration::from_secs(4), &mut crowd).await.is_err());
    assert_eq!(log.readers(), 2, "as many read as may, and no more");
    // Those who wait too long are told so; a checkpoint needs no turn.
    assert_eq!(get(router.clone(), "/checkpoint").await.0, StatusCode::OK);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    drop(held);
    let answers = crowd.await;
    let told = |status| answers.iter().filter(|answer| answer.0 == status).count();
    assert_eq!((told(StatusCode::OK), told(StatusCode::SERVICE_UNAVAILABLE)), (2, 18));
    let busy = answers.iter().find(|answer| answer.0 == StatusCode::SERVICE_UNAVAILABLE).unwrap();
    assert_eq!(busy.1["retry-after"], "1");
}
