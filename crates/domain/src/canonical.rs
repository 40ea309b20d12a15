//! The one byte form: RFC 8785 canonical JSON out, strict JSON in.
//!
//! Bytes are produced once and then stored, hashed and signed as they are; nothing canonicalizes
//! again to verify. The reader refuses whatever two readers could read differently: duplicate keys,
//! numbers that are no integers within ±2^53, bad UTF-8, trailing bytes.

use std::fmt;

use serde::Serialize;
use serde::de::{
    Deserialize as _, DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess,
    Visitor,
};
use serde_json::{Map, Number, Value};

use crate::Malformed;

/// The largest integer that every JSON reader keeps exactly: 2^53.
pub const INTEGER_LIMIT: u64 = 1 << 53;

/// The largest record that we read, in bytes. An action's payload is not in its record.
pub const RECORD_LIMIT_BYTES: usize = 4 << 20;

/// The canonical bytes of a record (RFC 8785). What is written here, [`read`] reads.
///
/// # Errors
/// A value that canonical JSON cannot hold, an integer beyond ±2^53 (RFC 8785 would round it, so that two facts
/// had one digest), and [`Malformed::TooLarge`] over [`RECORD_LIMIT_BYTES`]. Of our own record types only facts, counts
/// and texts from outside can be so large; callers treat this as a refusal and never as a reason to go on.
pub fn write<T: Serialize>(record: &T) -> Result<Vec<u8>, Malformed> {
    let value = serde_json::to_value(record).map_err(|error| Malformed::Json(error.to_string()))?;
    exact(&value)?;
    let bytes =
        serde_json_canonicalizer::to_vec(&value).map_err(|error| Malformed::Json(error.to_string()))?;
    if bytes.len() > RECORD_LIMIT_BYTES {
        return Err(too_large(bytes.len()));
    }
    Ok(bytes)
}

/// Refuses numbers that a reader would refuse, before they are rounded to ones that it would not.
fn exact(value: &Value) -> Result<(), Malformed> {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(n), _) if n <= INTEGER_LIMIT => Ok(()),
            (None, Some(n)) if n.unsigned_abs() <= INTEGER_LIMIT => Ok(()),
            _ => Err(Malformed::Json(format!("the number `{number}` is not an integer within 2^53"))),
        },
        Value::Array(items) => items.iter().try_for_each(exact),
        Value::Object(members) => members.values().try_for_each(exact),
    }
}

fn too_large(actual: usize) -> Malformed {
    Malformed::TooLarge { what: "the record", actual, limit: RECORD_LIMIT_BYTES, unit: "bytes" }
}

/// Reads the version of a record of which there is only the first.
pub(crate) fn version_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        1 => Ok(1),
        other => Err(D::Error::custom(format_args!("the record is of version {other}; 1 is expected"))),
    }
}

/// Reads a member that stands only where it is true: written as false it would be a second spelling of its absence.
pub(crate) fn only_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match bool::deserialize(deserializer)? {
        true => Ok(true),
        false => Err(D::Error::custom("a member that is false is left out")),
    }
}

/// Whether a member that stands only where it is true is left out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `skip_serializing_if` hands in a reference")]
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

/// Reads a record strictly.
///
/// # Errors
/// [`Malformed::Json`] for anything that is not strict JSON or not of the record's shape, and
/// [`Malformed::TooLarge`] over [`RECORD_LIMIT_BYTES`].
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    let value = read_value(bytes)?;
    serde_json::from_value(value).map_err(|error| Malformed::Json(error.to_string()))
}

/// Reads a record that stands as it would be written, but for the order of members, white space, the case of letters
/// in ids, and members that are null and left out. A type's reader takes more than that: a list for an object, an
/// object for a word, an id in another spelling. Whoever reads evidence takes none of it, since another reader would not.
///
/// # Errors
/// As [`read`].
pub fn read_exact<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, Malformed> {
    let value = read_value(bytes)?;
    let record = T::deserialize(&value).map_err(|error| Malformed::Json(error.to_string()))?;
    let written = serde_json::to_value(&record).map_err(|error| Malformed::Json(error.to_string()))?;
    if same_shape(&value, &written) {
        Ok(record)
    } else {
        Err(Malformed::Json("the record has another shape than its only one".to_owned()))
    }
}

