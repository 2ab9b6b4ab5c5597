//! Calls of the API server, each with a limit, and what their failure means.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PropagationPolicy};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::runtime::wait::{self, conditions};
use kube::{Api, Client};
use serde_json::Value;
use tokio::time;

use crate::naming;

/// The longest that one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(20);
/// How long a namespace may take to go, with all that is in it.
const NAMESPACE_LIMIT: Duration = Duration::from_mins(1);

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
            403 if is_passing(&message) => Self::Unavailable(message),
            400 | 403 | 405 | 413 | 415 | 422 => Self::Refused(message),
            _ => Self::Unavailable(format!("{} ({})", message, status.code)),
        }
    }
}

/// Whether something is forbidden only for now: a namespace that goes away may
/// come again, a new one gets its service account a moment later, and a server that
/// has just started knows nobody's rights for a moment.
fn is_passing(message: &str) -> bool {
    [
        "being terminated",
        "error looking up service account",
        "is forbidden: User \"",
    ]
    .iter()
    .any(|part| message.contains(part))
}

/// Waits for a call, but not for ever.
pub(crate) async fn limited<T, E: Into<ApiError>>(
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, ApiError> {
    match time::timeout(CALL_LIMIT, call).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(_) => Err(ApiError::Unavailable("no answer in time".to_owned())),
    }
}

/// Applies an object whole, as the one manager of its fields.
pub(crate) async fn apply(client: &Client, object: &Value) -> Result<DynamicObject, ApiError> {
    let object: DynamicObject = serde_json::from_value(object.clone())
        .map_err(|error| ApiError::Refused(error.to_string()))?;
    let api = api_of(client, &object)?;
    let name = object.metadata.name.clone().unwrap_or_default();
    let parameters = PatchParams::apply(naming::MANAGER).force();
    limited(api.patch(&name, &parameters, &Patch::Apply(&object))).await
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
    match limited(api.delete(name, &parameters)).await {
        Ok(_) | Err(ApiError::NotFound(_)) => Ok(()),
        Err(error @ (ApiError::Refused(_) | ApiError::Unavailable(_))) => Err(error),
    }
}

/// Makes a namespace, unless it is there: what is there is left as it is. One that
/// is being deleted is waited for, and made anew.
pub(crate) async fn ensure_namespace(client: &Client, wanted: &Value) -> Result<(), ApiError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
    if let Some(there) = limited(api.get_opt(name)).await? {
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
    use kube::core::Status;

    use super::*;

    fn forbidden(message: &str) -> ApiError {
        let status = Status::failure(message, "Forbidden").with_code(403);
        kube::Error::Api(Box::new(status)).into()
    }

    #[test]
    fn what_is_forbidden_for_now_is_tried_again() {
        for message in [
            "pods \"p\" is forbidden: unable to create new content in namespace n because it is \
             being terminated",
            "pods \"p\" is forbidden: error looking up service account n/default: not found",
            "networkpolicies.networking.k8s.io \"p\" is forbidden: User \
             \"system:serviceaccount:palisade:palisade-runner\" cannot patch resource \
             \"networkpolicies\" in API group \"networking.k8s.io\" in the namespace \"n\"",
        ] {
            let error = forbidden(message);
            assert!(matches!(error, ApiError::Unavailable(_)), "{error:?}");
        }
    }

    #[test]
    fn what_a_rule_of_the_cluster_forbids_is_not_tried_again() {
        let error = forbidden("pods \"p\" is forbidden: exceeded quota: q, requested: pods=1");
        assert!(matches!(error, ApiError::Refused(_)), "{error:?}");
    }
}
