use gateway::GatewayError;

/// Why a channel could not be set up, or its outbox not be moved.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The configuration cannot be.
    #[error("channel `{channel}`: {why}")]
    Config {
        /// Of which channel, or `routes`.
        channel: String,
        /// Why not, without any secret.
        why: String,
    },
    /// The gateway refused.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] gateway::store::StoreError),
}

impl ChannelError {
    /// A configuration that cannot be.
    #[must_use]
    pub fn config(channel: &str, why: impl std::fmt::Display) -> Self {
        Self::Config { channel: channel.to_owned(), why: why.to_string() }
    }
}
