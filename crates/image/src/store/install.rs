//! Bringing layers and images into the store.
//!
//! A layer is unpacked once, whoever needs it: the work on each is guarded by a
//! lock of its own. The order of things on the disk is content, layer, image,
//! name; each is complete before the next refers to it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use palisade_model::image::ImageReference;
use tokio_util::sync::CancellationToken;

use super::layout::sync_directory;
use super::lock::{self, Held};
use super::record::{self, LAYER_FILE, LAYER_TREE, LayerRecord, ReferenceRecord};
use super::{Inner, Temporary, key};
use crate::digest::Digest;
use crate::document::ImageDocument;
use crate::error::ImageError;
use crate::image::{Image, Origin};
use crate::limits::Budget;
use crate::progress::{Event, Progress};
use crate::unpack::{Job, Target, Unpacked, unpack};

/// A part of a file. Cheap to clone; readers do not disturb each other.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    file: Arc<File>,
    offset: u64,
    bytes: u64,
}

impl Piece {
    pub(crate) fn new(file: Arc<File>, offset: u64, bytes: u64) -> Self {
        Self {
            file,
            offset,
            bytes,
        }
    }

    /// All of a file.
    pub(crate) fn whole(file: File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self::new(Arc::new(file), 0, bytes))
    }

    /// A part of it.
    pub(crate) fn part(&self, offset: u64, bytes: u64) -> Self {
        let offset = offset.min(self.bytes);
        Self {
            file: Arc::clone(&self.file),
            offset: self.offset + offset,
            bytes: bytes.min(self.bytes - offset),
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.bytes
    }
}

impl Read for Piece {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        let room = buffer.len().min(room);
        let count = self.file.read_at(&mut buffer[..room], self.offset)?;
        self.offset += count as u64;
        self.bytes -= count as u64;
        Ok(count)
    }
}

/// Which layer is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// The digest that the packed content must have, where one was given.
    pub(crate) blob: Option<Digest>,
    /// The digest that the unpacked content must have, where one was given.
    pub(crate) layer: Option<Digest>,
}

/// A layer that is at hand, packed.
#[derive(Clone, Debug)]
pub(crate) struct LayerSource {
    pub(crate) wanted: Wanted,
    pub(crate) piece: Piece,
}

/// An image that is complete but for its records.
#[derive(Debug)]
pub(crate) struct NewImage {
    pub(crate) reference: ImageReference,
    /// The configuration document, byte for byte.
    pub(crate) document: Vec<u8>,
    pub(crate) manifest: Option<Digest>,
    pub(crate) origin: Origin,
}

/// While this is held, no layer and no lock file is taken away; so it is taken
/// before the locks of single pieces of work.
#[derive(Debug)]
pub(crate) struct Incoming(#[expect(dead_code, reason = "held for its drop")] Held);

impl Inner {
    /// Keeps all layers where they are while an image comes in.
    pub(crate) async fn incoming(&self) -> Result<Incoming, ImageError> {
        lock::shared(&self.layout.layers_lock()).await.map(Incoming)
    }

    /// Takes a layer that is in the store from the budget; `false` if it is not.
    pub(crate) fn has_layer(&self, layer: &Digest, budget: &Budget) -> Result<bool, ImageError> {
        let Some(record) = LayerRecord::read(&self.layout, layer)? else {
            return Ok(false);
        };
        budget.take_bytes(record.weight.bytes)?;
        budget.take_entries(record.weight.entries)?;
        Ok(true)
    }

    /// Waits until nobody else works on `layer`.
    pub(crate) async fn layer_alone(
        &self,
        layer: &Digest,
        _: &Incoming,
    ) -> Result<super::HeldKey, ImageError> {
        self.keys.lock(format!("layer-{}", layer.hex())).await
    }

    /// Waits until nobody else fetches `blob`. Taken after the lock of the
    /// layer: two images may claim different layers to be in one blob.
    pub(crate) async fn blob_alone(
        &self,
        blob: &Digest,
        _: &Incoming,
    ) -> Result<super::HeldKey, ImageError> {
        self.keys.lock(format!("blob-{}", blob.hex())).await
    }

    /// Unpacks a layer into the store. The caller has found that it is not
    /// there, and holds its lock if it knows its name.
    pub(crate) async fn unpack_layer(
        self: &Arc<Self>,
        source: LayerSource,
        budget: &Arc<Budget>,
        progress: &Progress,
    ) -> Result<Digest, ImageError> {
        let temporary = self.temporary().await?;
        let (budget, progress) = (Arc::clone(budget), progress.clone());
        self.blocking(move |inner, cancel| {
            let unpacking = Unpacking {
                temporary,
                budget: &budget,
                progress: &progress,
                cancel,
            };
            unpacking.run(inner, source)
        })
        .await
    }

    /// Records an image and its name. The caller holds [`Incoming`].
    pub(crate) async fn commit(
        self: &Arc<Self>,
        image: NewImage,
    ) -> Result<Arc<Image>, ImageError> {
        let key = key(&image.reference);
        self.indexed(move |inner| inner.write_records(image))
            .await?;
        self.find(&key)?.ok_or(ImageError::Gone)
    }

    /// Gives a name with a digest to the image that came here under another name
    /// with that digest, so that nobody is asked for what is here.
    pub(crate) async fn adopt(
        self: &Arc<Self>,
        reference: &ImageReference,
    ) -> Result<Option<Arc<Image>>, ImageError> {
        let digest = reference.digest().and_then(|text| text.parse().ok());
        let Some(digest) = digest else {
            return Ok(None);
        };
        let (key, canonical) = (key(reference), reference.canonical());
        self.indexed(move |inner| inner.write_alias(digest, canonical, &key))
            .await?;
        self.find(&key)
    }

    fn write_alias(
        &self,
        manifest: Digest,
        reference: String,
        key: &Digest,
    ) -> Result<(), ImageError> {
        let mut records = self.references()?.into_iter();
        let Some(record) = records.find(|it| it.manifest == Some(manifest)) else {
            return Ok(());
        };
        let alias = ReferenceRecord {
            reference,
            ..record
        };
        let directory = self.layout.references();
        self.layout.write_record(&directory, key, &alias.write()?)
    }

    fn write_records(&self, image: NewImage) -> Result<(), ImageError> {
        let NewImage {
            reference,
            document,
            manifest,
            origin,
        } = image;
        // What does not read must not be written.
        let parsed = ImageDocument::parse(&document)?;
        crate::config::Config::from_document(parsed.config)?;
        let record = ReferenceRecord {
            reference: reference.canonical(),
            image: record::write_image(&self.layout, &document)?,
            manifest,
            origin,
            stored_at: self.clock.now(),
        };
        let (directory, key) = (self.layout.references(), key(&reference));
        self.layout.write_record(&directory, &key, &record.write()?)
    }
}

struct Unpacking<'a> {
    temporary: Temporary,
    budget: &'a Budget,
    progress: &'a Progress,
    cancel: &'a CancellationToken,
}

