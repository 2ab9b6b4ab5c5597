//! YAML 1.2 with places, out of the events of the parser.
//!
//! Plain scalars follow the core schema: `yes`, `on` and dates are text. Tags
//! but `!!str`, merge keys and keys that are not scalars are refused.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use super::budget::{Budget, Weight};
use super::{DEPTH_MAX, Data, Entry, Fault, FaultKind, Node, Number, Place};

/// Reads all documents of a text.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, Fault> {
    let mut builder = Builder::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| grammar(&error))?;
        builder.event(event, span)?;
    }
    Ok(builder.documents)
}

/// Whether an unquoted scalar with this text is text.
pub(super) fn is_plain_text(text: &str) -> bool {
    matches!(plain(text, Place::START), Ok(Data::String(_)))
}

struct Builder {
    documents: Vec<Node>,
    open: Vec<Frame>,
    anchors: HashMap<usize, Anchor>,
    budget: Budget,
}

struct Anchor {
    node: Node,
    weight: Weight,
}

/// A list or map whose end has not come yet.
struct Frame {
    place: Place,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        seen: HashMap<String, Place>,
        key: Option<(String, Place)>,
    },
}

impl Builder {
    fn new() -> Self {
        Self {
            documents: Vec::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            budget: Budget::new(),
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let place = place(span.start);
        match event {
            Event::Alias(id) => self.alias(id, place),
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, tag.as_deref(), (anchor, place))
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag, place)?;
                self.begin(place, anchor, Inside::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag, place)?;
                self.begin(place, anchor, Inside::map())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {
                Ok(())
            }
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        (anchor, place): (usize, Place),
    ) -> Result<(), Fault> {
        self.budget.spend_node(place)?;
        self.budget.spend_text(text.len(), place)?;
        let is_text = match tag {
            None => style != ScalarStyle::Plain,
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => true,
            Some(tag) => return Err(unknown_tag(tag, place)),
        };
        if self.takes_key() {
            return self.key(text, is_text, place);
        }
        let data = if is_text {
            Data::String(text.to_owned())
        } else {
            plain(text, place)?
        };
        self.complete(Node::new(place, data), anchor)
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<(), Fault> {
        if self.takes_key() {
            return Err(Fault::new(place, FaultKind::ComplexKey));
        }
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(Fault::new(place, FaultKind::CyclicAlias));
        };
        if self.open.len() + anchor.weight.levels() > DEPTH_MAX {
            return Err(Fault::new(place, FaultKind::TooDeep));
        }
        self.budget.spend(anchor.weight, place)?;
        let node = anchor.node.clone();
        self.complete(node, 0)
    }

    fn begin(&mut self, place: Place, anchor: usize, inside: Inside) -> Result<(), Fault> {
        self.budget.spend_node(place)?;
        if self.takes_key() {
            return Err(Fault::new(place, FaultKind::ComplexKey));
        }
        if self.open.len() == DEPTH_MAX {
            return Err(Fault::new(place, FaultKind::TooDeep));
        }
        self.open.push(Frame {
            place,
            anchor,
            inside,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(frame) = self.open.pop() else {
            return Ok(());
        };
        let data = match frame.inside {
            Inside::List(items) => Data::List(items),
            Inside::Map { entries, .. } => Data::Map(entries),
        };
        self.complete(Node::new(frame.place, data), frame.anchor)
    }

    /// Whether the next value is the key of a map.
    fn takes_key(&self) -> bool {
        match self.open.last().map(|frame| &frame.inside) {
            Some(Inside::Map { key, .. }) => key.is_none(),
            Some(Inside::List(_)) | None => false,
        }
    }

    fn key(&mut self, text: &str, is_text: bool, place: Place) -> Result<(), Fault> {
        if text == "<<" && !is_text {
            return Err(Fault::new(place, FaultKind::MergeKey));
        }
        if let Some(Frame {
            inside: Inside::Map { seen, key, .. },
            ..
        }) = self.open.last_mut()
        {
            if let Some(first) = seen.insert(text.to_owned(), place) {
                let key = text.to_owned();
                return Err(Fault::new(place, FaultKind::DuplicateKey { key, first }));
            }
            *key = Some((text.to_owned(), place));
        }
        Ok(())
    }

    /// Puts a whole value where it belongs.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        if anchor != 0 {
            self.remember(anchor, &node)?;
        }
        match self.open.last_mut().map(|frame| &mut frame.inside) {
            // Nothing between two separators is no document.
            None if node.data == Data::Null => {}
            None => self.documents.push(node),
            Some(Inside::List(items)) => items.push(node),
            Some(Inside::Map { entries, key, .. }) => {
                if let Some((key, place)) = key.take() {
                    entries.push(Entry {
                        key,
                        key_place: Some(place),
                        value: node,
                    });
                }
            }
        }
        Ok(())
    }

