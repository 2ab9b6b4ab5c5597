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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::process::{Child, Command, Stdio};

    use super::super::kill;
    use super::super::mounts::{Detected, Mounts};
    use super::*;

    /// A group of this name in both versions, of which a host has one or both.
    fn groups(name: &str) -> Vec<Freezer> {
        let groups = match Mounts::of_host().unwrap() {
            Detected::V2(root) => vec![Freezer::V2(root.join(name))],
            Detected::V1(mounts) => {
                let old = mounts.of("freezer").map(|root| root.join(name));
                let new = mounts.unified().map(|root| root.join(name));
                let old = old.into_iter().map(Freezer::V1);
                old.chain(new.map(Freezer::V2)).collect()
            }
        };
        assert!(!groups.is_empty(), "this host freezes nothing");
        groups
    }

    fn directory(freezer: &Freezer) -> &Path {
        let (Freezer::V1(group) | Freezer::V2(group)) = freezer;
        group
    }

    /// Something that says what it is told, in the group.
    fn echo(freezer: &Freezer) -> Child {
        let group = directory(freezer);
        fs::create_dir(group).unwrap();
        let mut echo = Command::new("cat");
        echo.stdin(Stdio::piped()).stdout(Stdio::piped());
        let echo = echo.spawn().unwrap();
        fs::write(group.join("cgroup.procs"), echo.id().to_string()).unwrap();
        echo
    }

    fn end(freezer: &Freezer, mut echo: Child) {
        kill::all(directory(freezer), || freezer.thaw()).unwrap();
        // Whoever killed it has taken note of its end already.
        let _ = echo.wait();
        kill::remove(directory(freezer)).unwrap();
    }

    #[test]
    fn either_version_holds_on_to_what_it_froze_until_it_is_let_go_on() {
        for freezer in groups(&format!("palisade-test-freeze-{}", std::process::id())) {
            let mut echo = echo(&freezer);
            assert!(!freezer.is_frozen());
            freezer.freeze().unwrap();
            assert!(
                freezer.is_frozen() && freezer.is_done().unwrap(),
                "{freezer:?}"
            );
            echo.stdin.as_mut().unwrap().write_all(b"!").unwrap();
            // It is there, and is not read.
            let waiting = rustix::io::ioctl_fionread(echo.stdin.as_ref().unwrap()).unwrap();
            assert_eq!(waiting, 1, "{freezer:?}");
            freezer.thaw().unwrap();
            assert!(!freezer.is_frozen());
            let mut said = [0];
            echo.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
            assert_eq!(&said, b"!", "{freezer:?}");
            end(&freezer, echo);
        }
    }

    #[test]
    fn either_version_kills_what_it_froze() {
        for freezer in groups(&format!("palisade-test-frozen-{}", std::process::id())) {
            let echo = echo(&freezer);
            freezer.freeze().unwrap();
            end(&freezer, echo);
        }
    }
}
