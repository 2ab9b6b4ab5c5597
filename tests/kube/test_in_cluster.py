"""The runner of the chart inside of the cluster that it serves, with nothing but
the service account of its pod."""

import contextlib
import json
import os
import pathlib
import subprocess
import time

import pytest
from cwsandbox import Sandbox

from conftest import ADMIN_CONFIG, IMAGE, PATIENCE_SECONDS, PREFIX, binary, kubectl, only
from test_deploying import NAMESPACE, apply, deployed, image, operator, ready  # noqa: F401

RUNNER = "palisade-runner"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def authority():
    """The authority of the API server, which the test node gives to no pod by itself."""
    chain = (pathlib.Path(os.environ["PALISADE_TEST_KUBE_DIR"]) / "certs" / "apiserver.crt").read_text()
    return "-----BEGIN" + chain.rsplit("-----BEGIN", 1)[1]


def server():
    address = kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    host, port = address.removeprefix("https://").split(":")
    return host, port


def as_in_other_clusters():
    """What every cluster gives to its pods and the test node does not: the authority of
    the API server, and an address of it that leads there."""
    kubectl("create", "configmap", "kube-root-ca", "-n", NAMESPACE, f"--from-literal=ca.crt={authority()}")
    host, port = server()
    account = {"name": "account", "projected": {"sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "kube-root-ca"}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]}}
    patch = {"spec": {"template": {"spec": {"volumes": [account], "containers": [{
        "name": "runner",
        "env": [{"name": "KUBERNETES_SERVICE_HOST", "value": host}, {"name": "KUBERNETES_SERVICE_PORT", "value": port}],
        "volumeMounts": [{"name": "account", "mountPath": ACCOUNT, "readOnly": True}],
    }]}}}}
    kubectl("patch", "deployment", RUNNER, "-n", NAMESPACE, "--type=strategic", "-p", json.dumps(patch))


@contextlib.contextmanager
def forwarded():
    """The URL of the server in the cluster, from here."""
    command = ["kubectl", "--kubeconfig", ADMIN_CONFIG, "port-forward", "-n", NAMESPACE, "pod/palisade-server-0", ":8700"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        # Forwarding from 127.0.0.1:40123 -> 8700
        line = process.stdout.readline()
        yield "http://" + line.split(" ")[2]
    finally:
        process.terminate()
        process.wait(30)


class Inside:
    """The server in the cluster, as cwic and the SDK see it."""

    def __init__(self, url, tokens):
        self.url, self.tokens = url, tokens

    def cwic(self, *args, stdin=None, token="admin"):
        env = dict(os.environ, CWIC_SERVER=self.url, CWIC_TOKEN=self.tokens[token])
        done = subprocess.run([binary("cwic"), *args], input=stdin, env=env, text=True, capture_output=True,
                              timeout=PATIENCE_SECONDS, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def tokens(deployed):  # noqa: F811
    operator("organization", "create", "inside")
    return {role: operator("token", "create", "--organization", "inside", "--user", role, "--role", f"sandbox-{role}")
            for role in ("admin", "user")}


def values():
    """The runner of the chart, without any kubeconfig."""
    address = kubectl("get", "pod", "-n", NAMESPACE, "palisade-server-0", "-o", "jsonpath={.status.podIP}")
    return [f"runner.gateway=http://{address}:8700", "runner.instance=inside", f"runner.probeImage={IMAGE}",
            "runner.networkEnforcement=accept-none"]


@pytest.fixture(scope="module")
def runner(tokens):
    join = operator("token", "create", "--organization", "inside", "--cluster", "here")
    kubectl("create", "secret", "generic", RUNNER, "-n", NAMESPACE, f"--from-literal=token={join}")
    apply(*values())
    as_in_other_clusters()
    ready("deployment", RUNNER)
    chosen = ("get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=runner")
    pods = json.loads(kubectl(*chosen, "-o", "json"))["items"]
    assert pods and all("PALISADE_KUBECONFIG" not in json.dumps(pod) for pod in pods), pods
    with forwarded() as url:
        inside = Inside(url, tokens)
        profile = inside.cwic("sandbox", "profile", "create", "-f", "-", stdin=json.dumps({
            "display_name": "inside", "spec": {
                "container_image": IMAGE, "namespace": {"strategy": "per-user", "namespacePrefix": PREFIX},
                "network": {"egress": {"default": "deny-all", "modes": {"deny-all": {"type": "none"}}}},
            }})).strip()
        inside.cwic("sandbox", "runner", "create", "-f", "-", stdin=json.dumps({
            "identity": {"runner_id": "here", "zone": "test", "cluster_name": "here"},
            "profile_bindings": [{"profile_template_id": profile, "is_default": True}],
        }))


@pytest.fixture
def inside(runner, tokens, monkeypatch):
    """The server with its runner, once that is connected."""
    with forwarded() as url:
        monkeypatch.setenv("CWSANDBOX_BASE_URL", url)
        monkeypatch.setenv("CWSANDBOX_API_KEY", tokens["user"])
        inside = Inside(url, tokens)
        wait_until_connected(inside)
        yield inside


@contextlib.contextmanager
def started():
    box = Sandbox.run("sleep", "1000", container_image=IMAGE)
    try:
        box.wait(timeout=PATIENCE_SECONDS)
        yield box
    finally:
        Sandbox.delete(box.sandbox_id, missing_ok=True).result()


def test_a_runner_with_its_service_account_alone_runs_sandboxes(inside):
    with started() as box:
        assert only("pod", box.sandbox_id)["metadata"]["namespace"] == f"{PREFIX}user-ns-inside-user"
        assert box.exec(["echo", "hello"]).result().stdout == "hello\n"
    # The chart gives the runner its own image for that, and it needs no shell.
    done = inside.cwic("sandbox", "runner", "get", "here", "-o", "json")
    assert set(json.loads(done)["lacks"]) == {"usage", "denials", "names", "file_systems"}, done


@pytest.fixture
def direct(runner):
    """The same runner, which is to reach its sandboxes itself."""
    apply(*values(), "runner.directExec.enabled=true")
    ready("deployment", RUNNER)


def test_the_runner_of_the_chart_reaches_sandboxes_past_the_api_server(direct, inside):
    with started() as box:
        assert "/dev/palisade/init agent" in box.exec(["ps"]).result().stdout
        box.write_file("/tmp/deep/file", b"content").result()
        assert box.read_file("/tmp/deep/file").result() == b"content"
        # No shell is between them.
        assert "/bin/sh" not in box.exec(["ps", "-o", "args"]).result().stdout
        (rule,) = only("networkpolicy", box.sandbox_id)["spec"]["ingress"]
        (peer,) = rule["from"]
        assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
        assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "runner"


def wait_until_connected(inside):
    ends = time.monotonic() + PATIENCE_SECONDS
    while '"RUNNER_CONNECTION_STATUS_CONNECTED"' not in inside.cwic("sandbox", "runner", "get", "here", "-o", "json"):
        assert time.monotonic() < ends, kubectl("logs", "-n", NAMESPACE, f"deployment/{RUNNER}", check=False)
        time.sleep(0.2)
