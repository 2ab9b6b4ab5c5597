//! What surrounds an object in the body of a request.
//!
//! A body is either the object itself, or a map that holds it under its name
//! beside an update mask and the like. Which of the two it is shows in the name
//! alone, so that nothing is guessed.

use palisade_model::violation::{FieldPath, Violation, ViolationKind};

use crate::document::{Data, Entry, Node, Place};
use crate::located::Source;
use crate::spelling::{Dialect, Finding, snake};

/// The objects that bodies hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A profile.
    Profile,
    /// A runner.
    Runner,
}

/// A body, opened.
#[derive(Debug)]
pub struct Envelope {
    /// The object.
    pub object: Node,
    /// Where it stands.
    pub source: Source,
    /// The paths of the update mask, if one was given.
    pub update_mask: Option<Vec<String>>,
    /// Whether nothing is to be changed.
    pub is_dry_run: bool,
    /// The id that the runner is to get.
    pub runner_id: Option<String>,
}

impl Object {
    /// The name of the object in a body.
    fn name(self) -> &'static str {
        match self {
            Self::Profile => "profileTemplate",
            Self::Runner => "runner",
        }
    }

    /// What may stand beside it.
    fn beside(self) -> &'static [&'static str] {
        match self {
            Self::Profile => &["updateMask", "validateOnly"],
            Self::Runner => &["updateMask", "validateOnly", "runnerId"],
        }
    }
}

impl Envelope {
    /// Opens a body in the spelling of the wire.
    pub fn open(body: Node, object: Object) -> Result<Self, Vec<Finding>> {
        let wanted = snake(object.name());
        let mut envelope = Self {
            object: body,
            source: Source::whole(Dialect::Wire),
            update_mask: None,
            is_dry_run: false,
            runner_id: None,
        };
        let Data::Map(entries) = &mut envelope.object.data else {
            let what = format!("must be a map, not {}", envelope.object.kind());
            let place = envelope.object.place;
            return Err(vec![finding("", ViolationKind::WrongType, what, place)]);
        };
        if !entries.iter().any(|entry| snake(&entry.key) == wanted) {
            return Ok(envelope);
        }
        let entries = std::mem::take(entries);
        envelope.unwrap(entries, object)
    }

    fn unwrap(mut self, entries: Vec<Entry>, object: Object) -> Result<Self, Vec<Finding>> {
        let mut seen: Vec<String> = Vec::new();
        let mut findings = Vec::new();
        for entry in entries {
            let key = snake(&entry.key);
            if seen.contains(&key) {
                let what = "is given twice, in two spellings";
                let place = entry.key_place;
                findings.push(finding(&entry.key, ViolationKind::Duplicate, what, place));
            } else if let Err(finding) = self.take(entry, object) {
                findings.push(finding);
            }
            seen.push(key);
        }
        if findings.is_empty() {
            Ok(self)
        } else {
            Err(findings)
        }
    }

    fn take(&mut self, entry: Entry, object: Object) -> Result<(), Finding> {
        let known = object.beside();
        let name = known.iter().find(|name| snake(name) == snake(&entry.key));
        match name.copied() {
            None if snake(&entry.key) == snake(object.name()) => {
                self.source.at = FieldPath::root().key(&entry.key);
                self.object = entry.value;
            }
            None => {
                let what = format!(
                    "is not a field here; known are {}, {}",
                    object.name(),
                    known.join(", ")
                );
                let kind = ViolationKind::UnknownField;
                return Err(finding(&entry.key, kind, what, entry.key_place));
            }
            Some("updateMask") => self.update_mask = mask(&entry)?,
            Some("validateOnly") => self.is_dry_run = flag(&entry)?,
            Some(_) => self.runner_id = text(&entry)?,
        }
        Ok(())
    }
}

/// The paths of a mask that is written as one text, as in `a,b`.
pub fn split_mask(text: &str) -> Option<Vec<String>> {
    let paths = text
        .split(',')
        .map(|path| path.trim().to_owned())
        .filter(|path| !path.is_empty())
        .collect::<Vec<_>>();
    (!paths.is_empty()).then_some(paths)
}

