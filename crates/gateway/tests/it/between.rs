//! A store with somebody standing between it and the gateway: writes fail on demand, and things happen at
//! the worst moment.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::approval::Command;
use domain::commitment::Disclosure;
use domain::directory::{Change, Directory};
use domain::entry::Draft;
use domain::event::Event;
use domain::id::{ActionId, Origin, TargetName};
use domain::principal::Principal;
use domain::time::{Span, Timestamp};
use gateway::store::{
    Advance, Approvals, Cursor, Deliveries, Directories, Effect, EntryView, Filter, Head, Ledger, Opened,
    Page, Parcel, ParcelCursor, ParcelFilter, Position, Prior, Pruned, Pruning, Recorded, Request, Rotation,
    Store, StoreError, Summary, Vault, Wake,
};
use tokio::sync::broadcast;

type Deed = Box<dyn FnOnce(Arc<dyn Store>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What whoever records an entry hears once it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Answers {
    /// That it does.
    #[default]
    Arrive,
    /// Nothing any more: the process is killed meanwhile.
    Never,
    /// That something failed.
    AreLost,
}

/// The store as the gateway has it.
pub(crate) struct Between {
    pub(crate) inner: Arc<dyn Store>,
    failing: AtomicBool,
    /// Whoever records an entry waits while it is closed.
    gate: tokio::sync::watch::Sender<bool>,
    answers: Mutex<Answers>,
    looks: AtomicUsize,
    at_look: Mutex<Option<(usize, Deed)>>,
    wakes: Mutex<Option<broadcast::Sender<Wake>>>,
}

impl Between {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            failing: AtomicBool::new(false),
            gate: tokio::sync::watch::Sender::new(true),
            answers: Mutex::default(),
            looks: AtomicUsize::new(0),
            at_look: Mutex::default(),
            wakes: Mutex::default(),
        }
    }

    /// From now on nothing can be written (or everything can again).
    pub(crate) fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// From now on an entry that is to be recorded waits (or no longer).
    pub(crate) fn stall(&self, stalled: bool) {
        self.gate.send_replace(!stalled);
    }

    /// What is recorded from now on stands, and this is what whoever recorded it hears.
    pub(crate) fn answers(&self, answers: Answers) {
        *self.answers.lock().unwrap() = answers;
    }

    /// When the gateway reads an approval for the `n`th time from now, this happens first.
    pub(crate) fn at_look<F>(&self, n: usize, deed: impl FnOnce(Arc<dyn Store>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        *self.at_look.lock().unwrap() = Some((n, Box::new(move |store| Box::pin(deed(store)))));
    }

    /// How often the gateway has read an approval.
    pub(crate) fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    fn writable(&self) -> Result<(), StoreError> {
        if self.failing.load(Ordering::SeqCst) {
            Err(StoreError::Failed("the disk is full".to_owned()))
        } else {
            Ok(())
        }
    }

    async fn looked_at(&self) {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let deed = {
            let mut waiting = self.at_look.lock().unwrap();
            match waiting.take() {
                Some((1, deed)) => Some(deed),
                Some((n, deed)) => {
                    *waiting = Some((n - 1, deed));
                    None
                }
                None => None,
            }
        };
        if let Some(deed) = deed {
            deed(Arc::clone(&self.inner)).await;
        }
    }

    /// Listeners that come from now on hear only what this sender says.
    pub(crate) fn speak_through(&self, sender: broadcast::Sender<Wake>) {
        *self.wakes.lock().unwrap() = Some(sender);
    }
}

#[async_trait]
impl Approvals for Between {
    async fn open(&self, request: Request) -> Result<Opened, StoreError> {
        self.writable()?;
        self.inner.open(request).await
    }

    async fn advance(
        &self,
        id: ActionId,
        command: Command,
        effect: Effect,
    ) -> Result<Recorded<Advance>, StoreError> {
        self.writable()?;
        self.inner.advance(id, command, effect).await
    }

