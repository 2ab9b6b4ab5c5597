//! Pulling one image: manifest, configuration, layers, records, in this order.
//!
//! All work on one name is done by one at a time, and all on one layer; who
//! waited finds what the other has done. Nothing of an image is visible before
//! all of it is there.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use palisade_model::image::ImageReference;
use tracing::info;

use super::blob::Fetch;
use super::credentials;
use super::session::{Ask, Session};
use super::settings::Registries;
use crate::digest::Digest;
use crate::document::{Descriptor, ImageManifest, Manifest, choose};
use crate::error::ImageError;
use crate::image::{Image, Origin};
use crate::import::checked_diff_ids;
use crate::limits::Budget;
use crate::progress::{Event, Progress};
use crate::store::{Incoming, Inner, LayerSource, NewImage, Wanted};

/// The forms of a manifest that we read.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// One image that is wanted.
pub(super) struct Pull<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) registries: &'a Registries,
    pub(super) reference: &'a ImageReference,
    pub(super) progress: &'a Progress,
    /// Whether it is asked for even if its name is in the store.
    pub(super) is_renewal: bool,
}

/// What the registry says about an image.
struct Description {
    /// What the name stands for: the digest of a manifest or an index.
    top: Digest,
    /// The configuration document, byte for byte.
    document: Vec<u8>,
    /// Base first.
    layers: Vec<Layer>,
}

#[derive(Clone, Copy)]
struct Layer {
    blob: Descriptor,
    layer: Digest,
}

/// What the layers of one image share.
struct Layers<'a> {
    inner: &'a Arc<Inner>,
    session: &'a Session<'a>,
    progress: &'a Progress,
    budget: &'a Arc<Budget>,
    incoming: &'a Incoming,
}

impl Pull<'_> {
    /// Pulls the image, within the time that it may take.
    pub(super) async fn run(&self) -> Result<Arc<Image>, ImageError> {
        let limit = self.registries.pull_time;
        let pulled = tokio::time::timeout(limit, self.inner.until_closed(self.all())).await;
        pulled.unwrap_or(Err(ImageError::TimedOut {
            seconds: limit.as_secs(),
        }))
    }

    async fn all(&self) -> Result<Arc<Image>, ImageError> {
        let incoming = self.inner.incoming().await?;
        let _alone = self.inner.alone(self.reference, &incoming).await?;
        if !self.is_renewal
            && let Some(image) = self.inner.present(self.reference)
        {
            return Ok(image);
        }
        let session = Session::new(self.registries, self.reference, self.credential().await?)?;
        self.progress.stage("asking the registry");
        let description = self.describe(&session).await?;
        self.progress.stage("fetching layers");
        let layers = Layers {
            inner: self.inner,
            session: &session,
            progress: self.progress,
            budget: &Arc::new(Budget::new(&self.inner.settings.limits)),
            incoming: &incoming,
        };
        let Description {
            top,
            document,
            layers: wanted,
        } = description;
        layers.get_all(wanted).await?;
        let image = NewImage {
            reference: self.reference.clone(),
            document,
            manifest: Some(top),
            origin: Origin::Pulled,
        };
        let image = self.inner.commit(image).await?;
        info!(image.reference = %self.reference, image.id = %image.id, "image pulled");
        Ok(image)
    }

    async fn credential(&self) -> Result<Option<credentials::Credential>, ImageError> {
        let Some(path) = self.registries.credentials.clone() else {
            return Ok(None);
        };
        let reference = self.reference.clone();
        let reading = self
            .inner
            .blocking(move |_, _| credentials::read(&path, &reference));
        reading.await
    }

    async fn describe(&self, session: &Session<'_>) -> Result<Description, ImageError> {
        let settings = &self.inner.settings;
        let (manifest, top) = self.manifest(session).await?;
        let packed = manifest
            .layers
            .iter()
            .fold(0_u64, |sum, layer| sum.saturating_add(layer.bytes));
        // A packed layer is hardly larger than an unpacked one, so this is told
        // before anything is fetched.
        if packed > settings.limits.unpacked_bytes_max {
            return Err(ImageError::TooLarge {
                what: "the image (bytes)",
                limit: settings.limits.unpacked_bytes_max,
            });
        }
        let document = self.document(session, "blobs", manifest.config).await?;
        let diff_ids = checked_diff_ids(&document, manifest.layers.len(), settings)?;
        let pairs = manifest.layers.into_iter().zip(diff_ids);
        Ok(Description {
            top,
            document,
            layers: pairs.map(|(blob, layer)| Layer { blob, layer }).collect(),
        })
    }

    /// The manifest for this machine, and the digest of what the name stands for.
    async fn manifest(&self, session: &Session<'_>) -> Result<(ImageManifest, Digest), ImageError> {
        let limits = &self.inner.settings.limits;
        let (json, top) = self.top(session).await?;
        let entry = match Manifest::parse(&json, limits)? {
            Manifest::Image(manifest) => return Ok((manifest, top)),
            Manifest::Index(entries) => {
                choose(entries.iter(), &self.inner.settings.platform)?.descriptor
            }
        };
        let json = self.document(session, "manifests", entry).await?;
        match Manifest::parse(&json, limits)? {
            Manifest::Image(manifest) => Ok((manifest, top)),
            Manifest::Index(_) => Err(ImageError::Unsupported {
                what: "an index of indexes".to_owned(),
                instead: "name a single image by its digest",
            }),
        }
    }

    /// What the name stands for: by its digest if it has one, else by its tag.
    async fn top(&self, session: &Session<'_>) -> Result<(Vec<u8>, Digest), ImageError> {
        let expected = self.reference.digest().map(str::parse::<Digest>);
        let expected = expected.transpose().map_err(|error| {
            ImageError::malformed("the name of the image", format!("its digest {error}"))
        })?;
        let name = match (&expected, self.reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_owned(),
            (None, None) => ImageReference::DEFAULT_TAG.to_owned(),
        };
        let read = self.read(session, "manifests", &name).await;
        let is_absent = matches!(&read, Err(ImageError::RegistryFailed { status: 404, .. }));
        if is_absent {
            return Err(ImageError::NotFound {
                reference: self.reference.to_string(),
            });
        }
        let json = read?;
        let top = Digest::of(&json);
        match expected {
            Some(expected) => verify("the manifest", expected, json).map(|json| (json, top)),
            None => Ok((json, top)),
        }
    }

    async fn document(
        &self,
        session: &Session<'_>,
        kind: &str,
        wanted: Descriptor,
    ) -> Result<Vec<u8>, ImageError> {
        let json = self.read(session, kind, &wanted.digest.to_string()).await?;
        verify("a document of the image", wanted.digest, json)
    }

    async fn read(
        &self,
        session: &Session<'_>,
        kind: &str,
        name: &str,
    ) -> Result<Vec<u8>, ImageError> {
        let ask = Ask {
            url: session.endpoint.at(self.reference, kind, name),
            accept: (kind == "manifests").then_some(MANIFEST_TYPES),
            from: 0,
        };
        let limits = &self.inner.settings.limits;
        session.document(&ask, limits.document_bytes_max).await
    }
}

