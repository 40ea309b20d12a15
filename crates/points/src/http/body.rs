//! What a body says, as far as we understand it. `parsed` is true only where nothing is left to another
//! reader's choice.

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
    /// A form's field that would change the method.
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
    reading
}

/// Whether a parameter of this name changes the method, in frameworks that let it.
pub(crate) fn changes_the_method(name: &str) -> bool {
    ["_method", "x-http-method-override", "x-http-method"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
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
        match Query::read(text.as_bytes()) {
            Ok(form) => {
                self.parsed = true;
                self.method_override =
                    form.pairs().iter().map(|(name, _)| name).find(|name| changes_the_method(name)).cloned();
            }
            Err(_) => {
                self.parsed = false;
                // Broken escapes hide nothing from a framework that mends them.
                self.method_override =
                    text.to_ascii_lowercase().contains("_method=").then(|| "_method".to_owned());
            }
        }
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
