//! What is in a file, up to a limit.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;

use palisade_init_protocol::answer::FileFailure;
use rustix::fs::OFlags;

use super::{failure, only_regular};

/// A file that is read.
#[derive(Debug)]
pub(crate) struct Content {
    file: File,
    read: u64,
    bytes_max: u64,
}

impl Content {
    /// Opens a regular file of at most so many bytes.
    pub(crate) fn open(path: &str, bytes_max: u64) -> Result<Self, FileFailure> {
        // A pipe must not make us wait, nor a terminal become ours.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
            .map_err(|error| match error.raw_os_error() {
                // Nothing listens on a socket that is opened as a file.
                Some(code) if code == rustix::io::Errno::NXIO.raw_os_error() => {
                    FileFailure::BadPath
                }
                Some(code) if code == rustix::io::Errno::NOTDIR.raw_os_error() => {
                    FileFailure::NotFound
                }
                Some(_) | None => failure(&error),
            })?;
        let size_bytes = only_regular(&file)?;
        if size_bytes > bytes_max {
            return Err(FileFailure::TooLarge { size_bytes });
        }
        Ok(Self {
            file,
            read: 0,
            bytes_max,
        })
    }

    /// The next bytes; none is the end.
    ///
    /// It may have grown meanwhile, or have said nothing about its size, as what
    /// is in `/proc`.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FileFailure> {
        let read = loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failure(&error)),
                Ok(read) => break read,
            }
        };
        self.read = self.read.saturating_add(read as u64);
        if self.read > self.bytes_max {
            let size = self.file.metadata().map_or(0, |metadata| metadata.len());
            let size_bytes = size.max(self.read);
            return Err(FileFailure::TooLarge { size_bytes });
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_size_is_bounded_as_well() {
        let mut content = Content::open("/proc/self/status", 100).unwrap();
        let refused = content.read(&mut [0; 4096]);
        assert!(matches!(refused, Err(FileFailure::TooLarge { size_bytes }) if size_bytes > 100));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let open = |path| Content::open(path, 100).map(|_| ());
        assert_eq!(open("/proc"), Err(FileFailure::IsDirectory));
        assert_eq!(open("/proc/no-such"), Err(FileFailure::NotFound));
        assert_eq!(open("/proc/version/below"), Err(FileFailure::NotFound));
        assert_eq!(open("/dev/zero"), Err(FileFailure::BadPath));
    }
}