/// Whether a record was read from what it is written as.
fn same_shape(read: &Value, written: &Value) -> bool {
    match (read, written) {
        (Value::Object(read), Value::Object(written)) => {
            let told = |(name, value): (&String, &Value)| match written.get(name) {
                Some(own) => same_shape(value, own),
                None => value.is_null(),
            };
            let left_out = |(name, value): (&String, &Value)| read.contains_key(name) || value.is_null();
            read.iter().all(told) && written.iter().all(left_out)
        }
        (Value::Array(read), Value::Array(written)) => {
            read.len() == written.len()
                && read.iter().zip(written).all(|(read, written)| same_shape(read, written))
        }
        (Value::String(read), Value::String(written)) => read.eq_ignore_ascii_case(written),
        (read, written) => read == written,
    }
}

/// Reads a record from an object alone, where its own reader would take a list of its members too.
pub(crate) fn object<'de, D: Deserializer<'de>, T: serde::Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Members<T>(std::marker::PhantomData<T>);
    impl<'de, T: serde::Deserialize<'de>> Visitor<'de> for Members<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::deserialize(serde::de::value::MapAccessDeserializer::new(members))
        }
    }
    deserializer.deserialize_map(Members(std::marker::PhantomData))
}

/// Reads a word of a list of words from text alone, where its own reader would take an object around it too.
pub(crate) fn word<'de, D: Deserializer<'de>, T: serde::Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Word<T>(std::marker::PhantomData<T>);
    impl<'de, T: serde::Deserialize<'de>> Visitor<'de> for Word<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a word")
        }
        fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<T, E> {
            T::deserialize(serde::de::value::StrDeserializer::new(word))
        }
    }
    deserializer.deserialize_str(Word(std::marker::PhantomData))
}

/// Reads any strict JSON value.
///
/// # Errors
/// As [`read`].
pub fn read_value(bytes: &[u8]) -> Result<Value, Malformed> {
    if bytes.len() > RECORD_LIMIT_BYTES {
        return Err(too_large(bytes.len()));
    }
    parse(bytes, Numbers::Integers).map_err(Malformed::Json)
}

/// Reads JSON that others define: its numbers are of any kind, and a key that stands twice is refused as in ours. The
/// caller limits its length.
///
/// # Errors
/// In words: what is no JSON, a key that stands twice, anything behind it.
pub fn read_foreign(bytes: &[u8]) -> Result<Value, String> {
    parse(bytes, Numbers::Any)
}

fn parse(bytes: &[u8], numbers: Numbers) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = numbers.deserialize(&mut reader).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// Which numbers a reader takes; all else is the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// Integers within [`INTEGER_LIMIT`], which every reader keeps exactly.
    Integers,
    /// Whatever JSON can hold.
    Any,
}

