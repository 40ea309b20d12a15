//! The outbox of what is brought to people.

use async_trait::async_trait;
use domain::id::{ActionId, TargetName};
use domain::time::{Span, Timestamp};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::EmbeddedStore;
use super::batch::Batch;
use super::cases::read_id;
use super::log::corrupt;
use crate::deliveries::{
    Deliveries, PARCELS_SWEPT, Parcel, ParcelCursor, ParcelFilter, check_size, next, old,
};
use crate::seal::{Place, SealingKey};
use crate::{StoreError, limits};

#[async_trait]
impl Deliveries for EmbeddedStore {
    async fn plan(&self, parcels: Vec<Parcel>) -> Result<u64, StoreError> {
        parcels.iter().try_for_each(check_size)?;
        self.writer.submit(move |batch| plan(batch, &parcels)).await
    }

    async fn stir(&self, approval: ActionId) -> Result<u64, StoreError> {
        self.writer.submit(move |batch| stir(batch, approval)).await
    }

    async fn lease(
        &self,
        channel: &TargetName,
        limit: usize,
        lease: Span,
    ) -> Result<Vec<Parcel>, StoreError> {
        let channel = channel.clone();
        self.writer.submit(move |batch| take(batch, &channel, limit.min(limits::PAGE_LIMIT), lease)).await
    }

    async fn put_back(&self, parcel: Parcel) -> Result<(), StoreError> {
        check_size(&parcel)?;
        self.writer.submit(move |batch| put_back(batch, &parcel)).await
    }

    async fn parcels(
        &self,
        filter: &ParcelFilter,
        after: Option<ParcelCursor>,
        limit: usize,
    ) -> Result<(Vec<Parcel>, Option<ParcelCursor>), StoreError> {
        let (filter, shared, limit) = (filter.clone(), self.shared.clone(), limit.min(limits::PAGE_LIMIT));
        self.readers.read(move |connection| page(connection, &shared.key, &filter, after, limit)).await
    }
}

fn plan(batch: &mut Batch<'_>, parcels: &[Parcel]) -> Result<u64, StoreError> {
    let mut new = 0;
    for parcel in parcels {
        let sealed = seal(&batch.shared.key, parcel)?;
        batch.bytes += sealed.len();
        new += batch
            .connection
            .prepare_cached(
                "INSERT INTO delivery (id, approval, channel, due, made, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (id) DO NOTHING",
            )?
            .execute(params![
                parcel.id.as_bytes(),
                parcel.approval.uuid().as_bytes(),
                parcel.channel.as_str(),
                parcel.due.map(Timestamp::micros),
                batch.now.micros(),
                sealed
            ])?;
    }
    batch
        .connection
        .prepare_cached(
            "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery
                 WHERE made < ?1 AND due IS NULL ORDER BY made LIMIT ?2)",
        )?
        .execute(params![old(batch.now).micros(), PARCELS_SWEPT])?;
    Ok(new as u64)
}

fn stir(batch: &mut Batch<'_>, approval: ActionId) -> Result<u64, StoreError> {
    let stirred = batch
        .connection
        .prepare_cached("UPDATE delivery SET due = ?2, stirred = stirred + 1 WHERE approval = ?1")?
        .execute(params![approval.uuid().as_bytes(), batch.now.micros()])?;
    Ok(stirred as u64)
}

fn take(
    batch: &mut Batch<'_>,
    channel: &TargetName,
    limit: usize,
    lease: Span,
) -> Result<Vec<Parcel>, StoreError> {
    let rows = batch
        .connection
        .prepare_cached(
            "SELECT id, approval, channel, due, made, stirred, sealed FROM delivery
             WHERE channel = ?1 AND due <= ?2 AND leased <= ?2 ORDER BY due, id LIMIT ?3",
        )?
        .query_map(params![channel.as_str(), batch.now.micros(), limit], read)?
        .collect::<Result<Vec<_>, _>>()?;
    let mut update = batch.connection.prepare_cached("UPDATE delivery SET leased = ?2 WHERE id = ?1")?;
    let until = batch.now.after(lease).micros();
    let mut parcels = Vec::with_capacity(rows.len());
    for row in rows {
        update.execute(params![row.id.as_bytes(), until])?;
        parcels.push(open(&batch.shared.key, row)?);
    }
    Ok(parcels)
}

fn put_back(batch: &mut Batch<'_>, parcel: &Parcel) -> Result<(), StoreError> {
    let sealed = seal(&batch.shared.key, parcel)?;
    batch.bytes += sealed.len();
    batch
        .connection
        .prepare_cached(
            "UPDATE delivery SET sealed = ?2, leased = 0, due = CASE WHEN stirred = ?3 THEN ?4 ELSE due END
             WHERE id = ?1",
        )?
        .execute(params![parcel.id.as_bytes(), sealed, parcel.stirred, parcel.due.map(Timestamp::micros)])?;
    Ok(())
}

fn page(
    connection: &Connection,
    key: &SealingKey,
    filter: &ParcelFilter,
    after: Option<ParcelCursor>,
    limit: usize,
) -> Result<(Vec<Parcel>, Option<ParcelCursor>), StoreError> {
    let rows = connection
        .prepare_cached(
            "SELECT id, approval, channel, due, made, stirred, sealed FROM delivery
             WHERE (?1 IS NULL OR approval = ?1) AND (?2 IS NULL OR channel = ?2)
               AND (?3 IS NULL OR (made, id) < (?3, ?4))
             ORDER BY made DESC, id DESC LIMIT ?5",
        )?
        .query_map(
            params![
                filter.approval.map(|id| id.uuid().into_bytes()),
                filter.channel.as_ref().map(TargetName::as_str),
                after.map(|after| after.made.micros()),
                after.map(|after| after.id.into_bytes()),
                limit
            ],
            read,
        )?
        .collect::<Result<Vec<_>, _>>()?;
    let parcels = rows.into_iter().map(|row| open(key, row)).collect::<Result<Vec<_>, _>>()?;
    let next = next(&parcels, limit);
    Ok((parcels, next))
}

struct Stored {
    id: Uuid,
    approval: ActionId,
    channel: String,
    due: Option<u64>,
    made: u64,
    stirred: u64,
    sealed: Vec<u8>,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        id: Uuid::from_bytes(row.get(0)?),
        approval: read_id(row, 1)?,
        channel: row.get(2)?,
        due: row.get(3)?,
        made: row.get(4)?,
        stirred: row.get(5)?,
        sealed: row.get(6)?,
    })
}

fn seal(key: &SealingKey, parcel: &Parcel) -> Result<Vec<u8>, StoreError> {
    let place = Place::Parcel { id: parcel.id, approval: parcel.approval, channel: parcel.channel.as_str() };
    key.seal(place, &parcel.record)
}

fn open(key: &SealingKey, row: Stored) -> Result<Parcel, StoreError> {
    let place = Place::Parcel { id: row.id, approval: row.approval, channel: &row.channel };
    let record = key.open(place, &row.sealed)?;
    Ok(Parcel {
        id: row.id,
        approval: row.approval,
        channel: row.channel.parse().map_err(|error| corrupt(format!("a delivery's channel: {error}")))?,
        due: row.due.map(Timestamp::from_micros),
        made: Timestamp::from_micros(row.made),
        stirred: row.stirred,
        record,
    })
}
