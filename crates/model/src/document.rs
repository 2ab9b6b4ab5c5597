//! Reading a structured document once, and finding everything wrong with it.
//!
//! A [`Node`] is a value together with its place; a [`Reader`] turns nodes into
//! values of other types and notes each broken rule instead of stopping at the
//! first. A `null` reads as an absent field. What a document means is the
//! business of whoever reads it; only shapes and bounds are known here.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::violation::{FieldPath, Step, Violation, ViolationKind, did_you_mean};

/// The most violations that one reading reports.
///
/// Beyond that a document is not nearly right, and a list of everything would
/// help its writer less than it would cost.
pub const VIOLATIONS_MAX: usize = 100;

/// A longer word is no misspelling, and is not quoted in full.
const WORD_MAX: usize = 64;

/// A value and its place in the document.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    value: &'a Value,
    parent: Option<&'a Node<'a>>,
    step: PlainStep<'a>,
}

/// A [`Step`] that borrows; most places are never printed.
#[derive(Clone, Copy, Debug)]
enum PlainStep<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

/// A map whose keys are all known, or reported.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    node: &'a Node<'a>,
    map: &'a Map<String, Value>,
}

/// Notes what is wrong with a document while it is read.
#[derive(Debug, Default)]
pub struct Reader {
    violations: Vec<Violation>,
    omitted: usize,
}

impl<'a> Node<'a> {
    /// The document itself.
    pub const fn root(value: &'a Value) -> Self {
        Self {
            value,
            parent: None,
            step: PlainStep::Root,
        }
    }

    /// The value as it stands in the document.
    pub const fn value(&self) -> &'a Value {
        self.value
    }

    /// The place of the value.
    pub fn path(&self) -> FieldPath {
        let mut steps = Vec::new();
        let mut node = Some(self);
        while let Some(here) = node {
            match here.step {
                PlainStep::Root => {}
                PlainStep::Key(key) => steps.push(Step::Key(key.to_owned())),
                PlainStep::Index(index) => steps.push(Step::Index(index)),
            }
            node = here.parent;
        }
        steps.into_iter().rev().collect()
    }

    fn child<'n>(&'n self, step: PlainStep<'n>, value: &'n Value) -> Node<'n> {
        Node {
            value,
            parent: Some(self),
            step,
        }
    }
}

impl<'a> Fields<'a> {
    /// The field, unless it is absent or `null`.
    pub fn get(&self, key: &'a str) -> Option<Node<'a>> {
        let value = self.map.get(key).filter(|value| !value.is_null())?;
        Some(self.node.child(PlainStep::Key(key), value))
    }

    /// The place that the field has or would have.
    pub fn path_of(&self, key: &str) -> FieldPath {
        self.node.path().key(key)
    }
}

impl Reader {
    /// Notes a broken rule at `node`.
    pub fn refuse(&mut self, node: &Node<'_>, kind: ViolationKind, description: impl Into<String>) {
        self.refuse_at(node.path(), kind, description);
    }

