//! Values of secrets in the record of a sandbox, for its pod to refer to.
//!
//! They stand there under keys of their own and never in the launch, so that
//! nobody who reads a launch back gets one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use palisade_model::sandbox::Launch;
use palisade_model::secret::{SecretValues, SecretVariable};
use serde_json::{Value, json};

use super::record::{RECORD_BYTES_MAX, RecordError};
use crate::naming;

/// The key under which the record holds the value of a secret.
fn key(index: usize) -> String {
    format!("secret.{index}")
}

/// Puts the values into a record.
pub fn add_secrets(
    record: &mut Value,
    secrets: &[SecretVariable],
    values: &SecretValues,
) -> Result<(), RecordError> {
    for (index, secret) in secrets.iter().enumerate() {
        if let Some(value) = values.get(&secret.env_var) {
            record["data"][key(index)] = Value::String(STANDARD.encode(value.reveal()));
        }
    }
    let data = record["data"].as_object();
    let texts = data.into_iter().flat_map(serde_json::Map::values);
    // Of four characters of base64, three are content.
    let bytes = texts
        .filter_map(Value::as_str)
        .map(|text| text.len() / 4 * 3);
    let bytes: usize = bytes.sum();
    if !secrets.is_empty() && bytes > RECORD_BYTES_MAX {
        return Err(RecordError::TooLarge { bytes });
    }
    Ok(())
}

/// The variable of a secret, which comes out of the record.
pub(super) fn variable(launch: &Launch, index: usize, secret: &SecretVariable) -> Value {
    json!({
        "name": secret.env_var,
        "valueFrom": { "secretKeyRef": {
            "name": naming::object(launch.id),
            "key": key(index),
        } },
    })
}

#[cfg(test)]
mod tests {
    use palisade_model::secret::{SecretSource, SecretValue};
    use palisade_model::testing::sample_launch;

    use super::*;
    use crate::manifest::record;
    use crate::manifest::tests::{main_container, pod_of};
    use crate::settings::Settings;

    fn with_secret() -> (Launch, SecretValues) {
        let mut launch = sample_launch();
        launch.secrets = vec![SecretVariable {
            env_var: "PASSWORD".to_owned(),
            source: SecretSource::Runner {
                name: "db".parse().unwrap(),
                key: "password".parse().unwrap(),
            },
        }];
        let mut values = SecretValues::default();
        values.insert("PASSWORD", SecretValue::new(b"hunter2".to_vec()).unwrap());
        (launch, values)
    }

    #[test]
    fn the_pod_refers_to_a_secret_and_only_the_record_holds_it() {
        let (launch, values) = with_secret();
        let mut record = record(&launch, &Settings::default()).unwrap();
        add_secrets(&mut record, &launch.secrets, &values).unwrap();
        let pod = pod_of(&launch);
        assert!(!pod.to_string().contains("hunter2"));
        let environment = main_container(&pod)["env"].as_array().unwrap();
        let reference = &environment.last().unwrap()["valueFrom"]["secretKeyRef"];
        assert_eq!(reference["name"], launch.id.to_string());
        let kept = &record["data"][reference["key"].as_str().unwrap()];
        assert_eq!(STANDARD.decode(kept.as_str().unwrap()).unwrap(), b"hunter2");
        let document = record["data"]["launch.json"].as_str().unwrap();
        let document = STANDARD.decode(document).unwrap();
        assert!(!String::from_utf8(document).unwrap().contains("hunter2"));
    }

    #[test]
    fn secrets_that_do_not_fit_beside_the_rest_are_refused() {
        let (mut launch, values) = with_secret();
        launch.workload.command = vec!["x".repeat(RECORD_BYTES_MAX - 5_000)];
        let mut record = record(&launch, &Settings::default()).unwrap();
        record["data"]["more"] = Value::String("A".repeat(8_000));
        let refused = add_secrets(&mut record, &launch.secrets, &values);
        assert!(matches!(refused, Err(RecordError::TooLarge { .. })));
    }
}
