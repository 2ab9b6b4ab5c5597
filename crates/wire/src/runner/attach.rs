//! Work on a sandbox, on its way to the runner and back.

use std::num::NonZeroU16;

use palisade_backend::{AttachError, ExecSpec, FileError, LogChunk, LogQuery, Terminal};
use palisade_model::clock::Timestamp;
use palisade_model::snapshot::{Content, ContentDigest};

use crate::proto::runner_v1 as pb;
use crate::runner::BadMessage;

/// A command as the protocol carries it.
pub fn open_exec(spec: ExecSpec) -> pb::open::Work {
    let ExecSpec {
        command,
        environment,
        terminal,
    } = spec;
    pb::open::Work::Exec(pb::Exec {
        command,
        environment: environment.into_iter().collect(),
        terminal: terminal.map(terminal_message),
    })
}

/// A command as the gateway sent it.
pub fn exec_spec(message: pb::Exec) -> Result<ExecSpec, BadMessage> {
    let pb::Exec {
        command,
        environment,
        terminal: size,
    } = message;
    if command.is_empty() {
        return Err(BadMessage::new("command", "is empty"));
    }
    Ok(ExecSpec {
        command,
        environment: environment.into_iter().collect(),
        terminal: size.map(terminal),
    })
}

/// A size of a terminal as the protocol carries it.
pub fn terminal_message(size: Terminal) -> pb::Terminal {
    let Terminal { width, height } = size;
    pb::Terminal {
        width: width.into(),
        height: height.into(),
    }
}

/// A size of a terminal; what is larger than any is cut.
pub fn terminal(message: pb::Terminal) -> Terminal {
    let pb::Terminal { width, height } = message;
    let side = |length: u32| u16::try_from(length).unwrap_or(u16::MAX);
    Terminal {
        width: side(width),
        height: side(height),
    }
}

/// A reading of logs as the protocol carries it.
pub fn open_logs(query: &LogQuery) -> pb::open::Work {
    let LogQuery {
        from_offset,
        tail_lines,
        since,
        follow,
    } = query;
    pb::open::Work::ReadLogs(pb::ReadLogs {
        from_offset: *from_offset,
        tail_lines: *tail_lines,
        since: since.map(Timestamp::as_micros),
        follow: *follow,
    })
}

/// A reading of logs as the gateway sent it.
pub fn log_query(message: pb::ReadLogs) -> LogQuery {
    let pb::ReadLogs {
        from_offset,
        tail_lines,
        since,
        follow,
    } = message;
    LogQuery {
        from_offset,
        tail_lines,
        since: since.map(Timestamp::from_micros),
        follow,
    }
}

/// A connection to a port as the protocol carries it.
pub fn open_connect(port: NonZeroU16) -> pb::open::Work {
    pb::open::Work::Connect(pb::Connect {
        port: port.get().into(),
    })
}

/// The port of a connection as the gateway sent it.
pub fn connect_port(message: pb::Connect) -> Result<NonZeroU16, BadMessage> {
    let pb::Connect { port } = message;
    let port = u16::try_from(port).ok().and_then(NonZeroU16::new);
    port.ok_or_else(|| BadMessage::new("port", "is none"))
}

/// What an archive is, as the protocol carries it.
pub fn archive_head_message(content: &Content) -> pb::ArchiveHead {
    let Content {
        digest,
        bytes,
        file_bytes,
    } = content;
    pb::ArchiveHead {
        sha256: digest.as_bytes().to_vec().into(),
        size_bytes: *bytes,
        file_bytes: *file_bytes,
    }
}

/// What an archive is, as a runner sent it.
pub fn archive_head(message: pb::ArchiveHead) -> Result<Content, BadMessage> {
    let pb::ArchiveHead {
        sha256,
        size_bytes,
        file_bytes,
    } = message;
    let digest = ContentDigest::try_from(sha256.as_ref());
    Ok(Content {
        digest: digest.map_err(|_| BadMessage::new("sha256", "is no SHA-256"))?,
        bytes: size_bytes,
        file_bytes,
    })
}

/// A piece of a log as the protocol carries it.
pub fn log_chunk_message(chunk: LogChunk) -> pb::LogChunk {
    let LogChunk { offset, at, data } = chunk;
    pb::LogChunk {
        offset,
        at: at.as_micros(),
        data,
    }
}

