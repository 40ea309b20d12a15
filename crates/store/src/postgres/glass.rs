//! Broken glass that nobody has looked at since: `glass` lists the approvals, so that none of them is ever lost from sight.
//!
//! A row says nothing that the approval's events do not: it is held against them whenever they are replayed.

use std::collections::BTreeMap;

use domain::approval::Approval;
use domain::id::ActionId;
use uuid::Uuid;

use super::cases::Case;
use super::link::{Fault, Link, column, corrupt, natural};
use crate::StoreError;
use crate::seal::SealingKey;

/// Whether the list has to say anything of an approval, and what: `Some(true)` where its broken glass waits for somebody to
/// look at it.
pub(super) fn listed(approval: &Approval) -> Option<bool> {
    let case = approval.case();
    case.broken_glass().next().map(|_| case.awaits_later_review())
}

/// Writes it down.
pub(super) async fn save(link: &Link<'_>, id: Uuid, waits: bool) -> Result<(), Fault> {
    let statement = if waits {
        "INSERT INTO glass (approval, told) VALUES ($1, true) ON CONFLICT (approval) DO UPDATE SET told = true"
    } else {
        "DELETE FROM glass WHERE approval = $1"
    };
    link.execute(statement, &[&id]).await?;
    Ok(())
}

/// Whether the list says of these approvals what their events come to.
pub(super) async fn check(link: &Link<'_>, cases: &[Case]) -> Result<(), Fault> {
    let broken: BTreeMap<Uuid, bool> =
        cases.iter().filter_map(|case| Some((case.row.id.uuid(), listed(&case.approval)?))).collect();
    if broken.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = broken.keys().copied().collect();
    let rows = link.query("SELECT approval, told FROM glass WHERE approval = ANY ($1)", &[&ids]).await?;
    let mut told = BTreeMap::new();
    for row in &rows {
        told.insert(column::<Uuid>(row, 0)?, column::<bool>(row, 1)?);
    }
    for (id, waits) in broken {
        // One that an older release left is told of when a store is opened.
        let told = told.get(&id);
        if told != Some(&false) && told.is_some() != waits {
            return Err(corrupt(format!(
                "approval {id}: the list of broken glass is not what its events come to"
            ))
            .into());
        }
    }
    Ok(())
}

/// Whether an approval's broken glass waits for somebody to look at it.
pub(super) async fn waits(link: &Link<'_>, id: ActionId) -> Result<bool, Fault> {
    Ok(link.maybe("SELECT 1 FROM glass WHERE approval = $1", &[&id.uuid()]).await?.is_some())
}

/// How many wait.
pub(super) async fn count(link: &Link<'_>) -> Result<u64, Fault> {
    Ok(natural(&link.one("SELECT count(*) FROM glass WHERE told", &[]).await?, 0)?)
}

/// Looks at the approvals that an older release left: it kept no list. One that does not read back stays on it, where an
/// audit finds it.
pub(super) async fn tell(link: &Link<'_>, key: &SealingKey) -> Result<(), Fault> {
    for row in link.query("SELECT approval FROM glass WHERE NOT told", &[]).await? {
        let id = column::<Uuid>(&row, 0)?;
        let waits = match Case::load(link, key, ActionId::from_uuid(id)).await {
            Ok(case) => case.approval.case().awaits_later_review(),
            Err(Fault::Store(StoreError::NotFound(_))) => false,
            Err(Fault::Store(StoreError::Corrupt(_))) => continue,
            Err(fault) => return Err(fault),
        };
        save(link, id, waits).await?;
    }
    Ok(())
}
