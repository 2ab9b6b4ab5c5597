//! The elements of nftables' sets and maps.
//!
//! Tables, chains and rules are loaded as text by `nft`, once. What changes
//! with each sandbox is only elements, and those are changed here, all of a
//! [`Change`] list in one transaction: packets see none of it or all of it.

use super::attribute::{self, Body};
use super::{KernelError, Request, Socket};

const SUBSYSTEM: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
const NFT_MSG_GETTABLE: u16 = (SUBSYSTEM << 8) | 1;
const NFT_MSG_GETCHAIN: u16 = (SUBSYSTEM << 8) | 4;
const NFT_MSG_NEWSETELEM: u16 = (SUBSYSTEM << 8) | 0xc;
const NFT_MSG_GETSETELEM: u16 = (SUBSYSTEM << 8) | 0xd;
const NFT_MSG_DELSETELEM: u16 = (SUBSYSTEM << 8) | 0xe;

const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_INET: u8 = 1;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;

const NFTA_TABLE_NAME: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_SET_ELEM_EXPR: u16 = 7;
const NFTA_SET_ELEM_KEY_END: u16 = 10;
const NFTA_SET_ELEM_EXPRESSIONS: u16 = 11;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_COUNTER_PACKETS: u16 = 2;

/// Keeps a message well below the 64 KiB that a nested attribute can hold.
const ELEMENTS_MAX: usize = 256;

/// The forward hook, as chains name it.
pub(crate) const HOOK_FORWARD: u32 = 2;
/// The policy that lets nothing pass.
pub(crate) const POLICY_DROP: u32 = 0;

/// An element of a set or a map. Fields of a key are each padded to four bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) key: Vec<u8>,
    /// The highest key, if the element is a range.
    pub(crate) key_end: Option<Vec<u8>>,
    /// What a map gives for the key.
    pub(crate) value: Option<Vec<u8>>,
}

impl Element {
    /// An element that is there or not, and says no more.
    pub(crate) fn key(key: Vec<u8>) -> Self {
        Self {
            key,
            key_end: None,
            value: None,
        }
    }
}

/// Whether elements come or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// They must not be there yet.
    Add,
    /// They must be there.
    Remove,
}

/// Elements that come to or go from one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) kind: Kind,
    pub(crate) set: &'static str,
    pub(crate) elements: Vec<Element>,
}

/// A chain that the kernel calls by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseChain {
    pub(crate) table: String,
    pub(crate) name: String,
    pub(crate) hook: u32,
    pub(crate) policy: u32,
}

/// Makes all changes to an `inet` table, or none of them.
pub(crate) fn apply(
    socket: &mut Socket,
    table: &str,
    changes: &[Change],
) -> Result<(), KernelError> {
    let mut requests = vec![bound(NFNL_MSG_BATCH_BEGIN)];
    for change in changes {
        let chunks = change.elements.chunks(ELEMENTS_MAX);
        requests.extend(chunks.map(|chunk| request(table, change, chunk)));
    }
    if requests.len() == 1 {
        return Ok(());
    }
    requests.push(bound(NFNL_MSG_BATCH_END));
    socket.transact(&requests)
}

/// Marks the begin or the end of a transaction.
fn bound(kind: u16) -> Request {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    Request {
        what: "change the network policy",
        kind,
        flags: 0,
        body: Body::new(&[NFPROTO_UNSPEC, 0, high, low]),
    }
}

fn request(table: &str, change: &Change, elements: &[Element]) -> Request {
    let mut body = header(NFPROTO_INET);
    body.text(NFTA_SET_ELEM_LIST_TABLE, table)
        .text(NFTA_SET_ELEM_LIST_SET, change.set)
        .nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
            for element in elements {
                list.nest(NFTA_LIST_ELEM, |body| put(body, element));
            }
        });
    match change.kind {
        Kind::Add => Request {
            what: "add to the network policy",
            kind: NFT_MSG_NEWSETELEM,
            flags: Request::CREATE | Request::EXCLUSIVE,
            body,
        },
        Kind::Remove => Request {
            what: "remove from the network policy",
            kind: NFT_MSG_DELSETELEM,
            flags: 0,
            body,
        },
    }
}

fn put(body: &mut Body, element: &Element) {
    let data = |bytes: &[u8], body: &mut Body| {
        body.bytes(NFTA_DATA_VALUE, bytes);
    };
    body.nest(NFTA_SET_ELEM_KEY, |body| data(&element.key, body));
    if let Some(end) = &element.key_end {
        body.nest(NFTA_SET_ELEM_KEY_END, |body| data(end, body));
    }
    if let Some(value) = &element.value {
        body.nest(NFTA_SET_ELEM_DATA, |body| data(value, body));
    }
}

