//! Headers: which are read, which are taken out, and which are sent on.
//!
//! What is sent on is a list of its own, in the caller's order; nothing is forwarded because it was not
//! thought of by hyper or by us. Only names of small letters, digits and `-` go on: CGI, WSGI and PHP make
//! one name of `x-user`, `x_user` and `x.user`, so that any other spelling is a way round the lists below.

use std::borrow::Cow;

use domain::action::{REASON_LIMIT_BYTES, RUN_LIMIT_BYTES};
use domain::time::Span;
use http::Version;

use super::config::Route;
use super::refusal::Refusal;

/// The most headers of a request.
pub const HEADERS_LIMIT: usize = 128;
/// The longest name of a header, in bytes.
pub const HEADER_NAME_LIMIT_BYTES: usize = 128;
/// The longest value of a header, in bytes.
pub const HEADER_VALUE_LIMIT_BYTES: usize = 16 << 10;
/// The longest names and values together, in bytes.
pub const HEADERS_LIMIT_BYTES: usize = 64 << 10;
/// The longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_LIMIT_BYTES: usize = 255;

/// A header that is sent on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name, in small letters.
    pub name: String,
    /// Its value, without white space around it.
    pub value: Vec<u8>,
}

/// Headers that may stand once.
const SINGLE: &[&str] = &[
    "authorization",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "countersign-reason",
    "countersign-run",
    "date",
    "expect",
    "from",
    "host",
    "idempotency-key",
    "if-modified-since",
    "if-range",
    "if-unmodified-since",
    "max-forwards",
    "origin",
    "proxy-authorization",
    "range",
    "referer",
    "te",
    "traceparent",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// Headers that speak to us or of this connection, and never go on under their own name: hop-by-hop ones
/// (RFC 9110, section 7.6.1), those that frame the message, and the caller's credential.
const OURS: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers by which proxies tell a server who is calling, from where, or for which path.
const IDENTITY: &[&str] = &[
    "cf-connecting-ip",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "forwarded-for",
    "front-end-https",
    "oidc-claims",
    "remote-addr",
    "remote-email",
    "remote-groups",
    "remote-name",
    "remote-user",
    "teleport-jwt-assertion",
    "true-client-ip",
    "x-anonymous-consumer",
    "x-apigateway-api-userinfo",
    "x-auth-email",
    "x-auth-groups",
    "x-auth-roles",
    "x-auth-user",
    "x-auth-username",
    "x-client-dn",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-email",
    "x-endpoint-api-userinfo",
    "x-groups",
    "x-host",
    "x-id-token",
    "x-proxy-user",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-roles",
    "x-user",
    "x-userid",
    "x-userinfo",
    "x-username",
];

/// The same, by how their names begin.
const IDENTITY_PREFIXES: &[&str] = &[
    "cf-access-",
    "countersign-",
    "impersonate-",
    "oidc-claim-",
    "proxy-",
    "ssl-client-",
    "tailscale-user-",
    "x-amzn-oidc-",
    "x-auth-request-",
    "x-authenticated-",
    "x-authentik-",
    "x-client-cert",
    "x-consumer-",
    "x-countersign-",
    "x-credential-",
    "x-envoy-",
    "x-forwarded",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "x-identity",
    "x-ms-client-principal",
    "x-original-",
    "x-originating-",
    "x-pomerium-",
    "x-remote-user",
    "x-rewrite-",
    "x-ssl-",
    "x-user-",
    "x-webauth-",
];

/// Headers that change the method behind the first line's back.
const METHOD_OVERRIDES: &[&str] = &["x-http-method", "x-http-method-override", "x-method-override"];

/// Headers that differ from one try of a call to the next and do not change what it does.
const VOLATILE: &[&str] = &[
    "b3",
    "baggage",
    "date",
    "request-id",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "uber-trace-id",
    "x-amzn-trace-id",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-request-id",
    "x-trace-id",
];

/// Whether the name has only small letters, digits and `-`: no other goes on.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.len() <= HEADER_NAME_LIMIT_BYTES && name.bytes().all(ok)
}

