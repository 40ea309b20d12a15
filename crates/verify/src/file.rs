//! A file of either kind: a receipt (JSON) or a bundle (a tape archive), told apart by how it begins.

use std::io::{self, BufRead as _, BufReader, Read};

use domain::canonical::RECORD_LIMIT_BYTES;

use crate::bundle::{BundleReport, CaseReport, is_bundle, verify_bundle};
use crate::report::{Report, Verdict};
use crate::verify::{Trust, verify_receipt};

/// What was found of a file.
#[derive(Debug, Clone)]
pub enum Verified {
    /// It is a receipt, or no bundle at any rate.
    Receipt(Box<Report>),
    /// It is a bundle.
    Bundle {
        /// The verdict on it.
        report: Box<BundleReport>,
        /// Its first cases, none of an invalid one.
        cases: Vec<CaseReport>,
        /// How many there are besides.
        more: u64,
    },
}

impl Verified {
    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Receipt(report) => report.verdict,
            Self::Bundle { report, .. } => report.verdict,
        }
    }
}

/// Verifies a file of either kind, and keeps at most `keep` of a bundle's cases.
///
/// # Errors
/// What reading a receipt fails with; a bundle that cannot be read is invalid.
pub fn verify_file(input: impl Read, trust: &Trust, keep: usize) -> io::Result<Verified> {
    let mut input = BufReader::new(input);
    if !is_bundle(input.fill_buf()?) {
        let mut bytes = Vec::new();
        // One byte more than is read strictly, so that a file that is too long is told so.
        input.take(RECORD_LIMIT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        return Ok(Verified::Receipt(Box::new(verify_receipt(&bytes, trust))));
    }
    let (mut cases, mut more) = (Vec::new(), 0);
    let report =
        verify_bundle(input, trust, |case| if cases.len() < keep { cases.push(case) } else { more += 1 });
    if report.verdict == Verdict::Invalid {
        (cases, more) = (Vec::new(), 0);
    }
    Ok(Verified::Bundle { report: Box::new(report), cases, more })
}
