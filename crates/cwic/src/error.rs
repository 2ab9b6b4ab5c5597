//! Why a command did not succeed: what, why and what to do next.
//!
//! Each failure has a kind, which fixes the exit code. What a server refuses is
//! passed on with its reason and its fields; nothing is guessed.

use std::process::ExitCode;

use palisade_client::{CallError, Refused};
use palisade_model::reason::{Code, Reason};
use palisade_wire::spelling::Finding;
use serde_json::{Value, json};

use crate::input::{Document, Mistakes};

mod advice;

/// The most mistakes that are told one by one.
const MISTAKES_MAX: usize = 20;

/// The exit codes, as the manual lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Something else went wrong.
    Failure = 1,
    /// A guardrail or placement said no.
    Refused = 2,
    /// It does not exist.
    NotFound = 3,
    /// Not logged in, or not allowed.
    NotAllowed = 4,
    /// It is in use, taken, or changed meanwhile.
    Conflict = 5,
    /// Time ran out.
    TimedOut = 6,
    /// It could not be found out whether there is a difference, which is what
    /// code 1 tells then.
    NotCompared = 69,
    /// The command line or a document is wrong.
    Usage = 64,
    /// A person left with Ctrl-C or Ctrl-D.
    Interrupted = 130,
    /// The process was told to end.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that did not succeed.
#[derive(Clone, Debug)]
pub(crate) struct CliError {
    exit: Exit,
    /// What did not happen.
    pub(crate) what: String,
    /// Why, one cause a line.
    pub(crate) why: Vec<String>,
    /// What to do next.
    pub(crate) next: Option<String>,
    /// The reason that a server gave.
    pub(crate) reason: Option<Box<str>>,
    /// The id under which the server logged it.
    pub(crate) request_id: Option<Box<str>>,
}

