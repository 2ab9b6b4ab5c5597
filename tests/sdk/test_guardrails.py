"""What profiles forbid is refused or does not work, seen from a client and from
inside a sandbox."""

import json
import os

import grpc
import pytest
from cwsandbox._proto import gateway_pb2, gateway_pb2_grpc
from cwsandbox import CWSandboxAuthenticationError, CWSandboxError, NetworkOptions, Sandbox
from cwsandbox.exceptions import SandboxFailedError

pytestmark = pytest.mark.usefixtures("platform")


def refusal(**request):
    with pytest.raises(CWSandboxError) as caught:
        with Sandbox.run(**request):
            pass
    return caught.value


def test_a_named_profile_that_cannot_serve_is_a_mismatch():
    error = refusal(profile_names=["closed"], network=NetworkOptions(egress_mode="internet"))
    assert error.reason == "CWSANDBOX_PROFILE_MISMATCH"
    violations = json.loads(error.metadata["violations"])
    assert violations[0]["profile"] == "closed"
    assert "deny-all" in json.dumps(violations[0]["allowed"])
    assert error.metadata["closest"]


def test_an_unnamed_request_that_fits_nowhere_finds_no_runner():
    error = refusal(resources={"cpu": "1000", "memory": "1Gi"})
    assert error.reason == "CWSANDBOX_NO_SUITABLE_RUNNER"
    assert error.metadata["candidates"] and error.metadata["closest"]
    assert "cpu" in str(error).lower()


def test_a_ceiling_is_enforced_and_the_default_is_not_one():
    error = refusal(profile_names=["closed"], resources={"cpu": "500m", "memory": "512Mi"})
    assert error.reason == "CWSANDBOX_PROFILE_MISMATCH"
    assert "256Mi" in str(error)


def test_a_runtime_class_that_the_runner_lacks_fails_the_sandbox_with_the_reason(platform):
    box = Sandbox.run(profile_names=["elsewhere"])
    with pytest.raises(SandboxFailedError):
        box.wait(timeout=60)
    stub = gateway_pb2_grpc.GatewayServiceStub(grpc.insecure_channel(platform.url.removeprefix("http://")))
    seen = stub.Get(
        gateway_pb2.GetSandboxRequest(sandbox_id=box.sandbox_id),
        metadata=[("authorization", f"Bearer {platform.token('user')}")],
        timeout=10,
    )
    assert "firecracker" in seen.status_reason
    assert "crun" in seen.status_reason, "it says which classes there are"


def test_an_unknown_profile_is_told_with_the_names_that_exist():
    error = refusal(profile_names=["opne"])
    assert error.reason == "CWSANDBOX_PROFILE_MISMATCH"


def test_a_wrong_token_is_refused(monkeypatch):
    monkeypatch.setitem(os.environ, "CWSANDBOX_API_KEY", "pal_" + "0" * 32 + "_" + "0" * 64)
    with pytest.raises(CWSandboxAuthenticationError):
        Sandbox.list().result()


def test_a_sandbox_sees_nothing_of_its_host(sandbox):
    script = """
import os
status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
print(status['NoNewPrivs'].strip(), status['Seccomp'].strip())
print(open('/proc/self/uid_map').read().split()[1] != '0')
print(sorted(os.listdir('/sys/class/net')))
print(len([p for p in os.listdir('/proc') if p.isdigit()]) < 10)
print(os.path.exists('/var/lib/palisade'), os.path.exists('/run/netns'))
"""
    done = sandbox.exec(["python3", "-c", script]).result()
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["1", "2"], done
    assert lines[1] == "True", done
    assert lines[2] == "['eth0', 'lo']", done
    assert lines[3:] == ["True", "False False"], done


@pytest.mark.parametrize(
    "attempt",
    [
        "mount -t tmpfs none /mnt",
        "mknod /dev/sda b 8 0 && cat /dev/sda",
        "unshare -U true",
        "echo 1 > /proc/sys/kernel/panic",
        "echo c > /proc/sysrq-trigger",
        "date -s 2001-01-01",
        "chroot / true && false",
        "dmesg",
        "ls /sys/fs/cgroup/memory/.. && echo 1 > /sys/fs/cgroup/cgroup.procs",
    ],
)
def test_privileged_acts_fail(sandbox, attempt):
    assert sandbox.exec(["sh", "-c", attempt]).result().returncode != 0


def test_a_closed_sandbox_reaches_nothing():
    script = """
import socket
def attempt(family, address, port):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(2)
        try:
            s.connect((address, port))
            return 'open'
        except OSError:
            return 'closed'
print(attempt(socket.AF_INET, '1.1.1.1', 443), attempt(socket.AF_INET, '169.254.169.254', 80),
      attempt(socket.AF_INET, '169.254.1.1', 53), attempt(socket.AF_INET6, '2606:4700::1111', 443))
"""
    with Sandbox.run(profile_names=["closed"]) as box:
        box.wait(timeout=60)
        assert set(box.exec(["python3", "-c", script]).result().stdout.split()) == {"closed"}


def test_the_platform_cannot_be_reached_from_inside(sandbox, platform):
    port = int(platform.url.rsplit(":", 1)[1])
    script = f"""
import socket
for address in ('127.0.0.1', '169.254.1.1'):
    with socket.socket() as s:
        s.settimeout(2)
        print(s.connect_ex((address, {port})) == 0)
"""
    assert set(sandbox.exec(["python3", "-c", script]).result().stdout.split()) == {"False"}


def test_what_one_sandbox_uses_up_is_not_missing_in_another(sandbox):
    # The kernel counts these per user, and for the maker of a user namespace.
    script = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
count = 0
while count < 100_000 and libc.inotify_init1(0) >= 0:
    count += 1
print(count, flush=True)
sys.stdin.read()
"""
    with Sandbox.run(profile_names=["closed"]) as greedy:
        greedy.wait(timeout=60)
        hog = greedy.exec(["python3", "-c", script], stdin=True)
        assert int(next(iter(hog.stdout))) > 0
        other = sandbox.exec(["python3", "-c", "import ctypes; print(ctypes.CDLL(None).inotify_init1(0) >= 0)"])
        assert other.result().stdout.strip() == "True"
        hog.stdin.close().result()
        assert hog.result().returncode == 0


@pytest.mark.parametrize("family", [40, (1 << 32) + 40, 38, 30, 17])
def test_only_usual_families_of_sockets_exist(sandbox, family):
    # A socket to the hypervisor, as such and with bits that the kernel ignores;
    # the kernel's ciphers; a cluster's sockets; raw frames.
    script = f"""
import ctypes, platform
socket = 41 if platform.machine() == 'x86_64' else 198
print(ctypes.CDLL(None).syscall(ctypes.c_long(socket), ctypes.c_long({family}), 1, 0))
"""
    assert sandbox.exec(["python3", "-c", script]).result().stdout.strip() == "-1"
