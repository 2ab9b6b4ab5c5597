//! What the host asks of process 1: one request to a connection, and for some
//! of them what follows it.
//!
//! Invariant: a decoded value is valid, so that nothing behind checks it again.

use std::num::NonZeroU16;

use bytes::{Buf as _, Bytes};
use prost::Message;

use crate::frame::{self, FRAME_BYTES_MAX, Frame, FrameTooLong};
use crate::text::{
    AbsolutePath, Command, Data, Invalid, SignalNumber, TerminalSize, UserName, Variable,
};
use crate::wire;
use crate::wire::HostKind;

/// Grows by one whenever a kind of request is added.
pub const PROTOCOL_VERSION: u32 = 2;

/// The first frame of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Which protocol is spoken? Answered by `Hello`.
    Hello {
        /// The version of the host.
        version: u32,
    },
    /// Is anybody there? Answered by `Pong`.
    Ping,
    /// Run a command. Answered by `Started`, outputs and `Exit`; or by `Failed`.
    Exec(Exec),
    /// Tell how the main process does. Answered by `Started`, any number of
    /// `LogAdvanced`, and `MainExited`.
    Watch,
    /// End the main process. Answered by `Done` once that is under way.
    Stop(Stop),
    /// Write a file; its content follows. Answered by `Done` or `FileFailed`.
    WriteFile(WriteFile),
    /// Read a file. Answered by contents and `Done`, or by `FileFailed`.
    ReadFile(ReadFile),
    /// Connect to a port of the sandbox's own loopback; data and the end of them
    /// follow. Answered by `Connected`, data, `ReceivedAll`, and `Done` once both
    /// directions have ended; or by `NotConnected`. Since version 2.
    Connect(Connect),
}

/// A command to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The program and its arguments.
    pub command: Command,
    /// Variables on top of those of the main process; the last of a name wins.
    pub environment: Vec<Variable>,
    /// Where to run it; `None` is where the main process was started.
    pub directory: Option<AbsolutePath>,
    /// Who runs it; `None` is whoever runs the main process.
    pub user: Option<UserName>,
    /// The terminal to give it; `None` gives it pipes.
    pub terminal: Option<TerminalSize>,
}

/// An end to the main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// How long to wait before everything is killed. An earlier end that was
    /// asked for before stays.
    pub grace_ms: u64,
    /// How to ask; `None` is as the image wants it.
    pub signal: Option<SignalNumber>,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteFile {
    /// Where.
    pub path: AbsolutePath,
    /// How many bytes follow.
    pub size_bytes: u64,
    /// Permissions; `None` keeps those of the file that is replaced, or is 0644.
    pub mode: Option<FileMode>,
}

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFile {
    /// Which one.
    pub path: AbsolutePath,
    /// How many bytes it may have.
    pub bytes_max: u64,
}

/// A port of the sandbox's loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Where somebody listens, over IPv4 or IPv6.
    pub port: NonZeroU16,
}

/// Permissions of a file: read, write and execute for owner, group and others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(u16);

/// What follows a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Bytes for standard input, of the file, or for the port.
    Data(Data),
    /// The end of standard input, or of what is sent to the port.
    Close,
    /// A new size of the terminal.
    Resize(TerminalSize),
    /// A signal for the command and all that it started.
    Signal(SignalNumber),
}

/// A frame of the host that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// It is not a message at all.
    #[error("the frame is not a message of the protocol")]
    NotAMessage,
    /// It is of a kind that this version does not know.
    #[error("the frame is of a kind that protocol version {PROTOCOL_VERSION} does not know")]
    UnknownKind,
    /// It is of a kind that belongs elsewhere.
    #[error("the frame is of a kind that does not belong here")]
    Misplaced,
    /// A part of it is not valid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl FileMode {
    /// Readable by all, writable by the owner.
    pub const DEFAULT: Self = Self(0o644);

    /// Takes permissions; anything beyond them, as set-user-id, is refused.
    pub fn new(mode: u32) -> Result<Self, Invalid> {
        match u16::try_from(mode) {
            Ok(mode @ 0..=0o777) => Ok(Self(mode)),
            Ok(_) | Err(_) => Err(Invalid::OutOfRange {
                what: "the mode of a file",
            }),
        }
    }

    /// The bits.
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }
}

