//! Clients: taking their connections, within bounds.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::limits::Limits;
use crate::routes::Routes;
use crate::tls::Certificates;
use crate::upstream::{Connect, Upstream};

/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Requests at once on one connection of HTTP/2.
const STREAMS_MAX: u32 = 256;
/// A client that is silent for so long is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long it may take to answer that.
const KEEP_ALIVE_LIMIT: Duration = Duration::from_secs(20);
/// How often it is looked whether certificates were replaced.
const RENEWAL: Duration = Duration::from_secs(5);
/// How long to leave a listener alone that cannot accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who asks, and how.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) scheme: Scheme,
}

/// The HTTP entry point. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Router {
    pub(crate) routes: Routes,
    pub(crate) upstream: Upstream,
    pub(crate) limits: Limits,
    pub(crate) tunnels: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    room: Arc<Semaphore>,
}

impl Router {
    /// A router without routes. It ends with `stop`.
    pub fn new(limits: Limits, connect: Connect, stop: CancellationToken) -> Self {
        let routes = Routes::new(limits.requests_each);
        Self {
            upstream: Upstream::new(routes.clone(), connect, limits.connect),
            routes,
            limits,
            tunnels: Arc::new(Semaphore::new(limits.tunnels)),
            tasks: TaskTracker::new(),
            stop,
            room: Arc::new(Semaphore::new(limits.connections)),
        }
    }

    /// Its routes, to be changed at any time.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Takes connections until it is to stop, then lets what runs end.
    pub async fn serve(self, listener: TcpListener) {
        self.serve_entry(listener, None).await;
    }

    /// Likewise with TLS. Certificates that are replaced are in force within some seconds.
    pub async fn serve_tls(self, listener: TcpListener, certificates: Certificates) {
        self.serve_entry(listener, Some(certificates)).await;
    }

    async fn serve_entry(self, listener: TcpListener, certificates: Option<Certificates>) {
        let stop = self.stop.clone();
        let entry = async {
            tokio::join!(
                self.accept_all(&listener, certificates.as_ref()),
                renew(certificates.as_ref())
            )
        };
        stop.run_until_cancelled(entry).await;
        drop(listener);
        self.tasks.close();
        if time::timeout(self.limits.drain, self.tasks.wait())
            .await
            .is_err()
        {
            warn!(left = self.tasks.len(), "connections did not end in time");
        }
    }

    async fn accept_all(&self, listener: &TcpListener, certificates: Option<&Certificates>) {
        loop {
            let Ok(room) = Arc::clone(&self.room).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let router = self.clone();
                    let acceptor = certificates.map(Certificates::acceptor);
                    self.tasks
                        .spawn(router.client(stream, peer, acceptor, room));
                }
                Err(error) => {
                    warn!(%error, "could not accept a connection");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn client(
        self,
        stream: TcpStream,
        peer: SocketAddr,
        acceptor: Option<TlsAcceptor>,
        room: OwnedSemaphorePermit,
    ) {
        // Answers are waited for; without it they are only later.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = acceptor else {
            return self.connection(stream, peer, Scheme::HTTP, room).await;
        };
        let shaken = time::timeout(self.limits.head, acceptor.accept(stream));
        match self.stop.run_until_cancelled(shaken).await {
            Some(Ok(Ok(stream))) => self.connection(stream, peer, Scheme::HTTPS, room).await,
            Some(Ok(Err(error))) => debug!(%peer, %error, "a handshake of TLS failed"),
            Some(Err(_)) => debug!(%peer, "a handshake of TLS took too long"),
            None => {}
        }
    }

    async fn connection(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        scheme: Scheme,
        room: OwnedSemaphorePermit,
    ) {
        let builder = self.settings();
        let router = self.clone();
        let service = service_fn(move |request| {
            let client = Client {
                address: peer.ip(),
                scheme: scheme.clone(),
            };
            router.clone().answer(request, client)
        });
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                time::timeout(self.limits.drain, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            debug!(%peer, %error, "a connection ended badly");
        }
        drop(room);
    }

    fn settings(&self) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(HEAD_BYTES_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_LIMIT)
            .enable_connect_protocol()
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
        builder
    }
}

/// Looks whether certificates were replaced, as long as it is let. What is wrong with new ones
/// is told once.
async fn renew(certificates: Option<&Certificates>) {
    let Some(certificates) = certificates else {
        return std::future::pending().await;
    };
    let mut is_failing = false;
    loop {
        time::sleep(RENEWAL).await;
        let certificates = certificates.clone();
        let renewed = tokio::task::spawn_blocking(move || certificates.refresh()).await;
        is_failing = match renewed {
            Ok(Ok(is_new)) => {
                if is_new {
                    info!("the certificate of the HTTP entry point was replaced");
                }
                false
            }
            Ok(Err(error)) => {
                if !is_failing {
                    let error = &error as &dyn std::error::Error;
                    warn!(
                        error,
                        "the new certificate is not used; the one before stays in force"
                    );
                }
                true
            }
            Err(_) => is_failing,
        };
    }
}
