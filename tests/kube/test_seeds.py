"""Every profile of the workflow page, verbatim, and what the API server stores
of a sandbox under it."""

import json

import pytest
from cwsandbox import NetworkOptions, Sandbox

from conftest import IMAGE, PATIENCE_SECONDS, Runner, kubectl, objects, only, seeds

NAMES = ("profile.yaml", "compute", "namespace", "allowlist", "split", "ingress", "pod")


@pytest.fixture(scope="module")
def seeded(system):
    """A runner that offers every seed under its name on the page."""
    kubectl("apply", "-f", "-", stdin=json.dumps({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"},
        "spec": {"controller": "example.com/none"}}))
    ids = {}
    for name, text in seeds().items():
        if name not in NAMES:
            continue
        # The page leaves the display name out of its excerpts, as it says.
        document = text if "display_name" in text else f"display_name: seed-{name}\n{text}"
        ids[name] = system.cwic("sandbox", "profile", "create", "-f", "-", stdin=document).stdout.strip()
    assert set(ids) == set(NAMES), ids
    bindings = [{"profile_template_id": ids[name], "profile_name": name.split(".")[0], "is_default": name == NAMES[0]}
                for name in NAMES]
    system.create_runner("seeds", bindings)
    runner = Runner(system, "seeds", "--network-enforcement", "accept-none").start()
    try:
        system.wait_for(lambda: system.is_connected("seeds"), "the runner to connect")
        yield runner
    finally:
        assert runner.stop() == 0, runner.log()[-4000:]


@pytest.fixture
def launch(system, seeded):
    """Starts a sandbox under a seed; at the end it is gone, and so are its objects."""
    boxes = []

    def start(profile, **options):
        box = Sandbox.run("sleep", "1000", profile_names=[profile], runner_ids=["seeds"], **options)
        boxes.append(box)
        return box

    yield start
    for box in boxes:
        Sandbox.delete(box.sandbox_id, missing_ok=True).result()
        kinds = ("pods", "secrets", "services", "networkpolicies", "ingresses")
        system.wait_for(lambda: not any(objects(kind, sandbox_id=box.sandbox_id) for kind in kinds), "it to be gone")


def main_container(pod):
    (container,) = [one for one in pod["spec"]["containers"] if one["name"] == "sandbox"]
    return container


def test_the_minimal_profile_closes_everything_in_a_namespace_of_the_user(launch):
    box = launch("profile", container_image=IMAGE)
    box.wait(timeout=PATIENCE_SECONDS)
    pod, policy = only("pod", box.sandbox_id), only("networkpolicy", box.sandbox_id)
    assert pod["metadata"]["namespace"] == "user-ns-acme-ada"
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not policy["spec"].get("egress") and not policy["spec"].get("ingress")
    security = main_container(pod)["securityContext"]
    assert security["allowPrivilegeEscalation"] is False and security["privileged"] is False
    assert security["capabilities"]["drop"] == ["ALL"]
    assert pod["spec"]["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert pod["spec"]["serviceAccountName"] == "default" and pod["spec"]["automountServiceAccountToken"] is False
    assert not pod["spec"].get("volumes")


def test_the_compute_shape_is_image_resources_and_nodes(launch):
    # The SDK names an image of its own unless it is told one.
    box = launch("compute", container_image="ghcr.io/myorg/python-ds:3.11-pytorch-2.3")
    box.wait(timeout=PATIENCE_SECONDS)
    pod = only("pod", box.sandbox_id)
    container = main_container(pod)
    assert container["image"] == "ghcr.io/myorg/python-ds:3.11-pytorch-2.3"
    assert container["resources"] == {
        "requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "4", "memory": "8Gi"}}
    assert pod["spec"]["nodeSelector"] == {"gpu": "h100"}
    assert pod["spec"]["affinity"]["nodeAffinity"] == {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["h100"]}]}]}}


def test_the_namespace_is_made_with_prefix_and_labels(launch):
    box = launch("namespace", container_image=IMAGE)
    box.wait(timeout=PATIENCE_SECONDS)
    name = only("pod", box.sandbox_id)["metadata"]["namespace"]
    assert name == "sb-user-ns-acme-ada"
    labels = json.loads(kubectl("get", "namespace", name, "-o", "json"))["metadata"]["labels"]
    assert labels["team"] == "ml"


