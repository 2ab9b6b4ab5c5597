use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{launch, sample_launch};

#[test]
fn an_unknown_field_makes_a_launch_unreadable() {
    let mut document = encode_launch(&sample_launch());
    document["new_guardrail"] = json!(true);
    let violations = decode_launch(&document).unwrap_err();
    assert_eq!(violations[0].kind, ViolationKind::UnknownField);

    let mut document = encode_launch(&sample_launch());
    document["spec"]["network"]["egress"]["ports"] = json!([443]);
    assert!(decode_launch(&document).is_err());
}

#[test]
fn another_format_is_refused() {
    let mut document = encode_launch(&sample_launch());
    document["format"] = json!(LAUNCH_FORMAT + 1);
    let violations = decode_launch(&document).unwrap_err();
    assert_eq!(violations[0].path.to_string(), "format");
}

#[test]
fn each_missing_field_makes_a_launch_unreadable() {
    let optional = [
        "gpu",
        "exposed_ports",
        "max_lifetime_ms",
        "file_system",
        "secrets",
    ];
    let document = encode_launch(&sample_launch());
    for field in FIELDS.iter().filter(|field| !optional.contains(field)) {
        let mut document = document.clone();
        document.as_object_mut().unwrap().remove(*field);
        assert!(decode_launch(&document).is_err(), "{field}");
    }
}

proptest! {
    #[test]
    fn a_launch_reads_as_it_was_written(sent in launch()) {
        let document = encode_launch(&sent);
        prop_assert_eq!(decode_launch(&document), Ok(sent));
    }
}
