//! Sandboxes that try to get more of each other than they may.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use palisade_model::id::ProfileId;
use palisade_model::policy::{Door, Exposed, Standing};
use palisade_model::profile::{EgressMode, Scope};
use palisade_model::sandbox::{Owner, Protocol as Transport};
use rustix::net::{AddressFamily, SocketType, ipproto};
use uuid::Uuid;

use super::super::namespace::Namespace;
use super::super::{Addresses, Config, Network, Pool4, PoolChoice};
use super::attaching::held;
use super::probe::{Outcome, Protocol, probe_port};
use super::world::{Sandbox, World, run, serve_at};

const PORT: u16 = 80;
/// For what should never come; what comes does so at once.
const BRIEFLY: Duration = Duration::from_millis(300);

fn standing(organization: &str, egress: EgressMode) -> Standing {
    let doors = [Transport::Tcp, Transport::Udp].map(|protocol| Door {
        protocol,
        port: PORT,
    });
    Standing {
        owner: Owner {
            organization: organization.parse().unwrap(),
            user: "ada".parse().unwrap(),
        },
        profile: ProfileId::new(Uuid::from_u128(1)),
        egress,
        exposed: Some(Exposed {
            level: "internal".parse().unwrap(),
            scope: Scope::Org,
            doors: doors.into(),
        }),
    }
}

fn peer(organization: &str, network: &Network) -> (Sandbox, Addresses) {
    let (sandbox, attached) =
        Sandbox::attached_as(standing(organization, EgressMode::Org), network);
    (sandbox, attached.addresses)
}

fn answers(caller: &Sandbox, to: IpAddr) -> bool {
    [Protocol::Tcp, Protocol::Udp]
        .map(|protocol| probe_port(&caller.namespace, protocol, SocketAddr::new(to, PORT)))
        == [Outcome::Answered; 2]
}

/// A connection and a flow of datagrams, both to a peer.
struct Talk {
    stream: TcpStream,
    datagrams: UdpSocket,
}

impl Talk {
    fn open(from: &Namespace, to: IpAddr) -> Self {
        let open = || {
            let stream = TcpStream::connect_timeout(&(to, PORT).into(), Duration::from_secs(5));
            let datagrams = UdpSocket::bind((any(to), 0)).unwrap();
            datagrams.connect((to, PORT)).unwrap();
            (stream.unwrap(), datagrams)
        };
        let (stream, datagrams) = from.visit(open).unwrap();
        stream.set_read_timeout(Some(BRIEFLY)).unwrap();
        datagrams.set_read_timeout(Some(BRIEFLY)).unwrap();
        let mut talk = Self { stream, datagrams };
        assert_eq!(talk.go_on(), [true; 2]);
        talk
    }

    /// Whether each of them still brings an answer.
    fn go_on(&mut self) -> [bool; 2] {
        let mut echo = [0; 2];
        let stream = self.stream.write_all(b"hi");
        let stream = stream.and_then(|()| self.stream.read_exact(&mut echo));
        let datagram = self.datagrams.send(b"hi");
        let datagram = datagram.and_then(|_| self.datagrams.recv(&mut echo));
        [stream.is_ok(), datagram.is_ok()]
    }
}

/// What comes to a port of a sandbox while `act` runs, by datagram.
fn heard_during(target: &Namespace, port: u16, act: impl FnOnce()) -> bool {
    let socket = target
        .visit(|| UdpSocket::bind(("::", port)))
        .unwrap()
        .unwrap();
    socket.set_read_timeout(Some(BRIEFLY)).unwrap();
    act();
    socket.recv(&mut [0; 16]).is_ok()
}

#[test]
fn a_flow_ends_when_either_side_no_longer_allows_it() {
    let world = World::new();
    let network = world.open();
    for version in 0..2 {
        let (caller, _) = peer("acme", &network);
        let (target, addresses) = peer("acme", &network);
        target.namespace.visit(|| serve_at(PORT)).unwrap();
        let address = addresses.iter().nth(version).unwrap();
        let mut talk = Talk::open(&caller.namespace, address);
        // A change that still allows it lets a new one be opened.
        network.change(target.id, &target.standing).unwrap();
        let mut again = Talk::open(&caller.namespace, address);
        let closed = Standing {
            exposed: None,
            ..target.standing.clone()
        };
        network.change(target.id, &closed).unwrap();
        assert_eq!(talk.go_on(), [false; 2]);
        assert_eq!(again.go_on(), [false; 2]);
        network.change(target.id, &target.standing).unwrap();
        let mut talk = Talk::open(&caller.namespace, address);
        caller.change(&network, EgressMode::Profile).unwrap();
        caller.change(&network, EgressMode::Internet).unwrap();
        assert_eq!(talk.go_on(), [false; 2]);
        for sandbox in [caller, target] {
            network.detach(sandbox.id).unwrap();
        }
    }
}

