//! S3-compatible storage as a target.
//!
//! The storage must honour conditional writes (`If-Match`, `If-None-Match`), as AWS, MinIO, R2 and Ceph do: they are what
//! keeps two publishers from overwriting each other's checkpoint. Requests carry their signature in the address
//! (SigV4), with an end.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use audit::TilePath;
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Client, Method, Response, StatusCode, Url};
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use super::serve::{OCTETS, TEXT, checkpoint_cache, tile_cache};
use super::target::{CHECKPOINT, Standing, Target, TargetError, partials_of};

/// How long a signed request may be used.
const SIGNED_FOR: Duration = Duration::from_secs(60);

/// How long one request may take, all in all.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest object that is read back, in bytes: an entry bundle of 256 entries of 65,535 bytes.
const OBJECT_LIMIT_BYTES: usize = 17 << 20;

/// The largest list that is read, in bytes: a page of a thousand names with what belongs to each.
const LIST_LIMIT_BYTES: usize = 2 << 20;

/// The largest error that is read, in bytes.
const ERROR_LIMIT_BYTES: usize = 16 << 10;

/// The largest part of an error's body that is repeated, in characters.
const ERROR_LIMIT_CHARS: usize = 300;

/// Where the storage is, and who we are there.
#[derive(Clone)]
pub struct S3Config {
    /// The service's address, such as `https://s3.eu-central-1.amazonaws.com`.
    pub endpoint: String,
    /// The bucket's name.
    pub bucket: String,
    /// The region, as the signature names it; `us-east-1` for services without regions.
    pub region: String,
    /// What every object's name begins with, such as `log/`; may be empty.
    pub prefix: String,
    /// The access key's id.
    pub access_key: String,
    /// The access key's secret. It is never printed.
    pub secret_key: String,
    /// Whether the bucket's name stands in the address' path, as most services other than AWS want it.
    pub path_style: bool,
}

/// A bucket, or a part of one.
pub struct S3 {
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
    client: Client,
}

impl S3 {
    /// A bucket that is there. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`TargetError::Failed`] for an address that is none.
    pub fn new(config: S3Config) -> Result<Self, TargetError> {
        let endpoint: Url = config
            .endpoint
            .parse()
            .map_err(|error| TargetError::Failed(format!("the storage's address: {error}")))?;
        let style = if config.path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let bucket = Bucket::new(endpoint, style, config.bucket, config.region)
            .map_err(|error| TargetError::Failed(format!("the storage's address: {error}")))?;
        let client = Client::builder()
            .timeout(REQUEST_TIMEOUT)
            // A signature is for one address.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| TargetError::Failed(error.to_string()))?;
        let credentials = Credentials::new(config.access_key, config.secret_key);
        Ok(Self { bucket, credentials, prefix: config.prefix, client })
    }

