//! Asks a sandbox: runs the program in it that does, and reads what it prints.
//!
//! What a sandbox prints is foreign. It is bounded, each line is read or
//! refused, and what was not answered was not measured.

use std::collections::HashMap;

use palisade_client::{Command, ExecEvent, Sandboxes};
use palisade_init_protocol::probe::{AROUND, PROBE, PROGRAM, Probe, Reading, Sight};

use crate::error::{CliError, Exit};
use crate::present::printable;

/// The most bytes that are read of one answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How many probes go into one call.
const PROBES_AT_ONCE: usize = 128;

/// What a sandbox sees of its own network.
pub(super) async fn around(sandboxes: &Sandboxes, id: &str) -> Result<Vec<Sight>, CliError> {
    let answer = run(sandboxes, id, vec![AROUND.to_owned()]).await?;
    let sights: Result<Vec<Sight>, _> = answer.lines().map(str::parse).collect();
    sights.map_err(|error| not_understood(id, &error.to_string()))
}

/// What a sandbox hears when it asks all of these.
pub(super) async fn ask(
    sandboxes: &Sandboxes,
    id: &str,
    probes: &[&Probe],
) -> Result<HashMap<Probe, Reading>, CliError> {
    let mut heard = HashMap::with_capacity(probes.len());
    for some in probes.chunks(PROBES_AT_ONCE) {
        let mut words = vec![PROBE.to_owned()];
        words.extend(some.iter().map(ToString::to_string));
        let answer = run(sandboxes, id, words).await?;
        for line in answer.lines() {
            let reading: Reading =
                line.parse()
                    .map_err(|error: palisade_init_protocol::probe::BadReading| {
                        not_understood(id, &error.to_string())
                    })?;
            heard.insert(reading.probe.clone(), reading);
        }
    }
    Ok(heard)
}

/// Runs the program to its end, and returns what it printed.
async fn run(sandboxes: &Sandboxes, id: &str, words: Vec<String>) -> Result<String, CliError> {
    let command = Command {
        words: std::iter::once(PROGRAM.to_owned()).chain(words).collect(),
        ..Command::default()
    };
    let what = format!("sandbox {id} could not be asked");
    let failed = |error| CliError::call(&what, &error);
    let mut exec = sandboxes.exec(id, command).await.map_err(failed)?;
    // It reads nothing; a command that cannot be told so has ended.
    let _ = exec.input.close().await;
    let (mut answer, mut complaint) = (Vec::new(), Vec::new());
    loop {
        match exec.output.next().await.map_err(failed)? {
            ExecEvent::Started => {}
            ExecEvent::Stdout(data) => answer.extend_from_slice(&data),
            ExecEvent::Stderr(data) => complaint.extend_from_slice(&data),
            ExecEvent::Exit(0) => break,
            ExecEvent::Exit(code) => {
                let said = printable(&String::from_utf8_lossy(&complaint));
                let why = format!("{PROGRAM} ended with {code}: {said}");
                return Err(CliError::new(Exit::Failure, what).because(why));
            }
            ExecEvent::Failed { code: _, message } => {
                let error = CliError::new(Exit::Failure, what).because(printable(&message));
                return Err(error.next(
                    "the runner has to make its sandboxes with a program that can be asked",
                ));
            }
        }
        if answer.len() + complaint.len() > ANSWER_BYTES_MAX {
            return Err(not_understood(id, "it does not come to an end"));
        }
    }
    String::from_utf8(answer).map_err(|_| not_understood(id, "it is no text"))
}

fn not_understood(id: &str, why: &str) -> CliError {
    let what = format!("what sandbox {id} answers is not understood");
    CliError::new(Exit::Failure, what)
        .because(printable(why))
        .next("use cwic in the version of the runner")
}
