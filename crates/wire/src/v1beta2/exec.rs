//! Commands: what clients ask for and what they are told.
//!
//! A command line is bounded here, so that nothing behind this holds more of
//! it than a kernel would take. Whether the program exists is the sandbox's to
//! find out.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use palisade_backend::{ExecInput, ExecSpec, Terminal};
use palisade_model::clock::Timestamp;
use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;
use palisade_model::sandbox::Exit;
use palisade_model::sandbox::{PROCESS_BYTES_MAX, PROCESS_WORDS_MAX};
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use prost::bytes::Bytes;

use super::number::unknown_number;
use super::time::time_limit;
use crate::proto::v1beta2 as pb;
use crate::proto::v1beta2::exec_stream_output::StreamType;
use crate::proto::v1beta2::exec_stream_request::Request as ExecFrame;
use crate::proto::v1beta2::exec_stream_response::Response as ExecAnswer;

/// The size of a terminal whose client does not know its own.
const TERMINAL: Terminal = Terminal {
    width: 80,
    height: 24,
};
/// What is kept of each output when the client does not say: both of them fit into an
/// answer that clients of gRPC take which were not told to take more than usual.
const KEPT_BYTES: usize = (2 << 20) - (32 << 10);
/// The most that a client can have kept of each output.
const KEPT_KIB_MAX: u32 = 32 * 1024;

/// A command whose output is streamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecStart {
    /// The sandbox, as the client named it.
    pub sandbox: String,
    /// The command.
    pub running: ExecRunning,
}

/// Which command a stream is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecRunning {
    /// One that begins with the stream.
    New(ExecSpec),
    /// One that lost its stream.
    Resume {
        /// The session, as the client names it.
        session: String,
    },
}

/// A command that is answered when it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecCall {
    /// The sandbox, as the client named it.
    pub sandbox: String,
    /// The command.
    pub spec: ExecSpec,
    /// How long it may run.
    pub limit: Option<Duration>,
    /// How many bytes of each output to keep.
    pub keep_bytes: usize,
}

/// One output of a command: what was kept of how much.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Produced {
    /// The first bytes.
    pub kept: Vec<u8>,
    /// How many bytes the command wrote.
    pub bytes: u64,
}

/// An output of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A frame that has no place where it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// A second command on one stream.
    #[error("init was sent twice; a stream runs one command")]
    SecondInit,
    /// Something that a later version of the protocol may know.
    #[error("a frame is of a kind that this server does not know")]
    Unknown,
    /// A size no terminal has.
    #[error("width and height of a terminal must be at most 65535")]
    TerminalSize,
}

/// Reads the first frame of a stream.
pub fn exec_start(frame: pb::ExecStreamRequest) -> Result<ExecStart, Refusal> {
    let Some(ExecFrame::Init(init)) = frame.request else {
        return Err(init_missing());
    };
    // No `..`: a field added to the protocol must be dealt with here.
    let pb::ExecStreamInit {
        sandbox_id,
        command,
        tty,
        tty_width,
        tty_height,
        env,
        resume_session_id,
    } = init;
    let mut violations = Vec::new();
    if !resume_session_id.is_empty() {
        let given = [
            ("command", !command.is_empty()),
            ("tty", tty),
            ("tty_width", tty_width > 0),
            ("tty_height", tty_height > 0),
            ("env", !env.is_empty()),
        ];
        for (field, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
            let text = "must be left out when resume_session_id is given";
            wrong(&mut violations, field, ViolationKind::Conflict, text);
        }
        finish(violations)?;
        let session = resume_session_id;
        return Ok(ExecStart {
            sandbox: sandbox_id,
            running: ExecRunning::Resume { session },
        });
    }
    let terminal = tty.then(|| Terminal {
        width: side(&mut violations, "tty_width", tty_width, TERMINAL.width),
        height: side(&mut violations, "tty_height", tty_height, TERMINAL.height),
    });
    check_command(&mut violations, &command, &env);
    finish(violations)?;
    Ok(ExecStart {
        sandbox: sandbox_id,
        running: ExecRunning::New(ExecSpec {
            command,
            environment: env.into_iter().collect(),
            terminal,
        }),
    })
}

