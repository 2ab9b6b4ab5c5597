//! Policies that change, begin and end while packets are under way.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use palisade_model::profile::EgressMode;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::namespace::Namespace;
use super::super::{ChangeError, Network, upkeep};
use super::probe::{Outcome, Protocol, probe};
use super::world::{Sandbox, World, allowlist, run};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(140, 82, 112, 10);
const SHORT: Duration = Duration::from_millis(300);

/// An open connection of a sandbox.
struct Talk {
    stream: TcpStream,
    datagrams: UdpSocket,
}

impl Talk {
    fn open(inside: &Namespace) -> Self {
        let to = SocketAddr::new(OUTSIDE.into(), 7);
        let talk = inside.visit(|| {
            let datagrams = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            datagrams.connect(to).unwrap();
            let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5)).unwrap();
            Self { stream, datagrams }
        });
        let mut talk = talk.unwrap();
        talk.wait(Duration::from_secs(5));
        assert_eq!(talk.go_on(), (true, true));
        talk.wait(SHORT);
        talk
    }

    fn wait(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).unwrap();
        self.datagrams.set_read_timeout(Some(limit)).unwrap();
    }

    /// Whether the connection and the datagrams still get their echo.
    fn go_on(&mut self) -> (bool, bool) {
        let mut echo = [0; 2];
        let streams = self
            .stream
            .write_all(b"hi")
            .and_then(|()| self.stream.read_exact(&mut echo));
        let datagrams = self
            .datagrams
            .send(b"hi")
            .and_then(|_| self.datagrams.recv(&mut echo));
        (streams.is_ok(), datagrams.is_ok())
    }
}

#[test]
fn a_narrower_policy_ends_what_was_open() {
    let world = World::new();
    let network = world.open();
    for narrower in [EgressMode::None, allowlist(&["140.82.112.11/32"])] {
        let (sandbox, _) = Sandbox::attached_to(EgressMode::Internet, &network);
        let mut talk = Talk::open(&sandbox.namespace);
        sandbox.change(&network, narrower.clone()).unwrap();
        assert_eq!(talk.go_on(), (false, false), "{narrower:?}");
        let seen = probe(&sandbox.namespace, Protocol::Udp, OUTSIDE.into());
        assert_eq!(seen, Outcome::Refused);
    }
}

#[test]
fn a_wider_policy_opens_at_once_and_only_for_that_sandbox() {
    let world = World::new();
    let network = world.open();
    let (one, _) = Sandbox::attached_to(EgressMode::None, &network);
    let (other, _) = Sandbox::attached_to(EgressMode::None, &network);
    one.change(&network, allowlist(&["140.82.112.0/24"]))
        .unwrap();
    assert_eq!(
        probe(&one.namespace, Protocol::Tcp, OUTSIDE.into()),
        Outcome::Answered
    );
    assert_eq!(
        probe(&other.namespace, Protocol::Tcp, OUTSIDE.into()),
        Outcome::Refused
    );
}

#[test]
fn a_policy_that_cannot_be_enforced_leaves_the_old_one_in_force() {
    let world = World::new();
    let network = world.open();
    let (sandbox, _) = Sandbox::attached_to(allowlist(&["140.82.112.10/32"]), &network);
    let mut talk = Talk::open(&sandbox.namespace);
    let ranges = (0..=255).flat_map(|b| (0..8).map(move |c| format!("150.{b}.{}.0/24", c * 2)));
    let ranges = ranges.collect::<Vec<_>>();
    let huge = allowlist(&ranges.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(matches!(
        sandbox.change(&network, huge),
        Err(ChangeError::Rules(_))
    ));
    talk.wait(Duration::from_secs(5));
    assert_eq!(talk.go_on(), (true, true));
    let stranger = Sandbox::new(EgressMode::None);
    let changed = stranger.change(&network, EgressMode::Internet);
    assert!(matches!(changed, Err(ChangeError::NotAttached)));
}

/// Says so when it goes, even if what is between fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends datagrams from inside to a forbidden address as fast as it can while
/// something is done, and returns how many got through, and how many were sent.
fn leaked_during(inside: &Namespace, act: impl FnOnce()) -> (usize, usize) {
    let socket = inside.visit(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
    let leak = Leak {
        socket: socket.unwrap(),
        is_done: AtomicBool::new(false),
        answered: AtomicUsize::new(0),
        sent: AtomicUsize::new(0),
    };
    leak.socket.set_nonblocking(true).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| leak.try_on());
        let _done = Done(&leak.is_done);
        act();
        leak.await_more();
    });
    (leak.answered.into_inner(), leak.sent.into_inner())
}

struct Leak {
    socket: UdpSocket,
    is_done: AtomicBool,
    answered: AtomicUsize,
    sent: AtomicUsize,
}

impl Leak {
    fn try_on(&self) {
        let count = |counter: &AtomicUsize, is_so: bool| {
            counter.fetch_add(usize::from(is_so), Ordering::Relaxed);
        };
        while !self.is_done.load(Ordering::Relaxed) {
            // Without a way out this is an error, as it should be.
            count(
                &self.sent,
                self.socket.send_to(b"leak", (OUTSIDE, 7)).is_ok(),
            );
            count(&self.answered, self.socket.recv(&mut [0; 16]).is_ok());
            thread::yield_now();
        }
    }

    /// Some more after the fact, and time for a late answer.
    fn await_more(&self) {
        let start = Instant::now();
        let before = self.sent.load(Ordering::Relaxed);
        while start.elapsed() < SHORT || self.sent.load(Ordering::Relaxed) < before + 20 {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "it must go on trying"
            );
            thread::yield_now();
        }
    }
}

