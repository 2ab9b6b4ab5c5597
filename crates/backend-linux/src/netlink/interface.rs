//! Network interfaces: making, changing, removing and listing them.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use super::attribute::{self, Body};
use super::{KernelError, Request, Socket};
use crate::pause::pause;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GROUP: u16 = 27;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;

const HEADER_LEN: usize = 16;
const AF_INET6: u16 = 10;
const IFF_UP: u32 = 1;
const IF_OPER_UP: u8 = 6;
const PASSING_LOOKS_MAX: u32 = 500;
const PASSING_PAUSE: Duration = Duration::from_millis(2);

/// The loopback interface, first in every namespace.
pub(crate) const LOOPBACK_INDEX: u32 = 1;

/// The address of an interface on its link.
pub(crate) type HardwareAddress = [u8; 6];

/// One end of a virtual cable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End<'a> {
    pub(crate) name: &'a str,
    pub(crate) hardware: HardwareAddress,
}

/// An interface that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) is_up: bool,
    /// Whether packets get out. While it is up but this is false, they are lost.
    pub(crate) is_passing: bool,
    pub(crate) mtu: Option<u32>,
    /// The other end of the cable, as its own namespace numbers it.
    pub(crate) peer: Option<u32>,
    /// Free text that the maker attached.
    pub(crate) alias: Option<String>,
}

impl Interface {
    /// Whether the two are the ends of one cable between two namespaces.
    pub(crate) fn is_peer_of(&self, other: &Self) -> bool {
        self.peer == Some(other.index) && other.peer == Some(self.index)
    }
}

/// Makes a virtual cable from `near`, here, to `far` in another namespace.
///
/// Both ends are down, and neither ever gives itself an address.
pub(crate) fn cable(near: End<'_>, far: End<'_>, namespace: BorrowedFd<'_>, mtu: u32) -> Request {
    let mut body = header(0, 0, 0);
    end(&mut body, near, mtu);
    body.nest(IFLA_LINKINFO, |info| {
        info.text(IFLA_INFO_KIND, "veth")
            .nest(IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |peer| {
                    peer.raw(header(0, 0, 0).as_slice());
                    end(peer, far, mtu);
                    let fd = namespace.as_raw_fd().cast_unsigned();
                    peer.u32(IFLA_NET_NS_FD, fd);
                });
            });
    });
    Request {
        what: "make a pair of interfaces",
        kind: RTM_NEWLINK,
        flags: Request::CREATE | Request::EXCLUSIVE,
        body,
    }
}

fn end(body: &mut Body, end: End<'_>, mtu: u32) {
    body.text(IFLA_IFNAME, end.name)
        .bytes(IFLA_ADDRESS, &end.hardware)
        .u32(IFLA_MTU, mtu)
        .u32(IFLA_NUM_TX_QUEUES, 1)
        .u32(IFLA_NUM_RX_QUEUES, 1);
}

/// Keeps the kernel from giving the interface addresses of its own making.
pub(crate) fn without_own_addresses(index: u32) -> Request {
    let mut body = header(index, 0, 0);
    body.nest(IFLA_AF_SPEC, |families| {
        families.nest(AF_INET6, |inet6| {
            inet6.bytes(IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
        });
    });
    Request {
        what: "keep an interface from giving itself addresses",
        kind: RTM_SETLINK,
        flags: 0,
        body,
    }
}

pub(crate) fn up(index: u32) -> Request {
    Request {
        what: "bring an interface up",
        kind: RTM_SETLINK,
        flags: 0,
        body: header(index, IFF_UP, IFF_UP),
    }
}

/// Attaches free text, for people and for the next process that looks.
pub(crate) fn alias(index: u32, text: &str) -> Request {
    let mut body = header(index, 0, 0);
    body.bytes(IFLA_IFALIAS, text.as_bytes());
    Request {
        what: "label an interface",
        kind: RTM_SETLINK,
        flags: 0,
        body,
    }
}

/// Removes an interface, and the other end of its cable with it.
pub(crate) fn remove(name: &str) -> Request {
    let mut body = header(0, 0, 0);
    body.text(IFLA_IFNAME, name);
    Request {
        what: "remove an interface",
        kind: RTM_DELLINK,
        flags: 0,
        body,
    }
}

/// Puts an interface into a group.
pub(crate) fn put_in_group(name: &str, group: u32) -> Request {
    let mut body = header(0, 0, 0);
    body.text(IFLA_IFNAME, name).u32(IFLA_GROUP, group);
    Request {
        what: "put an interface into a group",
        kind: RTM_SETLINK,
        flags: 0,
        body,
    }
}

/// Removes all interfaces of a group, and the other ends of their cables with them.
pub(crate) fn remove_group(group: u32) -> Request {
    let mut body = header(0, 0, 0);
    body.u32(IFLA_GROUP, group);
    Request {
        what: "remove interfaces",
        kind: RTM_DELLINK,
        flags: 0,
        body,
    }
}

/// The interface with this name, if it exists.
pub(crate) fn get(socket: &mut Socket, name: &str) -> Result<Option<Interface>, KernelError> {
    let mut body = header(0, 0, 0);
    body.text(IFLA_IFNAME, name);
    let request = Request {
        what: "look up an interface",
        kind: RTM_GETLINK,
        flags: 0,
        body,
    };
    match socket.query(&request) {
        Ok(answers) => Ok(answers.iter().find_map(|answer| parse(answer))),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until packets get out of an interface whose other end just came up.
///
/// The kernel sees to that later, when it has time, and loses packets until
/// then; kernels since 6.8 do it when they are asked about the interface. After
/// a second this gives up waiting, as losing the first packets does no harm.
pub(crate) fn await_passing(socket: &mut Socket, name: &str) -> Result<(), KernelError> {
    for _ in 0..PASSING_LOOKS_MAX {
        match get(socket, name)? {
            Some(interface) if interface.is_up && !interface.is_passing => {
                pause(PASSING_PAUSE);
            }
            Some(_) | None => break,
        }
    }
    Ok(())
}

/// Every interface.
pub(crate) fn list(socket: &mut Socket) -> Result<Vec<Interface>, KernelError> {
    let answers = socket.query(&Request {
        what: "list interfaces",
        kind: RTM_GETLINK,
        flags: Request::DUMP,
        body: header(0, 0, 0),
    })?;
    Ok(answers.iter().filter_map(|answer| parse(answer)).collect())
}

/// `struct ifinfomsg`.
fn header(index: u32, flags: u32, change: u32) -> Body {
    let mut bytes = [0; HEADER_LEN];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    Body::new(&bytes)
}

fn parse(answer: &[u8]) -> Option<Interface> {
    let (header, attributes) = answer.split_first_chunk::<HEADER_LEN>()?;
    let text = |kind| {
        attribute::find(attributes, kind)
            .and_then(attribute::text)
            .map(str::to_owned)
    };
    Some(Interface {
        index: attribute::number(&header[4..8])?,
        name: text(IFLA_IFNAME)?,
        is_up: attribute::number(&header[8..12])? & IFF_UP != 0,
        is_passing: attribute::find(attributes, IFLA_OPERSTATE) == Some(&[IF_OPER_UP]),
        mtu: attribute::find(attributes, IFLA_MTU).and_then(attribute::number),
        peer: attribute::find(attributes, IFLA_LINK).and_then(attribute::number),
        alias: text(IFLA_IFALIAS),
    })
}
