//! Why an image could not be had.
//!
//! Each message is one sentence for the person who asked for the image: it is
//! shown as the reason of a sandbox that could not start. It therefore holds no
//! path of this machine and no secret; the cause behind it is in `source()`,
//! for the log.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use crate::digest::Digest;
use crate::platform::Platform;

/// The cause behind a failure, for the log.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why an image could not be had, kept or removed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The registry does not know it, or does not say so to strangers.
    #[error(
        "image {reference} was not found in its registry; check the name and the tag, and that the credentials may read it"
    )]
    NotFound {
        /// The image.
        reference: String,
    },
    /// It is not in the store, and may not be pulled.
    #[error(
        "image {reference} is not on this machine and may not be pulled; pull or import it first"
    )]
    NotPresent {
        /// The image.
        reference: String,
    },
    /// The registry wants credentials, or others.
    #[error(
        "registry {registry} does not let us read {reference}; check its name, give credentials that may read it, or make it public"
    )]
    Unauthorized {
        /// The registry.
        registry: String,
        /// The image.
        reference: String,
    },
    /// The configuration does not allow the registry.
    #[error("registry {registry} is not among those that this machine may pull from; {why}")]
    NotAllowed {
        /// The registry.
        registry: String,
        /// What rule said so.
        why: &'static str,
    },
    /// No connection, or it broke too often.
    #[error(
        "registry {registry} could not be reached; check its name, the network, and whether it speaks https"
    )]
    Unreachable {
        /// The registry.
        registry: String,
        /// What went wrong.
        #[source]
        cause: Cause,
    },
    /// The registry answered, but with an error of its own.
    #[error(
        "registry {registry} answered with status {status}; try again later or ask its operator"
    )]
    RegistryFailed {
        /// The registry.
        registry: String,
        /// The HTTP status.
        status: u16,
    },
    /// The operator's credentials for registries are of no use.
    #[error(
        "the credentials for registry {registry} on this machine cannot be used: {why}; its operator can correct them"
    )]
    Credentials {
        /// The registry.
        registry: String,
        /// What is wrong with them; never any part of them.
        why: &'static str,
    },
    /// The whole took longer than it may.
    #[error(
        "the image could not be made ready within {seconds} seconds; try again or raise the limit"
    )]
    TimedOut {
        /// The limit.
        seconds: u64,
    },
    /// The content is not what its name says.
    #[error(
        "{what} does not have the digest that names it (expected {expected}, got {actual}); the source is damaged or not honest"
    )]
    DigestMismatch {
        /// Which part.
        what: &'static str,
        /// The digest that it should have.
        expected: Digest,
        /// The digest that it has.
        actual: Digest,
    },
    /// A document or an archive breaks the rules of its format.
    #[error("{what} is malformed: {why}; build or fetch the image anew")]
    Malformed {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A layer holds something that no layer may hold.
    #[error("a layer holds {entry}, which {why}; such an image is not unpacked")]
    Hostile {
        /// The name of the file, made harmless.
        entry: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A format or a kind of image that cannot be used here.
    #[error("{what} is not supported; {instead}")]
    Unsupported {
        /// What it is.
        what: String,
        /// What to do instead.
        instead: &'static str,
    },
    /// It exists, but not for this machine.
    #[error(
        "the image is not made for {wanted}; it exists for {}",
        list(available)
    )]
    WrongPlatform {
        /// This machine.
        wanted: Platform,
        /// What there is.
        available: Vec<Platform>,
    },
    /// What is to be imported cannot be opened or read.
    #[error(
        "{path} cannot be read; check that it is there, and that it is a file or an OCI layout"
    )]
    Unreadable {
        /// As the caller spelled it.
        path: String,
        /// What went wrong.
        #[source]
        cause: io::Error,
    },
    /// An archive has no name for its image that could be kept.
    #[error("the archive does not name its image; say under which name it is to be kept")]
    Nameless,
    /// An archive holds several images, and none was chosen.
    #[error("the archive holds several images; say which one is meant: {}", names.join(", "))]
    Ambiguous {
        /// The names in the archive.
        names: Vec<String>,
    },
    /// More than a limit allows.
    #[error("{what} would exceed the limit of {limit}; use a smaller image or raise the limit")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// The disk is full.
    #[error("the disk of the image store is full; remove images or enlarge it")]
    NoSpace,
    /// A program that is needed is not installed.
    #[error("{tool} is needed for that and not installed; run `apt-get install {package}`")]
    ToolMissing {
        /// The program.
        tool: &'static str,
        /// The Debian package that brings it.
        package: &'static str,
    },
    /// A program that is needed failed.
    #[error("{tool} failed: {output}")]
    ToolFailed {
        /// The program.
        tool: &'static str,
        /// The end of what it said.
        output: String,
    },
    /// The caller gave up, or the store is closing.
    #[error("the work on the image was cancelled; try again")]
    Cancelled,
    /// Someone removed the image since it was looked up.
    #[error("the image was removed in the meantime; pull or import it again")]
    Gone,
    /// The store itself failed.
    #[error(
        "the image store of this machine failed while {doing}; its operator finds the cause in the log"
    )]
    Store {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        #[source]
        cause: io::Error,
    },
}

