//! **receipt**: the proof, in one file, that verifies without us.

use std::collections::BTreeSet;

use domain::action::Point;
use domain::approval::Approval;
use domain::canonical;
use domain::commitment::Disclosure;
use domain::digest::Blob;
use domain::directory::{CHANGE_PATH, Change, DirectoryEvent, GROUP_VERB, KEY_VERB};
use domain::id::{ActionId, GroupName, PersonId};
use domain::principal::Principal;
use domain::receipt::{Entry, KeyPayload, Receipt};
use store::{Store, StoreError, Summary};

use crate::people::Human;
use crate::{Gateway, GatewayError, limits};

impl Gateway {
    /// The receipt of an approval: every entry of its events, the directory entries of everybody who
    /// stands on its chain or reviewed it, and the cases in which administrators signed for the reviewers' keys, each
    /// with its proof under one checkpoint. The payload's fields are open only when `with_payload`.
    ///
    /// # Errors
    /// Store failures.
    pub async fn receipt(&self, summary: &Summary, with_payload: bool) -> Result<Receipt, GatewayError> {
        let id = summary.action.id();
        let head = self.store.head().await?;
        let mut indices: BTreeSet<u64> =
            self.store.history(id).await?.into_iter().map(|(_, position)| position.index).collect();
        for principal in self.everybody(summary) {
            indices.extend(self.store.directory_entries(&principal.to_string()).await?);
        }
        let vouched = self.key_cases(summary, head.size).await?;
        indices.extend(&vouched.entries);
        let mut entries = Vec::with_capacity(indices.len());
        for index in indices.into_iter().filter(|index| *index < head.size) {
            let view = self.store.entry(index).await?;
            let proof = self.store.inclusion(index, head.size).await?;
            entries.push(Entry {
                index,
                leaf: Blob(view.leaf),
                proof: proof.into_iter().map(|hash| Blob(hash.to_vec())).collect(),
                fields: view.fields,
            });
        }
        let payload = self.store.payload(id).await?;
        let payload = if with_payload { payload } else { shown(summary, payload)? };
        Ok(Receipt {
            v: 1,
            origin: self.settings.origin.clone(),
            approval: id,
            checkpoint: head.checkpoint,
            entries,
            payload,
            keys: vouched.payloads,
        })
    }

    /// A payload of which the fields at these paths stand open, and all others are withheld: what somebody else may be
    /// shown of it. First that each was opened, by whom, enters the log. Nothing of it counts as displayed.
    ///
    /// # Errors
    /// [`GatewayError::Forbidden`] for whoever may not open a masked field among them, which is logged too; store
    /// failures, and then nothing is answered.
    pub async fn open_fields(
        &self,
        id: ActionId,
        human: &Human,
        paths: &BTreeSet<String>,
    ) -> Result<Vec<Disclosure>, GatewayError> {
        let summary = self.approval_for(id, human).await?;
        let payload = self.payload_of(&summary).await?;
        let opened: BTreeSet<&str> = payload
            .iter()
            .filter_map(|field| match field {
                Disclosure::Open(open) => paths.get(&open.path).map(String::as_str),
                Disclosure::Withheld(_) => None,
            })
            .collect();
        if !opened.is_empty() {
            let masked = self.card(&summary).await?.masked;
            if masked.iter().any(|field| opened.contains(field.path.as_str())) {
                self.require_reveal(&summary, human).await?;
            }
        }
        for path in &opened {
            self.record_reveal(id, human.person, Some(path)).await?;
        }
        let withheld = shown(&summary, payload.clone())?;
        let is_asked =
            |field: &Disclosure| matches!(field, Disclosure::Open(open) if paths.contains(&open.path));
        let fields = payload.into_iter().zip(withheld);
        Ok(fields.map(|(field, withheld)| if is_asked(&field) { field } else { withheld }).collect())
    }

