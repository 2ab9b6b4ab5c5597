"""File systems of sandboxes, and their snapshots: what goes in comes out, for whom it belongs to."""

import json
import os
import subprocess
import time

import grpc
import pytest
from cwsandbox import (
    FileSystemSnapshotOptions, FileSystemSnapshotStatus, FileSystemSnapshotTrigger, Sandbox,
    SandboxStatus,
)
from cwsandbox._proto import gateway_pb2, gateway_pb2_grpc
from cwsandbox.exceptions import (
    CWSandboxAuthenticationError, CWSandboxError, SnapshotNotFoundError,
    SnapshotSizeExceededError,
)

from test_recovery import own_platform  # noqa: F401

MOUNT = "/workspace"
# Everything that a tree can have: modes, links of both kinds, empty directories, holes, odd names.
FILL = f"""
set -e; cd {MOUNT}
mkdir -p a/empty 'odd name'; printf content > a/file; ln a/file a/second; ln -s a/file link
ln -s /nowhere dangling; chmod 4750 a/file; chmod 700 a/empty; chown 1000:1000 a/empty
printf x > "$(printf 'line\\nbreak')"; mkfifo pipe
dd if=/dev/urandom of=large bs=1M count=40 status=none; truncate -s 300M hole; printf end >> hole
"""
# One line for each name, with all that should survive.
TELL = f"cd {MOUNT} && find . -printf '%p %y %m %U:%G %n %T@ %l\\n' | grep -v '^\\. ' | sort && " \
    "find . -type f -print0 | sort -z | xargs -0 sha256sum"


def options(**more):
    return FileSystemSnapshotOptions(**({"mount_path": MOUNT, "size": "512Mi"} | more))


def run(**more):
    return Sandbox.run("sleep", "infinity", profile_names=["open"], file_system_snapshot=options(**more))


def sh(box, script, check=True):
    done = box.exec(["sh", "-c", script], timeout_seconds=120).result()
    assert not check or done.returncode == 0, done.stderr
    return done


def gateway(platform, token="user"):
    channel = grpc.insecure_channel(platform.url.removeprefix("http://"))
    metadata = [("authorization", f"Bearer {platform.token(token)}")]
    return gateway_pb2_grpc.GatewayServiceStub(channel), metadata


def test_a_restored_tree_is_the_one_that_was_taken(platform):
    with run() as source:
        sh(source, FILL)
        before = sh(source, TELL).stdout
        assert before.count("\n") > 12
        snapshot = source.snapshot().result()
        # What happens later is not in it, and the sandbox goes on.
        sh(source, f"rm -rf {MOUNT}/a; echo later > {MOUNT}/later")
    record = Sandbox.get_snapshot(snapshot).result()
    assert record.status == FileSystemSnapshotStatus.READY
    assert record.trigger == FileSystemSnapshotTrigger.MANUAL
    assert record.source_sandbox_id == source.sandbox_id
    assert record.size_bytes > 40_000_000 and record.completed_at >= record.created_at
    # As large as it was, without being asked for a size; twice, as each is a fork.
    for _ in range(2):
        with run(size=None, file_system_snapshot_id=snapshot) as restored:
            assert sh(restored, TELL).stdout == before
            sh(restored, f"echo own > {MOUNT}/own")
            assert sh(restored, f"df -B1M --output=size {MOUNT} | tail -1").stdout.strip() > "400"
    Sandbox.delete_snapshot(snapshot).result()
    with pytest.raises(SnapshotNotFoundError):
        Sandbox.get_snapshot(snapshot).result()
    with pytest.raises(SnapshotNotFoundError):
        run(file_system_snapshot_id=snapshot)


def test_a_file_system_has_its_size_and_no_more(platform):
    with run(size="64Mi") as box:
        assert sh(box, f"ls -A {MOUNT}").stdout == ""
        full = sh(box, f"dd if=/dev/zero of={MOUNT}/full bs=1M count=100", check=False)
        assert full.returncode != 0 and "No space left" in full.stderr
        sh(box, f"rm {MOUNT}/full && dd if=/dev/zero of={MOUNT}/fits bs=1M count=48 status=none")
        # The rest of the sandbox is not in it.
        sh(box, "dd if=/dev/zero of=/root/outside bs=1M count=100 status=none")


@pytest.mark.parametrize("path", ["/proc/x", "/sys", "/dev/shm", "/etc", "/a/../b"])
def test_a_path_that_belongs_to_the_system_is_refused_with_its_field(platform, path):
    with pytest.raises(CWSandboxError) as refused:
        Sandbox.run("sleep", "infinity", file_system_snapshot=options(mount_path=path))
    assert "file_system.mount_path" in str(refused.value)


