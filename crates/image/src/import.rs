//! Bringing images in from files.
//!
//! Four forms are told apart by what is in them, packed or not: an OCI archive,
//! an OCI layout directory, what `docker save` writes, and a plain archive of a
//! root file system. The file stays where it is: layers are read out of it, in
//! place where it is not packed as a whole.

mod docker;
mod layout;
mod parts;

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use palisade_model::image::ImageReference;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub(crate) use self::layout::checked_diff_ids;
use self::parts::Found;
use crate::digest::Digest;
use crate::document::{ConfigDocument, ImageDocument};
use crate::error::ImageError;
use crate::image::{Image, Origin};
use crate::limits::Budget;
use crate::progress::{Event, Progress};
use crate::store::{Incoming, Inner, LayerSource, NewImage, Piece, Store, Temporary, Wanted};

/// Where an image is read from.
pub enum Source {
    /// A file, or the directory of an OCI layout.
    Path(PathBuf),
    /// A stream, such as the standard input.
    Reader(Box<dyn Read + Send>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Reader(_) => f.write_str("Reader"),
        }
    }
}

/// An image that was imported, and the name that it has now.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The name.
    pub reference: ImageReference,
    /// The image.
    pub image: Arc<Image>,
}

/// An image in a file, found and checked but for its layers.
#[derive(Debug)]
struct Candidate {
    /// The name that the file gives it.
    name: Option<ImageReference>,
    manifest: Option<Digest>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Image {
        /// The configuration document, byte for byte.
        document: Vec<u8>,
        /// Base first.
        layers: Vec<LayerSource>,
    },
    /// The archive of a root file system, packed or not.
    Rootfs(Piece),
}

/// What the root file system of an image without configuration runs.
const ROOTFS_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const ROOTFS_CMD: &str = "/bin/sh";

impl Store {
    /// Imports an image under `reference`, or under the name that the file
    /// gives it. Of several images in the file, the one of that name is taken.
    pub async fn import(
        &self,
        source: Source,
        reference: Option<&ImageReference>,
        progress: &Progress,
    ) -> Result<Imported, ImageError> {
        progress.stage("reading the archive");
        let temporary = self.0.temporary().await?;
        let wanted = reference.cloned();
        let (candidate, temporary) = self
            .0
            .blocking(move |inner, cancel| {
                let look = Look {
                    inner,
                    cancel,
                    temporary: &temporary,
                };
                let candidate = look.candidate(source, wanted.as_ref())?;
                Ok((candidate, temporary))
            })
            .await?;
        let imported = self
            .0
            .import_candidate(candidate, reference, progress)
            .await;
        // Removing what was spooled may take a while.
        self.0
            .blocking(move |_, _| {
                drop::<Temporary>(temporary);
                Ok(())
            })
            .await?;
        imported
    }
}

impl Inner {
    async fn import_candidate(
        self: &Arc<Self>,
        candidate: Candidate,
        reference: Option<&ImageReference>,
        progress: &Progress,
    ) -> Result<Imported, ImageError> {
        let Candidate {
            name,
            manifest,
            content,
        } = candidate;
        let reference = reference.cloned().or(name).ok_or(ImageError::Nameless)?;
        let incoming = self.incoming().await?;
        let _alone = self.alone(&reference, &incoming).await?;
        let budget = Arc::new(Budget::new(&self.settings.limits));
        let document = match content {
            Content::Image { document, layers } => {
                for layer in layers {
                    self.import_layer(layer, &budget, progress, &incoming)
                        .await?;
                }
                document
            }
            Content::Rootfs(piece) => {
                progress.stage("unpacking the root file system");
                self.import_rootfs(piece, rootfs_config(), &budget, progress)
                    .await?
            }
        };
        let image = NewImage {
            reference: reference.clone(),
            document,
            manifest,
            origin: Origin::Imported,
        };
        let image = self.commit(image).await?;
        info!(image.reference = %reference, image.id = %image.id, "image imported");
        Ok(Imported { reference, image })
    }

