//! What a client says once it is let in.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Format, Malformed, Reader, Text, put_count, put_formats, put_string, put_value, write};

/// A client's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frontend {
    /// A text of any number of statements, run at once.
    Query(Text),
    /// A statement to prepare.
    Parse(Parse),
    /// Values for a prepared statement; what comes of it is a portal.
    Bind(Bind),
    /// A question about what a statement or portal takes and gives.
    Describe(Target),
    /// Runs a portal.
    Execute {
        /// Its name; empty for the unnamed.
        portal: Text,
        /// The most rows to give; 0 for all.
        max_rows: u32,
    },
    /// Lets go of a statement or portal.
    Close(Target),
    /// Asks for the answers so far.
    Flush,
    /// Ends a run of messages, and the implicit transaction with it.
    Sync,
    /// Data of a COPY.
    CopyData(Bytes),
    /// All data of a COPY was sent.
    CopyDone,
    /// The COPY is to fail, with these words.
    CopyFail(Text),
    /// Calls a function with no SQL. Never passed on; its content is not read.
    FunctionCall,
    /// The answer to a question for a credential, of any method; not understood here.
    Credential(Bytes),
    /// Goodbye.
    Terminate,
}

/// A statement to prepare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parse {
    /// Its name; empty for the unnamed.
    pub name: Text,
    /// Its text.
    pub text: Text,
    /// The types of its first parameters by their OID; 0 lets the server choose.
    pub types: Vec<u32>,
}

/// Values for a prepared statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The portal that is made; empty for the unnamed.
    pub portal: Text,
    /// The statement that is run; empty for the unnamed.
    pub statement: Text,
    /// How the values are written: none for text all over, one for all, or one each.
    pub formats: Vec<Format>,
    /// The values; nothing is NULL.
    pub values: Vec<Option<Bytes>>,
    /// How the results are to be written: none for text all over, one for all, or one each.
    pub results: Vec<Format>,
}

/// A statement or a portal, by name; empty for the unnamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A prepared statement.
    Statement(Text),
    /// A portal.
    Portal(Text),
}

impl Frontend {
    /// Reads a message's body.
    ///
    /// # Errors
    /// Every way in which it is not exactly one message of this type.
    pub fn read(tag: u8, body: Bytes) -> Result<Frontend, Malformed> {
        let mut reader = Reader::new(body);
        let message = match tag {
            b'Q' => Frontend::Query(reader.text()?),
            b'P' => {
                let (name, text, count) = (reader.text()?, reader.text()?, reader.u16()?);
                Frontend::Parse(Parse { name, text, types: reader.many(count, Reader::u32)? })
            }
            b'B' => Frontend::Bind(bind(&mut reader)?),
            b'D' => Frontend::Describe(target(&mut reader)?),
            b'E' => Frontend::Execute { portal: reader.text()?, max_rows: reader.u32()? },
            b'C' => Frontend::Close(target(&mut reader)?),
            b'H' => Frontend::Flush,
            b'S' => Frontend::Sync,
            b'd' => return Ok(Frontend::CopyData(reader.rest())),
            b'c' => Frontend::CopyDone,
            b'f' => Frontend::CopyFail(reader.text()?),
            b'F' => return Ok(Frontend::FunctionCall),
            b'p' => return Ok(Frontend::Credential(reader.rest())),
            b'X' => Frontend::Terminate,
            other => return Err(Malformed::Unknown(other)),
        };
        reader.end()?;
        Ok(message)
    }

    /// Writes the message.
    pub fn write(&self, out: &mut BytesMut) {
        match self {
            Frontend::Query(text) => write(out, b'Q', |out| put_string(out, text.as_bytes())),
            Frontend::Parse(parse) => write(out, b'P', |out| {
                put_string(out, parse.name.as_bytes());
                put_string(out, parse.text.as_bytes());
                put_count(out, parse.types.len());
                for oid in &parse.types {
                    out.put_u32(*oid);
                }
            }),
            Frontend::Bind(bind) => write(out, b'B', |out| {
                put_string(out, bind.portal.as_bytes());
                put_string(out, bind.statement.as_bytes());
                put_formats(out, &bind.formats);
                put_count(out, bind.values.len());
                for value in &bind.values {
                    put_value(out, value.as_ref());
                }
                put_formats(out, &bind.results);
            }),
            Frontend::Describe(target) => write(out, b'D', |out| put_target(out, target)),
            Frontend::Execute { portal, max_rows } => write(out, b'E', |out| {
                put_string(out, portal.as_bytes());
                out.put_u32(*max_rows);
            }),
            Frontend::Close(target) => write(out, b'C', |out| put_target(out, target)),
            Frontend::Flush => write(out, b'H', |_| ()),
            Frontend::Sync => write(out, b'S', |_| ()),
            Frontend::CopyData(data) => write(out, b'd', |out| out.put_slice(data)),
            Frontend::CopyDone => write(out, b'c', |_| ()),
            Frontend::CopyFail(why) => write(out, b'f', |out| put_string(out, why.as_bytes())),
            Frontend::FunctionCall => write(out, b'F', |_| ()),
            Frontend::Credential(bytes) => write(out, b'p', |out| out.put_slice(bytes)),
            Frontend::Terminate => write(out, b'X', |_| ()),
        }
    }
}

impl Bind {
    /// How the value at `index` is written.
    #[must_use]
    pub fn format(&self, index: usize) -> Format {
        match self.formats.as_slice() {
            [] => Format::Text,
            [all] => *all,
            each => each.get(index).copied().unwrap_or(Format::Text),
        }
    }
}

fn bind(reader: &mut Reader) -> Result<Bind, Malformed> {
    let (portal, statement) = (reader.text()?, reader.text()?);
    let count = reader.u16()?;
    let formats = reader.many(count, Reader::format)?;
    let count = reader.u16()?;
    let values = reader.many(count, Reader::value)?;
    if formats.len() > 1 && formats.len() != values.len() {
        return Err(Malformed::Count("the number of format codes"));
    }
    let count = reader.u16()?;
    Ok(Bind { portal, statement, formats, values, results: reader.many(count, Reader::format)? })
}

fn target(reader: &mut Reader) -> Result<Target, Malformed> {
    match reader.u8()? {
        b'S' => reader.text().map(Target::Statement),
        b'P' => reader.text().map(Target::Portal),
        other => Err(Malformed::Value("the kind of a target", other.into())),
    }
}

fn put_target(out: &mut BytesMut, target: &Target) {
    let (kind, name) = match target {
        Target::Statement(name) => (b'S', name),
        Target::Portal(name) => (b'P', name),
    };
    out.put_u8(kind);
    put_string(out, name.as_bytes());
}
