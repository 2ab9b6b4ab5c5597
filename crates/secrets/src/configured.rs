//! Stores whose values are where the operator of the server says: in variables
//! of its environment, or in files below a directory.
//!
//! Only the operator makes them, on the command line, for one organization each.
//! What can be named is bounded: variables by a prefix, and files by the
//! directory, which no path and no symbolic link leads out of.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use palisade_model::clock::Timestamp;
use palisade_model::id::SecretStoreId;
use palisade_model::name::OrganizationId;
use palisade_model::reason::Reason;
use palisade_model::secret::{
    SECRET_BYTES_MAX, SecretAddress, SecretProvider, SecretStore, SecretStoreName, SecretValue,
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::failure::Failure;
use crate::part::{self, Found};

/// A store that the operator of the server configured.
#[derive(Clone, Debug)]
pub struct ConfiguredStore {
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its name.
    pub name: SecretStoreName,
    /// Where the values are.
    pub source: Source,
    /// Since when it is there.
    pub since: Timestamp,
}

/// Where the values of a configured store are.
#[derive(Clone, Debug)]
pub enum Source {
    /// Variables of the server by what follows the prefix, as they were when the
    /// server started.
    Environment(BTreeMap<String, SecretValue>),
    /// Files below this directory.
    Directory(PathBuf),
}

impl ConfiguredStore {
    /// The store as its organization sees it.
    pub(crate) fn store(&self) -> SecretStore {
        SecretStore {
            id: self.id(),
            organization: self.organization.clone(),
            name: self.name.clone(),
            provider: match self.source {
                Source::Environment(_) => SecretProvider::Environment,
                Source::Directory(_) => SecretProvider::Directory,
            },
            created_at: self.since,
            updated_at: self.since,
        }
    }

    /// The same with every start of the server.
    fn id(&self) -> SecretStoreId {
        let mut hash = Sha256::new();
        hash.update(b"palisade configured secret store\0");
        hash.update(self.organization.as_str());
        hash.update(b"\0");
        hash.update(self.name.as_str());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        // A UUID of version 8, whose bits are ours to choose.
        bytes[6] = (bytes[6] & 0x0f) | 0x80;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        SecretStoreId::new(Uuid::from_bytes(bytes))
    }

    /// Looks for a secret. Blocks.
    pub(crate) fn find(&self, address: &SecretAddress) -> Result<Found, Failure> {
        match &self.source {
            Source::Environment(variables) => Ok(of_environment(variables, address)),
            Source::Directory(root) => {
                let found = of_directory(root, address);
                found.map_err(|error| self.unreadable(error))
            }
        }
    }

    fn unreadable(&self, error: io::Error) -> Failure {
        let name = &self.name;
        let message = format!(
            "the secret store {name} cannot be read; whoever runs the server finds why in its log"
        );
        let refusal = Failure::not_provisioned(message, error);
        Failure {
            refusal: refusal.refusal.with("secret_store", name.as_str()),
            ..refusal
        }
    }
}

fn of_environment(variables: &BTreeMap<String, SecretValue>, address: &SecretAddress) -> Found {
    match (variables.get(address.path.as_str()), &address.field) {
        (None, _) => Found::Nothing,
        (Some(value), None) => Found::Value(value.clone()),
        (Some(value), Some(field)) => part::field(value, field),
    }
}

/// A field is a file in the directory that the path names, or a field of the
/// JSON in the file.
fn of_directory(root: &Path, address: &SecretAddress) -> io::Result<Found> {
    let root = root.canonicalize()?;
    let path = root.join(address.path.as_str());
    let Some(field) = &address.field else {
        return read(&root, &path).map(Found::from);
    };
    if let Some(value) = read(&root, &path.join(field.as_str()))? {
        return Ok(Found::Value(value));
    }
    let whole = read(&root, &path)?;
    Ok(whole.map_or(Found::Nothing, |value| part::field(&value, field)))
}

/// The content of a file below `root`; `None` if there is none.
fn read(root: &Path, path: &Path) -> io::Result<Option<SecretValue>> {
    let is_absent = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    };
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !path.starts_with(root) {
        return Err(io::Error::other(
            "a symbolic link leads out of the directory",
        ));
    }
    if !path.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(SECRET_BYTES_MAX).unwrap_or(u64::MAX);
    File::open(&path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    SecretValue::new(bytes).map(Some).map_err(io::Error::other)
}

/// What nobody can do to a store that is configured.
pub(crate) fn read_only(name: &SecretStoreName) -> Failure {
    let message = format!(
        "the secret store {name} is set up by whoever runs the server, and is changed there only"
    );
    Failure::new(Reason::PermissionDenied, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(path: &str, field: &str) -> SecretAddress {
        SecretAddress {
            path: path.parse().unwrap(),
            field: (!field.is_empty()).then(|| field.parse().unwrap()),
        }
    }

    fn store(source: Source) -> ConfiguredStore {
        ConfiguredStore {
            organization: "acme".parse().unwrap(),
            name: "files".parse().unwrap(),
            source,
            since: Timestamp::EPOCH,
        }
    }

    fn found(store: &ConfiguredStore, path: &str, field: &str) -> Option<String> {
        match store.find(&address(path, field)).unwrap() {
            Found::Value(value) => value.as_variable().map(str::to_owned),
            Found::Unusable(_) | Found::Nothing => None,
        }
    }

    #[test]
    fn files_are_found_whole_by_field_and_in_json() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir(root.join("db")).unwrap();
        std::fs::write(root.join("db/password"), "hunter2").unwrap();
        std::fs::write(root.join("api"), r#"{"key": "k1"}"#).unwrap();
        let store = store(Source::Directory(root.to_owned()));
        assert_eq!(found(&store, "db/password", "").as_deref(), Some("hunter2"));
        assert_eq!(found(&store, "db", "password").as_deref(), Some("hunter2"));
        assert_eq!(found(&store, "api", "key").as_deref(), Some("k1"));
        for (path, field) in [("db", ""), ("db", "user"), ("none", ""), ("api/key", "")] {
            assert_eq!(found(&store, path, field), None, "{path} {field}");
        }
    }

    #[test]
    fn no_link_leads_out_of_the_directory_and_none_within_is_refused() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("key"), "theirs").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        // As a mounted secret of Kubernetes looks.
        std::fs::create_dir(root.join("..2026")).unwrap();
        std::fs::write(root.join("..2026/key"), "ours").unwrap();
        std::os::unix::fs::symlink("..2026/key", root.join("key")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("key"), root.join("out")).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.join("dir")).unwrap();
        let store = store(Source::Directory(root.to_owned()));
        assert_eq!(found(&store, "key", "").as_deref(), Some("ours"));
        for (path, field) in [("out", ""), ("dir/key", ""), ("dir", "key")] {
            let refused = store.find(&address(path, field)).unwrap_err();
            assert_eq!(refused.refusal.reason, Reason::SecretStoreNotProvisioned);
            assert!(!refused.refusal.message.contains("theirs"));
        }
    }

    #[test]
    fn what_is_too_long_or_not_there_at_all_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::write(root.join("long"), vec![b'x'; SECRET_BYTES_MAX + 1]).unwrap();
        let here = store(Source::Directory(root.to_owned()));
        assert!(here.find(&address("long", "")).is_err());
        let gone = store(Source::Directory(root.join("gone")));
        assert!(gone.find(&address("long", "")).is_err());
    }

    #[test]
    fn a_configured_store_keeps_its_identity() {
        let one = store(Source::Environment(BTreeMap::new())).store();
        let two = store(Source::Directory("/".into())).store();
        assert_eq!(one.id, two.id);
        assert_ne!(one.provider, two.provider);
    }
}
