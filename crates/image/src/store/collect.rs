//! Removing names, and everything that nobody needs any more.
//!
//! An image stays as long as it has a name or a lease, a layer as long as an
//! image has it. Layers are taken away only while no image comes in, because
//! one that comes in may count on a layer that no record names yet; if it is
//! not the time, the next call gets them.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use palisade_model::image::ImageReference;
use tracing::info;

use super::layout::{key_of, paths_in, record_name};
use super::{Inner, Store, Temporary, key, lease, lock, record};
use crate::digest::Digest;
use crate::error::ImageError;

/// What a collection took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Images without a name and a lease.
    pub images: usize,
    /// Layers that no image has.
    pub layers: usize,
    /// Beginnings of downloads that nobody continues.
    pub partials: usize,
    /// Whether layers were left for another time, as images were coming in.
    pub is_partial: bool,
}

impl Store {
    /// Removes a name, and what only it needed. Running sandboxes keep what
    /// they use until it is released.
    pub async fn remove(&self, reference: &ImageReference) -> Result<Collected, ImageError> {
        let canonical = reference.canonical();
        let path = self.0.layout.reference(&key(reference));
        self.0
            .indexed(move |_| match fs::remove_file(path) {
                Ok(()) => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Err(ImageError::NotPresent {
                        reference: canonical,
                    })
                }
                Err(error) => Err(ImageError::store("removing a reference", error)),
            })
            .await?;
        self.0.forget(&key(reference));
        self.collect().await
    }

    /// Removes images that have neither a name nor a lease, and what only they
    /// needed.
    pub async fn collect(&self) -> Result<Collected, ImageError> {
        let (collected, rubbish) = self.0.indexed(Inner::unlink).await?;
        // Deleting many files takes time, and the index is free again.
        self.0
            .blocking(move |_, _| {
                drop::<Option<Temporary>>(rubbish);
                Ok(())
            })
            .await?;
        if collected.layers + collected.images > 0 {
            info!(
                images = collected.images,
                layers = collected.layers,
                "unused images removed"
            );
        }
        Ok(collected)
    }
}

impl Inner {
    /// Takes everything unneeded out of sight; the rest is deleting files.
    fn unlink(&self) -> Result<(Collected, Option<Temporary>), ImageError> {
        let mut collected = Collected::default();
        let references = self.references()?;
        let mut needed: HashSet<_> = references.iter().map(|record| record.image).collect();
        needed.extend(
            lease::read_all(&self.layout)?
                .iter()
                .map(|lease| lease.image),
        );
        for id in keys_in(&self.layout.images())? {
            if !needed.contains(&id) {
                remove_file(&self.layout.images().join(record_name(&id)))?;
                collected.images += 1;
            }
        }
        let Some(_alone) = lock::try_alone(&self.layout.layers_lock())? else {
            collected.is_partial = true;
            return Ok((collected, None));
        };
        let grave = Temporary::create(&self.layout)?;
        collected.layers = self.bury_layers(&grave)?;
        for path in paths_in(&self.layout.partials())? {
            remove_file(&path)?;
            collected.partials += 1;
        }
        // Their holders would have the lock that we have.
        for path in paths_in(&self.layout.locks())? {
            remove_file(&path)?;
        }
        Ok((collected, Some(grave)))
    }

    fn bury_layers(&self, grave: &Temporary) -> Result<usize, ImageError> {
        let mut needed = HashSet::new();
        for id in keys_in(&self.layout.images())? {
            let image = record::read_image(&self.layout, &id)?;
            needed.extend(image.into_iter().flat_map(|image| image.layers));
        }
        let mut count = 0;
        for layer in keys_in(&self.layout.layers())? {
            if needed.contains(&layer) {
                continue;
            }
            let renamed = fs::rename(self.layout.layer(&layer), grave.path().join(layer.hex()));
            renamed.map_err(|error| ImageError::store("removing a layer", error))?;
            count += 1;
        }
        Ok(count)
    }
}

fn keys_in(directory: &Path) -> Result<Vec<Digest>, ImageError> {
    let paths: Vec<PathBuf> = paths_in(directory)?;
    Ok(paths.iter().filter_map(|path| key_of(path)).collect())
}

fn remove_file(path: &Path) -> Result<(), ImageError> {
    fs::remove_file(path).map_err(|error| ImageError::store("removing a file", error))
}
