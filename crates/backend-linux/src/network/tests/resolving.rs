//! Looking names up from inside sandboxes: the resolver is where they look for
//! it, asks from the host's side, and answers as their mode allows.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use palisade_model::profile::EgressMode;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::Network;
use super::super::namespace::Namespace;
use super::probe::{Outcome, Protocol, probe_port};
use super::world::{Sandbox, World, allowlist, run};
use crate::dns::{Config, Resolver, Upstreams};

const PATIENCE: Duration = Duration::from_secs(10);
/// After how long a question by datagram is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Where the host's own server listens: a place that only the host can reach.
const UPSTREAM: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5300);

/// A resolver that runs as long as this value.
struct Serving {
    stop: CancellationToken,
    _runtime: Runtime,
}

impl Serving {
    fn on(network: &Network, world: &World) -> Self {
        world.host.visit(serve_names).unwrap();
        let config = Config {
            upstreams: Upstreams::Fixed(vec![UPSTREAM]),
            ..Config::default()
        };
        let resolver = Resolver::open(network, config).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let stop = CancellationToken::new();
        let running = resolver.run(stop.clone());
        thread::spawn({
            let handle = runtime.handle().clone();
            move || handle.block_on(running).unwrap()
        });
        Self {
            stop,
            _runtime: runtime,
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Answers every question with a public and a private address of each version.
fn serve_names() {
    let socket = UdpSocket::bind(UPSTREAM).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let question = Message::from_vec(&buffer[..len]).unwrap();
            let mut answer = Message::response(question.metadata.id, OpCode::Query);
            answer.queries.clone_from(&question.queries);
            for data in [
                RData::A(A(Ipv4Addr::new(140, 82, 112, 4))),
                RData::A(A(Ipv4Addr::new(192, 168, 1, 1))),
                RData::AAAA(AAAA("2606:2800:220:1::1".parse().unwrap())),
                RData::AAAA(AAAA("fd00:ec2::254".parse().unwrap())),
                // An address of the host itself, public as it is.
                RData::A(A(Ipv4Addr::new(93, 184, 216, 2))),
            ] {
                let name = question.queries[0].name.clone();
                answer.answers.push(Record::from_rdata(name, 60, data));
            }
            let _ = socket.send_to(&answer.to_vec().unwrap(), from);
        }
    });
}

fn question() -> Vec<u8> {
    let mut message = Message::new(77, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii("example.com.").unwrap();
    message.queries.push(Query::query(name, RecordType::A));
    message.to_vec().unwrap()
}

/// The addresses in the answer, or why there is none.
fn look_up(inside: &Namespace, server: IpAddr, protocol: Protocol) -> Result<Vec<String>, String> {
    let server = SocketAddr::new(server, 53);
    let exchanged = inside.visit(|| match protocol {
        Protocol::Udp => by_datagram(server),
        Protocol::Tcp => by_stream(server),
        Protocol::Icmp => Err(ErrorKind::Unsupported.into()),
    });
    let bytes = exchanged.unwrap().map_err(|error| error.to_string())?;
    let answer = Message::from_vec(&bytes).unwrap();
    if answer.metadata.response_code != ResponseCode::NoError {
        return Err(answer.metadata.response_code.to_string());
    }
    let found = answer
        .answers
        .iter()
        .filter_map(|record| record.data.ip_addr());
    Ok(found.map(|address| address.to_string()).collect())
}

fn by_datagram(server: SocketAddr) -> std::io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(ASK_AGAIN))?;
    socket.connect(server)?;
    let mut buffer = vec![0; 1500];
    let began = Instant::now();
    // Datagrams may be lost, and whoever asks by them asks again.
    let len = loop {
        socket.send(&question())?;
        match socket.recv(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && began.elapsed() < PATIENCE => {}
            received => break received?,
        }
    };
    buffer.truncate(len);
    Ok(buffer)
}

