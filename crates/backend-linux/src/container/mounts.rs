//! The mounts of one start, seen by the thread that starts it alone.
//!
//! The layers of an image belong to root on the disk. Each is mounted once more
//! with the owners of the sandbox, which costs nothing and changes nothing on
//! the disk. What the sandbox writes belongs to its own user ids there.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind,
    mount_change, move_mount, open_tree,
};

use super::{StartError, step, writer};
use crate::state::{UPPER, WORK};

/// The root of the container, below the mount point.
pub(super) const ROOT: &str = "root";
/// The program that becomes process 1, below the mount point.
pub(super) const INIT: &str = "init";
/// The container's /sys, below the mount point.
pub(super) const SYS: &str = "sys";
/// The user namespace that the sandbox runs in, below the mount point.
pub(super) const OWNERS: &str = "owners";
/// The file system that it has to itself, below the mount point.
pub(super) const FILE_SYSTEM: &str = "file-system";
/// What the sandbox writes, below the mount point.
pub(super) const DISK: &str = "disk";

/// What to mount, and where.
#[derive(Debug)]
pub(super) struct Mounts<'a> {
    /// An empty directory; everything is mounted below it.
    pub(super) point: &'a Path,
    /// What the sandbox writes.
    pub(super) disk: PathBuf,
    /// The layers of the image, topmost first.
    pub(super) lower: &'a [PathBuf],
    /// The user namespace of the sandbox: it says who the owners of the layers
    /// become.
    pub(super) owners: BorrowedFd<'a>,
    /// The host's user id that is root inside; what the sandbox writes is written in
    /// its name.
    pub(super) first_uid: u32,
    /// The detached mount of the file system that the sandbox has to itself.
    pub(super) file_system: Option<&'a OwnedFd>,
    /// The program that becomes process 1.
    pub(super) init: &'a Path,
    /// A directory whose content OCI runtimes must not see.
    pub(super) hidden: Option<&'a Path>,
}

impl Mounts<'_> {
    /// Makes the mounts. The calling thread must have mounts and a working
    /// directory of its own; the latter changes.
    pub(super) fn make(&self) -> Result<(), StartError> {
        let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", flags).map_err(|error| step("part the mounts")(error.into()))?;
        self.workplace().map_err(step("mount a workplace"))?;
        self.root().map_err(|source| StartError::Image {
            what: "its layers could not be mounted",
            source,
        })?;
        self.file_system()
            .map_err(step("mount the file system of the sandbox"))?;
        system().map_err(step("mount /sys"))
    }

    fn file_system(&self) -> io::Result<()> {
        let Some(mount) = self.file_system else {
            return Ok(());
        };
        map_owners(mount, self.owners, false)?;
        std::fs::create_dir(FILE_SYSTEM)?;
        attach(mount, FILE_SYSTEM)
    }

    fn workplace(&self) -> io::Result<()> {
        let (flags, options) = (MountFlags::NODEV, c"mode=0755,size=4m");
        mount("palisade", self.point, "tmpfs", flags, options)?;
        rustix::process::chdir(self.point)?;
        for name in [ROOT, DISK, SYS] {
            std::fs::create_dir(name)?;
        }
        std::fs::File::create_new(INIT)?;
        mount_bind(self.init, INIT)?;
        std::fs::File::create_new(OWNERS)?;
        let owners = format!("/proc/self/fd/{}", self.owners.as_raw_fd());
        mount_bind(owners, OWNERS)?;
        if let Some(hidden) = self.hidden {
            // Writable, as runtimes make directories in whatever they find there.
            let flags = MountFlags::NODEV | MountFlags::NOEXEC;
            mount("palisade", hidden, "tmpfs", flags, c"mode=0755,size=64k")?;
        }
        Ok(())
    }

    fn root(&self) -> io::Result<()> {
        let mut lower = Vec::with_capacity(self.lower.len());
        for (index, layer) in self.lower.iter().enumerate() {
            let name = index.to_string();
            std::fs::create_dir(&name)?;
            attach(&owned_by(layer, self.owners)?, &name)?;
            lower.push(name);
        }
        attach(&open(&self.disk)?, DISK)?;
        // Short names, as all options together have to fit into a page.
        let options = format!(
            "lowerdir={},upperdir={DISK}/{UPPER},workdir={DISK}/{WORK}",
            lower.join(":")
        );
        let options = std::ffi::CString::new(options)?;
        writer::as_user(self.first_uid, || {
            let flags = MountFlags::NODEV;
            Ok(mount(
                "palisade",
                ROOT,
                "overlay",
                flags,
                options.as_c_str(),
            )?)
        })
    }
}

/// Mounts a view of the kernel's devices that belongs to the network namespace
/// of this thread, so that the host's interfaces cannot be seen in it.
fn system() -> io::Result<()> {
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOSUID;
    Ok(mount("sysfs", SYS, "sysfs", flags, None)?)
}

/// A detached copy of the mount at a path, without what is mounted below it.
fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    Ok(open_tree(CWD, path, flags)?)
}

fn attach(tree: &OwnedFd, name: &str) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(move_mount(tree, c"", CWD, name, flags)?)
}

/// A detached, read-only copy of the mount at a path whose owners are mapped as
/// in a user namespace.
fn owned_by(path: &Path, owners: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let tree = open(path)?;
    map_owners(&tree, owners, true)?;
    Ok(tree)
}

/// Maps the owners of what is in a detached mount as in a user namespace.
#[expect(
    unsafe_code,
    reason = "mapping the owners of a mount has no safe wrapper"
)]
pub(crate) fn map_owners(
    tree: &OwnedFd,
    owners: BorrowedFd<'_>,
    is_read_only: bool,
) -> io::Result<()> {
    let read_only = if is_read_only {
        libc::MOUNT_ATTR_RDONLY
    } else {
        0
    };
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP | libc::MOUNT_ATTR_NODEV | read_only,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::from(owners.as_raw_fd().unsigned_abs()),
    };
    // SAFETY: the path is a constant string that ends with a zero byte, and the
    // attributes live and have the size that is given throughout the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
