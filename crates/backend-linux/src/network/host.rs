//! The host's side: the uplink, forwarding, and the host's own table of rules.
//!
//! The host forwards what sandboxes send and gives it a source address of its
//! own, and is otherwise closed to them: whatever an address of the host is, a
//! packet for it that came through the uplink is refused. Rules, addresses and
//! routes that the host had before are never touched.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::Duration;

use palisade_model::cidr::Cidr;
use palisade_model::policy::Door;

use super::config::Instance;
use super::forwarding::{Opened, Reach};
use super::layout::{
    self, FAR_HARDWARE, HOST_TABLE_PREFIX, HOST_UPLINK_PREFIX, Layout, NEAR_HARDWARE, UPLINK,
};
use super::namespace::{Lock, Namespace};
use super::nft::{self, NftError};
use super::sysctl::{self, SysctlError};
use super::{forwarding, members, ruleset};
use crate::netlink::interface::{self, End, Interface};
use crate::netlink::route::{self, Assigned, Route, RouteKind, Way};
use crate::netlink::{KernelError, Request, Socket, filter};
use crate::pause::pause;

/// What an uplink carries if the host has no way out to go by.
const MTU_DEFAULT: u32 = 1500;
const LOCK_ATTEMPTS: u32 = 1000;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why the host's side could not be set up or removed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The kernel refused something.
    #[error("the kernel refused a change to the host's network")]
    Kernel(#[from] KernelError),
    /// The rules of the host could not be loaded.
    #[error("the rules of the host could not be loaded")]
    Rules(#[from] NftError),
    /// A setting could not be changed.
    #[error("a setting of the host's network could not be changed")]
    Setting(#[from] SysctlError),
    /// The namespace of the host could not be entered.
    #[error("could not enter the host's network namespace")]
    Namespace(#[from] io::Error),
    /// Another runner does not finish.
    #[error("another runner on this host has been changing its network for a long time")]
    Locked,
    /// Something else has the name of the uplink.
    #[error(
        "the interface {name} belongs to something else; \
         give this runner another instance name, or remove it with: ip link del {name}"
    )]
    Foreign {
        /// The interface.
        name: String,
    },
}

/// The network namespace in which the runner was started.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) namespace: Namespace,
    pub(super) route: Socket,
    pub(super) filter: Socket,
    nft: PathBuf,
    /// The ports that lead to the router.
    pub(super) published: BTreeSet<Door>,
    /// Addresses beyond the router.
    pub(super) external: Vec<Cidr>,
}

/// What the host has that matters to sandboxes.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    pub(super) interfaces: Vec<Interface>,
    pub(super) addresses: Vec<Assigned>,
    pub(super) routes: Vec<Route>,
}

impl Host {
    /// The host is where the caller is.
    pub(super) fn of_caller(nft: PathBuf) -> Result<Self, HostError> {
        let namespace = Namespace::of_caller()?;
        let open = || Ok::<_, KernelError>((Socket::route()?, Socket::netfilter()?));
        let (route, filter) = namespace.visit(open)??;
        Ok(Self {
            namespace,
            route,
            filter,
            nft,
            published: BTreeSet::new(),
            external: Vec::new(),
        })
    }

    /// Keeps other runners from changing this host's network at the same time.
    ///
    /// They are at it for a fraction of a second, so that trying again beats
    /// giving up.
    pub(super) fn lock(&self) -> Result<Lock, HostError> {
        for _ in 0..LOCK_ATTEMPTS {
            if let Some(lock) = self.namespace.try_lock()? {
                return Ok(lock);
            }
            pause(LOCK_PAUSE);
        }
        Err(HostError::Locked)
    }

    pub(super) fn survey(&mut self) -> Result<Survey, HostError> {
        Ok(Survey {
            interfaces: interface::list(&mut self.route)?,
            addresses: route::assigned(&mut self.route)?,
            routes: route::list(&mut self.route)?,
        })
    }

