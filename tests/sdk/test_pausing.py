"""Pausing keeps memory and takes the CPU away. The SDK has no call for it, so
that its own stubs are used; all else is the SDK as it is."""

import os
import pathlib
import time

import grpc
import pytest
from cwsandbox import Sandbox, SandboxStatus
from cwsandbox._proto import gateway_pb2, gateway_pb2_grpc

COUNTING = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; done"


@pytest.fixture
def gateway(platform):
    channel = grpc.insecure_channel(platform.url.removeprefix("http://"))
    stub = gateway_pb2_grpc.GatewayServiceStub(channel)
    auth = [("authorization", f"Bearer {os.environ['CWSANDBOX_API_KEY']}")]

    def call(name, **fields):
        request = getattr(gateway_pb2, f"{name}SandboxRequest")(**fields)
        return getattr(stub, name)(request, metadata=auth, timeout=60)

    yield call
    channel.close()


def test_a_paused_sandbox_does_nothing_and_goes_on_where_it_was(gateway):
    with Sandbox.run("/bin/sh", "-c", COUNTING, profile_names=["open"]) as box:
        box.wait(timeout=60)
        working = box.exec(["sh", "-c", "x=kept; read line; echo $x $line"], stdin=True)
        assert gateway("Pause", sandbox_id=box.sandbox_id).success
        assert box.get_status() == SandboxStatus.PAUSED
        before = cpu_used(box.sandbox_id)
        with pytest.raises(grpc.RpcError) as refused:
            gateway("Exec", sandbox_id=box.sandbox_id, command=["true"])
        assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "resume" in refused.value.details()
        assert cpu_used(box.sandbox_id) == before, "a frozen sandbox used the CPU"

        assert gateway("Resume", sandbox_id=box.sandbox_id).success
        assert box.get_status() == SandboxStatus.RUNNING
        working.stdin.writeline("here").result()
        working.stdin.close().result()
        assert working.result().stdout == "kept here\n", "the command lost its memory"
        first = box.exec(["cat", "/tmp/count"]).result().stdout
        until(lambda: box.exec(["cat", "/tmp/count"]).result().stdout != first)


def test_a_paused_sandbox_stops_like_any_other(gateway):
    box = Sandbox.run(profile_names=["open"])
    box.wait(timeout=60)
    gateway("Pause", sandbox_id=box.sandbox_id)
    began = time.monotonic()
    box.stop(graceful_shutdown_seconds=30).result()
    assert box.get_status() in (SandboxStatus.COMPLETED, SandboxStatus.TERMINATED)
    assert time.monotonic() - began < 20, "it was not let go on, so that it could end"


def test_a_paused_sandbox_can_be_deleted(gateway):
    box = Sandbox.run(profile_names=["open"])
    box.wait(timeout=60)
    gateway("Pause", sandbox_id=box.sandbox_id)
    Sandbox.delete(box.sandbox_id).result()
    until(lambda: not groups_of(box.sandbox_id))


def cpu_used(sandbox_id):
    """CPU time of everything in the sandbox, as the kernel counts it."""
    for group in groups_of(sandbox_id):
        if (group / "cpuacct.usage").exists():
            return int((group / "cpuacct.usage").read_text())
        lines = (group / "cpu.stat").read_text().splitlines() if (group / "cpu.stat").exists() else []
        for line in lines:
            if line.startswith("usage_usec "):
                return int(line.split()[1])
    raise AssertionError("the sandbox has no control group that counts")


def groups_of(sandbox_id):
    return list(pathlib.Path("/sys/fs/cgroup").glob(f"**/{sandbox_id}"))


def until(holds):
    limit = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < limit, "it never came to that"
        time.sleep(0.05)
