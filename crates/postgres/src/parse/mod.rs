//! The messages of PostgreSQL's protocol 3, read strictly and written back. Pure: no sockets, no clock.
//!
//! Source: PostgreSQL's manual, "Frontend/Backend Protocol", message formats, for 3.0 and 3.2. What is not read to its
//! last byte is refused; what goes on is written from what was read.

pub mod startup;
pub mod frontend;
pub mod backend;
pub mod statement;

use bytes::{Buf, BufMut, Bytes, BytesMut};

pub use backend::{Authentication, Backend, Status};
pub use frontend::{Bind, Frontend, Parse, Target};
pub use startup::{Opening, Version};

/// The most that a client's message may hold, in bytes, without tag and length. PostgreSQL itself takes a gigabyte.
pub const FRONTEND_LIMIT_BYTES: usize = 16 << 20;
/// The most that a server's message may hold that has to be read whole, in bytes. Rows and copied data are passed on
/// in pieces, and have no limit but the protocol's.
pub const BACKEND_LIMIT_BYTES: usize = 1 << 20;
/// The length of what stands before every message after the first: a tag and a length, in bytes.
pub const HEAD_BYTES: usize = 5;
/// The length field counts itself, in bytes.
const LENGTH_BYTES: usize = 4;

/// Why bytes are no message that we take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A message that the protocol does not have, or not at this place.
    #[error("message type 0x{0:02x} is not known here")]
    Unknown(u8),
    /// A length that cannot be, or is over the limit.
    #[error("a message of type 0x{tag:02x} has a length of {length} bytes")]
    Length {
        /// The message's type.
        tag: u8,
        /// What its length field says.
        length: u32,
    },
    /// The message ends before what it has to hold.
    #[error("a message ends too early")]
    Short,
    /// The message goes on after what it may hold.
    #[error("a message holds more than it should")]
    Long,
    /// Text that is no UTF-8: the only encoding that is taken.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A number that stands for nothing.
    #[error("{0} has the value {1}, which means nothing")]
    Value(&'static str, i64),
    /// Counts within one message that do not fit each other.
    #[error("{0} does not fit the number of values")]
    Count(&'static str),
}

/// What stands before a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The message's type.
    pub tag: u8,
    /// The length of its body, in bytes.
    pub body: usize,
}

impl Head {
    /// Reads the head that `bytes` begin with; nothing while it is not all there.
    ///
    /// # Errors
    /// A length below its own four bytes.
    pub fn read(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
        let Some((head, _)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let [tag, length @ ..] = *head;
        let length = u32::from_be_bytes(length);
        let body = usize::try_from(length).ok().and_then(|length| length.checked_sub(LENGTH_BYTES));
        // The protocol's lengths are signed.
        match body.filter(|_| i32::try_from(length).is_ok()) {
            Some(body) => Ok(Some(Head { tag, body })),
            None => Err(Malformed::Length { tag, length }),
        }
    }

    /// The same, refused when the body is longer than `limit` bytes.
    ///
    /// # Errors
    /// [`Malformed::Length`].
    pub fn within(self, limit: usize) -> Result<Head, Malformed> {
        if self.body <= limit {
            return Ok(self);
        }
        Err(Malformed::Length { tag: self.tag, length: u32::try_from(self.body).unwrap_or(u32::MAX) })
    }
}

/// Text of the client's: UTF-8 without a zero byte. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(Bytes);

impl Text {
    /// Checks bytes.
    ///
    /// # Errors
    /// [`Malformed::NotUtf8`], also for a zero byte.
    pub fn read(bytes: Bytes) -> Result<Text, Malformed> {
        match std::str::from_utf8(&bytes) {
            Ok(_) if memchr::memchr(0, &bytes).is_none() => Ok(Text(bytes)),
            Ok(_) | Err(_) => Err(Malformed::NotUtf8),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Checked when it was made.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same in memory of its own: what is kept does not keep the whole message with it.
    #[must_use]
    pub fn detached(&self) -> Text {
        Text(Bytes::copy_from_slice(&self.0))
    }

    /// Whether nothing stands there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

impl TryFrom<String> for Text {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Text, Malformed> {
        Text::read(Bytes::from(text))
    }
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// As people write it.
    Text,
    /// As the type's send function writes it.
    Binary,
}

/// A message's body, taken from its front.
pub(crate) struct Reader(Bytes);

impl Reader {
    pub(crate) fn new(body: Bytes) -> Reader {
        Reader(body)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.0.try_get_u8().map_err(|_| Malformed::Short)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.0.try_get_u16().map_err(|_| Malformed::Short)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.0.try_get_u32().map_err(|_| Malformed::Short)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.0.len() {
            return Err(Malformed::Short);
        }
        Ok(self.0.split_to(length))
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> Bytes {
        self.0
    }

    /// Bytes up to a zero byte, which is dropped.
    pub(crate) fn string(&mut self) -> Result<Bytes, Malformed> {
        let end = memchr::memchr(0, &self.0).ok_or(Malformed::Short)?;
        let bytes = self.0.split_to(end);
        self.0.advance(1);
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> Result<Text, Malformed> {
        Text::read(self.string()?)
    }

    /// As many as `count`, which came from outside: nothing is set aside for what is not there.
    pub(crate) fn many<T>(
        &mut self,
        count: u16,
        one: impl Fn(&mut Reader) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(one(self)?);
        }
        Ok(all)
    }

    pub(crate) fn format(&mut self) -> Result<Format, Malformed> {
        match self.u16()? {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(Malformed::Value("a format code", other.into())),
        }
    }

    /// A value with its length before it; minus one stands for NULL.
    pub(crate) fn value(&mut self) -> Result<Option<Bytes>, Malformed> {
        match self.u32()? {
            u32::MAX => Ok(None),
            length => self.bytes(usize::try_from(length).map_err(|_| Malformed::Short)?).map(Some),
        }
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed::Long) }
    }
}

/// Writes one message: its tag, its length, and what `body` writes.
///
/// A body never comes near the length field's two gigabytes: all that is written was read within a limit, or made here.
pub(crate) fn write(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    write_untagged(out, body);
}

/// The same for the messages before the first answer, which have no tag.
pub(crate) fn write_untagged(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u32(0);
    body(out);
    let length = u32::try_from(out.len() - at).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(at..at + LENGTH_BYTES) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

pub(crate) fn put_string(out: &mut BytesMut, bytes: &[u8]) {
    out.put_slice(bytes);
    out.put_u8(0);
}

pub(crate) fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
}

pub(crate) fn put_formats(out: &mut BytesMut, formats: &[Format]) {
    put_count(out, formats.len());
    for format in formats {
        put_format(out, *format);
    }
}

pub(crate) fn put_format(out: &mut BytesMut, format: Format) {
    out.put_u16(match format {
        Format::Text => 0,
        Format::Binary => 1,
    });
}

pub(crate) fn put_value(out: &mut BytesMut, value: Option<&Bytes>) {
    match value {
        None => out.put_u32(u32::MAX),
        Some(value) => {
            out.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
            out.put_slice(value);
        }
    }
}
