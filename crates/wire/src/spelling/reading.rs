//! From a document in any spelling to the canonical one.

use std::collections::HashMap;

use palisade_model::violation::{FieldPath, Step, ViolationKind, did_you_mean};
use serde_json::{Map, Value};

use super::{Dialect, Field, Finding, Origin, Shape, join, snake};
use crate::document::{Data, Entry, Format, Node, Place, parse};

/// A document in canonical spelling.
#[derive(Debug)]
pub struct Translated {
    /// The document; fields that do not exist are left out.
    pub value: Value,
    /// The way back to what the caller wrote.
    pub origin: Origin,
    /// What is wrong with the names in the document.
    pub findings: Vec<Finding>,
}

/// Respells a document. `at` is where it stands in what the caller sent.
pub fn translate(
    node: &Node,
    shape: &'static Shape,
    dialect: Dialect,
    at: &FieldPath,
) -> Translated {
    let mut translator = Translator {
        dialect,
        findings: Vec::new(),
    };
    let mut origin = Origin {
        dialect,
        shape,
        path: at.clone(),
        key_place: None,
        place: node.place,
        children: HashMap::new(),
    };
    let value = translator.value(node, at, &mut origin);
    Translated {
        value,
        origin,
        findings: translator.findings,
    }
}

/// The most findings that one reading reports; a document that has more is not
/// nearly right.
const FINDINGS_MAX: usize = 100;

struct Translator {
    dialect: Dialect,
    findings: Vec<Finding>,
}

impl Translator {
    /// The value in canonical spelling. `path` is the caller's path of it.
    fn value(&mut self, node: &Node, path: &FieldPath, origin: &mut Origin) -> Value {
        match (origin.shape, &node.data) {
            (Shape::Object(fields), Data::Map(entries)) => {
                Value::Object(self.object(entries, fields, path, origin))
            }
            (Shape::Map(_) | Shape::Open, Data::Map(entries)) => {
                Value::Object(self.map(entries, path, origin))
            }
            (Shape::List(_) | Shape::Open, Data::List(items)) => {
                Value::Array(self.list(items, path, origin))
            }
            (Shape::Quantity, Data::Number(number)) => Value::from(number.as_str()),
            (Shape::Word(words), Data::String(text)) => Value::from(canonical_word(words, text)),
            // What has the wrong type goes on as it is, to be refused by its reader.
            (
                Shape::Leaf
                | Shape::Quantity
                | Shape::Word(_)
                | Shape::Open
                | Shape::Map(_)
                | Shape::List(_)
                | Shape::Object(_),
                _,
            ) => node.to_value(),
        }
    }

    fn object(
        &mut self,
        entries: &[Entry],
        fields: &'static [Field],
        path: &FieldPath,
        origin: &mut Origin,
    ) -> Map<String, Value> {
        let mut map = Map::new();
        let mut given: HashMap<&str, &Entry> = HashMap::new();
        for entry in entries {
            let Some(field) = find(fields, &entry.key) else {
                self.unknown(entry, fields, path);
                continue;
            };
            if let Some(first) = given.insert(field.name, entry) {
                self.given_twice(first, entry, path);
                continue;
            }
            let here = path.key(&entry.key);
            let mut child = origin.child(Step::Key(entry.key.clone()), &field.shape);
            child.key_place = entry.key_place;
            child.place = entry.value.place;
            let value = self.field(&entry.value, field, &here, &mut child);
            map.insert(field.name.to_owned(), value);
            let step = Step::Key(field.name.to_owned());
            origin.children.insert(step, child);
        }
        map
    }

    /// The value of a field, taken out of its string if it stands in one.
    fn field(
        &mut self,
        node: &Node,
        field: &Field,
        path: &FieldPath,
        origin: &mut Origin,
    ) -> Value {
        let Data::String(text) = &node.data else {
            return self.value(node, path, origin);
        };
        if !field.is_text_on_wire {
            return self.value(node, path, origin);
        }
        // Protobuf has no absent text: an empty one is none.
        if text.is_empty() {
            return Value::Null;
        }
        match parse(text.as_bytes(), Format::Json) {
            Ok(inner) => self.value(&placed_at(inner, node), path, origin),
            Err(fault) => {
                let place = fault.place.map(|place| format!(" at {place} of the text"));
                let description = format!(
                    "must hold JSON in a string, or a map; {fault}{}",
                    place.unwrap_or_default()
                );
                let kind = ViolationKind::Invalid;
                self.note(Finding::new(path.clone(), kind, description, node.place));
                Value::Null
            }
        }
    }

