//! The loop of process 1: one thread, which never waits but for all at once.
//!
//! ```text
//!     running ── the main process ends ──► ending: what is left is killed,
//!        │                                 the host is told ──► end
//!        └── a stop, and its grace passes: everything is killed
//! ```
//!
//! An agent has the same loop without a [`Life`] of a main process, and ends with
//! whoever started it ([`attended`]).
//!
//! Each turn takes the events, then reaps, then looks at what has become due.
//! That order lets output that was written before an end be seen before it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use palisade_init_protocol::answer::{Answer, Ended};
use palisade_init_protocol::text::Stream;
use rustix::event::epoll::EventFlags;
use rustix::process::Pid;

use crate::boot::StatusFile;
use crate::clock::Instant;
use crate::connection::{Connection, Role};
use crate::log::Log;
use crate::poller::{Poller, Source, Token};
use crate::reaper;
use crate::settings::{Program, Settings};

mod attended;
mod condemned;
mod door;
mod leftovers;
mod life;
mod requests;

pub(crate) use attended::Control;
use condemned::Condemned;
pub(crate) use door::{Door, STRANGER_LIMIT};
use leftovers::Leftovers;
use life::Life;

/// How much is read at once; also the most bytes of one record of the log.
const BUFFER_BYTES: usize = 64 * 1024;

/// How long the end waits for the last processes, and for the host to listen.
const ENDING_LIMIT: Duration = Duration::from_secs(3);

/// Process 1, or an agent, at work.
#[derive(Debug)]
pub(crate) struct Server {
    poller: Poller,
    door: Door,
    children: Source,
    settings: Settings,
    connections: BTreeMap<u64, Connection>,
    /// The number of the next connection. None is used twice.
    next: u64,
    /// Commands by what they are, with the connection that each belongs to.
    commands: HashMap<Pid, u64>,
    /// Children that do a job on a file.
    file_jobs: HashSet<Pid>,
    condemned: Vec<Condemned>,
    leftovers: Leftovers,
    buffer: Vec<u8>,
}

