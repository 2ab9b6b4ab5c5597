//! A launch, on its way to the runner.

use palisade_model::sandbox::{Launch, form};

use crate::proto::runner_v1 as pb;
use crate::runner::BadMessage;

/// A launch as the protocol carries it.
pub fn launch_message(launch: &Launch) -> pb::Launch {
    pb::Launch {
        sandbox_id: launch.id.to_string(),
        document: form::encode_launch(launch).to_string().into_bytes(),
    }
}

/// A launch as the gateway sent it; all of it or nothing.
pub fn launch(message: &pb::Launch) -> Result<Launch, BadMessage> {
    let pb::Launch {
        sandbox_id,
        document,
    } = message;
    let unreadable = BadMessage::new("document", "is not a launch that can be read here");
    let document = serde_json::from_slice(document).map_err(|_| unreadable.clone())?;
    let launch = form::decode_launch(&document).map_err(|_| unreadable)?;
    if launch.id.to_string() != *sandbox_id {
        return Err(BadMessage::new("sandbox_id", "is not that of the launch"));
    }
    Ok(launch)
}

#[cfg(test)]
mod tests {
    use palisade_model::testing::sample_launch;

    use super::*;

    #[test]
    fn a_launch_survives_the_wire() {
        let sent = sample_launch();
        assert_eq!(launch(&launch_message(&sent)), Ok(sent));
    }

    #[test]
    fn a_launch_under_the_id_of_another_is_refused() {
        let mut message = launch_message(&sample_launch());
        message.sandbox_id.clear();
        assert_eq!(launch(&message).unwrap_err().field, "sandbox_id");
    }

    #[test]
    fn half_a_launch_is_none() {
        let mut message = launch_message(&sample_launch());
        message.document.truncate(100);
        assert_eq!(launch(&message).unwrap_err().field, "document");
    }
}
