//! Calls of the API server, each with a limit, and what their failure means.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PropagationPolicy};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::runtime::wait::{self, conditions};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time;

use crate::naming;
use crate::right::MissingRight;

/// The longest that one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(20);
/// How long a right that is missing is waited for: a server that has just started
/// knows nobody's rights for a moment, which on a busy machine is more than ten
/// seconds.
const RIGHT_LIMIT: Duration = Duration::from_mins(1);
/// How often to ask meanwhile.
const RIGHT_PAUSE: Duration = Duration::from_secs(1);
/// How long a namespace may take to go, with all that is in it.
const NAMESPACE_LIMIT: Duration = Duration::from_mins(1);

/// How many calls may be under way. Each one has a connection of its own, which costs
/// some 40 KiB here and more at the server, and is kept for a while after.
const CALLS_MAX: usize = 32;
/// How long a call waits for its turn.
const TURN_LIMIT: Duration = Duration::from_mins(2);

/// The turns, for all that this process asks of its cluster. Watches, commands, logs
/// and the Lease do not wait for them.
static TURNS: Semaphore = Semaphore::const_new(CALLS_MAX);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The object is not there, or what it would be in is not.
    #[error("not found: {0}")]
    NotFound(String),
    /// The server will not do this, however often it is asked.
    #[error("{0}")]
    Refused(String),
    /// It may work later.
    #[error("the API server cannot be used now: {0}")]
    Unavailable(String),
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Self::Unavailable(error.to_string());
        };
        let message = status.message.clone();
        match status.code {
            404 => Self::NotFound(message),
            403 => forbidden(message),
            400 | 405 | 413 | 415 | 422 => Self::Refused(message),
            _ => Self::Unavailable(format!("{} ({})", message, status.code)),
        }
    }
}

fn forbidden(message: String) -> ApiError {
    match MissingRight::of(&message) {
        Some(right) => ApiError::Refused(right.to_string()),
        None if is_passing(&message) => ApiError::Unavailable(message),
        None => ApiError::Refused(message),
    }
}

/// Whether something is forbidden only for now: a namespace that goes away may
/// come again, and a new one gets its service account a moment later.
fn is_passing(message: &str) -> bool {
    ["being terminated", "error looking up service account"]
        .iter()
        .any(|part| message.contains(part))
}

/// Makes a call again while the server says that the runner has no right to it, but
/// not for long: what it says for longer is so, and is final.
pub(crate) async fn patient<T, F>(mut call: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = kube::Result<T>>,
{
    let ends = time::Instant::now() + RIGHT_LIMIT;
    loop {
        let outcome = {
            let _turn = turn().await?;
            time::timeout(CALL_LIMIT, call()).await
        };
        let Ok(outcome) = outcome else {
            return Err(no_answer());
        };
        match outcome {
            Err(error) if lacks_right(&error) && time::Instant::now() < ends => {
                time::sleep(RIGHT_PAUSE).await;
            }
            Ok(_) | Err(_) => return outcome.map_err(ApiError::from),
        }
    }
}

fn lacks_right(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    status.code == 403 && MissingRight::of(&status.message).is_some()
}

/// Waits for a turn, which ends when it is dropped.
async fn turn() -> Result<SemaphorePermit<'static>, ApiError> {
    let late = || ApiError::Unavailable("too many other calls are under way".to_owned());
    let turn = time::timeout(TURN_LIMIT, TURNS.acquire()).await;
    turn.ok().and_then(Result::ok).ok_or_else(late)
}

pub(crate) fn no_answer() -> ApiError {
    ApiError::Unavailable("no answer in time".to_owned())
}

/// Waits for a call, but not for ever.
pub(crate) async fn limited<T, E: Into<ApiError>>(
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, ApiError> {
    let _turn = turn().await?;
    match time::timeout(CALL_LIMIT, call).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(_) => Err(no_answer()),
    }
}

/// Applies an object whole, as the one manager of its fields.
pub(crate) async fn apply(client: &Client, object: &Value) -> Result<DynamicObject, ApiError> {
    let object: DynamicObject = serde_json::from_value(object.clone())
        .map_err(|error| ApiError::Refused(error.to_string()))?;
    let api = api_of(client, &object)?;
    let name = object.metadata.name.clone().unwrap_or_default();
    let parameters = PatchParams::apply(naming::MANAGER).force();
    let patch = Patch::Apply(&object);
    patient(|| api.patch(&name, &parameters, &patch)).await
}

/// Deletes an object; one that is not there is deleted.
pub(crate) async fn delete<K>(
    api: &Api<K>,
    name: &str,
    grace_seconds: Option<u32>,
) -> Result<(), ApiError>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let parameters = DeleteParams {
        grace_period_seconds: grace_seconds,
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    match patient(|| api.delete(name, &parameters)).await {
        Ok(_) | Err(ApiError::NotFound(_)) => Ok(()),
        Err(error @ (ApiError::Refused(_) | ApiError::Unavailable(_))) => Err(error),
    }
}

