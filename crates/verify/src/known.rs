//! What the directory entries at hand tell of people, keys and groups, as of the entry that is looked at.
//!
//! It is not a whole directory: only what was put into the receipt or bundle. Where an entry speaks against a
//! reviewer, the review is refused; where none speaks at all, the review passes for now and what is missing is noted,
//! so that the verdict can be no better than indeterminate. Should a later entry speak after all, it is refused then.

mod accounts;
mod later;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use assertion::{
    Assertion, CredentialId, PublicKey, RelyingParty, SshPublicKey, UserVerification, check_assertion,
    check_ssh_signature,
};
use domain::Refusal;
use domain::account::ExternalAccount;
use domain::action::Action;
use domain::canonical;
use domain::digest::Blob;
use domain::directory::{Change, DirectoryEvent, Passkey};
use domain::id::{ActionId, AgentId, GroupName, PersonId};
use domain::key::{NotCountersigned, SshKey};
use domain::later::LaterStatement;
use domain::principal::Principal;
use domain::requirement::Requirement;
use domain::review::{PasskeyProof, Proof, ReviewVerifier, SignedReview, Standing};
use domain::statement::{Statement, Verdict};

use sha2::{Digest as _, Sha256};

use crate::replay::Slot;
use crate::report::{Key, Membership, Revoked};
use crate::verify::Trust;
use crate::vouch::{self, Vouch};

/// How many signatures that passed are remembered, so that the check at the run need not compute them anew.
const PASSED_LIMIT: usize = 16_384;

/// What is known so far.
pub(crate) struct Known<'a> {
    trust: &'a Trust,
    people: BTreeMap<PersonId, Person>,
    agents: BTreeMap<AgentId, Agent>,
    /// For whom each account elsewhere stands, or stood last.
    accounts: BTreeMap<ExternalAccount, accounts::Link>,
    /// For whom each credential was enrolled last, and where.
    owners: BTreeMap<Blob, (u64, PersonId)>,
    /// The index of the first entry that enrols any key.
    first_key: Option<u64>,
    /// The approvals under which keys were enrolled: each is good for one.
    spent: BTreeSet<ActionId>,
    /// For whom each credential id, and each public key, speaks: whoever was there first.
    holders: BTreeMap<Held, (PersonId, Blob)>,
    /// Who stands in the administrators' group.
    admins: BTreeSet<PersonId>,
    /// The last change that is withheld, by what it is about.
    withheld: BTreeMap<String, u64>,
    /// Credentials that signed before any entry enrolled them, and in whose name.
    unchecked: RefCell<BTreeMap<Blob, PersonId>>,
    missing: RefCell<BTreeSet<String>>,
    /// The digests of signatures that passed, each with the enrolment that it passed under.
    passed: RefCell<BTreeSet<[u8; 32]>>,
}

#[derive(Default)]
struct Person {
    name: Option<String>,
    deactivated: Option<u64>,
    keys: BTreeMap<Blob, KeyState>,
    /// Whether the person stands in the group; absent where no entry tells.
    groups: BTreeMap<GroupName, Member>,
}

enum Member {
    /// Since this entry, and who signed for it.
    In(u64, Vouch),
    Out,
}

impl Member {
    /// Whether the person stands there for all that entries say against it.
    fn counts(&self) -> bool {
        matches!(
            self,
            Self::In(
                _,
                Vouch::Bootstrap { .. } | Vouch::Alone(_) | Vouch::Signed { .. } | Vouch::NotShown(_)
            )
        )
    }
}

/// What no two people have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Held {
    Id(Blob),
    PublicKey(Blob),
}

enum KeyState {
    Enrolled(Box<(Enrolled, Key, Vouch)>),
    Revoked(Revoked),
}

/// A key of either kind, as it was enrolled.
enum Enrolled {
    Passkey(Passkey),
    Ssh(SshKey),
}

impl Enrolled {
    fn public_key(&self) -> &Blob {
        match self {
            Self::Passkey(key) => &key.public_key,
            Self::Ssh(key) => &key.public_key,
        }
    }

    fn fingerprint(&self) -> String {
        match self {
            Self::Passkey(key) => key.fingerprint(),
            Self::Ssh(key) => key.fingerprint(),
        }
    }
}

struct Agent {
    name: Option<String>,
    sponsor: Option<PersonId>,
}

