//! Calls about sandboxes that failed, and what to do next.

use palisade_client::{CallError, Refused};
use palisade_model::reason::{Code, Reason};

use crate::error::CliError;

/// Fields of requests, as the words of the command line name them.
const FIELDS: [(&str, &str); 13] = [
    ("resource_requests.cpu", "--cpu"),
    ("resource_limits.cpu", "--cpu-limit"),
    ("resource_requests.memory", "--memory"),
    ("resource_limits.memory", "--memory-limit"),
    ("resource_requests.gpu", "--gpu"),
    ("resource_limits.gpu", "--gpu"),
    ("container_image", "--image"),
    ("environment_variables", "--env"),
    ("network.egress_mode", "--egress"),
    ("network.ingress_mode", "--ingress"),
    ("network.exposed_ports", "--port"),
    ("max_lifetime_seconds", "--max-lifetime"),
    ("tags", "--tag"),
];

/// A call that failed while `what` was tried.
pub(in crate::commands) fn failed(what: &str, error: &CallError) -> CliError {
    let mut failure = CliError::call(what, error);
    if let CallError::Refused(refused) = error {
        failure.next = advice(refused).or(failure.next);
        for why in &mut failure.why {
            *why = in_flags(why);
        }
        failure.why.dedup();
    }
    failure
}

/// Whether the same call may do better in a while: the server, or the runner
/// behind it, is away.
pub(super) fn may_pass(error: &CallError) -> bool {
    match error {
        CallError::Lost { .. } | CallError::Unreachable { .. } | CallError::TimedOut { .. } => true,
        CallError::Refused(refused) => {
            refused.retry_after().is_some()
                || refused.reason() == Some(Reason::RunnerUnavailable.as_str())
        }
        CallError::NotAName { .. } | CallError::NotUnderstood { .. } => false,
    }
}

/// A sentence that begins with a field begins with the flag instead.
fn in_flags(why: &str) -> String {
    let named = FIELDS.iter().find_map(|(field, flag)| {
        let rest = why.strip_prefix(field)?;
        rest.starts_with([' ', '[', '.'])
            .then(|| format!("{flag}{rest}"))
    });
    named.unwrap_or_else(|| why.to_owned())
}

fn advice(refused: &Refused) -> Option<String> {
    let is = |reason: Reason| refused.reason() == Some(reason.as_str());
    let next = if is(Reason::SandboxNotFound) {
        "list what there is: cwic sandbox ls --all-states"
    } else if is(Reason::SandboxNotRunning) {
        "look how it is: cwic sandbox get SANDBOX-ID"
    } else if is(Reason::FileNotFound) {
        "look what there is: cwic sandbox exec SANDBOX-ID -- ls DIRECTORY"
    } else if is(Reason::FilePermissionDenied) {
        "choose a path that the user of the sandbox may open"
    } else if is(Reason::PortClosed) {
        "look whether the program listens there: cwic sandbox logs SANDBOX-ID"
    } else if refused.code() == Some(Code::InvalidArgument) {
        "correct it; nothing was changed"
    } else {
        return None;
    };
    Some(next.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_by_their_flags() {
        for (why, named) in [
            (
                "resource_requests.cpu must be a number",
                "--cpu must be a number",
            ),
            ("tags[1] is too long", "--tag[1] is too long"),
            ("tagsx is odd", "tagsx is odd"),
            ("no runner is free", "no runner is free"),
        ] {
            assert_eq!(in_flags(why), named);
        }
    }
}
