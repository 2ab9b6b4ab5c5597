//! Values written as YAML that people like to read and that reads back equal.
//!
//! Text is quoted wherever any YAML reader, the old ones included, could take it
//! for something else.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::yaml::is_plain_text;

/// The longest key that readers of YAML take without a mark, in characters.
const PLAIN_KEY_MAX: usize = 1_000;

/// The value as a YAML document, with a newline at its end.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, 0, &mut out);
    out
}

/// Writes a value at the present place and ends its last line.
fn write_value(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => return write_map(map, indent, out),
        Value::Array(items) if !items.is_empty() => return write_list(items, indent, out),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        Value::String(text) if is_block(text) => write_block(text, indent, out),
        Value::String(text) => write_text(text, out),
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
    out.push('\n');
}

fn write_map(map: &Map<String, Value>, indent: usize, out: &mut String) {
    for (place, (key, value)) in map.iter().enumerate() {
        if place > 0 {
            push_indent(indent, out);
        }
        write_key(key, indent, out);
        out.push(':');
        if takes_lines(value) {
            next_line(indent + 2, out);
        } else {
            out.push(' ');
        }
        write_value(value, indent + 2, out);
    }
}

/// A key that is longer than YAML lets one be without a mark gets the mark.
fn write_key(key: &str, indent: usize, out: &mut String) {
    let mut text = String::new();
    write_text(key, &mut text);
    let is_long = text.chars().count() > PLAIN_KEY_MAX;
    if is_long {
        out.push_str("? ");
    }
    out.push_str(&text);
    if is_long {
        next_line(indent, out);
    }
}

fn write_list(items: &[Value], indent: usize, out: &mut String) {
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            push_indent(indent, out);
        }
        out.push_str("- ");
        write_value(item, indent + 2, out);
    }
}

/// Whether the value is written below its key.
fn takes_lines(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Several lines read best as they are, if nothing in them gets lost that way.
fn is_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && body.chars().all(|c| c == '\n' || is_printable(c))
        && body
            .split('\n')
            .all(|line| !line.is_empty() && line.trim() == line)
}

fn write_block(text: &str, indent: usize, out: &mut String) {
    let (header, body) = match text.strip_suffix('\n') {
        Some(body) => ("|", body),
        None => ("|-", text),
    };
    out.push_str(header);
    for line in body.split('\n') {
        next_line(indent, out);
        out.push_str(line);
    }
}

fn write_text(text: &str, out: &mut String) {
    if needs_no_quotes(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
}

fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fffe}'
                | '\u{ffff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

fn needs_no_quotes(text: &str) -> bool {
    let is_inner = |c: char| c.is_alphanumeric() || " _-./+@%=,()".contains(c);
    let is_edge = |c: char| c.is_alphanumeric() || "_/.".contains(c);
    let edges = [text.chars().next(), text.chars().next_back()];
    edges.into_iter().all(|c| c.is_some_and(is_edge))
        && text.chars().all(is_inner)
        && is_plain_text(text)
        && !looks_older(text)
}

/// Whether a reader of older YAML would see a truth value, a date or a number.
fn looks_older(text: &str) -> bool {
    const WORDS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    WORDS.contains(&text.to_ascii_lowercase().as_str())
        || text.starts_with("...")
        || text
            .chars()
            .all(|c| c.is_ascii_digit() || "_-.+".contains(c))
}

fn next_line(indent: usize, out: &mut String) {
    out.push('\n');
    push_indent(indent, out);
}

fn push_indent(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}
