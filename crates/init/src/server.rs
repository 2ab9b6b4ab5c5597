//! The loop of process 1: one thread, which never waits but for all at once.
//!
//! ```text
//!     running ── the main process ends ──► ending: what is left is killed,
//!        │                                 the host is told ──► end
//!        └── a stop, and its grace passes: everything is killed
//! ```
//!
//! Each turn takes the events, then reaps, then looks at what has become due.
//! That order lets output that was written before an end be seen before it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use palisade_init_protocol::answer::{Answer, Ended, ExitRecord, Outcome};
use palisade_init_protocol::status;
use palisade_init_protocol::text::Stream;
use rustix::event::epoll::EventFlags;
use rustix::net::{SocketFlags, accept_with};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::boot::StatusFile;
use crate::clock::{Instant, unix_micros};
use crate::connection::{Connection, Role};
use crate::log::Log;
use crate::main_process::MainProcess;
use crate::poller::{Poller, Source, Token};
use crate::reaper;
use crate::settings::{Program, Settings};

mod condemned;
mod leftovers;
mod requests;

use condemned::Condemned;
use leftovers::Leftovers;

/// How much is read at once; also the most bytes of one record of the log.
const BUFFER_BYTES: usize = 64 * 1024;

/// How long a connection may take to say what it wants.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// How long the end waits for the last processes, and for the host to listen.
const ENDING_LIMIT: Duration = Duration::from_secs(3);

/// How many connections are taken in one turn.
const ACCEPTS_MAX: usize = 64;

/// How long nobody is taken after there was no descriptor for it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Process 1 at work.
#[derive(Debug)]
pub(crate) struct Server {
    poller: Poller,
    listener: Source,
    /// Until when nobody is taken.
    listener_pause: Option<Instant>,
    children: Source,
    settings: Settings,
    log: Log,
    connections: BTreeMap<u64, Connection>,
    /// The number of the next connection. None is used twice.
    next: u64,
    /// Commands by what they are, with the connection that each belongs to.
    commands: HashMap<Pid, u64>,
    /// Children that do a job on a file.
    file_jobs: HashSet<Pid>,
    condemned: Vec<Condemned>,
    leftovers: Leftovers,
    stop: Option<Stopping>,
    buffer: Vec<u8>,
}

/// The main process was asked to end.
#[derive(Clone, Copy, Debug)]
struct Stopping {
    /// When everything is killed; `None` once that is done.
    kill_at: Option<Instant>,
}

/// The main process has ended.
#[derive(Debug)]
struct Ending {
    record: ExitRecord,
    /// When the end waits for nobody any more.
    limit: Instant,
}

