//! Network namespaces, and threads that step into them.
//!
//! A thread that has changed its namespace must not be used for anything else,
//! so every visit has a thread of its own that ends with it. What was opened
//! there stays there: sockets keep the namespace that they were made in.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

const OWN: &str = "/proc/thread-self/ns/net";
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// A network namespace that stays as long as this value.
#[derive(Debug)]
pub(super) struct Namespace(File);

impl Namespace {
    /// The one of the calling thread.
    pub(super) fn of_caller() -> io::Result<Self> {
        File::open(OWN).map(Self)
    }

    /// The one that a descriptor refers to.
    pub(super) fn of(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        let owned: OwnedFd = descriptor.try_clone_to_owned()?;
        Ok(Self(owned.into()))
    }

    /// Makes a new one.
    #[expect(unsafe_code, reason = "replacing a namespace has no safe wrapper")]
    pub(super) fn make() -> io::Result<Self> {
        on_own_thread(|| {
            // SAFETY: only the network namespace of this thread is replaced;
            // what threads share, such as descriptors and memory, stays shared.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
            Self::of_caller()
        })?
    }

    /// The one that was kept at this path, if any.
    pub(super) fn kept_at(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // A plain file was left by a reboot, or by a crash before it was used.
        let is_namespace = rustix::fs::fstatfs(&file)?.f_type == NSFS_MAGIC;
        Ok(is_namespace.then_some(Self(file)))
    }

    /// Keeps it at this path even if nothing uses it any more.
    pub(super) fn keep_at(&self, path: &Path) -> io::Result<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        File::create(path)?;
        let own = PathBuf::from(OWN);
        let mount = || rustix::mount::mount_bind(&own, path);
        Ok(self.visit(mount)??)
    }

    /// Runs `act` inside, on a thread of its own.
    pub(super) fn visit<T: Send>(&self, act: impl FnOnce() -> T + Send) -> io::Result<T> {
        on_own_thread(|| {
            let link = Some(LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(self.0.as_fd(), link)?;
            Ok(act())
        })?
    }

    /// Starts a thread that lives inside and runs `act`. When this returns it is
    /// there, or it is an error.
    pub(super) fn inhabit(
        &self,
        name: &str,
        act: impl FnOnce() + Send + 'static,
    ) -> io::Result<thread::JoinHandle<()>> {
        let namespace = Self(self.0.try_clone()?);
        let (arrived, outcome) = mpsc::sync_channel(1);
        let inhabitant = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let link = Some(LinkNameSpaceType::Network);
                let entered = rustix::thread::move_into_link_name_space(namespace.as_fd(), link);
                let is_inside = entered.is_ok();
                // The receiver waits below for exactly this.
                let _ = arrived.send(entered);
                if is_inside {
                    act();
                }
            })?;
        match outcome.recv() {
            Ok(Ok(())) => Ok(inhabitant),
            Ok(Err(errno)) => Err(errno.into()),
            Err(mpsc::RecvError) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Takes the lock of this namespace, or `None` if somebody else has it.
    ///
    /// The kernel keeps it on the namespace itself, so that it needs no file
    /// and ends with the process that holds it.
    pub(super) fn try_lock(&self) -> io::Result<Option<Lock>> {
        // Locks belong to open files, and a descriptor may be shared: open anew.
        let file = self.visit(|| File::open(OWN))??;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _held: file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A lock on a namespace, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _held: File,
}

/// Undoes [`Namespace::keep_at`]. Succeeds if nothing is kept there.
pub(super) fn release(path: &Path) -> io::Result<()> {
    match rustix::mount::unmount(path, UnmountFlags::DETACH) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(crate) fn on_own_thread<T: Send>(act: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let visitor = thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, act)?;
        match visitor.join() {
            Ok(done) => Ok(done),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
