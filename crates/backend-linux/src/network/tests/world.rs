//! A host with an internet behind it, both of them namespaces.
//!
//! Whatever address and port the internet is asked for, it answers: so if a
//! probe gets no answer, that is the policy's doing and not a missing route.

use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use palisade_model::id::{ProfileId, SandboxId};
use palisade_model::policy::Standing;
use palisade_model::profile::EgressMode;
use palisade_model::sandbox::Owner;
use uuid::Uuid;

use super::super::layout::{FAR_HARDWARE, NEAR_HARDWARE};
use super::super::namespace::{self, Namespace};
use super::super::{
    AttachError, Attached, ChangeError, Config, Known, Network, OpenError, Opening, Wish,
};
use crate::netlink::Socket;
use crate::netlink::interface::{self, End};

/// Where the internet's answering services really listen.
const ANSWERING_PORT: u16 = 7;
/// The addresses of the host: one private, one public, and two of version 6.
pub(super) const HOST_ADDRESSES: [&str; 4] = [
    "192.168.77.2",
    "93.184.216.2",
    "2606:2800:220:2::2",
    "fd99::2",
];

const OUTSIDE4: &str = "192.168.77.1";
const OUTSIDE6: &str = "fd99::1";

pub(super) struct World {
    pub(super) host: Namespace,
    pub(super) outside: Namespace,
    directory: tempfile::TempDir,
    instance: String,
}

/// A sandbox that consists of its network namespace.
pub(super) struct Sandbox {
    pub(super) id: SandboxId,
    pub(super) standing: Standing,
    /// What is to lead to it, booked when it is attached.
    pub(super) wish: Option<Wish>,
    pub(super) namespace: Namespace,
}

impl World {
    pub(super) fn new() -> Self {
        let (host, outside) = (Namespace::make().unwrap(), Namespace::make().unwrap());
        let world = Self {
            host,
            outside,
            directory: tempfile::tempdir().unwrap(),
            instance: "test".to_owned(),
        };
        world.connect("wan0");
        world.assign();
        world.answer();
        world
    }

    /// Lays a cable between the host and the internet.
    pub(super) fn connect(&self, name: &str) {
        let end = |hardware| End { name, hardware };
        let cable = interface::cable(
            end(NEAR_HARDWARE),
            end(FAR_HARDWARE),
            self.outside.as_fd(),
            1400,
        );
        let lay = || Socket::route().unwrap().execute(&[cable]).unwrap();
        self.host.visit(lay).unwrap();
    }

    /// Gives the first cable its addresses.
    fn assign(&self) {
        for namespace in [&self.host, &self.outside] {
            run(
                namespace,
                "sysctl -qw net.ipv6.conf.wan0.accept_dad=0; ip link set lo up; ip link set wan0 up",
            );
        }
        self.forward_v6();
        for address in HOST_ADDRESSES {
            run(&self.host, &format!("ip addr add {address} dev wan0"));
            run(&self.outside, &format!("ip route add {address} dev wan0"));
        }
        for address in [OUTSIDE4, OUTSIDE6] {
            run(&self.outside, &format!("ip addr add {address} dev wan0"));
            run(
                &self.host,
                &format!("ip route add {address} dev wan0; ip route add default via {address}"),
            );
        }
    }

    /// Older kernels forward version 6 everywhere or nowhere, which is left to
    /// the operator: here it is done.
    fn forward_v6(&self) {
        run(
            &self.host,
            "test -e /proc/sys/net/ipv6/conf/all/force_forwarding ||
            sysctl -qw net.ipv6.conf.all.forwarding=1",
        );
    }

