//! A command and all that it started.
//!
//! What a command starts may leave its session and its process group, and lose
//! its parent; then nothing ties it to the command any more but what is inherited
//! and cannot be left behind. That is a **mark**: the limit on file locks
//! (`RLIMIT_LOCKS`), which the kernel has not looked at since Linux 2.4.25, set to
//! a number of the command's own. Everybody can read it in `/proc`. A process may
//! lower its own; what hides on purpose ends with the sandbox.
//!
//! Where the mark cannot be set, as under gVisor, session, group and ancestry
//! have to do.

use std::fs;

use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, pidfd_open, pidfd_send_signal, setrlimit,
};

/// The first mark. Nobody sets such a limit for himself.
const MARK_MIN: u64 = 1 << 52;

/// A number that a command and all that it started have, and nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u64);

/// A command and all that it started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    leader: Pid,
    mark: Mark,
}

/// A process, as it is seen from outside.
#[derive(Debug)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    /// When it was started: with the pid, this names it for good.
    started: u64,
    is_dead: bool,
}

impl Mark {
    /// The mark of what has this number.
    pub(crate) fn of(number: u64) -> Self {
        Self(MARK_MIN.saturating_add(number))
    }

    /// Reads what [`Mark::to_argument`] wrote.
    pub(crate) fn from_argument(text: &str) -> Option<Self> {
        Some(Self(text.parse().ok()?))
    }

    /// The mark as text.
    pub(crate) fn to_argument(self) -> String {
        self.0.to_string()
    }

    /// Puts it on this process, and so on all that it will start.
    pub(crate) fn put_on_self(self) {
        let limit = Rlimit {
            current: Some(self.0),
            maximum: Some(self.0),
        };
        // Refused where there is no such limit; the header says what then.
        let _ = setrlimit(Resource::Locks, limit);
    }
}

impl Family {
    /// Those who descend from `leader`.
    pub(crate) fn new(leader: Pid, mark: Mark) -> Self {
        Self { leader, mark }
    }

    /// Sends a signal to everybody, and returns how many that were.
    pub(crate) fn signal(&self, signal: Signal) -> usize {
        let processes = Process::all();
        let members = self.members(&processes);
        let sent = members.into_iter().filter(|member| member.signal(signal));
        sent.count()
    }

    fn members<'a>(&self, processes: &'a [Process]) -> Vec<&'a Process> {
        let leader = self.leader.as_raw_nonzero().get();
        let (mut members, mut others): (Vec<_>, Vec<_>) = processes
            .iter()
            .filter(|process| process.pid != 1)
            .partition(|process| {
                [process.pid, process.group, process.session].contains(&leader)
                    || process.mark() == Some(self.mark)
            });
        loop {
            let (children, rest): (Vec<_>, Vec<_>) = others
                .into_iter()
                .partition(|other| members.iter().any(|member| member.pid == other.parent));
            if children.is_empty() {
                members.retain(|member| !member.is_dead);
                return members;
            }
            members.extend(children);
            others = rest;
        }
    }
}

impl Process {
    fn all() -> Vec<Self> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(Self::read)
            .collect()
    }

    fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Parses `stat`; the name in it can hold anything, parentheses included.
    fn parse(pid: i32, stat: &[u8]) -> Option<Self> {
        let behind_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
        let text = std::str::from_utf8(&stat[behind_name..]).ok()?;
        let mut fields = text.split_ascii_whitespace();
        let state = fields.next()?;
        Some(Self {
            pid,
            is_dead: matches!(state, "Z" | "X"),
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            session: fields.next()?.parse().ok()?,
            // The 22nd of all, the name being the second.
            started: fields.nth(15)?.parse().ok()?,
        })
    }

    fn mark(&self) -> Option<Mark> {
        let limits = fs::read_to_string(format!("/proc/{}/limits", self.pid)).ok()?;
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max file locks"))?;
        Some(Mark(line.split_ascii_whitespace().nth(1)?.parse().ok()?))
    }

    /// Sends a signal, unless the number is somebody else's by now.
    fn signal(&self, signal: Signal) -> bool {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return false;
        };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
            return false;
        };
        let is_same = Self::read(self.pid).is_some_and(|now| now.started == self.started);
        is_same && pidfd_send_signal(&handle, signal).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &[u8] = b"17 (a) Z (b)) S 1 16 15 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99 4096 7";

    #[test]
    fn a_name_with_parentheses_does_not_upset_the_parser() {
        let process = Process::parse(17, STAT).unwrap();
        assert!(!process.is_dead);
        let seen = (process.parent, process.group, process.session);
        assert_eq!((seen, process.started), ((1, 16, 15), 99));
    }

    #[test]
    fn a_cut_line_is_no_process() {
        assert!(Process::parse(17, &STAT[..30]).is_none());
        assert!(Process::parse(17, b"").is_none());
    }

    #[test]
    fn descendants_are_members_in_whatever_order_they_are_seen() {
        let process = |pid, parent, session| Process {
            pid,
            parent,
            group: session,
            session,
            started: 0,
            is_dead: false,
        };
        let base = i32::MAX - 10;
        let seen = [
            process(base + 3, base + 2, base + 3),
            process(base + 2, base + 1, base + 2),
            process(base + 1, 1, base + 1),
            process(base + 4, 1, base + 4),
            process(1, 0, 1),
        ];
        let leader = Pid::from_raw(base + 1).unwrap();
        let family = Family::new(leader, Mark::of(3));
        let mut members: Vec<i32> = family.members(&seen).iter().map(|one| one.pid).collect();
        members.sort_unstable();
        assert_eq!(members, [base + 1, base + 2, base + 3]);
    }
}
