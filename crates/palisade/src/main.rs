//! The server binary: reads settings, begins to log, and runs one command.
//!
//! It brings its own allocator. What thousands of sandboxes leave between each other
//! when they start and go is a third of the memory of a runner otherwise.

mod cli;
mod commands;
mod out;
mod parts;
mod serve;
mod state_dir;
mod system;
mod telemetry;
mod tokens;

use std::process::ExitCode;

use clap::Parser as _;
use tikv_jemallocator::Jemalloc;

use cli::Cli;
use out::Out;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return cli::usage(&told),
    };
    let mut out = Out::standard();
    let ended = telemetry::start(cli.telemetry.log_format, &cli.telemetry.log)
        .and_then(|()| runtime())
        .and_then(|runtime| runtime.block_on(commands::run(cli.command, &mut out)))
        .and_then(|code| out.finish().map(|()| code));
    match ended {
        Ok(code) => code,
        Err(error) => {
            out.error(&error);
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.enable_all().build()?)
}
