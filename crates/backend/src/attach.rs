//! Talking to a sandbox that runs: commands, logs, files and ports.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Debug;
use std::num::NonZeroU16;

use async_trait::async_trait;
use bytes::Bytes;
use palisade_model::clock::Timestamp;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::Exit;
use palisade_model::snapshot::Content;
use tokio::sync::mpsc;

use crate::upload::Upload;

/// Talks to sandboxes of a backend.
///
/// # Contract
///
/// * Output of a command is passed on as it was read, chunk by chunk, in order
///   within each stream, and nothing of it is lost: a slow reader slows the
///   command down.
/// * Every exec ends with exactly one [`ExecEvent::Exit`] or one
///   [`ExecEvent::Failed`], after all output that the command itself wrote.
/// * The exit is told as soon as the command ends, even while input is open.
/// * Dropping an [`Exec`] kills the command and all that it started.
/// * Logs are those of the main process only, and can be read from any offset
///   that is still kept, while it runs and after it ended.
/// * A path of a file is resolved inside the sandbox, links included; nothing
///   outside can be named.
/// * A file is replaced as a whole or not at all.
/// * A tunnel ends at the loopback of the sandbox, as if a process in there had
///   connected; no other address can be named, and nothing is opened for others.
/// * What goes through a tunnel arrives as it was sent, in order and whole: a
///   slow end slows the other one down.
/// * The end of one direction of a tunnel is not that of the other.
/// * A port at which nobody listens is refused as such.
/// * Dropping the events of a [`Tunnel`] ends its connection.
/// * An archive holds the file system of a sandbox as it was at one moment at
///   which nothing in the sandbox ran; the sandbox goes on before the archive is
///   read. Dropping it leaves nothing behind.
#[async_trait]
pub trait Attach: Debug + Send + Sync + 'static {
    /// Starts a command in a running sandbox.
    async fn exec(&self, id: SandboxId, spec: ExecSpec) -> Result<Exec, AttachError>;

    /// Opens the output of the main process.
    async fn logs(&self, id: SandboxId, query: LogQuery) -> Result<Logs, AttachError>;

    /// Writes a file, making the directories above it.
    async fn write_file(
        &self,
        id: SandboxId,
        path: &str,
        content: Upload,
    ) -> Result<(), AttachError>;

    /// Reads a file of at most `bytes_max` bytes.
    async fn read_file(
        &self,
        id: SandboxId,
        path: &str,
        bytes_max: u64,
    ) -> Result<Bytes, AttachError>;

    /// Connects to a port of the sandbox's loopback.
    async fn connect(&self, id: SandboxId, port: NonZeroU16) -> Result<Tunnel, AttachError>;

    /// Archives the file system that the sandbox has to itself.
    ///
    /// This one is for backends without the capability.
    async fn save_file_system(&self, id: SandboxId) -> Result<Archive, AttachError> {
        let _ = id;
        Err(AttachError::FileSystem {
            message: "this runner takes no snapshots of file systems".to_owned(),
        })
    }
}

/// A command to run.
#[derive(Clone, PartialEq, Eq)]
pub struct ExecSpec {
    /// The program and its arguments; no shell is added. Not empty.
    pub command: Vec<String>,
    /// Variables on top of those of the sandbox.
    pub environment: BTreeMap<String, String>,
    /// The terminal to give it, or `None` for pipes.
    pub terminal: Option<Terminal>,
}

impl Debug for ExecSpec {
    /// Leaves out what users typed: it may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecSpec")
            .field("args", &self.command.len())
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// The number of events or inputs that may wait in a channel of an exec.
pub const EXEC_QUEUE_MAX: usize = 16;

/// A command that was started.
#[derive(Debug)]
pub struct Exec {
    /// What goes in. Dropping it is the end of input, and not a cancellation.
    pub input: mpsc::Sender<ExecInput>,
    /// What comes out.
    pub events: mpsc::Receiver<ExecEvent>,
}

/// What goes into a command.
#[derive(Clone, PartialEq, Eq)]
pub enum ExecInput {
    /// Bytes for standard input.
    Stdin(Bytes),
    /// The end of standard input.
    Close,
    /// A new size of the terminal.
    Resize(Terminal),
    /// A signal for the command and all that it started.
    Signal(i32),
}

impl Debug for ExecInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin(data) => write!(f, "Stdin({} bytes)", data.len()),
            Self::Close => f.write_str("Close"),
            Self::Resize(size) => write!(f, "Resize({size:?})"),
            Self::Signal(number) => write!(f, "Signal({number})"),
        }
    }
}

/// What comes out of a command.
#[derive(Clone, PartialEq, Eq)]
pub enum ExecEvent {
    /// The command runs.
    Started,
    /// Bytes from standard output, or from the terminal.
    Stdout(Bytes),
    /// Bytes from standard error.
    Stderr(Bytes),
    /// The command ended. Nothing follows.
    Exit(Exit),
    /// The command could not be started or followed. Nothing follows.
    Failed(AttachError),
}

impl Debug for ExecEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("Started"),
            Self::Stdout(data) => write!(f, "Stdout({} bytes)", data.len()),
            Self::Stderr(data) => write!(f, "Stderr({} bytes)", data.len()),
            Self::Exit(exit) => write!(f, "Exit({})", exit.0),
            Self::Failed(error) => write!(f, "Failed({error})"),
        }
    }
}