fn by_stream(server: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let question = question();
    let len = u16::try_from(question.len()).unwrap().to_be_bytes();
    stream.write_all(&[&len, question.as_slice()].concat())?;
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut answer = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
fn each_mode_is_answered_what_it_may_reach() {
    let world = World::new();
    let network = world.open();
    let _serving = Serving::on(&network, &world);
    let list = ["192.168.1.0/24", "2606:2800:220:1::/64"];
    for (mode, expected) in [
        (EgressMode::Internet, ["140.82.112.4", "2606:2800:220:1::1"]),
        (allowlist(&list), ["192.168.1.1", "2606:2800:220:1::1"]),
    ] {
        let (sandbox, _) = Sandbox::attached_to(mode.clone(), &network);
        for server in network.resolver().iter() {
            for protocol in [Protocol::Udp, Protocol::Tcp] {
                let found = look_up(&sandbox.namespace, server, protocol);
                let case = format!("{mode:?} {server} {protocol:?}");
                assert_eq!(
                    found.as_deref(),
                    Ok(&expected.map(str::to_owned)[..]),
                    "{case}"
                );
            }
        }
    }
}

#[test]
fn the_mode_none_does_not_even_reach_the_resolver() {
    let world = World::new();
    let network = world.open();
    let _serving = Serving::on(&network, &world);
    let (sandbox, _) = Sandbox::attached_to(EgressMode::None, &network);
    for server in network.resolver().iter() {
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            let server = SocketAddr::new(server, 53);
            let outcome = probe_port(&sandbox.namespace, protocol, server);
            assert_eq!(outcome, Outcome::Refused, "{server} {protocol:?}");
        }
    }
}

#[test]
fn nobody_but_sandboxes_reaches_the_resolver() {
    let world = World::new();
    let network = world.open();
    let _serving = Serving::on(&network, &world);
    // Even with a route to it, as the host or a neighbour of it could make one.
    let resolver = network.resolver();
    run(
        &world.host,
        &format!(
            "ip route add {} dev pal-test; ip -6 route replace {} dev pal-test",
            resolver.v4,
            resolver.v6.unwrap()
        ),
    );
    for server in resolver.iter() {
        let found = world.host.visit(|| {
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_millis(300)))
                .unwrap();
            let to = match server {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            socket.send_to(&question(), (to, 53)).unwrap();
            socket.recv(&mut [0; 1500])
        });
        assert!(found.unwrap().is_err(), "{server}");
    }
}

#[test]
fn a_change_of_policy_changes_the_answers() {
    let world = World::new();
    let network = world.open();
    let _serving = Serving::on(&network, &world);
    let (sandbox, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    let server = network.resolver().v4.into();
    let ask = || look_up(&sandbox.namespace, server, Protocol::Udp);
    assert_eq!(ask().unwrap().len(), 2);
    sandbox
        .change(&network, allowlist(&["192.168.1.1/32"]))
        .unwrap();
    assert_eq!(ask().as_deref(), Ok(&["192.168.1.1".to_owned()][..]));
    sandbox.change(&network, EgressMode::None).unwrap();
    assert!(ask().is_err());
}

#[test]
fn an_address_that_the_host_gets_later_is_no_longer_told() {
    let world = World::new();
    let network = world.open();
    let _serving = Serving::on(&network, &world);
    let (sandbox, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    let server = network.resolver().v4.into();
    let ask = || look_up(&sandbox.namespace, server, Protocol::Udp).unwrap();
    assert!(ask().contains(&"140.82.112.4".to_owned()));
    run(&world.host, "ip addr add 140.82.112.4 dev wan0");
    assert!(network.refresh().unwrap());
    assert!(!ask().contains(&"140.82.112.4".to_owned()));
}

#[test]
fn the_resolver_opens_again_after_it_has_ended() {
    let world = World::new();
    let network = world.open();
    let sandbox = Sandbox::new(EgressMode::Internet);
    let known = [&sandbox];
    sandbox.attach(&network).unwrap();
    drop(network);
    let network = world.open_knowing(&known).network;
    let _serving = Serving::on(&network, &world);
    let server = network.resolver().v4.into();
    let found = look_up(&sandbox.namespace, server, Protocol::Udp);
    assert_eq!(found.unwrap().len(), 2);
    let again = Resolver::open(&network, Config::default());
    assert!(
        again.is_err(),
        "two resolvers cannot serve the same network"
    );
}
