use super::*;
use crate::sandbox::{FileSystemWish, GpuKind, GpuRequest, MountedFile, Port, Protocol};
use crate::snapshot::MountPath;

/// The fields that are wrong, in the order in which they are told.
fn wrong(request: &StartRequest) -> Vec<String> {
    let violations = request.violations();
    violations.iter().map(|v| v.path.to_string()).collect()
}

fn port(number: u16) -> Port {
    Port {
        number,
        name: String::new(),
        protocol: Protocol::Tcp,
    }
}

#[test]
fn a_request_for_nothing_special_is_sound() {
    assert_eq!(wrong(&StartRequest::default()), Vec::<String>::new());
    let mut request = StartRequest {
        command: vec!["echo".to_owned(), "héllo\n".to_owned()],
        ports: vec![port(80), port(443)],
        ..StartRequest::default()
    };
    request.network.ingress_mode = Some("public".parse().unwrap());
    request.network.exposed_ports = vec![443];
    request.environment.insert("A".to_owned(), "b=c".to_owned());
    assert_eq!(wrong(&request), Vec::<String>::new());
}

#[test]
fn ports_and_their_names_are_there_once() {
    let named = |number, name: &str, protocol| Port {
        number,
        name: name.to_owned(),
        protocol,
    };
    let request = |ports: Vec<Port>| StartRequest {
        ports,
        ..StartRequest::default()
    };
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    // One number of two protocols is two ports, and any number may be nameless.
    let sound = [
        named(53, "dns", udp),
        named(53, "DNS of ours, over TCP", tcp),
    ];
    let nameless = [port(80), port(81)];
    let all = request([sound.to_vec(), nameless.to_vec()].concat());
    assert_eq!(wrong(&all), [""; 0]);
    let twice = request(vec![
        named(80, "web", tcp),
        named(81, "api", tcp),
        named(80, "web", tcp),
        named(82, "api", tcp),
    ]);
    let expected = ["ports[2].container_port", "ports[2].name", "ports[3].name"];
    assert_eq!(wrong(&twice), expected);
    let kinds = twice.violations();
    assert!(kinds.iter().all(|one| one.kind == ViolationKind::Duplicate));
    assert!(kinds[0].description.contains("ports[0]"), "{kinds:?}");
    let odd = [
        named(1, "a\nb", tcp),
        named(2, &"a".repeat(64), tcp),
        named(3, &"ü".repeat(63), tcp),
    ];
    assert_eq!(
        wrong(&request(odd.to_vec())),
        ["ports[0].name", "ports[1].name"]
    );
}

#[test]
fn a_level_without_ports_exposes_nothing_and_is_refused() {
    let mut request = StartRequest::default();
    request.network.ingress_mode = Some("public".parse().unwrap());
    assert_eq!(wrong(&request), ["ports"]);
}

#[test]
fn what_the_kernel_cannot_hand_over_is_refused() {
    let mut request = StartRequest {
        command: vec!["a\0".to_owned(), "b".to_owned(), "c\0".to_owned()],
        ..StartRequest::default()
    };
    for (name, value) in [("", "a"), ("B=", "a"), ("C", "\0")] {
        let environment = &mut request.environment;
        environment.insert(name.to_owned(), value.to_owned());
    }
    let expected = [
        "command",
        "args[1]",
        "environment_variables[\"\"]",
        "environment_variables[\"B=\"]",
        "environment_variables.C",
    ];
    assert_eq!(wrong(&request), expected);
}

#[test]
fn mounted_files_have_absolute_paths_that_lead_nowhere_else() {
    let long = format!("/{}", "x/".repeat(MOUNT_PATH_MAX));
    for bad in [
        "", "a", "/", "/a/", "/a//b", "/a/../b", "/./a", "/a\0", &long,
    ] {
        let file = MountedFile {
            path: bad.to_owned(),
            content: Vec::new(),
        };
        let request = StartRequest {
            mounted_files: vec![file],
            ..StartRequest::default()
        };
        assert_eq!(wrong(&request), ["mounted_files[0].mount_path"], "{bad:?}");
    }
    let named = |bytes: usize| StartRequest {
        mounted_files: vec![MountedFile {
            path: format!("/etc/{}/a", "x".repeat(bytes)),
            content: Vec::new(),
        }],
        ..StartRequest::default()
    };
    assert_eq!(wrong(&named(255)), [""; 0]);
    let told = named(256).violations()[0].description.clone();
    assert_eq!(told, "must have at most 255 bytes in each name");
    let file = || MountedFile {
        path: "/a/..b".to_owned(),
        content: Vec::new(),
    };
    let request = StartRequest {
        mounted_files: vec![file(), file()],
        ..StartRequest::default()
    };
    assert_eq!(wrong(&request), ["mounted_files[1].mount_path"]);
}

#[test]
fn a_mounted_file_is_no_folder_of_another_one() {
    let request = |paths: [&str; 3]| StartRequest {
        mounted_files: paths
            .into_iter()
            .map(|path| MountedFile {
                path: path.to_owned(),
                content: Vec::new(),
            })
            .collect(),
        ..StartRequest::default()
    };
    // Whichever of the two is listed first.
    let refused = request(["/x/a/b/c", "/x/ab", "/x/a"]);
    assert_eq!(wrong(&refused), ["mounted_files[0].mount_path"]);
    assert!(refused.violations()[0].description.contains("/x/a,"));
    let refused = request(["/x/a", "/y", "/x/a/b"]);
    assert_eq!(wrong(&refused), ["mounted_files[2].mount_path"]);
    assert_eq!(wrong(&request(["/x/a", "/x/ab", "/x/a.b/c"])), [""; 0]);
}