/// Whether this `inet` table exists.
pub(crate) fn has_table(socket: &mut Socket, table: &str) -> Result<bool, KernelError> {
    let mut body = header(NFPROTO_INET);
    body.text(NFTA_TABLE_NAME, table);
    let found = socket.query(&Request {
        what: "look up a table of rules",
        kind: NFT_MSG_GETTABLE,
        flags: 0,
        body,
    });
    match found {
        Ok(_) => Ok(true),
        Err(error) if error.is_absent() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The names of all `inet` tables.
pub(crate) fn tables(socket: &mut Socket) -> Result<Vec<String>, KernelError> {
    let answers = socket.query(&Request {
        what: "list the tables of rules",
        kind: NFT_MSG_GETTABLE,
        flags: Request::DUMP,
        body: header(NFPROTO_INET),
    })?;
    let names = answers.iter().filter_map(|answer| {
        let name = attribute::find(answer.get(HEADER_LEN..)?, NFTA_TABLE_NAME)?;
        attribute::text(name).map(str::to_owned)
    });
    Ok(names.collect())
}

/// The chains that the kernel calls by itself with packets of either version.
pub(crate) fn base_chains(socket: &mut Socket) -> Result<Vec<BaseChain>, KernelError> {
    let answers = socket.query(&Request {
        what: "list the chains of rules",
        kind: NFT_MSG_GETCHAIN,
        flags: Request::DUMP,
        body: header(NFPROTO_UNSPEC),
    })?;
    Ok(answers
        .iter()
        .filter_map(|answer| parse_chain(answer))
        .collect())
}

fn parse_chain(answer: &[u8]) -> Option<BaseChain> {
    let (header, attributes) = answer.split_first_chunk::<HEADER_LEN>()?;
    if ![NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6].contains(&header[0]) {
        return None;
    }
    let text = |kind| {
        attribute::find(attributes, kind)
            .and_then(attribute::text)
            .map(str::to_owned)
    };
    let hook = attribute::find(attributes, NFTA_CHAIN_HOOK)?;
    Some(BaseChain {
        table: text(NFTA_CHAIN_TABLE)?,
        name: text(NFTA_CHAIN_NAME)?,
        hook: big_endian(attribute::find(hook, NFTA_HOOK_HOOKNUM)?)?,
        policy: big_endian(attribute::find(attributes, NFTA_CHAIN_POLICY)?)?,
    })
}

/// The keys of a set, each with what its counter has counted so far.
pub(crate) fn counts(
    socket: &mut Socket,
    table: &str,
    set: &str,
) -> Result<Vec<(Vec<u8>, u64)>, KernelError> {
    let answers = socket.query(&elements_of(table, set, &[]))?;
    Ok(answers.iter().flat_map(|answer| counted(answer)).collect())
}

/// What the counter of one element has counted; `None` if there is no such.
pub(crate) fn count(
    socket: &mut Socket,
    table: &str,
    set: &str,
    key: &[u8],
) -> Result<Option<u64>, KernelError> {
    match socket.query(&elements_of(table, set, key)) {
        Ok(answers) => Ok(answers
            .iter()
            .flat_map(|answer| counted(answer))
            .map(|(_, count)| count)
            .next()),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a set has this key.
pub(crate) fn has(
    socket: &mut Socket,
    table: &str,
    set: &str,
    key: &[u8],
) -> Result<bool, KernelError> {
    match socket.query(&elements_of(table, set, key)) {
        Ok(_) => Ok(true),
        Err(error) if error.is_absent() => Ok(false),
        Err(error) => Err(error),
    }
}

/// A key of a map, and what it gives.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

/// Every entry of a map.
pub(crate) fn entries(
    socket: &mut Socket,
    table: &str,
    map: &str,
) -> Result<Vec<Entry>, KernelError> {
    let answers = socket.query(&elements_of(table, map, &[]))?;
    let entry = |(_, element): (u16, &[u8])| {
        let part = |kind| attribute::find(attribute::find(element, kind)?, NFTA_DATA_VALUE);
        Some((
            part(NFTA_SET_ELEM_KEY)?.to_vec(),
            part(NFTA_SET_ELEM_DATA)?.to_vec(),
        ))
    };
    Ok(answers
        .iter()
        .flat_map(|answer| attribute::attributes(listed(answer)))
        .filter_map(entry)
        .collect())
}

/// Asks for one element, or for all of them if the key is empty.
fn elements_of(table: &str, set: &str, key: &[u8]) -> Request {
    let mut body = header(NFPROTO_INET);
    body.text(NFTA_SET_ELEM_LIST_TABLE, table)
        .text(NFTA_SET_ELEM_LIST_SET, set);
    if !key.is_empty() {
        let element = Element {
            key: key.to_vec(),
            key_end: None,
            value: None,
        };
        body.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
            list.nest(NFTA_LIST_ELEM, |body| put(body, &element));
        });
    }
    Request {
        what: "read the elements of a set",
        kind: NFT_MSG_GETSETELEM,
        flags: if key.is_empty() { Request::DUMP } else { 0 },
        body,
    }
}

fn counted(answer: &[u8]) -> Vec<(Vec<u8>, u64)> {
    attribute::attributes(listed(answer))
        .filter_map(|(_, element)| {
            let key = attribute::find(element, NFTA_SET_ELEM_KEY)?;
            let key = attribute::find(key, NFTA_DATA_VALUE)?;
            Some((key.to_vec(), counter(element).unwrap_or(0)))
        })
        .collect()
}

/// The elements in an answer.
fn listed(answer: &[u8]) -> &[u8] {
    let attributes = answer.get(HEADER_LEN..).unwrap_or_default();
    attribute::find(attributes, NFTA_SET_ELEM_LIST_ELEMENTS).unwrap_or_default()
}

/// Looks where kernels put the only expression, and where they put several.
fn counter(element: &[u8]) -> Option<u64> {
    let only = attribute::find(element, NFTA_SET_ELEM_EXPR);
    let many = attribute::find(element, NFTA_SET_ELEM_EXPRESSIONS).unwrap_or_default();
    let many = attribute::attributes(many).map(|(_, expression)| expression);
    only.into_iter().chain(many).find_map(|expression| {
        let name = attribute::find(expression, NFTA_EXPR_NAME).and_then(attribute::text)?;
        let data = attribute::find(expression, NFTA_EXPR_DATA)?;
        let packets = attribute::find(data, NFTA_COUNTER_PACKETS)?;
        (name == "counter").then_some(u64::from_be_bytes(packets.try_into().ok()?))
    })
}

const HEADER_LEN: usize = 4;

/// `struct nfgenmsg`.
fn header(family: u8) -> Body {
    Body::new(&[family, 0, 0, 0])
}

fn big_endian(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}