    fn map(
        &mut self,
        entries: &[Entry],
        path: &FieldPath,
        origin: &mut Origin,
    ) -> Map<String, Value> {
        let below = origin.shape.below();
        let mut map = Map::new();
        for entry in entries {
            let step = Step::Key(entry.key.clone());
            let mut child = origin.child(step.clone(), below);
            child.key_place = entry.key_place;
            child.place = entry.value.place;
            let value = self.value(&entry.value, &path.key(&entry.key), &mut child);
            map.insert(entry.key.clone(), value);
            origin.children.insert(step, child);
        }
        map
    }

    fn list(&mut self, items: &[Node], path: &FieldPath, origin: &mut Origin) -> Vec<Value> {
        let below = origin.shape.below();
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let step = Step::Index(index);
            let mut child = origin.child(step.clone(), below);
            child.place = item.place;
            list.push(self.value(item, &path.index(index), &mut child));
            origin.children.insert(step, child);
        }
        list
    }

    fn unknown(&mut self, entry: &Entry, fields: &'static [Field], path: &FieldPath) {
        if self.findings.len() >= FINDINGS_MAX {
            return;
        }
        let names = fields
            .iter()
            .map(|field| field.name_in(self.dialect))
            .collect::<Vec<_>>();
        // A key that is longer than any field is not worth a comparison.
        let near = (entry.key.len() <= 64)
            .then(|| did_you_mean(&entry.key, names.iter().copied()))
            .flatten();
        let description = match near {
            Some(name) => format!("is not a field here; did you mean {name}?"),
            None => format!("is not a field here; known are {}", names.join(", ")),
        };
        let kind = ViolationKind::UnknownField;
        let path = path.key(&entry.key);
        self.note(Finding::new(path, kind, description, entry.key_place));
    }

    fn given_twice(&mut self, first: &Entry, second: &Entry, path: &FieldPath) {
        let place = first.key_place.map(|place| format!(" at {place}"));
        let description = format!(
            "is the same field as {}{}; give it once",
            first.key,
            place.unwrap_or_default()
        );
        let kind = ViolationKind::Duplicate;
        let path = path.key(&second.key);
        self.note(Finding::new(path, kind, description, second.key_place));
    }

    fn note(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

impl Origin {
    /// The origin of something below, which the caller reached by `step`.
    fn child(&self, step: Step, shape: &'static Shape) -> Self {
        Self {
            dialect: self.dialect,
            shape,
            path: join(&FieldPath::root(), step),
            key_place: None,
            place: None,
            children: HashMap::new(),
        }
    }
}

impl Shape {
    /// What is below a key or an index that has no name of its own.
    pub(super) fn below(&'static self) -> &'static Self {
        match self {
            Self::Map(below) | Self::List(below) => below,
            Self::Leaf | Self::Quantity | Self::Word(_) | Self::Open | Self::Object(_) => {
                &Self::Open
            }
        }
    }
}

/// The field that a key names in any spelling.
pub(super) fn find(fields: &'static [Field], key: &str) -> Option<&'static Field> {
    let wanted = snake(key);
    fields
        .iter()
        .find(|field| snake(field.name) == wanted || snake(field.wire) == wanted)
}

/// A word in any case, with or without the prefix that the wire gives it.
fn canonical_word<'a>(words: &[(&'static str, &str)], text: &'a str) -> &'a str {
    words
        .iter()
        .find(|(name, wire)| name.eq_ignore_ascii_case(text) || wire.eq_ignore_ascii_case(text))
        .map_or(text, |(name, _)| name)
}

/// What was read out of a string stands where the string does.
fn placed_at(mut inner: Node, string: &Node) -> Node {
    fn replace(node: &mut Node, place: Option<Place>) {
        node.place = place;
        match &mut node.data {
            Data::List(items) => items.iter_mut().for_each(|item| replace(item, place)),
            Data::Map(entries) => {
                for entry in entries {
                    entry.key_place = place;
                    replace(&mut entry.value, place);
                }
            }
            Data::Null | Data::Bool(_) | Data::Number(_) | Data::String(_) => {}
        }
    }
    replace(&mut inner, string.place);
    inner
}