def test_a_size_beyond_the_limit_is_refused(platform):
    with pytest.raises(SnapshotSizeExceededError) as refused:
        run(size="1Pi")
    assert refused.value.reason == "CWSANDBOX_FSS_SIZE_EXCEEDED"


def test_a_key_names_one_snapshot_and_none_is_taken_of_what_has_no_file_system(platform, sandbox):
    stub, metadata = gateway(platform)
    with run() as box:
        box.wait(timeout=60)
        ask = gateway_pb2.CreateFileSystemSnapshotRequest(
            sandbox_id=box.sandbox_id, idempotency_key=f"key-{box.sandbox_id}", wait_for_ready=True)
        ids = {stub.CreateFileSystemSnapshot(ask, metadata=metadata).file_system_snapshot_id for _ in range(2)}
        assert len(ids) == 1
    # The sandbox is over, and the answer is the same.
    assert stub.CreateFileSystemSnapshot(ask, metadata=metadata).file_system_snapshot_id in ids
    listed = Sandbox.list_snapshots(source_sandbox_id=box.sandbox_id).result()
    assert {snapshot.file_system_snapshot_id for snapshot in listed} == ids
    with pytest.raises(CWSandboxError) as refused:
        sandbox.snapshot().result()
    assert refused.value.reason == "CWSANDBOX_FSS_CREATE_FAILED"


def test_a_stop_takes_a_snapshot_of_what_is_there(platform):
    box = run()
    sh(box, f"echo bye > {MOUNT}/farewell")
    box.stop(snapshot_on_stop=True).result()
    record = Sandbox.get_snapshot(box.file_system_snapshot_id).result()
    assert record.status == FileSystemSnapshotStatus.READY
    assert record.trigger == FileSystemSnapshotTrigger.STOP
    with run(file_system_snapshot_id=record.file_system_snapshot_id) as restored:
        assert sh(restored, f"cat {MOUNT}/farewell").stdout == "bye\n"
    stub, metadata = gateway(platform)
    with pytest.raises(grpc.RpcError) as refused:
        stub.Stop(gateway_pb2.StopSandboxRequest(
            sandbox_id=box.sandbox_id, file_system_snapshot_on_stop=True), metadata=metadata)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION


def test_a_stop_that_does_not_wait_stops_all_the_same(platform):
    stub, metadata = gateway(platform)
    box = run()
    sh(box, f"echo bye > {MOUNT}/farewell")
    answer = stub.Stop(gateway_pb2.StopSandboxRequest(
        sandbox_id=box.sandbox_id, file_system_snapshot_on_stop=True, graceful_shutdown_seconds=1,
        wait_for_ready=False), metadata=metadata)
    assert answer.file_system_snapshot_id
    over = (SandboxStatus.COMPLETED, SandboxStatus.TERMINATED)
    platform.wait_for(lambda: box.get_status() in over, "the sandbox to end")
    record = Sandbox.get_snapshot(answer.file_system_snapshot_id).result()
    assert record.status == FileSystemSnapshotStatus.READY