impl Unpacking<'_> {
    fn run(&self, inner: &Inner, source: LayerSource) -> Result<Digest, ImageError> {
        let LayerSource { wanted, piece } = source;
        let tree = format!("layer/{LAYER_TREE}");
        let target = Target {
            tree: self.temporary.directory(&tree)?,
            trash: self.temporary.directory("trash")?,
        };
        let told = AtomicU64::new(0);
        let total = piece.len();
        let job = Job {
            limits: &inner.settings.limits,
            budget: self.budget,
            cancel: self.cancel,
            on_read: &|done| self.tell(&told, wanted, (done, total)),
        };
        let unpacked = unpack(piece, target, &job)?;
        verify(wanted, &unpacked)?;
        self.keep(inner, &unpacked)?;
        Ok(unpacked.layer)
    }

    fn tell(&self, told: &AtomicU64, wanted: Wanted, (done, total): (u64, u64)) {
        let is_news = done >= told.load(Ordering::Relaxed) + Progress::STEP_BYTES || done == total;
        if is_news && told.swap(done, Ordering::Relaxed) != done {
            self.progress.tell(Event::Unpacking {
                blob: wanted.blob.or(wanted.layer),
                bytes_done: done,
                bytes_total: total,
            });
        }
    }

    /// Moves the unpacked layer to its place, once it is on the disk.
    fn keep(&self, inner: &Inner, unpacked: &Unpacked) -> Result<(), ImageError> {
        let failed = |error: io::Error| ImageError::store("keeping a layer", error);
        let from = self.temporary.path().join("layer");
        let record = LayerRecord {
            weight: unpacked.weight,
            is_opaque: unpacked.is_opaque,
        };
        fs::write(from.join(LAYER_FILE), record.write()?).map_err(failed)?;
        sync_file_system(&from).map_err(failed)?;
        let to = inner.layout.layer(&unpacked.layer);
        match fs::rename(&from, &to) {
            Ok(()) => sync_directory(&inner.layout.layers()).map_err(failed),
            // Another one, who did not know the digest before either, was faster.
            Err(error) if is_present(&error) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

fn is_present(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty
    )
}

/// One call for all files of a layer: a sync of each would take minutes.
fn sync_file_system(path: &Path) -> io::Result<()> {
    let directory = File::open(path)?;
    rustix::fs::syncfs(&directory).map_err(io::Error::from)
}

fn verify(wanted: Wanted, unpacked: &Unpacked) -> Result<(), ImageError> {
    let pairs = [
        ("a packed layer", wanted.blob, unpacked.blob),
        ("an unpacked layer", wanted.layer, unpacked.layer),
    ];
    for (what, expected, actual) in pairs {
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            return Err(ImageError::DigestMismatch {
                what,
                expected,
                actual,
            });
        }
    }
    Ok(())
}
