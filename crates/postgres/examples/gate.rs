//! A gate for the tests: it lets everybody with the password in, and decides by marks in the text.
//!
//! `gate LISTEN HOST:PORT USER PASSWORD TOKEN [--tls CERT KEY] [--roots PEM] [--md5] [--trust] [--plain] [--hold-inside]`
//!
//! `/* deny */` is denied, `/* hold N */` is held until a file `hold-N` with `approve` or `deny` stands in the folder of
//! the environment's `GATE_FOLDER`; everything else is permitted. What was asked is appended to `asked` there. With an
//! empty `USER`, the client's own goes on.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use postgres::config::{Proofs, Secret, Settings, Upstream, UpstreamTls};
use postgres::hold::{
    Admission, Admit, Decide, Facts, Held, Onward, Permit, Presented, StatementGroup, Verdict,
};
use postgres::parse::{Text, Version};
use postgres::reply::{Refusal, State};
use postgres::serve::{Gate, tls_config};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpListener;

/// How often the file that decides is looked for.
const POLL: Duration = Duration::from_millis(20);
/// The most that a COPY marked `/* cap */` may bring, in bytes.
const CAP_BYTES: u64 = 1000;

struct Marks {
    folder: PathBuf,
}

impl Decide for Marks {
    fn decide(&self, _facts: &Facts, group: &StatementGroup<'_>) -> Verdict {
        self.note(group);
        let permit = Permit { keeps_settings: !group.text.contains("set_config"), copy_limit: None };
        if group.text.contains("/* deny */") {
            let refusal = Refusal::new(State::DENIED, "denied by the test")
                .with_detail("it bears the mark")
                .with_hint("leave the mark out");
            return Verdict::Deny(refusal);
        }
        let mark = group.text.split_once("/* hold ").and_then(|(_, rest)| rest.split_once(" */"));
        if let Some((name, _)) = mark {
            let file = self.folder.join(format!("hold-{name}"));
            let refusal = Refusal::new(State::HELD, "people have to approve this first")
                .with_hint(format!("see hold {name}"));
            return Verdict::Hold(Held { answer: Box::pin(wait(file, permit)), refusal });
        }
        if group.text.contains("/* cap */") {
            return Verdict::Permit(Permit { copy_limit: Some(CAP_BYTES), ..permit });
        }
        Verdict::Permit(permit)
    }

    fn prepare(&self, _facts: &Facts, text: &str, _types: &[u32]) -> Result<(), Refusal> {
        if text.contains("/* unpreparable */") {
            return Err(Refusal::new(State::DENIED, "denied by the test when prepared"));
        }
        Ok(())
    }
}

impl Marks {
    /// One line for each question: what runs, with its values.
    fn note(&self, group: &StatementGroup<'_>) {
        let values = group.bind.map(|bind| {
            bind.values
                .iter()
                .map(|value| value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned()))
                .collect::<Vec<_>>()
        });
        let line = format!("{:?} {:?} {:?} {}\n", group.text, values, group.transaction, group.may_wait);
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(self.folder.join("asked")) {
            let _ = file.write_all(line.as_bytes());
        }
    }
}

async fn wait(file: PathBuf, permit: Permit) -> Result<Permit, Refusal> {
    loop {
        match fs::read_to_string(&file).as_deref() {
            Ok("approve") => return Ok(permit),
            Ok("deny") => return Err(Refusal::new(State::DENIED, "people have denied this")),
            Ok(_) | Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

struct Everybody {
    upstream: Arc<Upstream>,
    user: Text,
    password: Secret,
    token: String,
    folder: Option<PathBuf>,
}

#[async_trait]
impl Admit for Everybody {
    async fn admit(&self, presented: Presented) -> Result<Admission, Refusal> {
        if presented.password.expose() != self.token.as_bytes() {
            return Err(Refusal::new(State::INVALID_PASSWORD, "the access token is not good"));
        }
        let odd = |error: postgres::parse::Malformed| Refusal::new(State::PROTOCOL, error.to_string());
        let user = if self.user.is_empty() {
            Text::try_from(presented.asked.user).map_err(odd)?
        } else {
            self.user.clone()
        };
        let revoked = self.folder.clone();
        Ok(Admission {
            onward: Onward {
                upstream: Arc::clone(&self.upstream),
                user,
                database: Text::try_from(presented.asked.database).map_err(odd)?,
                password: self.password.clone(),
            },
            decide: match &self.folder {
                Some(folder) => Box::new(Marks { folder: folder.clone() }),
                None => Box::new(All),
            },
            ended: Box::pin(async move {
                let Some(folder) = revoked else { return std::future::pending().await };
                while !folder.join("revoked").exists() {
                    tokio::time::sleep(POLL).await;
                }
                Refusal::new(State::INVALID_AUTHORIZATION, "the access token was revoked")
            }),
        })
    }
}

/// Permits all, and looks at nothing.
struct All;

impl Decide for All {
    fn decide(&self, _facts: &Facts, _group: &StatementGroup<'_>) -> Verdict {
        Verdict::Permit(Permit { keeps_settings: true, copy_limit: None })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let mut next = |what: &str| words.next().with_context(|| format!("{what} is missing"));
    let (listen, server) = (next("the address")?, next("the server")?);
    let (user, password, token) = (next("the user")?, next("the password")?, next("the token")?);
    let mut settings = Settings::default();
    let (mut proofs, mut roots, mut version, mut direct) = (Proofs::default(), None, Version::V3_0, false);
    while let Some(flag) = words.next() {
        let mut next = |what: &str| words.next().with_context(|| format!("{what} is missing"));
        match flag.as_str() {
            "--tls" => {
                let (certificate, key) = (next("the certificate")?, next("the key")?);
                settings.tls = Some(tls_config(Path::new(&certificate), Path::new(&key))?);
            }
            "--roots" => roots = Some(next("the roots")?),
            "--connections" => settings.connections = next("the number")?.parse()?,
            "--md5" => proofs.md5 = true,
            "--trust" => proofs.none = true,
            "--new" => version = Version::V3_2,
            "--direct" => direct = true,
            "--hold-inside" => settings.hold_inside_transaction = true,
            other => bail!("`{other}` is not known"),
        }
    }
    let (host, port) = server.rsplit_once(':').context("the server has no port")?;
    let tls = match roots {
        None => UpstreamTls::Loopback,
        Some(file) => verify_full(&file, host, direct)?,
    };
    let upstream = Upstream { host: host.to_owned(), port: port.parse()?, tls, proofs, version };
    let admit = Everybody {
        upstream: Arc::new(upstream),
        user: Text::try_from(user)?,
        password: Secret::new(password.into_bytes()),
        token,
        folder: std::env::var_os("GATE_FOLDER").map(PathBuf::from),
    };
    let listener = TcpListener::bind(listen.parse::<SocketAddr>()?).await?;
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    Gate::new(settings, Arc::new(admit)).serve(listener, stop).await;
    Ok(())
}

fn verify_full(roots: &str, host: &str, direct: bool) -> Result<UpstreamTls> {
    let mut store = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(roots)? {
        store.add(certificate?)?;
    }
    let mut config = rustls::ClientConfig::builder().with_root_certificates(store).with_no_client_auth();
    if direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    let name = ServerName::try_from(host.to_owned())?;
    Ok(UpstreamTls::VerifyFull { config: Arc::new(config), name, direct })
}
