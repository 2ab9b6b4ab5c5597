//! JSON with places.
//!
//! The structure is read here, for the sake of lines and columns; strings and
//! numbers are handed to `serde_json`, which knows their every rule.

use std::collections::HashMap;

use super::budget::Budget;
use super::{DEPTH_MAX, Data, Entry, Fault, FaultKind, Node, Number, Place};

/// Reads the one document of a text.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let mut reader = Reader {
        rest: text,
        place: Place::START,
        budget: Budget::new(),
    };
    reader.skip_blank();
    if reader.rest.is_empty() {
        return Err(Fault::nowhere(FaultKind::Empty));
    }
    let document = reader.value(0)?;
    reader.skip_blank();
    if !reader.rest.is_empty() {
        return Err(reader.unexpected("the end of the document"));
    }
    Ok(document)
}

struct Reader<'a> {
    rest: &'a str,
    place: Place,
    budget: Budget,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Node, Fault> {
        let place = self.place;
        self.budget.spend_node(place)?;
        let data = match self.peek() {
            Some('{' | '[') if depth == DEPTH_MAX => {
                return Err(Fault::new(place, FaultKind::TooDeep));
            }
            Some('{') => self.map(depth + 1)?,
            Some('[') => self.list(depth + 1)?,
            Some('"') => Data::String(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            Some('a'..='z') => self.word()?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Node::new(place, data))
    }

    fn list(&mut self, depth: usize) -> Result<Data, Fault> {
        let mut items = Vec::new();
        self.take('[')?;
        if self.accept(']') {
            return Ok(Data::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            if !self.more(']', "\",\" or \"]\"")? {
                return Ok(Data::List(items));
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Data, Fault> {
        let mut entries = Vec::new();
        let mut seen = HashMap::new();
        self.take('{')?;
        if self.accept('}') {
            return Ok(Data::Map(entries));
        }
        loop {
            let entry = self.entry(depth)?;
            let place = entry.key_place.unwrap_or(self.place);
            if let Some(first) = seen.insert(entry.key.clone(), place) {
                let key = entry.key;
                return Err(Fault::new(place, FaultKind::DuplicateKey { key, first }));
            }
            entries.push(entry);
            if !self.more('}', "\",\" or \"}\"")? {
                return Ok(Data::Map(entries));
            }
        }
    }

    fn entry(&mut self, depth: usize) -> Result<Entry, Fault> {
        let place = self.place;
        if self.peek() != Some('"') {
            return Err(self.unexpected("a key in double quotes"));
        }
        let key = self.string()?;
        self.skip_blank();
        self.take(':')?;
        self.skip_blank();
        Ok(Entry {
            key,
            key_place: Some(place),
            value: self.value(depth)?,
        })
    }

    /// Whether a comma says that there is more before `close`.
    fn more(&mut self, close: char, expected: &str) -> Result<bool, Fault> {
        self.skip_blank();
        match self.peek() {
            Some(',') => {
                self.advance(1);
                self.skip_blank();
                Ok(true)
            }
            Some(c) if c == close => {
                self.advance(1);
                Ok(false)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        let place = self.place;
        let len = string_len(self.rest).ok_or_else(|| {
            let text = "the string has no closing quote".to_owned();
            Fault::new(place, FaultKind::Syntax(text))
        })?;
        let text = serde_json::from_str(&self.rest[..len])
            .map_err(|error| Fault::new(place, FaultKind::Syntax(string_fault(&error))))?;
        self.advance(len);
        self.budget.spend_text(len, place)?;
        Ok(text)
    }

    fn number(&mut self) -> Result<Data, Fault> {
        let len = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))
            .unwrap_or(self.rest.len());
        let text = &self.rest[..len];
        let number = Number::from_json_text(text, text).ok_or_else(|| {
            let text = text.chars().take(48).collect();
            Fault::new(self.place, FaultKind::BadNumber { text })
        })?;
        self.advance(len);
        Ok(Data::Number(number))
    }

    fn word(&mut self) -> Result<Data, Fault> {
        let words = [
            ("true", Data::Bool(true)),
            ("false", Data::Bool(false)),
            ("null", Data::Null),
        ];
        for (word, data) in words {
            if self.rest.starts_with(word) {
                self.advance(word.len());
                return Ok(data);
            }
        }
        Err(self.unexpected("a value"))
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> Result<(), Fault> {
        if self.peek() != Some(wanted) {
            return Err(self.unexpected(&format!("\"{wanted}\"")));
        }
        self.advance(wanted.len_utf8());
        Ok(())
    }

    /// Skips blanks, and `wanted` if it follows.
    fn accept(&mut self, wanted: char) -> bool {
        self.skip_blank();
        let is_next = self.peek() == Some(wanted);
        if is_next {
            self.advance(wanted.len_utf8());
        }
        is_next
    }

    fn skip_blank(&mut self) {
        let blanks = [' ', '\t', '\n', '\r'];
        let len = self.rest.len() - self.rest.trim_start_matches(blanks).len();
        self.advance(len);
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        for c in passed.chars() {
            self.place.step(c);
        }
        self.rest = rest;
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let found = match self.peek() {
            Some(c) => format!("found {c:?}"),
            None => "the document ends".to_owned(),
        };
        let text = format!("is not JSON: {found} where {expected} should be");
        Fault::new(self.place, FaultKind::Syntax(text))
    }
}

/// Bytes of the string that `text` starts with, quotes included.
fn string_len(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The fault without the place inside of the string, which would mislead.
fn string_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let fault = text.split(" at line ").next().unwrap_or_default();
    format!("is not JSON: {fault} in a string")
}