impl Server {
    /// Serves nobody yet.
    pub(crate) fn new(settings: Settings, listener: OwnedFd, log: Log) -> io::Result<Self> {
        let poller = Poller::new()?;
        let mut listener = poller.source(listener, Token::Listener);
        listener.want(EventFlags::IN)?;
        let mut children = poller.source(reaper::notifier()?, Token::Children);
        children.want(EventFlags::IN)?;
        Ok(Self {
            poller,
            listener,
            listener_pause: None,
            children,
            settings,
            log,
            connections: BTreeMap::new(),
            next: 0,
            commands: HashMap::new(),
            file_jobs: HashSet::new(),
            condemned: Vec::new(),
            leftovers: Leftovers::default(),
            stop: None,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Runs the main process and serves the host, and returns what to end with.
    pub(crate) fn run(mut self, main: &Program, status: &mut StatusFile) -> io::Result<u8> {
        let mut main = MainProcess::launch(main, &self.settings, &self.poller)?;
        let mut ending: Option<Ending> = None;
        loop {
            let limit = self.next_limit(ending.as_ref());
            for (token, flags) in self.poller.wait(limit)? {
                self.dispatch(token, flags, &mut main, ending.as_ref());
            }
            if let Some(started) = main.check_setup() {
                status.append(&status::started(started));
            }
            if let Some(ended) = self.reap(main.pid) {
                let begun = self.end(&mut main, ended, status);
                ending.get_or_insert(begun);
            }
            self.expire(&main);
            self.tell_watchers(&main, ending.as_ref());
            if let Some(ending) = ending.as_ref().filter(|ending| self.has_ended(ending)) {
                return Ok(u8::try_from(ending.record.shell_code()).unwrap_or(u8::MAX));
            }
        }
    }

    fn dispatch(
        &mut self,
        token: Token,
        flags: EventFlags,
        main: &mut MainProcess,
        ending: Option<&Ending>,
    ) {
        match token {
            Token::Listener => self.accept(),
            Token::Children => reaper::acknowledge(&self.children),
            // Looked at in each turn.
            Token::MainSetup => {}
            Token::MainOutput(stream) => {
                main.log_output(stream, &mut self.log, &mut self.buffer);
            }
            Token::Socket(number) => self.on_socket(number, flags, main, ending),
            Token::Setup(number) | Token::Stdin(number) | Token::Tunnel(number) => {
                self.advance(number);
            }
            Token::Output(number, stream) => self.on_output(number, stream),
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS_MAX {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match accept_with(&self.listener, flags) {
                Ok(socket) => self.take_in(socket),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => {
                    // No descriptor is left. They wait in line.
                    let _ = self.listener.want(EventFlags::empty());
                    self.listener_pause = Some(Instant::now().after(ACCEPT_PAUSE));
                    return;
                }
            }
        }
    }

    fn take_in(&mut self, socket: OwnedFd) {
        let number = self.next;
        self.next += 1;
        let source = self.poller.source(socket, Token::Socket(number));
        let limit = Instant::now().after(REQUEST_LIMIT);
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
    fn reap(&mut self, main: Pid) -> Option<Ended> {
        let mut main_ended = None;
        while let Some((pid, ended)) = reaper::reap() {
            if pid == main {
                main_ended = Some(ended);
            } else {
                self.reaped(pid, ended);
            }
        }
        main_ended
    }

    fn reaped(&mut self, pid: Pid, ended: Ended) {
        self.file_jobs.remove(&pid);
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

    /// The main process has ended: that is recorded, and everybody has to go.
    fn end(&mut self, main: &mut MainProcess, ended: Ended, status: &mut StatusFile) -> Ending {
        if let Some(started) = main.check_setup() {
            status.append(&status::started(started));
        }
        let outcome: Outcome = main.finish(ended, &mut self.log, &mut self.buffer);
        let record = ExitRecord {
            outcome,
            at: unix_micros(),
            asked: self.stop.is_some(),
        };
        status.append(&status::exited(record.clone()));
        kill_everybody();
        Ending {
            record,
            limit: Instant::now().after(ENDING_LIMIT),
        }
    }

    fn has_ended(&self, ending: &Ending) -> bool {
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

    fn tell_watchers(&mut self, main: &MainProcess, ending: Option<&Ending>) {
        let end = self.log.end();
        let mut changed = Vec::new();
        for (number, connection) in &mut self.connections {
            let Role::Watcher(watcher) = &mut connection.role else {
                continue;
            };
            // Whoever has not taken the last news gets the newest next.
            if !connection.outbox.is_empty() && ending.is_none() {
                continue;
            }
            if let Some(started) = main.started().filter(|_| !watcher.knows_start) {
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
    fn expire(&mut self, main: &MainProcess) {
        let now = Instant::now();
        if self
            .listener_pause
            .is_some_and(|until| until.left(now).is_zero())
        {
            self.listener_pause = None;
            let _ = self.listener.want(EventFlags::IN);
        }
        if let Some(stop) = &mut self.stop
            && stop.kill_at.is_some_and(|at| at.left(now).is_zero())
        {
            stop.kill_at = None;
            main.signal(Signal::KILL);
            kill_everybody();
        }
        self.condemned.retain_mut(|condemned| condemned.pursue(now));
        let late = self.connections.iter().filter(|(_, connection)| {
            matches!(connection.role, Role::Asking(until) if until.left(now).is_zero())
        });
        let late: Vec<u64> = late.map(|(number, _)| *number).collect();
        for number in late {
            self.drop_connection(number);
        }
    }

    /// How long there is nothing to do if nothing happens.
    fn next_limit(&self, ending: Option<&Ending>) -> Option<Duration> {
        let asking = self.connections.values().filter_map(|connection| {
            if let Role::Asking(until) = connection.role {
                Some(until)
            } else {
                None
            }
        });
        asking
            .chain(self.condemned.iter().map(Condemned::due))
            .chain(self.stop.and_then(|stop| stop.kill_at))
            .chain(self.listener_pause)
            .chain(ending.map(|ending| ending.limit))
            .min()
            .map(|at| at.left(Instant::now()))
    }
}

/// Kills all processes but this one, in one go: none can start another one
/// meanwhile.
fn kill_everybody() {
    // The group of 1, negated, stands for «everybody».
    let _ = kill_process_group(Pid::INIT, Signal::KILL);
}
