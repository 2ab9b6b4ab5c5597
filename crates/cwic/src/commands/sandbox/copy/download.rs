//! Files and directories on their way out of a sandbox.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use palisade_client::{CallError, Sandboxes};
use palisade_model::reason::Reason;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::task;

use super::progress::Progress;
use super::script::{self, Script};
use super::{CALL_BYTES_MAX, archive, local, without_tar};
use crate::error::{CliError, Exit};
use crate::out::Out;

/// How many pieces may wait.
const PIECES_MAX: usize = 4;
/// What a file gets whose mode cannot be found out.
const MODE: u32 = 0o644;

/// What is known of a file of a sandbox.
#[derive(Clone, Copy)]
struct Measured {
    size: u64,
    mode: u32,
}

/// Copies what is at a path of a sandbox to `to`.
pub(super) async fn run(
    sandboxes: &Sandboxes,
    (id, path): (&str, &str),
    to: &Path,
    out: &mut Out,
) -> Result<(), CliError> {
    let (said, words) = script::run(sandboxes, id, script::MEASURE, &[path]).await?;
    if said.code == script::IS_DIRECTORY {
        return tree(sandboxes, (id, path), to).await;
    }
    let measured = (said.code == 0).then(|| measured(&words)).flatten();
    let target = target(path, to)?;
    match measured {
        Some(measured) if measured.size > CALL_BYTES_MAX => {
            large_file(sandboxes, (id, path), &target, measured).await
        }
        // Without a shell the file itself tells what is wrong.
        Some(_) | None => small_file(sandboxes, (id, path), &target, (measured, out)).await,
    }
}

fn measured(words: &[u8]) -> Option<Measured> {
    let text = std::str::from_utf8(words).ok()?;
    let (size, mode) = text.trim().split_once(' ')?;
    Some(Measured {
        size: size.parse().ok()?,
        mode: u32::from_str_radix(mode, 8).ok()? & 0o777,
    })
}

/// As `cp` does: below a directory it keeps its name.
fn target(path: &str, to: &Path) -> Result<PathBuf, CliError> {
    let is_below = to.is_dir() || to.as_os_str().as_encoded_bytes().ends_with(b"/");
    if !is_below {
        return Ok(to.to_owned());
    }
    let name = Path::new(path).file_name();
    let name = name.ok_or_else(|| {
        CliError::new(Exit::Usage, format!("{path} was not copied"))
            .because("it has no name to be put under")
            .next("name the destination itself")
    })?;
    Ok(to.join(name))
}

async fn small_file(
    sandboxes: &Sandboxes,
    (id, path): (&str, &str),
    target: &Path,
    (measured, out): (Option<Measured>, &mut Out),
) -> Result<(), CliError> {
    let content = match sandboxes.retrieve_file(id, path).await {
        Ok(content) => content,
        Err(CallError::Refused(refused))
            if refused.reason() == Some(Reason::FileTooLarge.as_str()) =>
        {
            let error = CallError::Refused(refused);
            return Err(script::not_copied(&error)
                .next("larger files need a shell and stat in the sandbox"));
        }
        Err(error) => return Err(script::not_copied(&error)),
    };
    if measured.is_none() {
        out.note(format_args!(
            "the mode of {} is not known: the sandbox cannot tell it",
            crate::present::printable(path)
        ));
    }
    let mode = measured.map_or(MODE, |measured| measured.mode);
    let part = part_of(target)?;
    let written = tokio::fs::write(part.path(), &content).await;
    written.map_err(|error| local(target, &error))?;
    keep(part, target, mode)
}