/// Whether a header of this name never goes on, whoever sent it.
#[must_use]
pub fn is_never_forwarded(name: &str) -> bool {
    !is_plain_name(name)
        || OURS.contains(&name)
        || IDENTITY.contains(&name)
        || METHOD_OVERRIDES.contains(&name)
        || IDENTITY_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a header differs between two tries of one call.
#[must_use]
pub fn is_volatile(name: &str) -> bool {
    VOLATILE.contains(&name)
}

/// Whether a value may stand in a header: no control character but a tab within (RFC 9110, section 5.5).
#[must_use]
pub fn is_value(value: &[u8]) -> bool {
    // Every byte is looked at, without a branch: sixteen and more at a time.
    let control = |bad, b: &u8| bad | ((*b < 0x20) & (*b != b'\t')) | (*b == 0x7f);
    value.len() <= HEADER_VALUE_LIMIT_BYTES
        && !value.iter().fold(false, control)
        && trim(value).len() == value.len()
}

/// The caller's credential. It is for the gateway alone, and does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented(Vec<u8>);

impl Presented {
    /// The value of `Authorization`.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presented(..)")
    }
}

/// How a body's end is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The request says that there is none, or (HTTP/2) leaves the end to the stream.
    Unstated,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// The chunked coding.
    Chunked,
}

/// Headers that were looked at without knowing the route: names, values and numbers of them are sound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked<'h> {
    headers: &'h [(String, Vec<u8>)],
    version: Version,
}

/// What a request's headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sifted {
    pub(crate) forward: Vec<Header>,
    /// The names of those that were taken out and that the caller may miss.
    pub(crate) dropped: Vec<String>,
    pub(crate) framing: Framing,
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) credential: Option<Presented>,
    pub(crate) upgrade: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) run: Option<String>,
    pub(crate) idempotency: Option<String>,
    pub(crate) respond_async: bool,
    pub(crate) wait: Option<Span>,
}

impl<'h> Checked<'h> {
    /// Looks at numbers, sizes, names, values and doubles.
    pub(crate) fn new(headers: &'h [(String, Vec<u8>)], version: Version) -> Result<Self, Refusal> {
        if headers.len() > HEADERS_LIMIT {
            return Err(Refusal::TooManyHeaders(HEADERS_LIMIT));
        }
        let total: usize = headers.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum();
        if total > HEADERS_LIMIT_BYTES {
            return Err(Refusal::HeadersTooLong("the headers together are", HEADERS_LIMIT_BYTES));
        }
        let checked = Self { headers, version };
        for (name, value) in headers {
            if name.len() > HEADER_NAME_LIMIT_BYTES {
                return Err(Refusal::HeadersTooLong("a header's name is", HEADER_NAME_LIMIT_BYTES));
            }
            if name.is_empty() || !name.bytes().all(is_token_byte) {
                return Err(Refusal::HeaderName);
            }
            let name = lower(name);
            let value = trim(value);
            if value.len() > HEADER_VALUE_LIMIT_BYTES {
                return Err(Refusal::HeadersTooLong("a header's value is", HEADER_VALUE_LIMIT_BYTES));
            }
            if !is_value(value) {
                return Err(Refusal::HeaderValue(name.into_owned()));
            }
            if SINGLE.contains(&name.as_ref()) && checked.all(&name).count() > 1 {
                return Err(Refusal::RepeatedHeader(name.into_owned()));
            }
            if METHOD_OVERRIDES.contains(&folded(&name).as_ref()) {
                return Err(Refusal::MethodOverride(name.into_owned()));
            }
        }
        Ok(checked)
    }

    /// All values under a name.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'h [u8]> {
        self.headers
            .iter()
            .filter(move |(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| trim(value))
    }

