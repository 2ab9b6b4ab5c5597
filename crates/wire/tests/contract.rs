//! The wire contract of clients in the field, field by field.
//!
//! `contract/v1beta2.txt` is frozen: a line may be added, none may change. It
//! was written from the descriptors that released clients carry, and not from
//! our own, so that a slip in a `.proto` file shows here.

use std::collections::BTreeSet;

use palisade_wire::proto::DESCRIPTORS;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    ServiceDescriptorProto,
};

const FROZEN: &str = include_str!("contract/v1beta2.txt");
const PACKAGE: &str = "coreweave.sandbox.v1beta2";

#[test]
fn every_line_of_the_frozen_contract_is_kept() {
    let ours: BTreeSet<String> = contract().into_iter().collect();
    let missing: Vec<&str> = FROZEN
        .lines()
        .filter(|line| !ours.contains(*line))
        .collect();
    assert!(
        FROZEN.lines().count() > 400,
        "the frozen contract is complete"
    );
    assert!(missing.is_empty(), "not kept: {missing:#?}");
}

#[test]
fn nothing_was_added_without_freezing_it() {
    let frozen: BTreeSet<&str> = FROZEN.lines().collect();
    let added: Vec<String> = contract()
        .into_iter()
        .filter(|line| !frozen.contains(line.as_str()))
        .collect();
    assert!(added.is_empty(), "add to contract/v1beta2.txt: {added:#?}");
}

fn contract() -> Vec<String> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).expect("the build wrote it");
    let mut lines = Vec::new();
    for file in set.file.iter().filter(|file| file.package() == PACKAGE) {
        for message in &file.message_type {
            message_lines(PACKAGE, message, &mut lines);
        }
        for declared in &file.enum_type {
            enum_lines(PACKAGE, declared, &mut lines);
        }
        for service in &file.service {
            service_lines(service, &mut lines);
        }
    }
    lines
}

fn message_lines(scope: &str, message: &DescriptorProto, lines: &mut Vec<String>) {
    let name = format!("{scope}.{}", message.name());
    lines.push(format!("message {name}"));
    for field in &message.field {
        lines.push(format!("{name} {}", field_line(message, field)));
    }
    for nested in &message.nested_type {
        message_lines(&name, nested, lines);
    }
    for nested in &message.enum_type {
        enum_lines(&name, nested, lines);
    }
}

fn field_line(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let kind = if matches!(field.r#type(), Type::Message | Type::Enum) {
        field.type_name().trim_start_matches('.').to_owned()
    } else {
        let scalar = field.r#type().as_str_name();
        scalar.trim_start_matches("TYPE_").to_lowercase()
    };
    let presence = match field.label() {
        Label::Repeated => "repeated ",
        Label::Optional | Label::Required if field.proto3_optional() => "optional ",
        Label::Optional | Label::Required => "",
    };
    let oneof = match field.oneof_index {
        Some(index) if !field.proto3_optional() => {
            let index = usize::try_from(index).expect("an index is not negative");
            format!(" in {}", message.oneof_decl[index].name())
        }
        _ => String::new(),
    };
    format!(
        "{} = {} {presence}{kind}{oneof}",
        field.name(),
        field.number()
    )
}

fn enum_lines(scope: &str, declared: &EnumDescriptorProto, lines: &mut Vec<String>) {
    for value in &declared.value {
        let name = format!("{scope}.{}", declared.name());
        lines.push(format!("enum {name} {} = {}", value.name(), value.number()));
    }
}

fn service_lines(service: &ServiceDescriptorProto, lines: &mut Vec<String>) {
    for method in &service.method {
        let stream = if method.client_streaming() {
            "stream"
        } else {
            "unary"
        };
        lines.push(format!(
            "rpc {PACKAGE}.{}/{} {stream} {} {}",
            service.name(),
            method.name(),
            method.input_type().trim_start_matches('.'),
            method.output_type().trim_start_matches('.'),
        ));
    }
}
