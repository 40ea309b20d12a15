//! What the browser says that it was asked: `clientDataJSON`.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::base64url;
use crate::limits::MAX_CLIENT_DATA_BYTES;
use crate::refusal::Refusal;

/// The members of `clientDataJSON` that a check reads (WebAuthn Level 3 §5.8.1). Unknown members are
/// read over, as the specification demands of us; the signature covers them all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientData {
    /// `type`: `webauthn.create` or `webauthn.get`, or whatever else was signed.
    pub kind: String,
    /// `challenge`, decoded from base64url.
    pub challenge: Vec<u8>,
    /// `origin`: the page that asked, as the browser serialises it.
    pub origin: String,
    /// `crossOrigin`: whether the page was embedded in one of another origin. Absent means `false`.
    pub cross_origin: bool,
    /// `topOrigin`: the top-level page, for embedded pages only.
    pub top_origin: Option<String>,
}

impl ClientData {
    /// Reads `clientDataJSON`, at most [`MAX_CLIENT_DATA_BYTES`] bytes. Stricter than WebAuthn Level 3
    /// §7.1 steps 5 and 6: invalid UTF-8, a byte order mark, a key named twice and a number that is no
    /// integer of 64 bits, at any depth, are refused, so that no two readers can read two meanings from bytes that one person signed.
    ///
    /// # Errors
    ///
    /// [`Refusal::ClientDataTooLong`], [`Refusal::ClientDataMalformed`],
    /// [`Refusal::ClientDataDuplicateKey`] or [`Refusal::ChallengeMalformed`].
    pub fn parse(json: &[u8]) -> Result<Self, Refusal> {
        if json.len() > MAX_CLIENT_DATA_BYTES {
            return Err(Refusal::ClientDataTooLong { bytes: json.len() });
        }
        let text = std::str::from_utf8(json).map_err(|_| malformed("it is not UTF-8"))?;
        let json: Json = serde_json::from_str(text).map_err(malformed)?;
        if let Some(key) = json.repeated_key() {
            return Err(Refusal::ClientDataDuplicateKey { key: key.to_owned() });
        }
        let Json::Object(members) = json else {
            return Err(malformed("it is not an object"));
        };

        let mut kind = None;
        let mut challenge = None;
        let mut origin = None;
        let mut cross_origin = false;
        let mut top_origin = None;
        for (key, value) in members {
            match key.as_str() {
                "type" => kind = Some(value.into_text("type")?),
                "challenge" => challenge = Some(value.into_text("challenge")?),
                "origin" => origin = Some(value.into_text("origin")?),
                "crossOrigin" => cross_origin = value.into_bool("crossOrigin")?,
                "topOrigin" => top_origin = Some(value.into_text("topOrigin")?),
                _ => {}
            }
        }
        let challenge = challenge.ok_or_else(|| malformed("`challenge` is missing"))?;
        Ok(Self {
            kind: kind.ok_or_else(|| malformed("`type` is missing"))?,
            challenge: base64url::decode(&challenge).ok_or(Refusal::ChallengeMalformed)?,
            origin: origin.ok_or_else(|| malformed("`origin` is missing"))?,
            cross_origin,
            top_origin,
        })
    }
}

fn malformed(reason: impl fmt::Display) -> Refusal {
    Refusal::ClientDataMalformed { reason: reason.to_string() }
}

/// Just enough of a JSON value: an object keeps its members in order, so that a repeated key is seen
/// (`serde_json::Value` keeps the last without a word). `serde_json` bounds the depth at 128.
enum Json {
    Text(String),
    Bool(bool),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
    /// `null` or a number, which no member that we read may be.
    Other,
}

impl Json {
    /// A key that one object in this value names twice.
    fn repeated_key(&self) -> Option<&str> {
        match self {
            Self::Object(members) => {
                let mut seen = BTreeSet::new();
                members.iter().find_map(|(key, value)| {
                    if seen.insert(key) { value.repeated_key() } else { Some(key.as_str()) }
                })
            }
            Self::Array(items) => items.iter().find_map(Self::repeated_key),
            Self::Text(_) | Self::Bool(_) | Self::Other => None,
        }
    }

    fn into_text(self, key: &str) -> Result<String, Refusal> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Bool(_) | Self::Array(_) | Self::Object(_) | Self::Other => {
                Err(malformed(format_args!("`{key}` is not a string")))
            }
        }
    }

    fn into_bool(self, key: &str) -> Result<bool, Refusal> {
        match self {
            Self::Bool(value) => Ok(value),
            Self::Text(_) | Self::Array(_) | Self::Object(_) | Self::Other => {
                Err(malformed(format_args!("`{key}` is not true or false")))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    /// Where one reader finds infinity and another none, two would read two meanings.
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Json, E> {
        Err(E::custom("a number that is no integer of 64 bits"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}
