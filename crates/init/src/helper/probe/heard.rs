//! From what the kernel says of a probe to what was heard.
//!
//! Of datagrams the kernel keeps the ICMP message that came back, which says
//! whether the network may not or cannot. Of connections it keeps a number, which
//! over version 4 does not tell the two apart.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use palisade_init_protocol::probe::Outcome;
use rustix::io::Errno;

/// Where an error of the kernel's queue came from.
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;

/// Room for one error: what happened, and who says so.
const ERROR_BYTES_MAX: usize = 256;

/// What was heard of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) outcome: Outcome,
    pub(super) detail: String,
}

impl Heard {
    pub(super) fn new(outcome: Outcome) -> Self {
        Self::with(outcome, "")
    }

    pub(super) fn with(outcome: Outcome, detail: &str) -> Self {
        Self {
            outcome,
            detail: detail.to_owned(),
        }
    }

    pub(super) fn silence() -> Self {
        Self::new(Outcome::Silent)
    }

    pub(super) fn failed(why: &str) -> Self {
        Self::with(Outcome::Failed, why)
    }

    /// What an error number says.
    pub(super) fn of_errno(error: Errno, is_stream: bool, is_v4: bool) -> Self {
        let outcome = match error {
            Errno::CONNREFUSED if is_stream => Outcome::Reset,
            Errno::CONNREFUSED => Outcome::Answered,
            Errno::ACCESS | Errno::PERM => Outcome::Refused,
            // Of version 6, the kernel has another number for what may not be.
            Errno::HOSTUNREACH if is_v4 => Outcome::Blocked,
            Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::ADDRNOTAVAIL => Outcome::Unreachable,
            Errno::TIMEDOUT => Outcome::Silent,
            _ => return Self::failed(&error.to_string()),
        };
        Self::new(outcome)
    }
}

/// Takes an ICMP message that came back, if there is one.
pub(super) fn errors(socket: BorrowedFd<'_>) -> Option<Heard> {
    let mut payload = [0; 64];
    let mut parts = [IoSliceMut::new(&mut payload)];
    let mut room = vec![0; ERROR_BYTES_MAX];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let received =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut room), flags);
    for message in received.ok()?.cmsgs().ok()? {
        let (ControlMessageOwned::Ipv4RecvErr(error, _)
        | ControlMessageOwned::Ipv6RecvErr(error, _)) = message
        else {
            continue;
        };
        return Some(match error.ee_origin {
            ORIGIN_ICMP => of_icmp(error.ee_type, error.ee_code),
            ORIGIN_ICMP6 => of_icmp6(error.ee_type, error.ee_code),
            _ => {
                let errno = i32::try_from(error.ee_errno).unwrap_or_default();
                Heard::of_errno(Errno::from_raw_os_error(errno), false, false)
            }
        });
    }
    None
}

fn of_icmp(kind: u8, code: u8) -> Heard {
    match (kind, code) {
        (3, 2 | 3) => Heard::with(Outcome::Answered, "the port is closed"),
        (3, 9 | 10 | 13) => Heard::new(Outcome::Refused),
        _ => Heard::with(Outcome::Unreachable, &format!("ICMP {kind}/{code}")),
    }
}

fn of_icmp6(kind: u8, code: u8) -> Heard {
    match (kind, code) {
        (1, 4) | (4, 1) => Heard::with(Outcome::Answered, "the port is closed"),
        (1, 1 | 5 | 6) => Heard::new(Outcome::Refused),
        _ => Heard::with(Outcome::Unreachable, &format!("ICMPv6 {kind}/{code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn may_not_and_cannot_are_told_apart_where_the_network_says_so() {
        let outcome = |heard: Heard| heard.outcome;
        assert_eq!(outcome(of_icmp(3, 13)), Outcome::Refused);
        assert_eq!(outcome(of_icmp(3, 3)), Outcome::Answered);
        assert_eq!(outcome(of_icmp(3, 1)), Outcome::Unreachable);
        assert_eq!(outcome(of_icmp(11, 0)), Outcome::Unreachable);
        assert_eq!(outcome(of_icmp6(1, 1)), Outcome::Refused);
        assert_eq!(outcome(of_icmp6(1, 4)), Outcome::Answered);
        assert_eq!(outcome(of_icmp6(1, 0)), Outcome::Unreachable);
        let errno = |error, is_stream, is_v4| outcome(Heard::of_errno(error, is_stream, is_v4));
        assert_eq!(errno(Errno::HOSTUNREACH, true, true), Outcome::Blocked);
        assert_eq!(errno(Errno::HOSTUNREACH, true, false), Outcome::Unreachable);
        assert_eq!(errno(Errno::ACCESS, true, false), Outcome::Refused);
        assert_eq!(errno(Errno::CONNREFUSED, true, true), Outcome::Reset);
        assert_eq!(errno(Errno::CONNREFUSED, false, true), Outcome::Answered);
        assert_eq!(errno(Errno::MFILE, true, true), Outcome::Failed);
    }
}
