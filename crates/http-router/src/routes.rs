//! Which host name leads to which sandbox.
//!
//! A name belongs to one sandbox at a time. A route is found by its name when a
//! request arrives, and by its sandbox when a connection is opened, so that a
//! route that was taken away leads nowhere from that instant on.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use palisade_model::id::SandboxId;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::host::HostName;

/// Where requests for a host name go.
#[derive(Clone, Debug)]
pub struct Route {
    /// The sandbox that has the name.
    pub sandbox: SandboxId,
    /// Its address and the port that is exposed.
    pub target: SocketAddr,
}

/// Why a route could not be laid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Another sandbox has the name.
    #[error("the host name belongs to another sandbox")]
    Taken,
}

/// All routes of a router. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Routes {
    table: Arc<RwLock<Table>>,
    requests_each: usize,
}

#[derive(Debug, Default)]
struct Table {
    by_host: HashMap<HostName, Laid>,
    by_sandbox: HashMap<SandboxId, HostName>,
}

/// A route that is in force.
#[derive(Clone, Debug)]
pub(crate) struct Laid {
    pub(crate) route: Route,
    /// Bounds its requests.
    pub(crate) room: Arc<Semaphore>,
    /// Ends what goes over it when it is taken away.
    pub(crate) gone: CancellationToken,
}

impl Routes {
    pub(crate) fn new(requests_each: usize) -> Self {
        Self {
            table: Arc::default(),
            requests_each,
        }
    }

    /// Lays a route. A sandbox has one at a time: an earlier one goes.
    pub fn insert(&self, host: HostName, route: Route) -> Result<(), RouteError> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let owner = table.by_host.get(&host).map(|laid| laid.route.sandbox);
        if owner.is_some_and(|owner| owner != route.sandbox) {
            return Err(RouteError::Taken);
        }
        table.remove(route.sandbox);
        table.by_sandbox.insert(route.sandbox, host.clone());
        let laid = Laid {
            route,
            room: Arc::new(Semaphore::new(self.requests_each)),
            gone: CancellationToken::new(),
        };
        table.by_host.insert(host, laid);
        Ok(())
    }

    /// Takes the route of a sandbox away and ends what goes over it. Does
    /// nothing if it has none.
    pub fn remove(&self, sandbox: SandboxId) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.remove(sandbox);
    }

    pub(crate) fn of_host(&self, host: &HostName) -> Option<Laid> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.by_host.get(host).cloned()
    }

    pub(crate) fn of_sandbox(&self, sandbox: SandboxId) -> Option<Route> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let host = table.by_sandbox.get(&sandbox)?;
        Some(table.by_host.get(host)?.route.clone())
    }
}

impl Table {
    fn remove(&mut self, sandbox: SandboxId) {
        let host = self.by_sandbox.remove(&sandbox);
        if let Some(laid) = host.and_then(|host| self.by_host.remove(&host)) {
            laid.gone.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn route(number: u128) -> Route {
        Route {
            sandbox: SandboxId::new(Uuid::from_u128(number)),
            target: SocketAddr::from(([127, 0, 0, 1], 80)),
        }
    }

    #[test]
    fn a_name_has_one_owner_until_it_is_given_up() {
        let routes = Routes::new(1);
        let host: HostName = "a.example.com".parse().unwrap();
        routes.insert(host.clone(), route(1)).unwrap();
        assert_eq!(
            routes.insert(host.clone(), route(2)),
            Err(RouteError::Taken)
        );
        routes.insert(host.clone(), route(1)).unwrap();
        routes.remove(route(1).sandbox);
        routes.insert(host.clone(), route(2)).unwrap();
        let found = routes.of_host(&host).unwrap();
        assert_eq!(found.route.sandbox, route(2).sandbox);
        assert!(routes.of_sandbox(route(1).sandbox).is_none());
    }

    #[test]
    fn a_route_that_goes_ends_what_goes_over_it() {
        let routes = Routes::new(1);
        let first: HostName = "a.example.com".parse().unwrap();
        let second: HostName = "b.example.com".parse().unwrap();
        routes.insert(first.clone(), route(1)).unwrap();
        let laid = routes.of_host(&first).unwrap();
        routes.insert(second, route(1)).unwrap();
        assert!(laid.gone.is_cancelled());
        assert!(routes.of_host(&first).is_none());
    }
}
