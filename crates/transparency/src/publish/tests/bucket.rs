//! A bucket holds the same as a folder. The server here keeps objects in memory, and the conditions that S3 documents.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use audit::Note;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::super::{PublishError, Publisher, S3, S3Config, Target as _, TargetError};
use super::fake::{Fake, log_key};
use super::place::{Files, check, is_700_after_300};

type Objects = Arc<Mutex<BTreeMap<String, (Bytes, u64)>>>;

/// What a server does wrong, at one of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// It answers with this status, and does nothing.
    Status(u16),
    /// It does as it was asked, and answers with this status.
    DoneStatus(u16),
    /// It says that it is done, and nothing is.
    Forgets,
    /// It keeps half of what it is given.
    Half,
    /// Its answer ends before its length.
    BreaksOff,
    /// Its answer does not end.
    Endless,
    /// It names another version than stands.
    Tag(&'static str),
}

/// The request that goes wrong, counted down, and how; what follows is well again.
type Fault = Arc<Mutex<Option<(usize, Wrong)>>>;

async fn answer_wrongly(
    State((objects, fault)): State<(Objects, Fault)>,
    query: RawQuery,
    method: Method,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let wrong = {
        let mut fault = fault.lock().unwrap();
        match fault.as_mut() {
            Some((0, wrong)) => {
                let wrong = *wrong;
                *fault = None;
                Some(wrong)
            }
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        }
    };
    let (parts, body) = request.into_parts();
    let writes = method == Method::PUT;
    let whole = move |body: axum::body::Body| Request::from_parts(parts, body);
    match wrong {
        Some(Wrong::Status(status)) => return StatusCode::from_u16(status).unwrap().into_response(),
        Some(Wrong::Forgets) if writes => return StatusCode::OK.into_response(),
        Some(Wrong::Half) if writes => {
            let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let half = bytes.slice(..bytes.len() / 2);
            return answer(State(objects), query, method, headers, whole(half.into())).await;
        }
        _ => {}
    }
    let mut told = answer(State(objects), query, method, headers, whole(body)).await;
    match wrong {
        Some(Wrong::DoneStatus(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        Some(Wrong::BreaksOff) => {
            told.headers_mut().insert("content-length", "100000".parse().unwrap());
            told
        }
        Some(Wrong::Endless) => {
            let more = futures_util::stream::repeat_with(|| {
                Ok::<_, std::io::Error>(Bytes::from(vec![b'a'; 1 << 20]))
            });
            axum::body::Body::from_stream(more).into_response()
        }
        Some(Wrong::Tag(tag)) => {
            told.headers_mut().insert("etag", tag.parse().unwrap());
            told
        }
        _ => told,
    }
}

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
    let (objects, _, config) = serve_wrongly().await;
    (objects, config)
}

async fn serve_wrongly() -> (Objects, Fault, S3Config) {
    let (objects, fault) = (Objects::default(), Fault::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router =
        Router::new().fallback(answer_wrongly).with_state((Arc::clone(&objects), Arc::clone(&fault)));
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
    (objects, fault, config)
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

/// Whatever a server does wrong at whatever request: what is published stays whole, or nothing is said to be published;
/// and once the server is well, publishing goes on, or has said why it does not.
#[tokio::test]
async fn a_bucket_that_does_wrong_never_makes_the_log_lie() {
    let log = Arc::new(Fake::new(260));
    let statuses = [301, 403, 404, 409, 412, 500];
    let wrongs = statuses.iter().map(|status| Wrong::Status(*status)).chain([
        Wrong::DoneStatus(500),
        Wrong::Forgets,
        Wrong::Half,
        Wrong::BreaksOff,
        Wrong::Endless,
        Wrong::Tag(""),
        Wrong::Tag("\"another\""),
    ]);
    let (objects, fault, config) = serve_wrongly().await;
    let publisher = Publisher::new(log.clone(), S3::new(config).unwrap(), log_key());
    let publish = async |size| publisher.publish(&log.note(size)).await;
    publish(250).await.unwrap();
    let start = objects.lock().unwrap().clone();
    for wrong in wrongs {
        for step in 0.. {
            objects.lock().unwrap().clone_from(&start);
            *fault.lock().unwrap() = Some((step, wrong));
            let outcome = publish(260).await;
            let reached = fault.lock().unwrap().take().is_none();
            let stands = objects.lock().unwrap()["public/log/checkpoint"].0.clone();
            let whole = Note::parse(&stands).is_ok();
            if whole {
                let size = check(&files(&objects));
                assert!(size == 250 || size == 260, "{wrong:?} at {step}: {size}");
            }
            // Half a checkpoint is the server's lie, and is found at once or at the next look.
            assert!(whole || wrong == Wrong::Half, "{wrong:?} at {step}");
            let again = publish(260).await;
            match (&outcome, &again) {
                (_, Ok(260)) => assert_eq!(check(&files(&objects)), 260, "{wrong:?} at {step}"),
                // A server that keeps half of a file for good, or denies one that it has, is a human's to look at.
                (_, Err(PublishError::Stopped { .. })) => {
                    assert!(matches!(wrong, Wrong::Half), "{wrong:?} at {step}: {again:?}");
                }
                _ => panic!("{wrong:?} at {step}: {outcome:?}, then {again:?}"),
            }
            if !reached {
                assert!(step > 12, "{step} requests in all");
                break;
            }
        }
    }
}