    fn key(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        headers: &[(HeaderName, String)],
        body: Option<Vec<u8>>,
    ) -> Result<Response, TargetError> {
        let mut request = self.client.request(method, url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        // The address has the signature in it.
        request.send().await.map_err(|error| TargetError::Failed(error.without_url().to_string()))
    }

    async fn read(&self, path: &str) -> Result<Option<Standing>, TargetError> {
        let key = self.key(path);
        let url = self.bucket.get_object(Some(&self.credentials), &key).sign(SIGNED_FOR);
        let mut answer = self.send(Method::GET, url, &[], None).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !answer.status().is_success() {
            return Err(refused("read", path, answer).await);
        }
        let version =
            answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned();
        let note = body(&mut answer, OBJECT_LIMIT_BYTES).await?;
        Ok(Some(Standing { note, version }))
    }

    /// Writes an object on a condition; answers whether the condition held.
    async fn write(
        &self,
        path: &str,
        bytes: &[u8],
        condition: (HeaderName, String),
    ) -> Result<bool, TargetError> {
        let key = self.key(path);
        let mut action = self.bucket.put_object(Some(&self.credentials), &key);
        action.headers_mut().insert(condition.0.as_str().to_owned(), condition.1.clone());
        let url = action.sign(SIGNED_FOR);
        let (media, cache) = if path == CHECKPOINT {
            (TEXT, checkpoint_cache())
        } else {
            (OCTETS, tile_cache(path).to_owned())
        };
        let headers = [condition, (CONTENT_TYPE, media.to_owned()), (CACHE_CONTROL, cache)];
        let answer = self.send(Method::PUT, url, &headers, Some(bytes.to_vec())).await?;
        match answer.status() {
            status if status.is_success() => Ok(true),
            StatusCode::PRECONDITION_FAILED => Ok(false),
            // A service may answer so to a conditional write over an object that is gone.
            StatusCode::NOT_FOUND if path == CHECKPOINT => Ok(false),
            _ => Err(refused("write", path, answer).await),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, TargetError> {
        let mut action = self.bucket.list_objects_v2(Some(&self.credentials));
        action.with_prefix(prefix.to_owned());
        let mut answer = self.send(Method::GET, action.sign(SIGNED_FOR), &[], None).await?;
        if !answer.status().is_success() {
            return Err(refused("list", prefix, answer).await);
        }
        let text = body(&mut answer, LIST_LIMIT_BYTES).await?;
        let listed = ListObjectsV2::parse_response(&String::from_utf8_lossy(&text))
            .map_err(|error| TargetError::Failed(format!("the storage's list: {error}")))?;
        // At most 255 of them, and a page has a thousand.
        Ok(listed.contents.into_iter().map(|object| object.key).collect())
    }
}

#[async_trait]
impl Target for S3 {
    fn name(&self) -> String {
        format!("bucket `{}`", self.bucket.name())
    }

    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, TargetError> {
        Ok(self.read(path).await?.map(|standing| standing.note))
    }

    async fn put(&self, path: &str, bytes: &[u8]) -> Result<(), TargetError> {
        if self.write(path, bytes, (IF_NONE_MATCH, "*".to_owned())).await? {
            return Ok(());
        }
        match self.get(path).await? {
            Some(standing) if standing == bytes => Ok(()),
            Some(_) => Err(TargetError::Conflict(path.to_owned())),
            None => Err(TargetError::Failed(format!("`{path}` stood, and stands no more"))),
        }
    }

    async fn checkpoint(&self) -> Result<Option<Standing>, TargetError> {
        self.read(CHECKPOINT).await
    }

    async fn set_checkpoint(&self, note: &[u8], over: Option<&Standing>) -> Result<(), TargetError> {
        let condition = match over {
            Some(over) if over.version.is_empty() => {
                return Err(TargetError::Failed(
                    "the storage gives no entity tags, which it must".to_owned(),
                ));
            }
            Some(over) => (IF_MATCH, over.version.clone()),
            None => (IF_NONE_MATCH, "*".to_owned()),
        };
        if self.write(CHECKPOINT, note, condition).await? {
            return Ok(());
        }
        Err(TargetError::Moved("the checkpoint is not the one that was read".to_owned()))
    }

    async fn remove_partials(&self, tile: TilePath) -> Result<(), TargetError> {
        for key in self.list(&self.key(&partials_of(tile))).await? {
            let url = self.bucket.delete_object(Some(&self.credentials), &key).sign(SIGNED_FOR);
            let answer = self.send(Method::DELETE, url, &[], None).await?;
            if !answer.status().is_success() && answer.status() != StatusCode::NOT_FOUND {
                return Err(refused("remove", &key, answer).await);
            }
        }
        Ok(())
    }
}

/// An answer's body, which may not be longer than this, in bytes.
async fn body(answer: &mut Response, limit: usize) -> Result<Vec<u8>, TargetError> {
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|error| lost(&error))? {
        if bytes.len() + part.len() > limit {
            return Err(TargetError::Failed(format!("the storage's answer is longer than {limit} bytes")));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

async fn refused(what: &str, path: &str, mut answer: Response) -> TargetError {
    let status = answer.status();
    let body = body(&mut answer, ERROR_LIMIT_BYTES).await.unwrap_or_default();
    let body: String =
        String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).take(ERROR_LIMIT_CHARS).collect();
    TargetError::Failed(format!("cannot {what} `{path}`: {status} {body}"))
}

fn lost(error: &reqwest::Error) -> TargetError {
    TargetError::Failed(format!(
        "the storage's answer broke off{}",
        if error.is_timeout() { " in time" } else { "" }
    ))
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("endpoint", &self.endpoint)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3")
            .field("bucket", &self.bucket.name())
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
