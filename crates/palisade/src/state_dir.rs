//! The directory in which everything is kept, and what lies where in it.
//!
//! Only its owner can look inside: it holds the database and tokens. The
//! layout is here and nowhere else.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use palisade_model::clock::Ids as _;

use crate::system::KernelIds;

/// Nobody but the owner.
const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// Where things are kept.
#[derive(Clone, Debug)]
pub(crate) struct StateDir(PathBuf);

impl StateDir {
    /// Opens the directory, and makes it if it does not exist.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("could not open the state directory {}", path.display());
        fs::create_dir_all(path).with_context(failed)?;
        fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIRECTORY))
            .with_context(failed)?;
        let path = fs::canonicalize(path).with_context(failed)?;
        Ok(Self(path))
    }

    /// Keeps other servers from this directory until the claim is dropped.
    pub(crate) fn claim(&self) -> anyhow::Result<Claim> {
        let path = self.0.join("server.lock");
        let failed = || format!("could not open {}", path.display());
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let file = options
            .mode(PRIVATE_FILE)
            .open(&path)
            .with_context(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Claim(file)),
            Err(TryLockError::WouldBlock) => bail!(
                "another palisade serves from {}; stop it, or give --state-dir another directory",
                self.0.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(failed),
        }
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("palisade.db")
    }

    /// The key that seals secrets, unless it is kept elsewhere.
    pub(crate) fn secrets_key(&self) -> PathBuf {
        self.0.join("secrets.key")
    }

    /// The images, unless they are kept elsewhere.
    pub(crate) fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    /// What the Linux backend keeps.
    pub(crate) fn sandboxes(&self) -> PathBuf {
        self.0.join("sandboxes")
    }

    /// The bytes of snapshots.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots")
    }

    /// A token that `palisade dev` made for somebody.
    pub(crate) fn token(&self, name: &str) -> PathBuf {
        self.0.join("tokens").join(name)
    }

    /// What tells this directory from others, as long as it is there. Made at first.
    pub(crate) fn home_id(&self) -> anyhow::Result<String> {
        let path = self.0.join("home.id");
        if let Some(known) = read_secret(&path)?.filter(|text| !text.is_empty()) {
            return Ok(known);
        }
        let id = KernelIds.uuid().to_string();
        write_secret(&path, &id)?;
        Ok(id)
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

/// The right to serve from a state directory; the kernel takes it back from
/// whoever is killed.
#[derive(Debug)]
#[must_use = "others may serve from the directory once it is dropped"]
pub(crate) struct Claim(#[expect(dead_code, reason = "held for its lock")] File);

/// Reads a secret; `None` if there is no such file.
pub(crate) fn read_secret(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
    }
}

/// Writes a secret for its owner only, whole or not at all.
pub(crate) fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    write_private(path, secret).with_context(|| format!("could not write {}", path.display()))
}

fn write_private(path: &Path, secret: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(PRIVATE_DIRECTORY))?;
    let unfinished = path.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE)
        .open(&unfinished)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_server_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let first = state.claim().unwrap();
        let refused = state.claim().unwrap_err().to_string();
        assert!(refused.contains("--state-dir"), "{refused}");
        drop(first);
        let _second = state.claim().unwrap();
    }

    #[test]
    fn a_directory_is_told_from_others_for_as_long_as_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let id = state.home_id().unwrap();
        assert_eq!(state.home_id().unwrap(), id);
        let other = tempfile::tempdir().unwrap();
        let other = StateDir::open(other.path()).unwrap();
        assert_ne!(other.home_id().unwrap(), id);
    }

    #[test]
    fn secrets_are_for_their_owner_and_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("state")).unwrap();
        let path = state.token("admin");
        assert_eq!(read_secret(&path).unwrap(), None);
        write_secret(&path, "first").unwrap();
        write_secret(&path, "second").unwrap();
        assert_eq!(read_secret(&path).unwrap().as_deref(), Some("second"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(state.path()), 0o700);
    }
}
