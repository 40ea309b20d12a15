//! From bytes to a report.

use audit::VerifierKey;
use domain::canonical;
use domain::receipt::Receipt;

use crate::content::Content;
use crate::report::{Report, Verdict};
use crate::{case, content, log, summary};

/// What the auditor trusts, received another way than with the receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The log's key; its name is the log's origin.
    pub log: VerifierKey,
    /// The relying party that every passkey must have been enrolled for. `None` takes each key's enrolment
    /// entry at its word, which is as much as the log's key can be trusted anyway.
    pub rp_id: Option<String>,
    /// The web origins at which a passkey may have signed. `None` allows each key the one that its enrolment names.
    pub web_origins: Option<Vec<String>>,
}

impl Trust {
    /// Trust in a log's key alone.
    #[must_use]
    pub fn in_log(log: VerifierKey) -> Self {
        Self { log, rp_id: None, web_origins: None }
    }
}

/// Verifies a receipt, at most [`canonical::RECORD_LIMIT_BYTES`] bytes.
///
/// The verdict is on the evidence, not on the action: the receipt of a denied or pending case is as valid as that of
/// one that ran. An invalid receipt has no summary, so that nothing it claims is repeated by mistake.
#[must_use]
pub fn verify_receipt(bytes: &[u8], trust: &Trust) -> Report {
    match check(bytes, trust) {
        Ok(report) => report,
        Err(reasons) => Report { verdict: Verdict::Invalid, reasons, summary: None },
    }
}

/// The report of a receipt that nothing speaks against, or all that speaks against it.
fn check(bytes: &[u8], trust: &Trust) -> Result<Report, Vec<String>> {
    let receipt: Receipt =
        canonical::read(bytes).map_err(|error| vec![format!("the file cannot be read: {error}")])?;
    let log = log::prove(&receipt, trust)?;
    let entries = content::read(&receipt, &log.entries)?;
    if let Some(missing) = unreadable_request(&entries) {
        return Ok(Report { verdict: Verdict::Indeterminate, reasons: vec![missing], summary: None });
    }
    let case = case::replay(&receipt, &entries, trust)?;
    let verdict = if case.missing.is_empty() { Verdict::Valid } else { Verdict::Indeterminate };
    let summary = summary::of(&receipt, trust, &log, &entries, &case);
    Ok(Report { verdict, reasons: case.missing, summary: Some(summary) })
}

/// Why nothing at all can be said of the case, where its first entry is withheld.
fn unreadable_request(entries: &[content::Read<'_>]) -> Option<String> {
    entries.iter().find_map(|entry| match &entry.content {
        Content::WithheldRequest(what) => Some(format!(
            "entry {}: {what} of the request is withheld, so nobody can say what was asked",
            entry.proven.index
        )),
        Content::Decision => Some(format!(
            "entry {}: a decision on which no people were asked; only held actions have receipts that can be verified",
            entry.proven.index
        )),
        Content::Requested { .. }
        | Content::Event(_)
        | Content::Withheld
        | Content::Change(_)
        | Content::WithheldChange
        | Content::Other => None,
    })
}