/// A mask as one text, as a list or as `FieldMask`; an empty one is none.
fn mask(entry: &Entry) -> Result<Option<Vec<String>>, Finding> {
    let inner = entry.value.entry("paths").map(|paths| &paths.value);
    let list = match &inner.unwrap_or(&entry.value).data {
        Data::Null => return Ok(None),
        Data::String(text) => return Ok(split_mask(text)),
        Data::List(items) => items,
        Data::Bool(_) | Data::Number(_) | Data::Map(_) => return Err(wrong_mask(entry)),
    };
    let mut paths = Vec::new();
    for item in list {
        match &item.data {
            Data::String(text) => paths.push(text.clone()),
            Data::Null | Data::Bool(_) | Data::Number(_) | Data::List(_) | Data::Map(_) => {
                return Err(wrong_mask(entry));
            }
        }
    }
    Ok((!paths.is_empty()).then_some(paths))
}

fn wrong_mask(entry: &Entry) -> Finding {
    let what = "must be paths such as \"description,spec\"";
    let place = entry.value.place;
    finding(&entry.key, ViolationKind::WrongType, what, place)
}

fn flag(entry: &Entry) -> Result<bool, Finding> {
    match &entry.value.data {
        Data::Null => Ok(false),
        Data::Bool(flag) => Ok(*flag),
        Data::Number(_) | Data::String(_) | Data::List(_) | Data::Map(_) => {
            let what = format!("must be true or false, not {}", entry.value.kind());
            let place = entry.value.place;
            Err(finding(&entry.key, ViolationKind::WrongType, what, place))
        }
    }
}

fn text(entry: &Entry) -> Result<Option<String>, Finding> {
    match &entry.value.data {
        Data::Null => Ok(None),
        Data::String(text) => Ok((!text.is_empty()).then(|| text.clone())),
        Data::Bool(_) | Data::Number(_) | Data::List(_) | Data::Map(_) => {
            let what = format!("must be text, not {}", entry.value.kind());
            let place = entry.value.place;
            Err(finding(&entry.key, ViolationKind::WrongType, what, place))
        }
    }
}

fn finding(
    key: &str,
    kind: ViolationKind,
    what: impl Into<String>,
    place: Option<Place>,
) -> Finding {
    let path = if key.is_empty() {
        FieldPath::root()
    } else {
        FieldPath::root().key(key)
    };
    Finding {
        violation: Violation::new(path, kind, what),
        place,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn open(body: &Value, object: Object) -> Result<Envelope, String> {
        let body = Node::from_value(body);
        Envelope::open(body, object).map_err(|findings| findings[0].violation.to_string())
    }

    #[test]
    fn a_body_may_be_the_object_itself() {
        let body = json!({"displayName": "x"});
        let envelope = open(&body, Object::Profile).unwrap();
        assert_eq!(envelope.object.to_value(), body);
        assert_eq!(envelope.source.at, FieldPath::root());
    }

    #[test]
    fn a_body_may_hold_the_object_beside_other_things() {
        let body = json!({
            "runner": {"displayName": "x"},
            "runnerId": "r",
            "update_mask": {"paths": ["display_name"]},
            "validateOnly": true,
        });
        let envelope = open(&body, Object::Runner).unwrap();
        assert_eq!(envelope.object.to_value(), body["runner"]);
        assert_eq!(envelope.source.at.to_string(), "runner");
        assert_eq!(envelope.runner_id.as_deref(), Some("r"));
        assert_eq!(envelope.update_mask, Some(vec!["display_name".to_owned()]));
        assert!(envelope.is_dry_run);
    }

    #[test]
    fn a_mask_may_be_one_text() {
        let body = json!({"profileTemplate": {}, "updateMask": "labels, spec"});
        let envelope = open(&body, Object::Profile).unwrap();
        let paths = vec!["labels".to_owned(), "spec".to_owned()];
        assert_eq!(envelope.update_mask, Some(paths));
        let body = json!({"profileTemplate": {}, "updateMask": ""});
        assert_eq!(open(&body, Object::Profile).unwrap().update_mask, None);
    }

    #[test]
    fn what_does_not_belong_into_a_body_is_refused() {
        for (body, text) in [
            (json!([]), "must be a map, not a list"),
            (
                json!({"profileTemplate": {}, "runnerId": "x"}),
                "runnerId is not a field here; known are profileTemplate, updateMask, validateOnly",
            ),
            (
                json!({"profileTemplate": {}, "profile_template": {}}),
                "profile_template is given twice, in two spellings",
            ),
            (
                json!({"profileTemplate": {}, "updateMask": [1]}),
                "updateMask must be paths such as \"description,spec\"",
            ),
            (
                json!({"profileTemplate": {}, "validateOnly": "yes"}),
                "validateOnly must be true or false, not text",
            ),
        ] {
            assert_eq!(open(&body, Object::Profile).unwrap_err(), text);
        }
    }
}
