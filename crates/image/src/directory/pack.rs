//! Packing a directory that its owner may have arranged to harm whoever reads it.
//!
//! Directories are opened by the kernel beneath the given one, links on the way
//! refused and other file systems not entered. Only regular files are opened.
//! What no archive can hold (sockets, devices) is left out and counted. The
//! directory must not change meanwhile: a file that is shorter than it said is
//! an error.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};
use tokio_util::sync::CancellationToken;

use super::{DEPTH_MAX, DirectoryLimits};
use crate::error::harmless;

/// The level of zstd that is as fast as a disk.
const LEVEL: i32 = 1;
/// The longest path that an archive of ours holds, in bytes.
const PATH_BYTES_MAX: usize = 4_000;
/// What the names of files with several names may take, in bytes.
const LINK_NAMES_BYTES_MAX: usize = 64 << 20;
/// The most bytes of attributes of one file.
const XATTR_BYTES_MAX: usize = 64 << 10;

/// What was packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Files, directories and links.
    pub entries: u64,
    /// What all files hold together.
    pub file_bytes: u64,
    /// Sockets and devices, which are not in the archive.
    pub left_out: u64,
}

/// Why a directory was not packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Something in it is beyond a bound.
    #[error("{what} at {path}; at most {limit} are possible")]
    Beyond {
        /// What there is too much of.
        what: &'static str,
        /// Where that was found, with everything odd in it escaped.
        path: String,
        /// How much there may be.
        limit: u64,
    },
    /// It changed while it was read.
    #[error("{path} changed while it was read")]
    Changed {
        /// What changed, with everything odd in it escaped.
        path: String,
    },
    /// Nobody wants it any more.
    #[error("it was given up")]
    Cancelled,
    /// Reading or writing failed.
    #[error("could not read the directory or write its archive")]
    Io(#[from] io::Error),
}

impl From<Errno> for PackError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// A name in the archive, and what is there.
#[derive(Clone, Copy)]
struct Named<'a> {
    path: &'a [u8],
    status: &'a Stat,
    kind: EntryType,
    /// Where a link leads.
    link: Option<&'a [u8]>,
    /// To read attributes from.
    file: Option<&'a OwnedFd>,
}

/// Writes the archive of a directory. Blocks.
pub fn pack(
    root: BorrowedFd<'_>,
    to: impl Write,
    limits: &DirectoryLimits,
    cancel: &CancellationToken,
) -> Result<Packed, PackError> {
    let encoder = zstd::stream::write::Encoder::new(to, LEVEL)?;
    let mut packer = Packer {
        root,
        archive: Builder::new(encoder),
        limits,
        cancel,
        packed: Packed::default(),
        links: HashMap::new(),
        link_bytes: 0,
    };
    packer.all()?;
    let Packer {
        archive, packed, ..
    } = packer;
    archive.into_inner()?.finish()?.flush()?;
    Ok(packed)
}

struct Packer<'a, W: Write> {
    root: BorrowedFd<'a>,
    archive: Builder<W>,
    limits: &'a DirectoryLimits,
    cancel: &'a CancellationToken,
    packed: Packed,
    /// The first name of every file that has several.
    links: HashMap<u64, Vec<u8>>,
    link_bytes: usize,
}

