//! The long tests, which are too slow for `cargo xtask test`. Each has a short sample there.

use std::time::Duration;

use anyhow::Result;

use crate::fuzz;
use crate::install::Need;
use crate::run::{self, Tally};
use crate::test::{CORPUS, PYTHON, SUITES_OF_DRIVERS, Step, corpus, gated};

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
        name: "faults",
        needs: &[PYTHON, Need::Apt(&["gcc", "libc6-dev"])],
        run: |root| run::script(root, "tests/faults/faults.py", &["all", "4"], SOAK_LIMIT),
    },
    Step {
        name: "api",
        needs: &[PYTHON, Need::Pip(&[("schemathesis", "4.32.5")])],
        run: |root| run::script(root, "tests/api/schemathesis.py", &["100"], SOAK_LIMIT),
    },
    Step {
        name: "postgres-drivers",
        needs: SUITES_OF_DRIVERS,
        run: |root| gated(root, "tests/postgres/suites.py", &["whole"], SOAK_LIMIT),
    },
    Step { name: "corpus", needs: CORPUS, run: |root| corpus(root, "whole", SOAK_LIMIT) },
    Step {
        name: "commit-ratio",
        needs: &[],
        run: |root| search_bench(root, &["--commits", "10000", "10000000"]),
    },
    Step { name: "fuzz", needs: &[Need::Apt(&["libclang-dev"])], run: |root| fuzz::all(root, FUZZ_SECONDS) },
    Step { name: "verifiers", needs: &[PYTHON], run: verifiers },
];

/// Commits beside the search index, in a small store and in one of ten million entries: some 8 GB on disk.
fn search_bench(root: &std::path::Path, sizes: &[&str]) -> Result<Tally> {
    let bench = ["bench", "--package", "search", "--bench", "search", "--"];
    run::cargo(root, &[bench.as_slice(), sizes].concat())
}

/// Both verifiers before what an attacker makes up, until four hours are nearly over.
fn verifiers(root: &std::path::Path) -> Result<Tally> {
    let mut tally = run::cargo(root, &["build", "--package", "verify", "--bins"])?;
    tally += run::script(root, "tests/verify/differ.py", &["100000"], SOAK_LIMIT)?;
    Ok(tally)
}
