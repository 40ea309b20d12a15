//! What somebody outside says that happened: CloudEvents and OpenTelemetry's log records, on record under whoever
//! was admitted with them and marked as reported by them.
//!
//! Reading is pure ([`cloudevents`], [`otlp`]); what was answered with success is durable as a permit is.

pub mod cloudevents;
pub mod otlp;

mod proto;

use std::sync::LazyLock;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::evaluation::Fact;
use domain::id::ActionId;
use domain::text::cut;
use gateway::GatewayError;
use gateway::limits::{
    REPORTED_ATTRIBUTE_BYTES, REPORTED_ATTRIBUTE_NAME_BYTES, REPORTED_DATA_BYTES, REPORTED_NAME_BYTES,
};
use gateway::report::{Data, Reported};
use mask::Masker;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::AnyCaller;
use super::config::REPORT_LIMIT_BYTES;
use super::parse::{limited_body, media_type, wrong_type};
use super::reply::Problem;
use super::shapes::{AnyObject, Id, OtlpMessage};
use otlp::Wire;

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(report)).routes(routes!(logs))
}

/// What was put on record.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Reports {
    /// The events' ids in the trail, in the order in which they came.
    #[schema(value_type = Vec<Id>)]
    pub ids: Vec<ActionId>,
}

/// What was put on record, in the words of who reported.
#[derive(Debug, Clone, Copy, ToSchema)]
#[expect(dead_code, reason = "describes two answers that are written elsewhere")]
struct ReportsOrOtlp {
    /// For CloudEvents: the events' ids in the trail, in the order in which they came.
    #[schema(value_type = Option<Vec<Id>>)]
    ids: (),
    /// For OTLP: what was not put on record, where there is such.
    #[schema(value_type = Option<OtlpMessage>, rename = "partialSuccess")]
    partial_success: (),
}

/// Report events: CloudEvents 1.0 (structured, batch, binary) or OpenTelemetry log records (OTLP/HTTP).
///
/// CloudEvents are taken all or none. For OTLP, as `POST /v1/logs`.
#[utoipa::path(
    post, path = "/activity", tag = "activity", operation_id = "reportActivity",
    request_body(
        content(
            (cloudevents::CloudEvent = "application/cloudevents+json"),
            (Vec<cloudevents::CloudEvent> = "application/cloudevents-batch+json"),
            (OtlpMessage = "application/json"),
            (String = "application/x-protobuf"),
        ),
        description = "Events; a binary-mode CloudEvent's attributes stand in `ce-` headers, and its body is its data",
    ),
    responses(
        (status = 200, description = "They are on record; for OTLP, with what was not", content(
            (ReportsOrOtlp = "application/json"), (String = "application/x-protobuf"),
        )),
        (status = 400, description = "What was sent is not as it must be; for OTLP as a `Status`", content(
            (super::reply::ProblemBody = "application/problem+json"), (AnyObject = "application/json"), (String = "application/x-protobuf"),
        )),
        (status = 401, description = "No credential, or none that is good; for OTLP as a `Status`", content(
            (super::reply::ProblemBody = "application/problem+json"), (AnyObject = "application/json"), (String = "application/x-protobuf"),
        )),
        (status = 403, description = "Not from here; for OTLP as a `Status`", content(
            (super::reply::ProblemBody = "application/problem+json"), (AnyObject = "application/json"), (String = "application/x-protobuf"),
        )),
        (status = 413, description = "The report, or a part of it, is too large; for OTLP as a `Status`", content(
            (super::reply::ProblemBody = "application/problem+json"), (AnyObject = "application/json"), (String = "application/x-protobuf"),
        )),
        (status = 503, description = "Nothing can be recorded now; for OTLP as a `Status`", content(
            (super::reply::ProblemBody = "application/problem+json"), (AnyObject = "application/json"), (String = "application/x-protobuf"),
        )),
    ),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn report(
    State(app): State<App>,
    caller: Result<AnyCaller, Problem>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(wire) = Wire::of(&parts.headers).filter(|_| !cloudevents::is_binary(&parts.headers)) {
        return otlp_answer(&app, caller, wire, &parts.headers, body).await;
    }
    let answer = async {
        let caller = caller?;
        let read = mode(&parts.headers)?;
        plain(&parts.headers)?;
        let bytes = limited_body(body, REPORT_LIMIT_BYTES).await?;
        let events = read(&parts.headers, &bytes).map_err(|why| Problem::bad("bad-event", why))?;
        let events = masked(events, bytes.len()).await?;
        let ids = app.gateway.report_activity(&caller.caller, &events).await?;
        Ok::<_, Problem>(Json(Reports { ids }))
    };
    answer.await.into_response()
}

