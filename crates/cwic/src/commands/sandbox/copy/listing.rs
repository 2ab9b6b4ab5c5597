//! What is below a directory of a sandbox without tar, as its shell tells it, and
//! how each entry stands in an archive.
//!
//! Nothing of it is trusted: the archive that comes of it is unpacked as any other
//! of a sandbox is. Whatever is neither file, directory nor link is passed over.

use std::io;

use bytes::Bytes;

/// What bits of a mode say what an entry is, and which they are.
const KIND: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// The blocks that an archive consists of.
const BLOCK_BYTES: usize = 512;
/// What an archive ends with.
pub(super) const END: [u8; 2 * BLOCK_BYTES] = [0; 2 * BLOCK_BYTES];

/// Something below a directory of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it is, from the directory on.
    pub(super) path: String,
    mode: u32,
    modified: u64,
    pub(super) kind: Kind,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    /// With so many bytes.
    File(u64),
    /// To what it says.
    Link(String),
}

/// The shell told something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the sandbox tells of the directory cannot be read")]
pub(super) struct Unreadable;

/// The entries that [`LIST_TREE`](super::script::LIST_TREE) told, directories before
/// what is in them.
pub(super) fn entries(told: &[u8]) -> Result<Vec<Entry>, Unreadable> {
    let told = std::str::from_utf8(told).map_err(|_| Unreadable)?;
    let mut entries = Vec::new();
    let mut words = told.split_terminator('\0');
    while let Some(word) = words.next() {
        let (facts, path) = word.split_once('\n').ok_or(Unreadable)?;
        let mut facts = facts.split(' ');
        let mut fact = || facts.next().ok_or(Unreadable);
        let mode = u32::from_str_radix(fact()?, 16).map_err(|_| Unreadable)?;
        let size = fact()?.parse().map_err(|_| Unreadable)?;
        let modified = fact()?.parse().map_err(|_| Unreadable)?;
        let kind = match mode & KIND {
            DIRECTORY => Kind::Directory,
            FILE => Kind::File(size),
            LINK => {
                let target = words.next().ok_or(Unreadable)?;
                // The program that tells it ends a line.
                Kind::Link(target.strip_suffix('\n').unwrap_or(target).to_owned())
            }
            _ => continue,
        };
        entries.push(Entry {
            path: path.strip_prefix("./").ok_or(Unreadable)?.to_owned(),
            mode: mode & 0o777,
            modified,
            kind,
        });
    }
    Ok(entries)
}

impl Entry {
    /// What stands before the content in an archive, which is that large.
    pub(super) fn head(&self, content_bytes: u64) -> io::Result<Bytes> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(self.mode);
        header.set_mtime(self.modified);
        header.set_size(content_bytes);
        let mut archive = tar::Builder::new(Vec::new());
        match &self.kind {
            Kind::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                archive.append_link(&mut header, &self.path, target)?;
            }
            Kind::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                archive.append_data(&mut header, &self.path, io::empty())?;
            }
            Kind::File(_) => {
                header.set_entry_type(tar::EntryType::Regular);
                archive.append_data(&mut header, &self.path, io::empty())?;
            }
        }
        // Without the end of the archive, which is not here yet.
        Ok(std::mem::take(archive.get_mut()).into())
    }
}

