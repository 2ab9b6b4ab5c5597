//! Writing the entries of one layer below one directory, and nowhere else.
//!
//! Every directory on the way to an entry is opened by the kernel with the
//! layer's directory as its root, so that no `..`, no absolute path and no
//! symbolic link can lead out; the last part of a path is never followed. The
//! directory belongs to this process alone while it is written, so nobody can
//! change it in between.
//!
//! Not here: what whiteouts mean (`unpack`), and what a name may look like
//! (`archive`).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::attribute;
use crate::archive::{Entry, EntryPath, Mtime};
use crate::error::ImageError;

/// The directory that a layer is unpacked into.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
    /// Where replaced directories go; they are deleted with the whole later.
    trash: OwnedFd,
    trashed: u64,
    depth_max: usize,
    /// The directory of the last entry: most entries lie beside their neighbour.
    last: Option<(EntryPath, OwnedFd)>,
    /// Times of directories are set last, as each new entry in one changes it.
    times: Vec<(EntryPath, Mtime)>,
    buffer: Box<[u8]>,
}

/// What a name in a directory stands for at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Present {
    Nothing,
    Directory,
    Whiteout,
    /// A file, link or pipe.
    Leaf {
        device: u64,
        inode: u64,
    },
}

/// Bytes of content that are copied at once.
const BUFFER_BYTES: usize = 256 << 10;

/// So many zeros are not written.
const HOLE_BYTES_MIN: usize = 4 << 10;

/// The kernel wants a path with `..` in a link to be tried again when anything
/// anywhere was renamed meanwhile.
const OPEN_AGAIN_MAX: usize = 1000;

/// What most directories get that no entry describes.
const IMPLICIT_MODE: Mode = Mode::from_raw_mode(0o755);

/// Directories that are not like most on any system. A layer may lie over one
/// that describes them, and would change it for the worse.
const IMPLICIT_MODES: [(&[u8], Mode); 4] = [
    (b"tmp", Mode::from_raw_mode(0o1777)),
    (b"var/tmp", Mode::from_raw_mode(0o1777)),
    (b"dev/shm", Mode::from_raw_mode(0o1777)),
    (b"root", Mode::from_raw_mode(0o700)),
];

impl Tree {
    pub(crate) fn new(root: OwnedFd, trash: OwnedFd, depth_max: usize) -> Self {
        Self {
            root,
            trash,
            trashed: 0,
            depth_max,
            last: None,
            times: Vec::new(),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
        }
    }

    /// Makes the directory of an entry, or changes the one that is there.
    pub(crate) fn directory(&mut self, entry: &Entry) -> Result<(), ImageError> {
        let directory = self.own_directory(&entry.path)?;
        attribute::set_owner_and_mode(&directory, entry)?;
        attribute::set_xattrs(&directory, entry)?;
        self.times.push((entry.path.clone(), entry.mtime));
        Ok(())
    }

