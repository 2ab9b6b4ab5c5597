//! The tree that a text is read into.
//!
//! A number keeps the text it was written in beside its value, since `1.10` is
//! no number where a version was meant. A map keeps the order of its keys and
//! holds each of them once.

use std::fmt;

use serde_json::{Map, Value};

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it starts; absent for what was written inside of a string.
    pub place: Option<Place>,
    /// The value.
    pub data: Data,
}

/// A value of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order it was written in.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key as it was written.
    pub key: String,
    /// Where the key stands.
    pub key_place: Option<Place>,
    /// What it holds.
    pub value: Node,
}

/// A number and how it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    text: String,
    value: serde_json::Number,
}

/// A place in a text, both counted from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Place {
    /// The first character of a text.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place behind all of `text`.
    pub(super) fn after(text: &str) -> Self {
        text.chars().fold(Self::START, |mut place, c| {
            place.step(c);
            place
        })
    }

    /// Moves behind one character.
    pub(super) fn step(&mut self, c: char) {
        if c == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl Number {
    /// A number whose value is not the one of its text in JSON.
    pub(super) fn new(text: &str, value: impl Into<serde_json::Number>) -> Self {
        Self {
            text: text.to_owned(),
            value: value.into(),
        }
    }

    /// Reads a number as JSON spells it; `None` when it cannot be held exactly,
    /// which is an integer of more than 64 bits or a fraction beyond range.
    pub(super) fn from_json_text(text: &str, json: &str) -> Option<Self> {
        let value: serde_json::Number = serde_json::from_str(json).ok()?;
        let is_integer = json.bytes().all(|b| b == b'-' || b.is_ascii_digit());
        (!is_integer || value.is_i64() || value.is_u64() || json == "-0")
            .then(|| Self::new(text, value))
    }

    /// The number exactly as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The value of the number.
    pub fn value(&self) -> &serde_json::Number {
        &self.value
    }
}

impl Node {
    pub(super) fn new(place: Place, data: Data) -> Self {
        Self {
            place: Some(place),
            data,
        }
    }

    /// The tree of a value that was not written in a text.
    pub fn from_value(value: &Value) -> Self {
        let data = match value {
            Value::Null => Data::Null,
            Value::Bool(bool) => Data::Bool(*bool),
            Value::Number(number) => Data::Number(Number::new(&number.to_string(), number.clone())),
            Value::String(text) => Data::String(text.clone()),
            Value::Array(items) => Data::List(items.iter().map(Self::from_value).collect()),
            Value::Object(map) => Data::Map(map.iter().map(Entry::from_pair).collect()),
        };
        Self { place: None, data }
    }

    /// The value without its places.
    pub fn to_value(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(bool) => Value::Bool(*bool),
            Data::Number(number) => Value::Number(number.value.clone()),
            Data::String(text) => Value::String(text.clone()),
            Data::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Data::Map(entries) => Value::Object(to_map(entries)),
        }
    }

    /// The entry of a map with this key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.data {
            Data::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Data::Null | Data::Bool(_) | Data::Number(_) | Data::String(_) | Data::List(_) => None,
        }
    }

    /// What the value is, for a message.
    pub fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "null",
            Data::Bool(_) => "a truth value",
            Data::Number(_) => "a number",
            Data::String(_) => "text",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }

    pub(super) fn is_container(&self) -> bool {
        match self.data {
            Data::List(_) | Data::Map(_) => true,
            Data::Null | Data::Bool(_) | Data::Number(_) | Data::String(_) => false,
        }
    }

    /// Bytes of text in the value itself.
    pub(super) fn text_len(&self) -> usize {
        match &self.data {
            Data::String(text) => text.len(),
            Data::Number(number) => number.text.len(),
            Data::Null | Data::Bool(_) | Data::List(_) | Data::Map(_) => 0,
        }
    }

    /// The values right below, with the length of their keys.
    pub(super) fn children(&self) -> Vec<(usize, &Self)> {
        match &self.data {
            Data::List(items) => items.iter().map(|item| (0, item)).collect(),
            Data::Map(entries) => entries.iter().map(|e| (e.key.len(), &e.value)).collect(),
            Data::Null | Data::Bool(_) | Data::Number(_) | Data::String(_) => Vec::new(),
        }
    }
}

impl Entry {
    fn from_pair((key, value): (&String, &Value)) -> Self {
        Self {
            key: key.clone(),
            key_place: None,
            value: Node::from_value(value),
        }
    }
}

fn to_map(entries: &[Entry]) -> Map<String, Value> {
    entries
        .iter()
        .map(|entry| (entry.key.clone(), entry.value.to_value()))
        .collect()
}
