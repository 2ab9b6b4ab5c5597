//! The protobuf messages.
//!
//! Private: outside, only the types that they are parsed into are seen. Tags are
//! never used again for something else. Nothing is required: a missing field
//! is its default, and the parser decides whether that will do.

use bytes::Bytes;
use prost::{Message, Oneof};

/// Host to process 1.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct HostFrame {
    #[prost(oneof = "HostKind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 16, 17, 18, 19")]
    pub(crate) kind: Option<HostKind>,
}

/// What the host says.
#[derive(Clone, PartialEq, Oneof)]
#[prost(skip_debug)]
pub(crate) enum HostKind {
    #[prost(message, tag = "1")]
    Hello(HostHello),
    #[prost(message, tag = "2")]
    Ping(Empty),
    #[prost(message, tag = "3")]
    Exec(Exec),
    #[prost(message, tag = "4")]
    Watch(Empty),
    #[prost(message, tag = "5")]
    Stop(Stop),
    #[prost(message, tag = "6")]
    WriteFile(WriteFile),
    #[prost(message, tag = "7")]
    ReadFile(ReadFile),
    #[prost(message, tag = "8")]
    Connect(Connect),
    #[prost(bytes = "bytes", tag = "16")]
    Data(Bytes),
    #[prost(message, tag = "17")]
    CloseInput(Empty),
    #[prost(message, tag = "18")]
    Resize(TerminalSize),
    #[prost(uint32, tag = "19")]
    Signal(u32),
}

/// Process 1 to host.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct InitFrame {
    #[prost(
        oneof = "InitKind",
        tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19"
    )]
    pub(crate) kind: Option<InitKind>,
}

/// What process 1 says.
#[derive(Clone, PartialEq, Oneof)]
#[prost(skip_debug)]
pub(crate) enum InitKind {
    #[prost(message, tag = "1")]
    Hello(InitHello),
    #[prost(message, tag = "2")]
    Pong(Empty),
    #[prost(message, tag = "3")]
    Started(Started),
    #[prost(bytes = "bytes", tag = "4")]
    Stdout(Bytes),
    #[prost(bytes = "bytes", tag = "5")]
    Stderr(Bytes),
    #[prost(message, tag = "6")]
    Exit(Ended),
    #[prost(string, tag = "7")]
    Failed(String),
    #[prost(uint32, tag = "8")]
    Busy(u32),
    #[prost(string, tag = "9")]
    Refused(String),
    #[prost(message, tag = "10")]
    Ending(Empty),
    #[prost(uint64, tag = "11")]
    LogAdvanced(u64),
    #[prost(message, tag = "12")]
    MainExited(ExitRecord),
    #[prost(bytes = "bytes", tag = "13")]
    FileContent(Bytes),
    #[prost(message, tag = "14")]
    Done(Empty),
    #[prost(message, tag = "15")]
    FileFailed(FileFailed),
    #[prost(message, tag = "16")]
    Connected(Empty),
    #[prost(bytes = "bytes", tag = "17")]
    Received(Bytes),
    #[prost(message, tag = "18")]
    ReceivedAll(Empty),
    #[prost(message, tag = "19")]
    NotConnected(NotConnected),
}

impl InitKind {
    /// Takes what it carries of output or of a file, and leaves nothing in its place.
    pub(crate) fn take_content(&mut self) -> Option<Bytes> {
        if let Self::Stdout(content)
        | Self::Stderr(content)
        | Self::FileContent(content)
        | Self::Received(content) = self
        {
            return Some(std::mem::take(content));
        }
        None
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HostHello {
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct InitHello {
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct Exec {
    #[prost(string, repeated, tag = "1")]
    pub(crate) command: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) environment: Vec<Variable>,
    #[prost(string, optional, tag = "3")]
    pub(crate) directory: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(crate) user: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub(crate) terminal: Option<TerminalSize>,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct Variable {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TerminalSize {
    #[prost(uint32, tag = "1")]
    pub(crate) columns: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) rows: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Stop {
    #[prost(uint64, tag = "1")]
    pub(crate) grace_ms: u64,
    #[prost(uint32, optional, tag = "2")]
    pub(crate) signal: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WriteFile {
    #[prost(string, tag = "1")]
    pub(crate) path: String,
    #[prost(uint64, tag = "2")]
    pub(crate) size_bytes: u64,
    #[prost(uint32, optional, tag = "3")]
    pub(crate) mode: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReadFile {
    #[prost(string, tag = "1")]
    pub(crate) path: String,
    #[prost(uint64, tag = "2")]
    pub(crate) bytes_max: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Connect {
    #[prost(uint32, tag = "1")]
    pub(crate) port: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NotConnected {
    #[prost(uint32, tag = "1")]
    pub(crate) kind: u32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Started {
    #[prost(uint32, tag = "1")]
    pub(crate) pid: u32,
    #[prost(int64, tag = "2")]
    pub(crate) at_micros: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Ended {
    #[prost(oneof = "EndedKind", tags = "1, 2")]
    pub(crate) kind: Option<EndedKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum EndedKind {
    #[prost(uint32, tag = "1")]
    Code(u32),
    #[prost(uint32, tag = "2")]
    Signal(u32),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExitRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) ended: Option<Ended>,
    #[prost(int64, tag = "2")]
    pub(crate) at_micros: i64,
    #[prost(bool, tag = "3")]
    pub(crate) asked: bool,
    #[prost(string, optional, tag = "4")]
    pub(crate) not_started: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct FileFailed {
    #[prost(uint32, tag = "1")]
    pub(crate) kind: u32,
    #[prost(uint64, tag = "2")]
    pub(crate) size_bytes: u64,
    #[prost(string, tag = "3")]
    pub(crate) message: String,
}

/// One record of the status file.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StatusFrame {
    #[prost(oneof = "StatusKind", tags = "1, 2")]
    pub(crate) kind: Option<StatusKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum StatusKind {
    #[prost(message, tag = "1")]
    Started(Started),
    #[prost(message, tag = "2")]
    Exited(ExitRecord),
}

/// What the sandbox is to be.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct Config {
    #[prost(string, repeated, tag = "1")]
    pub(crate) command: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) environment: Vec<Variable>,
    #[prost(string, tag = "3")]
    pub(crate) directory: String,
    #[prost(string, tag = "4")]
    pub(crate) user: String,
    #[prost(uint32, tag = "5")]
    pub(crate) stop_signal: u32,
    #[prost(message, optional, tag = "6")]
    pub(crate) limits: Option<Limits>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Limits {
    #[prost(uint32, tag = "1")]
    pub(crate) execs: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) connections: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) file_jobs: u32,
    #[prost(uint64, tag = "4")]
    pub(crate) log_bytes: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) log_records: u64,
    #[prost(uint32, tag = "6")]
    pub(crate) tunnels: u32,
}

/// What an agent is told.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct AgentConfig {
    #[prost(uint32, tag = "1")]
    pub(crate) port: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) key: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    pub(crate) limits: Option<Limits>,
}