#[test]
fn nothing_gets_out_while_a_sandbox_is_being_connected() {
    let world = World::new();
    let network = world.open();
    for _ in 0..5 {
        let closed = Sandbox::new(EgressMode::None);
        let attach = |sandbox: &Sandbox| {
            sandbox.attach(&network).unwrap();
        };
        let (leaked, sent) = leaked_during(&closed.namespace, || attach(&closed));
        assert_eq!(leaked, 0);
        assert!(sent > 0, "it must have tried");
    }
    let open = Sandbox::new(EgressMode::Internet);
    let attach = || {
        open.attach(&network).unwrap();
    };
    let (passed, _) = leaked_during(&open.namespace, attach);
    assert!(passed > 0, "else the above proves nothing");
}

#[test]
fn nothing_gets_out_while_the_network_is_opened_again_or_repaired() {
    let world = World::new();
    let network = world.open();
    let (sandbox, _) = Sandbox::attached_to(allowlist(&["140.82.113.0/24"]), &network);
    let mut network = Some(network);
    let (leaked, _) = leaked_during(&sandbox.namespace, || {
        for _ in 0..5 {
            drop(network.take());
            network = Some(world.open_knowing(&[&sandbox]).network);
        }
    });
    assert_eq!(leaked, 0);
    let network: Network = network.unwrap();
    let (leaked, _) = leaked_during(&sandbox.namespace, || {
        for number in 1..5 {
            run(
                &world.host,
                &format!("ip addr add 151.101.7.{number} dev wan0; nft flush ruleset"),
            );
            assert!(network.refresh().unwrap());
            assert!(!network.refresh().unwrap());
        }
    });
    assert_eq!(leaked, 0);
}

#[test]
fn what_the_host_flushed_is_repaired() {
    let world = World::new();
    let network = world.open();
    let (sandbox, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    run(&world.host, "nft flush ruleset");
    // The router still refuses what is the host's.
    let host = "192.168.77.2".parse().unwrap();
    assert_eq!(
        probe(&sandbox.namespace, Protocol::Tcp, host),
        Outcome::Refused
    );
    assert!(network.refresh().unwrap());
    assert_eq!(
        probe(&sandbox.namespace, Protocol::Tcp, host),
        Outcome::Refused
    );
    assert_eq!(
        probe(&sandbox.namespace, Protocol::Tcp, OUTSIDE.into()),
        Outcome::Answered
    );
}

#[test]
fn an_address_that_the_host_gets_later_is_closed() {
    let world = World::new();
    let network = world.open();
    let (sandbox, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    assert_eq!(
        probe(&sandbox.namespace, Protocol::Tcp, OUTSIDE.into()),
        Outcome::Answered
    );
    run(&world.host, &format!("ip addr add {OUTSIDE} dev wan0"));
    // Closed by the host's own rules from the first moment, and by the router's
    // once it was told.
    assert_eq!(
        probe(&sandbox.namespace, Protocol::Tcp, OUTSIDE.into()),
        Outcome::Refused
    );
    assert!(network.refresh().unwrap());
    assert_eq!(
        probe(&sandbox.namespace, Protocol::Tcp, OUTSIDE.into()),
        Outcome::Refused
    );
}

#[test]
fn a_way_out_that_the_host_gets_later_is_used() {
    let world = World::new();
    let network = world.open();
    let (sandbox, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    world.connect("wan1");
    run(
        &world.outside,
        "ip addr add 198.51.100.1/30 dev wan1; ip link set wan1 up
        ip -6 addr add 2001:db8::1/126 dev wan1 nodad",
    );
    run(
        &world.host,
        "ip addr add 198.51.100.2/30 dev wan1; ip link set wan1 up
        ip -6 addr add 2001:db8::2/126 dev wan1 nodad
        ip route add 44.0.0.0/8 via 198.51.100.1; ip route add 2a00::/12 via 2001:db8::1",
    );
    assert!(network.refresh().unwrap());
    for address in ["44.0.0.1", "2a00::1"] {
        let seen = probe(&sandbox.namespace, Protocol::Udp, address.parse().unwrap());
        assert_eq!(seen, Outcome::Answered, "{address}");
    }
    assert!(!network.refresh().unwrap());
    network.close().unwrap();
    let forwarding = run(
        &world.host,
        "sysctl -ne net.ipv4.conf.wan1.forwarding net.ipv6.conf.wan1.force_forwarding",
    );
    // The second is not known to all kernels.
    let mut settings = forwarding.lines();
    assert_eq!(settings.next(), Some("0"));
    assert!(settings.all(|setting| setting == "0"), "{forwarding}");
}

#[tokio::test(start_paused = true)]
async fn what_others_change_is_repaired_without_being_told() {
    let world = World::new();
    let network = Arc::new(world.open());
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn(upkeep(
        Arc::clone(&network),
        |network| network,
        stop.clone(),
    ));
    tasks.close();
    for _ in 0..2 {
        run(&world.host, "nft flush ruleset");
        let table = || run(&world.host, "nft list tables");
        let start = Instant::now();
        while !table().contains("palisade_test") {
            assert!(start.elapsed() < Duration::from_mins(1));
            time::sleep(Duration::from_secs(1)).await;
        }
    }
    // What was closed is not brought back.
    network.close().unwrap();
    assert!(!network.refresh().unwrap());
    assert!(!run(&world.host, "nft list tables").contains("palisade_test"));
    stop.cancel();
    tasks.wait().await;
}
