//! Threads that carry whole sessions, one for each core: a message, what is decided about it and its way on stay on one
//! thread, so that nothing waits for another to wake.

use std::io;
use std::num::NonZero;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The threads. They end when this is dropped, and what they carry with them.
pub(crate) struct Workers {
    handles: Vec<Handle>,
    _end: DropGuard,
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    /// When the system has no thread or descriptor left.
    pub(crate) fn start() -> io::Result<Workers> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let end = CancellationToken::new();
        let handles = (0..cores).map(|number| thread(number, end.clone())).collect::<io::Result<_>>()?;
        Ok(Workers { handles, _end: end.drop_guard() })
    }

    /// The one that carries the fewest sessions.
    pub(crate) fn idlest(&self) -> Option<&Handle> {
        self.handles.iter().min_by_key(|handle| handle.metrics().num_alive_tasks())
    }
}

fn thread(number: usize, end: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name(format!("postgres-{number}"))
        .spawn(move || runtime.block_on(end.cancelled()))?;
    Ok(handle)
}
