//! From lines with instants to bytes with offsets.
//!
//! Pure. A runtime cuts lines that are longer than [`PIECE`] bytes, and older
//! nodes put an instant in front of every piece, in the middle of the line: one
//! that stands exactly there is no output.

use std::collections::VecDeque;

use bytes::Bytes;
use k8s_openapi::jiff;
use palisade_backend::LogChunk;
use palisade_model::clock::Timestamp;

/// Where runtimes cut lines.
const PIECE: usize = 16 * 1024;
/// The longest instant.
const INSTANT_MAX: usize = 40;

/// A line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) offset: u64,
    pub(super) at: Timestamp,
    pub(super) data: Vec<u8>,
}

/// Reads lines, and counts their bytes.
#[derive(Debug, Default)]
pub(super) struct Lines {
    end: u64,
    last: Option<Timestamp>,
}

/// Which part of the log is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) from_offset: u64,
    pub(super) since: Option<Timestamp>,
}

/// The line that was read last, to go on behind it in another stream.
///
/// Offsets would not do: a node that turned its log over begins later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    at: Option<jiff::Timestamp>,
    /// How many lines of that instant were read.
    lines: u64,
}

/// Finds the place behind a mark in a stream that begins before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    mark: Mark,
    seen: Mark,
    is_behind: bool,
}

/// Remembers where the last lines begin.
#[derive(Debug)]
pub(super) struct Tail {
    most: Option<usize>,
    starts: VecDeque<u64>,
}

impl Lines {
    /// Takes a line as the node sends it, its newline included.
    pub(super) fn read(&mut self, line: &[u8]) -> Line {
        let (at, rest) = match instant(line) {
            Some((at, rest)) => (Timestamp::from_micros(at.as_microsecond()), rest),
            None => (self.last.unwrap_or(Timestamp::EPOCH), line),
        };
        self.last = Some(at);
        let data = joined(rest);
        let offset = self.end;
        self.end += data.len() as u64;
        Line { offset, at, data }
    }

    /// Where the log ends so far.
    pub(super) fn end(&self) -> u64 {
        self.end
    }
}

impl Cut {
    /// What is wanted of a line.
    pub(super) fn apply(&self, line: Line) -> Option<LogChunk> {
        if self.since.is_some_and(|since| line.at < since) {
            return None;
        }
        let skip = self.from_offset.saturating_sub(line.offset);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        if skip >= line.data.len() {
            return None;
        }
        Some(LogChunk {
            offset: line.offset + skip as u64,
            at: line.at,
            data: Bytes::from(line.data).slice(skip..),
        })
    }
}

impl Mark {
    /// Takes note of a line that is read.
    pub(super) fn pass(&mut self, line: &[u8]) {
        match instant(line) {
            Some((at, _)) if self.at != Some(at) => {
                *self = Self {
                    at: Some(at),
                    lines: 1,
                };
            }
            Some(_) | None => self.lines = self.lines.saturating_add(1),
        }
    }

    /// From when on to read, so that the line is among what comes. The server knows whole
    /// seconds, and the next one would be too late.
    pub(super) fn since(&self) -> Option<jiff::Timestamp> {
        let at = self.at?;
        let second = at.as_second() - i64::from(at.subsec_nanosecond() < 0);
        jiff::Timestamp::from_second(second).ok()
    }

    /// What a stream that begins before it has again.
    pub(super) fn known(self) -> Known {
        Known {
            mark: self,
            seen: Self::default(),
            is_behind: false,
        }
    }
}

impl Known {
    /// Whether the next line of the stream was read before.
    pub(super) fn has(&mut self, line: &[u8]) -> bool {
        if !self.is_behind {
            self.seen.pass(line);
            self.is_behind = self.seen > self.mark;
        }
        !self.is_behind
    }
}

