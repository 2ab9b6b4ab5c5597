//! Egress and ingress as network policies, Services and Ingresses.

use palisade_model::policy::{Door, EgressRules, Surroundings, Verdict};

use super::*;
use crate::settings::{DirectExec, RunnerPods};

fn mode(block: Value) -> Launch {
    launch_under(json!({ "network": { "egress": { "default": "m", "modes": { "m": block } } } }))
}

fn egress_of(launch: &Launch) -> Value {
    network_policy(launch, &Settings::default(), &[])["spec"]["egress"].clone()
}

fn expose(launch: &mut Launch, level: Value, ports: &[u16]) {
    let spec = json!({ "network": { "ingress": { "public": level } } });
    let spec = form::decode(&spec).expect("the tests use valid levels");
    let levels = spec.network.expect("there is a network").ingress;
    let (name, exposure): (_, Exposure) = levels.into_iter().next().expect("there is a level");
    launch.ports = ports
        .iter()
        .map(|number| Port {
            number: *number,
            name: String::new(),
            protocol: Protocol::Tcp,
        })
        .collect();
    launch.exposure = Some(AppliedExposure {
        name,
        exposure,
        ports: ports.to_vec(),
    });
}

pub(crate) fn exposed(level: Value, ports: &[u16]) -> Launch {
    let mut launch = sample_launch();
    expose(&mut launch, level, ports);
    launch
}

#[test]
fn the_mode_none_opens_nothing_and_names_neither() {
    assert_eq!(egress_of(&mode(json!({ "type": "none" }))), json!([]));
}

#[test]
fn an_allowlist_opens_its_ranges_and_names() {
    let launch = mode(json!({ "type": "allowlist", "cidrs": ["140.82.112.0/20", "10.1.0.0/16"] }));
    let expected = json!([
        {
            "to": [
                { "ipBlock": { "cidr": "10.1.0.0/16" } },
                { "ipBlock": { "cidr": "140.82.112.0/20" } },
            ],
            "ports": [
                { "protocol": "SCTP" },
                { "protocol": "TCP", "port": 1, "endPort": 52 },
                { "protocol": "TCP", "port": 54, "endPort": 852 },
                { "protocol": "TCP", "port": 854, "endPort": 65535 },
                { "protocol": "UDP", "port": 1, "endPort": 52 },
                { "protocol": "UDP", "port": 54, "endPort": 852 },
                { "protocol": "UDP", "port": 854, "endPort": 65535 },
            ],
        },
        {
            "to": [{
                "namespaceSelector": {
                    "matchLabels": { "kubernetes.io/metadata.name": "kube-system" },
                },
                "podSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
            }],
            "ports": [{ "protocol": "UDP", "port": 53 }, { "protocol": "TCP", "port": 53 }],
        },
    ]);
    assert_eq!(egress_of(&launch), expected);
}

#[test]
fn the_ports_of_name_servers_are_closed_in_open_ranges_as_the_model_says() {
    let is_within = |rule: &Value, port: u16| {
        let ports = rule["ports"].as_array().unwrap().iter();
        let mut of_tcp = ports.filter(|entry| entry["protocol"] == "TCP");
        of_tcp.any(|entry| {
            let bound = |key: &str| entry[key].as_u64().unwrap();
            (bound("port")..=bound("endPort")).contains(&u64::from(port))
        })
    };
    let launch = mode(json!({ "type": "internet" }));
    let egress = egress_of(&launch);
    let rules = EgressRules::new(&launch.egress.mode, &Surroundings::default());
    let address = "1.1.1.1".parse().unwrap();
    for port in [1, 52, 53, 54, 443, 852, 853, 854, 65535] {
        let door = Door {
            port,
            protocol: Protocol::Tcp,
        };
        let is_allowed = matches!(rules.port(address, door), Verdict::Allowed(_));
        assert_eq!(is_within(&egress[0], port), is_allowed, "port {port}");
    }
    // Servers that know no ranges of ports refuse an object that has some.
    let old = Settings {
        has_port_ranges: false,
        ..Settings::default()
    };
    let policy = network_policy(&launch, &old, &[]);
    assert!(policy["spec"]["egress"][0].get("ports").is_none());
}

