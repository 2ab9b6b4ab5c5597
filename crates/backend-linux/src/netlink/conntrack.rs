//! Ending the flows that connection tracking remembers.
//!
//! A flow that was allowed once passes without being judged again. So whenever
//! a policy ends, the flows opened under it are forgotten, and their next
//! packet is judged like a first one.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::io::Errno;

use super::attribute::{self, Body};
use super::{KernelError, Request, Socket};

const SUBSYSTEM: u16 = 1;
const IPCTNL_MSG_CT_GET: u16 = (SUBSYSTEM << 8) | 1;
const IPCTNL_MSG_CT_DELETE: u16 = (SUBSYSTEM << 8) | 2;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ZONE: u16 = 18;
const CTA_FILTER: u16 = 25;
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
const CTA_FILTER_F_CTA_IP_SRC: u32 = 1;
const CTA_TUPLE_IP: u16 = 1;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V6_SRC: u16 = 3;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const HEADER_LEN: usize = 4;
/// Makes the kernel look at the address family of the request.
const VERSION: u8 = 1;

/// Flows by who is at one end of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// This address opened them.
    By(IpAddr),
    /// This address answers in them, whatever address they were opened to.
    To(IpAddr),
}

impl Opened {
    fn address(self) -> IpAddr {
        match self {
            Self::By(address) | Self::To(address) => address,
        }
    }

    /// The side of a flow on which the address is the sender.
    fn tuple(self) -> u16 {
        match self {
            Self::By(_) => CTA_TUPLE_ORIG,
            Self::To(_) => CTA_TUPLE_REPLY,
        }
    }

    fn flags(self) -> u16 {
        match self {
            Self::By(_) => CTA_FILTER_ORIG_FLAGS,
            Self::To(_) => CTA_FILTER_REPLY_FLAGS,
        }
    }
}

/// Forgets every such flow.
pub(crate) fn forget(socket: &mut Socket, opened: Opened) -> Result<(), KernelError> {
    if opened.address().is_ipv6() {
        // Told of an address of version 6, kernels forget the flows of all others.
        return forget_one_by_one(socket, opened);
    }
    match socket.execute(&[matching(opened)]) {
        // Kernels before 6.10 can only be told of one flow at a time.
        Err(error) if [Errno::INVAL, Errno::OPNOTSUPP].contains(&error.errno) => {
            forget_one_by_one(socket, opened)
        }
        other => other,
    }
}

fn matching(opened: Opened) -> Request {
    let mut body = header(opened.address());
    body.nest(opened.tuple(), |tuple| {
        tuple.nest(CTA_TUPLE_IP, |addresses| {
            match opened.address() {
                IpAddr::V4(source) => addresses.bytes(CTA_IP_V4_SRC, &source.octets()),
                IpAddr::V6(source) => addresses.bytes(CTA_IP_V6_SRC, &source.octets()),
            };
        });
    })
    .nest(CTA_FILTER, |filter| {
        filter.u32(opened.flags(), CTA_FILTER_F_CTA_IP_SRC);
    });
    Request {
        what: "end the flows of a sandbox",
        kind: IPCTNL_MSG_CT_DELETE,
        flags: 0,
        body,
    }
}

/// Forgets every flow that one of these addresses opened or answers in, for the
/// price of looking at all flows once.
pub(crate) fn forget_all(
    socket: &mut Socket,
    addresses: &HashSet<IpAddr>,
) -> Result<(), KernelError> {
    let likes = [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ];
    let is_one = |address: &IpAddr| addresses.contains(address);
    for like in likes {
        if addresses.iter().any(|own| own.is_ipv4() == like.is_ipv4()) {
            forget_where(socket, like, |flow| {
                let ends = [CTA_TUPLE_ORIG, CTA_TUPLE_REPLY];
                ends.iter()
                    .any(|tuple| sender(flow, *tuple).as_ref().is_some_and(is_one))
            })?;
        }
    }
    Ok(())
}

fn forget_one_by_one(socket: &mut Socket, opened: Opened) -> Result<(), KernelError> {
    forget_where(socket, opened.address(), |flow| {
        sender(flow, opened.tuple()) == Some(opened.address())
    })
}

/// Forgets the flows, of the same version as an address, that `is_meant`.
fn forget_where(
    socket: &mut Socket,
    like: IpAddr,
    is_meant: impl Fn(&[u8]) -> bool,
) -> Result<(), KernelError> {
    let flows = socket.query(&Request {
        what: "list the flows of the sandboxes",
        kind: IPCTNL_MSG_CT_GET,
        flags: Request::DUMP,
        body: header(like),
    })?;
    flows
        .iter()
        .filter_map(|flow| flow.get(HEADER_LEN..))
        .filter(|flow| is_meant(flow))
        .filter_map(|flow| deletion(flow, like))
        .try_for_each(|request| match socket.execute(&[request]) {
            // It ended by itself meanwhile.
            Err(error) if error.is_absent() => Ok(()),
            other => other,
        })
}

/// Who sends on a side of a flow.
fn sender(flow: &[u8], tuple: u16) -> Option<IpAddr> {
    let tuple = attribute::find(flow, tuple)?;
    let addresses = attribute::find(tuple, CTA_TUPLE_IP)?;
    let sender = attribute::find(addresses, CTA_IP_V4_SRC)
        .or_else(|| attribute::find(addresses, CTA_IP_V6_SRC));
    sender.and_then(attribute::address)
}

/// The request that forgets this flow.
fn deletion(attributes: &[u8], like: IpAddr) -> Option<Request> {
    let original = attribute::find(attributes, CTA_TUPLE_ORIG)?;
    let mut body = header(like);
    body.nest(CTA_TUPLE_ORIG, |copy| {
        copy.raw(original);
    });
    if let Some(zone) = attribute::find(attributes, CTA_ZONE) {
        body.bytes(CTA_ZONE, zone);
    }
    Some(Request {
        what: "end a flow of a sandbox",
        kind: IPCTNL_MSG_CT_DELETE,
        flags: 0,
        body,
    })
}

/// `struct nfgenmsg`.
fn header(like: IpAddr) -> Body {
    let family = match like {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    };
    Body::new(&[family, VERSION, 0, 0])
}