    /// Notes a broken rule at `path`.
    pub fn refuse_at(
        &mut self,
        path: FieldPath,
        kind: ViolationKind,
        description: impl Into<String>,
    ) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations
                .push(Violation::new(path, kind, description));
        } else {
            self.omitted += 1;
        }
    }

    /// Everything that was found, in the order of the reading.
    pub fn finish(mut self) -> Vec<Violation> {
        if self.omitted > 0 {
            self.violations.push(Violation::new(
                FieldPath::root(),
                ViolationKind::TooMany,
                format!("breaks {} more rules, not listed here", self.omitted),
            ));
        }
        self.violations
    }

    /// A map in which only the `known` keys may stand.
    pub fn fields<'n>(&mut self, node: &'n Node<'n>, known: &[&str]) -> Option<Fields<'n>> {
        let map = self.map(node)?;
        for (key, value) in map {
            if !known.contains(&key.as_str()) {
                let here = node.child(PlainStep::Key(key), value);
                self.unknown_field(&here, key, known);
            }
        }
        Some(Fields { node, map })
    }

    /// The entries of a map whose keys are free, at most `max` of them.
    ///
    /// An entry that is `null` counts as absent.
    pub fn entries<'n>(
        &mut self,
        node: &'n Node<'n>,
        max: usize,
    ) -> Option<Vec<(&'n str, Node<'n>)>> {
        let map = self.map(node)?;
        if !self.is_within(node, map.len(), max, "entries") {
            return None;
        }
        let entries = map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.as_str(), node.child(PlainStep::Key(key), value)))
            .collect();
        Some(entries)
    }

    /// The items of a list, at most `max` of them.
    pub fn items<'n>(&mut self, node: &'n Node<'n>, max: usize) -> Option<Vec<Node<'n>>> {
        let Value::Array(list) = node.value else {
            self.wrong_type(node, "a list");
            return None;
        };
        if !self.is_within(node, list.len(), max, "items") {
            return None;
        }
        let items = list
            .iter()
            .enumerate()
            .map(|(index, value)| node.child(PlainStep::Index(index), value))
            .collect();
        Some(items)
    }

    /// A text.
    pub fn text<'n>(&mut self, node: &Node<'n>) -> Option<&'n str> {
        if let Value::String(text) = node.value {
            return Some(text);
        }
        self.wrong_type(node, "text");
        None
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, node: &Node<'_>) -> Option<bool> {
        if let Value::Bool(value) = node.value {
            return Some(*value);
        }
        self.wrong_type(node, "true or false");
        None
    }

    /// A whole number from 0 to 4294967295.
    pub fn count(&mut self, node: &Node<'_>) -> Option<u32> {
        if !node.value.is_number() {
            self.wrong_type(node, "a whole number");
            return None;
        }
        let count = node.value.as_u64().and_then(|n| u32::try_from(n).ok());
        if count.is_none() {
            self.refuse(
                node,
                ViolationKind::Invalid,
                format!("must be a whole number from 0 to {}", u32::MAX),
            );
        }
        count
    }

    /// A text that reads as a `T`.
    pub fn parsed<T>(&mut self, node: &Node<'_>) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(node)?;
        self.accept(node, text.parse())
    }

    /// One of a few words.
    pub fn word<T: Copy>(
        &mut self,
        node: &Node<'_>,
        all: &[T],
        spelling: fn(T) -> &'static str,
    ) -> Option<T> {
        let text = self.text(node)?;
        let found = all.iter().copied().find(|&word| spelling(word) == text);
        if found.is_none() {
            let words = all.iter().map(|&word| spelling(word)).collect::<Vec<_>>();
            let description = format!(
                "must be {}, not {:?}{}",
                one_of(&words),
                clipped(text),
                suggestion(text, &words)
            );
            self.refuse(node, ViolationKind::Invalid, description);
        }
        found
    }

    /// What a constructor made of the value, or its error as a violation.
    pub fn accept<T, E: Display>(&mut self, node: &Node<'_>, made: Result<T, E>) -> Option<T> {
        match made {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(node, ViolationKind::Invalid, error.to_string());
                None
            }
        }
    }

    /// Notes that the value is not `expected`, and says what it is.
    pub fn wrong_type(&mut self, node: &Node<'_>, expected: &str) {
        let found = type_name(node.value);
        let is_unquoted = node.value.is_boolean() || node.value.is_number();
        let hint = if expected == "text" && is_unquoted {
            "; put it in quotes"
        } else {
            ""
        };
        self.refuse(
            node,
            ViolationKind::WrongType,
            format!("must be {expected}, not {found}{hint}"),
        );
    }

    /// Notes a field that is not among the known ones.
    pub fn unknown_field(&mut self, node: &Node<'_>, key: &str, known: &[&str]) {
        let near = suggestion(key, known);
        let hint = if near.is_empty() {
            format!("; known are {}", known.join(", "))
        } else {
            near
        };
        self.refuse(
            node,
            ViolationKind::UnknownField,
            format!("is not a field here{hint}"),
        );
    }

    /// Notes when something has more parts than allowed.
    pub fn is_within(&mut self, node: &Node<'_>, len: usize, max: usize, parts: &str) -> bool {
        if len > max {
            self.refuse(
                node,
                ViolationKind::TooMany,
                format!("has {len} {parts}; at most {max} are allowed"),
            );
        }
        len <= max
    }

    fn map<'n>(&mut self, node: &Node<'n>) -> Option<&'n Map<String, Value>> {
        if let Value::Object(map) = node.value {
            return Some(map);
        }
        self.wrong_type(node, "a map");
        None
    }
}

/// What a value is, in words.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Whether maps and lists stand in each other more than `max` deep.
///
/// Never looks deeper than that, so that no document exhausts the stack.
pub fn is_deeper(value: &Value, max: usize) -> bool {
    let Some(below) = max.checked_sub(1) else {
        return value.is_array() || value.is_object();
    };
    match value {
        Value::Array(list) => list.iter().any(|item| is_deeper(item, below)),
        Value::Object(map) => map.values().any(|item| is_deeper(item, below)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The words as a sentence lists them: `a, b or c`.
pub fn one_of<T: AsRef<str>>(words: &[T]) -> String {
    let words = words.iter().map(AsRef::as_ref).collect::<Vec<_>>();
    match words.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// `; did you mean …?` when something is near, else nothing.
pub fn suggestion<T: AsRef<str>>(word: &str, known: &[T]) -> String {
    if word.len() > WORD_MAX {
        return String::new();
    }
    did_you_mean(word, known.iter().map(AsRef::as_ref))
        .map(|near| format!("; did you mean {near}?"))
        .unwrap_or_default()
}

/// The start of a text that may be of any length.
pub fn clipped(text: &str) -> &str {
    text.char_indices()
        .nth(WORD_MAX)
        .map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests;
