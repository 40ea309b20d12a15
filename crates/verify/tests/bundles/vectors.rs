//! The shared set: files, what is trusted, and the verdict that every verifier must come to.

use audit::NoteSigner as _;
use domain::canonical;
use domain::entry::Kind;
use domain::receipt::Receipt;
use domain::requirement::{Requirement, Separation};
use domain::statement::Verdict;

use crate::archives::archives;
use crate::cases::cases;
use crate::clicks::clicks;
use crate::countersigned::countersigned_keys;
use crate::later::later;
use crate::logs::{rotations, witnesses};
use crate::pack::Pack;
use crate::periods::periods;
use crate::receipts::{broken_receipts, good_receipts};
use crate::reviews::other_keys;
use crate::scene::*;
use crate::spellings::spellings;
use crate::standings::standings;

/// One file of the set.
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) file: Vec<u8>,
    /// The trust file.
    pub(crate) trust: String,
    pub(crate) rp_id: Option<&'static str>,
    pub(crate) web_origin: Option<&'static str>,
    /// The fingerprint of the bootstrap key that is trusted.
    pub(crate) bootstrap: Option<String>,
    pub(crate) verdict: &'static str,
}

/// The whole set.
pub(crate) fn all() -> Vec<Vector> {
    let mut set = Set(Vec::new());
    good_receipts(&mut set);
    broken_receipts(&mut set);
    other_keys(&mut set);
    countersigned_keys(&mut set);
    cases(&mut set);
    witnesses(&mut set);
    rotations(&mut set);
    periods(&mut set);
    archives(&mut set);
    standings(&mut set);
    spellings(&mut set);
    later(&mut set);
    clicks(&mut set);
    set.0
}

pub(crate) struct Set(pub(crate) Vec<Vector>);

impl Set {
    pub(crate) fn add(&mut self, name: &str, file: Vec<u8>, verdict: &'static str) {
        self.trusting(name, file, &key_file(1), verdict);
    }

    pub(crate) fn trusting(&mut self, name: &str, file: Vec<u8>, trust: &str, verdict: &'static str) {
        let (name, trust) = (name.to_owned(), trust.to_owned());
        self.0.push(Vector { name, file, trust, rp_id: None, web_origin: None, bootstrap: None, verdict });
    }

    pub(crate) fn receipt(&mut self, name: &str, receipt: &Receipt, verdict: &'static str) {
        self.add(&format!("receipt-{name}"), canonical::write(receipt).unwrap(), verdict);
    }

    pub(crate) fn scene(&mut self, name: &str, scene: &Scene, verdict: &'static str) {
        self.receipt(name, &scene.receipt(), verdict);
    }
}

pub(crate) fn key_file(seed: u8) -> String {
    format!("{}\n", log_key(ORIGIN, seed).verifier())
}

pub(crate) fn held(requirement: Requirement) -> Scene {
    let mut scene = Scene::staffed(draft(1, "prod"), requirement);
    scene.request();
    scene
}

pub(crate) fn one() -> Requirement {
    requirement(&[(1, "dba")])
}

/// Two of `dba`, or by break-glass one of `oncall`; in solo evaluation, which does not reach so far.
pub(crate) fn glass() -> Requirement {
    let mut requirement = requirement(&[(2, "dba")]);
    requirement.separation = Separation::None;
    requirement.assurance = domain::requirement::Assurance::Chat;
    let glass = domain::requirement::Quorum::break_glass("oncall".parse().unwrap());
    requirement.holds.iter_mut().for_each(|hold| hold.any_of.push(glass.clone()));
    requirement
}

/// Two cases in one log: one ran, one was denied.
pub(crate) fn two() -> Scene {
    let mut scene = held(one());
    scene.review(ALICE, Verdict::Approve);
    scene.redeem(&[ALICE]);
    scene.finish();
    scene.untold(Kind::Heartbeat);
    scene.another(draft(2, "prod"), one());
    scene.request();
    scene.review(BOB, Verdict::Deny);
    scene.untold(Kind::Heartbeat);
    scene
}

/// The smallest bundle of a case that ran.
pub(crate) fn small_cases() -> Vec<u8> {
    Pack::cases(&small()).bytes()
}

/// The smallest bundle of a period: its cases began before it.
pub(crate) fn small_period() -> Vec<u8> {
    let scene = small();
    Pack::period(&scene, 4, scene.log.len()).bytes()
}

fn small() -> Scene {
    let mut scene = Scene::of(draft(1, "prod"), one());
    scene.enrol(ALICE);
    scene.join(ALICE, "dba");
    scene.request();
    scene.review(ALICE, Verdict::Approve);
    scene.redeem(&[ALICE]);
    scene.finish();
    scene
}
