//! An agent, and connections to it.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use palisade_init_client::{
    CommandEvent, CommandOutput, Connection, Peer, SealedReader, SealedWriter, shake_hands,
};
use palisade_init_protocol::agent::{AgentConfig, Key, REPORT_BYTES_MAX, Report};
use palisade_init_protocol::answer::Ended;
use palisade_init_protocol::config::Limits;
use palisade_init_protocol::request::Exec;
use palisade_init_protocol::text::{self, AbsolutePath, Stream};
use tempfile::TempDir;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) type Way = Connection<SealedReader<OwnedReadHalf>, SealedWriter<OwnedWriteHalf>>;

/// An agent that listens.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) child: Child,
    /// Without it the agent ends.
    pub(crate) input: Option<ChildStdin>,
    pub(crate) output: BufReader<ChildStdout>,
    pub(crate) port: NonZeroU16,
    pub(crate) key: Key,
}

/// What a command wrote, and how it ended.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) ended: Option<Ended>,
}

/// A port at which nobody listens.
pub(crate) fn free_port() -> NonZeroU16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    NonZeroU16::new(listener.local_addr().unwrap().port()).unwrap()
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// One whose command is changed before it starts.
    pub(crate) async fn with(change: impl FnOnce(&mut Command)) -> Self {
        let (mut world, report) = Self::tell(free_port(), Limits::DEFAULT, change).await;
        assert_eq!(report, Some(Report::Listening));
        assert!(world.child.try_wait().unwrap().is_none());
        world
    }

    /// Starts one, tells it what to be, and returns what it says.
    pub(crate) async fn tell(
        port: NonZeroU16,
        limits: Limits,
        change: impl FnOnce(&mut Command),
    ) -> (Self, Option<Report>) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_palisade-init"));
        command
            .arg("agent")
            .env("FROM_OUTSIDE", "yes")
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let key = Key::new(*b"0123456789abcdef0123456789abcdef");
        let mut input = child.stdin.take().unwrap();
        let config = AgentConfig {
            port,
            key: key.clone(),
            limits,
        };
        input.write_all(&config.encode()).await.unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let report = read_report(&mut output).await;
        let world = Self {
            folder,
            child,
            input: Some(input),
            output,
            port,
            key,
        };
        (world, report)
    }

    pub(crate) async fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port.get())).await;
        stream.expect("the agent listens")
    }

    /// A connection of somebody who knows the key.
    pub(crate) async fn open(&self) -> Way {
        let (reader, writer) = self.dial().await.into_split();
        let shaken = time::timeout(PATIENCE, shake_hands(reader, writer, &self.key)).await;
        let (reader, writer) = shaken.expect("it is answered").expect("it knows the key");
        Connection::new(reader, writer, Peer::Agent)
    }

    pub(crate) async fn run(&self, exec: Exec) -> Outcome {
        let command = self.open().await.exec(exec).await.unwrap();
        let (_input, mut output) = command.split();
        outcome(&mut output).await
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// The children of the agent, as its kernel lists them.
    pub(crate) fn children(&self) -> Vec<u32> {
        let pid = self.pid();
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let text = text.unwrap_or_default();
        text.split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect()
    }
}

async fn read_report(output: &mut (impl AsyncRead + Unpin)) -> Option<Report> {
    let mut line = String::new();
    let mut output = BufReader::with_capacity(1, output.take(REPORT_BYTES_MAX as u64));
    let read = time::timeout(PATIENCE, output.read_line(&mut line)).await;
    read.expect("it says something").unwrap();
    Report::parse(line.trim_end())
}

/// Reads everything that comes out.
pub(crate) async fn outcome<R: AsyncRead + Unpin>(output: &mut CommandOutput<R>) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        let event = time::timeout(PATIENCE, output.next()).await;
        match event.expect("it goes on").expect("it is told") {
            CommandEvent::Output { stream, data } => {
                let text = String::from_utf8_lossy(&data);
                match stream {
                    Stream::Stdout => outcome.stdout.push_str(&text),
                    Stream::Stderr => outcome.stderr.push_str(&text),
                }
            }
            CommandEvent::Exit(ended) => {
                outcome.ended = Some(ended);
                return outcome;
            }
        }
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = time::timeout(PATIENCE, async {
        while !holds() {
            time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("waited for: {what}"));
}

pub(crate) fn sh(script: &str) -> Exec {
    let words = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    Exec {
        command: text::Command::new(words).unwrap(),
        environment: Vec::new(),
        directory: None,
        user: None,
        terminal: None,
    }
}

pub(crate) fn absolute(path: &Path) -> AbsolutePath {
    AbsolutePath::new(path.to_str().unwrap().to_owned()).unwrap()
}

pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}
