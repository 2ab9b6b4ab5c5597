//! The way of a document from the editor to the server and back.
//!
//! ```text
//!  editor ─► read and check here ─► check on the server ─► summary ─► asked ─► sent
//!    ▲            │ mistakes              │ mistakes          again │       │ refused
//!    └────────────┴───────────────────────┴─────────────────────────┴───────┘
//! ```
//!
//! Every other way out keeps what was typed in a file, but for a person who
//! leaves, which leaves nothing.

use std::process::ExitCode;

use palisade_client::{CallError, Client, Refused};
use palisade_model::reason::{Code, Reason};
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_wire::spelling::Finding;

use super::letter::Letter;
use crate::commands::advice;
use crate::editor::{Editor, notes};
use crate::error::{CliError, Exit};
use crate::input::Kind;
use crate::input::typed::Typed;
use crate::out::Out;
use crate::present::plain;
use crate::prompt::Choice;
use crate::terminal::Terminal;

/// What is to become of the document in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It is sent.
    Send {
        /// Whether nobody is asked before.
        unasked: bool,
    },
    /// It is only checked.
    Check,
    /// It is printed as it would be sent.
    Print,
}

impl Wish {
    /// What was asked for when something new is made.
    pub(crate) fn of_new(is_dry_run: bool, is_printed: bool) -> Self {
        match (is_dry_run, is_printed) {
            (_, true) => Self::Print,
            (true, false) => Self::Check,
            (false, false) => Self::Send { unasked: false },
        }
    }

    /// What was asked for when something is changed.
    pub(crate) fn of_change(is_dry_run: bool, unasked: bool) -> Self {
        if is_dry_run {
            Self::Check
        } else {
            Self::Send { unasked }
        }
    }
}

/// What a document is written with.
pub(super) struct Desk<'a> {
    pub(super) terminal: Terminal,
    pub(super) editor: Editor,
    pub(super) client: &'a Client,
    pub(super) out: &'a mut Out,
    pub(super) wish: Wish,
}

/// Where a document got to.
enum Step {
    /// It is done with.
    Done,
    /// It has mistakes.
    Wrong(Vec<Finding>),
    /// It is to be opened again, as this text.
    Again(String),
    /// The person decided against it.
    Declined,
}

/// What a person says to a summary.
enum Answer {
    Yes,
    Again,
    No,
}

