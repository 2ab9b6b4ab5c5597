//! What the cluster says, in words for a person who sees only the sandbox.

use k8s_openapi::api::core::v1::PodStatus;

/// Whether something that waits can be expected to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prospect {
    /// It goes on by itself.
    Good,
    /// It may go on, or not.
    Poor,
    /// It never will.
    None,
}

/// What to expect of a container that waits for this reason.
pub(crate) fn prospect(reason: &str) -> Prospect {
    match reason {
        // The node has tried and failed more than once by then.
        "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "ImageInspectError" => {
            Prospect::None
        }
        "CreateContainerConfigError"
        | "CreateContainerError"
        | "RunContainerError"
        | "CrashLoopBackOff"
        | "PostStartHookError"
        | "RegistryUnavailable" => Prospect::Poor,
        _ => Prospect::Good,
    }
}

/// Why the main container waits.
pub(crate) fn waiting(reason: &str, message: &str, image: &str) -> String {
    match reason {
        "" | "ContainerCreating" => "the node prepares the container".to_owned(),
        "PodInitializing" => "its init containers run".to_owned(),
        "ErrImagePull" | "ImagePullBackOff" => said(&format!("cannot pull image {image}"), message),
        "InvalidImageName" => said(&format!("{image} names no image"), message),
        "ErrImageNeverPull" => format!("the node lacks image {image}, and may not pull it"),
        other => said(
            &format!("the node cannot start the container ({other})"),
            message,
        ),
    }
}

/// Where a pod is that has no container yet.
pub(crate) fn progress(status: &PodStatus) -> &'static str {
    match condition(status, "PodScheduled") {
        Some((true, _, _)) => "the node prepares the sandbox",
        Some((false, _, _)) | None => "waiting for a node",
    }
}

/// What the scheduler says, if it found no node.
pub(crate) fn unschedulable(status: &PodStatus) -> Option<&str> {
    let (is_true, reason, message) = condition(status, "PodScheduled")?;
    let is_stuck = !is_true && matches!(reason, "Unschedulable" | "SchedulingGated");
    is_stuck.then_some(message)
}

/// What became of an init container that failed: the sandbox will not start.
pub(crate) fn init_failure(status: &PodStatus) -> Option<String> {
    let all = status.init_container_statuses.as_ref()?;
    all.iter().find_map(|one| {
        let state = one.state.as_ref()?;
        if let Some(ended) = &state.terminated {
            let code = ended.exit_code;
            let message = ended.message.as_deref().unwrap_or_default();
            let text = format!("init container {} ended with code {code}", one.name);
            return (code != 0).then(|| said(&text, message));
        }
        let waiting = state.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let message = waiting.message.as_deref().unwrap_or_default();
        (prospect(reason) == Prospect::None).then(|| {
            let why = self::waiting(reason, message, &one.image);
            format!("init container {}: {why}", one.name)
        })
    })
}

/// Why a main container ended, where its exit code does not say it.
pub(crate) fn end(status: &PodStatus, cause: &str, message: &str) -> String {
    let pod = status.reason.as_deref().unwrap_or_default();
    match (pod, cause) {
        ("DeadlineExceeded", _) => "its time was over".to_owned(),
        ("", "OOMKilled") => "out of memory: it used more than its memory limit".to_owned(),
        ("", "StartError" | "ContainerCannotRun") => said("it could not be started", message),
        ("", "Completed" | "Error" | "") => String::new(),
        ("", other) => said(other, message),
        (_, _) => failure(status),
    }
}

/// Who took a pod away that its runner did not delete.
pub(crate) fn disruption(status: &PodStatus) -> String {
    let condition = condition(status, "DisruptionTarget");
    let (cause, message) = condition.map_or(("", ""), |(_, cause, message)| (cause, message));
    let text = match cause {
        "PreemptionByScheduler" => "it made room for something more important",
        "EvictionByEvictionAPI" => "evicted, as when a node is drained",
        "DeletionByTaintManager" => "evicted, as its node no longer takes it",
        "TerminationByKubelet" => "evicted by its node",
        _ => "its pod was deleted from the cluster",
    };
    said(text, message)
}

/// Why a pod failed as a whole.
pub(crate) fn failure(status: &PodStatus) -> String {
    let message = status.message.as_deref().unwrap_or_default();
    let text = match status.reason.as_deref().unwrap_or_default() {
        "Evicted" => "evicted by its node".to_owned(),
        "Preempting" | "Preempted" => "it made room for something more important".to_owned(),
        "NodeLost" => "its node was lost".to_owned(),
        "NodeShutdown" | "Terminated" => "its node was shut down".to_owned(),
        "DeadlineExceeded" => "its time was over before it ran".to_owned(),
        "NodeAffinity" => "its node no longer has the labels that it needs".to_owned(),
        "" => "the cluster gave it up".to_owned(),
        other => format!("the cluster gave it up ({other})"),
    };
    said(&text, message)
}

/// The exit code that a shell gives when a program cannot be started, from what
/// the runtime says.
pub(crate) fn start_failure(message: &str) -> Option<i32> {
    let message = message.to_ascii_lowercase();
    let is_missing = ["no such file or directory", "not found in $path"];
    if is_missing.iter().any(|part| message.contains(part)) {
        return Some(127);
    }
    message.contains("permission denied").then_some(126)
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<(bool, &'a str, &'a str)> {
    let all = status.conditions.as_ref()?;
    let found = all.iter().find(|condition| condition.type_ == kind)?;
    let text = |text: &'a Option<String>| text.as_deref().unwrap_or_default();
    Some((
        found.status == "True",
        text(&found.reason),
        text(&found.message),
    ))
}

/// The most of a message of the cluster that is passed on.
const MESSAGE_MAX: usize = 600;

fn said(what: &str, message: &str) -> String {
    if message.is_empty() {
        return what.to_owned();
    }
    let message: String = message.chars().take(MESSAGE_MAX).collect();
    format!("{what}: {message}")
}

/// What a server that refused an object said.
pub(crate) fn refusal(kind: &str, message: &str) -> String {
    let message: String = message.chars().take(MESSAGE_MAX).collect();
    format!("the cluster refused the {kind} of the sandbox: {message}")
}
