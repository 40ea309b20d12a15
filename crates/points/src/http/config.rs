//! A route: which requests it answers for, where they go, and what its operations mean.
//!
//! People write a route in TOML; the directory keeps it as canonical JSON, every default written out, so
//! that a default which changes later does not change a route that stands. [`Route`] is made only by
//! checking a document whole.

mod check;

use std::collections::BTreeMap;

use domain::Malformed;
use domain::action::Point;
use domain::canonical;
use domain::directory::DOCUMENT_LIMIT_BYTES;
use domain::id::{CredentialRef, Environment, TargetName};
use domain::time::Span;
use domain::verb::Verb;
use serde::{Deserialize, Serialize};

use super::path::{CanonicalPath, Query};
use super::template::{self, Naming, Template};
use super::upstream::{Authority, Upstream};

/// The most hosts of a route.
pub const HOSTS_LIMIT: usize = 64;
/// The most operations of a route.
pub const OPERATIONS_LIMIT: usize = 2_000;
/// The most labels of a route, and of an operation.
pub const LABELS_LIMIT: usize = 32;
/// The longest key of a label, in bytes.
pub const LABEL_KEY_LIMIT_BYTES: usize = 64;
/// The longest value of a label, in bytes.
pub const LABEL_VALUE_LIMIT_BYTES: usize = 256;
/// The most parameters that an operation asks of the query.
pub const QUERY_CONDITIONS_LIMIT: usize = 8;
/// The most headers that a route strips, and the most protocols that it lets a connection be upgraded to.
pub const NAMES_LIMIT: usize = 32;
/// The body limit of a route that names none, in bytes.
pub const BODY_LIMIT_DEFAULT_BYTES: u64 = 1 << 20;
/// The largest body limit that a route may name, in bytes: bodies are held in memory and stored.
pub const BODY_LIMIT_MAX_BYTES: u64 = 16 << 20;
/// The limit on results that wait for their caller, where a route names none, in bytes.
pub const RESULT_LIMIT_DEFAULT_BYTES: u64 = 1 << 20;
/// The largest limit on results that a route may name, in bytes.
pub const RESULT_LIMIT_MAX_BYTES: u64 = 16 << 20;
/// How long a caller's connection is held, where a route does not say: below the 60 seconds after which
/// common clients and proxies give up.
pub const WAIT_DEFAULT: Span = Span::from_seconds(55);
/// The longest that a route may hold a caller's connection.
pub const WAIT_MAX: Span = Span::from_seconds(3_600);
/// How long an identical call finds an approval that has ended, where a route does not say.
pub const RETRY_WINDOW_DEFAULT: Span = Span::from_seconds(600);
/// The longest format of a credential, in bytes.
pub const FORMAT_LIMIT_BYTES: usize = 256;