impl Request {
    /// Parses the body of a frame.
    pub fn decode(body: Bytes) -> Result<Self, BadFrame> {
        Ok(match kind(body)? {
            HostKind::Hello(wire::HostHello { version }) => Self::Hello { version },
            HostKind::Ping(wire::Empty {}) => Self::Ping,
            HostKind::Exec(exec) => Self::Exec(exec.try_into()?),
            HostKind::Watch(wire::Empty {}) => Self::Watch,
            HostKind::Stop(stop) => Self::Stop(stop.try_into()?),
            HostKind::WriteFile(write) => Self::WriteFile(write.try_into()?),
            HostKind::ReadFile(read) => Self::ReadFile(read.try_into()?),
            HostKind::Connect(connect) => Self::Connect(connect.try_into()?),
            HostKind::Data(_)
            | HostKind::CloseInput(_)
            | HostKind::Resize(_)
            | HostKind::Signal(_) => return Err(BadFrame::Misplaced),
        })
    }

    /// The frame; a command can be too long for one.
    pub fn encode(self) -> Result<Bytes, FrameTooLong> {
        let kind = match self {
            Self::Hello { version } => HostKind::Hello(wire::HostHello { version }),
            Self::Ping => HostKind::Ping(wire::Empty {}),
            Self::Exec(exec) => HostKind::Exec(exec.into()),
            Self::Watch => HostKind::Watch(wire::Empty {}),
            Self::Stop(Stop { grace_ms, signal }) => HostKind::Stop(wire::Stop {
                grace_ms,
                signal: signal.map(|signal| u32::from(signal.get())),
            }),
            Self::WriteFile(write) => HostKind::WriteFile(write.into()),
            Self::ReadFile(ReadFile { path, bytes_max }) => HostKind::ReadFile(wire::ReadFile {
                path: path.into_string(),
                bytes_max,
            }),
            Self::Connect(Connect { port }) => HostKind::Connect(wire::Connect {
                port: port.get().into(),
            }),
        };
        let message = wire::HostFrame { kind: Some(kind) };
        match message.encoded_len() {
            len if len > FRAME_BYTES_MAX => Err(FrameTooLong { len }),
            _ => Ok(frame::encode(&message)),
        }
    }
}

impl Input {
    /// Parses the body of a frame.
    pub fn decode(body: Bytes) -> Result<Self, BadFrame> {
        Ok(match kind(body)? {
            HostKind::Data(bytes) => Self::Data(Data::new(bytes)?),
            HostKind::CloseInput(wire::Empty {}) => Self::Close,
            HostKind::Resize(size) => Self::Resize(size.try_into()?),
            HostKind::Signal(number) => Self::Signal(SignalNumber::new(number.into())?),
            HostKind::Hello(_)
            | HostKind::Ping(_)
            | HostKind::Exec(_)
            | HostKind::Watch(_)
            | HostKind::Stop(_)
            | HostKind::WriteFile(_)
            | HostKind::ReadFile(_)
            | HostKind::Connect(_) => return Err(BadFrame::Misplaced),
        })
    }

    /// The frame.
    pub fn encode(self) -> Frame {
        let kind = match self {
            Self::Data(data) => {
                let content = data.into_bytes();
                let kind = Some(HostKind::Data(Bytes::new()));
                return frame::head(&wire::HostFrame { kind }, content.len()).chain(content);
            }
            Self::Close => HostKind::CloseInput(wire::Empty {}),
            Self::Resize(size) => HostKind::Resize(size.into()),
            Self::Signal(signal) => HostKind::Signal(signal.get().into()),
        };
        frame::encode(&wire::HostFrame { kind: Some(kind) }).chain(Bytes::new())
    }
}

fn kind(body: Bytes) -> Result<HostKind, BadFrame> {
    wire::HostFrame::decode(body)
        .map_err(|_| BadFrame::NotAMessage)?
        .kind
        .ok_or(BadFrame::UnknownKind)
}