    /// Makes everybody answer to every address and port.
    fn answer(&self) {
        let rules = "table inet world {
            chain prerouting {
                type nat hook prerouting priority dstnat;
                iifname \"wan*\" meta l4proto { tcp, udp } redirect to :7
                iifname \"wan*\" redirect
            }
        }";
        run(&self.outside, &format!("nft '{rules}'"));
        self.outside.visit(serve).unwrap();
        self.host.visit(serve).unwrap();
    }

    pub(super) fn config(&self) -> Config {
        let instance = self.instance.parse().unwrap();
        Config {
            rest: Duration::ZERO,
            ..Config::new(instance, self.directory.path().to_owned())
        }
    }

    pub(super) fn router_path(&self) -> PathBuf {
        self.config().router_path()
    }

    pub(super) fn open(&self) -> Network {
        self.open_knowing(&[]).network
    }

    pub(super) fn open_with(&self, config: &Config) -> Network {
        self.try_open(config, &[]).unwrap().network
    }

    pub(super) fn open_knowing(&self, sandboxes: &[&Sandbox]) -> Opening {
        self.try_open(&self.config(), sandboxes).unwrap()
    }

    pub(super) fn try_open(
        &self,
        config: &Config,
        sandboxes: &[&Sandbox],
    ) -> Result<Opening, OpenError> {
        let known = sandboxes.iter().map(|sandbox| Known {
            id: sandbox.id,
            standing: sandbox.standing.clone(),
            wish: sandbox.wish.clone(),
        });
        let known = known.collect::<Vec<_>>();
        self.host.visit(|| Network::open(config, &known)).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Only there if the test failed or left it on purpose.
        let _ = namespace::release(&self.router_path());
    }
}

impl Sandbox {
    /// One that has nothing in common with any other.
    pub(super) fn new(egress: EgressMode) -> Self {
        Self::standing(alone(egress))
    }

    pub(super) fn standing(standing: Standing) -> Self {
        Self {
            id: SandboxId::new(Uuid::from_u128(random())),
            standing,
            wish: None,
            namespace: Namespace::make().unwrap(),
        }
    }

    pub(super) fn attached_to(egress: EgressMode, network: &Network) -> (Self, Attached) {
        Self::attached_as(alone(egress), network)
    }

    pub(super) fn attached_as(standing: Standing, network: &Network) -> (Self, Attached) {
        let sandbox = Self::standing(standing);
        let attached = sandbox.attach(network).unwrap();
        (sandbox, attached)
    }

    pub(super) fn attach(&self, network: &Network) -> Result<Attached, AttachError> {
        if let Some(wish) = &self.wish {
            network.book(self.id, wish).unwrap();
        }
        network.attach(self.id, &self.standing, self.namespace.as_fd())
    }

    /// Puts another egress mode in force.
    pub(super) fn change(&self, network: &Network, egress: EgressMode) -> Result<(), ChangeError> {
        let standing = Standing {
            egress,
            ..self.standing.clone()
        };
        network.change(self.id, &standing)
    }
}

/// The standing of a sandbox of an organization of its own.
pub(in crate::network) fn alone(egress: EgressMode) -> Standing {
    Standing {
        owner: Owner {
            organization: format!("org-{:x}", random() >> 64).parse().unwrap(),
            user: "ada".parse().unwrap(),
        },
        profile: ProfileId::new(Uuid::from_u128(1)),
        egress,
        exposed: None,
    }
}

pub(super) fn allowlist(ranges: &[&str]) -> EgressMode {
    EgressMode::Allowlist(ranges.iter().map(|range| range.parse().unwrap()).collect())
}

/// Runs shell commands inside a namespace and returns what they print.
pub(super) fn run(inside: &Namespace, script: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-e", "-c", script]).stderr(Stdio::inherit());
    let output = inside.visit(|| command.output()).unwrap().unwrap();
    assert!(output.status.success(), "{script}");
    String::from_utf8(output.stdout).unwrap()
}

/// Echoes what comes to this namespace, until the process ends.
pub(super) fn serve() {
    serve_at(ANSWERING_PORT);
}

/// Likewise, what comes to this port.
pub(super) fn serve_at(port: u16) {
    serve_on((Ipv6Addr::UNSPECIFIED, port).into());
}

/// Likewise, what comes to this port of this address.
pub(super) fn serve_on(address: SocketAddr) {
    let streams = TcpListener::bind(address).unwrap();
    let datagrams = UdpSocket::bind(address).unwrap();
    thread::spawn(move || {
        for stream in streams.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((len, from)) = datagrams.recv_from(&mut buffer) {
            let _ = datagrams.send_to(&buffer[..len], from);
        }
    });
}

fn random() -> u128 {
    let low = u128::from(getrandom::u64().unwrap());
    (u128::from(getrandom::u64().unwrap()) << 64) | low
}
