//! One call: what is sent, and what comes back within bounds.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use palisade_wire::status::Status;
use reqwest::header::{AUTHORIZATION, HeaderValue, IF_MATCH};
use reqwest::redirect::Policy;
use reqwest::{Method, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{CallError, Refused};
use crate::profiles::Change;
use crate::sandboxes::Sandboxes;
use crate::server::Server;
use crate::trust::Trust;

/// How long a connection may take to come about.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(5);

/// How long one call may take; longer than the server gives itself.
pub(crate) const CALL_TIME: Duration = Duration::from_secs(40);

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How often a read is tried when the server asks to come back.
pub(crate) const ATTEMPTS: u32 = 3;

/// The longest that a read waits before it is tried again.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(3);

/// Calls one server as the holder of one token. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    server: Server,
    authorization: HeaderValue,
    trust: Trust,
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The token has characters that no token has.
    #[error("the token is not one that could be sent; copy it again, without blanks around it")]
    BadToken,
    /// What is to be trusted is no certificate.
    #[error("there is no certificate to trust; give certificates of authorities in PEM")]
    BadCertificates,
    /// TLS could not be set up.
    #[error("the client cannot be set up")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
}

/// What one call sends.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a [&'a str],
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<&'a Value>,
    pub(crate) if_match: Option<&'a str>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, path: &'a [&'a str]) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            body: None,
            if_match: None,
        }
    }
}

impl Client {
    /// A client for a server and a token, which believes the authorities that
    /// this machine knows.
    pub fn new(server: Server, token: &str) -> Result<Self, SetupError> {
        Self::trusting(server, token, Trust::System)
    }

    /// The same, with a word about who vouches for the server.
    pub fn trusting(server: Server, token: &str, trust: Trust) -> Result<Self, SetupError> {
        // Another part of the process may have chosen a provider already, which
        // is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| SetupError::BadToken)?;
        authorization.set_sensitive(true);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("palisade-client/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIME)
            .timeout(CALL_TIME);
        if server.is_loopback() {
            builder = builder.no_proxy();
        }
        if let Some(certificates) = trust.certificates()? {
            builder = builder.tls_certs_only(certificates);
        }
        Ok(Self {
            http: builder
                .build()
                .map_err(|error| SetupError::Tls(error.into()))?,
            server,
            authorization,
            trust,
        })
    }

    /// The sandboxes of the same server, for the holder of the same token.
    ///
    /// Nothing is connected to before the first call. Must be called where there
    /// is a runtime.
    pub fn sandboxes(&self) -> Result<Sandboxes, SetupError> {
        Sandboxes::new(&self.server, self.authorization.as_bytes(), &self.trust)
    }

    /// The server that is called.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Reads something, and tries again when the server asks to come back.
    pub(crate) async fn read<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, CallError> {
        for _ in 1..ATTEMPTS {
            match self.once(&call).await {
                Err(CallError::Refused(refused)) if refused.retry_after().is_some() => {
                    let wait = refused.retry_after().unwrap_or_default();
                    tokio::time::sleep(wait.min(WAIT_MAX)).await;
                }
                answer => return self.decode(&answer?),
            }
        }
        self.write(call).await
    }

    /// Changes something; tried once, as a failed change may have happened.
    pub(crate) async fn write<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, CallError> {
        let answer = self.once(&call).await?;
        self.decode(&answer)
    }

    /// Changes fields of what has a path.
    pub(crate) async fn edit<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &Value,
        change: &Change,
    ) -> Result<T, CallError> {
        self.write(Call {
            query: change.query(),
            body: Some(body),
            if_match: change.etag.as_deref(),
            ..Call::new(Method::PATCH, path)
        })
        .await
    }

    async fn once(&self, call: &Call<'_>) -> Result<Bytes, CallError> {
        // These would be taken for a way to another place.
        if let Some(part) = call
            .path
            .iter()
            .find(|part| matches!(**part, "" | "." | ".."))
        {
            return Err(CallError::NotAName {
                text: (*part).to_owned(),
            });
        }
        let mut request = self
            .http
            .request(call.method.clone(), self.server.at(call.path, &call.query))
            .header(AUTHORIZATION, self.authorization.clone());
        if let Some(body) = call.body {
            request = request.json(body);
        }
        if let Some(etag) = call.if_match {
            request = request.header(IF_MATCH, format!("\"{etag}\""));
        }
        let response = request.send().await.map_err(|error| self.failed(error))?;
        let http_status = response.status();
        let body = self.body(response).await?;
        if http_status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<Status>(&body) {
            Ok(status) => {
                let refused = Refused::new(http_status.as_u16(), status);
                Err(CallError::Refused(Box::new(refused)))
            }
            Err(_) => Err(self.odd(format!("it answers {http_status} without a reason"))),
        }
    }

    async fn body(&self, mut response: Response) -> Result<Bytes, CallError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(self.odd(format!("its answer has more than {ANSWER_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CallError> {
        serde_json::from_slice(body)
            .map_err(|error| self.odd(format!("its answer cannot be read ({error})")))
    }

    fn failed(&self, source: reqwest::Error) -> CallError {
        let server = self.server.to_string();
        if source.is_timeout() {
            CallError::TimedOut { server }
        } else {
            CallError::Unreachable {
                server,
                source: source.into(),
            }
        }
    }

    fn odd(&self, what: String) -> CallError {
        let server = self.server.to_string();
        CallError::NotUnderstood { server, what }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
