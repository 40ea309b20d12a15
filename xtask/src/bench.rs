//! The benchmarks. `docs/benchmarks.md` keeps what they found.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::install::Need;
use crate::run::{self, Tally};
use crate::test::{DRIVERS, PYTHON, Step};

/// The longest that one benchmark may take.
const BENCH_LIMIT: Duration = Duration::from_secs(3600);

/// One row for each benchmark; `cargo xtask bench NAME` runs one, without a name all run. A script prints its
/// table and, as its last line, `N passed, N failed`.
pub(crate) const ROWS: &[Step] = &[
    Step {
        name: "decide",
        needs: &[],
        run: |root| run::cargo(root, &["bench", "--package", "policy", "--bench", "decide"]),
    },
    Step {
        name: "commit",
        needs: &[],
        run: |root| {
            run::cargo(
                root,
                &["bench", "--package", "store", "--features", "conformance", "--bench", "commit"],
            )
        },
    },
    Step {
        name: "period",
        needs: &[],
        run: |root| run::cargo(root, &["bench", "--package", "verify", "--bench", "period"]),
    },
    Step {
        name: "search",
        needs: &[],
        run: |root| {
            let sizes = ["10000", "1000000", "10000000"];
            let bench = ["bench", "--package", "search", "--bench", "search", "--"];
            run::cargo(root, &[bench.as_slice(), sizes.as_slice()].concat())
        },
    },
    Step {
        name: "proxy",
        needs: &[PYTHON, Need::Apt(&["nginx-light", "haproxy", "wrk"])],
        run: |root| whole(root, "bench/proxy.py"),
    },
    Step {
        name: "postgres",
        needs: &[
            PYTHON,
            Need::Pip(DRIVERS),
            Need::Apt(&["postgresql", "util-linux", "pgbouncer", "pgpool2"]),
        ],
        run: postgres,
    },
    Step { name: "whole", needs: &[PYTHON], run: |root| whole(root, "bench/whole.py") },
];

/// The PostgreSQL gate, and its wire alone.
fn postgres(root: &Path) -> Result<Tally> {
    let build = ["build", "--profile", "bench", "--package", "postgres", "--example", "gate"];
    let built = run::cargo(root, &build)?;
    ensure!(built.failed == 0, "the gate that is measured does not build");
    whole(root, "bench/postgres.py")
}

/// A script over the optimised binary.
fn whole(root: &Path, path: &str) -> Result<Tally> {
    let built = run::cargo(root, &["build", "--profile", "bench", "--package", "countersign"])?;
    ensure!(built.failed == 0, "the binary that `{path}` measures does not build");
    run::script(root, path, &[], BENCH_LIMIT)
}