impl<W: Write> Packer<'_, W> {
    fn all(&mut self) -> Result<(), PackError> {
        let top = self.open(b".")?;
        let status = rustix::fs::fstat(&top)?;
        self.entry(Named {
            path: b"./",
            status: &status,
            kind: EntryType::Directory,
            link: None,
            file: Some(&top),
        })?;
        // A list and no recursion: no depth takes descriptors or the stack.
        let mut waiting = vec![Vec::new()];
        while let Some(path) = waiting.pop() {
            self.directory(&path, &mut waiting)?;
        }
        Ok(())
    }

    fn open(&self, path: &[u8]) -> Result<OwnedFd, PackError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let beneath = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        let path = OsStr::from_bytes(path);
        let opened = rustix::fs::openat2(self.root, path, flags, Mode::empty(), beneath);
        Ok(opened?)
    }

    fn directory(&mut self, path: &[u8], waiting: &mut Vec<Vec<u8>>) -> Result<(), PackError> {
        let directory = self.open(if path.is_empty() { b"." } else { path })?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
                let count = self.packed.entries + names.len() as u64;
                bound(count, self.limits.entries_max, "too many files", path)?;
            }
        }
        names.sort_unstable();
        let mut below = Vec::new();
        for name in names {
            let whole = join(path, &name);
            Self::check_path(&whole)?;
            if self.one(&directory, &name, &whole)? {
                below.push(whole);
            }
        }
        // The last one goes first, so that the order is that of the names.
        waiting.extend(below.into_iter().rev());
        Ok(())
    }

    fn check_path(path: &[u8]) -> Result<(), PackError> {
        bound(
            path.len() as u64,
            PATH_BYTES_MAX as u64,
            "too long a path (bytes)",
            path,
        )?;
        let depth = path.split(|byte| *byte == b'/').count();
        let what = "too many directories within each other";
        bound(depth as u64, DEPTH_MAX as u64, what, path)
    }

    /// Packs one name; tells whether it is a directory, to be looked into.
    fn one(&mut self, parent: &OwnedFd, name: &[u8], path: &[u8]) -> Result<bool, PackError> {
        if self.cancel.is_cancelled() {
            return Err(PackError::Cancelled);
        }
        let name = OsStr::from_bytes(name);
        let status = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
                self.entry(Named {
                    path,
                    status: &status,
                    kind: EntryType::Directory,
                    link: None,
                    file: Some(&directory),
                })?;
                return Ok(true);
            }
            FileType::RegularFile => self.file(parent, name, path, &status)?,
            FileType::Symlink => {
                if !self.is_second_name(path, &status)? {
                    let target = rustix::fs::readlinkat(parent, name, Vec::new())?;
                    self.entry(Named {
                        path,
                        status: &status,
                        kind: EntryType::Symlink,
                        link: Some(target.to_bytes()),
                        file: None,
                    })?;
                }
            }
            FileType::Fifo => {
                if !self.is_second_name(path, &status)? {
                    self.entry(Named {
                        path,
                        status: &status,
                        kind: EntryType::Fifo,
                        link: None,
                        file: None,
                    })?;
                }
            }
            FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => self.packed.left_out += 1,
        }
        Ok(false)
    }

    fn file(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        path: &[u8],
        status: &Stat,
    ) -> Result<(), PackError> {
        if self.is_second_name(path, status)? {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, name, flags, Mode::empty())?;
        let status = rustix::fs::fstat(&file)?;
        let size = u64::try_from(status.st_size).unwrap_or(0);
        let total = self.packed.file_bytes.saturating_add(size);
        let what = "files that hold too many bytes, holes included,";
        bound(total, self.limits.file_bytes_max, what, path)?;
        self.packed.file_bytes = total;
        let mut header = self.prepare(Named {
            path,
            status: &status,
            kind: EntryType::Regular,
            link: None,
            file: Some(&file),
        })?;
        header.set_size(size);
        header.set_cksum();
        let mut content = Watched {
            inner: File::from(file).take(size),
            cancel: self.cancel,
            count: 0,
        };
        self.archive
            .append(&header, &mut content)
            .map_err(|error| self.told(error))?;
        if content.count != size {
            return Err(PackError::Changed {
                path: harmless(path),
            });
        }
        Ok(())
    }

    /// Writes a hard link for a file that is in the archive under another name.
    fn is_second_name(&mut self, path: &[u8], status: &Stat) -> Result<bool, PackError> {
        if status.st_nlink < 2 {
            return Ok(false);
        }
        if let Some(first) = self.links.get(&status.st_ino).cloned() {
            self.entry(Named {
                path,
                status,
                kind: EntryType::Link,
                link: Some(&first),
                file: None,
            })?;
            return Ok(true);
        }
        self.link_bytes += path.len();
        let what = "too many files with several names (bytes of names)";
        bound(
            self.link_bytes as u64,
            LINK_NAMES_BYTES_MAX as u64,
            what,
            path,
        )?;
        self.links.insert(status.st_ino, path.to_vec());
        Ok(false)
    }

    /// Writes what has no content.
    fn entry(&mut self, named: Named<'_>) -> Result<(), PackError> {
        let mut header = self.prepare(named)?;
        header.set_cksum();
        let done = self.archive.append(&header, io::empty());
        done.map_err(|error| self.told(error))
    }

    /// Writes the records that go before an entry, and makes its header.
    fn prepare(&mut self, named: Named<'_>) -> Result<Header, PackError> {
        let Named {
            path,
            status,
            kind,
            link,
            file,
        } = named;
        self.packed.entries += 1;
        bound(
            self.packed.entries,
            self.limits.entries_max,
            "too many files",
            path,
        )?;
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(status.st_mode & 0o7777);
        header.set_uid(status.st_uid.into());
        header.set_gid(status.st_gid.into());
        header.set_size(0);
        let seconds = status.st_mtime;
        header.set_mtime(seconds.max(0).unsigned_abs());
        let mtime = format!("{seconds}.{:09}", status.st_mtime_nsec);
        let mut records = Vec::new();
        // Times before 1970 count downwards there; to the second is enough.
        if seconds >= 0 {
            records.push(("mtime".to_owned(), mtime.into_bytes()));
        } else {
            records.push(("mtime".to_owned(), seconds.to_string().into_bytes()));
        }
        if !put(&mut header.as_old_mut().name, path) {
            records.push(("path".to_owned(), path.to_vec()));
        }
        if let Some(link) = link
            && !put(&mut header.as_old_mut().linkname, link)
        {
            records.push(("linkpath".to_owned(), link.to_vec()));
        }
        if let Some(file) = file {
            records.extend(attributes(file)?);
        }
        let records = records
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()));
        let written = self.archive.append_pax_extensions(records);
        written.map_err(|error| self.told(error))?;
        Ok(header)
    }

    fn told(&self, error: io::Error) -> PackError {
        if self.cancel.is_cancelled() {
            PackError::Cancelled
        } else {
            PackError::Io(error)
        }
    }
}

