//! A netlink socket that waits for the kernel's answer to everything it sends.
//!
//! It stays in the network namespace in which it was opened, whatever its
//! owner's thread does later. The kernel answers while the request is being
//! sent; the limit on waiting only guards against a lost answer.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::attribute::{self, Body};

const ANSWER_WAIT: Duration = Duration::from_secs(10);
const HEADER_LEN: usize = 16;
const RECEIVE_LEN: usize = 64 * 1024;
/// Acknowledgements of this many messages fit into a receive buffer of the
/// default size.
const MESSAGES_MAX: usize = 64;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// A message to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// What it is meant to do, for errors: the continuation of «could not».
    pub(crate) what: &'static str,
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) body: Body,
}

impl Request {
    /// Replaces what is there.
    pub(crate) const REPLACE: u16 = 0x100;
    /// Fails if it is there already.
    pub(crate) const EXCLUSIVE: u16 = 0x200;
    /// Makes what is not there.
    pub(crate) const CREATE: u16 = 0x400;
    /// Asks for everything of its kind.
    pub(crate) const DUMP: u16 = 0x300;
}

/// What the kernel refused, and why.
#[derive(Debug, thiserror::Error)]
pub struct KernelError {
    /// What was being done: the continuation of «could not».
    what: &'static str,
    /// The kernel's number.
    pub(crate) errno: Errno,
    /// The kernel's words, if it had any.
    detail: Option<String>,
}

impl KernelError {
    pub(crate) fn new(what: &'static str, error: &std::io::Error) -> Self {
        Self {
            what,
            errno: Errno::from_io_error(error).unwrap_or(Errno::IO),
            detail: None,
        }
    }

    /// For something that should be there and is not.
    pub(crate) fn absent(what: &'static str) -> Self {
        Self {
            what,
            errno: Errno::NOENT,
            detail: None,
        }
    }

    /// Whether the thing that the request was about does not exist.
    pub(crate) fn is_absent(&self) -> bool {
        [Errno::NOENT, Errno::NODEV, Errno::SRCH, Errno::NXIO].contains(&self.errno)
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.what, self.errno)?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

/// One answer of the kernel.
struct Answer<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

/// Which requests of an exchange only mark the bounds of a transaction.
#[derive(Clone, Copy)]
enum Bounds {
    None,
    FirstAndLast,
}

/// A netlink socket of one namespace.
pub(crate) struct Socket {
    inner: netlink_sys::Socket,
    sequence: u32,
    received: Vec<u8>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}

impl Socket {
    /// For links, addresses, routes and neighbours of the present namespace.
    pub(crate) fn route() -> Result<Self, KernelError> {
        Self::open(NETLINK_ROUTE)
    }

    /// For nftables and connection tracking of the present namespace.
    pub(crate) fn netfilter() -> Result<Self, KernelError> {
        Self::open(NETLINK_NETFILTER)
    }

    fn open(protocol: isize) -> Result<Self, KernelError> {
        let open = || {
            let mut inner = netlink_sys::Socket::new(protocol)?;
            inner.bind_auto()?;
            inner.connect(&netlink_sys::SocketAddr::new(0, 0))?;
            inner.set_cap_ack(true)?;
            inner.set_ext_ack(true)?;
            set_socket_timeout(&inner, Timeout::Recv, Some(ANSWER_WAIT))?;
            Ok(inner)
        };
        Ok(Self {
            inner: open().map_err(|error| KernelError::new("open a netlink socket", &error))?,
            sequence: 0,
            received: Vec::with_capacity(RECEIVE_LEN),
        })
    }

    /// Has the kernel carry out all requests, each by itself, and returns the
    /// first refusal. Later requests are carried out even if one is refused.
    pub(crate) fn execute(&mut self, requests: &[Request]) -> Result<(), KernelError> {
        requests
            .chunks(MESSAGES_MAX)
            .try_for_each(|chunk| self.transmit(chunk, Bounds::None))
    }

    /// Has the kernel carry out all requests or none of them. The first and the
    /// last one mark the bounds of the transaction and are not acknowledged.
    pub(crate) fn transact(&mut self, requests: &[Request]) -> Result<(), KernelError> {
        debug_assert!(requests.len() <= MESSAGES_MAX, "answers would be lost");
        self.transmit(requests, Bounds::FirstAndLast)
    }

    /// Asks, and returns the payloads of the answers.
    pub(crate) fn query(&mut self, request: &Request) -> Result<Vec<Vec<u8>>, KernelError> {
        for _ in 0..8 {
            if let Some(answers) = self.query_once(request)? {
                return Ok(answers);
            }
        }
        Err(KernelError {
            what: request.what,
            errno: Errno::AGAIN,
            detail: Some("it changes faster than it can be read".to_owned()),
        })
    }

    /// What the kernel says by itself: kinds and payloads. Waits if it says nothing.
    pub(crate) fn overhear(
        &mut self,
        what: &'static str,
    ) -> Result<Vec<(u16, Vec<u8>)>, KernelError> {
        self.receive(what)?;
        let said = Answers(&self.received);
        Ok(said
            .map(|answer| (answer.kind, answer.payload.to_vec()))
            .collect())
    }

    /// `None` if the answer is inconsistent because something changed meanwhile.
    fn query_once(&mut self, request: &Request) -> Result<Option<Vec<Vec<u8>>>, KernelError> {
        let mut reply = Reply {
            sequence: self.sequence.wrapping_add(1),
            payloads: Vec::new(),
            is_consistent: true,
            is_complete: false,
        };
        let mut datagram = Vec::new();
        self.append(&mut datagram, request, NLM_F_ACK);
        self.send(&datagram, request.what)?;
        while !reply.is_complete {
            self.receive(request.what)?;
            for answer in Answers(&self.received) {
                reply.take(&answer, request.what)?;
            }
        }
        Ok(reply.is_consistent.then_some(reply.payloads))
    }

