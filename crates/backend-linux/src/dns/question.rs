//! From a packet of a sandbox to a question that may be put to others.
//!
//! Pure. Whatever a packet holds, the outcome is a question, an objection that
//! is told, or silence; memory and time are bounded by the size of the packet.

use hickory_proto::op::{Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};

use super::directory::Asker;
use super::sandbox_name;
use super::tally::Cause;

/// The longest packet that can be a question: 255 bytes of name, and options.
pub(super) const LEN_MAX: usize = 1232;
const HEADER_LEN: usize = 12;
/// Answers over UDP are this long at least, whatever the asker says.
pub(super) const PAYLOAD_MIN: u16 = 512;

/// What of a packet its answer has to repeat.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) metadata: Metadata,
    pub(super) query: Option<Query>,
    pub(super) extension: Option<Extension>,
}

/// What an asker says of itself by EDNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extension {
    /// The longest datagram that it takes.
    pub(super) payload: u16,
    /// Whether it wants signatures.
    pub(super) dnssec_ok: bool,
}

/// A question that may be put to an upstream server.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) request: Request,
    pub(super) query: Query,
}

/// Why a packet is not a question that is forwarded.
#[derive(Debug)]
pub(super) enum Objection {
    /// Nothing is said.
    Silence(Cause),
    /// This is said.
    Reply(Box<Request>, ResponseCode, Cause),
}

impl Objection {
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Silence(cause) | Self::Reply(_, _, cause) => *cause,
        }
    }
}

/// Reads a packet.
pub(super) fn read(packet: &[u8]) -> Result<Question, Objection> {
    let request = parse(packet)?;
    let object = |code, cause| Err(Objection::Reply(Box::new(request.clone()), code, cause));
    if request.metadata.op_code != OpCode::Query {
        return object(ResponseCode::NotImp, Cause::Operation);
    }
    let Some(query) = request.query.clone() else {
        return object(ResponseCode::FormErr, Cause::Malformed);
    };
    if query.query_class != DNSClass::IN || !is_served(query.query_type) {
        return object(ResponseCode::Refused, Cause::Type);
    }
    Ok(Question { request, query })
}

/// Reads the request of a packet that is refused in any case.
pub(super) fn parse(packet: &[u8]) -> Result<Request, Objection> {
    let Some((header, _)) = packet.split_first_chunk::<HEADER_LEN>() else {
        return Err(Objection::Silence(Cause::Malformed));
    };
    let [id0, id1, flags, _, q0, q1, an0, an1, ns0, ns1, ..] = *header;
    // Answering answers would make two resolvers talk to each other for ever.
    if flags & 0x80 != 0 {
        return Err(Objection::Silence(Cause::Malformed));
    }
    let malformed = |code, cause| {
        let id = u16::from_be_bytes([id0, id1]);
        let op_code = OpCode::from_u8(flags >> 3 & 0xf);
        let request = Request {
            metadata: Metadata::new(id, MessageType::Query, op_code),
            query: None,
            extension: None,
        };
        Err(Objection::Reply(Box::new(request), code, cause))
    };
    // Looked at before the rest is read, which makes room for what they promise.
    if [q0, q1, an0, an1, ns0, ns1] != [0, 1, 0, 0, 0, 0] || packet.len() > LEN_MAX {
        return malformed(ResponseCode::FormErr, Cause::Malformed);
    }
    let Ok(message) = Message::from_vec(packet) else {
        return malformed(ResponseCode::FormErr, Cause::Malformed);
    };
    let request = Request {
        metadata: message.metadata,
        query: message.queries.into_iter().next(),
        extension: message.edns.as_ref().map(|edns| Extension {
            payload: edns.max_payload().max(PAYLOAD_MIN),
            dnssec_ok: edns.flags().dnssec_ok,
        }),
    };
    if message.edns.is_some_and(|edns| edns.version() != 0) {
        let request = Box::new(request);
        return Err(Objection::Reply(
            request,
            ResponseCode::BADVERS,
            Cause::Operation,
        ));
    }
    Ok(request)
}

impl Question {
    /// Why this sandbox may not ask that, if so.
    pub(super) fn screen(&self, asker: &Asker) -> Result<(), Objection> {
        let reply = |cause| {
            let request = Box::new(self.request.clone());
            Err(Objection::Reply(request, ResponseCode::NXDomain, cause))
        };
        if is_local(&self.query.name) {
            return reply(Cause::LocalName);
        }
        match self.query.name.parse_arpa_name() {
            Ok(net) if !asker.may_reach(net.addr()) => reply(Cause::ClosedAddress),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Names of sandboxes, and of this machine: no server out there knows them, and
/// none should hear of them.
fn is_local(name: &Name) -> bool {
    let top = name.iter().next_back();
    let is_this_machine = top.is_some_and(|label| label.eq_ignore_ascii_case(b"localhost"));
    is_this_machine || sandbox_name::is_within(name)
}

/// The types that programs in sandboxes have a use for. What is not here could
/// carry addresses that nobody looks at, or moves whole zones.
pub(super) fn is_served(kind: RecordType) -> bool {
    use RecordType as T;
    matches!(
        kind,
        T::A | T::AAAA
            | T::CAA
            | T::CERT
            | T::CNAME
            | T::DNSKEY
            | T::DS
            | T::HTTPS
            | T::MX
            | T::NAPTR
            | T::NS
            | T::NSEC
            | T::NSEC3
            | T::NSEC3PARAM
            | T::OPENPGPKEY
            | T::PTR
            | T::RRSIG
            | T::SMIMEA
            | T::SOA
            | T::SRV
            | T::SSHFP
            | T::SVCB
            | T::TLSA
            | T::TXT
    )
}
