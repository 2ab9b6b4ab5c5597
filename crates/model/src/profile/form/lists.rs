//! Reading lists of names, and maps of labels and annotations.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use super::{Decoder, LABELS_MAX};
use crate::document::Node;
use crate::label;
use crate::violation::ViolationKind;

impl Decoder {
    /// A list of names, none of which stands there twice.
    pub(super) fn distinct<T>(&mut self, node: &Node<'_>, max: usize) -> Option<Vec<T>>
    where
        T: FromStr<Err: Display> + Ord + Clone,
    {
        let items = self.reader.items(node, max)?;
        let mut first_use = BTreeMap::new();
        let mut list = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let Some(value) = self.reader.parsed::<T>(item) else {
                continue;
            };
            let first = *first_use.entry(value.clone()).or_insert(index);
            if first != index {
                self.reader.refuse(
                    item,
                    ViolationKind::Duplicate,
                    format!("repeats item {first} of the list"),
                );
            }
            list.push(value);
        }
        Some(list)
    }

    /// Labels by key, both as Kubernetes allows them.
    pub(super) fn labels(&mut self, node: &Node<'_>) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        for (key, item) in self.reader.entries(node, LABELS_MAX).unwrap_or_default() {
            self.reader.accept(&item, label::check_label_key(key));
            if let Some(value) = self.reader.text(&item) {
                self.reader.accept(&item, label::check_label_value(value));
                labels.insert(key.to_owned(), value.to_owned());
            }
        }
        labels
    }

    /// Annotations by key. Values are free text.
    pub(super) fn annotations(&mut self, node: &Node<'_>) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::new();
        for (key, item) in self.reader.entries(node, LABELS_MAX).unwrap_or_default() {
            self.reader.accept(&item, label::check_annotation_key(key));
            if let Some(value) = self.reader.text(&item) {
                annotations.insert(key.to_owned(), value.to_owned());
            }
        }
        let size = label::check_annotations_size(&annotations);
        self.reader.accept(node, size);
        annotations
    }

    /// Notes the keys that only the system may set.
    pub(super) fn refuse_reserved(&mut self, node: &Node<'_>) {
        for (key, item) in self.reader.entries(node, usize::MAX).unwrap_or_default() {
            if label::is_reserved(key) {
                self.reader.refuse(
                    &item,
                    ViolationKind::Forbidden,
                    format!(
                        "is reserved: only the system sets keys under {}",
                        label::RESERVED_PREFIX
                    ),
                );
            }
        }
    }
}