/// A connection to a port of a sandbox. Its channels hold [`EXEC_QUEUE_MAX`].
#[derive(Debug)]
pub struct Tunnel {
    /// What goes to the port. Dropping it is the end of that direction.
    pub input: mpsc::Sender<Bytes>,
    /// What comes from the port. The channel closes once both directions ended.
    pub events: mpsc::Receiver<TunnelEvent>,
}

/// What comes out of a tunnel.
#[derive(Clone, PartialEq, Eq)]
pub enum TunnelEvent {
    /// Bytes, as they came.
    Data(Bytes),
    /// The port sends nothing more; it may still listen.
    End,
    /// The connection broke. Nothing follows.
    Failed(AttachError),
}

impl Debug for TunnelEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(data) => write!(f, "Data({} bytes)", data.len()),
            Self::End => f.write_str("End"),
            Self::Failed(error) => write!(f, "Failed({error})"),
        }
    }
}

/// The archive of a file system.
#[derive(Debug)]
pub struct Archive {
    /// What it is.
    pub content: Content,
    /// The bytes, in order, and an error if they could not all be read. The
    /// channel closes at the end.
    pub chunks: mpsc::Receiver<Result<Bytes, AttachError>>,
}

/// Which part of the logs to read.
///
/// Without an offset, a log whose beginning is no longer kept begins with the first
/// line that is kept whole, unless all of it is the rest of one line.
///
/// Whatever is given holds at once: the last lines since an instant are those of the last
/// lines that were written at that instant or later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Begin at this offset, counted in bytes from the start of the sandbox.
    pub from_offset: Option<u64>,
    /// Begin this many lines before the end.
    pub tail_lines: Option<u32>,
    /// Begin with what was written at or after this instant.
    pub since: Option<Timestamp>,
    /// Go on with what is written later, until the main process ends.
    pub follow: bool,
}

/// The output of a main process, as it was read.
#[derive(Debug)]
pub struct Logs {
    /// The chunks, in order. The channel closes at the end.
    pub chunks: mpsc::Receiver<Result<LogChunk, AttachError>>,
}

/// A piece of the output of a main process.
#[derive(Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// Where it begins, in bytes from the start of the sandbox.
    pub offset: u64,
    /// When it was read.
    pub at: Timestamp,
    /// The bytes.
    pub data: Bytes,
}

impl Debug for LogChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogChunk({} bytes at {})", self.data.len(), self.offset)
    }
}

/// Why a sandbox could not be talked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// There is no such sandbox here.
    #[error("the sandbox does not exist on this runner")]
    NotFound,
    /// The sandbox does not run.
    #[error("the sandbox is not running")]
    NotRunning,
    /// As much is being done at once as may be.
    #[error(
        "{limit} commands or other streams are at work there at once, and no more can be; try again in a moment"
    )]
    Busy {
        /// How many that are.
        limit: usize,
    },
    /// The command could not be started.
    #[error("{message}")]
    ExecFailed {
        /// Why, in words for a person.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// The path as it was asked for.
        path: String,
        /// Why.
        error: FileError,
    },
    /// What was asked for is no longer kept.
    #[error("the log before offset {first_kept} is no longer kept")]
    LogGap {
        /// The first offset that is.
        first_kept: u64,
    },
    /// The offset lies behind the end of the log.
    #[error("the log ends at offset {end}")]
    LogOffset {
        /// Where it ends.
        end: u64,
    },
    /// Nobody listens at the port.
    #[error("nothing listens at port {port} of the sandbox")]
    PortClosed {
        /// The port.
        port: u16,
    },
    /// There is no connection to the port, or none any more.
    #[error("{message}")]
    TunnelFailed {
        /// Why, in words for a person.
        message: String,
    },
    /// The file system of the sandbox could not be archived.
    #[error("{message}")]
    FileSystem {
        /// Why, in words for a person.
        message: String,
    },
    /// The runner ends; the sandbox goes on, and this does not.
    #[error("the runner is ending; the sandbox goes on and can be reached again soon")]
    Draining,
    /// The connection to the sandbox broke.
    #[error("the connection to the sandbox was lost")]
    Lost,
}

/// Why a file could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The path names nothing.
    #[error("no such file")]
    NotFound,
    /// The path names a directory.
    #[error("is a directory")]
    IsDirectory,
    /// The sandbox itself may not open it so.
    #[error("permission denied")]
    PermissionDenied,
    /// The file is larger than one call may carry.
    #[error("has {size_bytes} bytes; at most {bytes_max} are allowed")]
    TooLarge {
        /// How large it is.
        size_bytes: u64,
        /// How large it may be.
        bytes_max: u64,
    },
    /// What is there is a device or a pipe, say, or the path is not an absolute
    /// path, or leads through what is no directory.
    #[error(
        "is not a regular file; its path must be absolute, and all but the end of it directories"
    )]
    BadPath,
    /// Anything else that the kernel said.
    #[error("{message}")]
    Io {
        /// What the kernel said.
        message: String,
    },
}
