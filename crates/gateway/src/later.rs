//! **later review**: glass was broken, the action has ended, and another human looks at what was done and signs whether it
//! was justified. It changes nothing that happened; until somebody has, the request stays on the list of broken glass.
//!
//! Who may, and over what, is the domain's to say ([`domain::later`]). As with a verdict, a passkey signs in the console,
//! and at a terminal an SSH key on a security key.

use std::sync::Arc;

use domain::Refusal;
use domain::approval::Command;
use domain::digest::{Blob, Digest};
use domain::id::{ActionId, GroupName, PersonId};
use domain::later::{
    CheckedLaterReview, End, Finding, LaterReview, LaterStatement, broken, may_be_looked_at, may_look_as,
};
use domain::principal::Principal;
use domain::requirement::Assurance;
use domain::review::{ReviewVerifier as _, SignedReview};
use serde::Serialize;
use store::{Effect, Summary};

use crate::people::Human;
use crate::reveal::Viewer;
use crate::review::{Prepared, Signature, Signer};
use crate::{Gateway, GatewayError};

/// What a person may do about broken glass afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaterStanding {
    /// The group as one of which they may look at it now.
    pub group: Option<GroupName>,
    /// Why they may not, in words, where not.
    pub why_not: Option<String>,
}

/// Where the later review of a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later<'a> {
    /// Nobody broke glass: there is none.
    None,
    /// Nobody has looked yet.
    Awaited,
    /// Somebody has, and what is stored of it is what they signed, as far as their keys still tell.
    Done(&'a LaterReview),
    /// What is stored is not what was signed. It counts for nothing, and an alarm was raised.
    Altered,
}

