//! Bytes in a bucket that speaks the protocol of S3.
//!
//! An object appears when it is whole: small ones are put at once, larger ones in
//! parts that are joined at the end. What a crash leaves of parts can never be
//! found as an object; a rule of the bucket should remove it. Addresses hold a
//! signature, so that none is ever told or logged.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _};
use reqwest::{Client, Response, StatusCode, Url};
use rusty_s3::actions::CreateMultipartUpload;
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use tracing::warn;

use crate::blobs::{BlobError, BlobName, Blobs, Count, Download, Upload};
use again::Again;

mod again;

/// For how long an address is good; longer than any request may take.
const SIGNED_FOR: Duration = Duration::from_mins(15);
/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long one request may take, and a download may be silent.
const REQUEST_LIMIT: Duration = Duration::from_mins(5);
const SILENCE_LIMIT: Duration = Duration::from_mins(1);
/// Parts are not smaller than this, nor more than S3 takes.
const PART_BYTES_MIN: u64 = 8 << 20;
const PARTS_MAX: u64 = 9_000;
/// The largest answer that is read which is no object.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The key to buckets.
#[derive(Clone)]
pub struct S3Key {
    /// Whose it is.
    pub id: String,
    /// The secret half.
    pub secret: String,
    /// What goes with a key for a time.
    pub token: Option<String>,
}

impl fmt::Debug for S3Key {
    /// Leaves the secrets out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Key").finish_non_exhaustive()
    }
}

/// A server of buckets.
#[derive(Clone, Debug)]
pub struct S3Server {
    endpoint: Url,
    style: UrlStyle,
    key: Arc<S3Key>,
    client: Client,
}

/// A server cannot be addressed.
#[derive(Debug, thiserror::Error)]
pub enum BadServer {
    /// The endpoint is no address.
    #[error("the endpoint must be an http or https URL without a path")]
    Endpoint,
    /// There is no way to make requests.
    #[error("requests cannot be made")]
    Client(#[source] reqwest::Error),
}

impl S3Server {
    /// Takes the address and the key; nothing is asked yet.
    pub fn new(endpoint: &str, is_path_style: bool, key: S3Key) -> Result<Self, BadServer> {
        let endpoint: Url = endpoint.parse().map_err(|_| BadServer::Endpoint)?;
        if !matches!(endpoint.scheme(), "http" | "https") || endpoint.host().is_none() {
            return Err(BadServer::Endpoint);
        }
        // Another part of the process may have chosen a provider already, which
        // is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(SILENCE_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(BadServer::Client)?;
        Ok(Self {
            endpoint,
            style: if is_path_style {
                UrlStyle::Path
            } else {
                UrlStyle::VirtualHost
            },
            key: Arc::new(key),
            client,
        })
    }

    /// Opens a bucket, and finds out whether it is there for this server.
    pub async fn open(&self, name: &str, region: &str) -> Result<S3Blobs, BlobError> {
        let (endpoint, style) = (self.endpoint.clone(), self.style);
        let bucket = Bucket::new(endpoint, style, name.to_owned(), region.to_owned());
        let bucket = bucket.map_err(|error| BlobError::Failed(Box::new(error)))?;
        let S3Key { id, secret, token } = &*self.key;
        let credentials = match token {
            Some(token) => Credentials::new_with_token(id, secret, token),
            None => Credentials::new(id, secret),
        };
        let blobs = S3Blobs {
            bucket: Arc::new(bucket),
            credentials: Arc::new(credentials),
            client: self.client.clone(),
        };
        let url = blobs.bucket.head_bucket(Some(&blobs.credentials));
        let url = url.sign(SIGNED_FOR);
        blobs.ask(|client| client.head(url.clone())).await?;
        Ok(blobs)
    }
}

/// Keeps bytes in one bucket.
#[derive(Clone)]
pub struct S3Blobs {
    bucket: Arc<Bucket>,
    credentials: Arc<Credentials>,
    client: Client,
}

impl fmt::Debug for S3Blobs {
    /// Leaves the key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Blobs")
            .field("bucket", &self.bucket.name())
            .finish_non_exhaustive()
    }
}

