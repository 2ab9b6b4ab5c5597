//! Connections to process 1 of one sandbox.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use palisade_backend::Upload;
use palisade_init_client::{ANSWER_LIMIT, ClientError, Connection, Peer};
use palisade_init_protocol::request::{Exec, FileMode, Stop};
use palisade_init_protocol::text::AbsolutePath;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time;

/// The longest path that a socket address holds.
const ADDRESS_BYTES_MAX: usize = 107;

/// A command that runs. Dropping both of its directions kills it.
pub type Command = palisade_init_client::Command<OwnedReadHalf, OwnedWriteHalf>;
/// What goes into a command.
pub type CommandInput = palisade_init_client::CommandInput<OwnedWriteHalf>;
/// What comes out of a command.
pub type CommandOutput = palisade_init_client::CommandOutput<OwnedReadHalf>;
/// How the main process does.
pub type Watch = palisade_init_client::Watch<OwnedReadHalf, OwnedWriteHalf>;

/// Talks to process 1 of one sandbox. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Talks to whoever listens there.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        let socket = socket.into();
        Self { socket }
    }

    /// A connection for one request.
    pub(super) async fn open(
        &self,
    ) -> Result<Connection<OwnedReadHalf, OwnedWriteHalf>, ClientError> {
        let connected = time::timeout(ANSWER_LIMIT, connect(&self.socket)).await;
        let (reader, writer) = connected.map_err(|_| ClientError::Silent)??.into_split();
        Ok(Connection::new(reader, writer, Peer::ProcessOne))
    }

    /// Which version of the protocol process 1 speaks.
    pub async fn hello(&self) -> Result<u32, ClientError> {
        self.open().await?.hello().await
    }

    /// Whether process 1 answers.
    pub async fn ping(&self) -> Result<(), ClientError> {
        self.open().await?.ping().await
    }

    /// Asks the main process to end, and has everything killed after a grace.
    ///
    /// Returns once that is under way. That it is ending already is no error.
    pub async fn stop(&self, stop: Stop) -> Result<(), ClientError> {
        self.open().await?.stop(stop).await
    }

    /// Starts a command, and returns once it runs.
    pub async fn exec(&self, exec: Exec) -> Result<Command, ClientError> {
        self.open().await?.exec(exec).await
    }

    /// Follows the main process.
    pub async fn watch(&self) -> Result<Watch, ClientError> {
        self.open().await?.watch().await
    }

    /// Writes a file, making the directories above it; without a mode it keeps
    /// the one that it has.
    pub async fn write_file(
        &self,
        path: AbsolutePath,
        mode: Option<FileMode>,
        content: Upload,
    ) -> Result<(), ClientError> {
        let connection = self.open().await?;
        connection.write_file(path, mode, content).await
    }

    /// Reads a file of at most so many bytes.
    pub async fn read_file(
        &self,
        path: AbsolutePath,
        bytes_max: u64,
    ) -> Result<Bytes, ClientError> {
        self.open().await?.read_file(path, bytes_max).await
    }
}

async fn connect(path: &Path) -> Result<UnixStream, ClientError> {
    let connected = if path.as_os_str().len() > ADDRESS_BYTES_MAX {
        connect_far(path).await
    } else {
        UnixStream::connect(path).await
    };
    connected.map_err(|error| {
        // The end of process 1 leaves the socket behind with nobody at it.
        let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
        if nobody.contains(&error.kind()) {
            ClientError::NotRunning
        } else {
            ClientError::Lost(error)
        }
    })
}

/// Connects through a descriptor of the directory, which has a short name.
async fn connect_far(path: &Path) -> io::Result<UnixStream> {
    let (directory, name) = super::launch::directory_and_name(path)?;
    UnixStream::connect(super::launch::short_path(&directory, name)).await
}
