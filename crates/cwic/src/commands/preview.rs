//! What a change would mean for placement, told beside a dry run.

use palisade_client::Client;
use palisade_wire::rest::{PlacementCandidate, PlacementPreview};
use serde_json::Value;

use crate::error::CliError;
use crate::out::Out;

/// What a person reads while the server thinks.
const ASKING: &str = "asking what placement would do";

/// Tells of a profile that would be made.
pub(super) fn new_profile(name: &str, out: &mut Out) {
    out.note(format_args!(
        "  no runner offers profile {name} yet; bind it with cwic sandbox runner edit RUNNER-ID"
    ));
}

/// Tells of a runner that would be made.
pub(super) fn new_runner(name: &str, out: &mut Out) {
    out.note(format_args!(
        "  runner {name} takes sandboxes once its process has joined"
    ));
}

/// Tells what the runners that bind a profile would make of it after a change.
pub(super) async fn profile(
    id: &str,
    change: &Value,
    client: &Client,
    out: &mut Out,
) -> Result<(), CliError> {
    let preview = client.preview_profile(id, change);
    let preview = out.during(ASKING, preview).await;
    let preview = preview.map_err(|error| failed(&error))?;
    if preview.candidates.is_empty() {
        new_profile(id, out);
    }
    tell(&preview, out);
    Ok(())
}

/// Tells what a runner would make of the profiles that it binds after a change.
pub(super) async fn runner(
    id: &str,
    change: &Value,
    client: &Client,
    out: &mut Out,
) -> Result<(), CliError> {
    let preview = client.preview_runner(id, change);
    let preview = out.during(ASKING, preview).await;
    tell(&preview.map_err(|error| failed(&error))?, out);
    Ok(())
}

fn failed(error: &palisade_client::CallError) -> CliError {
    CliError::call("the change is valid, but what it means was not told", error)
}

fn tell(preview: &PlacementPreview, out: &mut Out) {
    for candidate in &preview.candidates {
        let PlacementCandidate {
            runner_id,
            profile_name,
            ..
        } = candidate;
        let verdict = match &candidate.first_unmet {
            None => "would admit a sandbox that asks for nothing".to_owned(),
            Some(unmet) => format!(
                "would refuse a sandbox that asks for nothing: {} asked for {}, allowed {}{}",
                unmet.constraint,
                unmet.requested,
                unmet.allowed,
                instead(candidate)
            ),
        };
        out.note(format_args!(
            "  runner {runner_id}, profile {profile_name}: {verdict}"
        ));
    }
}

fn instead(candidate: &PlacementCandidate) -> String {
    let change = candidate.closest.as_ref();
    change
        .map(|change| format!("; {}", change.words))
        .unwrap_or_default()
}
