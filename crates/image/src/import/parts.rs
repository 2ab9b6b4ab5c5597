//! The parts of an archive or a layout directory, by name.
//!
//! Finds out which form an archive has: images are packed in archives with a
//! few known names at the top; everything else is taken for a root file system.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use tokio_util::sync::CancellationToken;

use crate::archive::{Entries, EntryPath, Kind};
use crate::digest::Digest;
use crate::error::{ImageError, harmless};
use crate::limits::{Allowance, Limits};
use crate::store::Piece;
use crate::stream::{Charged, Watched};
use crate::unpack::unpacked;

/// What an import source turned out to be.
#[derive(Debug)]
pub(super) enum Found {
    Layout(Parts),
    DockerSave(Parts),
    Rootfs(Piece),
}

/// Named files of an image that is not in the store.
#[derive(Debug)]
pub(super) enum Parts {
    Folder(OwnedFd),
    Archive {
        whole: Piece,
        places: HashMap<EntryPath, Place>,
    },
}

/// Where the content of a name is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    At {
        offset: u64,
        bytes: u64,
    },
    /// Another name has it: older versions of docker save equal layers once.
    SameAs(EntryPath),
}

/// What was opened for an import.
pub(super) enum Opened {
    Folder(Parts),
    File(File),
}

/// Links from name to name that are followed.
const ALIASES_MAX: usize = 8;

/// Names that an archive of images may have; a registry's worth.
const PLACES_MAX: usize = 100_000;

/// How deep names in an archive of images are nested.
const DEPTH_MAX: usize = 200;

/// Names at the top of a root file system; one is enough to know it.
const ROOTFS_NAMES: [&[u8]; 12] = [
    b"bin", b"boot", b"dev", b"etc", b"home", b"lib", b"opt", b"proc", b"root", b"sbin", b"usr",
    b"var",
];

const LAYOUT_MARK: &[u8] = b"oci-layout";
const LAYOUT_INDEX: &[u8] = b"index.json";
const DOCKER_MANIFEST: &[u8] = b"manifest.json";

/// Opens the source of an import.
pub(super) fn open(path: &Path) -> io::Result<Opened> {
    // Without NONBLOCK a named pipe would hold us for ever.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if metadata.is_file() {
        return Ok(Opened::File(file));
    }
    if metadata.is_dir() && path.join("index.json").is_file() {
        return Ok(Opened::Folder(Parts::Folder(file.into())));
    }
    let why = "it is neither a file nor the directory of an OCI layout";
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

impl Parts {
    /// The content of a name; `None` if it is not there.
    pub(super) fn get(&self, name: &str) -> Result<Option<Piece>, ImageError> {
        let path = EntryPath::parse(name.as_bytes(), DEPTH_MAX)?;
        match self {
            Self::Folder(folder) => open_in(folder, &path),
            Self::Archive { whole, places } => {
                Ok(find(places, path).map(|(offset, bytes)| whole.part(offset, bytes)))
            }
        }
    }

    /// The content of a name that must be there.
    pub(super) fn need(&self, name: &str) -> Result<Piece, ImageError> {
        self.get(name)?.ok_or_else(|| {
            ImageError::malformed(
                "the archive",
                format!("it lacks {}", harmless(name.as_bytes())),
            )
        })
    }

    /// Reads a small document.
    pub(super) fn document(&self, name: &str, limits: &Limits) -> Result<Vec<u8>, ImageError> {
        let mut piece = self.need(name)?;
        if piece.len() > limits.document_bytes_max {
            return Err(ImageError::TooLarge {
                what: "a document in the archive (bytes)",
                limit: limits.document_bytes_max,
            });
        }
        let mut content = Vec::new();
        let read = io::Read::read_to_end(&mut piece, &mut content);
        read.map_err(|error| ImageError::store("reading an archive", error))?;
        Ok(content)
    }

    /// Reads a small document whose name is its digest.
    pub(super) fn document_of(
        &self,
        digest: Digest,
        limits: &Limits,
    ) -> Result<Vec<u8>, ImageError> {
        let content = self.document(&blob_name(&digest), limits)?;
        let actual = Digest::of(&content);
        if actual != digest {
            return Err(ImageError::DigestMismatch {
                what: "a document in the archive",
                expected: digest,
                actual,
            });
        }
        Ok(content)
    }
}

