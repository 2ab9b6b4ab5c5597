//! From an upstream server's answer to the answer that a sandbox gets.
//!
//! Pure. An answer is made anew from what was understood of the upstream's:
//! nothing passes that was not read, and no address that the asker may not
//! connect to.

use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::rdata::svcb::{SVCB, SvcParamValue};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};

use super::directory::Asker;
use super::question::{self, PAYLOAD_MIN, Question, Request};
use crate::network::Addresses;

/// The longest datagram that is sent or asked for: longer ones may be lost
/// where packets have to be cut into fragments.
pub(super) const PAYLOAD_MAX: u16 = 1232;
/// What fits behind the two bytes of length on a connection.
pub(super) const STREAM_MAX: usize = u16::MAX as usize;

/// How long the address of a sandbox may be remembered, in seconds: less than
/// the time after which another one can have it.
const SANDBOX_TTL: u32 = 5;

const EXTENDED_ERROR: u16 = 15;
const FILTERED: [u8; 2] = 17u16.to_be_bytes();

/// The answer that holds nothing but a code.
pub(super) fn of_code(request: &Request, code: ResponseCode) -> Message {
    let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
    answer.metadata.recursion_desired = request.metadata.recursion_desired;
    answer.metadata.checking_disabled = request.metadata.checking_disabled;
    answer.metadata.recursion_available = true;
    answer.metadata.response_code = code;
    answer.queries.extend(request.query.clone());
    if let Some(extension) = request.extension {
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD_MAX);
        edns.set_dnssec_ok(extension.dnssec_ok);
        answer.edns = Some(edns);
    }
    answer
}

/// The answer that tells the addresses of a sandbox, of the version asked for.
pub(super) fn of_sandbox(question: &Question, addresses: Addresses) -> Message {
    let mut answer = of_code(&question.request, ResponseCode::NoError);
    answer.metadata.authoritative = true;
    let kind = question.query.query_type;
    let data = if kind == RecordType::A {
        Some(RData::A(A(addresses.v4)))
    } else {
        let v6 = addresses.v6.filter(|_| kind == RecordType::AAAA);
        v6.map(|address| RData::AAAA(AAAA(address)))
    };
    let name = || question.query.name.clone();
    let record = data.map(|data| Record::from_rdata(name(), SANDBOX_TTL, data));
    answer.answers.extend(record);
    answer
}

/// The answer that passes on what the upstream server said, and how many
/// records were left out of it.
pub(super) fn of_upstream(question: &Question, asker: &Asker, said: Message) -> (Message, usize) {
    let code = said.metadata.response_code;
    // Codes of more than four bits speak of the exchange with that server.
    let code = if code.high() == 0 {
        code
    } else {
        ResponseCode::ServFail
    };
    let mut answer = of_code(&question.request, code);
    let total = said.answers.len() + said.authorities.len();
    let passes = |record: &Record| may_pass(record, asker);
    answer.answers = said.answers.into_iter().filter(passes).collect();
    answer.authorities = said.authorities.into_iter().filter(passes).collect();
    let withheld = total - answer.answers.len() - answer.authorities.len();
    answer.metadata.authentic_data = said.metadata.authentic_data && withheld == 0;
    if withheld > 0
        && let Some(edns) = &mut answer.edns
    {
        let option = EdnsOption::Unknown(EXTENDED_ERROR, FILTERED.to_vec());
        edns.options_mut().insert(option);
    }
    (answer, withheld)
}

/// The bytes of an answer for a datagram.
pub(super) fn datagram(request: &Request, answer: &Message) -> Option<Vec<u8>> {
    let payload = request
        .extension
        .map_or(PAYLOAD_MIN, |extension| extension.payload);
    encode(answer, payload.min(PAYLOAD_MAX).into())
}

/// The bytes of an answer for a connection.
pub(super) fn stream(answer: &Message) -> Option<Vec<u8>> {
    encode(answer, STREAM_MAX)
}

/// An answer that is too long becomes one that says so.
fn encode(answer: &Message, len_max: usize) -> Option<Vec<u8>> {
    let fits = |bytes: &Vec<u8>| bytes.len() <= len_max;
    answer
        .to_vec()
        .ok()
        .filter(fits)
        .or_else(|| answer.truncate().to_vec().ok().filter(fits))
}

fn may_pass(record: &Record, asker: &Asker) -> bool {
    let kind = record.record_type();
    if record.dns_class != DNSClass::IN || !(question::is_served(kind) || kind == RecordType::DNAME)
    {
        return false;
    }
    if let Some(address) = record.data.ip_addr() {
        return asker.may_reach(address);
    }
    service(&record.data).is_none_or(|service| leads_only_to(service, asker))
}

fn service(data: &RData) -> Option<&SVCB> {
    if let RData::SVCB(service) = data {
        Some(service)
    } else if let RData::HTTPS(service) = data {
        Some(&service.0)
    } else {
        None
    }
}

/// Whether all addresses that the record hints at may be reached.
fn leads_only_to(service: &SVCB, asker: &Asker) -> bool {
    service.svc_params.iter().all(|(_, value)| {
        if let SvcParamValue::Ipv4Hint(hints) = value {
            hints.0.iter().all(|hint| asker.may_reach(hint.0.into()))
        } else if let SvcParamValue::Ipv6Hint(hints) = value {
            hints.0.iter().all(|hint| asker.may_reach(hint.0.into()))
        } else {
            true
        }
    })
}