    /// Makes or completes the connection to the router, which must have its
    /// rules already. Returns how far packets get.
    pub(super) fn connect(
        &mut self,
        layout: &Layout,
        router: &Namespace,
        router_route: &mut Socket,
    ) -> Result<Reach, HostError> {
        let survey = self.survey()?;
        let needed = Opened::needed(&survey);
        let has_v6 = layout.pool6.is_some();
        let plan = || forwarding::plan(needed, has_v6);
        let (reach, mut opened) = self.namespace.visit(plan)??;
        opened.merge(self.opened(&layout.host_table())?);
        // Closed first, connected second, forwarding last.
        let rules = ruleset::Host {
            layout,
            opened: &opened,
            published: &self.published,
            external: &self.external,
        };
        nft::load(&self.nft, &self.namespace, &rules.text())?;
        let uplink = self.uplink(layout, router, router_route, survey.mtu())?;
        self.route.execute(&near_end(layout, uplink))?;
        self.announce(layout, uplink)?;
        let name = layout.host_uplink();
        let switch = || forwarding::switch_on(&name, &opened, reach);
        self.namespace.visit(switch)??;
        Ok(reach)
    }

    /// Waits until the router hears the host, whose end of the uplink was up first.
    pub(super) fn await_uplink(&mut self, layout: &Layout) -> Result<(), HostError> {
        Ok(interface::await_passing(
            &mut self.route,
            &layout.host_uplink(),
        )?)
    }

    /// Whether the host's table is there; a flush of all rules removes it.
    pub(super) fn is_closed(&mut self, layout: &Layout) -> Result<bool, HostError> {
        Ok(filter::has_table(&mut self.filter, &layout.host_table())?)
    }

    /// Whether it leads to places by now that it does not forward to and from.
    pub(super) fn leads_elsewhere(&mut self, layout: &Layout) -> Result<bool, HostError> {
        let needed = Opened::needed(&self.survey()?);
        let has_v6 = layout.pool6.is_some();
        let plan = || forwarding::plan(needed, has_v6);
        let (_, missing) = self.namespace.visit(plan)??;
        Ok(missing != Opened::default())
    }

    /// Whether the kernel knows version 6.
    pub(super) fn knows_v6(&self) -> Result<bool, HostError> {
        let knows = || sysctl::exists(forwarding::ALL_V6);
        Ok(self.namespace.visit(knows)?)
    }

    /// The rules of others that drop everything they do not know.
    pub(super) fn obstacles(&mut self) -> Result<Vec<String>, HostError> {
        let chains = filter::base_chains(&mut self.filter)?;
        let obstacles = chains
            .into_iter()
            .filter(|chain| chain.hook == filter::HOOK_FORWARD)
            .filter(|chain| chain.policy == filter::POLICY_DROP);
        Ok(obstacles
            .map(|chain| format!("chain {} of table {}", chain.name, chain.table))
            .collect())
    }

