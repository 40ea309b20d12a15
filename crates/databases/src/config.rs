//! A database: the name that clients ask for, the server behind it, and what its owners say of it.
//!
//! People write one in TOML, beside the HTTP routes; the directory keeps it as canonical JSON, every default written
//! out. [`Database`] is made only by checking a document whole.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use domain::Malformed;
use domain::action::Point;
use domain::canonical;
use domain::directory::DOCUMENT_LIMIT_BYTES;
use domain::id::{CredentialRef, Environment, GroupName, TargetName};
use domain::time::{SPAN_LIMIT_SECONDS, Span};
use postgres::config::{Proofs, Upstream, UpstreamTls};
use postgres::parse::{Text, Version};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde::{Deserialize, Serialize};

use crate::catalog::ColumnLabel;

/// PostgreSQL's own port.
const PORT: u16 = 5432;
/// The longest host name, in bytes (RFC 1035, section 2.3.4, without the final dot).
const HOST_LIMIT_BYTES: usize = 253;
/// The longest name of a user or database at the server, in bytes: PostgreSQL's `NAMEDATALEN` less its zero byte.
const NAME_LIMIT_BYTES: usize = 63;
/// The most labels of a database.
const LABELS_LIMIT: usize = 32;
/// The longest key and the longest value of a label, and the longest class of data, in bytes.
const LABEL_LIMIT_BYTES: usize = 256;
/// The most columns that a document labels.
const COLUMNS_LIMIT: usize = 10_000;
/// How long a client waits for people, where a document does not say.
pub const WAIT_DEFAULT: Span = Span::from_seconds(24 * 3_600);

/// A database as it is written. Get one checked, as a [`Database`], before believing any of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The point that owns the document: `postgres`.
    pub point: Point,
    /// The name that clients ask for, and that policies know (`Target::"<name>"`).
    pub name: TargetName,
    /// The server: `host` or `host:port`; 5432 where no port is given.
    pub server: String,
    /// The database's name at the server; the document's name where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The user to sign in as.
    pub user: String,
    /// A role to act as, instead of `user`: that then only makes a role for each session, with a password that lapses
    /// within a minute; it is a member of this one, and dropped behind its session. `user` needs CREATEROLE, and this
    /// role with its ADMIN option. None by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acts_as: Option<String>,
    /// Whose password that is: a secret of the bootstrap configuration, which no client ever sees. Without one, the
    /// server must let the user in without proof, and `allow_no_proof` must say that this is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// How the way to the server is kept: `verify-full`, the default, or `loopback`, for this machine alone.
    #[serde(default)]
    pub tls: Tls,
    /// The certificates (PEM) that vouch for the server's; the public ones where none are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<String>,
    /// Whether the server may ask for an MD5 proof of the password. Default: no, SCRAM alone.
    #[serde(default)]
    pub allow_md5: bool,
    /// Whether the server may ask for no proof at all. Default: no.
    #[serde(default)]
    pub allow_no_proof: bool,
    /// Where actions on it would land, such as `prod`.
    pub environment: Environment,
    /// What its owners say of it; policies see them as tags. None by default.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Classes of the data in columns, by `schema.table.column`: `"public.users.email" = ["pii"]`. None by default.
    #[serde(default)]
    pub columns: BTreeMap<String, BTreeSet<String>>,
    /// How long a client waits for people (`24h`, the default; at most 31 days). The request stands as long as its rule
    /// says, whoever waits.
    #[serde(default = "wait", with = "span_text")]
    pub wait: Span,
    /// Whether a statement may wait for people while its transaction is open, with its locks. Default: no.
    #[serde(default)]
    pub hold_inside_transaction: bool,
    /// Whether a held statement may be run and rolled back, for exact counts on its card. Default: no.
    #[serde(default)]
    pub exact_preview: bool,
    /// How a permit that needed nobody is recorded. Default: in a segment.
    #[serde(default)]
    pub record: Record,
    /// What people see masked beyond what the detectors find, what stays, and who may open it. Nothing by default.
    #[serde(default, skip_serializing_if = "is_standard")]
    pub mask: mask::Rules,
}

/// Whose password it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// The secret's name in the bootstrap configuration.
    pub secret: CredentialRef,
}

/// How the way to the server is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// TLS with the certificate and its name verified.
    #[default]
    VerifyFull,
    /// None; taken for this machine's own addresses alone.
    Loopback,
}

/// How a permit that needed nobody is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// In a hashed segment, sealed within a minute.
    #[default]
    Segment,
    /// As an entry of its own, durable before the statement runs.
    BeforeRun,
}

