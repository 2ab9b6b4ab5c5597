"""Sandboxes that end while somebody uses them: every stream ends with the reason, and the record keeps it."""

import pytest
from cwsandbox._proto import gateway_pb2

from remote_fleet import OVER, Calls, wait_for

import grpc

COUNT = "i=0; while true; do echo $i; i=$((i+1)); sleep 0.05; done"
# Waits for a word, then takes more memory than there is.
GREEDY = """
import os, time
while not os.path.exists('/tmp/go'):
    time.sleep(0.01)
hoard = []
while True:
    hoard.append(bytearray(os.urandom(1 << 20)))
"""
SMALL = {"cpu": "1", "memory": "64Mi"}


@pytest.fixture
def calls(platform):
    channel = grpc.insecure_channel(platform.url.removeprefix("http://"))
    yield Calls(channel, platform.token("user"))
    channel.close()


def start(calls, *command, **amounts):
    amounts = gateway_pb2.ResourceRequest(**amounts) if amounts else None
    sandbox_id = calls.start(*command, profile_names=["open"], resource_limits=amounts, resource_requests=amounts)
    calls.runs(sandbox_id)
    return sandbox_id


def over(calls, sandbox_id):
    def ended():
        seen = calls.get(sandbox_id)
        return seen.sandbox_status in OVER and seen
    return wait_for(ended, "the sandbox to be over", 30)


def test_a_sandbox_that_runs_out_of_memory_ends_its_streams_and_says_why(calls):
    sandbox_id = start(calls, "python3", "-c", GREEDY, **SMALL)
    command, logs = calls.exec(sandbox_id, "sh", "-c", COUNT), calls.logs(sandbox_id, follow=True)
    assert command.next().HasField("ready") and command.next().HasField("output")
    assert calls.sh(sandbox_id, "touch /tmp/go")[0] == 0
    _, last = command.rest()
    assert last.exit.exit_code == 137 or last.error.code == "SANDBOX_NOT_RUNNING", last
    assert logs.rest()[1].HasField("complete")
    seen = over(calls, sandbox_id)
    assert seen.sandbox_status == gateway_pb2.SANDBOX_STATUS_COMPLETED
    assert seen.exit_code == 137 and "out of memory" in seen.status_reason, seen
    calls.Delete(gateway_pb2.DeleteSandboxRequest(sandbox_id=sandbox_id))


def test_a_command_that_runs_out_of_memory_ends_alone(calls):
    sandbox_id = start(calls, "sleep", "infinity", **SMALL)
    assert calls.sh(sandbox_id, "touch /tmp/go")[0] == 0
    command = calls.exec(sandbox_id, "python3", "-c", GREEDY)
    _, last = command.rest()
    assert last.exit.exit_code == 137, last
    assert calls.sh(sandbox_id, "echo here") == (0, "here\n")
    calls.Delete(gateway_pb2.DeleteSandboxRequest(sandbox_id=sandbox_id))


@pytest.mark.parametrize("end", ["Stop", "Delete"])
def test_a_sandbox_that_is_ended_ends_its_streams(calls, end):
    sandbox_id = start(calls, "sh", "-c", COUNT)
    command, logs = calls.exec(sandbox_id, "sh", "-c", COUNT), calls.logs(sandbox_id, follow=True)
    for stream in [command, logs]:
        stream.next()
    if end == "Stop":
        calls.Stop(gateway_pb2.StopSandboxRequest(sandbox_id=sandbox_id, graceful_shutdown_seconds=1))
    else:
        calls.Delete(gateway_pb2.DeleteSandboxRequest(sandbox_id=sandbox_id))
    _, last = command.rest()
    assert last.exit.exit_code >= 128 or last.error.code == "SANDBOX_NOT_RUNNING", last
    assert logs.rest()[1].HasField("complete")
    over(calls, sandbox_id)


def test_a_sandbox_that_reached_its_lifetime_ends_its_streams(calls):
    sandbox_id = calls.start("sh", "-c", COUNT, profile_names=["open"], max_lifetime_seconds=3)
    calls.runs(sandbox_id)
    command, logs = calls.exec(sandbox_id, "sh", "-c", COUNT), calls.logs(sandbox_id, follow=True)
    _, last = command.rest()
    assert last.exit.exit_code >= 128 or last.error.code == "SANDBOX_NOT_RUNNING", last
    assert logs.rest()[1].HasField("complete")
    seen = over(calls, sandbox_id)
    assert "lifetime" in seen.status_reason, seen
