//! Ending the flows that connection tracking remembers.
//!
//! A flow that was allowed once passes without being judged again. So whenever
//! a policy ends, the flows opened under it are forgotten, and their next
//! packet is judged like a first one.

use std::net::IpAddr;

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

fn forget_one_by_one(socket: &mut Socket, opened: Opened) -> Result<(), KernelError> {
    let flows = socket.query(&Request {
        what: "list the flows of the sandboxes",
        kind: IPCTNL_MSG_CT_GET,
        flags: Request::DUMP,
        body: header(opened.address()),
    })?;
    flows
        .iter()
        .filter_map(|flow| deletion(flow, opened))
        .try_for_each(|request| match socket.execute(&[request]) {
            // It ended by itself meanwhile.
            Err(error) if error.is_absent() => Ok(()),
            other => other,
        })
}

/// The request that forgets this flow, if it is such a one.
fn deletion(flow: &[u8], opened: Opened) -> Option<Request> {
    let attributes = flow.get(HEADER_LEN..)?;
    let tuple = attribute::find(attributes, opened.tuple())?;
    let addresses = attribute::find(tuple, CTA_TUPLE_IP)?;
    let kind = match opened.address() {
        IpAddr::V4(_) => CTA_IP_V4_SRC,
        IpAddr::V6(_) => CTA_IP_V6_SRC,
    };
    let sender = attribute::find(addresses, kind).and_then(attribute::address)?;
    if sender != opened.address() {
        return None;
    }
    let original = attribute::find(attributes, CTA_TUPLE_ORIG)?;
    let mut body = header(opened.address());
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
