//! Files that a request puts into a sandbox.
//!
//! Each is written beside what the sandbox writes, and bound over its place in
//! the root. Invariant: nobody in the sandbox, its root included, can change,
//! replace or remove it, whatever rights the file has.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use palisade_model::sandbox::MountedFile;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::{StartError, step};

/// Where they lie, below the directory of what the sandbox writes.
const FILES: &str = "files";
/// All may read them, and nobody has to write them.
const MODE: u32 = 0o444;

/// What to write, and for whom.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) files: &'a [MountedFile],
    /// Where the sandbox's own disk is, now.
    pub(super) disk: &'a Path,
    /// The root of the container.
    pub(super) root: &'a Path,
    /// Root inside of it.
    pub(super) owner: u32,
}

/// A file and its place in the sandbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) source: PathBuf,
    pub(super) destination: String,
}

/// Writes the files, and tells what to bind where.
pub(super) fn stage(plan: &Plan<'_>) -> Result<Vec<Bound>, StartError> {
    if plan.files.is_empty() {
        return Ok(Vec::new());
    }
    let place = plan.disk.join(FILES);
    fs::create_dir(&place).map_err(step("make a place for files"))?;
    let mut bound = Vec::with_capacity(plan.files.len());
    for (index, file) in plan.files.iter().enumerate() {
        fits(plan.root, &file.path).map_err(|why| StartError::File {
            path: file.path.clone(),
            why,
        })?;
        let source = place.join(index.to_string());
        write(&source, &file.content, plan.owner).map_err(step("write a file of the request"))?;
        bound.push(Bound {
            source,
            destination: file.path.clone(),
        });
    }
    Ok(bound)
}

fn write(path: &Path, content: &[u8], owner: u32) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(path)?;
    fchown(&file, Some(owner), Some(owner))?;
    // The umask of the runner is no business of the sandbox.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(MODE))?;
    file.write_all(content)
}

/// Whether a file can be at this path of the image, as far as the image has it.
fn fits(root: &Path, path: &str) -> Result<(), &'static str> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let Ok(root) = openat(CWD, root, flags | OFlags::DIRECTORY, Mode::empty()) else {
        return Err("the root of the sandbox cannot be opened");
    };
    // What is foreign stays inside: links are resolved below the root.
    match openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        Ok(found) => match rustix::fs::fstat(&found) {
            Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() => {
                Err("the image has a directory there")
            }
            Ok(_) | Err(_) => Ok(()),
        },
        Err(Errno::NOTDIR) => Err("a part of the path is a file in the image"),
        Err(Errno::LOOP) => Err("the links on the way lead in a circle"),
        // Directories above it are made.
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    const OWNER: u32 = 1 << 30;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            for name in ["disk", "root", "root/etc"] {
                fs::create_dir(place.0.path().join(name)).unwrap();
            }
            fs::write(place.0.path().join("root/etc/passwd"), "root").unwrap();
            symlink("/loop", place.0.path().join("root/loop")).unwrap();
            symlink("../../../..", place.0.path().join("root/up")).unwrap();
            place
        }

        fn stage(&self, path: &str) -> Result<Vec<Bound>, StartError> {
            let file = MountedFile {
                path: path.to_owned(),
                content: b"content".to_vec(),
            };
            stage(&Plan {
                files: &[file],
                disk: &self.0.path().join("disk"),
                root: &self.0.path().join("root"),
                owner: OWNER,
            })
        }
    }

    #[test]
    fn a_file_belongs_to_the_sandbox_and_is_written_by_nobody() {
        let place = Place::new();
        let bound = place.stage("/opt/app/note").unwrap();
        assert_eq!(bound[0].destination, "/opt/app/note");
        let found = fs::metadata(&bound[0].source).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o7777), (OWNER, MODE));
        assert_eq!(fs::read(&bound[0].source).unwrap(), b"content");
    }

    #[test]
    fn what_the_image_has_in_its_place_decides_whether_it_fits() {
        let refused = [
            ("/etc", "directory"),
            ("/etc/passwd/x", "is a file"),
            ("/loop/x", "circle"),
        ];
        for (path, why) in refused {
            let error = Place::new().stage(path).unwrap_err().to_string();
            assert!(error.contains(path) && error.contains(why), "{error}");
        }
        for path in ["/etc/passwd", "/new", "/a/b/c", "/up/etc/passwd"] {
            Place::new().stage(path).unwrap();
        }
    }
}
