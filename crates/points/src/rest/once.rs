//! `Idempotency-Key` on proposals: the answer is kept sealed in the vault, and an identical request gets it
//! again instead of proposing twice.

use axum::http::StatusCode;
use domain::principal::Principal;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Rest;
use super::config::{IDEMPOTENCY_LIFETIME, IDEMPOTENCY_PROGRESS};
use super::parse::IdempotencyKey;
use super::people::Proposal;
use super::reply::Problem;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    request: String,
    answer: Proposal,
}

/// Does it once for each key of a caller, and answers the same again for [`IDEMPOTENCY_LIFETIME`]. Refusals are not
/// kept: whoever mends them may use the key again.
pub(super) async fn once(
    app: &Rest,
    who: Principal,
    operation: &str,
    key: &IdempotencyKey,
    request: &impl Serialize,
    propose: impl Future<Output = Result<Proposal, Problem>>,
) -> Result<Proposal, Problem> {
    let Some(key) = &key.0 else { return propose.await };
    let request = hex(&domain::canonical::write(request)?);
    let place = format!("rest/once/{who}/{}", hex(format!("{operation}\n{key}").as_bytes()));
    let store = app.gateway.store();
    if let Some(kept) = store.look(&place).await? {
        let kept: Kept = domain::canonical::read(&kept)?;
        if kept.request == request {
            return Ok(kept.answer);
        }
        let detail = "this `Idempotency-Key` was used for another request; use a new one";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail));
    }
    if !store.claim(&place, IDEMPOTENCY_PROGRESS).await? {
        let detail = "a request with this `Idempotency-Key` is under way; retry shortly";
        return Err(Problem::conflict("in-progress", detail).retry_after(IDEMPOTENCY_PROGRESS.seconds()));
    }
    let answer = propose.await?;
    let kept = domain::canonical::write(&Kept { request, answer: answer.clone() })?;
    store.keep(&place, &kept, IDEMPOTENCY_LIFETIME).await?;
    Ok(answer)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
