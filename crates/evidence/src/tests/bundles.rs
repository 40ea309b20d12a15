//! Where a bundle's period begins, over a real store. What bundles hold is for the verifiers to judge (`tests/verify`).

use audit::{Frontier, leaf_hash};

use super::house::{House, START};
use crate::bundle::place;

async fn grown(entries: usize) -> House {
    let house = House::new();
    for n in 0..entries {
        house.clock.forward(std::time::Duration::from_secs(1));
        house.gap(&format!("entry {n}")).await;
    }
    house
}

#[tokio::test]
async fn the_right_edge_of_every_size_is_the_trees_own() {
    let house = grown(34).await;
    let size = house.store.head().await.unwrap().size;
    assert!(size > 33);
    let mut tree = Frontier::new();
    for at in 0..=size {
        let edge = place::frontier(house.store.as_ref(), at).await.unwrap();
        assert_eq!(edge, tree, "of {at} entries");
        if at < size {
            let leaf = place::leaf(house.store.as_ref(), at).await.unwrap();
            tree.append(leaf_hash(&leaf)).unwrap();
            assert_eq!(place::hash(house.store.as_ref(), at).await.unwrap(), leaf_hash(&leaf));
        }
    }
}

#[tokio::test]
async fn a_place_is_an_index_or_the_first_entry_of_a_moment() {
    let house = grown(5).await;
    let size = house.store.head().await.unwrap().size;
    let read = async |text: &str| place::read(house.store.as_ref(), text, size).await;
    for (text, index) in
        [("0", 0), ("3", 3), ("9000", size), ("1970-01-01T00:00:00Z", 0), ("2100-01-01T00:00:00Z", size)]
    {
        assert_eq!(read(text).await.unwrap().index, index, "{text}");
    }
    // 2027-01-15T08:00:00Z is the start; the log's first entries stand there, one more at each second after it.
    let third = read("2027-01-15T08:00:03Z").await.unwrap();
    assert_eq!(third.moment.unwrap().micros(), START + 3_000_000);
    assert_eq!(third.index, size - 3);
    // A date is its midnight in UTC, exactly.
    for (date, time, index) in
        [("2027-01-15", "2027-01-15T00:00:00Z", 0), ("2027-01-16", "2027-01-16T00:00:00Z", size)]
    {
        let (date, time) = (read(date).await.unwrap(), read(time).await.unwrap());
        assert_eq!((date.index, date.moment), (time.index, time.moment));
        assert_eq!(date.index, index);
    }
    for text in ["", "-1", "yesterday", "2027-01", "2027-02-30", "1969-12-31", "1969-12-31T23:59:59Z"] {
        assert!(read(text).await.is_err(), "{text}");
    }
}

#[test]
fn a_checkpoint_names_its_size() {
    assert!(place::size_of("no note").is_err());
    assert!(place::size_of("a\n1\nAAAA\n\n\u{2014} a AAAAAAA=\n").is_err());
}
