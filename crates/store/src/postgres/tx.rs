//! One transaction that writes: its time, the directory that it is decided over, and the entries that it adds.

use std::sync::Arc;

use audit::leaf_hash;
use domain::commitment::Salt;
use domain::directory::Directory;
use domain::entry::{Draft, Kind};
use domain::id::ActionId;
use domain::time::Timestamp;
use domain::{Malformed, Refusal};
use uuid::Uuid;

use super::cases::StepRow;
use super::fields::{EntryRef, Owner, Rows};
use super::link::{Fault, Link, big, natural};
use super::{Shared, schema};
use crate::StoreError;
use crate::seal::Place;

/// What a job works on.
pub(super) struct Tx<'a> {
    pub(super) link: Link<'a>,
    pub(super) shared: &'a Shared,
    /// The time of what is done here: the clock's, but never before the log's head. It is the leaf's time too, so an
    /// approval replays to what was decided.
    pub(super) now: Timestamp,
    /// The directory with this transaction's changes, once it was asked for.
    directory: Option<Arc<Directory>>,
    waiting: Vec<Waiting>,
    fields: Rows,
    payload: Rows,
    events: Vec<(ActionId, u64, Uuid)>,
    changes: Vec<(u64, Uuid)>,
    steps: Vec<StepRow>,
}

/// An entry that is to wait for its index.
struct Waiting {
    id: Uuid,
    hash: [u8; 32],
    kind: Kind,
    subject: Option<String>,
    time: Timestamp,
    leaf: Vec<u8>,
    mark: Vec<u8>,
    approval: Option<Uuid>,
    version: Option<u64>,
}

/// What an entry is, beside being one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    Alone,
    /// The next of an approval's events, by number.
    Event(ActionId, u64),
    /// The change that brought the directory to this version.
    Change(u64),
}

/// Who else may work with the directory meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    /// Others who rely on it.
    Shared,
    /// Nobody.
    Alone,
}

impl<'a> Tx<'a> {
    /// Passes the gate. While the transaction lasts nobody sequences, so the head's time stands still: no entry of this
    /// transaction can come behind it.
    pub(super) async fn begin(link: Link<'a>, shared: &'a Shared) -> Result<Self, Fault> {
        // Sent one behind the other: the second sees what stands once the first is granted.
        let (_, head) = tokio::try_join!(
            link.batch("LOCK TABLE gate IN ROW SHARE MODE"),
            link.one("SELECT time, (SELECT count(*) FROM migration) FROM head", &[])
        )?;
        // A newer release may have come while this one runs.
        schema::check(usize::try_from(natural(&head, 1)?).unwrap_or(usize::MAX))?;
        let head = Timestamp::from_micros(natural(&head, 0)?);
        Ok(Self {
            now: shared.clock.now().max(head),
            link,
            shared,
            directory: None,
            waiting: Vec::new(),
            fields: Rows::default(),
            payload: Rows::default(),
            events: Vec::new(),
            changes: Vec::new(),
            steps: Vec::new(),
        })
    }

    /// The directory as it stands, which stays so until the transaction ends.
    ///
    /// # Errors
    /// [`Fault::Behind`] where another process has changed it, and this one has not seen that yet.
    pub(super) async fn directory(&mut self, holding: Holding) -> Result<&mut Arc<Directory>, Fault> {
        if self.directory.is_none() || holding == Holding::Alone {
            let select = match holding {
                Holding::Shared => "SELECT version FROM directory FOR SHARE",
                Holding::Alone => "SELECT version FROM directory FOR UPDATE",
            };
            let version = natural(&self.link.one(select, &[]).await?, 0)?;
            let known = self.shared.directory();
            if known.version() != version {
                return Err(Fault::Behind);
            }
            self.directory.get_or_insert(known);
        }
        self.directory.as_mut().ok_or(Fault::Behind)
    }

    /// Refuses unless the directory is at this version, and keeps it there.
    pub(super) async fn at_version(&mut self, version: u64) -> Result<(), Fault> {
        let standing = self.directory(Holding::Shared).await?.version();
        if standing == version { Ok(()) } else { Err(Fault::Store(StoreError::Stale)) }
    }

