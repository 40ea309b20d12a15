//! Who waits for an approval: the first in the order of their coming, and nobody who has left.

use std::sync::Arc;

use domain::id::ActionId;
use domain::time::Timestamp;

use crate::hold::Waiters;

fn approval(n: u8) -> ActionId {
    ActionId::new(Timestamp::ZERO, &[n; 10])
}

#[test]
fn who_leaves_waits_no_more() {
    let waiters = Arc::new(Waiters::default());
    assert!(!waiters.is_awaited(approval(1)));
    let (first, second) = (waiters.sit(approval(1)), waiters.sit(approval(1)));
    assert!(waiters.is_awaited(approval(1)));
    assert!(!waiters.is_awaited(approval(2)), "each waits for one");
    drop(first);
    assert!(waiters.is_awaited(approval(1)));
    drop(second);
    assert!(!waiters.is_awaited(approval(1)));
}
