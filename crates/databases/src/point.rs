//! The point: the databases that stand, and the gate before them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use domain::action::Target;
use domain::directory::Directory;
use domain::id::{CredentialRef, TargetName};
use gateway::Gateway;
use postgres::config::{Secret, Settings, Upstream};
use postgres::hold::Onward;
use postgres::serve::Gate;
use sql::Classifier;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, broadcast, watch};

use crate::admit::Door;
use crate::catalog::{Pictures, Source};
use crate::config::{Database, is_database};
use crate::hold::Waiters;
use crate::judgements::Judgements;
use crate::limits::PREVIEWS_LIMIT;
use crate::run::PostgresRunner;

/// The PostgreSQL enforcement point.
pub struct PostgresPoint {
    shared: Arc<Shared>,
}

/// What all sessions share.
pub(crate) struct Shared {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) waiters: Arc<Waiters>,
    secrets: BTreeMap<CredentialRef, Secret>,
    /// The databases, made over one version of the directory.
    databases: RwLock<(u64, Arc<Databases>)>,
    /// Held while they are made anew, so that one database has one set of pictures.
    making: Mutex<()>,
    /// The directory's version, for sessions that look whether they still stand.
    pub(crate) moved: watch::Sender<u64>,
}

/// The databases by name.
pub(crate) type Databases = HashMap<TargetName, Arc<Standing>>;

/// A database as the directory has it.
pub(crate) struct Standing {
    pub(crate) database: Database,
    pub(crate) target: Target,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) pictures: Pictures,
    pub(crate) classifier: Classifier,
    pub(crate) judgements: Judgements,
    /// Whose turn it is to have a preview made.
    pub(crate) previews: Semaphore,
}

impl PostgresPoint {
    /// The point over a gateway, with the secrets that databases name.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, secrets: BTreeMap<CredentialRef, String>) -> Self {
        let secrets =
            secrets.into_iter().map(|(name, value)| (name, Secret::new(value.into_bytes()))).collect();
        let moved = watch::Sender::new(gateway.directory().version());
        Self {
            shared: Arc::new(Shared {
                gateway,
                waiters: Arc::default(),
                secrets,
                databases: RwLock::new((0, Arc::default())),
                making: Mutex::default(),
                moved,
            }),
        }
    }

    /// What runs this point's actions once they are approved.
    #[must_use]
    pub fn runner(&self) -> impl gateway::ports::Runner + use<> {
        PostgresRunner::new(Arc::clone(&self.shared))
    }

    /// Names of secrets that a database wants and the bootstrap configuration does not have.
    #[must_use]
    pub fn missing_secrets(&self) -> BTreeSet<CredentialRef> {
        written(&self.shared.gateway.directory())
            .filter_map(|(_, text)| Database::parse_json(text).ok()?.settings().credential.clone())
            .map(|credential| credential.secret)
            .filter(|secret| !self.shared.secrets.contains_key(secret))
            .collect()
    }

    /// Serves clients until `stop`, on this listener and with these settings of the wire.
    pub async fn serve(
        self,
        listener: TcpListener,
        settings: Settings,
        stop: impl Future<Output = ()> + Send,
    ) {
        let shared = self.shared;
        // Read before anybody asks, so that the first statements find a picture.
        drop(shared.databases());
        let gate = Gate::new(settings, Arc::new(Door::new(Arc::clone(&shared))));
        tokio::select! {
            () = gate.serve(listener, stop) => {}
            () = shared.follow() => {}
        }
    }
}

impl Shared {
    /// The databases as the directory has them now.
    pub(crate) fn databases(&self) -> Arc<Databases> {
        let version = self.gateway.directory().version();
        let known = || {
            let databases = self.databases.read().unwrap_or_else(PoisonError::into_inner);
            (databases.0, Arc::clone(&databases.1))
        };
        let (made, databases) = known();
        if made == version {
            return databases;
        }
        let _one_at_a_time = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let (made, before) = known();
        let directory = self.gateway.directory();
        if made == directory.version() {
            return before;
        }
        let fresh = Arc::new(self.make(&directory, &before));
        *self.databases.write().unwrap_or_else(PoisonError::into_inner) =
            (directory.version(), Arc::clone(&fresh));
        fresh
    }

    /// Reads every database's document; what stands unchanged keeps its picture.
    fn make(&self, directory: &Directory, before: &Databases) -> Databases {
        let mut databases = Databases::new();
        for (name, document) in directory.routes().filter(|(_, document)| is_database(&document.text)) {
            let unchanged =
                before.get(name).filter(|standing| standing.target.definition == document.definition);
            if let Some(standing) = unchanged {
                databases.insert(name.clone(), Arc::clone(standing));
                continue;
            }
            let database = match Database::parse_json(&document.text) {
                Ok(database) if database.name() == name => database,
                Ok(_) => {
                    tracing::error!(%name, "a database's document names another; it is refused");
                    continue;
                }
                Err(error) => {
                    tracing::error!(%name, %error, "a database is out of order; it is refused");
                    continue;
                }
            };
            let upstream = Arc::new(database.upstream());
            let onward = Onward {
                upstream: Arc::clone(&upstream),
                user: database.user().clone(),
                database: database.database().clone(),
                // Without it the server refuses us, and there is no picture: every statement is then held.
                password: self.password(&database).unwrap_or_else(|| Secret::new(Vec::new())),
            };
            let standing = Standing {
                target: Target { name: name.clone(), definition: document.definition },
                pictures: Pictures::start(Source::new(onward), database.labels()),
                upstream,
                classifier: Classifier::default(),
                judgements: Judgements::default(),
                previews: Semaphore::new(PREVIEWS_LIMIT),
                database,
            };
            databases.insert(name.clone(), Arc::new(standing));
        }
        databases
    }

    /// The password with which a database is signed in to; none where its secret is not configured.
    pub(crate) fn password(&self, database: &Database) -> Option<Secret> {
        match &database.settings().credential {
            Some(credential) => self.secrets.get(&credential.secret).cloned(),
            None => Some(Secret::new(Vec::new())),
        }
    }

    /// Tells sessions that the directory has changed. Never ends while the store stands.
    async fn follow(&self) {
        let mut wakes = self.gateway.store().wakes();
        loop {
            match wakes.recv().await {
                Ok(gateway::store::Wake::Directory(version)) => {
                    self.moved.send_replace(version);
                }
                Ok(gateway::store::Wake::Approval(_)) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    self.moved.send_replace(self.gateway.directory().version());
                }
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

fn written(directory: &Directory) -> impl Iterator<Item = (&TargetName, &str)> {
    directory
        .routes()
        .filter(|(_, document)| is_database(&document.text))
        .map(|(name, document)| (name, document.text.as_str()))
}

impl std::fmt::Debug for PostgresPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresPoint")
    }
}
