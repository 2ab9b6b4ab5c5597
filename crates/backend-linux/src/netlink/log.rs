//! Packets that rules show to a group of listeners.
//!
//! The kernel shows the first bytes of each, and keeps them for a moment so as
//! to hand over several at once. What finds no room in the socket is lost: what
//! is heard here are examples, and counters are elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use super::attribute::{self, Body};
use super::{KernelError, Request, Socket};

const SUBSYSTEM: u16 = 4;
const NFULNL_MSG_PACKET: u16 = SUBSYSTEM << 8;
const NFULNL_MSG_CONFIG: u16 = (SUBSYSTEM << 8) | 1;
const NFULA_CFG_CMD: u16 = 1;
const NFULA_CFG_MODE: u16 = 2;
const NFULA_CFG_TIMEOUT: u16 = 4;
const NFULNL_CFG_CMD_BIND: u8 = 1;
const NFULNL_COPY_PACKET: u8 = 2;
const NFULA_IFINDEX_INDEV: u16 = 4;
const NFULA_IFINDEX_OUTDEV: u16 = 5;
const NFULA_PAYLOAD: u16 = 9;

/// Headers without options, and the ports behind them.
const SHOWN_LEN: u32 = 64;
/// How long packets are kept to be handed over together, in hundredths of a second.
const DELAY: u32 = 10;
const HEADER_LEN: usize = 4;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A listener of one group.
#[derive(Debug)]
pub(crate) struct Log(Socket);

/// What a packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The index of the interface that it came through.
    pub(crate) from: u32,
    /// Likewise of that through which it would have gone, if that was known already.
    pub(crate) to: Option<u32>,
    pub(crate) packet: Packet,
}

/// The ends of a packet. Protocols without ports have zeros there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) protocol: u8,
    pub(crate) source: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination: IpAddr,
    pub(crate) destination_port: u16,
}

impl Log {
    /// Listens to a group of the present namespace, which can have one listener.
    pub(crate) fn open(group: u16) -> Result<Self, KernelError> {
        let mut socket = Socket::netfilter()?;
        let [high, low] = group.to_be_bytes();
        let config = |attribute: u16, value: &[u8]| {
            let mut body = Body::new(&[0, 0, high, low]);
            body.bytes(attribute, value);
            Request {
                what: "listen to what rules refuse",
                kind: NFULNL_MSG_CONFIG,
                flags: 0,
                body,
            }
        };
        let [a, b, c, d] = SHOWN_LEN.to_be_bytes();
        socket.execute(&[
            config(NFULA_CFG_CMD, &[NFULNL_CFG_CMD_BIND]),
            config(NFULA_CFG_MODE, &[a, b, c, d, NFULNL_COPY_PACKET, 0]),
            config(NFULA_CFG_TIMEOUT, &DELAY.to_be_bytes()),
        ])?;
        Ok(Self(socket))
    }

    /// What was shown since; waits if nothing was.
    pub(crate) fn next(&mut self) -> Result<Vec<Seen>, KernelError> {
        let said = self.0.overhear("hear what rules refuse")?;
        let packets = said
            .iter()
            .filter(|(kind, _)| *kind == NFULNL_MSG_PACKET)
            .filter_map(|(_, payload)| seen(payload));
        Ok(packets.collect())
    }
}

impl AsFd for Log {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn seen(message: &[u8]) -> Option<Seen> {
    let attributes = message.get(HEADER_LEN..)?;
    let index = |attribute| {
        let bytes = attribute::find(attributes, attribute)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    let packet = attribute::find(attributes, NFULA_PAYLOAD)?;
    Some(Seen {
        from: index(NFULA_IFINDEX_INDEV)?,
        to: index(NFULA_IFINDEX_OUTDEV),
        packet: read(packet)?,
    })
}

/// Reads the headers of a packet of either version.
pub(crate) fn read(bytes: &[u8]) -> Option<Packet> {
    let first = *bytes.first()?;
    match first >> 4 {
        4 => {
            let header = bytes.first_chunk::<20>()?;
            let addresses = header.get(12..)?;
            let at = |bytes: &[u8]| Some(IpAddr::from(Ipv4Addr::from(*bytes.first_chunk::<4>()?)));
            let rest = bytes.get(usize::from(first & 0xf) * 4..);
            let (source, destination) = (at(addresses)?, at(&addresses[4..])?);
            Some(packet(header[9], source, destination, rest))
        }
        6 => {
            let header = bytes.first_chunk::<40>()?;
            let addresses = header.get(8..)?;
            let at = |bytes: &[u8]| Some(IpAddr::from(Ipv6Addr::from(*bytes.first_chunk::<16>()?)));
            let rest = bytes.get(40..);
            let (source, destination) = (at(addresses)?, at(&addresses[16..])?);
            Some(packet(header[6], source, destination, rest))
        }
        _ => None,
    }
}

fn packet(protocol: u8, source: IpAddr, destination: IpAddr, rest: Option<&[u8]>) -> Packet {
    let ports = rest.and_then(<[u8]>::first_chunk::<4>);
    let has_ports = [TCP, UDP].contains(&protocol);
    let [a, b, c, d] = ports.copied().filter(|_| has_ports).unwrap_or_default();
    Packet {
        protocol,
        source,
        source_port: u16::from_be_bytes([a, b]),
        destination,
        destination_port: u16::from_be_bytes([c, d]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_of_packets_of_both_versions_are_read() {
        let mut v4 = vec![
            0x46, 0, 0, 32, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        v4.extend([0; 4]); // an option
        v4.extend([0x12, 0x34, 0, 80]);
        let read4 = read(&v4).unwrap();
        assert_eq!(read4.source.to_string(), "10.0.0.1");
        assert_eq!((read4.source_port, read4.destination_port), (0x1234, 80));
        let mut v6 = vec![0x60, 0, 0, 0, 0, 8, 58, 64];
        v6.extend([0xfd; 16]);
        v6.extend([0xfe; 16]);
        v6.extend([128, 0, 1, 2]);
        let read6 = read(&v6).unwrap();
        assert_eq!((read6.protocol, read6.destination_port), (58, 0));
        assert!(read6.destination.is_ipv6());
        assert_eq!(read(&v6[..39]), None);
    }

    proptest! {
        #[test]
        fn whatever_a_packet_holds_it_is_read_or_not(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let _ = read(&bytes);
        }
    }
}
