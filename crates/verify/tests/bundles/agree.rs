//! What every file of the shared set comes to.

use verify::{Trust, Verified, population, verify_file};

use crate::vectors::{Vector, all};

fn verified(vector: &Vector) -> Verified {
    let mut trust = Trust::read(vector.trust.as_bytes()).unwrap();
    trust.rp_id = vector.rp_id.map(str::to_owned);
    trust.web_origins = vector.web_origin.map(|origin| vec![origin.to_owned()]);
    trust.bootstrap.clone_from(&vector.bootstrap);
    verify_file(vector.file.as_slice(), &trust, 100).unwrap()
}

fn reasons(verified: &Verified) -> Vec<String> {
    match verified {
        Verified::Receipt(report) => report.reasons.clone(),
        Verified::Bundle { report, .. } => report.reasons.clone(),
    }
}

#[test]
fn every_file_has_its_verdict() {
    let mut table = Vec::new();
    let mut wrong = Vec::new();
    for vector in all() {
        let found = verified(&vector);
        let verdict = found.verdict().as_str();
        table.push(format!("{}: {verdict} {:?}", vector.name, reasons(&found)));
        if verdict != vector.verdict {
            wrong.push(format!("{}: {verdict}, not {}: {:?}", vector.name, vector.verdict, reasons(&found)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    insta::assert_snapshot!(table.join("\n"));
}

/// Files of the format as it was published: whatever changes, their verdicts stay.
#[test]
fn what_was_frozen_keeps_its_verdict() {
    #[derive(serde::Deserialize)]
    struct Frozen {
        name: String,
        verdict: String,
        rp_id: Option<String>,
        web_origin: Option<String>,
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/verify/frozen");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let set: Vec<Frozen> = domain::canonical::read(&read("set.json")).unwrap();
    assert_eq!(set.len(), 8);
    for Frozen { name, verdict, rp_id, web_origin } in set {
        let mut trust = Trust::read(&read(&format!("{name}.trust"))).unwrap();
        (trust.rp_id, trust.web_origins) = (rp_id, web_origin.map(|origin| vec![origin]));
        let found = verify_file(read(&name).as_slice(), &trust, 100).unwrap();
        assert_eq!(found.verdict().as_str(), verdict, "{name}: {:?}", reasons(&found));
    }
}

#[test]
fn names_are_told_once() {
    let mut names: Vec<_> = all().into_iter().map(|vector| vector.name).collect();
    let before = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), before);
}

#[test]
fn a_bundle_as_a_person_reads_it() {
    let vector = all().into_iter().find(|vector| vector.name == "period-whole").unwrap();
    let Verified::Bundle { report, cases, more } = verified(&vector) else { panic!("a bundle") };
    assert_eq!(more, 0);
    let lines: Vec<_> = cases.iter().map(verify::CaseReport::line).collect();
    let table: Vec<_> = cases.iter().map(population::line).collect();
    insta::assert_snapshot!(format!(
        "{report}\n{}\n\n{}{}",
        lines.join("\n"),
        population::heading(),
        table.concat()
    ));
}

#[test]
fn who_signed_for_the_end_of_a_key_is_told() {
    let told = |name: &str| {
        let vector = all().into_iter().find(|vector| vector.name == name).unwrap();
        let Verified::Receipt(report) = verified(&vector) else { panic!("a receipt") };
        let text = report.render();
        text.lines().find(|line| line.contains("the key was revoked")).unwrap().trim().to_owned()
    };
    let lines =
        ["under-a-signature", "under-a-signature-for-another", "before-its-run", "at-once-after-its-review"];
    insta::assert_snapshot!(lines.map(|name| told(&format!("receipt-key-revoked-{name}"))).join("\n"));
}

#[test]
fn a_click_is_told_as_what_it_is() {
    let told = |name: &str| {
        let vector = all().into_iter().find(|vector| vector.name == name).unwrap();
        let Verified::Receipt(report) = verified(&vector) else { panic!("a receipt") };
        let text = report.render();
        let about = |line: &&str| line.contains("CLICK") || line.contains("the account");
        text.lines().filter(about).map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("\n")
    };
    let names = ["key-click-of-a-linked-account", "click-of-an-account-that-no-entry-links"];
    insta::assert_snapshot!(names.map(|name| told(&format!("receipt-{name}"))).join("\n\n"));
}

#[test]
fn witnesses_and_keys_are_told() {
    for name in ["cases-cosigned-by-two-of-three", "cases-key-changed-and-followed"] {
        let vector = all().into_iter().find(|vector| vector.name == name).unwrap();
        let Verified::Bundle { report, .. } = verified(&vector) else { panic!("a bundle") };
        let log = report.contents.unwrap().log;
        insta::assert_json_snapshot!(name, (log.witnesses, log.rotations));
    }
}
