//! Files that clients write and read.
//!
//! A path is checked for its form only. Where it leads is found inside the
//! sandbox, links included, so that nothing here could be tricked by them.

use std::time::Duration;

use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use prost::bytes::{Buf as _, Bytes};
use prost::encoding::{WireType, decode_key, decode_varint};

use super::time::time_limit;
use crate::proto::v1beta2 as pb;

/// The largest file that one call carries.
pub const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// The longest path, and the longest name in it, as on Linux.
const PATH_BYTES_MAX: usize = 4_095;
const NAME_BYTES_MAX: usize = 255;
/// What is repeated of a path that breaks a rule.
const PATH_SHOWN_MAX: usize = 256;

/// The absolute path of a file in a sandbox.
///
/// Never empty, of the root or of a name that ends in `/`; no zero byte, no
/// name longer than the kernel takes, and no `..` that leads above the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxPath(String);

/// The form of a path is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It does not begin at the root.
    #[error("must be an absolute path, such as /tmp/file")]
    NotAbsolute,
    /// It is longer than any path can be.
    #[error("must have at most {PATH_BYTES_MAX} bytes, and {NAME_BYTES_MAX} in each name")]
    TooLong,
    /// It holds a zero byte.
    #[error("must not hold a zero byte")]
    ZeroByte,
    /// It leads above the root.
    #[error("must not lead above the root with '..'")]
    AboveRoot,
    /// It names a directory by its form.
    #[error("must name a file, and not end in '/', '.' or '..'")]
    Directory,
}

/// A file to write.
#[derive(Clone, PartialEq, Eq)]
pub struct FileWrite {
    /// The sandbox, as the client named it.
    pub sandbox: String,
    /// Where.
    pub path: SandboxPath,
    /// What.
    pub content: Bytes,
    /// How long it may take.
    pub limit: Option<Duration>,
}

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRead {
    /// The sandbox, as the client named it.
    pub sandbox: String,
    /// Where.
    pub path: SandboxPath,
    /// How long it may take.
    pub limit: Option<Duration>,
}

impl SandboxPath {
    /// Takes a path that keeps the rules of the form.
    pub fn new(path: String) -> Result<Self, BadPath> {
        if !path.starts_with('/') {
            return Err(BadPath::NotAbsolute);
        }
        let is_long = |name: &str| name.len() > NAME_BYTES_MAX;
        if path.len() > PATH_BYTES_MAX || path.split('/').any(is_long) {
            return Err(BadPath::TooLong);
        }
        if path.contains('\0') {
            return Err(BadPath::ZeroByte);
        }
        if leads_above_root(&path) {
            return Err(BadPath::AboveRoot);
        }
        match path.rsplit('/').next() {
            None | Some("" | "." | "..") => Err(BadPath::Directory),
            Some(_) => Ok(Self(path)),
        }
    }

