//! The benchmarks.

use crate::test::Step;

/// One row for each benchmark; `cargo xtask bench NAME` runs one, without a name all run.
///
/// A row that runs a crate's own benchmarks:
///
/// ```text
/// Step { name: "policy", needs: &[], run: |root| run::cargo(root, &["bench", "--package", "policy"]) },
/// ```
///
/// A row that runs a script, which prints `N passed, N failed` as its last line; here with the
/// Debian package that it needs:
///
/// ```text
/// Step {
///     name: "latency",
///     needs: &[Need::Apt(&["hyperfine"])],
///     run: |root| run::script(root, "tests/bench/latency.py", &[], Duration::from_secs(1200)),
/// },
/// ```
pub(crate) const ROWS: &[Step] = &[];
