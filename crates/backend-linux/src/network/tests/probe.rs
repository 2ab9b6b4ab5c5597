//! Asking from inside a sandbox whether something answers.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, ipproto};

use super::super::namespace::Namespace;

/// Refusals are told at once; this only bounds a packet that is lost in silence.
const PATIENCE: Duration = Duration::from_secs(2);
/// For a packet that is expected to be lost.
const BRIEFLY: Duration = Duration::from_millis(300);
const HELLO: &[u8] = b"hello";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    Icmp,
}

impl Protocol {
    pub(super) const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Icmp];
}

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    /// Something said no.
    Refused,
    /// Nothing was heard of it.
    Lost,
}

pub(super) fn probe(inside: &Namespace, protocol: Protocol, to: IpAddr) -> Outcome {
    probe_port(inside, protocol, SocketAddr::new(to, 7))
}

pub(super) fn probe_port(inside: &Namespace, protocol: Protocol, to: SocketAddr) -> Outcome {
    probe_for(inside, protocol, to, PATIENCE)
}

/// A probe that should find nothing at all.
pub(super) fn probe_briefly(inside: &Namespace, protocol: Protocol, to: IpAddr) -> Outcome {
    probe_for(inside, protocol, SocketAddr::new(to, 7), BRIEFLY)
}

fn probe_for(
    inside: &Namespace,
    protocol: Protocol,
    to: SocketAddr,
    patience: Duration,
) -> Outcome {
    let attempt = inside
        .visit(|| match protocol {
            Protocol::Tcp => tcp(to, patience),
            Protocol::Udp => udp(to, patience),
            Protocol::Icmp => icmp(to.ip(), patience),
        })
        .unwrap();
    match attempt {
        Ok(()) => Outcome::Answered,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Outcome::Lost
        }
        Err(_) => Outcome::Refused,
    }
}

fn tcp(to: SocketAddr, patience: Duration) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(HELLO)?;
    let mut answer = [0; HELLO.len()];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer, HELLO);
    Ok(())
}

fn udp(to: SocketAddr, patience: Duration) -> std::io::Result<()> {
    let any: IpAddr = if to.is_ipv4() {
        [0; 4].into()
    } else {
        [0; 16].into()
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(patience))?;
    exchange(&socket, to, HELLO)?;
    Ok(())
}

fn icmp(to: IpAddr, patience: Duration) -> std::io::Result<()> {
    let (family, protocol, echo) = match to {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP, 8),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6, 128),
    };
    let socket = rustix::net::socket(family, SocketType::DGRAM, Some(protocol))?;
    let mut packet = vec![echo, 0, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(HELLO);
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(patience))?;
    exchange(&socket, SocketAddr::new(to, 0), &packet)
}

/// Sends a packet and waits for one that ends the same.
fn exchange(socket: &UdpSocket, to: SocketAddr, packet: &[u8]) -> std::io::Result<()> {
    socket.connect(to)?;
    socket.send(packet)?;
    let mut answer = [0; 64];
    let len = socket.recv(&mut answer)?;
    assert!(answer[..len].ends_with(HELLO));
    Ok(())
}
