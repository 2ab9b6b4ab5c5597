//! Connections to sandboxes.
//!
//! They are kept and used again by sandbox and by caller, never by address: addresses are
//! given to others in time.

use std::fmt;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use palisade_model::id::SandboxId;
use tokio::net::TcpStream;
use tokio::time;

use crate::body::Body;
use crate::fault::Fault;
use crate::routes::Routes;
use crate::visitor::{Connect, Visitor};

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(20);
/// How many of one sandbox are kept.
const IDLE_EACH: usize = 32;

/// Sends requests to sandboxes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Upstream {
    plain: Client<Connector, Body>,
    /// For those who need HTTP/2 on the whole way.
    second: Client<Connector, Body>,
}

impl Upstream {
    pub(crate) fn new(routes: Routes, connect: Connect, limit: Duration) -> Self {
        let connector = Connector {
            routes,
            connect,
            limit,
        };
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_EACH)
            .set_host(false);
        let plain = builder.build(connector.clone());
        let second = builder.http2_only(true).build(connector);
        Self { plain, second }
    }

    /// Sends a request to whatever sandbox its URI names.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
        needs_second: bool,
    ) -> Result<Response<Incoming>, Error> {
        let client = if needs_second {
            &self.second
        } else {
            &self.plain
        };
        client.request(request).await
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstream")
    }
}

/// The URI by which a sandbox is asked for something by somebody.
pub(crate) fn address(sandbox: SandboxId, visitor: Visitor, uri: &Uri) -> Option<Uri> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = match visitor {
        Visitor::Stranger => sandbox.to_string(),
        Visitor::Sandbox(caller) => format!("{sandbox}.{caller}"),
    };
    let authority: Authority = authority.parse().ok()?;
    Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query(path)
        .build()
        .ok()
}

/// Undoes [`address`]: who is asked, and by whom.
fn parties(uri: &Uri) -> Option<(SandboxId, Visitor)> {
    let host = uri.host()?;
    Some(match host.split_once('.') {
        None => (host.parse().ok()?, Visitor::Stranger),
        Some((sandbox, caller)) => {
            let caller = caller.parse().ok()?;
            (sandbox.parse().ok()?, Visitor::Sandbox(caller))
        }
    })
}

/// What went wrong with a request that was sent.
pub(crate) fn fault(error: &Error, port: u16) -> Fault {
    if !error.is_connect() {
        return Fault::BadAnswer { port };
    }
    match root(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => Fault::NotListening { port },
        Some(io::ErrorKind::NotFound) => Fault::Ended,
        Some(_) | None => Fault::Unreachable { port },
    }
}

/// The error of the operating system that lies at the bottom of another.
fn root<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let deeper = error.source().and_then(root);
    deeper.or_else(|| error.downcast_ref())
}

/// Opens connections to the sandboxes that URIs name.
#[derive(Clone)]
struct Connector {
    routes: Routes,
    connect: Connect,
    limit: Duration,
}

impl Connector {
    async fn open(self, uri: Uri) -> io::Result<TokioIo<TcpStream>> {
        let (sandbox, visitor) = parties(&uri).ok_or(io::ErrorKind::NotFound)?;
        // Its route may have gone since the request came.
        let route = self.routes.of_sandbox(sandbox);
        let route = route.ok_or(io::ErrorKind::NotFound)?;
        let stream = time::timeout(self.limit, (self.connect)(visitor, route)).await??;
        // Answers are waited for.
        stream.set_nodelay(true)?;
        Ok(TokioIo::new(stream))
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().open(uri))
    }
}
