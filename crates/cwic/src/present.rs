//! How answers of the server look to people.

pub(crate) mod denials;
pub(crate) mod profile;
pub(crate) mod quota;
pub(crate) mod runner;
pub(crate) mod sandbox;
pub(crate) mod secrets;
pub(crate) mod snapshot;

use std::collections::BTreeMap;

use palisade_model::violation::FieldPath;
use palisade_wire::document::Node;
use palisade_wire::spelling::{Dialect, Shape, translate};
use serde::Serialize;
use serde_json::Value;

use crate::cli::AnswerFormat;
use crate::escape;
use crate::out::Out;

/// The text of others, made harmless for a terminal.
pub(crate) fn plain(text: &str) -> String {
    escape::visible(text).into_owned()
}

/// Writes an answer for programs; `false` if it is people who are to read it.
pub(crate) fn for_programs(format: &AnswerFormat, answer: &impl Serialize, out: &mut Out) -> bool {
    match format {
        AnswerFormat::Json => out.json(&json(answer)),
        AnswerFormat::Yaml => out.yaml(&json(answer)),
        AnswerFormat::JsonPath(template) => {
            out.exact(&format!("{}\n", template.render(&json(answer))));
        }
        AnswerFormat::Table => return false,
    }
    true
}

/// Shows facts, one a line for people.
pub(crate) fn write_facts(
    lines: &[(&'static str, String)],
    facts: &Value,
    format: &AnswerFormat,
    out: &mut Out,
) {
    if !for_programs(format, facts, out) {
        for (name, fact) in lines {
            out.line(format_args!("{name:<8}{fact}"));
        }
    }
}

/// An answer as the API gave it.
pub(crate) fn json(answer: &impl Serialize) -> Value {
    // Answers are made of text, numbers, lists and maps with text as keys.
    serde_json::to_value(answer).unwrap_or_default()
}

/// An answer as people write it, without the fields of `skip`.
pub(crate) fn friendly(answer: &impl Serialize, shape: &'static Shape, skip: &[&str]) -> Value {
    let node = Node::from_value(&json(answer));
    let mut value = translate(&node, shape, Dialect::Wire, &FieldPath::root()).value;
    if let Some(map) = value.as_object_mut() {
        map.retain(|key, value| !skip.contains(&key.as_str()) && !is_empty(value));
    }
    value
}

/// Whether a value says nothing, as a field that is not set.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Pairs as people read them.
pub(crate) fn pairs(map: &BTreeMap<String, String>) -> String {
    let pairs = map.iter().map(|(key, value)| format!("{key}={value}"));
    or_dash(&pairs.collect::<Vec<_>>().join(", "))
}

/// Lines below a heading.
pub(crate) fn block(text: &str, out: &mut Out) {
    for line in text.lines() {
        out.line(format_args!("  {line}"));
    }
}

/// A text of somebody else in one line, made harmless for a terminal.
pub(crate) fn printable(text: &str) -> String {
    plain(&text.replace(['\n', '\t'], " "))
}

/// A text, or a sign that there is none.
pub(crate) fn or_dash(text: &str) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text.to_owned()
    }
}

/// The day and minute of an RFC 3339 instant, in UTC.
pub(crate) fn minute(at: &str) -> String {
    match at.get(..16) {
        Some(minute) => format!("{}Z", minute.replace('T', " ")),
        None => or_dash(at),
    }
}
