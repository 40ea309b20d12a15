//! A gate for the tests: it lets everybody with the password in, and decides by marks in the text.
//!
//! `gate LISTEN HOST:PORT USER PASSWORD TOKEN [--tls CERT KEY] [--clients PEM] [--each N] [--acts-as ROLE] [--roots PEM] [--md5] [--trust] [--plain] [--hold-inside]`
//!
//! `/* deny */` is denied, `/* hold N */` is held until a file `hold-N` with `approve` or `deny` stands in the folder of
//! the environment's `GATE_FOLDER`; everything else is permitted. `/* later */` is decided a little later, and
//! `/* look SQL */` when the server has answered. What was asked is appended to `asked` there, what was learned to
//! `learned`, and how `/* watch NAME */` ended to `ended`. What is permitted runs under the conditions that
//! `/* recheck SQL = VALUE */`, `/* rows FROM-TO */`, `/* table OID INSERTED UPDATED DELETED */`, `/* mask COLUMN */`,
//! `/* most ROWS */` and `/* only ROWS */` name; `/* pure */` leaves nothing in its session. With an empty `USER`, the client's own goes on.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use postgres::config::{Proofs, Secret, Settings, Upstream, UpstreamTls};
use postgres::hold::{
    Admission, Admit, Beyond, Bounds, Decide, Ended, Facts, Held, Lookup, Mask, Onward, Permit, Presented,
    Recheck, Results, RowLimit, Rows, StatementGroup, TableBounds, Verdict, Watch,
};
use postgres::parse::backend::Column;
use postgres::parse::{Text, Version};
use postgres::reply::{Refusal, State};
use postgres::serve::{Gate, tls_config_for};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpListener;

/// How often the file that decides is looked for.
const POLL: Duration = Duration::from_millis(20);
/// The most that a COPY marked `/* cap */` may bring, in bytes.
const CAP_BYTES: u64 = 1000;

struct Marks {
    folder: PathBuf,
    /// What came of the last look, until it is decided on.
    learned: Mutex<Option<Result<Rows, Refusal>>>,
}

/// Writes down how it ended.
struct Ending {
    file: PathBuf,
    name: String,
}

impl Watch for Ending {
    fn ended(self: Box<Self>, ended: Ended) {
        append(&self.file, &format!("{} {ended:?}\n", self.name));
    }
}

impl Decide for Marks {
    fn decide(&self, _facts: &Facts, group: &StatementGroup<'_>) -> Verdict {
        self.note(group);
        let permit = || Permit {
            keeps_settings: !group.text.contains("set_config"),
            leaves_nothing: group.text.contains("/* pure */"),
            watch: mark(group.text, "watch").map(|name| -> Box<dyn Watch> {
                Box::new(Ending { file: self.folder.join("ended"), name: name.to_owned() })
            }),
            recheck: mark(group.text, "recheck").and_then(|recheck| recheck.rsplit_once(" = ")).map(
                |(sql, value)| Recheck {
                    sql: sql.to_owned(),
                    expected: vec![vec![Some(Bytes::copy_from_slice(value.as_bytes()))]],
                },
            ),
            bounds: bounds(group.text),
            results: results(group.text),
            ..Permit::default()
        };
        if group.text.contains("/* deny */") {
            let refusal = Refusal::new(State::DENIED, "denied by the test")
                .with_detail("it bears the mark")
                .with_hint("leave the mark out");
            return Verdict::Deny(refusal);
        }
        if let Some(sql) = mark(group.text, "look") {
            let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner).take();
            match learned {
                None => return Verdict::Look(Lookup { sql: sql.to_owned() }),
                Some(learned) => append(&self.folder.join("learned"), &format!("{learned:?}\n")),
            }
        }
        if let Some(name) = mark(group.text, "hold") {
            let file = self.folder.join(format!("hold-{name}"));
            let refusal = Refusal::new(State::HELD, "people have to approve this first")
                .with_hint(format!("see hold {name}"));
            return Verdict::Hold(Held { answer: Box::pin(wait(file, permit())), refusal });
        }
        if group.text.contains("/* cap */") {
            return Verdict::Permit(Permit { copy_limit: Some(CAP_BYTES), ..permit() });
        }
        if group.text.contains("/* later */") {
            let permit = permit();
            return Verdict::Later(Box::pin(async move {
                tokio::time::sleep(POLL).await;
                Verdict::Permit(permit)
            }));
        }
        Verdict::Permit(permit())
    }

    fn learned(&self, _facts: &Facts, _lookup: &Lookup, rows: Result<Rows, Refusal>) {
        *self.learned.lock().unwrap_or_else(PoisonError::into_inner) = Some(rows);
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
        append(&self.folder.join("asked"), &line);
    }
}

