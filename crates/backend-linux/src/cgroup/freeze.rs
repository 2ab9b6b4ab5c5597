//! Freezing everything in a control group, and letting it go on.
//!
//! What is frozen keeps its memory and gets no CPU. The kernel remembers it with
//! the group, so that it outlives this process. In version 1 a frozen process
//! does not even die; whoever kills it has to let it go on. Calls block until
//! the kernel has done it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::kill::pause;

/// How often it is looked whether all are frozen: for ten seconds.
const LOOKS_MAX: u32 = 5_000;

/// What freezes one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Freezer {
    /// The directory of the group in the freezer's tree.
    V1(PathBuf),
    /// The directory of the group.
    V2(PathBuf),
}

impl Freezer {
    /// Freezes everything in the group, and waits until it is. What cannot be
    /// frozen in time goes on.
    pub(super) fn freeze(&self) -> io::Result<()> {
        self.set(true)?;
        for _ in 0..LOOKS_MAX {
            if self.is_done()? {
                return Ok(());
            }
            pause();
        }
        self.set(false)?;
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "processes do not freeze",
        ))
    }

    /// Lets everything in the group go on; succeeds if there is no group.
    pub(super) fn thaw(&self) -> io::Result<()> {
        match self.set(false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Whether somebody had it frozen, done or not.
    pub(super) fn is_frozen(&self) -> bool {
        let file = self.wish();
        fs::read_to_string(file).is_ok_and(|text| match self {
            Self::V1(_) => text.trim() != "THAWED",
            Self::V2(_) => text.trim() == "1",
        })
    }

    fn set(&self, is_frozen: bool) -> io::Result<()> {
        let word = match (self, is_frozen) {
            (Self::V1(_), true) => "FROZEN",
            (Self::V1(_), false) => "THAWED",
            (Self::V2(_), true) => "1",
            (Self::V2(_), false) => "0",
        };
        // Opened and never made: without the group there is nothing to freeze.
        let mut file = fs::File::options().write(true).open(self.wish())?;
        io::Write::write_all(&mut file, word.as_bytes())
    }

    fn wish(&self) -> PathBuf {
        match self {
            Self::V1(group) => group.join("freezer.state"),
            Self::V2(group) => group.join("cgroup.freeze"),
        }
    }

    fn is_done(&self) -> io::Result<bool> {
        match self {
            Self::V1(group) => Ok(read(&group.join("freezer.state"))?.trim() == "FROZEN"),
            Self::V2(group) => {
                let events = read(&group.join("cgroup.events"))?;
                Ok(events.lines().any(|line| line == "frozen 1"))
            }
        }
    }
}

fn read(file: &Path) -> io::Result<String> {
    fs::read_to_string(file)
}
