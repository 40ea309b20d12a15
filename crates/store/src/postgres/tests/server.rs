//! A real PostgreSQL in a folder of its own, as Debian's package brings it. The benchmark uses this file too.

#![allow(dead_code, reason = "tests and benchmark each use a part")]

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long the server may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server, which ends with this.
pub(crate) struct Server {
    folder: TempDir,
    binaries: PathBuf,
    port: u16,
    process: Mutex<Option<Child>>,
}

impl Server {
    /// Makes a cluster and starts its server. Durable, as a deployment's is.
    pub(crate) fn start() -> Self {
        Self::start_in(&std::env::temp_dir())
    }

    /// The same, within a folder which the server's user may enter.
    pub(crate) fn start_in(base: &Path) -> Self {
        let binaries = binaries();
        let folder = tempfile::tempdir_in(base).unwrap();
        if is_root() {
            let (user, group) = (number("--user"), number("--group"));
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let server = Self { folder, binaries, port, process: Mutex::new(None) };
        let initialised = server
            .command("initdb")
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"])
            .arg("--pgdata")
            .arg(server.data())
            .output()
            .unwrap();
        assert!(initialised.status.success(), "{}", String::from_utf8_lossy(&initialised.stderr));
        server.resume();
        server
    }

    /// Starts the server again.
    pub(crate) fn resume(&self) {
        let process = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={}", self.port)])
            .args(["-c", &format!("unix_socket_directories={}", self.folder.path().display())])
            .args(["-c", "max_connections=200", "-c", "log_min_messages=fatal"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        *self.process.lock().unwrap() = Some(process);
        let end = Instant::now() + PATIENCE;
        while !self.is_ready() {
            assert!(Instant::now() < end, "the server did not begin");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the server in the midst of whatever it does: no checkpoint, no goodbye.
    pub(crate) fn crash(&self) {
        self.end("QUIT");
    }

    /// The server's port on this machine.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A new, empty database; answers its URL.
    pub(crate) fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// What somebody with a hand on the database does; answers what the server says.
    pub(crate) fn sql(&self, database: &str, statement: &str) -> String {
        let mut command = self.client("psql");
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1"]);
        let done = command.args(["--dbname", database, "--command", statement]).output().unwrap();
        assert!(done.status.success(), "{statement}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// Has the server speak TLS as `localhost`; answers the certificate of whoever vouches for it.
    pub(crate) fn offer_tls(&self) -> PathBuf {
        let folder = self.folder.path();
        let make = |arguments: &str| {
            let mut command = self.as_server("openssl");
            let done = command.args(arguments.split(' ')).output().unwrap();
            assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        make(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=authority"));
        make(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"));
        std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
            .unwrap();
        make(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
        );
        for (setting, file) in [("ssl_cert_file", "server.pem"), ("ssl_key_file", "server.key")] {
            let path = folder.join(file);
            self.sql("postgres", &format!("ALTER SYSTEM SET {setting} = '{}'", path.display()));
        }
        self.sql("postgres", "ALTER SYSTEM SET ssl = on");
        self.sql("postgres", "SELECT pg_reload_conf()");
        let end = Instant::now() + PATIENCE;
        while self.sql("postgres", "SHOW ssl") != "on" {
            assert!(Instant::now() < end, "the server speaks no TLS");
            std::thread::sleep(Duration::from_millis(20));
        }
        folder.join("ca.pem")
    }

    /// One of the client's programs, told where the server is.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command.args(["--host", "127.0.0.1", "--port", &self.port.to_string(), "--username", "postgres"]);
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn is_ready(&self) -> bool {
        let mut command = Command::new(self.binaries.join("pg_isready"));
        command.args(["--quiet", "--host", "127.0.0.1", "--port", &self.port.to_string()]);
        command.status().is_ok_and(|status| status.success())
    }

    /// A program of the server's, as a user whom it accepts, which ends with us.
    fn command(&self, program: &str) -> Command {
        self.as_server(self.binaries.join(program))
    }

    fn as_server(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "INT"]);
        if is_root() {
            let (user, group) = (number("--user"), number("--group"));
            command.args([&format!("--reuid={user}"), &format!("--regid={group}"), "--clear-groups"]);
        }
        command.arg(program).current_dir(self.folder.path()).env("LC_ALL", "C.UTF-8");
        command
    }

    fn end(&self, signal: &str) {
        let Some(mut process) = self.process.lock().unwrap().take() else { return };
        let sent = Command::new("kill").args(["-s", signal, &process.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the server was gone already");
        let end = Instant::now() + PATIENCE;
        while process.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                process.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(process.wait().unwrap().signal(), None, "the server ended itself");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end("INT");
        } else if let Some(mut process) = self.process.lock().unwrap().take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Where Debian puts the server's programs, of the newest release.
fn binaries() -> PathBuf {
    let releases = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = releases
        .filter_map(|release| release.file_name().to_str()?.parse::<u32>().ok())
        .filter(|release| bin(*release).join("initdb").exists())
        .max();
    bin(newest.expect("these tests need a PostgreSQL server: install Debian's package `postgresql`"))
}

fn bin(release: u32) -> PathBuf {
    Path::new("/usr/lib/postgresql").join(release.to_string()).join("bin")
}

fn is_root() -> bool {
    id(&["--user"]) == 0
}

/// The package's own user, as which a server runs: it refuses to run as root.
fn number(what: &str) -> u32 {
    id(&[what, "postgres"])
}

fn id(arguments: &[&str]) -> u32 {
    let output = Command::new("id").args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a user's number")
}
