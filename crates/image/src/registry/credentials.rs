//! Credentials for registries, from a file as `docker login` writes it.
//!
//! They have no `Debug` and go nowhere but into a header that is marked as
//! sensitive. Errors about them hold no part of them. Programs that the file
//! names are not run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use palisade_model::image::ImageReference;
use reqwest::header::HeaderValue;
use serde::Deserialize;

use crate::error::ImageError;

/// What a registry is told about who we are.
#[derive(PartialEq, Eq)]
pub(super) enum Credential {
    /// A name and a password, to the registry or its token server.
    Login { user: String, password: String },
    /// A token for the registry itself.
    Token(String),
}

#[derive(Deserialize)]
struct FileWire {
    #[serde(default)]
    auths: BTreeMap<String, EntryWire>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EntryWire {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// Bytes of the file that are read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Names under which the credentials of the default registry are kept.
const DEFAULT_NAMES: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The credential for the repository of `reference`, if the file has one.
pub(super) fn read(
    path: &Path,
    reference: &ImageReference,
) -> Result<Option<Credential>, ImageError> {
    let mut json = Vec::new();
    let read = File::open(path).and_then(|file| {
        // One more than allowed, so that a longer file is seen as such.
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut json)
    });
    if let Err(error) = read {
        tracing::warn!(%error, path = %path.display(), "credentials for registries cannot be read");
        return Err(unusable(reference, "their file cannot be read"));
    }
    if json.len() as u64 > FILE_BYTES_MAX {
        return Err(unusable(reference, "their file is too large"));
    }
    find(&json, reference)
}

fn find(json: &[u8], reference: &ImageReference) -> Result<Option<Credential>, ImageError> {
    // The text of this error may quote a value: it is dropped.
    let FileWire { auths } = serde_json::from_slice(json)
        .map_err(|_| unusable(reference, "their file is not in the format of docker login"))?;
    let fitting = auths
        .into_iter()
        .filter_map(|(key, entry)| Some((closeness(&key, reference)?, entry)));
    match fitting.max_by_key(|(closeness, _)| *closeness) {
        Some((_, entry)) => entry.credential(reference),
        None => Ok(None),
    }
}

/// How closely an entry's key names the repository; `None` if it is another's.
fn closeness(key: &str, reference: &ImageReference) -> Option<usize> {
    let key = key
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let (host, registry) = (host.to_ascii_lowercase(), reference.registry());
    let is_default = registry == ImageReference::DEFAULT_REGISTRY;
    let is_host = host == registry.to_ascii_lowercase()
        || (is_default && DEFAULT_NAMES.contains(&host.as_str()));
    let path = path.trim_matches('/');
    // Remains of the first versions of the protocol.
    let path = if matches!(path, "v1" | "v2") {
        ""
    } else {
        path
    };
    let below = reference.repository().strip_prefix(path)?;
    let is_path = path.is_empty() || below.is_empty() || below.starts_with('/');
    (is_host && is_path).then_some(path.len())
}

impl EntryWire {
    fn credential(self, reference: &ImageReference) -> Result<Option<Credential>, ImageError> {
        // No `..`: a field added to the document must be dealt with here.
        let Self {
            auth,
            username,
            password,
            identitytoken,
            registrytoken,
        } = self;
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = given(registrytoken) {
            return Ok(Some(Credential::Token(token)));
        }
        if given(identitytoken).is_some() {
            let why = "identity tokens are not supported, so log in with a name and a password";
            return Err(unusable(reference, why));
        }
        if let Some(auth) = given(auth) {
            return decode(&auth)
                .map(Some)
                .ok_or_else(|| unusable(reference, "their `auth` is not a name and a password"));
        }
        let login = given(username).zip(password);
        Ok(login.map(|(user, password)| Credential::Login { user, password }))
    }
}

fn decode(auth: &str) -> Option<Credential> {
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Credential::Login {
        user: user.to_owned(),
        // Some tools pad the text with NUL bytes.
        password: password.trim_end_matches('\0').to_owned(),
    })
}

fn unusable(reference: &ImageReference, why: &'static str) -> ImageError {
    ImageError::Credentials {
        registry: reference.registry().to_owned(),
        why,
    }
}

/// The header for a name and a password.
pub(super) fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    sensitive(&format!("Basic {pair}"))
}

/// The header for a token; `None` if the text cannot be one.
pub(super) fn bearer(token: &str) -> Option<HeaderValue> {
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then(|| sensitive(&format!("Bearer {token}")))?
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(json: &str, reference: &str) -> Option<String> {
        let found = find(json.as_bytes(), &reference.parse().unwrap()).unwrap()?;
        Some(match found {
            Credential::Login { user, password } => format!("{user}/{password}"),
            Credential::Token(token) => token,
        })
    }

    #[test]
    fn a_credential_goes_to_its_registry_and_no_other() {
        let json = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOmE6Yg=="},
            "ghcr.example": {"username": "gh", "password": "pw"},
            "ghcr.example/org": {"username": "org", "password": "pw"},
            "localhost:5000": {"registrytoken": "tok"},
            "empty.example": {}
        }, "credsStore": "desktop"}"#;
        for (reference, expected) in [
            ("python:3.11", Some("hub/a:b")),
            ("org/app", Some("hub/a:b")),
            ("ghcr.example/x/app", Some("gh/pw")),
            ("ghcr.example/org/app", Some("org/pw")),
            ("ghcr.example/organ/app", Some("gh/pw")),
            ("GHCR.example/x", Some("gh/pw")),
            ("localhost:5000/a", Some("tok")),
            ("localhost:5001/a", None),
            ("evil-ghcr.example/a", None),
            ("ghcr.example.evil.example/a", None),
            ("empty.example/a", None),
        ] {
            assert_eq!(user(json, reference).as_deref(), expected, "{reference}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_without_any_part_of_it() {
        for json in [
            r#"{"auths": {"a.example": {"auth": "c2VjcmV0"}}}"#,
            r#"{"auths": {"a.example": {"auth": "secret!"}}}"#,
            r#"{"auths": {"a.example": {"identitytoken": "secret"}}}"#,
            r#"{"auths": {"a.example": "secret"}}"#,
            r#"{"auths": "secret"}"#,
            "secret",
        ] {
            let refused = find(json.as_bytes(), &"a.example/b".parse().unwrap());
            let error = refused.err().unwrap();
            assert!(matches!(error, ImageError::Credentials { .. }), "{json}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{json}");
        }
    }

    #[test]
    fn a_token_that_would_break_a_header_is_none() {
        for token in ["", "a\nb", "a\r\nX-Evil: 1", "a b", "ä"] {
            assert!(bearer(token).is_none(), "{token:?}");
        }
        let header = bearer("abc.def").unwrap();
        assert!(header.is_sensitive());
        assert!(!format!("{header:?}").contains("abc"));
    }

    #[test]
    fn a_missing_or_giant_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let reference = "a.example/b".parse().unwrap();
        assert!(read(&path, &reference).is_err());
        std::fs::write(&path, vec![b' '; 2 << 20]).unwrap();
        assert!(read(&path, &reference).is_err());
    }
}
