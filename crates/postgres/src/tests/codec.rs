//! Messages: what was written is read again, and nothing else is read.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::parse::backend::{Column, CopyFormat, Fields};
use crate::parse::{
    Authentication, Backend, Bind, Format, Frontend, HEAD_BYTES, Head, Malformed, Opening, Parse, Status,
    Target, Text, Version,
};

fn text() -> impl Strategy<Value = Text> {
    "[^\0]{0,12}".prop_map(|text| Text::try_from(text).expect("no zero byte"))
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn string() -> impl Strategy<Value = Bytes> {
    vec(1..=255_u8, 0..12).prop_map(Bytes::from)
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Text), Just(Format::Binary)]
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![text().prop_map(Target::Statement), text().prop_map(Target::Portal)]
}

fn bind() -> impl Strategy<Value = Bind> {
    let values = vec(option::of(bytes()), 0..5);
    let each = values.prop_flat_map(|values| {
        let count = values.len();
        (Just(values), prop_oneof![vec(format(), 0..2), vec(format(), count)])
    });
    (text(), text(), each, vec(format(), 0..4)).prop_map(|(portal, statement, (values, formats), results)| {
        Bind { portal, statement, formats, values, results }
    })
}

fn frontend() -> impl Strategy<Value = Frontend> {
    prop_oneof![
        text().prop_map(Frontend::Query),
        (text(), text(), vec(any::<u32>(), 0..4)).prop_map(|(name, text, types)| Frontend::Parse(Parse {
            name,
            text,
            types
        })),
        bind().prop_map(Frontend::Bind),
        target().prop_map(Frontend::Describe),
        (text(), any::<u32>()).prop_map(|(portal, max_rows)| Frontend::Execute { portal, max_rows }),
        target().prop_map(Frontend::Close),
        Just(Frontend::Flush),
        Just(Frontend::Sync),
        bytes().prop_map(Frontend::CopyData),
        Just(Frontend::CopyDone),
        text().prop_map(Frontend::CopyFail),
        Just(Frontend::FunctionCall),
        bytes().prop_map(Frontend::Credential),
        Just(Frontend::Terminate),
    ]
}

fn authentication() -> impl Strategy<Value = Authentication> {
    prop_oneof![
        Just(Authentication::Ok),
        Just(Authentication::Cleartext),
        any::<[u8; 4]>().prop_map(Authentication::Md5),
        vec(vec(1..=255_u8, 1..9).prop_map(Bytes::from), 0..3).prop_map(Authentication::Sasl),
        bytes().prop_map(Authentication::SaslContinue),
        bytes().prop_map(Authentication::SaslFinal),
    ]
}

fn fields() -> impl Strategy<Value = Fields> {
    vec((1..=255_u8, string()), 0..5).prop_map(Fields)
}

fn column() -> impl Strategy<Value = Column> {
    (string(), any::<u32>(), any::<u16>(), any::<u32>(), any::<u16>(), any::<u32>(), format()).prop_map(
        |(name, table, attribute, type_id, size, modifier, format)| Column {
            name,
            table,
            attribute,
            type_id,
            size,
            modifier,
            format,
        },
    )
}

fn copy() -> impl Strategy<Value = CopyFormat> {
    (format(), vec(format(), 0..4)).prop_map(|(overall, columns)| CopyFormat { overall, columns })
}

fn backend() -> impl Strategy<Value = Backend> {
    prop_oneof![
        authentication().prop_map(Backend::Authentication),
        (any::<u32>(), bytes()).prop_map(|(process, secret)| Backend::BackendKeyData { process, secret }),
        (string(), string()).prop_map(|(name, value)| Backend::ParameterStatus { name, value }),
        prop_oneof![Just(Status::Idle), Just(Status::Open), Just(Status::Failed)]
            .prop_map(Backend::ReadyForQuery),
        fields().prop_map(Backend::ErrorResponse),
        fields().prop_map(Backend::NoticeResponse),
        (any::<u32>(), string(), string()).prop_map(|(process, channel, payload)| Backend::Notification {
            process,
            channel,
            payload
        }),
        prop_oneof![
            Just(Backend::ParseComplete),
            Just(Backend::BindComplete),
            Just(Backend::CloseComplete),
            Just(Backend::NoData),
            Just(Backend::EmptyQueryResponse),
            Just(Backend::PortalSuspended),
            Just(Backend::CopyDone),
        ],
        vec(any::<u32>(), 0..4).prop_map(Backend::ParameterDescription),
        vec(column(), 0..4).prop_map(Backend::RowDescription),
        vec(option::of(bytes()), 0..4).prop_map(Backend::DataRow),
        string().prop_map(Backend::CommandComplete),
        copy().prop_map(Backend::CopyIn),
        copy().prop_map(Backend::CopyOut),
        bytes().prop_map(Backend::CopyData),
        (any::<u32>(), vec(string(), 0..3))
            .prop_map(|(version, unknown)| Backend::NegotiateProtocolVersion { version, unknown }),
    ]
}

fn opening() -> impl Strategy<Value = Opening> {
    let name = "[^\0]{1,12}".prop_map(|text| Text::try_from(text).expect("no zero byte"));
    prop_oneof![
        Just(Opening::Tls),
        Just(Opening::Gss),
        (any::<u32>(), vec(any::<u8>(), 1..257).prop_map(Bytes::from))
            .prop_map(|(process, secret)| Opening::Cancel { process, secret }),
        (any::<u16>(), proptest::collection::btree_map(name, text(), 0..4)).prop_map(
            |(minor, parameters)| {
                Opening::Startup { version: Version { minor }, parameters: parameters.into_iter().collect() }
            }
        ),
    ]
}

