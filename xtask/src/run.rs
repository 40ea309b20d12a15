//! Running commands: output is shown as it comes, and counted.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// The longest that one cargo command may take; a clean build on two cores takes a quarter of it.
pub(crate) const CARGO_LIMIT: Duration = Duration::from_secs(3600);
/// What a command gets between being asked to stop and being killed.
const GRACE: Duration = Duration::from_secs(15);
/// How often a command that says nothing is looked at.
const POLL: Duration = Duration::from_millis(100);
/// How long output may stay silent after its command ended. A daemon that the command left behind
/// can hold the pipe open for ever.
const DRAIN: Duration = Duration::from_millis(500);

/// What a step has counted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Tests that were there and did not run: neither passed nor failed, and shown.
    pub(crate) skipped: u64,
    /// What was not checked, in words; shown again under the summary.
    pub(crate) notes: Vec<String>,
}

impl Tally {
    /// One check, which passed or failed.
    pub(crate) fn one(passed: bool) -> Tally {
        Tally { passed: u64::from(passed), failed: u64::from(!passed), ..Tally::default() }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.notes.extend(other.notes);
    }
}

/// What `cargo metadata --no-deps` says, as far as we look.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_root: PathBuf,
    pub(crate) target_directory: PathBuf,
}

/// A crate of the workspace.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a crate's dependencies; `kind` is nothing for a normal one, else `dev` or `build`.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Option<String>,
}

/// The workspace around the current folder.
pub(crate) fn metadata() -> Result<Metadata> {
    let mut command = bare("cargo");
    command.args(["metadata", "--no-deps", "--format-version", "1"]).stderr(Stdio::inherit());
    let output = command.output().context("cannot run `cargo metadata`")?;
    ensure!(output.status.success(), "`cargo metadata` failed: mend the Cargo.toml that it names");
    serde_json::from_str(&String::from_utf8(output.stdout)?)
        .context("cannot read what `cargo metadata` printed")
}

/// One check: a cargo command, passed if it exits with success.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Result<Tally> {
    let mut command = in_tools(root, "cargo");
    command.args(arguments);
    Ok(Tally::one(status(command)?))
}

/// `cargo test`: the sum over all test binaries.
pub(crate) fn cargo_test(root: &Path, arguments: &[&str]) -> Result<Tally> {
    let mut command = in_tools(root, "cargo");
    command.arg("test").args(arguments);
    let mut tally = Tally::default();
    let status = stream(command, CARGO_LIMIT, |line| {
        if let Some(binary) = cargo_result(line) {
            tally += binary;
        }
    })?;
    settle(tally, status.success())
}

/// A script of the repository, which prints `N passed, N failed` as its last line.
///
/// `.py` runs with python3 (that of `.tools/venv`, if a step needed it), `.mjs` with node, `.sh`
/// with bash. The script finds our binaries, freshly built, in `COUNTERSIGN_BIN` and `DEMO_BIN`,
/// npm's packages by `NODE_PATH` (which `require` honours and `import` does not: use
/// `createRequire(import.meta.url)`), and jars by `CLASSPATH`. When it runs past `limit` it gets a TERM, in which it can
/// stop what it started, and then a KILL.
pub(crate) fn script(root: &Path, path: &str, arguments: &[&str], limit: Duration) -> Result<Tally> {
    ensure!(root.join(path).is_file(), "the script `{path}` does not exist: write it");
    let interpreter = match Path::new(path).extension().and_then(|end| end.to_str()) {
        Some("py") => "python3",
        Some("mjs") => "node",
        Some("sh") => "bash",
        _ => bail!("`{path}` is not a .py, .mjs or .sh: nothing here knows how to run it"),
    };
    let built = cargo(root, &["build", "--package", "countersign", "--package", "demo"])?;
    ensure!(built.failed == 0, "the binaries that `{path}` tests do not build");

    let binaries = metadata()?.target_directory.join("debug");
    let mut command = in_tools(root, interpreter);
    command
        .arg(path)
        .args(arguments)
        .env("COUNTERSIGN_BIN", binaries.join("countersign"))
        .env("DEMO_BIN", binaries.join("demo"))
        .env("NODE_PATH", root.join(".tools/node/node_modules"))
        .env("CLASSPATH", root.join(".tools/java/*"))
        .env("PYTHONUNBUFFERED", "1");
    counted(command, limit).with_context(|| format!("`{path}`"))
}

