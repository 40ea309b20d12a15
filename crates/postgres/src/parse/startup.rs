//! The first message of a connection, which has no tag.

use bytes::{BufMut, Bytes, BytesMut};

use super::{LENGTH_BYTES, Malformed, Reader, Text, put_string, write_untagged};

/// The longest first message, in bytes, with its length field; PostgreSQL's `MAX_STARTUP_PACKET_LENGTH`.
pub const OPENING_LIMIT_BYTES: usize = 10_000;
/// The longest secret of a cancel request, in bytes (protocol 3.2).
pub const SECRET_LIMIT_BYTES: usize = 256;
/// What a client calls options of the protocol, not of the server.
pub const OPTION_PREFIX: &str = "_pq_.";

const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// A version of the protocol whose major part is 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The minor part.
    pub minor: u16,
}

impl Version {
    /// What all servers since 7.4 speak.
    pub const V3_0: Version = Version { minor: 0 };
    /// What PostgreSQL 18 brought: longer secrets of cancel requests.
    pub const V3_2: Version = Version { minor: 2 };
}

/// The first message of a connection.
#[derive(Clone, PartialEq, Eq)]
pub enum Opening {
    /// The client wants TLS.
    Tls,
    /// The client wants encryption by GSSAPI, which we do not have.
    Gss,
    /// What another connection is doing is to be cancelled.
    Cancel {
        /// The server's process.
        process: u32,
        /// What only that connection's client knows.
        secret: Bytes,
    },
    /// The client begins a session.
    Startup {
        /// The newest version that it speaks.
        version: Version,
        /// What it asks for; each name once.
        parameters: Vec<(Text, Text)>,
    },
}

impl Opening {
    /// How long the message is, in bytes with its length field, once that field is there.
    ///
    /// # Errors
    /// A length that no first message has.
    pub fn length(field: [u8; LENGTH_BYTES]) -> Result<usize, Malformed> {
        let length = u32::from_be_bytes(field);
        let fits = usize::try_from(length)
            .ok()
            .filter(|length| (2 * LENGTH_BYTES..=OPENING_LIMIT_BYTES).contains(length));
        fits.ok_or(Malformed::Length { tag: 0, length })
    }

    /// Reads what follows the length field.
    ///
    /// # Errors
    /// Every way in which it is not exactly one of these messages; a parameter named twice; another major version.
    pub fn read(body: Bytes) -> Result<Opening, Malformed> {
        let mut reader = Reader::new(body);
        let opening = match reader.u32()? {
            TLS => Opening::Tls,
            GSS => Opening::Gss,
            CANCEL => {
                let (process, secret) = (reader.u32()?, reader.rest());
                if secret.is_empty() || secret.len() > SECRET_LIMIT_BYTES {
                    return Err(Malformed::Count("the secret's length"));
                }
                return Ok(Opening::Cancel { process, secret });
            }
            code => {
                let [major, minor] = [code >> 16, code & 0xffff];
                if major != 3 {
                    return Err(Malformed::Value("the protocol's version", code.into()));
                }
                let version = Version { minor: u16::try_from(minor).unwrap_or(u16::MAX) };
                Opening::Startup { version, parameters: parameters(&mut reader)? }
            }
        };
        reader.end()?;
        Ok(opening)
    }

    /// Writes the message.
    pub fn write(&self, out: &mut BytesMut) {
        write_untagged(out, |out| match self {
            Opening::Tls => out.put_u32(TLS),
            Opening::Gss => out.put_u32(GSS),
            Opening::Cancel { process, secret } => {
                out.put_u32(CANCEL);
                out.put_u32(*process);
                out.put_slice(secret);
            }
            Opening::Startup { version, parameters } => {
                out.put_u32(3 << 16 | u32::from(version.minor));
                for (name, value) in parameters {
                    put_string(out, name.as_bytes());
                    put_string(out, value.as_bytes());
                }
                out.put_u8(0);
            }
        });
    }
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Opening::Tls => f.write_str("Tls"),
            Opening::Gss => f.write_str("Gss"),
            Opening::Cancel { process, .. } => write!(f, "Cancel({process})"),
            Opening::Startup { version, parameters } => {
                f.debug_tuple("Startup").field(version).field(parameters).finish()
            }
        }
    }
}

fn parameters(reader: &mut Reader) -> Result<Vec<(Text, Text)>, Malformed> {
    let mut parameters: Vec<(Text, Text)> = Vec::new();
    loop {
        let name = reader.text()?;
        if name.is_empty() {
            return Ok(parameters);
        }
        if parameters.iter().any(|(known, _)| *known == name) {
            return Err(Malformed::Count("a parameter given twice"));
        }
        parameters.push((name, reader.text()?));
    }
}
