//! The cable between one sandbox and the router.
//!
//! Laid in two steps, with the policy put in force between them: after the
//! first, both ends have their addresses, but the sandbox has no way out; the
//! second gives it one.

use std::io;
use std::os::fd::AsFd as _;

use palisade_model::cidr::Cidr;
use palisade_model::id::SandboxId;

use super::layout::{Addresses, FAR_HARDWARE, GATEWAY4, GATEWAY6, INSIDE, NEAR_HARDWARE};
use super::namespace::Namespace;
use super::sysctl::{self, SysctlError};
use crate::netlink::interface::{self, End, LOOPBACK_INDEX};
use crate::netlink::route::{self, Way};
use crate::netlink::{KernelError, Request, Socket};

/// The group of interfaces that are to be removed together. There are no others
/// in the router, which is a namespace of its own.
const CUT_GROUP: u32 = 1;

/// Why a sandbox could not be connected.
#[derive(Debug, thiserror::Error)]
pub enum CableError {
    /// The kernel refused something.
    #[error("the kernel refused a part of the connection")]
    Kernel(#[from] KernelError),
    /// A setting could not be changed.
    #[error("a network setting of the sandbox could not be changed")]
    Setting(#[from] SysctlError),
    /// The namespace of the sandbox could not be entered.
    #[error("could not enter the network namespace of the sandbox")]
    Namespace(#[from] io::Error),
}

/// Which cable to lay.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) id: SandboxId,
    /// The name of the router's end.
    pub(super) interface: &'a str,
    pub(super) addresses: Addresses,
    pub(super) mtu: u32,
}

/// A cable whose sandbox has no way out yet.
#[derive(Debug)]
pub(super) struct Laid {
    inside: Socket,
    index: u32,
}

/// Lays the cable from the router, to which `router` belongs, to a sandbox.
pub(super) fn lay(
    router: &mut Socket,
    sandbox: &Namespace,
    plan: &Plan<'_>,
) -> Result<Laid, CableError> {
    let near = End {
        name: plan.interface,
        hardware: NEAR_HARDWARE,
    };
    let far = End {
        name: INSIDE,
        hardware: FAR_HARDWARE,
    };
    let cable = interface::cable(near, far, sandbox.as_fd(), plan.mtu);
    router.execute(&[cable])?;
    let near = index(router, plan.interface)?;
    router.execute(&near_end(near, plan))?;
    let mut inside = sandbox.visit(|| {
        settle()?;
        Ok::<_, CableError>(Socket::route()?)
    })??;
    let far = index(&mut inside, INSIDE)?;
    inside.execute(&far_end(far, plan))?;
    interface::await_passing(router, plan.interface)?;
    Ok(Laid { inside, index: far })
}

impl Laid {
    /// Gives the sandbox its way out.
    pub(super) fn open(mut self, addresses: Addresses) -> Result<(), CableError> {
        let defaults = addresses
            .gateways()
            .map(|gateway| route::add_default(self.index, gateway))
            .collect::<Vec<_>>();
        self.inside.execute(&defaults)?;
        Ok(())
    }
}

/// Cuts cables, all at a time. Succeeds for those that are not there, as when
/// their sandbox has ended.
pub(super) fn cut(router: &mut Socket, interfaces: &[&str]) -> Result<(), KernelError> {
    let cuts = match interfaces {
        [] => return Ok(()),
        [one] => vec![interface::remove(one)],
        several => several
            .iter()
            .map(|name| interface::put_in_group(name, CUT_GROUP))
            .chain([interface::remove_group(CUT_GROUP)])
            .collect(),
    };
    for cut in cuts {
        match router.execute(&[cut]) {
            Err(error) if error.is_absent() => {}
            other => other?,
        }
    }
    Ok(())
}

fn near_end(index: u32, plan: &Plan<'_>) -> Vec<Request> {
    let mut requests = vec![
        interface::alias(index, &plan.id.to_string()),
        interface::up(index),
    ];
    for address in plan.addresses.iter() {
        requests.extend([
            route::neighbour(index, address, FAR_HARDWARE),
            route::add(Cidr::host(address), Way::Link(index)),
        ]);
    }
    requests
}

fn far_end(index: u32, plan: &Plan<'_>) -> Vec<Request> {
    let mut requests = vec![
        interface::up(LOOPBACK_INDEX),
        interface::without_own_addresses(index),
    ];
    for address in plan.addresses.iter() {
        requests.push(route::assign(index, address));
    }
    requests.push(interface::up(index));
    for gateway in plan.addresses.gateways() {
        requests.push(route::neighbour(index, gateway, NEAR_HARDWARE));
    }
    requests
}

impl Addresses {
    /// The router, in each version that there is.
    fn gateways(self) -> impl Iterator<Item = std::net::IpAddr> {
        std::iter::once(GATEWAY4.into()).chain(self.v6.map(|_| GATEWAY6.into()))
    }
}

fn index(socket: &mut Socket, name: &str) -> Result<u32, KernelError> {
    let found = interface::get(socket, name)?;
    found
        .map(|interface| interface.index)
        .ok_or(KernelError::absent("find an interface just made"))
}

/// The settings of a sandbox. Runs inside its namespace.
///
/// The namespace belongs to the host, so that nothing inside has a privilege
/// over it: what is allowed to everybody inside has to be said here.
fn settle() -> Result<(), SysctlError> {
    sysctl::set("ipv4/ip_unprivileged_port_start", "0")?;
    sysctl::set("ipv4/ping_group_range", "0 2147483647")
}
