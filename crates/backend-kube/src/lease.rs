//! One runner for the sandboxes of an instance.
//!
//! Two of them would undo what the other does. Who runs holds a Lease and renews
//! it; a second one finds it renewed and is refused, and one that comes after a
//! crash waits until it has run out. A runner whose Lease somebody else took has
//! lost it, and has to end.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff;
use kube::Api;
use kube::api::PostParams;
use palisade_model::clock::{Clock, Timestamp};
use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::{self, ApiError, no_answer};
use crate::connect::Cluster;
use crate::naming;

/// How long a Lease holds that is not renewed.
const HOLDS: Duration = Duration::from_secs(15);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(5);

/// Why a runner does not hold the Lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another one does.
    #[error(
        "the runner {holder} serves the sandboxes of instance {instance} in this cluster, and \
         there can be one only: end it, or give this one another instance"
    )]
    Held {
        /// Who that is.
        holder: String,
        /// Whose sandboxes.
        instance: String,
    },
    /// The cluster could not be asked.
    #[error("the Lease of the runner could not be taken: {0}")]
    Cluster(String),
    /// Somebody else took it.
    #[error("somebody else took the Lease of this runner, which therefore ends")]
    Lost,
}

/// A Lease that is held.
#[derive(Debug)]
pub struct Lease {
    api: Api<Object>,
    clock: Arc<dyn Clock>,
    holder: String,
    object: Object,
}

impl Lease {
    /// Takes the Lease of an instance, or says who holds it.
    pub async fn take(
        cluster: &Cluster,
        instance: &str,
        holder: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LeaseError> {
        let api: Api<Object> = Api::namespaced(cluster.client.clone(), cluster.namespace());
        let name = format!("{}-{instance}", naming::MANAGER);
        let mut seen = get(&api, &name).await?;
        if let Some(left) = seen.as_ref().and_then(|seen| left(seen, clock.now())) {
            info!(
                seconds = left.as_secs(),
                "another runner may still be there; waiting"
            );
            time::sleep(left).await;
            let now = get(&api, &name).await?;
            let before = seen.as_ref().and_then(renewed);
            if let Some(live) = now.as_ref().filter(|now| renewed(now) != before) {
                return Err(held(live, instance));
            }
            seen = now;
        }
        let mut object = seen.unwrap_or_default();
        object.metadata.name = Some(name);
        let taken = put(&api, object, holder, clock.now()).await;
        let object = taken.map_err(|error| match error {
            PutError::Changed => LeaseError::Held {
                holder: "that came first".to_owned(),
                instance: instance.to_owned(),
            },
            PutError::Failed(error) => LeaseError::Cluster(error.to_string()),
        })?;
        Ok(Self {
            api,
            clock,
            holder: holder.to_owned(),
            object,
        })
    }

    /// The same for as long as the cluster keeps the Lease, whoever holds it.
    pub fn home_id(&self) -> String {
        self.object.metadata.uid.clone().unwrap_or_default()
    }

    /// Renews it until told to stop, and gives it back then. Ends before only if
    /// somebody else took it.
    pub async fn keep(mut self, stop: CancellationToken) -> Result<(), LeaseError> {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = time::sleep(RENEW) => {}
            }
            match self.renew().await {
                Ok(()) => {}
                Err(PutError::Changed) => return Err(LeaseError::Lost),
                Err(PutError::Failed(error)) => {
                    warn!(%error, "the Lease of the runner could not be renewed; trying again");
                }
            }
        }
        let mut object = self.object;
        object.spec = Some(LeaseSpec::default());
        // If that fails, the next one waits until it has run out.
        let _ = replace(&self.api, &object).await;
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), PutError> {
        match self.put().await {
            Err(PutError::Changed) => {}
            Ok(()) => return Ok(()),
            Err(error @ PutError::Failed(_)) => return Err(error),
        }
        // A renewal of ours whose answer was lost changed it as well.
        let name = self.object.metadata.name.clone().unwrap_or_default();
        let seen = time::timeout(RENEW, self.api.get_opt(&name)).await;
        let seen = seen.map_err(|_| PutError::Failed(no_answer()))?;
        match seen.map_err(|error| PutError::Failed(error.into()))? {
            Some(seen) if holder(&seen) == Some(&*self.holder) => self.object = seen,
            Some(_) | None => return Err(PutError::Changed),
        }
        self.put().await
    }

    async fn put(&mut self) -> Result<(), PutError> {
        let now = self.clock.now();
        self.object = put(&self.api, self.object.clone(), &self.holder, now).await?;
        Ok(())
    }
}

fn holder(lease: &Object) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

async fn get(api: &Api<Object>, name: &str) -> Result<Option<Object>, LeaseError> {
    let found = api::patient(|| api.get_opt(name)).await;
    found.map_err(|error| LeaseError::Cluster(error.to_string()))
}

/// Why a Lease was not written.
#[derive(Debug)]
enum PutError {
    /// Somebody else wrote it meanwhile.
    Changed,
    Failed(ApiError),
}

async fn put(
    api: &Api<Object>,
    mut object: Object,
    holder: &str,
    now: Timestamp,
) -> Result<Object, PutError> {
    let instant = jiff::Timestamp::from_microsecond(now.as_micros()).unwrap_or_default();
    object.spec = Some(LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: i32::try_from(HOLDS.as_secs()).ok(),
        renew_time: Some(MicroTime(instant)),
        ..LeaseSpec::default()
    });
    replace(api, &object).await
}

