//! Short programs in a sandbox, run to their end.

use std::sync::Arc;

use bytes::Bytes;
use palisade_backend::AttachError;
use palisade_model::sandbox::{Exit, Launch};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Target, exec, outcome, script};
use crate::shared::Shared;

/// What a program wrote and how it ended.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) exit: Exit,
}

/// The most that is kept of what a program writes to standard error.
const STDERR_MAX: u64 = 4_096;

/// The signal that asks a process to end.
pub(crate) const ASK: &str = "TERM";
/// The signal that ends it.
pub(crate) const KILL: &str = "KILL";

/// Sends a signal to the main process of a sandbox.
pub(crate) async fn send(
    shared: &Arc<Shared>,
    launch: &Launch,
    name: &str,
) -> Result<(), AttachError> {
    let target = Target::new(shared, launch.namespace.name.as_str(), launch.id);
    let ran = run(&target, script::SIGNAL, &[name.to_owned()], Bytes::new(), 0).await?;
    match ran.exit {
        Exit(0) => Ok(()),
        Exit(_) => Err(AttachError::NotRunning),
    }
}

/// What a script writes that succeeds, as far as it is not too much.
pub(crate) async fn output(
    target: &Target,
    script: &str,
    arguments: &[String],
) -> Result<Vec<u8>, AttachError> {
    let ran = run(target, script, arguments, Bytes::new(), STDERR_MAX).await?;
    match ran.exit {
        Exit(0) => Ok(ran.stdout),
        Exit(_) => Err(AttachError::NotRunning),
    }
}

/// Runs a script to its end, and returns at most so much of its output.
pub(super) async fn run(
    target: &Target,
    script: &str,
    arguments: &[String],
    input: Bytes,
    stdout_max: u64,
) -> Result<Ran, AttachError> {
    let words = exec::shell(script, arguments);
    let mut process = exec::open(target, words, false).await?;
    let streams = (
        process.stdin(),
        process.stdout(),
        process.stderr(),
        process.take_status(),
    );
    let (Some(mut stdin), Some(stdout), Some(stderr), Some(status)) = streams else {
        return Err(AttachError::Lost);
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (stdout.take(stdout_max), stderr.take(STDERR_MAX));
    let read = async {
        let (out, err) = tokio::join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
        out.and(err).map_err(|_| AttachError::Lost)?;
        // What goes beyond is not wanted, and must not keep the program waiting.
        let (mut rest_out, mut rest_err) = (tokio::io::sink(), tokio::io::sink());
        let (mut stdout, mut stderr) = (stdout.into_inner(), stderr.into_inner());
        let _ = tokio::join!(
            tokio::io::copy(&mut stdout, &mut rest_out),
            tokio::io::copy(&mut stderr, &mut rest_err),
        );
        outcome::read(status.await)
    };
    let write = async {
        // A program that does not read it all says why.
        let _ = stdin.write_all(&input).await;
        // The stream stays open: its end closes the whole connection.
        std::future::pending::<()>().await;
    };
    let exit = tokio::select! {
        exit = read => exit?,
        () = write => return Err(AttachError::Lost),
    };
    Ok(Ran {
        stdout: out,
        stderr: err,
        exit,
    })
}