    /// What shows who signed for the keys that signed reviews of an approval, and for the standings in groups that they
    /// count under: for each, the case in which it was signed for and the directory's entries of whoever reviewed that
    /// case, and the same for their keys and standings, up to the first administrator's; all below an index. At most [`limits::COUNTERSIGNED_DEPTH`] keys deep and
    /// [`limits::COUNTERSIGNED_CASES`] cases; a verifier says of what lies beyond that it is not shown.
    ///
    /// # Errors
    /// Store failures.
    pub async fn key_cases(&self, summary: &Summary, below: u64) -> Result<KeyCases, GatewayError> {
        let mut found = KeyCases::default();
        let (mut round, mut seen) = (signers(summary), BTreeSet::new());
        for _ in 0..limits::COUNTERSIGNED_DEPTH {
            let mut next = BTreeSet::new();
            for signer in round {
                if !seen.insert(signer.clone()) {
                    continue;
                }
                let person = Principal::Person(signer.person).to_string();
                let entries = self.store.directory_entries(&person).await?;
                for index in entries.into_iter().filter(|index| *index < below) {
                    found.entries.insert(index);
                    let Some(approval) = self.signed_under(index, &signer).await? else { continue };
                    if found.cases.contains(&approval) || found.cases.len() >= limits::COUNTERSIGNED_CASES {
                        continue;
                    }
                    found.cases.insert(approval);
                    next.extend(self.key_case(approval, below, &mut found).await?);
                }
            }
            if next.is_empty() {
                break;
            }
            round = next;
        }
        found.payloads.sort_by_key(|payload| payload.entry);
        Ok(found)
    }

    /// Takes in a case in which a key or a standing was signed for; answers who signed in it.
    async fn key_case(
        &self,
        id: ActionId,
        below: u64,
        found: &mut KeyCases,
    ) -> Result<BTreeSet<Signer>, GatewayError> {
        // What was erased or pruned is left out: the verifier finds that it is not shown.
        let (summary, payload) = match (self.store.approval(id).await, self.store.payload(id).await) {
            (Ok(summary), Ok(payload)) => (summary, payload),
            (Err(StoreError::NotFound(_)), _) | (_, Err(StoreError::NotFound(_))) => {
                return Ok(BTreeSet::new());
            }
            (Err(error), _) | (_, Err(error)) => return Err(error.into()),
        };
        let mut indices = Vec::new();
        for (_, position) in self.store.history(id).await? {
            if self.store.entry(position.index).await?.leaf.is_empty() {
                return Ok(BTreeSet::new());
            }
            indices.extend(Some(position.index).filter(|index| *index < below));
        }
        if let Some(request) = indices.first() {
            let payload = shown(&summary, payload)?;
            found.payloads.push(KeyPayload { entry: *request, payload });
        }
        found.entries.extend(indices);
        Ok(signers(&summary))
    }

    /// The approval that a directory entry names, where it enrols or revokes this signer's key or puts them into their
    /// group.
    async fn signed_under(&self, index: u64, signer: &Signer) -> Result<Option<ActionId>, GatewayError> {
        let fields = self.store.entry(index).await?.fields;
        let Some(Disclosure::Open(field)) = fields.first() else { return Ok(None) };
        let change: Change = canonical::read(&field.value.0)?;
        let of_theirs = match &change.event {
            DirectoryEvent::KeyEnrolled { key, .. } => key.credential_id == signer.key,
            DirectoryEvent::SshKeyEnrolled { key, .. } => key.id() == signer.key,
            DirectoryEvent::KeyRevoked { credential_id, .. } => *credential_id == signer.key,
            DirectoryEvent::GroupJoined { group, .. } => signer.group.as_ref() == Some(group),
            DirectoryEvent::PersonAdded { .. }
            | DirectoryEvent::PersonDeactivated { .. }
            | DirectoryEvent::AccountLinked { .. }
            | DirectoryEvent::AccountUnlinked { .. }
            | DirectoryEvent::GroupLeft { .. }
            | DirectoryEvent::AgentAdded { .. }
            | DirectoryEvent::AgentKeyReplaced { .. }
            | DirectoryEvent::AgentSponsorChanged { .. }
            | DirectoryEvent::AgentDisabled { .. }
            | DirectoryEvent::RouteSet { .. }
            | DirectoryEvent::RouteRemoved { .. }
            | DirectoryEvent::PolicyApplied { .. } => return Ok(None),
        };
        Ok(change.approval.filter(|_| of_theirs))
    }

