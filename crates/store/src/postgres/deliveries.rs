//! The outbox of what is brought to people. Several gateways lease from it at once, and each parcel goes to one of them.

use async_trait::async_trait;
use domain::id::{ActionId, TargetName};
use domain::time::{Span, Timestamp};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::connect::connection;
use super::link::{Link, big, column, corrupt, maybe_natural, natural};
use crate::deliveries::{
    Deliveries, PARCELS_SWEPT, Parcel, ParcelCursor, ParcelFilter, check_size, next, old,
};
use crate::seal::{Place, SealingKey};
use crate::{StoreError, limits};

#[async_trait]
impl Deliveries for PostgresStore {
    async fn plan(&self, parcels: Vec<Parcel>) -> Result<u64, StoreError> {
        parcels.iter().try_for_each(check_size)?;
        let now = self.shared.now();
        let mut client = self.to_write().await?;
        let link = Link::write(&mut client).await?;
        let mut new = 0;
        for parcel in &parcels {
            let sealed = seal(&self.shared.key, parcel)?;
            let due = parcel.due.map(|due| big(due.micros())).transpose()?;
            new += link
                .execute(
                    "INSERT INTO delivery (id, approval, channel, due, made, sealed) VALUES ($1, $2, $3, $4, $5, $6)
                     ON CONFLICT (id) DO NOTHING",
                    &[
                        &parcel.id,
                        &parcel.approval.uuid(),
                        &parcel.channel.as_str(),
                        &due,
                        &big(now.micros())?,
                        &sealed,
                    ],
                )
                .await?;
        }
        let (old, swept) = (big(old(now).micros())?, big(PARCELS_SWEPT as u64)?);
        link.execute(
            "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery
                 WHERE made < $1 AND due IS NULL ORDER BY made LIMIT $2 FOR UPDATE SKIP LOCKED)",
            &[&old, &swept],
        )
        .await?;
        link.commit().await?;
        Ok(new)
    }

    async fn stir(&self, approval: ActionId) -> Result<u64, StoreError> {
        let now = big(self.shared.now().micros())?;
        let mut client = self.to_write().await?;
        let link = Link::write(&mut client).await?;
        // In one order, so that two who stir one request wait for each other and never in a circle.
        let stirred = link
            .execute(
                "WITH these AS (SELECT id FROM delivery WHERE approval = $1 ORDER BY id FOR UPDATE)
                 UPDATE delivery SET due = $2, stirred = stirred + 1 FROM these WHERE delivery.id = these.id",
                &[&approval.uuid(), &now],
            )
            .await?;
        link.commit().await?;
        Ok(stirred)
    }

    async fn lease(
        &self,
        channel: &TargetName,
        limit: usize,
        lease: Span,
    ) -> Result<Vec<Parcel>, StoreError> {
        let now = self.shared.now();
        let (limit, until) = (big(limit.min(limits::PAGE_LIMIT) as u64)?, big(now.after(lease).micros())?);
        let mut client = self.to_write().await?;
        let link = Link::write(&mut client).await?;
        let rows = link
            .query(
                "UPDATE delivery SET leased = $4 WHERE id IN (SELECT id FROM delivery
                     WHERE channel = $1 AND due <= $2 AND leased <= $2 ORDER BY due, id LIMIT $3
                     FOR UPDATE SKIP LOCKED)
                 RETURNING id, approval, channel, due, made, stirred, sealed",
                &[&channel.as_str(), &big(now.micros())?, &limit, &until],
            )
            .await?;
        let mut parcels =
            rows.iter().map(|row| open(&self.shared.key, row)).collect::<Result<Vec<_>, _>>()?;
        link.commit().await?;
        parcels.sort_by_key(|parcel| (parcel.due, parcel.id));
        Ok(parcels)
    }

    async fn put_back(&self, parcel: Parcel) -> Result<(), StoreError> {
        check_size(&parcel)?;
        let sealed = seal(&self.shared.key, &parcel)?;
        let due = parcel.due.map(|due| big(due.micros())).transpose()?;
        let mut client = self.to_write().await?;
        let link = Link::write(&mut client).await?;
        link.execute(
            "UPDATE delivery SET sealed = $2, leased = 0, due = CASE WHEN stirred = $3 THEN $4 ELSE due END
             WHERE id = $1",
            &[&parcel.id, &sealed, &big(parcel.stirred)?, &due],
        )
        .await?;
        link.commit().await?;
        Ok(())
    }

    async fn parcels(
        &self,
        filter: &ParcelFilter,
        after: Option<ParcelCursor>,
        limit: usize,
    ) -> Result<(Vec<Parcel>, Option<ParcelCursor>), StoreError> {
        let limit = limit.min(limits::PAGE_LIMIT);
        let approval = filter.approval.map(ActionId::uuid);
        let channel = filter.channel.as_ref().map(TargetName::as_str);
        let made = after.map(|after| big(after.made.micros())).transpose()?;
        let mut client = connection(&self.shared.pool).await?;
        let link = Link::read(&mut client).await?;
        let rows = link
            .query(
                "SELECT id, approval, channel, due, made, stirred, sealed FROM delivery
                 WHERE ($1::uuid IS NULL OR approval = $1) AND ($2::text IS NULL OR channel = $2)
                   AND ($3::bigint IS NULL OR (made, id) < ($3, $4::uuid))
                 ORDER BY made DESC, id DESC LIMIT $5",
                &[&approval, &channel, &made, &after.map(|after| after.id), &big(limit as u64)?],
            )
            .await?;
        let parcels = rows.iter().map(|row| open(&self.shared.key, row)).collect::<Result<Vec<_>, _>>()?;
        let next = next(&parcels, limit);
        Ok((parcels, next))
    }
}

fn seal(key: &SealingKey, parcel: &Parcel) -> Result<Vec<u8>, StoreError> {
    let place = Place::Parcel { id: parcel.id, approval: parcel.approval, channel: parcel.channel.as_str() };
    key.seal(place, &parcel.record)
}

fn open(key: &SealingKey, row: &Row) -> Result<Parcel, StoreError> {
    let (id, approval) = (column::<Uuid>(row, 0)?, ActionId::from_uuid(column::<Uuid>(row, 1)?));
    let channel: &str = column(row, 2)?;
    let record = key.open(Place::Parcel { id, approval, channel }, column(row, 6)?)?;
    Ok(Parcel {
        id,
        approval,
        channel: channel.parse().map_err(|error| corrupt(format!("a delivery's channel: {error}")))?,
        due: maybe_natural(row, 3)?.map(Timestamp::from_micros),
        made: Timestamp::from_micros(natural(row, 4)?),
        stirred: natural(row, 5)?,
        record,
    })
}