async fn large_file(
    sandboxes: &Sandboxes,
    (id, path): (&str, &str),
    target: &Path,
    measured: Measured,
) -> Result<(), CliError> {
    let part = part_of(target)?;
    let file = part.reopen().map_err(|error| local(target, &error))?;
    let mut file = tokio::fs::File::from_std(file);
    let script = script::start(sandboxes, id, script::SEND_FILE, &[path]).await?;
    let mut progress = Progress::new(path, Some(measured.size));
    let (pieces, mut received) = mpsc::channel::<Bytes>(PIECES_MAX);
    let write = async {
        while let Some(piece) = received.recv().await {
            progress.add(piece.len());
            file.write_all(&piece).await?;
        }
        file.flush().await
    };
    let (said, written) = tokio::join!(receive(script, pieces), write);
    written.map_err(|error| local(target, &error))?;
    said?.check(path)?;
    keep(part, target, measured.mode)
}

/// A place beside the target for what is not complete.
fn part_of(target: &Path) -> Result<NamedTempFile, CliError> {
    let folder = folder_of(target);
    NamedTempFile::with_prefix_in(".cwic-", folder).map_err(|error| local(target, &error))
}

fn folder_of(target: &Path) -> &Path {
    let folder = target
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn keep(part: NamedTempFile, target: &Path, mode: u32) -> Result<(), CliError> {
    let permissions = Permissions::from_mode(mode);
    let kept = std::fs::set_permissions(part.path(), permissions)
        .and_then(|()| part.persist(target).map_err(|error| error.error));
    kept.map(|_| ()).map_err(|error| local(target, &error))
}

pub(super) async fn receive(
    script: Script,
    pieces: mpsc::Sender<Bytes>,
) -> Result<script::Said, CliError> {
    let (input, output) = script.split();
    let _ = input.close().await;
    script::follow(output, pieces).await
}

/// Unpacks what comes while it is sent; what is wrong with that counts first.
async fn unpacked<T>(
    (root, target, path): (&Path, &Path, &str),
    mut received: mpsc::Receiver<Bytes>,
    sent: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let mut progress = Progress::new(path, None);
    let (pieces, counted) = mpsc::channel::<Bytes>(PIECES_MAX);
    let count = async {
        while let Some(piece) = received.recv().await {
            progress.add(piece.len());
            if pieces.send(piece).await.is_err() {
                break;
            }
        }
        drop((pieces, received));
    };
    let folder = root.to_owned();
    let unpacking = task::spawn_blocking(move || archive::unpack(&folder, counted));
    let (sent, ()) = tokio::join!(sent, count);
    let unpacked = unpacking
        .await
        .unwrap_or_else(|_| Err(io::Error::other("the copy came to an end")));
    let sent = sent?;
    unpacked.map_err(|error| local(target, &error))?;
    Ok(sent)
}

/// Into a new directory, which appears when it is complete; or over one that
/// exists.
async fn tree(sandboxes: &Sandboxes, (id, path): (&str, &str), to: &Path) -> Result<(), CliError> {
    let target = if Path::new(path).file_name().is_some() {
        target(path, to)?
    } else {
        to.to_owned()
    };
    let is_new = !target.exists();
    let part = tempfile::Builder::new()
        .prefix(".cwic-")
        .tempdir_in(folder_of(&target))
        .map_err(|error| local(&target, &error))?;
    let root = if is_new { part.path() } else { &target };
    let script = script::start(sandboxes, id, script::SEND_TREE, &[path]).await?;
    let places = (root, &*target, path);
    let (pieces, received) = mpsc::channel(PIECES_MAX);
    let said = unpacked(places, received, receive(script, pieces)).await?;
    if said.code == script::NO_TAR {
        let (pieces, received) = mpsc::channel(PIECES_MAX);
        let packing = without_tar::pack(sandboxes, (id, path), pieces);
        unpacked(places, received, packing).await?;
    } else {
        said.check(path)?;
    }
    if is_new {
        let permissions = Permissions::from_mode(0o755);
        let kept = std::fs::set_permissions(part.path(), permissions)
            .and_then(|()| std::fs::rename(part.keep(), &target));
        kept.map_err(|error| local(&target, &error))?;
    }
    Ok(())
}
