"""A platform that is killed in the middle of its work loses no record and
leaves nothing behind."""

import concurrent.futures
import os
import pathlib
import re

import pytest
from cwsandbox import Sandbox, SandboxStatus

from conftest import new_platform, with_profiles

SANDBOXES = 20
UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-")


@pytest.fixture
def own_platform(tmp_path, platform):
    """A second platform, besides the shared one, that may be killed."""
    kept = {key: os.environ[key] for key in ("CWSANDBOX_BASE_URL", "CWSANDBOX_API_KEY")}
    own = new_platform(tmp_path).start()
    try:
        with_profiles(own)
        os.environ["CWSANDBOX_BASE_URL"] = own.url
        os.environ["CWSANDBOX_API_KEY"] = own.token("user")
        yield own
    finally:
        own.stop()
        os.environ.update(kept)


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


def leftovers(platform):
    """What is left of sandboxes: mounts, processes, files and cables."""
    root = f"{platform.state}/sandboxes/"
    mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    processes = [
        entry
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline")
        if b"palisade-init" in read(entry) and root.encode() in read(entry.parent / "mountinfo")
    ]
    files = [path for path in pathlib.Path(root).rglob("*") if UUID.search(path.name)]
    return [line for line in mounts if root in line] + processes + files


def read(path):
    """A file of a process; empty once the process has ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