/// A piece of a log as a runner sent it.
pub fn log_chunk(message: pb::LogChunk) -> LogChunk {
    let pb::LogChunk { offset, at, data } = message;
    LogChunk {
        offset,
        at: Timestamp::from_micros(at),
        data,
    }
}

/// A failure as the protocol carries it.
pub fn failure(error: &AttachError) -> pb::Failure {
    let kind = failure_kind(error);
    let (message, path, number, limit) = match error {
        AttachError::NotFound
        | AttachError::NotRunning
        | AttachError::Draining
        | AttachError::Lost => (String::new(), String::new(), 0, 0),
        AttachError::Busy { limit } => (String::new(), String::new(), 0, wide(*limit)),
        AttachError::ExecFailed { message }
        | AttachError::TunnelFailed { message }
        | AttachError::FileSystem { message } => (message.clone(), String::new(), 0, 0),
        AttachError::File { path, error } => file_failure(path, error),
        AttachError::LogGap { first_kept } => (String::new(), String::new(), *first_kept, 0),
        AttachError::LogOffset { end } => (String::new(), String::new(), *end, 0),
        AttachError::PortClosed { port } => (String::new(), String::new(), u64::from(*port), 0),
    };
    pb::Failure {
        kind: kind.into(),
        message,
        path,
        number,
        limit,
    }
}

fn file_failure(path: &str, error: &FileError) -> (String, String, u64, u64) {
    let (message, number, limit) = match error {
        FileError::NotFound
        | FileError::IsDirectory
        | FileError::PermissionDenied
        | FileError::BadPath => (String::new(), 0, 0),
        FileError::TooLarge {
            size_bytes,
            bytes_max,
        } => (String::new(), *size_bytes, *bytes_max),
        FileError::Io { message } => (message.clone(), 0, 0),
    };
    (message, path.to_owned(), number, limit)
}

fn failure_kind(error: &AttachError) -> pb::FailureKind {
    match error {
        AttachError::NotFound => pb::FailureKind::SandboxNotFound,
        AttachError::NotRunning => pb::FailureKind::SandboxNotRunning,
        AttachError::Busy { .. } => pb::FailureKind::Busy,
        AttachError::ExecFailed { .. } => pb::FailureKind::ExecFailed,
        AttachError::LogGap { .. } => pb::FailureKind::LogGap,
        AttachError::LogOffset { .. } => pb::FailureKind::LogOffset,
        AttachError::PortClosed { .. } => pb::FailureKind::PortClosed,
        AttachError::TunnelFailed { .. } => pb::FailureKind::TunnelFailed,
        AttachError::FileSystem { .. } => pb::FailureKind::FileSystem,
        AttachError::Draining => pb::FailureKind::Draining,
        AttachError::Lost => pb::FailureKind::Lost,
        AttachError::File { error, .. } => match error {
            FileError::NotFound => pb::FailureKind::FileNotFound,
            FileError::IsDirectory => pb::FailureKind::FileIsDirectory,
            FileError::PermissionDenied => pb::FailureKind::FilePermissionDenied,
            FileError::TooLarge { .. } => pb::FailureKind::FileTooLarge,
            FileError::BadPath => pb::FailureKind::FileBadPath,
            FileError::Io { .. } => pb::FailureKind::FileIo,
        },
    }
}

