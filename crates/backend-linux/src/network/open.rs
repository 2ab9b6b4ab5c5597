//! Opening the network: the same steps for a first start and for a restart.
//!
//! The rules come first, each sandbox's cable was there before or is yet to
//! come, and the uplink is connected last: at no time does anything pass that
//! the policy does not allow. When the router is new and a step fails, what the
//! steps before it made is removed; otherwise it stays, with its rules, for the
//! running sandboxes' sake.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use palisade_model::cidr::Cidr;
use palisade_model::id::SandboxId;
use palisade_model::policy::Door;
use tracing::{info, warn};

use super::addressing::{self, Choice, PoolConflict};
use super::bookings::{Bookings, published};
use super::config::{Config, Instance};
use super::departures::{Departures, Remover};
use super::external::{self, ExternalError};
use super::forwarding::Reach;
use super::host::{Host, HostError, Survey};
use super::layout::{self, Layout};
use super::namespace::{self, Lock, Namespace};
use super::pool::Pool;
use super::roll::{Record, Roll};
use super::router::{self, Found, RouterError};
use super::rules::{Bound, Place, Rules, RulesError};
use super::service::{Book, Booking, Front, Services};
use super::witness::Witness;
use super::{Attached, Flows, Known, Network, cable, lock};
use crate::dns::Directory;
use crate::netlink::{KernelError, Socket};

/// A network that is open, and who is connected to it from an earlier run.
#[derive(Debug)]
pub struct Opening {
    /// The network.
    pub network: Network,
    /// Those of the known sandboxes that are connected.
    pub adopted: BTreeMap<SandboxId, Attached>,
}