fn verify(what: &'static str, expected: Digest, content: Vec<u8>) -> Result<Vec<u8>, ImageError> {
    let actual = Digest::of(&content);
    if actual == expected {
        return Ok(content);
    }
    Err(ImageError::DigestMismatch {
        what,
        expected,
        actual,
    })
}

impl Layers<'_> {
    /// Brings all layers into the store, some at a time.
    async fn get_all(&self, layers: Vec<Layer>) -> Result<(), ImageError> {
        let at_once = self.session.settings.layers_at_once.get();
        let works = stream::iter(layers).map(|layer| Box::pin(self.get(layer)));
        works.buffer_unordered(at_once).try_collect::<()>().await
    }

    async fn get(&self, Layer { blob, layer }: Layer) -> Result<(), ImageError> {
        let _alone = self.inner.layer_alone(&layer, self.incoming).await?;
        let was_present = self.inner.has_layer(&layer, self.budget)?;
        if was_present {
            // A beginning may be left of a pull that was given up just when the
            // layer was whole. Should another image fetch it, it has it open.
            self.fetch_of(blob).discard();
        } else {
            let _alone = self.inner.blob_alone(&blob.digest, self.incoming).await?;
            self.fetch(Layer { blob, layer }).await?;
        }
        self.progress.tell(Event::LayerReady { layer, was_present });
        Ok(())
    }

    fn fetch_of(&self, blob: Descriptor) -> Fetch<'_> {
        Fetch {
            inner: self.inner,
            session: self.session,
            blob,
            progress: self.progress,
        }
    }

    async fn fetch(&self, Layer { blob, layer }: Layer) -> Result<(), ImageError> {
        let fetch = self.fetch_of(blob);
        let fetched = async {
            let wanted = Wanted {
                blob: Some(blob.digest),
                layer: Some(layer),
            };
            let piece = fetch.run().await?;
            let source = LayerSource { wanted, piece };
            self.inner
                .unpack_layer(source, self.budget, self.progress)
                .await
        };
        let result = fetched.await;
        // What failed only for a while is continued by the next pull.
        if !result.as_ref().is_err_and(ImageError::is_passing) {
            fetch.discard();
        }
        result.map(|_| ())
    }
}
