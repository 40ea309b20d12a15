//! Who may cancel what: keys that the gate makes, so that the server's own stay here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use subtle::ConstantTimeEq as _;
use tokio::sync::{mpsc, oneshot};

use crate::parse::Version;

/// A secret's length in protocol 3.2, in bytes; in 3.0 it is four.
const SECRET_BYTES: usize = 32;
const OLD_SECRET_BYTES: usize = 4;
/// The most requests that wait for one session; more are dropped.
const QUEUE_LIMIT: usize = 4;

/// A request to cancel; dropped or answered when it is done with.
pub(crate) type Request = oneshot::Sender<()>;

/// All sessions that can be cancelled.
#[derive(Default)]
pub(crate) struct Keys(Mutex<HashMap<u32, Entry>>);

struct Entry {
    secret: Bytes,
    requests: mpsc::Sender<Request>,
}

/// A session's key; with it, the session can no longer be cancelled.
pub(crate) struct Key {
    keys: Arc<Keys>,
    pub(crate) process: u32,
    pub(crate) secret: Bytes,
}

impl Keys {
    /// A key for a new session, and where its requests arrive.
    pub(crate) fn make(
        self: &Arc<Keys>,
        version: Version,
    ) -> Result<(Key, mpsc::Receiver<Request>), getrandom::Error> {
        let mut secret = vec![0; if version >= Version::V3_2 { SECRET_BYTES } else { OLD_SECRET_BYTES }];
        getrandom::fill(&mut secret)?;
        let secret = Bytes::from(secret);
        let (requests, arriving) = mpsc::channel(QUEUE_LIMIT);
        let mut entries = self.lock();
        let process = loop {
            // Positive and not zero, as processes are.
            let process = getrandom::u32()? >> 1;
            if process != 0 && !entries.contains_key(&process) {
                break process;
            }
        };
        entries.insert(process, Entry { secret: secret.clone(), requests });
        Ok((Key { keys: Arc::clone(self), process, secret }, arriving))
    }

    /// Passes a request on; nothing comes back, whether the key was good or not, but the time it took.
    pub(crate) async fn cancel(&self, process: u32, secret: &Bytes) {
        let requests = self
            .lock()
            .get(&process)
            .filter(|entry| bool::from(entry.secret.as_ref().ct_eq(secret.as_ref())))
            .map(|entry| entry.requests.clone());
        let (done, is_done) = oneshot::channel();
        if requests.is_some_and(|requests| requests.try_send(done).is_ok()) {
            let _ = is_done.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Entry>> {
        // Nothing in here can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.keys.lock().remove(&self.process);
    }
}