/// Makes a namespace, unless it is there: what is there is left as it is. One that
/// is being deleted is waited for, and made anew.
pub(crate) async fn ensure_namespace(client: &Client, wanted: &Value) -> Result<(), ApiError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
    if let Some(there) = patient(|| api.get_opt(name)).await? {
        if there.metadata.deletion_timestamp.is_none() {
            return Ok(());
        }
        let uid = there.metadata.uid.unwrap_or_default();
        let gone = wait::await_condition(api, name, conditions::is_deleted(&uid));
        let late = || ApiError::Unavailable(format!("the namespace {name} does not go away"));
        let outcome = time::timeout(NAMESPACE_LIMIT, gone).await;
        outcome.ok().and_then(Result::ok).ok_or_else(late)?;
    }
    apply(client, wanted).await.map(|_| ())
}

fn api_of(client: &Client, object: &DynamicObject) -> Result<Api<DynamicObject>, ApiError> {
    let unknown = || ApiError::Refused("an object without a kind".to_owned());
    let TypeMeta { api_version, kind } = object.types.clone().ok_or_else(unknown)?;
    let (group, version) = match api_version.split_once('/') {
        Some((group, version)) => (group.to_owned(), version.to_owned()),
        None => (String::new(), api_version),
    };
    let kind = GroupVersionKind {
        group,
        version,
        kind,
    };
    let resource = match kind.kind.as_str() {
        "NetworkPolicy" => ApiResource::from_gvk_with_plural(&kind, "networkpolicies"),
        "Ingress" => ApiResource::from_gvk_with_plural(&kind, "ingresses"),
        _ => ApiResource::from_gvk(&kind),
    };
    Ok(match object.metadata.namespace.as_deref() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use kube::core::Status;

    use super::*;

    const NO_RIGHT: &str = "pods \"p\" is forbidden: User \"u\" cannot patch resource \"pods\" in \
                            API group \"\" in the namespace \"n\"";
    const NO_ROOM: &str = "pods \"p\" is forbidden: exceeded quota: q, requested: pods=1";

    fn refusal(message: &str) -> kube::Error {
        let status = Status::failure(message, "Forbidden").with_code(403);
        kube::Error::Api(Box::new(status))
    }

    /// What becomes of a call that is refused so many times, how often it was made,
    /// and how long that took.
    async fn after(refusals: u32, message: &str) -> (Result<(), ApiError>, u32, Duration) {
        let calls = Cell::new(0);
        let began = time::Instant::now();
        let outcome = patient(|| async {
            calls.set(calls.get() + 1);
            if calls.get() > refusals {
                Ok(())
            } else {
                Err(refusal(message))
            }
        });
        (outcome.await, calls.get(), began.elapsed())
    }

    #[test]
    fn what_is_forbidden_for_now_is_tried_again() {
        for message in [
            "pods \"p\" is forbidden: unable to create new content in namespace n because it is \
             being terminated",
            "pods \"p\" is forbidden: error looking up service account n/default: not found",
        ] {
            let error = ApiError::from(refusal(message));
            assert!(matches!(error, ApiError::Unavailable(_)), "{error:?}");
        }
    }

    #[test]
    fn what_a_rule_of_the_cluster_forbids_is_not_tried_again() {
        let error = ApiError::from(refusal(NO_ROOM));
        assert!(matches!(error, ApiError::Refused(_)), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_that_a_server_does_not_know_yet_is_waited_for() {
        let (outcome, calls, _) = after(3, NO_RIGHT).await;
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(calls, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_that_stays_missing_is_final_and_named() {
        let (outcome, calls, took) = after(u32::MAX, NO_RIGHT).await;
        let Err(ApiError::Refused(why)) = outcome else {
            unreachable!("it is refused: {outcome:?}");
        };
        assert!(
            why.contains("may not patch pods in the namespace n"),
            "{why}"
        );
        assert!(
            calls > 2 && took < 2 * RIGHT_LIMIT,
            "{calls} calls in {took:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_calls_at_once_most_wait_for_their_turn() {
        let (now, most) = (Cell::new(0), Cell::new(0));
        let call = async || {
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            time::sleep(CALL_LIMIT / 20).await;
            now.set(now.get() - 1);
            Ok::<_, kube::Error>(())
        };
        let calls = (0..10 * CALLS_MAX).map(|_| limited(call()));
        let done = futures_util::future::join_all(calls).await;
        assert!(done.iter().all(Result::is_ok), "{done:?}");
        assert_eq!(most.get(), CALLS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_another_reason_is_asked_once() {
        let (outcome, calls, took) = after(u32::MAX, NO_ROOM).await;
        assert!(matches!(outcome, Err(ApiError::Refused(_))), "{outcome:?}");
        assert_eq!((calls, took), (1, Duration::ZERO));
    }
}
