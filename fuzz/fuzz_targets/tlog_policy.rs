//! A trust policy: whatever is read keeps its limits, and each of its quorums is one that somebody could meet.
#![no_main]

use audit::{MAX_POLICY_LOGS, MAX_POLICY_WITNESSES, Policy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let policy = match Policy::parse(bytes) {
        Ok(policy) => policy,
        Err(error) => {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
            assert!((1..=lines).contains(&error.line));
            assert!(error.to_string().chars().all(|c| !c.is_control()));
            return;
        }
    };
    assert!(policy.logs().len() <= MAX_POLICY_LOGS && policy.witnesses().len() <= MAX_POLICY_WITNESSES);
    let readable = policy.witnesses().iter().all(|witness| witness.key().readable().is_some());
    assert!(!readable || policy.could_be_met_by(|_| true));
    assert_eq!(policy.could_be_met_by(|_| false), policy.quorum().is_none());
});