    /// Removes everything that [`Host::connect`] made, and sets forwarding back
    /// unless another runner on this host still needs it.
    pub(super) fn disconnect(&mut self, instance: &Instance) -> Result<(), HostError> {
        self.unannounce(&layout::host_uplink(instance))?;
        match self
            .route
            .execute(&[interface::remove(&layout::host_uplink(instance))])
        {
            Err(error) if !error.is_absent() => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let table = layout::host_table(instance);
        let opened = self.opened(&table)?;
        let others = filter::tables(&mut self.filter)?;
        let heir = others
            .into_iter()
            .find(|other| other.starts_with(HOST_TABLE_PREFIX) && *other != table);
        let removal = ruleset::removal(&table);
        let text = if let Some(heir) = heir {
            removal + &ruleset::inheritance(&heir, &opened)
        } else {
            self.namespace.visit(|| forwarding::switch_off(&opened))??;
            removal
        };
        nft::load(&self.nft, &self.namespace, &text)?;
        Ok(())
    }

    /// The interfaces that an earlier run opened, as the table itself says.
    fn opened(&mut self, table: &str) -> Result<Opened, HostError> {
        let mut names = |set| match filter::counts(&mut self.filter, table, set) {
            Ok(found) => Ok(found
                .iter()
                .filter_map(|(key, _)| members::interface_of_key(key))
                .map(str::to_owned)
                .collect()),
            Err(error) if error.is_absent() => Ok(BTreeSet::new()),
            Err(error) => Err(error),
        };
        Ok(Opened {
            v4: names(ruleset::OPENED4)?,
            v6: names(ruleset::OPENED6)?,
        })
    }

    /// Finds or makes the cable to the router; returns the index of its end here.
    fn uplink(
        &mut self,
        layout: &Layout,
        router: &Namespace,
        router_route: &mut Socket,
        mtu: u32,
    ) -> Result<u32, HostError> {
        let name = layout.host_uplink();
        let here = interface::get(&mut self.route, &name)?;
        let there = interface::get(router_route, UPLINK)?;
        match (here, there) {
            (Some(here), Some(there)) if here.is_peer_of(&there) => return Ok(here.index),
            (Some(_), _) => return Err(HostError::Foreign { name }),
            // Its other end is in a host that is no more.
            (None, Some(_)) => router_route.execute(&[interface::remove(UPLINK)])?,
            (None, None) => {}
        }
        let near = End {
            name: &name,
            hardware: NEAR_HARDWARE,
        };
        let far = End {
            name: UPLINK,
            hardware: FAR_HARDWARE,
        };
        let cable = interface::cable(near, far, router.as_fd(), mtu);
        self.route.execute(&[cable])?;
        let made = interface::get(&mut self.route, &name)?;
        made.map(|made| made.index)
            .ok_or(HostError::Foreign { name })
    }
}

impl Survey {
    /// The largest packet that leaves the host in one piece.
    pub(super) fn mtu(&self) -> u32 {
        self.routes
            .iter()
            .filter(|route| route.kind == RouteKind::Unicast && route.destination.is_none())
            .flat_map(|route| &route.interfaces)
            .filter_map(|index| self.interface(*index)?.mtu)
            .min()
            .unwrap_or(MTU_DEFAULT)
    }

    pub(super) fn has_default_route(&self) -> bool {
        self.routes
            .iter()
            .any(|route| route.kind == RouteKind::Unicast && route.destination.is_none())
    }

    pub(super) fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces
            .iter()
            .find(|interface| interface.index == index)
    }

    /// The addresses of the host itself.
    pub(super) fn host_addresses(&self) -> Vec<Cidr> {
        let mut addresses = self
            .addresses
            .iter()
            .filter(|assigned| !self.is_uplink(assigned.interface))
            .map(|assigned| Cidr::host(assigned.address))
            .collect::<Vec<_>>();
        addresses.sort();
        addresses.dedup();
        addresses
    }

    /// A range that the host has a use for and that overlaps this one.
    pub(super) fn conflict(&self, range: Cidr, own_uplink: &str) -> Option<Cidr> {
        let is_own = |index: &u32| {
            self.interface(*index)
                .is_some_and(|interface| interface.name == own_uplink)
        };
        let routes = self
            .routes
            .iter()
            .filter(|route| !route.interfaces.iter().any(is_own))
            .filter_map(|route| route.destination);
        let addresses = self
            .addresses
            .iter()
            .filter(|assigned| !is_own(&assigned.interface))
            .map(|assigned| Cidr::host(assigned.address));
        routes
            .chain(addresses)
            .find(|used| used.covers(range) || range.covers(*used))
    }

    /// Whether this is the uplink of a runner on this host.
    fn is_uplink(&self, index: u32) -> bool {
        self.interface(index)
            .is_some_and(|interface| interface.name.starts_with(HOST_UPLINK_PREFIX))
    }
}

/// Addresses, neighbours and routes of the uplink, as the host sees it.
fn near_end(layout: &Layout, uplink: u32) -> Vec<Request> {
    let mut requests = vec![interface::without_own_addresses(uplink)];
    requests.extend(
        layout
            .host()
            .iter()
            .map(|address| route::assign(uplink, address)),
    );
    requests.push(interface::up(uplink));
    for (router, pool) in layout.router().iter().zip(layout.pools()) {
        requests.extend([
            route::neighbour(uplink, router, FAR_HARDWARE),
            route::add(Cidr::host(router), Way::Link(uplink)),
            route::add(pool, Way::Gateway(uplink, router)),
        ]);
    }
    requests
}
