//! Pipes of commands that have ended, while what they left running holds them.
//!
//! A server that was put into the background writes to the pipe of the command
//! that started it. If nobody read that any more it would be killed by its next
//! line, or wait for ever; so it is read, and thrown away. Bounded: beyond
//! [`LEFTOVERS_MAX`] the oldest are closed.

use std::collections::BTreeMap;

use palisade_init_protocol::text::Stream;

use crate::pipes::{Output, Read};

/// How many pipes are read for nobody.
const LEFTOVERS_MAX: usize = 1024;

/// Pipes that are read for nobody, by the number of their command.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    pipes: BTreeMap<(u64, bool), Output>,
}

impl Leftovers {
    /// Reads a pipe from now on, for as long as anybody holds it.
    pub(crate) fn keep(&mut self, number: u64, stream: Stream, mut output: Output) {
        output.go_on();
        if output.listen(true).is_err() {
            return;
        }
        if self.pipes.len() >= LEFTOVERS_MAX {
            self.pipes.pop_first();
        }
        self.pipes.insert(key(number, stream), output);
    }

    /// Reads once from a pipe that has something, if it is one of these.
    pub(crate) fn read(&mut self, number: u64, stream: Stream, buffer: &mut [u8]) {
        let key = key(number, stream);
        let Some(output) = self.pipes.get_mut(&key) else {
            return;
        };
        match output.read(buffer) {
            Read::Some(_) | Read::NotYet => {}
            Read::Over | Read::Rest => {
                self.pipes.remove(&key);
            }
        }
    }
}

fn key(number: u64, stream: Stream) -> (u64, bool) {
    (number, stream == Stream::Stderr)
}
