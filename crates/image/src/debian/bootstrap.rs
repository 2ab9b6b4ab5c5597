//! Running `mmdebstrap`: bounded in time and output, and wholly ended.
//!
//! It runs in a process group of its own, which is killed when the work is given
//! up. What it mounts is in a mount namespace of its own, and what it writes is
//! in a directory that its caller removes.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::recipe::DebianRecipe;
use crate::error::{ImageError, harmless};
use crate::progress::Progress;
use crate::store::Inner;

/// One run of the program.
pub(super) struct Bootstrap<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) recipe: &'a DebianRecipe,
    pub(super) progress: &'a Progress,
    /// A directory for what it does.
    pub(super) work: PathBuf,
    /// Where its archive goes.
    pub(super) archive: PathBuf,
}

/// The name of the program, and of its package.
const TOOL: &str = "mmdebstrap";

/// What is done in the new root; see its own header.
const FINISH: &str = include_str!("finish.sh");

/// Makes `/bin` and its like links before anything is unpacked.
const MERGED_USR: &str = "/usr/share/mmdebstrap/hooks/merged-usr";

/// Documentation and translations, which no program reads.
const LEFT_OUT: [&str; 6] = ["doc", "man", "info", "locale", "lintian", "bug"];

/// All times in the archive; any would do, as long as it stays.
const EPOCH_SECONDS: &str = "1700000000";

/// Bytes of one line that it says, and how many of its last lines are kept.
const LINE_BYTES_MAX: u64 = 4 << 10;
const LINES_KEPT: usize = 4;

/// Pieces of the archive that wait to be written.
const QUEUE_LEN: usize = 8;
const PIECE_BYTES: usize = 128 << 10;

impl Bootstrap<'_> {
    /// Makes the archive.
    pub(super) async fn run(&self) -> Result<(), ImageError> {
        self.recipe
            .check()
            .map_err(|error| ImageError::Unsupported {
                what: error.to_string(),
                instead: "nothing was made",
            })?;
        let mut child = self.start()?;
        let group = Group::of(&child);
        let (Some(output), Some(said)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failed(io::Error::other("a pipe is missing")));
        };
        let work = async {
            let listening = async { Ok(self.listen(said).await) };
            let (last, ()) = tokio::try_join!(listening, self.write(output))?;
            let status = child.wait().await.map_err(failed)?;
            judge(status, &last)
        };
        let limit = self.recipe.time_max;
        let done = timeout(limit, work).await;
        group.end(child).await;
        done.unwrap_or(Err(ImageError::TimedOut {
            seconds: limit.as_secs(),
        }))
    }

    fn start(&self) -> Result<Child, ImageError> {
        let mut command = Command::new(&self.recipe.program);
        command.args(["--variant=extract", "--mode=root", "--format=tar"]);
        command.arg(format!("--hook-dir={MERGED_USR}"));
        for name in LEFT_OUT {
            command.arg(format!("--dpkgopt=path-exclude=/usr/share/{name}/*"));
        }
        command
            .arg(format!("--include={}", self.recipe.packages.join(",")))
            .arg(format!("--extract-hook={}", hook()))
            .args([&self.recipe.suite, "-"])
            .args(&self.recipe.mirror)
            .env("LC_ALL", "C.UTF-8")
            .env("SOURCE_DATE_EPOCH", EPOCH_SECONDS)
            .env("TMPDIR", &self.work)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command.spawn().map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return ImageError::ToolMissing {
                    tool: TOOL,
                    package: TOOL,
                };
            }
            failed(error)
        })
    }

    /// Shows what the program says, and gives its last lines.
    async fn listen(&self, said: impl AsyncRead + Unpin) -> Vec<String> {
        let mut said = BufReader::new(said);
        let mut last = Vec::new();
        loop {
            let mut line = Vec::new();
            let mut rest = (&mut said).take(LINE_BYTES_MAX);
            let read = rest.read_until(b'\n', &mut line);
            // An error is as good as an end: what counts is the exit status.
            if read.await.unwrap_or(0) == 0 {
                return last;
            }
            let text = harmless(line.trim_ascii());
            if let Some(stage) = line.trim_ascii().strip_prefix(b"I: ") {
                self.progress.stage(String::from_utf8_lossy(stage));
            }
            if last.len() == LINES_KEPT {
                last.remove(0);
            }
            last.push(text);
        }
    }

    /// Writes the archive, as long as it may get.
    async fn write(&self, output: impl AsyncRead + Unpin) -> Result<(), ImageError> {
        let (sender, receiver) = mpsc::channel(QUEUE_LEN);
        let path = self.archive.clone();
        let writing = self.inner.blocking(move |_, _| write_all(&path, receiver));
        let (written, read) =
            tokio::join!(writing, read_all(output, sender, self.recipe.bytes_max));
        written.and(read)
    }
}

async fn read_all(
    mut output: impl AsyncRead + Unpin,
    writer: mpsc::Sender<Vec<u8>>,
    bytes_max: u64,
) -> Result<(), ImageError> {
    let mut bytes = 0_u64;
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let count = output.read_buf(&mut piece).await.map_err(failed)?;
        bytes += count as u64;
        if bytes > bytes_max {
            return Err(ImageError::TooLarge {
                what: "the root file system (bytes)",
                limit: bytes_max,
            });
        }
        // A writer that is gone has an error of its own to tell.
        if count == 0 || writer.send(piece).await.is_err() {
            return Ok(());
        }
    }
}

/// The script is one argument of a shell in the new root; it holds no quote.
fn hook() -> String {
    format!("exec chroot \"$1\" /bin/sh -euc '{FINISH}'")
}

fn write_all(path: &PathBuf, mut pieces: mpsc::Receiver<Vec<u8>>) -> Result<(), ImageError> {
    let mut file = File::create_new(path).map_err(failed)?;
    while let Some(piece) = pieces.blocking_recv() {
        file.write_all(&piece).map_err(failed)?;
    }
    Ok(())
}

fn judge(status: ExitStatus, last: &[String]) -> Result<(), ImageError> {
    if status.success() {
        return Ok(());
    }
    Err(ImageError::ToolFailed {
        tool: TOOL,
        output: format!("{status}; it said last: {}", last.join(" ")),
    })
}

fn failed(error: io::Error) -> ImageError {
    ImageError::store("making a root file system", error)
}

/// The program and what it started.
struct Group(Option<Pid>);

/// How long the killed may take to go, and how often they are looked for.
const END_TIME: Duration = Duration::from_secs(10);
const LOOK_TIME: Duration = Duration::from_millis(5);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// Kills what is left, and waits until it writes nothing any more.
    async fn end(mut self, mut child: Child) {
        let Some(pid) = self.0.take() else { return };
        // The number stays that of the group as long as one of it is there; with
        // none there, the call fails.
        let gone = async {
            while kill_process_group(pid, Signal::KILL).is_ok() {
                // Reaps it; those that it leaves are the reaper's of this machine.
                let _ = child.try_wait();
                tokio::time::sleep(LOOK_TIME).await;
            }
        };
        if timeout(END_TIME, gone).await.is_err() {
            tracing::warn!("processes of mmdebstrap do not end");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // One that has ended meanwhile needs no end.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}
