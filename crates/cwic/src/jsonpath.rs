//! `-o jsonpath=…`: the templates that people know from `kubectl`.
//!
//! A template is text with paths in braces, as in `{.items[*].id}`, quoted text,
//! as in `{"\n"}`, and `{range .items[*]}…{end}`. Paths are those of RFC 9535 with
//! `kubectl`'s shorthands: the `$` may be left out, names may hold dashes, and a
//! backslash makes a dot part of a name. What a path does not find is empty.

use std::str::FromStr;

use serde_json::Value;
use serde_json_path::JsonPath;

mod path;

pub(crate) use path::translate;

/// A template, ready to be filled in.
#[derive(Clone, Debug)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Path(Path),
    Range(Path, Vec<Part>),
}

/// A path, from the whole or from the item that is at hand.
#[derive(Clone, Debug)]
struct Path {
    path: JsonPath,
    is_absolute: bool,
}

/// The text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadTemplate {
    /// A brace that is never closed.
    #[error("a brace is not closed in {0:?}")]
    OpenBrace(String),
    /// Text in quotes that never end.
    #[error("{0} is not a text in quotes")]
    BadText(String),
    /// A range without an end, or an end without a range.
    #[error("every {{range …}} needs its {{end}}")]
    Unbalanced,
    /// No path.
    #[error("{path:?} is not a path: {why}")]
    BadPath {
        /// As it was written.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing at all.
    #[error("a template is needed, such as {{.items[*].id}}")]
    Empty,
}

impl Template {
    /// The template filled in from a value.
    pub(crate) fn render(&self, value: &Value) -> String {
        let mut text = String::new();
        render(&self.0, value, value, &mut text);
        text
    }
}

impl FromStr for Template {
    type Err = BadTemplate;

    fn from_str(text: &str) -> Result<Self, BadTemplate> {
        if text.is_empty() {
            return Err(BadTemplate::Empty);
        }
        if !text.contains('{') {
            return Ok(Self(vec![Part::Path(text.parse()?)]));
        }
        // The innermost open range is the last; the first is the whole.
        let mut open: Vec<(Option<Path>, Vec<Part>)> = vec![(None, Vec::new())];
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            push(&mut open, Part::Text(before.to_owned()));
            let len =
                len_in_braces(after).ok_or_else(|| BadTemplate::OpenBrace(rest.to_owned()))?;
            directive(after[..len].trim(), &mut open)?;
            rest = &after[len + 1..];
        }
        push(&mut open, Part::Text(rest.to_owned()));
        match (open.pop(), open.is_empty()) {
            (Some((None, parts)), true) => Ok(Self(parts)),
            (Some(_) | None, _) => Err(BadTemplate::Unbalanced),
        }
    }
}

impl FromStr for Path {
    type Err = BadTemplate;

    fn from_str(text: &str) -> Result<Self, BadTemplate> {
        let bad = |why: String| BadTemplate::BadPath {
            path: text.to_owned(),
            why,
        };
        let standard = translate(text).map_err(|why| bad(why.to_owned()))?;
        let path = JsonPath::parse(&standard).map_err(|error| bad(error.message().to_owned()))?;
        Ok(Self {
            path,
            is_absolute: text.trim_start().starts_with('$'),
        })
    }
}

impl Path {
    fn find<'a>(&self, here: &'a Value, whole: &'a Value) -> Vec<&'a Value> {
        let from = if self.is_absolute { whole } else { here };
        self.path.query(from).all()
    }
}

fn push(open: &mut [(Option<Path>, Vec<Part>)], part: Part) {
    if let Some((_, parts)) = open.last_mut() {
        parts.push(part);
    }
}

/// What one pair of braces says.
fn directive(text: &str, open: &mut Vec<(Option<Path>, Vec<Part>)>) -> Result<(), BadTemplate> {
    if text == "end" {
        let closed = match open.pop() {
            Some((Some(path), parts)) => Part::Range(path, parts),
            Some((None, _)) | None => return Err(BadTemplate::Unbalanced),
        };
        push(open, closed);
    } else if let Some(path) = text.strip_prefix("range ") {
        open.push((Some(path.trim().parse()?), Vec::new()));
    } else if text.starts_with(['"', '\'']) {
        push(open, Part::Text(unquote(text)?));
    } else {
        push(open, Part::Path(text.parse()?));
    }
    Ok(())
}

/// How far it is to the brace that closes, which is not one in quotes.
fn len_in_braces(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut is_escaped = false;
    for (place, c) in text.char_indices() {
        match (quote, c) {
            _ if is_escaped => is_escaped = false,
            (_, '\\') => is_escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '}') => return Some(place),
            (Some(_) | None, _) => {}
        }
    }
    None
}

fn unquote(text: &str) -> Result<String, BadTemplate> {
    let bad = || BadTemplate::BadText(text.to_owned());
    let quote = text.chars().next().ok_or_else(bad)?;
    let inner = text[1..].strip_suffix(quote).ok_or_else(bad)?;
    let mut plain = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next().ok_or_else(bad)? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            },
            c => c,
        });
    }
    Ok(plain)
}

fn render(parts: &[Part], here: &Value, whole: &Value, text: &mut String) {
    for part in parts {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Path(path) => {
                let found = path.find(here, whole);
                let found: Vec<_> = found.into_iter().map(bare).collect();
                text.push_str(&found.join(" "));
            }
            Part::Range(path, body) => {
                for item in path.find(here, whole) {
                    render(body, item, whole, text);
                }
            }
        }
    }
}

/// Text as it is, all else as JSON.
fn bare(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
