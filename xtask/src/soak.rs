//! The long tests, which are too slow for `cargo xtask test`.

use crate::test::Step;

/// One row for each long test; `cargo xtask soak NAME` runs one, without a name all run.
///
/// The script prints `N passed, N failed` as its last line, and gets its length as an argument:
///
/// ```text
/// Step {
///     name: "crash",
///     needs: &[],
///     run: |root| run::script(root, "tests/crash/kill_loop.py", &["--kills", "10000"], Duration::from_secs(7200)),
/// },
/// ```
pub(crate) const ROWS: &[Step] = &[];
