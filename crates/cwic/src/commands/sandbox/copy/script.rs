//! Small scripts that are run in a sandbox for a copy.
//!
//! Paths are arguments and never part of a script, so that nothing in them is
//! taken for more than a path.

use std::time::Duration;

use bytes::Bytes;
use palisade_client::{Command, Exec, ExecEvent, ExecInput, ExecOutput, Sandboxes};
use tokio::sync::mpsc;
use tokio::time;

use crate::commands::sandbox::failure::failed;
use crate::error::{CliError, Exit};
use crate::present::printable;

/// Writes standard input to the file $1 with the mode $2, if it has $3 bytes.
pub(super) const RECEIVE_FILE: &str = r#"
set -e
[ -d "$1" ] && exit 21
mkdir -p "$(dirname "$1")"
part="$1.part.$$"
trap 'rm -f "$part"' EXIT
cat > "$part"
[ "$(wc -c < "$part")" -eq "$3" ] || exit 22
chmod "$2" "$part"
mv "$part" "$1"
trap - EXIT
"#;

/// Gives the file $1 the mode $2.
pub(super) const SET_MODE: &str = r#"exec chmod "$2" "$1""#;

/// Tells the size and the mode of the file $1; a directory has none.
pub(super) const MEASURE: &str = r#"
[ -e "$1" ] || exit 23
[ -d "$1" ] && exit 21
exec stat -L -c '%s %a' "$1"
"#;

/// Writes the file $1 to standard output.
pub(super) const SEND_FILE: &str = r#"exec cat "$1""#;

/// Unpacks standard input as $1, or below it under the name $2 if it exists.
pub(super) const RECEIVE_TREE: &str = r#"
set -e
command -v tar > /dev/null || exit 24
if [ -d "$1" ]; then target="${1%/}/$2"; else target="$1"; fi
mkdir -p "$target"
exec tar -xof - -C "$target"
"#;

/// Packs what is below the directory $1 to standard output.
pub(super) const SEND_TREE: &str = r#"
[ -d "$1" ] || exit 23
command -v tar > /dev/null || exit 24
exec tar -cf - -C "$1" .
"#;

/// Tells of all that is below the directory $1 its mode, its size and its time, its
/// path, and of a link what it says.
pub(super) const LIST_TREE: &str = r#"
cd "$1" || exit 23
stat -c %f . > /dev/null && command -v readlink > /dev/null || exit 127
walk() {
  [ -r "$1" ] && [ -x "$1" ] || { echo "$1 cannot be read" >&2; exit 1; }
  for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    stat -c '%f %s %Y' "$entry" 2> /dev/null || continue
    printf '%s\000' "$entry"
    if [ -L "$entry" ]; then
      readlink "$entry"
      printf '\000'
    elif [ -d "$entry" ]; then
      walk "$entry"
    fi
  done
}
walk .
"#;

/// Makes the directory $1, or $2 below it if it exists, and tells which.
pub(super) const MAKE_TREE: &str = r#"
if [ -d "$1" ]; then target="${1%/}/$2"; else target="$1"; fi
mkdir -p "$target" && printf %s "$target"
"#;

/// Makes all directories that are named behind $1, below it.
pub(super) const MAKE_DIRECTORIES: &str = r#"cd "$1" && shift && exec mkdir -p -- "$@""#;

/// Makes links below $1, of each of which is named what it says and where it is.
pub(super) const MAKE_LINKS: &str = r#"
cd "$1" && shift || exit 1
while [ $# -gt 1 ]; do
  ln -s -f -n -- "$1" "./$2" || exit 1
  shift 2
done
"#;

/// Sets modes below $1, of each of which is named what it is and where.
pub(super) const SET_MODES: &str = r#"
cd "$1" && shift || exit 1
while [ $# -gt 1 ]; do
  chmod "$1" "./$2" || exit 1
  shift 2
done
"#;

/// What the scripts end with when something is not as it should be.
pub(super) const IS_DIRECTORY: i32 = 21;
const CUT: i32 = 22;
const NOT_FOUND: i32 = 23;
pub(super) const NO_TAR: i32 = 24;
const NO_SHELL: i32 = 127;

/// The most that is kept of what a script says when it fails.
const WORDS_BYTES_MAX: usize = 4 * 1024;
/// How long a script may take that moves no bytes.
const LIMIT: Duration = Duration::from_mins(1);
/// How many pieces of output may wait.
pub(super) const PIECES_MAX: usize = 4;

/// How a script ended, and what it said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: i32,
    words: Vec<u8>,
}

/// A script that runs.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) input: ExecInput,
    output: ExecOutput,
}

