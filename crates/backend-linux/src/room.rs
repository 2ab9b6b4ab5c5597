//! Room on the disk that sandboxes are on.
//!
//! A sandbox can fill the disk. The runner goes on then: it takes over, stops and
//! removes sandboxes, all of which needs next to no room, and takes on no new ones
//! until there is room again. What root could still write is not counted as room: it is
//! kept for the runner itself.

use std::io;
use std::path::Path;

use rustix::fs::StatVfs;

/// What must be left for another sandbox to be taken on, besides what it brings along.
const BYTES_MIN: u64 = 16 << 20;
/// The files that must be left; those of the sandbox itself, and some.
const FILES_MIN: u64 = 128;
const MIB: u64 = 1 << 20;

/// There is too little left for another sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Scarce {
    #[error(
        "the disk that the runner keeps sandboxes on is full: of {} MiB {} are free, and {} have \
         to be for another sandbox; delete those that fill it",
        .size / MIB, .free / MIB, .needed / MIB
    )]
    Bytes { size: u64, free: u64, needed: u64 },
    #[error(
        "the disk that the runner keeps sandboxes on takes no more files: of {size} it takes \
         {free} more, and {FILES_MIN} have to be possible for another sandbox; delete those that \
         fill it"
    )]
    Files { size: u64, free: u64 },
}

/// Whether there is room for another sandbox on the disk that `place` is on, which
/// brings so many bytes along.
pub(crate) fn check(place: &Path, brought: u64) -> io::Result<Result<(), Scarce>> {
    Ok(judge(&rustix::fs::statvfs(place)?, brought))
}

/// Whether it was for want of room that something failed.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn judge(disk: &StatVfs, brought: u64) -> Result<(), Scarce> {
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    let free = bytes(disk.f_bavail);
    let needed = BYTES_MIN.saturating_add(brought);
    if free < needed {
        let size = bytes(disk.f_blocks);
        return Err(Scarce::Bytes { size, free, needed });
    }
    // Some file systems take as many as there is room for, and tell of no number.
    let (size, free) = (disk.f_files, disk.f_favail);
    if size > 0 && free < FILES_MIN {
        return Err(Scarce::Files { size, free });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(available: u64, files: (u64, u64)) -> StatVfs {
        let mut disk = rustix::fs::statvfs("/").unwrap();
        (disk.f_frsize, disk.f_blocks) = (4_096, 1 << 20);
        (disk.f_bfree, disk.f_bavail) = (1 << 20, available);
        (disk.f_files, disk.f_favail) = files;
        disk
    }

    #[test]
    fn what_is_kept_for_root_is_no_room() {
        let refused = judge(&disk(1_024, (0, 0)), 0).unwrap_err().to_string();
        assert!(
            refused.contains("of 4096 MiB 4 are free, and 16 have"),
            "{refused}"
        );
        assert_eq!(judge(&disk(4_096, (0, 0)), 0), Ok(()));
        let refused = judge(&disk(4_096, (0, 0)), 1 << 20)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("16 are free, and 17 have"), "{refused}");
    }

    #[test]
    fn files_run_out_as_well() {
        let refused = judge(&disk(8_192, (1_000, 3)), 0).unwrap_err().to_string();
        assert!(refused.contains("of 1000 it takes 3 more"), "{refused}");
        assert_eq!(judge(&disk(8_192, (1_000, 128)), 0), Ok(()));
    }
}
