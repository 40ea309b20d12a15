//! A permit's watch while its statement is under way: told once, whatever becomes of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::config::TAGS_LIMIT;
use crate::permit::{Copied, Ended, Watch};
use crate::reply::Told;

/// What stands for one permit: shared by its portal and its messages, and told when the last of them lets go.
#[derive(Clone, Default)]
pub(crate) struct Watching(Option<Arc<Mutex<Watched>>>);

struct Watched {
    watch: Option<Box<dyn Watch>>,
    /// Something of it is with the server, which has not answered.
    running: bool,
    /// The server has answered something of it.
    began: bool,
    tags: Vec<Bytes>,
    rows: u64,
    copied: Option<(Sha256, u64)>,
}

impl Watching {
    pub(crate) fn new(watch: Option<Box<dyn Watch>>) -> Watching {
        let watched = |watch| Watched {
            watch: Some(watch),
            running: false,
            began: false,
            tags: Vec::new(),
            rows: 0,
            copied: None,
        };
        Watching(watch.map(|watch| Arc::new(Mutex::new(watched(watch)))))
    }

    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// It is on its way to the server.
    pub(crate) fn runs(&self) {
        self.with(|watched| watched.running = true);
    }

    /// It never came to the server, or the server has skipped it.
    pub(crate) fn is_skipped(&self) {
        self.with(|watched| watched.running = false);
    }

    /// The server gave rows and waits to be asked for more.
    pub(crate) fn is_suspended(&self, rows: u64) {
        self.with(|watched| {
            (watched.running, watched.began) = (false, true);
            watched.rows = watched.rows.saturating_add(rows);
        });
    }

    /// A statement of it has run.
    pub(crate) fn has_run(&self, tag: Option<&Bytes>, rows: u64) {
        self.with(|watched| {
            watched.began = true;
            watched.rows = watched.rows.saturating_add(rows);
            if watched.tags.len() < TAGS_LIMIT {
                watched.tags.extend(tag.cloned());
            }
        });
    }

    /// All of it has run.
    pub(crate) fn is_done(&self) {
        self.with(|watched| watched.running = false);
    }

    /// It takes data.
    pub(crate) fn begins_copy(&self) {
        self.with(|watched| watched.copied = Some(watched.copied.take().unwrap_or_default()));
    }

    /// Data of it goes to the server.
    pub(crate) fn copies(&self, data: &[u8]) {
        self.with(|watched| {
            if let Some((hash, bytes)) = &mut watched.copied {
                hash.update(data);
                *bytes = bytes.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
            }
        });
    }

    /// Whether all that it did is of a kind that a transaction's end takes back.
    fn is_plain(&self) -> bool {
        const PLAIN: [&[u8]; 6] = [b"SELECT", b"INSERT", b"UPDATE", b"DELETE", b"MERGE", b"COPY"];
        let is_plain =
            |tag: &Bytes| tag.split(|byte| *byte == b' ').next().is_some_and(|verb| PLAIN.contains(&verb));
        self.0.as_ref().is_none_or(|watched| lock(watched).tags.iter().all(is_plain))
    }

    /// It has run, and its transaction is open still or was committed.
    pub(crate) fn complete(&self, open: bool) {
        self.with(|watched| watched.complete(open));
    }

    /// The run of messages that it has run in ended, its transaction too unless that is `open`; with an error, if there
    /// was one. What never began is told of that when it is let go of.
    pub(crate) fn run_ended(&self, open: bool, told: Option<&Told>) {
        if self.0.as_ref().is_some_and(|watched| !lock(watched).began) {
            return;
        }
        match told.filter(|_| !open) {
            None => self.complete(open),
            Some(told) if self.is_plain() => self.failed(told),
            Some(_) => {
                self.unknown("what came behind it failed, and it may have ended its transaction itself")
            }
        }
    }

    pub(crate) fn failed(&self, told: &Told) {
        let ended = Ended::Failed { sqlstate: told.state, message: told.message.clone() };
        self.with(|watched| watched.end(ended));
    }

    pub(crate) fn unknown(&self, why: &'static str) {
        self.with(|watched| watched.end(Ended::Unknown { why }));
    }

    fn with(&self, change: impl FnOnce(&mut Watched)) {
        if let Some(watched) = &self.0 {
            change(&mut lock(watched));
        }
    }
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_some() { "Watched" } else { "Unwatched" })
    }
}

impl Watched {
    fn complete(&mut self, open: bool) {
        let copied = self.copied.take().map(|(hash, bytes)| Copied { bytes, sha256: hash.finalize().into() });
        let tags = std::mem::take(&mut self.tags);
        self.end(Ended::Complete { tags, rows_returned: self.rows, copied, open });
    }

    fn end(&mut self, ended: Ended) {
        if let Some(watch) = self.watch.take() {
            watch.ended(ended);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.running {
            self.end(Ended::Unknown { why: "the connection ended before the server said what came of it" });
        } else if self.began {
            self.complete(true);
        } else {
            self.end(Ended::NotRun);
        }
    }
}

/// Nothing in here can be left half done.
fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}
