//! From a wish to a record, and from the record to a pod.

use palisade_backend::View;
use serde_json::Value;
use tracing::{info, warn};

use super::{Driver, Next};
use crate::api::{self, ApiError};
use crate::end;
use crate::manifest::{self, Owner, RecordError};
use crate::naming;
use crate::sandbox::{NotRecorded, Record, Seen};
use crate::secrets;
use crate::words;

/// How often the objects of a sandbox are tried before it is given up.
const TRIES_MAX: u32 = 12;

impl Driver {
    /// Writes the record: from here on a restart finds the sandbox.
    pub(super) async fn record(&mut self, seen: &Seen) -> Next {
        match self.write_record(seen).await {
            Ok(record) => {
                self.sandbox.see(|seen| seen.record = Some(record));
                self.shared.handed.forget(self.sandbox.id());
                self.tell_recorded(Ok(()));
                Next::Again
            }
            Err(failure) => {
                // Whoever wishes again begins anew; what a lost answer left
                // behind is found by its label.
                self.shared.forget(&self.sandbox);
                if matches!(failure, NotRecorded::Refused(_)) {
                    self.shared.handed.forget(self.sandbox.id());
                }
                self.tell_recorded(Err(failure));
                Next::Done
            }
        }
    }

    fn tell_recorded(&self, outcome: Result<(), NotRecorded>) {
        let progress = &self.sandbox.progress;
        progress.send_modify(|progress| progress.recorded = Some(outcome));
        self.shared.hints.hint(self.sandbox.id());
    }

    async fn write_record(&self, seen: &Seen) -> Result<Record, NotRecorded> {
        let failed = |why: &str| NotRecorded::Failed(why.to_owned());
        let Some(launch) = &seen.launch else {
            return Err(failed("there is no launch"));
        };
        let refused = |error: RecordError| NotRecorded::Refused(error.to_string());
        let mut secret = manifest::record(launch, &self.shared.settings).map_err(refused)?;
        let values = secrets::gather(&self.shared, launch).await?;
        manifest::add_secrets(&mut secret, &launch.secrets, &values).map_err(refused)?;
        let client = &self.shared.client;
        let _stays = self.shared.namespaces.read().await;
        if let Some(namespace) = manifest::namespace(&launch.namespace, &self.shared.settings) {
            let made = api::ensure_namespace(client, &namespace).await;
            made.map_err(|error| not_recorded("namespace", error))?;
        }
        let name = &launch.namespace.name;
        let written = api::apply(client, &secret).await;
        let written = written.map_err(|error| match error {
            ApiError::NotFound(_) => NotRecorded::Refused(format!(
                "the namespace {name} does not exist, and the profile says that it is made \
                 elsewhere"
            )),
            error @ (ApiError::Refused(_) | ApiError::Unavailable(_)) => {
                not_recorded("record", error)
            }
        })?;
        let uid = written.metadata.uid.clone();
        let uid = uid.ok_or_else(|| failed("the server gave the record no uid"))?;
        Ok(Record {
            owner: Owner {
                name: naming::object(launch.id),
                uid,
            },
            end: end::decode(written.metadata.annotations.as_ref()),
        })
    }

    /// There is no pod: makes it, unless there was one already.
    pub(super) async fn make_or_end(&mut self, seen: &Seen) -> Next {
        let now = self.shared.clock.now();
        let gone = |reason: &str| View::Failed {
            at: now,
            reason: reason.to_owned(),
        };
        if seen.had_pod {
            let view = gone("its pod was deleted from the cluster, or its node was");
            return self.end(view).await;
        }
        if self.is_adopted {
            match self.has_policy(seen).await {
                Ok(false) => {}
                Ok(true) => {
                    let view = gone("its pod was lost, or never made, while no runner was there");
                    return self.end(view).await;
                }
                Err(error) => return self.try_later("could not look for the policy", &error),
            }
        }
        match self.make(seen).await {
            Ok(()) => {
                self.failures = 0;
                Next::Again
            }
            Err((_, error @ ApiError::Unavailable(_))) if self.failures < TRIES_MAX => {
                // Somebody may have made it before the answer was lost.
                self.is_adopted = false;
                self.try_later("could not make an object of the sandbox", &error)
            }
            Err((kind, error)) => {
                let reason = words::refusal(&kind, &error.to_string());
                self.end(View::Failed { at: now, reason }).await
            }
        }
    }

    /// Whether an earlier run began to make objects. The pod comes last, so that
    /// it may have been there: it is not made a second time.
    async fn has_policy(&self, seen: &Seen) -> Result<bool, ApiError> {
        let Some(launch) = &seen.launch else {
            return Ok(false);
        };
        let policies = self.policies(launch);
        let name = naming::object(launch.id);
        let found = api::patient(|| policies.get_opt(&name)).await?;
        Ok(found.is_some())
    }

    async fn make(&mut self, seen: &Seen) -> Result<(), (String, ApiError)> {
        let (Some(launch), Some(record)) = (&seen.launch, &seen.record) else {
            return Ok(());
        };
        let (settings, nodes) = (&self.shared.settings, self.nodes());
        let (objects, dropped) = manifest::objects(launch, settings, &nodes, &record.owner);
        self.closed = Some(nodes);
        for key in dropped {
            warn!(sandbox.id = %launch.id, "{key}");
        }
        for object in objects {
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            let made = api::apply(&self.shared.client, &object).await;
            let made = made.map_err(|error| (kind.clone(), error))?;
            if kind == "Pod" {
                let value = serde_json::to_value(&made).unwrap_or(Value::Null);
                let pod = serde_json::from_value(value).ok();
                self.sandbox.see(|seen| seen.put_made(pod));
            }
        }
        info!(sandbox.id = %launch.id, namespace = %launch.namespace.name, "pod made");
        Ok(())
    }
}

fn not_recorded(kind: &str, error: ApiError) -> NotRecorded {
    match error {
        ApiError::Refused(message) => NotRecorded::Refused(words::refusal(kind, &message)),
        error @ (ApiError::NotFound(_) | ApiError::Unavailable(_)) => {
            NotRecorded::Failed(error.to_string())
        }
    }
}
