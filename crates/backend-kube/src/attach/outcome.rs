//! How a command ended, from what the server says of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::client::UpgradeConnectionError;
use palisade_backend::AttachError;
use palisade_model::sandbox::Exit;

/// The exit of a command, or why there was none.
pub(super) fn read(status: Option<Status>) -> Result<Exit, AttachError> {
    let status = status.ok_or(AttachError::Lost)?;
    if status.status.as_deref() == Some("Success") {
        return Ok(Exit(0));
    }
    let causes = status.details.and_then(|details| details.causes);
    let code = causes.into_iter().flatten().find_map(|cause| {
        let is_code = cause.reason.as_deref() == Some("ExitCode");
        cause.message.filter(|_| is_code)?.parse().ok()
    });
    code.map(Exit).ok_or_else(|| {
        let said = status.message.unwrap_or_default();
        failure(&said)
    })
}

/// Why the runtime could not start the shell.
fn failure(said: &str) -> AttachError {
    let has_shell = !said.contains("no such file or directory") && !said.contains("not found");
    let message = if has_shell {
        let said: String = said.chars().take(300).collect();
        format!("the command could not be started: {said}")
    } else {
        "the image has no /bin/sh, which commands and files of sandboxes need on this runner"
            .to_owned()
    };
    AttachError::ExecFailed { message }
}

/// Why a call of the server did not get as far as a command.
pub(super) fn refused(error: &kube::Error) -> AttachError {
    let code = if let kube::Error::Api(status) = error {
        status.code
    } else if let kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(code)) =
        error
    {
        code.as_u16()
    } else {
        return AttachError::Lost;
    };
    match code {
        404 => AttachError::NotFound,
        400 | 409 => AttachError::NotRunning,
        _ => AttachError::Lost,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(status: serde_json::Value) -> Result<Exit, AttachError> {
        read(Some(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn success_is_zero_and_a_failure_has_its_code() {
        assert_eq!(of(json!({ "status": "Success" })), Ok(Exit(0)));
        let failure = json!({
            "status": "Failure", "reason": "NonZeroExitCode",
            "details": { "causes": [{ "reason": "ExitCode", "message": "137" }] },
        });
        assert_eq!(of(failure), Ok(Exit(137)));
    }

    #[test]
    fn an_image_without_a_shell_is_told_so() {
        let said =
            "OCI runtime exec failed: exec: \"/bin/sh\": stat /bin/sh: no such file or directory";
        let failure = json!({ "status": "Failure", "reason": "InternalError", "message": said });
        let Err(AttachError::ExecFailed { message }) = of(failure) else {
            unreachable!("it failed");
        };
        assert!(message.contains("has no /bin/sh"), "{message}");
    }

    #[test]
    fn a_connection_that_broke_is_no_exit() {
        assert_eq!(read(None), Err(AttachError::Lost));
    }
}