impl<'a> Known<'a> {
    /// Nothing is known yet.
    pub(crate) fn new(trust: &'a Trust) -> Self {
        Self {
            trust,
            people: BTreeMap::new(),
            agents: BTreeMap::new(),
            accounts: BTreeMap::new(),
            owners: BTreeMap::new(),
            first_key: None,
            spent: BTreeSet::new(),
            holders: BTreeMap::new(),
            admins: BTreeSet::new(),
            withheld: BTreeMap::new(),
            unchecked: RefCell::default(),
            missing: RefCell::default(),
            passed: RefCell::default(),
        }
    }

    /// Takes in the next directory entry; `cases` are those that stand before it.
    ///
    /// # Errors
    /// An enrolment of a key that has signed before, with nothing enrolling it then.
    pub(crate) fn learn(
        &mut self,
        index: u64,
        change: &Change,
        cases: &BTreeMap<ActionId, Slot>,
    ) -> Result<(), String> {
        match &change.event {
            DirectoryEvent::PersonAdded { id, name } => self.person(*id).name = Some(name.clone()),
            DirectoryEvent::PersonDeactivated { id } => {
                self.admins.remove(id);
                let person = self.person(*id);
                person.deactivated = Some(index);
                person.groups.values_mut().for_each(|member| *member = Member::Out);
            }
            DirectoryEvent::KeyEnrolled { person, key } => {
                let (id, label) = (key.credential_id.clone(), key.label.clone());
                let key = Enrolled::Passkey(key.clone());
                let vouch = self.vouch(change, (*person, &id, &key), cases);
                return self.enrol(index, change, (*person, id, label), (key, vouch));
            }
            DirectoryEvent::SshKeyEnrolled { person, key } => {
                let (id, label) = (key.id(), key.label.clone());
                let key = Enrolled::Ssh(key.clone());
                let vouch = self.vouch(change, (*person, &id, &key), cases);
                return self.enrol(index, change, (*person, id, label), (key, vouch));
            }
            DirectoryEvent::KeyRevoked { person, credential_id } => {
                let signed = change.approval.map(|named| self.vouch_revocation(change, named, cases).told());
                let (by, under) = (change.by, change.approval);
                let revoked = Revoked { entry: index, by, under, countersigned: signed };
                self.person(*person).keys.insert(credential_id.clone(), KeyState::Revoked(revoked));
            }
            DirectoryEvent::AccountLinked { person, account } => {
                return self.link(index, change.by, *person, account);
            }
            DirectoryEvent::AccountUnlinked { person, account } => {
                self.unlink(index, change.by, *person, account);
            }
            DirectoryEvent::GroupJoined { group, person } => {
                let vouch = self.vouch_standing(change, cases);
                if *group == GroupName::admins() {
                    self.admins.insert(*person);
                }
                self.person(*person).groups.insert(group.clone(), Member::In(index, vouch));
            }
            DirectoryEvent::GroupLeft { group, person } => {
                if *group == GroupName::admins() {
                    self.admins.remove(person);
                }
                self.person(*person).groups.insert(group.clone(), Member::Out);
            }
            DirectoryEvent::AgentAdded { id, name, sponsor, .. } => {
                self.agents.insert(*id, Agent { name: Some(name.clone()), sponsor: Some(*sponsor) });
            }
            DirectoryEvent::AgentSponsorChanged { id, sponsor } => {
                self.agents.entry(*id).or_insert(Agent { name: None, sponsor: None }).sponsor =
                    Some(*sponsor);
            }
            DirectoryEvent::AgentKeyReplaced { .. }
            | DirectoryEvent::AgentDisabled { .. }
            | DirectoryEvent::RouteSet { .. }
            | DirectoryEvent::RouteRemoved { .. }
            | DirectoryEvent::PolicyApplied { .. } => {}
        }
        Ok(())
    }

    /// Takes note of a change that is withheld: what it is about cannot be judged from here on, since it may have taken
    /// a key or a standing away.
    pub(crate) fn learn_withheld(&mut self, index: u64, subject: Option<&str>) {
        self.withheld.extend(subject.map(|subject| (subject.to_owned(), index)));
    }

