//! Keeps the picture of one database: reads it, asks whether it is still true, reads it again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::labels::ColumnLabel;
use super::limits::{AGE_LIMIT, LOCK_LIMIT, PROBE_EVERY, READ_AGAIN_EVERY, READ_LIMIT, RETRY};
use super::load;
use super::picture::Picture;
use super::source::{Asker, CatalogError, Source};

/// The picture of one database, kept up to date by a task that ends with this. Shared by all its sessions.
#[derive(Debug)]
pub struct Pictures {
    source: Source,
    shared: Arc<Shared>,
    keeper: JoinHandle<()>,
}

/// How the keeping of a picture goes.
#[derive(Debug, Clone)]
pub struct Health {
    /// The picture's generation; none where there is no picture that could be used.
    pub generation: Option<u64>,
    /// How long ago it was last found to be current.
    pub confirmed: Option<Duration>,
    /// Why the last try failed; none since one succeeded.
    pub failure: Option<String>,
    /// Labels of the configuration that name no column.
    pub unmatched_labels: Vec<String>,
}

#[derive(Debug)]
struct Shared {
    state: RwLock<State>,
    /// How many changes somebody told of.
    told: AtomicU64,
    wake: Notify,
    /// Grows with every try that has ended.
    tries: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    picture: Option<Arc<Picture>>,
    /// When it was last found to be current.
    confirmed: Option<Instant>,
    /// How many of the changes told of the picture has.
    has: u64,
    failure: Option<String>,
}

impl Pictures {
    /// Begins to keep a picture. Until the first is read there is none.
    #[must_use]
    pub fn start(source: Source, labels: Vec<ColumnLabel>) -> Self {
        let shared = Arc::new(Shared {
            state: RwLock::default(),
            told: AtomicU64::new(0),
            wake: Notify::new(),
            tries: watch::channel(0).0,
        });
        let keeper =
            Keeper { source: source.clone(), labels, shared: Arc::clone(&shared), asker: None, last: None };
        Self { source, shared, keeper: tokio::spawn(keeper.run()) }
    }

    /// The database of which it is.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The same, and waits for the first picture.
    ///
    /// # Errors
    /// Why the first try failed. [`Pictures::start`] would go on trying.
    pub async fn load(source: Source, labels: Vec<ColumnLabel>) -> Result<Self, CatalogError> {
        let mut tries = {
            let pictures = Self::start(source, labels);
            let tries = pictures.shared.tries.subscribe();
            (pictures, tries)
        };
        let ended = tries.1.wait_for(|tries| *tries > 0).await.is_ok();
        let pictures = tries.0;
        match pictures.health().failure {
            None if ended => Ok(pictures),
            why => Err(CatalogError::Connect(why.unwrap_or_else(|| "the keeper ended".to_owned()))),
        }
    }

    /// The picture, where there is one that can be believed: not older than [`AGE_LIMIT`], and read after the last change
    /// that somebody told of.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Picture>> {
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        let told = self.shared.told.load(Ordering::Acquire);
        let fresh = state.confirmed.is_some_and(|at| at.elapsed() <= AGE_LIMIT) && state.has >= told;
        state.picture.as_ref().filter(|_| fresh).cloned()
    }

    /// The same, waiting for one at most so long.
    pub async fn fresh(&self, patience: Duration) -> Option<Arc<Picture>> {
        let mut tries = self.shared.tries.subscribe();
        let wait = async {
            loop {
                // Seen before it is looked at, so that no try between the two is missed.
                tries.borrow_and_update();
                if let Some(picture) = self.current() {
                    return Some(picture);
                }
                tries.changed().await.ok()?;
            }
        };
        timeout(patience, wait).await.ok().flatten()
    }

    /// Says that a statement which has just been committed may have changed definitions. There is no picture until it
    /// was read again, which begins at once.
    pub fn changed(&self) {
        self.shared.told.fetch_add(1, Ordering::AcqRel);
        self.shared.wake.notify_one();
    }

    /// How the keeping goes, for status pages and `doctor`.
    #[must_use]
    pub fn health(&self) -> Health {
        let generation = self.current().map(|picture| picture.generation());
        let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        let unmatched = state.picture.as_ref().map(|picture| picture.unmatched_labels().to_vec());
        Health {
            generation,
            confirmed: state.confirmed.map(|at| at.elapsed()),
            failure: state.failure.clone(),
            unmatched_labels: unmatched.unwrap_or_default(),
        }
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

struct Keeper {
    source: Source,
    labels: Vec<ColumnLabel>,
    shared: Arc<Shared>,
    asker: Option<Asker>,
    /// When the catalog was read last, and the probe's answer then.
    last: Option<(Instant, String)>,
}

impl Keeper {
    async fn run(mut self) {
        let mut pause = RETRY.0;
        loop {
            let told = self.shared.told.load(Ordering::Acquire);
            let tried = match timeout(READ_LIMIT, self.look(told)).await {
                Ok(tried) => tried,
                Err(_) => Err(CatalogError::Slow(READ_LIMIT)),
            };
            let wait = match tried {
                Ok(()) => {
                    pause = RETRY.0;
                    PROBE_EVERY
                }
                Err(error) => {
                    tracing::warn!(source = ?self.source, %error, "the catalog cannot be read");
                    self.asker = None;
                    self.state(|state| state.failure = Some(error.to_string()));
                    let wait = pause;
                    pause = (pause * 2).min(RETRY.1);
                    wait
                }
            };
            self.shared.tries.send_modify(|tries| *tries += 1);
            // A failure is not tried again at once, whoever asks.
            let told_since = self.shared.wake.notified();
            if wait == PROBE_EVERY {
                let _ = timeout(wait, told_since).await;
            } else {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Sees to it that the picture is of now.
    async fn look(&mut self, told: u64) -> Result<(), CatalogError> {
        let asker = match self.asker.take().filter(|asker| !asker.client.is_closed()) {
            Some(asker) => asker,
            None => self.source.connect(READ_LIMIT, LOCK_LIMIT).await?,
        };
        let asker = self.asker.insert(asker);
        // Nothing that was changed before this moment is missed by what is asked after it.
        let now = Instant::now();
        if let Some((read, fingerprint)) = &self.last
            && read.elapsed() < READ_AGAIN_EVERY
            && load::probe(&asker.client).await? == *fingerprint
        {
            self.confirm(now, told);
            return Ok(());
        }
        let (picture, fingerprint) = load::load(&mut asker.client, &self.labels).await?;
        self.last = Some((now, fingerprint));
        let stands = self.shared.state.read().unwrap_or_else(PoisonError::into_inner).picture.clone();
        match stands {
            Some(stands) if stands.digest == picture.digest => self.confirm(now, told),
            stands => {
                let generation = stands.map_or(1, |stands| stands.generation + 1);
                for label in &picture.unmatched {
                    tracing::warn!(source = ?self.source, label, "a configured label names no column");
                }
                let picture = Arc::new(Picture { generation, ..picture });
                self.state(|state| {
                    *state = State { picture: Some(picture), confirmed: Some(now), has: told, failure: None };
                });
            }
        }
        Ok(())
    }

    fn confirm(&self, now: Instant, told: u64) {
        self.state(|state| {
            (state.confirmed, state.has, state.failure) = (Some(now), told, None);
        });
    }

    fn state(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}
