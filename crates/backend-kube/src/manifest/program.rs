//! The program by which a sandbox can be asked what it reaches, and which is the
//! agent of one that is reached directly.
//!
//! On a Linux host every sandbox has it, as it is process 1 there. Here a sandbox
//! gets it that begins with it, or is to have an agent, and no other: an init
//! container copies it out of the image of this system, so that the sandbox's own
//! image needs nothing of it.

use palisade_init_protocol::probe::PROGRAM;
use palisade_model::sandbox::{GrantedResources, Launch, Protocol};
use serde_json::{Value, json};

use super::container;
use crate::naming;
use crate::settings::{DirectExec, Settings};

/// The name of the volume that it is in, and of the container that puts it there.
const NAME: &str = "palisade-program";
/// Where that container sees the volume.
const OUTSIDE: &str = "/program";
/// What the volume may hold: some times the program.
const SIZE_MAX: &str = "64Mi";
/// The user of the image.
const USER: u32 = 65_532;

/// Whether a sandbox begins with the program.
pub(crate) fn is_wanted(launch: &Launch) -> bool {
    let command = &launch.workload.command;
    command.first().is_some_and(|first| first == PROGRAM)
}

/// How the agent of a sandbox is reached, if it is to have one.
///
/// A sandbox that was given the very port keeps it, and has none.
pub(crate) fn agent<'a>(launch: &Launch, settings: &'a Settings) -> Option<&'a DirectExec> {
    settings.program_image.as_ref()?;
    let direct = settings.direct_exec.as_ref()?;
    let port = direct.port().get();
    let own =
        |one: &palisade_model::sandbox::Port| one.number == port && one.protocol == Protocol::Tcp;
    (!launch.ports.iter().any(own)).then_some(direct)
}

/// Adds it to the spec of a pod that was patched already, so that no patch can put
/// another program in its place.
pub(super) fn add(spec: &mut Value, launch: &Launch, settings: &Settings) {
    let Some(image) = &settings.program_image else {
        return;
    };
    // In the network of its node, an agent would be seen by all.
    let has_agent = agent(launch, settings).is_some() && spec["hostNetwork"] != true;
    if !is_wanted(launch) && !has_agent {
        return;
    }
    first_of(spec, "initContainers", installer(image, launch, settings));
    first_of(
        spec,
        "volumes",
        json!({ "name": NAME, "emptyDir": { "sizeLimit": SIZE_MAX } }),
    );
    let containers = spec["containers"].as_array_mut();
    let main = containers
        .into_iter()
        .flatten()
        .find(|container| container["name"] == naming::MAIN_CONTAINER);
    if let Some(main) = main {
        let folder = PROGRAM.rsplit_once('/').map_or("/", |(folder, _)| folder);
        let mount = json!({ "name": NAME, "mountPath": folder, "readOnly": true });
        first_of(main, "volumeMounts", mount);
    }
}

/// It asks for what the main container gets, as it runs before that: the pod needs
/// no more, stays in its class of service, and fits every quota that it fitted.
fn installer(image: &str, launch: &Launch, settings: &Settings) -> Value {
    let without_gpu = GrantedResources {
        gpu: None,
        ..launch.resources.clone()
    };
    let name = PROGRAM.rsplit_once('/').map_or(PROGRAM, |(_, name)| name);
    json!({
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["palisade", "program", format!("{OUTSIDE}/{name}")],
        "resources": container::resources(&without_gpu, settings),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "runAsUser": USER,
        },
        "volumeMounts": [{ "name": NAME, "mountPath": OUTSIDE }],
    })
}

fn first_of(object: &mut Value, key: &str, item: Value) {
    let list = &mut object[key];
    if list.is_null() {
        *list = json!([]);
    }
    if let Some(list) = list.as_array_mut() {
        list.insert(0, item);
    }
}

#[cfg(test)]
mod tests {
    use palisade_model::profile::form;
    use palisade_model::testing::sample_launch;

    use super::*;
    use crate::manifest::pod;
    use crate::manifest::tests::main_container;

    fn asked() -> Launch {
        let mut launch = sample_launch();
        launch.workload.command = vec![PROGRAM.to_owned(), "listen".to_owned()];
        launch
    }

    fn made(launch: &Launch, image: Option<&str>) -> Value {
        let settings = Settings {
            program_image: image.map(str::to_owned),
            ..Settings::default()
        };
        pod(launch, &settings).object
    }