    fn everybody(&self, summary: &Summary) -> BTreeSet<Principal> {
        let case = summary.approval.case();
        let reviews = case.reviews.iter().chain(case.questions.iter().map(|question| &question.asked));
        let reviewers = reviews.map(|record| record.statement.reviewer);
        let reviewers = reviewers.chain(case.later.iter().map(|later| later.statement.reviewer));
        let reviewers = reviewers.map(Principal::Person);
        summary.action.chain().parties().chain(reviewers).take(limits::RECEIPT_PEOPLE).collect()
    }
}

/// The fingerprint of the log's bootstrap key, the first administrator's, for an auditor to pin: `SHA256:` and base64
/// without padding. None before somebody enrolled.
///
/// # Errors
/// Store failures.
pub async fn bootstrap_key(store: &dyn Store) -> Result<Option<String>, GatewayError> {
    let people: Vec<PersonId> = store.directory().people().map(|person| person.id).collect();
    let mut indices = BTreeSet::new();
    for person in people {
        indices.extend(store.directory_entries(&Principal::Person(person).to_string()).await?);
    }
    for index in indices {
        let fields = store.entry(index).await?.fields;
        let Some(Disclosure::Open(field)) = fields.first() else { continue };
        let change: Change = canonical::read(&field.value.0)?;
        if let (DirectoryEvent::KeyEnrolled { key, .. }, None, None) =
            (&change.event, change.by, change.approval)
        {
            return Ok(Some(key.fingerprint()));
        }
    }
    Ok(None)
}

/// What shows who signed for some keys and standings in groups.
#[derive(Debug, Default)]
pub struct KeyCases {
    /// The cases.
    pub cases: BTreeSet<ActionId>,
    /// Where their entries stand, and the directory's of whoever reviewed them.
    pub entries: BTreeSet<u64>,
    /// Their payloads, the key's change open, in the order of their requests.
    pub payloads: Vec<KeyPayload>,
}

/// A payload of which nothing is open but the change of a key or a group that ran: that one stands open in the
/// directory's own entry, so nothing is revealed by it, and without it nobody can say what an administrator signed for.
///
/// # Errors
/// [`domain::Malformed`] for a field that cannot be committed to.
pub fn shown(summary: &Summary, fields: Vec<Disclosure>) -> Result<Vec<Disclosure>, domain::Malformed> {
    let parts = summary.action.parts();
    let ran = matches!(summary.approval, Approval::Executing(_) | Approval::Finished(_));
    let of_people =
        ran && parts.point == Point::Config && [KEY_VERB, GROUP_VERB].contains(&parts.verb.as_str());
    let shown = fields.into_iter().map(|field| match field {
        Disclosure::Open(open) if !(of_people && open.path == CHANGE_PATH) => {
            open.commitment().map(Disclosure::Withheld)
        }
        shown @ (Disclosure::Open(_) | Disclosure::Withheld(_)) => Ok(shown),
    });
    shown.collect()
}

/// Somebody who signed in a case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Signer {
    person: PersonId,
    /// The id of the key that signed.
    key: Blob,
    /// The group that it counts under, where it counts under one.
    group: Option<GroupName>,
}

/// Whoever signed in a case.
fn signers(summary: &Summary) -> BTreeSet<Signer> {
    let case = summary.approval.case();
    let reviews = case.reviews.iter().chain(case.questions.iter().map(|question| &question.asked));
    let signed = reviews.map(|record| (&record.signed, record.statement.reviewer, &record.statement.group));
    let reviews = signed.map(|(signed, person, group)| (signed, person, group.clone()));
    let later = case
        .later
        .iter()
        .map(|later| (&later.signed, later.statement.reviewer, Some(later.statement.group.clone())));
    let signer = |(signed, person, group): (&domain::review::SignedReview, PersonId, Option<GroupName>)| {
        Signer { person, key: signed.proof.key_id(), group }
    };
    reviews.chain(later).map(signer).collect()
}
