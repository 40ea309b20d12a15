//! A witness for the logs of others, over HTTP: checks, remembers, and only then cosigns.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit::witness::{AddCheckpoint, Answer, MAX_REQUEST_BYTES, Refusal, TrustedLogs, Witnessed};
use audit::{CosignatureTime, WitnessKey, WitnessSigner};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path as PathParameter, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::RecordError;
use super::records::{Records, origin_hash};

/// How long a request's body may take to come.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// The most requests that are checked and written down at once; more wait.
const REQUESTS_LIMIT: usize = 16;

/// How long a request waits for its turn.
const TURN_PATIENCE: Duration = Duration::from_secs(10);

/// A witness: its key, the logs that it knows, and what it has cosigned of each.
pub struct Witness {
    signer: WitnessSigner,
    logs: TrustedLogs,
    records: Records,
    /// One lock for each log, held from the decision until what comes of it is durable.
    known: BTreeMap<String, Mutex<Known>>,
    /// The time in seconds since the Unix epoch.
    clock: Box<dyn Fn() -> u64 + Send + Sync>,
}

/// What is remembered of a log.
enum Known {
    /// What the disk holds: nothing for a log that was never cosigned.
    Certain(Option<Box<Witnessed>>),
    /// A write failed: the disk says what it holds when it can be read again.
    Doubtful,
}

impl Witness {
    /// Opens a witness's folder, which it then has for itself, and reads what it holds. `clock` answers
    /// seconds since the Unix epoch.
    ///
    /// # Errors
    /// [`RecordError`]: the folder is in use, or a file in it is not what this witness wrote.
    pub fn open(
        folder: &Path,
        signer: WitnessSigner,
        logs: TrustedLogs,
        clock: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Self, RecordError> {
        let records = Records::open(folder)?;
        let read = |origin: &str| {
            let found = records.read(origin, signer.key())?;
            Ok((origin.to_owned(), Mutex::new(Known::Certain(found.map(Box::new)))))
        };
        let known = logs.origins().map(read).collect::<Result<_, RecordError>>()?;
        Ok(Self { signer, logs, records, known, clock: Box::new(clock) })
    }

    /// Whether a folder holds what some witness has cosigned. One that is not there holds nothing.
    ///
    /// # Errors
    /// [`RecordError::Disk`].
    pub fn remembers(folder: &Path) -> Result<bool, RecordError> {
        Records::any(folder)
    }

    /// The key that this witness cosigns with.
    #[must_use]
    pub fn key(&self) -> &WitnessKey {
        self.signer.key()
    }

    /// Decides on a request, and cosigns. The checkpoint is durable before this returns. It blocks.
    ///
    /// # Errors
    /// [`RecordError`]: nothing was cosigned that anybody has seen.
    pub fn add_checkpoint(&self, body: &[u8]) -> Result<Answer, RecordError> {
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(error) => return Ok(Answer::from(&Refusal::Malformed(error))),
        };
        let Some(known) = self.known.get(request.origin()) else {
            let origin = request.origin().chars().take(80).collect();
            return Ok(Answer::from(&Refusal::UnknownLog { origin }));
        };
        // A panic while it was held leaves what was certain before.
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let last = match &*known {
            Known::Certain(last) => last.clone(),
            Known::Doubtful => self.records.read(request.origin(), self.key())?.map(Box::new),
        };
        let next = match self.decide(last.as_deref(), &request) {
            Ok(next) => next,
            Err(refused) => return Ok(refused),
        };
        if let Err(error) = self.records.write(request.origin(), &next) {
            *known = Known::Doubtful;
            return Err(error);
        }
        let answer = Answer::from(&next);
        *known = Known::Certain(Some(Box::new(next)));
        Ok(answer)
    }

    /// The note cosigned last of the log whose origin has that SHA-256, in lowercase hex.
    #[must_use]
    pub fn latest(&self, hash: &str) -> Option<String> {
        let (_, known) = self.known.iter().find(|(origin, _)| origin_hash(origin) == hash)?;
        match &*known.lock().unwrap_or_else(PoisonError::into_inner) {
            Known::Certain(last) => last.as_ref().map(|last| last.note().to_string()),
            Known::Doubtful => None,
        }
    }

    fn decide(&self, last: Option<&Witnessed>, request: &AddCheckpoint) -> Result<Witnessed, Answer> {
        let unfit = |error: audit::Error| Answer::Refused { status: 500, reason: error.to_string() };
        let now = CosignatureTime::new((self.clock)()).map_err(unfit)?;
        let update = Witnessed::consider(last, request, &self.logs, now).map_err(|refusal| {
            if let Refusal::Inconsistent(_) = refusal {
                // Signed by its log: perhaps the proof that it shows two histories.
                tracing::warn!(request = %request, "a log's checkpoint does not extend what it showed before");
            }
            Answer::from(&refusal)
        })?;
        update.cosign(&self.signer).map_err(unfit)
    }
}

/// The witness's two addresses: `POST /add-checkpoint`, and `GET /<origin hash>/checkpoint` for
/// monitors. The listener bounds connections and heads.
pub fn router(witness: Arc<Witness>) -> Router {
    let shared = Shared { witness, places: Arc::new(Semaphore::new(REQUESTS_LIMIT)) };
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/{origin}/checkpoint", get(latest))
        .with_state(shared)
}

#[derive(Clone)]
struct Shared {
    witness: Arc<Witness>,
    places: Arc<Semaphore>,
}

async fn add_checkpoint(State(shared): State<Shared>, body: Body) -> Response {
    let body = match timeout(BODY_PATIENCE, to_bytes(body, MAX_REQUEST_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            return plain(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long or was cut short\n");
        }
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the request took too long to come\n"),
    };
    let Ok(Ok(place)) = timeout(TURN_PATIENCE, Arc::clone(&shared.places).acquire_owned()).await else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "this witness is busy; ask again later\n");
    };
    // Begun is done: a client that hangs up must not leave a checkpoint half written down.
    let deciding = tokio::task::spawn_blocking(move || {
        let _place = place;
        shared.witness.add_checkpoint(&body)
    });
    match deciding.await {
        Ok(Ok(answer)) => {
            let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(header::CONTENT_TYPE, answer.content_type())], answer.body()).into_response()
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "nothing is cosigned");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "this witness cannot write down what it sees\n")
        }
        Err(error) => {
            tracing::error!(%error, "a request was not decided");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "this witness failed\n")
        }
    }
}

async fn latest(State(shared): State<Shared>, PathParameter(origin): PathParameter<String>) -> Response {
    match shared.witness.latest(&origin) {
        Some(note) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response(),
        None => plain(StatusCode::NOT_FOUND, "nothing was cosigned of such a log\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