    /// The path as the client sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for FileWrite {
    /// Leaves the content out: it may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileWrite")
            .field("sandbox", &self.sandbox)
            .field("path", &self.path)
            .field("bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

/// Reads a file to write.
pub fn file_write(message: pb::AddFileSandboxRequest) -> Result<FileWrite, Refusal> {
    let pb::AddFileSandboxRequest {
        sandbox_id,
        file_contents,
        filepath,
        max_timeout_seconds,
    } = message;
    let (path, limit) = path_and_limit(filepath, max_timeout_seconds, "write")?;
    let size_bytes = file_contents.len() as u64;
    if size_bytes > FILE_BYTES_MAX {
        return Err(file_too_large(&path, size_bytes));
    }
    Ok(FileWrite {
        sandbox: sandbox_id,
        path,
        content: file_contents,
        limit,
    })
}

/// How large the content of a file to write is, as the first bytes of the message say
/// it; `None` if they do not reach that far.
pub fn announced_file_bytes(mut head: &[u8]) -> Option<u64> {
    /// The number of `file_contents`.
    const CONTENTS: u32 = 2;
    while head.has_remaining() {
        let (field, kind) = decode_key(&mut head).ok()?;
        let value = match kind {
            WireType::Varint | WireType::LengthDelimited => decode_varint(&mut head).ok()?,
            // No field of the message is of these.
            WireType::ThirtyTwoBit
            | WireType::SixtyFourBit
            | WireType::StartGroup
            | WireType::EndGroup => return None,
        };
        if kind == WireType::LengthDelimited {
            if field == CONTENTS {
                return Some(value);
            }
            head = head.get(usize::try_from(value).ok()?..)?;
        }
    }
    None
}

/// Reads a file to read.
pub fn file_read(message: pb::RetrieveFileSandboxRequest) -> Result<FileRead, Refusal> {
    let pb::RetrieveFileSandboxRequest {
        sandbox_id,
        filepath,
        max_timeout_seconds,
    } = message;
    let (path, limit) = path_and_limit(filepath, max_timeout_seconds, "read")?;
    Ok(FileRead {
        sandbox: sandbox_id,
        path,
        limit,
    })
}

/// The answer to a file that was written.
pub fn file_written() -> pb::AddFileSandboxResponse {
    pb::AddFileSandboxResponse {
        success: true,
        error_message: String::new(),
    }
}

/// The answer to a file that was read.
pub fn file_content(content: Bytes) -> pb::RetrieveFileSandboxResponse {
    pb::RetrieveFileSandboxResponse {
        file_contents: content,
        success: true,
        error_message: String::new(),
    }
}

fn file_too_large(path: &SandboxPath, size_bytes: u64) -> Refusal {
    Refusal::new(
        Reason::FileTooLarge,
        format!(
            "the file has {size_bytes} bytes; one call carries at most {FILE_BYTES_MAX}, \
             a stream into a command any number"
        ),
    )
    .with("filepath", path.as_str())
    .with("size_bytes", size_bytes.to_string())
    .with("max_size_bytes", FILE_BYTES_MAX.to_string())
    .with("operation", "write")
}

fn path_and_limit(
    filepath: String,
    seconds: i32,
    operation: &str,
) -> Result<(SandboxPath, Option<Duration>), Refusal> {
    let mut violations = Vec::new();
    let limit = time_limit(&mut violations, seconds);
    let shown = filepath[..filepath.floor_char_boundary(PATH_SHOWN_MAX)].to_owned();
    let refusal = match SandboxPath::new(filepath) {
        Ok(path) if violations.is_empty() => return Ok((path, limit)),
        Ok(_) => Refusal::invalid(violations),
        Err(BadPath::Directory) if violations.is_empty() => {
            directory(&shown).with("operation", operation)
        }
        Err(error) => {
            let (path, text) = (FieldPath::root().key("filepath"), error.to_string());
            violations.push(Violation::new(path, ViolationKind::Invalid, text));
            Refusal::invalid(violations)
        }
    };
    Err(refusal.with("filepath", shown))
}

/// Clients ask after the reason, which is the same whether the form of a path or
/// what is there says that it is a directory.
fn directory(shown: &str) -> Refusal {
    let text = format!("{shown} is a directory; name a file in it");
    Refusal::new(Reason::FileIsDirectory, text)
}

/// Whether the names up to some place lead higher than the root.
fn leads_above_root(path: &str) -> bool {
    let mut depth = 0_usize;
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_the_rules_of_its_form() {
        let long = "a".repeat(256);
        let deep = "/aa".repeat(1_400);
        for (path, expected) in [
            ("", BadPath::NotAbsolute),
            ("tmp/x", BadPath::NotAbsolute),
            ("../x", BadPath::NotAbsolute),
            ("/../etc/passwd", BadPath::AboveRoot),
            ("/tmp/../../etc/passwd", BadPath::AboveRoot),
            ("/a/./../../b", BadPath::AboveRoot),
            ("/tmp/a\0b", BadPath::ZeroByte),
            (&format!("/{long}"), BadPath::TooLong),
            (&deep, BadPath::TooLong),
            ("/", BadPath::Directory),
            ("/tmp/", BadPath::Directory),
            ("/tmp/.", BadPath::Directory),
            ("/tmp/..", BadPath::Directory),
        ] {
            assert_eq!(SandboxPath::new(path.to_owned()), Err(expected), "{path}");
        }
        for path in ["/a", "/tmp/../etc/x", "/tmp//x", "/..a", "/ü/…", "/a b"] {
            assert_eq!(SandboxPath::new(path.to_owned()).unwrap().as_str(), path);
        }
    }

    #[test]
    fn a_bad_path_is_refused_with_the_field_and_the_path() {
        let message = pb::RetrieveFileSandboxRequest {
            filepath: "/../x".into(),
            ..Default::default()
        };
        let refusal = file_read(message).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidRequest);
        assert_eq!(refusal.violations[0].path.to_string(), "filepath");
        assert_eq!(refusal.metadata["filepath"], "/../x");
    }

    #[test]
    fn a_directory_by_its_form_is_refused_as_one() {
        for path in ["/", "/tmp/", "/tmp/.", "/tmp/.."] {
            let message = pb::AddFileSandboxRequest {
                filepath: path.into(),
                ..Default::default()
            };
            let refusal = file_write(message).unwrap_err();
            assert_eq!(refusal.reason, Reason::FileIsDirectory, "{path}");
            assert_eq!(refusal.metadata["filepath"], path);
            assert_eq!(refusal.metadata["operation"], "write");
        }
    }

    #[test]
    fn a_file_above_the_limit_is_refused_with_both_sizes() {
        let size = usize::try_from(FILE_BYTES_MAX).unwrap() + 1;
        let message = |size| pb::AddFileSandboxRequest {
            filepath: "/tmp/x".into(),
            file_contents: vec![0; size].into(),
            ..Default::default()
        };
        let refusal = file_write(message(size)).unwrap_err();
        assert_eq!(refusal.reason, Reason::FileTooLarge);
        let facts: Vec<_> = refusal
            .metadata
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            facts,
            [
                ("filepath", "/tmp/x"),
                ("max_size_bytes", "33554432"),
                ("operation", "write"),
                ("size_bytes", "33554433"),
            ]
        );
        assert!(file_write(message(size - 1)).is_ok());
    }

    #[test]
    fn the_size_of_a_file_is_told_by_the_first_bytes_of_its_message() {
        use prost::Message as _;

        let message = pb::AddFileSandboxRequest {
            sandbox_id: "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d".into(),
            file_contents: vec![7; 300].into(),
            filepath: "/tmp/x".into(),
            max_timeout_seconds: 9,
        };
        let bytes = message.encode_to_vec();
        // The id with its frame, and the frame of the content.
        for len in [41, 100, bytes.len()] {
            assert_eq!(announced_file_bytes(&bytes[..len]), Some(300), "{len}");
        }
        for len in [0, 1, 20, 38, 40] {
            assert_eq!(announced_file_bytes(&bytes[..len]), None, "{len}");
        }
        assert_eq!(announced_file_bytes(&[0xff; 40]), None);
    }

    #[test]
    fn a_negative_limit_is_refused() {
        let message = pb::RetrieveFileSandboxRequest {
            filepath: "/x".into(),
            max_timeout_seconds: -1,
            ..Default::default()
        };
        let refusal = file_read(message).unwrap_err();
        assert_eq!(
            refusal.violations[0].path.to_string(),
            "max_timeout_seconds"
        );
    }
}
