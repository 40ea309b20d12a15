//! PostgreSQL's messages from either side, out of any bytes: what is read is written back as it came, and nothing that
//! the gate reads of a text is too odd for it. The first byte chooses the side.
#![no_main]

use bytes::{Buf as _, Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use postgres::config::Asked;
use postgres::parse::statement::{begins_transaction, begins_with_copy, deallocated};
use postgres::parse::{Authentication, Backend, Frontend, HEAD_BYTES, Head, Opening};

fuzz_target!(|bytes: &[u8]| {
    let Some((side, bytes)) = bytes.split_first() else { return };
    let mut bytes = Bytes::copy_from_slice(bytes);
    match side % 3 {
        0 => opening(bytes),
        1 => each(&mut bytes, |tag, body| {
            let message = Frontend::read(tag, body).ok()?;
            if let Frontend::Query(text) = &message {
                let text = text.as_str();
                let begins = begins_transaction(text);
                assert!(!(begins && begins_with_copy(text)));
                assert!(!(begins && deallocated(text).is_some()));
            }
            let mut out = BytesMut::new();
            message.write(&mut out);
            // A function call's content is not read.
            (message != Frontend::FunctionCall).then_some(out)
        }),
        _ => each(&mut bytes, |tag, body| {
            let message = Backend::read(tag, body).ok()?;
            let mut out = BytesMut::new();
            message.write(&mut out);
            // Of a method that we do not have, only the number is kept.
            (!matches!(message, Backend::Authentication(Authentication::Other(_)))).then_some(out)
        }),
    }
});

/// Reads message after message; `read` gives back what it would write, where that is all of it.
fn each(bytes: &mut Bytes, read: impl Fn(u8, Bytes) -> Option<BytesMut>) {
    while let Ok(Some(head)) = Head::read(bytes) {
        let length = HEAD_BYTES + head.body;
        if bytes.len() < length {
            return;
        }
        let message = bytes.split_to(length);
        let body = message.clone().split_off(HEAD_BYTES);
        if let Some(written) = read(head.tag, body) {
            assert_eq!(written, message);
        }
    }
}

fn opening(mut bytes: Bytes) {
    let Some(field) = bytes.first_chunk::<4>().copied() else { return };
    let Ok(length) = Opening::length(field) else { return };
    if bytes.len() < length {
        return;
    }
    let message = bytes.split_to(length);
    let mut body = message.clone();
    body.advance(field.len());
    let Ok(opening) = Opening::read(body) else { return };
    let mut out = BytesMut::new();
    opening.write(&mut out);
    assert_eq!(out, message);
    if let Opening::Startup { parameters, .. } = opening
        && let Ok(asked) = Asked::read(&parameters)
    {
        assert!(asked.settings.iter().all(|(name, _)| name.as_str() != "options" && name.as_str() != "replication"));
        assert!(!asked.user.is_empty() && !asked.database.is_empty());
    }
}
