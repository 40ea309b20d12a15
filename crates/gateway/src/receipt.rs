//! **receipt**: the proof, in one file, that verifies without us.

use std::collections::BTreeSet;

use domain::commitment::Disclosure;
use domain::digest::Blob;
use domain::principal::Principal;
use domain::receipt::{Entry, Receipt};
use store::Summary;

use crate::{Gateway, GatewayError, limits};

impl Gateway {
    /// The receipt of an approval: every entry of its events, the directory entries of everybody who
    /// stands on its chain or reviewed it, each with its proof under one checkpoint. The payload's fields are
    /// open only when `with_payload`.
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
        let payload = if with_payload { payload } else { withheld(payload)? };
        Ok(Receipt {
            v: 1,
            origin: self.settings.origin.clone(),
            approval: id,
            checkpoint: head.checkpoint,
            entries,
            payload,
        })
    }

    fn everybody(&self, summary: &Summary) -> BTreeSet<Principal> {
        let case = summary.approval.case();
        let reviews = case.reviews.iter().chain(case.questions.iter().map(|question| &question.asked));
        let reviewers = reviews.map(|record| Principal::Person(record.statement.reviewer));
        summary.action.chain().parties().chain(reviewers).take(limits::RECEIPT_PEOPLE).collect()
    }
}

fn withheld(fields: Vec<Disclosure>) -> Result<Vec<Disclosure>, GatewayError> {
    fields
        .into_iter()
        .map(|field| match field {
            Disclosure::Open(open) => Ok(Disclosure::Withheld(open.commitment()?)),
            withheld @ Disclosure::Withheld(_) => Ok(withheld),
        })
        .collect()
}
