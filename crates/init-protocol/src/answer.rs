//! What process 1 answers.
//!
//! The host parses this as it would parse anything from a stranger: what runs in
//! the sandbox may have taken over process 1. Invariant: a decoded value is
//! valid.

use bytes::{Buf as _, Bytes};
use prost::Message;

use crate::frame;
use crate::frame::Frame;
use crate::text::{Data, Invalid, Reason, SignalNumber, Stream, UnixMicros};
use crate::wire;
use crate::wire::{EndedKind, InitKind};

/// One frame of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The protocol that is spoken.
    Hello {
        /// The version of process 1.
        version: u32,
    },
    /// Here I am.
    Pong,
    /// The process runs.
    Started(Started),
    /// The command wrote this.
    Output {
        /// Where.
        stream: Stream,
        /// What; not empty.
        data: Data,
    },
    /// The command ended. Nothing follows.
    Exit(Ended),
    /// The command could not be started. Nothing follows.
    Failed(Reason),
    /// Too much is under way for another one of these. Nothing follows.
    Busy {
        /// How many are allowed at once.
        limit: u32,
    },
    /// The request makes no sense. Nothing follows.
    Refused(Reason),
    /// The main process has ended, and the rest is about to. Nothing follows.
    Ending,
    /// So much has been written to the log so far.
    LogAdvanced {
        /// The offset of its end.
        end: u64,
    },
    /// The main process ended. Nothing follows.
    MainExited(ExitRecord),
    /// The next bytes of the file.
    FileContent(Data),
    /// It is done. Nothing follows.
    Done,
    /// The file could not be read or written. Nothing follows.
    FileFailed(FileFailure),
    /// Somebody at the port took the connection.
    Connected,
    /// Whoever is at the port sent this.
    Received(Data),
    /// Whoever is at the port will send nothing more.
    ReceivedAll,
    /// There is no connection to the port, or none any more. Nothing follows.
    NotConnected(ConnectFailure),
}

/// A process that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its number inside the sandbox.
    pub pid: u32,
    /// Since when.
    pub at: UnixMicros,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Code(u8),
    /// By this signal, 1 to [`Ended::SIGNAL_MAX`].
    Signal(u8),
}

/// How the main process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitRecord {
    /// How.
    pub outcome: Outcome,
    /// When.
    pub at: UnixMicros,
    /// Whether that had been asked for.
    pub asked: bool,
}

/// How it went with the main process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and ended.
    Ran(Ended),
    /// It never ran.
    NotStarted {
        /// What a shell would exit with: 127 if there is no such command.
        code: u8,
        /// Why.
        reason: Reason,
    },
}

/// Why a file could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFailure {
    /// The path names nothing.
    NotFound,
    /// The path names a directory.
    IsDirectory,
    /// The user of the sandbox may not.
    PermissionDenied,
    /// There is more of it than was asked for.
    TooLarge {
        /// How much, as far as is known.
        size_bytes: u64,
    },
    /// The path cannot be that of a file, or is that of a device or a pipe.
    BadPath,
    /// Anything else.
    Io(Reason),
}

/// Why there is no connection to a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    /// Nobody listens there.
    Refused,
    /// Anything else.
    Other(Reason),
}

/// A frame of process 1 that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It is not a message at all.
    #[error("the frame is not a message of the protocol")]
    NotAMessage,
    /// A part of it is not valid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl Ended {
    /// The last signal that there is; the real-time ones can end a process, too.
    pub const SIGNAL_MAX: u8 = 64;

    /// Killed for good.
    pub const KILLED: Self = Self::Signal(SignalNumber::KILL.get());

    /// What a shell would say: 128 and the signal for a process that was killed.
    pub fn shell_code(self) -> i32 {
        match self {
            Self::Code(code) => code.into(),
            Self::Signal(signal) => 128 + i32::from(signal),
        }
    }
}

impl ExitRecord {
    /// What a shell would say: 128 and the signal for a process that was killed.
    pub fn shell_code(&self) -> i32 {
        match self.outcome {
            Outcome::Ran(ended) => ended.shell_code(),
            Outcome::NotStarted { code, .. } => code.into(),
        }
    }
}

impl Answer {
    /// Parses the body of a frame; `None` is a kind that this version does not
    /// know, to be passed over.
    pub fn decode(body: Bytes) -> Result<Option<Self>, BadAnswer> {
        let message = wire::InitFrame::decode(body).map_err(|_| BadAnswer::NotAMessage)?;
        Ok(message.kind.map(Self::try_from).transpose()?)
    }

    /// The frame.
    pub fn encode(self) -> Frame {
        let mut kind = InitKind::from(self);
        let content = kind.take_content();
        let message = wire::InitFrame { kind: Some(kind) };
        match content {
            Some(content) => frame::head(&message, content.len()).chain(content),
            None => frame::encode(&message).chain(Bytes::new()),
        }
    }

