//! The structured form of a spec: the JSON that overrides patch, that the store
//! keeps and that `wire` spells for its callers.
//!
//! Keys are in *canonical spelling*, which is that of the YAML that people
//! write: `container_image`, but `resource_defaults.cpuRequest`. Paths of
//! violations and of [`crate::resolve::Provenance`] use it too.
//!
//! Reading is one pass that reports everything that is wrong. What it returns
//! is valid by construction; [`encode()`] and [`decode`] are inverse. Whether a
//! pod patch weakens the isolation of a sandbox is not judged here but by
//! [`crate::pod::escapes`], since some runners allow it.

use serde_json::{Map, Value};

use crate::document::{Fields, Node, Reader, is_deeper};
use crate::profile::ProfileSpec;
use crate::runner::SpecPatch;
use crate::violation::{FieldPath, Violation, ViolationKind};

mod encode;
mod fields;
mod lists;
mod namespace;
mod network;
mod pod;
mod resources;
mod rules;

pub use encode::encode;
pub use fields::FIELDS;
pub use rules::{Conflict, conflicts};

/// The most egress modes of a profile.
pub const EGRESS_MODES_MAX: usize = 32;
/// The most ranges of an allowlist.
pub const CIDRS_MAX: usize = 256;
/// The most ingress levels of a profile.
pub const INGRESS_LEVELS_MAX: usize = 16;
/// The most entries of a map of labels, annotations or node labels.
pub const LABELS_MAX: usize = 64;
/// The most tags of a profile.
pub const TAGS_MAX: usize = 64;
/// The most instance types of a profile.
pub const INSTANCE_TYPES_MAX: usize = 32;
/// The largest pod patch, in bytes of JSON.
pub const POD_BYTES_MAX: usize = 64 * 1024;
/// How deep maps and lists may stand in each other in a pod patch.
pub const POD_DEPTH_MAX: usize = 32;
/// How deep they may stand in each other in an overrides patch.
pub const PATCH_DEPTH_MAX: usize = POD_DEPTH_MAX + 1;

/// Reads one layer, or a spec in which all layers were merged and settled.
///
/// An absent or `null` field inherits. Paths are relative to the spec.
pub fn decode(spec: &Value) -> Result<ProfileSpec, Vec<Violation>> {
    let (spec, mut violations) = read(Extent::Layer, spec);
    violations.extend(conflicts(&spec).into_iter().map(Violation::from));
    valid(spec, violations)
}

/// Reads what a merge of layers made, in which one layer may have left behind
/// what another has made meaningless.
///
/// Whether its fields go together is for the caller to ask, who can say which
/// layers they are from.
pub(crate) fn decode_merged(spec: &Value) -> Result<ProfileSpec, Vec<Violation>> {
    let (spec, violations) = read(Extent::Merged, spec);
    valid(spec, violations)
}

/// Reads a JSON Merge Patch of a spec.
///
/// Every field that it sets is checked as far as that is possible without the
/// spec that it will patch; `null` removes a field. Rules about several fields
/// are checked when the patch is applied, in [`crate::resolve`].
pub fn decode_patch(patch: &Value) -> Result<SpecPatch, Vec<Violation>> {
    if is_deeper(patch, PATCH_DEPTH_MAX) {
        return Err(too_large(format!(
            "is nested more than {PATCH_DEPTH_MAX} levels deep"
        )));
    }
    let bytes = patch.to_string().len();
    if bytes > SpecPatch::BYTES_MAX {
        return Err(too_large(format!(
            "has {bytes} bytes; at most {} are allowed",
            SpecPatch::BYTES_MAX
        )));
    }
    let mut decoder = Decoder::new(Extent::Fragment);
    decoder.spec(&Node::root(patch));
    let violations = decoder.reader.finish();
    match patch.as_object() {
        Some(map) if violations.is_empty() => Ok(SpecPatch::new(map.clone())),
        Some(_) | None => Err(violations),
    }
}

fn read(extent: Extent, spec: &Value) -> (ProfileSpec, Vec<Violation>) {
    let mut decoder = Decoder::new(extent);
    let spec = decoder.spec(&Node::root(spec));
    (spec, decoder.reader.finish())
}

fn valid(spec: ProfileSpec, violations: Vec<Violation>) -> Result<ProfileSpec, Vec<Violation>> {
    if violations.is_empty() {
        Ok(spec)
    } else {
        Err(violations)
    }
}

fn too_large(description: String) -> Vec<Violation> {
    vec![Violation::new(
        FieldPath::root(),
        ViolationKind::TooMany,
        description,
    )]
}

/// How much of a spec a document holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// All of one layer, as somebody wrote it.
    Layer,
    /// What several layers made together.
    Merged,
    /// Only changes; nothing is required, and nothing can be compared.
    Fragment,
}

/// The reader of a spec.
///
/// Methods return what they could read; a document is valid only if the reader
/// has noted nothing in the end.
struct Decoder {
    reader: Reader,
    extent: Extent,
}

impl Decoder {
    fn new(extent: Extent) -> Self {
        Self {
            reader: Reader::default(),
            extent,
        }
    }

    fn spec(&mut self, node: &Node<'_>) -> ProfileSpec {
        let Some(fields) = self.reader.fields(node, &FIELDS) else {
            return ProfileSpec::default();
        };
        ProfileSpec {
            container_image: (fields.get("container_image"))
                .and_then(|node| self.reader.parsed(&node)),
            runtime_class: (fields.get("runtime_class")).and_then(|node| self.reader.parsed(&node)),
            resource_defaults: (fields.get("resource_defaults"))
                .map(|node| self.resource_defaults(&node))
                .unwrap_or_default(),
            resource_ceiling: (fields.get("resource_ceiling"))
                .map(|node| self.resource_ceiling(&node))
                .unwrap_or_default(),
            instance_types: (fields.get("instance_types"))
                .and_then(|node| self.distinct(&node, INSTANCE_TYPES_MAX)),
            node_selector: (fields.get("node_selector"))
                .map(|node| self.labels(&node))
                .unwrap_or_default(),
            tags: (fields.get("tags")).and_then(|node| self.distinct(&node, TAGS_MAX)),
            namespace: (fields.get("namespace"))
                .map(|node| self.namespace(&node))
                .unwrap_or_default(),
            network: (fields.get("network")).and_then(|node| self.network(&node)),
            pod: (fields.get("pod")).and_then(|node| self.pod(&node)),
        }
    }

    /// A field that a whole document must have and a fragment may lack.
    fn required<'n>(&mut self, fields: &Fields<'n>, key: &'n str, what: &str) -> Option<Node<'n>> {
        let node = fields.get(key);
        if node.is_none() && self.extent != Extent::Fragment {
            self.reader
                .refuse_at(fields.path_of(key), ViolationKind::Required, what);
        }
        node
    }
}

/// The keys of a map of the structured form.
type Keys<const N: usize> = [&'static str; N];

/// A map of the structured form.
type Object = Map<String, Value>;

#[cfg(test)]
mod tests;
