//! What the bootstrap file says of sinks. Secrets are named there and never stand there.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use domain::id::{Origin, TargetName};
pub use outbound::secret::{Secret, SecretRef};
use serde::Deserialize;

use super::file::{FileConfig, FileSink};
use super::s3::{S3Config, S3Sink};
use super::splunk::{SplunkConfig, SplunkSink};
use super::syslog::{SyslogConfig, SyslogSink};
use super::webhook::{WebhookConfig, WebhookSink};
use super::{Failure, Sink};
use crate::EvidenceError;
use crate::export::Shape;
use crate::limits;

/// One `[[sinks]]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    /// Its name, under which its place is kept: a sink with another name begins anew.
    pub name: TargetName,
    /// The shape of its events.
    #[serde(default)]
    pub format: Shape,
    /// Where it begins the first time.
    #[serde(default)]
    pub start: Start,
    /// Where to, and how.
    pub to: To,
}

/// Where a new sink begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// At the log's first entry.
    #[default]
    Beginning,
    /// At the log's head: what came before is not sent.
    Now,
}

/// A receiver.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum To {
    /// Files in a folder.
    File(FileConfig),
    /// An HTTP endpoint that checks Standard Webhooks' signatures.
    Webhook(WebhookConfig),
    /// Splunk's HTTP Event Collector.
    Splunk(SplunkConfig),
    /// A syslog receiver, over TLS.
    Syslog(SyslogConfig),
    /// A bucket of an object store that speaks S3.
    S3(S3Config),
}

impl To {
    /// What kind of sink.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Webhook(_) => "webhook",
            Self::Splunk(_) => "splunk",
            Self::Syslog(_) => "syslog",
            Self::S3(_) => "s3",
        }
    }
}

impl SinkConfig {
    /// Makes relative paths relative to the file's folder.
    pub fn rebase(&mut self, folder: &Path) {
        let rebase = |path: &mut PathBuf| *path = folder.join(&path);
        let secret = |secret: &mut SecretRef| secret.rebase(folder);
        match &mut self.to {
            To::File(file) => rebase(&mut file.folder),
            To::Webhook(webhook) => {
                secret(&mut webhook.secret);
                webhook.ca.as_mut().map(rebase);
            }
            To::Splunk(splunk) => {
                secret(&mut splunk.token);
                splunk.ca.as_mut().map(rebase);
            }
            To::Syslog(syslog) => {
                syslog.ca.as_mut().map(rebase);
                syslog.certificate.as_mut().map(rebase);
                syslog.key.as_mut().map(rebase);
            }
            To::S3(s3) => {
                secret(&mut s3.access_key);
                secret(&mut s3.secret_key);
                s3.ca.as_mut().map(rebase);
            }
        }
    }

    /// The sink, its secrets read.
    ///
    /// # Errors
    /// [`EvidenceError::Config`] in words.
    pub fn build(&self, origin: &Origin) -> Result<Box<dyn Sink>, EvidenceError> {
        let built = match &self.to {
            To::File(config) => FileSink::new(config).map(|sink| Box::new(sink) as Box<dyn Sink>),
            To::Webhook(config) => WebhookSink::new(config).map(|sink| Box::new(sink) as Box<dyn Sink>),
            To::Splunk(config) => SplunkSink::new(config, origin).map(|sink| Box::new(sink) as Box<dyn Sink>),
            To::Syslog(config) => {
                SyslogSink::new(config, origin, self.format).map(|sink| Box::new(sink) as Box<dyn Sink>)
            }
            To::S3(config) => S3Sink::new(config, origin).map(|sink| Box::new(sink) as Box<dyn Sink>),
        };
        built.map_err(|why| EvidenceError::Config { sink: self.name.to_string(), why })
    }
}

/// Holds all sinks against each other.
///
/// # Errors
/// [`EvidenceError::Config`] for too many, or two of one name.
pub fn check_all(configs: &[SinkConfig]) -> Result<(), EvidenceError> {
    if let Some(beyond) = configs.get(limits::SINKS) {
        let why = format!("there are more than {} sinks", limits::SINKS);
        return Err(EvidenceError::Config { sink: beyond.name.to_string(), why });
    }
    let mut names = BTreeSet::new();
    for config in configs {
        if !names.insert(&config.name) {
            let why = "two sinks have this name; a sink's place is kept under it".to_owned();
            return Err(EvidenceError::Config { sink: config.name.to_string(), why });
        }
    }
    Ok(())
}

/// A failure to build something at start, in words.
pub(crate) fn words(error: impl fmt::Display) -> String {
    Failure::new(error).why
}