/// Writes what nobody else wrote meanwhile.
async fn replace(api: &Api<Object>, object: &Object) -> Result<Object, PutError> {
    let parameters = PostParams {
        field_manager: Some(naming::MANAGER.to_owned()),
        ..PostParams::default()
    };
    let name = object.metadata.name.clone().unwrap_or_default();
    let call = async {
        if object.metadata.resource_version.is_some() {
            api.replace(&name, &parameters, object).await
        } else {
            api.create(&parameters, object).await
        }
    };
    let written = time::timeout(RENEW, call).await;
    let written = written.map_err(|_| PutError::Failed(no_answer()))?;
    written.map_err(|error| {
        if matches!(&error, kube::Error::Api(status) if status.code == 409) {
            PutError::Changed
        } else {
            PutError::Failed(error.into())
        }
    })
}

/// How long the Lease still holds, if somebody holds it.
fn left(lease: &Object, now: Timestamp) -> Option<Duration> {
    let spec = lease.spec.as_ref()?;
    spec.holder_identity
        .as_ref()
        .filter(|holder| !holder.is_empty())?;
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    let holds = Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(HOLDS);
    let until = renewed(lease)?.saturating_add(holds);
    let left = until.saturating_since(now).min(HOLDS);
    (!left.is_zero()).then_some(left)
}

fn renewed(lease: &Object) -> Option<Timestamp> {
    let time = lease.spec.as_ref()?.renew_time.as_ref()?;
    Some(Timestamp::from_micros(time.0.as_microsecond()))
}

fn held(lease: &Object, instance: &str) -> LeaseError {
    LeaseError::Held {
        holder: holder(lease).unwrap_or_default().to_owned(),
        instance: instance.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::{Method, Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug)]
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(1)
        }
    }

    /// A server of one Lease.
    #[derive(Debug)]
    struct Server {
        holder: &'static str,
        version: u32,
        /// Whether the next write is carried out without an answer.
        loses_answer: bool,
        writes: u32,
    }

    impl Server {
        fn object(&self) -> Value {
            json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": { "name": "l", "resourceVersion": self.version.to_string() },
                "spec": { "holderIdentity": self.holder },
            })
        }

        /// The answer to a call, unless it is lost.
        fn answer(&mut self, method: &Method, sent: &[u8]) -> Option<(u16, Value)> {
            if *method == Method::GET {
                return Some((200, self.object()));
            }
            let sent: Value = serde_json::from_slice(sent).unwrap();
            if sent["metadata"]["resourceVersion"] != self.object()["metadata"]["resourceVersion"] {
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 409,
                    "message": "the object has been modified", "reason": "Conflict",
                });
                return Some((409, status));
            }
            self.version += 1;
            self.writes += 1;
            let is_lost = std::mem::take(&mut self.loses_answer);
            (!is_lost).then(|| (200, self.object()))
        }
    }

    /// A Lease of `a`, at a server on which it is as this one says.
    fn lease_at(server: &Arc<Mutex<Server>>) -> Lease {
        let object = server.lock().unwrap().object();
        let server = Arc::clone(server);
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let (head, body) = request.into_parts();
                let sent = body.collect_bytes().await.unwrap();
                let answer = server.lock().unwrap().answer(&head.method, &sent);
                // A lost one never comes.
                let (code, body) = match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                };
                let body = Body::from(body.to_string().into_bytes());
                Response::builder().status(code).body(body)
            }
        });
        Lease {
            api: Api::namespaced(Client::new(service, "default"), "default"),
            clock: Arc::new(Still),
            holder: "a".to_owned(),
            object: serde_json::from_value(object).unwrap(),
        }
    }

    fn server(holder: &'static str, loses_answer: bool) -> Arc<Mutex<Server>> {
        Arc::new(Mutex::new(Server {
            holder,
            version: 1,
            loses_answer,
            writes: 0,
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_whose_answer_was_lost_does_not_lose_the_lease() {
        let server = server("a", true);
        let mut lease = lease_at(&server);
        let first = lease.renew().await;
        assert!(matches!(first, Err(PutError::Failed(_))), "{first:?}");
        let second = lease.renew().await;
        assert!(second.is_ok(), "{second:?}");
        assert_eq!(server.lock().unwrap().writes, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_somebody_else_took_is_lost() {
        let server = server("b", false);
        let lease = lease_at(&server);
        server.lock().unwrap().version = 2;
        let kept = lease.keep(CancellationToken::new()).await;
        assert!(matches!(kept, Err(LeaseError::Lost)), "{kept:?}");
    }

    fn lease(holder: Option<&str>, renewed_at: i64) -> Object {
        let instant = jiff::Timestamp::from_microsecond(renewed_at * 1_000_000);
        Object {
            spec: Some(LeaseSpec {
                holder_identity: holder.map(str::to_owned),
                lease_duration_seconds: Some(15),
                renew_time: Some(MicroTime(instant.unwrap())),
                ..LeaseSpec::default()
            }),
            ..Object::default()
        }
    }

    #[test]
    fn a_lease_holds_for_its_time_if_somebody_holds_it() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let held = lease(Some("a"), 1_000);
        assert_eq!(left(&held, at(1_005)), Some(Duration::from_secs(10)));
        assert_eq!(left(&held, at(1_015)), None);
        assert_eq!(left(&lease(None, 1_000), at(1_001)), None);
        assert_eq!(left(&lease(Some(""), 1_000), at(1_001)), None);
        // A clock that is behind does not wait longer than a Lease lasts.
        assert_eq!(left(&held, at(10)), Some(HOLDS));
    }
}
