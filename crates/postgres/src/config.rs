//! What the gate is told, and every limit of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use crate::parse::{Text, Version};
use crate::reply::{Refusal, State};

/// How long a client may take from its first byte until it has shown its credential; and so the server.
pub const STARTUP_PATIENCE: Duration = Duration::from_secs(30);
/// The most connections beyond those of sessions: clients that are not in yet, and requests to cancel.
pub(crate) const ARRIVING_LIMIT: usize = 64;
/// How long connecting to the server may take.
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// The longest credential that a client may show, in bytes.
pub const CREDENTIAL_LIMIT_BYTES: usize = 16 << 10;
/// The longest value of a startup parameter, in bytes.
pub const PARAMETER_LIMIT_BYTES: usize = 256;
/// How much of a client's stream is read ahead of what it may do next, in bytes.
pub const READ_AHEAD_BYTES: usize = 32 << 10;
/// How much is kept for a side that does not read, in bytes, before the other side is not read any more.
pub const BACKLOG_BYTES: usize = 64 << 10;
/// How much of a run of messages is kept back from the server until it has to answer, in bytes.
pub const KEPT_BACK_BYTES: usize = 32 << 10;
/// How much is read from a socket at once, in bytes.
pub(crate) const READ_BYTES: usize = 8 << 10;
/// A buffer that is empty and larger than this, in bytes, is given back.
pub(crate) const IDLE_BUFFER_BYTES: usize = 16 << 10;
/// The most prepared statements of one session.
pub const STATEMENTS_LIMIT: usize = 4096;
/// The most text that a session's prepared statements hold together, in bytes.
pub const STATEMENTS_LIMIT_BYTES: usize = 16 << 20;
/// The most portals of one session.
pub const PORTALS_LIMIT: usize = 4096;
/// The longest name of a statement or portal, in bytes: PostgreSQL's `NAMEDATALEN` less its zero byte.
pub const NAME_LIMIT_BYTES: usize = 63;
/// The most messages that the server has not answered; the client waits with the next.
pub const IN_FLIGHT_LIMIT: usize = 4096;
/// How long the password of a role lasts that is made for one session: it signs in once, and at once.
pub const MADE_LIFETIME: Duration = Duration::from_secs(60);
/// How long making or dropping a role may take.
pub const MADE_PATIENCE: Duration = Duration::from_secs(20);
/// How often roles that were left behind are looked for.
pub const SWEEP_PAUSE: Duration = Duration::from_secs(600);
/// How often the session's backend may be asked before one group is decided about.
pub const LOOKS_LIMIT: u8 = 4;
/// How long the backend may take with a question of the gate's; then it is cancelled, and the session ends after as long again.
pub const LOOK_PATIENCE: Duration = Duration::from_secs(10);
/// The most rows of an answer to a question of the gate's.
pub const LOOK_ROWS_LIMIT: u32 = 10_000;
/// The most that an answer to a question of the gate's may hold, in bytes.
pub const LOOK_LIMIT_BYTES: usize = 1 << 20;
/// The most rows of a statement with bounds that are kept until these are looked at, in bytes with the messages' heads.
pub const KEPT_ROWS_LIMIT_BYTES: usize = 4 << 20;
/// The longest row that is looked at for what has to be masked, in bytes.
pub const MASKED_ROW_LIMIT_BYTES: usize = 16 << 20;
/// How many tags a watch is told of.
pub const TAGS_LIMIT: usize = 100;
/// How much of an error's words a watch is told of, in bytes.
pub const TOLD_LIMIT_BYTES: usize = 1000;
/// How much of an error is looked at before it is passed on, in bytes.
pub(crate) const ERROR_HEAD_BYTES: usize = 2 * TOLD_LIMIT_BYTES;
/// The most statements of one run of messages whose watches wait for its end; others hear that it is open still.
pub(crate) const DONE_LIMIT: usize = 4096;
/// How often a client that waits for people hears something.
pub const HELD_PING: Duration = Duration::from_secs(20);
/// How long a connection may be silent before the system asks whether the other end is there, and between its questions.
pub(crate) const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// How many such questions may stay without an answer.
pub(crate) const KEEPALIVE_RETRIES: u32 = 4;
/// How long the server is heard out when a client leaves while somebody watches what it runs.
pub const LEFT_PATIENCE: Duration = Duration::from_secs(10);
/// How long last words may take to be written.
pub(crate) const FAREWELL_PATIENCE: Duration = Duration::from_secs(2);
/// How long a cancel request may take on its way to the server.
pub(crate) const CANCEL_PATIENCE: Duration = Duration::from_secs(5);
/// How long sessions get to finish when the gate stops.
pub const DRAIN_PATIENCE: Duration = Duration::from_secs(25);
/// The pause after the system refused a connection (too many open files, say).
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How the gate behaves to all.
#[derive(Clone)]
pub struct Settings {
    /// The certificate for TLS; without it, only clients on this machine are let in.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The most sessions at once; others hear that there are too many.
    pub connections: usize,
    /// The most sessions of one principal.
    pub connections_each: usize,
    /// Whether a client that shows a certificate is not asked for a password as well.
    pub certificate_suffices: bool,
    /// Whether a statement may wait for people while its transaction is open, with its locks and its snapshot.
    pub hold_inside_transaction: bool,
    /// Whether a client hears by a notice that its statement waits.
    pub notices: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            tls: None,
            connections: 1024,
            connections_each: 128,
            certificate_suffices: false,
            hold_inside_transaction: false,
            notices: true,
        }
    }
}

