//! The network of the sandboxes on this host, and the policy that holds them.
//!
//! Each sandbox has a network namespace of its own and one cable to the router,
//! a namespace that belongs to the runner; the module `layout` has the picture. The
//! router decides what passes; the host forwards it and is itself closed.
//!
//! The policy of a sandbox is in force before it has a way out, and goes after
//! the way out has gone. Everything lives in the kernel: when the runner dies,
//! running sandboxes keep their network and their policy, and the next
//! [`Network::open`] finds them. Calls block, a few milliseconds at most, and
//! belong on threads that may.

mod addressing;
mod announcing;
mod bookings;
mod cable;
mod checks;
mod config;
mod departures;
mod entry;
mod error;
mod external;
mod forwarding;
mod host;
mod layout;
mod members;
pub(crate) mod namespace;
mod nft;
mod numbers;
mod open;
mod openings;
mod pool;
mod roll;
mod router;
mod rules;
mod ruleset;
mod service;
mod sockets;
mod sysctl;
#[cfg(test)]
mod tests;
mod upkeep;
mod witness;

use std::collections::HashSet;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use palisade_model::cidr::Cidr;
use palisade_model::id::SandboxId;
use palisade_model::policy::{Standing, Surroundings};

pub use addressing::PoolConflict;
pub use cable::CableError;
pub use checks::{Finding, Severity, examine};
pub use config::{Config, Instance, InstanceError, Pool4, Pool6, PoolChoice, PoolError};
pub use error::{AttachError, Busy, ChangeError, CloseError, DetachError};
pub use external::ExternalError;
pub use host::HostError;
pub use layout::Addresses;
pub use nft::NftError;
pub use open::{OpenError, Opening};
pub use pool::PoolExhausted;
pub use router::RouterError;
pub use rules::RulesError;
pub use service::{
    BookError, ExternalPool, ExternalPools, ExternalPoolsError, Kind, NodePorts, NodePortsError,
    PoolName, PoolNameError, Services, Wish,
};
pub use sysctl::SysctlError;
pub use upkeep::upkeep;

pub(crate) use sockets::{Listening, Outward};

pub use crate::netlink::KernelError;

pub(crate) use config::hex;

use crate::dns::Directory;
use crate::netlink::Socket;
use crate::netlink::conntrack::{self, Opened};
use bookings::Bookings;
use departures::Departures;
use host::Host;
use layout::Layout;
use namespace::{Lock, Namespace};
use roll::{Record, Roll};
use rules::{Bound, Rules};
pub(crate) use witness::Refused;
use witness::Witness;

/// A sandbox that may still be connected from an earlier run.
#[derive(Clone, Debug)]
pub struct Known {
    /// The sandbox.
    pub id: SandboxId,
    /// Where it stands, as it was launched.
    pub standing: Standing,
    /// What is to lead to it, as it was launched.
    pub wish: Option<Wish>,
}

/// A sandbox that is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Its addresses.
    pub addresses: Addresses,
    /// The interface of the router that leads to it.
    pub interface: String,
}

/// The network of one runner.
///
/// Dropping it changes nothing: sandboxes stay connected, and their policy in
/// force. [`Network::close`] removes everything.
#[derive(Debug)]
pub struct Network {
    layout: Arc<Layout>,
    /// Where the router's namespace is kept.
    path: PathBuf,
    mtu: u32,
    control: Vec<Cidr>,
    cluster: Vec<Cidr>,
    directory: Directory,
    router: Arc<Namespace>,
    host: Mutex<Host>,
    rules: Arc<Mutex<Rules>>,
    /// For laying cables.
    laying: Mutex<Socket>,
    flows: Arc<Mutex<Flows>>,
    witness: Witness,
    roll: Arc<Roll>,
    bookings: Bookings,
    /// Takes away what is left of those that were disconnected.
    _departures: Departures,
    /// Changed only while the host is held.
    is_closed: AtomicBool,
    /// Nobody else has opened this network as long as this is held.
    _lock: Lock,
}

/// The connection tracking of the two namespaces that flows pass.
#[derive(Debug)]
struct Flows {
    router: Socket,
    host: Socket,
}