/// A route as it is written. Get one checked, as a [`Route`], before believing any of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The point that owns the document: `http`, which is the default.
    #[serde(default = "http_point")]
    pub point: Point,
    /// The route's name, as policies know it (`Target::"<name>"`).
    pub name: TargetName,
    /// The hosts that it answers for, each with an optional port; a host without one means any port. None
    /// (the default) means any host that no other route names.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Leading path segments that it answers for, such as `/orders`; they are taken off before anything is
    /// matched or forwarded. None by default. A route with neither hosts nor prefix answers for what is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Where it leads: `https://host[:port][/base]`. Redirects are never followed.
    pub upstream: String,
    /// Where actions on it would land, such as `prod`.
    pub environment: Environment,
    /// What its owners say of it; policies see them as tags. None by default.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The credential that is put into requests, which no caller ever sees. None by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// How long a caller's connection is held while people decide (`55s`, the default, to `1h`).
    #[serde(default = "wait", with = "span_text")]
    pub wait: Span,
    /// Whether an approved action runs although its caller has gone. Default: no.
    #[serde(default)]
    pub run_when_gone: bool,
    /// How a permit that needed nobody is recorded. Default: in a segment.
    #[serde(default)]
    pub record: Record,
    /// The longest body, in bytes: 1 MiB by default, at most 16 MiB.
    #[serde(default = "body_limit")]
    pub body_limit: u64,
    /// Whether bodies stream through unread. No action with such a body can be held or approved: nobody
    /// could see what they approve. Default: no.
    #[serde(default)]
    pub opaque: bool,
    /// Whether encoded `/`, `\`, `;` and twice-encoded text in a segment are data to the upstream, as with
    /// RabbitMQ's `%2F`. Default: no, and such a path is refused.
    #[serde(default)]
    pub opaque_slashes: bool,
    /// Whether the upstream tells paths apart by case, by a slash at the end and by how they are encoded.
    /// Default: no, and a path that differs from an operation's in only such a way is refused.
    #[serde(default)]
    pub exact_paths: bool,
    /// Whether JSON that two readers would read differently is refused. Default: yes.
    #[serde(default = "yes")]
    pub strict_json: bool,
    /// Whether the caller's cookies are taken out. Default: no.
    #[serde(default)]
    pub strip_cookies: bool,
    /// More headers to take out of requests. None by default.
    #[serde(default)]
    pub strip_headers: Vec<String>,
    /// Protocols that a connection may be upgraded to, such as `websocket`. None by default.
    #[serde(default)]
    pub allow_upgrade: Vec<String>,
    /// How long an identical call finds an approval that has ended (`10m` by default).
    #[serde(default = "retry_window", with = "span_text")]
    pub retry_window: Span,
    /// The largest result that waits for a caller who has gone, in bytes: 1 MiB by default.
    #[serde(default = "result_limit")]
    pub result_limit: u64,
    /// What people see masked beyond what the detectors find, what stays, and who may open it. Nothing by default.
    #[serde(default, skip_serializing_if = "is_standard")]
    pub mask: mask::Rules,
    /// What requests mean. None by default: then methods say it, and `matched` is false.
    #[serde(default)]
    pub operations: Vec<Operation>,
}

/// One operation: which requests are it, and what it does to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Its method. `GET` means `HEAD` too.
    pub method: String,
    /// Its path template, such as `/api/queues/{vhost}/{name}`, without the route's prefix.
    pub path: String,
    /// Parameters that the query must have, by name; `*` means any value. None by default. A request that
    /// has one of them twice, or in other letters, is refused.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// What it does. Default: what its method says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<Verb>,
    /// What it touches, with the path's variables: `queues/{vhost}/{name}`. Default: the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// More labels, such as a class. They cannot change a label of the route. None by default.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Whether the body is GraphQL: one that only queries is `http.read`, any other is this operation's
    /// verb, and a batch is refused. Default: no.
    #[serde(default)]
    pub graphql: bool,
}

/// The credential that is put into requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// The secret's name in the bootstrap configuration.
    pub secret: CredentialRef,
    /// The header that carries it: `authorization` by default. What a caller sends under it is taken out.
    #[serde(default = "authorization")]
    pub header: String,
    /// How it stands there: `Bearer {secret}` by default.
    #[serde(default = "bearer")]
    pub format: String,
    /// The user of HTTP Basic (RFC 7617); the secret is the password, and `format` must be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_user: Option<String>,
}

/// How a permit that needed nobody is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// In a hashed segment, sealed within a minute.
    #[default]
    Segment,
    /// As an entry of its own, durable before the action runs.
    BeforeRun,
}