impl TryFrom<wire::Exec> for Exec {
    type Error = Invalid;

    fn try_from(message: wire::Exec) -> Result<Self, Invalid> {
        let wire::Exec {
            command,
            environment,
            directory,
            user,
            terminal,
        } = message;
        Ok(Self {
            command: Command::new(command)?,
            environment: variables(environment)?,
            directory: directory.map(AbsolutePath::new).transpose()?,
            user: user.map(UserName::new).transpose()?,
            terminal: terminal.map(TerminalSize::try_from).transpose()?,
        })
    }
}

impl From<Exec> for wire::Exec {
    fn from(exec: Exec) -> Self {
        let Exec {
            command,
            environment,
            directory,
            user,
            terminal,
        } = exec;
        Self {
            command: command.into_words(),
            environment: environment.into_iter().map(Into::into).collect(),
            directory: directory.map(AbsolutePath::into_string),
            user: user.map(UserName::into_string),
            terminal: terminal.map(Into::into),
        }
    }
}

impl TryFrom<wire::Stop> for Stop {
    type Error = Invalid;

    fn try_from(message: wire::Stop) -> Result<Self, Invalid> {
        let wire::Stop { grace_ms, signal } = message;
        let signal = signal.map(|number| SignalNumber::new(number.into()));
        Ok(Self {
            grace_ms,
            signal: signal.transpose()?,
        })
    }
}

impl TryFrom<wire::WriteFile> for WriteFile {
    type Error = Invalid;

    fn try_from(message: wire::WriteFile) -> Result<Self, Invalid> {
        let wire::WriteFile {
            path,
            size_bytes,
            mode,
        } = message;
        Ok(Self {
            path: AbsolutePath::new(path)?,
            size_bytes,
            mode: mode.map(FileMode::new).transpose()?,
        })
    }
}

impl From<WriteFile> for wire::WriteFile {
    fn from(write: WriteFile) -> Self {
        let WriteFile {
            path,
            size_bytes,
            mode,
        } = write;
        Self {
            path: path.into_string(),
            size_bytes,
            mode: mode.map(FileMode::bits),
        }
    }
}

impl TryFrom<wire::ReadFile> for ReadFile {
    type Error = Invalid;

    fn try_from(message: wire::ReadFile) -> Result<Self, Invalid> {
        let wire::ReadFile { path, bytes_max } = message;
        Ok(Self {
            path: AbsolutePath::new(path)?,
            bytes_max,
        })
    }
}

impl TryFrom<wire::Connect> for Connect {
    type Error = Invalid;

    fn try_from(message: wire::Connect) -> Result<Self, Invalid> {
        let wire::Connect { port } = message;
        let port = u16::try_from(port).ok().and_then(NonZeroU16::new);
        let port = port.ok_or(Invalid::OutOfRange { what: "the port" })?;
        Ok(Self { port })
    }
}

impl TryFrom<wire::TerminalSize> for TerminalSize {
    type Error = Invalid;

    fn try_from(message: wire::TerminalSize) -> Result<Self, Invalid> {
        let wire::TerminalSize { columns, rows } = message;
        match (u16::try_from(columns), u16::try_from(rows)) {
            (Ok(columns), Ok(rows)) => Ok(Self { columns, rows }),
            (Err(_), _) | (_, Err(_)) => Err(Invalid::TerminalSize),
        }
    }
}

impl From<TerminalSize> for wire::TerminalSize {
    fn from(size: TerminalSize) -> Self {
        let TerminalSize { columns, rows } = size;
        Self {
            columns: columns.into(),
            rows: rows.into(),
        }
    }
}

impl From<Variable> for wire::Variable {
    fn from(variable: Variable) -> Self {
        let (name, value) = variable.into_parts();
        Self { name, value }
    }
}

/// Parses an environment.
pub(crate) fn variables(messages: Vec<wire::Variable>) -> Result<Vec<Variable>, Invalid> {
    messages
        .into_iter()
        .map(|wire::Variable { name, value }| Variable::new(name, value))
        .collect()
}

#[cfg(test)]
mod tests;
