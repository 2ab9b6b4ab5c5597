//! Questions to a person at a terminal.
//!
//! The only module that knows the library behind the prompts. Everything is
//! written to standard error, so that results can be piped on. What is not
//! acceptable is told while it is typed, and cannot be submitted. Texts of the
//! server must be made [`plain`](crate::present::plain) by whoever asks.

use std::sync::Arc;

use inquire::autocompletion::Replacement;
use inquire::list_option::ListOption;
use inquire::ui::RenderConfig;
use inquire::validator::{ErrorMessage, Validation};
use inquire::{
    Autocomplete, Confirm, CustomUserError, InquireError, MultiSelect, Password,
    PasswordDisplayMode, Select, Text, set_global_render_config,
};

use crate::cli::Secret;
use crate::error::{CliError, Exit};
use crate::terminal::{Terminal, interruptible};

/// Says what is wrong with an answer.
pub(crate) type Check = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// How many options are shown at once.
const PAGE: usize = 10;

/// What an explanation starts with, and no answer may.
const WRONG: &str = "\u{2717} ";

/// A question that is answered with a line of text.
pub(crate) struct Question {
    message: String,
    help: String,
    initial: String,
    as_typed: Check,
    at_enter: Check,
}

impl Question {
    /// A question to which any text is an answer.
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
            initial: String::new(),
            as_typed: Arc::new(|_| Ok(())),
            at_enter: Arc::new(|_| Ok(())),
        }
    }

    /// What stands there at first.
    #[must_use]
    pub(crate) fn initially(mut self, text: impl Into<String>) -> Self {
        self.initial = text.into();
        self
    }

    /// What is looked at with every key.
    #[must_use]
    pub(crate) fn check(
        mut self,
        check: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.as_typed = Arc::new(check);
        self
    }

    /// What is looked at when the answer is given, as it takes its time.
    #[must_use]
    pub(crate) fn check_at_enter(
        mut self,
        check: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.at_enter = Arc::new(check);
        self
    }
}

/// A question that is answered with some of a list.
pub(crate) struct Choice {
    /// The question.
    pub(crate) message: String,
    /// How to answer it.
    pub(crate) help: &'static str,
    /// What can be chosen.
    pub(crate) options: Vec<String>,
}

impl Terminal {
    /// Asks for a line of text; blanks at its ends are not part of it.
    pub(crate) async fn ask(&mut self, question: Question) -> Result<String, CliError> {
        let asked = self.put(move || {
            let Question {
                message,
                help,
                initial,
                as_typed,
                at_enter,
            } = question;
            let shown = as_typed.clone();
            Text::new(&message)
                .with_help_message(&help)
                .with_initial_value(&initial)
                .with_autocomplete(Explanation(shown))
                .with_validator(move |text: &str| Ok(validation(text, &as_typed, &at_enter)))
                .prompt()
        });
        Ok(asked.await?.trim().to_owned())
    }

    /// Asks for a line that nobody who looks on can read.
    pub(crate) async fn ask_secret(&mut self, question: String) -> Result<Secret, CliError> {
        self.put(move || {
            Password::new(&question)
                .without_confirmation()
                .with_display_mode(PasswordDisplayMode::Hidden)
                .prompt()
                .map(Secret)
        })
        .await
    }

    /// Asks for one of a list, by its index.
    pub(crate) async fn pick(&mut self, choice: Choice, start: usize) -> Result<usize, CliError> {
        self.put(move || {
            let Choice {
                message,
                help,
                options,
            } = choice;
            let start = start.min(options.len().saturating_sub(1));
            Select::new(&message, options)
                .with_help_message(help)
                .with_starting_cursor(start)
                .with_page_size(PAGE)
                .with_scorer(&|typed, _, option, index| score(typed, option, index))
                .raw_prompt()
                .map(|picked| picked.index)
        })
        .await
    }

    /// Asks for some of a list, by their indices, in the order of the list.
    pub(crate) async fn pick_some(
        &mut self,
        choice: Choice,
        chosen: Vec<usize>,
        at_least: usize,
    ) -> Result<Vec<usize>, CliError> {
        self.put(move || {
            let Choice {
                message,
                help,
                options,
            } = choice;
            MultiSelect::new(&message, options)
                .with_help_message(help)
                .with_default(&chosen)
                .with_page_size(PAGE)
                .with_scorer(&|typed, _, option, index| score(typed, option, index))
                .with_validator(move |picked: &[ListOption<&String>]| {
                    Ok(enough(picked.len(), at_least))
                })
                .raw_prompt()
                .map(|picked| picked.into_iter().map(|option| option.index).collect())
        })
        .await
    }

    /// Asks for a yes, which nobody gives by mistake.
    pub(crate) async fn agrees(&mut self, message: String) -> Result<bool, CliError> {
        self.put(move || Confirm::new(&message).with_default(false).prompt())
            .await
    }

    async fn put<T: Send + 'static>(
        &mut self,
        prompt: impl FnOnce() -> Result<T, InquireError> + Send + 'static,
    ) -> Result<T, CliError> {
        let has_color = self.has_color;
        let answer = self.wait_blocking(move || {
            set_global_render_config(if has_color {
                RenderConfig::default_colored()
            } else {
                RenderConfig::empty()
            });
            prompt()
        });
        let error = match answer.await? {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match error {
            InquireError::OperationCanceled | InquireError::OperationInterrupted => {
                Err(self.left())
            }
            InquireError::NotTTY
            | InquireError::InvalidConfiguration(_)
            | InquireError::IO(_)
            | InquireError::Custom(_) => {
                let undone = self.undone();
                Err(CliError::new(Exit::Failure, undone.what)
                    .because(format!("nothing can be asked: {error}"))
                    .next(undone.instead))
            }
        }
    }
}

fn validation(text: &str, as_typed: &Check, at_enter: &Check) -> Validation {
    let text = text.trim();
    if text.starts_with(WRONG) {
        return invalid("that explains what is wrong, and is no answer".to_owned());
    }
    match as_typed(text).and_then(|()| interruptible(|| at_enter(text))) {
        Ok(()) => Validation::Valid,
        Err(what) => invalid(what),
    }
}

/// Whether an option holds what is typed; those that do keep their order.
fn score(typed: &str, option: &str, index: usize) -> Option<i64> {
    let holds = option.to_lowercase().contains(&typed.to_lowercase());
    holds.then(|| i64::try_from(index).map_or(i64::MIN, |index| -index))
}

fn enough(count: usize, at_least: usize) -> Validation {
    if count >= at_least {
        return Validation::Valid;
    }
    invalid(format!("choose at least {at_least} with the space bar"))
}

fn invalid(what: String) -> Validation {
    Validation::Invalid(ErrorMessage::Custom(what))
}

/// Shows below what is typed what is wrong with it. The library would offer
/// completions there.
#[derive(Clone)]
struct Explanation(Check);

impl Autocomplete for Explanation {
    fn get_suggestions(&mut self, input: &str) -> Result<Vec<String>, CustomUserError> {
        let input = input.trim();
        // Nobody is told that what he did not begin is wrong.
        let wrong = (!input.is_empty()).then(|| self.0(input).err()).flatten();
        Ok(wrong
            .map(|what| format!("{WRONG}{what}"))
            .into_iter()
            .collect())
    }

    fn get_completion(
        &mut self,
        _input: &str,
        _highlighted: Option<String>,
    ) -> Result<Replacement, CustomUserError> {
        Ok(Replacement::None)
    }
}
