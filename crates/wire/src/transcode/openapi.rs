//! What the interface holds of the calls of clients, made from the descriptors.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use serde_json::{Map, Value, json};

use super::rules::{RULES, Rule};
use super::{POOL, method};
use crate::v1beta2::{
    KEY_ANNOTATION, KEY_BYTES_MAX, KEY_HEADER, WAIT_ANNOTATION, WAIT_HEADER, WAIT_MAX,
};

/// The package whose messages are described.
const PACKAGE: &str = "coreweave.sandbox.v1beta2.";

/// The paths of the interface.
pub fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    for rule in RULES {
        let operations = paths
            .entry(rule.path.to_owned())
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(operations) = operations {
            operations.insert(rule.verb.as_str().to_lowercase(), operation(rule));
        }
    }
    paths
}

/// The schemas that the paths refer to.
pub fn components() -> Map<String, Value> {
    let messages = POOL.all_messages();
    let described = messages
        .filter(|message| message.full_name().starts_with(PACKAGE) && !message.is_map_entry());
    let mut schemas: Vec<(String, Value)> = described
        .map(|message| (message.full_name().to_owned(), schema(&message)))
        .collect();
    schemas.sort_by(|left, right| left.0.cmp(&right.0));
    schemas.into_iter().collect()
}

fn operation(rule: &Rule) -> Value {
    let method = method(rule);
    let service = rule.service.rsplit('.').next().unwrap_or(rule.service);
    let status = json!({ "content": { "application/json": {
        "schema": { "$ref": "#/components/schemas/Status" } } },
        "description": "No success; the status tells why" });
    let mut operation = json!({
        "tags": [service],
        "summary": format!("{} of {service}", rule.rpc),
        "operationId": format!("{service}_{}", rule.rpc),
        "parameters": parameters(rule, &method),
        "responses": {
            "200": { "description": "", "content": { "application/json": {
                "schema": reference(&method.output()) } } },
            "default": status,
        },
    });
    if rule.verb.has_body()
        && let Value::Object(operation) = &mut operation
    {
        let body = json!({ "content": { "application/json": {
            "schema": reference(&method.input()) } } });
        operation.insert("requestBody".to_owned(), body);
    }
    operation
}

fn parameters(rule: &Rule, method: &MethodDescriptor) -> Vec<Value> {
    let input = method.input();
    let mut parameters = Vec::new();
    for place in rule.places() {
        parameters.push(json!({ "name": place, "in": "path", "required": true,
            "description": "With other characters than letters, digits, - . _ ~ written as in %2F",
            "schema": { "type": "string" } }));
    }
    if rule.rpc == "Start" {
        parameters.extend(start_headers());
    }
    if rule.verb.has_body() {
        return parameters;
    }
    let places: Vec<&str> = rule.places().collect();
    for field in input.fields() {
        if !places.contains(&field.name()) && !matches!(field.kind(), Kind::Message(_)) {
            parameters.push(json!({ "name": field.json_name(), "in": "query",
                "required": false, "schema": field_schema(&field) }));
        }
    }
    parameters
}

/// What a start takes beside its message, in which there is no field for it.
fn start_headers() -> [Value; 2] {
    let header = |name, annotation, description, schema| {
        json!({ "name": name, "in": "header", "required": false, "schema": schema,
            "description": format!("{description}. Also as the annotation {annotation}") })
    };
    let most = WAIT_MAX.as_secs();
    [
        header(
            WAIT_HEADER,
            WAIT_ANNOTATION,
            "How many seconds the start may wait for room, capacity or quota; without it, it is refused at once",
            json!({ "type": "integer", "minimum": 0, "maximum": most }),
        ),
        header(
            KEY_HEADER,
            KEY_ANNOTATION,
            "Names this start: repeated with the same key by the same user, it is answered with the same sandbox",
            json!({ "type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX }),
        ),
    ]
}

fn schema(message: &MessageDescriptor) -> Value {
    let fields = message.fields();
    let properties: Map<String, Value> = fields
        .map(|field| (field.json_name().to_owned(), field_schema(&field)))
        .collect();
    json!({ "type": "object", "properties": properties })
}

fn field_schema(field: &FieldDescriptor) -> Value {
    if let Kind::Message(entry) = field.kind()
        && field.is_map()
    {
        return json!({ "type": "object",
            "additionalProperties": kind_schema(&entry.map_entry_value_field().kind()) });
    }
    let one = kind_schema(&field.kind());
    if field.is_list() {
        return json!({ "type": "array", "items": one });
    }
    one
}

fn kind_schema(kind: &Kind) -> Value {
    match kind {
        Kind::Double | Kind::Float => json!({ "type": "number" }),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            json!({ "type": "integer", "format": "int32" })
        }
        Kind::Uint32 | Kind::Fixed32 => {
            json!({ "type": "integer", "format": "int64", "minimum": 0 })
        }
        // As JSON knows no whole numbers of this size.
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            json!({ "type": "string", "format": "int64" })
        }
        Kind::Uint64 | Kind::Fixed64 => json!({ "type": "string", "format": "uint64" }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::String => json!({ "type": "string" }),
        Kind::Bytes => json!({ "type": "string", "format": "byte" }),
        Kind::Message(message) if message.full_name() == "google.protobuf.Timestamp" => {
            json!({ "type": "string", "format": "date-time" })
        }
        Kind::Message(message) => reference(message),
        Kind::Enum(values) => {
            let names: Vec<String> = values.values().map(|it| it.name().to_owned()).collect();
            json!({ "type": "string", "enum": names })
        }
    }
}

fn reference(message: &MessageDescriptor) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", message.full_name()) })
}