    /// Who signed for the key that this change enrols.
    fn vouch(
        &mut self,
        change: &Change,
        (owner, id, key): (PersonId, &Blob, &Enrolled),
        cases: &BTreeMap<ActionId, Slot>,
    ) -> Vouch {
        if let Some(other) = self.held_by_another(owner, id, key) {
            return Vouch::Refused(format!("the same key speaks for {other}: one human fills one place"));
        }
        match (change.approval, self.first_key, change.by) {
            (None, Some(first), _) => Vouch::Refused(format!(
                "it names no approval, and is not the first administrator's: entry {first} enrols a key before it"
            )),
            (None, None, None) => match &self.trust.bootstrap {
                Some(pinned) if *pinned != key.fingerprint() => Vouch::Refused(format!(
                    "it is the log's first, {}, and not the bootstrap key that is trusted",
                    key.fingerprint()
                )),
                pinned => Vouch::Bootstrap { pinned: pinned.is_some() },
            },
            (None, None, Some(_)) => Vouch::Refused(NotCountersigned::NoApproval.to_string()),
            (Some(named), _, _) if !self.spent.insert(named) => spent(named),
            (Some(named), _, _) => vouch::judge(change, named, Some(owner), cases.get(&named)),
        }
    }

    /// Who signed for the standing in a group that this change gives.
    fn vouch_standing(&mut self, change: &Change, cases: &BTreeMap<ActionId, Slot>) -> Vouch {
        let by = match (change.approval, change.by) {
            (Some(named), _) if !self.spent.insert(named) => return spent(named),
            (Some(named), _) => return vouch::judge(change, named, None, cases.get(&named)),
            (None, None) if self.first_key.is_none() => {
                return Vouch::Bootstrap { pinned: self.trust.bootstrap.is_some() };
            }
            (None, Some(Principal::Person(by))) => by,
            (None, None | Some(Principal::Agent(_))) => {
                return Vouch::Refused(NotCountersigned::NoApproval.to_string());
            }
        };
        let admin = self.people.get(&by).and_then(|person| person.groups.get(&GroupName::admins()));
        if admin.is_some_and(|member| !member.counts()) {
            return Vouch::Refused(format!("it names no approval, and {by} was no administrator"));
        }
        let second = self.admins.iter().find(|person| **person != by && self.has_passkey(**person));
        match second {
            Some(second) => {
                Vouch::Refused(format!("it names no approval, though {second} was a second administrator"))
            }
            None => Vouch::Alone(Principal::Person(by)),
        }
    }

    /// Who signed for the end of a key. Whatever comes of this, the key has ended.
    fn vouch_revocation(
        &mut self,
        change: &Change,
        named: ActionId,
        cases: &BTreeMap<ActionId, Slot>,
    ) -> Vouch {
        if self.spent.insert(named) {
            vouch::judge(change, named, None, cases.get(&named))
        } else {
            spent(named)
        }
    }

    /// Somebody else for whom the same key speaks by now, under the same id or another.
    fn held_by_another(&mut self, owner: PersonId, id: &Blob, key: &Enrolled) -> Option<PersonId> {
        let mut other = None;
        for held in [Held::Id(id.clone()), Held::PublicKey(key.public_key().clone())] {
            match self.holders.get(&held) {
                Some((holder, under)) if *holder != owner && self.holds(*holder, under) => {
                    other = other.or(Some(*holder));
                }
                Some(_) | None => {
                    self.holders.insert(held, (owner, id.clone()));
                }
            }
        }
        other
    }

    fn holds(&self, person: PersonId, id: &Blob) -> bool {
        let person = self.people.get(&person).filter(|person| person.deactivated.is_none());
        person.is_some_and(|person| matches!(person.keys.get(id), Some(KeyState::Enrolled(_))))
    }

    fn has_passkey(&self, person: PersonId) -> bool {
        self.people.get(&person).is_some_and(|person| {
            person.keys.values().any(|key| {
                matches!(key, KeyState::Enrolled(enrolled) if matches!(enrolled.0, Enrolled::Passkey(_)))
            })
        })
    }

    /// Takes in an enrolment: whose key, under which id, called what.
    fn enrol(
        &mut self,
        index: u64,
        change: &Change,
        (person, id, label): (PersonId, Blob, String),
        (key, vouch): (Enrolled, Vouch),
    ) -> Result<(), String> {
        self.first_key.get_or_insert(index);
        let countersigned = vouch.told();
        let (enrolled_by, under) = (change.by, change.approval);
        let told = Key { label, enrolled: index, enrolled_by, under, countersigned, revoked: None };
        self.person(person).keys.insert(id.clone(), KeyState::Enrolled(Box::new((key, told, vouch))));
        self.owners.insert(id.clone(), (index, person));
        self.not_too_late(&id, person, index)
    }