#[test]
fn ending_the_flows_of_one_sandbox_ends_no_others() {
    let world = World::new();
    let network = world.open();
    let (target, addresses) = peer("acme", &network);
    target.namespace.visit(|| serve_at(PORT)).unwrap();
    for address in addresses.iter() {
        let (caller, _) = peer("acme", &network);
        let (other, _) = peer("acme", &network);
        let mut own = Talk::open(&caller.namespace, address);
        let mut others = Talk::open(&other.namespace, address);
        caller.change(&network, EgressMode::Internet).unwrap();
        assert_eq!(own.go_on(), [false; 2], "{address}");
        assert_eq!(others.go_on(), [true; 2], "{address}");
        network.detach(caller.id).unwrap();
        assert_eq!(others.go_on(), [true; 2], "{address}");
    }
}

#[test]
fn whoever_gets_an_address_next_hears_nothing_of_the_one_before() {
    let world = World::new();
    let config = Config {
        pool4: PoolChoice::Fixed(Pool4::new("10.99.0.0/28".parse().unwrap()).unwrap()),
        ..world.config()
    };
    let network = world.open_with(&config);
    let (caller, _) = peer("acme", &network);
    let (target, addresses) = peer("acme", &network);
    target.namespace.visit(|| serve_at(PORT)).unwrap();
    let talks = addresses.iter().map(|to| Talk::open(&caller.namespace, to));
    let mut talks = talks.collect::<Vec<_>>();
    network.detach(target.id).unwrap();
    // All others come and go until the place is taken again.
    let next = loop {
        let (next, given) = peer("evil", &network);
        if given == addresses {
            break next;
        }
        network.detach(next.id).unwrap();
    };
    let heard = heard_during(&next.namespace, PORT, || {
        for talk in &mut talks {
            assert_eq!(talk.go_on(), [false; 2]);
        }
    });
    assert!(!heard);
}

#[test]
fn the_address_of_an_admitted_caller_gives_nothing_to_others() {
    let world = World::new();
    let network = world.open();
    let (_caller, admitted) = peer("acme", &network);
    let (target, addresses) = peer("acme", &network);
    let (thief, _) = peer("evil", &network);
    for (own, to) in admitted.iter().zip(addresses.iter()) {
        let flags = if own.is_ipv6() { "nodad" } else { "" };
        run(
            &thief.namespace,
            &format!("ip addr add {own} dev eth0 {flags}"),
        );
        let before = network.denials(thief.id).unwrap();
        let heard = heard_during(&target.namespace, PORT, || {
            let send = || {
                let socket = UdpSocket::bind((own, 0)).unwrap();
                socket.send_to(b"forged", (to, PORT)).unwrap();
            };
            thief.namespace.visit(send).unwrap();
        });
        assert!(!heard, "{own}");
        assert!(network.denials(thief.id).unwrap() > before);
    }
}

#[test]
fn no_mark_that_a_sandbox_puts_on_a_packet_counts() {
    let world = World::new();
    let network = world.open();
    let (target, addresses) = peer("acme", &network);
    let (thief, _) = peer("evil", &network);
    let claims = run(&network.router, "nft list map inet palisade claim1");
    let marks = claims.split("0x").skip(1).map(|text| &text[..8]);
    let marks = marks.collect::<Vec<_>>();
    assert!(marks.len() >= 2, "{claims}");
    for mark in marks {
        run(
            &thief.namespace,
            &format!(
                "nft 'table inet forge {{ }}; delete table inet forge; table inet forge {{
                    chain output {{ type filter hook output priority 0; meta mark set 0x{mark}; }}
                }}'"
            ),
        );
        let heard = heard_during(&target.namespace, PORT, || {
            for to in addresses.iter() {
                let seen = probe_port(&thief.namespace, Protocol::Udp, SocketAddr::new(to, PORT));
                assert_eq!(seen, Outcome::Refused, "{mark}");
            }
        });
        assert!(!heard, "{mark}");
    }
}

