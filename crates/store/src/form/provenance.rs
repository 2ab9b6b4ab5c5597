//! Where the fields of a resolved spec came from.
//!
//! Layers are few and fields are many, so that each layer is written once and
//! fields name it by its place.

use std::sync::Arc;

use palisade_model::document::{Fields, Node, Reader};
use palisade_model::profile::{Revision, form};
use palisade_model::resolve::{Layer, Provenance, ResolvedSpec};
use palisade_model::violation::{FieldPath, Step, ViolationKind};
use serde_json::{Value, json};

use super::profile::spec;
use super::read_list;

pub(super) fn write_resolved(resolved: &ResolvedSpec) -> Value {
    let ResolvedSpec { spec, provenance } = resolved;
    let mut layers: Vec<&Layer> = Vec::new();
    let mut fields = Vec::new();
    for (path, layer) in provenance.iter() {
        let place = layers.iter().position(|known| *known == layer);
        let place = place.unwrap_or_else(|| {
            layers.push(layer);
            layers.len() - 1
        });
        fields.push(json!({ "path": write_path(path), "layer": place }));
    }
    json!({
        "spec": form::encode(spec),
        "layers": layers.into_iter().map(write_layer).collect::<Vec<_>>(),
        "fields": fields,
    })
}

pub(super) fn read_resolved(reader: &mut Reader, node: &Node<'_>) -> Option<ResolvedSpec> {
    let fields = reader.fields(node, &["spec", "layers", "fields"])?;
    let layers = read_list(reader, &fields.get("layers")?, |reader, node| {
        read_layer(reader, node).map(Arc::new)
    })?;
    let provenance = read_list(reader, &fields.get("fields")?, |reader, node| {
        read_origin(reader, node, &layers)
    })?;
    Some(ResolvedSpec {
        spec: spec(reader, &fields.get("spec")?)?,
        provenance: provenance.into_iter().collect::<Provenance>(),
    })
}

fn read_origin(
    reader: &mut Reader,
    node: &Node<'_>,
    layers: &[Arc<Layer>],
) -> Option<(FieldPath, Arc<Layer>)> {
    let fields = reader.fields(node, &["path", "layer"])?;
    let path = read_list(reader, &fields.get("path")?, read_step)?;
    let place = reader.count(&fields.get("layer")?)?;
    let layer = usize::try_from(place).ok().and_then(|at| layers.get(at));
    if layer.is_none() {
        reader.refuse(node, ViolationKind::Invalid, "names no layer");
    }
    Some((path.into_iter().collect(), layer?.clone()))
}

fn write_path(path: &FieldPath) -> Value {
    let steps = path.steps().iter().map(|step| match step {
        Step::Key(key) => json!(key),
        Step::Index(index) => json!(index),
    });
    Value::Array(steps.collect())
}

fn read_step(reader: &mut Reader, node: &Node<'_>) -> Option<Step> {
    if node.value().is_string() {
        return reader.text(node).map(|key| Step::Key(key.to_owned()));
    }
    let index = reader.count(node)?;
    usize::try_from(index).ok().map(Step::Index)
}

fn write_layer(layer: &Layer) -> Value {
    match layer {
        Layer::ZoneDefaults { runner, revision } => json!({
            "kind": "zone_defaults", "runner": runner.as_str(), "revision": revision.0,
        }),
        Layer::Profile { id, name, revision } => json!({
            "kind": "profile", "id": id.to_string(), "name": name.as_str(), "revision": revision.0,
        }),
        Layer::Binding { runner, revision } => json!({
            "kind": "binding", "runner": runner.as_str(), "revision": revision.0,
        }),
        Layer::Request => json!({ "kind": "request" }),
    }
}

fn read_layer(reader: &mut Reader, node: &Node<'_>) -> Option<Layer> {
    let fields = reader.fields(node, &["kind", "runner", "id", "name", "revision"])?;
    let kind = fields.get("kind")?;
    match reader.text(&kind)? {
        "zone_defaults" => Some(Layer::ZoneDefaults {
            runner: reader.parsed(&fields.get("runner")?)?,
            revision: read_revision(reader, &fields)?,
        }),
        "profile" => Some(Layer::Profile {
            id: reader.parsed(&fields.get("id")?)?,
            name: reader.parsed(&fields.get("name")?)?,
            revision: read_revision(reader, &fields)?,
        }),
        "binding" => Some(Layer::Binding {
            runner: reader.parsed(&fields.get("runner")?)?,
            revision: read_revision(reader, &fields)?,
        }),
        "request" => Some(Layer::Request),
        _ => {
            reader.refuse(&kind, ViolationKind::Invalid, "is no kind of layer");
            None
        }
    }
}

fn read_revision(reader: &mut Reader, fields: &Fields<'_>) -> Option<Revision> {
    reader.count(&fields.get("revision")?).map(Revision)
}
