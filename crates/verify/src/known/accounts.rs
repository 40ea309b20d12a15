//! Accounts elsewhere, such as in a chat service: for whom entries say that they stand.
//!
//! A click in one is no signature. What is checked of it here is that an earlier entry linked the account to the
//! reviewer, at their own doing, and that none took it away since; that the click was made is the log's word alone, and
//! reports say so.

use domain::Refusal;
use domain::account::ExternalAccount;
use domain::id::PersonId;
use domain::principal::Principal;
use domain::review::{CHAT_EVIDENCE_LIMIT_BYTES, ChatProof, Proof, SignedReview};

use super::Known;
use crate::report::{Account, Unlinked};

/// For whom an account stands, or stood last.
pub(super) struct Link {
    person: PersonId,
    /// The entry that linked it; none where only its end is shown.
    entry: Option<u64>,
    by: Option<Principal>,
    ended: Option<Unlinked>,
}

impl Known<'_> {
    /// Takes in that an account stands for somebody.
    ///
    /// # Errors
    /// Something was clicked in it before, with nothing linking it then.
    pub(super) fn link(
        &mut self,
        entry: u64,
        by: Option<Principal>,
        person: PersonId,
        account: &ExternalAccount,
    ) -> Result<(), String> {
        self.accounts.insert(account.clone(), Link { person, entry: Some(entry), by, ended: None });
        self.not_too_late(&account.id(), person, entry)
    }

    /// Takes in that an account stands for nobody any more.
    pub(super) fn unlink(
        &mut self,
        entry: u64,
        by: Option<Principal>,
        person: PersonId,
        account: &ExternalAccount,
    ) {
        let fresh = Link { person, entry: None, by: None, ended: None };
        self.accounts.entry(account.clone()).or_insert(fresh).ended = Some(Unlinked { entry, by });
    }

    /// Whether a click in an account stands for this reviewer, or notes that no entry links it.
    pub(super) fn chat(&self, proof: &ChatProof, reviewer: PersonId) -> Result<(), Refusal> {
        let ChatProof { account, evidence } = proof;
        if evidence.0.len() > CHAT_EVIDENCE_LIMIT_BYTES {
            return Err(Refusal::Signature("the click's evidence is over its limit".to_owned()));
        }
        let Some(link) = self.accounts.get(account) else {
            self.unchecked.borrow_mut().entry(account.id()).or_insert(reviewer);
            self.note(format!(
                "no entry links the account {account} to {reviewer}, so whose click it was is unchecked"
            ));
            return Ok(());
        };
        let at = link.entry.map_or_else(|| "an entry".to_owned(), |at| format!("entry {at}"));
        if let Some(ended) = link.ended.as_ref().filter(|_| link.person == reviewer) {
            let why = format!("the account {account} of {reviewer} was unlinked by entry {}", ended.entry);
            return Err(Refusal::NotActive(why));
        }
        if link.person != reviewer {
            let why = format!("{at} links the account {account} to {}, not to {reviewer}", link.person);
            return Err(Refusal::Signature(why));
        }
        if link.by != Some(Principal::Person(reviewer)) {
            let why = format!("the account {account} was linked by {at}, and not by {reviewer}");
            return Err(Refusal::NotActive(why));
        }
        Ok(())
    }

    /// The account in which a review was clicked, and how it came to stand for its reviewer.
    pub(crate) fn account(&self, signed: &SignedReview) -> Option<Account> {
        let Proof::Chat(proof) = &signed.proof else { return None };
        let link = self.accounts.get(&proof.account);
        Some(Account {
            provider: proof.account.provider().to_owned(),
            team: proof.account.team().to_owned(),
            user: proof.account.user().to_owned(),
            linked: link.and_then(|link| link.entry),
            unlinked: link.and_then(|link| link.ended.clone()),
        })
    }
}