    /// What is before `len` bytes of output in their frame: that of [`Answer::Output`], for
    /// those who have the bytes elsewhere.
    pub fn output_head(stream: Stream, len: usize) -> Bytes {
        let kind = match stream {
            Stream::Stdout => InitKind::Stdout(Bytes::new()),
            Stream::Stderr => InitKind::Stderr(Bytes::new()),
        };
        frame::head(&wire::InitFrame { kind: Some(kind) }, len)
    }

    /// Likewise of [`Answer::Received`].
    pub fn received_head(len: usize) -> Bytes {
        let kind = Some(InitKind::Received(Bytes::new()));
        frame::head(&wire::InitFrame { kind }, len)
    }
}

impl TryFrom<InitKind> for Answer {
    type Error = Invalid;

    fn try_from(kind: InitKind) -> Result<Self, Invalid> {
        Ok(match kind {
            InitKind::Hello(wire::InitHello { version }) => Self::Hello { version },
            InitKind::Pong(wire::Empty {}) => Self::Pong,
            InitKind::Started(started) => Self::Started(started.into()),
            InitKind::Stdout(bytes) => output(Stream::Stdout, bytes)?,
            InitKind::Stderr(bytes) => output(Stream::Stderr, bytes)?,
            InitKind::Exit(ended) => Self::Exit(ended.try_into()?),
            InitKind::Failed(message) => Self::Failed(Reason::new(message)),
            InitKind::Busy(limit) => Self::Busy { limit },
            InitKind::Refused(message) => Self::Refused(Reason::new(message)),
            InitKind::Ending(wire::Empty {}) => Self::Ending,
            InitKind::LogAdvanced(end) => Self::LogAdvanced { end },
            InitKind::MainExited(record) => Self::MainExited(record.try_into()?),
            InitKind::FileContent(bytes) => Self::FileContent(some_data(bytes)?),
            InitKind::Done(wire::Empty {}) => Self::Done,
            InitKind::FileFailed(failed) => Self::FileFailed(failed.try_into()?),
            InitKind::Connected(wire::Empty {}) => Self::Connected,
            InitKind::Received(bytes) => Self::Received(some_data(bytes)?),
            InitKind::ReceivedAll(wire::Empty {}) => Self::ReceivedAll,
            InitKind::NotConnected(failure) => Self::NotConnected(failure.into()),
        })
    }
}

impl From<Answer> for InitKind {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Hello { version } => Self::Hello(wire::InitHello { version }),
            Answer::Pong => Self::Pong(wire::Empty {}),
            Answer::Started(started) => Self::Started(started.into()),
            Answer::Output { stream, data } => match stream {
                Stream::Stdout => Self::Stdout(data.into_bytes()),
                Stream::Stderr => Self::Stderr(data.into_bytes()),
            },
            Answer::Exit(ended) => Self::Exit(ended.into()),
            Answer::Failed(reason) => Self::Failed(reason.into_string()),
            Answer::Busy { limit } => Self::Busy(limit),
            Answer::Refused(reason) => Self::Refused(reason.into_string()),
            Answer::Ending => Self::Ending(wire::Empty {}),
            Answer::LogAdvanced { end } => Self::LogAdvanced(end),
            Answer::MainExited(record) => Self::MainExited(record.into()),
            Answer::FileContent(data) => Self::FileContent(data.into_bytes()),
            Answer::Done => Self::Done(wire::Empty {}),
            Answer::FileFailed(failure) => Self::FileFailed(failure.into()),
            Answer::Connected => Self::Connected(wire::Empty {}),
            Answer::Received(data) => Self::Received(data.into_bytes()),
            Answer::ReceivedAll => Self::ReceivedAll(wire::Empty {}),
            Answer::NotConnected(failure) => Self::NotConnected(failure.into()),
        }
    }
}

fn output(stream: Stream, bytes: Bytes) -> Result<Answer, Invalid> {
    let data = some_data(bytes)?;
    Ok(Answer::Output { stream, data })
}

/// Empty frames would let the other side keep us busy for nothing.
fn some_data(bytes: Bytes) -> Result<Data, Invalid> {
    if bytes.is_empty() {
        return Err(Invalid::Missing { what: "the data" });
    }
    Data::new(bytes)
}

impl From<wire::Started> for Started {
    fn from(message: wire::Started) -> Self {
        let wire::Started { pid, at_micros } = message;
        let at = UnixMicros(at_micros);
        Self { pid, at }
    }
}

impl From<Started> for wire::Started {
    fn from(started: Started) -> Self {
        let Started { pid, at } = started;
        let at_micros = at.0;
        Self { pid, at_micros }
    }
}

