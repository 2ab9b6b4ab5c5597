//! In whose name an overlay writes.
//!
//! What a sandbox writes, the kernel writes with the credentials of whoever mounted
//! its overlay. File systems keep blocks for root, by the user id or by
//! `CAP_SYS_RESOURCE`: mounted by root as it is, a sandbox would use those up, too, and
//! the runner could not even end it any more. So it is mounted by a thread which, to
//! file systems, is the first user of the sandbox, with every capability but that one:
//! owners of files are set and devices hidden as before.

use std::io;

use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// Does something as this user of the host. The calling thread should do nothing else
/// afterwards if that fails: it may not be root again.
pub(super) fn as_user<T>(uid: u32, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = capabilities(None)?;
    let dumps = dumpable_behavior()?;
    let own = become_user(uid)?;
    // Becoming somebody else took those away that are about files.
    set_capabilities(None, without_reserve(before))?;
    let done = act();
    become_user(own)?;
    set_capabilities(None, before)?;
    // The kernel takes this back from all of a process one of whose threads does so.
    if dumps == DumpableBehavior::Dumpable {
        set_dumpable_behavior(dumps)?;
    }
    done
}

fn without_reserve(sets: CapabilitySets) -> CapabilitySets {
    CapabilitySets {
        effective: sets.effective - CapabilitySet::SYS_RESOURCE,
        ..sets
    }
}

/// Changes who the calling thread is to file systems; tells who it was.
#[expect(
    unsafe_code,
    reason = "changing the user of one thread has no safe wrapper"
)]
fn become_user(uid: u32) -> io::Result<u32> {
    // SAFETY: the call takes no pointer, and concerns the calling thread alone.
    let set = |uid| unsafe { libc::setfsuid(uid) }.cast_unsigned();
    let before = set(uid);
    // It tells of no failure; asking for nobody changes nothing.
    if set(u32::MAX) == uid {
        Ok(before)
    } else {
        Err(io::Error::from(io::ErrorKind::PermissionDenied))
    }
}
