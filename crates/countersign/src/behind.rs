//! Work that may wait: on a thread of its own, behind whatever answers requests.

use std::future::Future;

use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

/// How much nicer than the rest the thread is: of a busy processor it gets about a tenth.
const NICENESS: i32 = 10;
/// The nicest that a thread can be on Linux.
#[cfg(target_os = "linux")]
const NICEST: i32 = 19;

/// Runs a future to its end on a thread of its own and at a low priority. What it answers ends with the future.
///
/// # Errors
/// When no thread or runtime can be made.
pub(crate) fn spawn(
    name: &str,
    work: impl Future<Output = ()> + Send + 'static,
) -> Result<oneshot::Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .with_context(|| format!("cannot make the runtime of `{name}`"))?;
    let (done, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // On Linux a thread has a priority of its own; where it cannot be lowered, the work is done all the same.
            #[cfg(target_os = "linux")]
            if let Err(error) = give_way() {
                tracing::warn!(%error, "what may wait runs at full priority");
            }
            runtime.block_on(work);
            let _ = done.send(());
        })
        .with_context(|| format!("cannot start the thread of `{name}`"))?;
    Ok(ended)
}

#[cfg(target_os = "linux")]
fn give_way() -> rustix::io::Result<()> {
    let now = rustix::process::getpriority_process(None)?;
    rustix::process::setpriority_process(None, (now + NICENESS).min(NICEST))
}

#[cfg(test)]
mod tests {
    /// The niceness of this thread, as the kernel has it.
    #[cfg(target_os = "linux")]
    fn niceness() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_work_is_nicer_than_what_waits_for_it() {
        let before = niceness();
        let (tell, told) = tokio::sync::oneshot::channel();
        let ended = super::spawn("test", async move { tell.send(niceness()).unwrap() }).unwrap();
        assert_eq!(told.await.unwrap(), (before + super::NICENESS).min(super::NICEST));
        ended.await.unwrap();
        assert_eq!(niceness(), before);
    }
}