impl Network {
    /// Connects a sandbox: when this returns, its policy is in force and it has
    /// a way out, in this order. On an error nothing of it is left.
    ///
    /// `namespace` is the network namespace of the sandbox, which must be new
    /// and belong to the host's user namespace.
    pub fn attach(
        &self,
        id: SandboxId,
        standing: &Standing,
        namespace: BorrowedFd<'_>,
    ) -> Result<Attached, AttachError> {
        let record = self.roll.reserve(id)?;
        let addresses = self.layout.addresses(record.slot);
        let connected = self.connect(id, &record, standing, namespace);
        if let Err(error) = connected {
            // What cannot be closed now is closed by the next detach.
            match self.disconnect(id, &record) {
                Ok(()) => self.dismiss(id, record),
                Err(_) => self.roll.settle(id, record),
            }
            return Err(error);
        }
        let attached = Attached {
            addresses,
            interface: record.interface.clone(),
        };
        self.roll.settle(id, record);
        Ok(attached)
    }

    /// Puts another policy in force for a sandbox that runs, and ends the
    /// connections that it or others opened under the old one.
    pub fn change(&self, id: SandboxId, standing: &Standing) -> Result<(), ChangeError> {
        let record = self.roll.claim(id)?.ok_or(ChangeError::NotAttached)?;
        let changed = self.replace(id, &record, standing);
        self.roll.settle(id, record);
        changed
    }

    /// Disconnects a sandbox: when this returns, nothing is open to it or for it.
    /// What is left of it goes within a moment, and its place with that. Succeeds
    /// if it is not connected.
    pub fn detach(&self, id: SandboxId) -> Result<(), DetachError> {
        let Some(record) = self.roll.claim(id)? else {
            self.bookings.release(id);
            return Ok(());
        };
        match self.disconnect(id, &record) {
            Ok(()) => {
                self.dismiss(id, record);
                Ok(())
            }
            Err(error) => {
                self.roll.settle(id, record);
                Err(error)
            }
        }
    }

    /// Waits until nothing is left of those that were disconnected. Returns
    /// whether that came to be in reasonable time.
    pub fn await_departures(&self) -> bool {
        self.roll.await_departures()
    }

    /// How many packets of a sandbox were refused; zero if it is not connected.
    pub fn denials(&self, id: SandboxId) -> Result<u64, KernelError> {
        lock(&self.rules).denied(&layout::interface(id))
    }

    /// How many packets from outside for a sandbox were refused; zero if it is not connected.
    pub fn turned_away(&self, id: SandboxId) -> Result<u64, KernelError> {
        lock(&self.rules).turned_away(&layout::interface(id))
    }

    /// The last flows of a sandbox that were refused, the oldest first.
    pub(crate) fn refused(&self, id: SandboxId) -> Vec<Refused> {
        self.witness.seen(&layout::interface(id))
    }

    /// How many questions of a sandbox the resolver refused, or answered without
    /// something; zero if it is not connected.
    pub fn questions_refused(&self, id: SandboxId) -> u64 {
        self.directory.refused(id)
    }

    /// Repairs what others may have changed on the host since, such as rules
    /// that were flushed, and addresses and ways out that came or went. To be called from
    /// time to time, as [`upkeep()`] does. Returns whether anything had to be done.
    pub fn refresh(&self) -> Result<bool, OpenError> {
        let mut host = lock(&self.host);
        if self.is_closed.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let mut is_repaired = false;
        let is_as_it_was = host.is_closed(&self.layout)?
            && !host.leads_elsewhere(&self.layout)?
            && host.is_announced()?;
        if !is_as_it_was {
            let mut socket = lock(&self.laying);
            host.connect(&self.layout, &self.router, &mut socket)?;
            is_repaired = true;
        }
        let surroundings = self.surroundings(host.survey()?.host_addresses());
        self.directory.surround(surroundings.clone());
        Ok(lock(&self.rules).refresh(surroundings)? || is_repaired)
    }

    /// Where the resolver is to listen, inside the router.
    pub fn resolver(&self) -> Addresses {
        self.layout.resolver()
    }

    /// The addresses of a sandbox that is connected.
    pub(crate) fn addresses(&self, id: SandboxId) -> Option<Addresses> {
        let record = self.roll.attached(id)?;
        Some(self.layout.addresses(record.slot))
    }

