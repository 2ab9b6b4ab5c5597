//! Directories as archives, packed and unpacked on a thread that may wait.
//!
//! What is unpacked comes from a sandbox: the reader writes nothing outside of
//! the directory that it is given, whatever names and links the archive has, and
//! takes over no owner and no set-user-id.

use std::io::{self, Read, Write};
use std::path::Path;

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc;

/// How much is handed on at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Packs what is below `root`, with links as they are.
pub(super) fn pack(root: &Path, pieces: mpsc::Sender<Bytes>) -> io::Result<()> {
    let writer = io::BufWriter::with_capacity(PIECE_BYTES, Sending(pieces));
    let mut archive = tar::Builder::new(writer);
    archive.follow_symlinks(false);
    archive.append_dir_all(".", root)?;
    archive.into_inner()?.flush()
}

/// Unpacks below `root`, which exists.
pub(super) fn unpack(root: &Path, pieces: mpsc::Receiver<Bytes>) -> io::Result<()> {
    let reader = Receiving {
        pieces,
        piece: Bytes::new(),
    };
    let mut archive = tar::Archive::new(reader);
    archive.set_preserve_permissions(false);
    archive.set_unpack_xattrs(false);
    archive.set_overwrite(true);
    archive.unpack(root)?;
    // Whoever packs adds blocks at the end; left unread, it would be cut off.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map(|_| ())
}

struct Sending(mpsc::Sender<Bytes>);

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Bytes::copy_from_slice(bytes));
        sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Receiving {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Receiving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let len = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..len]);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use tokio::task::spawn_blocking;

    use super::*;

    async fn unpacked(root: &Path, archive: Vec<u8>) -> io::Result<()> {
        let (pieces, received) = mpsc::channel(1);
        let root = root.to_owned();
        let unpacking = spawn_blocking(move || unpack(&root, received));
        for piece in archive.chunks(1000) {
            if pieces.send(Bytes::copy_from_slice(piece)).await.is_err() {
                break;
            }
        }
        drop(pieces);
        unpacking.await.unwrap()
    }

    fn archive(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        fill(&mut builder);
        builder.into_inner().unwrap()
    }

    fn entry(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size as u64);
        header
    }

    #[tokio::test]
    async fn a_directory_comes_out_as_it_went_in() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("a/empty")).unwrap();
        fs::write(from.path().join("a/tool"), "x".repeat(100_000)).unwrap();
        let mode = fs::Permissions::from_mode(0o750);
        fs::set_permissions(from.path().join("a/tool"), mode).unwrap();
        symlink("tool", from.path().join("a/link")).unwrap();
        let (pieces, mut received) = mpsc::channel(1);
        let root = from.path().to_owned();
        let packing = spawn_blocking(move || pack(&root, pieces));
        let mut packed = Vec::new();
        while let Some(piece) = received.recv().await {
            packed.extend_from_slice(&piece);
        }
        packing.await.unwrap().unwrap();
        unpacked(to.path(), packed).await.unwrap();
        let tool = to.path().join("a/tool");
        assert_eq!(fs::read(&tool).unwrap().len(), 100_000);
        assert_eq!(
            fs::metadata(&tool).unwrap().permissions().mode() & 0o7777,
            0o750
        );
        let link = fs::read_link(to.path().join("a/link")).unwrap();
        assert_eq!(link.to_str(), Some("tool"));
        assert!(to.path().join("a/empty").is_dir());
    }

    #[tokio::test]
    async fn nothing_is_written_outside() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir(&root).unwrap();
        let through_link = archive(|builder| {
            let mut link = entry(tar::EntryType::Symlink, 0o777, 0);
            builder
                .append_link(&mut link, "out", outside.path())
                .unwrap();
            let mut file = entry(tar::EntryType::Regular, 0o644, 1);
            builder
                .append_data(&mut file, "out/stolen", &b"x"[..])
                .unwrap();
        });
        let _ = unpacked(&root, through_link).await;
        let upwards = archive(|builder| {
            let mut file = entry(tar::EntryType::Regular, 0o644, 1);
            let name = b"../stolen";
            file.as_mut_bytes()[..name.len()].copy_from_slice(name);
            file.set_cksum();
            builder.append(&file, &b"x"[..]).unwrap();
        });
        let _ = unpacked(&root, upwards).await;
        assert!(!outside.path().join("stolen").exists());
    }

    #[tokio::test]
    async fn no_file_gets_more_than_permissions() {
        let root = tempfile::tempdir().unwrap();
        let packed = archive(|builder| {
            let mut file = entry(tar::EntryType::Regular, 0o6755, 1);
            builder.append_data(&mut file, "tool", &b"x"[..]).unwrap();
        });
        unpacked(root.path(), packed).await.unwrap();
        let mode = fs::metadata(root.path().join("tool"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o755);
    }

    #[tokio::test]
    async fn an_archive_that_was_cut_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let mut packed = archive(|builder| {
            let mut file = entry(tar::EntryType::Regular, 0o644, 5_000);
            builder
                .append_data(&mut file, "f", &[1; 5_000][..])
                .unwrap();
        });
        packed.truncate(3_000);
        assert!(unpacked(root.path(), packed).await.is_err());
    }
}
