//! Places of principals.

use std::sync::Arc;

use crate::places::Places;

#[test]
fn each_principal_has_so_many_places() {
    let places = Arc::new(Places::default());
    let take = |name: &str| places.take(name.to_owned(), 2);
    let (first, second) = (take("one").expect("a place"), take("one").expect("a place"));
    assert!(take("one").is_none());
    assert!(take("other").is_some(), "another's are its own");
    drop(first);
    let third = take("one").expect("a place again");
    assert!(take("one").is_none());
    drop((second, third));
    assert!(take("one").is_some());
}
