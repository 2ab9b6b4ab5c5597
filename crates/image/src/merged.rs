//! Reading a file of an image as a process in it would see it, without a mount.
//!
//! Layers are looked through from the top as the overlay file system does:
//! whiteouts hide, directories merge unless they are opaque, anything else
//! shadows. Symbolic links are resolved here, part by part, against the root of
//! the image; the kernel never follows one, so none can lead to the host.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::unpack::{OPAQUE, is_whiteout};

/// Links that are followed before we take them for a circle; as in the kernel.
const LINKS_MAX: usize = 40;

/// What a name stands for in a merged directory.
enum Found {
    Nothing,
    Directory(Merged),
    Link(Vec<u8>),
    /// The directory of the layer that has it.
    Other(OwnedFd),
}

/// The same directory in several layers, topmost first.
struct Merged(Vec<OwnedFd>);

/// Reads a file of at most `bytes_max` bytes; `None` if there is none.
///
/// What is no file, or too large, is an error.
pub(crate) fn read_file(
    lower_dirs: &[PathBuf],
    path: &str,
    bytes_max: u64,
) -> io::Result<Option<Vec<u8>>> {
    let roots = lower_dirs.iter().map(open_root);
    let root = Merged(roots.collect::<Result<_, _>>()?);
    let mut ahead: VecDeque<Vec<u8>> = parts(path.as_bytes());
    let mut way = vec![root];
    let mut links = 0;
    while let Some(part) = ahead.pop_front() {
        if part == b".." {
            way.truncate((way.len() - 1).max(1));
            continue;
        }
        // `way` never loses its first, the root.
        let Some(here) = way.last() else {
            return Ok(None);
        };
        match here.look(&part)? {
            Found::Nothing => return Ok(None),
            Found::Directory(directory) => way.push(directory),
            Found::Other(_) if !ahead.is_empty() => return Ok(None),
            Found::Other(parent) => return read(&parent, &part, bytes_max).map(Some),
            Found::Link(target) => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(invalid("links lead in a circle"));
                }
                if target.starts_with(b"/") {
                    way.truncate(1);
                }
                for part in parts(&target).into_iter().rev() {
                    ahead.push_front(part);
                }
            }
        }
    }
    Err(invalid("is a directory"))
}

impl Merged {
    fn look(&self, name: &[u8]) -> io::Result<Found> {
        let os_name = OsStr::from_bytes(name);
        let mut merged = Vec::new();
        for layer in &self.0 {
            let stat = match rustix::fs::statat(layer, os_name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if !is_directory && merged.is_empty() {
                return shadow(layer, os_name, &stat);
            }
            if !is_directory {
                break;
            }
            let directory = open_directory(layer, os_name)?;
            let is_last = is_opaque(&directory);
            merged.push(directory);
            if is_last {
                break;
            }
        }
        Ok(if merged.is_empty() {
            Found::Nothing
        } else {
            Found::Directory(Self(merged))
        })
    }
}

fn shadow(layer: &OwnedFd, name: &OsStr, stat: &Stat) -> io::Result<Found> {
    if is_whiteout(stat) {
        return Ok(Found::Nothing);
    }
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        let target = rustix::fs::readlinkat(layer, name, Vec::new())?;
        return Ok(Found::Link(target.into_bytes()));
    }
    Ok(Found::Other(layer.try_clone()?))
}

fn parts(path: &[u8]) -> VecDeque<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/');
    parts
        .filter(|part| !part.is_empty() && *part != b".")
        .map(<[u8]>::to_vec)
        .collect()
}

fn read(parent: &OwnedFd, name: &[u8], bytes_max: u64) -> io::Result<Vec<u8>> {
    // Without NONBLOCK a named pipe in the image would hold us for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, OsStr::from_bytes(name), flags, Mode::empty())?;
    let file = File::from(file);
    if !file.metadata()?.is_file() {
        return Err(invalid("is not a file"));
    }
    let mut content = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > bytes_max {
        return Err(invalid("is too large"));
    }
    Ok(content)
}

