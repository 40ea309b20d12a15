//! Agents trade a signed assertion for a short-lived access token (RFC 7523, RFC 6749 section 5), and everybody reads
//! which deployment this is.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, PRAGMA, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use gateway::GatewayError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::config::UNAVAILABLE_RETRY_SECONDS;
use super::parse::{is_form, whole_body};

/// The one grant type that is taken.
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

pub(super) fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(trade)).routes(routes!(info))
}

/// An assertion to be traded. Further fields are ignored, as RFC 6749 asks.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TokenRequest {
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`.
    #[schema(pattern = "^urn:ietf:params:oauth:grant-type:jwt-bearer$")]
    pub grant_type: String,
    /// A JWT that the agent signed with its key: `iss` and `sub` are `agent:<id>`, `aud` is this deployment.
    pub assertion: String,
}

/// An access token.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenAnswer {
    /// The token.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// How long it is good, in seconds.
    pub expires_in: u64,
}

/// Why there is no token (RFC 6749, section 5.2).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TokenError {
    /// `invalid_request`, `invalid_grant`, `unsupported_grant_type` or `temporarily_unavailable`.
    pub error: String,
    /// What to do.
    pub error_description: String,
}

/// Trade a signed assertion for an access token.
#[utoipa::path(
    post, path = "/token", tag = "agents", operation_id = "tradeAssertion",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A token", body = TokenAnswer),
        (status = 400, description = "The request or the assertion is not good", body = TokenError),
        (status = 413, description = "The request is too large", body = TokenError),
        (status = 415, description = "The request is no form", body = TokenError),
        (status = 503, description = "Nothing can be recorded now", body = TokenError),
    ),
    security(())
)]
async fn trade(State(app): State<App>, request: Request<Body>) -> Response {
    let answer = match read(request).await {
        Ok(assertion) => match app.gateway.trade_assertion(&assertion).await {
            Ok(token) => Json(TokenAnswer {
                access_token: token.expose().to_owned(),
                token_type: "Bearer".to_owned(),
                expires_in: token.lifetime().seconds(),
            })
            .into_response(),
            Err(error) => refusal(&error),
        },
        Err(answer) => answer,
    };
    ([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], answer).into_response()
}

async fn read(request: Request<Body>) -> Result<String, Response> {
    if !is_form(request.headers()) {
        let why = "send `application/x-www-form-urlencoded`";
        return Err(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", why));
    }
    let body = whole_body(request.into_body())
        .await
        .map_err(|problem| error(problem.status(), "invalid_request", "the form cannot be read"))?;
    let (mut grant_type, mut assertion) = (None, None);
    let twice = || error(StatusCode::BAD_REQUEST, "invalid_request", "each field stands once");
    for (name, value) in form(&body) {
        let slot = match name.as_str() {
            "grant_type" => &mut grant_type,
            "assertion" => &mut assertion,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(twice());
        }
    }
    match (grant_type.as_deref(), assertion) {
        (Some(GRANT_TYPE), Some(assertion)) => Ok(assertion),
        (Some(GRANT_TYPE), None) | (None, _) => Err(error(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "`grant_type` and `assertion` are required",
        )),
        (Some(_), _) => Err(error(StatusCode::BAD_REQUEST, "unsupported_grant_type", GRANT_TYPE)),
    }
}

/// The fields of a form. What is not UTF-8 is no assertion of ours and fails its check.
fn form(body: &[u8]) -> Vec<(String, String)> {
    let decode = |text: &[u8]| {
        let spaces: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
        percent_encoding::percent_decode(&spaces).decode_utf8_lossy().into_owned()
    };
    body.split(|b| *b == b'&')
        .filter(|field| !field.is_empty())
        .map(|field| match field.iter().position(|b| *b == b'=') {
            Some(at) => {
                let (name, value) = field.split_at(at);
                (decode(name), decode(value.get(1..).unwrap_or_default()))
            }
            None => (decode(field), String::new()),
        })
        .collect()
}

fn refusal(why: &GatewayError) -> Response {
    match why {
        GatewayError::Busy | GatewayError::Unavailable(_) => {
            let mut response = error(
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "nothing can be recorded now; retry",
            );
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(UNAVAILABLE_RETRY_SECONDS));
            response
        }
        GatewayError::Unauthenticated(_)
        | GatewayError::Forbidden(_)
        | GatewayError::StepUp
        | GatewayError::Malformed(_)
        | GatewayError::Refused(_)
        | GatewayError::NotFound(_)
        | GatewayError::Stale(_) => error(StatusCode::BAD_REQUEST, "invalid_grant", &why.to_string()),
    }
}

fn error(status: StatusCode, error: &str, description: &str) -> Response {
    // RFC 6749 allows neither quotes nor anything beyond ASCII in a description.
    let plain = |c: char| if matches!(c, ' '..='~') && c != '"' && c != '\\' { c } else { '?' };
    let error_description = description.chars().map(plain).collect();
    (status, Json(TokenError { error: error.to_owned(), error_description })).into_response()
}

/// Which deployment this is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Info {
    /// The deployment's one name, in every statement, token and checkpoint.
    pub origin: String,
    /// Where people reach the console.
    pub public_url: String,
    /// The gateway's version.
    pub version: String,
    /// The log's verifier key (C2SP), which receipts are verified with.
    pub log_key: String,
}

/// Which deployment this is.
#[utoipa::path(
    get, path = "/info", tag = "log", operation_id = "getInfo",
    responses((status = 200, description = "The deployment", body = Info)),
    security(())
)]
async fn info(State(app): State<App>) -> Json<Info> {
    let settings = app.gateway.settings();
    Json(Info {
        origin: settings.origin.to_string(),
        public_url: settings.public_url.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        log_key: settings.log_key.clone(),
    })
}
