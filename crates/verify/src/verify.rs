//! From bytes to a report.

use audit::{Policy, PolicyError, PolicyLog, VerifierKey};
use domain::canonical;
use domain::receipt::Receipt;

use crate::head::{self, Head};
use crate::replay::{Closed, Replay, Scope, line};
use crate::report::{EntryLine, Log, Report, Verdict};
use crate::{log, summary};

/// How a fingerprint begins.
pub const FINGERPRINT_PREFIX: &str = "SHA256:";
/// How many letters of base64 without padding SHA-256 takes.
const FINGERPRINT_DIGITS: usize = 43;

/// What the auditor trusts, received another way than with the receipt or bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The keys of logs; a key's name is its log's origin.
    pub logs: Vec<VerifierKey>,
    /// The witnesses who are known, and how many of them must have cosigned the checkpoint; its logs are not looked
    /// at. `None` knows no witness and asks for none.
    pub witnesses: Option<Policy>,
    /// The relying party that every passkey must have been enrolled for. `None` takes each key's enrolment
    /// entry at its word, which is as much as the log's key can be trusted anyway.
    pub rp_id: Option<String>,
    /// The fingerprint of the first administrator's key, as `SHA256:` and base64 without padding. `None` takes the log
    /// at its word for it, and the report says so.
    pub bootstrap: Option<String>,
    /// The web origins at which a passkey may have signed. `None` allows each key the one that its enrolment names.
    pub web_origins: Option<Vec<String>>,
}

impl Trust {
    /// Trust in a log's key alone.
    #[must_use]
    pub fn in_log(log: VerifierKey) -> Self {
        Self { logs: vec![log], witnesses: None, rp_id: None, bootstrap: None, web_origins: None }
    }

    /// Reads a trust file: a C2SP `tlog-policy`, or the log's verifier key alone.
    ///
    /// # Errors
    /// What the policy's reader refuses, with the line's number.
    pub fn read(bytes: &[u8]) -> Result<Self, PolicyError> {
        let key = std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok());
        key.map_or_else(|| Policy::parse(bytes).map(Self::by), |key| Ok(Self::in_log(key)))
    }

    /// Reads the fingerprint of a bootstrap key, as `SHA256:` and 43 letters of base64: the first word of a text.
    ///
    /// # Errors
    /// What is no fingerprint, in words.
    pub fn read_bootstrap(text: &str) -> Result<String, String> {
        let word = text.split_whitespace().next().unwrap_or_default();
        let digits = word.strip_prefix(FINGERPRINT_PREFIX).unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        if digits.len() == FINGERPRINT_DIGITS && digits.bytes().all(plain) {
            Ok(word.to_owned())
        } else {
            Err("a bootstrap key's fingerprint is `SHA256:` and 43 letters of base64".to_owned())
        }
    }

    /// Trust as a trust file (C2SP `tlog-policy`) states it.
    #[must_use]
    pub fn by(policy: Policy) -> Self {
        let logs = policy.logs().iter().filter_map(PolicyLog::key).cloned().collect();
        Self { logs, witnesses: Some(policy), rp_id: None, bootstrap: None, web_origins: None }
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
    let one = |reason: String| vec![reason];
    let receipt: Receipt =
        canonical::read_exact(bytes).map_err(|error| one(format!("the file cannot be read: {error}")))?;
    let head = head::open(&receipt.checkpoint, &receipt.origin, trust, &[]).map_err(one)?;
    let entries = log::prove(&receipt, &head.checkpoint)?;
    let mut replay = Replay::new(receipt.origin.clone(), trust, Scope::One(receipt.approval));
    let mut payload = Some(receipt.payload);
    let mut keys = receipt.keys.into_iter().peekable();
    for proven in &entries {
        let of_a_key = keys.next_if(|key| key.entry == proven.index).map(|key| key.payload);
        let shown = if replay.is_request(proven) { payload.take() } else { None };
        if shown.is_some() && of_a_key.is_some() {
            return Err(one(format!("entry {}: its payload stands twice", proven.index)));
        }
        replay.take(proven, shown.or(of_a_key)).map_err(one)?;
    }
    if let Some(key) = keys.next() {
        return Err(one(format!("entry {}: its payload stands where none is looked for", key.entry)));
    }
    if let Some(index) = replay.decision() {
        let why = format!(
            "entry {index}: a decision on which no people were asked; only held actions have receipts that can be \
             verified"
        );
        return Ok(Report { verdict: Verdict::Indeterminate, reasons: vec![why], summary: None });
    }
    match replay.close().find(|closed| closed.id() == receipt.approval) {
        None => Err(one("the request is missing: a receipt has a case's first event".to_owned())),
        Some(Closed::Blind(_, why)) => {
            Ok(Report { verdict: Verdict::Indeterminate, reasons: vec![why], summary: None })
        }
        Some(Closed::Whole(id, case)) => {
            let reasons: Vec<String> = case.missing.iter().cloned().chain(head.missing.clone()).collect();
            let verdict = if reasons.is_empty() { Verdict::Valid } else { Verdict::Indeterminate };
            let lines = entries.iter().map(line).collect();
            let summary = summary::of(id, &case, at(&receipt.origin, &head, lines));
            Ok(Report { verdict, reasons, summary: Some(summary) })
        }
    }
}

/// Where the proof stands.
pub(crate) fn at(origin: &domain::id::Origin, head: &Head, entries: Vec<EntryLine>) -> Log {
    Log {
        origin: origin.clone(),
        key: head.key.to_string(),
        size: head.checkpoint.size(),
        root: head.checkpoint.root().to_string(),
        witnesses: head.witnesses.clone(),
        rotations: head.rotations.clone(),
        entries,
    }
}
