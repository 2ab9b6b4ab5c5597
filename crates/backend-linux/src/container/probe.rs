//! Whether this host can make the root of a sandbox, tried before anybody asks.

use std::io;
use std::path::Path;

use rustix::thread::UnshareFlags;

use super::StartError;
use super::identity;
use super::mounts::Mounts;
use crate::config::LinuxConfig;
use crate::network::namespace::on_own_thread;
use crate::state::{self, State};

/// This host cannot make the root of a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A part of the trial could not be prepared.
    #[error("could not prepare a trial of the disk of a sandbox")]
    Prepare(#[from] io::Error),
    /// The trial failed.
    #[error(
        "could not mount the disk of a sandbox below {place}; this takes Linux 5.19 or later and \
         a file system such as ext4 or xfs, with user namespaces and overlay enabled"
    )]
    Mount {
        /// Where it was tried.
        place: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Mounts the root of a sandbox that never runs.
pub(crate) fn probe(state: &State, first_uid: u32) -> Result<(), ProbeError> {
    let place = fresh_directory(&state.sandboxes())?;
    let tried = try_in(state, &place, first_uid);
    std::fs::remove_dir_all(&place)?;
    tried
}

#[expect(unsafe_code, reason = "replacing namespaces has no safe wrapper")]
fn try_in(state: &State, place: &Path, first_uid: u32) -> Result<(), ProbeError> {
    let (disk, layer, init) = (place.join("disk"), place.join("layer"), place.join("init"));
    state::make_disk(&disk, first_uid)?;
    std::fs::create_dir(&layer)?;
    std::fs::File::create_new(&init)?;
    let owners = identity::namespace(first_uid, LinuxConfig::UIDS_EACH);
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| ProbeError::Mount {
        place: state.sandboxes().display().to_string(),
        source,
    };
    let owners = owners.map_err(|error| failed(error.into()))?;
    let point = state.mount_point();
    let mounted = on_own_thread(|| -> Result<(), StartError> {
        let own = UnshareFlags::NEWNS | UnshareFlags::FS;
        // SAFETY: mounts and working directory belong to this thread alone from
        // here on, and it ends soon.
        unsafe { rustix::thread::unshare_unsafe(own) }
            .map_err(|error| super::step("make namespaces")(error.into()))?;
        let mounts = Mounts {
            point: &point,
            disk,
            lower: &[layer],
            owners: std::os::fd::AsFd::as_fd(&owners),
            first_uid,
            file_system: None,
            init: &init,
            hidden: None,
        };
        mounts.make()
    });
    mounted?.map_err(|error| failed(error.into()))
}

/// A new directory that no sandbox is called like.
fn fresh_directory(parent: &Path) -> io::Result<std::path::PathBuf> {
    let path = parent.join("trial");
    match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    std::fs::create_dir(&path)?;
    Ok(path)
}
