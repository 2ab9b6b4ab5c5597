//! What an image may cost at most.
//!
//! Images are other people's data: nothing of them is read, held or unpacked
//! without one of these bounds. The defaults leave room for the largest images
//! in honest use.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::ImageError;

/// The bounds of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one manifest, index or configuration.
    pub document_bytes_max: u64,
    /// Layers of one image. Overlay mounts take few more.
    pub layers_max: usize,
    /// Bytes of one layer as it travels, compressed or not.
    pub layer_bytes_max: u64,
    /// Bytes of all layers of an image together, unpacked.
    pub unpacked_bytes_max: u64,
    /// Files, directories and links of all layers of an image together.
    pub entries_max: u64,
    /// Bytes of an archive that is imported, decompressed.
    pub archive_bytes_max: u64,
    /// Directories above a file.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes_max: 4 << 20,
            layers_max: 127,
            layer_bytes_max: 16 << 30,
            unpacked_bytes_max: 48 << 30,
            entries_max: 2_000_000,
            archive_bytes_max: 64 << 30,
            depth_max: 200,
        }
    }
}

/// What is left of the bounds while the layers of one image are unpacked.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: Allowance,
    entries: Allowance,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            bytes: Allowance::new("the unpacked image (bytes)", limits.unpacked_bytes_max),
            entries: Allowance::new("the image (files)", limits.entries_max),
        }
    }

    /// Takes `count` unpacked bytes.
    pub(crate) fn take_bytes(&self, count: u64) -> Result<(), ImageError> {
        self.bytes.take(count)
    }

    /// What is left of the unpacked bytes.
    pub(crate) fn bytes(&self) -> &Allowance {
        &self.bytes
    }

    /// Takes `count` files, directories or links.
    pub(crate) fn take_entries(&self, count: u64) -> Result<(), ImageError> {
        self.entries.take(count)
    }
}

/// What is left of one bound.
#[derive(Debug)]
pub(crate) struct Allowance {
    what: &'static str,
    limit: u64,
    left: AtomicU64,
}

impl Allowance {
    pub(crate) fn new(what: &'static str, limit: u64) -> Self {
        Self {
            what,
            limit,
            left: AtomicU64::new(limit),
        }
    }

    pub(crate) fn take(&self, count: u64) -> Result<(), ImageError> {
        // Layers of one image may be unpacked side by side; the counter is
        // the only thing that they share, so no ordering is needed.
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(count)
            })
            .map(|_| ())
            .map_err(|_| ImageError::TooLarge {
                what: self.what,
                limit: self.limit,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_gives_what_it_has_and_not_a_byte_more() {
        let budget = Budget::new(&Limits {
            unpacked_bytes_max: 10,
            ..Limits::default()
        });
        budget.take_bytes(7).unwrap();
        budget.take_bytes(3).unwrap();
        assert!(matches!(
            budget.take_bytes(1),
            Err(ImageError::TooLarge { limit: 10, .. })
        ));
        budget.take_entries(1).unwrap();
    }
}
