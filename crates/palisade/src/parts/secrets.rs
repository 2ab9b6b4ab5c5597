//! Where the values of secrets are, from the command line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use palisade_model::clock::{Clock as _, Ids as _};
use palisade_model::secret::SecretValue;
use palisade_secrets::{
    ConfiguredStore, Failure, KeyError, KeyFile, SecretSettings, Secrets, Source,
};
use palisade_store::Store;
use tracing::{error, info};

use crate::cli::{SecretsArgs, SecretsKeyArgs};
use crate::state_dir::StateDir;
use crate::system::{KernelIds, SystemClock};

/// The settings for a server; a key is made where there is none yet.
pub(crate) async fn settings(
    args: &SecretsArgs,
    state: &StateDir,
    store: &Arc<dyn Store>,
) -> anyhow::Result<SecretSettings> {
    let configured: anyhow::Result<Vec<_>> = args
        .secret_stores
        .iter()
        .map(|text| configured(text))
        .collect();
    let configured = configured?;
    for (index, one) in configured.iter().enumerate() {
        let same = |other: &ConfiguredStore| {
            other.organization == one.organization && other.name == one.name
        };
        if configured[..index].iter().any(same) {
            bail!(
                "--secret-store {}/{} is given twice",
                one.organization,
                one.name
            );
        }
    }
    let keys = keys(&args.key, state, store).await?;
    Ok(SecretSettings { keys, configured })
}

/// The key file, which has to be there.
pub(crate) fn existing_keys(args: &SecretsKeyArgs, state: &StateDir) -> Result<KeyFile, KeyError> {
    let path = args.secrets_key_file.clone();
    KeyFile::open(&path.unwrap_or_else(|| state.secrets_key()))
}

/// A failure for whoever runs the server, who may see its cause.
pub(crate) fn told(failure: Failure) -> anyhow::Error {
    match failure.cause {
        Some(cause) => anyhow!("{}: {cause}", failure.refusal.message),
        None => anyhow!(failure.refusal.message),
    }
}

/// A file that was named is not made; and neither is one beside secrets that
/// another one sealed.
async fn keys(
    args: &SecretsKeyArgs,
    state: &StateDir,
    store: &Arc<dyn Store>,
) -> anyhow::Result<Option<KeyFile>> {
    let path = state.secrets_key();
    if args.secrets_key_file.is_some() || path.exists() {
        return Ok(Some(existing_keys(args, state)?));
    }
    let secrets = Secrets::new(
        Arc::clone(store),
        Arc::new(SystemClock),
        Arc::new(KernelIds),
        SecretSettings::default(),
    );
    if secrets.has_sealed().await.map_err(told)? {
        let path = path.display();
        error!(%path, "the key file is gone, and the database has secrets that only it opens; \
            restore it: until then, no sandbox gets any of them");
        return Ok(None);
    }
    let made = KeyFile::create(&path, KernelIds.secret())?;
    info!(path = %path.display(), "a key was made that seals secrets; keep a copy of it apart from \
        copies of the database");
    Ok(Some(made))
}

/// Reads `ORG/NAME=env:PREFIX` or `ORG/NAME=dir:PATH`.
fn configured(text: &str) -> anyhow::Result<ConfiguredStore> {
    let form = || {
        format!(
            "--secret-store {text:?} must read ORG/NAME=env:PREFIX or ORG/NAME=dir:PATH, such as \
             acme/build=env:BUILD_"
        )
    };
    let (whose, source) = text.split_once('=').with_context(form)?;
    let (organization, name) = whose.split_once('/').with_context(form)?;
    let source = match source.split_once(':').with_context(form)? {
        ("env", prefix) => environment(prefix)?,
        ("dir", path) => directory(path)?,
        (_, _) => bail!(form()),
    };
    Ok(ConfiguredStore {
        organization: organization.parse().with_context(form)?,
        name: name.parse().with_context(form)?,
        source,
        since: SystemClock.now(),
    })
}

/// The variables of this process that begin so. An empty prefix would be all of
/// them, tokens included.
fn environment(prefix: &str) -> anyhow::Result<Source> {
    if prefix.is_empty() {
        bail!("--secret-store env: needs a prefix; without one it would be every variable");
    }
    let mut values = BTreeMap::new();
    for (name, value) in std::env::vars_os() {
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(prefix)) else {
            continue;
        };
        if rest.is_empty() {
            continue;
        }
        let bytes = std::os::unix::ffi::OsStringExt::into_vec(value);
        let value = SecretValue::new(bytes);
        let value = value.with_context(|| format!("the variable {prefix}{rest}"))?;
        values.insert(rest.to_owned(), value);
    }
    Ok(Source::Environment(values))
}

fn directory(path: &str) -> anyhow::Result<Source> {
    let path = PathBuf::from(path);
    if !path.is_absolute() || !path.is_dir() {
        bail!(
            "--secret-store dir: {} is no absolute path of a directory",
            path.display()
        );
    }
    Ok(Source::Directory(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts;

    fn args(file: Option<PathBuf>) -> SecretsArgs {
        SecretsArgs {
            key: SecretsKeyArgs {
                secrets_key_file: file,
            },
            secret_stores: Vec::new(),
        }
    }

    #[test]
    fn a_store_is_an_organization_a_name_and_a_bounded_source() {
        let store = configured("acme/build=env:PALISADE_NO_SUCH_").unwrap();
        assert_eq!(store.organization.as_str(), "acme");
        assert!(matches!(store.source, Source::Environment(values) if values.is_empty()));
        assert!(configured("acme/files=dir:/tmp").is_ok());
        for wrong in [
            "ci=env:CI_",
            "acme/build",
            "acme/build=env:",
            "acme/build=vault:x",
            "acme/x=env:BUILD_",
            "acme/files=dir:tmp",
            "acme/files=dir:/no/such/directory",
        ] {
            assert!(configured(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_key_is_made_once_and_one_that_is_named_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let store = parts::store::open_in(&state).await.unwrap();
        let made = settings(&args(None), &state, &store).await.unwrap();
        assert!(made.keys.is_some());
        let first = std::fs::read(state.secrets_key()).unwrap();
        settings(&args(None), &state, &store).await.unwrap();
        assert_eq!(std::fs::read(state.secrets_key()).unwrap(), first);
        let absent = args(Some(folder.path().join("absent")));
        assert!(settings(&absent, &state, &store).await.is_err());
    }
}
