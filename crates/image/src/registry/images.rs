//! Images for those who need one: from the store, or else from a registry.

use std::sync::Arc;

use palisade_model::image::ImageReference;

use super::pull::Pull;
use super::settings::{PullPolicy, Registries};
use crate::error::ImageError;
use crate::image::Image;
use crate::progress::Progress;
use crate::store::{Holder, Store};

/// The images that sandboxes of this machine may use. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Images {
    store: Store,
    registries: Arc<Registries>,
}

/// How often an image that is removed while it is asked for is got anew.
const TRIES_MAX: usize = 3;

impl Images {
    /// The images in `store`, and in the registries that may be asked.
    pub fn new(store: Store, registries: Registries) -> Self {
        Self {
            store,
            registries: Arc::new(registries),
        }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Gives the image, pulled if the policy says so, and keeps it on the disk
    /// until `holder` releases it ([`Store::release`]).
    ///
    /// Any number may ask at once: the work is done once. If the future is
    /// dropped the work stops, and what was fetched is continued by the next.
    /// The texts of errors are fit for whoever started the sandbox.
    pub async fn ensure(
        &self,
        reference: &ImageReference,
        holder: &Holder,
        progress: &Progress,
    ) -> Result<Arc<Image>, ImageError> {
        for _ in 0..TRIES_MAX {
            let image = self.find(reference, progress).await?;
            match self.store.lease(&image, holder).await {
                Ok(()) => return Ok(image),
                Err(ImageError::Gone) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ImageError::Gone)
    }

    /// Asks the registry for the image, whatever the policy is, and brings what
    /// the store lacks.
    pub async fn pull(
        &self,
        reference: &ImageReference,
        progress: &Progress,
    ) -> Result<Arc<Image>, ImageError> {
        // A digest stands for the same content for ever.
        let is_renewal = reference.digest().is_none();
        Box::pin(self.fetch(reference, progress, is_renewal)).await
    }

    async fn find(
        &self,
        reference: &ImageReference,
        progress: &Progress,
    ) -> Result<Arc<Image>, ImageError> {
        let present = match self.store.resolve(reference) {
            Some(image) => Some(image),
            None => self.store.0.adopt(reference).await?,
        };
        match (self.registries.policy, present) {
            (PullPolicy::IfAbsent | PullPolicy::Never, Some(image)) => Ok(image),
            (PullPolicy::Never, None) => Err(ImageError::NotPresent {
                reference: reference.to_string(),
            }),
            (PullPolicy::IfAbsent, None) => Box::pin(self.fetch(reference, progress, false)).await,
            (PullPolicy::Always, _) => self.pull(reference, progress).await,
        }
    }

    async fn fetch(
        &self,
        reference: &ImageReference,
        progress: &Progress,
        is_renewal: bool,
    ) -> Result<Arc<Image>, ImageError> {
        let pull = Pull {
            inner: &self.store.0,
            registries: &self.registries,
            reference,
            progress,
            is_renewal,
        };
        pull.run().await
    }
}
