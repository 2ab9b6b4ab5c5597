//! The input of a command: a pipe, or a terminal.
//!
//! Invariant: at most [`PENDING_BYTES_MAX`] and one frame wait. What a command
//! does not take any more is dropped.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;

use bytes::{Buf as _, Bytes};
use palisade_init_protocol::text::TerminalSize;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::termios::{SpecialCodeIndex, Winsize, tcgetattr, tcsetwinsize};

use crate::poller::Source;

/// No more frames are taken while more than this waits.
const PENDING_BYTES_MAX: usize = 256 * 1024;

/// The input of a command.
#[derive(Debug)]
pub(crate) struct Stdin {
    /// `None` once the command takes nothing any more.
    source: Option<Source>,
    is_terminal: bool,
    pending: VecDeque<Bytes>,
    pending_bytes: usize,
    is_closed: bool,
    /// Whether a terminal is inside of a line.
    is_in_line: bool,
}

impl Stdin {
    /// Writes to a pipe or to the master of a terminal.
    pub(crate) fn new(source: Source, is_terminal: bool) -> Self {
        Self {
            source: Some(source),
            is_terminal,
            pending: VecDeque::new(),
            pending_bytes: 0,
            is_closed: false,
            is_in_line: false,
        }
    }

    /// Whether more may be pushed.
    pub(crate) fn takes_more(&self) -> bool {
        self.pending_bytes <= PENDING_BYTES_MAX
    }

    /// Puts bytes at the end.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if self.source.is_none() || self.is_closed || bytes.is_empty() {
            return;
        }
        self.is_in_line = bytes.last().is_some_and(|last| !b"\r\n".contains(last));
        self.pending_bytes += bytes.len();
        self.pending.push_back(bytes);
    }

    /// Nothing follows any more.
    pub(crate) fn close(&mut self) {
        if self.is_terminal {
            // A terminal has no end: it is a character that ends a line, and at
            // the beginning of one, the input.
            let end = self.end_of_input();
            let ends = if self.is_in_line { 2 } else { 1 };
            self.push(Bytes::from(vec![end; ends]));
            self.is_in_line = false;
        } else {
            self.is_closed = true;
        }
    }

    /// Sets the size of the terminal, if it is one.
    pub(crate) fn resize(&self, size: TerminalSize) {
        if let Some(source) = self.source.as_ref().filter(|_| self.is_terminal) {
            let _ = set_size(source, size);
        }
    }

    /// Writes as much as is taken, and waits for the rest.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        while let Some(bytes) = self.pending.front_mut() {
            let Some(source) = &mut self.source else {
                break;
            };
            let written = match rustix::io::write(&*source, bytes) {
                Ok(written) => written.min(bytes.len()),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return source.want(EventFlags::OUT),
                // The other end is closed: nobody reads any more.
                Err(_) => {
                    self.give_up();
                    return Ok(());
                }
            };
            bytes.advance(written);
            self.pending_bytes -= written;
            if bytes.is_empty() {
                self.pending.pop_front();
            }
        }
        if self.is_closed {
            self.give_up();
        }
        match &mut self.source {
            Some(source) => source.want(EventFlags::empty()),
            None => Ok(()),
        }
    }

    /// Closes the input, and drops what waits.
    pub(crate) fn give_up(&mut self) {
        self.source = None;
        self.pending.clear();
        self.pending_bytes = 0;
    }

    fn end_of_input(&self) -> u8 {
        const EOT: u8 = 4;
        let attributes = self.source.as_ref().map(tcgetattr);
        match attributes {
            Some(Ok(attributes)) => attributes.special_codes[SpecialCodeIndex::VEOF],
            Some(Err(_)) | None => EOT,
        }
    }
}

/// Sets the size of a terminal.
pub(crate) fn set_size(terminal: impl AsFd, size: TerminalSize) -> io::Result<()> {
    let size = Winsize {
        ws_col: size.columns,
        ws_row: size.rows,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(terminal, size)?)
}