    async fn import_layer(
        self: &Arc<Self>,
        source: LayerSource,
        budget: &Arc<Budget>,
        progress: &Progress,
        incoming: &Incoming,
    ) -> Result<(), ImageError> {
        let Some(layer) = source.wanted.layer else {
            return Err(ImageError::malformed(
                "the archive",
                "a layer has no digest",
            ));
        };
        let _alone = self.layer_alone(&layer, incoming).await?;
        let was_present = self.has_layer(&layer, budget)?;
        if !was_present {
            self.unpack_layer(source, budget, progress).await?;
        }
        progress.tell(Event::LayerReady { layer, was_present });
        Ok(())
    }

    /// Makes the only layer of an image from an archive; gives the document.
    pub(crate) async fn import_rootfs(
        self: &Arc<Self>,
        piece: Piece,
        config: ConfigDocument,
        budget: &Arc<Budget>,
        progress: &Progress,
    ) -> Result<Vec<u8>, ImageError> {
        let wanted = Wanted {
            blob: None,
            layer: None,
        };
        let source = LayerSource { wanted, piece };
        let layer = self.unpack_layer(source, budget, progress).await?;
        let was_present = false;
        progress.tell(Event::LayerReady { layer, was_present });
        let document = ImageDocument {
            platform: self.settings.platform.clone(),
            config,
            diff_ids: vec![layer],
        };
        document.write()
    }
}

fn rootfs_config() -> ConfigDocument {
    ConfigDocument {
        env: Some(vec![ROOTFS_PATH.to_owned()]),
        cmd: Some(vec![ROOTFS_CMD.to_owned()]),
        ..ConfigDocument::default()
    }
}

/// Finds out what a source holds, without unpacking any of it.
struct Look<'a> {
    inner: &'a Inner,
    cancel: &'a CancellationToken,
    temporary: &'a Temporary,
}

impl Look<'_> {
    fn candidate(
        &self,
        source: Source,
        wanted: Option<&ImageReference>,
    ) -> Result<Candidate, ImageError> {
        let found = match source {
            Source::Reader(reader) => self.found_in(&self.spool(reader, "stream")?)?,
            Source::Path(path) => {
                let unreadable = |cause| ImageError::Unreadable {
                    path: path.display().to_string(),
                    cause,
                };
                match parts::open(&path).map_err(unreadable)? {
                    parts::Opened::Folder(folder) => Found::Layout(folder),
                    parts::Opened::File(file) => {
                        self.found_in(&Piece::whole(file).map_err(unreadable)?)?
                    }
                }
            }
        };
        let settings = &self.inner.settings;
        match found {
            Found::Layout(parts) => layout::candidate(&parts, wanted, settings),
            Found::DockerSave(parts) => docker::candidate(&parts, wanted, settings),
            Found::Rootfs(piece) => Ok(Candidate {
                name: None,
                manifest: None,
                content: Content::Rootfs(piece),
            }),
        }
    }

    fn found_in(&self, piece: &Piece) -> Result<Found, ImageError> {
        let limits = &self.inner.settings.limits;
        let scan = parts::scan(piece, limits, self.cancel)?;
        if scan.is_rootfs() {
            return Ok(Found::Rootfs(piece.clone()));
        }
        // Its parts can be read in place only if the whole is not packed.
        let plain = if scan.is_packed {
            let content = crate::unpack::unpacked(piece.clone())?;
            self.spool(content, "unpacked")?
        } else {
            piece.clone()
        };
        Ok(scan.into_found(&plain))
    }

    /// Copies a stream to a file, within the limits.
    fn spool(&self, content: impl Read, name: &str) -> Result<Piece, ImageError> {
        let failed = |error| ImageError::store("copying an archive", error);
        let path = self.temporary.path().join(name);
        let mut file = File::create_new(&path).map_err(failed)?;
        let limits = &self.inner.settings.limits;
        let allowance = parts::allowance(limits);
        let charged = crate::stream::Charged::new(content, &allowance);
        let mut watched = crate::stream::Watched::new(charged, self.cancel, &|_| {});
        std::io::copy(&mut watched, &mut file).map_err(failed)?;
        Piece::whole(File::open(path).map_err(failed)?).map_err(failed)
    }
}

#[cfg(test)]
mod tests;