impl<'de> DeserializeSeed<'de> for Numbers {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Numbers {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integers => "strict JSON",
            Self::Any => "JSON",
        })
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        if self == Self::Integers && value > INTEGER_LIMIT {
            return Err(E::custom(format_args!("the integer `{value}` is beyond 2^53")));
        }
        Ok(Value::Number(Number::from(value)))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if self == Self::Integers && value.unsigned_abs() > INTEGER_LIMIT {
            return Err(E::custom(format_args!("the integer `{value}` is beyond 2^53")));
        }
        Ok(Value::Number(Number::from(value)))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        match self {
            Self::Integers => Err(E::custom(format_args!("the number `{value}` is not an integer"))),
            Self::Any => Number::from_f64(value)
                .map(Value::Number)
                .ok_or_else(|| E::custom("a number is beyond every limit")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self)?;
            if map.insert(key.clone(), value).is_some() {
                return Err(A::Error::custom(format_args!("the key `{key}` stands twice")));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_others_define_has_numbers_of_any_kind_and_no_key_twice() {
        let value = read_foreign(br#"{"a":1.5,"b":1e2,"c":18446744073709551615,"d":[-9223372036854775808]}"#);
        let expected = serde_json::json!({ "a": 1.5, "b": 100.0, "c": u64::MAX, "d": [i64::MIN] });
        assert_eq!(value, Ok(expected));
        for (text, word) in [
            (r#"{"a":{"b":1,"b":1}}"#, "twice"),
            (r#"{"a":1} x"#, "trailing"),
            (r#"{"a":1e999}"#, "out of range"),
            ("{\"a\":\"\\ud800\"}", "hex escape"),
        ] {
            let why = read_foreign(text.as_bytes()).unwrap_err();
            assert!(why.contains(word), "{text}: {why}");
        }
    }

    #[test]
    fn what_two_readers_would_read_differently_is_refused() {
        for (text, word) in [
            (r#"{"a":1,"a":2}"#, "twice"),
            (r#"{"a":{"b":1,"b":1}}"#, "twice"),
            (r#"{"a":9007199254740993}"#, "2^53"),
            (r#"{"a":-9007199254740993}"#, "2^53"),
            (r#"{"a":1.5}"#, "not an integer"),
            (r#"{"a":1e2}"#, "not an integer"),
            (r#"{"a":1} x"#, "trailing"),
            ("{\"a\":\"\\ud800\"}", "hex escape"),
            ("{\"a\":\"\\ud800\\u0041\"}", "surrogate"),
        ] {
            let error = read_value(text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!(read_value(b"\"\xff\"").is_err());
        assert!(read_value(&b"[".repeat(5_000)).is_err(), "depth is bounded");
    }

    #[test]
    fn what_a_type_would_read_in_two_ways_is_read_in_one() {
        use crate::commitment::Disclosure;
        use crate::entry::Leaf;
        use crate::event::Event;
        let id = "0190abcd-0000-7000-8000-00000000000a";
        let event = format!(r#"{{"type":"withdrawn","question":"{id}","by":"{id}"}}"#);
        assert!(read_exact::<Event>(event.as_bytes()).is_ok());
        assert!(
            read_exact::<Event>(event.replace("a\"", "A\"").as_bytes()).is_ok(),
            "letters of either case"
        );
        for (other, why) in [
            (format!(r#"["withdrawn","{id}","{id}"]"#), "a list for an object"),
            (event.replace(id, &id.replace('-', "")), "an id without hyphens"),
            (event.replace(id, &format!("urn:uuid:{id}")), "an id with a prefix"),
            (event.replace(id, &format!("{{{id}}}")), "an id in braces"),
        ] {
            assert!(read::<Event>(other.as_bytes()).is_ok(), "{why}: what this test is about");
            assert!(read_exact::<Event>(other.as_bytes()).is_err(), "{why}");
        }
        let none = "A".repeat(43);
        let leaf = format!(
            r#"{{"v":1,"origin":"a","kind":"heartbeat/1","time":1,"subject":null,"count":0,"fields":"{none}"}}"#
        );
        let kept = leaf.replace(r#""subject":null,"#, "");
        for leaf in [&leaf, &kept] {
            assert!(read_exact::<Leaf>(leaf.as_bytes()).is_ok());
        }
        let boxed = leaf.replace(r#""heartbeat/1""#, r#"{"heartbeat/1":null}"#);
        assert!(read::<Leaf>(boxed.as_bytes()).is_err(), "an object for a word");
        for field in [r#"{"path":"p","salt":"","value":""}"#, r#"["p","","" ]"#] {
            let open = format!(r#"{{"open":{field}}}"#);
            assert_eq!(read::<Disclosure>(open.as_bytes()).is_ok(), field.starts_with('{'), "{field}");
        }
    }

    #[test]
    fn keys_are_sorted_as_rfc_8785_sorts_them() {
        // RFC 8785 section 3.2.3: by UTF-16 code units.
        let value =
            read_value("{\"\u{20ac}\":1,\"\\r\":2,\"\u{1F600}\":3,\"1\":4,\"\u{fb33}\":5}".as_bytes());
        let bytes = write(&value.unwrap()).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "{\"\\r\":2,\"1\":4,\"\u{20ac}\":1,\"\u{1F600}\":3,\"\u{fb33}\":5}"
        );
    }

    #[test]
    fn no_number_is_written_that_would_be_rounded() {
        for honest in [0, 1, -1, 1 << 53, -(1 << 53)] {
            let bytes = write(&honest).unwrap();
            assert_eq!(read::<i64>(&bytes).unwrap(), honest);
        }
        for rounded in [(1 << 53) + 1, -(1 << 53) - 1, i64::MAX, i64::MIN] {
            assert!(write(&serde_json::json!({ "rows": [rounded] })).is_err(), "{rounded}");
        }
        assert!(write(&u64::MAX).is_err());
        assert!(write(&1.0).is_err());
        assert!(
            write(&"\u{1}".repeat(RECORD_LIMIT_BYTES / 6 + 1)).is_err(),
            "what is too large to be read is not written"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_value(&bytes);
        }

        #[test]
        fn canonical_bytes_read_back_to_themselves(text in "[\\x00-\\u{10ffff}]{0,40}", n in 0..INTEGER_LIMIT) {
            let value = serde_json::json!({ "t": text, "n": n, "l": [null, true, {}] });
            let bytes = write(&value).unwrap();
            prop_assert_eq!(&write(&read_value(&bytes).unwrap()).unwrap(), &bytes);
        }
    }
}
