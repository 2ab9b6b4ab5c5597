//! YAML and JSON documents: profiles and runners as people write them.
//!
//! Nothing may make a reader panic, and what was read must read the same again
//! after it was written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_model::profile::{ProfileSpec, form};
use palisade_wire::Source;
use palisade_wire::document::{self, Format, Node};
use palisade_wire::profile_document::{read_profile_draft, read_profile_edit};
use palisade_wire::runner_document::{read_runner_draft, read_runner_edit};
use palisade_wire::spelling::Dialect;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    for format in [Format::Json, Format::Yaml, Format::Either] {
        for node in document::parse_all(bytes, format).unwrap_or_default() {
            prints_as_it_was_read(&node);
            read(&node);
        }
    }
});

fn prints_as_it_was_read(node: &Node) {
    let value = node.to_value();
    let text = document::to_yaml(&value);
    // What is written can be longer than what is read, by its indentation.
    if text.len() > document::BYTES_MAX {
        return;
    }
    let again = document::parse(text.as_bytes(), Format::Yaml);
    let again = again.unwrap_or_else(|fault| panic!("{fault} in what was written: {text}"));
    assert_eq!(again.to_value(), value, "written as {text}");
}

fn read(node: &Node) {
    for dialect in [Dialect::Friendly, Dialect::Wire] {
        let source = Source::whole(dialect);
        if let Ok(draft) = read_profile_draft(node, &source) {
            decodes_as_it_was_encoded(&draft.value.spec);
        }
        if let Ok(edit) = read_profile_edit(node, &source)
            && let Some(spec) = &edit.value.spec
        {
            decodes_as_it_was_encoded(spec);
        }
        let _ = read_runner_draft(node, &source, None);
        let _ = read_runner_edit(node, &source);
    }
}

fn decodes_as_it_was_encoded(spec: &ProfileSpec) {
    let structured = Value::Object(form::encode(spec));
    assert_eq!(form::decode(&structured).as_ref(), Ok(spec));
}