/// Why a route's document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRoute {
    /// It is no TOML, or not a route's.
    #[error("the route is not written as a route: {0}")]
    Toml(String),
    /// It is no strict JSON, not a route's, or too long.
    #[error("the route's document cannot be read: {0}")]
    Document(#[from] Malformed),
    /// A setting that cannot be.
    #[error("`{setting}` cannot be `{value}`: {why}")]
    Setting {
        /// Which one.
        setting: String,
        /// What it is, cut to a readable length.
        value: String,
        /// What is expected.
        why: String,
    },
    /// More than a limit allows.
    #[error("`{setting}` has {actual} {unit}, and the limit is {limit}")]
    TooMany {
        /// Which one.
        setting: String,
        /// How many there are.
        actual: usize,
        /// The limit.
        limit: usize,
        /// The unit of both.
        unit: &'static str,
    },
    /// Two operations that one request could be, with nothing to tell which.
    #[error("the operations `{first}` and `{second}` cannot be told apart: {why}")]
    Ambiguous {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// What to change.
        why: &'static str,
    },
    /// Rules of masking that cannot stand.
    #[error("`mask` cannot stand: {0}")]
    Mask(#[from] mask::RulesError),
    /// An `OpenAPI` document that cannot be turned into operations.
    #[error("the OpenAPI document cannot be used: {0}")]
    OpenApi(String),
}

/// A route whose every setting was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    settings: Settings,
    hosts: Vec<Authority>,
    prefix: Option<CanonicalPath>,
    upstream: Upstream,
    /// In the order in which they are tried: the most specific first.
    compiled: Vec<Compiled>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Compiled {
    /// Its place in the settings.
    index: usize,
    template: Template,
    naming: Option<Naming>,
    verb: Verb,
}

/// What a request means on its route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified<'r> {
    /// What it does.
    pub verb: Verb,
    /// To what, by its name in the target.
    pub resource_name: String,
    /// The route's labels and the operation's.
    pub labels: BTreeMap<String, String>,
    /// Whether an operation of the route describes it.
    pub matched: bool,
    /// That operation, and its place in the route's list.
    pub operation: Option<(usize, &'r Operation)>,
    /// An operation that a lenient upstream could take the request for, though it is not literally that
    /// one. Such a request must be refused.
    pub near: Option<&'r Operation>,
}

impl Route {
    /// Reads a route as people write it.
    ///
    /// # Errors
    /// What is wrong and what is expected, in words.
    pub fn parse_toml(text: &str) -> Result<Self, BadRoute> {
        document_limit(text)?;
        let settings = toml::from_str(text).map_err(|error| BadRoute::Toml(error.to_string()))?;
        Self::check(settings)
    }

    /// Reads a route as the directory keeps it.
    ///
    /// # Errors
    /// As [`Route::parse_toml`].
    pub fn parse_json(text: &str) -> Result<Self, BadRoute> {
        document_limit(text)?;
        Self::check(canonical::read(text.as_bytes())?)
    }

    /// The route as canonical JSON (RFC 8785), which is what the directory keeps and digests.
    ///
    /// # Errors
    /// A document over the directory's limit.
    pub fn to_document(&self) -> Result<String, BadRoute> {
        let text = String::from_utf8(canonical::write(&self.settings)?)
            .map_err(|error| Malformed::Json(error.to_string()))?;
        document_limit(&text)?;
        Ok(text)
    }

    /// The settings, all of them checked.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The route's name.
    #[must_use]
    pub fn name(&self) -> &TargetName {
        &self.settings.name
    }

    /// The hosts that it answers for.
    #[must_use]
    pub fn hosts(&self) -> &[Authority] {
        &self.hosts
    }

    /// The leading segments that it answers for.
    #[must_use]
    pub fn prefix(&self) -> Option<&CanonicalPath> {
        self.prefix.as_ref()
    }

    /// Where it leads.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// What a request means. The path is the one after the prefix. The most specific template wins: the
    /// first segment in which two differ decides, literal before variable; of equal ones, the one that
    /// asks more of the query.
    #[must_use]
    pub fn classify(&self, method: &str, path: &CanonicalPath, query: &Query) -> Classified<'_> {
        let hit = self.candidates(method).find_map(|compiled| {
            let captures = compiled.template.captures(path)?;
            self.query_fits(compiled, query).then_some((compiled, captures))
        });
        let near = self.near(method, path, query, hit.as_ref().map(|(compiled, _)| *compiled));
        let mut labels = self.settings.labels.clone();
        let Some((compiled, operation, captures)) =
            hit.and_then(|(compiled, captures)| Some((compiled, self.operation(compiled)?, captures)))
        else {
            let (verb, resource_name) = (Verb::of_method(method), path.as_str().to_owned());
            return Classified { verb, resource_name, labels, matched: false, operation: None, near };
        };
        labels.extend(operation.labels.clone());
        let resource_name = compiled
            .naming
            .as_ref()
            .map_or_else(|| path.as_str().to_owned(), |naming| naming.fill(&captures));
        let operation = Some((compiled.index, operation));
        Classified { verb: compiled.verb, resource_name, labels, matched: true, operation, near }
    }

    fn operation(&self, compiled: &Compiled) -> Option<&Operation> {
        self.settings.operations.get(compiled.index)
    }

    fn candidates<'r>(&'r self, method: &'r str) -> impl Iterator<Item = &'r Compiled> {
        self.compiled.iter().filter(move |compiled| {
            self.operation(compiled).is_some_and(|operation| {
                operation.method == method || (method == "HEAD" && operation.method == "GET")
            })
        })
    }

    fn query_fits(&self, compiled: &Compiled, query: &Query) -> bool {
        let has = |name: &String, value: &String| {
            query.pairs().iter().any(|(given, text)| given == name && (value == "*" || text == value))
        };
        self.operation(compiled)
            .is_some_and(|operation| operation.query.iter().all(|(name, value)| has(name, value)))
    }

    /// An operation that would win over `hit` if the path were read leniently, or whose query's conditions
    /// the query answers twice or in other letters.
    fn near(
        &self,
        method: &str,
        path: &CanonicalPath,
        query: &Query,
        hit: Option<&Compiled>,
    ) -> Option<&Operation> {
        let loose = template::loosened(path);
        let rank = hit.map(|hit| hit.template.rank());
        let found = self.candidates(method).find(|compiled| {
            if compiled.template.captures(path).is_some() {
                return self.query_is_unclear(compiled, query);
            }
            !self.settings.exact_paths
                && compiled.template.nearly_fits(&loose)
                && rank.as_ref().is_none_or(|rank| compiled.template.rank() < *rank)
        })?;
        self.operation(found)
    }

    fn query_is_unclear(&self, compiled: &Compiled, query: &Query) -> bool {
        let unclear = |name: &String| {
            let alike = || query.pairs().iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
            alike().count() > 1 || alike().any(|(given, _)| given != name)
        };
        self.operation(compiled).is_some_and(|operation| operation.query.keys().any(unclear))
    }
}

