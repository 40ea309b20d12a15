//! Two templates and a path, a line each: what the templates say of each other holds for the path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use points::http::path::CanonicalPath;
use points::http::template::{Relation, Template, loosened};

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let (Some(one), Some(two), Some(path)) = (lines.next(), lines.next(), lines.next()) else { return };
    let (Ok(one), Ok(two)) = (Template::read(one), Template::read(two)) else { return };
    let relation = one.relation(&two);
    let mirrored = match two.relation(&one) {
        Relation::Narrower => Relation::Wider,
        Relation::Wider => Relation::Narrower,
        same @ (Relation::Disjoint | Relation::Same | Relation::Crossing) => same,
    };
    assert_eq!(relation, mirrored);
    if relation == Relation::Narrower {
        assert!(one.rank() < two.rank());
    }
    let Ok(path) = CanonicalPath::read(path.as_bytes()) else { return };
    let (fits_one, fits_two) = (one.captures(&path).is_some(), two.captures(&path).is_some());
    match relation {
        Relation::Disjoint => assert!(!(fits_one && fits_two)),
        Relation::Same => assert_eq!(fits_one, fits_two),
        Relation::Narrower => assert!(!fits_one || fits_two),
        Relation::Wider => assert!(!fits_two || fits_one),
        Relation::Crossing => {}
    }
    if fits_one {
        assert!(one.nearly_fits(&loosened(&path)));
    }
});
