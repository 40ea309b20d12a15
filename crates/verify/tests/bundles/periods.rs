//! Bundles of a period, as they should be and spoilt.

use domain::digest::Blob;
use verify::bundle::manifest::LeafLine;

use crate::pack::{Pack, entry_line};
use crate::scene::*;
use crate::vectors::{Set, two};

pub(crate) fn periods(set: &mut Set) {
    let scene = two();
    let size = scene.log.len();
    let whole = Pack::period(&scene, 0, size);
    let part = Pack::period(&scene, BASE + 13, size - 2);
    let mut add = |name: &str, pack: Pack, verdict| set.add(&format!("period-{name}"), pack.bytes(), verdict);
    add("whole", whole.clone(), "valid");
    add("of-one-entry", Pack::period(&scene, BASE + 5, BASE + 6), "valid");
    add("that-begins-within-a-case", part.clone(), "valid");
    add(
        "whose-cases-begin-before-it",
        part.clone().with(|p| p.entries.retain(|line| line.entry.index != AT + 10)),
        "indeterminate",
    );
    add("leaf-dropped", whole.clone().with(|p| drop(p.leaves.remove(BASE + 12))), "invalid");
    add(
        "leaf-dropped-and-counted",
        whole.clone().with(|p| {
            p.leaves.remove(BASE + 12);
            p.period.iter_mut().for_each(|period| period.end -= 1);
        }),
        "invalid",
    );
    add("last-leaf-dropped", whole.clone().with(|p| drop(p.leaves.pop())), "invalid");
    add("leaves-swapped", whole.clone().with(|p| p.leaves.swap(BASE + 1, BASE + 2)), "invalid");
    add(
        "leaf-twice",
        whole.clone().with(|p| p.leaves.insert(BASE + 2, p.leaves[BASE + 2].clone())),
        "invalid",
    );
    add(
        "leaf-of-another",
        whole.clone().with(|p| p.leaves[BASE + 9].leaf = p.leaves[BASE + 8].leaf.clone()),
        "invalid",
    );
    add(
        "fields-of-another",
        whole.clone().with(|p| p.leaves[BASE + 12].fields = p.leaves[BASE + 11].fields.clone()),
        "invalid",
    );
    add(
        "fields-not-told",
        whole.clone().with(|p| {
            for line in &mut p.leaves {
                (line.fields, line.payload) = (None, None);
            }
        }),
        "indeterminate",
    );
    add("heartbeats-not-told", whole.clone().with(|p| p.leaves[BASE + 9].fields = None), "valid");
    add("leaf-pruned", whole.clone().with(|p| prune(&scene, p, BASE + 9)), "indeterminate");
    add("request-pruned", whole.clone().with(|p| prune(&scene, p, BASE + 10)), "indeterminate");
    add("review-pruned", whole.clone().with(|p| prune(&scene, p, BASE + 11)), "invalid");
    add(
        "leaf-pruned-to-another-hash",
        whole.clone().with(|p| prune_as(&scene, p, BASE + 9, BASE + 8)),
        "invalid",
    );
    add(
        "leaf-and-hash",
        whole.clone().with(|p| p.leaves[BASE + 9].hash = Some(Blob(vec![0; 32]))),
        "invalid",
    );
    add("neither-leaf-nor-hash", whole.clone().with(|p| p.leaves[BASE + 9].leaf = None), "invalid");
    add(
        "other-consistency",
        part.clone().with(|p| {
            p.period.iter_mut().for_each(|period| period.consistency.push(Blob(vec![0; 32])));
        }),
        "invalid",
    );
    add(
        "other-frontier",
        part.clone().with(|p| {
            p.period.iter_mut().for_each(|period| period.frontier.reverse());
        }),
        "invalid",
    );
    add(
        "frontier-too-long",
        part.clone().with(|p| {
            p.period.iter_mut().for_each(|period| period.frontier.push(Blob(vec![0; 32])));
        }),
        "invalid",
    );
    add(
        "before-of-another-size",
        part.clone().with(|p| {
            p.before = Some(scene.checkpoint(BASE + 12, &log_key(ORIGIN, 1)).note().to_string());
        }),
        "invalid",
    );
    add(
        "before-by-another-key",
        part.clone().with(|p| {
            p.before = Some(scene.checkpoint(BASE + 13, &log_key(ORIGIN, 2)).note().to_string());
        }),
        "invalid",
    );
    add("before-not-told", part.clone().with(|p| p.before = None), "valid");
    add(
        "neighbour-before-missing",
        part.clone().with(|p| p.entries.retain(|line| line.entry.index != AT + 12)),
        "invalid",
    );
    add("neighbour-behind-missing", part.clone().with(|p| drop(p.entries.pop())), "invalid");
    add(
        "no-moments-and-no-neighbours",
        part.clone().with(|p| {
            p.entries.pop();
            p.period.iter_mut().for_each(|period| (period.since, period.until) = (None, None));
        }),
        "valid",
    );
    add(
        "begins-too-late",
        part.clone().with(|p| {
            p.period.iter_mut().for_each(|period| period.since = Some(at(5)));
        }),
        "invalid",
    );
    add(
        "ends-too-early",
        part.clone().with(|p| {
            p.period.iter_mut().for_each(|period| period.until = Some(at(900)));
        }),
        "invalid",
    );
    add(
        "entry-from-within",
        part.clone().with(|p| {
            p.entries.push(entry_line(&scene, BASE + 15, size));
        }),
        "invalid",
    );
    add(
        "empty",
        part.clone().with(|p| {
            p.leaves.clear();
            p.period.iter_mut().for_each(|period| period.end = period.first);
        }),
        "invalid",
    );
    add("miscounted", part.with(|p| p.counted.0 = -1), "invalid");
    add("without-a-period", whole.clone().with(|p| p.period = None), "invalid");
    let of_cases = Pack::cases(&scene);
    add("in-a-bundle-of-cases", of_cases.with(|p| p.period = whole.period), "invalid");
}

fn prune(scene: &Scene, pack: &mut Pack, at: usize) {
    prune_as(scene, pack, at, at);
}

fn prune_as(scene: &Scene, pack: &mut Pack, at: usize, of: usize) {
    let hash = scene.hashes(of + 1)[of];
    pack.leaves[at] =
        LeafLine { leaf: None, hash: Some(Blob(hash.as_bytes().to_vec())), fields: None, payload: None };
}
