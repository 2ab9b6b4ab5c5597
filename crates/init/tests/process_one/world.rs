//! A sandbox without walls: process 1 in new pid and mount namespaces, on the
//! files of this machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use palisade_backend_linux::init_client::{
    Client, ClientError, CommandEvent, CommandInput, CommandOutput, Handover, Paths,
};
use palisade_init_protocol::answer::{Ended, ExitRecord};
use palisade_init_protocol::config::{Config, Limits};
use palisade_init_protocol::log::Piece;
use palisade_init_protocol::request::{Exec, Stop};
use palisade_init_protocol::text::{
    self, AbsolutePath, SignalNumber, Stream, TerminalSize, UserName, Variable,
};
use tempfile::TempDir;
use tokio::time;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) paths: Paths,
    pub(crate) folder: TempDir,
    child: Child,
}

/// What a command wrote, and how it ended.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) ended: Option<Ended>,
}

/// A main process that ends as soon as it is asked to.
pub(crate) fn idle() -> Config {
    shell("trap 'exit 0' TERM INT; sleep infinity & wait")
}

pub(crate) fn shell(script: &str) -> Config {
    config(&["/bin/sh", "-c", script])
}

pub(crate) fn config(words: &[&str]) -> Config {
    Config {
        command: command(words),
        environment: vec![variable("FROM_IMAGE", "yes")],
        directory: AbsolutePath::new("/".into()).unwrap(),
        user: UserName::default(),
        stop_signal: SignalNumber::TERM,
        limits: Limits::DEFAULT,
    }
}

pub(crate) fn command(words: &[&str]) -> text::Command {
    text::Command::new(words.iter().map(|word| (*word).to_owned()).collect()).unwrap()
}

pub(crate) fn variable(name: &str, value: &str) -> Variable {
    Variable::new(name.into(), value.into()).unwrap()
}

pub(crate) fn exec(words: &[&str]) -> Exec {
    Exec {
        command: command(words),
        environment: Vec::new(),
        directory: None,
        user: None,
        terminal: None,
    }
}

pub(crate) fn sh(script: &str) -> Exec {
    exec(&["/bin/sh", "-c", script])
}

pub(crate) fn on_terminal(mut exec: Exec) -> Exec {
    exec.terminal = Some(TerminalSize {
        columns: 80,
        rows: 24,
    });
    exec
}

impl World {
    pub(crate) async fn start(config: Config) -> Self {
        let world = Self::launch(config);
        time::timeout(PATIENCE, world.client.ping())
            .await
            .expect("process 1 answers")
            .expect("process 1 runs");
        world
    }

    /// Starts process 1, and does not wait for it.
    pub(crate) fn launch(config: Config) -> Self {
        Self::launch_program(Path::new(env!("CARGO_BIN_EXE_palisade-init")), config)
    }

    pub(crate) fn launch_program(program: &Path, config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::in_directory(folder.path());
        let handover = Handover::open(&paths, config).unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--fork", "--mount-proc", "--kill-child", "--"])
            .arg(program)
            .stdin(Stdio::null());
        handover.give_to(&mut command).unwrap();
        let child = command.spawn().unwrap();
        Self {
            client: Client::new(paths.socket.clone()),
            paths,
            folder,
            child,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn inside(&self, name: &str) -> AbsolutePath {
        absolute(&self.path(name))
    }

    pub(crate) async fn run(&self, exec: Exec) -> Outcome {
        let (_input, mut output) = self.begin(exec).await;
        outcome(&mut output).await
    }

    pub(crate) async fn begin(&self, exec: Exec) -> (CommandInput, CommandOutput) {
        let started = time::timeout(PATIENCE, self.client.exec(exec)).await;
        started.expect("it is told").expect("it starts").split()
    }

    pub(crate) async fn stop(&self, grace: Duration) {
        let stop = Stop {
            grace_ms: u64::try_from(grace.as_millis()).unwrap(),
            signal: None,
        };
        self.client.stop(stop).await.expect("a stop is taken");
    }

    /// Waits until process 1 is gone, and returns its code and what it recorded.
    pub(crate) async fn gone(&mut self) -> (Option<i32>, ExitRecord) {
        let code = self
            .until("process 1 is gone", |world| world.child.try_wait().unwrap())
            .await;
        let status = self.paths.read_status().unwrap();
        (code.code(), status.exit.expect("the end is recorded"))
    }

    /// Waits until something holds.
    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let found = time::timeout(PATIENCE, async {
            let mut found = look(self);
            while found.is_none() {
                time::sleep(Duration::from_millis(2)).await;
                found = look(self);
            }
            found
        });
        found
            .await
            .ok()
            .flatten()
            .unwrap_or_else(|| panic!("waited for: {what}"))
    }

    /// All that was written to the log, by stream.
    pub(crate) fn log(&self) -> (Vec<u8>, Vec<u8>) {
        let reader = self.paths.open_log().unwrap();
        let mut cursor = reader.at_start().unwrap();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        while let Some(piece) = reader.next(&mut cursor, 64 * 1024).unwrap() {
            match piece {
                Piece::Chunk(chunk) => match chunk.stream {
                    Stream::Stdout => stdout.extend_from_slice(&chunk.data),
                    Stream::Stderr => stderr.extend_from_slice(&chunk.data),
                },
                Piece::Lost { bytes, .. } => panic!("{bytes} bytes were lost"),
            }
        }
        (stdout, stderr)
    }

    /// How many processes there are inside with just these arguments.
    pub(crate) async fn count(&self, arguments: &str) -> usize {
        let script = "for p in /proc/[0-9]*; do case $(tr '\\0' ' ' 2>/dev/null <$p/cmdline) in \
            \"$WANTED \"*) echo $p ;; esac; done";
        let mut look = sh(script);
        look.environment = vec![variable("WANTED", arguments)];
        let found = self.run(look).await;
        found.stdout.split(|byte| *byte == b'\n').count() - 1
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn absolute(path: &Path) -> AbsolutePath {
    AbsolutePath::new(path.to_str().unwrap().to_owned()).unwrap()
}

/// Reads everything that comes out.
pub(crate) async fn outcome(output: &mut CommandOutput) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        match next(output).await.expect("the command goes on") {
            CommandEvent::Output { stream, data } => match stream {
                Stream::Stdout => outcome.stdout.extend_from_slice(&data),
                Stream::Stderr => outcome.stderr.extend_from_slice(&data),
            },
            CommandEvent::Exit(ended) => {
                outcome.ended = Some(ended);
                return outcome;
            }
        }
    }
}

pub(crate) async fn next(output: &mut CommandOutput) -> Result<CommandEvent, ClientError> {
    let event = time::timeout(PATIENCE, output.next()).await;
    event.expect("something comes out in time")
}

/// Reads until something was written, and returns all that was.
pub(crate) async fn until_written(output: &mut CommandOutput, wanted: &str) -> String {
    let mut seen = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if text.contains(wanted) {
            return text;
        }
        match next(output).await {
            Ok(CommandEvent::Output { data, .. }) => seen.extend_from_slice(&data),
            other => panic!("{other:?} after {text:?}, waiting for {wanted:?}"),
        }
    }
}

pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