def test_rest_has_the_same_calls(platform):
    import urllib.request

    def call(method, path, body=None):
        request = urllib.request.Request(
            f"{platform.url}/v1beta2{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {platform.token('user')}", "content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    with run() as box:
        box.wait(timeout=60)
        made = call("POST", f"/sandboxes/{box.sandbox_id}/file-system-snapshots", {"waitForReady": True})
    snapshot = made["fileSystemSnapshotId"]
    shown = call("GET", f"/file-system-snapshots/{snapshot}")
    assert shown["status"] == "FILE_SYSTEM_SNAPSHOT_STATUS_READY"
    assert any(it["fileSystemSnapshotId"] == snapshot for it in call("GET", "/file-system-snapshots")["fileSystemSnapshots"])
    config = call("GET", "/file-system-snapshots/bucket-config")
    assert config["mode"] == "FILE_SYSTEM_SNAPSHOT_BUCKET_MODE_CW_MANAGED"
    # The server keeps them in a directory, which is no bucket.
    assert config["effectiveBucketName"] == "" == shown["objectBucket"]
    call("DELETE", f"/file-system-snapshots/{snapshot}")


def test_only_an_administrator_says_where_snapshots_are_kept(platform):
    with pytest.raises(CWSandboxAuthenticationError):
        Sandbox.set_snapshot_bucket_config(bucket_name="mine", region="us-east-1").result()


def blobs(platform):
    return [path for path in (platform.state / "snapshots").glob("org-*/*")]


def leftovers(platform):
    """Loop devices over files of the platform, and files of file systems."""
    devices = subprocess.run(["losetup", "--list", "--noheadings", "--output", "BACK-FILE"],
                             capture_output=True, text=True, check=True).stdout
    files = platform.state.glob("sandboxes/sandboxes/*/file-system")
    return [line for line in devices.splitlines() if str(platform.state) in line] + list(files)


def test_another_organization_sees_nothing_and_changed_bytes_start_nothing(own_platform):
    with run() as box:
        sh(box, f"head -c 100000 /dev/urandom > {MOUNT}/x")
        snapshot = box.snapshot().result()
    [blob] = blobs(own_platform)
    content = blob.read_bytes()

    blob.write_bytes(content[:50_000] + bytes([content[50_000] ^ 1]) + content[50_001:])
    restored = run(file_system_snapshot_id=snapshot)
    with pytest.raises(CWSandboxError):
        restored.wait(timeout=60)
    stub, metadata = gateway(own_platform)
    seen = stub.Get(gateway_pb2.GetSandboxRequest(sandbox_id=restored.sandbox_id), metadata=metadata)
    assert seen.status_reason.startswith("CWSANDBOX_FSS_RESTORE_FAILED"), seen.status_reason
    blob.unlink()
    restored = run(file_system_snapshot_id=snapshot)
    with pytest.raises(CWSandboxError):
        restored.wait(timeout=60)
    blob.write_bytes(content)
    with run(file_system_snapshot_id=snapshot) as restored:
        sh(restored, f"test -s {MOUNT}/x")

    other = own_platform.state / "tokens" / "stranger"
    made = subprocess.run(
        [own_platform.palisade, "organization", "create", "strangers", "--state-dir", str(own_platform.state)],
        capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    token = subprocess.run(
        [own_platform.palisade, "token", "create", "--organization", "strangers", "--user", "eve", "--state-dir", str(own_platform.state)],
        capture_output=True, text=True)
    assert token.returncode == 0, token.stderr
    other.write_text(token.stdout.split()[-1])
    stub, metadata = gateway(own_platform, "stranger")
    for call in [
        lambda: stub.GetFileSystemSnapshot(
            gateway_pb2.GetFileSystemSnapshotRequest(file_system_snapshot_id=snapshot), metadata=metadata),
        lambda: stub.DeleteFileSystemSnapshot(
            gateway_pb2.DeleteFileSystemSnapshotRequest(file_system_snapshot_id=snapshot), metadata=metadata),
    ]:
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    listed = stub.ListFileSystemSnapshots(gateway_pb2.ListFileSystemSnapshotsRequest(), metadata=metadata)
    assert not listed.file_system_snapshots

    Sandbox.delete_snapshot(snapshot).result()
    assert blobs(own_platform) == []


def test_kill_nine_in_the_middle_leaves_no_orphan(own_platform):
    box = run()
    sh(box, f"dd if=/dev/urandom of={MOUNT}/large bs=1M count=60 status=none")
    stub, metadata = gateway(own_platform)
    started = stub.CreateFileSystemSnapshot(
        gateway_pb2.CreateFileSystemSnapshotRequest(sandbox_id=box.sandbox_id), metadata=metadata)
    snapshot = started.file_system_snapshot_id
    assert Sandbox.get_snapshot(snapshot).result().status == FileSystemSnapshotStatus.CREATING
    time.sleep(0.2)  # Anywhere in the middle is as good.
    own_platform.kill()
    own_platform.start()
    os.environ["CWSANDBOX_BASE_URL"] = own_platform.url
    own_platform.wait_for_runner()

    ends = (FileSystemSnapshotStatus.READY, FileSystemSnapshotStatus.FAILED)
    own_platform.wait_for(lambda: Sandbox.get_snapshot(snapshot).result().status in ends, "the snapshot to end")
    record = Sandbox.get_snapshot(snapshot).result()
    if record.status == FileSystemSnapshotStatus.FAILED:
        assert "CWSANDBOX_FSS_CREATE_FAILED" in record.status_reason
    assert not list((own_platform.state / "snapshots" / "new").iterdir())

    # The sandbox was adopted, goes on, and can be archived.
    stub, metadata = gateway(own_platform)
    again = Sandbox.from_id(box.sandbox_id).result()
    again.wait(timeout=60)
    assert again.exec(["ls", MOUNT]).result().stdout == "large\n"
    second = stub.CreateFileSystemSnapshot(gateway_pb2.CreateFileSystemSnapshotRequest(
        sandbox_id=box.sandbox_id, wait_for_ready=True), metadata=metadata)
    again.stop(graceful_shutdown_seconds=1).result()
    own_platform.wait_for(lambda: not leftovers(own_platform), "file system and device to be gone")
    for taken in (snapshot, second.file_system_snapshot_id):
        Sandbox.delete_snapshot(taken).result()
    assert blobs(own_platform) == []


@pytest.fixture
def buckets(tmp_path):
    """A server of buckets, and the options with which a platform uses it."""
    import shutil
    import socket
    import sys
    import urllib.request

    search = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    program = shutil.which("moto_server", path=search)
    assert program, "moto_server is missing; scripts/venv.sh tests installs it"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "moto.log").open("wb") as log:
        server = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    key = tmp_path / "credentials"
    key.write_text("[default]\naws_access_key_id = test\naws_secret_access_key = secret-of-the-bucket\n")

    def make(name):
        urllib.request.urlopen(urllib.request.Request(f"{url}/{name}", method="PUT"), timeout=10).close()

    limit = time.monotonic() + 60
    while True:
        try:
            make("kept-here")
            break
        except OSError:
            assert time.monotonic() < limit and server.poll() is None, "moto_server does not answer"
            time.sleep(0.1)
    make("mine")

    def names(bucket):
        with urllib.request.urlopen(f"{url}/{bucket}?list-type=2", timeout=10) as answer:
            return answer.read().decode().count("<Key>org-")

    try:
        yield names, ["--s3-endpoint", url, "--s3-credentials", str(key), "--snapshot-bucket", "kept-here",
                      "--snapshot-bucket-of", "local=mine"]
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def bucketed(tmp_path, platform, buckets):
    """A platform that keeps snapshots in buckets."""
    from conftest import known_to_the_sdk, new_platform, with_profiles

    own = new_platform(tmp_path / "own")
    own.directory.mkdir()
    _, own.options = buckets
    own.start()
    try:
        with_profiles(own)
        with known_to_the_sdk(own):
            yield own
    finally:
        assert own.stop() == 0


def test_snapshots_lie_in_buckets_when_they_are_asked_to(bucketed, buckets):
    own, (names, _) = bucketed, buckets
    with run() as box:
        # More than one part of an upload.
        sh(box, f"head -c 20000000 /dev/urandom > {MOUNT}/x")
        before = sh(box, TELL).stdout
        first = box.snapshot().result()
        assert names("kept-here") == 1
        # Nobody chose it, and it is a bucket all the same.
        assert Sandbox.get_snapshot(first).result().object_bucket == "kept-here"
        assert Sandbox.get_snapshot_bucket_config().result().effective_bucket_name == "kept-here"
        os.environ["CWSANDBOX_API_KEY"] = own.token("admin")
        for wrong in ("absent", "kept-here"):
            with pytest.raises(CWSandboxError) as refused:
                Sandbox.set_snapshot_bucket_config(bucket_name=wrong, region="us-east-1").result()
            assert refused.value.reason == "CWSANDBOX_FSS_BUCKET_UNAVAILABLE"
        chosen = Sandbox.set_snapshot_bucket_config(bucket_name="mine", region="us-east-1").result()
        assert chosen.effective_bucket_name == "mine"
        os.environ["CWSANDBOX_API_KEY"] = own.token("user")
        second = box.snapshot().result()
    assert Sandbox.get_snapshot(second).result().object_bucket == "mine"
    assert names("mine") == 1
    for snapshot in (first, second):
        with run(file_system_snapshot_id=snapshot) as restored:
            assert sh(restored, TELL).stdout == before
    os.environ["CWSANDBOX_API_KEY"] = own.token("admin")
    again = Sandbox.set_snapshot_bucket_config(bucket_name="").result()
    assert again.effective_bucket_name == "kept-here"
    with pytest.raises(CWSandboxError) as refused:
        run(file_system_snapshot_id=second)
    assert refused.value.reason == "CWSANDBOX_FSS_BUCKET_MISMATCH"
    Sandbox.set_snapshot_bucket_config(bucket_name="mine", region="us-east-1").result()
    for snapshot in (first, second):
        Sandbox.delete_snapshot(snapshot).result()
    assert names("kept-here") == names("mine") == 0
    assert "secret-of-the-bucket" not in own.log() and "X-Amz-Signature" not in own.log()
