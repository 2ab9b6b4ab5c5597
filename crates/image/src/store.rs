//! The store of images on one machine.
//!
//! A [`Store`] is a cheap handle; all handles and all processes that open one
//! directory see the same images. Looking up is fast and waits for nobody;
//! every change is made under a lock and lands in one piece. How images come in
//! is in `import`; how they go, in `collect`.
//!
//! A call whose future is dropped stops its work soon and leaves at most a
//! temporary directory, which goes too.

mod collect;
mod install;
mod layout;
mod lease;
mod lock;
mod record;
mod temporary;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use palisade_model::clock::{Clock, Timestamp};
use palisade_model::image::ImageReference;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

pub use self::collect::Collected;
pub(crate) use self::install::{Incoming, LayerSource, NewImage, Piece, Wanted};
pub use self::lease::{Holder, HolderError, Lease};
pub(crate) use self::lock::HeldKey;
pub(crate) use self::temporary::Temporary;

use self::layout::{Layout, key_of, paths_in};
use self::lock::{Exclusive, Held, INDEX_WAIT_MAX, KeyLocks};
use self::record::ReferenceRecord;
use crate::digest::Digest;
use crate::error::ImageError;
use crate::image::{Image, Origin};
use crate::limits::Limits;
use crate::platform::Platform;

/// What a store needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory of the store. It is made if it does not exist.
    pub root: PathBuf,
    /// What an image may cost.
    pub limits: Limits,
    /// What images must be made for.
    pub platform: Platform,
}

impl Settings {
    /// A store in `root` for this machine, with defaults for the rest.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            limits: Limits::default(),
            platform: Platform::of_this_machine(),
        }
    }
}

/// The images of one machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store(pub(crate) Arc<Inner>);

/// One name of an image, or an image that has lost its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The name in full; `None` if only leases keep the image.
    pub reference: Option<String>,
    /// The image's id.
    pub id: Digest,
    /// The manifest that the name stood for when it was pulled.
    pub manifest: Option<Digest>,
    /// How it came here; `None` if it has no name.
    pub origin: Option<Origin>,
    /// Bytes of its layers, unpacked; images may share some.
    pub bytes: u64,
    /// When it came here; `None` if it has no name.
    pub stored_at: Option<Timestamp>,
    /// How many hold it.
    pub leases: usize,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    layout: Layout,
    clock: Arc<dyn Clock>,
    index: Exclusive,
    keys: KeyLocks,
    known: RwLock<HashMap<Digest, Known>>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// An image that was looked up before, and the state of its name at that time.
#[derive(Clone, Debug)]
struct Known {
    stamp: Stamp,
    image: Arc<Image>,
}

/// Changes whenever a record is replaced: each one is a file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let stat = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: stat.ino(),
            changed: (stat.ctime(), stat.ctime_nsec()),
        })
    }
}

impl Store {
    /// Opens a store, and removes what crashed processes left in it.
    pub async fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, ImageError> {
        let layout = Layout::create(&settings.root)?;
        let inner = Arc::new(Inner {
            index: Exclusive::new(layout.index_lock()),
            keys: KeyLocks::new(layout.locks()),
            known: RwLock::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            settings,
            layout,
            clock,
        });
        inner
            .indexed(|inner| {
                inner.layout.check_version()?;
                temporary::sweep(&inner.layout)?;
                inner.drop_damaged()
            })
            .await?;
        Ok(Self(inner))
    }

    /// The image of a name, if it is on this machine.
    ///
    /// Takes microseconds when it was asked for before, and sees at once what
    /// other processes change.
    pub fn resolve(&self, reference: &ImageReference) -> Option<Arc<Image>> {
        self.0.present(reference)
    }

    /// All names, and the images that only leases keep; sorted by name.
    pub async fn list(&self) -> Result<Vec<Listing>, ImageError> {
        self.0.indexed(Inner::listings).await
    }