impl TryFrom<wire::Ended> for Ended {
    type Error = Invalid;

    fn try_from(message: wire::Ended) -> Result<Self, Invalid> {
        let out_of_range = Invalid::OutOfRange { what: "the exit" };
        match message.kind {
            Some(EndedKind::Code(code)) => code.try_into().map(Self::Code),
            Some(EndedKind::Signal(signal)) => match u8::try_from(signal) {
                Ok(signal @ 1..=Self::SIGNAL_MAX) => Ok(Self::Signal(signal)),
                Ok(_) | Err(_) => return Err(out_of_range),
            },
            None => return Err(Invalid::Missing { what: "the exit" }),
        }
        .map_err(|_| out_of_range)
    }
}

impl From<Ended> for wire::Ended {
    fn from(ended: Ended) -> Self {
        let kind = match ended {
            Ended::Code(code) => EndedKind::Code(code.into()),
            Ended::Signal(signal) => EndedKind::Signal(signal.into()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<wire::ExitRecord> for ExitRecord {
    type Error = Invalid;

    fn try_from(message: wire::ExitRecord) -> Result<Self, Invalid> {
        let wire::ExitRecord {
            ended,
            at_micros,
            asked,
            not_started,
        } = message;
        let ended: Ended = ended
            .ok_or(Invalid::Missing { what: "the exit" })?
            .try_into()?;
        let outcome = match (not_started, ended) {
            (None, ended) => Outcome::Ran(ended),
            (Some(reason), Ended::Code(code)) => Outcome::NotStarted {
                code,
                reason: Reason::new(reason),
            },
            (Some(_), Ended::Signal(_)) => {
                return Err(Invalid::OutOfRange { what: "the exit" });
            }
        };
        Ok(Self {
            outcome,
            at: UnixMicros(at_micros),
            asked,
        })
    }
}

impl From<ExitRecord> for wire::ExitRecord {
    fn from(record: ExitRecord) -> Self {
        let ExitRecord { outcome, at, asked } = record;
        let (ended, not_started) = match outcome {
            Outcome::Ran(ended) => (ended, None),
            Outcome::NotStarted { code, reason } => (Ended::Code(code), Some(reason.into_string())),
        };
        Self {
            ended: Some(ended.into()),
            at_micros: at.0,
            asked,
            not_started,
        }
    }
}

const NOT_FOUND: u32 = 1;
const IS_DIRECTORY: u32 = 2;
const PERMISSION_DENIED: u32 = 3;
const TOO_LARGE: u32 = 4;
const BAD_PATH: u32 = 5;
const IO: u32 = 6;

impl TryFrom<wire::FileFailed> for FileFailure {
    type Error = Invalid;

    fn try_from(message: wire::FileFailed) -> Result<Self, Invalid> {
        let wire::FileFailed {
            kind,
            size_bytes,
            message,
        } = message;
        Ok(match kind {
            NOT_FOUND => Self::NotFound,
            IS_DIRECTORY => Self::IsDirectory,
            PERMISSION_DENIED => Self::PermissionDenied,
            TOO_LARGE => Self::TooLarge { size_bytes },
            BAD_PATH => Self::BadPath,
            // What a later version tells apart has a message as well.
            _ => Self::Io(Reason::new(message)),
        })
    }
}

impl From<FileFailure> for wire::FileFailed {
    fn from(failure: FileFailure) -> Self {
        let (kind, size_bytes, message) = match failure {
            FileFailure::NotFound => (NOT_FOUND, 0, String::new()),
            FileFailure::IsDirectory => (IS_DIRECTORY, 0, String::new()),
            FileFailure::PermissionDenied => (PERMISSION_DENIED, 0, String::new()),
            FileFailure::TooLarge { size_bytes } => (TOO_LARGE, size_bytes, String::new()),
            FileFailure::BadPath => (BAD_PATH, 0, String::new()),
            FileFailure::Io(reason) => (IO, 0, reason.into_string()),
        };
        Self {
            kind,
            size_bytes,
            message,
        }
    }
}

const REFUSED: u32 = 1;
const OTHER: u32 = 2;

impl From<wire::NotConnected> for ConnectFailure {
    fn from(message: wire::NotConnected) -> Self {
        let wire::NotConnected { kind, message } = message;
        match kind {
            REFUSED => Self::Refused,
            // What a later version tells apart has a message as well.
            _ => Self::Other(Reason::new(message)),
        }
    }
}

impl From<ConnectFailure> for wire::NotConnected {
    fn from(failure: ConnectFailure) -> Self {
        let (kind, message) = match failure {
            ConnectFailure::Refused => (REFUSED, String::new()),
            ConnectFailure::Other(reason) => (OTHER, reason.into_string()),
        };
        Self { kind, message }
    }
}

#[cfg(test)]
mod tests;
