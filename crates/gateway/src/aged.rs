//! Segments of activity go with their pruned leaves: the leaf and its hash stay, as every pruned entry's do.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use domain::entry::Leaf;

use crate::activity::{failed, off_the_way};
use crate::{Gateway, GatewayError, limits};

impl Gateway {
    /// Removes the segments whose leaves' values a pruning has dropped; the leaves stay. That it was done stands in the
    /// log: a `pruning/1` entry names the range. Answers how many.
    ///
    /// # Errors
    /// Store failures, a folder that cannot be read, a file that cannot be removed.
    pub async fn drop_pruned_activity(&self) -> Result<usize, GatewayError> {
        let below = self.store.pruned_below().await?;
        if below == 0 {
            return Ok(0);
        }
        let leaf: Leaf = domain::canonical::read(&self.store.entry(below).await?.leaf)?;
        let date = SystemTime::UNIX_EPOCH + Duration::from_micros(leaf.time.micros());
        let Some(before) = date.checked_sub(limits::SEGMENT_GRACE) else { return Ok(0) };
        let folder = self.activity.folder.clone();
        let dropped = off_the_way(move || drop_dated_before(&folder, before)).await;
        dropped.map_err(|error| failed("drop", &self.activity.folder, &error))
    }

    /// Removes what prunings left of segments, at the start and from time to time.
    pub(crate) async fn keep_dropping(self: Arc<Self>) {
        let mut beat = tokio::time::interval(limits::SEGMENTS_DROPPED_EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            match self.drop_pruned_activity().await {
                Ok(0) => {}
                Ok(segments) => {
                    tracing::info!(segments, "segments of activity went with their pruned leaves")
                }
                Err(error) => {
                    tracing::error!(%error, "could not drop segments of activity; it is tried again")
                }
            }
        }
    }
}

/// Removes closed segments with a date before a time. A date is that of the leaf, which is never
/// before that of an earlier one: what is older than a leaf that stands whole has a leaf before it.
fn drop_dated_before(folder: &Path, before: SystemTime) -> std::io::Result<usize> {
    let mut dropped = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "jsonl") {
            continue;
        }
        if std::fs::metadata(&path)?.modified()? < before {
            std::fs::remove_file(&path)?;
            dropped += 1;
        }
    }
    Ok(dropped)
}
