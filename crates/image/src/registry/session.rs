//! Requests to one registry about one repository.
//!
//! A session knows the address, the credential and, once it has one, the
//! authorization; it sends that to the registry and to nobody else, follows
//! redirects a few times, and turns every answer into content or an error.
//!
//! Not here: which documents there are (`pull`), and how a token is had (`auth`).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use palisade_model::image::ImageReference;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, RANGE, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use tokio::time::timeout;

use super::address::Endpoint;
use super::credentials::{self, Credential};
use super::settings::Registries;
use crate::error::{Cause, ImageError, harmless};

/// Redirects of one request that are followed.
const REDIRECTS_MAX: usize = 5;

/// Headers of one answer.
const HEADERS_MAX: usize = 100;
/// Bytes of the headers of one answer over HTTP/2; over HTTP/1.1 the reader
/// has a bound of about 400 KiB.
const HEADER_BYTES_MAX: u32 = 64 << 10;

/// A conversation with the registry of one image.
pub(super) struct Session<'a> {
    pub(super) settings: &'a Registries,
    pub(super) reference: &'a ImageReference,
    pub(super) endpoint: Endpoint,
    pub(super) credential: Option<Credential>,
    pub(super) http: Client,
    authorization: Mutex<Option<HeaderValue>>,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) url: Url,
    pub(super) accept: Option<&'static str>,
    /// Where the wanted content begins.
    pub(super) from: u64,
}

/// What came back, and whether from the registry itself.
struct Answer {
    response: Response,
    is_at_registry: bool,
}

/// Tries of one request.
pub(super) struct Attempts {
    left: u32,
    wait: Duration,
}

impl Attempts {
    pub(super) fn new(settings: &Registries) -> Self {
        Self {
            left: settings.attempts_max.saturating_sub(1),
            wait: settings.backoff,
        }
    }

