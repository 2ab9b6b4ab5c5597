//! Directories to and from a sandbox that has a shell and no tar, entry by entry.
//!
//! Files go as single ones do. What has no call of its own goes through scripts,
//! many at once.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use palisade_client::Sandboxes;
use tokio::sync::mpsc;
use tokio::task;

use super::listing::{self, Entry, Kind, Unreadable};
use super::{CALL_BYTES_MAX, download, local, script, upload};
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::present::printable;

/// The most that a listing may have.
const LISTING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most that one script is told, if it is more than one entry.
const ARGUMENTS_BYTES_MAX: usize = 8 * 1024;

/// Packs a directory of a sandbox, as tar in it would.
pub(super) async fn pack(
    sandboxes: &Sandboxes,
    (id, path): (&str, &str),
    pieces: mpsc::Sender<Bytes>,
) -> Result<(), CliError> {
    let bounded = (&[path][..], LISTING_BYTES_MAX);
    let (said, told) = script::told(sandboxes, id, script::LIST_TREE, bounded).await?;
    said.check(path)?;
    if told.len() >= LISTING_BYTES_MAX {
        return Err(not_copied(path, "it has more entries than can be listed"));
    }
    let entries = listing::entries(&told);
    for entry in entries.map_err(|Unreadable| not_copied(path, &Unreadable.to_string()))? {
        let place = format!("{}/{}", path.trim_end_matches('/'), entry.path);
        if !pack_one(sandboxes, (id, &place), &entry, &pieces).await? {
            return Ok(());
        }
    }
    // Nobody who takes it has told why.
    let _ = pieces.send(Bytes::from_static(&listing::END)).await;
    Ok(())
}

/// `false` once nobody takes it.
async fn pack_one(
    sandboxes: &Sandboxes,
    (id, place): (&str, &str),
    entry: &Entry,
    pieces: &mpsc::Sender<Bytes>,
) -> Result<bool, CliError> {
    let head = |bytes| {
        let head = entry.head(bytes);
        head.map_err(|error| not_copied(place, &error.to_string()))
    };
    let size = match &entry.kind {
        Kind::Directory | Kind::Link(_) => return Ok(pieces.send(head(0)?).await.is_ok()),
        Kind::File(size) if *size > CALL_BYTES_MAX => {
            let is_taken = pieces.send(head(*size)?).await.is_ok();
            if !is_taken || !pack_large(sandboxes, (id, place), *size, pieces).await? {
                return Ok(false);
            }
            *size
        }
        Kind::File(_) => {
            let content = sandboxes.retrieve_file(id, place).await;
            let content = content.map_err(|error| script::not_copied(&error))?;
            let size = content.len() as u64;
            if pieces.send(head(size)?).await.is_err() || pieces.send(content).await.is_err() {
                return Ok(false);
            }
            size
        }
    };
    Ok(pieces.send(listing::padding(size)).await.is_ok())
}

/// Its head says how large it is, so that it has to be.
async fn pack_large(
    sandboxes: &Sandboxes,
    (id, place): (&str, &str),
    size: u64,
    pieces: &mpsc::Sender<Bytes>,
) -> Result<bool, CliError> {
    let script = script::start(sandboxes, id, script::SEND_FILE, &[place]).await?;
    let (own, mut received) = mpsc::channel::<Bytes>(script::PIECES_MAX);
    let pass = async move {
        let mut left = size;
        while let Some(piece) = received.recv().await {
            let Some(rest) = left.checked_sub(piece.len() as u64) else {
                return Some(false);
            };
            left = rest;
            pieces.send(piece).await.ok()?;
        }
        Some(left == 0)
    };
    let (said, passed) = tokio::join!(download::receive(script, own), pass);
    said?.check(place)?;
    match passed {
        Some(true) => Ok(true),
        Some(false) => Err(not_copied(place, "it changed while it was copied")),
        None => Ok(false),
    }
}

/// What is below a directory of this machine, directories before what is in them.
#[derive(Debug, Default)]
struct Found {
    directories: Vec<(String, Metadata)>,
    files: Vec<(PathBuf, String, Metadata)>,
    /// What they say, and where they are.
    links: Vec<(String, String)>,
}

/// Unpacks a directory of this machine at a path of a sandbox, or below it under its
/// name if that exists, as tar in it would.
pub(super) async fn unpack(
    sandboxes: &Sandboxes,
    (from, name): (&Path, &str),
    (id, path): (&str, &str),
    out: &mut Out,
) -> Result<(), CliError> {
    let root = from.to_owned();
    let found = task::spawn_blocking(move || found(&root)).await;
    let found = found.unwrap_or_else(|_| Err(io::Error::other("the copy came to an end")));
    let Found {
        directories,
        files,
        links,
    } = found.map_err(|error| local(from, &error))?;
    let (said, target) = script::run(sandboxes, id, script::MAKE_TREE, &[path, name]).await?;
    said.check(path)?;
    let target = String::from_utf8_lossy(&target).into_owned();
    let base = (id, &*target);
    let names = directories.iter().map(|(path, _)| vec![path.clone()]);
    many(sandboxes, base, script::MAKE_DIRECTORIES, names).await?;
    for (from, path, metadata) in &files {
        let place = format!("{target}/{path}");
        upload::file_at(sandboxes, (from, metadata), (id, &place), out).await?;
    }
    let links = links.into_iter().map(|(said, path)| vec![said, path]);
    many(sandboxes, base, script::MAKE_LINKS, links).await?;
    // What is in them comes first: they may then be closed to whoever writes.
    let modes = directories.into_iter().rev().map(|(path, metadata)| {
        let mode = metadata.permissions().mode() & 0o777;
        vec![format!("{mode:o}"), path]
    });
    many(sandboxes, base, script::SET_MODES, modes).await
}

fn found(root: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    let mut left = vec![(root.to_owned(), String::new())];
    while let Some((folder, before)) = left.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let path = format!("{before}{}", text(entry.file_name().as_ref())?);
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                left.push((entry.path(), format!("{path}/")));
                found.directories.push((path, metadata));
            } else if metadata.is_symlink() {
                let said = text(&std::fs::read_link(entry.path())?)?;
                found.links.push((said, path));
            } else if metadata.is_file() {
                found.files.push((entry.path(), path, metadata));
            } else {
                let what = format!("{path} is neither a file nor a directory");
                return Err(io::Error::other(what));
            }
        }
    }
    Ok(found)
}

fn text(path: &Path) -> io::Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| io::Error::other(format!("{} is no text", path.display())))
}

/// Runs a script below a directory of a sandbox as often as it takes for all of these.
async fn many(
    sandboxes: &Sandboxes,
    (id, base): (&str, &str),
    script: &str,
    entries: impl Iterator<Item = Vec<String>>,
) -> Result<(), CliError> {
    let mut entries = entries.peekable();
    while entries.peek().is_some() {
        let mut arguments = vec![base.to_owned()];
        let mut bytes = 0;
        while bytes < ARGUMENTS_BYTES_MAX
            && let Some(entry) = entries.next()
        {
            bytes += entry.iter().map(|word| word.len() + 1).sum::<usize>();
            arguments.extend(entry);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (said, _) = script::run(sandboxes, id, script, &arguments).await?;
        said.check(base)?;
    }
    Ok(())
}

fn not_copied(path: &str, why: &str) -> CliError {
    CliError::new(Exit::Failure, format!("{} was not copied", printable(path)))
        .because(why)
        .next("copy the files one by one, or use an image with tar")
}
