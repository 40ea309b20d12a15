//! What a server says. Names and words are bytes: a server may hold them in an encoding of its own until ours is set.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Format, Malformed, Reader, put_count, put_format, put_formats, put_string, put_value, write};

/// A server's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// A step of the authentication.
    Authentication(Authentication),
    /// What a cancel request has to hold.
    BackendKeyData {
        /// The server's process.
        process: u32,
        /// The secret: 4 bytes in 3.0, up to 256 in 3.2.
        secret: Bytes,
    },
    /// A setting that clients have to know.
    ParameterStatus {
        /// Which.
        name: Bytes,
        /// What it is from now on.
        value: Bytes,
    },
    /// The server takes the next run of messages.
    ReadyForQuery(Status),
    /// An error, or the end of the connection.
    ErrorResponse(Fields),
    /// A warning or a notice.
    NoticeResponse(Fields),
    /// Somebody called NOTIFY.
    Notification {
        /// The process that did.
        process: u32,
        /// On which channel.
        channel: Bytes,
        /// With which words.
        payload: Bytes,
    },
    /// A statement was prepared.
    ParseComplete,
    /// A portal was made.
    BindComplete,
    /// A statement or portal is gone.
    CloseComplete,
    /// The types of a statement's parameters by OID.
    ParameterDescription(Vec<u32>),
    /// The columns that are to come.
    RowDescription(Vec<Column>),
    /// Nothing is to come.
    NoData,
    /// A row; nothing is NULL.
    DataRow(Vec<Option<Bytes>>),
    /// A statement has run; its tag.
    CommandComplete(Bytes),
    /// There was no statement in the text.
    EmptyQueryResponse,
    /// The portal has more rows than were asked for.
    PortalSuspended,
    /// The server waits for data.
    CopyIn(CopyFormat),
    /// The server begins to send data.
    CopyOut(CopyFormat),
    /// Data of a COPY.
    CopyData(Bytes),
    /// All data of a COPY was sent.
    CopyDone,
    /// The server does not know what the client asked for.
    NegotiateProtocolVersion {
        /// The newest version that it has: 3 in the upper half, the minor part in the lower.
        version: u32,
        /// The options that it does not know.
        unknown: Vec<Bytes>,
    },
}

/// A step of the authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// The client is let in.
    Ok,
    /// The password as it is.
    Cleartext,
    /// The password hashed with MD5 and this salt.
    Md5([u8; 4]),
    /// One of these SASL mechanisms.
    Sasl(Vec<Bytes>),
    /// SASL goes on.
    SaslContinue(Bytes),
    /// SASL's last words.
    SaslFinal(Bytes),
    /// A method that we do not have (Kerberos, GSSAPI, SSPI), by its number.
    Other(u32),
}

/// Whether a transaction is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// None.
    Idle,
    /// One.
    Open,
    /// One that failed, and waits for its end.
    Failed,
}

/// The fields of an error or notice, each with its letter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields(pub Vec<(u8, Bytes)>);

/// A column of what is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: Bytes,
    /// Its table by OID, or 0.
    pub table: u32,
    /// Its number within the table, or 0.
    pub attribute: u16,
    /// Its type by OID.
    pub type_id: u32,
    /// Its type's size in bytes; negative for a size that varies. As the server writes it.
    pub size: u16,
    /// Its type's modifier.
    pub modifier: u32,
    /// How its values are written.
    pub format: Format,
}

/// How a COPY writes its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFormat {
    /// All over.
    pub overall: Format,
    /// Each column.
    pub columns: Vec<Format>,
}

