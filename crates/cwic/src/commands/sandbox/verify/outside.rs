//! What this program itself reaches of sandboxes: it is outside of all of them.
//!
//! Only connections are tried. That one comes about says that the way is open; that none
//! does may have other reasons, as this program can be anywhere.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use palisade_init_protocol::probe::{Outcome, Probe, Reading};
use tokio::net::TcpStream;
use tokio::time;

use super::peers::Peer;
use super::table::{Judgement, Question, Row};

/// What stands in the place of an egress mode.
pub(super) const OUTSIDE: &str = "outside";
/// How long a connection may take.
const LIMIT: Duration = Duration::from_secs(3);
const NO_WAY: &str =
    "it was not reached from where this program runs, which may have other reasons";

/// Tries every sandbox that has an address for those outside.
pub(super) async fn look(peers: impl Iterator<Item = &Peer>) -> Vec<Row> {
    let mut rows = Vec::new();
    for question in peers.filter_map(Peer::asked_outside) {
        let Probe::Tcp(host, port) = &question.probe else {
            continue;
        };
        let to = SocketAddr::new(host.address, port.get());
        let outcome = match time::timeout(LIMIT, TcpStream::connect(to)).await {
            Ok(Ok(_)) => Outcome::Open,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Outcome::Reset,
            Ok(Err(_)) => Outcome::Unreachable,
            Err(_) => Outcome::Silent,
        };
        let judgement = judge(&question, outcome);
        let reading = Reading::new(question.probe.clone(), outcome, "");
        rows.push(Row::new(OUTSIDE, question, reading, judgement));
    }
    rows
}

fn judge(question: &Question, outcome: Outcome) -> Judgement {
    let is_open = outcome == Outcome::Open;
    match question.expected.word() == "allowed" {
        is_allowed if is_allowed == is_open => Judgement::Equal,
        true => Judgement::Unproven(NO_WAY),
        false => Judgement::Mismatch,
    }
}
