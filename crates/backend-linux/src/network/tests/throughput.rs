//! How much an established flow carries out of a sandbox, beside a plain cable.
//! Measures, and so is run by `scripts/bench.sh` only.
//!
//! The peer stands behind the host, as the host itself is closed: packets go
//! through three cables, the router's rules and the host's translation of
//! addresses. Beside that, the same bytes go through one cable without any rule.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use super::super::layout::{FAR_HARDWARE, NEAR_HARDWARE};
use super::super::namespace::Namespace;
use super::world::{Sandbox, World, allowlist, run};
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
            let mut stream = stream.unwrap();
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
    });
}

/// Bytes a second from inside to the peer.
fn rate(inside: &Namespace) -> f64 {
    let connect = || TcpStream::connect(SocketAddr::from((PEER, PORT))).unwrap();
    let mut stream = inside.visit(connect).unwrap();
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
    let world = World::new();
    let _peer = peer_of(&world.host);
    let network = world.open();
    let mode = allowlist(&[&format!("{PEER}/32")]);
    let (sandbox, _) = Sandbox::attached_to(mode, &network);
    let plain = Namespace::make().unwrap();
    let _plain_peer = peer_of(&plain);
    // In turn, as whatever else the machine does falls on both.
    let (mut through, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        through.push(rate(&sandbox.namespace));
        beside.push(rate(&plain));
    }
    let ratios = through.iter().zip(&beside).map(|(one, other)| one / other);
    let ratio = median(ratios.collect());
    let mib = |rates| median(rates) / 1024.0 / 1024.0;
    println!(
        "an established flow out of a sandbox: {:.0} MiB/s; through a plain cable: {:.0} MiB/s \
         ({ratio:.2} times, median of {TURNS} turns)",
        mib(through),
        mib(beside),
    );
}
