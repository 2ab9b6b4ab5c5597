//! Stored documents that this version cannot read.

use palisade_model::profile::ProfileSpec;
use palisade_model::runner::RunnerSettings;
use palisade_model::sandbox::Status;
use serde_json::{Value, json};

use super::*;
use crate::Fault;

/// The text of the document with one more field.
fn extended(text: &str) -> String {
    let mut document: Value = serde_json::from_str(text).unwrap();
    document["newer"] = json!("secret");
    document.to_string()
}

#[test]
fn a_field_that_is_not_known_makes_a_record_unreadable() {
    let spec = read_spec(&extended(&write_spec(&ProfileSpec::default())));
    assert!(matches!(spec, Err(Fault::Damaged(_))));
    let settings = read_settings(&extended(&write_settings(&RunnerSettings::default())));
    assert!(matches!(settings, Err(Fault::Damaged(_))));
    let status = Status::admitted();
    let status = read_status(&extended(&write_status(&status)));
    assert!(matches!(status, Err(Fault::Damaged(_))));
}

#[test]
fn a_damaged_record_names_its_field_and_no_value() {
    let Err(Fault::Damaged(cause)) = read_quota(r#"{ "cpu": "secret" }"#) else {
        panic!("it must not be readable");
    };
    let text = cause.to_string();
    assert_eq!(text, "quota of an organization: \"cpu\" cannot be read");
}

#[test]
fn an_exit_code_without_an_end_is_damage() {
    let status = Status::admitted();
    let mut document: Value = serde_json::from_str(&write_status(&status)).unwrap();
    document["exit"] = json!(0);
    assert!(read_status(&document.to_string()).is_err());
}
