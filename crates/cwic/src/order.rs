//! Putting things in order by one of their fields, as `--sort-by` says it.

use std::cmp::Ordering;
use std::str::FromStr;

use serde_json::Value;
use serde_json_path::JsonPath;

use crate::jsonpath::translate;

/// The field that gives the order, in any spelling.
#[derive(Clone, Debug)]
pub(crate) struct SortKey {
    text: String,
    path: JsonPath,
}

/// The text names no field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a field such as revision or .spec.runtimeClass: {0}")]
pub(crate) struct BadSortKey(String);

impl SortKey {
    /// The field as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The value of the field in the first of several forms that has it.
    pub(crate) fn value<'a>(&self, forms: [&'a Value; 2]) -> Option<&'a Value> {
        let mut found = forms.into_iter().map(|form| self.path.query(form).first());
        found.find_map(|value| value.filter(|value| !value.is_null()))
    }
}

impl FromStr for SortKey {
    type Err = BadSortKey;

    fn from_str(text: &str) -> Result<Self, BadSortKey> {
        // `kubectl` is told a path in braces.
        let bare = text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let standard = translate(bare.unwrap_or(text)).map_err(|why| BadSortKey(why.to_owned()))?;
        let path =
            JsonPath::parse(&standard).map_err(|error| BadSortKey(error.message().to_owned()))?;
        let text = text.to_owned();
        Ok(Self { text, path })
    }
}

/// Numbers by size, text by its characters; what has no value comes last.
pub(crate) fn compare(one: Option<&Value>, other: Option<&Value>) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => match (one.as_f64(), other.as_f64()) {
            (Some(one), Some(other)) => one.total_cmp(&other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => words(one).cmp(&words(other)),
        },
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

fn words(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_go_by_size_and_what_is_missing_goes_last() {
        let values = [json!("b"), json!(10), json!("a"), json!(9)];
        let mut found: Vec<_> = values.iter().map(Some).chain([None]).collect();
        found.sort_by(|one, other| compare(*one, *other));
        let shown: Vec<_> = found.iter().map(|v| v.map(ToString::to_string)).collect();
        let expected = [Some("9"), Some("10"), Some("\"a\""), Some("\"b\""), None];
        assert_eq!(shown, expected.map(|text| text.map(str::to_owned)));
    }

    #[test]
    fn a_field_is_found_in_any_spelling() {
        let (wire, friendly) = (json!({"updatedAt": "x"}), json!({"updated_at": "x"}));
        for text in ["updatedAt", ".updated_at", "{.updatedAt}"] {
            let key: SortKey = text.parse().unwrap();
            assert!(key.value([&wire, &friendly]).is_some(), "{text}");
        }
        assert!("a[".parse::<SortKey>().is_err());
    }
}
