//! Random lives of an approval, held against what the house promises and never against its own code.

use std::cell::Cell;
use std::collections::BTreeSet;

use domain::Refusal;
use domain::action::Action;
use domain::approval::{Approval, Command};
use domain::digest::Blob;
use domain::evaluation::{Decision, Evaluation};
use domain::event::Event;
use domain::grant::{Permit, dismissals};
use domain::id::{GroupName, PersonId};
use domain::later::{CheckedLaterReview, End};
use domain::outcome::{Ending, Outcome, Witnessed};
use domain::principal::Principal;
use domain::requirement::{Assurance, Quorum, Requirement, Separation};
use domain::review::{CheckedReview, Proof};
use domain::statement::Verdict;
use domain::time::{Span, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::*;

/// Something that happens in or around a case.
#[derive(Debug, Clone)]
enum Deed {
    Review {
        who: u8,
        group: usize,
        verdict: Verdict,
        nonce: u8,
        assurance: Assurance,
        expires: u64,
        stale: bool,
        glass: bool,
    },
    Answer {
        question: u8,
        by: Option<u8>,
    },
    Withdraw {
        question: u8,
        by: u8,
    },
    Cancel {
        by: u8,
    },
    Reevaluate(Answered),
    Expire,
    /// Asks for a permit under a fresh answer of policy, and keeps it.
    Issue(Answered),
    /// Spends a kept permit: the newest, or an older one.
    Redeem {
        back: usize,
    },
    Finish,
    /// Whoever lost their standing is found, and asked for no more.
    Dismiss,
    Wait(u64),
    Revoke(u8),
    Join(u8, usize),
    Leave(u8, usize),
    Control(u8),
    /// Somebody looks at broken glass afterwards; what they sign may be of an end that was never.
    LookBack {
        who: u8,
        group: usize,
        other_end: bool,
        expires: u64,
    },
    /// Somebody alters a stored review and leaves its signature.
    Alter {
        which: usize,
    },
}

/// What policy answers.
#[derive(Debug, Clone)]
enum Answered {
    Permit,
    Deny,
    Review { holds: usize, separation: Separation, assurance: Assurance, grant: u64 },
}

const HOLDS: [&[&[(u8, usize)]]; 9] = [
    &[&[(1, 0)]],
    &[&[(2, 0)]],
    &[&[(1, 0)], &[(1, 1)]],
    &[&[(2, 0), (1, 1)]],
    &[&[(1, 0), (1, 1)], &[(1, 1), (2, 2)]],
    &[&[(3, 0)], &[(1, 2)]],
    // The last alternative is break-glass.
    &[&[(2, 0), (0, 1)]],
    &[&[(1, 0), (0, 0)], &[(3, 2), (0, 1)]],
    // What no deed of people's meets.
    &[],
];

impl Answered {
    fn decision(&self) -> Decision {
        match self {
            Self::Permit => Decision::Permit,
            Self::Deny => Decision::Deny,
            Self::Review { holds, separation, assurance, grant } => Decision::NeedsReview(Requirement {
                separation: *separation,
                assurance: *assurance,
                grant: Span::from_seconds(*grant),
                ..requirement(HOLDS[*holds])
            }),
        }
    }
}

fn answered() -> impl Strategy<Value = Answered> {
    let review = (
        prop_oneof![4 => 0..2_usize, 6 => 0..HOLDS.len()],
        prop_oneof![6 => Just(Separation::Full), 1 => Just(Separation::None)],
        prop_oneof![8 => Just(Assurance::Passkey), 1 => Just(Assurance::Chat)],
        prop_oneof![5 => Just(300_u64), 1 => Just(20)],
    );
    let review = review.prop_map(|(holds, separation, assurance, grant)| Answered::Review {
        holds,
        separation,
        assurance,
        grant,
    });
    prop_oneof![1 => Just(Answered::Permit), 1 => Just(Answered::Deny), 24 => review]
}

fn deed() -> impl Strategy<Value = Deed> {
    let who = prop_oneof![1 => Just(SPONSOR), 1 => Just(SUBJECT), 10 => 2..PEOPLE];
    let verdict =
        prop_oneof![24 => Just(Verdict::Approve), 1 => Just(Verdict::Deny), 3 => Just(Verdict::Ask)];
    let review = (
        who.clone(),
        prop_oneof![3 => Just(0_usize), 2 => 0..GROUPS.len()],
        verdict,
        prop_oneof![20 => any::<u8>(), 1 => Just(0)],
        prop_oneof![12 => Just(Assurance::Passkey), 1 => Just(Assurance::Chat)],
        prop_oneof![12 => Just(1_000_000_u64), 1 => 0..600_u64],
        prop::bool::weighted(0.03),
        prop::bool::weighted(0.2),
    );
    let review = review.prop_map(|(who, group, verdict, nonce, assurance, expires, stale, glass)| {
        Deed::Review { who, group, verdict, nonce, assurance, expires, stale, glass }
    });
    prop_oneof![
        30 => review,
        6 => (any::<u8>(), prop::option::weighted(0.7, 0..PEOPLE)).prop_map(|(question, by)| Deed::Answer { question, by }),
        3 => (any::<u8>(), 0..PEOPLE).prop_map(|(question, by)| Deed::Withdraw { question, by }),
        1 => (0..PEOPLE).prop_map(|by| Deed::Cancel { by }),
        4 => answered().prop_map(Deed::Reevaluate),
        2 => Just(Deed::Expire),
        16 => answered().prop_map(Deed::Issue),
        16 => prop_oneof![5 => Just(0_usize), 1 => 0..4_usize].prop_map(|back| Deed::Redeem { back }),
        4 => Just(Deed::Finish),
        5 => Just(Deed::Dismiss),
        8 => prop_oneof![6 => 0..60_u64, 1 => 200..2_000_u64].prop_map(Deed::Wait),
        2 => (2..PEOPLE).prop_map(Deed::Revoke),
        2 => (2..PEOPLE, 0..GROUPS.len()).prop_map(|(who, group)| Deed::Join(who, group)),
        2 => (2..PEOPLE, 0..GROUPS.len()).prop_map(|(who, group)| Deed::Leave(who, group)),
        1 => (0..PEOPLE).prop_map(Deed::Control),
        1 => (0..4_usize).prop_map(|which| Deed::Alter { which }),
        8 => look_back(who),
    ]
}

fn look_back(who: impl Strategy<Value = u8>) -> impl Strategy<Value = Deed> {
    let expires = prop_oneof![12 => Just(1_000_000_u64), 1 => 0..600_u64];
    (who, 0..=GROUPS.len(), prop::bool::weighted(0.1), expires)
        .prop_map(|(who, group, other_end, expires)| Deed::LookBack { who, group, other_end, expires })
}

/// An approving review that was accepted, as this test remembers it.
#[derive(Debug, Clone)]
struct Approving {
    who: PersonId,
    group: usize,
    glass: bool,
    assurance: Assurance,
}

impl Approving {
    fn said(&self) -> Said {
        Said {
            at_group: Some(self.group),
            glass: self.glass,
            verdict: Verdict::Approve,
            assurance: self.assurance,
        }
    }
}

/// What somebody says, or would say.
#[derive(Debug, Clone, Copy)]
struct Said {
    at_group: Option<usize>,
    glass: bool,
    verdict: Verdict,
    assurance: Assurance,
}

/// Whether a requirement asks for a group, or lets one of it break glass.
fn asks(requirement: &Requirement, name: &str, glass: bool) -> bool {
    let mut quorums = requirement.holds.iter().flat_map(|hold| &hold.any_of);
    quorums.any(|quorum| quorum.group.as_str() == name && quorum.break_glass == glass)
}

struct Life {
    action: Action,
    desk: Desk,
    now: Timestamp,
    approval: Approval,
    events: Vec<(Event, Timestamp)>,
    permits: Vec<(Command, Answered, u64)>,
    approving: Vec<Approving>,
    /// Since when the approval has stood without a break.
    approved_since: Option<Timestamp>,
    altered: bool,
    questions: u8,
    redeemed: usize,
    /// Everybody who ever approved, and whether by breaking glass, with the requirement that stood then.
    ever: Vec<(PersonId, bool, Requirement)>,
    looked: usize,
}

impl Life {
    fn begin(environment: &str, first: &Answered) -> Option<Self> {
        let action = action(environment);
        let Decision::NeedsReview(requirement) = first.decision() else { return None };
        let event = requested(&action, requirement);
        let approval = Approval::apply(None, &event, at(0)).unwrap();
        Some(Self {
            action,
            desk: Desk::open(),
            now: at(0),
            approval,
            events: vec![(event, at(0))],
            permits: Vec::new(),
            approving: Vec::new(),
            approved_since: None,
            altered: false,
            questions: 0,
            redeemed: 0,
            ever: Vec::new(),
            looked: 0,
        })
    }

    fn evaluate(&self, answered: &Answered) -> Evaluation {
        evaluation(&self.action, answered.decision())
    }

    /// The command of a deed; `None` where it is no command, or the domain did not even let it become one.
    fn command(&mut self, deed: &Deed) -> Option<Command> {
        match deed {
            Deed::Review { .. } => self.review(deed),
            Deed::Answer { question: n, by } => Some(Command::Answer {
                question: question(n % self.questions.max(1)),
                by: by.map_or(Principal::Agent(agent()), |by| Principal::Person(person(by))),
                text: "the stuck one".to_owned(),
            }),
            Deed::Withdraw { question: n, by } => {
                Some(Command::Withdraw { question: question(n % self.questions.max(1)), by: person(*by) })
            }
            Deed::Cancel { by } => {
                Some(Command::Cancel { by: Principal::Person(person(*by)), reason: "no need".to_owned() })
            }
            Deed::Reevaluate(answered) => Some(Command::Reevaluate(self.evaluate(answered))),
            Deed::Expire => Some(Command::Expire),
            Deed::Issue(answered) => {
                self.issue(answered);
                None
            }
            Deed::Redeem { .. } => None,
            Deed::Finish => {
                Some(Command::Finish(Outcome::new(Ending::Succeeded, Witnessed::Observed, "204")))
            }
            Deed::Dismiss => self.dismiss(),
            Deed::Wait(seconds) => {
                self.now = self.now.after(Span::from_seconds(*seconds));
                None
            }
            Deed::Revoke(who) => {
                self.desk.revoked.insert(person(*who));
                None
            }
            Deed::Join(who, at) => {
                self.desk.groups.entry(person(*who)).or_default().insert(group(*at));
                None
            }
            Deed::Leave(who, at) => {
                self.desk.groups.entry(person(*who)).or_default().remove(&group(*at));
                None
            }
            Deed::Control(who) => {
                self.desk.controls.insert(person(*who));
                None
            }
            Deed::LookBack { who, group, other_end, expires } => {
                self.look_back(*who, *group, *other_end, *expires)
            }
            Deed::Alter { which } => {
                self.alter(*which);
                None
            }
        }
    }

    fn review(&mut self, deed: &Deed) -> Option<Command> {
        let Deed::Review { who, group: at_group, verdict, nonce, assurance, expires, stale, glass } = deed
        else {
            return None;
        };
        let glass = *glass && *verdict == Verdict::Approve;
        let standing = if *stale {
            self.evaluate(&Answered::Review {
                holds: 3,
                separation: Separation::Full,
                assurance: Assurance::Chat,
                grant: 1,
            })
        } else {
            self.approval.case().evaluation.clone()
        };
        let mut statement = statement(&self.action, &standing, *who, *verdict, *nonce);
        statement.assurance = *assurance;
        statement.expires = at(*expires);
        statement.break_glass = glass;
        statement.note = Some("it cannot wait".to_owned());
        statement.group = (*verdict == Verdict::Approve).then(|| group(*at_group));
        let requirement = statement.evaluation.requirement.clone();
        let checked =
            CheckedReview::check(sign(&statement), &self.action, &requirement, &origin(), &self.desk);
        let expected = {
            let said = Said { at_group: Some(*at_group), glass, verdict: *verdict, assurance: *assurance };
            self.may_review(person(*who), said, &requirement)
        };
        assert_eq!(checked.is_ok(), expected, "{deed:?}: {checked:?}");
        Some(Command::Review { review: checked.ok()?, question: question(self.questions) })
    }

    fn look_back(&mut self, who: u8, group_at: usize, other_end: bool, expires: u64) -> Option<Command> {
        let group = GROUPS.get(group_at).map_or_else(GroupName::admins, |name| name.parse().unwrap());
        let mut said = later(&self.action, &self.approval, who, group.clone());
        said.expires = at(expires);
        if other_end {
            said.end = End::Expired { at: at(7_777_777) };
        }
        let checked =
            CheckedLaterReview::check(sign_later(&said), &self.action, &self.approval, &origin(), &self.desk);
        let by = person(who);
        let stands = self.desk.groups.get(&by).is_some_and(|all| all.contains(&group));
        let broken: Vec<_> = self.ever.iter().filter(|(_, glass, _)| *glass).collect();
        let passed_over = group == GroupName::admins()
            || broken.iter().any(|(_, _, requirement)| asks(requirement, group.as_str(), false));
        let expected = !broken.is_empty()
            && self.approval.is_terminal()
            && self.looked == 0
            && !other_end
            && stands
            && passed_over
            && !self.desk.revoked.contains(&by)
            && !self.desk.controls.contains(&by)
            && ![person(SPONSOR), person(SUBJECT)].contains(&by)
            && self.ever.iter().all(|(approved, ..)| *approved != by);
        // An altered statement of whoever broke the glass is found by its signature, elsewhere.
        assert_eq!(checked.is_ok(), expected, "{who} as one of {group}: {checked:?}");
        Some(Command::LookBack(checked.ok()?))
    }

    /// Whether this human may say this now, by the words of the house.
    fn may_review(&self, who: PersonId, said: Said, requirement: &Requirement) -> bool {
        let Said { at_group, glass, verdict, assurance } = said;
        let asked = |name: &str| asks(requirement, name, glass);
        let stands =
            |name: &str| self.desk.groups.get(&who).is_some_and(|all| all.contains(&name.parse().unwrap()));
        let chain = [person(SPONSOR), person(SUBJECT)];
        let apart = !chain.contains(&who) && !self.desk.controls.contains(&who);
        let production = self.action.parts().resource.environment.as_str() == "prod";
        let solo =
            !glass && requirement.separation == Separation::None && who != person(SUBJECT) && !production;
        let eligible = match verdict {
            Verdict::Approve => at_group.is_some_and(|n| asked(GROUPS[n]) && stands(GROUPS[n])),
            Verdict::Deny | Verdict::Ask => GROUPS.iter().any(|name| asked(name) && stands(name)),
        };
        let strong = (!glass && requirement.assurance == Assurance::Chat) || assurance == Assurance::Passkey;
        let separate = apart || solo || verdict == Verdict::Deny;
        eligible && strong && separate && !self.desk.revoked.contains(&who)
    }

    /// Whether the accepted approvals meet the requirement as of now.
    fn met(&self, requirement: &Requirement) -> bool {
        let counts = |name: &str, glass: bool| {
            let people: BTreeSet<_> = self
                .approving
                .iter()
                .filter(|one| GROUPS[one.group] == name && one.glass == glass)
                .filter(|one| self.may_review(one.who, one.said(), requirement))
                .map(|one| one.who)
                .collect();
            people.len()
        };
        let lifted = |hold: &domain::requirement::Hold| {
            let met = |quorum: &Quorum| {
                counts(quorum.group.as_str(), quorum.break_glass) >= usize::from(quorum.count)
            };
            hold.any_of.iter().any(met)
        };
        !requirement.holds.is_empty() && requirement.holds.iter().all(lifted)
    }

    /// Finds whose approvals count no more, and holds that against the words of the house.
    fn dismiss(&mut self) -> Option<Command> {
        let found = dismissals(&self.approval, &self.action, &origin(), &self.desk);
        let Decision::NeedsReview(requirement) = self.approval.case().evaluation.decision.clone() else {
            assert_eq!(found, Ok(Vec::new()));
            return None;
        };
        if !matches!(self.approval, Approval::Pending(_) | Approval::Approved(_)) {
            assert_eq!(found, Ok(Vec::new()));
            return None;
        }
        if self.altered {
            return None;
        }
        let asked = |one: &&Approving| asks(&requirement, GROUPS[one.group], one.glass);
        let lost: BTreeSet<PersonId> = self
            .approving
            .iter()
            .filter(asked)
            .filter(|one| !self.may_review(one.who, one.said(), &requirement))
            .map(|one| one.who)
            .collect();
        let found = found.unwrap();
        let people: BTreeSet<PersonId> = found.iter().map(|dismissal| dismissal.reviewer).collect();
        assert!(people.is_superset(&lost), "{lost:?} count no more, and only {people:?} were found");
        (!found.is_empty()).then_some(Command::Dismiss(found))
    }

    fn issue(&mut self, answered: &Answered) {
        let fresh = self.evaluate(answered);
        let issued = Permit::issue(&self.approval, &self.action, fresh, &origin(), &self.desk, grant(1));
        let approved = matches!(self.approval, Approval::Approved(_));
        let expected = approved
            && match answered.decision() {
                Decision::Permit => true,
                Decision::Deny => false,
                Decision::NeedsReview(requirement) => !self.altered && self.met(&requirement),
            };
        assert_eq!(issued.is_ok(), expected, "{answered:?}: {issued:?}");
        if self.altered && approved && matches!(answered, Answered::Review { .. }) {
            assert!(matches!(issued, Err(Refusal::Signature(_))), "an altered review is not passed over");
        }
        if let Ok(permit) = issued {
            assert_eq!(permit.version(), self.events.len() as u64);
            let counted: BTreeSet<_> = permit.counted().iter().collect();
            assert_eq!(counted.len(), permit.counted().len(), "one human counts once");
            self.permits.push((Command::Redeem(permit), answered.clone(), self.events.len() as u64));
        }
    }

    /// Alters a review in the record; the replay of the events no longer is what stands.
    fn alter(&mut self, which: usize) {
        let case = match &mut self.approval {
            Approval::Pending(pending) => &mut pending.case,
            Approval::Approved(approved) => &mut approved.case,
            _ => return,
        };
        // One that counts no more is looked at no more.
        if let Some(record) = case.reviews.get_mut(which).filter(|record| record.dismissed.is_none()) {
            let Proof::Passkey(proof) = &mut record.signed.proof else { return };
            proof.signature = Blob(vec![0; 32]);
            self.altered = true;
        }
    }

    fn live(&mut self, deed: &Deed) {
        if let Deed::Redeem { back } = deed {
            let Some(at) = self.permits.len().checked_sub(back + 1) else { return };
            let (command, answered, version) = self.permits.remove(at);
            self.redeem(&command, &answered, version);
            self.permits.push((command, answered, version));
        } else if let Some(command) = self.command(deed) {
            self.advance(&command);
        }
    }

    fn redeem(&mut self, command: &Command, answered: &Answered, version: u64) {
        let case = self.approval.case().clone();
        let approved = matches!(self.approval, Approval::Approved(_));
        let lapsed = self.approval.deadline().is_some_and(|deadline| self.now >= deadline);
        let result = self.approval.handle(command, self.now);
        if approved && !lapsed && version != self.events.len() as u64 {
            assert_eq!(result.as_ref().unwrap_err(), &Refusal::Stale, "an older permit is good for nothing");
        }
        let Ok(step) = result else { return };
        let redemption = step.redemption.expect("a redemption comes with its right to run");
        assert_eq!(redemption.approval(), self.action.id());
        assert_eq!(redemption.into_grant().action(), self.action.digest());
        assert_eq!(version, self.events.len() as u64);
        assert!(approved && !lapsed);
        assert!(case.questions.iter().all(|question| question.settled.is_some()), "a question was open");
        let since = self.approved_since.expect("it was approved");
        if let Decision::NeedsReview(standing) = &case.evaluation.decision {
            assert!(self.now < since.after(standing.grant), "an approval was kept alive beyond its time");
        } else {
            assert!(self.now < case.expires);
        }
        match answered.decision() {
            Decision::Permit => {}
            Decision::Deny => panic!("it ran against policy"),
            // The desk may have changed since the permit was issued: the store's directory version sees to that.
            Decision::NeedsReview(requirement) => {
                let Event::Redeemed { counted, .. } = &step.event else { panic!("another event") };
                let approving: BTreeSet<_> = self.approving.iter().map(|one| one.who).collect();
                assert!(!counted.is_empty() && counted.iter().all(|who| approving.contains(who)));
                if requirement.separation == Separation::Full {
                    assert!(!counted.contains(&person(SPONSOR)));
                }
                assert!(!counted.contains(&person(SUBJECT)));
            }
        }
        self.redeemed += 1;
        assert_eq!(self.redeemed, 1, "it ran twice");
        self.record(step.event);
    }

    fn advance(&mut self, command: &Command) {
        let before = self.approval.clone();
        let lapsed = before.deadline().is_some_and(|deadline| self.now >= deadline);
        let result = before.handle(command, self.now);
        assert_eq!(before, self.approval, "deciding changes nothing");
        let Ok(step) = result else { return };
        assert!(step.redemption.is_none(), "only a permit is redeemed");
        if let Command::LookBack(review) = command {
            assert!(before.is_terminal(), "it is looked at afterwards");
            assert!(self.now < review.statement().expires);
            let after = Approval::apply(Some(before.clone()), &step.event, self.now).unwrap();
            assert_eq!(after.word(), before.word(), "terminal stays terminal");
            assert_eq!(End::of(&after), End::of(&before), "and as it ended");
            self.looked += 1;
            assert_eq!(self.looked, 1, "it was looked at twice");
            return self.record(step.event);
        }
        assert!(!before.is_terminal(), "terminal stays terminal");
        assert!(!lapsed || matches!(command, Command::Expire), "expired, and yet {command:?}");
        if let Command::Review { review, .. } = command {
            let statement = review.statement();
            assert!(self.now < statement.expires);
            match statement.verdict {
                Verdict::Ask => self.questions += 1,
                Verdict::Deny => {}
                Verdict::Approve => {
                    assert!(self.approving.iter().all(|one| one.who != statement.reviewer), "counted twice");
                    let at = GROUPS
                        .iter()
                        .position(|name| Some(*name) == statement.group.as_ref().map(|g| g.as_str()));
                    let requirement = statement.evaluation.requirement.clone();
                    self.ever.push((statement.reviewer, statement.break_glass, requirement));
                    self.approving.push(Approving {
                        who: statement.reviewer,
                        group: at.unwrap(),
                        glass: statement.break_glass,
                        assurance: statement.assurance,
                    });
                }
            }
        }
        if let Command::Dismiss(dismissed) = command {
            assert!(!matches!(before, Approval::Denied(_)));
            self.approving.retain(|one| dismissed.iter().all(|dismissal| dismissal.reviewer != one.who));
        }
        self.record(step.event);
    }

    fn record(&mut self, event: Event) {
        let before = self.approval.clone();
        self.approval = Approval::apply(Some(before.clone()), &event, self.now).unwrap();
        self.events.push((event, self.now));
        self.approved_since = match (&self.approval, self.approved_since) {
            (Approval::Approved(_), Some(since)) => Some(since),
            (Approval::Approved(_), None) => Some(self.now),
            _ => None,
        };
        assert_eq!(self.approval.case().version, self.events.len() as u64, "the version counts the events");
        if !self.altered {
            let again = Approval::replay(self.events.iter().map(|(event, at)| (event, *at))).unwrap();
            assert_eq!(again, self.approval, "the approval is what its events replay to");
        }
        match &self.approval {
            Approval::Finished(done) if done.case.later.is_some() => assert_eq!(before.word(), "finished"),
            Approval::Finished(_) => assert!(matches!(before, Approval::Executing(_))),
            Approval::Executing(_) => assert!(matches!(before, Approval::Approved(_))),
            Approval::Approved(_) => assert!(!self.approval.case().question_open()),
            Approval::Denied(_) => assert_eq!(self.redeemed, 0),
            Approval::Pending(_) | Approval::Expired(_) | Approval::Cancelled(_) => {}
        }
    }
}

fn live(environment: &str, first: &Answered, deeds: &[Deed]) -> Option<Life> {
    let mut life = Life::begin(environment, first)?;
    for deed in deeds {
        life.live(deed);
    }
    Some(life)
}

#[test]
fn no_life_breaks_a_promise() {
    let (ran, ended) = (Cell::new(0_u32), Cell::new(0_u32));
    let lives =
        (prop::sample::select(vec!["prod", "staging"]), answered(), prop::collection::vec(deed(), 1..60));
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, cases: 1_000, ..Default::default() });
    let result = runner.run(&lives, |(environment, first, deeds)| {
        if let Some(life) = live(environment, &first, &deeds) {
            ran.set(ran.get() + u32::from(life.redeemed > 0));
            ended.set(ended.get() + u32::from(life.approval.is_terminal()));
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(ran.get() > 40, "only {} lives ran: the promises were hardly tried", ran.get());
    assert!(ended.get() > 200, "only {} lives ended", ended.get());
}

#[test]
fn no_life_in_which_glass_is_broken_breaks_a_promise() {
    let looked = Cell::new(0_u32);
    let lives = (
        2..PEOPLE,
        prop::collection::vec(deed(), 0..16),
        prop::collection::vec(look_back(0..PEOPLE), 1..8),
        prop::collection::vec(deed(), 0..8),
    );
    let config = ProptestConfig { failure_persistence: None, cases: 400, ..Default::default() };
    let result = TestRunner::new(config).run(&lives, |(who, between, looks, after)| {
        // Two of the first group, or by break-glass one of the second.
        let first = Answered::Review {
            holds: 6,
            separation: Separation::Full,
            assurance: Assurance::Passkey,
            grant: 300,
        };
        let says = |who, verdict, nonce, glass| Deed::Review {
            who,
            group: 1,
            verdict,
            nonce,
            assurance: Assurance::Passkey,
            expires: 1_000_000,
            stale: false,
            glass,
        };
        let breaks = says(who, Verdict::Approve, 201, true);
        let ends = [Deed::Finish, Deed::Cancel { by: SUBJECT }, Deed::Wait(9_999), Deed::Expire];
        let deeds: Vec<_> =
            std::iter::once(breaks).chain(between).chain(ends).chain(looks).chain(after).collect();
        let life = live("prod", &first, &deeds).unwrap();
        looked.set(looked.get() + u32::from(life.looked > 0));
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(looked.get() > 100, "only {} were looked at afterwards", looked.get());
}

#[test]
fn an_approval_is_not_kept_alive_by_asking_policy_again_or_by_one_more_review() {
    let action = action("prod");
    let requirement = requirement(HOLDS[0]);
    let mut approval = open(&action, requirement.clone());
    let step = |approval: Approval, command: &Command, now| {
        let step = approval.handle(command, now).unwrap();
        Approval::apply(Some(approval), &step.event, now).unwrap()
    };
    let review = |approval: &Approval, who| {
        let statement = statement(&action, &approval.case().evaluation, who, Verdict::Approve, who);
        let review =
            CheckedReview::check(sign(&statement), &action, &requirement, &origin(), &Desk::open()).unwrap();
        Command::Review { review, question: question(0) }
    };
    approval = step(approval.clone(), &review(&approval, 2), at(10));
    assert_eq!(approval.deadline(), Some(at(310)));
    approval = step(approval, &Command::Reevaluate(held(&action, requirement.clone())), at(300));
    assert_eq!(approval.deadline(), Some(at(310)));
    approval = step(approval.clone(), &review(&approval, 3), at(309));
    assert_eq!(approval.deadline(), Some(at(310)));
    let again = Command::Reevaluate(held(&action, requirement.clone()));
    assert_eq!(approval.handle(&again, at(310)).unwrap_err(), Refusal::Expired);
}
