//! The gateway itself: what it is made of, and how it starts and stops.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use domain::action::Point;
use domain::directory::Directory;
use domain::id::Origin;
use domain::time::Timestamp;
use store::Store;
use tokio::sync::Semaphore;

use crate::activity::Activity;
use crate::decide::{Deciding, Remembered};
use crate::hold::{Asking, Waiting};
use crate::ports::{Entropy, Runner};
use crate::{GatewayError, limits};

/// One gateway over one store.
pub struct Gateway {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: Settings,
    pub(crate) tokens: identity::TokenCache,
    pub(crate) deciding: RwLock<Arc<Deciding>>,
    pub(crate) remembered: Remembered,
    pub(crate) waiting: Waiting,
    pub(crate) asking: Asking,
    pub(crate) activity: Activity,
    pub(crate) runners: RwLock<HashMap<Point, Arc<dyn Runner>>>,
    pub(crate) runs: Semaphore,
    pub(crate) hard_work: Semaphore,
    /// Whether sealed segments reach the log. While they do not, nothing new is permitted.
    pub(crate) recording: AtomicBool,
}

/// What a gateway is made of.
pub struct Parts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What the bootstrap configuration says.
    pub settings: Settings,
    /// The key under which access tokens are made: 32 bytes.
    pub token_key: [u8; 32],
    /// Where segments of activity lie.
    pub activity_folder: PathBuf,
}

/// What the bootstrap configuration says of the deployment.
#[derive(Clone)]
pub struct Settings {
    /// The deployment's one name.
    pub origin: Origin,
    /// Where people reach the console, such as `http://localhost:7676`.
    pub public_url: String,
    /// The relying party of that address.
    pub relying_party: assertion::RelyingParty,
    /// The key of the retry HMAC: 32 bytes.
    pub retry_key: [u8; 32],
    /// The log's verifier key (C2SP), which receipts are verified with.
    pub log_key: String,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("origin", &self.origin)
            .field("public_url", &self.public_url)
            .finish()
    }
}

impl Gateway {
    /// A gateway; nothing moves before [`Gateway::start`].
    ///
    /// # Errors
    /// A stored policy set that does not load, or an activity folder that cannot be made.
    pub fn new(parts: Parts) -> Result<Arc<Self>, GatewayError> {
        let deciding = Deciding::load(&parts.store.directory())?;
        Ok(Arc::new(Self {
            tokens: identity::TokenCache::new(identity::TokenKey::new(
                parts.token_key,
                parts.settings.origin.clone(),
            )),
            activity: Activity::open(&parts.activity_folder)?,
            deciding: RwLock::new(Arc::new(deciding)),
            remembered: Remembered::default(),
            waiting: Waiting::default(),
            asking: Asking::default(),
            runners: RwLock::new(HashMap::new()),
            runs: Semaphore::new(limits::RUNS_AT_ONCE),
            hard_work: Semaphore::new(1),
            recording: AtomicBool::new(true),
            store: parts.store,
            entropy: parts.entropy,
            settings: parts.settings,
        }))
    }

    /// Lets a point run what it intercepts.
    pub fn install(&self, runner: Arc<dyn Runner>) {
        let mut runners = self.runners.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        runners.insert(runner.point(), runner);
    }

    /// Recovers what a restart finds, then listens for whatever moves. Call it once, after every
    /// [`Gateway::install`].
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn start(self: &Arc<Self>) -> Result<(), GatewayError> {
        let wakes = self.store.wakes();
        self.recover().await?;
        tokio::spawn(Arc::clone(self).listen(wakes));
        tokio::spawn(Arc::clone(self).count_pending());
        tokio::spawn(Arc::clone(self).sweep());
        tokio::spawn(Arc::clone(self).keep_recording());
        tokio::spawn(Arc::clone(self).keep_dropping());
        Ok(())
    }

    /// Seals the open segment and closes the store; what is running gets the given patience first.
    pub async fn stop(&self, patience: Duration) {
        let all = u32::try_from(limits::RUNS_AT_ONCE).unwrap_or(u32::MAX);
        // Held until the store is closed, so that nothing begins in between.
        let _runs = tokio::time::timeout(patience, self.runs.acquire_many(all)).await;
        self.activity.close_due(self.store.now(), true);
        if let Err(error) = self.record_segments().await {
            tracing::error!(%error, "the last activity segment was not sealed; the next start seals it");
        }
        self.store.close(patience).await;
    }

    /// The store, for those who read.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What the bootstrap configuration says.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether what happens reaches the log. While it does not, nothing runs, and this node is not ready.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.recording.load(Ordering::Relaxed)
    }

    /// The directory as it stands.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        self.store.directory()
    }

    /// The time that a commit would have now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.store.now()
    }

    /// Where people open an approval.
    #[must_use]
    pub fn approval_url(&self, id: domain::id::ActionId) -> String {
        format!("{}/approvals/{id}", self.settings.public_url)
    }

    /// A new id (or whatever else is made of the time and ten random bytes), for what a caller proposes:
    /// `gateway.new_id(PersonId::new)`.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new_id<T>(
        &self,
        make: impl FnOnce(Timestamp, &domain::id::Entropy) -> T,
    ) -> Result<T, GatewayError> {
        Ok(make(self.store.now(), &self.draw()?))
    }

    pub(crate) fn draw<const N: usize>(&self) -> Result<[u8; N], GatewayError> {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn runner(&self, point: Point) -> Option<Arc<dyn Runner>> {
        self.runners.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(&point).cloned()
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("settings", &self.settings).finish_non_exhaustive()
    }
}
