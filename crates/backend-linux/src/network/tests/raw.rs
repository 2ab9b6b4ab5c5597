//! Packets and frames that a sandbox makes by hand, as root inside of it could.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _};

use palisade_model::profile::EgressMode;
use rustix::net::{AddressFamily, Protocol as Number, SocketType, ipproto};

use super::super::Network;
use super::super::layout::{FAR_HARDWARE, NEAR_HARDWARE};
use super::super::namespace::Namespace;
use super::probe::{Outcome, Protocol, probe};
use super::spoofing::passed;
use super::world::{Sandbox, World, run};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(140, 82, 112, 10);
/// ICMP, IP in IP, TCP, UDP, GRE, ESP, SCTP, and one that means nothing.
const PROTOCOLS: [u8; 8] = [1, 4, 6, 17, 47, 50, 132, 253];
const ETHERTYPE_IPV4: u16 = 0x0800;

/// A packet with a header of 20 bytes, and what could be the begin of UDP.
fn packet(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, fragment: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 36, 0, 7];
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    let sum: u32 = packet
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap();
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    // From port 7 to port 7, eight bytes of content, no checksum.
    packet.extend([0, 7, 0, 7, 0, 16, 0, 0]);
    packet.extend(*b"by hand!");
    packet
}

/// Sends a packet that brings its own header.
fn send(inside: &Namespace, packet: &[u8]) {
    let to: [u8; 4] = packet[16..20].try_into().unwrap();
    let sent = inside.visit(|| {
        let raw = rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW));
        UdpSocket::from(raw.unwrap()).send_to(packet, SocketAddr::new(to.into(), 0))
    });
    // The sandbox's own kernel may refuse it already; that is not counted on.
    let _ = sent.unwrap();
}

/// Sends a frame out of the sandbox's interface.
#[expect(unsafe_code, reason = "link addresses have no safe wrapper")]
fn send_frame(inside: &Namespace, to: [u8; 6], kind: u16, content: &[u8]) -> io::Result<()> {
    let mut frame = [to, FAR_HARDWARE].concat();
    frame.extend(kind.to_be_bytes());
    frame.extend(content);
    let sent = inside.visit(|| {
        let all = Number::from_raw(core::num::NonZeroU32::new(0x0300).unwrap());
        let socket = rustix::net::socket(AddressFamily::PACKET, SocketType::RAW, Some(all))?;
        let index = rustix::net::netdevice::name_to_index(socket.as_fd(), "eth0")?;
        // SAFETY: all zeros are a valid value of this plain structure.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
        address.sll_ifindex = i32::try_from(index).unwrap();
        address.sll_halen = 6;
        let len = u32::try_from(size_of::<libc::sockaddr_ll>()).unwrap();
        // SAFETY: the frame and the address live until the call returns, and
        // their lengths are told as they are.
        let sent = unsafe {
            libc::sendto(
                socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const address).cast(),
                len,
            )
        };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    });
    sent.unwrap()
}

/// How many packets a sandbox got.
fn heard(sandbox: &Sandbox) -> u64 {
    let script = "sed -n 's/^ *eth0://p' /proc/thread-self/net/dev | awk '{ print $2 }'";
    run(&sandbox.namespace, script).trim().parse().unwrap()
}

/// What is sent by `act` must be refused, and come to nobody.
fn comes_to_nobody(
    world: &World,
    network: &Network,
    sandboxes: &[&Sandbox; 2],
    act: impl FnOnce(),
) {
    let [thief, victim] = sandboxes;
    let before = (passed(world), heard(victim));
    let denied = network.denials(thief.id).unwrap();
    act();
    // Behind it on the same cable, so that it was judged when this is counted.
    let seen = probe(&thief.namespace, Protocol::Udp, OUTSIDE.into());
    assert_eq!(seen, Outcome::Refused);
    assert_eq!((passed(world), heard(victim)), before);
    assert!(network.denials(thief.id).unwrap() > denied);
}

