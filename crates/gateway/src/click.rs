//! A click in a linked account, as a review: of the weakest assurance, and only where policy lets that suffice.
//!
//! No key of the human's signs it. The statement is ours, with the assurance `chat` in it, and what stands beside it
//! instead of a signature names the account and what the channel verified ([`domain::review::ChatProof`]). It enters
//! the log like any review; the log's signature over it is the gateway's word, and verifiers say that it is no more.

use std::sync::Arc;

use domain::Refusal;
use domain::account::ExternalAccount;
use domain::approval::Command;
use domain::digest::{Blob, Digest};
use domain::entry;
use domain::id::{ActionId, PersonId, QuestionId};
use domain::requirement::Assurance;
use domain::review::{ChatProof, CheckedReview, Proof, SignedReview};
use domain::statement::Verdict;
use store::{Effect, Summary};

use crate::reveal::Viewer;
use crate::review::Stated;
use crate::{Gateway, GatewayError};

/// A verdict that was clicked.
#[derive(Debug, Clone)]
pub struct Clicked {
    /// In which account.
    pub account: ExternalAccount,
    /// On which request.
    pub approval: ActionId,
    /// What was said.
    pub verdict: Verdict,
    /// The reason of a denial, or the question.
    pub note: Option<String>,
    /// The digest of the card that stood there ([`crate::card::Card::digest`]).
    pub displayed: Digest,
    /// What the channel verified of the click.
    pub evidence: Blob,
}

impl Gateway {
    /// Takes a click as a review. Everything is asked as for a signed one: who the account is now, whether they may,
    /// whether the card is the one that stands, whether policy is content with a click.
    ///
    /// # Errors
    /// [`GatewayError::Forbidden`] with the reason, [`GatewayError::Stale`], the domain's refusal; each is on record.
    pub async fn review_by_click(self: &Arc<Self>, clicked: Clicked) -> Result<Summary, GatewayError> {
        let (id, account) = (clicked.approval, clicked.account.clone());
        let taken = self.take_click(clicked).await;
        if let Err(error) = &taken {
            self.record_refused_click(id, &account, &error.to_string()).await?;
        }
        taken
    }

    /// Puts on record that a click was refused, and in whose account it was made.
    ///
    /// # Errors
    /// Store failures.
    pub async fn record_refused_click(
        &self,
        id: ActionId,
        account: &ExternalAccount,
        why: &str,
    ) -> Result<(), GatewayError> {
        let by = match self.person_of(account) {
            Some(person) => domain::principal::Principal::Person(person).to_string(),
            None => "nobody: the account is not linked".to_owned(),
        };
        let fields = vec![
            ("account".to_owned(), account.to_string().into_bytes()),
            ("by".to_owned(), by.into_bytes()),
            ("why".to_owned(), domain::text::cut(why, WHY_BYTES).as_bytes().to_vec()),
        ];
        let draft = entry::Draft { kind: entry::Kind::Refusal, subject: Some(id.to_string()), fields };
        self.store.record(draft).await?;
        metrics::counter!("countersign_clicks_refused_total", "provider" => account.provider().to_owned())
            .increment(1);
        Ok(())
    }

    /// An approval as this person may see it; see [`Gateway::approval_for`].
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] where they may not.
    pub async fn approval_seen_by(&self, id: ActionId, person: PersonId) -> Result<Summary, GatewayError> {
        let summary = self.store.approval(id).await?;
        if self.may_see(&summary, person) { Ok(summary) } else { Err(GatewayError::NotFound("approval")) }
    }

    async fn take_click(self: &Arc<Self>, clicked: Clicked) -> Result<Summary, GatewayError> {
        let Clicked { account, approval: id, verdict, note, displayed, evidence } = clicked;
        let forbidden = |why: &str| GatewayError::Forbidden(why.to_owned());
        let Some(person) = self.person_of(&account) else {
            return Err(forbidden("this account is linked to nobody here; link it first"));
        };
        let summary = self.approval_seen_by(id, person).await?;
        let standing = self.standing(&summary, person);
        let allowed = match verdict {
            Verdict::Approve | Verdict::Ask => standing.may_approve,
            Verdict::Deny => standing.may_deny,
        };
        if !allowed {
            let why = standing.why_not.unwrap_or_else(|| "you may not review this request".to_owned());
            return Err(GatewayError::Forbidden(why));
        }
        let Some(requirement) = summary.approval.case().evaluation.requirement().cloned() else {
            return Err(Refusal::Stale.into());
        };
        if requirement.assurance > Assurance::Chat {
            return Err(Refusal::Assurance.into());
        }
        let card = self.card_for(&summary, Viewer::Anybody).await?;
        if card.digest()? != displayed {
            let why = "the request has changed since this card was shown; look again";
            return Err(GatewayError::Stale(why.to_owned()));
        }
        if verdict == Verdict::Approve && (!card.complete || !card.masked.is_empty()) {
            return Err(forbidden(
                "not all of it can be seen here; open it in the console and review it there",
            ));
        }
        let stated = Stated {
            verdict,
            note,
            group: standing.group.filter(|_| verdict == Verdict::Approve),
            reviewer: person,
            assurance: Assurance::Chat,
            displayed,
            break_glass: false,
        };
        let statement = self.statement(&summary, &requirement, stated)?;
        let proof = Proof::Chat(ChatProof { account, evidence });
        let signed = SignedReview { statement: Blob(statement.write()?), proof };
        let directory = self.store.directory();
        let verifier = identity::DirectoryVerifier {
            directory: &directory,
            relying_party: &self.settings.relying_party,
        };
        let review =
            CheckedReview::check(signed, &summary.action, &requirement, &self.settings.origin, &verifier)?;
        let question = QuestionId::new(self.store.now(), &self.draw()?);
        // The link and the reviewer's standing are checked over this version of the directory, and committed over it.
        let effect = Effect { directory: Some(directory.version()), ..Effect::default() };
        self.store.advance(id, Command::Review { review, question }, effect).await?;
        metrics::counter!("countersign_reviews_total", "verdict" => format!("{verdict:?}").to_lowercase())
            .increment(1);
        Ok(self.store.approval(id).await?)
    }
}

/// The longest reason of a refusal in the log, in bytes.
const WHY_BYTES: usize = 1_000;
