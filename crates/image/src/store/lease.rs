//! Leases: who uses which image.
//!
//! A lease is an empty file whose name says everything, so that it survives the
//! process that took it: sandboxes outlive a restart of the server. It ends only
//! by [`Store::release`]; a server that finds leases of sandboxes that are gone
//! releases them. There is deliberately no guard that releases on drop.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use super::Store;
use super::layout::{Layout, paths_in};
use super::lock::INDEX_WAIT_MAX;
use crate::digest::Digest;
use crate::error::ImageError;
use crate::image::Image;

/// Who uses an image: the id of a sandbox, say.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holder(String);

/// Why a text cannot name a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 1 to {} letters, digits, '-', '_' and '.', and not begin with '.'",
    Holder::LEN_MAX
)]
pub struct HolderError;

/// One use of an image.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    /// Who uses it.
    pub holder: Holder,
    /// The image's id.
    pub image: Digest,
}

impl Holder {
    /// The longest text, in bytes.
    pub const LEN_MAX: usize = 128;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Holder {
    type Err = HolderError;

    fn from_str(text: &str) -> Result<Self, HolderError> {
        let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_good = (1..=Self::LEN_MAX).contains(&text.len())
            && !text.starts_with('.')
            && text.chars().all(word);
        if is_good {
            Ok(Self(text.to_owned()))
        } else {
            Err(HolderError)
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Store {
    /// Keeps `image` on the disk until `holder` releases it.
    ///
    /// Succeeds if `holder` has it already; fails with [`ImageError::Gone`] if
    /// the image was removed since it was looked up.
    pub async fn lease(&self, image: &Image, holder: &Holder) -> Result<(), ImageError> {
        // A few system calls and no sync: a lease need not outlive the machine,
        // as sandboxes do not. So it is made here, in line, for speed.
        let _held = self.0.index.lock_within(INDEX_WAIT_MAX).await?;
        if !self.0.has_image(&image.id) {
            return Err(ImageError::Gone);
        }
        let path = self.0.layout.leases().join(file_name(holder, &image.id));
        fs::write(path, b"").map_err(|error| ImageError::store("writing a lease", error))
    }

    /// Ends all leases of `holder`; succeeds if it has none.
    ///
    /// An image that nobody needs any more goes with the next [`Store::collect`].
    pub async fn release(&self, holder: &Holder) -> Result<(), ImageError> {
        let _held = self.0.index.lock_within(INDEX_WAIT_MAX).await?;
        for lease in read_all(&self.0.layout)? {
            if lease.holder == *holder {
                remove(&self.0.layout, &lease)?;
            }
        }
        Ok(())
    }

    /// All leases, sorted by holder.
    pub fn leases(&self) -> Result<Vec<Lease>, ImageError> {
        read_all(&self.0.layout)
    }
}

/// Reads all leases, sorted by holder.
pub(super) fn read_all(layout: &Layout) -> Result<Vec<Lease>, ImageError> {
    let paths = paths_in(&layout.leases())?;
    let mut leases: Vec<_> = paths.iter().filter_map(|path| parse(path)).collect();
    leases.sort();
    Ok(leases)
}

fn remove(layout: &Layout, lease: &Lease) -> Result<(), ImageError> {
    let path = layout.leases().join(file_name(&lease.holder, &lease.image));
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ImageError::store("ending a lease", error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn file_name(holder: &Holder, image: &Digest) -> String {
    format!("{holder}@{}", image.hex())
}

fn parse(path: &Path) -> Option<Lease> {
    let (holder, image) = path.file_name()?.to_str()?.split_once('@')?;
    Some(Lease {
        holder: holder.parse().ok()?,
        image: Digest::from_hex(image).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_cannot_name_another_file() {
        for text in ["", "a/b", "..", ".a", "a@b", "a b", "a\0", &"a".repeat(129)] {
            assert_eq!(text.parse::<Holder>(), Err(HolderError), "{text:?}");
        }
        assert!(
            "0199c2f4-0000-7000-8000-000000000000"
                .parse::<Holder>()
                .is_ok()
        );
    }
}