/// Reads a later frame of a stream.
pub fn exec_input(frame: pb::ExecStreamRequest) -> Result<ExecInput, BadFrame> {
    match frame.request.ok_or(BadFrame::Unknown)? {
        ExecFrame::Init(_) => Err(BadFrame::SecondInit),
        ExecFrame::Stdin(pb::ExecStreamData { data }) => Ok(ExecInput::Stdin(data)),
        ExecFrame::Close(pb::ExecStreamClose {}) => Ok(ExecInput::Close),
        ExecFrame::Resize(pb::ExecStreamResize { width, height }) => {
            let side = |length: u32| u16::try_from(length).map_err(|_| BadFrame::TerminalSize);
            Ok(ExecInput::Resize(Terminal {
                width: side(width)?,
                height: side(height)?,
            }))
        }
    }
}

/// Reads a command that is answered when it ended.
pub fn exec_call(message: pb::ExecSandboxRequest) -> Result<ExecCall, Refusal> {
    let pb::ExecSandboxRequest {
        sandbox_id,
        command,
        args,
        max_timeout_seconds,
        output_handling,
        buffered_max_kib,
    } = message;
    let mut violations = Vec::new();
    let keep_bytes = kept(&mut violations, output_handling, buffered_max_kib)?;
    let limit = time_limit(&mut violations, max_timeout_seconds);
    // Arguments alone would make the first of them the program.
    let words = if command.is_empty() {
        Vec::new()
    } else {
        command.into_iter().chain(args).collect()
    };
    check_command(&mut violations, &words, &HashMap::new());
    finish(violations)?;
    Ok(ExecCall {
        sandbox: sandbox_id,
        spec: ExecSpec {
            command: words,
            environment: BTreeMap::new(),
            terminal: None,
        },
        limit,
        keep_bytes,
    })
}

/// The answer to a command that ended.
pub fn exec_response(exit: Exit, stdout: Produced, stderr: Produced) -> pb::ExecSandboxResponse {
    let count = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    pb::ExecSandboxResponse {
        result: Some(pb::ExecResponse {
            exit_code: exit.0,
            stdout_truncated: stdout.is_cut(),
            stderr_truncated: stderr.is_cut(),
            stdout_bytes_produced: count(stdout.bytes),
            stderr_bytes_produced: count(stderr.bytes),
            stdout: stdout.kept,
            stderr: stderr.kept,
        }),
    }
}

/// The frame that says that the command runs.
pub fn exec_ready(at: Timestamp, session: String) -> pb::ExecStreamResponse {
    answer(ExecAnswer::Ready(pb::StreamingExecReady {
        ready_at: Some(super::timestamp(at)),
        session_id: session,
    }))
}

/// A frame of output.
pub fn exec_output(kind: OutputKind, data: Bytes, at: Timestamp) -> pb::ExecStreamResponse {
    let stream_type = match kind {
        OutputKind::Stdout => StreamType::Stdout,
        OutputKind::Stderr => StreamType::Stderr,
    };
    answer(ExecAnswer::Output(pb::ExecStreamOutput {
        stream_type: stream_type.into(),
        data,
        timestamp: Some(super::timestamp(at)),
    }))
}

/// The last frame of a command that ended.
pub fn exec_exit(exit: Exit, at: Timestamp) -> pb::ExecStreamResponse {
    answer(ExecAnswer::Exit(pb::ExecStreamExit {
        exit_code: exit.0,
        completed_at: Some(super::timestamp(at)),
    }))
}

/// The last frame of a command that could not be followed to its end.
pub fn exec_error(code: &str, message: String) -> pb::ExecStreamResponse {
    answer(ExecAnswer::Error(pb::ExecStreamError {
        message,
        code: code.to_owned(),
    }))
}

/// The refusal of a stream that does not say what it is for.
pub fn init_missing() -> Refusal {
    let path = FieldPath::root().key("init");
    let text = "must be the first frame of a stream";
    Refusal::invalid(vec![Violation::new(path, ViolationKind::Required, text)])
}

impl Produced {
    /// Takes in what was written, and keeps it while there is room for it.
    pub fn take(&mut self, data: &[u8], keep_bytes: usize) {
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        let room = keep_bytes.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&data[..data.len().min(room)]);
    }

    fn is_cut(&self) -> bool {
        (self.kept.len() as u64) < self.bytes
    }
}

fn answer(answer: ExecAnswer) -> pb::ExecStreamResponse {
    pb::ExecStreamResponse {
        response: Some(answer),
    }
}