impl S3Blobs {
    /// Makes a request until it is answered; an answer that is no success is an
    /// error.
    async fn ask(
        &self,
        request: impl Fn(&Client) -> reqwest::RequestBuilder,
    ) -> Result<Response, BlobError> {
        let mut tries = 1;
        loop {
            let (error, again) = match request(&self.client).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => (refused(answer.status()), Again::after(&answer)),
                Err(error) => (failed(error), Again::Soon),
            };
            let Some(pause) = again.pause(tries) else {
                return Err(error);
            };
            tries += 1;
            tokio::time::sleep(pause).await;
        }
    }

    async fn text(&self, mut answer: Response) -> Result<String, BlobError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(BlobError::Failed("an answer is too long".into()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

fn refused(status: StatusCode) -> BlobError {
    match status {
        StatusCode::NOT_FOUND => BlobError::NotFound,
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
            BlobError::KeyRefused(status.to_string())
        }
        // S3 says both of one that asks too often, and a proxy that cannot keep up the latter.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => BlobError::Throttled,
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            BlobError::Unreachable(format!("the way to the bucket answered {status}").into())
        }
        StatusCode::INSUFFICIENT_STORAGE => BlobError::Full,
        other => BlobError::Failed(format!("the bucket answered {other}").into()),
    }
}

