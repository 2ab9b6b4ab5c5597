//! Files and directories on their way into a sandbox.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use palisade_client::{CallError, ExecInput, Sandboxes};
use palisade_model::reason::Reason;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::task;

use super::progress::Progress;
use super::script::{self, Script};
use super::{CALL_BYTES_MAX, archive, local, without_tar};
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::present::printable;

/// How much is read at once.
const PIECE_BYTES: usize = 256 * 1024;
/// How many pieces may wait.
const PIECES_MAX: usize = 4;
/// What a file gets that is written by a call.
const MODE: u32 = 0o644;

/// Copies what is at `from` to a path of a sandbox.
pub(super) async fn run(
    sandboxes: &Sandboxes,
    from: &Path,
    (id, path): (&str, &str),
    out: &mut Out,
) -> Result<(), CliError> {
    let metadata = std::fs::metadata(from).map_err(|error| local(from, &error))?;
    let name = name_of(from)?;
    if metadata.is_dir() {
        return tree(sandboxes, (from, &name), (id, path), out).await;
    }
    if !metadata.is_file() {
        let error = io::Error::other("it is neither a file nor a directory");
        return Err(local(from, &error));
    }
    // As `cp` does: below a directory it keeps its name.
    let below = format!("{}/{name}", path.trim_end_matches('/'));
    if path.ends_with('/') {
        return file(sandboxes, (from, &metadata), (id, &below), out)
            .await
            .map(|_| ());
    }
    if file(sandboxes, (from, &metadata), (id, path), out).await? == Put::IsDirectory {
        file(sandboxes, (from, &metadata), (id, &below), out).await?;
    }
    Ok(())
}

/// What came of writing a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Put {
    Done,
    /// Nothing was written: there is a directory.
    IsDirectory,
}

fn name_of(from: &Path) -> Result<String, CliError> {
    let whole = from.canonicalize().map_err(|error| local(from, &error))?;
    let name = whole.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| {
        let error = io::Error::other("it has no name, or one that is no text");
        local(from, &error)
    })
}

/// Writes a file where no directory may be.
pub(super) async fn file_at(
    sandboxes: &Sandboxes,
    from: (&Path, &Metadata),
    (id, path): (&str, &str),
    out: &mut Out,
) -> Result<(), CliError> {
    match file(sandboxes, from, (id, path), out).await? {
        Put::Done => Ok(()),
        Put::IsDirectory => {
            let what = format!("{} was not copied", printable(path));
            Err(CliError::new(Exit::Failure, what).because("it is a directory in the sandbox"))
        }
    }
}

async fn file(
    sandboxes: &Sandboxes,
    (from, metadata): (&Path, &Metadata),
    (id, path): (&str, &str),
    out: &mut Out,
) -> Result<Put, CliError> {
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.len() > CALL_BYTES_MAX {
        return large_file(sandboxes, (from, metadata.len(), mode), (id, path)).await;
    }
    let content = tokio::fs::read(from)
        .await
        .map_err(|error| local(from, &error))?;
    match sandboxes.add_file(id, path, Bytes::from(content)).await {
        Ok(()) => {}
        Err(CallError::Refused(refused))
            if refused.reason() == Some(Reason::FileIsDirectory.as_str()) =>
        {
            return Ok(Put::IsDirectory);
        }
        Err(error) => return Err(script::not_copied(&error)),
    }
    if mode != MODE {
        let arguments = [path, &format!("{mode:o}")];
        let (said, _) = script::run(sandboxes, id, script::SET_MODE, &arguments).await?;
        if said.code != 0 {
            out.note(format_args!(
                "{path} is there without its mode {mode:o}: the sandbox cannot set it"
            ));
        }
    }
    Ok(Put::Done)
}

async fn large_file(
    sandboxes: &Sandboxes,
    (from, size, mode): (&Path, u64, u32),
    (id, path): (&str, &str),
) -> Result<Put, CliError> {
    let mut file = tokio::fs::File::open(from)
        .await
        .map_err(|error| local(from, &error))?;
    let arguments = [path, &format!("{mode:o}"), &size.to_string()];
    let script = script::start(sandboxes, id, script::RECEIVE_FILE, &arguments).await?;
    let mut progress = Progress::new(path, Some(size));
    let (pieces, received) = mpsc::channel(PIECES_MAX);
    let read = async move {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(PIECE_BYTES);
            if file.read_buf(&mut buffer).await? == 0
                || pieces.send(buffer.split().freeze()).await.is_err()
            {
                return Ok::<(), io::Error>(());
            }
        }
    };
    let (read, said) = tokio::join!(read, feed(script, received, &mut progress));
    let said = said?;
    read.map_err(|error| local(from, &error))?;
    if said.code == script::IS_DIRECTORY {
        return Ok(Put::IsDirectory);
    }
    said.check(path)?;
    Ok(Put::Done)
}

async fn tree(
    sandboxes: &Sandboxes,
    (from, name): (&Path, &str),
    (id, path): (&str, &str),
    out: &mut Out,
) -> Result<(), CliError> {
    let arguments = [path, name];
    let script = script::start(sandboxes, id, script::RECEIVE_TREE, &arguments).await?;
    let mut progress = Progress::new(path, None);
    let (pieces, received) = mpsc::channel(PIECES_MAX);
    let root = from.to_owned();
    let packing = task::spawn_blocking(move || archive::pack(&root, pieces));
    let said = feed(script, received, &mut progress).await;
    let packed = packing.await.map_err(|_| {
        CliError::new(Exit::Failure, "nothing was copied").because("the copy came to an end")
    })?;
    // What the sandbox says counts first: without it nobody takes the rest.
    let said = said?;
    if said.code == script::NO_TAR {
        return without_tar::unpack(sandboxes, (from, name), (id, path), out).await;
    }
    said.check(path)?;
    packed.map_err(|error| local(from, &error))
}

/// Gives pieces to a script until it ends; input that it does not take any more
/// is left.
async fn feed(
    script: Script,
    mut received: mpsc::Receiver<Bytes>,
    progress: &mut Progress,
) -> Result<script::Said, CliError> {
    let (input, output) = script.split();
    let (nobody, _written) = mpsc::channel(1);
    let ended = script::follow(output, nobody);
    let write = write_all(input, &mut received, progress);
    tokio::select! {
        said = ended => said,
        never = write => never,
    }
}

async fn write_all(
    input: ExecInput,
    received: &mut mpsc::Receiver<Bytes>,
    progress: &mut Progress,
) -> Result<script::Said, CliError> {
    while let Some(piece) = received.recv().await {
        progress.add(piece.len());
        if input.write(piece).await.is_err() {
            break;
        }
    }
    let _ = input.close().await;
    std::future::pending().await
}