/// Splits a written message into its type and body.
fn split(mut written: BytesMut) -> (u8, Bytes) {
    let head = Head::read(&written).expect("a length").expect("a head");
    assert_eq!(written.len(), HEAD_BYTES + head.body);
    (head.tag, written.split_off(HEAD_BYTES).freeze())
}

proptest! {
    #[test]
    fn a_clients_message_is_read_as_it_was_written(message in frontend()) {
        let mut out = BytesMut::new();
        message.write(&mut out);
        let (tag, body) = split(out);
        prop_assert_eq!(Frontend::read(tag, body), Ok(message));
    }

    #[test]
    fn a_servers_message_is_read_as_it_was_written(message in backend()) {
        let mut out = BytesMut::new();
        message.write(&mut out);
        let (tag, body) = split(out);
        prop_assert_eq!(Backend::read(tag, body), Ok(message));
    }

    #[test]
    fn a_first_message_is_read_as_it_was_written(message in opening()) {
        let mut out = BytesMut::new();
        message.write(&mut out);
        let field = out.first_chunk::<4>().copied().expect("a length");
        prop_assert_eq!(Opening::length(field).ok(), Some(out.len()));
        prop_assert_eq!(Opening::read(out.split_off(4).freeze()), Ok(message));
    }

    /// What is read is written as it came: no message has two forms.
    #[test]
    fn any_bytes_are_one_message_or_none(tag in any::<u8>(), body in vec(any::<u8>(), 0..60)) {
        let body = Bytes::from(body);
        if let Ok(message) = Frontend::read(tag, body.clone()) {
            let mut out = BytesMut::new();
            message.write(&mut out);
            if message != Frontend::FunctionCall {
                prop_assert_eq!(split(out), (tag, body.clone()));
            }
        }
        if let Ok(message) = Backend::read(tag, body.clone()) {
            let mut out = BytesMut::new();
            message.write(&mut out);
            // Of a method that we do not have, only the number is kept.
            if !matches!(message, Backend::Authentication(Authentication::Other(_))) {
                prop_assert_eq!(split(out), (tag, body));
            }
        }
    }

    #[test]
    fn a_message_cut_short_or_longer_is_none(message in frontend(), more in 1..4_usize) {
        let mut out = BytesMut::new();
        message.write(&mut out);
        let (tag, body) = split(out);
        let open_ended =
            matches!(message, Frontend::CopyData(_) | Frontend::Credential(_) | Frontend::FunctionCall);
        if !open_ended {
            if !body.is_empty() {
                prop_assert!(Frontend::read(tag, body.slice(..body.len() - 1)).is_err());
            }
            let longer: Vec<u8> = body.iter().copied().chain(std::iter::repeat_n(0, more)).collect();
            prop_assert!(Frontend::read(tag, Bytes::from(longer)).is_err());
        }
    }
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    for (bytes, length) in [(b"Q\0\0\0\x03", 3), (b"Q\0\0\0\0", 0), (b"Q\x80\0\0\0", 1 << 31)] {
        assert_eq!(Head::read(bytes), Err(Malformed::Length { tag: b'Q', length }));
    }
    assert_eq!(Head::read(b"Q\0\0\0"), Ok(None));
    assert_eq!(Head::read(b"Q\0\0\0\x04"), Ok(Some(Head { tag: b'Q', body: 0 })));
    let head = Head { tag: b'Q', body: 10 };
    assert_eq!(head.within(10), Ok(head));
    assert_eq!(head.within(9), Err(Malformed::Length { tag: b'Q', length: 10 }));
    for length in [0, 7, 10_001, u32::MAX] {
        assert!(Opening::length(length.to_be_bytes()).is_err(), "{length}");
    }
}

#[test]
fn what_belongs_to_replication_or_function_calls_is_unknown() {
    for tag in [b'W', b'V', b'w', 0, b'X', b'F'] {
        assert_eq!(Backend::read(tag, Bytes::new()), Err(Malformed::Unknown(tag)));
    }
}

#[test]
fn a_bind_has_as_many_formats_as_values() {
    let body = |formats: &[u8], values: &[u8]| {
        Bytes::from([b"\0\0".as_slice(), formats, values, b"\0\0".as_slice()].concat())
    };
    let two = b"\0\x02\xff\xff\xff\xff\0\0\0\0";
    assert!(Frontend::read(b'B', body(b"\0\0", two)).is_ok());
    assert!(Frontend::read(b'B', body(b"\0\x01\0\x01", two)).is_ok());
    assert_eq!(
        Frontend::read(b'B', body(b"\0\x03\0\0\0\0\0\0", two)),
        Err(Malformed::Count("the number of format codes"))
    );
    assert_eq!(Frontend::read(b'B', body(b"\0\x01\0\x02", two)), Err(Malformed::Value("a format code", 2)));
}

#[test]
fn text_is_utf8_without_a_zero_byte() {
    for bytes in [b"\xff".as_slice(), b"a\0b", b"\xc3\x28"] {
        assert_eq!(Text::read(Bytes::copy_from_slice(bytes)), Err(Malformed::NotUtf8));
    }
}

#[test]
fn a_cancel_request_does_not_print_its_secret() {
    let cancel = Opening::Cancel { process: 7, secret: Bytes::from_static(b"hush") };
    assert_eq!(format!("{cancel:?}"), "Cancel(7)");
}
