//! Reading tar archives that nobody vouches for.
//!
//! The `tar` crate knows the header; the walk from header to header is here,
//! because extension records must be bounded and names must be checked before
//! anyone acts on them. An [`Entry`] is harmless to look at: its path leads
//! nowhere but down, its numbers are in range. Nothing here touches a file.

mod extension;
mod path;

use std::io::{self, Read};

use tar::Header;

use crate::error::{ImageError, harmless};
use extension::Extensions;
pub(crate) use path::EntryPath;

/// Bytes of a header, and what everything in an archive is padded to.
const BLOCK: u64 = 512;

/// Walks over the entries of an archive, one after the other.
///
/// Reading from it gives the content of the entry that `next` returned last.
#[derive(Debug)]
pub(crate) struct Entries<R> {
    inner: R,
    depth_max: usize,
    /// Bytes of the present entry that were not read yet.
    left: u64,
    /// Bytes between the end of the present entry and the next header.
    padding: u64,
    /// Bytes from the start of the archive.
    position: u64,
}

/// One entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: EntryPath,
    pub(crate) kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Mtime,
    /// Bytes of content; zero for everything but files.
    pub(crate) bytes: u64,
    /// Where the content begins in the archive.
    pub(crate) offset: u64,
    /// Extended attributes, as the archive has them.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    /// The target is for processes in the image; it is never followed here.
    Symlink(Vec<u8>),
    /// Another name of an earlier entry.
    Hardlink(EntryPath),
    Fifo,
    /// A character or block device.
    Device,
}

/// A time of last change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mtime {
    pub(crate) seconds: i64,
    /// Below 1,000,000,000.
    pub(crate) nanoseconds: u32,
}

/// Longest target of a symbolic link that Linux takes, in bytes.
const LINK_BYTES_MAX: usize = 4095;

/// Extension records in a row before one entry; tools write at most three.
const EXTENSIONS_MAX: usize = 8;

impl<R: Read> Entries<R> {
    pub(crate) fn new(inner: R, depth_max: usize) -> Self {
        Self {
            inner,
            depth_max,
            left: 0,
            padding: 0,
            position: 0,
        }
    }

    /// The next entry, or `None` at the end of the archive.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, ImageError> {
        let mut extensions = Extensions::default();
        for _ in 0..EXTENSIONS_MAX {
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let flag = header.as_bytes()[156];
            let size = header.entry_size().map_err(|_| bad("a size"))?;
            if !matches!(flag, b'x' | b'g' | b'L' | b'K') {
                return self.entry(&header, extensions).map(Some);
            }
            let record = self.record(size)?;
            match flag {
                b'x' => extensions.read_pax(&record)?,
                b'L' => extensions.set_path(&record),
                b'K' => extensions.set_link(&record),
                // Global records hold comments in practice; no tool that
                // makes images lets them say anything about entries.
                _ => {}
            }
        }
        Err(ImageError::malformed(
            WHAT,
            "too many extension records in a row",
        ))
    }

    /// Reads to the end of the underlying stream.
    pub(crate) fn drain(mut self) -> io::Result<R> {
        io::copy(&mut self.inner, &mut io::sink())?;
        Ok(self.inner)
    }

    fn header(&mut self) -> Result<Option<Header>, ImageError> {
        self.skip_rest()?;
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let count = read_full(&mut self.inner, block).map_err(read_failed)?;
        self.position += count as u64;
        if count == 0 || block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if count < block.len() {
            return Err(cut_short());
        }
        check_sum(&header)?;
        Ok(Some(header))
    }

    /// Goes to where the next header is. Behind the last entry some tools write
    /// no padding, and others read that as the end.
    fn skip_rest(&mut self) -> Result<(), ImageError> {
        if self.skip(self.left)? < self.left {
            return Err(cut_short());
        }
        self.skip(self.padding)?;
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    /// Returns how much of it there was.
    fn skip(&mut self, count: u64) -> Result<u64, ImageError> {
        let skipped = io::copy(&mut (&mut self.inner).take(count), &mut io::sink());
        let skipped = skipped.map_err(read_failed)?;
        self.position += skipped;
        Ok(skipped)
    }

    fn begin(&mut self, size: u64) -> Result<(), ImageError> {
        // Far beyond any disk, and sums of a few of these cannot overflow.
        if size > i64::MAX as u64 / 4 {
            return Err(bad("a size"));
        }
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK) - size;
        Ok(())
    }

    fn record(&mut self, size: u64) -> Result<Vec<u8>, ImageError> {
        if size > extension::BYTES_MAX {
            return Err(ImageError::TooLarge {
                what: "an extension record of a layer (bytes)",
                limit: extension::BYTES_MAX,
            });
        }
        self.begin(size)?;
        let mut record = Vec::new();
        self.by_ref()
            .take(size)
            .read_to_end(&mut record)
            .map_err(read_failed)?;
        if self.left > 0 {
            return Err(cut_short());
        }
        Ok(record)
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> Result<Entry, ImageError> {
        let flag = header.as_bytes()[156];
        let raw_path = match &extensions.path {
            Some(path) => path.as_slice().into(),
            None => header.path_bytes(),
        };
        let path = EntryPath::parse(&raw_path, self.depth_max)?;
        // Before there was a type for directories, a slash at the end meant one.
        let is_old_directory = flag == 0 && raw_path.ends_with(b"/");
        let kind = match flag {
            0 if is_old_directory => Kind::Directory,
            0 | b'0' | b'7' => Kind::File,
            b'1' => {
                let target = link_of(header, &extensions);
                Kind::Hardlink(EntryPath::parse(&target, self.depth_max)?)
            }
            b'2' => Kind::Symlink(link_target(link_of(header, &extensions), &raw_path)?),
            b'3' | b'4' => Kind::Device,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            _ => return Err(unknown_kind(flag, &raw_path)),
        };
        let stated = match extensions.size {
            Some(size) => size,
            None => header.entry_size().map_err(|_| bad("a size"))?,
        };
        // Only files have content, whatever the size field of others says.
        let bytes = if kind == Kind::File { stated } else { 0 };
        self.begin(bytes)?;
        let owner = |stated: Option<u64>, field: io::Result<u64>| match stated {
            Some(id) => Ok(id),
            None => field.map_err(|_| bad("an owner")),
        };
        Ok(Entry {
            uid: id(owner(extensions.uid, header.uid())?, &raw_path)?,
            gid: id(owner(extensions.gid, header.gid())?, &raw_path)?,
            mode: header.mode().map_err(|_| bad("a mode"))? & 0o7777,
            mtime: match extensions.mtime {
                Some(mtime) => mtime,
                None => header_mtime(header)?,
            },
            path,
            kind,
            bytes,
            offset: self.position,
            xattrs: extensions.xattrs,
        })
    }
}