def test_the_allowlist_opens_its_ranges(launch):
    box = launch("allowlist", container_image=IMAGE)
    box.wait(timeout=PATIENCE_SECONDS)
    ranges, names = only("networkpolicy", box.sandbox_id)["spec"]["egress"]
    assert {peer["ipBlock"]["cidr"] for peer in ranges["to"]} == {"140.82.112.0/20", "151.101.0.0/16"}
    assert names["to"][0]["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}
    assert {(port["protocol"], port["port"]) for port in names["ports"]} == {("UDP", 53), ("TCP", 53)}


def test_the_split_posture_is_open_by_default_and_closed_on_request(launch):
    opened = launch("split", container_image=IMAGE)
    closed = launch("split", container_image=IMAGE, network=NetworkOptions(egress_mode="deny-all"))
    for box in (opened, closed):
        box.wait(timeout=PATIENCE_SECONDS)
    v4, v6 = only("networkpolicy", opened.sandbox_id)["spec"]["egress"][0]["to"]
    assert v4["ipBlock"]["cidr"] == "0.0.0.0/0" and v6["ipBlock"]["cidr"] == "2000::/3"
    assert {"10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16"} <= set(v4["ipBlock"]["except"])
    assert not only("networkpolicy", closed.sandbox_id)["spec"].get("egress")


def exposed(level):
    return {"ports": [{"container_port": 8080, "name": "web"}],
            "network": NetworkOptions(ingress_mode=level, exposed_ports=[8080])}


def test_the_internal_level_is_a_service_for_the_organization(launch):
    box = launch("ingress", container_image=IMAGE, **exposed("internal"))
    box.wait(timeout=PATIENCE_SECONDS)
    service = only("service", box.sandbox_id)
    assert service["spec"]["type"] == "ClusterIP"
    assert [port["port"] for port in service["spec"]["ports"]] == [8080]
    (rule,) = only("networkpolicy", box.sandbox_id)["spec"]["ingress"]
    organization = {"sandbox.coreweave.com/sandbox-organization-id": "acme"}
    ours = {"app.kubernetes.io/managed-by": "palisade-runner"}
    # In its own namespace, in those for sandboxes, and in those of the organization: nowhere else.
    assert rule["from"] == [
        {"podSelector": {"matchLabels": organization}},
        {"podSelector": {"matchLabels": organization}, "namespaceSelector": {"matchLabels": ours}},
        {"podSelector": {"matchLabels": organization}, "namespaceSelector": {"matchLabels": organization}}]
    assert not objects("ingresses", sandbox_id=box.sandbox_id)


def test_the_public_level_runs_once_its_address_is_there(system, launch):
    box = launch("ingress", container_image=IMAGE, **exposed("public"))
    sandbox_id = box.sandbox_id
    ingress = system.wait_for(lambda: (objects("ingresses", sandbox_id=sandbox_id) or [None])[0], "the Ingress")
    host = f"{sandbox_id}.sandboxes.example.com"
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == [host]
    assert only("service", sandbox_id)["spec"]["type"] == "LoadBalancer"
    shown = system.wait_for(lambda: waits(system, sandbox_id), "the sandbox to wait for its address")
    assert "external address" in shown
    namespace, name = (ingress["metadata"][key] for key in ("namespace", "name"))
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}
    kubectl("patch", "ingress", "-n", namespace, name, "--subresource=status", "--type=merge", "-p", json.dumps(status))
    box.wait(timeout=PATIENCE_SECONDS)
    assert host in json.dumps(described(system, sandbox_id))


def described(system, sandbox_id):
    return json.loads(system.cwic("sandbox", "get", sandbox_id, "-o", "json", token="user").stdout)


def waits(system, sandbox_id):
    text = json.dumps(described(system, sandbox_id))
    return text if "external address" in text else None


def test_pod_control_reaches_the_pod(launch):
    # The page asks for a user that is not root, and this image has one.
    box = launch("pod", container_image="busybox")
    box.wait(timeout=PATIENCE_SECONDS)
    pod = only("pod", box.sandbox_id)
    assert pod["metadata"]["labels"]["app"] == "agent"
    assert pod["metadata"]["annotations"]["owner"] == "ml-platform"
    assert {"name": "scratch", "emptyDir": {}} in pod["spec"]["volumes"]
    (prep,) = pod["spec"]["initContainers"]
    assert (prep["name"], prep["image"], prep["command"]) == ("prep", "busybox", ["sh", "-c", "echo prepping"])
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    (expression,) = terms["nodeSelectorTerms"][0]["matchExpressions"]
    assert expression["values"] == ["h100"]


def test_every_yaml_block_of_the_page_was_used():
    assert set(seeds()) == set(NAMES) | {"bindings.yaml"}
