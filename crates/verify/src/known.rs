//! What the directory entries at hand tell of people, keys and groups, as of the entry that is looked at.
//!
//! It is not a whole directory: only what was put into the receipt or bundle. Where an entry speaks against a
//! reviewer, the review is refused; where none speaks at all, the review passes for now and what is missing is noted,
//! so that the verdict can be no better than indeterminate. Should a later entry speak after all, it is refused then.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use assertion::{
    Assertion, CredentialId, PublicKey, RelyingParty, SshPublicKey, UserVerification, check_assertion,
    check_ssh_signature,
};
use domain::Refusal;
use domain::action::Action;
use domain::canonical;
use domain::digest::Blob;
use domain::directory::{Change, DirectoryEvent, Passkey};
use domain::id::{ActionId, AgentId, GroupName, PersonId};
use domain::key::SshKey;
use domain::principal::Principal;
use domain::requirement::Requirement;
use domain::review::{PasskeyProof, Proof, ReviewVerifier, SignedReview, Standing};
use domain::statement::{Statement, Verdict};

use sha2::{Digest as _, Sha256};

use crate::replay::Slot;
use crate::report::Key;
use crate::verify::Trust;
use crate::vouch::{self, Vouch};

/// How many signatures that passed are remembered, so that the check at the run need not compute them anew.
const PASSED_LIMIT: usize = 16_384;

/// What is known so far.
pub(crate) struct Known<'a> {
    trust: &'a Trust,
    people: BTreeMap<PersonId, Person>,
    agents: BTreeMap<AgentId, Agent>,
    /// For whom each credential was enrolled last, and where.
    owners: BTreeMap<Blob, (u64, PersonId)>,
    /// The index of the first entry that enrols any key.
    first_key: Option<u64>,
    /// The approvals under which keys were enrolled: each is good for one.
    spent: BTreeSet<ActionId>,
    /// Credentials that signed before any entry enrolled them, and in whose name.
    unchecked: RefCell<BTreeSet<(Blob, PersonId)>>,
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
    groups: BTreeMap<GroupName, bool>,
}

enum KeyState {
    Enrolled(Box<(Enrolled, Key, Vouch)>),
    Revoked(u64),
}

