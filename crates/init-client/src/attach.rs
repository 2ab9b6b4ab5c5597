//! Commands and files of a sandbox, as [`palisade_backend::Attach`] promises
//! them.

use bytes::Bytes;
use palisade_backend::{
    AttachError, EXEC_QUEUE_MAX, Exec, ExecEvent, ExecInput, ExecSpec, FileError, Terminal, Upload,
};
use palisade_init_protocol::answer::FileFailure;
use palisade_init_protocol::request::{self, Input};
use palisade_init_protocol::text::{
    AbsolutePath, Command, Invalid, SignalNumber, Stream, TerminalSize, Variable,
};
use palisade_model::sandbox::Exit;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::command::{CommandEvent, CommandInput, CommandOutput};
use crate::connection::{Connection, Peer};
use crate::error::ClientError;

/// Starts a command, and moves what goes in and comes out on a task of `tasks`.
pub async fn exec<R, W>(
    connection: Connection<R, W>,
    spec: ExecSpec,
    tasks: &TaskTracker,
) -> Result<Exec, AttachError>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let request = request_of(spec).map_err(|error| AttachError::ExecFailed {
        message: error.to_string(),
    })?;
    let peer = connection.peer;
    let command = connection.exec(request).await.map_err(attach_error)?;
    let (their_input, output) = command.split();
    let (input, inputs) = mpsc::channel(EXEC_QUEUE_MAX);
    let (sender, events) = mpsc::channel(EXEC_QUEUE_MAX);
    tasks.spawn(async move {
        tokio::select! {
            () = move_output(output, peer, &sender) => {}
            // Nobody wants it any more: dropping the connection kills it.
            () = sender.closed() => {}
            () = move_input(inputs, their_input) => {}
        }
    });
    Ok(Exec { input, events })
}

/// Writes a file.
pub async fn write_file<R, W>(
    connection: Connection<R, W>,
    path: &str,
    content: Upload,
) -> Result<(), AttachError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let written = connection.write_file(absolute(path)?, None, content).await;
    written.map_err(|error| file_error(path, 0, error))
}

/// Reads a file.
pub async fn read_file<R, W>(
    connection: Connection<R, W>,
    path: &str,
    bytes_max: u64,
) -> Result<Bytes, AttachError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let read = connection.read_file(absolute(path)?, bytes_max).await;
    read.map_err(|error| file_error(path, bytes_max, error))
}

/// Tells everything up to the end. Ends early when nobody wants it any more.
async fn move_output<R: AsyncRead + Unpin>(
    mut output: CommandOutput<R>,
    peer: Peer,
    events: &mpsc::Sender<ExecEvent>,
) {
    let mut event = ExecEvent::Started;
    loop {
        let is_last = matches!(event, ExecEvent::Exit(_) | ExecEvent::Failed(_));
        if events.send(event).await.is_err() || is_last {
            return;
        }
        event = match output.next().await {
            Ok(CommandEvent::Output { stream, data }) => match stream {
                Stream::Stdout => ExecEvent::Stdout(data),
                Stream::Stderr => ExecEvent::Stderr(data),
            },
            Ok(CommandEvent::Exit(ended)) => ExecEvent::Exit(Exit(ended.shell_code())),
            Err(ClientError::Lost(_)) if peer == Peer::ProcessOne => {
                ExecEvent::Failed(AttachError::NotRunning)
            }
            Err(error) => ExecEvent::Failed(attach_error(error)),
        };
    }
}

/// Passes input on; never ends, as the end of input is not that of the command.
async fn move_input<W: AsyncWrite + Unpin>(
    mut inputs: mpsc::Receiver<ExecInput>,
    mut command: CommandInput<W>,
) {
    while let Some(input) = inputs.recv().await {
        let sent = match input {
            ExecInput::Stdin(bytes) => command.write(bytes).await,
            ExecInput::Close => command.send(Input::Close).await,
            ExecInput::Resize(size) => command.send(Input::Resize(terminal_size(size))).await,
            ExecInput::Signal(number) => match SignalNumber::new(number.into()) {
                Ok(signal) => command.send(Input::Signal(signal)).await,
                // No process could be sent it.
                Err(_) => Ok(()),
            },
        };
        if sent.is_err() {
            // The command has ended; what is left of its output tells how.
            break;
        }
    }
    let _ = command.send(Input::Close).await;
    // Taken and dropped, so that nobody waits to be heard.
    while inputs.recv().await.is_some() {}
    std::future::pending::<()>().await;
}

fn request_of(spec: ExecSpec) -> Result<request::Exec, Invalid> {
    let ExecSpec {
        command,
        environment,
        terminal,
    } = spec;
    let environment = environment
        .into_iter()
        .map(|(name, value)| Variable::new(name, value))
        .collect::<Result<_, _>>()?;
    Ok(request::Exec {
        command: Command::new(command)?,
        environment,
        directory: None,
        user: None,
        terminal: terminal.map(terminal_size),
    })
}

fn terminal_size(size: Terminal) -> TerminalSize {
    let Terminal { width, height } = size;
    TerminalSize {
        columns: width,
        rows: height,
    }
}

fn absolute(path: &str) -> Result<AbsolutePath, AttachError> {
    AbsolutePath::new(path.to_owned()).map_err(|_| AttachError::File {
        path: path.to_owned(),
        error: FileError::BadPath,
    })
}

/// What a failure means to whoever talks to the sandbox.
pub fn attach_error(error: ClientError) -> AttachError {
    match error {
        ClientError::NotRunning | ClientError::Ending => AttachError::NotRunning,
        ClientError::Busy { limit } => AttachError::Busy {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        },
        ClientError::Failed(reason) => AttachError::ExecFailed {
            message: reason.into_string(),
        },
        ClientError::TooLong => AttachError::ExecFailed {
            message: "the command and its variables are too long".to_owned(),
        },
        ClientError::File(_)
        | ClientError::Connect(_)
        | ClientError::Refused(_)
        | ClientError::Nonsense
        | ClientError::Silent
        | ClientError::Incomplete
        | ClientError::Lost(_) => AttachError::Lost,
    }
}

fn file_error(path: &str, bytes_max: u64, error: ClientError) -> AttachError {
    let ClientError::File(failure) = error else {
        return attach_error(error);
    };
    let error = match failure {
        FileFailure::NotFound => FileError::NotFound,
        FileFailure::IsDirectory => FileError::IsDirectory,
        FileFailure::PermissionDenied => FileError::PermissionDenied,
        FileFailure::TooLarge { size_bytes } => FileError::TooLarge {
            size_bytes,
            bytes_max,
        },
        FileFailure::BadPath => FileError::BadPath,
        FileFailure::Io(reason) => FileError::Io {
            message: reason.into_string(),
        },
    };
    AttachError::File {
        path: path.to_owned(),
        error,
    }
}
