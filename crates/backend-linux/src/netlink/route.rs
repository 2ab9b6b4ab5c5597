//! Addresses, routes and neighbours.
//!
//! Only what a point-to-point link needs: addresses without a subnet, routes
//! out of one interface, and neighbours that are known and never asked for.

use std::net::IpAddr;

use palisade_model::cidr::Cidr;

use super::attribute::{self, Body};
use super::interface::HardwareAddress;
use super::{KernelError, Request, Socket};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_GETNEIGH: u16 = 30;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_F_NODAD: u8 = 0x02;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_MULTIPATH: u16 = 9;
const NEXT_HOP_LEN: usize = 8;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
/// Of a route to be removed: whatever its scope is.
const RT_SCOPE_NOWHERE: u8 = 255;
const RTN_UNICAST: u8 = 1;
const RTN_UNREACHABLE: u8 = 7;
const RTNH_F_ONLINK: u32 = 4;

const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_PERMANENT: u16 = 0x80;
const NTF_PROXY: u8 = 0x08;

const ADDRESS_HEADER_LEN: usize = 8;
const ROUTE_HEADER_LEN: usize = 12;
const NEIGHBOUR_HEADER_LEN: usize = 12;

/// Where packets for a destination go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Out of this interface, to the destination itself.
    Link(u32),
    /// Out of this interface, to a gateway that is known to be on its link.
    Gateway(u32, IpAddr),
    /// Nowhere: the sender is told.
    Unreachable,
}

/// An address that an interface has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assigned {
    pub(crate) interface: u32,
    pub(crate) address: IpAddr,
    pub(crate) prefix_len: u8,
}

/// What becomes of packets on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteKind {
    /// They go to another machine.
    Unicast,
    /// They go nowhere.
    Unreachable,
    /// They stay on this one, or go to several.
    Other,
}

/// A route of any table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) is_ipv4: bool,
    /// `None` for a default route.
    pub(crate) destination: Option<Cidr>,
    /// Several if the route has several gateways.
    pub(crate) interfaces: Vec<u32>,
    pub(crate) kind: RouteKind,
    /// Whether it is in the main table.
    pub(crate) is_main: bool,
}

/// Gives an interface an address without a subnet, usable at once.
pub(crate) fn assign(interface: u32, address: IpAddr) -> Request {
    let mut bytes = [0; ADDRESS_HEADER_LEN];
    bytes[0] = family(address);
    bytes[1] = bits(address);
    if address.is_ipv6() {
        bytes[2] = IFA_F_NODAD;
    }
    bytes[4..8].copy_from_slice(&interface.to_ne_bytes());
    let mut body = Body::new(&bytes);
    put(&mut body, IFA_LOCAL, address);
    put(&mut body, IFA_ADDRESS, address);
    Request {
        what: "give an interface an address",
        kind: RTM_NEWADDR,
        flags: Request::CREATE | Request::REPLACE,
        body,
    }
}

/// Adds a route to the main table, in place of one for the same destination.
pub(crate) fn add(destination: Cidr, way: Way) -> Request {
    main_route(destination.first(), destination.prefix_len(), way)
}

/// Removes a route of the main table.
pub(crate) fn remove(destination: Cidr, interface: u32) -> Request {
    let first = destination.first();
    let mut bytes = [0; ROUTE_HEADER_LEN];
    bytes[0] = family(first);
    bytes[1] = destination.prefix_len();
    bytes[4] = RT_TABLE_MAIN;
    bytes[6] = RT_SCOPE_NOWHERE;
    let mut body = Body::new(&bytes);
    put(&mut body, RTA_DST, first);
    body.u32(RTA_OIF, interface);
    Request {
        what: "remove a route",
        kind: RTM_DELROUTE,
        flags: 0,
        body,
    }
}

/// Adds the route for everything that has none of its own.
pub(crate) fn add_default(interface: u32, gateway: IpAddr) -> Request {
    main_route(gateway, 0, Way::Gateway(interface, gateway))
}

fn main_route(first: IpAddr, prefix_len: u8, way: Way) -> Request {
    let (scope, kind, flags) = match way {
        Way::Link(_) => (RT_SCOPE_LINK, RTN_UNICAST, 0),
        Way::Gateway(..) => (RT_SCOPE_UNIVERSE, RTN_UNICAST, RTNH_F_ONLINK),
        Way::Unreachable => (RT_SCOPE_UNIVERSE, RTN_UNREACHABLE, 0),
    };
    let mut bytes = [0; ROUTE_HEADER_LEN];
    bytes[0] = family(first);
    bytes[1] = prefix_len;
    bytes[4] = RT_TABLE_MAIN;
    bytes[5] = RTPROT_STATIC;
    // Version 6 knows no scopes.
    bytes[6] = if first.is_ipv4() { scope } else { 0 };
    bytes[7] = kind;
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    let mut body = Body::new(&bytes);
    if prefix_len > 0 {
        put(&mut body, RTA_DST, first);
    }
    match way {
        Way::Link(interface) => {
            body.u32(RTA_OIF, interface);
        }
        Way::Gateway(interface, gateway) => {
            body.u32(RTA_OIF, interface);
            put(&mut body, RTA_GATEWAY, gateway);
        }
        Way::Unreachable => {}
    }
    Request {
        what: "add a route",
        kind: RTM_NEWROUTE,
        flags: Request::CREATE | Request::REPLACE,
        body,
    }
}