    /// Adds an entry, which is written with all others when the transaction ends; answers its id.
    pub(super) fn append(&mut self, draft: Draft, role: Role) -> Result<Uuid, StoreError> {
        let (kind, subject) = (draft.kind, draft.subject.clone());
        let mut drawn = Ok(());
        let salt = || {
            let mut salt = Salt::default();
            if let Err(error) = getrandom::fill(&mut salt) {
                drawn = Err(StoreError::Failed(error.to_string()));
            }
            salt
        };
        let sealed = draft.seal(&self.shared.origin, self.now, salt).map_err(refused)?;
        drawn?;

        let id = self.shared.new_id(self.now)?;
        let hash = *leaf_hash(&sealed.leaf).as_bytes();
        let event = if let Role::Event(_, number) = role { number } else { 0 };
        self.fields.add(
            Owner::Entry(EntryRef { id, leaf: hash, event }),
            &self.shared.key,
            &sealed.fields,
        )?;
        let (mut approval, mut version) = (None, None);
        match role {
            Role::Alone => {}
            Role::Event(of, number) => {
                approval = Some(of.uuid());
                self.events.push((of, number, id));
            }
            Role::Change(to) => {
                version = Some(to);
                self.changes.push((to, id));
            }
        }
        let mark = self.shared.key.seal(Place::Waiting { id, leaf: hash }, b"")?;
        let (time, leaf) = (self.now, sealed.leaf);
        self.waiting.push(Waiting { id, hash, kind, subject, time, leaf, mark, approval, version });
        Ok(id)
    }

    /// Adds what an approval came to.
    pub(super) fn came_to(&mut self, step: StepRow) {
        self.steps.push(step);
    }

    /// Adds a request's payload.
    pub(super) fn add_payload(
        &mut self,
        approval: ActionId,
        fields: &domain::commitment::Fields,
    ) -> Result<(), StoreError> {
        self.payload.add(Owner::Payload(approval), &self.shared.key, fields)
    }

    /// Writes what was added. Nothing of it is durable before the commit.
    pub(super) async fn flush(self) -> Result<Link<'a>, Fault> {
        let link = &self.link;
        // Sent one behind the other, without waiting for each answer.
        tokio::try_join!(
            Box::pin(save_waiting(link, &self.waiting)),
            Box::pin(self.fields.save(link, false)),
            Box::pin(self.payload.save(link, true)),
            Box::pin(save_events(link, &self.events)),
            Box::pin(save_changes(link, &self.changes)),
            Box::pin(save_steps(link, &self.steps)),
        )?;
        Ok(self.link)
    }
}

async fn save_waiting(link: &Link<'_>, waiting: &[Waiting]) -> Result<(), Fault> {
    if waiting.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = waiting.iter().map(|entry| entry.id).collect();
    let hashes: Vec<&[u8]> = waiting.iter().map(|entry| entry.hash.as_slice()).collect();
    let kinds: Vec<&str> = waiting.iter().map(|entry| entry.kind.as_str()).collect();
    let subjects: Vec<Option<&str>> = waiting.iter().map(|entry| entry.subject.as_deref()).collect();
    let times = waiting.iter().map(|entry| big(entry.time.micros())).collect::<Result<Vec<_>, _>>()?;
    let leaves: Vec<&[u8]> = waiting.iter().map(|entry| entry.leaf.as_slice()).collect();
    let marks: Vec<&[u8]> = waiting.iter().map(|entry| entry.mark.as_slice()).collect();
    let approvals: Vec<Option<Uuid>> = waiting.iter().map(|entry| entry.approval).collect();
    let versions =
        waiting.iter().map(|entry| entry.version.map(big).transpose()).collect::<Result<Vec<_>, _>>()?;
    link.execute(
        "INSERT INTO outbox (id, leaf_hash, kind, subject, time, leaf, mark, approval, version)
         SELECT id, leaf_hash, kind, subject, time, leaf, mark, approval, version
         FROM unnest($1::uuid[], $2::bytea[], $3::text[], $4::text[], $5::bigint[], $6::bytea[], $7::bytea[], $8::uuid[],
                     $9::bigint[]) WITH ORDINALITY
              AS added (id, leaf_hash, kind, subject, time, leaf, mark, approval, version, place)
         ORDER BY place",
        &[&ids, &hashes, &kinds, &subjects, &times, &leaves, &marks, &approvals, &versions],
    )
    .await?;
    Ok(())
}

async fn save_events(link: &Link<'_>, events: &[(ActionId, u64, Uuid)]) -> Result<(), Fault> {
    for (approval, seq, entry) in events {
        let insert = "INSERT INTO event (approval, seq, entry) VALUES ($1, $2, $3)";
        link.execute(insert, &[&approval.uuid(), &big(*seq)?, entry]).await?;
    }
    Ok(())
}

async fn save_changes(link: &Link<'_>, changes: &[(u64, Uuid)]) -> Result<(), Fault> {
    for (version, entry) in changes {
        link.execute("INSERT INTO change (version, entry) VALUES ($1, $2)", &[&big(*version)?, entry])
            .await?;
    }
    if let Some((last, _)) = changes.last() {
        link.execute("UPDATE directory SET version = $1", &[&big(*last)?]).await?;
    }
    Ok(())
}

async fn save_steps(link: &Link<'_>, steps: &[StepRow]) -> Result<(), Fault> {
    for step in steps {
        step.save(link).await?;
    }
    Ok(())
}

/// What the domain finds malformed on the way in is refused.
pub(super) fn refused(malformed: Malformed) -> StoreError {
    StoreError::Refused(Refusal::Malformed(malformed))
}