#[test]
fn the_internet_is_everything_but_what_is_set_apart_and_the_cluster() {
    let settings = Settings {
        cluster_ranges: vec!["8.8.8.0/24".parse().unwrap()],
        ..Settings::default()
    };
    let nodes = ["5.9.0.1/32".parse().unwrap()];
    let launch = mode(json!({ "type": "internet" }));
    let policy = network_policy(&launch, &settings, &nodes);
    let blocks = policy["spec"]["egress"][0]["to"].as_array().unwrap();
    let v4 = &blocks[0]["ipBlock"];
    assert_eq!(v4["cidr"], "0.0.0.0/0");
    let except: Vec<&str> = v4["except"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for closed in [
        "10.0.0.0/8",
        "169.254.0.0/16",
        "168.63.129.16/32",
        "8.8.8.0/24",
        "5.9.0.1/32",
    ] {
        assert!(except.contains(&closed), "{closed} in {except:?}");
    }
    assert_eq!(blocks[1]["ipBlock"]["cidr"], "2000::/3");
}

/// What Kubernetes makes of the blocks of a policy.
fn is_open(egress: &Value, address: std::net::IpAddr) -> bool {
    let within = |cidr: &Value| {
        let cidr: Cidr = cidr.as_str().unwrap().parse().unwrap();
        cidr.contains(address)
    };
    let blocks = egress.as_array().unwrap().iter();
    let mut blocks = blocks
        .flat_map(|rule| rule["to"].as_array().unwrap())
        .filter_map(|peer| peer.get("ipBlock"));
    blocks.any(|block| {
        let except = block["except"].as_array();
        within(&block["cidr"]) && !except.into_iter().flatten().any(within)
    })
}

#[test]
fn for_addresses_the_policy_says_what_the_model_says() {
    let settings = Settings::default();
    let modes = [
        json!({ "type": "none" }),
        json!({ "type": "internet" }),
        json!({ "type": "org" }),
        json!({ "type": "allowlist", "cidrs": ["0.0.0.0/0", "10.1.0.0/16", "fd00::/8"] }),
    ];
    let addresses = [
        "1.1.1.1",
        "10.1.2.3",
        "10.2.0.1",
        "169.254.169.254",
        "127.0.0.1",
        "192.168.1.1",
        "224.0.0.1",
        "2606:4700::1111",
        "fd00::1",
        "fd00:ec2::254",
        "::1",
        "fe80::1",
        "2002::1",
    ];
    for block in modes {
        let launch = mode(block);
        let rules = EgressRules::new(&launch.egress.mode, &surroundings(&settings, &[]));
        let egress = egress_of(&launch);
        for address in addresses {
            let address = address.parse().unwrap();
            let standing = Standing::of(&launch);
            let verdict = decide(&rules, standing.party(), Target::Address(address));
            let is_allowed = matches!(verdict, Verdict::Allowed(_));
            assert_eq!(
                is_open(&egress, address),
                is_allowed,
                "{address} under {:?}",
                launch.egress
            );
        }
    }
}

#[test]
fn modes_among_sandboxes_go_by_labels_that_only_the_system_sets() {
    let organization = ("sandbox.coreweave.com/sandbox-organization-id", "acme");
    let profile = sample_launch().profile.to_string();
    let narrower = [
        ("org", None),
        (
            "user",
            Some(("sandbox.coreweave.com/sandbox-user-id", "ada")),
        ),
        (
            "profile",
            Some(("sandbox.coreweave.com/sandbox-profile-id", profile.as_str())),
        ),
    ];
    for (kind, narrower) in narrower {
        let mut labels = json!({ organization.0: organization.1 });
        if let Some((key, value)) = narrower {
            labels[key] = value.into();
        }
        let pods = json!({
            "matchLabels": labels,
            "matchExpressions": [
                { "key": "sandbox.coreweave.com/sandbox-id", "operator": "Exists" },
            ],
        });
        let ours = json!({ "matchLabels": { "app.kubernetes.io/managed-by": "palisade-runner" } });
        let expected = json!([{ "to": [
            { "podSelector": pods },
            { "namespaceSelector": ours, "podSelector": pods },
        ] }]);
        assert_eq!(
            egress_of(&mode(json!({ "type": kind }))),
            expected,
            "{kind}"
        );
    }
}

#[test]
fn nothing_comes_in_without_a_level_or_without_a_port() {
    let rules = |launch: &Launch| {
        network_policy(launch, &Settings::default(), &[])["spec"]["ingress"].clone()
    };
    assert_eq!(rules(&sample_launch()), json!([]));
    let launch = exposed(json!({ "scope": "any" }), &[]);
    assert_eq!(rules(&launch), json!([]));
    assert_eq!(
        (
            service(&launch, &Settings::default()),
            ingress(&launch, &Settings::default())
        ),
        (None, None)
    );
}

#[test]
fn each_scope_admits_whom_it_names() {
    for scope in Scope::ALL {
        let launch = exposed(json!({ "scope": scope.as_str() }), &[8080]);
        let rule = &network_policy(&launch, &Settings::default(), &[])["spec"]["ingress"][0];
        assert_eq!(rule["ports"], json!([{ "protocol": "TCP", "port": 8080 }]));
        for peer in rule["from"].as_array().into_iter().flatten() {
            assert_eq!(peer["podSelector"], rule["from"][0]["podSelector"]);
            assert_ne!(peer["namespaceSelector"], json!({}), "{scope:?}");
        }
        let selector = &rule["from"][0]["podSelector"];
        let labels = selector["matchLabels"].as_object();
        let keys: Vec<&str> = labels
            .into_iter()
            .flat_map(|map| map.keys())
            .map(String::as_str)
            .collect();
        let organization = naming::ORGANIZATION_ID;
        let (expected, is_sandbox) = match scope {
            Scope::Any => (vec![], false),
            Scope::Org => (vec![organization], false),
            Scope::User => (vec![organization, naming::USER_ID], true),
            Scope::Profile => (vec![organization, naming::PROFILE_ID], true),
        };
        assert_eq!(keys, expected, "{scope:?}");
        assert_eq!(
            selector.get("matchExpressions").is_some(),
            is_sandbox,
            "{scope:?}"
        );
        assert_eq!(rule.get("from").is_none(), scope == Scope::Any);
    }
}

#[test]
fn each_service_type_and_both_annotations_make_a_service() {
    for kind in ["ClusterIP", "NodePort", "LoadBalancer"] {
        let launch = exposed(
            json!({ "scope": "any", "service": {
                "serviceType": kind,
                "serviceSelectorAnnotation": { "key": "metallb.io/pool", "value": "public" },
                "dnsAnnotation": { "key": "external-dns.io/hostname", "value": "x.example.com" },
            } }),
            &[8080],
        );
        let id = launch.id.to_string();
        let service = service(&launch, &Settings::default()).unwrap();
        let expected = json!({
            "type": kind,
            "selector": { "sandbox.coreweave.com/sandbox-id": id },
            "ports": [
                { "name": "tcp-8080", "protocol": "TCP", "port": 8080, "targetPort": 8080 },
            ],
        });
        assert_eq!(service["spec"], expected);
        assert_eq!(service["metadata"]["name"], format!("sandbox-{id}"));
        let expected = json!({
            "metallb.io/pool": "public", "external-dns.io/hostname": "x.example.com",
        });
        assert_eq!(service["metadata"]["annotations"], expected);
    }
}

#[test]
fn an_ingress_block_makes_an_ingress_of_its_class_to_the_first_port() {
    let launch = exposed(
        json!({ "scope": "any", "ingress": {
            "controllerName": "nginx", "template": "{{.SandboxID}}.sandboxes.example.com",
        } }),
        &[9090, 8080],
    );
    let id = launch.id.to_string();
    let expected = json!({
        "ingressClassName": "nginx",
        "rules": [{
            "host": format!("{id}.sandboxes.example.com"),
            "http": { "paths": [{
                "path": "/",
                "pathType": "Prefix",
                "backend": { "service": {
                    "name": format!("sandbox-{id}"), "port": { "number": 9090 },
                } },
            }] },
        }],
    });
    assert_eq!(
        ingress(&launch, &Settings::default()).unwrap()["spec"],
        expected
    );
    let plain = exposed(json!({ "scope": "any" }), &[8080]);
    assert_eq!(ingress(&plain, &Settings::default()), None);
}

#[test]
fn workloads_of_others_need_a_namespace_that_bears_their_organization() {
    let launch = exposed(json!({ "scope": "org" }), &[8080]);
    let policy = network_policy(&launch, &Settings::default(), &[]);
    let from = policy["spec"]["ingress"][0]["from"].as_array().unwrap();
    let namespaces: Vec<&Value> = from.iter().map(|peer| &peer["namespaceSelector"]).collect();
    let labelled = |key: &str, value: &str| json!({ "matchLabels": { key: value } });
    let expected = [
        &Value::Null,
        &labelled(naming::MANAGED_BY, naming::MANAGER),
        &labelled(naming::ORGANIZATION_ID, "acme"),
    ];
    assert_eq!(namespaces, expected);
}

/// Agents that the runner may call from a pod of its own, or from a range.
fn direct() -> Settings {
    let pods = RunnerPods {
        namespace: "palisade".to_owned(),
        labels: BTreeMap::from([("app".to_owned(), "runner".to_owned())]),
    };
    let ranges = vec!["192.0.2.1/32".parse().unwrap()];
    Settings {
        program_image: Some("palisade:1".to_owned()),
        direct_exec: Some(DirectExec::new(DirectExec::PORT, Some(pods), ranges).unwrap()),
        ..Settings::default()
    }
}

#[test]
fn the_runner_and_nobody_else_may_call_the_agent_of_a_sandbox() {
    let launch = sample_launch();
    let before = network_policy(&launch, &Settings::default(), &[]);
    let policy = network_policy(&launch, &direct(), &[]);
    let expected = json!([{
        "from": [
            {
                "namespaceSelector": {
                    "matchLabels": { "kubernetes.io/metadata.name": "palisade" },
                },
                "podSelector": { "matchLabels": { "app": "runner" } },
            },
            { "ipBlock": { "cidr": "192.0.2.1/32" } },
        ],
        "ports": [{ "protocol": "TCP", "port": 17717 }],
    }]);
    assert_eq!(policy["spec"]["ingress"], expected);
    assert_eq!(policy["spec"]["egress"], before["spec"]["egress"]);
    assert_eq!(before["spec"]["ingress"], json!([]));
}

#[test]
fn what_a_sandbox_exposes_is_as_open_with_an_agent_as_without() {
    let launch = exposed(json!({ "scope": "any" }), &[80]);
    let before = network_policy(&launch, &Settings::default(), &[]);
    let policy = network_policy(&launch, &direct(), &[]);
    let rules = policy["spec"]["ingress"].as_array().unwrap();
    assert_eq!(rules.len(), 2);
    assert_eq!(rules[0], before["spec"]["ingress"][0]);
    let taken = exposed(json!({ "scope": "any" }), &[DirectExec::PORT.get()]);
    let policy = network_policy(&taken, &direct(), &[]);
    assert_eq!(policy, network_policy(&taken, &Settings::default(), &[]));
}