    fn transmit(&mut self, requests: &[Request], bounds: Bounds) -> Result<(), KernelError> {
        let Some(what) = requests.first().map(|request| request.what) else {
            return Ok(());
        };
        let mut exchange = Exchange {
            requests,
            bounds,
            first: self.sequence.wrapping_add(1),
            waiting: 0,
            outcome: Ok(()),
        };
        let mut datagram = Vec::new();
        for (place, request) in requests.iter().enumerate() {
            if exchange.is_bound(place) {
                self.append(&mut datagram, request, 0);
            } else {
                self.append(&mut datagram, request, NLM_F_ACK);
                exchange.waiting += 1;
            }
        }
        self.send(&datagram, what)?;
        while exchange.waiting > 0 {
            self.receive(what)?;
            for answer in Answers(&self.received) {
                exchange.take(&answer)?;
            }
        }
        exchange.outcome
    }

    fn append(&mut self, datagram: &mut Vec<u8>, request: &Request, flags: u16) {
        self.sequence = self.sequence.wrapping_add(1);
        let body = request.body.as_slice();
        let len = u32::try_from(HEADER_LEN + body.len()).unwrap_or(u32::MAX);
        let flags = request.flags | flags | NLM_F_REQUEST;
        datagram.extend_from_slice(&len.to_ne_bytes());
        datagram.extend_from_slice(&request.kind.to_ne_bytes());
        datagram.extend_from_slice(&flags.to_ne_bytes());
        datagram.extend_from_slice(&self.sequence.to_ne_bytes());
        datagram.extend_from_slice(&0u32.to_ne_bytes());
        datagram.extend_from_slice(body);
        datagram.resize(datagram.len().next_multiple_of(4), 0);
    }

    fn send(&self, datagram: &[u8], what: &'static str) -> Result<(), KernelError> {
        self.inner
            .send(datagram, 0)
            .map(|_| ())
            .map_err(|error| KernelError::new(what, &error))
    }

    fn receive(&mut self, what: &'static str) -> Result<(), KernelError> {
        loop {
            self.received.clear();
            match self.inner.recv(&mut self.received, 0) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(KernelError::new(what, &error)),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// What has been heard so far in answer to a question.
struct Reply {
    sequence: u32,
    payloads: Vec<Vec<u8>>,
    is_consistent: bool,
    is_complete: bool,
}

impl Reply {
    fn take(&mut self, answer: &Answer<'_>, what: &'static str) -> Result<(), KernelError> {
        if answer.sequence != self.sequence {
            return Ok(()); // to an earlier question that was given up
        }
        self.is_consistent &= answer.flags & NLM_F_DUMP_INTR == 0;
        match answer.kind {
            NLMSG_ERROR => {
                self.is_complete = true;
                return refusal(answer, what);
            }
            NLMSG_DONE => self.is_complete = true,
            _ => self.payloads.push(answer.payload.to_vec()),
        }
        Ok(())
    }
}

/// What has been heard so far in answer to orders.
struct Exchange<'a> {
    requests: &'a [Request],
    bounds: Bounds,
    /// The number of the first request.
    first: u32,
    waiting: usize,
    outcome: Result<(), KernelError>,
}

impl Exchange<'_> {
    fn is_bound(&self, place: usize) -> bool {
        match self.bounds {
            Bounds::None => false,
            Bounds::FirstAndLast => place == 0 || place + 1 == self.requests.len(),
        }
    }

    fn take(&mut self, answer: &Answer<'_>) -> Result<(), KernelError> {
        let place = answer.sequence.wrapping_sub(self.first) as usize;
        let Some(request) = self.requests.get(place) else {
            return Ok(()); // to an earlier order that was given up
        };
        if answer.kind != NLMSG_ERROR {
            return Ok(());
        }
        let refusal = refusal(answer, request.what);
        if self.is_bound(place) {
            // The transaction failed as a whole; no other answer need come.
            return refusal;
        }
        self.waiting = self.waiting.saturating_sub(1);
        if self.outcome.is_ok() {
            self.outcome = refusal;
        }
        Ok(())
    }
}

/// Reads the messages of one datagram.
struct Answers<'a>(&'a [u8]);

impl<'a> Iterator for Answers<'a> {
    type Item = Answer<'a>;

    fn next(&mut self) -> Option<Answer<'a>> {
        let (header, _) = self.0.split_first_chunk::<HEADER_LEN>()?;
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
        let len = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let payload = self.0.get(HEADER_LEN..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Answer {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            payload,
        })
    }
}

fn refusal(answer: &Answer<'_>, what: &'static str) -> Result<(), KernelError> {
    let code = answer.payload.first_chunk::<4>();
    let code = code.map_or(0, |code| i32::from_ne_bytes(*code));
    if code == 0 {
        return Ok(());
    }
    Err(KernelError {
        what,
        errno: Errno::from_raw_os_error(code.wrapping_neg()),
        detail: detail(answer),
    })
}

/// The words that newer kernels put behind the message that they refuse.
fn detail(answer: &Answer<'_>) -> Option<String> {
    if answer.flags & NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let refused = answer.payload.get(4..)?;
    let len = if answer.flags & NLM_F_CAPPED == 0 {
        u32::from_ne_bytes(*refused.first_chunk::<4>()?) as usize
    } else {
        HEADER_LEN
    };
    let rest = refused.get(len.next_multiple_of(4)..)?;
    let words = attribute::find(rest, NLMSGERR_ATTR_MSG).and_then(attribute::text)?;
    Some(words.to_owned())
}