impl CliError {
    /// A failure of this kind.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            why: Vec::new(),
            next: None,
            reason: None,
            request_id: None,
        }
    }

    /// Adds a cause.
    #[must_use]
    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Documents that break rules, of `count` documents in all; each mistake is
    /// told with its place.
    pub(crate) fn mistakes(mistakes: &[Mistakes], count: usize) -> Self {
        let found: usize = mistakes.iter().map(|one| one.findings.len()).sum();
        let found = match found {
            1 => "one mistake".to_owned(),
            more => format!("{more} mistakes"),
        };
        let what = match mistakes {
            [one] => match one.number {
                None => format!("{} has {found}", one.source),
                Some(number) => format!("{} has {found} in document {number}", one.source),
            },
            many => format!("{} of {count} documents have {found}", many.len()),
        };
        let mut error = Self::new(Exit::Usage, what);
        let mut lines = mistakes.iter().flat_map(Mistakes::lines);
        error.why.extend(lines.by_ref().take(MISTAKES_MAX));
        let more = lines.count();
        if more > 0 {
            error.why.push(format!("and {more} more"));
        }
        let next = if count > 1 {
            "correct them, or go on with the others: --continue-on-error; nothing was changed"
        } else {
            "correct the document; nothing was changed"
        };
        error.next(next)
    }

    /// A typed document that breaks rules.
    pub(crate) fn typed(findings: &[Finding]) -> Self {
        let mistakes = Mistakes {
            source: "what you typed".to_owned(),
            number: None,
            findings: findings.to_vec(),
        };
        Self::mistakes(&[mistakes], 1)
    }

    /// A failure of a comparison, which code 1 must not tell.
    pub(crate) fn not_compared(mut self) -> Self {
        if self.exit == Exit::Failure {
            self.exit = Exit::NotCompared;
        }
        self
    }

    /// A call that failed while `what` was tried.
    pub(crate) fn call(what: &str, error: &CallError) -> Self {
        Self::call_by(what, error, str::to_owned)
    }

    /// A call about a document that failed while `what` was tried.
    pub(crate) fn call_about(what: &str, error: &CallError, document: &Document) -> Self {
        let name = |field: &str| document.locate(field).unwrap_or_else(|| field.to_owned());
        Self::call_by(what, error, name)
    }

    fn call_by(what: &str, error: &CallError, name: impl Fn(&str) -> String) -> Self {
        match error {
            CallError::Refused(refused) => Self::refused(what, refused, name),
            CallError::NotAName { .. } => Self::new(Exit::NotFound, what)
                .because(error.to_string())
                .next(advice::by_code(Code::NotFound)),
            CallError::Unreachable { source, .. } => {
                let (why, next) = match error.bad_certificate() {
                    Some(bad) => (bad.to_string(), advice::by_certificate(bad)),
                    None => (innermost(source.as_ref()), advice::UNREACHABLE),
                };
                Self::new(Exit::Failure, what)
                    .because(format!("{error}: {why}"))
                    .next(next)
            }
            CallError::Lost { .. } => Self::new(Exit::Failure, what)
                .because(error.to_string())
                .next("look whether it happened before you try again"),
            CallError::TimedOut { .. } => Self::new(Exit::TimedOut, what)
                .because(error.to_string())
                .next("look whether it happened before you try again"),
            CallError::NotUnderstood { .. } => Self::new(Exit::Failure, what)
                .because(error.to_string())
                .next("check the address of the server: cwic auth status"),
        }
    }

    fn refused(what: &str, refused: &Refused, name: impl Fn(&str) -> String) -> Self {
        let mut error = Self::new(exit_of(refused), what);
        error.reason = refused.reason().map(Box::from);
        error.request_id = refused.request_id().map(Box::from);
        let violations = refused.violations();
        if violations.is_empty() {
            error.why.push(refused.message().to_owned());
        }
        for violation in violations {
            let (field, text) = (&violation.field, &violation.description);
            error.why.push(if field.is_empty() {
                text.clone()
            } else {
                format!("{} {text}", name(field))
            });
        }
        error.next = next_after(refused);
        error
    }

    /// The same, as something that was refused by a limit.
    #[must_use]
    pub(crate) fn into_refused(mut self) -> Self {
        self.exit = Exit::Refused;
        self
    }

    /// The code with which the process ends.
    pub(crate) fn exit_code(&self) -> ExitCode {
        self.exit.into()
    }

    /// The kind of failure.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The failure for programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "error": self.what,
            "reason": self.reason,
            "causes": self.why,
            "next": self.next,
            "requestId": self.request_id,
            "exitCode": self.exit as u8,
        })
    }
}

fn exit_of(refused: &Refused) -> Exit {
    // Also when nothing but the moment was wrong.
    if is_of_placement(refused) {
        return Exit::Refused;
    }
    match refused.code() {
        Some(Code::NotFound) => Exit::NotFound,
        Some(Code::Unauthenticated | Code::PermissionDenied) => Exit::NotAllowed,
        Some(Code::AlreadyExists | Code::Aborted) => Exit::Conflict,
        Some(Code::FailedPrecondition | Code::ResourceExhausted) => Exit::Refused,
        Some(Code::InvalidArgument) => Exit::Usage,
        Some(Code::DeadlineExceeded) => Exit::TimedOut,
        Some(Code::Unimplemented | Code::Internal | Code::Unavailable) | None => Exit::Failure,
    }
}

/// Whether no runner can take what was asked for, now or ever.
fn is_of_placement(refused: &Refused) -> bool {
    let reasons = [Reason::NoSuitableRunner, Reason::ProfileMismatch];
    reasons
        .iter()
        .any(|reason| refused.reason() == Some(reason.as_str()))
}

/// What to do next: what the reason asks for, or else what its kind does.
fn next_after(refused: &Refused) -> Option<String> {
    if is_of_placement(refused) && refused.retry_after().is_some() {
        return Some(
            "try again in a moment, or look what is there: cwic sandbox runner ls".to_owned(),
        );
    }
    let known = |reason: &&Reason| Some(reason.as_str()) == refused.reason();
    let by_reason = Reason::ALL
        .iter()
        .find(known)
        .and_then(|reason| advice::by_reason(*reason));
    let next = match by_reason {
        Some(next) => next,
        None => advice::by_code(refused.code()?),
    };
    Some(next.to_owned())
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