/// Starts a script with these arguments.
pub(super) async fn start(
    sandboxes: &Sandboxes,
    id: &str,
    script: &str,
    arguments: &[&str],
) -> Result<Script, CliError> {
    let words = ["/bin/sh", "-c", script, "cp"];
    let words = words.iter().chain(arguments);
    let command = Command {
        words: words.map(|word| (*word).to_owned()).collect(),
        ..Command::default()
    };
    let exec = sandboxes.exec(id, command).await;
    let Exec { input, output } = exec.map_err(|error| not_copied(&error))?;
    Ok(Script { input, output })
}

/// Runs a script to its end, with nothing on its input; also what it wrote, up to
/// a bound. It moves no bytes, so that its time is bounded, too.
pub(super) async fn run(
    sandboxes: &Sandboxes,
    id: &str,
    script: &str,
    arguments: &[&str],
) -> Result<(Said, Vec<u8>), CliError> {
    told(sandboxes, id, script, (arguments, WORDS_BYTES_MAX)).await
}

/// The same, with a bound of its own for what is written.
pub(super) async fn told(
    sandboxes: &Sandboxes,
    id: &str,
    script: &str,
    bounded: (&[&str], usize),
) -> Result<(Said, Vec<u8>), CliError> {
    let ended = time::timeout(LIMIT, try_run(sandboxes, id, script, bounded)).await;
    ended.unwrap_or_else(|_| {
        Err(CliError::new(Exit::TimedOut, "nothing was copied")
            .because("the shell of the sandbox does not come to an end")
            .next(format!(
                "look whether it answers: cwic sandbox exec {id} -- true"
            )))
    })
}

async fn try_run(
    sandboxes: &Sandboxes,
    id: &str,
    script: &str,
    (arguments, bytes_max): (&[&str], usize),
) -> Result<(Said, Vec<u8>), CliError> {
    let Script { input, output } = start(sandboxes, id, script, arguments).await?;
    let _ = input.close().await;
    let (pieces, mut received) = mpsc::channel(PIECES_MAX);
    let mut written = Vec::new();
    let gather = async {
        while let Some(piece) = received.recv().await {
            let room = bytes_max.saturating_sub(written.len());
            let piece: &Bytes = &piece;
            written.extend_from_slice(&piece[..piece.len().min(room)]);
        }
    };
    let (said, ()) = tokio::join!(follow(output, pieces), gather);
    Ok((said?, written))
}

impl Script {
    /// The halves, to be used side by side.
    pub(super) fn split(self) -> (ExecInput, ExecOutput) {
        (self.input, self.output)
    }
}

/// Hands on what a script writes, up to its end. Nobody who takes it is no
/// failure of the script.
pub(super) async fn follow(
    mut output: ExecOutput,
    pieces: mpsc::Sender<Bytes>,
) -> Result<Said, CliError> {
    let mut words = Vec::new();
    loop {
        match output.next().await.map_err(|error| not_copied(&error))? {
            ExecEvent::Started => {}
            ExecEvent::Stdout(data) => {
                if pieces.send(data).await.is_err() {
                    return Ok(Said { code: 0, words });
                }
            }
            ExecEvent::Stderr(data) => {
                let room = WORDS_BYTES_MAX.saturating_sub(words.len());
                words.extend_from_slice(&data[..data.len().min(room)]);
            }
            ExecEvent::Exit(code) => return Ok(Said { code, words }),
            ExecEvent::Failed { code: _, message } => {
                return Err(CliError::new(Exit::Failure, "nothing was copied").because(message));
            }
        }
    }
}

impl Said {
    /// A failure, if it is one.
    pub(super) fn check(self, path: &str) -> Result<(), CliError> {
        let Self { code, words } = self;
        let what = format!("{} was not copied", printable(path));
        let next = "look what there is: cwic sandbox exec SANDBOX-ID -- ls -l DIRECTORY";
        let failed =
            |exit, why: &str| Err(CliError::new(exit, what.clone()).because(why).next(next));
        match code {
            0 => Ok(()),
            IS_DIRECTORY => failed(Exit::Failure, "it is a directory in the sandbox"),
            CUT => failed(Exit::Failure, "not all of it arrived"),
            NOT_FOUND => failed(Exit::NotFound, "it does not exist in the sandbox"),
            NO_SHELL => Err(CliError::new(Exit::Failure, what)
                .because("it needs a shell in the sandbox, and its image lacks it or a tool")
                .because(text(&words))
                .next("copy files of at most 32 MiB one by one, or use an image with a shell")),
            other => {
                let why = format!("the sandbox ended the copy with {other}: {}", text(&words));
                failed(Exit::Failure, &why)
            }
        }
    }
}

fn text(words: &[u8]) -> String {
    printable(String::from_utf8_lossy(words).trim())
}

/// A call for a copy failed.
pub(super) fn not_copied(error: &palisade_client::CallError) -> CliError {
    failed("nothing was copied", error)
}
