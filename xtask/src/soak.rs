//! The long tests, which are too slow for `cargo xtask test`. Each has a short sample there.

use std::time::Duration;

use anyhow::Result;

use crate::fuzz;
use crate::install::Need;
use crate::run::{self, Tally};
use crate::test::{PYTHON, Step};

/// The longest that one of them may take.
const SOAK_LIMIT: Duration = Duration::from_secs(4 * 3600);
/// How long each fuzz target runs, in seconds.
const FUZZ_SECONDS: u64 = 3600;

/// One row for each long test; `cargo xtask soak NAME` runs one, without a name all run.
pub(crate) const ROWS: &[Step] = &[
    Step {
        name: "crash",
        needs: &[PYTHON],
        run: |root| run::script(root, "tests/crash/kill_loop.py", &["700"], SOAK_LIMIT),
    },
    Step {
        name: "api",
        needs: &[PYTHON, Need::Pip(&[("schemathesis", "4.32.5")])],
        run: |root| run::script(root, "tests/api/schemathesis.py", &["100"], SOAK_LIMIT),
    },
    Step { name: "fuzz-http", needs: &[], run: |root| fuzzed(root, "http_parse") },
    Step { name: "fuzz-template", needs: &[], run: |root| fuzzed(root, "http_template") },
    Step { name: "fuzz-canonical", needs: &[], run: |root| fuzzed(root, "canonical_read") },
];

fn fuzzed(root: &std::path::Path, target: &str) -> Result<Tally> {
    fuzz::fuzz(root, target, FUZZ_SECONDS).map(Tally::one)
}