/// Tells the kernel who has an address on a link, for good.
pub(crate) fn neighbour(interface: u32, address: IpAddr, hardware: HardwareAddress) -> Request {
    let mut bytes = [0; NEIGHBOUR_HEADER_LEN];
    bytes[0] = family(address);
    bytes[4..8].copy_from_slice(&interface.to_ne_bytes());
    bytes[8..10].copy_from_slice(&NUD_PERMANENT.to_ne_bytes());
    let mut body = Body::new(&bytes);
    put(&mut body, NDA_DST, address);
    body.bytes(NDA_LLADDR, &hardware);
    Request {
        what: "name the neighbour on a link",
        kind: RTM_NEWNEIGH,
        flags: Request::CREATE | Request::REPLACE,
        body,
    }
}

/// Has an interface answer those who ask on its link for this address, which is
/// somewhere else.
pub(crate) fn answer_for(interface: u32, address: IpAddr) -> Request {
    Request {
        what: "answer for an address on a link",
        kind: RTM_NEWNEIGH,
        flags: Request::CREATE | Request::REPLACE,
        body: proxy(interface, address),
    }
}

/// Has it answer no more.
pub(crate) fn answer_no_more_for(interface: u32, address: IpAddr) -> Request {
    Request {
        what: "answer no more for an address on a link",
        kind: RTM_DELNEIGH,
        flags: 0,
        body: proxy(interface, address),
    }
}

fn proxy(interface: u32, address: IpAddr) -> Body {
    let mut bytes = [0; NEIGHBOUR_HEADER_LEN];
    bytes[0] = family(address);
    bytes[4..8].copy_from_slice(&interface.to_ne_bytes());
    bytes[10] = NTF_PROXY;
    let mut body = Body::new(&bytes);
    put(&mut body, NDA_DST, address);
    body
}

/// Which interfaces answer for which addresses that are somewhere else.
pub(crate) fn answered_for(socket: &mut Socket) -> Result<Vec<(u32, IpAddr)>, KernelError> {
    let mut bytes = [0; NEIGHBOUR_HEADER_LEN];
    bytes[10] = NTF_PROXY;
    let answers = socket.query(&Request {
        what: "list what interfaces answer for",
        kind: RTM_GETNEIGH,
        flags: Request::DUMP,
        body: Body::new(&bytes),
    })?;
    let entry = |answer: &Vec<u8>| {
        let (header, attributes) = answer.split_first_chunk::<NEIGHBOUR_HEADER_LEN>()?;
        let address = attribute::find(attributes, NDA_DST).and_then(attribute::address)?;
        let is_proxy = header[10] & NTF_PROXY != 0;
        is_proxy.then_some((attribute::number(&header[4..8])?, address))
    };
    Ok(answers.iter().filter_map(entry).collect())
}

/// Every address of every interface.
pub(crate) fn assigned(socket: &mut Socket) -> Result<Vec<Assigned>, KernelError> {
    let answers = socket.query(&Request {
        what: "list addresses",
        kind: RTM_GETADDR,
        flags: Request::DUMP,
        body: Body::new(&[0; ADDRESS_HEADER_LEN]),
    })?;
    Ok(answers
        .iter()
        .filter_map(|answer| parse_address(answer))
        .collect())
}

/// Every route of every table, cached ones excepted.
pub(crate) fn list(socket: &mut Socket) -> Result<Vec<Route>, KernelError> {
    let answers = socket.query(&Request {
        what: "list routes",
        kind: RTM_GETROUTE,
        flags: Request::DUMP,
        body: Body::new(&[0; ROUTE_HEADER_LEN]),
    })?;
    Ok(answers
        .iter()
        .filter_map(|answer| parse_route(answer))
        .collect())
}

fn parse_address(answer: &[u8]) -> Option<Assigned> {
    let (header, attributes) = answer.split_first_chunk::<ADDRESS_HEADER_LEN>()?;
    let local = attribute::find(attributes, IFA_LOCAL);
    let address = local.or_else(|| attribute::find(attributes, IFA_ADDRESS))?;
    Some(Assigned {
        interface: attribute::number(&header[4..8])?,
        address: attribute::address(address)?,
        prefix_len: header[1],
    })
}

fn parse_route(answer: &[u8]) -> Option<Route> {
    let (header, attributes) = answer.split_first_chunk::<ROUTE_HEADER_LEN>()?;
    let destination = match attribute::find(attributes, RTA_DST) {
        Some(value) => Some(Cidr::new(attribute::address(value)?, header[1]).ok()?),
        None => None,
    };
    let one = attribute::find(attributes, RTA_OIF).and_then(attribute::number);
    let many = attribute::find(attributes, RTA_MULTIPATH).unwrap_or_default();
    Some(Route {
        is_ipv4: header[0] == AF_INET,
        destination,
        interfaces: one.into_iter().chain(next_hops(many)).collect(),
        kind: match header[7] {
            RTN_UNICAST => RouteKind::Unicast,
            RTN_UNREACHABLE => RouteKind::Unreachable,
            _ => RouteKind::Other,
        },
        is_main: header[4] == RT_TABLE_MAIN,
    })
}

/// The interfaces in a list of `struct rtnexthop`.
fn next_hops(list: &[u8]) -> impl Iterator<Item = u32> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let (hop, _) = rest.split_first_chunk::<NEXT_HOP_LEN>()?;
        let len = usize::from(u16::from_ne_bytes([hop[0], hop[1]]));
        rest = rest.get(len.max(NEXT_HOP_LEN)..).unwrap_or_default();
        attribute::number(&hop[4..8])
    })
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn put(body: &mut Body, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => body.bytes(kind, &address.octets()),
        IpAddr::V6(address) => body.bytes(kind, &address.octets()),
    };
}
