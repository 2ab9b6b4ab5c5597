//! Ports of the host and external addresses that lead to sandboxes: who gets in, from
//! where, and what is left when they are gone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use palisade_model::id::ProfileId;
use palisade_model::policy::{Door, Exposed, Knock, Standing, Verdict, Visitor, admits};
use palisade_model::profile::{EgressMode, Scope};
use palisade_model::sandbox::{Owner, Protocol as Transport};
use uuid::Uuid;

use super::super::namespace::Namespace;
use super::super::{
    BookError, Config, ExternalError, ExternalPools, Finding, Kind, Network, OpenError, Services,
    Severity, Wish, examine,
};
use super::attaching::held;
use super::probe::{Outcome, Protocol, probe_port};
use super::world::{HOST_ADDRESSES, Sandbox, World, run, serve_at};

pub(super) const EXPOSED: u16 = 80;
const HIDDEN: u16 = 81;
const TRANSPORTS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

/// On a link of the host, and led to it by others.
const POOLS: [(&str, &str); 4] = [
    ("near", "203.0.113.16/29"),
    ("far", "198.51.100.0/29"),
    ("far", "fd99:1::/125"),
    ("one", "198.51.100.8/32"),
];

fn services() -> Services {
    let pools = POOLS
        .iter()
        .map(|(name, range)| (name.parse().unwrap(), range.parse().unwrap()));
    Services {
        node_ports: Some("30000-30009".parse().unwrap()),
        node_address: None,
        pools: ExternalPools::new(pools).unwrap(),
    }
}

pub(super) fn config(world: &World) -> Config {
    Config {
        services: services(),
        ..world.config()
    }
}

/// A world whose outside knows the way to the pools.
pub(super) fn world() -> World {
    let world = World::new();
    run(&world.host, "ip addr add 203.0.113.1/24 dev wan0");
    run(
        &world.outside,
        "ip addr add 203.0.113.2/24 dev wan0
        ip route add 198.51.100.0/28 via 192.168.77.2 dev wan0 onlink
        ip route add fd99:1::/120 via fd99::2 dev wan0 onlink",
    );
    world
}

pub(super) fn standing(
    organization: &str,
    user: &str,
    profile: u128,
    scope: Option<Scope>,
) -> Standing {
    let doors = [Transport::Tcp, Transport::Udp].map(|protocol| Door {
        protocol,
        port: EXPOSED,
    });
    Standing {
        owner: Owner {
            organization: organization.parse().unwrap(),
            user: user.parse().unwrap(),
        },
        profile: ProfileId::new(Uuid::from_u128(profile)),
        egress: EgressMode::Org,
        exposed: scope.map(|scope| Exposed {
            level: "web".parse().unwrap(),
            scope,
            doors: doors.into(),
        }),
    }
}

pub(super) fn wish(kind: Kind) -> Wish {
    let doors = [Transport::Tcp, Transport::Udp].map(|protocol| Door {
        protocol,
        port: EXPOSED,
    });
    Wish {
        kind,
        doors: doors.to_vec(),
    }
}

pub(super) fn pool(name: &str) -> Kind {
    Kind::LoadBalancer {
        pool: Some(name.to_owned()),
    }
}

/// A sandbox of ada of acme that serves both ports.
pub(super) fn target(network: &Network, scope: Scope, kind: Kind) -> Sandbox {
    let sandbox = Sandbox {
        wish: Some(wish(kind)),
        ..Sandbox::standing(standing("acme", "ada", 1, Some(scope)))
    };
    sandbox.attach(network).unwrap();
    for port in [EXPOSED, HIDDEN] {
        sandbox.namespace.visit(move || serve_at(port)).unwrap();
    }
    sandbox
}

pub(super) fn caller(network: &Network, standing: Standing) -> Sandbox {
    Sandbox::attached_as(standing, network).0
}

pub(super) fn address(network: &Network, sandbox: &Sandbox) -> SocketAddr {
    network.service_address(sandbox.id).unwrap()
}

