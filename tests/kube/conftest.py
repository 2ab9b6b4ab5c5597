"""The whole platform on a cluster: `palisade serve`, `palisade runner --backend
kube` and the official SDK. scripts/kube/test.sh brings the cluster up."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import uuid

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "sdk"))

from platform_process import Platform  # noqa: E402

IMAGE = "127.0.0.1:5000/busybox:1"
# Namespaces belong to the instance that made them: each run has its own.
PREFIX = f"s{uuid.uuid4().hex[:8]}-"
# A machine that does other work as well may take long for a pod.
PATIENCE_SECONDS = 180
# The longest that one test may take, with what it sets up.
TEST_SECONDS_MAX = 480
ADMIN_CONFIG = os.environ["PALISADE_TEST_KUBECONFIG"]
RUNNER_CONFIG = os.environ["PALISADE_TEST_RUNNER_KUBECONFIG"]

PROFILES = {
    "open": {
        "display_name": "open",
        "spec": {
            "container_image": IMAGE,
            "namespace": {"strategy": "per-user", "namespacePrefix": PREFIX},
            "network": {"egress": {
                "default": "internet",
                "modes": {"internet": {"type": "internet"}, "deny-all": {"type": "none"}},
            }},
        },
    },
    "missing-class": {
        "display_name": "missing-class",
        "spec": {"container_image": IMAGE, "namespace": {"strategy": "per-org"}, "runtime_class": "firecracker"},
    },
}


def binary(name):
    return str(pathlib.Path(os.environ["PALISADE_BIN_DIR"]) / name)


def kubectl(*args, check=True, stdin=None):
    """Asks the cluster, as its administrator."""
    done = subprocess.run(["kubectl", "--kubeconfig", ADMIN_CONFIG, *args], text=True, input=stdin,
                          capture_output=True, timeout=PATIENCE_SECONDS, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"kubectl {' '.join(args)}: {done.stderr}")
    return done.stdout


def objects(kind, **labels):
    """Objects of a kind in all namespaces, by labels of ours."""
    selector = ",".join(f"sandbox.coreweave.com/{key.replace('_', '-')}={value}" for key, value in labels.items())
    return json.loads(kubectl("get", kind, "-A", "-o", "json", "-l", selector))["items"]


def only(kind, sandbox_id):
    """The one object of that kind that a sandbox has."""
    found = objects(kind, sandbox_id=sandbox_id)
    assert len(found) == 1, (kind, found)
    return found[0]


class Runner:
    """`palisade runner --backend kube` in a process of its own."""

    def __init__(self, system, name, *options):
        self.system, self.name, self.options = system, name, options
        self.instance = f"system-{name}-{uuid.uuid4()}"
        self.log_path = system.directory / f"runner-{name}.log"
        self.process = None

    def start(self):
        log = self.log_path.open("ab")
        self.process = subprocess.Popen(
            [binary("palisade"), "runner", "--backend", "kube", "--kubeconfig", RUNNER_CONFIG,
             "--gateway", self.system.url, "--join-token-file", str(self.system.join_token(self.name)),
             "--kube-instance", self.instance, "--probe-image", IMAGE, "--namespace-idle-seconds", "4", *self.options],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        log.close()
        return self

    def log(self):
        return self.log_path.read_text(errors="replace")

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_SECONDS)
        return self.process and self.process.returncode


class System(Platform):
    """`palisade serve`, and what an operator does before the first sandbox."""

    def __init__(self, directory):
        super().__init__(directory, binary("palisade"), binary("cwic"), None)
        self.tokens = {}

    def operator(self, *args):
        done = subprocess.run([binary("palisade"), *args, "--state-dir", str(self.state)], text=True,
                              capture_output=True, timeout=PATIENCE_SECONDS, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self):
        if not self.tokens:
            self.operator("organization", "create", "acme")
            self.tokens = {
                "admin": self.operator("token", "create", "--organization", "acme", "--user", "root", "--role", "sandbox-admin"),
                "user": self.operator("token", "create", "--organization", "acme", "--user", "ada", "--role", "sandbox-user"),
            }
        log = self.log_path.open("ab")
        offset = log.tell()
        self.process = subprocess.Popen(
            [binary("palisade"), "serve", "--listen", "127.0.0.1:0", "--state-dir", str(self.state)],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        log.close()
        self.url = self.wait_for(lambda: self._address(offset), "the address")
        self.wait_for(self._is_ready, "readiness")
        return self

    def token(self, name):
        return self.tokens[name]

    def join_token(self, cluster):
        """A file with the token by which the runner of a cluster joins."""
        path = self.directory / f"join-{cluster}"
        if not path.exists():
            token = self.operator("token", "create", "--organization", "acme", "--cluster", cluster)
            path.write_text(token + "\n")
            path.chmod(0o600)
        return path

    def create_runner(self, name, bindings):
        document = {"identity": {"runner_id": name, "zone": "test", "cluster_name": name}, "profile_bindings": bindings}
        self.cwic("sandbox", "runner", "create", "-f", "-", stdin=json.dumps(document))

    def is_connected(self, name):
        shown = self.cwic("sandbox", "runner", "get", name, "-o", "json").stdout
        return "CONNECTED" in shown and "DISCONNECTED" not in shown

    def wait_for(self, condition, what, limit=PATIENCE_SECONDS):
        ends = time.monotonic() + limit
        while time.monotonic() < ends:
            if found := condition():
                return found
            time.sleep(0.1)
        raise TimeoutError(f"waited too long for {what}:\n{self.log()[-3000:]}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Ends a test that hangs, wherever it waits."""
    def end(*_):
        raise TimeoutError(f"{item.nodeid} takes longer than {TEST_SECONDS_MAX} seconds")

    signal.signal(signal.SIGALRM, end)
    signal.alarm(TEST_SECONDS_MAX)
    try:
        return (yield)
    finally:
        signal.alarm(0)


@pytest.fixture(scope="session")
def system(tmp_path_factory):
    system = System(tmp_path_factory.mktemp("system")).start()
    os.environ["CWSANDBOX_BASE_URL"] = system.url
    os.environ["CWSANDBOX_API_KEY"] = system.token("user")
    try:
        yield system
    finally:
        assert system.stop() == 0, system.log()[-4000:]


@pytest.fixture(scope="session")
def profiles(system):
    return {name: system.create_profile(document) for name, document in PROFILES.items()}


@pytest.fixture(scope="session")
def runner(system, profiles):
    """A runner that accepts that the test node's plugin enforces nothing."""
    system.create_runner("kube", [
        {"profile_template_id": profiles["open"], "is_default": True},
        {"profile_template_id": profiles["missing-class"]},
    ])
    runner = Runner(system, "kube", "--network-enforcement", "accept-none").start()
    try:
        system.wait_for(lambda: system.is_connected("kube"), "the runner to connect")
        yield runner
    finally:
        code = runner.stop()
        assert code == 0, runner.log()[-4000:]


def seeds():
    """The profile documents of the workflow page, as it prints them."""
    page = (ROOT / "crates" / "cwic" / "tests" / "cwic" / "seed" / "page.md").read_text()
    return dict(re.findall(r"^```yaml (\S+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
