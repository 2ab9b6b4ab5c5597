//! What was refused to sandboxes, asked of a control plane that no runner dials
//! into; what runners tell is tested where they do.

use http::StatusCode;
use serde_json::json;

use crate::plane::{PROFILES, Plane};
use crate::profiles;

const SANDBOXES: &str = "/v1beta2/sandbox/sandboxes";

#[tokio::test]
async fn a_profile_of_which_nothing_was_heard_has_no_denials() {
    let plane = Plane::start().await;
    let admin = plane.admin().await;
    let web = profiles::make(&admin, "web").await;
    let user = plane.user().await;
    let told = user.get(&format!("{PROFILES}/web/denials")).await.ok();
    let expected = json!({
        "profileTemplateId": web["id"], "packets": 0, "incomingPackets": 0, "questions": 0,
    });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn nobody_hears_of_sandboxes_and_profiles_that_are_not_there() {
    let plane = Plane::start().await;
    let user = plane.user().await;
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (path, reason) in [
        (
            format!("{SANDBOXES}/{unknown}/denials"),
            "CWSANDBOX_SANDBOX_NOT_FOUND",
        ),
        (
            format!("{SANDBOXES}/no-id/denials"),
            "CWSANDBOX_SANDBOX_NOT_FOUND",
        ),
        (
            format!("{PROFILES}/no-such/denials"),
            "CWSANDBOX_PROFILE_NOT_FOUND",
        ),
    ] {
        let refused = user.get(&path).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{path}");
        let body = refused.body.to_string();
        assert!(body.contains(reason), "{body}");
    }
    let anybody = plane.stranger(None);
    let refused = anybody.get(&format!("{SANDBOXES}/{unknown}/denials")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}
