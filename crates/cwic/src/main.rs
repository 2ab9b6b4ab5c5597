//! `cwic`: profiles, runners and bindings from the command line.

mod changes;
mod cli;
mod commands;
mod config_file;
mod editor;
mod error;
mod input;
mod out;
mod present;
mod prompt;
mod settings;
mod terminal;
mod usage;
mod wizard;

use std::process::ExitCode;

use out::Out;

fn main() -> ExitCode {
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
