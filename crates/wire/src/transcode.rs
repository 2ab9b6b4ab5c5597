//! The calls of clients as REST: JSON to protobuf and back.
//!
//! The mapping of every message is that of proto3 JSON, made from the
//! descriptors, so that a field that is added to the contract is there without
//! more code. In requests, names are taken in camel case and as the contract
//! writes them; what is not known is refused, since a misspelt field must not be
//! taken for its absence. What is given twice is refused too, since nothing says which
//! one counts. Answers hold every field that has no presence, so that
//! a client finds what it looks for. No call is made here.

use std::sync::LazyLock;

use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, FieldDescriptor, MessageDescriptor,
    MethodDescriptor, SerializeOptions,
};
use serde_path_to_error::{Deserializer, Path, Segment, Track};

use crate::proto::DESCRIPTORS;

mod doubled;
mod openapi;
mod overlay;
mod rules;
#[cfg(test)]
mod tests;

pub use openapi::{components, paths};
pub use rules::{RULES, Rule, Verb};

/// What the text of a request holds beside its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The places of the path, by field.
    pub places: Vec<(String, String)>,
    /// The query, in its order.
    pub query: Vec<(String, String)>,
}

/// An answer cannot be told as JSON.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It is not the message that the call answers with.
    #[error("the answer is not the message that the call has")]
    Malformed(#[from] prost::DecodeError),
    /// It holds what JSON cannot, such as an instant out of range.
    #[error("the answer cannot be written as JSON")]
    Unwritable(#[from] serde_json::Error),
}

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(DESCRIPTORS).expect("the build wrote descriptors that are complete")
});

static DESERIALIZE: LazyLock<DeserializeOptions> =
    LazyLock::new(|| DeserializeOptions::new().deny_unknown_fields(true));

static SERIALIZE: LazyLock<SerializeOptions> =
    LazyLock::new(|| SerializeOptions::new().skip_default_fields(false));

/// The message of a call, as protobuf.
///
/// What stands in the path may stand elsewhere too, if it says the same. A call
/// without a body takes its fields from the query, and one with a body none.
pub fn encode_request(rule: &Rule, texts: &Texts, body: &[u8]) -> Result<Vec<u8>, Vec<Violation>> {
    let descriptor = method(rule).input();
    let (mut message, from) = if rule.verb.has_body() {
        if let Some((key, _)) = texts.query.first() {
            return Err(unknown(
                key,
                "is in the query; this call takes its fields from the body",
            ));
        }
        (read_body(&descriptor, body)?, "body")
    } else {
        if !body.is_empty() {
            let description = "must be empty; this call takes its fields from the query";
            let path = FieldPath::root().key("body");
            return Err(vec![Violation::new(
                path,
                ViolationKind::Invalid,
                description,
            )]);
        }
        (overlay::from_texts(&descriptor, &texts.query)?, "query")
    };
    overlay::apply(&mut message, &texts.places, from)?;
    Ok(message.encode_to_vec())
}

/// The answer of a call, as JSON.
pub fn decode_answer(rule: &Rule, answer: &[u8]) -> Result<Vec<u8>, AnswerError> {
    let message = DynamicMessage::decode(method(rule).output(), answer)?;
    let mut json = serde_json::Serializer::new(Vec::with_capacity(answer.len()));
    message.serialize_with_options(&mut json, &SERIALIZE)?;
    Ok(json.into_inner())
}

fn method(rule: &Rule) -> MethodDescriptor {
    let service = POOL.get_service_by_name(rule.service);
    let method = service.and_then(|service| {
        let mut methods = service.methods();
        methods.find(|method| method.name() == rule.rpc)
    });
    method.expect("a test looks every rule up in the descriptors")
}

fn read_body(
    descriptor: &MessageDescriptor,
    body: &[u8],
) -> Result<DynamicMessage, Vec<Violation>> {
    // Nothing at all is a message without fields: many calls need none.
    if body.is_empty() {
        return Ok(DynamicMessage::new(descriptor.clone()));
    }
    let doubled = doubled::doubled(descriptor, body);
    if !doubled.is_empty() {
        return Err(doubled);
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = deserialize(descriptor, &mut json)?;
    json.end()
        .map_err(|error| vec![wrong(FieldPath::root(), &error)])?;
    Ok(read)
}

/// The field that a key names, in either spelling.
fn field_of(message: &MessageDescriptor, key: &str) -> Option<FieldDescriptor> {
    message
        .get_field_by_json_name(key)
        .or_else(|| message.get_field_by_name(key))
}

fn deserialize<'de, D>(
    descriptor: &MessageDescriptor,
    deserializer: D,
) -> Result<DynamicMessage, Vec<Violation>>
where
    D: serde::Deserializer<'de>,
    D::Error: std::fmt::Display,
{
    let mut track = Track::new();
    let tracked = Deserializer::new(deserializer, &mut track);
    let read = DynamicMessage::deserialize_with_options(descriptor.clone(), tracked, &DESERIALIZE);
    read.map_err(|error| vec![wrong(field_path(&track.path()), &error)])
}

fn field_path(path: &Path) -> FieldPath {
    path.iter()
        .fold(FieldPath::root(), |path, segment| match segment {
            Segment::Map { key } => path.key(key.clone()),
            Segment::Seq { index } => path.index(*index),
            Segment::Enum { variant } => path.key(variant.clone()),
            Segment::Unknown => path,
        })
}

fn wrong(path: FieldPath, error: &dyn std::fmt::Display) -> Violation {
    let description = format!("cannot be read: {error}");
    Violation::new(path, ViolationKind::Invalid, description)
}

fn unknown(key: &str, description: &str) -> Vec<Violation> {
    let shown: String = key.chars().take(64).collect();
    let path = FieldPath::root().key(shown);
    vec![Violation::new(
        path,
        ViolationKind::UnknownField,
        description,
    )]
}
