//! Reading the pod patch.
//!
//! A `null` in it stays: it deletes a field of the generated pod. Whether the
//! rest has the shape of a pod is known to [`crate::pod`].

use serde_json::Value;

use super::{Decoder, Extent, INSTANCE_TYPES_MAX, POD_BYTES_MAX, POD_DEPTH_MAX, fields};
use crate::document::{Node, is_deeper};
use crate::name::InstanceType;
use crate::pod;
use crate::profile::PodPatch;
use crate::violation::ViolationKind;

impl Decoder {
    pub(super) fn pod(&mut self, node: &Node<'_>) -> Option<PodPatch> {
        if is_deeper(node.value(), POD_DEPTH_MAX) {
            self.reader.refuse(
                node,
                ViolationKind::TooMany,
                format!("is nested more than {POD_DEPTH_MAX} levels deep"),
            );
            return None;
        }
        let bytes = node.value().to_string().len();
        if !self.reader.is_within(node, bytes, POD_BYTES_MAX, "bytes") {
            return None;
        }
        let fields = self.reader.fields(node, &fields::POD)?;
        if let Some(metadata) = fields.get("metadata") {
            self.pod_metadata(&metadata);
        }
        if let Some(spec) = fields.get("spec") {
            self.pod_spec(&spec);
        }
        if let Some(placement) = fields.get("placement") {
            self.placement(&placement);
        }
        node.value().as_object().cloned().map(PodPatch::new)
    }

    fn pod_spec(&mut self, node: &Node<'_>) {
        pod::check_spec(&mut self.reader, node);
        // In a fragment it only takes away what a layer below has set.
        let takes_all = node.value().get("containers").is_some_and(Value::is_null);
        if takes_all && self.extent != Extent::Fragment {
            self.reader.refuse_at(
                node.path().key("containers"),
                ViolationKind::Invalid,
                "would take away the main container of the sandbox",
            );
        }
    }

    fn pod_metadata(&mut self, node: &Node<'_>) {
        let Some(fields) = self.reader.fields(node, &fields::POD_METADATA) else {
            return;
        };
        if let Some(labels) = fields.get("labels") {
            self.labels(&labels);
        }
        if let Some(annotations) = fields.get("annotations") {
            self.annotations(&annotations);
        }
    }

    fn placement(&mut self, node: &Node<'_>) {
        let Some(fields) = self.reader.fields(node, &fields::PLACEMENT) else {
            return;
        };
        if let Some(types) = fields.get("instanceTypes") {
            self.distinct::<InstanceType>(&types, INSTANCE_TYPES_MAX);
        }
    }
}
