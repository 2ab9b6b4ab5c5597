//! Values of secrets on their way into sandboxes.
//!
//! Those that the gateway found wait in memory from the launch to the start and
//! are never written down; those of this runner are read from its directory at
//! the start. Process 1 gets both with the rest of its environment, through
//! memory that it inherits. [`Handed`] holds values for sandboxes that are still
//! to start, and for no others.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use palisade_model::id::SandboxId;
use palisade_model::secret::{
    ClusterSecretKey, ClusterSecretName, SECRET_BYTES_MAX, SecretSource, SecretTooLong,
    SecretValue, SecretValues, SecretVariable,
};
use tokio::sync::watch;

/// Values that wait for their sandboxes to start.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    values: Mutex<HashMap<SandboxId, SecretValues>>,
    news: watch::Sender<u64>,
}

/// Why a secret of this runner cannot be given to a sandbox.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnError {
    #[error("this runner has no secrets of its own")]
    None,
    #[error("this runner has no secret {name} with the key {key}")]
    Missing {
        name: ClusterSecretName,
        key: ClusterSecretKey,
    },
    #[error("the secret {name} of this runner cannot be read; its log says more")]
    Unreadable {
        name: ClusterSecretName,
        #[source]
        source: io::Error,
    },
    #[error("the key {key} of the secret {name} of this runner cannot be used")]
    TooLong {
        name: ClusterSecretName,
        key: ClusterSecretKey,
        #[source]
        source: SecretTooLong,
    },
    #[error("the key {key} of the secret {name} of this runner is no text, or has a NUL character")]
    NotText {
        name: ClusterSecretName,
        key: ClusterSecretKey,
    },
}

impl Handed {
    /// Keeps values until the sandbox starts.
    pub(crate) fn put(&self, id: SandboxId, values: SecretValues) {
        self.lock().insert(id, values);
        self.news.send_modify(|count| *count += 1);
    }

    /// Drops the values of a sandbox that starts no more.
    pub(crate) fn forget(&self, id: SandboxId) {
        self.lock().remove(&id);
    }

    /// Takes the values, if all that are needed are there.
    pub(crate) fn take(&self, id: SandboxId, needed: &[SecretVariable]) -> Option<SecretValues> {
        let mut values = self.lock();
        let is_served = match values.get(&id) {
            Some(there) => there.serve(needed),
            None => SecretValues::default().serve(needed),
        };
        is_served.then(|| values.remove(&id).unwrap_or_default())
    }