/// The name of a blob in an OCI layout.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn find(places: &HashMap<EntryPath, Place>, mut path: EntryPath) -> Option<(u64, u64)> {
    for _ in 0..ALIASES_MAX {
        match places.get(&path)? {
            Place::At { offset, bytes } => return Some((*offset, *bytes)),
            Place::SameAs(other) => path = other.clone(),
        }
    }
    None
}

fn open_in(folder: &OwnedFd, path: &EntryPath) -> Result<Option<Piece>, ImageError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let opened = rustix::fs::openat2(folder, path.as_path(), flags, Mode::empty(), resolve);
    let failed = |error: io::Error| ImageError::store("reading a layout", error);
    let file = match opened {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    };
    if !file.metadata().map_err(failed)?.is_file() {
        return Ok(None);
    }
    Piece::whole(file).map(Some).map_err(failed)
}

/// What a look through an archive found.
pub(super) struct Scan {
    places: HashMap<EntryPath, Place>,
    /// Whether the archive as a whole is packed.
    pub(super) is_packed: bool,
    is_surely_rootfs: bool,
}

impl Scan {
    pub(super) fn is_rootfs(&self) -> bool {
        self.is_surely_rootfs || !(self.is_layout() || self.has(DOCKER_MANIFEST))
    }

    /// What the archive is, given its unpacked content.
    pub(super) fn into_found(self, whole: &Piece) -> Found {
        let is_layout = self.is_layout();
        let parts = Parts::Archive {
            whole: whole.clone(),
            places: self.places,
        };
        if is_layout {
            Found::Layout(parts)
        } else {
            Found::DockerSave(parts)
        }
    }

    /// Newer versions of docker save both forms at once; this one has digests.
    fn is_layout(&self) -> bool {
        self.has(LAYOUT_MARK) && self.has(LAYOUT_INDEX)
    }

    fn has(&self, name: &[u8]) -> bool {
        EntryPath::parse(name, DEPTH_MAX).is_ok_and(|path| self.places.contains_key(&path))
    }
}

/// The bound of an archive as a whole.
pub(super) fn allowance(limits: &Limits) -> Allowance {
    Allowance::new("the archive (bytes)", limits.archive_bytes_max)
}

/// Looks through an archive, to its end unless it is soon clear what it is.
pub(super) fn scan(
    piece: &Piece,
    limits: &Limits,
    cancel: &CancellationToken,
) -> Result<Scan, ImageError> {
    let allowance = allowance(limits);
    let mut start = [0; 8];
    let count = io::Read::read(&mut piece.clone(), &mut start)
        .map_err(|error| ImageError::store("reading an archive", error))?;
    let packing = crate::unpack::Compression::of(&start[..count])?;
    let watched = Watched::new(piece.clone(), cancel, &|_| {});
    let content = Charged::new(unpacked(watched)?, &allowance);
    let mut entries = Entries::new(io::BufReader::with_capacity(128 << 10, content), DEPTH_MAX);
    let mut scan = Scan {
        places: HashMap::new(),
        is_packed: packing != crate::unpack::Compression::None,
        is_surely_rootfs: false,
    };
    while let Some(entry) = entries.next()? {
        if ROOTFS_NAMES.iter().any(|name| entry.path.is_in(name)) {
            scan.is_surely_rootfs = true;
            break;
        }
        let place = match entry.kind {
            Kind::File => Place::At {
                offset: entry.offset,
                bytes: entry.bytes,
            },
            Kind::Hardlink(target) => Place::SameAs(target),
            Kind::Symlink(target) => match beside(&entry.path, &target) {
                Some(target) => Place::SameAs(target),
                None => continue,
            },
            Kind::Directory | Kind::Fifo | Kind::Device => continue,
        };
        if scan.places.len() >= PLACES_MAX {
            return Err(ImageError::TooLarge {
                what: "the number of files in the archive",
                limit: PLACES_MAX as u64,
            });
        }
        scan.places.insert(entry.path, place);
    }
    Ok(scan)
}

/// Where a link in an archive leads, as a name in the archive.
fn beside(link: &EntryPath, target: &[u8]) -> Option<EntryPath> {
    let (directory, _) = link.split()?;
    let mut parts: Vec<&[u8]> = directory.as_bytes().split(|byte| *byte == b'/').collect();
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    EntryPath::parse(&parts.join(&b'/'), DEPTH_MAX).ok()
}