    pub(crate) fn one(&self, name: &str) -> Option<&'h [u8]> {
        self.all(name).next()
    }

    /// The items of a list-valued header, over all its lines, in small letters.
    fn items(&self, name: &str) -> Vec<String> {
        let item = |item: &[u8]| String::from_utf8_lossy(trim(item)).to_ascii_lowercase();
        self.all(name)
            .flat_map(|value| value.split(|b| *b == b','))
            .map(item)
            .filter(|item| !item.is_empty())
            .collect()
    }

    /// How the body is framed (RFC 9112, section 6).
    fn framing(&self) -> Result<Framing, Refusal> {
        let length = match self.one("content-length") {
            None => None,
            Some(digits) => Some(decimal(digits).ok_or(Refusal::ContentLength)?),
        };
        match (self.one("transfer-encoding"), length) {
            (Some(_), Some(_)) => Err(Refusal::TwoLengths),
            (Some(coding), None)
                if self.version == Version::HTTP_11 && coding.eq_ignore_ascii_case(b"chunked") =>
            {
                Ok(Framing::Chunked)
            }
            (Some(_), None) => Err(Refusal::TransferEncoding),
            (None, Some(length)) => Ok(Framing::Length(length)),
            (None, None) => Ok(Framing::Unstated),
        }
    }

    /// The names that `Connection` gives, beside the usual options.
    fn connection_names(&self) -> Result<Vec<String>, Refusal> {
        let names = self.items("connection");
        for name in &names {
            let options = ["close", "keep-alive", "te", "upgrade", "trailer", "http2-settings"];
            if options.contains(&name.as_str()) || name.starts_with("proxy-") {
                continue;
            }
            let needed = ["accept", "cache-control", "cookie", "prefer"].contains(&name.as_str());
            if needed || SINGLE.contains(&name.as_str()) || is_never_forwarded(name) {
                return Err(Refusal::ConnectionNames(name.clone()));
            }
        }
        Ok(names)
    }

    /// The protocol that the connection should be upgraded to.
    fn upgrade(&self, route: &Route) -> Result<Option<String>, Refusal> {
        let names = self.items("upgrade");
        match names.as_slice() {
            [] if self.items("connection").iter().any(|name| name == "upgrade") => {
                Err(Refusal::Upgrade(String::new()))
            }
            [] => Ok(None),
            [name] if self.version == Version::HTTP_11 && route.settings().allow_upgrade.contains(name) => {
                Ok(Some(name.clone()))
            }
            names => Err(Refusal::Upgrade(names.join(", "))),
        }
    }

    /// Reads what is for us, takes out what does not go on, and keeps the rest in its order.
    pub(crate) fn sift(&self, route: &Route) -> Result<Sifted, Refusal> {
        let settings = route.settings();
        let framing = self.framing()?;
        if let Framing::Length(length) = framing
            && !settings.opaque
            && length > settings.body_limit
        {
            return Err(Refusal::BodyTooLarge(settings.body_limit));
        }
        if self.one("expect").is_some_and(|value| !value.eq_ignore_ascii_case(b"100-continue")) {
            return Err(Refusal::Expectation);
        }
        let connection = self.connection_names()?;
        let prefer = Preferences::read(self.all("prefer"));
        let text = |name| self.one(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let mut sifted = Sifted {
            forward: Vec::new(),
            dropped: Vec::new(),
            framing,
            content_type: text("content-type"),
            content_encoding: text("content-encoding"),
            credential: self.one("authorization").map(|value| Presented(value.to_vec())),
            upgrade: self.upgrade(route)?,
            reason: self.one("countersign-reason").map(reason).transpose()?,
            run: self.run()?,
            idempotency: self.one("idempotency-key").map(idempotency).transpose()?,
            respond_async: prefer.respond_async,
            wait: prefer.wait,
        };
        let credential = settings.credential.as_ref().map(|credential| credential.header.as_str());
        let mut cookies: Option<usize> = None;
        let mut preferred = false;
        for (name, value) in self.headers {
            let name = lower(name);
            // A name that folding changes is not plain, and never goes on.
            let is_out = is_never_forwarded(&name)
                || connection.iter().any(|named| *named == name)
                || credential == Some(name.as_ref())
                || settings.strip_headers.iter().any(|strip| *strip == name)
                || (settings.strip_cookies && name == "cookie");
            if is_out {
                if !OURS.contains(&name.as_ref()) && !name.starts_with("countersign-") {
                    sifted.dropped.push(name.into_owned());
                }
                continue;
            }
            let name = name.into_owned();
            let mut value = trim(value).to_vec();
            if name == "prefer" {
                if preferred || prefer.others.is_empty() {
                    continue;
                }
                preferred = true;
                value = prefer.others.join(", ").into_bytes();
            }
            // RFC 9113, section 8.2.3: HTTP/2 splits cookies, and whoever passes them on joins them.
            if name == "cookie"
                && let Some(first) = cookies.and_then(|at| sifted.forward.get_mut(at))
            {
                if self.version != Version::HTTP_2 {
                    return Err(Refusal::RepeatedHeader(name));
                }
                first.value.extend_from_slice(b"; ");
                first.value.extend_from_slice(&value);
                if !is_value(&first.value) {
                    return Err(Refusal::HeadersTooLong("a header's value is", HEADER_VALUE_LIMIT_BYTES));
                }
                continue;
            }
            if name == "cookie" {
                cookies = Some(sifted.forward.len());
            }
            sifted.forward.push(Header { name, value });
        }
        Ok(sifted)
    }

    /// The run as the caller claims it: `Countersign-Run`, or the trace id of `traceparent` (W3C Trace
    /// Context); a `traceparent` that cannot be read is left aside, as its specification asks.
    fn run(&self) -> Result<Option<String>, Refusal> {
        if let Some(value) = self.one("countersign-run") {
            let text = std::str::from_utf8(value).unwrap_or_default();
            if text.is_empty() || text.len() > RUN_LIMIT_BYTES || !text.bytes().all(|b| b.is_ascii_graphic())
            {
                let why = "is expected to be 1 to 256 visible ASCII characters without spaces";
                return Err(Refusal::OurHeader { header: "Countersign-Run", why });
            }
            return Ok(Some(text.to_owned()));
        }
        let trace =
            self.one("traceparent").and_then(|value| std::str::from_utf8(value).ok()).and_then(|value| {
                let (version, rest) = value.split_once('-')?;
                let (trace, _) = rest.split_once('-')?;
                let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                let sound =
                    version.len() == 2 && hex(version) && version != "ff" && trace.len() == 32 && hex(trace);
                (sound && trace.bytes().any(|b| b != b'0')).then(|| trace.to_owned())
            });
        Ok(trace)
    }
}

