//! Objects of JSON lines in a bucket that speaks S3, each named after the first and last event in it.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use domain::id::Origin;
use domain::time::Timestamp;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use serde::Deserialize;

use super::config::{SecretRef, words};
use super::{Appetite, Delivered, Failure, Parcel, Sink, http, range};
use crate::event::{TrailEvent, event_id};
use crate::limits::{OBJECT_BYTES, OBJECT_EVENTS, OBJECT_SECONDS, SIGNATURE_LIFETIME};

/// A bucket.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Config {
    /// The service's address, such as `https://s3.eu-central-1.amazonaws.com`.
    pub endpoint: String,
    /// The bucket's name.
    pub bucket: String,
    /// The region.
    pub region: String,
    /// What stands before every key, such as `countersign/`.
    #[serde(default)]
    pub prefix: String,
    /// The access key's id.
    pub access_key: SecretRef,
    /// The secret access key.
    pub secret_key: SecretRef,
    /// Whether the bucket stands in the path and not in the host's name, as most services other than Amazon's
    /// want it.
    #[serde(default)]
    pub path_style: bool,
    /// How long events wait for an object to fill, in seconds.
    #[serde(default = "seconds")]
    pub every_seconds: u64,
    /// Who vouches for its certificate, PEM; the usual authorities where it is not given.
    pub ca: Option<PathBuf>,
}

fn seconds() -> u64 {
    OBJECT_SECONDS
}

/// Puts objects.
pub struct S3Sink {
    client: Client,
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
    linger: Duration,
}

impl std::fmt::Debug for S3Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Sink").field("bucket", &self.bucket.name()).finish_non_exhaustive()
    }
}

impl S3Sink {
    /// Objects in the configured bucket.
    ///
    /// # Errors
    /// In words: an address without TLS, a bucket's name that is none, secrets that cannot be read.
    pub fn new(config: &S3Config, origin: &Origin) -> Result<Self, String> {
        let style = if config.path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let endpoint = http::address(&config.endpoint)?;
        let bucket =
            Bucket::new(endpoint, style, config.bucket.clone(), config.region.clone()).map_err(words)?;
        let (access, secret) = (config.access_key.read()?, config.secret_key.read()?);
        // One deployment's objects never take the place of another's.
        let deployment = event_id(origin, 0, None);
        let deployment = deployment.split('-').next().unwrap_or_default();
        Ok(Self {
            client: http::client(config.ca.as_deref())?,
            bucket,
            credentials: Credentials::new(access.expose(), secret.expose()),
            prefix: format!("{}{deployment}/", config.prefix),
            linger: Duration::from_secs(config.every_seconds),
        })
    }

    fn key(&self, batch: &[Parcel]) -> Result<String, Failure> {
        let (first, last) = range(batch).ok_or_else(|| Failure::new("nothing to put"))?;
        Ok(format!("{}{}_{}.jsonl", self.prefix, numbered(first), numbered(last)))
    }

    async fn put(&self, batch: &[Parcel], now: Timestamp) -> Result<(), Failure> {
        let key = self.key(batch)?;
        let mut body = String::new();
        for parcel in batch {
            body.push_str(&parcel.text);
            body.push('\n');
        }
        let micros = i64::try_from(now.micros()).map_err(Failure::new)?;
        let now = jiff::Timestamp::from_microsecond(micros).map_err(Failure::new)?;
        let action = self.bucket.put_object(Some(&self.credentials), &key);
        let url = action.sign_with_time(SIGNATURE_LIFETIME, &now);
        let response = self
            .client
            .put(url)
            .header(CONTENT_TYPE, "application/jsonl")
            .body(body)
            .send()
            .await
            .map_err(http::unreachable)?;
        if response.status().is_success() { Ok(()) } else { Err(http::refused(&response)) }
    }
}

/// The event's place, so that names sort as the log does.
fn numbered(event: &TrailEvent) -> String {
    let (index, line) = event.log.map_or((0, 0), |log| (log.index, log.line.unwrap_or(0)));
    format!("{index:016}.{line:08}")
}

#[async_trait]
impl Sink for S3Sink {
    fn appetite(&self) -> Appetite {
        Appetite { events: OBJECT_EVENTS, bytes: OBJECT_BYTES, linger: self.linger }
    }

    async fn deliver(&mut self, batch: &[Parcel], now: Timestamp) -> Delivered {
        match self.put(batch, now).await {
            Ok(()) => Delivered::all(batch),
            Err(failure) => Delivered::partly(0, failure),
        }
    }
}