/// The server behind the gate.
#[derive(Clone)]
pub struct Upstream {
    /// Its name or address; the certificate has to bear it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is kept.
    pub tls: UpstreamTls,
    /// Which proofs of ours it may ask for.
    pub proofs: Proofs,
    /// The newest version of the protocol that we ask for. Some poolers do not take 3.2.
    pub version: Version,
}

/// How the way to a server is kept.
#[derive(Clone)]
pub enum UpstreamTls {
    /// TLS with the certificate and its name verified. With a client certificate in `config`, that is shown.
    VerifyFull {
        /// Roots, and our own certificate if there is one.
        config: Arc<rustls::ClientConfig>,
        /// The name that the certificate has to bear.
        name: ServerName<'static>,
        /// Without asking first, as PostgreSQL 17 takes it; `config` has to offer `postgresql` by ALPN.
        direct: bool,
    },
    /// None: taken for this machine's own addresses only.
    Loopback,
}

/// Which proofs a server may ask for. SCRAM always; a password in the clear never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Proofs {
    /// A password hashed with MD5.
    pub md5: bool,
    /// None at all: a server that trusts us by our address or certificate.
    pub none: bool,
}

/// A secret that does not print itself, and leaves memory with its owner.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a client asked for, as far as it may: the parameters that go on to the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// The user that it named.
    pub user: String,
    /// The database that it named; the user's name where it named none.
    pub database: String,
    /// The other settings, in the client's order.
    pub settings: Vec<(Text, Text)>,
}

impl Asked {
    /// Reads a startup message's parameters. Options of the protocol (`_pq_.`) are left out: they are negotiated.
    ///
    /// # Errors
    /// A parameter that is not on the list, or has a value that it may not have.
    pub fn read(parameters: &[(Text, Text)]) -> Result<Asked, Refusal> {
        let mut asked = Asked::default();
        for (name, value) in parameters {
            if value.as_bytes().len() > PARAMETER_LIMIT_BYTES {
                return Err(Refusal::new(
                    State::INVALID_PARAMETER,
                    format!("the value of the parameter `{}` is too long", name.as_str()),
                ));
            }
            match name.as_str() {
                "user" => value.as_str().clone_into(&mut asked.user),
                "database" => value.as_str().clone_into(&mut asked.database),
                option if option.starts_with(crate::parse::startup::OPTION_PREFIX) => {}
                setting => {
                    check_setting(setting, value.as_str())?;
                    asked.settings.push((name.clone(), value.clone()));
                }
            }
        }
        if asked.user.is_empty() {
            return Err(Refusal::new(State::INVALID_AUTHORIZATION, "the startup message names no user"));
        }
        if asked.database.is_empty() {
            asked.database.clone_from(&asked.user);
        }
        Ok(asked)
    }

    /// Adds settings that the client did not ask for itself.
    pub(crate) fn prefer_own(&mut self, others: Vec<(Text, Text)>) {
        let is_new = |(name, _): &(Text, Text)| {
            !self.settings.iter().any(|(known, _)| known.as_str().eq_ignore_ascii_case(name.as_str()))
        };
        let more: Vec<_> = others.into_iter().filter(is_new).collect();
        self.settings.extend(more);
    }
}

/// Whether a client may begin its session with this setting. Names are the server's, of any case.
fn check_setting(name: &str, value: &str) -> Result<(), Refusal> {
    let fits = match name.to_ascii_lowercase().as_str() {
        "application_name" => true,
        "client_encoding" => is_utf8(value),
        "datestyle" | "timezone" | "intervalstyle" => value.bytes().all(
            |byte| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'/' | b'+' | b'-' | b':' | b'.' | b',' | b' '),
        ),
        "extra_float_digits" | "statement_timeout" | "lock_timeout" | "idle_in_transaction_session_timeout"
        | "idle_session_timeout" | "tcp_user_timeout" | "client_min_messages" => {
            value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && !value.is_empty()
        }
        // asyncpg asks for `off`, which is the server's default for short statements.
        "jit" | "geqo" => matches!(value, "on" | "off"),
        "options" => {
            return Err(Refusal::new(State::INVALID_PARAMETER, "the startup parameter `options` is not taken")
                .with_hint("name each setting by itself, or set it for the role at the server"));
        }
        "replication" => {
            return Err(Refusal::new(State::NOT_SUPPORTED, "replication is not taken through this gate"));
        }
        _ => {
            return Err(Refusal::new(
                State::INVALID_PARAMETER,
                format!("the startup parameter `{name}` is not taken"),
            )
            .with_hint("leave it out, or set it by SQL once connected"));
        }
    };
    if fits {
        return Ok(());
    }
    Err(Refusal::new(
        State::INVALID_PARAMETER,
        format!("the startup parameter `{name}` may not be `{value}`"),
    ))
}

/// Whether an encoding's name means UTF-8, as the server reads it: letters and digits only.
pub(crate) fn is_utf8(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    plain.eq_ignore_ascii_case("utf8") || plain.eq_ignore_ascii_case("unicode")
}

/// What decides how a statement's text is read: sent with every sign-in, and watched from then on.
pub(crate) const PINNED: [(&str, &str); 2] =
    [("client_encoding", "UTF8"), ("standard_conforming_strings", "on")];

/// Whether a setting that the server tells of is still what it was pinned to.
pub(crate) fn is_as_pinned(name: &Bytes, value: &Bytes) -> bool {
    PINNED
        .iter()
        .all(|(pinned, wanted)| name.as_ref() != pinned.as_bytes() || value.as_ref() == wanted.as_bytes())
}
