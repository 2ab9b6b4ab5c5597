//! The executable of process 1, which this crate carries along.
//!
//! It is static, so that it runs in every image. `build.rs` makes it.

use std::fs::{self, OpenOptions};
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The executable of process 1.
pub const INIT_BINARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/palisade-init"));

/// Writes the executable to a file that all may execute and nobody may change.
///
/// It is replaced as a whole: a sandbox that runs keeps the one that it has.
pub fn write_to(path: &Path) -> io::Result<()> {
    if INIT_BINARY.is_empty() {
        let reason = "this build carries no palisade-init; it was made for documentation";
        return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
    }
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o755)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(INIT_BINARY)?;
            file.sync_data()
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_executable_is_static_and_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("init");
        write_to(&path).unwrap();
        let output = Command::new(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(125));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("process 1 of a sandbox"), "{said}");
        // A dynamic one would name its interpreter.
        let interpreter = b"/ld-linux";
        let found = INIT_BINARY
            .windows(interpreter.len())
            .any(|window| window == interpreter);
        assert!(!found, "palisade-init needs a dynamic linker");
    }
}
