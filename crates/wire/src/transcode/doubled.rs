//! Fields that a body gives more than once.
//!
//! JSON allows a key twice and does not say which one counts, and a field has two
//! spellings. Whoever checked the one must not be told what the other does, so that
//! neither is taken. A body that has none of this reads as it did before.
//!
//! Invariant: what is remembered is bounded by the fields that a message has, except
//! for keys of maps, which the message holds as well. So the search ends at the first
//! key that is no field; the reading that follows refuses the body for that.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The most that are told; a body that has more is not nearly right.
const FOUND_MAX: usize = 32;

/// Everything that stands twice in a body, in its order.
pub(super) fn doubled(descriptor: &MessageDescriptor, body: &[u8]) -> Vec<Violation> {
    let mut found = Vec::new();
    let whole = Part {
        shape: Shape::Message(descriptor.clone()),
        trail: &Trail::Root,
        found: &mut found,
    };
    // What else is wrong is told by the reading that follows.
    drop(whole.deserialize(&mut serde_json::Deserializer::from_slice(body)));
    found
}

/// What of a value can hold fields.
#[derive(Clone)]
enum Shape {
    Message(MessageDescriptor),
    List(MessageDescriptor),
    /// With what each of its values is.
    Map(Box<Self>),
    Plain,
}

impl Shape {
    fn of(field: &FieldDescriptor) -> Self {
        let Kind::Message(message) = field.kind() else {
            return Self::Plain;
        };
        if field.is_map() {
            return Self::Map(Box::new(Self::of(&message.map_entry_value_field())));
        }
        // Their JSON is another one than their fields.
        if message.package_name() == "google.protobuf" {
            return Self::Plain;
        }
        if field.is_list() {
            return Self::List(message);
        }
        Self::Message(message)
    }
}

/// How a value is reached, without a copy for each of many.
enum Trail<'t> {
    Root,
    Key(&'t Trail<'t>, &'t str),
    Index(&'t Trail<'t>, usize),
}

impl Trail<'_> {
    fn path(&self) -> FieldPath {
        match self {
            Self::Root => FieldPath::root(),
            Self::Key(above, key) => above.path().key(*key),
            Self::Index(above, index) => above.path().index(*index),
        }
    }
}

/// A value that is looked through.
struct Part<'t> {
    shape: Shape,
    trail: &'t Trail<'t>,
    found: &'t mut Vec<Violation>,
}

impl Part<'_> {
    fn note<E: Error>(&mut self, key: &str, description: String) -> Result<(), E> {
        let path = self.trail.path().key(key);
        let kind = ViolationKind::Duplicate;
        self.found.push(Violation::new(path, kind, description));
        if self.found.len() == FOUND_MAX {
            return Err(E::custom("that is enough"));
        }
        Ok(())
    }

    fn fields<'de, A>(&mut self, message: &MessageDescriptor, mut map: A) -> Result<(), A::Error>
    where
        A: MapAccess<'de>,
    {
        let mut given: HashMap<u32, String> = HashMap::new();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            let Some(field) = super::field_of(message, &key) else {
                return Err(A::Error::custom("is no field"));
            };
            if let Some(first) = given.get(&field.number()) {
                let description = told(first, &key);
                self.note(&key, description)?;
            }
            map.next_value_seed(Part {
                shape: Shape::of(&field),
                trail: &Trail::Key(self.trail, &key),
                found: self.found,
            })?;
            given.entry(field.number()).or_insert(key.into_owned());
        }
        Ok(())
    }

    fn entries<'de, A>(&mut self, value: &Shape, mut map: A) -> Result<(), A::Error>
    where
        A: MapAccess<'de>,
    {
        let mut given = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if given.contains(&key) {
                self.note(&key, told(&key, &key))?;
            }
            map.next_value_seed(Part {
                shape: value.clone(),
                trail: &Trail::Key(self.trail, &key),
                found: self.found,
            })?;
            given.insert(key);
        }
        Ok(())
    }
}

fn told(first: &str, second: &str) -> String {
    if first == second {
        return "is given twice in one object; give it once".to_owned();
    }
    format!("is the same field as {first}; give it once")
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ();

    fn deserialize<D>(self, deserializer: D) -> Result<(), D::Error>
    where
        D: Deserializer<'de>,
    {
        if matches!(self.shape, Shape::Plain) {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(drop);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A>(mut self, map: A) -> Result<(), A::Error>
    where
        A: MapAccess<'de>,
    {
        match self.shape.clone() {
            Shape::Message(message) => self.fields(&message, map),
            Shape::Map(value) => self.entries(&value, map),
            Shape::List(_) | Shape::Plain => Err(A::Error::custom("is no object")),
        }
    }

    fn visit_seq<A>(self, mut items: A) -> Result<(), A::Error>
    where
        A: SeqAccess<'de>,
    {
        let Shape::List(message) = &self.shape else {
            return Err(A::Error::custom("is no list"));
        };
        for index in 0.. {
            let item = Part {
                shape: Shape::Message(message.clone()),
                trail: &Trail::Index(self.trail, index),
                found: self.found,
            };
            if items.next_element_seed(item)?.is_none() {
                break;
            }
        }
        Ok(())
    }
}
