//! A human's verdict, signed; and the proof that it was checked.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::account::ExternalAccount;
use crate::action::{Action, Point};
use crate::digest::Blob;
use crate::directory::KEY_VERB;
use crate::id::{GroupName, Origin, PersonId};
use crate::later::LaterStatement;
use crate::requirement::{Assurance, Requirement, Separation};
use crate::statement::{Statement, Verdict};
use crate::{Malformed, Refusal};

/// A review that was checked just now: signature, reviewer, group, chain. There is no other way to
/// make one, and only a checked review enters an approval or counts for a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedReview {
    signed: SignedReview,
    statement: Statement,
}

impl CheckedReview {
    /// Checks a signed review against the action that it is of, the requirement that stands, and
    /// what the verifier knows of the reviewer now. The statement's own expiry is not looked at here:
    /// it bounds submission, which [`crate::approval::Approval::handle`] checks with the commit's time.
    ///
    /// # Errors
    /// The [`Refusal`] that names what is wrong.
    pub fn check(
        signed: SignedReview,
        action: &Action,
        requirement: &Requirement,
        origin: &Origin,
        verifier: &dyn ReviewVerifier,
    ) -> Result<Self, Refusal> {
        let statement = Statement::read(&signed.statement.0)?;
        if statement.origin != *origin {
            return Err(Refusal::OtherOrigin(statement.origin.to_string()));
        }
        if statement.approval != action.id() || statement.action != action.digest() {
            return Err(Refusal::OtherAction);
        }
        // The signature comes before all that only keeps a review from counting: one that was altered is found
        // whatever else there is to say against it.
        let standing = verifier.verify(&signed, &statement, action)?;
        // A statement claims no more than its proof carries.
        let weakest = if statement.break_glass { Assurance::Passkey } else { requirement.assurance };
        if statement.assurance > signed.proof.assurance() || statement.assurance < weakest {
            return Err(Refusal::Assurance);
        }
        self_review(&statement, &standing, action, requirement)?;
        let eligible = match (&statement.verdict, &statement.group) {
            (Verdict::Approve, Some(group)) => {
                if statement.break_glass {
                    if !requirement.lets_break_glass(group) {
                        return Err(Refusal::NoGlass(group.clone()));
                    }
                } else if !requirement.asks_for(group) {
                    return Err(Refusal::GroupNotAsked(group.clone()));
                }
                standing.groups.contains(group)
            }
            (Verdict::Approve, None) => false,
            // Whoever could have approved, but by breaking glass, may deny or ask.
            (Verdict::Deny | Verdict::Ask, _) => {
                standing.groups.iter().any(|group| requirement.asks_for(group))
            }
        };
        if !eligible {
            let group = statement.group.clone().unwrap_or_else(GroupName::admins);
            return Err(Refusal::NotEligible { person: statement.reviewer, group });
        }
        Ok(Self { signed, statement })
    }

    /// The review as it was signed.
    #[must_use]
    pub fn signed(&self) -> &SignedReview {
        &self.signed
    }

    /// What it states.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }
}

fn self_review(
    statement: &Statement,
    standing: &Standing,
    action: &Action,
    requirement: &Requirement,
) -> Result<(), Refusal> {
    // Whoever asked may always stop what they asked for.
    if statement.verdict == Verdict::Deny {
        return Ok(());
    }
    let person = statement.reviewer;
    let on_chain = action.chain().contains(person) || standing.controls_caller;
    // Breaking glass takes somebody else, always: solo evaluation does not reach this far.
    let own = !statement.break_glass && may_review_own(person, action, requirement);
    if on_chain && !own { Err(Refusal::SelfReview) } else { Ok(()) }
}

/// Whether somebody who stands on an action's chain may review it all the same, which the record then calls
/// `separation: none`: outside production, the only person as their agent's sponsor; and the only administrator
/// whatever enrols or revokes a key, so that each key in the log has an administrator's signature over it.
#[must_use]
pub fn may_review_own(person: PersonId, action: &Action, requirement: &Requirement) -> bool {
    let parts = action.parts();
    let of_a_key = parts.point == Point::Config && parts.verb.as_str() == KEY_VERB;
    requirement.separation == Separation::None
        && !parts.resource.is_production()
        && (of_a_key || action.chain().only_sponsors(person))
}