    /// Keeps a copy for aliases, which costs as much as an alias does.
    fn remember(&mut self, anchor: usize, node: &Node) -> Result<(), Fault> {
        let weight = Weight::of(node);
        self.budget
            .spend(weight, node.place.unwrap_or(Place::START))?;
        let node = node.clone();
        self.anchors.insert(anchor, Anchor { node, weight });
        Ok(())
    }
}

impl Inside {
    fn map() -> Self {
        Self::Map {
            entries: Vec::new(),
            seen: HashMap::new(),
            key: None,
        }
    }
}

/// The scanner reads ahead, so that its own limit on nesting can come before
/// ours.
fn grammar(error: &ScanError) -> Fault {
    let kind = match error.info() {
        "recursion limit exceeded" => FaultKind::TooDeep,
        text => FaultKind::Syntax(format!("is not YAML: {text}")),
    };
    Fault::new(place(*error.marker()), kind)
}

fn place(marker: Marker) -> Place {
    let bounded = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place {
        line: bounded(marker.line()),
        column: bounded(marker.col()).saturating_add(1),
    }
}

fn refuse_tag(tag: Option<Cow<'_, Tag>>, place: Place) -> Result<(), Fault> {
    tag.map_or(Ok(()), |tag| Err(unknown_tag(&tag, place)))
}

fn unknown_tag(tag: &Tag, place: Place) -> Fault {
    let tag = if tag.is_yaml_core_schema() {
        format!("!!{}", tag.suffix)
    } else {
        tag.to_string()
    };
    let tag = tag.chars().take(64).collect();
    Fault::new(place, FaultKind::Tag { tag })
}

/// The value of a plain scalar in the core schema.
fn plain(text: &str, place: Place) -> Result<Data, Fault> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        _ => match number(text) {
            Shape::Text => Data::String(text.to_owned()),
            Shape::Number(Some(number)) => Data::Number(number),
            Shape::Number(None) => {
                let text = text.chars().take(48).collect();
                return Err(Fault::new(place, FaultKind::BadNumber { text }));
            }
        },
    })
}

/// What a plain scalar looks like; a number may be one that cannot be held.
enum Shape {
    Text,
    Number(Option<Number>),
}

fn number(text: &str) -> Shape {
    let (sign, unsigned) = match text.as_bytes().first() {
        Some(b'-') => ("-", &text[1..]),
        Some(b'+') => ("", &text[1..]),
        _ => ("", text),
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        // Only unsigned numbers have these two forms in the core schema.
        if let Some(digits) = text.strip_prefix(prefix) {
            return in_radix(text, digits, radix);
        }
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Shape::Number(None);
    }
    decimal(text, sign, unsigned)
}

fn in_radix(text: &str, digits: &str, radix: u32) -> Shape {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Shape::Text;
    }
    let value = u64::from_str_radix(digits, radix).ok();
    Shape::Number(value.map(|value| Number::new(text, value)))
}

/// `digits [. digits] [e digits]` or `. digits [e digits]`, made fit for JSON,
/// which wants neither leading zeros nor a bare point.
fn decimal(text: &str, sign: &str, unsigned: &str) -> Shape {
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let is_digits = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    let has_digits = !whole.is_empty() || fraction.is_some_and(|f| !f.is_empty());
    let exponent_digits = exponent.map(|e| e.strip_prefix(['+', '-']).unwrap_or(e));
    let exponent_fits = exponent_digits.is_none_or(|e| !e.is_empty() && is_digits(e));
    if !has_digits || !is_digits(whole) || !fraction.is_none_or(is_digits) || !exponent_fits {
        return Shape::Text;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let mut json = format!("{sign}{whole}");
    if let Some(digits) = fraction.filter(|digits| !digits.is_empty()) {
        json.push('.');
        json.push_str(digits);
    }
    if let Some(digits) = exponent {
        json.push('e');
        json.push_str(digits);
    }
    Shape::Number(Number::from_json_text(text, &json))
}
