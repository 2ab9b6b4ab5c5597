//! Choosing by labels, as `-l team=ml,tier!=test` says it.

use std::collections::BTreeMap;
use std::str::FromStr;

/// What labels must be like; all of it must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    Equal(String, String),
    NotEqual(String, String),
    Present(String),
    Absent(String),
}

/// The text chooses nothing that could be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part:?} is none of key=value, key!=value, key and !key")]
pub(crate) struct BadSelector {
    part: String,
}

impl Selector {
    /// Whether the labels are like that.
    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::Equal(key, value) => labels.get(key) == Some(value),
            // As in Kubernetes, what has no such label is not equal either.
            Requirement::NotEqual(key, value) => labels.get(key) != Some(value),
            Requirement::Present(key) => labels.contains_key(key),
            Requirement::Absent(key) => !labels.contains_key(key),
        })
    }
}

impl FromStr for Selector {
    type Err = BadSelector;

    fn from_str(text: &str) -> Result<Self, BadSelector> {
        text.split(',')
            .map(requirement)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn requirement(part: &str) -> Result<Requirement, BadSelector> {
    let bad = || BadSelector {
        part: part.to_owned(),
    };
    let key = |key: &str| {
        let key = key.trim();
        let is_sound = !key.is_empty() && !key.contains(['=', '!', ' ']);
        is_sound.then(|| key.to_owned()).ok_or_else(bad)
    };
    let value = |value: &str| value.trim().to_owned();
    if let Some((name, text)) = part.split_once("!=") {
        return Ok(Requirement::NotEqual(key(name)?, value(text)));
    }
    if let Some((name, text)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Requirement::Equal(key(name)?, value(text)));
    }
    match part.trim().strip_prefix('!') {
        Some(name) => Ok(Requirement::Absent(key(name)?)),
        None => Ok(Requirement::Present(key(part)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(selector: &str) -> bool {
        let labels = [("team", "ml"), ("tier", "test")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let selector: Selector = selector.parse().unwrap();
        selector.matches(&labels.into_iter().collect())
    }

    #[test]
    fn every_part_must_hold() {
        assert!(chosen("team=ml"));
        assert!(chosen("team==ml, tier!=live,!zone,tier"));
        assert!(chosen("zone!=a"));
        assert!(!chosen("team=ml,tier=live"));
        assert!(!chosen("team!=ml"));
        assert!(!chosen("!team"));
        assert!(!chosen("zone"));
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for text in ["", "a=b,", "=b", "!", "a b=c", "!=x"] {
            assert!(text.parse::<Selector>().is_err(), "{text:?}");
        }
    }
}