impl Desk<'_> {
    /// Has a document written, beginning with `text`, and sends it.
    pub(super) async fn write(
        &mut self,
        letter: &mut impl Letter,
        mut text: String,
    ) -> Result<ExitCode, CliError> {
        // A text that was refused and comes back as it was is given up.
        let mut refused: Option<(String, Vec<Finding>)> = None;
        loop {
            let saved = self.editor.open(&text, &mut self.terminal).await?;
            let bare = notes::strip(&saved);
            if notes::is_blank(&bare) {
                let failure = CliError::new(Exit::Usage, self.terminal.undone().what)
                    .because("the file was left empty");
                return Err(self.editor.keep(&notes::strip(&text), failure));
            }
            if let Some((before, findings)) = &refused
                && *before == bare
            {
                let failure = CliError::typed(findings);
                return Err(self.editor.keep(&bare, failure));
            }
            match self.step(letter, &bare).await? {
                Step::Done => return Ok(ExitCode::SUCCESS),
                Step::Declined => {
                    let what = self.terminal.undone().what;
                    return Err(CliError::new(Exit::Failure, what).because("you said no"));
                }
                Step::Wrong(findings) => {
                    text = notes::annotate(&bare, &findings);
                    refused = Some((bare, findings));
                }
                Step::Again(next) => {
                    text = next;
                    refused = None;
                }
            }
        }
    }

    /// Takes a text as far as it gets. What was typed is kept when that fails.
    async fn step(&mut self, letter: &mut impl Letter, bare: &str) -> Result<Step, CliError> {
        self.try_step(letter, bare)
            .await
            .map_err(|error| match error.exit() {
                Exit::Interrupted => error,
                Exit::Failure
                | Exit::Refused
                | Exit::NotFound
                | Exit::NotAllowed
                | Exit::Conflict
                | Exit::TimedOut
                | Exit::NotCompared
                | Exit::Usage
                | Exit::Terminated => self.editor.keep(bare, error),
            })
    }

    async fn try_step(&mut self, letter: &mut impl Letter, bare: &str) -> Result<Step, CliError> {
        let typed = match Typed::read(bare, letter.kind()) {
            Ok(typed) => typed,
            Err(findings) => return Ok(Step::Wrong(findings)),
        };
        let findings = letter.check(&typed);
        if !findings.is_empty() {
            return Ok(Step::Wrong(findings));
        }
        if letter.is_unchanged(&typed) {
            self.out.note("Nothing was changed, and nothing was sent.");
            return Ok(Step::Done);
        }
        let checked = self.terminal.wait(letter.send(&typed, true, self.client));
        if let Err(error) = checked.await? {
            return self.refused(letter, &typed, error).await;
        }
        match self.wish {
            Wish::Print => {
                self.out.yaml(&typed.friendly);
                return Ok(Step::Done);
            }
            Wish::Check => {
                self.tell(letter, &typed);
                self.out
                    .note("It is right. Nothing was sent, as this is a dry run.");
                return Ok(Step::Done);
            }
            Wish::Send { unasked } => {
                self.tell(letter, &typed);
                let question = letter.question(&typed).filter(|_| !unasked);
                match question {
                    None => {}
                    Some(question) => match self.answer(question).await? {
                        Answer::Yes => {}
                        Answer::Again => return Ok(Step::Again(bare.to_owned())),
                        Answer::No => return Ok(Step::Declined),
                    },
                }
            }
        }
        let sent = self.terminal.wait(letter.send(&typed, false, self.client));
        match sent.await? {
            Ok(told) => {
                self.out.line(told);
                Ok(Step::Done)
            }
            Err(error) => self.refused(letter, &typed, error).await,
        }
    }

    /// Tells what would happen, and what speaks against it.
    fn tell(&mut self, letter: &impl Letter, typed: &Typed) {
        self.out.note(plain(&letter.summary(typed)));
        match letter.kind() {
            Kind::NewProfile | Kind::ProfileChange | Kind::WholeProfile => {
                advice::tell(&typed.document.value, self.out);
            }
            Kind::NewRunner(_)
            | Kind::RunnerChange
            | Kind::WholeRunner
            | Kind::StartRequest
            | Kind::Whole => {}
        }
    }

    async fn answer(&mut self, question: String) -> Result<Answer, CliError> {
        let choice = Choice {
            message: question,
            help: "arrows and Enter; Ctrl-C leaves nothing behind",
            options: ["Yes", "Edit again", "No, leave everything as it is"]
                .map(str::to_owned)
                .to_vec(),
        };
        Ok(match self.terminal.pick(choice, 0).await? {
            0 => Answer::Yes,
            1 => Answer::Again,
            _ => Answer::No,
        })
    }

    /// What comes after a refusal: the editor, wherever that can help.
    async fn refused(
        &mut self,
        letter: &mut impl Letter,
        typed: &Typed,
        error: CallError,
    ) -> Result<Step, CliError> {
        let failure = CliError::call(&letter.refusal(typed), &error);
        let CallError::Refused(refusal) = &error else {
            return Err(failure);
        };
        if refusal.reason() == Some(Reason::EtagMismatch.as_str()) {
            let caught_up = letter.catch_up(typed, self.client, self.out);
            let Some(next) = self.terminal.wait(caught_up).await?? else {
                return Err(failure);
            };
            let question = "Edit again, on top of what the other one changed?".to_owned();
            return if self.terminal.agrees(question).await? {
                Ok(Step::Again(next))
            } else {
                Err(failure)
            };
        }
        let can_be_edited = matches!(
            refusal.code(),
            Some(Code::InvalidArgument | Code::AlreadyExists | Code::FailedPrecondition)
        ) || !refusal.violations().is_empty();
        if can_be_edited {
            Ok(Step::Wrong(findings(typed, refusal)))
        } else {
            Err(failure)
        }
    }
}

fn findings(typed: &Typed, refused: &Refused) -> Vec<Finding> {
    if refused.violations().is_empty() {
        let (path, kind) = (FieldPath::root(), ViolationKind::Invalid);
        return vec![Finding {
            violation: Violation::new(path, kind, plain(refused.message())),
            place: None,
        }];
    }
    let violations = refused.violations().iter();
    violations.map(|violation| typed.find(violation)).collect()
}
