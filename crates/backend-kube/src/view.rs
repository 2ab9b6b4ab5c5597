//! Where a sandbox is, from what the cluster says of its objects.
//!
//! Pure. What the cluster would try for ever, and what cannot come to an end by
//! itself, is told as [`Verdict::Hopeless`]; whoever acts then writes an end into
//! the record, and from there on the record has the last word ([`crate::end`]).

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use palisade_backend::View;
use palisade_model::clock::Timestamp;
use palisade_model::sandbox::Exit;

use crate::naming;
use crate::words;

/// What a pod says of its sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Where it is.
    At(View),
    /// Where it is, and that it will not get any further; the reason is for a
    /// person.
    Hopeless(String),
}

/// What else decides where a sandbox is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Around<'a> {
    /// Where it can be reached from outside; may be empty.
    pub address: &'a str,
    /// Whether it is to have an address and has none yet.
    pub awaits_address: bool,
    /// Whether what may pass by itself has lasted too long.
    pub is_overdue: bool,
}

/// What the pod says.
pub fn verdict(pod: &Pod, around: Around<'_>, now: Timestamp) -> Verdict {
    let status = pod.status.clone().unwrap_or_default();
    let main = main_status(&status);
    let is_stopped = annotation(pod, naming::STOP_BY).is_some();
    let is_leaving = pod.metadata.deletion_timestamp.is_some();
    if let Some(mut ended) = main.and_then(|main| ended(main, &status, is_stopped)) {
        if let View::Ended { reason, .. } = &mut ended
            && is_leaving
            && reason.is_empty()
        {
            *reason = words::disruption(&status);
        }
        return Verdict::At(ended);
    }
    let since = main.and_then(since);
    let runs = main.is_some_and(|main| state(main).running.is_some());
    if status.phase.as_deref() == Some("Failed") && !runs {
        return Verdict::At(failed(&status, is_stopped, is_leaving, now));
    }
    if runs && let Some(over) = given_up_at(pod) {
        let view = if now >= over {
            given_up(since, over, is_stopped)
        } else {
            View::Stopping { since }
        };
        return Verdict::At(view);
    }
    if is_leaving || (is_stopped && (runs || status.start_time.is_some())) {
        return Verdict::At(View::Stopping { since });
    }
    if !runs {
        return waiting(&status, main, around.is_overdue);
    }
    if around.awaits_address {
        let text = "waiting for an external address";
        return Verdict::At(View::Starting(text.to_owned()));
    }
    Verdict::At(View::Running {
        since: since.unwrap_or(now),
        address: around.address.to_owned(),
    })
}

/// The state of the main container.
pub(crate) fn main_status(status: &PodStatus) -> Option<&ContainerStatus> {
    let all = status.container_statuses.as_ref()?;
    all.iter()
        .find(|status| status.name == naming::MAIN_CONTAINER)
}

/// Whether the main container runs, so that it can be talked to.
pub(crate) fn is_running(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let main = status.and_then(main_status);
    main.is_some_and(|main| state(main).running.is_some())
}

/// An annotation of a pod.
pub(crate) fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    let annotations = pod.metadata.annotations.as_ref()?;
    annotations.get(key).map(String::as_str)
}

fn state(main: &ContainerStatus) -> ContainerState {
    main.state.clone().unwrap_or_default()
}

fn since(main: &ContainerStatus) -> Option<Timestamp> {
    let running = state(main).running?;
    running.started_at.as_ref().and_then(timestamp)
}

fn ended(main: &ContainerStatus, status: &PodStatus, stopped: bool) -> Option<View> {
    let ended = state(main).terminated?;
    let since = ended.started_at.as_ref().and_then(timestamp);
    let at = ended.finished_at.as_ref().and_then(timestamp);
    let message = ended.message.as_deref().unwrap_or_default();
    let cause = ended.reason.as_deref().unwrap_or_default();
    let never_ran = matches!(cause, "StartError" | "ContainerCannotRun");
    let code = if never_ran {
        words::start_failure(message).unwrap_or(ended.exit_code)
    } else {
        ended.exit_code
    };
    Some(View::Ended {
        since: since.filter(|_| !never_ran),
        at: at.or(since).unwrap_or(Timestamp::EPOCH),
        exit: Some(Exit(code)),
        reason: words::end(status, cause, message),
        stopped,
    })
}

/// When a pod whose deadline is over has ended, although it may still be shown to
/// run: nodes before 1.22 end such a pod, and leave it at that.
pub(crate) fn given_up_at(pod: &Pod) -> Option<Timestamp> {
    let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
    if status.reason.as_deref() != Some("DeadlineExceeded") {
        return None;
    }
    let grace = spec.termination_grace_period_seconds.unwrap_or(30);
    let seconds = spec.active_deadline_seconds?.saturating_add(grace);
    let life = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let started = status.start_time.as_ref().and_then(timestamp)?;
    Some(started.saturating_add(life.saturating_add(GIVEN_UP_AFTER)))
}

/// How long after its deadline and its grace a pod has surely ended.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(10);

fn given_up(since: Option<Timestamp>, at: Timestamp, stopped: bool) -> View {
    View::Ended {
        since,
        at,
        exit: None,
        reason: "its time was over; its node did not tell how it ended".to_owned(),
        stopped,
    }
}

/// The node, or whoever else, gave up on the pod before it ran.
fn failed(status: &PodStatus, is_stopped: bool, is_leaving: bool, now: Timestamp) -> View {
    // A node that ends a pod because somebody deletes it may say nothing of why.
    let reason = if is_leaving && status.reason.as_ref().is_none_or(String::is_empty) {
        words::disruption(status)
    } else {
        words::failure(status)
    };
    if is_stopped {
        return View::Ended {
            since: None,
            at: now,
            exit: None,
            reason: "stopped before it ran".to_owned(),
            stopped: true,
        };
    }
    View::Failed { at: now, reason }
}

fn waiting(status: &PodStatus, main: Option<&ContainerStatus>, is_overdue: bool) -> Verdict {
    let starting = |text: String| Verdict::At(View::Starting(text));
    if let Some(message) = words::unschedulable(status) {
        return starting(format!("waiting for a node: {message}"));
    }
    if let Some(blocked) = words::init_failure(status) {
        return Verdict::Hopeless(blocked);
    }
    let waiting = main.and_then(|main| state(main).waiting);
    let Some(waiting) = waiting else {
        return starting(words::progress(status).to_owned());
    };
    let cause = waiting.reason.as_deref().unwrap_or_default();
    let message = waiting.message.as_deref().unwrap_or_default();
    let image = main.map(|main| main.image.as_str()).unwrap_or_default();
    let said = words::waiting(cause, message, image);
    match words::prospect(cause) {
        words::Prospect::None => Verdict::Hopeless(said),
        words::Prospect::Poor if is_overdue => Verdict::Hopeless(said),
        words::Prospect::Poor | words::Prospect::Good => starting(said),
    }
}

/// The server's time; what is not known is said as the epoch by some runtimes.
pub(crate) fn timestamp(time: &Time) -> Option<Timestamp> {
    let micros = time.0.as_microsecond();
    (micros > 0).then(|| Timestamp::from_micros(micros))
}

#[cfg(test)]
mod tests;
