//! What the host asks for, and what is done about it.

use palisade_init_protocol::answer::{Answer, FileFailure};
use palisade_init_protocol::request::{self, PROTOCOL_VERSION, Request};
use palisade_init_protocol::text::Reason;
use rustix::event::epoll::EventFlags;

use super::{Life, Server};
use crate::connection::{Asked, Connection, Role, Watcher};
use crate::exec;
use crate::launch::{READ_FILE, WRITE_FILE, file_job};
use crate::tunnel::Tunnel;

/// What is done for a request that is not answered at once.
enum Deed {
    /// This is the whole answer.
    Answer(Answer),
    /// The connection has a role from now on.
    Become(Role),
    /// A child goes on with the connection.
    HandOver(&'static str, Vec<String>),
}

impl Server {
    /// A connection can be read or written, or nobody is there any more.
    pub(super) fn on_socket(
        &mut self,
        number: u64,
        flags: EventFlags,
        life: Option<&mut Life<'_>>,
    ) {
        if flags.contains(EventFlags::IN) {
            self.read_socket(number, life);
        }
        let gone = EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR;
        if flags.intersects(gone) {
            self.drop_connection(number);
        } else {
            self.advance(number);
        }
    }

    fn read_socket(&mut self, number: u64, life: Option<&mut Life<'_>>) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        match &connection.role {
            Role::Asking(_) => match connection.read_request(&mut self.buffer) {
                Asked::NotYet => {}
                Asked::Gone => self.drop_connection(number),
                Asked::Nonsense(reason) => connection.conclude(Answer::Refused(reason)),
                Asked::For(request) => {
                    let deed = self.decide(request, number, life);
                    self.act(number, deed);
                }
            },
            Role::Command(_) | Role::Tunnel(_) => {
                if let Err(reason) = connection.read_input(&mut self.buffer) {
                    self.refuse_input(number, reason);
                }
            }
            Role::Watcher(_) | Role::Closing => {}
        }
    }

    /// Ends a command or a tunnel whose host talks nonsense.
    fn refuse_input(&mut self, number: u64, reason: Reason) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let role = std::mem::replace(&mut connection.role, Role::Closing);
        connection.conclude(Answer::Refused(reason));
        if let Role::Command(exec) = role {
            self.commands.remove(&exec.pid());
            self.condemned.push(super::Condemned::new(exec.family()));
        }
    }

    fn decide(&mut self, request: Request, number: u64, life: Option<&mut Life<'_>>) -> Deed {
        let is_ending = life.as_ref().is_some_and(|life| life.ending().is_some());
        match request {
            Request::Hello { version: _ } => Deed::Answer(Answer::Hello {
                version: PROTOCOL_VERSION,
            }),
            Request::Ping => Deed::Answer(Answer::Pong),
            Request::Watch | Request::Stop(_) if life.is_none() => {
                let reason = "only process 1 of a sandbox can do that";
                Deed::Answer(Answer::Refused(Reason::new(reason)))
            }
            Request::Watch => Deed::Become(Role::Watcher(Watcher::default())),
            Request::Exec(_)
            | Request::Stop(_)
            | Request::WriteFile(_)
            | Request::ReadFile(_)
            | Request::Connect(_)
                if is_ending =>
            {
                Deed::Answer(Answer::Ending)
            }
            Request::Exec(exec) => self.start_command(exec, number),
            Request::Stop(stop) => {
                if let Some(life) = life {
                    life.stop(stop);
                }
                Deed::Answer(Answer::Done)
            }
            Request::WriteFile(write) => {
                let request::WriteFile {
                    path,
                    size_bytes,
                    mode,
                } = write;
                let mode = mode.map(|mode| mode.bits().to_string());
                let mode = mode.unwrap_or_default();
                let arguments = vec![path.into_string(), size_bytes.to_string(), mode];
                self.hand_over(WRITE_FILE, arguments)
            }
            Request::ReadFile(read) => {
                let request::ReadFile { path, bytes_max } = read;
                self.hand_over(READ_FILE, vec![path.into_string(), bytes_max.to_string()])
            }
            Request::Connect(connect) => self.connect(connect, number),
        }
    }

    fn start_command(&mut self, exec: request::Exec, number: u64) -> Deed {
        let limit = self.settings.limits.execs;
        if self.commands.len() >= limit as usize {
            return Deed::Answer(Answer::Busy { limit });
        }
        match exec::start(exec, number, &self.settings, &self.poller) {
            Ok(exec) => {
                self.commands.insert(exec.pid(), number);
                Deed::Become(Role::Command(Box::new(exec)))
            }
            Err(error) => {
                let reason = format!("cannot start a process: {error}");
                Deed::Answer(Answer::Failed(Reason::new(reason)))
            }
        }
    }

    fn connect(&self, connect: request::Connect, number: u64) -> Deed {
        let limit = self.settings.limits.tunnels;
        let is_tunnel = |connection: &&Connection| matches!(connection.role, Role::Tunnel(_));
        if self.connections.values().filter(is_tunnel).count() >= limit as usize {
            return Deed::Answer(Answer::Busy { limit });
        }
        match Tunnel::connect(connect.port, number, &self.poller) {
            Ok(tunnel) => Deed::Become(Role::Tunnel(Box::new(tunnel))),
            Err(failure) => Deed::Answer(Answer::NotConnected(failure)),
        }
    }

    fn hand_over(&self, mode: &'static str, arguments: Vec<String>) -> Deed {
        let limit = self.settings.limits.file_jobs;
        if self.file_jobs.len() >= limit as usize {
            return Deed::Answer(Answer::Busy { limit });
        }
        Deed::HandOver(mode, arguments)
    }

    fn act(&mut self, number: u64, deed: Deed) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        match deed {
            Deed::Answer(answer) => connection.conclude(answer),
            Deed::Become(role) => connection.role = role,
            Deed::HandOver(mode, arguments) => {
                let child = connection
                    .socket_again()
                    .and_then(|socket| file_job(&self.settings, mode, &arguments, socket));
                match child {
                    Ok(child) => {
                        self.file_jobs.insert(child);
                        self.connections.remove(&number);
                    }
                    Err(error) => {
                        let reason = Reason::new(format!("cannot start a process: {error}"));
                        connection.conclude(Answer::FileFailed(FileFailure::Io(reason)));
                    }
                }
            }
        }
    }
}
