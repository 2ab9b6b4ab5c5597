//! `cwic`: profiles, runners and bindings from the command line.

mod changes;
mod cli;
mod clock;
mod commands;
mod complete;
mod config_file;
mod editor;
mod error;
mod escape;
mod input;
mod jsonpath;
mod listing;
mod order;
mod out;
mod outcome;
mod present;
mod prompt;
mod selector;
mod settings;
mod suggestion;
mod terminal;
mod usage;
mod wizard;
mod words;

use std::process::ExitCode;

use out::Out;

fn main() -> ExitCode {
    match complete::answered() {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(_) => return error::Exit::Failure.into(),
    }
    let parsed = match usage::parse() {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let mut out = Out::standard(parsed.color, parsed.error_format);
    let ended = commands::run(parsed, &mut out);
    match out.lost().map_or(ended, Err) {
        Ok(code) => code,
        Err(error) => {
            out.error(&error);
            error.exit_code()
        }
    }
}
