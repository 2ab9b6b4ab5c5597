//! A launch, on its way to the runner, and the values of its secrets beside it.

use palisade_model::sandbox::{Launch, form};
use palisade_model::secret::{SecretValue, SecretValues};

use crate::proto::runner_v1 as pb;
use crate::runner::BadMessage;

/// A launch as the protocol carries it.
pub fn launch_message(launch: &Launch, secrets: &SecretValues) -> pb::Launch {
    let values = secrets.iter().map(|(env_var, value)| pb::SecretValue {
        env_var: env_var.to_owned(),
        value: value.reveal().to_vec(),
    });
    pb::Launch {
        sandbox_id: launch.id.to_string(),
        document: form::encode_launch(launch).to_string().into_bytes(),
        secrets: values.collect(),
    }
}

/// A launch as the gateway sent it; all of it or nothing.
pub fn launch(message: pb::Launch) -> Result<(Launch, SecretValues), BadMessage> {
    let pb::Launch {
        sandbox_id,
        document,
        secrets,
    } = message;
    let unreadable = BadMessage::new("document", "is not a launch that can be read here");
    let document = serde_json::from_slice(&document).map_err(|_| unreadable.clone())?;
    let launch = form::decode_launch(&document).map_err(|_| unreadable)?;
    if launch.id.to_string() != sandbox_id {
        return Err(BadMessage::new("sandbox_id", "is not that of the launch"));
    }
    let mut values = SecretValues::default();
    for pb::SecretValue { env_var, value } in secrets {
        let value = SecretValue::new(value)
            .map_err(|_| BadMessage::new("secrets", "has a value that is too long"))?;
        values.insert(env_var, value);
    }
    Ok((launch, values))
}

#[cfg(test)]
mod tests {
    use palisade_model::testing::sample_launch;

    use super::*;

    fn message(launch: &Launch) -> pb::Launch {
        launch_message(launch, &SecretValues::default())
    }

    #[test]
    fn a_launch_survives_the_wire_with_its_secrets_beside_it() {
        let sent = sample_launch();
        let mut values = SecretValues::default();
        let value = SecretValue::new(b"hunter2".to_vec()).unwrap();
        values.insert("PASSWORD", value);
        let message = launch_message(&sent, &values);
        assert!(!String::from_utf8_lossy(&message.document).contains("hunter2"));
        let shown = format!("{message:?}");
        let bytes = format!("{:?}", b"hunter2");
        assert!(!shown.contains("hunter2") && !shown.contains(bytes.trim_matches(['[', ']'])));
        assert_eq!(launch(message), Ok((sent, values)));
    }

    #[test]
    fn a_launch_under_the_id_of_another_is_refused() {
        let mut message = message(&sample_launch());
        message.sandbox_id.clear();
        assert_eq!(launch(message).unwrap_err().field, "sandbox_id");
    }

    #[test]
    fn half_a_launch_is_none() {
        let mut message = message(&sample_launch());
        message.document.truncate(100);
        assert_eq!(launch(message).unwrap_err().field, "document");
    }
}