/// A review as its human signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedReview {
    /// The statement's exact bytes.
    pub statement: Blob,
    /// What ties it to the human.
    pub proof: Proof,
}

impl SignedReview {
    /// Reads what is stated, without checking anything of it.
    ///
    /// # Errors
    /// As [`Statement::read`].
    pub fn read_statement(&self) -> Result<Statement, Malformed> {
        Statement::read(&self.statement.0)
    }
}

/// What ties a review to its human.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// A WebAuthn assertion whose challenge is the statement's hash.
    Passkey(PasskeyProof),
    /// An SSH signature (OpenSSH's `PROTOCOL.sshsig`) by a security key's key, over the same preimage.
    SshSig(SshSigProof),
    /// A click in a chat account that was linked to the human: no key of theirs signed. What stands for it is the word
    /// of the gateway, which checked the click, in an entry under its log's signature.
    Chat(ChatProof),
}

impl Proof {
    /// How strongly a proof of this kind, once verified, ties a review to its human.
    #[must_use]
    pub fn assurance(&self) -> Assurance {
        match self {
            // Both are a FIDO authenticator's signature over the statement with its user verified.
            Self::Passkey(_) | Self::SshSig(_) => Assurance::Passkey,
            Self::Chat(_) => Assurance::Chat,
        }
    }

    /// Under which id the key that signed is enrolled: a passkey's credential id, an SSH key's
    /// [`crate::key::SshKey::id`], or the [`ExternalAccount::id`] under which an account was linked. No signature covers
    /// it: it only finds the key.
    #[must_use]
    pub fn key_id(&self) -> Blob {
        match self {
            Self::Passkey(proof) => proof.credential_id.clone(),
            Self::SshSig(proof) => proof.key.clone(),
            Self::Chat(proof) => proof.account.id(),
        }
    }
}

/// A WebAuthn assertion's parts, as the browser gave them; the names are WebAuthn's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasskeyProof {
    /// Which credential signed.
    pub credential_id: Blob,
    /// The client data's exact bytes.
    #[serde(rename = "clientDataJSON")]
    pub client_data_json: Blob,
    /// The authenticator data's exact bytes.
    pub authenticator_data: Blob,
    /// The signature over both.
    pub signature: Blob,
}

/// An SSH signature's parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshSigProof {
    /// Which key signed: its [`crate::key::SshKey::id`].
    pub key: Blob,
    /// The signature's exact bytes, as they stand within its armour.
    pub signature: Blob,
}

/// A click in a chat account, as the gateway took it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatProof {
    /// In which account it was made.
    pub account: ExternalAccount,
    /// What the channel verified of it, exact bytes: JSON of the channel, the message that was clicked, and the
    /// provider's own marks. It is for people who look into it; nothing is decided on what stands there.
    pub evidence: Blob,
}

/// The largest evidence of a click, in bytes.
pub const CHAT_EVIDENCE_LIMIT_BYTES: usize = 4 << 10;

/// What the directory knows of a reviewer at the moment of the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The groups in which the person stands now.
    pub groups: BTreeSet<GroupName>,
    /// Whether the person sponsors or otherwise controls the action's caller now, whatever the chain
    /// said when the action was sealed.
    pub controls_caller: bool,
}

/// Checks the signature over a statement and says how the reviewer stands. The gateway implements
/// it over its directory, the offline verifier over the entries of a receipt.
pub trait ReviewVerifier {
    /// Verifies the proof over the statement's exact bytes with a key of the reviewer's that is
    /// enrolled and not revoked, for an active person.
    ///
    /// # Errors
    /// [`Refusal::Signature`], [`Refusal::NotActive`], [`Refusal::Assurance`].
    fn verify(
        &self,
        signed: &SignedReview,
        statement: &Statement,
        action: &Action,
    ) -> Result<Standing, Refusal>;

    /// The same of a later review of broken glass, whose statement is signed behind another line.
    ///
    /// # Errors
    /// As [`ReviewVerifier::verify`].
    fn verify_later(
        &self,
        signed: &SignedReview,
        statement: &LaterStatement,
        action: &Action,
    ) -> Result<Standing, Refusal>;
}

/// Who reviewed, for those who only read.
#[must_use]
pub fn reviewers<'a>(reviews: impl IntoIterator<Item = &'a Statement>) -> BTreeSet<PersonId> {
    reviews.into_iter().map(|statement| statement.reviewer).collect()
}
