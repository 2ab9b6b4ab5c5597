//! How refusals on the network look to people and to programs.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use palisade_wire::rest::{Denials, DeniedFlow, ProfileDenials};

use super::{json, minute, or_dash, printable};
use crate::listing::Item;
use crate::out::Column;

/// What a table of refused flows shows.
pub(crate) const FLOWS: [Column; 7] = [
    Column::whole("LAST SEEN", 9),
    Column::whole("DIRECTION", 7),
    Column::whole("PROTOCOL", 6),
    Column::soft("SOURCE", 5),
    Column::soft("DESTINATION", 8),
    Column::whole("TIMES", 4),
    Column::soft("EGRESS", 3),
];

/// What a table of profiles shows.
pub(crate) const TOTALS: [Column; 5] = [
    Column::name("PROFILE", 9),
    Column::whole("PACKETS", 8),
    Column::whole("INCOMING", 6),
    Column::whole("QUESTIONS", 7),
    Column::whole("SINCE", 5),
];

/// A flow that was refused to a sandbox.
pub(crate) fn flow(told: &Denials, flow: &DeniedFlow) -> Item {
    let DeniedFlow {
        time,
        direction,
        protocol,
        source,
        source_port,
        destination,
        destination_port,
        times,
    } = flow;
    let to = end(*destination, *destination_port);
    let answer = json(flow);
    Item {
        name: format!("{direction} {protocol} {source} {to}"),
        document: answer.clone(),
        answer,
        labels: BTreeMap::from([
            ("direction".to_owned(), direction.clone()),
            ("protocol".to_owned(), protocol.clone()),
            ("destination".to_owned(), destination.to_string()),
        ]),
        cells: vec![
            second(time),
            printable(direction),
            printable(protocol),
            end(*source, *source_port),
            to,
            times.to_string(),
            printable(&told.egress_mode),
        ],
    }
}

/// Everything that was refused to a sandbox, for programs.
pub(crate) fn whole(told: &Denials) -> Item {
    let answer = json(told);
    Item {
        name: told.sandbox_id.clone(),
        document: answer.clone(),
        answer,
        labels: BTreeMap::new(),
        cells: Vec::new(),
    }
}

/// What was refused to the sandboxes of a profile.
pub(crate) fn total(profile: &str, told: &ProfileDenials) -> Item {
    let answer = json(told);
    Item {
        name: profile.to_owned(),
        document: answer.clone(),
        answer,
        labels: BTreeMap::from([("profile".to_owned(), profile.to_owned())]),
        cells: vec![
            printable(profile),
            count(told, told.packets),
            count(told, told.incoming_packets),
            count(told, told.questions),
            minute(told.since.as_deref().unwrap_or_default()),
        ],
    }
}

/// A number that some runners add nothing to is a lower bound, and none if it is 0.
fn count(told: &ProfileDenials, counted: u64) -> String {
    match (told.uncounted_runners.is_empty(), counted) {
        (true, counted) => counted.to_string(),
        (false, 0) => "unknown".to_owned(),
        (false, counted) => format!("{counted}+"),
    }
}

/// One end of a flow; protocols without ports have none.
fn end(address: IpAddr, port: u16) -> String {
    match port {
        0 => address.to_string(),
        port => SocketAddr::new(address, port).to_string(),
    }
}

/// The second of an RFC 3339 instant, in UTC.
fn second(at: &str) -> String {
    match at.get(..19) {
        Some(second) => format!("{}Z", second.replace('T', " ")),
        None => or_dash(at),
    }
}
