//! One port for REST and gRPC, and its bounds.
//!
//! A connection is plain or TLS, HTTP/1.1 or HTTP/2, and each request goes to
//! gRPC or REST by its content type. Connections are bounded in number and in
//! how long they may take until their first request, whatever they send until
//! then. Ending is in two steps: nothing new is taken, and what runs may end
//! until a limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use palisade_wire::headers;
use palisade_wire::http2::{CONNECTION_WINDOW, FRAME_BYTES_MAX, STREAM_WINDOW, STREAMS_MAX};
use std::convert::Infallible;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{ServiceExt as _, service_fn};
use tracing::{debug, info, warn};

mod head;
mod host;
pub(crate) mod local;
pub(crate) mod tls;

use tls::TlsSettings;

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4096;
/// How long a client may take for its TLS handshake, for the headers of a
/// request, and until its first request.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// How long a connection without a request may take to be closed.
const FAREWELL: Duration = Duration::from_secs(1);
/// A peer that is silent for so long is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long it may take to answer that.
const KEEP_ALIVE_LIMIT: Duration = Duration::from_secs(20);
/// How long to leave a listener alone that cannot accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long requests may take to end when the server ends.
const DRAIN: Duration = Duration::from_secs(5);

/// What answers requests.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    /// REST, health and the `OpenAPI` document.
    pub(crate) rest: Router,
    /// All gRPC services.
    pub(crate) grpc: Router,
}

impl Services {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let request = request.map(Body::new);
        if let Some(refused) = head::misaddressed(request.version(), request.headers()) {
            return Ok(refused);
        }
        let router = if is_grpc(&request) {
            self.grpc
        } else {
            if let Some(refused) = head::refused(request.uri(), request.headers()) {
                return Ok(refused);
            }
            self.rest
        };
        router.oneshot(request).await
    }
}

fn is_grpc(request: &Request<Body>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE);
    headers::is_grpc(kind.map(HeaderValue::as_bytes))
}

/// Serves connections, from wherever they come. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    services: Services,
    tasks: TaskTracker,
    room: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Server {
    /// A server that ends with `stop`.
    pub(crate) fn new(services: Services, stop: CancellationToken) -> Self {
        Self {
            services,
            tasks: TaskTracker::new(),
            room: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            stop,
        }
    }

    /// Takes connections until the server is to stop, then drains them.
    pub(crate) async fn listen(self, listener: TcpListener, tls: Option<TlsSettings>) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.accept_all(&listener, tls.as_ref()))
            .await;
        drop(listener);
        self.drain().await;
    }

    /// Waits for what runs to end, within a limit.
    async fn drain(&self) {
        self.tasks.close();
        if time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            warn!(left = self.tasks.len(), "connections did not end in time");
        }
        info!("server stopped");
    }

    async fn accept_all(&self, listener: &TcpListener, tls: Option<&TlsSettings>) {
        loop {
            let permit = self.permit().await;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Frames are small and answers are waited for.
                    let _ = stream.set_nodelay(true);
                    self.begin(stream, peer, tls.cloned(), permit);
                }
                Err(error) => {
                    warn!(%error, "could not accept a connection");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).acquire_owned().await.ok()
    }

    fn begin<S>(
        &self,
        stream: S,
        peer: SocketAddr,
        tls: Option<TlsSettings>,
        permit: Option<OwnedSemaphorePermit>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let server = self.clone();
        self.tasks.spawn(async move {
            match tls {
                None => server.serve(stream).await,
                Some(tls) => match time::timeout(HELLO_LIMIT, tls.accept(stream)).await {
                    Ok(Ok(stream)) => server.serve(stream).await,
                    Ok(Err(error)) => debug!(%peer, %error, "TLS handshake failed"),
                    Err(_) => debug!(%peer, "TLS handshake took too long"),
                },
            }
            drop(permit);
        });
    }

    /// Serves one connection to its end.
    async fn serve<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let services = self.services.clone();
        let heard = CancellationToken::new();
        let service = service_fn({
            let heard = heard.clone();
            move |request| {
                heard.cancel();
                services.clone().answer(request)
            }
        });
        let builder = http_settings();
        let connection = builder.serve_connection_with_upgrades(
            TokioIo::new(stream),
            TowerToHyperService::new(service),
        );
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = silence(&heard) => {
                debug!("a connection made no request in time");
                connection.as_mut().graceful_shutdown();
                let farewell = time::timeout(FAREWELL, connection).await;
                farewell.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            debug!(%error, "a connection ended badly");
        }
    }
}

/// Ends when a connection has taken too long for its first request.
async fn silence(heard: &CancellationToken) {
    if time::timeout(HELLO_LIMIT, heard.cancelled()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

fn http_settings() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .max_headers(head::HEADERS_READ_MAX)
        .header_read_timeout(HELLO_LIMIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_BYTES_MAX)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_LIMIT);
    builder
}

#[cfg(test)]
mod tests;
