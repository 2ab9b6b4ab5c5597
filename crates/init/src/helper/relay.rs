//! The child between a connection of the network and an agent.
//!
//! ```text
//!     handshake ──► moving both ways ── the agent has said all ──► lingering ──► end
//!         └───────────────┴── wrong key, nonsense, or nobody there ──► end
//! ```
//!
//! Its input is the connection, its output one end of a socket pair, and what
//! both ends of the connection know can be read from its third descriptor. At most
//! one record waits in each direction; a slow end slows the other one down.
//! Whatever is wrong, it ends without a word, and the agent sees that nobody is
//! there any more.

use std::io;
use std::os::fd::BorrowedFd;
use std::process::ExitCode;
use std::time::Duration;

use palisade_init_channel::{GREETING_BYTES, Handshake, KEY_BYTES, Opener, Sealer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, send, shutdown};
use rustix::process::{
    DumpableBehavior, Signal, getppid, set_dumpable_behavior, set_parent_process_death_signal,
};

use crate::clock::Instant;
use crate::server::STRANGER_LIMIT;

/// How much is read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// How long whoever connected may take to hang up once he has been told all. To
/// hang up first could lose him the end of it: what he sent and nobody read would
/// reset the connection.
const LINGER_LIMIT: Duration = Duration::from_secs(2);

/// Both sides, and what is on its way between them.
struct Relay {
    sealer: Sealer,
    opener: Opener,
    /// Sealed, for the network.
    outward: Pending,
    /// Opened, for the agent.
    inward: Pending,
    /// Whether the agent still takes something.
    takes_inward: bool,
    buffer: Vec<u8>,
}

/// Bytes that wait to be taken.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    taken: usize,
}

/// Relays until one end hangs up.
pub(crate) fn run() -> ExitCode {
    match relay() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn network() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

fn agent() -> BorrowedFd<'static> {
    rustix::stdio::stdout()
}

fn relay() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // It goes with the agent, however that ends.
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != parent {
        return Ok(());
    }
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
    let (sealer, opener) = shake_hands(&read_key()?)?;
    Relay {
        sealer,
        opener,
        outward: Pending::default(),
        inward: Pending::default(),
        takes_inward: true,
        buffer: vec![0; BUFFER_BYTES],
    }
    .run()
}

fn read_key() -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    // It was written at once, before this child was started.
    match rustix::io::read(rustix::stdio::stderr(), &mut key)? {
        KEY_BYTES => Ok(key),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn shake_hands(key: &[u8; KEY_BYTES]) -> io::Result<(Sealer, Opener)> {
    let limit = Instant::now().after(STRANGER_LIMIT);
    let mut handshake = Handshake::answerer(key).map_err(io::Error::other)?;
    let greeting = read_greeting(limit)?;
    handshake.hear(&greeting).map_err(io::Error::other)?;
    let greeting = handshake.greet().map_err(io::Error::other)?;
    // Nothing was sent before: there is room for it.
    if send(network(), &greeting, SendFlags::NOSIGNAL)? < greeting.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    handshake.finish().map_err(io::Error::other)
}

fn read_greeting(limit: Instant) -> io::Result<[u8; GREETING_BYTES]> {
    let mut greeting = [0; GREETING_BYTES];
    let mut len = 0;
    while len < GREETING_BYTES {
        let wanted = [(network(), PollFlags::IN), (agent(), PollFlags::empty())];
        let [_, hung_up] = wait(wanted, Some(limit))?;
        if !hung_up.is_empty() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        len += match rustix::io::read(network(), &mut greeting[len..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(Errno::INTR | Errno::AGAIN) => 0,
            Err(error) => return Err(error.into()),
        };
    }
    Ok(greeting)
}

impl Relay {
    fn run(mut self) -> io::Result<()> {
        loop {
            let mut from_network = PollFlags::RDHUP;
            from_network.set(PollFlags::IN, self.takes_inward && self.inward.is_empty());
            from_network.set(PollFlags::OUT, !self.outward.is_empty());
            let mut from_agent = PollFlags::empty();
            from_agent.set(PollFlags::IN, self.outward.is_empty());
            from_agent.set(PollFlags::OUT, !self.inward.is_empty());
            // Whoever waits for nothing would be told of an end all the time.
            let wanted = [(network(), from_network), (agent(), from_agent)];
            let [network_is, agent_is] = if from_agent.is_empty() {
                let [network_is] = wait([wanted[0]], None)?;
                [network_is, PollFlags::empty()]
            } else {
                wait(wanted, None)?
            };
            if network_is.contains(PollFlags::IN) {
                self.receive()?;
            }
            if network_is.contains(PollFlags::OUT) {
                self.outward.write(network())?;
            }
            if network_is.intersects(PollFlags::HUP | PollFlags::RDHUP | PollFlags::ERR) {
                // Nobody listens: whatever was done for him is given up.
                return Ok(());
            }
            if !self.inward.is_empty() && self.inward.write(agent()).is_err() {
                // It says the rest, and hangs up.
                self.inward = Pending::default();
                self.takes_inward = false;
            }
            if agent_is.intersects(PollFlags::IN | PollFlags::HUP) && self.fetch()? {
                return linger();
            }
        }
    }

    /// Reads once from the network, and opens what has come.
    fn receive(&mut self) -> io::Result<()> {
        let read = match rustix::io::read(network(), &mut self.buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.opener.push(&self.buffer[..read]);
        // What was read at once holds a few records at most.
        while self
            .opener
            .next(&mut self.inward.bytes)
            .map_err(io::Error::other)?
        {}
        Ok(())
    }

    /// Reads once from the agent and seals it; returns whether that was all.
    fn fetch(&mut self) -> io::Result<bool> {
        if !self.outward.is_empty() {
            return Ok(false);
        }
        let read = match rustix::io::read(agent(), &mut self.buffer) {
            Ok(0) => return Ok(true),
            Ok(read) => read,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.sealer
            .seal(&self.buffer[..read], &mut self.outward.bytes)
            .map_err(io::Error::other)?;
        self.outward.write(network())?;
        Ok(false)
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Writes as much as is taken.
    fn write(&mut self, to: BorrowedFd<'_>) -> io::Result<()> {
        while self.taken < self.bytes.len() {
            match send(to, &self.bytes[self.taken..], SendFlags::NOSIGNAL) {
                Ok(sent) => self.taken += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.bytes.clear();
        self.taken = 0;
        Ok(())
    }
}

/// All was said: waits until the other end has hung up, but not for long.
fn linger() -> io::Result<()> {
    shutdown(network(), Shutdown::Write)?;
    let limit = Instant::now().after(LINGER_LIMIT);
    let mut rest = [0; 4096];
    loop {
        wait([(network(), PollFlags::IN)], Some(limit))?;
        match rustix::io::read(network(), &mut rest) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits for one of these, until then.
fn wait<const N: usize>(
    wanted: [(BorrowedFd<'_>, PollFlags); N],
    limit: Option<Instant>,
) -> io::Result<[PollFlags; N]> {
    let mut polled = wanted.map(|(end, flags)| PollFd::from_borrowed_fd(end, flags));
    loop {
        let left = limit.map(|limit| limit.left(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let timeout = left.map(Timespec::try_from).transpose();
        let timeout = timeout.map_err(|_| io::ErrorKind::InvalidInput)?;
        match poll(&mut polled, timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(polled.each_ref().map(PollFd::revents)),
            Err(error) => return Err(error.into()),
        }
    }
}
