//! Reports from outside: CloudEvents, structured and batched, and OpenTelemetry's logs in both encodings. Whatever is read
//! stays within what one report may put on record.
#![no_main]

use gateway::limits::{REPORTED_BYTES, REPORTED_EVENTS};
use gateway::report::Reported;
use libfuzzer_sys::fuzz_target;
use points::rest::activity::cloudevents::{batch, structured};
use points::rest::activity::otlp::{self, Wire};

fuzz_target!(|bytes: &[u8]| {
    for wire in [Wire::Protobuf, Wire::Json] {
        let Ok(read) = otlp::read(wire, bytes) else { continue };
        assert!(read.events.len() <= REPORTED_EVENTS);
        assert!(read.events.iter().map(Reported::written).sum::<usize>() <= REPORTED_BYTES);
        assert!(read.events.iter().all(|event| event.check().is_ok()));
        assert_eq!(read.rejected > 0, !read.why.is_empty());
    }
    for events in [structured(bytes), batch(bytes)].into_iter().flatten() {
        assert!(events.len() <= REPORTED_EVENTS);
    }
});