impl<R: Read> Read for Entries<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX);
        let room = buffer.len().min(room);
        let count = self.inner.read(&mut buffer[..room])?;
        if count == 0 && room > 0 {
            return Err(cut_short().into());
        }
        self.left -= count as u64;
        self.position += count as u64;
        Ok(count)
    }
}

const WHAT: &str = "a layer or archive";

fn bad(field: &str) -> ImageError {
    ImageError::malformed(WHAT, format!("{field} in it is no number"))
}

fn cut_short() -> ImageError {
    ImageError::malformed(WHAT, "it ends in the middle of an entry")
}

fn read_failed(error: io::Error) -> ImageError {
    ImageError::store("reading an archive", error)
}

fn unknown_kind(flag: u8, path: &[u8]) -> ImageError {
    let kind = match flag {
        b'S' => "a sparse file".to_owned(),
        _ => format!("an entry of kind {}", harmless(&[flag])),
    };
    ImageError::Unsupported {
        what: format!("{kind} in a layer ({})", harmless(path)),
        instead: "pack the layer anew, without options such as --sparse",
    }
}

fn check_sum(header: &Header) -> Result<(), ImageError> {
    let bytes = header.as_bytes();
    let sum = |add: &dyn Fn(u8) -> i64| -> i64 {
        let outside = bytes[..148].iter().chain(&bytes[156..]);
        outside.map(|byte| add(*byte)).sum::<i64>() + 8 * i64::from(b' ')
    };
    let stated = i64::from(header.cksum().map_err(|_| bad("a checksum"))?);
    // Some old tools took bytes as signed.
    let signed = || sum(&|byte| i64::from(byte.cast_signed()));
    if stated == sum(&|byte| i64::from(byte)) || stated == signed() {
        Ok(())
    } else {
        Err(ImageError::malformed(
            WHAT,
            "a header has the wrong checksum",
        ))
    }
}

fn link_of(header: &Header, extensions: &Extensions) -> Vec<u8> {
    match &extensions.link {
        Some(link) => link.clone(),
        None => header.link_name_bytes().unwrap_or_default().into_owned(),
    }
}

fn link_target(target: Vec<u8>, path: &[u8]) -> Result<Vec<u8>, ImageError> {
    if target.is_empty() || target.len() > LINK_BYTES_MAX || target.contains(&0) {
        return Err(ImageError::hostile(
            path,
            "is a link without a usable target",
        ));
    }
    Ok(target)
}

fn id(id: u64, path: &[u8]) -> Result<u32, ImageError> {
    // The largest number means "leave it as it is" to the system calls.
    match u32::try_from(id) {
        Ok(id) if id != u32::MAX => Ok(id),
        Ok(_) | Err(_) => Err(ImageError::hostile(path, "has an impossible owner")),
    }
}

fn header_mtime(header: &Header) -> Result<Mtime, ImageError> {
    let seconds = header.mtime().map_err(|_| bad("a time"))?;
    Ok(Mtime {
        // Times before 1970 are stored as the two's complement.
        seconds: seconds.cast_signed(),
        nanoseconds: 0,
    })
}

fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