    /// Waits for the next try, if `error` may pass and there is one left.
    pub(super) async fn after(&mut self, error: ImageError) -> Result<(), ImageError> {
        if self.left == 0 || !error.is_passing() {
            return Err(error);
        }
        tracing::debug!(%error, "request to a registry is tried again");
        tokio::time::sleep(self.wait).await;
        self.left -= 1;
        self.wait *= 2;
        Ok(())
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(
        settings: &'a Registries,
        reference: &'a ImageReference,
        credential: Option<Credential>,
    ) -> Result<Self, ImageError> {
        let endpoint = Endpoint::of(reference, settings)?;
        let authorization = match &credential {
            Some(Credential::Token(token)) => {
                let header = credentials::bearer(token);
                Some(header.ok_or_else(|| ImageError::Credentials {
                    registry: endpoint.registry().to_owned(),
                    why: "their token holds characters that no token has",
                })?)
            }
            Some(Credential::Login { .. }) | None => None,
        };
        let http = client(settings, &endpoint).map_err(|error| ImageError::Unreachable {
            registry: endpoint.registry().to_owned(),
            cause: error.into(),
        })?;
        Ok(Self {
            settings,
            reference,
            endpoint,
            credential,
            http,
            authorization: Mutex::new(authorization),
        })
    }

    /// Reads a document of at most `bytes_max` bytes, with some patience.
    pub(super) async fn document(&self, ask: &Ask, bytes_max: u64) -> Result<Vec<u8>, ImageError> {
        let mut attempts = Attempts::new(self.settings);
        loop {
            let once = self.document_once(ask, bytes_max);
            let read = timeout(self.settings.answer_time, once).await;
            match read.unwrap_or_else(|_| Err(self.too_slow())) {
                Ok(document) => return Ok(document),
                Err(error) => attempts.after(error).await?,
            }
        }
    }

    async fn document_once(&self, ask: &Ask, bytes_max: u64) -> Result<Vec<u8>, ImageError> {
        let response = self.get(ask).await?;
        self.body(response, bytes_max).await
    }

    /// Reads an answer of at most `bytes_max` bytes.
    pub(super) async fn body(
        &self,
        mut response: Response,
        bytes_max: u64,
    ) -> Result<Vec<u8>, ImageError> {
        let too_large = || ImageError::TooLarge {
            what: "a document of the registry (bytes)",
            limit: bytes_max,
        };
        if response
            .content_length()
            .is_some_and(|length| length > bytes_max)
        {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            if (body.len() + chunk.len()) as u64 > bytes_max {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Asks once, and a second time if only the authorization was missing. The
    /// answer has content, or says that there is none in the wanted range.
    pub(super) async fn get(&self, ask: &Ask) -> Result<Response, ImageError> {
        let mut answer = self.follow(ask).await?;
        if answer.is_at_registry && answer.response.status() == StatusCode::UNAUTHORIZED {
            let headers = answer.response.headers();
            let challenges = headers.get_all(WWW_AUTHENTICATE).iter();
            let texts = challenges.filter_map(|value| value.to_str().ok());
            let authorization = self.authorize(texts).await?;
            self.keep(authorization);
            answer = self.follow(ask).await?;
        }
        self.judge(answer)
    }

    fn judge(&self, answer: Answer) -> Result<Response, ImageError> {
        let status = answer.response.status();
        match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                Ok(answer.response)
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if answer.is_at_registry => {
                Err(self.unauthorized())
            }
            _ => Err(self.failed(status)),
        }
    }

    async fn follow(&self, ask: &Ask) -> Result<Answer, ImageError> {
        let mut url = ask.url.clone();
        // Once elsewhere, a way back is somebody else's wish: no authorization.
        let mut is_at_registry = true;
        for _ in 0..=REDIRECTS_MAX {
            is_at_registry &= self.endpoint.is_at(&url);
            let response = self.send(ask, url.clone(), is_at_registry).await?;
            if !is_redirect(response.status()) {
                return Ok(Answer {
                    response,
                    is_at_registry,
                });
            }
            url = self.target(&url, &response)?;
        }
        let why = "it redirects in a circle".to_owned();
        let what = "the answer of the registry";
        Err(ImageError::Malformed { what, why })
    }

    async fn send(&self, ask: &Ask, url: Url, is_ours: bool) -> Result<Response, ImageError> {
        let mut request = self.http.get(url);
        if let Some(accept) = ask.accept {
            request = request.header(ACCEPT, accept);
        }
        if ask.from > 0 {
            request = request.header(RANGE, format!("bytes={}-", ask.from));
        }
        if let Some(authorization) = self.known().filter(|_| is_ours) {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.send().await.map_err(|error| self.broken(error))
    }

    fn target(&self, from: &Url, response: &Response) -> Result<Url, ImageError> {
        let location = response.headers().get(LOCATION);
        let text = location.and_then(|value| value.to_str().ok());
        let target = text.and_then(|text| from.join(text).ok());
        let Some(target) = target else {
            let why = "it redirects to no address";
            return Err(ImageError::malformed("the answer of the registry", why));
        };
        if !self.endpoint.may_lead_to(&target) {
            let host = target.host_str().unwrap_or_default();
            return Err(ImageError::NotAllowed {
                registry: harmless(host.as_bytes()),
                why: "the image's registry leads there, but not over https or into this machine's own network",
            });
        }
        Ok(target)
    }

    fn known(&self) -> Option<HeaderValue> {
        let known = self.authorization.lock();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, authorization: HeaderValue) {
        let known = self.authorization.lock();
        *known.unwrap_or_else(PoisonError::into_inner) = Some(authorization);
    }

    pub(super) fn unauthorized(&self) -> ImageError {
        ImageError::Unauthorized {
            registry: self.endpoint.registry().to_owned(),
            reference: self.reference.to_string(),
        }
    }

    pub(super) fn failed(&self, status: StatusCode) -> ImageError {
        ImageError::RegistryFailed {
            registry: self.endpoint.registry().to_owned(),
            status: status.as_u16(),
        }
    }

    /// A connection that failed. The address goes from the cause, as that of a
    /// blob store may hold a signature that is as good as a password.
    pub(super) fn broken(&self, error: reqwest::Error) -> ImageError {
        self.unreachable(error.without_url())
    }

    pub(super) fn too_slow(&self) -> ImageError {
        self.unreachable("it did not answer in time")
    }

    pub(super) fn unreachable(&self, cause: impl Into<Cause>) -> ImageError {
        ImageError::Unreachable {
            registry: self.endpoint.registry().to_owned(),
            cause: cause.into(),
        }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// A client that follows nothing by itself.
fn client(settings: &Registries, endpoint: &Endpoint) -> reqwest::Result<Client> {
    // Another part of the process may have chosen a provider already, which is
    // as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("palisade/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(settings.connect_time)
        .http1_max_headers(HEADERS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX);
    if endpoint.is_plain() {
        // A proxy would read the credentials.
        builder = builder.no_proxy();
    }
    if endpoint.is_loopback() {
        // Works on a machine without certificates of authorities, too.
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}
