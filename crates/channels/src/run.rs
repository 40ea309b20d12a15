use std::sync::Arc;

use axum::Router;
use gateway::Gateway;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::ChannelError;
use crate::click::{Clicks, Desk};
use crate::config::ChannelsConfig;
use crate::deliver::Outbox;

/// The running channels.
#[derive(Debug)]
pub struct Running {
    /// What they listen on, beside console and API.
    pub router: Router,
    /// What runs until it is told to stop.
    pub tasks: Vec<JoinHandle<()>>,
}

/// Starts every configured channel, and what brings requests to them. All of it is checked first, and nothing starts
/// unless all is well.
///
/// # Errors
/// [`ChannelError::Config`] for a configuration that cannot be, such as a secret that cannot be read.
pub fn start(
    config: &ChannelsConfig,
    gateway: &Arc<Gateway>,
    stopped: &watch::Receiver<bool>,
) -> Result<Running, ChannelError> {
    let clicks: Arc<dyn Clicks> = Desk::new(Arc::clone(gateway));
    let (mut router, mut channels, mut running) = (Router::new(), Vec::new(), Vec::new());
    for fitted in config.build(&clicks)? {
        channels.push(fitted.channel);
        router = router.merge(fitted.router);
        running.extend(fitted.task);
    }
    let outbox = Outbox::new(Arc::clone(gateway), channels, config.routes.clone(), config.addresses());
    let mut tasks = outbox.start(stopped);
    tasks.extend(running.into_iter().map(|task| tokio::spawn(task(stopped.clone()))));
    Ok(Running { router, tasks })
}
