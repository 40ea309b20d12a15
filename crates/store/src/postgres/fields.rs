//! Fields at rest: salt and value sealed together, so that one erasure takes both.
//!
//! An entry has no index yet when its fields are sealed. They are sealed to its leaf instead, to the id that the entry
//! keeps, and to its number among an approval's events: whoever moves or reorders them finds that they no longer
//! open.

use domain::commitment::{Disclosure, Field, Fields, Salt};
use domain::digest::Digest;
use domain::id::ActionId;
use tokio_postgres::Row;
use uuid::Uuid;

use super::link::{Fault, Link, bytes, column, corrupt};
use crate::StoreError;
use crate::seal::{Place, SealingKey};

/// Whose fields.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    /// An entry.
    Entry(EntryRef),
    /// The payload of the request that opened this approval.
    Payload(ActionId),
}

/// What an entry's fields are sealed to.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryRef {
    pub(super) id: Uuid,
    pub(super) leaf: [u8; 32],
    /// Which of an approval's events it is, from 1; 0 for what is none.
    pub(super) event: u64,
}

/// A field's row.
#[derive(Debug)]
pub(super) struct StoredField {
    pub(super) position: i32,
    pub(super) path: String,
    pub(super) commitment: Digest,
    pub(super) sealed: Option<Vec<u8>>,
}

/// Rows to be written, column by column.
#[derive(Debug, Default)]
pub(super) struct Rows {
    owners: Vec<Uuid>,
    positions: Vec<i32>,
    paths: Vec<Vec<u8>>,
    commitments: Vec<Vec<u8>>,
    sealed: Vec<Vec<u8>>,
}

impl Rows {
    /// Seals an owner's fields.
    pub(super) fn add(&mut self, owner: Owner, key: &SealingKey, fields: &Fields) -> Result<(), StoreError> {
        for (position, field) in (0_i32..).zip(fields.as_slice()) {
            let commitment = field.commitment().map_err(domain::Refusal::from)?;
            let open = [field.salt.0.as_slice(), &field.value.0].concat();
            self.sealed.push(key.seal(owner.place(position, &field.path), &open)?);
            self.owners.push(owner.id());
            self.positions.push(position);
            self.paths.push(field.path.clone().into_bytes());
            self.commitments.push(commitment.as_bytes().to_vec());
        }
        Ok(())
    }

    /// Writes them: an entry's fields, or a payload's.
    pub(super) async fn save(&self, link: &Link<'_>, payload: bool) -> Result<(), Fault> {
        if self.owners.is_empty() {
            return Ok(());
        }
        let insert = if payload {
            "INSERT INTO payload (approval, position, path, commitment, sealed)
             SELECT * FROM unnest($1::uuid[], $2::integer[], $3::bytea[], $4::bytea[], $5::bytea[])"
        } else {
            "INSERT INTO field (entry, position, path, commitment, sealed)
             SELECT * FROM unnest($1::uuid[], $2::integer[], $3::bytea[], $4::bytea[], $5::bytea[])"
        };
        link.execute(insert, &[&self.owners, &self.positions, &self.paths, &self.commitments, &self.sealed])
            .await?;
        Ok(())
    }
}

impl Owner {
    /// The owner's fields as they stand, in the order of their paths.
    pub(super) async fn stored(self, link: &Link<'_>) -> Result<Vec<StoredField>, Fault> {
        let select = match self {
            Self::Entry(_) => {
                "SELECT position, path, commitment, sealed FROM field WHERE entry = $1 ORDER BY position"
            }
            Self::Payload(_) => {
                "SELECT position, path, commitment, sealed FROM payload WHERE approval = $1 ORDER BY position"
            }
        };
        let rows = link.query(select, &[&self.id()]).await?;
        Ok(rows.iter().map(|row| StoredField::read(row, 0)).collect::<Result<_, _>>()?)
    }

    /// The owner's fields: open, or withheld where they were erased.
    pub(super) async fn disclosures(
        self,
        link: &Link<'_>,
        key: &SealingKey,
    ) -> Result<Vec<Disclosure>, Fault> {
        let stored = self.stored(link).await?;
        Ok(stored.iter().map(|field| self.disclose(key, field)).collect::<Result<_, _>>()?)
    }

    /// A field as others see it.
    pub(super) fn disclose(self, key: &SealingKey, field: &StoredField) -> Result<Disclosure, StoreError> {
        Ok(match self.open(key, field)? {
            Some(open) => Disclosure::Open(open),
            None => Disclosure::Withheld(field.commitment),
        })
    }

    /// The field in the open, unless it was erased.
    pub(super) fn open(self, key: &SealingKey, field: &StoredField) -> Result<Option<Field>, StoreError> {
        let Some(sealed) = &field.sealed else {
            return Ok(None);
        };
        let open = key.open(self.place(field.position, &field.path), sealed)?;
        let (salt, value) = open
            .split_first_chunk::<{ size_of::<Salt>() }>()
            .ok_or_else(|| corrupt(format!("field `{}` has no salt", field.path)))?;
        let open = Field::new(field.path.clone(), *salt, value);
        if open.commitment().as_ref() != Ok(&field.commitment) {
            return Err(corrupt(format!("field `{}` is not what its row commits to", field.path)));
        }
        Ok(Some(open))
    }

    /// Erases salt and value of one field; the commitment stays.
    pub(super) async fn erase(self, link: &Link<'_>, position: i32) -> Result<(), Fault> {
        let update = match self {
            Self::Entry(_) => "UPDATE field SET sealed = NULL WHERE entry = $1 AND position = $2",
            Self::Payload(_) => "UPDATE payload SET sealed = NULL WHERE approval = $1 AND position = $2",
        };
        link.execute(update, &[&self.id(), &position]).await?;
        Ok(())
    }

    fn place(self, position: i32, path: &str) -> Place<'_> {
        // Less than FIELDS_LIMIT, and not negative in any row that opens.
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        match self {
            Self::Entry(EntryRef { id, leaf, event }) => Place::Entry { id, leaf, event, position, path },
            Self::Payload(approval) => Place::Payload { approval, position, path },
        }
    }

    fn id(self) -> Uuid {
        match self {
            Self::Entry(entry) => entry.id,
            Self::Payload(approval) => approval.uuid(),
        }
    }
}

impl StoredField {
    /// Reads position, path, commitment and sealed value from this column on.
    pub(super) fn read(row: &Row, at: usize) -> Result<Self, StoreError> {
        Ok(Self {
            position: column(row, at)?,
            path: String::from_utf8(column(row, at + 1)?)
                .map_err(|_| corrupt("a field's path is no text"))?,
            commitment: Digest::from_bytes(bytes(row, at + 2)?),
            sealed: column(row, at + 3)?,
        })
    }
}
