//! The HTTP entry point of the sandboxes on this host.
//!
//! A sandbox whose ingress level has a host name is found under it from before it
//! shows as running until it is freed. The router takes clients on the host, who are strangers,
//! and sandboxes inside the network's router, who are known by their addresses. The model
//! decides who may use a name; to the sandbox behind it the router gets from inside, with what
//! the one who asks could show himself: it gets in where the rules let that one in, and nowhere
//! else. Who has which name is not kept; the drivers of sandboxes say it anew after a restart.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use palisade_http_router::{
    CertificateError, Certificates, HostName, HostNameError, Limits, Route, RouteError, Router,
    Side, Visitor, Ways,
};
use palisade_model::id::SandboxId;
use palisade_model::policy::Door;
use palisade_model::sandbox::{Launch, Protocol};
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

use crate::config::Https;
use crate::dns::Directory;
use crate::network::{Network, RulesError};

/// The port that needs no mention in an address.
const HTTP_PORT: u16 = 80;
/// Likewise, with TLS.
const HTTPS_PORT: u16 = 443;

/// The entry point, open for clients.
#[derive(Debug)]
pub(crate) struct Ingress {
    router: Router,
    directory: Directory,
    /// The port that clients are told, unless it needs no mention.
    port: Option<u16>,
    /// Taken by whoever serves them.
    doors: Mutex<Vec<Entry>>,
}

/// A port at which clients come in.
#[derive(Debug)]
struct Entry {
    listener: TcpListener,
    side: Side,
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
    /// Something else is at this port inside the router, such as the resolver.
    #[error("could not listen for HTTP from sandboxes on port {port}; choose another port")]
    Inside {
        /// The port.
        port: u16,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The entry point could not be opened to sandboxes.
    #[error("could not open the HTTP entry point to sandboxes")]
    Rules(#[source] RulesError),
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
        plain: Option<SocketAddr>,
        secure: Option<&Https>,
        closing: CancellationToken,
    ) -> Result<Option<Self>, IngressError> {
        let plain = plain.map(|listen| (listen, None));
        let secure = secure.map(|https| (https.listen, Some(https)));
        let doors = plain.into_iter().chain(secure);
        let mut doors = doors
            .map(|(listen, https)| Entry::open(listen, https))
            .collect::<Result<Vec<_>, _>>()?;
        // Clients are told the plain one, as they are told no scheme.
        let Some(first) = doors.first() else {
            return Ok(None);
        };
        let port = first.told_port();
        doors.extend(inside(network, &doors)?);
        let directory = network.directory();
        let router = Router::new(Limits::default(), ways(network)?, closing);
        Ok(Some(Self {
            router,
            directory,
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
        let serve = |entry: Entry| async move {
            let listener = tokio::net::TcpListener::from_std(entry.listener)?;
            let router = self.router.clone();
            match entry.certificates {
                Some(certificates) => router.serve_tls(listener, certificates, entry.side).await,
                None => router.serve(listener, entry.side).await,
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
        let name = host.parse::<HostName>()?;
        let door = door(&route);
        self.router.routes().insert(name.clone(), route)?;
        self.directory.name_host(name.as_str(), sandbox, door);
        Ok(())
    }

    /// Has it found no more. Does nothing if it was not.
    pub(crate) fn close_to(&self, sandbox: SandboxId) {
        self.directory.unname_host(sandbox);
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

impl Entry {
    fn open(listen: SocketAddr, https: Option<&Https>) -> Result<Self, IngressError> {
        let certificates =
            https.map(|https| Certificates::load(https.certificate.clone(), https.key.clone()));
        let bound = TcpListener::bind(listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        Ok(Self {
            certificates: certificates.transpose()?,
            side: Side::Outside,
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

/// The same ports for sandboxes, inside the router.
fn inside(network: &Network, outside: &[Entry]) -> Result<Vec<Entry>, IngressError> {
    let mut entries = Vec::new();
    let mut ports = BTreeSet::new();
    for door in outside {
        let port = door.listener.local_addr().map_err(IngressError::Inward)?;
        let port = port.port();
        let listeners = network.listen_for_sandboxes(port);
        let listeners = listeners.map_err(|source| IngressError::Inside { port, source })?;
        entries.extend(listeners.into_iter().map(|listener| Entry {
            listener,
            side: Side::Inside,
            certificates: door.certificates.clone(),
        }));
        ports.insert(port);
    }
    network.offer_entry(ports).map_err(IngressError::Rules)?;
    network.directory().tell_entry(network.resolver());
    Ok(entries)
}

/// What the router is told: who calls, who may come in, and how.
fn ways(network: &Network) -> Result<Ways, IngressError> {
    let inward = network.inward().map_err(IngressError::Inward)?;
    let (callers, guests) = (network.directory(), network.directory());
    Ok(Ways {
        identify: Arc::new(move |address| callers.caller(address)),
        admit: Arc::new(move |visitor, route| guests.admits(visitor, route.sandbox, door(route))),
        connect: Arc::new(move |visitor, route| {
            let inward = inward.clone();
            Box::pin(async move {
                let caller = match visitor {
                    Visitor::Stranger => None,
                    Visitor::Sandbox(caller) => Some(caller),
                };
                let made = inward.stream(caller, route.sandbox, route.target).await?;
                TcpSocket::from_std_stream(made).connect(route.target).await
            })
        }),
    })
}

/// The door that a route leads to.
fn door(route: &Route) -> Door {
    Door {
        protocol: Protocol::Tcp,
        port: route.target.port(),
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
