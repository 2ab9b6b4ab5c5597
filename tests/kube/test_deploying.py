"""The image, and the chart with it, on the node: a server that is ready, a
runner that joins, and what NOTES.txt says to do between them."""

import json
import os
import pathlib
import subprocess

import pytest

from conftest import IMAGE, PATIENCE_SECONDS, RUNNER_CONFIG, binary, kubectl
from test_chart import CHART, ROOT

NAMESPACE = "deployed"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The image, in the registry of the node."""
    layout = tmp_path_factory.mktemp("image") / "layout"
    subprocess.run([str(ROOT / "deploy" / "image" / "build.sh"), binary("palisade"), f"{layout}:test"],
                   check=True, timeout=PATIENCE_SECONDS, stdout=subprocess.DEVNULL)
    node = f"/run/netns/{os.environ['PALISADE_TEST_KUBE_NETNS']}"
    subprocess.run(["nsenter", f"--net={node}", "--", "skopeo", "copy", "-q", "--dest-tls-verify=false",
                    f"oci:{layout}:test", "docker://127.0.0.1:5000/palisade:test"],
                   check=True, timeout=PATIENCE_SECONDS)
    return layout


def apply(*values):
    sets = [part for value in values for part in ("--set", value)]
    rendered = subprocess.run(
        ["helm", "template", "palisade", str(CHART), "--namespace", NAMESPACE, "--kube-version", "1.20.2",
         "--set", "image.repository=127.0.0.1:5000/palisade", "--set", "image.tag=test",
         "--set", "server.storage.ephemeral=true", *sets],
        text=True, capture_output=True, check=True, timeout=PATIENCE_SECONDS).stdout
    kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=rendered)


def ready(kind, name):
    kubectl("rollout", "status", "-n", NAMESPACE, kind, name, f"--timeout={PATIENCE_SECONDS - 10}s")


def operator(*args):
    return kubectl("exec", "-n", NAMESPACE, "palisade-server-0", "--", "palisade", *args).strip()


@pytest.fixture(scope="module")
def deployed(image):
    # It may still be going after another module had it.
    kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", f"--timeout={PATIENCE_SECONDS - 10}s", check=False)
    kubectl("create", "namespace", NAMESPACE)
    try:
        apply("runner.enabled=false")
        ready("statefulset", "palisade-server")
        yield
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        for kind in ("clusterrole", "clusterrolebinding"):
            kubectl("delete", kind, f"{NAMESPACE}-palisade-runner", "--ignore-not-found")


def test_the_image_holds_the_binary_and_no_shell(image):
    config = json.loads(subprocess.run(["skopeo", "inspect", "--config", f"oci:{image}:test"], check=True,
                                       text=True, capture_output=True, timeout=60).stdout)["config"]
    assert config["User"] == "65532:65532" and config["Entrypoint"] == ["/usr/bin/palisade"]


def test_the_server_is_ready_and_a_runner_joins_it(deployed):
    shell = subprocess.run(["kubectl", "--kubeconfig", os.environ["PALISADE_TEST_KUBECONFIG"], "exec", "-n", NAMESPACE,
                            "palisade-server-0", "--", "/bin/sh", "-c", "true"], capture_output=True, timeout=60, check=False)
    assert shell.returncode != 0, "there is a shell in the image"
    operator("organization", "create", "acme")
    operator("token", "create", "--organization", "acme", "--user", "root", "--role", "sandbox-admin")
    token = operator("token", "create", "--organization", "acme", "--cluster", "here")
    kubectl("create", "secret", "generic", "palisade-runner", "-n", NAMESPACE, f"--from-literal=token={token}")
    # The test node has neither a proxy for Services nor a resolver: addresses take their place.
    kubectl("create", "secret", "generic", "kube", "-n", NAMESPACE, f"--from-file=kubeconfig={RUNNER_CONFIG}")
    address = kubectl("get", "pod", "-n", NAMESPACE, "palisade-server-0", "-o", "jsonpath={.status.podIP}")
    apply(f"runner.gateway=http://{address}:8700", "runner.kubeconfigSecretName=kube", "runner.instance=deployed",
          f"runner.probeImage={IMAGE}", "runner.networkEnforcement=accept-none")
    ready("deployment", "palisade-runner")
    log = wait_for_log("connected")
    assert "there can be one only" not in log


def wait_for_log(word):
    ends = pathlib.Path("/proc/uptime")
    began = float(ends.read_text().split()[0])
    while float(ends.read_text().split()[0]) < began + PATIENCE_SECONDS:
        log = kubectl("logs", "-n", NAMESPACE, "deployment/palisade-runner", check=False)
        server = kubectl("logs", "-n", NAMESPACE, "palisade-server-0", check=False)
        if word in log or "runner connected" in server:
            return log
    raise TimeoutError(log + server)