    /// Writes a file with the content that `content` gives.
    pub(crate) fn file(
        &mut self,
        entry: &Entry,
        content: &mut impl Read,
    ) -> Result<(), ImageError> {
        let (parent, name) = self.place(&entry.path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(
            &parent,
            os(name),
            flags | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        );
        let mut file = File::from(file.map_err(failed)?);
        loop {
            // Bounded: the content is exactly as long as the entry says.
            let count = content.read(&mut self.buffer).map_err(io_failed)?;
            if count == 0 {
                break;
            }
            let piece = &self.buffer[..count];
            // What is empty takes no place: it may be the hole of a sparse file.
            if count >= HOLE_BYTES_MIN && piece.iter().all(|byte| *byte == 0) {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                file.seek(SeekFrom::Current(count)).map_err(io_failed)?;
            } else {
                file.write_all(piece).map_err(io_failed)?;
            }
        }
        file.set_len(entry.bytes).map_err(io_failed)?;
        // Changing the owner clears setuid bits and capabilities, so it is first.
        attribute::set_owner_and_mode(&file, entry)?;
        attribute::set_xattrs(&file, entry)?;
        rustix::fs::futimens(&file, &times(entry.mtime)).map_err(failed)
    }

    /// Makes a symbolic link; nothing ever follows it here.
    pub(crate) fn symlink(&mut self, entry: &Entry, target: &[u8]) -> Result<(), ImageError> {
        let (parent, name) = self.place(&entry.path)?;
        rustix::fs::symlinkat(os(target), &parent, os(name)).map_err(failed)?;
        finish_leaf(&parent, name, entry)
    }

    /// Makes a named pipe.
    pub(crate) fn fifo(&mut self, entry: &Entry) -> Result<(), ImageError> {
        let (parent, name) = self.place(&entry.path)?;
        rustix::fs::mkfifoat(&parent, os(name), Mode::empty()).map_err(failed)?;
        let mode = Mode::from_raw_mode(entry.mode);
        finish_leaf(&parent, name, entry)?;
        rustix::fs::chmodat(&parent, os(name), mode, AtFlags::empty()).map_err(failed)
    }

    /// Gives another name to an earlier entry of this layer.
    pub(crate) fn hardlink(&mut self, entry: &Entry, target: &EntryPath) -> Result<(), ImageError> {
        let refuse = |why| Err(ImageError::hostile(entry.path.as_bytes(), why));
        let Some((target_parent, target_name)) = target.split() else {
            return refuse("is a hard link to the root of the image");
        };
        let Some(target_parent) = self.open(&target_parent)? else {
            return refuse("is a hard link to a file that the layer does not hold");
        };
        let (device, inode) = match look(&target_parent, target_name)? {
            Present::Leaf { device, inode } => (device, inode),
            Present::Nothing => {
                return refuse("is a hard link to a file that the layer does not hold");
            }
            Present::Directory | Present::Whiteout => return refuse("is a hard link to no file"),
        };
        let (parent, name) = self.parent(&entry.path)?;
        if look(&parent, name)? == (Present::Leaf { device, inode }) {
            return Ok(());
        }
        self.clear(&parent, name)?;
        // Without AT_SYMLINK_FOLLOW, so that a link to a link is that.
        let flags = AtFlags::empty();
        rustix::fs::linkat(&target_parent, os(target_name), &parent, os(name), flags)
            .map_err(failed)
    }

    /// Hides `name` of the layers below.
    pub(super) fn whiteout(
        &mut self,
        directory: &EntryPath,
        name: &[u8],
    ) -> Result<(), ImageError> {
        let parent = self.open_or_make(directory)?;
        match look(&parent, name)? {
            Present::Nothing => {
                let (kind, mode) = (FileType::CharacterDevice, Mode::empty());
                rustix::fs::mknodat(&parent, os(name), kind, mode, 0).map_err(failed)
            }
            // What this layer itself has hides the rest already, except that
            // directories merge unless they are told not to.
            Present::Directory => {
                let directory = open_directory(&parent, name).map_err(failed)?;
                attribute::set_opaque(&directory)
            }
            Present::Whiteout | Present::Leaf { .. } => Ok(()),
        }
    }

    /// Hides everything that the layers below have in `directory`.
    pub(super) fn opaque(&mut self, directory: &EntryPath) -> Result<(), ImageError> {
        attribute::set_opaque(&self.open_or_make(directory)?)
    }

    /// Sets what could not be set before everything was there.
    pub(crate) fn finish(self) -> Result<(), ImageError> {
        for (path, mtime) in &self.times {
            // One that was replaced since has its time from its successor.
            if let Some(directory) = self.open(path)? {
                rustix::fs::futimens(&directory, &times(*mtime)).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The directory for a new entry, with its name made free.
    fn place<'a>(&mut self, path: &'a EntryPath) -> Result<(OwnedFd, &'a [u8]), ImageError> {
        let (parent, name) = self.parent(path)?;
        self.clear(&parent, name)?;
        Ok((parent, name))
    }

    fn parent<'a>(&mut self, path: &'a EntryPath) -> Result<(OwnedFd, &'a [u8]), ImageError> {
        let Some((directory, name)) = path.split() else {
            return Err(ImageError::hostile(b"/", "replaces the root of the image"));
        };
        if let Some((last, fd)) = &self.last
            && *last == directory
        {
            return Ok((fd.try_clone().map_err(io_failed)?, name));
        }
        let fd = self.open_or_make(&directory)?;
        self.last = Some((directory, fd.try_clone().map_err(io_failed)?));
        Ok((fd, name))
    }

    /// Removes what stands in the way of a new entry.
    fn clear(&mut self, parent: &OwnedFd, name: &[u8]) -> Result<(), ImageError> {
        match look(parent, name)? {
            Present::Nothing => Ok(()),
            Present::Directory => {
                self.last = None;
                self.trashed += 1;
                let grave = self.trashed.to_string();
                rustix::fs::renameat(parent, os(name), &self.trash, grave).map_err(failed)
            }
            Present::Whiteout | Present::Leaf { .. } => {
                // It may have been a link on the way to the last directory.
                self.last = None;
                rustix::fs::unlinkat(parent, os(name), AtFlags::empty()).map_err(failed)
            }
        }
    }

    /// Opens a directory of the tree, if there is one at that path.
    fn open(&self, path: &EntryPath) -> Result<Option<OwnedFd>, ImageError> {
        let direct = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
        match self.open_with(path, direct) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::LOOP) => self.open_through_links(path),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Layers may say `lib/x` where `lib` is a link to `usr/lib`.
    fn open_through_links(&self, path: &EntryPath) -> Result<Option<OwnedFd>, ImageError> {
        match self.open_with(path, ResolveFlags::IN_ROOT) {
            Ok(fd) => {
                self.check_depth(&fd, path)?;
                Ok(Some(fd))
            }
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(Errno::LOOP) => Err(ImageError::hostile(
                path.as_bytes(),
                "leads through links without end",
            )),
            Err(error) => Err(failed(error)),
        }
    }

    fn open_with(&self, path: &EntryPath, how: ResolveFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = how | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open =
            || rustix::fs::openat2(&self.root, path.as_path(), flags, Mode::empty(), resolve);
        let mut result = open();
        for _ in 0..OPEN_AGAIN_MAX {
            if result.as_ref().err() != Some(&Errno::AGAIN) {
                break;
            }
            result = open();
        }
        result
    }

    /// A path through links may be deeper than it looks; without a bound on
    /// the true depth, a tree could be too deep to be removed again.
    fn check_depth(&self, fd: &OwnedFd, path: &EntryPath) -> Result<(), ImageError> {
        let too_deep = || ImageError::hostile(path.as_bytes(), "lies in too many directories");
        let root = true_path(&self.root).map_err(failed)?;
        let place = true_path(fd).map_err(|_| too_deep())?;
        let below = place.strip_prefix(root.as_slice()).ok_or_else(too_deep)?;
        let depth = below.split(|byte| *byte == b'/').count() - 1;
        if depth < self.depth_max {
            Ok(())
        } else {
            Err(too_deep())
        }
    }

    /// The directory that an entry describes; one over a link or file replaces it.
    fn own_directory(&mut self, path: &EntryPath) -> Result<OwnedFd, ImageError> {
        if path.is_root() {
            return self.root.try_clone().map_err(io_failed);
        }
        let (parent, name) = self.parent(path)?;
        let present = look(&parent, name)?;
        if let Present::Leaf { .. } = present {
            self.clear(&parent, name)?;
        }
        self.make(&parent, name, present)
    }

    /// A directory on the way to an entry.
    fn open_or_make(&mut self, path: &EntryPath) -> Result<OwnedFd, ImageError> {
        if let Some(fd) = self.open(path)? {
            return Ok(fd);
        }
        let Some((directory, name)) = path.split() else {
            return Err(ImageError::hostile(b"/", "replaces the root of the image"));
        };
        // Not deeper than `depth_max`, as no path has more parts.
        let parent = self.open_or_make(&directory)?;
        let present = look(&parent, name)?;
        if let Present::Leaf { .. } = present {
            let why = "is in a directory that is none";
            return Err(ImageError::hostile(path.as_bytes(), why));
        }
        let fd = self.make(&parent, name, present)?;
        attribute::set_implicit(&fd, implicit_mode(path))?;
        self.times.push((path.clone(), Mtime::default()));
        Ok(fd)
    }

    /// Makes a directory where `present` is, unless that is one.
    fn make(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        present: Present,
    ) -> Result<OwnedFd, ImageError> {
        if present == Present::Directory {
            return open_directory(parent, name).map_err(failed);
        }
        if present == Present::Whiteout {
            self.clear(parent, name)?;
        }
        rustix::fs::mkdirat(parent, os(name), IMPLICIT_MODE).map_err(failed)?;
        let fd = open_directory(parent, name).map_err(failed)?;
        if present == Present::Whiteout {
            attribute::set_opaque(&fd)?;
        }
        Ok(fd)
    }
}

fn implicit_mode(path: &EntryPath) -> Mode {
    let known = IMPLICIT_MODES
        .iter()
        .find(|(known, _)| *known == path.as_bytes());
    known.map_or(IMPLICIT_MODE, |(_, mode)| *mode)
}

fn finish_leaf(parent: &OwnedFd, name: &[u8], entry: &Entry) -> Result<(), ImageError> {
    attribute::refuse_xattrs(entry)?;
    let (name, flags) = (os(name), AtFlags::SYMLINK_NOFOLLOW);
    attribute::set_owner_at(parent, name, entry)?;
    rustix::fs::utimensat(parent, name, &times(entry.mtime), flags).map_err(failed)
}

/// What stands at `name`, without following it.
fn look(parent: &OwnedFd, name: &[u8]) -> Result<Present, ImageError> {
    let stat = match rustix::fs::statat(parent, os(name), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(Present::Nothing),
        Err(error) => return Err(failed(error)),
    };
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Ok(Present::Directory);
    }
    if is_whiteout(&stat) {
        return Ok(Present::Whiteout);
    }
    Ok(Present::Leaf {
        device: stat.st_dev,
        inode: stat.st_ino,
    })
}

/// Whether an entry hides what the layers below have under its name.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn open_directory(parent: impl AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, os(name), flags, Mode::empty())
}

fn true_path(fd: &OwnedFd) -> rustix::io::Result<Vec<u8>> {
    let fd: BorrowedFd<'_> = fd.as_fd();
    let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
    rustix::fs::readlinkat(CWD, link, Vec::new()).map(std::ffi::CString::into_bytes)
}

fn os(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

fn times(mtime: Mtime) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime.seconds,
        tv_nsec: i64::from(mtime.nanoseconds),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn failed(error: Errno) -> ImageError {
    io_failed(error.into())
}

fn io_failed(error: io::Error) -> ImageError {
    ImageError::store("unpacking a layer", error)
}
