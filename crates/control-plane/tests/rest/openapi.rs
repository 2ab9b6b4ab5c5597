//! The published description of the interface.
//!
//! It is kept in the repository, where a change of the interface shows. To
//! write it anew: `PALISADE_BLESS=1 cargo nextest run -p palisade-control-plane openapi`.

use std::path::PathBuf;

use http::Method;
use palisade_control_plane::OpenApiDocument;
use serde_json::Value;

use crate::plane::Plane;

fn kept() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.join("../../docs/openapi.json")
}

#[test]
fn the_description_that_is_kept_is_that_of_the_types() {
    let text = OpenApiDocument::text();
    if std::env::var_os("PALISADE_BLESS").is_some() {
        std::fs::write(kept(), &text).unwrap();
    }
    let kept = std::fs::read_to_string(kept()).unwrap_or_default();
    let is_same = kept == text;
    assert!(
        is_same,
        "docs/openapi.json is not what the types say; see the head of this file"
    );
}

#[tokio::test]
async fn the_server_describes_itself_to_anybody() {
    let plane = Plane::start().await;
    let anybody = plane.stranger(None);
    let json = anybody.get("/openapi.json").await;
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_eq!(json.ok(), OpenApiDocument::value());
    let yaml = anybody.get("/openapi.yaml").await;
    assert!(yaml.ok().as_str().unwrap().contains("profile-templates"));
}

#[test]
fn a_start_is_described_with_the_headers_that_it_takes() {
    let document = OpenApiDocument::value();
    let start = document.pointer("/paths/~1v1beta2~1sandboxes/post/parameters");
    let headers: Vec<_> = start
        .and_then(Value::as_array)
        .unwrap()
        .iter()
        .filter(|parameter| parameter["in"] == "header")
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        headers,
        ["x-palisade-wait-seconds", "x-palisade-idempotency-key"]
    );
}

#[tokio::test]
async fn every_operation_that_is_described_is_there() {
    let plane = Plane::start().await;
    let anybody = plane.stranger(None);
    let operations = operations();
    assert_eq!(operations.len(), 37);
    for (method, path) in operations {
        let answer = anybody.send(method.clone(), &path, &[], "{}").await;
        let is_open = !path.starts_with("/v1beta2");
        let expected = if is_open { 200 } else { 401 };
        assert_eq!(answer.status.as_u16(), expected, "{method} {path}");
    }
}

/// Every method and path of the control plane, with something in the place of parameters.
fn operations() -> Vec<(Method, String)> {
    let document = OpenApiDocument::value();
    let paths = document["paths"].as_object().unwrap();
    // The gateway has a test of its own.
    let own = |path: &str| !path.starts_with("/v1beta2/") || path.starts_with("/v1beta2/sandbox/");
    let own = paths.iter().filter(|(path, _)| own(path));
    let each = own.flat_map(|(path, operations)| {
        let path = path.replace("{id}", "x").replace("{revision}", "1");
        let path = path.replace("{store}", "team").replace("{user}", "ada");
        let methods = operations.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase().parse().unwrap(), path.clone()))
    });
    each.collect()
}

#[test]
fn every_reference_in_the_description_leads_somewhere() {
    let document = OpenApiDocument::value();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                references.push(reference.clone());
            }
            map.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
