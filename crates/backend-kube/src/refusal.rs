//! The refusal of launches that this cluster cannot carry out.
//!
//! What the API server would refuse anyway is left to it: it says why better, and
//! what it says reaches the person who asked.

use palisade_backend::EnsureError;
use palisade_model::name::RuntimeClass;
use palisade_model::runner::{Capabilities, RouteSupport};
use palisade_model::sandbox::{GpuKind, Launch};

/// Refuses a launch that asks for more than there is, or whose egress is not taken
/// on for this reason.
pub(crate) fn check(
    launch: &Launch,
    offered: &Capabilities,
    why_closed: Option<String>,
) -> Result<(), EnsureError> {
    let refused = [
        why_closed.map(|why| egress(launch, &why)),
        runtime_class(launch, offered),
        gpu(launch, offered),
        ingress(launch, offered),
        file_system(launch, offered),
        own_secrets(launch, offered),
    ];
    match refused.into_iter().flatten().next() {
        Some(what) => Err(EnsureError::Unsupported { what }),
        None => Ok(()),
    }
}

fn egress(launch: &Launch, why: &str) -> String {
    let kind = launch.egress.mode.kind().as_str();
    format!("this runner cannot enforce the egress type {kind}: {why}")
}

fn file_system(launch: &Launch, offered: &Capabilities) -> Option<String> {
    launch.file_system.as_ref()?;
    (!offered.file_systems)
        .then(|| "this cluster cannot give a sandbox a file system of its own".to_owned())
}

fn runtime_class(launch: &Launch, offered: &Capabilities) -> Option<String> {
    let class = launch.runtime_class.as_ref()?;
    if offered.runtime_classes.contains(class) {
        return None;
    }
    let known = offered.runtime_classes.iter().map(RuntimeClass::as_str);
    let known: Vec<&str> = known.collect();
    let has = if known.is_empty() {
        "it has none".to_owned()
    } else {
        format!("it has: {}", known.join(", "))
    };
    let class = class.as_str();
    Some(format!("the cluster has no runtime class {class:?}; {has}"))
}

fn own_secrets(launch: &Launch, offered: &Capabilities) -> Option<String> {
    let mut own = launch.secrets.iter().filter(|secret| !secret.is_of_store());
    let is_needed = own.next().is_some() && !offered.secrets.has_own();
    is_needed.then(|| {
        "this runner gives no Secrets of its cluster to sandboxes; it was started without \
         --cluster-secrets-namespace"
            .to_owned()
    })
}

fn gpu(launch: &Launch, offered: &Capabilities) -> Option<String> {
    let gpu = launch.resources.gpu.as_ref()?;
    if offered.largest.gpus == 0 {
        return Some("this cluster has no GPUs".to_owned());
    }
    let GpuKind::Type(kind) = &gpu.kind else {
        return None;
    };
    (!offered.gpu_types.contains(kind)).then(|| format!("this cluster has no GPUs of type {kind}"))
}

fn ingress(launch: &Launch, offered: &Capabilities) -> Option<String> {
    let level = launch.exposure.as_ref()?;
    let name = level.name.as_str();
    let route = level.exposure.route.as_ref()?;
    if offered.routes == RouteSupport::None {
        return Some(format!(
            "ingress level {name:?} wants a host name, and the cluster has no ingress class"
        ));
    }
    if !offered.routes.serves(level.exposure.scope) {
        let scope = level.exposure.scope.as_str();
        return Some(format!(
            "ingress level {name:?} wants a host name for scope {scope}, and clients of a cluster do not say who they are"
        ));
    }
    let host = route.template.render(launch.id, &launch.namespace.name);
    host.is_none().then(|| {
        let namespace = launch.namespace.name.as_str();
        format!("in namespace {namespace}, the host name of ingress level {name:?} is too long")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use palisade_model::profile::EgressType;
    use palisade_model::sandbox::GpuRequest;
    use palisade_model::testing::sample_launch;
    use serde_json::json;

    use super::*;
    use crate::manifest::tests::network::exposed;

    fn offered() -> Capabilities {
        Capabilities {
            egress: BTreeSet::from(EgressType::ALL),
            ..Capabilities::default()
        }
    }

    fn refused(launch: &Launch, offered: &Capabilities) -> Option<String> {
        let checked = check(launch, offered, None);
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn a_launch_that_asks_for_nothing_special_is_taken_on() {
        assert_eq!(refused(&sample_launch(), &offered()), None);
    }

    #[test]
    fn an_egress_type_that_nothing_enforces_is_refused_with_the_reason() {
        let why = Some("a pod got through".to_owned());
        let refused = check(&sample_launch(), &offered(), why);
        let refusal = refused.err().map(|error| error.to_string()).unwrap();
        assert!(refusal.contains("egress type none"), "{refusal}");
        assert!(refusal.contains("a pod got through"), "{refusal}");
    }

    #[test]
    fn a_runtime_class_that_the_cluster_lacks_is_named_beside_those_it_has() {
        let mut launch = sample_launch();
        launch.runtime_class = Some("gvisor".parse().unwrap());
        let mut offered = offered();
        assert!(refused(&launch, &offered).unwrap().contains("it has none"));
        offered.runtime_classes.insert("kata".parse().unwrap());
        assert!(refused(&launch, &offered).unwrap().contains("it has: kata"));
        offered.runtime_classes.insert("gvisor".parse().unwrap());
        assert_eq!(refused(&launch, &offered), None);
    }

    #[test]
    fn gpus_that_no_node_has_are_refused() {
        let mut launch = sample_launch();
        let kind = GpuKind::Type("H100".to_owned());
        launch.resources.gpu = Some(GpuRequest { count: 1, kind });
        let mut offered = offered();
        assert!(refused(&launch, &offered).unwrap().contains("no GPUs"));
        offered.largest.gpus = 8;
        assert!(refused(&launch, &offered).unwrap().contains("H100"));
        offered.gpu_types.insert("H100".to_owned());
        assert_eq!(refused(&launch, &offered), None);
    }

    #[test]
    fn a_host_name_needs_an_ingress_class() {
        let route = json!({ "controllerName": "nginx", "template": "{{.SandboxID}}.x" });
        let launch = exposed(json!({ "scope": "any", "ingress": route }), &[80]);
        assert!(
            refused(&launch, &offered())
                .unwrap()
                .contains("ingress class")
        );
        let mut with_class = offered();
        with_class.routes = RouteSupport::Public;
        assert_eq!(refused(&launch, &with_class), None);
    }
}