/// Everything that leads to a sandbox: all addresses of the host, or its own.
pub(super) fn ways(network: &Network, sandbox: &Sandbox) -> Vec<SocketAddr> {
    let first = address(network, sandbox);
    if network
        .bookings
        .external()
        .iter()
        .any(|range| range.contains(first.ip()))
    {
        return external(network, sandbox);
    }
    let host = HOST_ADDRESSES.map(|address| address.parse().unwrap());
    host.map(|ip: IpAddr| SocketAddr::new(ip, first.port()))
        .to_vec()
}

fn external(network: &Network, sandbox: &Sandbox) -> Vec<SocketAddr> {
    let table = run(
        &network.router,
        "nft list map inet palisade external4; nft list map inet palisade external6",
    );
    let all = network.bookings.external().iter();
    let all = all.flat_map(|range| super::super::service::addresses(*range));
    let own = sandbox_addresses(network, sandbox);
    all.filter(|from| {
        own.iter()
            .any(|to| table.contains(&format!("{from} . tcp . 80 : {to}")))
    })
    .map(|ip| SocketAddr::new(ip, EXPOSED))
    .collect()
}

pub(super) fn sandbox_addresses(network: &Network, sandbox: &Sandbox) -> Vec<IpAddr> {
    network.addresses(sandbox.id).unwrap().iter().collect()
}

fn outcome(verdict: Verdict) -> Outcome {
    if verdict.is_allowed() {
        Outcome::Answered
    } else {
        Outcome::Refused
    }
}

/// Probes a way from somewhere, and compares with what the model says of such a visitor.
/// Returns how often.
pub(super) fn compare(
    from: &Namespace,
    to: SocketAddr,
    target: &Sandbox,
    visitor: Option<&Standing>,
    what: &str,
) -> usize {
    for protocol in TRANSPORTS {
        let transport = match protocol {
            Protocol::Tcp => Transport::Tcp,
            Protocol::Udp | Protocol::Icmp => Transport::Udp,
        };
        let knock = Knock::At(Door {
            protocol: transport,
            port: EXPOSED,
        });
        let verdict = match visitor {
            Some(standing) => standing.reaches(&target.standing, knock),
            None => admits(
                target.standing.party(),
                target.standing.exposed.as_ref(),
                knock,
                Visitor::Stranger,
            ),
        };
        let seen = probe_port(from, protocol, to);
        assert_eq!(
            seen,
            outcome(verdict),
            "{what}: {protocol:?} {to}: {verdict}"
        );
    }
    TRANSPORTS.len()
}

#[test]
fn whoever_a_scope_admits_comes_in_by_every_way_and_nobody_else() {
    let world = world();
    let network = world.open_with(&config(&world));
    let callers = [
        standing("acme", "ada", 1, None),
        standing("acme", "ada", 2, None),
        standing("acme", "bob", 1, None),
        standing("acme", "bob", 2, None),
        standing("evil", "ada", 1, None),
        Standing {
            egress: EgressMode::Internet,
            ..standing("acme", "ada", 1, None)
        },
        Standing {
            egress: EgressMode::Allowlist(vec![
                "0.0.0.0/0".parse().unwrap(),
                "198.51.100.0/24".parse().unwrap(),
                "192.168.0.0/16".parse().unwrap(),
            ]),
            ..standing("acme", "ada", 1, None)
        },
    ];
    let callers = callers.map(|standing| caller(&network, standing));
    let mut count = 0;
    for kind in [Kind::NodePort, pool("near"), pool("far")] {
        for scope in Scope::ALL {
            let target = target(&network, scope, kind.clone());
            let what = format!("{kind:?} for {}", scope.as_str());
            for way in ways(&network, &target) {
                count += compare_all(&world, way, &target, &callers, &what);
            }
            network.detach(target.id).unwrap();
        }
    }
    println!("{count} probes, all equal to the model");
}

/// Probes a way from everywhere, and returns how often.
fn compare_all(
    world: &World,
    way: SocketAddr,
    target: &Sandbox,
    callers: &[Sandbox],
    what: &str,
) -> usize {
    let outside = [&world.outside, &world.host].map(|from| (from, None));
    let callers = callers.iter();
    let inside = callers.map(|caller| (&caller.namespace, Some(&caller.standing)));
    let all = outside.into_iter().chain(inside);
    all.map(|(from, visitor)| compare(from, way, target, visitor, what))
        .sum()
}

