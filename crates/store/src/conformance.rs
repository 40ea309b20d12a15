//! What every twin must do, as cases over `dyn Store`. A twin's tests say how a deployment is made, and
//! call [`run`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a suite of tests, compiled for tests only: a case fails by panicking"
)]

pub mod testing;

mod approvals;
mod deliveries;
mod directories;
mod effects;
mod glass;
mod keys;
mod ledger;
mod listings;
mod load;
mod races;
mod retention;
mod retries;
mod rows;
mod vault;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::ManualClock;
use crate::{Store, StoreError};
use testing::Desk;

/// One deployment of the twin under test: an empty place for a log, a key, and a clock that is turned by hand.
#[async_trait]
pub trait Deployment: Send + Sync {
    /// Opens the store that stands here; on an empty place, a new one. The suite closes it before it opens
    /// it again.
    async fn open(&self) -> Arc<dyn Store>;
    /// Has the whole store copied to a new file, by whatever means this twin's users have.
    async fn back_up(&self, store: &dyn Store, to: &Path) -> Result<(), StoreError> {
        store.backup(to).await
    }
    /// Opens what this backup holds as a deployment of the same origin and key in another place.
    async fn restore(&self, backup: &Path) -> Arc<dyn Store>;
    /// Opens the store that stands here with another log key.
    async fn open_with(&self, key: audit::Ed25519Signer) -> Result<Arc<dyn Store>, StoreError>;
    /// The clock.
    fn clock(&self) -> &ManualClock;
    /// The log's first public key.
    fn log_key(&self) -> audit::VerifierKey;
    /// Does to the database what somebody with a hand on it may do: statements that every SQL has.
    fn behind_its_back(&self, statements: &str);
    /// A directory for the suite's files.
    fn scratch(&self) -> &Path;
}

/// What a case works with.
pub struct World {
    deployment: Box<dyn Deployment>,
    store: Arc<dyn Store>,
    desk: Desk,
}

/// How long closing may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl World {
    async fn new(deployment: Box<dyn Deployment>) -> Self {
        let store = deployment.open().await;
        let desk = Desk::new(store.origin().clone());
        Self { deployment, store, desk }
    }

    /// Closes the store and opens it again.
    async fn reopen(&mut self) {
        self.store.close(PATIENCE).await;
        self.store = self.deployment.open().await;
    }

    fn clock(&self) -> &ManualClock {
        self.deployment.clock()
    }
}

type Case = (&'static str, fn(World) -> Pin<Box<dyn Future<Output = ()> + Send>>);

macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => {
        /// The cases by name, in the order of the contract.
        const CASES: &[Case] = &[
            $($((
                concat!(stringify!($module), "::", stringify!($case)),
                |world| Box::pin($module::$case(world)),
            ),)+)+
        ];
    };
}

cases! {
    approvals: opens_and_reads_back, every_command_moves_it, commands_end_it, refuses_what_does_not_fit,
        expires_when_its_time_is_over, what_nobody_runs_any_more_is_told, wakes_whoever_listens;
    retries: identical_calls_attach, an_ended_one_is_found_within_its_window, a_lapsed_one_is_ended_first;
    rows: nobody_attaches_by_anothers_key, what_no_event_says_cannot_be_edited,
        a_row_without_its_seal_is_attached_to_by_nobody;
    effects: land_with_their_event, or_not_at_all, stale_answers_are_refused;
    races: one_of_a_hundred_redemptions, denial_against_approval, denial_against_redemption, one_of_a_hundred_openings,
        one_of_a_hundred_claims, one_of_a_hundred_takes;
    glass: waits_until_somebody_looks, stays_whole_until_then, has_no_other_way;
    listings: pages_are_newest_first, filters_narrow, prior_counts;
    deliveries: what_is_due_is_leased_to_one, what_comes_back_is_due_as_it_says, what_moves_under_a_lease_is_not_lost,
        parcels_are_listed_newest_first_and_survive, records_are_limited_and_old_ones_go,
        a_record_opens_in_its_own_row_only, one_of_many_leases_each;
    directories: changes_are_all_or_none, survive_reopening;
    ledger: entries_are_consecutive_and_time_never_falls, a_clock_a_day_off_changes_no_order, every_proof_verifies,
        tiles_are_what_the_leaves_come_to, fields_recompute_to_the_leaf,
        record_takes_only_what_has_no_other_way, erasure_keeps_the_leaf, what_still_works_is_not_erased,
        backups_restore, reopening_sees_all;
    keys: the_key_changes, rotation_among_other_writes, unfit_keys_are_refused;
    retention: values_go_and_proofs_stay, leaves_go_and_hashes_stay, what_is_needed_stays,
        what_keys_and_standings_need_stays;
    load: proofs_hold_while_keys_change_and_old_entries_go;
    vault: values_are_kept_looked_at_and_taken, values_lapse, claims_lapse, prefixes_are_forgotten, large_values_are_refused;
}

/// Runs every case, each on a deployment of its own.
///
/// # Panics
/// With the names of the cases that failed.
pub async fn run<D, F>(make: impl Fn() -> F)
where
    D: Deployment + 'static,
    F: Future<Output = D>,
{
    let mut failed = Vec::new();
    for (name, case) in CASES {
        let world = World::new(Box::new(make().await)).await;
        if let Err(error) = tokio::spawn(case(world)).await {
            eprintln!("{name}: {error}");
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "of {} cases these failed: {failed:?}", CASES.len());
}
