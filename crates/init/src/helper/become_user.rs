//! Gives up what the child does not need, and becomes the user that it is for.
//!
//! One-way: afterwards the process has what that user has by the kernel's rules,
//! and nothing of process 1.

use std::io;

use rustix::fs::{Gid, Uid, fchown, fstat};
use rustix::process::{getegid, geteuid, setrlimit};
use rustix::thread::{
    CapabilitySet, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::user::User;

/// Becomes a user. The process has one thread, so that all of it does.
pub(crate) fn become_user(user: &User) -> io::Result<()> {
    // None of these may be there to be given up; then there is nothing to do.
    let _ = clear_ambient_capability_set();
    let _ = remove_capability_from_bounding_set(CapabilitySet::SYS_PTRACE);
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    if let Err(error) = set_thread_groups(&groups) {
        // Whoever is that user already, and may not change groups, keeps them.
        let is_already = geteuid() == uid && getegid() == gid;
        if !is_already {
            return Err(error.into());
        }
    }
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// Lets the user open his own input and output again, as `/dev/stdout`.
///
/// Where that is not allowed, they can be used all the same.
pub(crate) fn give_stdio_to(user: &User) {
    let owner = Uid::from_raw(user.uid);
    let own = |descriptor: rustix::fd::BorrowedFd<'_>| {
        let is_device_of_all = fstat(descriptor).is_ok_and(|stat| {
            rustix::fs::FileType::from_raw_mode(stat.st_mode)
                == rustix::fs::FileType::CharacterDevice
                && !rustix::termios::isatty(descriptor)
        });
        if !is_device_of_all {
            let _ = fchown(descriptor, Some(owner), None);
        }
    };
    own(rustix::stdio::stdin());
    own(rustix::stdio::stdout());
    own(rustix::stdio::stderr());
}

/// Gives back the number of descriptors that process 1 took for itself.
pub(crate) fn limit_descriptors(soft: u64) {
    use rustix::process::{Resource, getrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(soft);
    // Lowering one's own soft limit is always allowed.
    let _ = setrlimit(Resource::Nofile, limit);
}