/// A failure as a runner reported it.
///
/// One of a kind that this gateway does not know is a lost connection: the
/// client learns that the outcome is unknown, which is the truth.
pub fn attach_error(message: pb::Failure) -> AttachError {
    let pb::Failure {
        kind,
        message,
        path,
        number,
        limit,
    } = message;
    let file = |error| AttachError::File { path, error };
    match pb::FailureKind::try_from(kind) {
        Ok(pb::FailureKind::SandboxNotFound) => AttachError::NotFound,
        Ok(pb::FailureKind::SandboxNotRunning) => AttachError::NotRunning,
        Ok(pb::FailureKind::Busy) => AttachError::Busy {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        },
        Ok(pb::FailureKind::ExecFailed) => AttachError::ExecFailed { message },
        Ok(pb::FailureKind::FileNotFound) => file(FileError::NotFound),
        Ok(pb::FailureKind::FileIsDirectory) => file(FileError::IsDirectory),
        Ok(pb::FailureKind::FilePermissionDenied) => file(FileError::PermissionDenied),
        Ok(pb::FailureKind::FileTooLarge) => file(FileError::TooLarge {
            size_bytes: number,
            bytes_max: limit,
        }),
        Ok(pb::FailureKind::FileBadPath) => file(FileError::BadPath),
        Ok(pb::FailureKind::FileIo) => file(FileError::Io { message }),
        Ok(pb::FailureKind::LogGap) => AttachError::LogGap { first_kept: number },
        Ok(pb::FailureKind::LogOffset) => AttachError::LogOffset { end: number },
        Ok(pb::FailureKind::PortClosed) => AttachError::PortClosed {
            port: u16::try_from(number).unwrap_or(0),
        },
        Ok(pb::FailureKind::TunnelFailed) => AttachError::TunnelFailed { message },
        Ok(pb::FailureKind::FileSystem) => AttachError::FileSystem { message },
        Ok(pb::FailureKind::Draining) => AttachError::Draining,
        Ok(pb::FailureKind::Lost | pb::FailureKind::Unspecified) | Err(_) => AttachError::Lost,
    }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_error() -> Vec<AttachError> {
        let file = |error| AttachError::File {
            path: "/x".into(),
            error,
        };
        vec![
            AttachError::NotFound,
            AttachError::NotRunning,
            AttachError::Busy { limit: 3 },
            AttachError::ExecFailed {
                message: "no".into(),
            },
            file(FileError::NotFound),
            file(FileError::IsDirectory),
            file(FileError::PermissionDenied),
            file(FileError::TooLarge {
                size_bytes: 2,
                bytes_max: 1,
            }),
            file(FileError::BadPath),
            file(FileError::Io {
                message: "EIO".into(),
            }),
            AttachError::LogGap { first_kept: 7 },
            AttachError::LogOffset { end: 9 },
            AttachError::PortClosed { port: 80 },
            AttachError::TunnelFailed {
                message: "reset".into(),
            },
            AttachError::FileSystem {
                message: "too deep".into(),
            },
            AttachError::Draining,
            AttachError::Lost,
        ]
    }

    #[test]
    fn every_failure_survives_the_wire() {
        for error in every_error() {
            assert_eq!(attach_error(failure(&error)), error);
        }
    }

    #[test]
    fn an_unknown_failure_is_a_lost_connection() {
        let message = pb::Failure {
            kind: 99,
            ..Default::default()
        };
        assert_eq!(attach_error(message), AttachError::Lost);
    }

    #[test]
    fn a_command_survives_the_wire() {
        let spec = ExecSpec {
            command: vec!["ls".into(), "-l".into()],
            environment: [("A".to_owned(), "b".to_owned())].into(),
            terminal: Some(Terminal {
                width: 80,
                height: 24,
            }),
        };
        let pb::open::Work::Exec(message) = open_exec(spec.clone()) else {
            panic!("a command opens an exec");
        };
        assert_eq!(exec_spec(message), Ok(spec));
    }

    #[test]
    fn a_command_must_name_a_program() {
        assert!(exec_spec(pb::Exec::default()).is_err());
    }

    #[test]
    fn a_port_survives_the_wire_and_none_is_refused() {
        let port = NonZeroU16::new(8080).unwrap();
        let pb::open::Work::Connect(message) = open_connect(port) else {
            panic!("a port opens a connection");
        };
        assert_eq!(connect_port(message), Ok(port));
        for port in [0, 65_536] {
            assert!(connect_port(pb::Connect { port }).is_err(), "{port}");
        }
    }

    #[test]
    fn a_reading_of_logs_survives_the_wire() {
        let query = LogQuery {
            from_offset: Some(1),
            tail_lines: Some(2),
            since: Some(Timestamp::from_micros(3)),
            follow: true,
        };
        let pb::open::Work::ReadLogs(message) = open_logs(&query) else {
            panic!("a query opens a reading");
        };
        assert_eq!(log_query(message), query);
    }
}
