//! As much of DNS as a question for an address takes.
//!
//! One question for addresses of version 4, and the addresses in what comes
//! back. The answer is foreign: a length is believed once it has been looked at,
//! and an answer that cannot be read is an answer that holds nothing.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use palisade_init_protocol::probe::{HostName, Outcome};

use super::heard::Heard;

/// Each socket asks one question, so that the kernel tells answers apart.
const ID: [u8; 2] = [0x70, 0x61];
const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;
/// The most addresses that are told again.
const ADDRESSES_MAX: usize = 8;

/// A question for the addresses of a name.
pub(super) fn question(name: &HostName) -> Vec<u8> {
    let mut packet = Vec::with_capacity(HEADER_BYTES + name.as_str().len() + 6);
    packet.extend_from_slice(&ID);
    // Recursion is desired; one question, and nothing else.
    packet.extend_from_slice(&[0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.as_str().split('.') {
        // No longer than 63 bytes, by construction.
        packet.push(u8::try_from(label.len()).unwrap_or(0));
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend_from_slice(&TYPE_A.to_be_bytes());
    packet.extend_from_slice(&CLASS_IN.to_be_bytes());
    packet
}

/// What an answer says; `None` if it is none to this question.
pub(super) fn heard(packet: &[u8]) -> Option<Heard> {
    let header = packet.first_chunk::<HEADER_BYTES>()?;
    let is_response = header[2] & 0x80 != 0;
    if header[..2] != ID || !is_response {
        return None;
    }
    Some(match header[3] & 0x0f {
        0 => of_addresses(&addresses(packet).unwrap_or_default()),
        3 => Heard::new(Outcome::NoSuchName),
        5 => Heard::new(Outcome::Declined),
        2 => Heard::with(Outcome::Answered, "the server could not find out"),
        code => Heard::with(Outcome::Answered, &format!("response code {code}")),
    })
}

fn of_addresses(addresses: &[Ipv4Addr]) -> Heard {
    if addresses.is_empty() {
        return Heard::with(Outcome::Answered, "no address");
    }
    let mut list = String::new();
    for address in addresses.iter().take(ADDRESSES_MAX) {
        let comma = if list.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(list, "{comma}{address}");
    }
    Heard::with(Outcome::Open, &list)
}

/// The addresses in an answer; `None` if it breaks off.
fn addresses(packet: &[u8]) -> Option<Vec<Ipv4Addr>> {
    let count = |at: usize| Some(u16::from_be_bytes(*packet.get(at..)?.first_chunk()?));
    let mut at = HEADER_BYTES;
    for _ in 0..count(4)? {
        at = skip_name(packet, at)?.checked_add(4)?;
    }
    let mut found = Vec::new();
    for _ in 0..count(6)? {
        at = skip_name(packet, at)?;
        let kind = count(at)?;
        let len = usize::from(count(at.checked_add(8)?)?);
        let data = packet.get(at + 10..)?.get(..len)?;
        if kind == TYPE_A
            && let Ok(address) = <[u8; 4]>::try_from(data)
        {
            found.push(Ipv4Addr::from(address));
        }
        at = at + 10 + len;
    }
    Some(found)
}

/// Where a name ends. It is not followed, as nobody asks what it is.
fn skip_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer & 0xc0 == 0xc0 => return Some(at + 2),
            len => at += 1 + usize::from(len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u8, records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
        let mut packet = question(&"example.com".parse().unwrap());
        packet[2] |= 0x80;
        packet[3] = code;
        packet[7] = u8::try_from(records.len()).unwrap();
        for (name, kind, data) in records {
            packet.extend_from_slice(name);
            packet.extend_from_slice(&kind.to_be_bytes());
            packet.extend_from_slice(&[0, 1, 0, 0, 0, 9]);
            packet.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            packet.extend_from_slice(data);
        }
        packet
    }

    #[test]
    fn a_question_is_what_a_server_expects() {
        let asked = question(&"a.bc".parse().unwrap());
        assert_eq!(&asked[12..], b"\x01a\x02bc\x00\x00\x01\x00\x01");
        assert_eq!(heard(&asked), None, "a question is no answer");
    }

    #[test]
    fn addresses_are_found_among_other_records() {
        let alias: (&[u8], u16, &[u8]) = (b"\xc0\x0c", 5, b"\x01x\x00");
        let first: (&[u8], u16, &[u8]) = (b"\x01x\x00", 1, &[192, 0, 2, 1]);
        let second: (&[u8], u16, &[u8]) = (b"\xc0\x0c", 1, &[192, 0, 2, 2]);
        let said = heard(&answer(0, &[alias, first, second])).unwrap();
        assert_eq!(said, Heard::with(Outcome::Open, "192.0.2.1, 192.0.2.2"));
        let none = heard(&answer(0, &[alias])).unwrap();
        assert_eq!(none.outcome, Outcome::Answered);
    }

    #[test]
    fn codes_say_why_there_is_none() {
        let code = |code| heard(&answer(code, &[])).unwrap().outcome;
        assert_eq!(code(3), Outcome::NoSuchName);
        assert_eq!(code(5), Outcome::Declined);
        assert_eq!(code(2), Outcome::Answered);
    }

    #[test]
    fn an_answer_that_breaks_off_holds_nothing() {
        let record: (&[u8], u16, &[u8]) = (b"\xc0\x0c", 1, &[192, 0, 2, 1]);
        let whole = answer(0, &[record]);
        for len in 0..whole.len() {
            let said = heard(&whole[..len]);
            assert!(
                said.is_none_or(|said| said.outcome == Outcome::Answered),
                "{len}"
            );
        }
    }
}
