//! What the router itself answers, and to whom it says it how.
//!
//! Every such answer has the header `x-palisade-router` with a word for the
//! reason, so that nobody takes it for one of the sandbox.

use std::fmt::Write as _;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::body::{Body, whole};
use crate::host::{HostName, HostNameError};

/// Says that the router answers, and why.
const REASON: HeaderName = HeaderName::from_static("x-palisade-router");

/// Why a request does not reach a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Host(#[from] HostNameError),
    #[error("no sandbox that is open to you has the host name {0}")]
    NoSandbox(HostName),
    #[error("tunnels by CONNECT are not offered")]
    Connect,
    #[error("nothing listens on port {port} of the sandbox")]
    NotListening { port: u16 },
    #[error("the sandbox takes no connections on port {port}")]
    Unreachable { port: u16 },
    #[error("what listens on port {port} of the sandbox does not speak HTTP as it should")]
    BadAnswer { port: u16 },
    #[error("the sandbox ended")]
    Ended,
    #[error("the sandbox did not begin its answer in time")]
    Slow,
    #[error("the sandbox has as many requests under way as it may have")]
    Busy,
    #[error("there are as many WebSockets and the like as there may be")]
    TunnelsFull,
}

impl Fault {
    fn status(&self) -> StatusCode {
        match self {
            Self::Host(_) => StatusCode::BAD_REQUEST,
            Self::NoSandbox(_) => StatusCode::NOT_FOUND,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotListening { .. }
            | Self::Unreachable { .. }
            | Self::BadAnswer { .. }
            | Self::Ended => StatusCode::BAD_GATEWAY,
            Self::Slow => StatusCode::GATEWAY_TIMEOUT,
            Self::Busy | Self::TunnelsFull => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Host(_) => "host-malformed",
            Self::NoSandbox(_) => "no-sandbox",
            Self::Connect => "connect-refused",
            Self::NotListening { .. } => "not-listening",
            Self::Unreachable { .. } => "unreachable",
            Self::BadAnswer { .. } => "bad-answer",
            Self::Ended => "sandbox-ended",
            Self::Slow => "answer-slow",
            Self::Busy => "requests-full",
            Self::TunnelsFull => "tunnels-full",
        }
    }

    /// What whoever reads it can do.
    fn next(&self) -> &'static str {
        match self {
            Self::Host(_) => "send one host name, in the header Host",
            Self::NoSandbox(_) => {
                "check the name; a sandbox has one while it runs and exposes a port at a level with a host name, and only for those whom the scope of the level admits"
            }
            Self::Connect => "send the request itself",
            Self::NotListening { .. } => {
                "start a server in the sandbox that listens on that port, on all addresses and not on 127.0.0.1 alone"
            }
            Self::Unreachable { .. } => "see whether the sandbox still runs",
            Self::BadAnswer { .. } => "see what listens there",
            Self::Ended => "start another sandbox",
            Self::Slow => "see what keeps the server in the sandbox",
            Self::Busy | Self::TunnelsFull => "try again in a moment",
        }
    }

    /// The answer, in what the client says that it reads.
    pub(crate) fn answer(&self, accept: Option<&HeaderValue>) -> Response<Body> {
        let (kind, text) = match Dialect::of(accept) {
            Dialect::Html => ("text/html; charset=utf-8", self.html()),
            Dialect::Json => ("application/json", self.json()),
            Dialect::Text => ("text/plain; charset=utf-8", self.text()),
        };
        let mut response = Response::new(whole(text));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REASON, HeaderValue::from_static(self.reason()));
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    fn text(&self) -> String {
        format!("{}: {self}\nnext: {}\n", self.status(), self.next())
    }

    fn json(&self) -> String {
        let error = json!({
            "code": self.status().as_u16(),
            "reason": self.reason(),
            "message": self.to_string(),
            "next": self.next(),
        });
        json!({ "error": error }).to_string()
    }

    fn html(&self) -> String {
        let mut page = String::from("<!doctype html><meta charset=utf-8>");
        // Host names are made of letters, digits and hyphens; nothing else here
        // comes from outside.
        let _ = write!(
            page,
            "<title>{status}</title><h1>{status}</h1><p>{self}.</p><p>Next: {next}.</p>",
            status = self.status(),
            next = self.next(),
        );
        page
    }
}

/// What a client reads.
enum Dialect {
    Html,
    Json,
    Text,
}

impl Dialect {
    fn of(accept: Option<&HeaderValue>) -> Self {
        let accept = accept.and_then(|value| value.to_str().ok());
        match accept.unwrap_or_default() {
            accept if accept.contains("text/html") => Self::Html,
            accept if accept.contains("json") => Self::Json,
            _ => Self::Text,
        }
    }
}