/// Report OpenTelemetry log records, at the path that exporters use (OTLP/HTTP 1.x).
#[utoipa::path(
    post, path = "/logs", tag = "activity", operation_id = "reportLogs",
    request_body(content((OtlpMessage = "application/json"), (String = "application/x-protobuf"))),
    responses(
        (status = 200, description = "They are on record, but for those that `partialSuccess` counts", content(
            (AnyObject = "application/json"), (String = "application/x-protobuf"),
        )),
        (status = 400, description = "The request does not read", content((AnyObject = "application/json"), (String = "application/x-protobuf"))),
        (status = 401, description = "No credential, or none that is good", content((AnyObject = "application/json"), (String = "application/x-protobuf"), (super::reply::ProblemBody = "application/problem+json"))),
        (status = 403, description = "Not from here", content((AnyObject = "application/json"), (String = "application/x-protobuf"), (super::reply::ProblemBody = "application/problem+json"))),
        (status = 413, description = "The request is too large", content((AnyObject = "application/json"), (String = "application/x-protobuf"))),
        (status = 503, description = "Nothing can be recorded now", content((AnyObject = "application/json"), (String = "application/x-protobuf"), (super::reply::ProblemBody = "application/problem+json"))),
    ),
    security(("agent" = []), ("session" = []), ("cookie" = []))
)]
async fn logs(
    State(app): State<App>,
    caller: Result<AnyCaller, Problem>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    match Wire::of(&parts.headers) {
        Some(wire) => otlp_answer(&app, caller, wire, &parts.headers, body).await,
        None => match caller {
            Ok(_) => wrong_type("application/x-protobuf` or `application/json").into_response(),
            Err(problem) => problem.into_response(),
        },
    }
}

async fn otlp_answer(
    app: &App,
    caller: Result<AnyCaller, Problem>,
    wire: Wire,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let taken = async {
        let caller = caller?;
        let bytes = limited_body(body, REPORT_LIMIT_BYTES).await?;
        let bytes = unpacked(headers, bytes)?;
        let mut read = otlp::read(wire, &bytes).map_err(|why| Problem::bad("bad-records", why))?;
        let size = read.events.iter().map(Reported::written).sum();
        read.events = masked(std::mem::take(&mut read.events), size).await?;
        read.recheck();
        app.gateway.report_activity(&caller.caller, &read.events).await?;
        Ok::<_, Problem>((read.rejected, read.why))
    };
    match taken.await {
        Ok((rejected, why)) => encoded(StatusCode::OK, wire, otlp::success(wire, rejected, &why)),
        Err(problem) => {
            let status = otlp::status(wire, problem.status(), problem.detail());
            let mut response = encoded(problem.status(), wire, status);
            // What a client is told to do stands in headers: when to come back, how to sign in.
            for (name, value) in problem.headers() {
                response.headers_mut().insert(name.clone(), value.clone());
            }
            response
        }
    }
}

fn encoded(status: StatusCode, wire: Wire, body: Vec<u8>) -> Response {
    (status, [(CONTENT_TYPE, wire.media_type())], body).into_response()
}

type Reader = fn(&HeaderMap, &[u8]) -> Result<Vec<Reported>, String>;

/// In which mode a CloudEvent comes (HTTP protocol binding 1.0, section 3).
fn mode(headers: &HeaderMap) -> Result<Reader, Problem> {
    let essence = media_type(headers);
    match essence.as_ref().map(|(essence, utf8)| (essence.as_str(), *utf8)) {
        Some(("application/cloudevents+json", true)) => Ok(|_, bytes| cloudevents::structured(bytes)),
        Some(("application/cloudevents-batch+json", true)) => Ok(|_, bytes| cloudevents::batch(bytes)),
        Some((essence, _)) if essence.starts_with("application/cloudevents") => {
            Err(wrong_type("application/cloudevents+json` or `application/cloudevents-batch+json"))
        }
        _ if cloudevents::is_binary(headers) => Ok(cloudevents::binary),
        _ => Err(wrong_type("application/cloudevents+json")),
    }
}