impl Tail {
    /// The last so many lines, or everything.
    pub(super) fn new(lines: Option<u32>) -> Self {
        let most = lines.map(|lines| usize::try_from(lines).unwrap_or(usize::MAX));
        Self {
            most,
            starts: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, line: &Line) {
        let Some(most) = self.most else {
            return;
        };
        self.starts.push_back(line.offset);
        if self.starts.len() > most {
            self.starts.pop_front();
        }
    }

    /// Where they begin in a log that ends there.
    pub(super) fn start(&self, end: u64) -> u64 {
        match (self.most, self.starts.front()) {
            (None, _) => 0,
            (Some(_), Some(start)) => *start,
            (Some(_), None) => end,
        }
    }
}

/// An instant and a blank at the start of a text, and what is behind.
fn instant(text: &[u8]) -> Option<(jiff::Timestamp, &[u8])> {
    let start = &text[..text.len().min(INSTANT_MAX)];
    let blank = start.iter().position(|byte| *byte == b' ')?;
    let instant = std::str::from_utf8(&text[..blank]).ok()?;
    let instant: jiff::Timestamp = instant.parse().ok()?;
    Some((instant, &text[blank + 1..]))
}

/// The output in a line, without the instants at its pieces.
fn joined(mut rest: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(rest.len());
    while rest.len() > PIECE {
        let (piece, behind) = rest.split_at(PIECE);
        data.extend_from_slice(piece);
        rest = instant(behind).map_or(behind, |(_, behind)| behind);
    }
    data.extend_from_slice(rest);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-11-26T18:00:00.5Z";

    fn line(text: &str) -> Vec<u8> {
        format!("{AT} {text}\n").into_bytes()
    }

    fn read(texts: &[&str]) -> (Vec<Line>, Lines) {
        let mut lines = Lines::default();
        let read = texts.iter().map(|text| lines.read(&line(text))).collect();
        (read, lines)
    }

    #[test]
    fn lines_have_offsets_and_instants() {
        let (read, lines) = read(&["line 0", "", "line 2"]);
        let offsets: Vec<u64> = read.iter().map(|line| line.offset).collect();
        assert_eq!((offsets, lines.end()), (vec![0, 7, 8], 15));
        assert_eq!(read[2].data, b"line 2\n");
        let at: jiff::Timestamp = AT.parse().unwrap();
        assert_eq!(read[0].at.as_micros(), at.as_microsecond());
    }

    #[test]
    fn a_line_without_an_instant_is_output_of_the_one_before() {
        let mut lines = Lines::default();
        let first = lines.read(&line("a"));
        let second = lines.read(b"no instant here\n");
        assert_eq!(
            (second.at, second.data.as_slice()),
            (first.at, b"no instant here\n".as_slice())
        );
    }

    #[test]
    fn an_offset_cuts_within_a_line() {
        let (read, _) = read(&["line 0", "line 1"]);
        let cut = Cut {
            from_offset: 9,
            since: None,
        };
        let chunks: Vec<LogChunk> = read
            .into_iter()
            .filter_map(|line| cut.apply(line))
            .collect();
        assert_eq!((chunks.len(), chunks[0].offset), (1, 9));
        assert_eq!(chunks[0].data, "ne 1\n");
    }

    #[test]
    fn what_was_written_before_is_left_out() {
        let (read, _) = read(&["a"]);
        let at = read[0].at;
        let cut = |since| Cut {
            from_offset: 0,
            since: Some(since),
        };
        assert!(cut(at).apply(read[0].clone()).is_some());
        let later = Timestamp::from_micros(at.as_micros() + 1);
        assert!(cut(later).apply(read[0].clone()).is_none());
    }

    #[test]
    fn the_tail_begins_with_the_last_lines() {
        let (read, lines) = read(&["a", "b", "c"]);
        let start = |count| {
            let mut tail = Tail::new(count);
            for line in &read {
                tail.push(line);
            }
            tail.start(lines.end())
        };
        assert_eq!(
            [start(None), start(Some(0)), start(Some(2)), start(Some(9))],
            [0, 6, 2, 0]
        );
    }

    #[test]
    fn the_place_behind_a_mark_is_found_in_another_stream() {
        let line = |nanos: u32, text: &str| format!("2026-11-26T18:00:00.{nanos:09}Z {text}\n");
        let read = [line(7, "a"), line(7, "b"), line(8, "c"), line(8, "c")];
        let mut mark = Mark::default();
        for line in &read[..3] {
            mark.pass(line.as_bytes());
        }
        let mut known = mark.known();
        let again = read.each_ref().map(|line| known.has(line.as_bytes()));
        assert_eq!(again, [true, true, true, false]);
        let mut known = mark.known();
        assert!(!known.has(line(9, "what the node no longer has").as_bytes()));
        assert!(!Mark::default().known().has(b"no instant here\n"));
        let since = mark.since().unwrap().to_string();
        assert_eq!(since, "2026-11-26T18:00:00Z");
    }

    #[test]
    fn instants_at_the_pieces_of_a_long_line_are_not_output() {
        let long = "x".repeat(PIECE);
        let text = format!("{long}{AT} {long}{AT} end");
        let mut lines = Lines::default();
        let old = lines.read(&line(&text));
        assert_eq!(old.data.len(), 2 * PIECE + "end\n".len());
        let new = lines.read(&line(&format!("{long}{long}end")));
        assert_eq!(new.data, old.data);
    }
}
