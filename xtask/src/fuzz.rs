//! Fuzzing: cargo-fuzz over the targets in `fuzz/`, on the nightly toolchain.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::install::{self, Need};
use crate::run::{self, Tally};

/// How long a target runs when nobody says, in seconds.
pub(crate) const DEFAULT_SECONDS: u64 = 60;

const CARGO_FUZZ: Need = Need::CargoTool("cargo-fuzz", "0.13.2");

/// Runs one target. Seeds kept in the repository (`fuzz/seeds/<target>`) are read, never written;
/// what the fuzzer finds on its own goes to the git-ignored `fuzz/corpus/<target>`.
pub(crate) fn fuzz(root: &Path, target: &str, seconds: u64) -> Result<bool> {
    let targets = known(root)?;
    ensure!(
        targets.iter().any(|known| known == target),
        "`{target}` is not a fuzz target; there are: {}",
        targets.join(", ")
    );
    let nightly = Command::new("cargo").args(["+nightly", "--version"]).output();
    ensure!(
        nightly.is_ok_and(|output| output.status.success()),
        "fuzzing needs the nightly toolchain: run `rustup toolchain install nightly`"
    );
    install::need(root, &CARGO_FUZZ)?;

    let corpus = format!("fuzz/corpus/{target}");
    fs::create_dir_all(root.join(&corpus)).with_context(|| format!("cannot make `{corpus}`"))?;
    let mut command = run::in_tools(root, "cargo");
    command.args(["+nightly", "fuzz", "run", target, &corpus]);
    let seeds = format!("fuzz/seeds/{target}");
    if root.join(&seeds).is_dir() {
        command.arg(seeds);
    }
    command.arg("--").arg(format!("-max_total_time={seconds}"));
    let limit = run::CARGO_LIMIT.saturating_add(Duration::from_secs(seconds));
    Ok(run::stream(command, limit, |_| ())?.success())
}

/// Runs every target in turn, each for so many seconds.
pub(crate) fn all(root: &Path, seconds: u64) -> Result<Tally> {
    let mut tally = Tally::default();
    for target in known(root)? {
        let clean = fuzz(root, &target, seconds)?;
        println!("{}  {target}, {seconds} s", if clean { "ok    " } else { "FAILED" });
        tally += Tally::one(clean);
    }
    Ok(tally)
}

/// The targets that there are.
fn known(root: &Path) -> Result<Vec<String>> {
    let manifest = root.join("fuzz/Cargo.toml");
    ensure!(manifest.is_file(), "there is no `fuzz/Cargo.toml`");
    let targets = targets(&fs::read_to_string(&manifest)?)?;
    ensure!(!targets.is_empty(), "`fuzz/Cargo.toml` has no [[bin]]");
    Ok(targets)
}

/// The names of the binaries of the fuzz crate.
fn targets(manifest: &str) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Manifest {
        #[serde(default)]
        bin: Vec<Binary>,
    }
    #[derive(serde::Deserialize)]
    struct Binary {
        name: String,
    }
    let manifest: Manifest = toml::from_str(manifest).context("cannot read `fuzz/Cargo.toml`")?;
    Ok(manifest.bin.into_iter().map(|binary| binary.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_binaries_of_the_fuzz_crate() {
        let manifest = "[package]\nname = \"f\"\n[[bin]]\nname = \"parse\"\npath = \"parse.rs\"\n";
        assert_eq!(targets(manifest).unwrap(), ["parse"]);
        assert!(targets("[package]\nname = \"f\"\n").unwrap().is_empty());
    }
}
