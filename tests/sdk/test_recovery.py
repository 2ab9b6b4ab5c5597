"""A platform that is killed in the middle of its work loses no record and
leaves nothing behind."""

import concurrent.futures
import os
import pathlib
import random
import re
import time

import grpc
import pytest
from cwsandbox import Sandbox, SandboxStatus
from cwsandbox._proto import gateway_pb2, gateway_pb2_grpc

from conftest import known_to_the_sdk, new_platform, with_profiles

SANDBOXES = 20
UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-")


@pytest.fixture
def own_platform(tmp_path, platform):
    """A second platform, besides the shared one, that may be killed."""
    own = new_platform(tmp_path).start()
    try:
        with_profiles(own)
        with known_to_the_sdk(own):
            yield own
    finally:
        own.stop()


def test_kill_nine_in_the_middle_of_twenty_sandboxes(own_platform):
    with concurrent.futures.ThreadPoolExecutor(SANDBOXES) as pool:
        boxes = list(pool.map(lambda n: Sandbox.run("sleep", "infinity", tags=[f"n{n}"]), range(SANDBOXES)))
    boxes[0].wait(timeout=60)
    ids = {box.sandbox_id for box in boxes}

    own_platform.kill()
    own_platform.start()
    os.environ["CWSANDBOX_BASE_URL"] = own_platform.url
    own_platform.wait_for_runner()

    listed = {box.sandbox_id for box in Sandbox.list(include_stopped=True).result()}
    assert ids <= listed, "records were lost"
    for sandbox_id in sorted(ids):
        box = Sandbox.from_id(sandbox_id).result()
        box.wait(timeout=60)
        assert box.exec(["echo", "alive"]).result().stdout == "alive\n"
        box.stop().result()
        assert box.get_status() in (SandboxStatus.COMPLETED, SandboxStatus.TERMINATED)

    for sandbox_id in ids:
        Sandbox.delete(sandbox_id, missing_ok=True).result()
    own_platform.wait_for(lambda: not leftovers(own_platform), "everything to be gone")


class Acknowledged:
    """What clients were told that holds, while they made and ended sandboxes."""

    def __init__(self, platform):
        self.channel = grpc.insecure_channel(platform.url.removeprefix("http://"))
        self.gateway = gateway_pb2_grpc.GatewayServiceStub(self.channel)
        self.token = [("authorization", f"Bearer {platform.token('user')}")]
        self.started, self.stopped, self.deleted = set(), set(), set()

    def call(self, method, request):
        return getattr(self.gateway, method)(request, metadata=self.token, timeout=60)

    def work(self, seed):
        """Starts, stops and deletes until nobody answers any more."""
        chance = random.Random(seed)
        try:
            while True:
                request = gateway_pb2.StartSandboxRequest(
                    command="sleep", args=["infinity"], container_image="python:3.11")
                sandbox_id = self.call("Start", request).sandbox_id
                self.started.add(sandbox_id)
                if chance.random() < 0.4:
                    self.call("Stop", gateway_pb2.StopSandboxRequest(sandbox_id=sandbox_id))
                    self.stopped.add(sandbox_id)
                if chance.random() < 0.4:
                    self.call("Delete", gateway_pb2.DeleteSandboxRequest(sandbox_id=sandbox_id))
                    self.deleted.add(sandbox_id)
        except grpc.RpcError as error:
            assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED), error


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_at_any_instant_takes_back_nothing_that_was_acknowledged(own_platform, seed):
    chance = random.Random(seed)
    told = Acknowledged(own_platform)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(told.work, seed * 4 + n) for n in range(4)]
        # Not a wait for anything: the instant of the kill is the test.
        time.sleep(0.05 + chance.random())
        own_platform.kill()
        for worker in workers:
            worker.result(timeout=60)
    told.channel.close()

    own_platform.start()
    own_platform.wait_for_runner()
    after = Acknowledged(own_platform)
    listed = {}
    request = gateway_pb2.ListSandboxesRequest(include_stopped=True, page_size=1000)
    for sandbox in after.call("List", request).sandboxes:
        listed[sandbox.sandbox_id] = sandbox.sandbox_status
    assert told.started <= set(listed), "records were lost"
    over = {gateway_pb2.SANDBOX_STATUS_COMPLETED, gateway_pb2.SANDBOX_STATUS_TERMINATED,
            gateway_pb2.SANDBOX_STATUS_FAILED}
    for sandbox_id in told.stopped | told.deleted:
        seen = lambda sandbox_id=sandbox_id: after.call(
            "Get", gateway_pb2.GetSandboxRequest(sandbox_id=sandbox_id)).sandbox_status
        own_platform.wait_for(lambda: seen() in over, "what was stopped or deleted to be over")
    for sandbox_id in listed:
        after.call("Delete", gateway_pb2.DeleteSandboxRequest(sandbox_id=sandbox_id))
    after.channel.close()
    own_platform.wait_for(lambda: not leftovers(own_platform), "everything to be gone")


def leftovers(platform):
    """What is left of sandboxes: mounts, processes, files and cables."""
    root = f"{platform.state}/sandboxes/"
    mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    processes = [
        entry
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline")
        if b"palisade-init" in read(entry) and root.encode() in read(entry.parent / "mountinfo")
    ]
    # What goes away meanwhile is passed over.
    found = [(place, name) for place, folders, files in os.walk(root) for name in folders + files]
    files = [os.path.join(place, name) for place, name in found if UUID.search(name)]
    return [line for line in mounts if root in line] + processes + files


def read(path):
    """A file of a process; empty once the process has ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