#[test]
fn packets_made_by_hand_get_no_further_than_others() {
    let world = World::new();
    let network = world.open();
    let (thief, own) = Sandbox::attached_to(EgressMode::None, &network);
    let (victim, others) = Sandbox::attached_to(EgressMode::Internet, &network);
    let (own, others) = (own.addresses.v4, others.addresses.v4);
    for protocol in PROTOCOLS {
        for (source, destination) in [
            (own, OUTSIDE),
            (others, OUTSIDE),
            (own, others),
            (OUTSIDE, others),
            (Ipv4Addr::LOCALHOST, others),
        ] {
            comes_to_nobody(&world, &network, &[&thief, &victim], || {
                send(&thief.namespace, &packet(protocol, source, destination, 0));
            });
        }
    }
}

#[test]
fn the_ends_of_packets_get_nowhere_without_their_begin() {
    let world = World::new();
    let network = world.open();
    let (thief, own) = Sandbox::attached_to(EgressMode::None, &network);
    let (victim, others) = Sandbox::attached_to(EgressMode::Internet, &network);
    let (own, others) = (own.addresses.v4, others.addresses.v4);
    // Begins of which more is said to come, ends, and both over each other.
    for fragment in [0x2000, 1, 2, 0x2001, 0x1fff] {
        for destination in [OUTSIDE, others] {
            comes_to_nobody(&world, &network, &[&thief, &victim], || {
                let piece = packet(17, own, destination, fragment);
                send(&thief.namespace, &piece);
                let _ = send_frame(&thief.namespace, NEAR_HARDWARE, ETHERTYPE_IPV4, &piece);
            });
        }
    }
}

#[test]
fn frames_made_by_hand_get_no_further_than_packets() {
    let world = World::new();
    let network = world.open();
    let (thief, own) = Sandbox::attached_to(EgressMode::None, &network);
    let (victim, others) = Sandbox::attached_to(EgressMode::Internet, &network);
    let (own, others) = (own.addresses.v4, others.addresses.v4);
    let neighbours = || run(&network.router, "ip neigh");
    let before = neighbours();
    // An answer to nobody's question: the address of another is here.
    let mut claim = vec![0, 1, 8, 0, 6, 4, 0, 2];
    claim.extend(FAR_HARDWARE);
    claim.extend(others.octets());
    claim.extend(NEAR_HARDWARE);
    claim.extend([169, 254, 1, 1]);
    let inner = |source, destination| packet(17, source, destination, 0);
    let tagged = [&[0, 5, 8, 0][..], &inner(own, OUTSIDE)].concat();
    for (to, kind, content) in [
        (NEAR_HARDWARE, ETHERTYPE_IPV4, inner(own, OUTSIDE)),
        (NEAR_HARDWARE, ETHERTYPE_IPV4, inner(others, OUTSIDE)),
        ([0xff; 6], ETHERTYPE_IPV4, inner(own, others)),
        ([1, 0, 0x5e, 0, 0, 1], ETHERTYPE_IPV4, inner(own, others)),
        // A tag of a virtual network, twice a tag, and a kind that means nothing.
        (NEAR_HARDWARE, 0x8100, tagged.clone()),
        (
            NEAR_HARDWARE,
            0x88a8,
            [&[0, 5, 0x81, 0][..], &tagged].concat(),
        ),
        (NEAR_HARDWARE, 0x88b5, inner(own, OUTSIDE)),
        (NEAR_HARDWARE, 0x0806, claim.clone()),
        ([0xff; 6], 0x0806, claim),
    ] {
        comes_to_nobody(&world, &network, &[&thief, &victim], || {
            send_frame(&thief.namespace, to, kind, &content).unwrap();
        });
    }
    assert_eq!(neighbours(), before);
    // What is made by hand passes where the policy lets it.
    let (open, address) = Sandbox::attached_to(EgressMode::Internet, &network);
    let before = passed(&world);
    let frame = inner(address.addresses.v4, OUTSIDE);
    send_frame(&open.namespace, NEAR_HARDWARE, ETHERTYPE_IPV4, &frame).unwrap();
    let seen = probe(&open.namespace, Protocol::Udp, IpAddr::V4(OUTSIDE));
    assert_eq!(seen, Outcome::Answered);
    assert!(passed(&world) >= before + 2);
}