impl ImageError {
    /// Whether the same call may succeed a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Cancelled | Self::Gone => true,
            Self::RegistryFailed { status, .. } => *status >= 500 || *status == 429,
            Self::NotFound { .. }
            | Self::NotPresent { .. }
            | Self::Unauthorized { .. }
            | Self::NotAllowed { .. }
            | Self::Credentials { .. }
            | Self::DigestMismatch { .. }
            | Self::Malformed { .. }
            | Self::Hostile { .. }
            | Self::Unsupported { .. }
            | Self::WrongPlatform { .. }
            | Self::Unreadable { .. }
            | Self::Nameless
            | Self::Ambiguous { .. }
            | Self::TooLarge { .. }
            | Self::NoSpace
            | Self::ToolMissing { .. }
            | Self::ToolFailed { .. }
            | Self::Store { .. } => false,
        }
    }

    pub(crate) fn malformed(what: &'static str, why: impl Into<String>) -> Self {
        Self::Malformed {
            what,
            why: why.into(),
        }
    }

    /// The entry that is named `path` in an archive may not be unpacked.
    pub(crate) fn hostile(path: &[u8], why: &'static str) -> Self {
        Self::Hostile {
            entry: harmless(path),
            why,
        }
    }

    /// An input or output error while `doing` something in the store.
    ///
    /// Readers of this crate pass our own errors through `io::Error`; those
    /// come out again as what they were.
    pub(crate) fn store(doing: &'static str, cause: impl Into<io::Error>) -> Self {
        let cause: io::Error = cause.into();
        if cause
            .get_ref()
            .is_some_and(<dyn Error + Send + Sync + 'static>::is::<Self>)
        {
            let inner = cause.into_inner().map(<dyn Error + Send + Sync>::downcast);
            return match inner {
                Some(Ok(own)) => *own,
                Some(Err(other)) => Self::Store {
                    doing,
                    cause: io::Error::other(other),
                },
                None => Self::Cancelled,
            };
        }
        if matches!(
            cause.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
            return Self::NoSpace;
        }
        Self::Store { doing, cause }
    }
}

impl From<ImageError> for io::Error {
    fn from(error: ImageError) -> Self {
        Self::other(error)
    }
}

/// Longest part of a foreign name that a message shows, in bytes.
const SHOWN_BYTES_MAX: usize = 200;

/// A foreign name in quotes, with everything escaped that could fool a reader.
pub(crate) fn harmless(name: &[u8]) -> String {
    let cut = &name[..name.len().min(SHOWN_BYTES_MAX)];
    let mut text = format!("\"{}", cut.escape_ascii());
    if cut.len() < name.len() {
        text.push('…');
    }
    text.push('"');
    text
}

fn list(platforms: &[Platform]) -> String {
    if platforms.is_empty() {
        return "no platform that it names".to_owned();
    }
    let mut text = String::new();
    for (n, platform) in platforms.iter().enumerate() {
        let separator = if n == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{platform}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_error_survives_the_way_through_io() {
        let io: io::Error = ImageError::hostile(b"../x", "leads out of the image").into();
        assert!(matches!(
            ImageError::store("unpacking", io),
            ImageError::Hostile { .. }
        ));
    }

    #[test]
    fn a_full_disk_is_told_as_such() {
        let io = io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(ImageError::store("x", io), ImageError::NoSpace));
    }

    #[test]
    fn a_foreign_name_cannot_fool_the_reader_of_a_message() {
        let text = harmless(b"a\x1b[31m\n\xff");
        assert_eq!(text, r#""a\x1b[31m\n\xff""#);
        assert!(harmless(&[b'a'; 5000]).len() < 300);
    }

    #[test]
    fn the_wrong_platform_is_told_with_what_exists() {
        let error = ImageError::WrongPlatform {
            wanted: Platform::new("amd64", None),
            available: vec![
                Platform::new("arm64", Some("v8")),
                Platform::new("s390x", None),
            ],
        };
        assert_eq!(
            error.to_string(),
            "the image is not made for linux/amd64; it exists for linux/arm64/v8, linux/s390x"
        );
    }
}
