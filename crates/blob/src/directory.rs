//! Bytes in a directory of the server.
//!
//! ```text
//! <root>/new/<uuid>                 on its way in; gone after a restart
//! <root>/org-<organization>/<digest>
//! ```
//!
//! A file gets its name when it is whole and on the disk, so that a crash leaves
//! nothing but files in `new`, which the next start removes. One process has the
//! directory at a time; that is seen to by whoever opens it.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

use crate::blobs::{BlobError, BlobName, Blobs, Count, Download, Upload};

/// What is read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Keeps bytes in a directory.
#[derive(Clone, Debug)]
pub struct DirectoryBlobs {
    root: PathBuf,
}

impl DirectoryBlobs {
    /// Opens a directory, or makes it, and removes what a crash left half-way.
    /// Blocks, which happens once when a server starts.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        let new = root.join("new");
        match std::fs::remove_dir_all(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&new)?;
        Ok(Self { root })
    }

    fn place(&self, name: &BlobName) -> PathBuf {
        self.root.join(name.to_string())
    }
}

fn failed(error: io::Error) -> BlobError {
    let kind = error.kind();
    if kind == io::ErrorKind::NotFound {
        BlobError::NotFound
    } else if matches!(
        kind,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    ) {
        BlobError::Full
    } else if kind == io::ErrorKind::PermissionDenied {
        BlobError::Denied(error.to_string())
    } else {
        BlobError::Failed(Box::new(error))
    }
}

/// Has the names in a directory on the disk.
async fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory).await?.sync_all().await
}

#[async_trait]
impl Blobs for DirectoryBlobs {
    async fn put(&self, name: &BlobName, bytes: u64) -> Result<Box<dyn Upload>, BlobError> {
        let temporary = self.root.join("new").join(Uuid::new_v4().to_string());
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&temporary).await.map_err(failed)?;
        Ok(Box::new(DirectoryUpload {
            file,
            temporary: Temporary(temporary),
            place: self.place(name),
            count: Count::of(bytes),
        }))
    }

    async fn get(&self, name: &BlobName) -> Result<Download, BlobError> {
        let file = File::open(self.place(name)).await.map_err(failed)?;
        let bytes = file.metadata().await.map_err(failed)?.len();
        let chunks = stream::try_unfold(
            (file, Count::of(bytes)),
            |(mut file, mut count)| async move {
                let piece = count.next(read(&mut file).await.map_err(failed)?)?;
                Ok(piece.map(|piece| (piece, (file, count))))
            },
        );
        Ok(Download {
            bytes,
            chunks: chunks.boxed(),
        })
    }

    async fn size(&self, name: &BlobName) -> Result<Option<u64>, BlobError> {
        match fs::metadata(self.place(name)).await {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn remove(&self, name: &BlobName) -> Result<(), BlobError> {
        match fs::remove_file(self.place(name)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// The next piece of a file; `None` at its end.
async fn read(file: &mut File) -> io::Result<Option<Bytes>> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    let mut part = file.take(CHUNK_BYTES as u64);
    let len = part.read_to_end(&mut chunk).await?;
    Ok((len > 0).then(|| chunk.into()))
}

/// Goes with whoever has it, unless it got a name.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // One unlink; what cannot be removed goes at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[derive(Debug)]
struct DirectoryUpload {
    file: File,
    temporary: Temporary,
    place: PathBuf,
    count: Count,
}

#[async_trait]
impl Upload for DirectoryUpload {
    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        self.count.add(chunk.len())?;
        self.file.write_all(&chunk).await.map_err(failed)
    }

    async fn finish(self: Box<Self>) -> Result<(), BlobError> {
        let Self {
            mut file,
            temporary,
            place,
            count,
        } = *self;
        count.check()?;
        file.flush().await.map_err(failed)?;
        file.sync_all().await.map_err(failed)?;
        let directory = place.parent().unwrap_or(&place).to_owned();
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&directory).await;
        made.map_err(failed)?;
        let renamed = fs::rename(&temporary.0, &place).await;
        renamed.map_err(failed)?;
        sync_directory(&directory).await.map_err(failed)?;
        if let Some(root) = directory.parent() {
            sync_directory(root).await.map_err(failed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn a_directory_keeps_the_contract() {
        let place = tempdir().unwrap();
        let blobs = DirectoryBlobs::open(place.path().join("blobs")).unwrap();
        conformance::all(&blobs).await;
    }

    #[tokio::test]
    async fn what_a_crash_left_half_way_is_gone_after_a_start() {
        let place = tempdir().unwrap();
        let root = place.path().join("blobs");
        let blobs = DirectoryBlobs::open(root.clone()).unwrap();
        let name = conformance::name("acme", 1);
        let mut upload = blobs.put(&name, 10).await.unwrap();
        upload.write(Bytes::from_static(b"12345")).await.unwrap();
        std::mem::forget(upload);
        DirectoryBlobs::open(root.clone()).unwrap();
        assert_eq!(std::fs::read_dir(root.join("new")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_upload_that_is_dropped_leaves_no_file() {
        let place = tempdir().unwrap();
        let root = place.path().join("blobs");
        let blobs = DirectoryBlobs::open(root.clone()).unwrap();
        let upload = blobs.put(&conformance::name("acme", 1), 10).await.unwrap();
        drop(upload);
        assert_eq!(std::fs::read_dir(root.join("new")).unwrap().count(), 0);
    }
}
