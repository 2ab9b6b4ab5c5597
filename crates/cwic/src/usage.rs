//! From the arguments of the process to [`Cli`], or to the end of the process.
//!
//! What is said about colour and the form of failures holds for a command line
//! that cannot be understood too.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgMatches, ColorChoice, CommandFactory as _, FromArgMatches as _};

use crate::cli::{Cli, Given};
use crate::error::{CliError, Exit};
use crate::escape;

/// Reads the command line. Help and version are successes; all else that is no
/// command is a usage error.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    let arguments: Vec<_> = env::args_os().collect();
    let command = Cli::command().color(color(&arguments));
    let parsed = command
        .try_get_matches_from(&arguments)
        .and_then(|matches| {
            let given = given(&matches);
            Ok(Cli {
                given,
                ..Cli::from_arg_matches(&matches)?
            })
        });
    parsed.map_err(|error| report(&error, &arguments))
}

fn given(matches: &ArgMatches) -> Given {
    let is_argument = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
    Given {
        server: is_argument("server"),
        token: is_argument("token"),
        context: is_argument("context"),
    }
}

fn report(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    if !error.use_stderr() {
        // A reader that went away has read enough.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let plain = error.render().to_string();
    let mut stderr = io::stderr();
    // A failure to complain has nobody to be told to.
    let _ = if value(arguments, "--error-format") == Some("json") {
        let text = failure(error, &plain).to_json().to_string();
        writeln!(stderr, "{}", escape::json(&text))
    } else if plain.contains(|c| escape::is_harmful(c) && c != '\n') {
        write!(stderr, "{}", escape::visible(&plain))
    } else {
        error.print()
    };
    Exit::Usage.into()
}

/// The complaint in the form of all failures.
fn failure(error: &clap::Error, plain: &str) -> CliError {
    let first = plain.lines().next().unwrap_or_default();
    let what = first.strip_prefix("error: ").unwrap_or(first);
    let more = plain.lines().skip(1).map(str::trim);
    let more = more.take_while(|line| !line.starts_with("Usage:"));
    let mut failure = CliError::new(Exit::Usage, what);
    failure
        .why
        .extend(more.filter(|line| !line.is_empty()).map(str::to_owned));
    let suggested = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg];
    let suggested = suggested.into_iter().find_map(|kind| error.get(kind));
    let next = match suggested {
        Some(ContextValue::String(one)) => format!("did you mean {one}?"),
        Some(ContextValue::Strings(many)) if !many.is_empty() => {
            format!("did you mean {}?", many.join(" or "))
        }
        Some(_) | None => "see what there is with --help".to_owned(),
    };
    failure.next(next)
}

fn color(arguments: &[OsString]) -> ColorChoice {
    match value(arguments, "--color") {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        Some(_) | None => ColorChoice::Auto,
    }
}

/// The value of an option on a command line that may not make sense as a whole.
fn value<'a>(arguments: &'a [OsString], name: &str) -> Option<&'a str> {
    let mut arguments = arguments.iter().filter_map(|argument| argument.to_str());
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            return None;
        }
        if argument == name {
            return arguments.next();
        }
        let value = argument
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='));
        if value.is_some() {
            return value;
        }
    }
    None
}