impl Gateway {
    /// Where the later review of a request stands. A stored one is believed only while its signature verifies; that of
    /// a key that was taken away since was verified when it was committed, and offline verifiers verify it still.
    #[must_use]
    pub fn later_review<'a>(&self, summary: &'a Summary) -> Later<'a> {
        let case = summary.approval.case();
        let Some(review) = &case.later else {
            return if case.awaits_later_review() { Later::Awaited } else { Later::None };
        };
        let directory = self.store.directory();
        let verifier = identity::DirectoryVerifier {
            directory: &directory,
            relying_party: &self.settings.relying_party,
        };
        match verifier.verify_later(&review.signed, &review.statement, &summary.action) {
            Ok(_) | Err(Refusal::NotActive(_)) => Later::Done(review),
            Err(why) => {
                tracing::error!(id = %case.id, %why, "the stored later review is not what was signed");
                metrics::counter!("countersign_alarms_total", "kind" => "altered-later-review").increment(1);
                Later::Altered
            }
        }
    }

    /// What this person may do about a request's broken glass now, and why.
    #[must_use]
    pub fn later_standing(&self, summary: &Summary, person: PersonId) -> LaterStanding {
        let no = |why: String| LaterStanding { group: None, why_not: Some(why) };
        let case = summary.approval.case();
        if let Err(refusal) = may_be_looked_at(&summary.approval) {
            return no(refusal.to_string());
        }
        let directory = self.store.directory();
        let Some(known) = directory.person(person).filter(|person| person.active) else {
            return no("you are not active".to_owned());
        };
        let controls = |agent| directory.agent(agent).is_none_or(|agent| agent.sponsor == person);
        let own = case.chain.parties().any(|party| match party {
            Principal::Agent(agent) => controls(agent),
            Principal::Person(_) => false,
        });
        let apart = if own { Err(Refusal::SelfReview) } else { case.not_of_its_own(person) };
        match apart {
            Ok(()) => {}
            Err(Refusal::SelfReview) => {
                return no(
                    "you broke the glass or stand on this action's chain; somebody else must look at it"
                        .to_owned(),
                );
            }
            Err(refusal) => return no(refusal.to_string()),
        }
        let groups = may_look_as(case).into_iter().filter(|group| known.groups.contains(group));
        // Whoever was passed over comes before an administrator.
        match groups.min_by_key(|group| *group == GroupName::admins()) {
            Some(group) => LaterStanding { group: Some(group), why_not: None },
            None => no("no group of yours was passed over when the glass was broken".to_owned()),
        }
    }

    /// Prepares the statement of one human who has looked at broken glass. `displayed` is the digest of the card that
    /// was shown; what came of it stands in the statement itself.
    ///
    /// # Errors
    /// [`GatewayError::Stale`], [`GatewayError::Forbidden`] with the reason why this person may not,
    /// [`GatewayError::Refused`] where nobody may.
    pub async fn prepare_later_review(
        &self,
        id: ActionId,
        human: &Human,
        finding: Finding,
        note: String,
        displayed: Digest,
    ) -> Result<Prepared, GatewayError> {
        let summary = self.approval_for(id, human).await?;
        may_be_looked_at(&summary.approval)?;
        let standing = self.later_standing(&summary, human.person);
        let Some(group) = standing.group else {
            let why = standing.why_not.unwrap_or_else(|| "you may not look at this".to_owned());
            self.record_refusal(id, human.person, &why).await?;
            return Err(GatewayError::Forbidden(why));
        };
        if note.trim().is_empty() {
            return Err(GatewayError::Forbidden("a later review says why; state it".to_owned()));
        }
        let card = self.card_for(&summary, Viewer::Person(human.person)).await?;
        if card.digest()? != displayed {
            let why = "the request has changed since this page was shown; look again";
            return Err(GatewayError::Stale(why.to_owned()));
        }
        let signer = self.signer(human)?;
        if !card.complete && !self.opened_for(signer, id, human.person).await? {
            let why = "the payload is larger than this page; open it in full before you judge it";
            return Err(GatewayError::Forbidden(why.to_owned()));
        }
        let case = summary.approval.case();
        let end = End::of(&summary.approval).ok_or(Refusal::NotEnded)?;
        let nonce: [u8; 32] = self.draw()?;
        let lifetime = identity::limits::STATEMENT_LIFETIME;
        let statement = LaterStatement {
            v: 1,
            origin: self.settings.origin.clone(),
            approval: id,
            action: summary.action.digest(),
            broken: broken(case),
            end,
            finding,
            note,
            group,
            reviewer: human.person,
            assurance: Assurance::Passkey,
            nonce: Blob(nonce.to_vec()),
            expires: self.store.now().after(lifetime),
            displayed,
        };
        let bytes = statement.write()?;
        self.store.keep(&vault_key(signer, &nonce), &bytes, lifetime).await?;
        let directory = self.store.directory();
        let keys = directory.person(human.person).map(|person| person.keys.as_slice()).unwrap_or_default();
        let options = self.passkeys(&directory).request_options(&assertion::later_challenge(&bytes), keys);
        Ok(Prepared { statement: Blob(bytes), options })
    }

    /// Takes a later review signed with a passkey, in the console. As with a verdict, what we handed out is looked up by
    /// its nonce and spent. `response` is the browser's answer (`PublicKeyCredential.toJSON()`).
    ///
    /// # Errors
    /// The domain's refusal, which is logged too.
    pub async fn submit_later_review(
        self: &Arc<Self>,
        id: ActionId,
        human: &Human,
        statement: &Blob,
        response: &[u8],
    ) -> Result<Summary, GatewayError> {
        let taken = self.take_later_review(id, human, statement, Signature::Passkey(response)).await;
        self.refusal_recorded(id, human, taken).await
    }

    /// Takes a later review signed at a terminal: what `ssh-keygen -Y sign` wrote, in its armour.
    ///
    /// # Errors
    /// The domain's refusal, which is logged too.
    pub async fn submit_ssh_later_review(
        self: &Arc<Self>,
        id: ActionId,
        human: &Human,
        statement: &Blob,
        signature: &str,
    ) -> Result<Summary, GatewayError> {
        let taken = self.take_later_review(id, human, statement, Signature::SshKey(signature)).await;
        self.refusal_recorded(id, human, taken).await
    }

    async fn take_later_review(
        &self,
        id: ActionId,
        human: &Human,
        bytes: &Blob,
        signature: Signature<'_>,
    ) -> Result<Summary, GatewayError> {
        let statement = LaterStatement::read(&bytes.0)?;
        if statement.reviewer != human.person || statement.approval != id {
            return Err(Refusal::OtherAction.into());
        }
        self.spend_statement(&vault_key(signature.signer(), &statement.nonce.0), bytes).await?;
        let summary = self.approval_for(id, human).await?;
        if signature.signer() == Signer::Passkey {
            self.require_console(human)?;
        }
        let signed = SignedReview { statement: bytes.clone(), proof: signature.proof()? };
        let directory = self.store.directory();
        let verifier = identity::DirectoryVerifier {
            directory: &directory,
            relying_party: &self.settings.relying_party,
        };
        let (approval, origin) = (&summary.approval, &self.settings.origin);
        let review = CheckedLaterReview::check(signed, &summary.action, approval, origin, &verifier)?;
        // The reviewer's standing is checked over this version of the directory, and committed over it.
        let effect = Effect { directory: Some(directory.version()), ..Effect::default() };
        self.store.advance(id, Command::LookBack(review), effect).await?;
        let finding = statement.finding.as_str();
        metrics::counter!("countersign_later_reviews_total", "finding" => finding).increment(1);
        if statement.finding == Finding::NotJustified {
            tracing::error!(%id, person = %statement.reviewer, "break-glass was found not justified");
        }
        self.tell_broken_glass().await?;
        Ok(self.store.approval(id).await?)
    }

    /// Says how many broken glasses wait for somebody to look at them.
    ///
    /// # Errors
    /// Store failures.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; it counts exactly up to 2^53")]
    pub(crate) async fn tell_broken_glass(&self) -> Result<(), GatewayError> {
        let waiting = self.store.awaiting_later_review().await?;
        metrics::gauge!("countersign_broken_glass_waiting").set(waiting as f64);
        Ok(())
    }
}

/// Where a later review's statement waits to be signed: apart from verdicts, and each kind of key apart.
fn vault_key(signer: Signer, nonce: &[u8]) -> String {
    format!("later/{}", signer.vault_key(nonce))
}
