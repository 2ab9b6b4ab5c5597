"""What a user does on one machine, done on a cluster."""

import json
import subprocess

import pytest
from cwsandbox import Sandbox, SandboxStatus
from cwsandbox.exceptions import SandboxFailedError

from conftest import IMAGE, PATIENCE_SECONDS, Runner, kubectl, objects, only

pytestmark = pytest.mark.usefixtures("runner")
KINDS = ("pods", "secrets", "services", "networkpolicies", "ingresses")


def leftovers(sandbox_id):
    return [f"{kind} {one['metadata']['name']}" for kind in KINDS for one in objects(kind, sandbox_id=sandbox_id)]


def run(*command, **options):
    box = Sandbox.run(*command, container_image=IMAGE, profile_names=["open"], **options)
    box.wait(timeout=PATIENCE_SECONDS)
    return box


def delete(system, box):
    Sandbox.delete(box.sandbox_id, missing_ok=True).result()
    system.wait_for(lambda: not leftovers(box.sandbox_id), "everything of the sandbox to be gone")


def failure(system, box):
    """What a sandbox that cannot start says of itself."""
    with pytest.raises(SandboxFailedError):
        box.wait(timeout=PATIENCE_SECONDS)
    return system.cwic("sandbox", "describe", box.sandbox_id, token="user").stdout


def test_commands_files_logs_and_a_stop_that_leaves_nothing(system):
    box = run("sh", "-c", "echo begins; exec sleep 1000", environment_variables={"GREETING": "hello"})
    pod = only("pod", box.sandbox_id)
    assert pod["metadata"]["namespace"].endswith("-user-ns-acme-ada"), pod["metadata"]
    assert pod["spec"]["automountServiceAccountToken"] is False

    done = box.exec(["sh", "-c", "echo out; echo err >&2; exit 3"]).result()
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)
    assert box.exec(["sh", "-c", "echo $GREETING"]).result().stdout == "hello\n"
    process = box.exec(["cat"], stdin=True)
    process.stdin.write(b"over and ").result()
    process.stdin.write(b"out").result()
    process.stdin.close().result()
    assert process.result().stdout == "over and out"

    content = bytes(range(256)) * 4000
    box.write_file("/tmp/deep/er/file.bin", content).result()
    assert box.read_file("/tmp/deep/er/file.bin").result() == content
    logs = system.cwic("sandbox", "logs", box.sandbox_id, token="user").stdout
    assert logs == "begins\n"

    # A main process that does not handle SIGTERM ends when it is asked to, and
    # long before its grace is over.
    box.stop(graceful_shutdown_seconds=600).result()
    assert box.get_status() in (SandboxStatus.COMPLETED, SandboxStatus.TERMINATED)
    namespace = pod["metadata"]["namespace"]
    delete(system, box)
    system.wait_for(lambda: namespace not in kubectl("get", "ns", "-o", "name"), "its namespace to be gone")


def test_no_value_of_the_environment_stands_in_the_pod(system):
    box = run("sleep", "1000", environment_variables={"TOKEN": "s3cret-value"})
    assert "s3cret-value" not in json.dumps(only("pod", box.sandbox_id))
    assert box.exec(["sh", "-c", "echo $TOKEN"]).result().stdout == "s3cret-value\n"
    assert "s3cret-value" not in system.log()
    delete(system, box)


def test_a_runtime_class_that_the_cluster_lacks_fails_with_what_it_has(system):
    box = Sandbox.run("true", container_image=IMAGE, profile_names=["missing-class"])
    text = failure(system, box)
    assert "firecracker" in text and "runc" in text, text
    delete(system, box)


def test_an_image_that_is_not_there_says_so(system):
    box = Sandbox.run("true", container_image="127.0.0.1:5000/no-such-image:1", profile_names=["open"])
    text = failure(system, box)
    assert "cannot pull image 127.0.0.1:5000/no-such-image:1" in text, text
    delete(system, box)


def test_a_runner_that_is_killed_finds_its_sandboxes_again(system, runner):
    box = run("sh", "-c", "echo before; exec sleep 1000")
    runner.kill()
    runner.start()
    system.wait_for(lambda: system.is_connected("kube"), "the runner to be back")
    again = Sandbox.from_id(box.sandbox_id).result()
    again.wait(timeout=PATIENCE_SECONDS)
    ran = system.wait_for(lambda: try_echo(again), "the sandbox to answer")
    assert ran == "alive\n"
    assert system.cwic("sandbox", "logs", box.sandbox_id, token="user").stdout == "before\n"
    delete(system, box)


def try_echo(box):
    try:
        return box.exec(["echo", "alive"]).result().stdout
    except Exception:  # The runner may still wait for the Lease of the one before.
        return None


def test_a_second_runner_for_the_same_sandboxes_is_refused(system, runner):
    second = Runner(system, "kube", "--network-enforcement", "accept-none")
    second.instance, second.log_path = runner.instance, system.directory / "second.log"
    second.start()
    try:
        assert second.process.wait(PATIENCE_SECONDS) != 0
    except subprocess.TimeoutExpired:
        second.kill()
        raise
    assert "there can be one only" in second.log(), second.log()
    assert runner.process.poll() is None


def test_a_cluster_that_enforces_nothing_gets_no_sandbox_by_default(system, profiles):
    system.create_runner("strict", [{"profile_template_id": profiles["open"], "is_default": True}])
    strict = Runner(system, "strict").start()
    try:
        system.wait_for(lambda: "NOT enforced here" in strict.log(), "the probe")
        system.wait_for(lambda: system.is_connected("strict"), "the runner to connect")
        with pytest.raises(Exception) as refusal:
            Sandbox.run("true", container_image=IMAGE, profile_names=["open"], runner_ids=["strict"])
        assert "egress" in str(refusal.value), refusal.value
    finally:
        assert strict.stop() == 0, strict.log()[-3000:]

