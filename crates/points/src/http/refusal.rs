//! Why a request was refused before anybody was asked about it. Every reason has a name, a status
//! and words that say what to do next. No message repeats a header's value: it may be a secret.

/// Why a request is not an action that we understand; nothing of it was forwarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A version of HTTP that is not 1.0, 1.1 or 2.
    #[error("this version of HTTP is not spoken here; use HTTP/1.1 or HTTP/2")]
    Version,
    /// A method that is not 1 to 32 capital letters, digits, `-` or `_`.
    #[error("`{0}` is not a method; send it in capital letters")]
    Method(String),
    /// `TRACE` and its like: an upstream's echo would show the credential that we put in.
    #[error("the method `{0}` is not passed on")]
    MethodRefused(String),
    /// `CONNECT`, which asks for a tunnel past us.
    #[error("tunnels are not opened; send the request itself")]
    Connect,
    /// The asterisk form of a target.
    #[error("`*` names no resource; send a path")]
    Asterisk,
    /// A target that is neither a path nor an absolute URL.
    #[error("the target is neither a path nor an absolute URL; send a path that begins with `/`")]
    TargetForm,
    /// A target over [`TARGET_LIMIT_BYTES`](super::path::TARGET_LIMIT_BYTES), or a path over its own limits.
    #[error("the target's {0} is longer than {1}; shorten it")]
    TargetTooLong(&'static str, usize),
    /// A fragment, which never belongs into a request.
    #[error("the target has a fragment; leave out `#` and what follows, or encode it as `%23`")]
    Fragment,
    /// An absolute URL, or HTTP/2's `:authority`, that names another host than `Host` does.
    #[error("the target and `Host` name different hosts; send one name")]
    AuthorityMismatch,
    /// No `Host`, and no `:authority` either.
    #[error("the request names no host; send `Host`")]
    MissingHost,
    /// A host that is no plain name or address with an optional port.
    #[error("`Host` is not a host name or address with an optional port; send it without user or path")]
    BadHost,
    /// Nothing stands behind this host and path.
    #[error("no route answers for `{0}`; ask an administrator which hosts and prefixes there are")]
    NoRoute(String),
    /// The route that would answer cannot be read, or another one claims the same place.
    #[error("the route `{route}` is out of order: {reason}; an administrator must set it anew")]
    RouteDisabled {
        /// The route, or the routes.
        route: String,
        /// What is wrong.
        reason: String,
    },
    /// `//` in a path.
    #[error("the path has an empty segment; send single slashes")]
    EmptySegment,
    /// `.` or `..` as a segment, however encoded.
    #[error("the path has a `.` or `..` segment; resolve it before sending")]
    DotSegment,
    /// `;` in a path, which some servers cut off before they look.
    #[error("the path has a `;`; send parameters in the query")]
    Parameters,
    /// `%2F`, `%5C` or `%3B` in a path whose route does not take them as data.
    #[error("the path has an encoded `/`, `\\` or `;`; this route takes none (see `opaque_slashes`)")]
    EncodedSlash,
    /// A raw backslash in a path.
    #[error("the path has a backslash; send `/`")]
    Backslash,
    /// `%25` and two hexadecimal digits in a path: two readers would decode it differently.
    #[error("the path is encoded twice; encode it once")]
    DoubleEncoding,
    /// A control character in a target, raw or encoded.
    #[error("the target has a control character; leave it out")]
    ControlCharacter,
    /// A byte that may not stand raw in a target: a space, or one outside ASCII.
    #[error("the target has a raw byte `0x{0:02x}`; percent-encode it")]
    RawByte(u8),
    /// `%` without two hexadecimal digits.
    #[error("the target has a `%` without two hexadecimal digits; encode `%` as `%25`")]
    BadPercent,
    /// Percent-encoded bytes that are not UTF-8.
    #[error("the target's encoded bytes are not UTF-8; encode text as UTF-8")]
    NotUtf8,
    /// A character that some servers turn into `.`, `/`, `\`, `%` or `;`.
    #[error("the path has `U+{0:04X}`, which some servers read as path syntax; use another name")]
    LookAlike(u32),
    /// More than [`QUERY_PAIRS_LIMIT`](super::path::QUERY_PAIRS_LIMIT) parameters.
    #[error("the query has more than {0} parameters; send fewer")]
    QueryPairs(usize),
    /// A request that a lenient server takes for an operation which it does not literally match.
    #[error("the request is nearly `{0}`; send its exact case, slashes and encoding, each parameter once")]
    NearMiss(String),
    /// A header, parameter or field that would change the method behind our back.
    #[error("`{0}` would change the method; send the method itself")]
    MethodOverride(String),
    /// More than [`HEADERS_LIMIT`](super::headers::HEADERS_LIMIT) headers.
    #[error("there are more than {0} headers; send fewer")]
    TooManyHeaders(usize),
    /// Headers over a limit in bytes, each or together.
    #[error("{0} longer than {1} bytes; shorten it")]
    HeadersTooLong(&'static str, usize),
    /// A header whose name is no token.
    #[error("a header's name is not a token (RFC 9110, section 5.1)")]
    HeaderName,
    /// A header whose value has a control character.
    #[error("the header `{0}` has a control character in its value")]
    HeaderValue(String),
    /// A header that may stand once and stands twice.
    #[error("the header `{0}` stands more than once; send it once")]
    RepeatedHeader(String),
    /// A `Content-Length` that is not one decimal number.
    #[error("`Content-Length` is not one decimal number")]
    ContentLength,
    /// A transfer coding that is not `chunked`, or one where there can be none.
    #[error("the transfer coding is not understood here; send `chunked` over HTTP/1.1, or a length")]
    TransferEncoding,
    /// Both `Content-Length` and `Transfer-Encoding`.
    #[error("the body has two lengths; send `Content-Length` or `Transfer-Encoding`, never both")]
    TwoLengths,
    /// A `Connection` header that names a header which is for the upstream or for us.
    #[error("`Connection` names `{0}`, which is not for one connection; take it out")]
    ConnectionNames(String),
    /// An `Expect` that is not `100-continue`.
    #[error("only `100-continue` may be expected")]
    Expectation,
    /// An upgrade to a protocol that the route does not allow.
    #[error("the route does not allow an upgrade to `{0}`; send the request without `Upgrade`")]
    Upgrade(String),
    /// A header of ours that cannot be read.
    #[error("`{header}` {why}")]
    OurHeader {
        /// Its name.
        header: &'static str,
        /// What is expected.
        why: &'static str,
    },
    /// A body over the route's limit.
    #[error("the body is longer than the route's limit of {0} bytes; send less, or ask for a higher limit")]
    BodyTooLarge(u64),
    /// A body that is not as long as its `Content-Length` says.
    #[error("the body has {actual} bytes, and `Content-Length` says {stated}")]
    LengthDiffers {
        /// How long it is.
        actual: u64,
        /// How long it was said to be.
        stated: u64,
    },
    /// A JSON body that two readers would read differently.
    #[error("the body is not JSON that every reader reads alike: {0}; send each key once")]
    Json(String),
    /// Several GraphQL operations in one request.
    #[error("the body holds {0} GraphQL requests; send each by itself, so that each can be decided")]
    GraphqlBatch(usize),
}

impl Refusal {
    /// The HTTP status to answer with.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Version => 505,
            Self::MethodRefused(_) | Self::Connect | Self::Asterisk | Self::TransferEncoding => 501,
            Self::TargetTooLong(..) | Self::QueryPairs(_) => 414,
            Self::NoRoute(_) => 404,
            Self::RouteDisabled { .. } => 503,
            Self::TooManyHeaders(_) | Self::HeadersTooLong(..) => 431,
            Self::Expectation => 417,
            Self::Upgrade(_) => 403,
            Self::BodyTooLarge(_) => 413,
            Self::Method(_)
            | Self::TargetForm
            | Self::Fragment
            | Self::AuthorityMismatch
            | Self::MissingHost
            | Self::BadHost
            | Self::EmptySegment
            | Self::DotSegment
            | Self::Parameters
            | Self::EncodedSlash
            | Self::Backslash
            | Self::DoubleEncoding
            | Self::ControlCharacter
            | Self::RawByte(_)
            | Self::BadPercent
            | Self::NotUtf8
            | Self::LookAlike(_)
            | Self::NearMiss(_)
            | Self::MethodOverride(_)
            | Self::HeaderName
            | Self::HeaderValue(_)
            | Self::RepeatedHeader(_)
            | Self::ContentLength
            | Self::TwoLengths
            | Self::ConnectionNames(_)
            | Self::OurHeader { .. }
            | Self::LengthDiffers { .. }
            | Self::Json(_)
            | Self::GraphqlBatch(_) => 400,
        }
    }

    /// Whether the connection must be closed after the answer: where a message ends is in doubt, or
    /// the rest of its body will not be read.
    #[must_use]
    pub fn closes(&self) -> bool {
        matches!(
            self,
            Self::TransferEncoding
                | Self::TwoLengths
                | Self::ContentLength
                | Self::LengthDiffers { .. }
                | Self::BodyTooLarge(_)
                | Self::Version
        )
    }

    /// A stable machine name, for `problem+json` types and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Version => "http-version",
            Self::Method(_) => "bad-method",
            Self::MethodRefused(_) => "method-refused",
            Self::Connect => "connect-refused",
            Self::Asterisk => "asterisk-refused",
            Self::TargetForm => "target-form",
            Self::TargetTooLong(..) => "target-too-long",
            Self::Fragment => "fragment",
            Self::AuthorityMismatch => "authority-mismatch",
            Self::MissingHost => "missing-host",
            Self::BadHost => "bad-host",
            Self::NoRoute(_) => "no-route",
            Self::RouteDisabled { .. } => "route-disabled",
            Self::EmptySegment => "empty-segment",
            Self::DotSegment => "dot-segment",
            Self::Parameters => "path-parameters",
            Self::EncodedSlash => "encoded-slash",
            Self::Backslash => "backslash",
            Self::DoubleEncoding => "double-encoding",
            Self::ControlCharacter => "control-character",
            Self::RawByte(_) => "raw-byte",
            Self::BadPercent => "bad-percent",
            Self::NotUtf8 => "not-utf8",
            Self::LookAlike(_) => "look-alike",
            Self::QueryPairs(_) => "too-many-parameters",
            Self::NearMiss(_) => "near-miss",
            Self::MethodOverride(_) => "method-override",
            Self::TooManyHeaders(_) => "too-many-headers",
            Self::HeadersTooLong(..) => "headers-too-long",
            Self::HeaderName => "header-name",
            Self::HeaderValue(_) => "header-value",
            Self::RepeatedHeader(_) => "repeated-header",
            Self::ContentLength => "content-length",
            Self::TransferEncoding => "transfer-encoding",
            Self::TwoLengths => "two-lengths",
            Self::ConnectionNames(_) => "connection-names",
            Self::Expectation => "expectation",
            Self::Upgrade(_) => "upgrade-refused",
            Self::OurHeader { .. } => "our-header",
            Self::BodyTooLarge(_) => "body-too-large",
            Self::LengthDiffers { .. } => "length-differs",
            Self::Json(_) => "ambiguous-json",
            Self::GraphqlBatch(_) => "graphql-batch",
        }
    }
}
