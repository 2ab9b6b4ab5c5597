//! Starts a command: its pipes or its terminal, and its child.

use std::io;
use std::os::fd::OwnedFd;

use palisade_init_protocol::request;
use palisade_init_protocol::text::{Stream, TerminalSize};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use super::input::{Stdin, set_size};
use super::{Exec, wait_for};
use crate::family::{Family, Mark};
use crate::launch::{Launched, Manner, Stdio3, launch};
use crate::pipes::{Output, do_not_wait, wide_pipe};
use crate::poller::{Poller, Token};
use crate::settings::Settings;

/// The ends of process 1.
struct Ours {
    stdin: OwnedFd,
    stdout: OwnedFd,
    /// A terminal has none.
    stderr: Option<OwnedFd>,
}

/// Starts a command for the connection of this number.
pub(crate) fn start(
    request: request::Exec,
    number: u64,
    settings: &Settings,
    poller: &Poller,
) -> io::Result<Exec> {
    let has_terminal = request.terminal.is_some();
    let (ours, theirs) = match request.terminal {
        Some(size) => terminal(size)?,
        None => pipes()?,
    };
    let program = settings.program(request);
    let mark = Mark::of(number);
    let manner = Manner {
        mark: Some(mark),
        has_terminal,
    };
    let Launched { pid, setup } = launch(&program, manner, settings.descriptors, theirs)?;
    let mut setup = poller.source(setup, Token::Setup(number));
    wait_for(&mut setup)?;
    let output = |descriptor, stream| {
        let source = poller.source(descriptor, Token::Output(number, stream));
        Output::new(source, has_terminal)
    };
    let stdin = poller.source(ours.stdin, Token::Stdin(number));
    Ok(Exec {
        pid,
        family: Family::new(pid, mark),
        setup: Some(setup),
        stdin: Stdin::new(stdin, has_terminal),
        stdout: Some(output(ours.stdout, Stream::Stdout)),
        stderr: ours.stderr.map(|stderr| output(stderr, Stream::Stderr)),
        has_terminal,
        ended: None,
        is_over: false,
        leftovers: Vec::new(),
    })
}

fn pipes() -> io::Result<(Ours, Stdio3)> {
    let (stdin_theirs, stdin) = wide_pipe()?;
    let (stdout, stdout_theirs) = wide_pipe()?;
    let (stderr, stderr_theirs) = wide_pipe()?;
    for ours in [&stdin, &stdout, &stderr] {
        do_not_wait(ours)?;
    }
    let ours = Ours {
        stdin,
        stdout,
        stderr: Some(stderr),
    };
    let theirs = Stdio3 {
        stdin: stdin_theirs.into(),
        stdout: stdout_theirs,
        stderr: stderr_theirs,
    };
    Ok((ours, theirs))
}

fn terminal(size: TerminalSize) -> io::Result<(Ours, Stdio3)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    set_size(&master, size)?;
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    rustix::fs::fcntl_setfl(
        &master,
        rustix::fs::fcntl_getfl(&master)? | OFlags::NONBLOCK,
    )?;
    let again = |descriptor: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(descriptor, 0);
    let theirs = Stdio3 {
        stdin: again(&slave)?.into(),
        stdout: again(&slave)?,
        stderr: slave,
    };
    let ours = Ours {
        stdin: again(&master)?,
        stdout: master,
        stderr: None,
    };
    Ok((ours, theirs))
}
