//! Images from Debian's packages, for machines without a registry.
//!
//! `mmdebstrap` fetches and verifies the packages and unpacks them without
//! running what they would run on a whole system; a script of ours
//! (`debian/finish.sh`), run inside the new root, does the parts of that which a
//! sandbox needs. The archive that comes out goes the same way into the store
//! as one that is imported. The same packages give the same image.
//!
//! Not here: whom to trust; that is what the keys of this machine's apt say.

mod bootstrap;
mod recipe;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use palisade_model::image::ImageReference;
use tracing::info;

use self::bootstrap::Bootstrap;
pub use self::recipe::{DebianRecipe, RecipeError};
use crate::document::ConfigDocument;
use crate::error::ImageError;
use crate::image::{Image, Origin};
use crate::limits::Budget;
use crate::progress::Progress;
use crate::store::{Inner, NewImage, Piece, Store, Temporary};

impl Store {
    /// Makes an image from Debian's packages, and gives it the name `reference`.
    ///
    /// Needs root and `mmdebstrap`. If the future is dropped, everything that
    /// was started is killed.
    pub async fn build_debian(
        &self,
        reference: &ImageReference,
        recipe: &DebianRecipe,
        progress: &Progress,
    ) -> Result<Arc<Image>, ImageError> {
        let work = Build {
            inner: &self.0,
            reference,
            recipe,
            progress,
        };
        let temporary = self.0.temporary().await?;
        let built = Box::pin(self.0.until_closed(work.run(&temporary))).await;
        // Removing the archive may take a while.
        self.0
            .blocking(move |_, _| {
                drop::<Temporary>(temporary);
                Ok(())
            })
            .await?;
        built
    }
}

struct Build<'a> {
    inner: &'a Arc<Inner>,
    reference: &'a ImageReference,
    recipe: &'a DebianRecipe,
    progress: &'a Progress,
}

impl Build<'_> {
    async fn run(&self, temporary: &Temporary) -> Result<Arc<Image>, ImageError> {
        let archive = self.archive(temporary).await?;
        let incoming = self.inner.incoming().await?;
        let _alone = self.inner.alone(self.reference, &incoming).await?;
        let budget = Arc::new(Budget::new(&self.inner.settings.limits));
        self.progress.stage("unpacking the root file system");
        let config = configuration(self.recipe);
        let importing = self
            .inner
            .import_rootfs(archive, config, &budget, self.progress);
        let image = NewImage {
            reference: self.reference.clone(),
            document: importing.await?,
            manifest: None,
            origin: Origin::Built,
        };
        let image = self.inner.commit(image).await?;
        info!(image.reference = %self.reference, image.id = %image.id, "image built");
        Ok(image)
    }

    async fn archive(&self, temporary: &Temporary) -> Result<Piece, ImageError> {
        let bootstrap = Bootstrap {
            inner: self.inner,
            recipe: self.recipe,
            progress: self.progress,
            work: temporary.path().join("work"),
            archive: temporary.path().join("root.tar"),
        };
        let failed = |error| ImageError::store("making a root file system", error);
        std::fs::create_dir(&bootstrap.work).map_err(failed)?;
        bootstrap.run().await?;
        File::open::<&PathBuf>(&bootstrap.archive)
            .and_then(Piece::whole)
            .map_err(failed)
    }
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn configuration(recipe: &DebianRecipe) -> ConfigDocument {
    ConfigDocument {
        env: Some(vec![PATH.to_owned(), "LANG=C.UTF-8".to_owned()]),
        cmd: Some(recipe.cmd.clone()),
        ..ConfigDocument::default()
    }
}

#[cfg(test)]
mod tests;
