//! Opening the network: the same steps for a first start and for a restart.
//!
//! The rules come first, each sandbox's cable was there before or is yet to
//! come, and the uplink is connected last: at no time does anything pass that
//! the policy does not allow. When the router is new and a step fails, what the
//! steps before it made is removed; otherwise it stays, with its rules, for the
//! running sandboxes' sake.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use palisade_model::cidr::Cidr;
use palisade_model::id::SandboxId;
use tracing::{info, warn};

use super::addressing::{self, Choice, PoolConflict};
use super::config::{Config, Instance};
use super::departures::{Departures, Remover};
use super::forwarding::Reach;
use super::host::{Host, HostError, Survey};
use super::layout::{self, Layout};
use super::namespace::{self, Lock, Namespace};
use super::pool::Pool;
use super::roll::{Record, Roll};
use super::router::{self, Found, RouterError};
use super::rules::{Bound, Place, Rules, RulesError};
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
    namespace: Namespace,
    lock: Lock,
    layout: Layout,
    found: Found,
    is_new: bool,
}

/// The sandboxes of an earlier run.
struct Survivors {
    /// Those that are known and completely connected.
    kept: Vec<(Known, Record)>,
    /// The interfaces of all others, with the addresses behind them.
    orphans: BTreeMap<String, Vec<IpAddr>>,
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
                    namespace,
                    lock,
                    layout,
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
    let survivors = Survivors::new(known, &held.found, &held.layout);
    let network = assemble(config, host, held, &survivors, survey.mtu())?;
    network.start(&survey, &survivors)?;
    let adopted = survivors.kept.iter().map(|(known, record)| {
        let attached = Attached {
            addresses: network.layout.addresses(record.slot),
            interface: record.interface.clone(),
        };
        (known.id, attached)
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

fn assemble(
    config: &Config,
    host: Host,
    held: Held,
    survivors: &Survivors,
    mtu: u32,
) -> Result<Network, OpenError> {
    let (router, layout) = (Arc::new(held.namespace), Arc::new(held.layout));
    let place = Place {
        namespace: Arc::clone(&router),
        nft: config.nft.clone(),
        flows_max: config.flows_max,
        layout: Arc::clone(&layout),
    };
    let (filter, route) = (Socket::netfilter, Socket::route);
    let roll = Arc::new(survivors.roll(&layout, config.rest));
    let rules = Arc::new(Mutex::new(Rules::new(place, enter(&router, filter)?)));
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
        mtu,
        control: config.control.clone(),
        cluster: config.cluster.clone(),
        directory: Directory::default(),
        rules,
        laying: Mutex::new(enter(&router, route)?),
        flows,
        // The table may show packets before there is anybody to look at them.
        witness: Witness::begin(&router).map_err(RouterError::from)?,
        roll,
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
        for (known, record) in &survivors.kept {
            let addresses = self.layout.addresses(record.slot);
            self.directory.insert(known.id, addresses, &known.standing);
            self.witness.watch(&record.interface);
        }
        Ok(())
    }
}

impl Survivors {
    fn new(known: &[Known], found: &Found, layout: &Layout) -> Self {
        let slots = found.slots(layout);
        let mut orphans = found.sandboxes.clone();
        let mut kept = Vec::new();
        for known in known {
            let interface = layout::interface(known.id);
            if let Some(slot) = slots.get(&interface)
                && orphans.remove(&interface).is_some()
            {
                let slot = *slot;
                kept.push((known.clone(), Record { interface, slot }));
            }
        }
        Self { kept, orphans }
    }

    fn bound(&self, layout: &Layout) -> Vec<Bound> {
        let bound = |(known, record): &(Known, Record)| Bound {
            interface: record.interface.clone(),
            addresses: layout.addresses(record.slot),
            standing: known.standing.clone(),
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

    fn roll(&self, layout: &Layout, rest: Duration) -> Roll {
        let taken = self.kept.iter().map(|(_, record)| record.slot).collect();
        let attached = self
            .kept
            .iter()
            .map(|(known, record)| (known.id, record.clone()));
        // Any place does to begin with, if only it differs from run to run.
        let start = getrandom::u32().unwrap_or(0);
        Roll::new(Pool::new(layout.capacity(), rest, taken, start), attached)
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