/// What stands behind a content of so many bytes, up to the next block.
pub(super) fn padding(content_bytes: u64) -> Bytes {
    // Less than a block, whatever the size of a pointer is.
    let over = usize::try_from(content_bytes % BLOCK_BYTES as u64).unwrap_or(0);
    Bytes::from_static(&END[..(BLOCK_BYTES - over) % BLOCK_BYTES])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;
    use std::process::{Command, Output};

    use tokio::sync::mpsc;

    use super::super::{archive, script};
    use super::*;

    /// What the shell of this machine makes of a script.
    fn shell(script: &str, arguments: &[&str]) -> Output {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script, "cp"]).args(arguments);
        shell.output().unwrap()
    }

    fn listed(root: &Path) -> Vec<Entry> {
        let told = shell(script::LIST_TREE, &[root.to_str().unwrap()]);
        assert!(told.status.success(), "{told:?}");
        entries(&told.stdout).unwrap()
    }

    #[tokio::test]
    async fn an_archive_of_what_a_shell_tells_is_the_directory() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = from.path();
        let long = "long".repeat(40);
        for folder in ["a/empty", ".hidden/..odd", &format!("a/{long}")] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let files = [
            "a/tool",
            "a/two words",
            ".hidden/..odd/*",
            &format!("a/{long}/{long}"),
        ];
        for (number, file) in files.iter().enumerate() {
            fs::write(root.join(file), "x".repeat(number * 500)).unwrap();
        }
        let mode = fs::Permissions::from_mode(0o750);
        fs::set_permissions(root.join("a/tool"), mode).unwrap();
        symlink("a/tool", root.join("link")).unwrap();
        symlink("/nowhere", root.join("a/dangling")).unwrap();

        let (pieces, received) = mpsc::channel(1_000);
        for entry in listed(root) {
            let content = match entry.kind {
                Kind::File(_) => fs::read(root.join(&entry.path)).unwrap(),
                Kind::Directory | Kind::Link(_) => Vec::new(),
            };
            let bytes = content.len() as u64;
            pieces.try_send(entry.head(bytes).unwrap()).unwrap();
            pieces.try_send(content.into()).unwrap();
            pieces.try_send(padding(bytes)).unwrap();
        }
        pieces.try_send(Bytes::from_static(&END)).unwrap();
        drop(pieces);
        let folder = to.path().to_owned();
        let unpacking = tokio::task::spawn_blocking(move || archive::unpack(&folder, received));
        unpacking.await.unwrap().unwrap();
        let plain = |root| {
            let entries = listed(root).into_iter();
            let plain = entries.map(|it| (it.path, it.mode, it.kind));
            plain.collect::<Vec<_>>()
        };
        assert_eq!(plain(to.path()), plain(root));
        assert_eq!(plain(root).len(), 11);
    }

    #[test]
    fn what_cannot_be_listed_is_an_error() {
        assert_eq!(
            shell(script::LIST_TREE, &["/no/such"]).status.code(),
            Some(23)
        );
        for bad in [
            "x",
            "zz 1 1\n./a\0",
            "41ed 0 0\n/a\0",
            "a1ff 0 0\n./a\0",
            "81a4 1\n./a\0",
        ] {
            assert_eq!(entries(bad.as_bytes()), Err(Unreadable), "{bad:?}");
        }
        assert_eq!(entries(b"11a4 0 0\n./pipe\0"), Ok(Vec::new()));
    }

    #[test]
    fn directories_modes_and_links_are_made_whatever_they_are_called() {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().to_str().unwrap();
        let target = shell(script::MAKE_TREE, &[base, "tree"]);
        let target = String::from_utf8(target.stdout).unwrap();
        assert_eq!(target, format!("{base}/tree"));
        for (script, arguments) in [
            (script::MAKE_DIRECTORIES, vec!["-a/b c", "d"]),
            (script::MAKE_LINKS, vec!["-x", "d/-l", "/no where", "d/m"]),
            // Where there is one already.
            (script::MAKE_LINKS, vec!["other", "d/m"]),
            (script::SET_MODES, vec!["700", "-a"]),
        ] {
            let done = shell(script, &[&[&*target], &arguments[..]].concat());
            assert!(done.status.success(), "{done:?}");
        }
        let tree = root.path().join("tree");
        assert!(tree.join("-a/b c").is_dir());
        assert_eq!(fs::read_link(tree.join("d/-l")).unwrap(), Path::new("-x"));
        assert_eq!(fs::read_link(tree.join("d/m")).unwrap(), Path::new("other"));
        let mode = fs::metadata(tree.join("-a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
