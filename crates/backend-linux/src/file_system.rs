//! File systems that sandboxes have to themselves, and their archives.
//!
//! Each is an ext4 in a file of its size, so that the kernel enforces the size
//! whatever is written. It is mounted through a loop device, detached: nothing
//! but descriptors and the sandbox's own mounts hold it, and when these are gone
//! the kernel clears mount and device away, whoever was killed.
//!
//! The owners in it are those of the sandbox; a mount maps them to the ids of
//! the host that the sandbox has now. So a file system can be read and filled
//! without knowing these.

mod capture;
mod filling;
mod loop_device;
mod made;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use palisade_image::directory::DirectoryLimits;
use palisade_model::snapshot::MOUNT_BYTES_MIN;
use tracing::{info, warn};

use crate::config::{LinuxConfig, installed};
use crate::container::{map_owners, owners_of};
use crate::room;
use crate::state::State;

pub(crate) use filling::{ChunkReader, failed};
pub(crate) use made::Made;

/// Files, directories and links of one file system.
const ENTRIES_MAX: u64 = 1_000_000;
/// How much larger than a file system its files may say they are, with holes.
const HOLES_FACTOR: u64 = 4;

/// Makes file systems.
#[derive(Clone, Debug)]
pub(crate) struct Maker {
    mkfs: PathBuf,
}

impl Maker {
    /// What makes file systems here; `None`, and a word in the log, if this host
    /// cannot do all that is needed.
    pub(crate) fn detect(state: &State, first_uid: u32) -> Option<Self> {
        let Some(mkfs) = installed("mkfs.ext4") else {
            warn!(
                "there is no mkfs.ext4 here, so sandboxes cannot have file systems of their own; \
                 install e2fsprogs"
            );
            return None;
        };
        let maker = Self { mkfs };
        match maker.try_out(&state.trial_file(), first_uid) {
            Ok(()) => {
                info!("sandboxes can have file systems of their own");
                Some(maker)
            }
            // It says nothing about the host: each start will see for itself.
            Err(error) if room::is_missing(&error) => {
                warn!(%error, "file systems of sandboxes could not be tried out");
                Some(maker)
            }
            Err(error) => {
                warn!(
                    %error,
                    "sandboxes cannot have file systems of their own: an ext4 cannot be mounted \
                     through a loop device with other owners"
                );
                None
            }
        }
    }

    /// Makes one that nobody needs, and mounts it as a sandbox would have it.
    fn try_out(&self, place: &Path, first_uid: u32) -> io::Result<()> {
        let made = self.make(place, MOUNT_BYTES_MIN);
        let tried = made.and_then(|made| {
            let owners = owners_of(first_uid, LinuxConfig::UIDS_EACH)?;
            map_owners(made.mount(), owners.as_fd(), false)
        });
        let removed = std::fs::remove_file(place);
        tried.and(removed)
    }
}

/// The bounds of an archive of a file system.
pub(crate) fn limits(bytes: u64) -> DirectoryLimits {
    DirectoryLimits {
        entries_max: ENTRIES_MAX,
        file_bytes_max: bytes.saturating_mul(HOLES_FACTOR),
    }
}

/// A directory of a detached mount, for reading and changing it.
fn directory_of(mount: &OwnedFd) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(mount, ".", flags, Mode::empty())?)
}

/// A name that nobody else chooses.
fn unguessable() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(crate::network::hex(&bytes))
}
