//! The refusal of launches that this cluster cannot carry out.
//!
//! What the API server would refuse anyway is left to it: it says why better, and
//! what it says reaches the person who asked.

use std::collections::BTreeSet;

use palisade_backend::EnsureError;
use palisade_model::name::RuntimeClass;
use palisade_model::runner::{Capabilities, Feature, RouteSupport};
use palisade_model::sandbox::{GpuKind, Launch};

use crate::manifest::{http_port, program};
use crate::settings::Settings;

/// What is known of the cluster, and of what is taken on there.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) offered: Capabilities,
    pub(crate) ingress_classes: BTreeSet<String>,
    /// Why the egress type of the launch is not taken on, unless it is.
    pub(crate) why_closed: Option<String>,
}

/// Refuses a launch that asks for more than there is, or whose egress is not taken
/// on.
pub(crate) fn check(launch: &Launch, ground: &Ground<'_>) -> Result<(), EnsureError> {
    let Ground {
        settings,
        offered,
        ingress_classes,
        why_closed,
    } = ground;
    let why_closed = why_closed.as_deref();
    let refused = [
        why_closed.map(|why| egress(launch, why)),
        program(launch, settings),
        runtime_class(launch, offered),
        gpu(launch, offered),
        ingress(launch, offered),
        ingress_class(launch, ingress_classes),
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

fn program(launch: &Launch, settings: &Settings) -> Option<String> {
    let is_missing = program::is_wanted(launch) && settings.program_image.is_none();
    is_missing.then(|| {
        "this runner has no program by which a sandbox can be asked what it reaches: it was \
         started without --program-image"
            .to_owned()
    })
}

fn file_system(launch: &Launch, offered: &Capabilities) -> Option<String> {
    launch.file_system.as_ref()?;
    let why = offered.lacks.get(&Feature::FileSystems);
    let why = why.map_or("it has none", String::as_str);
    (!offered.file_systems)
        .then(|| format!("this cluster cannot give a sandbox a file system of its own: {why}"))
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
    if http_port(launch).is_none() {
        return Some(format!(
            "ingress level {name:?} wants a host name, and the request exposes no TCP port there"
        ));
    }
    let host = route.template.render(launch.id, &launch.namespace.name);
    host.is_none().then(|| {
        let namespace = launch.namespace.name.as_str();
        format!("in namespace {namespace}, the host name of ingress level {name:?} is too long")
    })
}

/// An Ingress of a class that nobody serves would be made, and lead nowhere.
fn ingress_class(launch: &Launch, known: &BTreeSet<String>) -> Option<String> {
    let level = launch.exposure.as_ref()?;
    let class = level.exposure.route.as_ref()?.controller_name.as_str();
    (!known.contains(class)).then(|| {
        let name = level.name.as_str();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let known = known.join(", ");
        format!(
            "ingress level {name:?} is for the ingress class {class:?}, and the cluster has: {known}"
        )
    })
}

#[cfg(test)]
mod tests {
    use palisade_model::profile::EgressType;
    use palisade_model::sandbox::GpuRequest;
    use palisade_model::snapshot::{FileSystem, MountPath};
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
        let checked = check(launch, &ground(&Settings::default(), offered));
        checked.err().map(|error| error.to_string())
    }

    fn ground<'a>(settings: &'a Settings, offered: &Capabilities) -> Ground<'a> {
        Ground {
            settings,
            offered: offered.clone(),
            ingress_classes: BTreeSet::from(["nginx".to_owned()]),
            why_closed: None,
        }
    }

    #[test]
    fn a_launch_that_asks_for_nothing_special_is_taken_on() {
        assert_eq!(refused(&sample_launch(), &offered()), None);
    }

    #[test]
    fn an_egress_type_that_nothing_enforces_is_refused_with_the_reason() {
        let settings = Settings::default();
        let ground = Ground {
            why_closed: Some("a pod got through".to_owned()),
            ..ground(&settings, &offered())
        };
        let refused = check(&sample_launch(), &ground);
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
    fn a_sandbox_that_begins_with_the_program_needs_an_image_of_it() {
        let mut launch = sample_launch();
        launch.workload.command = vec!["/dev/palisade/init".to_owned()];
        let why = refused(&launch, &offered()).unwrap();
        assert!(why.contains("--program-image"), "{why}");
        let settings = Settings {
            program_image: Some("palisade:1".to_owned()),
            ..Settings::default()
        };
        assert!(check(&launch, &ground(&settings, &offered())).is_ok());
    }

    #[test]
    fn a_file_system_is_refused_with_the_reason() {
        let mut launch = sample_launch();
        launch.file_system = Some(FileSystem {
            mount_path: MountPath::new("/data").unwrap(),
            bytes: 1 << 20,
            restore: None,
        });
        let mut offered = offered();
        let why = "volumes are not archived".to_owned();
        offered.lacks.insert(Feature::FileSystems, why.clone());
        assert!(refused(&launch, &offered).unwrap().contains(&why));
    }

    #[test]
    fn a_host_name_needs_a_port_that_speaks_http() {
        let route = json!({ "controllerName": "nginx", "template": "{{.SandboxID}}.x" });
        let launch = exposed(json!({ "scope": "any", "ingress": route }), &[]);
        let mut with_class = offered();
        with_class.routes = RouteSupport::Public;
        let why = refused(&launch, &with_class).unwrap();
        assert!(why.contains("TCP port"), "{why}");
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

    #[test]
    fn a_host_name_of_a_class_that_the_cluster_lacks_is_refused() {
        let route = json!({ "controllerName": "istio", "template": "{{.SandboxID}}.x" });
        let launch = exposed(json!({ "scope": "any", "ingress": route }), &[80]);
        let mut with_class = offered();
        with_class.routes = RouteSupport::Public;
        let why = refused(&launch, &with_class).unwrap();
        assert!(
            why.contains("\"istio\", and the cluster has: nginx"),
            "{why}"
        );
    }
}