fn open_root(path: &PathBuf) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

fn open_directory(parent: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn is_opaque(directory: &OwnedFd) -> bool {
    let mut value = [0_u8; 1];
    matches!(
        rustix::fs::fgetxattr(directory, OPAQUE, &mut value[..]),
        Ok(1)
    ) && value == *b"y"
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;

    /// Layers, topmost first, made by a closure each.
    fn layers(makers: &[&dyn Fn(&Path)]) -> (TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (n, make) in makers.iter().enumerate() {
            let path = folder.path().join(n.to_string());
            fs::create_dir(&path).unwrap();
            make(&path);
            paths.push(path);
        }
        (folder, paths)
    }

    fn file(root: &Path, path: &str, content: &str) {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), content).unwrap();
    }

    fn whiteout(root: &Path, path: &str) {
        let kind = FileType::CharacterDevice;
        let at = rustix::fs::CWD;
        rustix::fs::mknodat(at, root.join(path), kind, Mode::empty(), 0).unwrap();
    }

    fn text(paths: &[PathBuf], path: &str) -> Option<String> {
        let content = read_file(paths, path, 100).unwrap()?;
        Some(String::from_utf8(content).unwrap())
    }

    #[test]
    fn the_topmost_file_is_the_one_that_is_seen() {
        let (_folder, paths) = layers(&[&|root| file(root, "etc/passwd", "top"), &|root| {
            file(root, "etc/passwd", "base");
            file(root, "etc/group", "base");
        }]);
        assert_eq!(text(&paths, "etc/passwd").as_deref(), Some("top"));
        assert_eq!(text(&paths, "/etc/group").as_deref(), Some("base"));
        assert_eq!(text(&paths, "etc/shadow"), None);
    }

    #[test]
    fn whiteouts_opaque_directories_and_files_hide_what_is_below() {
        let base = |root: &Path| {
            file(root, "a/f", "base");
            file(root, "b/f", "base");
            file(root, "c/f", "base");
        };
        let (_folder, paths) = layers(&[
            &|root| {
                whiteout(root, "a");
                fs::create_dir(root.join("b")).unwrap();
                let name = root.join("b");
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(&name, OPAQUE, b"y", flags).unwrap();
                file(root, "c", "now a file");
            },
            &base,
        ]);
        for path in ["a/f", "b/f", "c/f"] {
            assert_eq!(text(&paths, path), None, "{path}");
        }
    }

    #[test]
    fn links_stay_in_the_image_and_cross_layers() {
        let (_folder, paths) = layers(&[
            &|root| {
                symlink("/usr/etc", root.join("etc")).unwrap();
                symlink("../../../../../../etc/hostname", root.join("up")).unwrap();
            },
            &|root| {
                file(root, "usr/etc/passwd", "below");
                symlink("/etc/hostname", root.join("out")).unwrap();
            },
        ]);
        assert_eq!(text(&paths, "etc/passwd").as_deref(), Some("below"));
        // The host has this file, the image does not.
        assert!(Path::new("/etc/hostname").exists());
        assert_eq!(text(&paths, "out"), None);
        assert_eq!(text(&paths, "up"), None);
    }

    #[test]
    fn circles_pipes_directories_and_giants_are_errors() {
        let (_folder, paths) = layers(&[&|root| {
            symlink("b", root.join("a")).unwrap();
            symlink("a", root.join("b")).unwrap();
            let at = rustix::fs::CWD;
            rustix::fs::mkfifoat(at, root.join("pipe"), Mode::RUSR).unwrap();
            fs::create_dir(root.join("d")).unwrap();
            file(root, "giant", &"x".repeat(101));
        }]);
        for path in ["a", "pipe", "d", "giant"] {
            assert!(read_file(&paths, path, 100).is_err(), "{path}");
        }
    }
}
