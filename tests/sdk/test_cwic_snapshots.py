"""Snapshots with cwic, from the taking to a sandbox that begins with one; and how many there may be."""

import json

import grpc
import pytest
from cwsandbox._proto import gateway_pb2

from conftest import ROOT, new_platform, with_profiles
from remote_fleet import Calls, run, wait_for
from test_contract import refused

START = ["sandbox", "run", "-d", "--profile", "open", "--image", "python:3.11", "--mount-path", "/work"]
SLEEP = ["--", "sleep", "infinity"]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A platform whose quotas can be changed."""
    own = new_platform(tmp_path_factory.mktemp("snapshots")).start()
    try:
        with_profiles(own)
        yield own
    finally:
        code = own.stop()
        assert code == 0, own.log()[-4000:]


@pytest.fixture
def box(own):
    sandbox_id = own.cwic(*START, *SLEEP, token="user").stdout.strip()
    yield sandbox_id
    own.cwic("sandbox", "rm", sandbox_id, "--yes", token="user")


@pytest.fixture
def calls(own):
    with grpc.insecure_channel(own.url.removeprefix("http://")) as channel:
        yield Calls(channel, own.token("user"))


def limit(own, *words):
    run(own.palisade, "organization", "set-quota", "local", *words, "--state-dir", str(own.state))


def items(own, *words):
    return json.loads(own.cwic("sandbox", "snapshot", *words, "-o", "json", token="user").stdout)


def test_a_sandbox_begins_with_what_another_one_left(own, box):
    own.cwic("sandbox", "exec", box, "--", "sh", "-c", "echo kept > /work/file", token="user")
    snapshot = own.cwic("sandbox", "snapshot", "create", box, token="user").stdout.strip()
    shown = items(own, "get", snapshot)
    manual = json.loads((ROOT / "docs" / "cwic.schema.json").read_text())["$defs"]["Snapshot"]
    assert set(shown) == set(manual["properties"]) == set(manual["required"])
    assert shown["status"] == "FILE_SYSTEM_SNAPSHOT_STATUS_READY" and shown["sourceSandboxId"] == box
    assert [it["fileSystemSnapshotId"] for it in items(own, "ls", "--sandbox", box)["items"]] == [snapshot]
    assert items(own, "ls", "--sandbox", "another")["items"] == []
    assert "READY" in own.cwic("sandbox", "snapshot", "ls", token="user").stdout
    ran = own.cwic("sandbox", "run", "--rm", "--profile", "open", "--image", "python:3.11", "--mount-path", "/elsewhere",
                   "--from-snapshot", snapshot, "--", "cat", "/elsewhere/file", token="user")
    assert ran.stdout == "kept\n"
    deleted = own.cwic("sandbox", "snapshot", "delete", snapshot, "--yes", token="user")
    assert deleted.stdout == f"snapshot {snapshot} deleted\n"
    gone = own.cwic("sandbox", "snapshot", "get", snapshot, check=False, token="user")
    assert gone.returncode == 3 and "no file-system snapshot" in gone.stderr
    again = own.cwic(*START, "--from-snapshot", snapshot, *SLEEP, check=False, token="user")
    assert again.returncode != 0 and "no file-system snapshot" in again.stderr
    explained = own.cwic("sandbox", "explain", "-f", "-", check=False, token="user", stdin=json.dumps({
        "container_image": "python:3.11", "file_system": {
            "mount_path": "/work", "file_system_snapshot": {"file_system_snapshot_id": snapshot}}}))
    assert explained.returncode != 0 and "no file-system snapshot" in explained.stderr


def test_a_key_makes_one_snapshot_however_often(own, box):
    made = {own.cwic("sandbox", "snapshot", "create", box, "--idempotency-key", "once", token="user").stdout
            for _ in range(2)}
    assert len(made) == 1
    own.cwic("sandbox", "snapshot", "delete", made.pop().strip(), "--yes", token="user")


def test_what_has_no_file_system_has_no_snapshot(own):
    sandbox_id = own.cwic("sandbox", "run", "-d", "--profile", "open", "--image", "python:3.11", *SLEEP,
                          token="user").stdout.strip()
    done = own.cwic("sandbox", "snapshot", "create", sandbox_id, check=False, token="user")
    own.cwic("sandbox", "rm", sandbox_id, "--yes", token="user")
    assert done.returncode != 0 and "file system of its own" in done.stderr


@pytest.mark.parametrize("whose, scope", [([], "organization"), (["--each-user"], "user"), (["--user", "user"], "user")])
def test_one_snapshot_too_many_is_refused_with_the_limit(own, box, calls, whose, scope):
    request = gateway_pb2.CreateFileSystemSnapshotRequest(sandbox_id=box, wait_for_ready=True)
    limit(own, *whose, "--max-snapshots", "1")
    try:
        first = calls.CreateFileSystemSnapshot(request).file_system_snapshot_id
        code, reason, facts = refused(calls.CreateFileSystemSnapshot, request)
        assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "FSS_QUOTA_EXCEEDED")
        assert facts == {"limit": "snapshots", "scope": scope, "used": "1", "asked": "1", "allowed": "1"} | {
            key: facts[key] for key in facts if key == "request_id"}
        told = json.loads(own.cwic("sandbox", "quota", "get", "-o", "json", token="user").stdout)
        assert told[scope]["snapshots"] == {"used": 1, "max": 1}
        # What is deleted makes room.
        calls.DeleteFileSystemSnapshot(gateway_pb2.DeleteFileSystemSnapshotRequest(file_system_snapshot_id=first))
        second = calls.CreateFileSystemSnapshot(request).file_system_snapshot_id
        calls.DeleteFileSystemSnapshot(gateway_pb2.DeleteFileSystemSnapshotRequest(file_system_snapshot_id=second))
    finally:
        limit(own, *whose, *(["--remove"] if "--user" in whose else []))


def test_bytes_beyond_a_limit_fail_the_snapshot_with_what_was_asked(own, box, calls):
    calls.sh(box, "head -c 3000000 /dev/urandom > /work/much")
    limit(own, "--max-snapshot-bytes", "1Mi")
    try:
        request = gateway_pb2.CreateFileSystemSnapshotRequest(sandbox_id=box, wait_for_ready=True)
        with pytest.raises(grpc.RpcError) as caught:
            calls.CreateFileSystemSnapshot(request)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        for part in ["snapshots of the organization", "may hold 1048576", "this one has 3"]:
            assert part in caught.value.details()
    finally:
        limit(own)
    failed = items(own, "ls", "--sandbox", box)["items"]
    assert [it["status"] for it in failed] == ["FILE_SYSTEM_SNAPSHOT_STATUS_FAILED"]
    own.cwic("sandbox", "snapshot", "delete", failed[0]["fileSystemSnapshotId"], "--yes", token="user")


def test_without_a_quota_the_limits_of_the_server_are_told(own):
    told = json.loads(own.cwic("sandbox", "quota", "get", "-o", "json", token="user").stdout)
    assert told["organization"]["snapshots"]["max"] == 1000
    assert told["organization"]["snapshotBytes"]["max"] == 256 << 30
    assert "max" not in told["user"]["snapshots"]