    #[test]
    fn a_sandbox_that_begins_with_the_program_has_it_read_only() {
        let pod = made(&asked(), Some("registry.example.com/palisade:1"));
        let spec = &pod["spec"];
        let installer = &spec["initContainers"][0];
        assert_eq!(installer["image"], "registry.example.com/palisade:1");
        let command = json!(["palisade", "program", "/program/init"]);
        assert_eq!(installer["command"], command);
        let security = &installer["securityContext"];
        assert_eq!(security["capabilities"], json!({ "drop": ["ALL"] }));
        assert_eq!(security["runAsNonRoot"], true);
        let main = main_container(&pod);
        assert_eq!(installer["resources"], main["resources"]);
        let mounts = json!([
            { "name": NAME, "mountPath": "/dev/palisade", "readOnly": true },
        ]);
        assert_eq!(main["volumeMounts"], mounts);
        let volumes = json!([{ "name": NAME, "emptyDir": { "sizeLimit": SIZE_MAX } }]);
        assert_eq!(spec["volumes"], volumes);
        assert_eq!(spec["shareProcessNamespace"], true);
    }

    #[test]
    fn no_other_sandbox_has_anything_of_it() {
        for pod in [
            made(&sample_launch(), Some("registry.example.com/palisade:1")),
            made(&asked(), None),
        ] {
            assert!(!pod.to_string().contains(NAME), "{pod}");
        }
    }

    fn direct(image: Option<&str>) -> Settings {
        let range = vec!["192.0.2.1/32".parse().unwrap()];
        Settings {
            program_image: image.map(str::to_owned),
            direct_exec: Some(DirectExec::new(DirectExec::PORT, None, range).unwrap()),
            ..Settings::default()
        }
    }

    #[test]
    fn every_sandbox_that_is_reached_directly_has_it() {
        let settings = direct(Some("registry.example.com/palisade:1"));
        let sandbox = pod(&sample_launch(), &settings).object;
        let expected = json!("registry.example.com/palisade:1");
        assert_eq!(sandbox["spec"]["initContainers"][0]["image"], expected);
        let main = main_container(&sandbox);
        let mount = json!({ "name": NAME, "mountPath": "/dev/palisade", "readOnly": true });
        assert_eq!(main["volumeMounts"][0], mount);
        let before = pod(&sample_launch(), &Settings::default()).object;
        assert_eq!(main["command"], main_container(&before)["command"]);
        assert_eq!(main["env"], main_container(&before)["env"]);
        assert!(agent(&sample_launch(), &direct(None)).is_none());
    }

    #[test]
    fn a_sandbox_with_the_port_of_agents_or_in_the_network_of_its_node_has_none() {
        let settings = direct(Some("registry.example.com/palisade:1"));
        let mut launch = sample_launch();
        let mut port = palisade_model::sandbox::Port {
            number: DirectExec::PORT.get(),
            name: String::new(),
            protocol: Protocol::Udp,
        };
        launch.ports = vec![port.clone()];
        assert!(agent(&launch, &settings).is_some(), "it is another port");
        port.protocol = Protocol::Tcp;
        launch.ports = vec![port];
        assert!(agent(&launch, &settings).is_none());
        assert!(!pod(&launch, &settings).object.to_string().contains(NAME));
        let mut launch = sample_launch();
        let patch = json!({ "pod": { "spec": { "hostNetwork": true } } });
        launch.pod = form::decode(&patch).unwrap().pod;
        assert!(!pod(&launch, &settings).object.to_string().contains(NAME));
    }

    #[test]
    fn a_patch_cannot_put_something_in_its_place() {
        let mut launch = asked();
        let patch = json!({ "pod": { "spec": { "initContainers": [
            { "name": NAME, "image": "evil", "command": ["cp"] },
        ] } } });
        launch.pod = form::decode(&patch).unwrap().pod;
        let pod = made(&launch, Some("registry.example.com/palisade:1"));
        let containers = pod["spec"]["initContainers"].as_array().unwrap();
        // Two of one name: the server refuses the pod, and says so.
        let images: Vec<_> = containers.iter().map(|one| &one["image"]).collect();
        assert_eq!(images, ["registry.example.com/palisade:1", "evil"]);
    }
}
