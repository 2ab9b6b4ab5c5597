//! Names that hold, values that do not show.

use super::*;

#[test]
fn a_store_has_a_name_of_3_to_63_that_starts_with_a_letter() {
    for good in ["abc", "a--", "wandb-2", &"a".repeat(63)] {
        assert_eq!(good.parse::<SecretStoreName>().unwrap().as_str(), good);
    }
    for bad in ["", "ab", "1bc", "-bc", "aBc", "a_c", &"a".repeat(64), "abé"] {
        assert!(bad.parse::<SecretStoreName>().is_err(), "{bad}");
    }
}

#[test]
fn a_path_leads_nowhere_else() {
    for good in ["HF_TOKEN", "team/db.pass", "..x", "-"] {
        assert!(good.parse::<SecretPath>().is_ok(), "{good}");
    }
    for bad in [
        "",
        "/etc/passwd",
        "a//b",
        "a/",
        "../x",
        "a/../b",
        "a/.",
        "a\\b",
        "a b",
        "a\n",
    ] {
        assert!(bad.parse::<SecretPath>().is_err(), "{bad}");
    }
    for bad in ["", "..", ".", "a/b"] {
        assert!(bad.parse::<SecretField>().is_err(), "{bad}");
        assert!(bad.parse::<ClusterSecretKey>().is_err(), "{bad}");
    }
    for bad in ["", "..", "../x", "Upper", "a/b"] {
        assert!(bad.parse::<ClusterSecretName>().is_err(), "{bad}");
    }
}

#[test]
fn a_value_is_not_shown() {
    let value = SecretValue::new(b"hunter2".to_vec()).unwrap();
    let mut values = SecretValues::default();
    values.insert("PASSWORD", value.clone());
    for shown in [format!("{value:?}"), format!("{values:#?}")] {
        assert!(
            !shown.contains("hunter2") && !shown.contains("104"),
            "{shown}"
        );
    }
    assert_eq!(values.get("PASSWORD").unwrap().reveal(), b"hunter2");
}

#[test]
fn a_value_is_bounded_and_a_variable_holds_text_without_nul() {
    assert!(SecretValue::new(vec![0; SECRET_BYTES_MAX]).is_ok());
    let refused = SecretValue::new(vec![0; SECRET_BYTES_MAX + 1]).unwrap_err();
    assert!(refused.to_string().contains("65537"));
    let value = |bytes: &[u8]| SecretValue::new(bytes.to_vec()).unwrap();
    assert_eq!(value(b"a\nb").as_variable(), Some("a\nb"));
    assert_eq!(value(b"a\0b").as_variable(), None);
    assert_eq!(value(b"\xff").as_variable(), None);
}

#[test]
fn values_serve_what_stores_were_to_give() {
    let variable = |env_var: &str, source| SecretVariable {
        env_var: env_var.to_owned(),
        source,
    };
    let variables = [
        variable(
            "A",
            SecretSource::Store {
                store: "team".parse().unwrap(),
                address: SecretAddress {
                    path: "a".parse().unwrap(),
                    field: None,
                },
            },
        ),
        variable(
            "B",
            SecretSource::Runner {
                name: "db".parse().unwrap(),
                key: "password".parse().unwrap(),
            },
        ),
    ];
    let mut values = SecretValues::default();
    assert!(!values.serve(&variables));
    assert!(values.serve(&variables[1..]));
    values.insert("A", SecretValue::new(Vec::new()).unwrap());
    assert!(values.serve(&variables));
}