/// Why the network could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "another runner on this host uses the network {instance}; \
         stop it, or give this one another instance name"
    )]
    InUse {
        /// Its name.
        instance: Instance,
    },
    /// There are no addresses for sandboxes.
    #[error(transparent)]
    Pool(#[from] PoolConflict),
    /// The pools were changed while sandboxes are running.
    #[error(
        "{count} running sandboxes have addresses from {pools}, which is no longer configured; \
         remove the sandboxes first, or keep the pools"
    )]
    PoolChanged {
        /// How many there are.
        count: usize,
        /// The pools that they are from.
        pools: String,
    },
    /// An external address cannot be one of a sandbox.
    #[error(transparent)]
    External(#[from] ExternalError),
    /// The host's side failed.
    #[error("could not set up the host's side of the network")]
    Host(#[from] HostError),
    /// The router failed.
    #[error("could not set up the router")]
    Router(#[from] RouterError),
    /// The rules failed.
    #[error("could not put the network policy in force")]
    Rules(#[from] RulesError),
}

/// The router, held exclusively.
struct Held {
    namespace: Arc<Namespace>,
    lock: Lock,
    layout: Arc<Layout>,
    found: Found,
    is_new: bool,
}

/// The sandboxes of an earlier run.
struct Survivors {
    kept: Vec<Survivor>,
    /// The interfaces of all others, with the addresses behind them.
    orphans: BTreeMap<String, Vec<IpAddr>>,
}

/// One that is known and completely connected.
struct Survivor {
    known: Known,
    record: Record,
    booking: Option<Booking>,
}

impl Network {
    /// Makes the network, or finds it as an earlier run left it.
    ///
    /// Of the sandboxes that are connected, the `known` ones stay so, with
    /// nothing open in between that their policy closes; the others are
    /// disconnected. The host is where the calling thread is.
    pub fn open(config: &Config, known: &[Known]) -> Result<Opening, OpenError> {
        let mut host = Host::of_caller(config.nft.clone())?;
        let _exclusive = host.lock()?;
        let path = config.router_path();
        let held = hold(config, &mut host, &path)?;
        let is_new = held.is_new;
        let opening = build(config, known, host, held);
        if opening.is_err() && is_new {
            undo(config, &path);
        }
        opening
    }
}

/// Finds or makes the router, and keeps other runners from it.
fn hold(config: &Config, host: &mut Host, path: &Path) -> Result<Held, OpenError> {
    let has_v6 = host.knows_v6()?;
    let survey = host.survey()?;
    loop {
        let (namespace, is_new) = router::find_or_make(path).map_err(RouterError::from)?;
        let lock = namespace.try_lock().map_err(RouterError::from)?;
        let lock = lock.ok_or_else(|| OpenError::InUse {
            instance: config.instance.clone(),
        })?;
        let mut socket = enter(&namespace, Socket::route)?;
        let found = router::read(&mut socket)?;
        match addressing::choose(config, has_v6, &found.pools, &survey)? {
            Choice::Use(layout) => {
                return Ok(Held {
                    namespace: Arc::new(namespace),
                    lock,
                    layout: Arc::new(layout),
                    found,
                    is_new,
                });
            }
            Choice::GiveUp if !found.sandboxes.is_empty() => {
                let pools = found.pools.iter().map(Cidr::to_string);
                return Err(OpenError::PoolChanged {
                    count: found.sandboxes.len(),
                    pools: pools.collect::<Vec<_>>().join(" and "),
                });
            }
            // Nobody is in it. The next one has no pools to give up.
            Choice::GiveUp => {
                host.disconnect(&config.instance)?;
                namespace::release(path).map_err(RouterError::from)?;
            }
        }
    }
}

/// Puts everything in force, from the rules outwards.
fn build(
    config: &Config,
    known: &[Known],
    mut host: Host,
    held: Held,
) -> Result<Opening, OpenError> {
    let survey = host.survey()?;
    host.external = external::check(&config.services.pools, &held.layout, &survey)?;
    let mut rules = rules_of(config, &held)?;
    let survivors = Survivors::new(known, &held, &rules.front()?);
    external::check_given(&config.services.pools, survivors.bookings())?;
    host.published = survivors.published();
    let network = assemble(config, host, held, &survivors, (rules, &survey))?;
    network.start(&survey, &survivors)?;
    let adopted = survivors.kept.iter().map(|kept| {
        let attached = Attached {
            addresses: network.layout.addresses(kept.record.slot),
            interface: kept.record.interface.clone(),
        };
        (kept.known.id, attached)
    });
    let adopted = adopted.collect::<BTreeMap<_, _>>();
    info!(
        network.instance = %config.instance,
        sandboxes.adopted = adopted.len(),
        sandboxes.removed = survivors.orphans.len(),
        "network is open"
    );
    Ok(Opening { network, adopted })
}

/// The rules of the router, as an earlier run may have left them.
fn rules_of(config: &Config, held: &Held) -> Result<Rules, OpenError> {
    let place = Place {
        namespace: Arc::clone(&held.namespace),
        nft: config.nft.clone(),
        flows_max: config.flows_max,
        layout: Arc::clone(&held.layout),
    };
    let socket = enter(&held.namespace, Socket::netfilter)?;
    Ok(Rules::new(place, socket))
}

fn assemble(
    config: &Config,
    host: Host,
    held: Held,
    survivors: &Survivors,
    (rules, survey): (Rules, &Survey),
) -> Result<Network, OpenError> {
    let (router, layout) = (held.namespace, held.layout);
    let (filter, route) = (Socket::netfilter, Socket::route);
    // Any place does to begin with, if only it differs from run to run.
    let start = getrandom::u32().unwrap_or(0);
    let roll = Arc::new(survivors.roll(&layout, config.rest, start));
    let node = config.services.node_address;
    let bookings = Bookings::new(
        survivors.book(&config.services, config.rest, start),
        node.or_else(|| survey.node_address()),
        host.external.clone(),
    );
    let rules = Arc::new(Mutex::new(rules));
    let flows = Arc::new(Mutex::new(Flows {
        router: enter(&router, filter)?,
        host: enter(&host.namespace, filter)?,
    }));
    let remover = Remover {
        roll: Arc::clone(&roll),
        layout: Arc::clone(&layout),
        rules: Arc::clone(&rules),
        flows: Arc::clone(&flows),
        socket: enter(&router, route)?,
    };
    Ok(Network {
        path: config.router_path(),
        mtu: survey.mtu(),
        control: config.control.clone(),
        cluster: config.cluster.clone(),
        directory: Directory::default(),
        rules,
        laying: Mutex::new(enter(&router, route)?),
        flows,
        // The table may show packets before there is anybody to look at them.
        witness: Witness::begin(&router).map_err(RouterError::from)?,
        roll,
        bookings,
        _departures: Departures::begin(remover).map_err(RouterError::from)?,
        host: Mutex::new(host),
        is_closed: AtomicBool::new(false),
        layout,
        router,
        _lock: held.lock,
    })
}

impl Network {
    fn start(&self, survey: &Survey, survivors: &Survivors) -> Result<(), OpenError> {
        let surroundings = self.surroundings(survey.host_addresses());
        self.directory.surround(surroundings.clone());
        lock(&self.rules).load(surroundings, survivors.bound(&self.layout))?;
        let mut socket = lock(&self.laying);
        router::prepare(&self.router, &mut socket, &self.layout)?;
        let reach = lock(&self.host).connect(&self.layout, &self.router, &mut socket)?;
        if reach == Reach::NotBeyondHost {
            warn!("this host does not forward IPv6: sandboxes reach the outside by IPv4 only");
        }
        router::use_uplink(&mut socket, &self.layout)?;
        lock(&self.host).await_uplink(&self.layout)?;
        survivors.remove_orphans(&mut socket, &mut lock(&self.flows))?;
        for Survivor { known, record, .. } in &survivors.kept {
            let addresses = self.layout.addresses(record.slot);
            self.directory.insert(known.id, addresses, &known.standing);
            self.witness.watch(&record.interface);
        }
        Ok(())
    }
}

impl Survivors {
    fn new(known: &[Known], held: &Held, front: &Front) -> Self {
        let slots = held.found.slots(&held.layout);
        let mut orphans = held.found.sandboxes.clone();
        let mut kept = Vec::new();
        for known in known {
            let interface = layout::interface(known.id);
            let Some(slot) = slots.get(&interface).copied() else {
                continue;
            };
            let addresses = held.layout.addresses(slot);
            let booking = match &known.wish {
                None => None,
                Some(wish) => match front.booking(wish, addresses) {
                    // Without what leads to it, it would not be what was launched.
                    None => continue,
                    found => found,
                },
            };
            if orphans.remove(&interface).is_some() {
                kept.push(Survivor {
                    known: known.clone(),
                    record: Record { interface, slot },
                    booking,
                });
            }
        }
        Self { kept, orphans }
    }

    fn bookings(&self) -> impl Iterator<Item = &Booking> {
        self.kept.iter().filter_map(|kept| kept.booking.as_ref())
    }

    /// The ports of the host that lead to them.
    fn published(&self) -> BTreeSet<Door> {
        let kept = self.kept.iter();
        kept.flat_map(|kept| published(&kept.known.standing, kept.booking.as_ref()))
            .collect()
    }

    fn bound(&self, layout: &Layout) -> Vec<Bound> {
        let bound = |kept: &Survivor| Bound {
            interface: kept.record.interface.clone(),
            addresses: layout.addresses(kept.record.slot),
            standing: kept.known.standing.clone(),
            booking: kept.booking.clone(),
        };
        self.kept.iter().map(bound).collect()
    }

    /// Disconnects those whom nobody knows.
    fn remove_orphans(&self, socket: &mut Socket, flows: &mut Flows) -> Result<(), RouterError> {
        let interfaces = self.orphans.keys().map(String::as_str).collect::<Vec<_>>();
        cable::cut(socket, &interfaces)?;
        let addresses = self.orphans.values().flatten().copied();
        Ok(flows.forget_all(&addresses.collect())?)
    }

    fn roll(&self, layout: &Layout, rest: Duration, start: u32) -> Roll {
        let taken = self.kept.iter().map(|kept| kept.record.slot).collect();
        let kept = self.kept.iter();
        let attached = kept.map(|kept| (kept.known.id, kept.record.clone()));
        Roll::new(Pool::new(layout.capacity(), rest, taken, start), attached)
    }

    fn book(&self, services: &Services, rest: Duration, start: u32) -> Book {
        let kept = self.kept.iter();
        let entries = kept.filter_map(|kept| Some((kept.known.id, kept.booking.clone()?)));
        Book::new(services, rest, entries.collect(), start)
    }
}

/// Removes what a failed attempt made. The first error is the one to report.
fn undo(config: &Config, path: &Path) {
    let undone = Host::of_caller(config.nft.clone())
        .and_then(|mut host| host.disconnect(&config.instance))
        .and_then(|()| Ok(namespace::release(path)?));
    if let Err(error) = undone {
        warn!(
            error = &error as &dyn std::error::Error,
            "could not remove a network that was not completed"
        );
    }
}

/// Opens a socket inside a namespace.
fn enter(
    namespace: &Namespace,
    open: fn() -> Result<Socket, KernelError>,
) -> Result<Socket, RouterError> {
    Ok(namespace.visit(open)??)
}