/// How much of each output to keep.
fn kept(violations: &mut Vec<Violation>, handling: i32, max_kib: u32) -> Result<usize, Refusal> {
    let Ok(policy) = pb::OutputPolicy::try_from(handling) else {
        let known = [pb::OutputPolicy::Buffered, pb::OutputPolicy::Discard];
        let text = unknown_number(handling, &known, pb::OutputPolicy::as_str_name);
        wrong(violations, "output_handling", ViolationKind::Invalid, text);
        return Ok(0);
    };
    let has_cap = max_kib > 0;
    match policy {
        pb::OutputPolicy::Unspecified | pb::OutputPolicy::Buffered if max_kib > KEPT_KIB_MAX => {
            let text = format!("is {max_kib}; at most {KEPT_KIB_MAX} can be kept");
            wrong(violations, "buffered_max_kib", ViolationKind::TooMany, text);
        }
        pb::OutputPolicy::Unspecified | pb::OutputPolicy::Buffered if has_cap => {
            return Ok(usize::try_from(max_kib).unwrap_or(0) * 1024);
        }
        pb::OutputPolicy::Unspecified | pb::OutputPolicy::Buffered => return Ok(KEPT_BYTES),
        pb::OutputPolicy::Discard if has_cap => {
            let text = "has a meaning only when output is buffered";
            wrong(
                violations,
                "buffered_max_kib",
                ViolationKind::Conflict,
                text,
            );
        }
        pb::OutputPolicy::Discard => {}
        pb::OutputPolicy::Stream => {
            let text = "one answer cannot stream output; call StreamExec, or ask for BUFFERED";
            let refusal = Refusal::new(Reason::NotImplemented, text);
            return Err(refusal.with("feature", "output_handling"));
        }
    }
    Ok(0)
}

/// A side of a terminal; zero means that the client does not know.
fn side(violations: &mut Vec<Violation>, field: &str, length: u32, unknown: u16) -> u16 {
    match u16::try_from(length) {
        Ok(0) => unknown,
        Ok(length) => length,
        Err(_) => {
            let text = format!("is {length}; it must be at most {}", u16::MAX);
            wrong(violations, field, ViolationKind::Invalid, text);
            unknown
        }
    }
}

fn check_command(
    violations: &mut Vec<Violation>,
    command: &[String],
    environment: &HashMap<String, String>,
) {
    let variables = environment
        .iter()
        .map(|(key, value)| key.len() + value.len() + 2);
    let words = command.iter().map(|word| word.len() + 1);
    let bytes: usize = words.chain(variables).sum();
    if command.len() + environment.len() > PROCESS_WORDS_MAX || bytes > PROCESS_BYTES_MAX {
        let text = format!(
            "with its environment has {} words and {bytes} bytes; \
             at most {PROCESS_WORDS_MAX} and {PROCESS_BYTES_MAX} are possible",
            command.len() + environment.len()
        );
        wrong(violations, "command", ViolationKind::TooMany, text);
        return;
    }
    match command.first() {
        None => wrong(violations, "command", ViolationKind::Required, "is needed"),
        Some(program) if program.is_empty() => {
            let path = FieldPath::root().key("command").index(0);
            let text = "is the program, and must not be empty";
            violations.push(Violation::new(path, ViolationKind::Required, text));
        }
        Some(_) => {}
    }
    check_words(violations, command);
    check_environment(violations, environment);
}

fn check_words(violations: &mut Vec<Violation>, command: &[String]) {
    let path = FieldPath::root().key("command");
    for (index, word) in command.iter().enumerate() {
        if word.contains('\0') {
            let text = "must not hold a zero byte";
            violations.push(Violation::new(
                path.index(index),
                ViolationKind::Invalid,
                text,
            ));
        }
    }
}

fn check_environment(violations: &mut Vec<Violation>, environment: &HashMap<String, String>) {
    let path = FieldPath::root().key("env");
    for (name, value) in environment {
        let problem = if name.is_empty() {
            "has an empty name"
        } else if name.contains(['=', '\0']) {
            "has a name with '=' or a zero byte in it"
        } else if value.contains('\0') {
            "must not hold a zero byte"
        } else {
            continue;
        };
        violations.push(Violation::new(
            path.key(name),
            ViolationKind::Invalid,
            problem,
        ));
    }
}

fn wrong(
    violations: &mut Vec<Violation>,
    field: &str,
    kind: ViolationKind,
    text: impl Into<String>,
) {
    violations.push(Violation::new(FieldPath::root().key(field), kind, text));
}

fn finish(violations: Vec<Violation>) -> Result<(), Refusal> {
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Refusal::invalid(violations))
    }
}

#[cfg(test)]
mod tests;
