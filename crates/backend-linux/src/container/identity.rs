//! Who sandboxes are on the host: a range of user ids for each.
//!
//! No two sandboxes that exist at a time share an id, and none is one of the
//! host's. The range is remembered by the disk of the sandbox, which belongs to
//! its first id. A range is put into a user namespace, which the layers of images
//! are mounted for and which the sandbox then runs in; those are kept, as making
//! one takes a process.
//!
//! A namespace is made by the first id of its range, not by root: what the kernel
//! counts per user, as watches on files and pending signals, it counts for the
//! maker of a namespace, too, and sandboxes would use up what root has, and what
//! other sandboxes have.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::pipe::PipeFlags;

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
pub(crate) fn namespace(first: u32, count: u32) -> io::Result<OwnedFd> {
    let child = Child::in_namespace_of(first)?;
    let map = format!("0 {first} {count}");
    fs::write(child.file("uid_map"), &map)?;
    fs::write(child.file("gid_map"), &map)?;
    Ok(fs::File::open(child.file("ns/user"))?.into())
}

/// A process that does nothing but keep a user namespace alive.
struct Child(libc::pid_t);

impl Child {
    /// Starts it, and waits until its namespace is there.
    fn in_namespace_of(owner: u32) -> io::Result<Self> {
        let (ours, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let child = Self::start(owner, &theirs)?;
        drop(theirs);
        let mut done = [0];
        fs::File::from(ours).read_exact(&mut done)?;
        Ok(child)
    }

    #[expect(
        unsafe_code,
        reason = "the kernel makes a user namespace for a process only"
    )]
    fn start(owner: u32, done: &OwnedFd) -> io::Result<Self> {
        let done = done.as_raw_fd();
        // SAFETY: without a stack and without shared memory this is a fork. The
        // child has one thread and copies of locks that others may hold, so it
        // does nothing but system calls that touch no memory.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        match libc::pid_t::try_from(pid) {
            Ok(0) => make_namespace_and_wait(owner, done),
            Ok(pid) if pid > 0 => Ok(Self(pid)),
            Ok(_) | Err(_) => Err(io::Error::last_os_error()),
        }
    }

    fn file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0)
    }
}

/// What the child does: it becomes the owner, makes the namespace, says so with
/// one byte, and then nothing, and not for long.
#[expect(
    unsafe_code,
    reason = "nothing but bare system calls is allowed after a fork"
)]
fn make_namespace_and_wait(owner: u32, done: RawFd) -> ! {
    static LIMIT: libc::timespec = libc::timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    static DONE: u8 = 1;
    // Some hosts let only root make user namespaces: it stays privileged.
    const KEEP_CAPABILITIES: libc::c_long = libc::SECBIT_NO_SETUID_FIXUP as libc::c_long;
    const NEW_USER: libc::c_long = libc::CLONE_NEWUSER as libc::c_long;
    const KILLED: libc::c_long = libc::SIGKILL as libc::c_long;
    // SAFETY: the calls read no memory but the constants, write none, and take
    // no locks. The child ends even if its parent was killed before it could
    // ask the kernel to be killed with it.
    unsafe {
        let made = libc::syscall(libc::SYS_prctl, libc::PR_SET_SECUREBITS, KEEP_CAPABILITIES) == 0
            && libc::syscall(libc::SYS_setresgid, owner, owner, owner) == 0
            && libc::syscall(libc::SYS_setresuid, owner, owner, owner) == 0
            && libc::syscall(libc::SYS_unshare, NEW_USER) == 0;
        // Becoming somebody else makes the kernel forget this.
        libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, KILLED);
        if made {
            libc::syscall(libc::SYS_write, done, &raw const DONE, 1_usize);
            libc::syscall(libc::SYS_ppoll, 0, 0, &raw const LIMIT, 0, 0);
        }
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
    fn what_a_sandbox_uses_up_is_counted_for_nobody_else() {
        let first = (1 << 30) + 7 * LinuxConfig::UIDS_EACH;
        let made = namespace(first, LinuxConfig::UIDS_EACH).unwrap();
        assert_eq!(owner(&made), first);
    }

    #[expect(unsafe_code, reason = "asking for an owner has no safe wrapper")]
    fn owner(namespace: &OwnedFd) -> u32 {
        let mut owner = 0_u32;
        // SAFETY: the kernel writes one number of this size.
        let done = unsafe {
            libc::ioctl(
                namespace.as_raw_fd(),
                libc::NS_GET_OWNER_UID,
                &raw mut owner,
            )
        };
        assert_eq!(done, 0, "{}", io::Error::last_os_error());
        owner
    }

    #[test]
    fn a_range_of_an_earlier_run_is_not_given_out() {
        let identities = Identities::new(1 << 30, 2);
        identities.keep(1 << 30);
        assert_ne!(identities.take().unwrap().first(), 1 << 30);
    }
}