#[test]
fn only_exposed_ports_and_published_numbers_lead_anywhere() {
    let world = world();
    let network = world.open_with(&config(&world));
    let node = target(&network, Scope::Any, Kind::NodePort);
    let near = target(&network, Scope::Any, pool("near"));
    let near = address(&network, &near);
    let hidden = SocketAddr::new(near.ip(), HIDDEN);
    let other = {
        let taken = address(&network, &node).port();
        (30_000..30_010).find(|port| *port != taken).unwrap()
    };
    // Any address of the pool may be the one that was taken.
    let unused = (16..24)
        .map(|last| IpAddr::from([203, 0, 113, last]))
        .find(|address| *address != near.ip())
        .map(|address| SocketAddr::new(address, EXPOSED))
        .unwrap();
    let host = HOST_ADDRESSES[0].parse().unwrap();
    for to in [hidden, unused, SocketAddr::new(host, other)] {
        for from in [&world.outside, &world.host] {
            assert_eq!(
                probe_port(from, Protocol::Tcp, to),
                Outcome::Refused,
                "{to}"
            );
            assert_ne!(
                probe_port(from, Protocol::Udp, to),
                Outcome::Answered,
                "{to}"
            );
        }
    }
    // The host's own services are not at an address of a sandbox.
    let host_port = SocketAddr::new(near.ip(), 7);
    assert_ne!(
        probe_port(&world.outside, Protocol::Tcp, host_port),
        Outcome::Answered
    );
}

#[test]
fn the_loopback_of_the_host_has_no_ports_of_sandboxes() {
    let world = world();
    let network = world.open_with(&config(&world));
    let target = target(&network, Scope::Any, Kind::NodePort);
    let port = address(&network, &target).port();
    for ip in ["127.0.0.1", "::1"] {
        let to = SocketAddr::new(ip.parse().unwrap(), port);
        assert_eq!(probe_port(&world.host, Protocol::Tcp, to), Outcome::Refused);
        assert_eq!(
            probe_port(&target.namespace, Protocol::Tcp, to),
            Outcome::Refused
        );
    }
}

#[test]
fn no_way_but_the_booked_one_leads_to_a_sandbox_from_outside() {
    let world = world();
    let network = world.open_with(&config(&world));
    let inside = Sandbox::standing(standing("acme", "ada", 1, Some(Scope::Any)));
    inside.attach(&network).unwrap();
    inside.namespace.visit(|| serve_at(EXPOSED)).unwrap();
    let node = target(&network, Scope::Any, Kind::NodePort);
    let number = address(&network, &node).port();
    run(
        &world.outside,
        "ip route add 10.201.0.0/16 via 192.168.77.2 dev wan0 onlink",
    );
    let mut own = sandbox_addresses(&network, &inside);
    own.extend(sandbox_addresses(&network, &node));
    let to = own
        .iter()
        .flat_map(|ip| [EXPOSED, number].map(|port| SocketAddr::new(*ip, port)));
    for to in to {
        for protocol in TRANSPORTS {
            let seen = [&world.outside, &world.host].map(|from| probe_port(from, protocol, to));
            assert!(!seen.contains(&Outcome::Answered), "{protocol:?} {to}");
        }
    }
}

#[test]
fn what_leads_to_sandboxes_outlives_the_runner_and_is_found_again() {
    let world = world();
    let config = config(&world);
    let network = world.open_with(&config);
    let node = target(&network, Scope::Any, Kind::NodePort);
    let far = target(&network, Scope::Any, pool("far"));
    let closed = target(&network, Scope::Org, pool("near"));
    let all = [&node, &far, &closed];
    let addresses = all.map(|sandbox| address(&network, sandbox));
    let ways = all.map(|sandbox| ways(&network, sandbox));
    let check = |when: &str| {
        for (sandbox, ways) in all.iter().zip(&ways) {
            for way in ways {
                compare(&world.outside, *way, sandbox, None, when);
            }
        }
    };
    check("before");
    drop(network);
    check("with no runner");
    let opening = world.try_open(&config, &all).unwrap();
    assert_eq!(opening.adopted.len(), 3);
    let network = opening.network;
    assert_eq!(all.map(|sandbox| address(&network, sandbox)), addresses);
    check("after");
    // Whoever comes next gets something else.
    let next = target(&network, Scope::Any, Kind::NodePort);
    assert_ne!(address(&network, &next), addresses[0]);
    for sandbox in all {
        network.detach(sandbox.id).unwrap();
    }
    for way in ways.iter().flatten() {
        assert_ne!(
            probe_port(&world.outside, Protocol::Tcp, *way),
            Outcome::Answered
        );
    }
}