/// A key of either kind, as it was enrolled.
enum Enrolled {
    Passkey(Passkey),
    Ssh(SshKey),
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
            owners: BTreeMap::new(),
            first_key: None,
            spent: BTreeSet::new(),
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
                let person = self.person(*id);
                person.deactivated = Some(index);
                person.groups.values_mut().for_each(|member| *member = false);
            }
            DirectoryEvent::KeyEnrolled { person, key } => {
                let (id, label) = (key.credential_id.clone(), key.label.clone());
                let vouch = self.vouch(change, *person, cases);
                let key = Enrolled::Passkey(key.clone());
                return self.enrol(index, change, (*person, id, label), (key, vouch));
            }
            DirectoryEvent::SshKeyEnrolled { person, key } => {
                let (id, label) = (key.id(), key.label.clone());
                let vouch = self.vouch(change, *person, cases);
                let key = Enrolled::Ssh(key.clone());
                return self.enrol(index, change, (*person, id, label), (key, vouch));
            }
            DirectoryEvent::KeyRevoked { person, credential_id } => {
                self.person(*person).keys.insert(credential_id.clone(), KeyState::Revoked(index));
            }
            DirectoryEvent::GroupJoined { group, person } => {
                self.person(*person).groups.insert(group.clone(), true);
            }
            DirectoryEvent::GroupLeft { group, person } => {
                self.person(*person).groups.insert(group.clone(), false);
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

    /// Who signed for the key that this change enrols.
    fn vouch(&mut self, change: &Change, owner: PersonId, cases: &BTreeMap<ActionId, Slot>) -> Vouch {
        match (change.approval, self.first_key) {
            (None, Some(first)) => Vouch::Refused(format!(
                "it names no approval, and is not the first administrator's: entry {first} enrols a key before it"
            )),
            (Some(named), _) if !self.spent.insert(named) => {
                Vouch::Refused(format!("the approval {named} was spent on another enrolment before"))
            }
            (approval, _) => vouch::judge(change, owner, approval.and_then(|named| cases.get(&named))),
        }
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
        let told = Key { label, enrolled: index, enrolled_by, under, countersigned };
        self.person(person).keys.insert(id.clone(), KeyState::Enrolled(Box::new((key, told, vouch))));
        self.owners.insert(id.clone(), (index, person));
        self.not_too_late(&id, person, index)
    }

    /// Whether nothing was signed with a key before the entry that enrols it.
    fn not_too_late(&self, credential: &Blob, owner: PersonId, index: u64) -> Result<(), String> {
        let unchecked = self.unchecked.borrow();
        let mut signed = unchecked.iter().filter(|(signed, _)| signed == credential);
        match signed.next() {
            None => Ok(()),
            Some((_, reviewer)) if *reviewer == owner => {
                Err(format!("the key of {reviewer} was enrolled only later, by entry {index}"))
            }
            Some((_, reviewer)) => {
                Err(format!("entry {index} enrols the key for {owner}, not for {reviewer}"))
            }
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
        match self.people.get(&reviewer)?.keys.get(signed.proof.key_id())? {
            KeyState::Enrolled(enrolled) => Some(enrolled.1.clone()),
            KeyState::Revoked(_) => None,
        }
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
    fn signature(&self, signed: &SignedReview, reviewer: PersonId) -> Result<(), Refusal> {
        let id = signed.proof.key_id();
        let state = self.people.get(&reviewer).and_then(|person| person.keys.get(id));
        match state {
            Some(KeyState::Enrolled(enrolled)) => {
                let (key, told, vouch) = enrolled.as_ref();
                self.vouched(reviewer, told.enrolled, vouch)?;
                self.proof_once(signed, reviewer, key, told.enrolled)
            }
            Some(KeyState::Revoked(at)) => {
                Err(Refusal::NotActive(format!("the key of {reviewer} was revoked by entry {at}")))
            }
            None => match self.owners.get(id) {
                Some((at, owner)) => Err(Refusal::Signature(format!(
                    "entry {at} enrols the key for {owner}, not for {reviewer}"
                ))),
                None => {
                    self.unchecked.borrow_mut().insert((id.clone(), reviewer));
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
            Vouch::Bootstrap | Vouch::Signed { .. } => Ok(()),
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

    /// Checks a proof, unless the very same passed before under the same enrolment.
    fn proof_once(
        &self,
        signed: &SignedReview,
        reviewer: PersonId,
        key: &Enrolled,
        enrolled: u64,
    ) -> Result<(), Refusal> {
        let mut hash = Sha256::new_with_prefix(enrolled.to_be_bytes());
        hash.update(reviewer.uuid().as_bytes());
        hash.update(canonical::write(signed)?);
        let digest: [u8; 32] = hash.finalize().into();
        if self.passed.borrow().contains(&digest) {
            return Ok(());
        }
        self.proof(signed, key)?;
        let mut passed = self.passed.borrow_mut();
        if passed.len() >= PASSED_LIMIT {
            passed.clear();
        }
        passed.insert(digest);
        Ok(())
    }

    /// Checks a proof of either kind with the key that it names.
    fn proof(&self, signed: &SignedReview, key: &Enrolled) -> Result<(), Refusal> {
        let statement = &signed.statement.0;
        match (&signed.proof, key) {
            (Proof::Passkey(proof), Enrolled::Passkey(key)) => self.assertion(statement, proof, key),
            (Proof::SshSig(proof), Enrolled::Ssh(key)) => {
                let bad = |error: assertion::Refusal| Refusal::Signature(error.to_string());
                let public = SshPublicKey::from_bytes(&key.public_key.0).map_err(bad)?;
                let message = assertion::statement_message(statement);
                let namespace = assertion::STATEMENT_NAMESPACE;
                check_ssh_signature(&public, namespace, &message, &proof.signature.0).map_err(bad)?;
                Ok(())
            }
            (Proof::Passkey(_), Enrolled::Ssh(_)) | (Proof::SshSig(_), Enrolled::Passkey(_)) => {
                Err(Refusal::Signature("it is of another kind than the key that it names".to_owned()))
            }
        }
    }

    fn assertion(&self, statement: &[u8], proof: &PasskeyProof, key: &Passkey) -> Result<(), Refusal> {
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
        let challenge = assertion::statement_challenge(statement);
        check_assertion(&party, &challenge, &public, &assertion, UserVerification::Required).map_err(bad)?;
        Ok(())
    }

    /// The groups in which the reviewer stands, with the one that the review needs should no entry tell of it.
    fn groups(&self, statement: &Statement) -> BTreeSet<GroupName> {
        let told = self.people.get(&statement.reviewer).map(|person| &person.groups);
        let mut groups: BTreeSet<GroupName> = told
            .into_iter()
            .flatten()
            .filter(|(_, member)| **member)
            .map(|(group, _)| group.clone())
            .collect();
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
        if let Some(at) = self.people.get(&reviewer).and_then(|person| person.deactivated) {
            return Err(Refusal::NotActive(format!("{reviewer} was deactivated by entry {at}")));
        }
        self.signature(signed, reviewer)?;
        let caller = match action.chain().caller {
            Principal::Agent(id) => self.agents.get(&id).and_then(|agent| agent.sponsor),
            Principal::Person(_) => None,
        };
        Ok(Standing { groups: self.groups(statement), controls_caller: caller == Some(reviewer) })
    }
}

fn asked_groups(requirement: &Requirement) -> BTreeSet<&GroupName> {
    let quorums = requirement.holds.iter().flat_map(|hold| &hold.any_of);
    quorums.filter(|quorum| !quorum.break_glass).map(|quorum| &quorum.group).collect()
}