/// Why a database's document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDatabase {
    /// It is no TOML, or not a database's.
    #[error("the database is not written as one: {0}")]
    Toml(String),
    /// It is no strict JSON, not a database's, or too long.
    #[error("the database's document cannot be read: {0}")]
    Document(#[from] Malformed),
    /// A setting that cannot be.
    #[error("`{setting}` cannot be `{value}`: {why}")]
    Setting {
        /// Which one.
        setting: &'static str,
        /// What it is, cut to a readable length.
        value: String,
        /// What is expected.
        why: String,
    },
    /// Rules of masking that cannot stand.
    #[error("`mask` cannot stand: {0}")]
    Mask(#[from] mask::RulesError),
}

/// A database whose every setting was checked.
#[derive(Clone)]
pub struct Database {
    settings: Settings,
    host: String,
    port: u16,
    tls: UpstreamTls,
    user: Text,
    acts_as: Option<Text>,
    database: Text,
}

impl Database {
    /// Reads a database as people write it.
    ///
    /// # Errors
    /// What is wrong and what is expected, in words.
    pub fn parse_toml(text: &str) -> Result<Self, BadDatabase> {
        within(text)?;
        Self::check(toml::from_str(text).map_err(|error| BadDatabase::Toml(error.to_string()))?)
    }

    /// Reads a database as the directory keeps it.
    ///
    /// # Errors
    /// As [`Database::parse_toml`].
    pub fn parse_json(text: &str) -> Result<Self, BadDatabase> {
        within(text)?;
        Self::check(canonical::read(text.as_bytes())?)
    }

    /// The database as canonical JSON (RFC 8785), which is what the directory keeps and digests.
    ///
    /// # Errors
    /// A document over the directory's limit.
    pub fn to_document(&self) -> Result<String, BadDatabase> {
        let text = String::from_utf8(canonical::write(&self.settings)?)
            .map_err(|error| Malformed::Json(error.to_string()))?;
        within(&text)?;
        Ok(text)
    }

    /// The settings, all of them checked.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The name that clients ask for.
    #[must_use]
    pub fn name(&self) -> &TargetName {
        &self.settings.name
    }

    /// The server's name or address, and its port.
    #[must_use]
    pub fn server(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// How the way to the server is kept.
    #[must_use]
    pub fn tls(&self) -> &UpstreamTls {
        &self.tls
    }

    /// The user to sign in as.
    #[must_use]
    pub fn user(&self) -> &Text {
        &self.user
    }

    /// The role to act as, where one is made for each session.
    #[must_use]
    pub fn acts_as(&self) -> Option<&Text> {
        self.acts_as.as_ref()
    }

    /// The database's name at the server.
    #[must_use]
    pub fn database(&self) -> &Text {
        &self.database
    }

    /// The classes that the document gives to columns.
    #[must_use]
    pub fn labels(&self) -> Vec<ColumnLabel> {
        let label = |(column, classes): (&String, &BTreeSet<String>)| {
            let mut names = column.splitn(3, '.').map(str::to_owned);
            let (schema, table, column) = (names.next()?, names.next()?, names.next()?);
            Some(ColumnLabel { schema, table, column, classes: classes.clone() })
        };
        self.settings.columns.iter().filter_map(label).collect()
    }

    /// The server as the wire takes it.
    #[must_use]
    pub fn upstream(&self) -> Upstream {
        let proofs = Proofs { md5: self.settings.allow_md5, none: self.settings.allow_no_proof };
        Upstream {
            host: self.host.clone(),
            port: self.port,
            tls: self.tls.clone(),
            proofs,
            version: Version::V3_0,
        }
    }

    fn check(settings: Settings) -> Result<Self, BadDatabase> {
        if settings.point != Point::Postgres {
            return Err(bad("point", settings.point.as_str(), "a database's point is `postgres`"));
        }
        let (host, port) = server(&settings.server)?;
        let at_server = settings.database.as_deref().unwrap_or(settings.name.as_str());
        let database = name("database", at_server)?;
        let user = name("user", &settings.user)?;
        let acts_as = settings.acts_as.as_deref().map(|role| name("acts_as", role)).transpose()?;
        let tls = match settings.tls {
            Tls::VerifyFull => verify_full(&host, settings.roots.as_deref())?,
            Tls::Loopback if settings.roots.is_some() => {
                return Err(bad("roots", "…", "they are for `tls = \"verify-full\"`"));
            }
            Tls::Loopback if is_this_machine(&host) => UpstreamTls::Loopback,
            Tls::Loopback => {
                let why = "only this machine's addresses are reached without TLS; use `verify-full`";
                return Err(bad("tls", "loopback", why));
            }
        };
        if settings.credential.is_none() && !settings.allow_no_proof {
            let why = "name the secret that holds the user's password, or say `allow_no_proof = true`";
            return Err(bad("credential", "", why));
        }
        check_words(&settings)?;
        if settings.wait > Span::from_seconds(SPAN_LIMIT_SECONDS) {
            return Err(bad("wait", &settings.wait.to_string(), "at most 31 days are expected"));
        }
        mask::Masker::new(&settings.mask)?;
        if let mask::Reveal::Group(group) = &settings.mask.reveal
            && group.parse::<GroupName>().is_err()
        {
            return Err(bad(
                "mask.reveal",
                group,
                "`reviewers`, `admins` or the name of a group is expected",
            ));
        }
        Ok(Self { settings, host, port, tls, user, acts_as, database })
    }
}

/// Checks a database's document, TOML or JSON, and returns it as the directory keeps it.
///
/// # Errors
/// What is wrong, in words.
pub fn check_document(name: &TargetName, text: &str) -> Result<String, String> {
    let parsed = if text.trim_start().starts_with('{') {
        Database::parse_json(text)
    } else {
        Database::parse_toml(text)
    };
    let database = parsed.map_err(|error| error.to_string())?;
    if database.name() != name {
        return Err(format!("the document names the database `{}`, not `{name}`", database.name()));
    }
    database.to_document().map_err(|error| error.to_string())
}

/// Whether a document, TOML or JSON, says that it is a database's.
#[must_use]
pub fn is_database(text: &str) -> bool {
    let point = if text.trim_start().starts_with('{') {
        canonical::read_value(text.as_bytes())
            .ok()
            .and_then(|value| value.get("point").and_then(|point| point.as_str().map(str::to_owned)))
    } else {
        toml::from_str::<toml::Table>(text)
            .ok()
            .and_then(|table| table.get("point").and_then(|point| point.as_str().map(str::to_owned)))
    };
    point.as_deref() == Some(Point::Postgres.as_str())
}

fn server(text: &str) -> Result<(String, u16), BadDatabase> {
    let why = "`host` or `host:port` is expected; an IPv6 address in brackets";
    let wrong = || bad("server", text, why);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(wrong)?) };
            (host, port)
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let in_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_host = host.parse::<IpAddr>().is_ok()
        || (!host.is_empty()
            && host.len() <= HOST_LIMIT_BYTES
            && host.split('.').all(|label| !label.is_empty() && label.bytes().all(in_a_name)));
    if !is_host {
        return Err(wrong());
    }
    let port = port.map_or(Some(PORT), |digits| {
        let plain = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| plain)
    });
    Ok((host.to_ascii_lowercase(), port.ok_or_else(wrong)?))
}

