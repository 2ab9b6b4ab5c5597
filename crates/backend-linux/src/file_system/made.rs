//! Making a file system in a file, and mounting one that is there.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{AtFlags, Mode};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use super::loop_device::LoopDevice;
use super::{Maker, directory_of};

/// What `mkfs` is told: no journal, as what a crash leaves is not used again;
/// nothing kept back for root; and nothing written that may stay a hole.
const OPTIONS: [&str; 9] = [
    "-q",
    "-F",
    "-m",
    "0",
    "-O",
    "^has_journal,^resize_inode",
    "-E",
    "lazy_itable_init=1,nodiscard,root_owner=0:0",
    "--",
];

/// A file system that is mounted, and nowhere to be seen yet.
#[derive(Debug)]
pub(crate) struct Made {
    mount: OwnedFd,
}

impl Made {
    /// The detached mount, which can be attached once.
    pub(crate) fn mount(&self) -> &OwnedFd {
        &self.mount
    }
}

impl Maker {
    /// Makes an empty file system of this size in a new file. Blocks.
    pub(crate) fn make(&self, place: &Path, bytes: u64) -> io::Result<Made> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.mode(0o600).open(place)?;
        check_room(&file, bytes)?;
        file.set_len(bytes)?;
        let mut mkfs = Command::new(&self.mkfs);
        mkfs.args(OPTIONS).arg(place).env_clear();
        let done = mkfs.stdin(Stdio::null()).output()?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            let said = said.trim().escape_debug().take(400).collect::<String>();
            return Err(io::Error::other(format!("mkfs.ext4 failed: {said}")));
        }
        let device = LoopDevice::attach(&file)?;
        let mount = mount(&device, MountAttrFlags::empty())?;
        let top = directory_of(&mount)?;
        rustix::fs::unlinkat(&top, "lost+found", AtFlags::REMOVEDIR)?;
        // As a fresh volume of a pod: whoever the image runs as can write.
        rustix::fs::fchmod(&top, Mode::from_raw_mode(0o777))?;
        Ok(Made { mount })
    }
}

/// Mounts the file system in this file for reading, beside the mounts that it
/// has. Blocks.
pub(super) fn mount_beside(place: &Path) -> io::Result<OwnedFd> {
    let file = File::open(place)?;
    let device = LoopDevice::of(&file)?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the file system is not mounted"))?;
    mount(&device, MountAttrFlags::MOUNT_ATTR_RDONLY)
}

fn mount(device: &LoopDevice, more: MountAttrFlags) -> io::Result<OwnedFd> {
    let file_system = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&file_system, "source", device.path())?;
    fsconfig_set_flag(&file_system, "noinit_itable")?;
    fsconfig_create(&file_system)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOATIME
        | more;
    Ok(fsmount(
        &file_system,
        FsMountFlags::FSMOUNT_CLOEXEC,
        attributes,
    )?)
}

/// A file of holes can promise more than the disk has.
fn check_room(file: &File, bytes: u64) -> io::Result<()> {
    let disk = rustix::fs::fstatvfs(file)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= bytes {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::StorageFull,
        format!("the disk of the runner has {free} bytes left, and {bytes} are asked for"),
    ))
}