    /// Whether nothing was signed with a key before the entry that enrols it.
    fn not_too_late(&self, credential: &Blob, owner: PersonId, index: u64) -> Result<(), String> {
        match self.unchecked.borrow().get(credential) {
            None => Ok(()),
            Some(reviewer) if *reviewer == owner => {
                Err(format!("the key of {reviewer} was enrolled only later, by entry {index}"))
            }
            Some(reviewer) => Err(format!("entry {index} enrols the key for {owner}, not for {reviewer}")),
        }
    }

    /// A party's name, where an entry tells it.
    pub(crate) fn name(&self, principal: Principal) -> Option<String> {
        match principal {
            Principal::Person(id) => self.people.get(&id)?.name.clone(),
            Principal::Agent(id) => self.agents.get(&id)?.name.clone(),
        }
    }

    /// The reviewer's key that signed, where an entry enrols it.
    pub(crate) fn key(&self, signed: &SignedReview, reviewer: PersonId) -> Option<Key> {
        match self.people.get(&reviewer)?.keys.get(&signed.proof.key_id())? {
            KeyState::Enrolled(enrolled) => Some(enrolled.1.clone()),
            KeyState::Revoked(_) => None,
        }
    }

    /// The end of the key that signed, where an entry tells of it.
    pub(crate) fn revocation(&self, signed: &SignedReview, reviewer: PersonId) -> Option<Revoked> {
        match self.people.get(&reviewer)?.keys.get(&signed.proof.key_id())? {
            KeyState::Enrolled(_) => None,
            KeyState::Revoked(revoked) => Some(revoked.clone()),
        }
    }

    /// Why a reviewer stands in the group that their statement counts under.
    pub(crate) fn membership(&self, statement: &Statement) -> Option<Membership> {
        let group = statement.group.as_ref().filter(|_| statement.verdict == Verdict::Approve)?;
        self.membership_in(statement.reviewer, group)
    }

    /// What was needed and not there since this was asked last.
    pub(crate) fn take_missing(&self) -> BTreeSet<String> {
        self.missing.take()
    }

    fn person(&mut self, id: PersonId) -> &mut Person {
        self.people.entry(id).or_default()
    }

    fn note(&self, missing: String) {
        self.missing.borrow_mut().insert(missing);
    }

    /// Checks the signature, or notes that no entry enrols the key.
    fn signature(&self, signed: &SignedReview, reviewer: PersonId, said: Said) -> Result<(), Refusal> {
        if let Proof::Chat(proof) = &signed.proof {
            return self.chat(proof, reviewer);
        }
        let id = &signed.proof.key_id();
        let state = self.people.get(&reviewer).and_then(|person| person.keys.get(id));
        match state {
            Some(KeyState::Enrolled(enrolled)) => {
                let (key, told, vouch) = enrolled.as_ref();
                self.vouched(reviewer, told.enrolled, vouch)?;
                self.proof_once((signed, said), reviewer, key, told.enrolled)
            }
            Some(KeyState::Revoked(revoked)) => {
                let at = revoked.entry;
                Err(Refusal::NotActive(format!("the key of {reviewer} was revoked by entry {at}")))
            }
            None => match self.owners.get(id) {
                Some((at, owner)) => Err(Refusal::Signature(format!(
                    "entry {at} enrols the key for {owner}, not for {reviewer}"
                ))),
                None => {
                    self.unchecked.borrow_mut().entry(id.clone()).or_insert(reviewer);
                    self.note(format!(
                        "no entry enrols the key of {reviewer}, so their signature is unchecked"
                    ));
                    Ok(())
                }
            },
        }
    }

    /// Refuses a key that nobody signed for, or notes that nothing shows who did.
    fn vouched(&self, reviewer: PersonId, enrolled: u64, vouch: &Vouch) -> Result<(), Refusal> {
        match vouch {
            Vouch::Bootstrap { .. } | Vouch::Alone(_) | Vouch::Signed { .. } => Ok(()),
            Vouch::NotShown(why) => {
                self.note(format!(
                    "the enrolment of the key of {reviewer} by entry {enrolled} was not shown to be countersigned: {why}"
                ));
                Ok(())
            }
            Vouch::Refused(why) => Err(Refusal::NotActive(format!(
                "the key of {reviewer}, enrolled by entry {enrolled}, was not countersigned: {why}"
            ))),
        }
    }

