//! Bundles of cases, as they should be and spoilt.

use audit::NoteSigner as _;

use crate::pack::{Pack, withhold};
use crate::scene::*;
use crate::vectors::{Set, one, two};

pub(crate) fn cases(set: &mut Set) {
    let scene = two();
    let pack = Pack::cases(&scene);
    let mut add = |name: &str, verdict, change: &dyn Fn(&mut Pack)| {
        set.add(&format!("cases-{name}"), pack.clone().with(change).bytes(), verdict);
    };
    add("two", "valid", &|_| {});
    add("payload-not-told", "valid", &|p| {
        p.entries.iter_mut().skip(BASE).for_each(|line| line.payload = None);
    });
    add("payload-withheld", "valid", &|p| {
        p.entries.iter_mut().skip(BASE).flat_map(|line| &mut line.payload).flatten().for_each(withhold)
    });
    add("key-payload-not-told", "indeterminate", &|p| {
        p.entries.iter_mut().for_each(|line| line.payload = None);
    });
    add("key-payload-withheld", "indeterminate", &|p| {
        p.entries.iter_mut().flat_map(|line| &mut line.payload).flatten().for_each(withhold)
    });
    add("entry-missing", "invalid", &|p| p.entries.retain(|line| line.entry.index != AT + 11));
    add("entry-twice", "invalid", &|p| p.entries.insert(BASE + 3, p.entries[BASE + 3].clone()));
    add("entries-swapped", "invalid", &|p| p.entries.swap(BASE + 4, BASE + 5));
    add("proofs-swapped", "invalid", &|p| {
        let proof = p.entries[BASE].entry.proof.clone();
        p.entries[BASE].entry.proof = std::mem::replace(&mut p.entries[BASE + 1].entry.proof, proof);
    });
    add("enrolment-missing", "indeterminate", &|p| p.entries.retain(|line| line.entry.index != AT + 4));
    add("review-withheld", "indeterminate", &|p| {
        p.entries[BASE + 9].entry.fields.iter_mut().for_each(withhold)
    });
    add("payload-of-no-request", "invalid", &|p| p.entries[BASE + 9].payload = Some(open_payload()));
    add("payload-changed", "invalid", &|p| {
        for line in &mut p.entries {
            line.payload.iter_mut().for_each(|payload| payload.reverse());
        }
    });
    add("entries-miscounted", "invalid", &|p| p.counted.0 = 1);
    add("cases-miscounted", "invalid", &|p| p.counted.1 = -1);
    add("of-another-origin", "invalid", &|p| p.origin = "other.example/log".parse().unwrap());
    add("of-an-unknown-kind", "invalid", &|p| p.kind = "all");
    add("without-cases", "valid", &|p| p.entries.retain(|line| line.entry.index < AT + 10));
    add("without-entries", "valid", &|p| p.entries.clear());
    let lying = {
        let mut scene = two();
        scene.another(draft(3, "prod"), one());
        scene.request();
        scene.redeem(&[]);
        scene
    };
    add("one-does-not-hold", "invalid", &|p| *p = Pack::cases(&lying));
    let other = format!("{}\n", log_key("other.example/log", 1).verifier());
    set.trusting("cases-under-another-log", pack.bytes(), &other, "invalid");
}