impl Backend {
    /// Reads a message's body.
    ///
    /// # Errors
    /// Every way in which it is not exactly one message of this type. Messages of replication and function calls
    /// are unknown here.
    pub fn read(tag: u8, body: Bytes) -> Result<Backend, Malformed> {
        let mut reader = Reader::new(body);
        let message = match tag {
            b'R' => return authentication(reader).map(Backend::Authentication),
            b'K' => return Ok(Backend::BackendKeyData { process: reader.u32()?, secret: reader.rest() }),
            b'S' => Backend::ParameterStatus { name: reader.string()?, value: reader.string()? },
            b'Z' => Backend::ReadyForQuery(Status::read(reader.u8()?)?),
            b'E' => Backend::ErrorResponse(fields(&mut reader)?),
            b'N' => Backend::NoticeResponse(fields(&mut reader)?),
            b'A' => Backend::Notification {
                process: reader.u32()?,
                channel: reader.string()?,
                payload: reader.string()?,
            },
            b'1' => Backend::ParseComplete,
            b'2' => Backend::BindComplete,
            b'3' => Backend::CloseComplete,
            b't' => {
                let count = reader.u16()?;
                Backend::ParameterDescription(reader.many(count, Reader::u32)?)
            }
            b'T' => {
                let count = reader.u16()?;
                Backend::RowDescription(reader.many(count, column)?)
            }
            b'n' => Backend::NoData,
            b'D' => {
                let count = reader.u16()?;
                Backend::DataRow(reader.many(count, Reader::value)?)
            }
            b'C' => Backend::CommandComplete(reader.string()?),
            b'I' => Backend::EmptyQueryResponse,
            b's' => Backend::PortalSuspended,
            b'G' => Backend::CopyIn(copy_format(&mut reader)?),
            b'H' => Backend::CopyOut(copy_format(&mut reader)?),
            b'd' => return Ok(Backend::CopyData(reader.rest())),
            b'c' => Backend::CopyDone,
            b'v' => negotiate(&mut reader)?,
            other => return Err(Malformed::Unknown(other)),
        };
        reader.end()?;
        Ok(message)
    }

    /// Writes the message.
    pub fn write(&self, out: &mut BytesMut) {
        match self {
            Backend::Authentication(step) => write(out, b'R', |out| step.put(out)),
            Backend::BackendKeyData { process, secret } => write(out, b'K', |out| {
                out.put_u32(*process);
                out.put_slice(secret);
            }),
            Backend::ParameterStatus { name, value } => write(out, b'S', |out| {
                put_string(out, name);
                put_string(out, value);
            }),
            Backend::ReadyForQuery(status) => write(out, b'Z', |out| out.put_u8(status.letter())),
            Backend::ErrorResponse(fields) => write(out, b'E', |out| fields.put(out)),
            Backend::NoticeResponse(fields) => write(out, b'N', |out| fields.put(out)),
            Backend::Notification { process, channel, payload } => write(out, b'A', |out| {
                out.put_u32(*process);
                put_string(out, channel);
                put_string(out, payload);
            }),
            Backend::ParseComplete => write(out, b'1', |_| ()),
            Backend::BindComplete => write(out, b'2', |_| ()),
            Backend::CloseComplete => write(out, b'3', |_| ()),
            Backend::ParameterDescription(types) => write(out, b't', |out| {
                put_count(out, types.len());
                types.iter().for_each(|oid| out.put_u32(*oid));
            }),
            Backend::RowDescription(columns) => write(out, b'T', |out| {
                put_count(out, columns.len());
                columns.iter().for_each(|column| column.put(out));
            }),
            Backend::NoData => write(out, b'n', |_| ()),
            Backend::DataRow(values) => write(out, b'D', |out| {
                put_count(out, values.len());
                values.iter().for_each(|value| put_value(out, value.as_ref()));
            }),
            Backend::CommandComplete(tag) => write(out, b'C', |out| put_string(out, tag)),
            Backend::EmptyQueryResponse => write(out, b'I', |_| ()),
            Backend::PortalSuspended => write(out, b's', |_| ()),
            Backend::CopyIn(format) => write(out, b'G', |out| format.put(out)),
            Backend::CopyOut(format) => write(out, b'H', |out| format.put(out)),
            Backend::CopyData(data) => write(out, b'd', |out| out.put_slice(data)),
            Backend::CopyDone => write(out, b'c', |_| ()),
            Backend::NegotiateProtocolVersion { version, unknown } => write(out, b'v', |out| {
                out.put_u32(*version);
                out.put_u32(u32::try_from(unknown.len()).unwrap_or(u32::MAX));
                unknown.iter().for_each(|name| put_string(out, name));
            }),
        }
    }
}