/// CloudEvents come as they are.
fn plain(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase()) {
        None => Ok(()),
        Some(encoding) if encoding == b"identity" => Ok(()),
        Some(_) => Err(wrong_encoding()),
    }
}

/// The body, out of gzip where it came in it, which every OTLP server takes.
fn unpacked(headers: &HeaderMap, bytes: Bytes) -> Result<Bytes, Problem> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    let (first, second) = (encodings.next(), encodings.next());
    match (first.map(|value| value.as_bytes().to_ascii_lowercase()), second) {
        (None, _) => Ok(bytes),
        (Some(encoding), None) if encoding == b"identity" => Ok(bytes),
        (Some(encoding), None) if encoding == b"gzip" => {
            let mut whole = Vec::new();
            // One byte more than is taken, so that a bomb is told from a large report.
            let limit = REPORT_LIMIT_BYTES as u64 + 1;
            let unpacking = flate2::read::GzDecoder::new(bytes.as_ref());
            std::io::Read::read_to_end(&mut std::io::Read::take(unpacking, limit), &mut whole)
                .map_err(|_| Problem::bad("bad-records", "the body is not gzip as it says"))?;
            if whole.len() > REPORT_LIMIT_BYTES { Err(Problem::too_large()) } else { Ok(whole.into()) }
        }
        _ => Err(wrong_encoding()),
    }
}

fn wrong_encoding() -> Problem {
    let detail = "the body's `Content-Encoding` is expected to be `gzip`, for OTLP, or none";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong-content-encoding", detail)
}

/// The events with secrets and personal data masked. Large reports are scanned where no connection waits for the
/// thread.
async fn masked(events: Vec<Reported>, bytes: usize) -> Result<Vec<Reported>, Problem> {
    if bytes <= SCAN_INLINE_BYTES {
        return Ok(mask_all(events));
    }
    tokio::task::spawn_blocking(move || mask_all(events)).await.map_err(|_| GatewayError::Busy.into())
}

/// What is reported is a copy that nobody signed: secrets in it never enter the log, wherever in an event they stand.
pub(crate) fn mask_all(mut events: Vec<Reported>) -> Vec<Reported> {
    static MASKER: LazyLock<Masker> = LazyLock::new(Masker::default);
    // A mask can be longer than what it stands for; the limit holds all the same.
    let text = |name: Option<&str>, text: &mut String, limit: usize| {
        let shown = MASKER.mask(name, text.as_bytes());
        if shown.is_masked() {
            cut(&shown.to_string(), limit).clone_into(text);
        }
    };
    for event in &mut events {
        let names = [&mut event.event, &mut event.subject, &mut event.severity].into_iter().flatten();
        for name in names.chain([&mut event.kind, &mut event.source]) {
            text(None, name, REPORTED_NAME_BYTES);
        }
        for (mut name, mut value) in std::mem::take(&mut event.attributes) {
            if let Fact::Text(value) = &mut value {
                text(Some(&name), value, REPORTED_ATTRIBUTE_BYTES);
            }
            text(None, &mut name, REPORTED_ATTRIBUTE_NAME_BYTES);
            // Two names that are one once they are masked keep both their values.
            let mut free = name.clone();
            for number in 2.. {
                if !event.attributes.contains_key(&free) {
                    break;
                }
                free = format!("{name} ({number})");
            }
            event.attributes.insert(free, value);
        }
        match &mut event.data {
            Some(Data::Text(data)) => text(None, data, REPORTED_DATA_BYTES),
            Some(Data::Bytes(data)) => {
                let shown = MASKER.mask(None, &data.0);
                if shown.is_masked() {
                    data.0 = shown.bytes();
                    data.0.truncate(REPORTED_DATA_BYTES);
                }
            }
            None => {}
        }
    }
    events
}

/// The largest report that is scanned for secrets on the thread of its connection, in bytes.
const SCAN_INLINE_BYTES: usize = 16 << 10;
