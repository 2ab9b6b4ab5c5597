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

use palisade_http_router::{
    CertificateError, Certificates, HostNameError, Limits, Route, RouteError, Router,
};
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Launch;
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

use crate::config::{Https, LinuxConfig};
use crate::network::Network;

/// The port that needs no mention in an address.
const HTTP_PORT: u16 = 80;
/// Likewise, with TLS.
const HTTPS_PORT: u16 = 443;

/// The entry point, open for clients.
#[derive(Debug)]
pub(crate) struct Ingress {
    router: Router,
    /// The port that clients are told, unless it needs no mention.
    port: Option<u16>,
    /// Taken by whoever serves them.
    doors: Mutex<Vec<Door>>,
}

/// A port at which clients come in.
#[derive(Debug)]
struct Door {
    listener: TcpListener,
    /// With TLS, if there are some.
    certificates: Option<Certificates>,
}

/// Why there is no entry point.
#[derive(Debug, thiserror::Error)]
pub enum IngressError {
    /// Something else listens there, or the address is not this machine's.
    #[error("could not listen for HTTP on {listen}; choose another address")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The way to sandboxes could not be opened.
    #[error("could not open the way from the HTTP entry point to sandboxes")]
    Inward(#[source] io::Error),
    /// The certificate cannot be used.
    #[error("could not use the certificate of the HTTP entry point")]
    Certificate(#[from] CertificateError),
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
    /// Listens on the host, if it is to. Nothing is served until [`Self::serve`].
    pub(crate) fn open(
        network: &Network,
        config: &LinuxConfig,
        closing: CancellationToken,
    ) -> Result<Option<Self>, IngressError> {
        let plain = config.http_listen.map(|listen| (listen, None));
        let secure = config.https.as_ref();
        let secure = secure.map(|https| (https.listen, Some(https)));
        let doors = plain.into_iter().chain(secure);
        let doors = doors
            .map(|(listen, https)| Door::open(listen, https))
            .collect::<Result<Vec<_>, _>>()?;
        // Clients are told the plain one, as they are told no scheme.
        let Some(first) = doors.first() else {
            return Ok(None);
        };
        let port = first.told_port();
        let inward = network.inward().map_err(IngressError::Inward)?;
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
        Ok(Some(Self {
            router,
            port,
            doors: Mutex::new(doors),
        }))
    }

    /// Serves clients until the backend closes. Only the first call does.
    pub(crate) async fn serve(&self) -> io::Result<()> {
        let taken = {
            let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *doors)
        };
        let serve = |door: Door| async {
            let listener = tokio::net::TcpListener::from_std(door.listener)?;
            let router = self.router.clone();
            match door.certificates {
                Some(certificates) => router.serve_tls(listener, certificates).await,
                None => router.serve(listener).await,
            }
            io::Result::Ok(())
        };
        futures_util::future::try_join_all(taken.into_iter().map(serve)).await?;
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
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

impl Door {
    fn open(listen: SocketAddr, https: Option<&Https>) -> Result<Self, IngressError> {
        let certificates =
            https.map(|https| Certificates::load(https.certificate.clone(), https.key.clone()));
        let bound = TcpListener::bind(listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        Ok(Self {
            certificates: certificates.transpose()?,
            listener: bound.map_err(|source| IngressError::Listen { listen, source })?,
        })
    }

    fn told_port(&self) -> Option<u16> {
        let usual = if self.certificates.is_some() {
            HTTPS_PORT
        } else {
            HTTP_PORT
        };
        let port = self.listener.local_addr().ok()?.port();
        (port != usual).then_some(port)
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