    async fn approval(&self, id: ActionId) -> Result<Summary, StoreError> {
        self.looked_at().await;
        self.inner.approval(id).await
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<ActionId>, StoreError> {
        self.inner.orphans(limit).await
    }

    async fn history(&self, id: ActionId) -> Result<Vec<(Event, Position)>, StoreError> {
        self.inner.history(id).await
    }

    async fn payload(&self, id: ActionId) -> Result<Vec<Disclosure>, StoreError> {
        self.inner.payload(id).await
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page<Summary>, StoreError> {
        self.inner.list(filter, after, limit).await
    }

    async fn lapsed(&self, limit: usize) -> Result<Vec<ActionId>, StoreError> {
        self.inner.lapsed(limit).await
    }

    async fn awaiting_later_review(&self) -> Result<u64, StoreError> {
        self.inner.awaiting_later_review().await
    }

    async fn prior(&self, caller: Principal, shape: &str) -> Result<Prior, StoreError> {
        self.inner.prior(caller, shape).await
    }
}

#[async_trait]
impl Directories for Between {
    fn directory(&self) -> Arc<Directory> {
        self.inner.directory()
    }

    async fn change(&self, version: u64, changes: Vec<Change>) -> Result<Recorded<u64>, StoreError> {
        self.writable()?;
        self.inner.change(version, changes).await
    }

    async fn directory_entries(&self, subject: &str) -> Result<Vec<u64>, StoreError> {
        self.inner.directory_entries(subject).await
    }
}

#[async_trait]
impl Ledger for Between {
    fn origin(&self) -> &Origin {
        self.inner.origin()
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.inner.head().await
    }

    async fn record(&self, draft: Draft) -> Result<Recorded<()>, StoreError> {
        self.writable()?;
        let _ = self.gate.subscribe().wait_for(|open| *open).await;
        let recorded = self.inner.record(draft).await?;
        let answers = *self.answers.lock().unwrap();
        match answers {
            Answers::Arrive => Ok(recorded),
            Answers::Never => std::future::pending().await,
            Answers::AreLost => Err(StoreError::Failed("the connection was cut".to_owned())),
        }
    }

    async fn settle(&self) -> Result<(), StoreError> {
        self.inner.settle().await
    }

    async fn entry(&self, index: u64) -> Result<EntryView, StoreError> {
        self.inner.entry(index).await
    }

    async fn leaves(&self, from: u64, to: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        self.inner.leaves(from, to).await
    }

    async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        self.inner.inclusion(index, size).await
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<[u8; 32]>, StoreError> {
        self.inner.consistency(old, new).await
    }

    async fn erase(&self, index: u64, paths: &[String], by: Principal) -> Result<Recorded<()>, StoreError> {
        self.writable()?;
        self.inner.erase(index, paths, by).await
    }

    async fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<[u8; 32]>, StoreError> {
        self.inner.tile(level, index, width).await
    }

    async fn prune(&self, pruning: Pruning) -> Result<Option<Recorded<Pruned>>, StoreError> {
        self.writable()?;
        self.inner.prune(pruning).await
    }

    async fn pruned_below(&self) -> Result<u64, StoreError> {
        self.inner.pruned_below().await
    }

    async fn rotate(&self, to: Box<dyn audit::NoteSigner>, reason: &str) -> Result<Recorded<()>, StoreError> {
        self.writable()?;
        self.inner.rotate(to, reason).await
    }

    async fn rotations(&self) -> Result<Vec<Rotation>, StoreError> {
        self.inner.rotations().await
    }

    async fn audit(&self) -> Result<Head, StoreError> {
        self.inner.audit().await
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.inner.backup(to).await
    }
}

#[async_trait]
impl Vault for Between {
    async fn keep(&self, key: &str, value: &[u8], lifetime: Span) -> Result<(), StoreError> {
        self.writable()?;
        self.inner.keep(key, value, lifetime).await
    }

    async fn look(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.look(key).await
    }

    async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.writable()?;
        self.inner.take(key).await
    }

    async fn claim(&self, key: &str, lifetime: Span) -> Result<bool, StoreError> {
        self.writable()?;
        self.inner.claim(key, lifetime).await
    }

    async fn forget(&self, prefix: &str) -> Result<u64, StoreError> {
        self.writable()?;
        self.inner.forget(prefix).await
    }
}

#[async_trait]
impl Deliveries for Between {
    async fn plan(&self, parcels: Vec<Parcel>) -> Result<u64, StoreError> {
        self.writable()?;
        self.inner.plan(parcels).await
    }

    async fn stir(&self, approval: ActionId) -> Result<u64, StoreError> {
        self.writable()?;
        self.inner.stir(approval).await
    }

    async fn lease(
        &self,
        channel: &TargetName,
        limit: usize,
        lease: Span,
    ) -> Result<Vec<Parcel>, StoreError> {
        self.writable()?;
        self.inner.lease(channel, limit, lease).await
    }

    async fn put_back(&self, parcel: Parcel) -> Result<(), StoreError> {
        self.writable()?;
        self.inner.put_back(parcel).await
    }

    async fn parcels(
        &self,
        filter: &ParcelFilter,
        after: Option<ParcelCursor>,
        limit: usize,
    ) -> Result<(Vec<Parcel>, Option<ParcelCursor>), StoreError> {
        self.inner.parcels(filter, after, limit).await
    }
}

#[async_trait]
impl Store for Between {
    fn wakes(&self) -> broadcast::Receiver<Wake> {
        match &*self.wakes.lock().unwrap() {
            Some(sender) => sender.subscribe(),
            None => self.inner.wakes(),
        }
    }

    async fn close(&self, patience: Duration) {
        self.inner.close(patience).await;
    }
}
