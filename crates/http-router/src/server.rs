//! Clients: taking their connections, within bounds.

use std::net::IpAddr;
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
use crate::upstream::Upstream;
use crate::visitor::{Caller, Side, Visitor, Ways};

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
    pub(crate) visitor: Visitor,
    pub(crate) address: IpAddr,
    pub(crate) scheme: Scheme,
    /// Ends what it does.
    pub(crate) gone: CancellationToken,
    /// Held as long as anything of its connection is open.
    _places: Arc<Places>,
}

#[cfg(test)]
impl Client {
    /// Somebody from outside.
    pub(crate) fn stranger(address: IpAddr, scheme: Scheme) -> Self {
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned();
        Self {
            visitor: Visitor::Stranger,
            address,
            scheme,
            gone: CancellationToken::new(),
            _places: Arc::new(Places {
                _of_all: room.expect("it is new"),
                _own: None,
            }),
        }
    }
}

/// Where clients come in.
struct Entry {
    listener: TcpListener,
    certificates: Option<Certificates>,
    side: Side,
}

/// What a connection takes of the room that there is.
#[derive(Debug)]
struct Places {
    _of_all: OwnedSemaphorePermit,
    /// Of the sandbox that opened it.
    _own: Option<OwnedSemaphorePermit>,
}

/// How much there may be at once of what comes from one side, which could take all of the
/// other's.
#[derive(Clone, Debug)]
struct Room {
    connections: Arc<Semaphore>,
    tunnels: Arc<Semaphore>,
}

impl Room {
    fn new(limits: Limits) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(limits.connections)),
            tunnels: Arc::new(Semaphore::new(limits.tunnels)),
        }
    }
}

/// The HTTP entry point. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Router {
    pub(crate) routes: Routes,
    pub(crate) upstream: Upstream,
    pub(crate) ways: Ways,
    pub(crate) limits: Limits,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    outside: Room,
    inside: Room,
}

impl Router {
    /// A router without routes. It ends with `stop`.
    pub fn new(limits: Limits, ways: Ways, stop: CancellationToken) -> Self {
        let routes = Routes::new(limits.requests_each);
        Self {
            upstream: Upstream::new(routes.clone(), Arc::clone(&ways.connect), limits.connect),
            ways,
            routes,
            limits,
            tasks: TaskTracker::new(),
            stop,
            outside: Room::new(limits),
            inside: Room::new(limits),
        }
    }

    /// Its routes, to be changed at any time.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Bounds the connections of such a visitor that changed their protocol.
    pub(crate) fn tunnels(&self, visitor: Visitor) -> &Arc<Semaphore> {
        match visitor {
            Visitor::Stranger => &self.outside.tunnels,
            Visitor::Sandbox(_) => &self.inside.tunnels,
        }
    }

    /// Takes connections until it is to stop, then lets what runs end.
    pub async fn serve(self, listener: TcpListener, side: Side) {
        let entry = Entry {
            listener,
            certificates: None,
            side,
        };
        self.serve_entry(entry).await;
    }

    /// Likewise with TLS. Certificates that are replaced are in force within some seconds.
    pub async fn serve_tls(self, listener: TcpListener, certificates: Certificates, side: Side) {
        let entry = Entry {
            listener,
            certificates: Some(certificates),
            side,
        };
        self.serve_entry(entry).await;
    }

    async fn serve_entry(self, entry: Entry) {
        let stop = self.stop.clone();
        let both =
            async { tokio::join!(self.accept_all(&entry), renew(entry.certificates.as_ref())) };
        stop.run_until_cancelled(both).await;
        drop(entry);
        self.tasks.close();
        if time::timeout(self.limits.drain, self.tasks.wait())
            .await
            .is_err()
        {
            warn!(left = self.tasks.len(), "connections did not end in time");
        }
    }

    async fn accept_all(&self, entry: &Entry) {
        let room = match entry.side {
            Side::Outside => &self.outside.connections,
            Side::Inside => &self.inside.connections,
        };
        loop {
            let Ok(room) = Arc::clone(room).acquire_owned().await else {
                return;
            };
            match entry.listener.accept().await {
                Ok((stream, peer)) => self.let_in(entry, stream, peer.ip(), room),
                Err(error) => {
                    warn!(%error, "could not accept a connection");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn let_in(
        &self,
        entry: &Entry,
        stream: TcpStream,
        address: IpAddr,
        room: OwnedSemaphorePermit,
    ) {
        if let Some(client) = self.identify(entry, address, room) {
            let acceptor = entry.certificates.as_ref().map(Certificates::acceptor);
            let served = self.clone().client(stream, client, acceptor);
            self.tasks.spawn(served);
        }
    }

    /// Who comes from an address; `None` if it is nobody who is known there, or has as many
    /// connections as it may have: then the connection is dropped, and so closed.
    fn identify(
        &self,
        entry: &Entry,
        address: IpAddr,
        room: OwnedSemaphorePermit,
    ) -> Option<Client> {
        let (visitor, own, gone) = match entry.side {
            Side::Outside => (Visitor::Stranger, None, CancellationToken::new()),
            Side::Inside => {
                let Caller {
                    sandbox,
                    room,
                    gone,
                } = (self.ways.identify)(address)?;
                let own = room.try_acquire_owned().ok()?;
                (Visitor::Sandbox(sandbox), Some(own), gone)
            }
        };
        let is_secure = entry.certificates.is_some();
        Some(Client {
            visitor,
            address,
            scheme: if is_secure {
                Scheme::HTTPS
            } else {
                Scheme::HTTP
            },
            gone,
            _places: Arc::new(Places {
                _of_all: room,
                _own: own,
            }),
        })
    }

    async fn client(self, stream: TcpStream, client: Client, acceptor: Option<TlsAcceptor>) {
        // Answers are waited for; without it they are only later.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = acceptor else {
            return self.connection(stream, client).await;
        };
        let peer = client.address;
        let shaken = time::timeout(self.limits.head, acceptor.accept(stream));
        match self.stop.run_until_cancelled(shaken).await {
            Some(Ok(Ok(stream))) => self.connection(stream, client).await,
            Some(Ok(Err(error))) => debug!(%peer, %error, "a handshake of TLS failed"),
            Some(Err(_)) => debug!(%peer, "a handshake of TLS took too long"),
            None => {}
        }
    }

    async fn connection(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        client: Client,
    ) {
        let builder = self.settings();
        let router = self.clone();
        let (peer, gone) = (client.address, client.gone.clone());
        let service = service_fn(move |request| router.clone().answer(request, client.clone()));
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = gone.cancelled() => Ok(()),
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                time::timeout(self.limits.drain, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            debug!(%peer, %error, "a connection ended badly");
        }
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