/// Runs a command whose last line is `N passed, N failed`.
fn counted(command: Command, limit: Duration) -> Result<Tally> {
    let mut last = String::new();
    let status = stream(command, limit, |line| {
        if !line.trim().is_empty() {
            line.clone_into(&mut last);
        }
    })?;
    let tally = script_result(&last)
        .with_context(|| format!("its last line is not `N passed, N failed` but `{last}` ({status})"))?;
    settle(tally, status.success())
}

/// True if the command exits with success.
pub(crate) fn status(command: Command) -> Result<bool> {
    Ok(stream(command, CARGO_LIMIT, |_| ())?.success())
}

/// A command at the repository's root, with the tools of `.tools` first in its PATH.
pub(crate) fn in_tools(root: &Path, program: &str) -> Command {
    let tools = root.join(".tools");
    let folders = ["venv/bin", "cargo/bin", "go/bin", "go-toolchain/bin"];
    let mut path: Vec<_> = folders.iter().map(|folder| tools.join(folder)).collect();
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let mut command = bare(program);
    command.current_dir(root);
    // Joining fails only for a folder with a `:` in its name; then the tools are found by no PATH.
    if let Ok(path) = env::join_paths(path) {
        command.env("PATH", path);
    }
    command
}

/// A command without standard input and without what `cargo run` told us about ourselves: a cargo
/// below us would take a changed `CARGO_PKG_NAME` for a reason to build some crates anew.
fn bare(program: &str) -> Command {
    const OURS: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if OURS.iter().any(|ours| starts_with(&name, ours)) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

fn starts_with(name: &OsString, start: &str) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(start))
}