fn name(setting: &'static str, text: &str) -> Result<Text, BadDatabase> {
    let wrong = || bad(setting, text, format!("1 to {NAME_LIMIT_BYTES} bytes without control characters"));
    if text.is_empty() || text.len() > NAME_LIMIT_BYTES || text.contains(char::is_control) {
        return Err(wrong());
    }
    Text::try_from(text.to_owned()).map_err(|_| wrong())
}

fn check_words(settings: &Settings) -> Result<(), BadDatabase> {
    let too_many = |setting, actual: usize, limit: usize| {
        if actual > limit {
            Err(bad(setting, &actual.to_string(), format!("at most {limit} are expected")))
        } else {
            Ok(())
        }
    };
    too_many("labels", settings.labels.len(), LABELS_LIMIT)?;
    too_many("columns", settings.columns.len(), COLUMNS_LIMIT)?;
    let words = settings.labels.iter().flat_map(|(key, value)| [key, value]);
    if let Some(word) =
        words.into_iter().find(|word| word.len() > LABEL_LIMIT_BYTES || word.contains(char::is_control))
    {
        let why = format!("at most {LABEL_LIMIT_BYTES} bytes without control characters are expected");
        return Err(bad("labels", word, why));
    }
    for (column, classes) in &settings.columns {
        if column.split('.').count() != 3 || column.split('.').any(str::is_empty) {
            return Err(bad("columns", column, "`schema.table.column` is expected"));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let fits = |class: &String| {
            !class.is_empty() && class.len() <= LABEL_LIMIT_BYTES && class.bytes().all(plain)
        };
        if let Some(class) = classes.iter().find(|class| !fits(class)) {
            return Err(bad("columns", class, "a class is letters, digits, `-`, `_` and `.`"));
        }
    }
    Ok(())
}

fn verify_full(host: &str, roots: Option<&str>) -> Result<UpstreamTls, BadDatabase> {
    let mut store = rustls::RootCertStore::empty();
    match roots {
        None => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let odd =
                    |error: String| bad("roots", "…", format!("PEM certificates are expected: {error}"));
                let certificate = certificate.map_err(|error| odd(error.to_string()))?;
                store.add(certificate).map_err(|error| odd(error.to_string()))?;
            }
            if store.is_empty() {
                return Err(bad("roots", "…", "no certificate stands in it"));
            }
        }
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(store).with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| bad("server", host, format!("a certificate cannot bear it: {error}")))?;
    Ok(UpstreamTls::VerifyFull { config: config.into(), name, direct: false })
}

/// Whether a host is written as this machine itself; the wire looks at the address it comes to once more.
fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn within(text: &str) -> Result<(), BadDatabase> {
    if text.len() > DOCUMENT_LIMIT_BYTES {
        let (what, actual, limit, unit) =
            ("a database's document", text.len(), DOCUMENT_LIMIT_BYTES, "bytes");
        return Err(Malformed::TooLarge { what, actual, limit, unit }.into());
    }
    Ok(())
}

fn bad(setting: &'static str, value: &str, why: impl Into<String>) -> BadDatabase {
    BadDatabase::Setting { setting, value: value.chars().take(80).collect(), why: why.into() }
}

fn is_standard(rules: &mask::Rules) -> bool {
    *rules == mask::Rules::default()
}

fn wait() -> Span {
    WAIT_DEFAULT
}

mod span_text {
    use domain::time::Span;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(span)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        Span::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