    /// Takes the values once they are there.
    pub(crate) async fn wait(&self, id: SandboxId, needed: &[SecretVariable]) -> SecretValues {
        let mut news = self.news.subscribe();
        loop {
            news.mark_unchanged();
            if let Some(values) = self.take(id, needed) {
                return values;
            }
            // The sender lives as long as this.
            let _ = news.changed().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SandboxId, SecretValues>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The values of all variables of a launch: those that were handed over, and
/// those out of the directory of this runner. Blocks.
pub(crate) fn all(
    variables: &[SecretVariable],
    handed: &SecretValues,
    directory: Option<&Path>,
) -> Result<SecretValues, OwnError> {
    let mut values = SecretValues::default();
    for variable in variables {
        let value = match &variable.source {
            // The start waited until they are all there.
            SecretSource::Store { .. } => handed.get(&variable.env_var).cloned(),
            SecretSource::Runner { name, key } => Some(own(directory, name, key)?),
        };
        if let Some(value) = value {
            values.insert(variable.env_var.clone(), value);
        }
    }
    Ok(values)
}

fn own(
    directory: Option<&Path>,
    name: &ClusterSecretName,
    key: &ClusterSecretKey,
) -> Result<SecretValue, OwnError> {
    let root = directory.ok_or(OwnError::None)?;
    let (name, key) = (name.clone(), key.clone());
    let bytes = match read(root, name.as_str(), key.as_str()) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(OwnError::Missing { name, key }),
        Err(source) => {
            tracing::warn!(secret = %name, error = %source, "a secret of this runner cannot be read");
            return Err(OwnError::Unreadable { name, source });
        }
    };
    let value = match SecretValue::new(bytes) {
        Ok(value) => value,
        Err(source) => return Err(OwnError::TooLong { name, key, source }),
    };
    if value.as_variable().is_none() {
        return Err(OwnError::NotText { name, key });
    }
    Ok(value)
}

/// The content of `root/name/key`; `None` if there is no such file. A mounted
/// secret of Kubernetes consists of links; none may lead out of its directory.
fn read(root: &Path, name: &str, key: &str) -> io::Result<Option<Vec<u8>>> {
    let is_absent = |error: &io::Error| {
        let kind = error.kind();
        kind == io::ErrorKind::NotFound || kind == io::ErrorKind::NotADirectory
    };
    let root = root.canonicalize()?;
    let path = match root.join(name).join(key).canonicalize() {
        Ok(path) => path,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !path.starts_with(&root) {
        return Err(io::Error::other("a link leads out of the directory"));
    }
    if !path.metadata()?.is_file() {
        return Ok(None);
    }
    let limit = u64::try_from(SECRET_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use palisade_model::secret::SecretAddress;
    use uuid::Uuid;

    use super::*;

    fn of_store(env_var: &str) -> SecretVariable {
        SecretVariable {
            env_var: env_var.to_owned(),
            source: SecretSource::Store {
                store: "team".parse().unwrap(),
                address: SecretAddress {
                    path: "token".parse().unwrap(),
                    field: None,
                },
            },
        }
    }

    fn of_runner(name: &str, key: &str) -> SecretVariable {
        SecretVariable {
            env_var: "OWN".to_owned(),
            source: SecretSource::Runner {
                name: name.parse().unwrap(),
                key: key.parse().unwrap(),
            },
        }
    }

    fn values(pairs: &[(&str, &str)]) -> SecretValues {
        let mut values = SecretValues::default();
        for (name, value) in pairs {
            values.insert(*name, SecretValue::new(value.as_bytes().to_vec()).unwrap());
        }
        values
    }

    fn id(number: u128) -> SandboxId {
        SandboxId::new(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn values_are_waited_for_taken_once_and_forgotten() {
        let handed = std::sync::Arc::new(Handed::default());
        assert!(handed.take(id(1), &[]).is_some(), "nothing is needed");
        let needed = [of_store("A"), of_runner("db", "x")];
        assert!(handed.take(id(1), &needed).is_none());
        let waiting = handed.wait(id(1), &needed);
        let providing = async {
            handed.put(id(2), values(&[("A", "other")]));
            handed.put(id(1), values(&[("B", "half")]));
            handed.put(id(1), values(&[("A", "hunter2")]));
        };
        let (taken, ()) = tokio::join!(waiting, providing);
        assert_eq!(taken, values(&[("A", "hunter2")]));
        assert!(handed.take(id(1), &needed).is_none());
        handed.forget(id(2));
        assert!(handed.lock().is_empty());
    }

    #[test]
    fn own_secrets_are_files_of_the_directory_and_none_beyond() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("key"), "theirs").unwrap();
        let root = tempfile::tempdir().unwrap();
        let secret = root.path().join("db");
        std::fs::create_dir_all(secret.join("..2026")).unwrap();
        std::fs::write(secret.join("..2026/password"), "hunter2").unwrap();
        std::os::unix::fs::symlink("..2026/password", secret.join("password")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("key"), secret.join("out")).unwrap();
        std::fs::write(secret.join("nul"), b"a\0b").unwrap();
        std::fs::write(secret.join("long"), vec![b'x'; SECRET_BYTES_MAX + 1]).unwrap();
        let none = SecretValues::default();
        let found = all(&[of_runner("db", "password")], &none, Some(root.path()));
        assert_eq!(found.unwrap(), values(&[("OWN", "hunter2")]));
        for (name, key, expected) in [
            ("db", "user", "no secret db with the key user"),
            ("other", "password", "no secret other"),
            ("db", "out", "cannot be read"),
            ("db", "nul", "NUL character"),
            ("db", "long", "cannot be used"),
        ] {
            let refused = all(&[of_runner(name, key)], &none, Some(root.path()));
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
            assert!(!refused.contains("theirs"), "{refused}");
        }
        let refused = all(&[of_runner("db", "password")], &none, None);
        assert!(matches!(refused, Err(OwnError::None)));
    }
}