/// Runs a command and shows its output as it comes; each line of standard output also goes to
/// `on_line`. Fails when the command cannot start or runs past `limit`.
pub(crate) fn stream(
    mut command: Command,
    limit: Duration,
    mut on_line: impl FnMut(&str),
) -> Result<ExitStatus> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{name}`: is it installed?"))?;
    let (sender, lines) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
    }
    let mut show = |line: String| {
        println!("{line}");
        on_line(&line);
    };

    let start = Instant::now();
    let status = loop {
        match lines.recv_timeout(POLL) {
            Ok(line) => show(line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(POLL),
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > limit {
            stop(&mut child)?;
            bail!("`{name}` ran longer than its limit of {} s and was stopped", limit.as_secs());
        }
    };
    while let Ok(line) = lines.recv_timeout(DRAIN) {
        show(line);
    }
    Ok(status)
}

/// Asks a command to stop, and kills it if it does not.
fn stop(child: &mut Child) -> Result<()> {
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let start = Instant::now();
    while asked.as_ref().is_ok_and(ExitStatus::success) && start.elapsed() < GRACE {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        thread::sleep(POLL);
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// A count and an exit status that do not agree are a failure: so is a run of no test at all.
fn settle(mut tally: Tally, success: bool) -> Result<Tally> {
    if success {
        ensure!(tally.passed + tally.failed > 0, "no test ran");
    } else if tally.failed == 0 {
        println!("counted no failure, yet the exit status says there was one");
        tally.failed = 1;
    }
    Ok(tally)
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; ...`.
fn cargo_result(line: &str) -> Option<Tally> {
    let (verdict, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    if verdict != "ok" && verdict != "FAILED" {
        return None;
    }
    let mut parts = counts.split("; ");
    Some(Tally {
        passed: count(parts.next()?, "passed")?,
        failed: count(parts.next()?, "failed")?,
        skipped: count(parts.next()?, "ignored")?,
        notes: Vec::new(),
    })
}

/// Reads `3 passed, 0 failed`, after which `, 1 skipped` may follow; nothing else on the line.
fn script_result(line: &str) -> Option<Tally> {
    let mut parts = line.trim().split(", ");
    let tally = Tally {
        passed: count(parts.next()?, "passed")?,
        failed: count(parts.next()?, "failed")?,
        skipped: parts.next().map_or(Some(0), |part| count(part, "skipped"))?,
        notes: Vec::new(),
    };
    parts.next().is_none().then_some(tally)
}

fn count(part: &str, word: &str) -> Option<u64> {
    part.strip_suffix(word)?.strip_suffix(' ')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally { passed, failed, skipped, notes: Vec::new() }
    }

    fn shell(text: &str) -> Command {
        let mut command = bare("sh");
        command.args(["-c", text]);
        command
    }

    #[test]
    fn a_result_line_of_cargo_is_counted() {
        let ok =
            "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 4 filtered out; finished in 0.01s";
        assert_eq!(cargo_result(ok), Some(tally(12, 0, 3)));
        let failed =
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9s";
        assert_eq!(cargo_result(failed), Some(tally(1, 2, 0)));
    }

    #[test]
    fn other_lines_are_not_counted() {
        for line in [
            "",
            "running 3 tests",
            "test result_is_kept ... ok",
            "  test result: ok. 1 passed; 0 failed; 0 ignored",
            "test result: ok. many passed; 0 failed; 0 ignored",
            "test result: perhaps. 1 passed; 0 failed; 0 ignored",
            "test result: ok. 1 passed",
        ] {
            assert_eq!(cargo_result(line), None, "{line}");
        }
    }

    #[test]
    fn a_result_line_of_a_script_is_counted() {
        assert_eq!(script_result("7 passed, 0 failed"), Some(tally(7, 0, 0)));
        assert_eq!(script_result("7 passed, 1 failed, 2 skipped\r"), Some(tally(7, 1, 2)));
        for line in [
            "",
            "all is well",
            "7 passed",
            "passed, failed",
            "-1 passed, 0 failed",
            "7 passed, 0 failed, 1 skipped, 1 lost",
            "so 7 passed, 0 failed",
        ] {
            assert_eq!(script_result(line), None, "{line}");
        }
    }

    #[test]
    fn only_the_last_line_of_a_script_counts() {
        let check = |text| counted(shell(text), CARGO_LIMIT);
        let well = check("echo 9 passed, 9 failed; echo so; echo 2 passed, 0 failed; echo");
        assert_eq!(well.unwrap(), tally(2, 0, 0));
        assert_eq!(check("echo 2 passed, 0 failed; exit 1").unwrap(), tally(2, 1, 0));
        assert!(check("echo 2 passed, 0 failed; echo bye").is_err());
        assert!(check("echo 0 passed, 0 failed").is_err());
        assert!(check("true").is_err());
    }

    #[test]
    fn a_failing_exit_counts_though_no_test_failed() {
        assert_eq!(settle(tally(5, 0, 0), false).unwrap(), tally(5, 1, 0));
        assert_eq!(settle(tally(5, 2, 0), false).unwrap(), tally(5, 2, 0));
        assert_eq!(settle(tally(5, 0, 0), true).unwrap(), tally(5, 0, 0));
    }

    #[test]
    fn a_run_of_no_test_is_a_failure() {
        assert!(settle(tally(0, 0, 3), true).is_err());
    }

    #[test]
    fn every_line_is_seen_and_the_status_is_told() {
        let mut seen = Vec::new();
        let status = stream(shell("echo one; printf two; exit 3"), CARGO_LIMIT, |line| {
            seen.push(line.to_owned());
        });
        assert_eq!(status.unwrap().code(), Some(3));
        assert_eq!(seen, ["one", "two"]);
    }

    #[test]
    fn a_daemon_that_keeps_the_pipe_does_not_keep_us() {
        let start = Instant::now();
        stream(shell("sleep 20 & echo left it"), CARGO_LIMIT, |_| ()).unwrap();
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_command_past_its_limit_is_stopped() {
        let error = stream(shell("exec sleep 60"), Duration::from_millis(200), |_| ()).unwrap_err();
        assert!(error.to_string().contains("longer than its limit"), "{error}");
    }
}
