//! A runner that is killed while sandboxes talk, again and again.
//!
//! It is a process of its own, so that nothing of it is tidied up: the probes are
//! made while it opens the network, while it changes policies and connects
//! sandboxes, and while there is none.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use palisade_model::policy::Standing;
use palisade_model::profile::{EgressMode, Scope};

use super::super::super::namespace::Namespace;
use super::super::super::{Config, Known, Network};
use super::super::probe::{Outcome, Protocol, probe_port};
use super::super::world::{Sandbox, World, allowlist};
use super::{CALLERS, Done, Peer, churn, exposing, knock, standing};

/// Tells the process that is to be killed where the host is, where the network
/// is kept, and who is connected.
const PLACE: &str = "PALISADE_TEST_NETWORK";
const KILLS: u64 = 8;

/// The sandboxes that are probed: callers, and one that they call.
fn fleet() -> Vec<Standing> {
    let target = Standing {
        exposed: Some(exposing(Scope::User)),
        ..standing(CALLERS[0], EgressMode::None)
    };
    let listed = allowlist(&["140.82.113.0/24"]);
    CALLERS
        .map(|who| standing(who, EgressMode::Org))
        .into_iter()
        .chain([standing(CALLERS[0], listed), target])
        .collect()
}

/// Not a test: what the killed process does. It runs only where it is told to.
#[test]
fn works_on_the_network_until_it_is_killed() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test tells its own child process"
    )]
    let Ok(place) = std::env::var(PLACE) else {
        return;
    };
    let mut words = place.split(' ');
    let host = File::open(words.next().unwrap()).unwrap();
    let host = Namespace::of(host.as_fd()).unwrap();
    let directory = PathBuf::from(words.next().unwrap());
    let known = words.zip(fleet()).map(|(id, standing)| Known {
        id: id.parse().unwrap(),
        standing,
        wish: None,
    });
    let known = known.collect::<Vec<_>>();
    let config = Config {
        rest: Duration::ZERO,
        ..Config::new("test".parse().unwrap(), directory)
    };
    let mut out = std::io::stdout();
    writeln!(out, "\nopening").unwrap();
    let opening = host.visit(|| Network::open(&config, &known)).unwrap();
    let opening = opening.unwrap();
    assert_eq!(opening.adopted.len(), known.len(), "everybody is found");
    writeln!(out, "open").unwrap();
    for turn in 0.. {
        churn(&opening.network, turn);
        writeln!(out, "turn {turn}").unwrap();
    }
}

/// Starts the process; what it says can be read.
fn spawn(world: &World, sandboxes: &[&Sandbox]) -> Child {
    let host = world.host.as_fd().as_raw_fd();
    let ids = sandboxes.iter().map(|sandbox| sandbox.id.to_string());
    let place = format!(
        "/proc/{}/fd/{host} {} {}",
        std::process::id(),
        world.config().directory.display(),
        ids.collect::<Vec<_>>().join(" ")
    );
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command
        .args(["--exact", "--nocapture"])
        .arg("network::tests::matrix::killing::works_on_the_network_until_it_is_killed")
        .env(PLACE, place)
        .stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// Lets the process work, and kills it: in the middle of opening the network, or
/// in the middle of changes.
fn work_and_kill(world: &World, sandboxes: &[&Sandbox], round: u64) {
    let mut child = spawn(world, sandboxes);
    let until = if round.is_multiple_of(2) {
        "opening"
    } else {
        "turn 2"
    };
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let has_come = lines.map_while(Result::ok).any(|line| line == until);
    if has_come {
        // Any instant is as good as another.
        thread::park_timeout(Duration::from_millis(round * 9));
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(
        has_come,
        "it ended by itself before it came to {until}: {status}"
    );
}

#[test]
fn every_probe_comes_out_so_while_the_runner_is_killed_and_starts_again() {
    let world = World::new();
    let network = world.open();
    let peers = fleet()
        .into_iter()
        .map(|standing| Peer::new(standing, &network))
        .collect::<Vec<_>>();
    drop(network);
    let (target, callers) = peers.split_last().unwrap();
    let target_namespace = &target.sandbox.namespace;
    for port in [super::EXPOSED, super::HIDDEN] {
        target_namespace
            .visit(move || super::super::world::serve_at(port))
            .unwrap();
    }
    let sandboxes = peers.iter().map(|peer| &peer.sandbox).collect::<Vec<_>>();
    let (is_done, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let probing = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let made = probe_all(callers, target);
                count.fetch_add(made, Ordering::Relaxed);
            }
        });
        let _done = Done(&is_done);
        for round in 0..KILLS {
            work_and_kill(&world, &sandboxes, round);
            assert!(!probing.is_finished(), "the probes must go on");
        }
    });
    // The next one finds everything, and leaves nothing.
    let opening = world.open_knowing(&sandboxes);
    assert_eq!(opening.adopted.len(), sandboxes.len());
    let made = probe_all(callers, target) + count.into_inner();
    for sandbox in sandboxes {
        opening.network.detach(sandbox.id).unwrap();
    }
    let left = super::super::attaching::held(&opening.network);
    assert!(!left.contains("elements"), "{left}");
    println!("{made} probes, all equal to the model");
}

/// All callers against their target, and what is closed outside.
fn probe_all(callers: &[Peer], target: &Peer) -> usize {
    let mut count = 0;
    for caller in callers {
        let outside = SocketAddr::from(([140, 82, 112, 10], 7));
        for protocol in Protocol::ALL {
            compare(caller, protocol, outside, false);
            count += 1;
        }
        for address in target.addresses.iter() {
            for (protocol, port) in Protocol::ALL
                .into_iter()
                .flat_map(|protocol| [super::EXPOSED, super::HIDDEN].map(|port| (protocol, port)))
            {
                let (from, to) = (&caller.sandbox.standing, &target.sandbox.standing);
                let verdict = from.reaches(to, knock(protocol, port));
                let to = SocketAddr::new(address, port);
                compare(caller, protocol, to, verdict.is_allowed());
                count += 1;
            }
        }
    }
    count
}

/// What is closed is never open. What is open may be closed for the instant in
/// which a table replaces another one, and is open when it is tried again.
fn compare(caller: &Peer, protocol: Protocol, to: SocketAddr, is_allowed: bool) {
    let inside = &caller.sandbox.namespace;
    let is_open = || probe_port(inside, protocol, to) == Outcome::Answered;
    let is_equal = if is_allowed {
        is_open() || is_open()
    } else {
        !is_open()
    };
    let who = &caller.sandbox.standing;
    assert!(
        is_equal,
        "{who:?} {protocol:?} {to} is to be open: {is_allowed}"
    );
}
