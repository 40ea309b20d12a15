//! A deployment in a folder of its own, and the command line beside it.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use demo::Person;
use serde_json::Value;
use tempfile::TempDir;

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A folder with a bootstrap file.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) url: String,
    pub(crate) point: String,
}

/// A gateway, killed when it is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) log_key: String,
    pub(crate) invite: Option<String>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (console, http) = (free_port(), free_port());
        let url = format!("http://localhost:{console}");
        let config = format!(
            "public_url = \"{url}\"\n[listen]\nconsole = \"127.0.0.1:{console}\"\nhttp = \"127.0.0.1:{http}\"\n\
             [secrets]\nupstream = {{ env = \"TEST_UPSTREAM_TOKEN\" }}\n"
        );
        std::fs::write(folder.path().join("countersign.toml"), config).unwrap();
        Self { folder, url, point: format!("http://127.0.0.1:{http}") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = bare(self.folder.path());
        command.args(args).env("COUNTERSIGN_URL", &self.url);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.command(args))
    }

    /// Runs what must succeed.
    pub(crate) fn must(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "`{}`: {ran:#?}", args.join(" "));
        ran.out
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.must(&args)).unwrap()
    }

    /// Starts the gateway and reads its welcome.
    pub(crate) fn start(&self) -> Running {
        let log = std::fs::File::create(self.path("gateway.log")).unwrap();
        let mut child =
            self.command(&["up", "--admin", "Alice"]).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut running = Running { child, log_key: String::new(), invite: None };
        for line in lines.by_ref() {
            if let Some(key) = line.strip_prefix("log key") {
                running.log_key = key.trim().to_owned();
                if self.path("enrolled").exists() {
                    break;
                }
            }
            if line.contains("/enrol#") {
                running.invite = Some(line.trim().to_owned());
                break;
            }
        }
        let log = std::fs::read_to_string(self.path("gateway.log")).unwrap();
        assert!(!running.log_key.is_empty(), "the gateway did not start:\n{log}");
        // What it prints later must not meet a closed pipe.
        std::thread::spawn(move || lines.for_each(drop));
        running
    }

    /// Alice enrols, and lets the command line act for her.
    pub(crate) async fn alice(&self, running: &Running) -> Person {
        let mut alice = Person::enrol(running.invite.as_deref().unwrap(), "laptop").await.unwrap();
        self.write("enrolled", "");
        self.sign_in(&mut alice).await;
        alice
    }

    pub(crate) async fn sign_in(&self, person: &mut Person) {
        let mut child = self.command(&["login", "--no-open"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let code = lines.find_map(|line| Some(line.split_once("code: ")?.1.to_owned())).unwrap();
        person.confirm_command_line(&code).await.unwrap();
        lines.for_each(drop);
        assert!(child.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command line with nothing of its user's own settings.
pub(crate) fn bare(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command
        .current_dir(folder)
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .env("TEST_UPSTREAM_TOKEN", "s3cret")
        .env_remove("COUNTERSIGN_URL")
        .env_remove("COUNTERSIGN_CONFIG")
        .env_remove("COUNTERSIGN_AGENT_KEY")
        .stdin(Stdio::null());
    command
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().trim_end().to_owned();
    Ran { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
