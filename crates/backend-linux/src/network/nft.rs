//! Running `nft`, which turns the text of the rules into one transaction.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::namespace::Namespace;

/// How long `nft` may be silent before it is given up.
const SILENCE_MAX: Timespec = Timespec {
    tv_sec: 30,
    tv_nsec: 0,
};
/// How much of its complaints is read.
const COMPLAINT_LEN_MAX: usize = 4096;

/// Why the rules were not loaded. The old ones are still in force.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The program could not be started.
    #[error("could not run {program}; install the package nftables")]
    Start {
        /// What was to be run.
        program: String,
        /// Why it could not.
        #[source]
        source: io::Error,
    },
    /// The program was lost.
    #[error("lost contact with nft")]
    Lost(#[source] io::Error),
    /// The kernel or the program refused the rules.
    #[error("nft refused the rules: {complaint}")]
    Refused {
        /// Its words.
        complaint: String,
    },
}

/// Loads a text inside a namespace, whole or not at all.
pub(super) fn load(program: &Path, inside: &Namespace, text: &str) -> Result<(), NftError> {
    inside
        .visit(|| run(program, text))
        .map_err(NftError::Lost)?
}

fn run(program: &Path, text: &str) -> Result<(), NftError> {
    let mut child = Command::new(program)
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| NftError::Start {
            program: program.display().to_string(),
            source,
        })?;
    let complaint = converse(&mut child, text);
    if complaint.is_err() {
        // It may have ended by itself, which is as good.
        let _ = child.kill();
    }
    let status = child.wait().map_err(NftError::Lost)?;
    let complaint = complaint.map_err(NftError::Lost)?;
    if status.success() {
        return Ok(());
    }
    Err(NftError::Refused { complaint })
}

/// Hands the text over and reads what the program says until it ends.
fn converse(child: &mut Child, text: &str) -> io::Result<String> {
    if let Some(mut input) = child.stdin.take() {
        // If it ends without having read everything, its words say why.
        match input.write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    let Some(mut output) = child.stderr.take() else {
        return Ok(String::new());
    };
    let mut words = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let mut ready = [PollFd::new(&output, PollFlags::IN)];
        if poll(&mut ready, Some(&SILENCE_MAX))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let len = output.read(&mut buffer)?;
        if len == 0 {
            return Ok(String::from_utf8_lossy(&words).trim().to_owned());
        }
        let room = COMPLAINT_LEN_MAX - words.len();
        words.extend_from_slice(&buffer[..len.min(room)]);
    }
}