#[test]
fn a_connection_through_a_restart_is_not_cut_and_ends_with_the_sandbox() {
    use std::io::{Read as _, Write as _};
    let world = world();
    let config = config(&world);
    let network = world.open_with(&config);
    for kind in [Kind::NodePort, pool("far")] {
        let target = target(&network, Scope::Any, kind);
        for place in 0..ways(&network, &target).len() {
            // It gets others each time.
            let way = ways(&network, &target)[place];
            let connect = || std::net::TcpStream::connect_timeout(&way, Duration::from_secs(5));
            let mut stream = world.outside.visit(connect).unwrap().unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(2)))
                .unwrap();
            let mut echo = || {
                let mut heard = [0; 2];
                let said = stream.write_all(b"hi");
                said.and_then(|()| stream.read_exact(&mut heard)).is_ok()
            };
            assert!(echo(), "{way}");
            // As a restart and repairs do.
            network.refresh().unwrap();
            run(&world.host, "nft delete table inet palisade_test");
            assert!(network.refresh().unwrap());
            assert!(echo(), "{way}");
            network.detach(target.id).unwrap();
            assert!(network.await_departures());
            assert!(!echo(), "{way}");
            target.attach(&network).unwrap();
        }
        network.detach(target.id).unwrap();
    }
}

#[test]
fn a_sandbox_that_lost_what_led_to_it_is_not_taken_over() {
    let world = world();
    let config = config(&world);
    let network = world.open_with(&config);
    let node = target(&network, Scope::Any, Kind::NodePort);
    run(&network.router, "nft flush map inet palisade node4");
    drop(network);
    let opening = world.try_open(&config, &[&node]).unwrap();
    assert!(opening.adopted.is_empty());
    // A pool that somebody has an address of stays.
    let network = opening.network;
    let far = target(&network, Scope::Any, pool("far"));
    drop(network);
    let without = world.config();
    let refused = world.try_open(&without, &[&far]).unwrap_err();
    assert!(
        matches!(refused, OpenError::External(ExternalError::Given { .. })),
        "{refused}"
    );
    world.try_open(&config, &[&far]).unwrap();
}

#[test]
fn pools_end_and_what_is_given_back_rests() {
    let world = world();
    let config = Config {
        rest: Duration::from_hours(1),
        ..config(&world)
    };
    let network = world.open_with(&config);
    let one = target(&network, Scope::Any, pool("one"));
    let (other, kind) = (Sandbox::new(EgressMode::None), wish(pool("one")));
    let refused = network.book(other.id, &kind).unwrap_err();
    assert!(matches!(
        refused,
        BookError::AddressesExhausted { resting: 0, .. }
    ));
    network.detach(one.id).unwrap();
    let refused = network.book(other.id, &kind).unwrap_err();
    assert!(matches!(
        refused,
        BookError::AddressesExhausted { resting: 1, .. }
    ));
    assert!(network.service_address(one.id).is_none());
}

/// The runner asks for several at a time, and what is booked is booked by one.
#[test]
fn of_those_who_want_the_last_of_a_pool_at_once_one_gets_it() {
    let world = world();
    let network = world.open_with(&config(&world));
    let _earlier = [(); 9].map(|()| target(&network, Scope::Any, Kind::NodePort));
    for kind in [pool("one"), Kind::NodePort] {
        let racers = [(); 8].map(|()| Sandbox::new(EgressMode::None));
        let start = Barrier::new(racers.len());
        let book = |id| {
            start.wait();
            network.book(id, &wish(kind.clone()))
        };
        let booked: Vec<_> = thread::scope(|scope| {
            let racing = racers
                .each_ref()
                .map(|racer| scope.spawn(|| book(racer.id)));
            racing.map(|racer| racer.join().unwrap()).into()
        });
        let (won, lost): (Vec<_>, Vec<_>) = booked.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "{kind:?}");
        for refused in lost.into_iter().map(Result::unwrap_err) {
            let exhausted = matches!(
                refused,
                BookError::AddressesExhausted { .. } | BookError::PortsExhausted { .. }
            );
            assert!(exhausted, "{refused}");
        }
        let told = racers
            .iter()
            .filter_map(|racer| network.service_address(racer.id));
        assert_eq!(told.count(), 1, "{kind:?}");
    }
}