/// Without the address, which is as good as a key.
fn failed(error: reqwest::Error) -> BlobError {
    BlobError::Unreachable(Box::new(error.without_url()))
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put(&self, name: &BlobName, bytes: u64) -> Result<Box<dyn Upload>, BlobError> {
        let part_bytes = PART_BYTES_MIN.max(bytes.div_ceil(PARTS_MAX));
        let mut upload = S3Upload {
            blobs: self.clone(),
            object: name.to_string(),
            part_bytes: usize::try_from(part_bytes).unwrap_or(usize::MAX),
            upload_id: None,
            etags: Vec::new(),
            waiting: BytesMut::new(),
            count: Count::of(bytes),
        };
        if bytes > part_bytes {
            upload.begin().await?;
        }
        Ok(Box::new(upload))
    }

    async fn get(&self, name: &BlobName) -> Result<Download, BlobError> {
        let object = name.to_string();
        let url = self.bucket.get_object(Some(&self.credentials), &object);
        let url = url.sign(SIGNED_FOR);
        let answer = self.ask(|client| client.get(url.clone())).await?;
        let bytes = answer
            .content_length()
            .ok_or_else(|| BlobError::Failed("the bucket does not say how much it sends".into()))?;
        let chunks = stream::try_unfold(
            (answer, Count::of(bytes)),
            |(mut answer, mut count)| async move {
                let piece = count.next(answer.chunk().await.map_err(failed)?)?;
                Ok(piece.map(|piece| (piece, (answer, count))))
            },
        );
        Ok(Download {
            bytes,
            chunks: chunks.boxed(),
        })
    }

    async fn size(&self, name: &BlobName) -> Result<Option<u64>, BlobError> {
        let object = name.to_string();
        let url = self.bucket.head_object(Some(&self.credentials), &object);
        let url = url.sign(SIGNED_FOR);
        match self.ask(|client| client.head(url.clone())).await {
            Ok(answer) => {
                let length = answer.headers().get("content-length");
                let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
                length
                    .map(Some)
                    .ok_or_else(|| BlobError::Failed("the bucket does not say a size".into()))
            }
            Err(BlobError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, name: &BlobName) -> Result<(), BlobError> {
        let object = name.to_string();
        let url = self.bucket.delete_object(Some(&self.credentials), &object);
        let url = url.sign(SIGNED_FOR);
        match self.ask(|client| client.delete(url.clone())).await {
            Ok(_) | Err(BlobError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[derive(Debug)]
struct S3Upload {
    blobs: S3Blobs,
    object: String,
    part_bytes: usize,
    /// Set for what goes in parts.
    upload_id: Option<String>,
    etags: Vec<String>,
    waiting: BytesMut,
    count: Count,
}

impl S3Upload {
    async fn begin(&mut self) -> Result<(), BlobError> {
        let blobs = &self.blobs;
        let (bucket, credentials) = (&blobs.bucket, &blobs.credentials);
        let action = bucket.create_multipart_upload(Some(credentials), &self.object);
        let url = action.sign(SIGNED_FOR);
        let answer = blobs.ask(|client| client.post(url.clone())).await?;
        let text = blobs.text(answer).await?;
        let begun = CreateMultipartUpload::parse_response(&text);
        let begun = begun.map_err(|error| BlobError::Failed(error.to_string().into()))?;
        self.upload_id = Some(begun.upload_id().to_owned());
        Ok(())
    }

    async fn send_part(&mut self, upload_id: &str, part: Bytes) -> Result<(), BlobError> {
        let number = u16::try_from(self.etags.len() + 1)
            .map_err(|_| BlobError::Failed("there are too many parts".into()))?;
        let blobs = &self.blobs;
        let action =
            blobs
                .bucket
                .upload_part(Some(&blobs.credentials), &self.object, number, upload_id);
        let url = action.sign(SIGNED_FOR);
        let answer = blobs
            .ask(|client| {
                let request = client.put(url.clone()).timeout(REQUEST_LIMIT);
                request.body(part.clone())
            })
            .await?;
        let etag = answer.headers().get("etag");
        let etag = etag.and_then(|etag| etag.to_str().ok());
        let etag = etag.ok_or_else(|| BlobError::Failed("a part has no ETag".into()))?;
        self.etags.push(etag.to_owned());
        Ok(())
    }

    async fn join(&self, upload_id: &str) -> Result<(), BlobError> {
        let blobs = &self.blobs;
        let action = blobs.bucket.complete_multipart_upload(
            Some(&blobs.credentials),
            &self.object,
            upload_id,
            self.etags.iter().map(String::as_str),
        );
        let url = action.sign(SIGNED_FOR);
        let body = action.body();
        let answer = blobs
            .ask(|client| {
                let request = client.post(url.clone()).timeout(REQUEST_LIMIT);
                request.body(body.clone())
            })
            .await?;
        // It can begin as a success and still end as none.
        let text = blobs.text(answer).await?;
        if text.contains("<Code>SlowDown</Code>") {
            return Err(BlobError::Throttled);
        }
        if text.contains("<Error>") {
            return Err(BlobError::Failed("the parts could not be joined".into()));
        }
        Ok(())
    }

    async fn give_up(&self) {
        let Some(upload_id) = &self.upload_id else {
            return;
        };
        let blobs = &self.blobs;
        let action =
            blobs
                .bucket
                .abort_multipart_upload(Some(&blobs.credentials), &self.object, upload_id);
        let url = action.sign(SIGNED_FOR);
        if let Err(error) = blobs.ask(|client| client.delete(url.clone())).await {
            warn!(%error, "parts of an object that nobody finishes are left in a bucket");
        }
    }

    async fn put_at_once(&mut self) -> Result<(), BlobError> {
        let body = self.waiting.split().freeze();
        let blobs = &self.blobs;
        let action = blobs
            .bucket
            .put_object(Some(&blobs.credentials), &self.object);
        let url = action.sign(SIGNED_FOR);
        let put = blobs.ask(|client| {
            let request = client.put(url.clone()).timeout(REQUEST_LIMIT);
            request.body(body.clone())
        });
        put.await.map(|_| ())
    }

    async fn all_parts(&mut self) -> Result<(), BlobError> {
        self.count.check()?;
        let Some(upload_id) = self.upload_id.clone() else {
            return self.put_at_once().await;
        };
        let rest = self.waiting.split().freeze();
        if !rest.is_empty() {
            self.send_part(&upload_id, rest).await?;
        }
        self.join(&upload_id).await
    }
}

#[async_trait]
impl Upload for S3Upload {
    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        self.count.add(chunk.len())?;
        self.waiting.extend_from_slice(&chunk);
        let Some(upload_id) = self.upload_id.clone() else {
            return Ok(());
        };
        while self.waiting.len() >= self.part_bytes {
            let part = self.waiting.split_to(self.part_bytes).freeze();
            if let Err(error) = self.send_part(&upload_id, part).await {
                self.give_up().await;
                return Err(error);
            }
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), BlobError> {
        let done = self.all_parts().await;
        if done.is_err() {
            self.give_up().await;
        }
        done
    }
}

#[cfg(test)]
mod tests;
