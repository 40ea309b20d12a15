//! Fields at rest: salt and value sealed together, so that one erasure takes both.

use domain::commitment::{Disclosure, FIELDS_LIMIT, Field, Fields, Salt};
use domain::digest::Digest;
use domain::id::ActionId;
use rusqlite::{Connection, Row, params};

use super::log::corrupt;
use crate::StoreError;
use crate::seal::{Place, SealingKey};

/// Whose fields.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    /// The entry with this index.
    Entry(u64),
    /// The payload of the request at this index, which opened this approval.
    Payload(u64, ActionId),
}

/// A field's row.
#[derive(Debug)]
pub(super) struct StoredField {
    pub(super) position: usize,
    pub(super) path: String,
    pub(super) commitment: Digest,
    pub(super) sealed: Option<Vec<u8>>,
}

/// A row's id holds its owner's index and its own position: fields are read in one range, and need no
/// index of their own.
const POSITION_BITS: u32 = FIELDS_LIMIT.ilog2();

impl Owner {
    /// Writes the owner's fields, each with its commitment; answers how many bytes that were.
    pub(super) fn put(
        self,
        connection: &Connection,
        key: &SealingKey,
        fields: &Fields,
        commitments: &[Digest],
    ) -> Result<usize, StoreError> {
        let mut insert = connection.prepare_cached(match self {
            Self::Entry(_) => "INSERT INTO field (id, path, commitment, sealed) VALUES (?1, ?2, ?3, ?4)",
            Self::Payload(..) => "INSERT INTO payload (id, path, commitment, sealed) VALUES (?1, ?2, ?3, ?4)",
        })?;
        let (first, _) = self.ids()?;
        let mut bytes = 0;
        for (position, (field, commitment)) in fields.as_slice().iter().zip(commitments).enumerate() {
            let open = [field.salt.0.as_slice(), &field.value.0].concat();
            let sealed = key.seal(self.place(position, &field.path), &open)?;
            bytes += sealed.len();
            insert.execute(params![first + position as u64, field.path, commitment.as_bytes(), sealed])?;
        }
        Ok(bytes)
    }

    /// The owner's fields as they stand, in the order of their paths.
    pub(super) fn stored(self, connection: &Connection) -> Result<Vec<StoredField>, StoreError> {
        let mut select = connection.prepare_cached(match self {
            Self::Entry(_) => {
                "SELECT id, path, commitment, sealed FROM field WHERE id >= ?1 AND id < ?2 ORDER BY id"
            }
            Self::Payload(..) => {
                "SELECT id, path, commitment, sealed FROM payload WHERE id >= ?1 AND id < ?2 ORDER BY id"
            }
        })?;
        let (first, end) = self.ids()?;
        let rows = select.query_map([first, end], StoredField::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The owner's fields: open, or withheld where they were erased.
    pub(super) fn disclosures(
        self,
        connection: &Connection,
        key: &SealingKey,
    ) -> Result<Vec<Disclosure>, StoreError> {
        let stored = self.stored(connection)?;
        let disclose = |field: StoredField| match self.open(key, &field)? {
            Some(open) => Ok(Disclosure::Open(open)),
            None => Ok(Disclosure::Withheld(field.commitment)),
        };
        stored.into_iter().map(disclose).collect()
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
    pub(super) fn erase(self, connection: &Connection, position: usize) -> Result<(), StoreError> {
        let (first, _) = self.ids()?;
        connection
            .prepare_cached(match self {
                Self::Entry(_) => "UPDATE field SET sealed = NULL WHERE id = ?1",
                Self::Payload(..) => "UPDATE payload SET sealed = NULL WHERE id = ?1",
            })?
            .execute([first + position as u64])?;
        Ok(())
    }

    fn place(self, position: usize, path: &str) -> Place<'_> {
        match self {
            Self::Entry(entry) => Place::Field { entry, position, path },
            Self::Payload(_, approval) => Place::Payload { approval, position, path },
        }
    }

    /// The row ids that belong to the owner.
    fn ids(self) -> Result<(u64, u64), StoreError> {
        let (Self::Entry(index) | Self::Payload(index, _)) = self;
        let first = index.checked_mul(1 << POSITION_BITS);
        let end = first.and_then(|first| first.checked_add(1 << POSITION_BITS));
        first.zip(end).ok_or_else(|| corrupt(format!("there is no entry {index}")))
    }
}

impl StoredField {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let id: u64 = row.get(0)?;
        Ok(Self {
            // Less than FIELDS_LIMIT.
            position: (id & ((1 << POSITION_BITS) - 1)) as usize,
            path: row.get(1)?,
            commitment: Digest::from_bytes(row.get(2)?),
            sealed: row.get(3)?,
        })
    }
}
