//! How much an established flow carries out of a sandbox, beside a plain cable.
//! Measures, and so is run by `scripts/bench.sh` only.
//!
//! One peer is in the host's namespace. As the host is closed to sandboxes, it is the
//! peer that connects, to an exposed port, and the sandbox that sends: through two cables
//! and the router's rules. The other one stands behind the host, where the sandbox connects
//! to it: through three cables and the host's translation of addresses. Beside that, the
//! same bytes go through one cable without any rule.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::thread;
use std::time::Duration;

use palisade_model::profile::Scope;
use tokio::time::Instant;

use super::super::layout::{FAR_HARDWARE, NEAR_HARDWARE};
use super::super::namespace::Namespace;
use super::services::{self, EXPOSED};
use super::world::{Sandbox, allowlist, run};
use crate::netlink::Socket;
use crate::netlink::interface::{self, End};

const PEER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 34);
const NEAR: &str = "203.0.113.33";
const PORT: u16 = 5001;
const TURNS: usize = 7;
const TURN: Duration = Duration::from_secs(1);
/// As large as frames of the uplink, so that both ways have the same.
const MTU: u32 = 1400;

/// Another machine behind a cable.
fn peer_of(near: &Namespace) -> Namespace {
    let far = Namespace::make().unwrap();
    let end = |hardware| End {
        name: "lan0",
        hardware,
    };
    let cable = interface::cable(end(NEAR_HARDWARE), end(FAR_HARDWARE), far.as_fd(), MTU);
    let lay = || Socket::route().unwrap().execute(&[cable]).unwrap();
    near.visit(lay).unwrap();
    for (namespace, address) in [(near, NEAR), (&far, &PEER.to_string())] {
        run(
            namespace,
            &format!("ip link set lo up; ip link set lan0 up; ip addr add {address}/30 dev lan0"),
        );
    }
    run(&far, &format!("ip route add default via {NEAR}"));
    far.visit(swallow).unwrap();
    far
}

/// Takes connections, and tells at the end of each how much came.
fn swallow() {
    let listener = TcpListener::bind((PEER, PORT)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            drain(stream.unwrap());
        }
    });
}

/// Reads to the end, and tells how much that was.
fn drain(mut stream: TcpStream) {
    let mut buffer = vec![0; 256 * 1024];
    let mut total = 0_u64;
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            len => total += len as u64,
        }
    }
    stream.write_all(&total.to_be_bytes()).unwrap();
}

/// Bytes a second from inside to the peer.
fn rate(inside: &Namespace) -> f64 {
    let connect = || TcpStream::connect(SocketAddr::from((PEER, PORT))).unwrap();
    rate_of(inside.visit(connect).unwrap())
}

/// Bytes a second from the exposed port of a sandbox to whoever connected from the host.
fn rate_to_host(host: &Namespace, listener: &TcpListener, exposed: SocketAddr) -> f64 {
    let connect = || TcpStream::connect(exposed).unwrap();
    let near = host.visit(connect).unwrap();
    let (far, _) = listener.accept().unwrap();
    let drained = thread::spawn(move || drain(near));
    let rate = rate_of(far);
    drained.join().unwrap();
    rate
}

fn rate_of(mut stream: TcpStream) -> f64 {
    let block = vec![7; 256 * 1024];
    let start = Instant::now();
    while start.elapsed() < TURN {
        stream.write_all(&block).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut total = [0; 8];
    stream.read_exact(&mut total).unwrap();
    #[expect(clippy::cast_precision_loss, reason = "it is shown with two digits")]
    let total = u64::from_be_bytes(total) as f64;
    total / start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
#[ignore = "it measures, which needs a quiet machine: scripts/bench.sh"]
fn an_established_flow_carries_nearly_as_much_as_a_plain_cable() {
    let world = services::world();
    let _peer = peer_of(&world.host);
    let network = world.open_with(&services::config(&world));
    let mode = allowlist(&[&format!("{PEER}/32")]);
    let (sandbox, _) = Sandbox::attached_to(mode, &network);
    let exposing = Sandbox {
        wish: Some(services::wish(services::pool("near"))),
        ..Sandbox::standing(services::standing("acme", "ada", 1, Some(Scope::Any)))
    };
    exposing.attach(&network).unwrap();
    let to = services::address(&network, &exposing);
    let listen = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, EXPOSED)).unwrap();
    let listener = exposing.namespace.visit(listen).unwrap();
    let plain = Namespace::make().unwrap();
    let _plain_peer = peer_of(&plain);
    // In turn, as whatever else the machine does falls on all of them.
    let (mut to_host, mut beyond, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        beside.push(rate(&plain));
        to_host.push(rate_to_host(&world.host, &listener, to));
        beyond.push(rate(&sandbox.namespace));
    }
    let mib = |rates: &[f64]| median(rates.to_vec()) / 1024.0 / 1024.0;
    println!(
        "through a plain cable: {:.0} MiB/s, median of {TURNS} turns",
        mib(&beside)
    );
    for (what, rates) in [
        ("a peer in the host's namespace", to_host),
        ("one beyond", beyond),
    ] {
        let ratios = rates.iter().zip(&beside).map(|(one, other)| one / other);
        let ratio = median(ratios.collect());
        println!(
            "an established flow out of a sandbox to {what}: {:.0} MiB/s, {ratio:.2} times",
            mib(&rates)
        );
    }
}
