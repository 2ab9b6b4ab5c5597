//! The loop of an agent: as long as whoever started it says something.
//!
//! ```text
//!     serving ── the input ends, or falls silent ──► closing: commands with a
//!                                                    connection are killed ──► end
//! ```
//!
//! What commands that ended left running goes on, as it would had something else
//! run them. Nobody but these commands and what they started is ever killed.

use std::io;
use std::os::fd::OwnedFd;

use palisade_init_protocol::agent::{BEAT_BYTE, SILENCE_MAX};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use super::{ENDING_LIMIT, Server};
use crate::clock::Instant;
use crate::poller::{Poller, Source, Token};
use crate::reaper;

/// Whoever started an agent: what he says, and what is said to him.
#[derive(Debug)]
pub(crate) struct Control {
    input: Source,
    output: OwnedFd,
    /// When nobody is there any more if nothing comes.
    limit: Instant,
}

impl Control {
    /// Both must not wait.
    pub(crate) fn new(input: OwnedFd, output: OwnedFd, poller: &Poller) -> io::Result<Self> {
        let mut input = poller.source(input, Token::Control);
        input.want(EventFlags::IN)?;
        Ok(Self {
            input,
            output,
            limit: Instant::now().after(SILENCE_MAX),
        })
    }

    /// Reads what there is, and answers it. Returns whether somebody is there.
    fn listen(&mut self) -> bool {
        let mut said = [0; 64];
        match rustix::io::read(&self.input, &mut said) {
            Ok(0) => return false,
            Ok(_) => {
                self.limit = Instant::now().after(SILENCE_MAX);
                // Whoever does not read it is told the next time.
                let _ = rustix::io::write(&self.output, &[BEAT_BYTE]);
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return false,
        }
        !self.limit.left(Instant::now()).is_zero()
    }
}

impl Server {
    /// Serves until nobody wants anything any more.
    pub(crate) fn attend(mut self, mut control: Control) -> io::Result<()> {
        while control.listen() {
            let limit = self.next_limit([control.limit]);
            for (token, flags) in self.poller.wait(limit)? {
                self.dispatch(token, flags, None);
            }
            self.reap(None);
            self.expire();
        }
        self.close()
    }

    /// Gives up all that is under way, and waits a little for its end.
    fn close(&mut self) -> io::Result<()> {
        self.door.close();
        let numbers: Vec<u64> = self.connections.keys().copied().collect();
        for number in numbers {
            self.drop_connection(number);
        }
        let end = Instant::now().after(ENDING_LIMIT);
        self.expire();
        while self.has_work() && !end.left(Instant::now()).is_zero() {
            let limit = self.next_limit([end]);
            let events = self.poller.wait(limit)?;
            if events.iter().any(|(token, _)| *token == Token::Children) {
                reaper::acknowledge(&self.children);
            }
            self.reap(None);
            self.expire();
        }
        Ok(())
    }

    /// Whether somebody has yet to go. Jobs on files go by themselves, as nobody is
    /// at the other end.
    fn has_work(&self) -> bool {
        !self.condemned.is_empty() || !self.file_jobs.is_empty()
    }
}
