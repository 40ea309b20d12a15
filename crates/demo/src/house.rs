//! The gateway as a child process, and its command line: the very binary that anybody runs.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long the gateway may take until it answers.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// How long the gateway may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// A folder that goes with the demo, and the built binary.
#[derive(Debug)]
pub(crate) struct House {
    /// Where everything of this run lies.
    pub(crate) folder: PathBuf,
    binary: PathBuf,
    /// Console and API.
    pub(crate) url: String,
    /// The HTTP point, which agents call.
    pub(crate) point: String,
}

/// The gateway, while it runs.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    /// The log's verifier key, as the gateway printed it at start.
    pub(crate) log_key: String,
    /// The first administrator's one-time link.
    pub(crate) invite: String,
    /// From the start of the process until it answered.
    pub(crate) ready: Duration,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl House {
    /// Builds the binary beside this one, and writes the bootstrap file.
    pub(crate) async fn build(folder: &Path, secret: &str) -> anyhow::Result<Self> {
        let binary = built().await?;
        let (console, point) = (free_port()?, free_port()?);
        let url = format!("http://localhost:{console}");
        let config = format!(
            "public_url = \"{url}\"\n\n[listen]\nconsole = \"127.0.0.1:{console}\"\nhttp = \"127.0.0.1:{point}\"\n\n\
             [secrets]\norders-token = {{ file = \"orders-token\" }}\n"
        );
        std::fs::write(folder.join("countersign.toml"), config)?;
        std::fs::write(folder.join("orders-token"), secret)?;
        Ok(Self { folder: folder.to_owned(), binary, url, point: format!("http://127.0.0.1:{point}") })
    }

    /// Starts the gateway and waits until it answers.
    pub(crate) async fn start(&self) -> anyhow::Result<Gateway> {
        let began = Instant::now();
        let log = std::fs::File::create(self.folder.join("gateway.log"))?;
        let mut child =
            self.command(&["up", "--admin", "Alice"])?.stdout(Stdio::piped()).stderr(log).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("the gateway has no output")?).lines();
        let welcome = tokio::time::timeout(START_PATIENCE, read_welcome(lines, began)).await;
        match welcome {
            Ok(Ok((log_key, invite, ready))) => Ok(Gateway { child, log_key, invite, ready }),
            Ok(Err(_)) | Err(_) => {
                let log = std::fs::read_to_string(self.folder.join("gateway.log")).unwrap_or_default();
                bail!("the gateway did not start:\n{log}")
            }
        }
    }

    /// Runs a command of the command line to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> anyhow::Result<Ran> {
        let output = self.command(args)?.stdin(Stdio::null()).output().await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Ok(Ran {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        })
    }

    /// Runs a command that must succeed.
    pub(crate) async fn must(&self, args: &[&str]) -> anyhow::Result<String> {
        let ran = self.run(args).await?;
        if ran.code != 0 {
            bail!("`countersign {}` ended with {}:\n{}{}", args.join(" "), ran.code, ran.out, ran.err);
        }
        Ok(ran.out)
    }

    /// Runs a command that must succeed, and reads the JSON that it prints.
    pub(crate) async fn json(&self, args: &[&str]) -> anyhow::Result<Value> {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.must(&args).await?).context("the command line printed no JSON")
    }

    /// The command line, in the demo's own folder and with nothing of the user's own settings.
    pub(crate) fn command(&self, args: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(&self.binary);
        command
            .args(args)
            .current_dir(&self.folder)
            .env("XDG_CONFIG_HOME", self.folder.join("config"))
            .env("COUNTERSIGN_URL", &self.url)
            .env_remove("COUNTERSIGN_CONFIG")
            .env_remove("COUNTERSIGN_AGENT_KEY")
            .kill_on_drop(true);
        Ok(command)
    }
}

impl Gateway {
    /// Asks the gateway to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(id) = self.child.id() {
            // A polite signal, so that its last segment is sealed; `kill` is everywhere.
            Command::new("kill").arg(id.to_string()).status().await?;
        }
        tokio::time::timeout(STOP_PATIENCE, self.child.wait())
            .await
            .context("the gateway did not stop")??;
        Ok(())
    }
}

/// Reads what `up` prints until the link stands there.
async fn read_welcome(
    mut lines: Lines<BufReader<ChildStdout>>,
    began: Instant,
) -> anyhow::Result<(String, String, Duration)> {
    let (mut log_key, mut ready) = (String::new(), None);
    while let Some(line) = lines.next_line().await? {
        let ready = *ready.get_or_insert_with(|| began.elapsed());
        if let Some(key) = line.strip_prefix("log key") {
            key.trim().clone_into(&mut log_key);
        }
        if line.contains("/enrol#") {
            let invite = line.trim().to_owned();
            // Whatever it prints later must not fill the pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok((log_key, invite, ready));
        }
    }
    bail!("the gateway ended before it was ready")
}

/// Builds the command line where it is missing or old: the demo runs from the repository, with cargo.
async fn built() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let folder = here.parent().context("this program has no folder")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "countersign"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if !has_libclang() {
        // The PostgreSQL point's parser wants it to be built, and the story has no database.
        cargo.arg("--no-default-features");
    }
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    if !cargo.status().await.context("cargo does not run")?.success() {
        bail!("`countersign` does not build");
    }
    Ok(folder.join(if cfg!(windows) { "countersign.exe" } else { "countersign" }))
}

/// Whether libclang lies where those who build with it look.
fn has_libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let folders = [
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
        "/opt/homebrew/opt/llvm/lib",
        "/Library/Developer/CommandLineTools/usr/lib",
    ];
    let entries = |folder: &std::path::Path| {
        std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect::<Vec<_>>()
    };
    let is_it = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("libclang.so") || name.starts_with("libclang-") || name == "libclang.dylib"
    };
    folders.iter().map(PathBuf::from).any(|folder| {
        entries(&folder).iter().any(|path| {
            // Debian keeps it in `llvm-19/lib`, or in the folder of the machine's kind.
            is_it(path) || entries(path).iter().any(is_it) || entries(&path.join("lib")).iter().any(is_it)
        })
    })
}

/// A port that is free just now.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
