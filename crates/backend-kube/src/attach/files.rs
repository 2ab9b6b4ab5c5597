//! Files of a sandbox, whole, with their size and digest checked.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use palisade_backend::{AttachError, FileError};
use palisade_model::sandbox::Exit;
use sha2::{Digest, Sha256};
use tokio::time;

use super::signal::{self, Ran};
use super::{Target, script};

/// The longest that a file may take.
const LIMIT: Duration = Duration::from_mins(2);
/// The longest first line of an answer: a size.
const SIZE_LINE_MAX: u64 = 32;

/// Replaces a file, making the directories above it.
pub(super) async fn write(target: Target, path: &str, content: Bytes) -> Result<(), AttachError> {
    check(path)?;
    let arguments = [path.to_owned(), content.len().to_string(), digest(&content)];
    let ran = limited(signal::run(&target, script::WRITE, &arguments, content, 0)).await?;
    match ran.exit {
        Exit(0) => Ok(()),
        Exit(code) => Err(failed(path, code, &ran, 0)),
    }
}

/// Reads a file of at most so many bytes.
pub(super) async fn read(target: Target, path: &str, bytes_max: u64) -> Result<Bytes, AttachError> {
    check(path)?;
    let arguments = [path.to_owned(), bytes_max.to_string()];
    let most = bytes_max.saturating_add(SIZE_LINE_MAX);
    let run = signal::run(&target, script::READ, &arguments, Bytes::new(), most);
    let ran = limited(run).await?;
    if ran.exit != Exit(0) {
        return Err(failed(path, ran.exit.0, &ran, bytes_max));
    }
    let (size, content) = split(&ran.stdout).ok_or(AttachError::Lost)?;
    if content.len() as u64 != size {
        let message = format!("{} of {size} bytes could be read", content.len());
        return Err(file(path, FileError::Io { message }));
    }
    Ok(Bytes::copy_from_slice(content))
}

async fn limited(run: impl Future<Output = Result<Ran, AttachError>>) -> Result<Ran, AttachError> {
    time::timeout(LIMIT, run)
        .await
        .map_err(|_| AttachError::Lost)?
}

fn check(path: &str) -> Result<(), AttachError> {
    let is_good = path.starts_with('/') && !path.ends_with('/') && !path.contains('\0');
    if is_good {
        Ok(())
    } else {
        Err(file(path, FileError::BadPath))
    }
}

fn file(path: &str, error: FileError) -> AttachError {
    AttachError::File {
        path: path.to_owned(),
        error,
    }
}

/// What the scripts mean by their codes.
fn failed(path: &str, code: i32, ran: &Ran, bytes_max: u64) -> AttachError {
    let said = String::from_utf8_lossy(&ran.stderr);
    let error = match code {
        _ if said.contains("ermission denied") => FileError::PermissionDenied,
        41 => FileError::NotFound,
        42 => FileError::IsDirectory,
        43 => FileError::PermissionDenied,
        44 => FileError::TooLarge {
            size_bytes: split(&ran.stdout).map_or(0, |(size, _)| size),
            bytes_max,
        },
        46 => FileError::Io {
            message: "it did not arrive whole".to_owned(),
        },
        47 => FileError::BadPath,
        _ => FileError::Io {
            message: said
                .lines()
                .last()
                .unwrap_or("could not be used")
                .to_owned(),
        },
    };
    file(path, error)
}

fn split(answer: &[u8]) -> Option<(u64, &[u8])> {
    let end = answer.iter().position(|byte| *byte == b'\n')?;
    let size = std::str::from_utf8(&answer[..end]).ok()?.parse().ok()?;
    Some((size, &answer[end + 1..]))
}

fn digest(content: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(content) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