#[test]
fn a_port_at_which_the_host_listens_is_passed_over() {
    let world = world();
    let network = world.open_with(&config(&world));
    let taken = (30_000..30_010).filter(|port| *port != 30_004);
    let listen = || {
        let bind = |port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        taken.map(bind).collect::<Vec<_>>()
    };
    let _listening = world.host.visit(listen).unwrap();
    let target = target(&network, Scope::Any, Kind::NodePort);
    assert_eq!(address(&network, &target).port(), 30_004);
}

/// What of the host an instance could leave behind.
fn left(world: &World) -> String {
    run(
        &world.host,
        "nft list ruleset; ip route; ip -6 route; ip addr; ip neigh show proxy; ip -6 neigh show proxy;
        cat /proc/sys/net/ipv6/conf/wan0/proxy_ndp",
    )
}

#[test]
fn nothing_is_left_of_what_led_to_sandboxes() {
    let world = world();
    run(&world.host, "ip addr add fd99:1::100/112 dev wan0 nodad");
    let before = left(&world);
    let network = world.open_with(&config(&world));
    assert!(left(&world).contains("proxy"));
    let (router, host) = (held(&network), left(&world));
    for _ in 0..20 {
        let boxes = [Kind::NodePort, pool("near"), pool("far")].map(|kind| {
            let sandbox = Sandbox {
                wish: Some(wish(kind)),
                ..Sandbox::standing(standing("acme", "ada", 1, Some(Scope::Any)))
            };
            sandbox.attach(&network).unwrap();
            sandbox
        });
        let way = address(&network, &boxes[0]);
        let _ = probe_port(&world.outside, Protocol::Udp, way);
        for sandbox in boxes {
            network.detach(sandbox.id).unwrap();
        }
    }
    assert!(network.await_departures());
    assert_eq!(held(&network), router);
    assert_eq!(left(&world), host);
    // A pool that goes takes its routes and announcements with it.
    drop(network);
    let network = world.open();
    assert!(!left(&world).contains("203.0.113.16"));
    assert!(!left(&world).contains("proxy"));
    network.close().unwrap();
    assert_eq!(left(&world), before);
}

#[test]
fn an_address_of_the_host_itself_is_refused_to_pools() {
    let world = world();
    let pools = [("a".parse().unwrap(), "203.0.113.0/28".parse().unwrap())];
    let config = Config {
        services: Services {
            pools: ExternalPools::new(pools).unwrap(),
            ..Services::default()
        },
        ..world.config()
    };
    let refused = world.try_open(&config, &[]).unwrap_err();
    assert!(
        matches!(refused, OpenError::External(ExternalError::Own { .. })),
        "{refused}"
    );
    assert!(!world.router_path().exists());
    let findings = world.host.visit(|| examine(&config)).unwrap();
    let is_told = |finding: &Finding| {
        finding.severity == Severity::Fatal && finding.message.contains("203.0.113.1/32")
    };
    assert!(findings.iter().any(is_told), "{findings:?}");
}

#[test]
fn a_failed_start_gives_back_what_was_booked() {
    let world = world();
    let network = world.open_with(&config(&world));
    let sandbox = Sandbox {
        wish: Some(wish(pool("one"))),
        ..Sandbox::standing(standing("acme", "ada", 1, Some(Scope::Any)))
    };
    network
        .book(sandbox.id, sandbox.wish.as_ref().unwrap())
        .unwrap();
    // There is an interface of that name already.
    let inside = Namespace::make().unwrap();
    run(&inside, "ip link add eth0 type veth peer name x");
    let refused = network.attach(sandbox.id, &sandbox.standing, inside.as_fd());
    assert!(refused.is_err());
    assert!(network.service_address(sandbox.id).is_none());
    sandbox.attach(&network).unwrap();
    network.detach(sandbox.id).unwrap();
}