impl Server {
    /// Serves nobody yet. Connections are numbered from `first` on.
    pub(crate) fn new(
        settings: Settings,
        poller: Poller,
        door: Door,
        first: u64,
    ) -> io::Result<Self> {
        let mut children = poller.source(reaper::notifier()?, Token::Children);
        children.want(EventFlags::IN)?;
        Ok(Self {
            poller,
            door,
            children,
            settings,
            connections: BTreeMap::new(),
            next: first,
            commands: HashMap::new(),
            file_jobs: HashSet::new(),
            condemned: Vec::new(),
            leftovers: Leftovers::default(),
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Runs the main process and serves the host, and returns what to end with.
    pub(crate) fn run(
        mut self,
        main: &Program,
        log: Log,
        status: &mut StatusFile,
    ) -> io::Result<u8> {
        let mut life = Life::begin(main, log, status, &self.settings, &self.poller)?;
        loop {
            let limit = self.next_limit(life.limits());
            for (token, flags) in self.poller.wait(limit)? {
                self.dispatch(token, flags, Some(&mut life));
            }
            life.check_setup();
            if let Some(ended) = self.reap(Some(life.pid())) {
                life.end(ended, &mut self.buffer);
            }
            self.expire();
            life.expire();
            self.tell_watchers(&life);
            if let Some(code) = self.code_to_end_with(&life) {
                return Ok(code);
            }
        }
    }

    fn dispatch(&mut self, token: Token, flags: EventFlags, life: Option<&mut Life<'_>>) {
        match token {
            Token::Listener => self.accept(),
            Token::Children => reaper::acknowledge(&self.children),
            // Looked at in each turn.
            Token::MainSetup | Token::Control => {}
            Token::MainOutput(stream) => {
                if let Some(life) = life {
                    life.log_output(stream, &mut self.buffer);
                }
            }
            Token::Socket(number) => self.on_socket(number, flags, life),
            Token::Setup(number) | Token::Stdin(number) | Token::Tunnel(number) => {
                self.advance(number);
            }
            Token::Output(number, stream) => self.on_output(number, stream),
        }
    }

    fn accept(&mut self) {
        let asking = |connection: &&Connection| matches!(connection.role, Role::Asking(_));
        let connections = &self.connections;
        let sockets = self
            .door
            .accept(|| connections.values().filter(asking).count());
        for socket in sockets {
            self.take_in(socket);
        }
    }

    fn take_in(&mut self, socket: OwnedFd) {
        let number = self.next;
        self.next += 1;
        let source = self.poller.source(socket, Token::Socket(number));
        let limit = Instant::now().after(self.door.request_limit());
        let Ok(mut connection) = Connection::new(source, limit) else {
            return;
        };
        let limit = self.settings.limits.connections;
        if self.connections.len() + self.file_jobs.len() >= limit as usize {
            connection.conclude(Answer::Busy { limit });
        }
        self.connections.insert(number, connection);
        self.advance(number);
    }

    fn on_output(&mut self, number: u64, stream: Stream) {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.read_output(stream, &mut self.buffer);
        }
        self.leftovers.read(number, stream, &mut self.buffer);
        self.advance(number);
    }

    /// Lets a connection do what it can, and drops it when it is done.
    fn advance(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let goes_on = connection.advance(&mut self.buffer);
        for (stream, output) in connection.take_leftovers() {
            self.leftovers.keep(number, stream, output);
        }
        if !goes_on {
            self.drop_connection(number);
        }
    }

    /// Drops a connection, and gives up what was done for it.
    fn drop_connection(&mut self, number: u64) {
        let Some(connection) = self.connections.remove(&number) else {
            return;
        };
        if let Role::Command(exec) = connection.role {
            self.commands.remove(&exec.pid());
            self.condemned.push(Condemned::new(exec.family()));
        }
    }

    /// Reaps all who have ended, and returns how the main process did.
    fn reap(&mut self, main: Option<Pid>) -> Option<Ended> {
        let mut main_ended = None;
        while let Some((pid, ended)) = reaper::reap() {
            if Some(pid) == main {
                main_ended = Some(ended);
            } else {
                self.reaped(pid, ended);
            }
        }
        main_ended
    }

    fn reaped(&mut self, pid: Pid, ended: Ended) {
        self.file_jobs.remove(&pid);
        self.door.reaped(pid);
        let Some(number) = self.commands.remove(&pid) else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(&number)
            && let Role::Command(exec) = &mut connection.role
        {
            exec.ended(ended);
        }
        self.advance(number);
    }

    /// What to end with, once nobody is waited for any more.
    fn code_to_end_with(&self, life: &Life<'_>) -> Option<u8> {
        let ending = life.ending()?;
        self.has_ended(ending)
            .then(|| u8::try_from(ending.record.shell_code()).unwrap_or(u8::MAX))
    }

    fn has_ended(&self, ending: &life::Ending) -> bool {
        let is_waited_for = |connection: &Connection| match &connection.role {
            Role::Command(_) | Role::Watcher(_) | Role::Closing => true,
            // What the killed ones sent before is still told.
            Role::Tunnel(tunnel) => !tunnel.has_received_all(),
            Role::Asking(_) => false,
        };
        let is_late = ending.limit.left(Instant::now()).is_zero();
        let is_told = !self.connections.values().any(is_waited_for);
        is_late || (is_told && !reaper::has_children())
    }

    fn tell_watchers(&mut self, life: &Life<'_>) {
        let (end, ending) = (life.log_end(), life.ending());
        let mut changed = Vec::new();
        for (number, connection) in &mut self.connections {
            let Role::Watcher(watcher) = &mut connection.role else {
                continue;
            };
            // Whoever has not taken the last news gets the newest next.
            if !connection.outbox.is_empty() && ending.is_none() {
                continue;
            }
            if let Some(started) = life.started().filter(|_| !watcher.knows_start) {
                watcher.knows_start = true;
                connection.outbox.push(Answer::Started(started));
                changed.push(*number);
            }
            if watcher.knows_start && watcher.log_end < end {
                watcher.log_end = end;
                connection.outbox.push(Answer::LogAdvanced { end });
                changed.push(*number);
            }
            if let Some(ending) = ending {
                connection.conclude(Answer::MainExited(ending.record.clone()));
                changed.push(*number);
            }
        }
        for number in changed {
            self.advance(number);
        }
    }

    /// Does what has become due.
    fn expire(&mut self) {
        let now = Instant::now();
        self.door.expire(now);
        self.condemned.retain_mut(|condemned| condemned.pursue(now));
        let late = self.connections.iter().filter(|(_, connection)| {
            matches!(connection.role, Role::Asking(until) if until.left(now).is_zero())
        });
        let late: Vec<u64> = late.map(|(number, _)| *number).collect();
        for number in late {
            self.drop_connection(number);
        }
    }

    /// How long there is nothing to do if nothing happens, and nothing of `others` is due.
    fn next_limit(&self, others: impl IntoIterator<Item = Instant>) -> Option<Duration> {
        let asking = self.connections.values().filter_map(|connection| {
            if let Role::Asking(until) = connection.role {
                Some(until)
            } else {
                None
            }
        });
        asking
            .chain(self.condemned.iter().map(Condemned::due))
            .chain(self.door.due())
            .chain(others)
            .min()
            .map(|at| at.left(Instant::now()))
    }
}
