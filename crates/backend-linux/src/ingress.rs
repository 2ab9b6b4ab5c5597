//! The HTTP entry point of the sandboxes on this host.
//!
//! A sandbox whose ingress level has a host name is found under it from before it
//! shows as running until it is freed. The router takes clients on the host and
//! reaches sandboxes from inside the network's router, as a stranger: it gets in
//! where the rules let strangers in, and nowhere else. Who has which name is not
//! kept; the drivers of sandboxes say it anew after a restart.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use palisade_http_router::{HostNameError, Limits, Route, RouteError, Router};
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Launch;
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

use crate::network::Network;

/// The port that needs no mention in an address.
const HTTP_PORT: u16 = 80;

/// The entry point, open for clients.
#[derive(Debug)]
pub(crate) struct Ingress {
    router: Router,
    port: u16,
    /// Taken by whoever serves it.
    listener: Mutex<Option<TcpListener>>,
}

/// Why a sandbox cannot be found under its host name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EntryError {
    #[error("its host name is none that requests could name")]
    Name(#[from] HostNameError),
    #[error("it could not be given its host name")]
    Route(#[from] RouteError),
    #[error("it has no port that is exposed for HTTP")]
    NoPort,
    #[error("this runner has no HTTP entry point any more; start it with --http-listen")]
    NoEntry,
}

impl Ingress {
    /// Listens on the host. Nothing is served until [`Self::serve`].
    pub(crate) fn open(
        network: &Network,
        listen: SocketAddr,
        closing: CancellationToken,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let inward = network.inward()?;
        let router = Router::new(
            Limits::default(),
            Arc::new(move |target| {
                let inward = inward.clone();
                Box::pin(async move {
                    let socket = TcpSocket::from_std_stream(inward.stream(target).await?);
                    socket.connect(target).await
                })
            }),
            closing,
        );
        Ok(Self {
            router,
            port,
            listener: Mutex::new(Some(listener)),
        })
    }

    /// Serves clients until the backend closes. Only the first call does.
    pub(crate) async fn serve(&self) -> io::Result<()> {
        let taken = self
            .listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(listener) = taken {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            self.router.clone().serve(listener).await;
        }
        Ok(())
    }

    /// Has a sandbox found under its host name.
    pub(crate) fn open_to(
        &self,
        sandbox: SandboxId,
        host: &str,
        target: SocketAddr,
    ) -> Result<(), EntryError> {
        let route = Route { sandbox, target };
        self.router.routes().insert(host.parse()?, route)?;
        Ok(())
    }

    /// Has it found no more. Does nothing if it was not.
    pub(crate) fn close_to(&self, sandbox: SandboxId) {
        self.router.routes().remove(sandbox);
    }

    /// Where clients find a host name.
    pub(crate) fn address(&self, host: &str) -> String {
        if self.port == HTTP_PORT {
            host.to_owned()
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// The host name of a sandbox, if its ingress level has one.
pub(crate) fn host_name(launch: &Launch) -> Option<String> {
    let route = launch.exposure.as_ref()?.exposure.route.as_ref()?;
    route.template.render(launch.id, &launch.namespace.name)
}

/// Where requests for its host name go: the first port that it exposes.
pub(crate) fn target(launch: &Launch, address: IpAddr) -> Option<SocketAddr> {
    let port = launch.exposure.as_ref()?.ports.first()?;
    Some(SocketAddr::new(address, *port))
}
