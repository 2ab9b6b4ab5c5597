use serde_json::json;

use super::*;

fn merged(target: Value, patch: &Value) -> Value {
    let mut target = target;
    merge(&mut target, patch, Kind::Fields(shape::POD_SPEC));
    target
}

#[test]
fn maps_merge_and_null_deletes() {
    assert_eq!(
        merged(
            json!({ "securityContext": { "runAsUser": 1, "fsGroup": 2 }, "hostname": "x" }),
            &json!({ "securityContext": { "runAsUser": 3, "runAsGroup": 4 }, "hostname": null }),
        ),
        json!({ "securityContext": { "runAsUser": 3, "fsGroup": 2, "runAsGroup": 4 } })
    );
}

#[test]
fn lists_with_keys_merge_item_by_item_and_append() {
    let patch = json!({
        "containers": [
            { "name": "b", "image": "new" },
            { "name": "c", "env": [{ "name": "X", "value": null, "valueFrom": {} }] },
        ],
        "hostAliases": [{ "ip": "10.0.0.1", "hostnames": ["b"] }],
    });
    assert_eq!(
        merged(
            json!({
                "containers": [{ "name": "a" }, { "name": "b", "image": "old", "tty": true }],
                "hostAliases": [{ "ip": "10.0.0.1", "hostnames": ["a"] }],
            }),
            &patch,
        ),
        json!({
            "containers": [
                { "name": "a" },
                { "name": "b", "image": "new", "tty": true },
                { "name": "c", "env": [{ "name": "X", "valueFrom": {} }] },
            ],
            "hostAliases": [{ "ip": "10.0.0.1", "hostnames": ["b"] }],
        })
    );
}

#[test]
fn items_of_containers_merge_by_the_keys_of_kubernetes() {
    let container = |fields: Value| {
        let mut container = fields;
        container["name"] = json!("main");
        json!({ "containers": [container] })
    };
    assert_eq!(
        merged(
            container(json!({
                "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }],
                "volumeMounts": [{ "mountPath": "/a", "name": "x" }],
                "volumeDevices": [{ "devicePath": "/dev/x", "name": "x" }],
                "args": ["a", "b"],
            })),
            &container(json!({
                "env": [{ "name": "B", "value": "3" }],
                "volumeMounts": [
                    { "mountPath": "/a", "name": "y" }, { "mountPath": "/b", "name": "x" },
                ],
                "volumeDevices": [{ "devicePath": "/dev/x", "name": "y" }],
                "args": ["c"],
            })),
        ),
        container(json!({
            "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "3" }],
            "volumeMounts": [
                { "mountPath": "/a", "name": "y" }, { "mountPath": "/b", "name": "x" },
            ],
            "volumeDevices": [{ "devicePath": "/dev/x", "name": "y" }],
            "args": ["c"],
        }))
    );
}

#[test]
fn a_port_is_its_number_and_its_protocol_which_is_tcp_when_not_said() {
    let ports = |ports: Value| json!({ "containers": [{ "name": "main", "ports": ports }] });
    assert_eq!(
        merged(
            ports(json!([
                { "containerPort": 53, "protocol": "TCP" },
                { "containerPort": 53, "protocol": "UDP", "name": "dns" },
            ])),
            &ports(json!([
                { "containerPort": 53, "name": "dns-tcp" },
                { "containerPort": 54 },
            ])),
        ),
        ports(json!([
            { "containerPort": 53, "protocol": "TCP", "name": "dns-tcp" },
            { "containerPort": 53, "protocol": "UDP", "name": "dns" },
            { "containerPort": 54 },
        ]))
    );
}

#[test]
fn constraints_on_one_topology_differ_by_their_action() {
    let spread = |action: &str, skew: u8| json!({ "topologyKey": "zone", "whenUnsatisfiable": action, "maxSkew": skew });
    let spec = |list: Value| json!({ "topologySpreadConstraints": list });
    assert_eq!(
        merged(
            spec(json!([spread("DoNotSchedule", 1)])),
            &spec(json!([
                spread("ScheduleAnyway", 2),
                spread("DoNotSchedule", 3)
            ])),
        ),
        spec(json!([
            spread("DoNotSchedule", 3),
            spread("ScheduleAnyway", 2)
        ]))
    );
}

#[test]
fn lists_without_keys_are_replaced() {
    assert_eq!(
        merged(
            json!({ "tolerations": [{ "key": "a" }], "dnsConfig": { "searches": ["a"] } }),
            &json!({ "tolerations": [{ "key": "b", "value": null }], "dnsConfig": { "searches": ["b"] } }),
        ),
        json!({ "tolerations": [{ "key": "b" }], "dnsConfig": { "searches": ["b"] } })
    );
}

#[test]
fn dropped_capabilities_can_only_grow() {
    let drops = |list: Value| json!({ "containers": [{ "name": "main", "securityContext": { "capabilities": { "drop": list } } }] });
    assert_eq!(
        merged(drops(json!(["ALL"])), &drops(json!(["NET_RAW", "ALL"]))),
        drops(json!(["ALL", "NET_RAW"]))
    );
    assert_eq!(
        merged(drops(json!(["ALL"])), &drops(json!([]))),
        drops(json!(["ALL"]))
    );
}

#[test]
fn directives_replace_and_delete() {
    let target = json!({
        "securityContext": { "runAsUser": 1 },
        "affinity": { "podAffinity": {} },
        "volumes": [{ "name": "a", "emptyDir": {} }, { "name": "b", "secret": { "secretName": "s" } }],
        "imagePullSecrets": [{ "name": "old" }],
    });
    let patch = json!({
        "securityContext": { "$patch": "replace", "fsGroup": 2 },
        "affinity": { "$patch": "delete" },
        "volumes": [
            { "name": "a", "$patch": "delete" },
            { "name": "b", "$patch": "replace", "emptyDir": {} },
            { "name": "absent", "$patch": "delete" },
        ],
        "imagePullSecrets": [{ "$patch": "replace" }, { "name": "new", "$patch": "merge" }],
    });
    let result = json!({
        "securityContext": { "fsGroup": 2 },
        "affinity": {},
        "volumes": [{ "name": "b", "emptyDir": {} }],
        "imagePullSecrets": [{ "name": "new" }],
    });
    assert_eq!(merged(target, &patch), result);
    assert_eq!(merged(result.clone(), &patch), result);
}
