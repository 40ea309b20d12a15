//! What the receipt's directory entries tell of people, keys and groups, as of the entry that is looked at.
//!
//! It is not a whole directory: only what was put into the receipt. Where an entry speaks against a reviewer, the
//! review is refused; where none speaks at all, the review passes for now and what is missing is noted, so that
//! the verdict can be no better than indeterminate.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use assertion::{Assertion, CredentialId, PublicKey, RelyingParty, UserVerification, check_assertion};
use domain::Refusal;
use domain::action::Action;
use domain::digest::Blob;
use domain::directory::{Change, DirectoryEvent, Passkey};
use domain::id::{AgentId, GroupName, PersonId};
use domain::principal::Principal;
use domain::requirement::Requirement;
use domain::review::{PasskeyProof, Proof, ReviewVerifier, SignedReview, Standing};
use domain::statement::{Statement, Verdict};

use crate::report::Key;
use crate::verify::Trust;

/// What is known so far.
pub(crate) struct Known<'a> {
    trust: &'a Trust,
    people: BTreeMap<PersonId, Person>,
    agents: BTreeMap<AgentId, Agent>,
    /// Where, anywhere in the receipt, each credential is enrolled, for whom.
    enrolments: BTreeMap<Blob, Vec<(u64, PersonId)>>,
    missing: RefCell<BTreeSet<String>>,
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
    Enrolled(Passkey, Key),
    Revoked(u64),
}

struct Agent {
    name: Option<String>,
    sponsor: Option<PersonId>,
}

impl<'a> Known<'a> {
    /// Nothing is known yet but where, in the whole receipt, keys are enrolled.
    pub(crate) fn new(trust: &'a Trust, changes: impl Iterator<Item = (u64, &'a Change)>) -> Self {
        let mut enrolments: BTreeMap<Blob, Vec<(u64, PersonId)>> = BTreeMap::new();
        for (index, change) in changes {
            if let DirectoryEvent::KeyEnrolled { person, key } = &change.event {
                enrolments.entry(key.credential_id.clone()).or_default().push((index, *person));
            }
        }
        Self {
            trust,
            people: BTreeMap::new(),
            agents: BTreeMap::new(),
            enrolments,
            missing: RefCell::default(),
        }
    }

    /// Takes in the next directory entry.
    pub(crate) fn learn(&mut self, index: u64, change: &Change) {
        match &change.event {
            DirectoryEvent::PersonAdded { id, name } => self.person(*id).name = Some(name.clone()),
            DirectoryEvent::PersonDeactivated { id } => {
                let person = self.person(*id);
                person.deactivated = Some(index);
                person.groups.values_mut().for_each(|member| *member = false);
            }
            DirectoryEvent::KeyEnrolled { person, key } => {
                let told = Key {
                    label: key.label.clone(),
                    enrolled: index,
                    enrolled_by: change.by,
                    under: change.approval,
                };
                let state = KeyState::Enrolled(key.clone(), told);
                self.person(*person).keys.insert(key.credential_id.clone(), state);
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
        let Proof::Passkey(proof) = &signed.proof;
        match self.people.get(&reviewer)?.keys.get(&proof.credential_id)? {
            KeyState::Enrolled(_, key) => Some(key.clone()),
            KeyState::Revoked(_) => None,
        }
    }

    /// What was needed and is not in the receipt.
    pub(crate) fn into_missing(self) -> Vec<String> {
        self.missing.into_inner().into_iter().collect()
    }

    fn person(&mut self, id: PersonId) -> &mut Person {
        self.people.entry(id).or_default()
    }

    fn note(&self, missing: String) {
        self.missing.borrow_mut().insert(missing);
    }

    /// Checks the signature, or notes that no entry enrols the key.
    fn signature(&self, signed: &SignedReview, reviewer: PersonId) -> Result<(), Refusal> {
        let Proof::Passkey(proof) = &signed.proof;
        let state = self.people.get(&reviewer).and_then(|person| person.keys.get(&proof.credential_id));
        match state {
            Some(KeyState::Enrolled(key, _)) => self.assertion(&signed.statement.0, proof, key),
            Some(KeyState::Revoked(at)) => {
                Err(Refusal::NotActive(format!("the key of {reviewer} was revoked by entry {at}")))
            }
            None => match self.enrolments.get(&proof.credential_id).and_then(|all| all.first()) {
                Some((at, owner)) if *owner != reviewer => Err(Refusal::Signature(format!(
                    "entry {at} enrols the key for {owner}, not for {reviewer}"
                ))),
                Some((at, _)) => Err(Refusal::NotActive(format!(
                    "the key of {reviewer} was enrolled only later, by entry {at}"
                ))),
                None => {
                    self.note(format!(
                        "no entry enrols the key of {reviewer}, so their signature is unchecked"
                    ));
                    Ok(())
                }
            },
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
    requirement.holds.iter().flat_map(|hold| &hold.any_of).map(|quorum| &quorum.group).collect()
}