#[test]
fn what_a_sandbox_says_of_neighbours_and_routers_changes_nothing() {
    let world = World::new();
    let network = world.open();
    let (caller, _) = peer("acme", &network);
    let (target, addresses) = peer("acme", &network);
    target.namespace.visit(|| serve_at(PORT)).unwrap();
    let (thief, _) = peer("evil", &network);
    thief.namespace.visit(|| serve_at(PORT)).unwrap();
    let known = || run(&network.router, "ip neigh; ip route; ip -6 route; ip addr");
    let before = known();
    for address in addresses.iter() {
        let flags = if address.is_ipv6() { "nodad" } else { "" };
        // Announces the address by ARP and ND, as its own.
        run(
            &thief.namespace,
            &format!(
                "sysctl -qw net.ipv4.conf.eth0.arp_notify=1 net.ipv6.conf.eth0.ndisc_notify=1
                ip addr add {address} dev eth0 {flags}
                ip link set eth0 address 02:00:00:00:00:66; ip link set eth0 address 02:70:61:6c:00:02"
            ),
        );
    }
    thief.namespace.visit(announce_router).unwrap();
    assert_eq!(known(), before);
    for address in addresses.iter() {
        assert!(answers(&caller, address));
    }
    let routes = run(&target.namespace, "ip -6 route show default");
    assert_eq!(routes.lines().count(), 1, "{routes}");
}

/// Sends an advertisement that makes whoever believes it route through here.
fn announce_router() {
    let socket = rustix::net::socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6));
    let socket = UdpSocket::from(socket.unwrap());
    let mut packet = vec![134, 0, 0, 0, 64, 0, 0xff, 0xff];
    packet.extend([0; 8]);
    // A prefix to make addresses out of.
    packet.extend([
        3, 4, 64, 0xc0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0, 0, 0,
    ]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let index = std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap();
    let eth0 = index.lines().find(|line| line.ends_with("eth0")).unwrap();
    let scope = u32::from_str_radix(eth0.split_whitespace().nth(1).unwrap(), 16).unwrap();
    let everybody = "ff02::1".parse().unwrap();
    let to = std::net::SocketAddrV6::new(everybody, 0, 0, scope);
    // It may have no address to send from; that it was tried is enough.
    let _ = socket.send_to(&packet, to);
}

#[test]
fn fragments_are_judged_as_the_packet_that_they_are_of() {
    let world = World::new();
    let network = world.open();
    let (caller, _) = peer("acme", &network);
    let (thief, _) = peer("evil", &network);
    let (target, addresses) = peer("acme", &network);
    for to in addresses.iter() {
        for (sender, port, passes) in [
            (&caller, PORT, true),
            (&caller, PORT + 1, false),
            (&thief, PORT, false),
        ] {
            let send = || send_large(sender, SocketAddr::new(to, port));
            let heard = heard_during(&target.namespace, port, send);
            assert_eq!(heard, passes, "{to} {port}");
        }
    }
}

/// Sends a datagram that takes several packets.
fn send_large(sender: &Sandbox, to: SocketAddr) {
    let send = || {
        let socket = UdpSocket::bind((any(to.ip()), 0)).unwrap();
        socket.send_to(&[7; 4000], to).unwrap();
    };
    sender.namespace.visit(send).unwrap();
}

/// Any address of the same version.
fn any(like: IpAddr) -> IpAddr {
    if like.is_ipv4() {
        [0; 4].into()
    } else {
        [0; 16].into()
    }
}

#[test]
fn nothing_of_a_peer_is_left_in_the_router_after_it_is_gone() {
    let world = World::new();
    let network = world.open();
    let before = held(&network);
    let (caller, _) = peer("acme", &network);
    let (target, addresses) = peer("acme", &network);
    target.namespace.visit(|| serve_at(PORT)).unwrap();
    for address in addresses.iter() {
        assert!(answers(&caller, address));
    }
    network.detach(target.id).unwrap();
    for address in addresses.iter() {
        assert!(!answers(&caller, address));
    }
    network.detach(caller.id).unwrap();
    assert_eq!(held(&network), before);
}
