//! References to container images, as `docker pull` spells them.
//!
//! Parsing keeps the text and splits it; it does not say that the image exists.
//! The short forms (`python:3.11`) keep their text and expand on demand.

use std::fmt;
use std::str::FromStr;

/// An image, such as `python:3.11` or `ghcr.io/org/app@sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageReference {
    text: String,
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a text is not an image reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageReferenceError {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// Longer than registries accept.
    #[error("is longer than {} bytes", ImageReference::LEN_MAX)]
    TooLong,
    /// The registry part is not a host with an optional port.
    #[error("has a malformed registry; write it as host or host:port")]
    BadRegistry,
    /// The repository part breaks the rules of the registry protocol.
    #[error("has a malformed repository; use a-z, 0-9, '.', '_', '-' in parts divided by '/'")]
    BadRepository,
    /// The part behind the colon is no tag.
    #[error("has a malformed tag; use up to 128 letters, digits, '.', '_' and '-'")]
    BadTag,
    /// The part behind the at-sign is no digest.
    #[error("has a malformed digest; write sha256: and 64 hexadecimal digits")]
    BadDigest,
}

impl ImageReference {
    /// The longest accepted text, in bytes.
    pub const LEN_MAX: usize = 512;
    /// The registry that a reference without one means.
    pub const DEFAULT_REGISTRY: &'static str = "docker.io";
    /// The tag that a reference without tag and digest means.
    pub const DEFAULT_TAG: &'static str = "latest";

    /// The text, exactly as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The registry, `docker.io` when none was named.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository, with `library/` where the short form leaves it out.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, or `None` when only a digest was given.
    pub fn tag(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, None) => Some(Self::DEFAULT_TAG),
            (None, Some(_)) => None,
        }
    }

    /// The digest, with its algorithm.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The reference with everything spelled out; equal images print equal.
    pub fn canonical(&self) -> String {
        let mut text = format!("{}/{}", self.registry, self.repository);
        if let Some(tag) = self.tag() {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest);
        }
        text
    }
}

impl FromStr for ImageReference {
    type Err = ImageReferenceError;

    fn from_str(text: &str) -> Result<Self, ImageReferenceError> {
        if text.is_empty() {
            return Err(ImageReferenceError::Empty);
        }
        if text.len() > Self::LEN_MAX {
            return Err(ImageReferenceError::TooLong);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(check_digest(digest)?)),
            None => (text, None),
        };
        let (registry, rest) = split_registry(rest)?;
        // Behind the registry the only colon is the one before the tag.
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(check_tag(tag)?)),
            None => (rest, None),
        };
        check_repository(repository)?;
        let repository = if registry == Self::DEFAULT_REGISTRY && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        Ok(Self {
            text: text.to_owned(),
            registry: registry.to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }
}

/// The first part is a registry if it could not be part of a repository name.
fn split_registry(text: &str) -> Result<(&str, &str), ImageReferenceError> {
    let Some((first, rest)) = text.split_once('/') else {
        return Ok((ImageReference::DEFAULT_REGISTRY, text));
    };
    let is_host = first.contains(['.', ':']) || first == "localhost";
    if !is_host {
        return Ok((ImageReference::DEFAULT_REGISTRY, text));
    }
    let (host, port) = match first.strip_prefix('[') {
        Some(bracketed) => split_bracketed(bracketed)?,
        None => match first.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (first, None),
        },
    };
    let host_is_good = !host.is_empty()
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-:".contains(c))
        && (host.contains(':') || host.split('.').all(|label| !label.is_empty()));
    let port_is_good = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    if !host_is_good || !port_is_good {
        return Err(ImageReferenceError::BadRegistry);
    }
    let registry = if first == "index.docker.io" {
        ImageReference::DEFAULT_REGISTRY
    } else {
        first
    };
    Ok((registry, rest))
}

fn split_bracketed(text: &str) -> Result<(&str, Option<&str>), ImageReferenceError> {
    let (host, rest) = text
        .split_once(']')
        .ok_or(ImageReferenceError::BadRegistry)?;
    if host.parse::<std::net::Ipv6Addr>().is_err() {
        return Err(ImageReferenceError::BadRegistry);
    }
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(ImageReferenceError::BadRegistry),
    }
}

fn check_repository(repository: &str) -> Result<(), ImageReferenceError> {
    let part_is_good = |part: &str| {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(edge)
            && part.ends_with(edge)
            && part.chars().all(|c| edge(c) || "._-".contains(c))
            && !part.contains("..")
    };
    if repository.len() > 255 || !repository.split('/').all(part_is_good) {
        return Err(ImageReferenceError::BadRepository);
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<&str, ImageReferenceError> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = tag.len() <= 128
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || c == '.' || c == '-');
    if good {
        Ok(tag)
    } else {
        Err(ImageReferenceError::BadTag)
    }
}

fn check_digest(digest: &str) -> Result<&str, ImageReferenceError> {
    let hex = digest
        .strip_prefix("sha256:")
        .ok_or(ImageReferenceError::BadDigest)?;
    let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if hex.len() == 64 && hex.bytes().all(lower_hex) {
        Ok(digest)
    } else {
        Err(ImageReferenceError::BadDigest)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Result<String, ImageReferenceError> {
        text.parse::<ImageReference>()
            .map(|image| image.canonical())
    }

    #[test]
    fn short_forms_expand() {
        for (text, expected) in [
            ("python", "docker.io/library/python:latest"),
            ("python:3.11", "docker.io/library/python:3.11"),
            ("org/app", "docker.io/org/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app:1", "localhost:5000/app:1"),
            ("[::1]:5000/app:1", "[::1]:5000/app:1"),
            (
                "ghcr.io/myorg/python-ds:3.11-pytorch-2.3",
                "ghcr.io/myorg/python-ds:3.11-pytorch-2.3",
            ),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_digest_alone_has_no_tag() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let image: ImageReference = format!("python@{digest}").parse().unwrap();
        assert_eq!(image.tag(), None);
        assert_eq!(image.digest(), Some(digest.as_str()));
    }

    #[test]
    fn each_broken_rule_has_its_own_error() {
        for (text, expected) in [
            ("", ImageReferenceError::Empty),
            ("a.b:0/app", ImageReferenceError::BadRegistry),
            ("a.b:99999/app", ImageReferenceError::BadRegistry),
            ("Python", ImageReferenceError::BadRepository),
            ("a//b", ImageReferenceError::BadRepository),
            ("../etc/passwd", ImageReferenceError::BadRegistry),
            ("python:", ImageReferenceError::BadTag),
            ("python:-x", ImageReferenceError::BadTag),
            ("python:a b", ImageReferenceError::BadTag),
            ("python@sha256:abc", ImageReferenceError::BadDigest),
            ("python@md5:abc", ImageReferenceError::BadDigest),
        ] {
            assert_eq!(canonical(text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = text.parse::<ImageReference>();
        }

        #[test]
        fn the_canonical_form_is_a_fixed_point(
            text in "([a-z0-9]{1,8}/)?[a-z0-9]{1,8}(:[a-z0-9.]{1,8})?"
        ) {
            if let Ok(once) = canonical(&text) {
                prop_assert_eq!(canonical(&once), Ok(once));
            }
        }
    }
}