    /// Who may ask the resolver what.
    pub fn directory(&self) -> Directory {
        self.directory.clone()
    }

    /// Removes everything: sandboxes lose their network, and nothing is left on
    /// the host. The network cannot be used any more.
    pub fn close(&self) -> Result<(), CloseError> {
        let mut socket = lock(&self.laying);
        let found = router::read(&mut socket)?.sandboxes;
        let interfaces = found.keys().map(String::as_str).collect::<Vec<_>>();
        cable::cut(&mut socket, &interfaces).map_err(RouterError::from)?;
        drop(socket);
        let mut host = lock(&self.host);
        self.is_closed.store(true, Ordering::Relaxed);
        let _exclusive = host.lock()?;
        host.disconnect(&self.layout.instance)?;
        namespace::release(&self.path).map_err(CloseError::Release)
    }

    fn connect(
        &self,
        id: SandboxId,
        record: &Record,
        standing: &Standing,
        namespace: BorrowedFd<'_>,
    ) -> Result<(), AttachError> {
        let addresses = self.layout.addresses(record.slot);
        let inside = Namespace::of(namespace).map_err(CableError::from)?;
        let plan = cable::Plan {
            id,
            interface: &record.interface,
            addresses,
            mtu: self.mtu,
        };
        self.witness.watch(&record.interface);
        let laid = cable::lay(&mut lock(&self.laying), &inside, &plan)?;
        lock(&self.rules).admit(Bound {
            interface: record.interface.clone(),
            addresses,
            standing: standing.clone(),
            booking: self.bookings.of(id),
        })?;
        self.directory.insert(id, addresses, standing);
        laid.open(addresses)?;
        self.publish(id, standing)
    }

    /// Closes everything that [`Self::connect`] opened, or as much of it as was.
    fn disconnect(&self, id: SandboxId, record: &Record) -> Result<(), DetachError> {
        self.withdraw(id)?;
        self.directory.remove(self.layout.addresses(record.slot));
        lock(&self.rules).expel(&record.interface)?;
        self.witness.forget(&record.interface);
        Ok(())
    }

    /// Has the rest of a sandbox removed, and others get what led to it.
    fn dismiss(&self, id: SandboxId, record: Record) {
        self.bookings.release(id);
        self.roll.dismiss(id, record);
    }

    fn replace(
        &self,
        id: SandboxId,
        record: &Record,
        standing: &Standing,
    ) -> Result<(), ChangeError> {
        let addresses = self.layout.addresses(record.slot);
        // What either policy refuses is refused in between.
        self.directory.remove(addresses);
        let was_exposed = {
            let mut rules = lock(&self.rules);
            let was_exposed = rules.is_exposed(&record.interface);
            rules.change(&record.interface, standing.clone())?;
            was_exposed
        };
        self.directory.insert(id, addresses, standing);
        Ok(lock(&self.flows).forget(addresses.iter(), was_exposed)?)
    }

    fn surroundings(&self, host: Vec<Cidr>) -> Surroundings {
        Surroundings {
            host,
            sandboxes: self
                .layout
                .pools()
                .chain(self.bookings.external().iter().copied())
                .collect(),
            control: self.control.clone(),
            cluster: self.cluster.clone(),
        }
    }
}

impl Flows {
    /// Ends the flows that a sandbox opened, and those that others opened to it
    /// if they could.
    fn forget(
        &mut self,
        addresses: impl Iterator<Item = IpAddr>,
        is_exposed: bool,
    ) -> Result<(), KernelError> {
        for address in addresses {
            conntrack::forget(&mut self.router, Opened::By(address))?;
            conntrack::forget(&mut self.host, Opened::By(address))?;
            if is_exposed {
                conntrack::forget(&mut self.router, Opened::To(address))?;
            }
        }
        Ok(())
    }

    /// Ends all flows at whose ends these addresses are. Whoever gets one of them
    /// next hears nothing of them.
    fn forget_all(&mut self, addresses: &HashSet<IpAddr>) -> Result<(), KernelError> {
        conntrack::forget_all(&mut self.router, addresses)?;
        conntrack::forget_all(&mut self.host, addresses)
    }
}

/// A panic elsewhere does not make the kernel's state any less true.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
