//! What is to be brought to people, and what came of it: the durable outbox of the rooms that reach them.
//!
//! A parcel is one request on its way to one place. What is in it is its room's business: here it is bytes, sealed, with
//! a moment at which somebody is to look at it. It belongs to no log: what is delivered decides nothing, and whatever was
//! decided stands in its approval.

use async_trait::async_trait;
use domain::id::{ActionId, TargetName};
use domain::time::{Span, Timestamp};
use uuid::Uuid;

use crate::StoreError;

/// The largest parcel, in bytes.
pub const PARCEL_LIMIT_BYTES: usize = 64 << 10;
/// How long a parcel is kept that nothing is due of, in seconds: 90 days from when it was made.
pub const PARCEL_KEPT_SECONDS: u64 = 90 * 24 * 3_600;
/// Each planning takes so many old parcels with it: more go than come.
pub(crate) const PARCELS_SWEPT: usize = 4;

/// One request on its way to one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Its id: the same for the same request, channel and place, as its room makes it.
    pub id: Uuid,
    /// The request.
    pub approval: ActionId,
    /// By which channel.
    pub channel: TargetName,
    /// When somebody is to look at it next; none where only its request's next event makes it due.
    pub due: Option<Timestamp>,
    /// When it was planned.
    pub made: Timestamp,
    /// How often its request stirred it. Whoever puts it back says which they had.
    pub stirred: u64,
    /// What its room keeps of it.
    pub record: Vec<u8>,
}

/// Which parcels a listing shows.
#[derive(Debug, Clone, Default)]
pub struct ParcelFilter {
    /// Only those of this request.
    pub approval: Option<ActionId>,
    /// Only those of this channel.
    pub channel: Option<TargetName>,
}

/// Where the next page of parcels begins: behind this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParcelCursor {
    /// When it was made.
    pub made: Timestamp,
    /// Its id.
    pub id: Uuid,
}

/// The outbox.
///
/// Contract: a parcel is leased to one process at a time, whichever gateway it is; one that is put back or whose lease
/// ends is there for the next. What stirs a parcel while it is leased is not lost: it is due at once when it comes back.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// Adds parcels; one that stands already stays as it is. Answers how many are new. `made` and `stirred` are the
    /// store's to say.
    ///
    /// # Errors
    /// A record over [`PARCEL_LIMIT_BYTES`]; store failures.
    async fn plan(&self, parcels: Vec<Parcel>) -> Result<u64, StoreError>;

    /// A request moved: all its parcels are due now. Answers how many there are.
    ///
    /// # Errors
    /// Store failures.
    async fn stir(&self, approval: ActionId) -> Result<u64, StoreError>;

    /// Leases up to `limit` parcels of a channel that are due, the longest due first.
    ///
    /// # Errors
    /// Store failures; [`StoreError::Corrupt`] for one that does not open.
    async fn lease(&self, channel: &TargetName, limit: usize, lease: Span)
    -> Result<Vec<Parcel>, StoreError>;

    /// Puts a leased parcel back, with what its room keeps of it now and when it is due next.
    ///
    /// # Errors
    /// A record over [`PARCEL_LIMIT_BYTES`]; store failures.
    async fn put_back(&self, parcel: Parcel) -> Result<(), StoreError>;

    /// Parcels, the newest first, at most [`crate::limits::PAGE_LIMIT`]; and where the next page begins.
    ///
    /// # Errors
    /// Store failures; [`StoreError::Corrupt`] for one that does not open.
    async fn parcels(
        &self,
        filter: &ParcelFilter,
        after: Option<ParcelCursor>,
        limit: usize,
    ) -> Result<(Vec<Parcel>, Option<ParcelCursor>), StoreError>;
}

/// Refuses a record over its limit.
pub(crate) fn check_size(parcel: &Parcel) -> Result<(), StoreError> {
    let actual = parcel.record.len();
    if actual <= PARCEL_LIMIT_BYTES {
        return Ok(());
    }
    let (what, limit, unit) = ("a delivery's record", PARCEL_LIMIT_BYTES, "bytes");
    Err(StoreError::Refused(domain::Malformed::TooLarge { what, actual, limit, unit }.into()))
}

/// Parcels that were made before this are old.
pub(crate) fn old(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.micros().saturating_sub(PARCEL_KEPT_SECONDS * 1_000_000))
}

/// Where the page behind these begins, if it was full.
pub(crate) fn next(parcels: &[Parcel], limit: usize) -> Option<ParcelCursor> {
    let last = parcels.last().filter(|_| parcels.len() >= limit)?;
    Some(ParcelCursor { made: last.made, id: last.id })
}
