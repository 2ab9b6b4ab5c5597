//! Everything that a backend needs, from a decision and a request.

use crate::id::SandboxId;
use crate::namespace::{self, Occupant};
use crate::pod::{self, Dropped};
use crate::sandbox::{Environment, Launch, LaunchNamespace, Owner, StartRequest, Workload};
use crate::snapshot::FileSystem;

use super::place::Placement;

/// The variable that tells a sandbox its own id.
pub const SANDBOX_ID_VARIABLE: &str = "CW_SANDBOX_ID";

/// A launch, and what of the request it leaves out.
#[derive(Clone, Debug, PartialEq)]
pub struct Launched {
    /// Everything that a backend needs.
    pub launch: Launch,
    /// Labels and annotations that only the system sets.
    pub dropped: Vec<Dropped>,
}

/// Puts together what a backend needs to make the sandbox `id`.
///
/// `placement` must have been decided for this request, and `file_system` be what
/// the request's wish for one came to.
pub fn launch(
    id: SandboxId,
    owner: &Owner,
    placement: &Placement,
    request: StartRequest,
    file_system: Option<FileSystem>,
) -> Launched {
    let spec = &placement.resolved.spec;
    let metadata = pod::launch_metadata(spec.pod.as_ref(), &request.annotations);
    let launch = Launch {
        id,
        owner: owner.clone(),
        runner: placement.runner_id.clone(),
        profile: placement.profile_id,
        profile_name: placement.profile_name.clone(),
        workload: Workload {
            image: placement.image.clone(),
            command: request.command,
            environment: environment(id, request.environment),
        },
        resources: placement.resources.clone(),
        runtime_class: placement.runtime_class.clone(),
        instance_types: spec.instance_types(),
        node_selector: spec.node_selector.clone(),
        namespace: launch_namespace(owner, placement),
        egress: placement.egress.clone(),
        exposure: placement.exposure.clone(),
        ports: request.ports,
        secrets: request
            .secrets
            .into_iter()
            .map(|asked| asked.variable)
            .collect(),
        mounted_files: request.mounted_files,
        file_system,
        metadata: metadata.metadata,
        pod: spec.pod.clone(),
        max_lifetime: placement.max_lifetime,
    };
    Launched {
        launch,
        dropped: metadata.dropped,
    }
}

/// What the caller set, and what the platform has the last word on.
fn environment(id: SandboxId, asked: Environment) -> Environment {
    let mut environment = asked;
    environment.insert(SANDBOX_ID_VARIABLE.to_owned(), id.to_string());
    environment
}

fn launch_namespace(owner: &Owner, placement: &Placement) -> LaunchNamespace {
    let spec = &placement.resolved.spec.namespace;
    let occupant = Occupant {
        owner,
        profile: placement.profile_id,
        profile_name: &placement.profile_name,
    };
    LaunchNamespace {
        name: namespace::name(spec, &occupant),
        auto_create: spec.auto_create(),
        labels: spec.labels.clone(),
        annotations: spec.annotations.clone(),
    }
}