    /// Notes that a change of whoever the review leans on is withheld: a key or a standing may have gone with it, or the
    /// caller may have come to another sponsor.
    fn unwithheld(&self, reviewer: PersonId, action: &Action) {
        let caller = action.chain().caller;
        let leans_on = [Principal::Person(reviewer)].into_iter().chain(match caller {
            Principal::Agent(_) => Some(caller),
            Principal::Person(_) => None,
        });
        for subject in leans_on.map(|principal| principal.to_string()) {
            if let Some(at) = self.withheld.get(&subject) {
                self.note(format!(
                    "entry {at}, a change of {subject}, is withheld, and may speak against a review"
                ));
            }
        }
    }

    /// Refuses a standing that nobody signed for who had to, or notes that nothing shows who did.
    fn standing(&self, statement: &Statement) -> Result<(), Refusal> {
        let Some(group) = statement.group.as_ref().filter(|_| statement.verdict == Verdict::Approve) else {
            return Ok(());
        };
        self.standing_as(statement.reviewer, group)
    }

    fn standing_as(&self, reviewer: PersonId, group: &GroupName) -> Result<(), Refusal> {
        match self.people.get(&reviewer).and_then(|person| person.groups.get(group)) {
            Some(Member::In(at, Vouch::NotShown(why))) => {
                self.note(format!(
                    "that {reviewer} stands in `{group}` by entry {at} was not shown to be approved: {why}"
                ));
                Ok(())
            }
            Some(Member::In(at, Vouch::Refused(why))) => Err(Refusal::NotActive(format!(
                "that {reviewer} stands in `{group}` by entry {at} was not approved: {why}"
            ))),
            Some(
                Member::In(_, Vouch::Bootstrap { .. } | Vouch::Alone(_) | Vouch::Signed { .. }) | Member::Out,
            )
            | None => Ok(()),
        }
    }

    /// Checks a proof, unless the very same passed before under the same enrolment.
    fn proof_once(
        &self,
        (signed, said): (&SignedReview, Said),
        reviewer: PersonId,
        key: &Enrolled,
        enrolled: u64,
    ) -> Result<(), Refusal> {
        let mut hash = Sha256::new_with_prefix(enrolled.to_be_bytes());
        hash.update([said as u8]);
        hash.update(reviewer.uuid().as_bytes());
        hash.update(canonical::write(signed)?);
        let digest: [u8; 32] = hash.finalize().into();
        if self.passed.borrow().contains(&digest) {
            return Ok(());
        }
        self.proof(signed, said, key)?;
        let mut passed = self.passed.borrow_mut();
        if passed.len() >= PASSED_LIMIT {
            passed.clear();
        }
        passed.insert(digest);
        Ok(())
    }

    /// Checks a proof of either kind with the key that it names.
    fn proof(&self, signed: &SignedReview, said: Said, key: &Enrolled) -> Result<(), Refusal> {
        let statement = &signed.statement.0;
        match (&signed.proof, key) {
            (Proof::Passkey(proof), Enrolled::Passkey(key)) => {
                let challenge = match said {
                    Said::Verdict => assertion::statement_challenge(statement),
                    Said::LaterReview => assertion::later_challenge(statement),
                };
                self.assertion(&challenge, proof, key)
            }
            (Proof::SshSig(proof), Enrolled::Ssh(key)) => {
                let bad = |error: assertion::Refusal| Refusal::Signature(error.to_string());
                let public = SshPublicKey::from_bytes(&key.public_key.0).map_err(bad)?;
                let (message, namespace) = match said {
                    Said::Verdict => {
                        (assertion::statement_message(statement), assertion::STATEMENT_NAMESPACE)
                    }
                    Said::LaterReview => (assertion::later_message(statement), assertion::LATER_NAMESPACE),
                };
                check_ssh_signature(&public, namespace, &message, &proof.signature.0).map_err(bad)?;
                Ok(())
            }
            (Proof::Passkey(_), Enrolled::Ssh(_))
            | (Proof::SshSig(_), Enrolled::Passkey(_))
            | (Proof::Chat(_), Enrolled::Passkey(_) | Enrolled::Ssh(_)) => {
                Err(Refusal::Signature("it is of another kind than the key that it names".to_owned()))
            }
        }
    }

