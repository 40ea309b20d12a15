//! Receipts that hold, of every way in which a case can go.

use domain::commitment::Disclosure;
use domain::directory::DirectoryEvent;
use domain::evaluation::Decision;
use domain::event::Event;
use domain::outcome::Outcome;
use domain::principal::Principal;
use domain::requirement::{Requirement, Separation};
use domain::statement::Verdict;
use verify::report::{Part, State};
use verify::{Report, Trust};

use crate::scene::*;

fn valid(scene: &Scene) -> Report {
    let report = verified(&scene.receipt());
    assert_eq!((report.verdict, &report.reasons), (verify::Verdict::Valid, &Vec::new()), "{report}");
    report
}

#[test]
fn an_action_that_ran_as_a_person_reads_it() {
    insta::assert_snapshot!(valid(&ran()).render());
}

#[test]
fn an_action_that_ran_as_a_machine_reads_it() {
    let report = valid(&ran());
    let json = serde_json::to_string_pretty(&report).unwrap();
    let back: Report = domain::canonical::read(json.as_bytes()).unwrap();
    assert_eq!(back, report);
    insta::assert_snapshot!(json);
}

#[test]
fn every_way_in_which_a_case_can_go() {
    let held = || {
        let mut scene = Scene::staffed(draft(1, "prod"), requirement(&[(1, "dba")]));
        scene.request();
        scene
    };
    let mut table = Vec::new();
    let mut tell = |name: &str, scene: &Scene| {
        let summary = valid(scene).summary.unwrap();
        assert_eq!(summary.execution.is_some(), matches!(summary.state, State::Executing | State::Finished));
        table.push(format!("{name}: {}", serde_json::to_string(&summary.state).unwrap()));
    };
    let mut scene = held();
    tell("pending", &scene);
    scene.review(ALICE, Verdict::Approve);
    tell("approved", &scene);
    scene.redeem(&[ALICE]);
    tell("executing", &scene);
    scene.event(&Event::Finished { outcome: Outcome::unknown("the gateway died") });
    tell("finished", &scene);

    let mut scene = held();
    scene.review(BOB, Verdict::Deny);
    tell("denied", &scene);
    let mut scene = held();
    scene.review(ALICE, Verdict::Approve);
    scene.review(ALICE, Verdict::Deny);
    tell("denied by who had approved", &scene);
    let mut scene = held();
    scene.reevaluate(Decision::Deny);
    tell("denied by policy", &scene);
    let mut scene = held();
    scene.seconds += 1_800;
    scene.event(&Event::Expired {});
    tell("expired", &scene);
    let mut scene = held();
    scene.event(&Event::Cancelled { by: Principal::Person(person(SAM)), reason: "no need".to_owned() });
    tell("cancelled", &scene);
    let mut scene = held();
    scene.ask(BOB);
    scene.event(&Event::Withdrawn { question: question(), by: person(BOB) });
    tell("asked and withdrawn", &scene);
    let mut scene = held();
    scene.reevaluate(Decision::Permit);
    scene.redeem(&[]);
    tell("permitted after all", &scene);
    let mut scene = held();
    scene.reevaluate(Decision::NeedsReview(requirement(&[(2, "dba")])));
    scene.review(ALICE, Verdict::Approve);
    scene.review(BOB, Verdict::Approve);
    scene.redeem(&[ALICE, BOB]);
    tell("run under a stronger requirement", &scene);
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn solo_evaluation_is_said_loudly() {
    let solo = Requirement { separation: Separation::None, ..requirement(&[(1, "dba")]) };
    let mut scene = Scene::staffed(draft(1, "staging"), solo);
    scene.enrol(SAM);
    scene.join(SAM, "dba");
    scene.request();
    scene.review(SAM, Verdict::Approve);
    scene.redeem(&[SAM]);
    scene.finish();
    let report = valid(&scene);
    assert!(report.render().contains("SEPARATION: NONE"), "{report}");
    assert_eq!(report.summary.unwrap().separation, Some(Separation::None));
}

#[test]
fn a_payload_may_be_withheld_field_by_field() {
    let mut receipt = ran().receipt();
    for which in 0..2 {
        let Disclosure::Open(field) = receipt.payload[which].clone() else { panic!("open") };
        receipt.payload[which] = Disclosure::Withheld(field.commitment().unwrap());
        let report = verified(&receipt);
        assert_eq!(report.verdict, verify::Verdict::Valid, "{report}");
        let payload = report.summary.unwrap().payload;
        assert!(matches!(payload[which], Part::Withheld { .. }));
    }
}

#[test]
fn only_what_is_needed_needs_to_be_told() {
    let mut scene = ran();
    // Names, and entries that are no part of the case.
    scene.told.retain(|at| ![1, 2, 3, 6].map(|n| BASE + n).contains(at));
    valid(&scene);
    scene.told.insert(0, 0);
    valid(&scene);
    // A passkey that was lost and enrolled again; a group that was left and joined again.
    let mut scene = Scene::staffed(draft(1, "prod"), requirement(&[(1, "dba")]));
    scene.change(DirectoryEvent::KeyRevoked { person: person(ALICE), credential_id: credential(ALICE) });
    scene.enrol(ALICE);
    scene.leave(ALICE, "dba");
    scene.join(ALICE, "dba");
    scene.request();
    scene.review(ALICE, Verdict::Approve);
    scene.redeem(&[ALICE]);
    // What comes after the run takes nothing from it.
    scene.change(DirectoryEvent::PersonDeactivated { id: person(ALICE) });
    valid(&scene);
}

#[test]
fn an_auditor_may_pin_what_the_passkeys_were_enrolled_for() {
    let bytes = domain::canonical::write(&ran().receipt()).unwrap();
    let verdict = |rp_id: Option<&str>, origins: Option<&[&str]>| {
        let trust = Trust {
            rp_id: rp_id.map(str::to_owned),
            web_origins: origins.map(|all| all.iter().map(|one| (*one).to_owned()).collect()),
            ..trust()
        };
        verify::verify_receipt(&bytes, &trust).verdict.as_str()
    };
    assert_eq!(verdict(Some(RP_ID), Some(&["https://other.example", WEB])), "valid");
    assert_eq!(verdict(Some("other.example"), None), "invalid");
    assert_eq!(verdict(None, Some(&["https://other.example"])), "invalid");
    assert_eq!(verdict(None, Some(&[])), "invalid");
}

#[test]
fn white_space_in_the_file_means_nothing() {
    let bytes = domain::canonical::write(&ran().receipt()).unwrap();
    let value = domain::canonical::read_value(&bytes).unwrap();
    let pretty = serde_json::to_vec_pretty(&value).unwrap();
    assert_eq!(verify::verify_receipt(&pretty, &trust()), verify::verify_receipt(&bytes, &trust()));
}

/// **Authority**, "break-glass": whoever reads the receipt is told first.
#[test]
fn broken_glass_is_told_before_all_else() {
    let mut asked = requirement(&[(2, "dba")]);
    let glass = domain::requirement::Quorum::break_glass("oncall".parse().unwrap());
    asked.holds[0].any_of.push(glass);
    let mut scene = Scene::staffed(draft(1, "prod"), asked);
    scene.join(ALICE, "oncall");
    scene.request();
    let breaks = |s: &mut domain::statement::Statement| {
        (s.group, s.break_glass) = (Some("oncall".parse().unwrap()), true);
        s.note = Some("the disk is full".to_owned());
    };
    scene.review_with(ALICE, Verdict::Approve, breaks, &Hand::of(ALICE));
    scene.redeem(&[ALICE]);
    scene.finish();
    let report = verified(&scene.receipt());
    assert_eq!(report.verdict, verify::Verdict::Valid, "{report}");
    let text = report.render();
    let (banner, action) = (text.find("*** BREAK-GLASS. Alice").unwrap(), text.find("Action ").unwrap());
    assert!(banner < action, "{text}");
    assert!(text.contains("2 of dba or 1 of oncall, by break-glass"), "{text}");
    assert!(text.contains("for oncall, BREAKING GLASS, counted\n  | the disk is full"), "{text}");
}
