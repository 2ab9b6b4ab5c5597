//! From the first instruction to the loop, for an agent.
//!
//! It inherits what its commands are to be: the user, the variables, the
//! directory, and the limits. So nothing of that is changed here but what can be
//! given back. What is on its input and its output is said in
//! [`palisade_init_protocol::agent`].

use std::io;
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::num::NonZeroU16;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::ExitCode;
use std::time::Duration;

use palisade_init_protocol::agent::{AgentConfig, CONFIG_BYTES_MAX, Report};
use palisade_init_protocol::frame::Assembler;
use palisade_init_protocol::text::Reason;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, getpid, set_child_subreaper, set_dumpable_behavior};

use crate::boot::raise_descriptor_limit;
use crate::clock::{Instant, unix_micros};
use crate::handover;
use crate::poller::Poller;
use crate::server::{Control, Door, Server};
use crate::settings::Settings;

/// The last descriptor that is inherited.
const STDERR: i32 = 2;

/// How long the configuration may take.
const CONFIG_LIMIT: Duration = Duration::from_secs(10);

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
enum AgentError {
    #[error("the configuration did not come: {0}")]
    NoConfig(#[source] io::Error),
    #[error("the configuration makes no sense: {0}")]
    BadConfig(#[source] Box<dyn std::error::Error>),
    #[error("port {0} cannot be listened at: {1}")]
    NotListening(NonZeroU16, #[source] io::Error),
    #[error("it cannot start: {0}")]
    NotStarted(#[from] io::Error),
}

/// Is an agent, until nobody wants anything of it any more.
pub(crate) fn run() -> ExitCode {
    let (server, control) = match prepare() {
        Ok(prepared) => prepared,
        Err(error) => {
            say(&Report::Failed(Reason::new(error.to_string())));
            return ExitCode::FAILURE;
        }
    };
    say(&Report::Listening);
    match server.attend(control) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn say(report: &Report) {
    let mut out = io::stdout().lock();
    // Whoever started it reads that, or nobody does.
    let _ = writeln!(out, "{report}");
    let _ = out.flush();
}

fn prepare() -> Result<(Server, Control), AgentError> {
    // Before anything else: the others are not to look at it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from)?;
    handover::close_above(STDERR)?;
    let AgentConfig { port, key, limits } = read_config()?;
    // What its commands leave behind comes to it, so that it finds their
    // descendants; where there is no such thing, marks have to do.
    let _ = set_child_subreaper(Some(getpid()));
    let listener = listen(port).map_err(|error| AgentError::NotListening(port, error))?;
    let poller = Poller::new()?;
    let door = Door::guarded(listener, &poller, key, limits.connections)?;
    let control = Control::new(
        not_waiting(rustix::stdio::stdin())?,
        not_waiting(rustix::stdio::stdout())?,
        &poller,
    )?;
    let settings = Settings::inherited(limits, raise_descriptor_limit());
    // An agent before this one may have left something running, and no mark of
    // it may come twice: they are numbers of connections.
    let first = u64::try_from(unix_micros().0).unwrap_or(0);
    let server = Server::new(settings, poller, door, first)?;
    Ok((server, control))
}

fn read_config() -> Result<AgentConfig, AgentError> {
    let limit = Instant::now().after(CONFIG_LIMIT);
    let mut frames = Assembler::default();
    let mut read = 0;
    let mut buffer = [0; CONFIG_BYTES_MAX];
    loop {
        // Not a byte behind it is taken: the rest is for the loop.
        let missing = frames.missing();
        if read + missing > CONFIG_BYTES_MAX {
            return Err(AgentError::BadConfig("it is too long".into()));
        }
        wait_for_input(limit).map_err(AgentError::NoConfig)?;
        let got = rustix::io::read(rustix::stdio::stdin(), &mut buffer[..missing]);
        let got = got.map_err(|error| AgentError::NoConfig(error.into()))?;
        if got == 0 {
            let error = io::ErrorKind::UnexpectedEof.into();
            return Err(AgentError::NoConfig(error));
        }
        read += got;
        let body = frames.push(&mut &buffer[..got]);
        let body = body.map_err(|error| AgentError::BadConfig(error.into()))?;
        if let Some(body) = body {
            return AgentConfig::decode(body).map_err(|error| AgentError::BadConfig(error.into()));
        }
    }
}

fn wait_for_input(limit: Instant) -> io::Result<()> {
    loop {
        let left = limit.left(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let timeout = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        let stdin = rustix::stdio::stdin();
        let mut polled = [PollFd::from_borrowed_fd(stdin, PollFlags::IN)];
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Both versions at one socket, or version 4 where there is no other.
fn listen(port: NonZeroU16) -> io::Result<OwnedFd> {
    let v6 = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port.get())));
    let listener = match v6 {
        Ok(listener) => listener,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
        Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port.get())))?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener.into())
}

fn not_waiting(descriptor: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let own = rustix::io::fcntl_dupfd_cloexec(descriptor, 0)?;
    rustix::io::ioctl_fionbio(own.as_fd(), true)?;
    Ok(own)
}
