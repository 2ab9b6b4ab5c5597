//! The file of keys, which is not in the database.
//!
//! ```text
//! # the first one seals; the others only open what they sealed
//! v1 3f2a9c0d 6Jb1…=
//! ```
//!
//! It is read anew whenever a value is sealed or opened: so a key that was
//! changed beside a running server is used at once, and no key stays in memory.
//! A file that others than its owner can read is refused.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// More than a file of keys ever has.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// How lines of this version begin.
const VERSION: &str = "v1";
/// How many hexadecimal digits the id of a key has.
const ID_LEN: usize = 8;

const HEADER: &str = "# Seals the secrets of Palisade's database. Keep a copy of it apart from copies of that:\n\
     # what is sealed cannot be read without. The first key seals, the others only open.\n";

/// One key.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) bytes: Zeroizing<[u8; 32]>,
}

/// All keys of a file, the one that seals first. Never empty.
pub(crate) struct KeyRing {
    keys: Vec<Key>,
}

/// A file of keys.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read or written.
    #[error("the key file {} cannot be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others can read it.
    #[error(
        "the key file {} has mode {mode:03o}; it must be readable by its owner alone: chmod 600 {}",
        path.display(), path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("the key file {} belongs to user {owner}, who could change the key", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It is no file of keys.
    #[error("line {line} of the key file {} is no key; a line reads: v1 ID BASE64", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
    },
    /// There is no key in it.
    #[error("there is no key in the key file {}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl KeyFile {
    /// A file that is there and can be used.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let file = Self {
            path: path.to_owned(),
        };
        file.read()?;
        Ok(file)
    }

    /// Makes a file with one key out of thirty-two unpredictable bytes. One that
    /// is there is not touched.
    pub fn create(path: &Path, secret: [u8; 32]) -> Result<Self, KeyError> {
        let file = Self {
            path: path.to_owned(),
        };
        let ring = KeyRing {
            keys: vec![Key::new(secret)],
        };
        let written = file.write(&ring, path);
        written.map_err(|source| file.failed(source))?;
        Ok(file)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn read(&self) -> Result<KeyRing, KeyError> {
        let mut text = Zeroizing::new(String::new());
        let file = File::open(&self.path).map_err(|source| self.failed(source))?;
        self.check(&file)?;
        let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|source| self.failed(source))?;
        let ring = KeyRing::parse(&text).map_err(|line| KeyError::Malformed {
            path: self.path.clone(),
            line,
        })?;
        ring.ok_or_else(|| KeyError::Empty {
            path: self.path.clone(),
        })
    }

    /// Replaces the file as a whole.
    pub(crate) fn replace(&self, ring: &KeyRing) -> Result<(), KeyError> {
        let unfinished = self.path.with_extension("new");
        let _ = std::fs::remove_file(&unfinished);
        let replaced = self
            .write(ring, &unfinished)
            .and_then(|()| std::fs::rename(&unfinished, &self.path));
        replaced.map_err(|source| self.failed(source))
    }

    fn write(&self, ring: &KeyRing, path: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(path)?;
        // Whatever the umask says.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(HEADER.as_bytes())?;
        file.write_all(ring.lines().as_bytes())?;
        file.sync_all()?;
        let directory = self.path.parent().filter(|path| *path != Path::new(""));
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Looks at the file that was opened, so that no other one is read.
    fn check(&self, file: &File) -> Result<(), KeyError> {
        let meta = file.metadata().map_err(|source| self.failed(source))?;
        let path = || self.path.clone();
        if !meta.is_file() {
            return Err(self.failed(io::Error::other("it is no file")));
        }
        let mode = meta.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path: path(), mode });
        }
        let owner = meta.uid();
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            return Err(KeyError::Foreign {
                path: path(),
                owner,
            });
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> KeyError {
        KeyError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

impl Key {
    /// A key out of unpredictable bytes; its id is made from it and tells
    /// nothing of it.
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        use sha2::{Digest as _, Sha256};
        let mut hash = Sha256::new();
        hash.update(b"palisade key id");
        hash.update(secret);
        let id = hash.finalize();
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            id: id[..ID_LEN].to_owned(),
            bytes: Zeroizing::new(secret),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (version, id, bytes) = (words.next()?, words.next()?, words.next()?);
        let is_id = id.len() == ID_LEN && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if version != VERSION || words.next().is_some() || !is_id {
            return None;
        }
        let bytes = Zeroizing::new(STANDARD.decode(bytes).ok()?);
        let bytes = <[u8; 32]>::try_from(bytes.as_slice()).ok()?;
        Some(Self {
            id: id.to_owned(),
            bytes: Zeroizing::new(bytes),
        })
    }
}

impl KeyRing {
    /// `None` without any key, and the number of a line that is wrong.
    fn parse(text: &str) -> Result<Option<Self>, usize> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(Key::parse(line).ok_or(index + 1)?);
        }
        Ok((!keys.is_empty()).then_some(Self { keys }))
    }

    fn lines(&self) -> Zeroizing<String> {
        let mut lines = Zeroizing::new(String::new());
        for key in &self.keys {
            let bytes = Zeroizing::new(STANDARD.encode(key.bytes.as_slice()));
            for part in [VERSION, " ", &key.id, " ", &bytes, "\n"] {
                lines.push_str(part);
            }
        }
        lines
    }

    /// The key that seals.
    pub(crate) fn first(&self) -> Option<&Key> {
        self.keys.first()
    }

    /// The key with this id.
    pub(crate) fn find(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Has another key seal from now on.
    pub(crate) fn lead_with(&mut self, key: Key) {
        self.keys.insert(0, key);
    }

    /// Forgets keys that do not seal and that `is_needed` does not name; tells
    /// how many stay.
    pub(crate) fn forget(&mut self, is_needed: impl Fn(&str) -> bool) -> usize {
        let mut keys = std::mem::take(&mut self.keys).into_iter();
        let first = keys.next();
        let others = keys.filter(|key| is_needed(&key.id));
        self.keys = first.into_iter().chain(others).collect();
        self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_for_its_owner_and_never_over_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets.key");
        let file = KeyFile::create(&path, [7; 32]).unwrap();
        let mode = std::fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let ring = file.read().unwrap();
        let key = ring.first().unwrap();
        assert_eq!(*key.bytes, [7; 32]);
        assert!(ring.find(&key.id).is_some() && ring.find("00000000").is_none());
        assert!(KeyFile::create(&path, [8; 32]).is_err());
        assert!(KeyFile::open(&path).is_ok());
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets.key");
        KeyFile::create(&path, [7; 32]).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let refused = KeyFile::open(&path).unwrap_err().to_string();
            assert!(refused.contains("chmod 600"), "{refused}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_line_and_without_its_text() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets.key");
        for (text, expected) in [
            ("", "there is no key"),
            ("# only\n\n", "there is no key"),
            ("\nv1 0011aabb c2hvcnQ=\n", "line 2"),
            ("v2 0011aabb AAAA\n", "line 1"),
            ("v1 x AAAA\n", "line 1"),
        ] {
            let _ = std::fs::remove_file(&path);
            let mut options = OpenOptions::new();
            let options = options.write(true).create_new(true).mode(0o600);
            let mut file = options.open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let refused = KeyFile::open(&path).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
            assert!(!refused.contains("c2hvcnQ"), "{refused}");
        }
        assert!(KeyFile::open(&directory.path().join("none")).is_err());
    }
}
