//! Process 1 of a sandbox.
//!
//! Without arguments it is process 1: it runs the main process, reaps, and
//! serves the host until the main process has ended. As an [`agent`] it serves the
//! same beside a main process that something else started. With other arguments it
//! is one of its own short-lived children ([`helper`]), which prepares itself
//! between fork and exec where `unsafe` code would otherwise be needed.
//!
//! What is said to the host, and how process 1 is launched, is written down in
//! `palisade-init-protocol`.

use std::process::ExitCode;

use palisade_init_protocol::agent::AGENT;

mod agent;
mod boot;
mod clock;
mod command;
mod connection;
mod exec;
mod family;
mod handover;
mod helper;
mod launch;
mod log;
mod main_process;
mod outbox;
mod pipes;
mod poller;
mod reaper;
mod server;
mod settings;
mod tunnel;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.into_string().unwrap_or_default())
        .collect();
    match arguments.split_first() {
        None => boot::run(),
        Some((mode, [])) if mode == AGENT => agent::run(),
        Some((mode, arguments)) => helper::run(mode, arguments),
    }
}