#[test]
fn amounts_that_no_machine_can_be_told_are_refused() {
    let mut request = StartRequest::default();
    request.requests.cpu = Some("9E".parse().unwrap());
    request.requests.memory = Some("400m".parse().unwrap());
    request.limits.cpu = Some("0".parse().unwrap());
    request.limits.gpu = Some(GpuRequest {
        count: 1,
        kind: GpuKind::Any,
    });
    request.requests.gpu = Some(GpuRequest {
        count: 2,
        kind: GpuKind::Any,
    });
    let expected = [
        "resource_requests.cpu",
        "resource_requests.memory",
        "resource_limits.cpu",
        "resource_requests.cpu",
        "resource_limits.gpu",
    ];
    assert_eq!(wrong(&request), expected);
}

#[test]
fn more_names_than_anybody_needs_are_refused() {
    let mut request = StartRequest::default();
    request.selectors.runners = vec!["a".to_owned(); SELECTORS_MAX + 1];
    assert_eq!(wrong(&request), ["runner_ids"]);
}

#[test]
fn a_name_that_is_empty_is_refused() {
    let mut request = StartRequest::default();
    request.selectors.profiles = vec!["a".to_owned(), String::new()];
    request.selectors.runners = vec![String::new()];
    assert_eq!(wrong(&request), ["profile_names", "runner_ids"]);
}

fn command(words: usize, len: usize) -> StartRequest {
    StartRequest {
        command: vec!["x".repeat(len); words],
        ..StartRequest::default()
    }
}

#[test]
fn a_command_has_a_bound_of_words_and_bytes() {
    assert_eq!(wrong(&command(PROCESS_WORDS_MAX, 1)), [""; 0]);
    assert_eq!(wrong(&command(PROCESS_WORDS_MAX + 1, 1)), ["command"]);
    let words = PROCESS_BYTES_MAX / WORD_BYTES_MAX;
    assert_eq!(wrong(&command(words, WORD_BYTES_MAX - 1)), [""; 0]);
    assert_eq!(wrong(&command(words + 1, WORD_BYTES_MAX - 1)), ["command"]);
}

#[test]
fn a_word_and_a_variable_have_a_bound_of_bytes() {
    assert_eq!(wrong(&command(2, WORD_BYTES_MAX)), ["command", "args[0]"]);
    let variable = |len| StartRequest {
        environment: [("NAME".to_owned(), "x".repeat(len))].into(),
        ..StartRequest::default()
    };
    let longest = WORD_BYTES_MAX - "NAME=\0".len();
    assert_eq!(wrong(&variable(longest)), [""; 0]);
    let expected = ["environment_variables.NAME"];
    assert_eq!(wrong(&variable(longest + 1)), expected);
}

#[test]
fn the_environment_counts_with_the_command() {
    let mut request = command(1, 1);
    let variables = (0..PROCESS_WORDS_MAX).map(|n| (format!("V{n}"), String::new()));
    request.environment = variables.collect();
    assert_eq!(wrong(&request), ["command"]);
    request.environment.pop_last();
    assert_eq!(wrong(&request), [""; 0]);
}

#[test]
fn mounted_files_have_a_bound_together() {
    let file = |name: &str, len| MountedFile {
        path: format!("/{name}"),
        content: vec![0; len],
    };
    let half = MOUNTED_BYTES_MAX / 2;
    let request = |lens: [usize; 2]| StartRequest {
        mounted_files: vec![file("a", lens[0]), file("b", lens[1])],
        ..StartRequest::default()
    };
    assert_eq!(wrong(&request([half, half])), [""; 0]);
    assert_eq!(wrong(&request([half, half + 1])), ["mounted_files"]);
}

#[test]
fn mounted_files_stay_out_of_what_the_kernel_shows() {
    let file = |path: &str| MountedFile {
        path: path.to_owned(),
        content: Vec::new(),
    };
    let request = StartRequest {
        mounted_files: ["/proc/x", "/dev/shm/x", "/sys", "/process/x", "/opt/dev/x"]
            .into_iter()
            .map(file)
            .collect(),
        ..StartRequest::default()
    };
    let refused = ["0", "1", "2"].map(|index| format!("mounted_files[{index}].mount_path"));
    assert_eq!(wrong(&request), refused);
}

#[test]
fn keys_of_the_platform_are_refused_in_a_request() {
    let mut request = StartRequest::default();
    let key = "sandbox.coreweave.com/sandbox-id";
    request.annotations.insert(key.to_owned(), "x".to_owned());
    assert_eq!(request.violations().len(), 1);
    assert!(wrong(&request)[0].starts_with("pod_annotations"));
}

#[test]
fn a_file_system_hides_no_mounted_file_and_has_a_size() {
    let wish = |path: &str, size: Option<&str>| StartRequest {
        file_system: Some(FileSystemWish {
            mount_path: MountPath::new(path).unwrap(),
            size: size.map(|size| size.parse().unwrap()),
            snapshot: None,
        }),
        mounted_files: vec![MountedFile {
            path: "/work/config/a.toml".to_owned(),
            content: Vec::new(),
        }],
        ..StartRequest::default()
    };
    let paths = |request: StartRequest| {
        let violations = request.violations().into_iter();
        violations
            .map(|violation| violation.path.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(wish("/work/data", Some("1Gi"))), [""; 0]);
    for path in ["/work", "/work/config", "/work/config/a.toml"] {
        assert_eq!(
            paths(wish(path, None)),
            ["file_system.mount_path"],
            "{path}"
        );
    }
    for size in ["0", "1k", "100E"] {
        assert_eq!(
            paths(wish("/data", Some(size))),
            ["file_system.size"],
            "{size}"
        );
    }
}