fn bound(count: u64, limit: u64, what: &'static str, path: &[u8]) -> Result<(), PackError> {
    if count <= limit {
        return Ok(());
    }
    Err(PackError::Beyond {
        what,
        path: harmless(path),
        limit,
    })
}

/// Puts text into a field of a header, if it fits with the zero behind it.
fn put(field: &mut [u8; 100], text: &[u8]) -> bool {
    let fits = text.len() < field.len();
    if fits && let Some(place) = field.get_mut(..text.len()) {
        place.copy_from_slice(text);
    }
    fits
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        return name.to_vec();
    }
    [directory, b"/", name].concat()
}

/// What programs stored for themselves beside a file. Capabilities are left out:
/// they name owners of the sandbox that is packed.
fn attributes(file: impl AsFd) -> Result<Vec<(String, Vec<u8>)>, PackError> {
    let mut names = vec![0; XATTR_BYTES_MAX];
    let len = match rustix::fs::flistxattr(&file, names.as_mut_slice()) {
        Ok(len) => len,
        Err(Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for name in names
        .get(..len)
        .unwrap_or_default()
        .split(|byte| *byte == 0)
    {
        let Ok(text) = std::str::from_utf8(name) else {
            continue;
        };
        if !text.starts_with("user.") || text.contains('=') {
            continue;
        }
        let mut value = vec![0; XATTR_BYTES_MAX];
        let len = rustix::fs::fgetxattr(&file, text, value.as_mut_slice())?;
        value.truncate(len);
        found.push((format!("SCHILY.xattr.{text}"), value));
    }
    found.sort();
    Ok(found)
}

/// Counts, and ends in an error once nobody wants the archive any more.
struct Watched<'a, R> {
    inner: R,
    cancel: &'a CancellationToken,
    count: u64,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("nobody wants the archive any more"));
        }
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}
