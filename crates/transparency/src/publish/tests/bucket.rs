//! A bucket holds the same as a folder. The server here keeps objects in memory, and the conditions that S3 documents.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::super::{PublishError, Publisher, S3, S3Config, Target as _, TargetError};
use super::fake::{Fake, log_key};
use super::place::{Files, check, is_700_after_300};

type Objects = Arc<Mutex<BTreeMap<String, (Bytes, u64)>>>;

async fn answer(
    State(objects): State<Objects>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let query = query.unwrap_or_default();
    if !query.contains("X-Amz-Signature=") || !query.contains("X-Amz-Credential=AKID%2F") {
        return StatusCode::FORBIDDEN.into_response();
    }
    let key = request.uri().path().strip_prefix("/bucket/").unwrap_or_default().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let mut objects = objects.lock().unwrap();
    let standing = objects.get(&key).cloned();
    match method {
        Method::GET if query.contains("list-type=2") => {
            let prefix =
                query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap().replace("%2F", "/");
            let keys = objects.keys().filter(|key| key.starts_with(&prefix));
            let contents: String = keys.map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult \
                 xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name>{contents}</ListBucketResult>"
            )
            .into_response()
        }
        Method::GET => match standing {
            Some((bytes, version)) => ([("etag", format!("\"{version}\""))], bytes).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        Method::PUT => {
            let condition = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            let version = standing.map(|(_, version)| version);
            let signed =
                |name: &str| query.contains(&format!("{name}%3B")) || query.contains(&format!("%3B{name}"));
            let held = match (condition("if-match"), condition("if-none-match")) {
                (Some(tag), None) if signed("if-match") => {
                    version.is_some_and(|version| tag == format!("\"{version}\""))
                }
                (None, Some(_)) if signed("if-none-match") => version.is_none(),
                _ => return StatusCode::BAD_REQUEST.into_response(),
            };
            if !held {
                return StatusCode::PRECONDITION_FAILED.into_response();
            }
            objects.insert(key, (body, version.unwrap_or(0) + 1));
            StatusCode::OK.into_response()
        }
        Method::DELETE => {
            objects.remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

async fn serve() -> (Objects, S3Config) {
    let objects = Objects::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(Arc::clone(&objects));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = S3Config {
        endpoint,
        bucket: "bucket".to_owned(),
        region: "us-east-1".to_owned(),
        prefix: "public/log/".to_owned(),
        access_key: "AKID".to_owned(),
        secret_key: "very secret".to_owned(),
        path_style: true,
    };
    (objects, config)
}

fn files(objects: &Objects) -> Files {
    let objects = objects.lock().unwrap();
    let file = |(key, (bytes, _)): (&String, &(Bytes, u64))| {
        (key.strip_prefix("public/log/").unwrap().to_owned(), bytes.to_vec())
    };
    objects.iter().map(file).collect()
}

#[tokio::test]
async fn a_bucket_holds_the_same() {
    let (objects, config) = serve().await;
    assert!(!format!("{config:?} {:?}", S3::new(config.clone()).unwrap()).contains("very secret"));
    let log = Arc::new(Fake::new(700));
    for size in [3, 300, 700] {
        let publisher = Publisher::new(log.clone(), S3::new(config.clone()).unwrap(), log_key());
        publisher.publish(&log.note(size)).await.unwrap();
        assert_eq!(check(&files(&objects)), size);
    }
    is_700_after_300(files(&objects), &log);

    // Two publishers that have read the same checkpoint: one of them replaces it.
    let target = S3::new(config.clone()).unwrap();
    let standing = target.checkpoint().await.unwrap().unwrap();
    target.set_checkpoint(b"one", Some(&standing)).await.unwrap();
    let second = target.set_checkpoint(b"two", Some(&standing)).await;
    assert!(matches!(second, Err(TargetError::Moved(_))), "{second:?}");
    let first = target.set_checkpoint(b"three", None).await;
    assert!(matches!(first, Err(TargetError::Moved(_))), "{first:?}");
    let other = target.put("tile/0/000", b"other bytes").await;
    assert_eq!(other, Err(TargetError::Conflict("tile/0/000".to_owned())));
    assert_eq!(files(&objects)["checkpoint"], b"one");
}

#[tokio::test]
async fn a_bucket_that_refuses_is_tried_again_and_tells_no_secret() {
    let (_, config) = serve().await;
    let log = Arc::new(Fake::new(3));
    let stranger = S3Config { access_key: "OTHER".to_owned(), ..config.clone() };
    let nowhere = S3Config { endpoint: "http://127.0.0.1:9".to_owned(), ..config };
    for config in [stranger, nowhere] {
        let publisher = Publisher::new(log.clone(), S3::new(config).unwrap(), log_key());
        let failed = publisher.publish(&log.note(3)).await.unwrap_err();
        assert!(matches!(failed, PublishError::Target { .. }), "{failed}");
        assert!(!failed.to_string().contains("X-Amz"), "{failed}");
    }
}