impl Authentication {
    fn put(&self, out: &mut BytesMut) {
        match self {
            Authentication::Ok => out.put_u32(0),
            Authentication::Cleartext => out.put_u32(3),
            Authentication::Md5(salt) => {
                out.put_u32(5);
                out.put_slice(salt);
            }
            Authentication::Sasl(mechanisms) => {
                out.put_u32(10);
                mechanisms.iter().for_each(|name| put_string(out, name));
                out.put_u8(0);
            }
            Authentication::SaslContinue(data) => {
                out.put_u32(11);
                out.put_slice(data);
            }
            Authentication::SaslFinal(data) => {
                out.put_u32(12);
                out.put_slice(data);
            }
            Authentication::Other(number) => out.put_u32(*number),
        }
    }
}

impl Status {
    fn read(letter: u8) -> Result<Status, Malformed> {
        match letter {
            b'I' => Ok(Status::Idle),
            b'T' => Ok(Status::Open),
            b'E' => Ok(Status::Failed),
            other => Err(Malformed::Value("a transaction's status", other.into())),
        }
    }

    fn letter(self) -> u8 {
        match self {
            Status::Idle => b'I',
            Status::Open => b'T',
            Status::Failed => b'E',
        }
    }
}

impl Fields {
    /// The first field with this letter.
    #[must_use]
    pub fn get(&self, letter: u8) -> Option<&Bytes> {
        self.0.iter().find(|(name, _)| *name == letter).map(|(_, value)| value)
    }

    fn put(&self, out: &mut BytesMut) {
        for (letter, value) in &self.0 {
            out.put_u8(*letter);
            put_string(out, value);
        }
        out.put_u8(0);
    }
}

impl Column {
    fn put(&self, out: &mut BytesMut) {
        put_string(out, &self.name);
        out.put_u32(self.table);
        out.put_u16(self.attribute);
        out.put_u32(self.type_id);
        out.put_u16(self.size);
        out.put_u32(self.modifier);
        put_format(out, self.format);
    }
}

impl CopyFormat {
    fn put(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(self.overall == Format::Binary));
        put_formats(out, &self.columns);
    }
}

fn authentication(mut reader: Reader) -> Result<Authentication, Malformed> {
    let step = match reader.u32()? {
        0 => Authentication::Ok,
        3 => Authentication::Cleartext,
        5 => Authentication::Md5([reader.u8()?, reader.u8()?, reader.u8()?, reader.u8()?]),
        10 => {
            let mut mechanisms = Vec::new();
            loop {
                let name = reader.string()?;
                if name.is_empty() {
                    break;
                }
                mechanisms.push(name);
            }
            Authentication::Sasl(mechanisms)
        }
        11 => return Ok(Authentication::SaslContinue(reader.rest())),
        12 => return Ok(Authentication::SaslFinal(reader.rest())),
        other => return Ok(Authentication::Other(other)),
    };
    reader.end()?;
    Ok(step)
}

fn fields(reader: &mut Reader) -> Result<Fields, Malformed> {
    let mut fields = Vec::new();
    loop {
        match reader.u8()? {
            0 => return Ok(Fields(fields)),
            letter => fields.push((letter, reader.string()?)),
        }
    }
}

fn column(reader: &mut Reader) -> Result<Column, Malformed> {
    Ok(Column {
        name: reader.string()?,
        table: reader.u32()?,
        attribute: reader.u16()?,
        type_id: reader.u32()?,
        size: reader.u16()?,
        modifier: reader.u32()?,
        format: reader.format()?,
    })
}

fn copy_format(reader: &mut Reader) -> Result<CopyFormat, Malformed> {
    let overall = match reader.u8()? {
        0 => Format::Text,
        1 => Format::Binary,
        other => return Err(Malformed::Value("a format code", other.into())),
    };
    let count = reader.u16()?;
    Ok(CopyFormat { overall, columns: reader.many(count, Reader::format)? })
}

fn negotiate(reader: &mut Reader) -> Result<Backend, Malformed> {
    let (version, count) = (reader.u32()?, reader.u32()?);
    let count = u16::try_from(count).map_err(|_| Malformed::Count("the number of options"))?;
    Ok(Backend::NegotiateProtocolVersion { version, unknown: reader.many(count, Reader::string)? })
}
