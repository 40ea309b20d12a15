//! Strict JSON: what is read has one canonical form, and that form reads back to itself.
#![no_main]

use domain::canonical::{read_value, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = read_value(bytes) else { return };
    let written = write(&value).expect("what was read can be written");
    let again = read_value(&written).expect("what was written can be read");
    assert_eq!(again, value);
    assert_eq!(write(&again).expect("written once, written twice"), written);
});