fn bounds(text: &str) -> Option<Bounds> {
    let number = |word: &str| word.parse().ok();
    let table = mark(text, "table").and_then(|table| {
        let numbers: Vec<u64> = table.split(' ').filter_map(number).collect();
        let [table, inserted, updated, deleted] = *numbers.as_slice() else { return None };
        let table = u32::try_from(table).ok()?;
        let [inserted, updated, deleted] = [inserted, updated, deleted].map(|count| count..=count);
        Some(vec![TableBounds { table, inserted, updated, deleted }])
    });
    let rows = mark(text, "rows").and_then(|rows| rows.split_once('-'));
    let affected = rows.and_then(|(from, to)| Some(number(from)?..=number(to)?));
    (affected.is_some() || table.is_some())
        .then(|| Bounds { affected: affected.unwrap_or(0..=u64::MAX), tables: table })
}

fn results(text: &str) -> Option<Results> {
    let limit = |what, beyond| Some(RowLimit { most: mark(text, what)?.parse().ok()?, beyond });
    let rows = limit("most", Beyond::Cut).or_else(|| limit("only", Beyond::Refuse));
    let mask = mark(text, "mask").map(|column| -> Box<dyn Mask> { Box::new(Stars(column.to_owned())) });
    (rows.is_some() || mask.is_some()).then_some(Results { mask, rows })
}

/// Writes stars over a column.
struct Stars(String);

impl Mask for Stars {
    fn columns(&mut self, columns: &[Column]) -> Result<Vec<usize>, Refusal> {
        let is_ours = |column: &Column| column.name.as_ref() == self.0.as_bytes();
        Ok(columns.iter().enumerate().filter(|(_, column)| is_ours(column)).map(|(place, _)| place).collect())
    }

    fn value(&mut self, _column: usize, value: Option<Bytes>) -> Result<Option<Bytes>, Refusal> {
        Ok(value.map(|value| Bytes::from("*".repeat(value.len().min(3)))))
    }
}

/// What stands in a text's `/* what ... */`.
fn mark<'a>(text: &'a str, what: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("/* {what} "))?;
    rest.split_once(" */").map(|(value, _)| value)
}

fn append(file: &Path, line: &str) {
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(file) {
        let _ = file.write_all(line.as_bytes());
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
    acts_as: Option<Text>,
    token: String,
    folder: Option<PathBuf>,
}

#[async_trait]
impl Admit for Everybody {
    async fn admit(&self, presented: Presented) -> Result<Admission, Refusal> {
        let has_certificate = presented.password.expose().is_empty() && !presented.certificates.is_empty();
        if presented.password.expose() != self.token.as_bytes() && !has_certificate {
            return Err(Refusal::new(State::INVALID_PASSWORD, "the access token is not good"));
        }
        let principal = presented.asked.user.clone();
        let odd = |error: postgres::parse::Malformed| Refusal::new(State::PROTOCOL, error.to_string());
        let user = if self.user.is_empty() {
            Text::try_from(presented.asked.user).map_err(odd)?
        } else {
            self.user.clone()
        };
        let revoked = self.folder.clone();
        Ok(Admission {
            principal: principal.clone(),
            acts_as: self.acts_as.clone(),
            onward: Onward {
                upstream: Arc::clone(&self.upstream),
                user,
                database: Text::try_from(presented.asked.database).map_err(odd)?,
                password: self.password.clone(),
            },
            decide: match &self.folder {
                Some(folder) => Box::new(Marks { folder: folder.clone(), learned: Mutex::default() }),
                None => Box::new(All),
            },
            hold_inside_transaction: false,
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
        Verdict::Permit(Permit { keeps_settings: true, ..Permit::default() })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let mut next = |what: &str| words.next().with_context(|| format!("{what} is missing"));
    let (listen, server) = (next("the address")?, next("the server")?);
    let (user, password, token) = (next("the user")?, next("the password")?, next("the token")?);
    let mut settings = Settings::default();
    let (mut tls, mut clients, mut acts_as) = (None, None, None);
    let (mut proofs, mut roots, mut version, mut direct) = (Proofs::default(), None, Version::V3_0, false);
    while let Some(flag) = words.next() {
        let mut next = |what: &str| words.next().with_context(|| format!("{what} is missing"));
        match flag.as_str() {
            "--tls" => tls = Some((next("the certificate")?, next("the key")?)),
            "--clients" => clients = Some(next("the clients' roots")?),
            "--acts-as" => acts_as = Some(Text::try_from(next("the role")?)?),
            "--each" => settings.connections_each = next("the number")?.parse()?,
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
    if let Some((certificate, key)) = tls {
        let clients = clients.as_ref().map(Path::new);
        settings.tls = Some(tls_config_for(Path::new(&certificate), Path::new(&key), clients)?);
        settings.certificate_suffices = clients.is_some();
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
        acts_as,
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