impl Operation {
    /// The operation in words: method and path template.
    #[must_use]
    pub fn title(&self) -> String {
        let mut title = format!("{} {}", self.method, self.path);
        for (at, (name, value)) in self.query.iter().enumerate() {
            title.push(if at == 0 { '?' } else { '&' });
            title.push_str(name);
            title.push('=');
            title.push_str(value);
        }
        title
    }
}

impl Credential {
    /// The header's value with the secret in it, marked as sensitive.
    ///
    /// # Errors
    /// A secret that cannot stand in a header; its text is not in the message.
    pub fn render(&self, secret: &str) -> Result<http::HeaderValue, BadRoute> {
        use base64::Engine as _;
        let text = match &self.basic_user {
            Some(user) => {
                let pair = format!("{user}:{secret}");
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            None => self.format.replace("{secret}", secret),
        };
        let clean = !secret.is_empty() && !secret.bytes().any(|b| b.is_ascii_control());
        let mut value = http::HeaderValue::from_str(&text).ok().filter(|_| clean).ok_or_else(|| {
            bad("credential.secret", self.secret.as_str(), "its value is empty or cannot stand in a header")
        })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn bad(setting: impl Into<String>, value: &str, why: impl Into<String>) -> BadRoute {
    BadRoute::Setting { setting: setting.into(), value: value.chars().take(80).collect(), why: why.into() }
}

fn limit(
    setting: impl Into<String>,
    actual: usize,
    limit: usize,
    unit: &'static str,
) -> Result<(), BadRoute> {
    if actual > limit {
        Err(BadRoute::TooMany { setting: setting.into(), actual, limit, unit })
    } else {
        Ok(())
    }
}

fn document_limit(text: &str) -> Result<(), BadRoute> {
    limit("document", text.len(), DOCUMENT_LIMIT_BYTES, "bytes")
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

fn http_point() -> Point {
    Point::Http
}

fn is_standard(rules: &mask::Rules) -> bool {
    *rules == mask::Rules::default()
}

fn yes() -> bool {
    true
}

fn wait() -> Span {
    WAIT_DEFAULT
}

fn retry_window() -> Span {
    RETRY_WINDOW_DEFAULT
}

fn body_limit() -> u64 {
    BODY_LIMIT_DEFAULT_BYTES
}

fn result_limit() -> u64 {
    RESULT_LIMIT_DEFAULT_BYTES
}

fn authorization() -> String {
    "authorization".to_owned()
}

fn bearer() -> String {
    "Bearer {secret}".to_owned()
}