    fn assertion(&self, challenge: &[u8; 32], proof: &PasskeyProof, key: &Passkey) -> Result<(), Refusal> {
        let bad = |error: assertion::Refusal| Refusal::Signature(error.to_string());
        if self.trust.rp_id.as_ref().is_some_and(|pinned| *pinned != key.rp_id) {
            return Err(Refusal::Signature(format!(
                "the key was enrolled for `{}`, not for the trusted one",
                key.rp_id
            )));
        }
        let party = RelyingParty {
            id: key.rp_id.clone(),
            origins: self.trust.web_origins.clone().unwrap_or_else(|| vec![key.origin.clone()]),
        };
        let public = PublicKey::from_cose(&key.public_key.0).map_err(bad)?;
        let assertion = Assertion {
            credential_id: CredentialId::new(proof.credential_id.0.clone()).map_err(bad)?,
            client_data_json: proof.client_data_json.0.clone(),
            authenticator_data: proof.authenticator_data.0.clone(),
            signature: proof.signature.0.clone(),
            user_handle: None,
        };
        check_assertion(&party, challenge, &public, &assertion, UserVerification::Required).map_err(bad)?;
        Ok(())
    }

    /// The groups in which a person stands, as far as entries tell.
    fn groups_of(&self, person: PersonId) -> BTreeSet<GroupName> {
        let told = self.people.get(&person).into_iter().flat_map(|person| &person.groups);
        told.filter(|(_, member)| member.counts()).map(|(group, _)| group.clone()).collect()
    }

    fn active(&self, person: PersonId) -> Result<(), Refusal> {
        match self.people.get(&person).and_then(|person| person.deactivated) {
            Some(at) => Err(Refusal::NotActive(format!("{person} was deactivated by entry {at}"))),
            None => Ok(()),
        }
    }

    /// The groups in which the reviewer stands, with the one that the review needs should no entry tell of it.
    fn groups(&self, statement: &Statement) -> BTreeSet<GroupName> {
        let told = self.people.get(&statement.reviewer).map(|person| &person.groups);
        let mut groups = self.groups_of(statement.reviewer);
        let untold = |group: &&GroupName| told.is_none_or(|told| !told.contains_key(*group));
        let asked = asked_groups(&statement.evaluation.requirement);
        let needed = match statement.verdict {
            Verdict::Approve => statement.group.as_ref().filter(untold),
            // One of the groups that were asked is enough; only where all are told to be others' is it settled.
            Verdict::Deny | Verdict::Ask if asked.iter().any(|group| groups.contains(*group)) => None,
            Verdict::Deny | Verdict::Ask => asked.into_iter().find(untold),
        };
        if let Some(group) = needed {
            self.note(format!("no entry tells whether {} stood in the group `{group}`", statement.reviewer));
            groups.insert(group.clone());
        }
        groups
    }
}

impl ReviewVerifier for Known<'_> {
    fn verify(
        &self,
        signed: &SignedReview,
        statement: &Statement,
        action: &Action,
    ) -> Result<Standing, Refusal> {
        let reviewer = statement.reviewer;
        self.active(reviewer)?;
        self.signature(signed, reviewer, Said::Verdict)?;
        self.unwithheld(reviewer, action);
        self.standing(statement)?;
        let caller = match action.chain().caller {
            Principal::Agent(id) => self.agents.get(&id).and_then(|agent| agent.sponsor),
            Principal::Person(_) => None,
        };
        Ok(Standing { groups: self.groups(statement), controls_caller: caller == Some(reviewer) })
    }

    fn verify_later(
        &self,
        signed: &SignedReview,
        statement: &LaterStatement,
        action: &Action,
    ) -> Result<Standing, Refusal> {
        self.look_back(signed, statement, action)
    }
}

/// What kind of statement was signed: neither signature passes for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Verdict = 0,
    LaterReview = 1,
}

fn asked_groups(requirement: &Requirement) -> BTreeSet<&GroupName> {
    let quorums = requirement.holds.iter().flat_map(|hold| &hold.any_of);
    quorums.filter(|quorum| !quorum.break_glass).map(|quorum| &quorum.group).collect()
}

fn spent(approval: ActionId) -> Vouch {
    Vouch::Refused(format!("the approval {approval} was spent on another change before"))
}
