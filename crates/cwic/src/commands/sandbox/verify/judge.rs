//! What a measurement says about the model.
//!
//! Nothing is taken for granted of the network: silence proves that something is
//! closed as well as a refusal does, and proves nothing of what should be open.
//! A reset over version 6 may come from the target or, in its name, from whoever
//! refuses; how a datagram to the same place fared tells the two apart.

use palisade_init_protocol::probe::{Outcome, Probe};
use palisade_model::policy::Verdict;

use super::table::{Expected, Judgement, Question};

/// Below this, the resolver of the runner knows every name that there is.
const SANDBOX_NAMES: &str = ".sandbox.internal";

const SILENCE: &str = "nothing was heard";
const NO_WAY: &str = "there is no way there from this runner";
const EITHER: &str = "it may be refused or unreachable; the network does not say which";
const RESET: &str = "the reset may come from the target or from whoever refuses";
const NOT_ASKED: &str = "it could not be asked";
const NOT_FOUND_OUT: &str = "the resolver answered, and found no address";

/// What was heard, compared with what should have been. `datagram` is what
/// became of a datagram to the same address and port, if one was sent.
pub(super) fn judge(question: &Question, outcome: Outcome, datagram: Option<Outcome>) -> Judgement {
    if outcome == Outcome::Failed {
        return Judgement::Unproven(NOT_ASKED);
    }
    match question.expected {
        Expected::OwnLoopback if outcome == Outcome::Open => Judgement::Mismatch,
        Expected::OwnLoopback => Judgement::Equal,
        Expected::Name(verdict) => name(question, verdict, outcome),
        Expected::Address(verdict) => {
            let reach = reach(&question.probe, outcome, datagram);
            address(verdict, reach)
        }
    }
}

/// What a measurement says about the way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// The target answered.
    Reached,
    /// The network refused.
    Refused,
    /// It was not reached, and nobody said that it may not be.
    Lost(&'static str),
    /// It was reached, or refused.
    Unclear(&'static str),
}

fn reach(probe: &Probe, outcome: Outcome, datagram: Option<Outcome>) -> Reach {
    match outcome {
        // Whatever a server of names answers, it was reached.
        Outcome::Open | Outcome::Answered | Outcome::NoSuchName | Outcome::Declined => {
            Reach::Reached
        }
        Outcome::Reset if is_v4(probe) => Reach::Reached,
        Outcome::Reset => match datagram {
            Some(Outcome::Refused) => Reach::Refused,
            Some(Outcome::Open | Outcome::Answered) => Reach::Reached,
            Some(
                Outcome::Reset
                | Outcome::Blocked
                | Outcome::Unreachable
                | Outcome::Silent
                | Outcome::NoSuchName
                | Outcome::Declined
                | Outcome::Failed,
            )
            | None => Reach::Unclear(RESET),
        },
        Outcome::Refused => Reach::Refused,
        Outcome::Blocked if datagram == Some(Outcome::Refused) => Reach::Refused,
        Outcome::Blocked => Reach::Lost(EITHER),
        Outcome::Unreachable => Reach::Lost(NO_WAY),
        Outcome::Silent => Reach::Lost(SILENCE),
        Outcome::Failed => Reach::Unclear(NOT_ASKED),
    }
}

fn address(verdict: Verdict, reach: Reach) -> Judgement {
    match (verdict, reach) {
        (_, Reach::Unclear(why)) | (Verdict::Allowed(_), Reach::Lost(why)) => {
            Judgement::Unproven(why)
        }
        (Verdict::Allowed(_), Reach::Reached)
        | (Verdict::Refused(_), Reach::Refused | Reach::Lost(_)) => Judgement::Equal,
        (Verdict::Allowed(_), Reach::Refused) | (Verdict::Refused(_), Reach::Reached) => {
            Judgement::Mismatch
        }
    }
}

fn name(question: &Question, verdict: Verdict, outcome: Outcome) -> Judgement {
    let is_found = outcome == Outcome::Open;
    match verdict {
        Verdict::Refused(_) if is_found => Judgement::Mismatch,
        Verdict::Refused(_) => Judgement::Equal,
        Verdict::Allowed(_) if is_found => Judgement::Equal,
        Verdict::Allowed(_) => match outcome {
            Outcome::Refused | Outcome::Declined => Judgement::Mismatch,
            Outcome::NoSuchName if is_of_sandbox(&question.probe) => Judgement::Mismatch,
            Outcome::NoSuchName | Outcome::Answered => Judgement::Unproven(NOT_FOUND_OUT),
            Outcome::Silent => Judgement::Unproven(SILENCE),
            Outcome::Unreachable => Judgement::Unproven(NO_WAY),
            Outcome::Open | Outcome::Reset | Outcome::Blocked | Outcome::Failed => {
                Judgement::Unproven(EITHER)
            }
        },
    }
}

fn is_v4(probe: &Probe) -> bool {
    match probe {
        Probe::Tcp(host, _) | Probe::Udp(host, _) | Probe::Icmp(host) | Probe::Dns(host, _) => {
            host.address.is_ipv4()
        }
    }
}

/// Whether it asks for the name of a sandbox.
pub(super) fn is_of_sandbox(probe: &Probe) -> bool {
    match probe {
        Probe::Dns(_, name) => name.as_str().ends_with(SANDBOX_NAMES),
        Probe::Tcp(..) | Probe::Udp(..) | Probe::Icmp(_) => false,
    }
}

#[cfg(test)]
mod tests;