/// RFC 7240: what we answer to, and what goes on.
#[derive(Default)]
struct Preferences {
    respond_async: bool,
    wait: Option<Span>,
    others: Vec<String>,
}

impl Preferences {
    fn read<'h>(values: impl Iterator<Item = &'h [u8]>) -> Self {
        let mut all = Self::default();
        for value in values {
            let text = String::from_utf8_lossy(value);
            // A comma within quotes ends no preference.
            let mut quoted = false;
            let items = text.split(|c| {
                quoted ^= c == '"';
                c == ',' && !quoted
            });
            for item in items.map(str::trim).filter(|item| !item.is_empty()) {
                let (name, value) = item.split_once('=').unwrap_or((item, ""));
                let value = value.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "respond-async" => all.respond_async = true,
                    // Of two, the first counts (RFC 7240, section 2); one that is no number is left aside.
                    "wait" => all.wait = all.wait.or(decimal(value.as_bytes()).map(Span::from_seconds)),
                    _ => all.others.push(item.to_owned()),
                }
            }
        }
        all
    }
}

/// The caller's reason: UTF-8, or RFC 8187's `UTF-8''` with escapes, for clients that can only send ASCII.
fn reason(value: &[u8]) -> Result<String, Refusal> {
    let refused = |why| Refusal::OurHeader { header: "Countersign-Reason", why };
    let bytes = match value.split_first_chunk::<7>() {
        Some((head, rest)) if head.eq_ignore_ascii_case(b"utf-8''") => {
            percent_encoding::percent_decode(rest).collect()
        }
        _ => value.to_vec(),
    };
    let text = String::from_utf8(bytes)
        .map_err(|_| refused("is expected to be UTF-8, or `UTF-8''` and escapes (RFC 8187)"))?;
    if text.len() > REASON_LIMIT_BYTES {
        return Err(refused("is longer than 2000 bytes"));
    }
    Ok(text)
}

/// The key, with or without a structured field's quotes.
fn idempotency(value: &[u8]) -> Result<String, Refusal> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if text.is_empty() || text.len() > IDEMPOTENCY_LIMIT_BYTES || !text.bytes().all(|b| b.is_ascii_graphic())
    {
        let why = "is expected to be 1 to 255 visible ASCII characters without spaces";
        return Err(Refusal::OurHeader { header: "Idempotency-Key", why });
    }
    Ok(text.to_owned())
}

/// A decimal number of at most 18 digits, and nothing else.
fn decimal(digits: &[u8]) -> Option<u64> {
    let sound = !digits.is_empty() && digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| sound)?.parse().ok()
}

/// The name as CGI and its like would see it, written with `-`.
fn folded(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Cow::Borrowed(name);
    }
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// A name in small letters. From hyper every name is.
fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// Whether a byte may stand in a token (RFC 9110, section 5.6.2).
fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

fn trim(value: &[u8]) -> &[u8] {
    let is_space = |b: &u8| matches!(b, b' ' | b'\t');
    let start = value.iter().position(|b| !is_space(b)).unwrap_or(value.len());
    let end = value.iter().rposition(|b| !is_space(b)).map_or(start, |at| at + 1);
    value.get(start..end).unwrap_or_default()
}