    /// Cancels what is under way, and waits until it has ended.
    pub async fn close(&self) {
        self.0.closing.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

/// Under which key the record of a name is kept.
fn key(reference: &ImageReference) -> Digest {
    Digest::of(reference.canonical().as_bytes())
}

impl Inner {
    /// Runs `work` on a thread where it may block; it should end soon after the
    /// token is cancelled, which happens when the returned future is dropped.
    pub(crate) async fn blocking<T, F>(self: &Arc<Self>, work: F) -> Result<T, ImageError>
    where
        T: Send + 'static,
        F: FnOnce(&Self, &CancellationToken) -> Result<T, ImageError> + Send + 'static,
    {
        if self.closing.is_cancelled() {
            return Err(ImageError::Cancelled);
        }
        let cancel = self.closing.child_token();
        let _cancel_when_dropped = cancel.clone().drop_guard();
        let inner = Arc::clone(self);
        let task = self.tasks.spawn_blocking(move || work(&inner, &cancel));
        task.await.unwrap_or_else(|error| {
            let cause = std::io::Error::other(error);
            Err(ImageError::store("running a task", cause))
        })
    }

    /// Runs `work` on the records, with nobody else changing them.
    pub(crate) async fn indexed<T, F>(self: &Arc<Self>, work: F) -> Result<T, ImageError>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> Result<T, ImageError> + Send + 'static,
    {
        let held = self.index.lock_within(INDEX_WAIT_MAX).await?;
        self.blocking(move |inner, _| {
            let result = work(inner);
            drop::<Held>(held);
            result
        })
        .await
    }

    /// Gives up `work` when the store closes.
    pub(crate) async fn until_closed<T>(
        &self,
        work: impl Future<Output = Result<T, ImageError>>,
    ) -> Result<T, ImageError> {
        let done = self.closing.run_until_cancelled(work).await;
        done.unwrap_or(Err(ImageError::Cancelled))
    }

    /// Where the beginning of a packed layer is kept while it is fetched.
    pub(crate) fn partial(&self, blob: &Digest) -> PathBuf {
        self.layout.partials().join(blob.hex())
    }

    /// A directory for work in progress.
    pub(crate) async fn temporary(self: &Arc<Self>) -> Result<Temporary, ImageError> {
        self.indexed(|inner| Temporary::create(&inner.layout)).await
    }

    /// Waits until nobody else fetches or makes what `reference` names.
    pub(crate) async fn alone(
        &self,
        reference: &ImageReference,
        _: &Incoming,
    ) -> Result<HeldKey, ImageError> {
        let name = format!("reference-{}", key(reference).hex());
        self.keys.lock(name).await
    }

    /// The image of a name, if it is on this machine.
    pub(crate) fn present(&self, reference: &ImageReference) -> Option<Arc<Image>> {
        match self.find(&key(reference)) {
            Ok(found) => found,
            Err(error) => {
                // As good as absent: whoever needs it pulls it again.
                warn!(%error, image.reference = %reference, "record of an image cannot be read");
                None
            }
        }
    }

    fn find(&self, key: &Digest) -> Result<Option<Arc<Image>>, ImageError> {
        let path = self.layout.reference(key);
        let Some(stamp) = Stamp::of(&path) else {
            self.forget(key);
            return Ok(None);
        };
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(key).filter(|known| known.stamp == stamp) {
            return Ok(Some(Arc::clone(&known.image)));
        }
        drop(known);
        // Should the record be replaced just now, the stamp is older than what
        // is read, and the next look reads it again.
        let Some(record) = ReferenceRecord::read(&path)? else {
            return Ok(None);
        };
        let Some(image) = record::read_image(&self.layout, &record.image)? else {
            return Ok(None);
        };
        let image = Arc::new(image);
        let entry = Known {
            stamp,
            image: Arc::clone(&image),
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(*key, entry);
        Ok(Some(image))
    }

    fn forget(&self, key: &Digest) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(key) {
            return;
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.remove(key);
    }

    fn listings(&self) -> Result<Vec<Listing>, ImageError> {
        let mut leases: HashMap<Digest, usize> = HashMap::new();
        for lease in lease::read_all(&self.layout)? {
            *leases.entry(lease.image).or_default() += 1;
        }
        let mut listings = Vec::new();
        for record in self.references()? {
            let Some(image) = record::read_image(&self.layout, &record.image)? else {
                continue;
            };
            listings.push(Listing {
                reference: Some(record.reference),
                id: image.id,
                manifest: record.manifest,
                origin: Some(record.origin),
                bytes: image.bytes,
                stored_at: Some(record.stored_at),
                leases: leases.get(&image.id).copied().unwrap_or(0),
            });
        }
        for (id, count) in leases {
            let is_named = listings.iter().any(|listing| listing.id == id);
            if is_named {
                continue;
            }
            if let Some(image) = record::read_image(&self.layout, &id)? {
                listings.push(Listing {
                    reference: None,
                    id,
                    manifest: None,
                    origin: None,
                    bytes: image.bytes,
                    stored_at: None,
                    leases: count,
                });
            }
        }
        listings.sort_by(|a, b| (&a.reference, a.id).cmp(&(&b.reference, b.id)));
        Ok(listings)
    }

    fn references(&self) -> Result<Vec<ReferenceRecord>, ImageError> {
        let mut records = Vec::new();
        for path in paths_in(&self.layout.references())? {
            records.extend(ReferenceRecord::read(&path)?);
        }
        Ok(records)
    }

    /// Removes records that do not read, so that what they named is fetched anew.
    fn drop_damaged(&self) -> Result<(), ImageError> {
        let remove = |path: &Path, error: &str| {
            warn!(error, path = %path.display(), "record of an image is damaged and goes");
            let removed = std::fs::remove_file(path);
            removed.map_err(|error| ImageError::store("removing a damaged record", error))
        };
        for path in paths_in(&self.layout.images())? {
            let read = key_of(&path).map(|id| record::read_image(&self.layout, &id));
            if let Some(Err(error)) = read {
                remove(&path, &error.to_string())?;
            }
        }
        for path in paths_in(&self.layout.references())? {
            match ReferenceRecord::read(&path) {
                Ok(Some(record)) if self.has_image(&record.image) => {}
                Ok(Some(_)) => remove(&path, "its image is gone")?,
                Ok(None) => {}
                Err(error) => remove(&path, &error.to_string())?,
            }
        }
        Ok(())
    }

    fn has_image(&self, id: &Digest) -> bool {
        let name = layout::record_name(id);
        self.layout.images().join(name).exists()
    }
}

#[cfg(test)]
mod tests;
