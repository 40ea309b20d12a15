//! What a body says, as far as we understand it. `parsed` is true only where nothing is left to another
//! reader's choice.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::graphql;
use super::path::Query;
use super::refusal::Refusal;

/// What was found in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The media type without parameters, in small letters, where one is stated.
    pub media: Option<String>,
    /// What kind of body it is.
    pub kind: Kind,
    /// Whether it was understood in full.
    pub parsed: bool,
    /// Why JSON that was announced as such has more than one reading.
    pub json_problem: Option<String>,
    /// A field that would change the method, where some framework may read the body as a form.
    pub method_override: Option<String>,
}

/// Kinds of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No bytes.
    Empty,
    /// JSON, announced or found.
    Json,
    /// JSON values, one a line.
    JsonLines,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/graphql`.
    Graphql,
    /// Other text in UTF-8.
    Text,
    /// Compressed, multipart, binary, or in an encoding that is not UTF-8.
    Opaque,
}

/// What a GraphQL request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Graphql {
    /// It only queries.
    Queries,
    /// It has a mutation or a subscription.
    Changes,
    /// It cannot be read, or two servers could read it differently.
    Unclear,
}

/// Reads a body by its media type, and by its looks where they say more.
#[must_use]
pub fn read(content_type: Option<&str>, content_encoding: Option<&str>, body: &[u8]) -> Reading {
    let (media, charset) = content_type.map_or((None, None), media_type);
    let mut reading =
        Reading { media, kind: Kind::Opaque, parsed: false, json_problem: None, method_override: None };
    if body.is_empty() {
        reading.kind = Kind::Empty;
        reading.parsed = true;
        return reading;
    }
    let plain = content_encoding.is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
    let utf8 = charset.is_none_or(|charset| matches!(charset.as_str(), "utf-8" | "utf8" | "us-ascii"));
    let announced = Announced::of(reading.media.as_deref());
    let text = std::str::from_utf8(body).ok().filter(|_| plain && utf8);
    let json = matches!(announced, Announced::Json | Announced::JsonLines);
    if !json || text.is_none() {
        reading.method_override = overriding_field(announced, content_type, body);
    }
    let Some(text) = text else {
        if announced == Announced::Json && plain {
            reading.json_problem = Some("it is not in UTF-8".to_owned());
        }
        return reading;
    };
    match announced {
        Announced::Json => reading.json(check_json(text)),
        Announced::JsonLines => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            reading.json(lines.map(check_json).find(Result::is_err).unwrap_or(Ok(())));
            reading.kind = Kind::JsonLines;
        }
        Announced::Form => reading.form(text),
        Announced::Graphql => {
            reading.kind = Kind::Graphql;
            reading.parsed = graphql::operations(text).is_some();
        }
        Announced::Text | Announced::Nothing => reading.by_looks(text, announced),
        Announced::Other => {}
    }
    // What is announced as JSON and is none may be read as anything.
    if json && reading.json_problem.is_some() {
        reading.method_override = overriding_field(announced, content_type, body);
    }
    reading
}

/// Whether a parameter of this name changes the method, in frameworks that let it.
pub(crate) fn changes_the_method(name: &str) -> bool {
    ["_method", "x-http-method-override", "x-http-method"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// The field that would change the method for the most lenient reader: whatever the type or the charset says,
/// frameworks read forms without a type, mend broken escapes, and decode UTF-16. One pass over the bytes.
fn overriding_field(announced: Announced, content_type: Option<&str>, body: &[u8]) -> Option<String> {
    // ASCII in UTF-16 or UTF-32 is ASCII between NULs.
    let body = without_nuls(body);
    let marks: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
    let text = marks.iter().find_map(|mark| body.strip_prefix(*mark)).unwrap_or(&body);
    let stated = content_type.unwrap_or_default().to_ascii_lowercase();
    // Bytes that are no text have semicolons by chance.
    let semicolons = match announced {
        Announced::Form | Announced::Text | Announced::Nothing => true,
        Announced::Json | Announced::JsonLines | Announced::Graphql | Announced::Other => {
            stated.contains("form")
        }
    };
    let in_form = text.split(|&byte| byte == b'&' || (semicolons && byte == b';')).find_map(|field| {
        let end = field.iter().position(|&byte| byte == b'=')?;
        overriding_name(field.get(..end)?)
    });
    in_form.or_else(|| {
        let multipart = stated.contains("multipart") || stated.contains("boundary");
        multipart.then(|| overriding_part(text)).flatten()
    })
}

/// The part of a multipart body that would change the method. Any line that could be a part's header counts,
/// wherever readers see the boundaries; a file that only mentions `name="_method"` does not.
fn overriding_part(body: &[u8]) -> Option<String> {
    let mut in_header = false;
    for line in body.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty()) {
        let line = line.to_ascii_lowercase();
        // Rack names a part by its Content-ID where it has no other name.
        let id = find(&line, b"content-id").and_then(|at| line.get(at..)?.split(|&b| b == b':').nth(1));
        if let Some(name) = id.and_then(part_name) {
            return Some(name);
        }
        let folded = matches!(line.first(), Some(b' ' | b'\t'));
        in_header = find(&line, b"content-disposition").is_some() || (in_header && folded);
        if !in_header {
            continue;
        }
        let mut rest = line.as_slice();
        while let Some(at) = find(rest, b"name") {
            rest = rest.get(at + b"name".len()..).unwrap_or_default();
            let value = rest.trim_ascii_start();
            // `name*=utf-8''…` is the extended form.
            let (value, extended) =
                value.strip_prefix(b"*").map_or((value, false), |value| (value.trim_ascii_start(), true));
            let Some(value) = value.strip_prefix(b"=") else { continue };
            if let Some(name) = part_name(value).or_else(|| {
                let value = value.get(..value.len().min(LONGEST_NAME))?;
                let charset = value.iter().position(|&byte| byte == b'\'').filter(|_| extended)?;
                let language = value.get(charset + 1..)?;
                let end = language.iter().position(|&byte| byte == b'\'')?;
                part_name(language.get(end + 1..)?)
            }) {
                return Some(name);
            }
        }
    }
    None
}

/// No name that changes the method is written in more bytes, with every byte escaped.
const LONGEST_NAME: usize = 256;

/// A name that changes the method, at the start of this value, in quotes or without.
fn part_name(value: &[u8]) -> Option<String> {
    let quote = |byte: u8| matches!(byte, b'"' | b'\'');
    let start =
        value.iter().position(|&byte| !(byte.is_ascii_whitespace() || quote(byte) || byte == b'\\'))?;
    let value = value.get(start..value.len().min(start + LONGEST_NAME))?;
    let end = value.iter().position(|&byte| quote(byte) || byte == b';').unwrap_or(value.len());
    let name: Vec<u8> = value.get(..end)?.iter().copied().filter(|&byte| byte != b'\\').collect();
    overriding_name(&name)
}

/// This name, decoded as leniently as can be, where it changes the method.
fn overriding_name(raw: &[u8]) -> Option<String> {
    let mut decoded = Vec::new();
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| u8::try_from(char::from(*after.get(at)?).to_digit(16)?).ok();
        let escaped = digit(0).zip(digit(1)).filter(|_| byte == b'%');
        match (escaped, byte) {
            (Some((high, low)), _) => decoded.push(high << 4 | low),
            (None, b'+') => decoded.push(b' '),
            (None, byte) => decoded.push(byte),
        }
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    decoded.retain(|&byte| byte != 0);
    let name = std::str::from_utf8(decoded.trim_ascii()).ok()?;
    changes_the_method(name).then(|| name.to_owned())
}

fn without_nuls(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.contains(&0) {
        return bytes.iter().copied().filter(|&byte| byte != 0).collect();
    }
    Cow::Borrowed(bytes)
}

/// Where these few bytes stand first.
fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// Looks for keys that stand twice in one object, at any depth; every number is let through.
///
/// # Errors
/// What is wrong.
pub fn check_json(text: &str) -> Result<(), JsonProblem> {
    let twice = Cell::new(false);
    let alike = Cell::new(false);
    let mut reader = serde_json::Deserializer::from_str(text);
    let keys = Keys { twice: &twice, alike: &alike };
    match keys.deserialize(&mut reader).and_then(|()| reader.end()) {
        Err(error) if twice.get() => Err(JsonProblem::Twice(error.to_string())),
        Err(error) => Err(JsonProblem::Syntax(error.to_string())),
        Ok(()) if alike.get() => Err(JsonProblem::Alike),
        Ok(()) => Ok(()),
    }
}

/// Why JSON has more than one reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonProblem {
    /// A key stands twice: some readers take the first, some the last.
    #[error("{0}")]
    Twice(String),
    /// Two keys differ only in case: some readers (Go's, .NET's) take them for one.
    #[error("two keys of one object differ only in case")]
    Alike,
    /// It is no JSON, or too deep.
    #[error("{0}")]
    Syntax(String),
}

/// Reads a request of an operation that is said to be GraphQL.
///
/// # Errors
/// A batch of more than one request.
pub(crate) fn graphql(
    method: &str,
    query: &Query,
    reading: &Reading,
    body: &[u8],
) -> Result<Graphql, Refusal> {
    let in_query: Vec<&String> = query
        .pairs()
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("query"))
        .map(|(_, text)| text)
        .collect();
    let text = std::str::from_utf8(body).unwrap_or_default();
    // Some servers read the query first and some the body: a document stands in one of them.
    let document = match (in_query.as_slice(), reading.kind) {
        ([document], Kind::Empty) if matches!(method, "GET" | "HEAD") => Some((*document).clone()),
        ([], Kind::Graphql) => Some(text.to_owned()),
        ([], Kind::Json) => match serde_json::from_str::<Value>(text) {
            Ok(Value::Array(batch)) if batch.len() > 1 => return Err(Refusal::GraphqlBatch(batch.len())),
            Ok(Value::Array(batch)) => batch.first().and_then(document_of),
            Ok(value) => document_of(&value),
            Err(_) => None,
        },
        _ => None,
    };
    let operations = document.filter(|_| reading.parsed).and_then(|document| graphql::operations(&document));
    Ok(match operations {
        Some(operations) if operations.only_queries() => Graphql::Queries,
        Some(_) => Graphql::Changes,
        None => Graphql::Unclear,
    })
}

fn document_of(request: &Value) -> Option<String> {
    Some(request.get("query")?.as_str()?.to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announced {
    Json,
    JsonLines,
    Form,
    Graphql,
    Text,
    Nothing,
    Other,
}

impl Announced {
    fn of(media: Option<&str>) -> Self {
        match media {
            None => Self::Nothing,
            Some(media) if media.ends_with("/json") || media.ends_with("+json") => Self::Json,
            Some(
                "application/x-ndjson"
                | "application/ndjson"
                | "application/jsonl"
                | "application/x-jsonlines",
            ) => Self::JsonLines,
            Some("application/x-www-form-urlencoded") => Self::Form,
            Some("application/graphql") => Self::Graphql,
            Some("application/xml" | "application/yaml" | "application/toml") => Self::Text,
            Some(media)
                if media.starts_with("text/") || media.ends_with("+xml") || media.ends_with("+yaml") =>
            {
                Self::Text
            }
            Some(_) => Self::Other,
        }
    }
}

impl Reading {
    fn json(&mut self, checked: Result<(), JsonProblem>) {
        self.kind = Kind::Json;
        self.parsed = checked.is_ok();
        self.json_problem = match checked {
            Ok(()) | Err(JsonProblem::Alike) => None,
            Err(problem @ (JsonProblem::Twice(_) | JsonProblem::Syntax(_))) => Some(problem.to_string()),
        };
    }

    fn form(&mut self, text: &str) {
        self.kind = Kind::Form;
        let Ok(form) = Query::read(text.as_bytes()) else { return };
        self.parsed = true;
        let field = form.pairs().iter().map(|(name, _)| name).find(|name| changes_the_method(name));
        self.method_override = self.method_override.take().or_else(|| field.cloned());
    }

    /// Text that is not announced as JSON may be read as JSON all the same.
    fn by_looks(&mut self, text: &str, announced: Announced) {
        let is_text = announced == Announced::Text;
        let looks = text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']);
        self.kind = if is_text { Kind::Text } else { Kind::Opaque };
        self.parsed = is_text;
        if !looks {
            return;
        }
        match check_json(text) {
            Ok(()) => {
                self.parsed = true;
                self.kind = Kind::Json;
            }
            Err(JsonProblem::Twice(_) | JsonProblem::Alike) => self.parsed = false,
            Err(JsonProblem::Syntax(_)) => {}
        }
    }
}

/// The media type, and its charset, both in small letters.
fn media_type(value: &str) -> (Option<String>, Option<String>) {
    let mut parts = value.split(';').map(str::trim);
    let media = parts.next().filter(|media| !media.is_empty()).map(str::to_ascii_lowercase);
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    (media, charset)
}

/// Walks JSON for its keys.
#[derive(Clone, Copy)]
struct Keys<'c> {
    twice: &'c Cell<bool>,
    alike: &'c Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = std::collections::HashSet::new();
        let mut folded = std::collections::HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if !folded.insert(key.to_lowercase()) {
                self.alike.set(true);
            }
            if seen.contains(&key) {
                self.twice.set(true);
                let key: String = key.chars().take(80).collect();
                return Err(A::Error::custom(format_args!("the key `{key}` stands twice")));
            }
            seen.insert(key);
            entries.next_value_seed(self)?;
        }
        Ok(())
    }
}
