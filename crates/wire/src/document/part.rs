//! A text with many documents, taken apart before any of them is read.
//!
//! Each part is read by itself, within bounds of its own, so that a mistake in
//! one says nothing about the others; places are those in the whole text. YAML
//! is divided at its markers, JSON where a document ends.

use serde::de::IgnoredAny;

use super::{Data, Fault, FaultKind, Format, Node, Place, parse_all, utf8};

/// The largest text with many documents, in bytes.
pub const STREAM_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The part of a text that holds one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Where it begins in the whole.
    pub place: Place,
    text: &'a str,
}

impl Part<'_> {
    /// Reads the part. It can hold more than one document where YAML ends one
    /// without beginning the next.
    pub fn parse(&self) -> Result<Vec<Node>, Fault> {
        let parsed = parse_all(self.text.as_bytes(), Format::Either);
        let mut documents = parsed.map_err(|mut fault| {
            fault.place = fault.place.map(|place| place.from(self.place));
            if let FaultKind::DuplicateKey { first, .. } = &mut fault.kind {
                *first = first.from(self.place);
            }
            fault
        })?;
        for document in &mut documents {
            document.shift(self.place);
        }
        Ok(documents)
    }
}

/// Takes a text apart; there is at least one part.
pub fn split(bytes: &[u8]) -> Result<Vec<Part<'_>>, Fault> {
    if bytes.len() > STREAM_BYTES_MAX {
        let len = bytes.len();
        return Err(Fault::nowhere(FaultKind::StreamTooLarge { len }));
    }
    let mut parts = Vec::new();
    for part in at_markers(utf8(bytes)?) {
        match json_documents(part) {
            Some(documents) => parts.extend(documents),
            None => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err(Fault::nowhere(FaultKind::Empty));
    }
    Ok(parts)
}

/// The parts between the markers of YAML that hold more than blanks and
/// comments.
fn at_markers(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut begin, mut offset) = (0, 0);
    let mut place = Place::START;
    let (mut is_filled, mut is_marked) = (false, false);
    for (line, number) in text.split_inclusive('\n').zip(1_u32..) {
        let marked = after_marker(line);
        if marked.is_some() && (is_filled || is_marked) {
            let text = &text[begin..offset];
            parts.extend(is_filled.then_some(Part { place, text }));
            (begin, is_filled) = (offset, false);
            place = Place {
                line: number,
                column: 1,
            };
        }
        is_marked |= marked.is_some();
        is_filled |= holds_something(marked.unwrap_or(line));
        offset += line.len();
    }
    let text = &text[begin..];
    parts.extend(is_filled.then_some(Part { place, text }));
    parts
}

/// What follows on a line that begins a document.
fn after_marker(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("---")?;
    (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])).then_some(rest)
}

/// Whether a line is more than blanks, a comment, a directive or an end.
fn holds_something(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with(['#', '%']) && line != "..."
}

/// The documents of a part that is JSON, if it holds several.
fn json_documents(part: Part<'_>) -> Option<Vec<Part<'_>>> {
    if !part.text.trim_start().starts_with('{') {
        return None;
    }
    let mut stream = serde_json::Deserializer::from_str(part.text).into_iter::<IgnoredAny>();
    let mut documents = Vec::new();
    let mut place = part.place;
    let mut begin = 0;
    while let Some(document) = stream.next() {
        document.ok()?;
        let text = &part.text[begin..stream.byte_offset()];
        documents.push(Part { place, text });
        text.chars().for_each(|c| place.step(c));
        begin = stream.byte_offset();
    }
    (documents.len() > 1).then_some(documents)
}

impl Place {
    /// The place in the whole of what is here in a part that begins at `begin`.
    fn from(self, begin: Self) -> Self {
        Self {
            line: self.line.saturating_add(begin.line - 1),
            column: if self.line == 1 {
                self.column.saturating_add(begin.column - 1)
            } else {
                self.column
            },
        }
    }
}

impl Node {
    fn shift(&mut self, begin: Place) {
        self.place = self.place.map(|place| place.from(begin));
        match &mut self.data {
            Data::List(items) => items.iter_mut().for_each(|item| item.shift(begin)),
            Data::Map(entries) => {
                for entry in entries {
                    entry.key_place = entry.key_place.map(|place| place.from(begin));
                    entry.value.shift(begin);
                }
            }
            Data::Null | Data::Bool(_) | Data::Number(_) | Data::String(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line and the text of each document.
    fn documents(text: &str) -> Vec<(u32, String)> {
        let parts = split(text.as_bytes()).unwrap();
        let nodes = parts.iter().flat_map(|part| part.parse().unwrap());
        let shown = nodes.map(|node| (node.place.unwrap().line, node.to_value().to_string()));
        shown.collect()
    }

    fn document(line: u32, text: &str) -> (u32, String) {
        (line, text.to_owned())
    }

    #[test]
    fn yaml_is_divided_at_its_markers() {
        let text = "# first\na: 1\n---\n# nothing\n---\nb: |\n  ----\n  x\n--- {c: 3}\n---\n";
        assert_eq!(
            documents(text),
            [
                document(2, r#"{"a":1}"#),
                document(6, r#"{"b":"----\nx\n"}"#),
                document(9, r#"{"c":3}"#),
            ]
        );
        let text = "%YAML 1.2\n---\na: 1\n...\nb: 2\n";
        assert_eq!(
            documents(text),
            [document(3, r#"{"a":1}"#), document(5, r#"{"b":2}"#)]
        );
    }

    #[test]
    fn json_is_divided_where_a_document_ends() {
        let text = "{\"a\": 1}\n{\"b\":\n 2} {\"c\": 3}\n";
        assert_eq!(
            documents(text),
            [
                document(1, r#"{"a":1}"#),
                document(2, r#"{"b":2}"#),
                document(3, r#"{"c":3}"#),
            ]
        );
    }

    #[test]
    fn a_mistake_is_told_at_its_place_in_the_whole_and_leaves_the_others_alone() {
        let parts = split(b"a: 1\n---\nb: [\n---\nc: 1\nc: 2\n---\nd: 1\n").unwrap();
        let read: Vec<_> = parts.iter().map(Part::parse).collect();
        assert!(read[0].is_ok() && read[3].is_ok());
        assert!(read[1].as_ref().unwrap_err().place.unwrap().line >= 3);
        let twice = read[2].as_ref().unwrap_err();
        assert_eq!(twice.place, Some(Place { line: 6, column: 1 }));
        assert!(twice.to_string().contains("line 5"), "{twice}");
    }

    #[test]
    fn a_text_with_nothing_in_it_is_empty() {
        for text in ["", "\n\n", "# nothing\n", "---\n---\n", "---\n...\n"] {
            let fault = split(text.as_bytes()).unwrap_err();
            assert_eq!(fault.kind, FaultKind::Empty, "{text:?}");
        }
    }
}
