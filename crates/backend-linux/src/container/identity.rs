//! Who sandboxes are on the host: a range of user ids for each.
//!
//! No two sandboxes that exist at a time share an id, and none is one of the
//! host's. The range is remembered by the disk of the sandbox, which belongs to
//! its first id. For mounting, a range is put into a user namespace that nobody
//! is in; those are kept, as making one takes a process.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::LinuxConfig;

/// All ranges of one runner.
#[derive(Debug)]
pub(crate) struct Identities {
    first: u32,
    count: u32,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    taken: BTreeSet<u32>,
    namespaces: HashMap<u32, Arc<OwnedFd>>,
}

/// The range of one sandbox, its own until it is given back.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    first: u32,
    owners: Arc<OwnedFd>,
}

impl Identity {
    /// The host's user id that is root inside.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    /// A user namespace that maps the range.
    pub(crate) fn owners(&self) -> BorrowedFd<'_> {
        self.owners.as_fd()
    }
}

/// There is no range left.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("all ranges of user ids are taken")]
    Exhausted,
    #[error("could not make a user namespace")]
    Namespace(#[from] io::Error),
}

impl Identities {
    /// As many ranges as sandboxes are allowed, of those that the kernel has.
    pub(crate) fn new(first: u32, sandboxes_max: u32) -> Self {
        // Ids from 2^31 on confuse programs that take them for negative.
        let room = (i32::MAX.unsigned_abs() - first.min(i32::MAX.unsigned_abs())) / Self::EACH;
        Self {
            first,
            count: room.min(sandboxes_max),
            inner: Mutex::default(),
        }
    }

    const EACH: u32 = LinuxConfig::UIDS_EACH;

    /// Takes a range that nobody has.
    pub(crate) fn take(&self) -> Result<Identity, IdentityError> {
        let first = {
            let mut inner = self.lock();
            let free = (0..self.count).find(|place| !inner.taken.contains(place));
            let place = free.ok_or(IdentityError::Exhausted)?;
            inner.taken.insert(place);
            self.first + place * Self::EACH
        };
        self.identity(first).inspect_err(|_| self.give_back(first))
    }

    /// Takes the range that a sandbox of an earlier run has.
    pub(crate) fn keep(&self, first: u32) {
        if let Some(place) = self.place(first) {
            self.lock().taken.insert(place);
        }
    }

    /// Gives a range back, once nothing runs in it and nothing belongs to it.
    pub(crate) fn give_back(&self, first: u32) {
        if let Some(place) = self.place(first) {
            self.lock().taken.remove(&place);
        }
    }

    fn place(&self, first: u32) -> Option<u32> {
        let offset = first.checked_sub(self.first)?;
        offset
            .is_multiple_of(Self::EACH)
            .then_some(offset / Self::EACH)
    }

    fn identity(&self, first: u32) -> Result<Identity, IdentityError> {
        let known = self.lock().namespaces.get(&first).cloned();
        let owners = if let Some(owners) = known {
            owners
        } else {
            let made = Arc::new(namespace(first, Self::EACH)?);
            self.lock().namespaces.insert(first, Arc::clone(&made));
            made
        };
        Ok(Identity { first, owners })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a user namespace in which root is `first`, and so on.
pub(super) fn namespace(first: u32, count: u32) -> io::Result<OwnedFd> {
    let child = Child::in_new_namespace()?;
    let map = format!("0 {first} {count}");
    fs::write(child.file("uid_map"), &map)?;
    fs::write(child.file("gid_map"), &map)?;
    Ok(fs::File::open(child.file("ns/user"))?.into())
}

/// A process that does nothing but keep a user namespace alive.
struct Child(libc::pid_t);

impl Child {
    #[expect(
        unsafe_code,
        reason = "the kernel makes a user namespace for a process only"
    )]
    fn in_new_namespace() -> io::Result<Self> {
        let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
        // SAFETY: without a stack and without shared memory this is a fork. The
        // child has one thread and copies of locks that others may hold, so it
        // does nothing but system calls that touch no memory.
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
        match libc::pid_t::try_from(pid) {
            Ok(0) => wait_to_be_killed(),
            Ok(pid) if pid > 0 => Ok(Self(pid)),
            Ok(_) | Err(_) => Err(io::Error::last_os_error()),
        }
    }

    fn file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0)
    }
}

/// What the child does: nothing, and not for long.
#[expect(
    unsafe_code,
    reason = "nothing but bare system calls is allowed after a fork"
)]
fn wait_to_be_killed() -> ! {
    static LIMIT: libc::timespec = libc::timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    // SAFETY: the calls read no memory but the constant, write none, and take
    // no locks. The child ends even if its parent was killed before it could
    // ask the kernel to be killed with it.
    unsafe {
        libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::syscall(libc::SYS_ppoll, 0, 0, &raw const LIMIT, 0, 0);
        libc::_exit(0)
    }
}

impl Drop for Child {
    #[expect(
        unsafe_code,
        reason = "ending a child by number has no safe wrapper here"
    )]
    fn drop(&mut self) {
        // SAFETY: the number is that of our own child, which is not waited for
        // anywhere else, so that nobody else can have got it.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_sandboxes_have_the_same_ids() {
        let identities = Identities::new(1 << 30, 2);
        let first = identities.take().unwrap();
        let second = identities.take().unwrap();
        assert_eq!(second.first() - first.first(), LinuxConfig::UIDS_EACH);
        assert!(matches!(identities.take(), Err(IdentityError::Exhausted)));
        identities.give_back(first.first());
        assert_eq!(identities.take().unwrap().first(), first.first());
    }

    #[test]
    fn a_range_of_an_earlier_run_is_not_given_out() {
        let identities = Identities::new(1 << 30, 2);
        identities.keep(1 << 30);
        assert_ne!(identities.take().unwrap().first(), 1 << 30);
    }
}
