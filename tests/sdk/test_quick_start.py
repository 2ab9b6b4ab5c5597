"""What the SDK's own quick start does, unmodified."""

import hashlib
import os
import time

import grpc
import pytest
from cwsandbox import (
    NetworkOptions,
    ResourceOptions,
    Sandbox,
    SandboxDefaults,
    SandboxError,
    SandboxFileError,
    SandboxNotFoundError,
    SandboxStatus,
    Session,
    get_profile,
    get_runner,
    list_profiles,
    list_runners,
)
from cwsandbox.exceptions import ProfileNotFoundError, RunnerNotFoundError, SandboxFailedError

pytestmark = pytest.mark.usefixtures("platform")


def test_a_command_runs_and_says_how_it_ended(sandbox):
    done = sandbox.exec(["python3", "-c", "import sys; print('hi'); print('no', file=sys.stderr); sys.exit(3)"]).result()
    assert (done.stdout, done.stderr, done.returncode) == ("hi\n", "no\n", 3)


def test_a_command_that_does_not_exist_is_127(sandbox):
    assert sandbox.exec(["no-such-program"]).result().returncode == 127


def test_a_working_directory_is_honoured(sandbox):
    assert sandbox.exec(["pwd"], cwd="/usr/bin").result().stdout == "/usr/bin\n"


def test_output_arrives_while_the_command_runs(sandbox):
    script = "import time\nfor n in range(10):\n print(n, flush=True)\n time.sleep(0.2)"
    began = time.monotonic()
    arrivals = [(line, time.monotonic() - began) for line in sandbox.exec(["python3", "-c", script]).stdout]
    # Lines may arrive together when the machine is busy.
    assert "".join(text for text, _ in arrivals) == "".join(f"{n}\n" for n in range(10))
    assert arrivals[-1][1] - arrivals[0][1] > 1.0


def test_standard_input_reaches_the_command(sandbox):
    process = sandbox.exec(["cat"], stdin=True)
    process.stdin.write(b"over and ").result()
    process.stdin.write(b"out").result()
    process.stdin.close().result()
    assert process.result().stdout == "over and out"


def test_the_exit_is_told_though_input_stays_open(sandbox):
    process = sandbox.exec(["true"], stdin=True)
    assert process.result(timeout=20).returncode == 0


def test_files_come_back_as_they_were_written(sandbox):
    content = bytes(range(256)) * 1000
    sandbox.write_file("/tmp/deep/er/file.bin", content).result()
    assert sandbox.read_file("/tmp/deep/er/file.bin").result() == content


def test_twenty_mebibytes_make_the_round_trip(sandbox):
    content = b"0123456789abcdef" * (20 * 1024 * 1024 // 16)
    sandbox.write_file("/tmp/large.bin", content).result()
    assert sandbox.read_file("/tmp/large.bin").result() == content


def test_more_than_one_call_carries_falls_back_to_streaming(sandbox):
    content = b"x" * (33 * 1024 * 1024)
    sandbox.write_file("/tmp/larger.bin", content).result()
    assert sandbox.read_file("/tmp/larger.bin").result() == content


def test_a_file_streams_in_pieces_as_large_as_the_caller_likes(sandbox):
    pieces = [bytes([number]) * (9 * 1024 * 1024) for number in range(4)]
    sandbox.write_file_streaming("/tmp/pieces.bin", iter(pieces)).result()
    told = sandbox.exec(["sha256sum", "/tmp/pieces.bin"]).result().stdout
    assert told.split()[0] == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_a_missing_file_says_so(sandbox):
    with pytest.raises(SandboxFileError) as caught:
        sandbox.read_file("/no/such/file").result()
    assert caught.value.reason == "CWSANDBOX_FILE_NOT_FOUND"
    assert caught.value.metadata["filepath"] == "/no/such/file"


def test_a_directory_is_no_file(sandbox):
    with pytest.raises(SandboxFileError) as caught:
        sandbox.read_file("/tmp").result()
    assert caught.value.reason == "CWSANDBOX_FILE_IS_DIRECTORY"


def test_a_terminal_is_a_terminal(sandbox):
    session = sandbox.shell(["/bin/sh", "-c", "tty && stty size && exit 7"], width=111, height=33)
    text = b"".join(session.output)
    assert b"/dev/pts/" in text and b"33 111" in text
    assert session.result(timeout=20).returncode == 7


def test_a_terminal_has_a_kind_unless_somebody_says_which(sandbox):
    session = sandbox.shell(["/bin/sh", "-c", "echo $TERM; TERM=dumb; echo $TERM"])
    assert b"".join(session.output).split() == [b"xterm", b"dumb"]


def test_a_command_is_killed_with_its_children_when_time_is_up(sandbox):
    with pytest.raises(SandboxError):
        sandbox.exec(["sh", "-c", "sleep 4321 & sleep 4321"], timeout_seconds=1).result()
    # The shell finds its own command line, too; a quoted bracket hides it.
    count = ["sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'sleep 432[1]' || true"]
    limit = time.monotonic() + 20
    while sandbox.exec(count).result().stdout.strip() != "0":
        assert time.monotonic() < limit, "the command or its child still runs"


def test_logs_are_those_of_the_main_process_only():
    with Sandbox.run("sh", "-c", "echo one; echo two; sleep infinity & wait") as box:
        box.wait(timeout=60)
        box.exec(["echo", "not in the logs"]).result()
        limit = time.monotonic() + 20
        while "".join(box.stream_logs()) != "one\ntwo\n":
            assert time.monotonic() < limit
        assert "".join(box.stream_logs(tail_lines=1)) == "two\n"


def test_following_logs_ends_with_the_main_process():
    box = Sandbox.run("sh", "-c", "for n in 1 2 3; do echo $n; sleep 0.3; done")
    box.wait(timeout=60)
    assert "".join(box.stream_logs(follow=True)) == "1\n2\n3\n"
    box.wait_until_complete(timeout=60).result()
    assert box.status == SandboxStatus.COMPLETED
    assert "".join(box.stream_logs()) == "1\n2\n3\n"


def test_the_exit_code_of_the_main_process_is_kept():
    box = Sandbox.run("sh", "-c", "exit 42")
    box.wait_until_complete(timeout=60).result()
    assert box.status == SandboxStatus.COMPLETED
    assert box.returncode == 42
    # The SDK reads it only while it waits; the record keeps it.
    assert record(box.sandbox_id).exit_code == 42


def test_a_sandbox_stops_at_once_and_can_be_stopped_again():
    box = Sandbox.run("sleep", "infinity")
    box.wait(timeout=60)
    began = time.monotonic()
    box.stop().result()
    assert time.monotonic() - began < 5
    assert box.get_status() in (SandboxStatus.COMPLETED, SandboxStatus.TERMINATED)
    Sandbox.from_id(box.sandbox_id).result().stop(missing_ok=True).result()


def test_lists_hold_what_lives_and_on_request_what_ended():
    tag = f"t{time.time_ns()}"
    with Sandbox.run(tags=[tag, "both"]) as box:
        assert [found.sandbox_id for found in Sandbox.list(tags=[tag, "both"]).result()] == [box.sandbox_id]
    assert Sandbox.list(tags=[tag]).result() == []
    ended = Sandbox.list(tags=[tag], include_stopped=True).result()
    assert [found.sandbox_id for found in ended] == [box.sandbox_id]


def test_a_deleted_sandbox_is_over():
    box = Sandbox.run()
    Sandbox.delete(box.sandbox_id).result()
    limit = time.monotonic() + 30
    while box.sandbox_id in [found.sandbox_id for found in Sandbox.list().result()]:
        assert time.monotonic() < limit


def test_what_does_not_exist_is_not_found():
    with pytest.raises(SandboxNotFoundError):
        Sandbox.from_id("0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d").result()
    Sandbox.delete("0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d", missing_ok=True).result()


def test_quantities_come_back_as_they_were_sent():
    resources = ResourceOptions(requests={"cpu": "500m", "memory": "128Mi"}, limits={"cpu": "1", "memory": "256Mi"})
    with Sandbox.run(resources=resources) as box:
        assert box.resource_requests == {"cpu": "500m", "memory": "128Mi"}
        assert box.resource_limits == {"cpu": "1", "memory": "256Mi"}


def test_memory_is_limited():
    with Sandbox.run(resources={"cpu": "500m", "memory": "64Mi"}) as box:
        box.wait(timeout=60)
        done = box.exec(["python3", "-c", "x = bytearray(300 * 1024 * 1024); print(len(x))"]).result()
        assert done.returncode == 137, done


def test_environment_and_mounted_files_are_there():
    with Sandbox.run(
        environment_variables={"GREETING": "hello"},
        mounted_files=[{"mount_path": "/etc/made/up/config.txt", "file_content": b"\x00mounted"}],
    ) as box:
        box.wait(timeout=60)
        assert box.exec(["printenv", "GREETING"]).result().stdout == "hello\n"
        assert box.read_file("/etc/made/up/config.txt").result() == b"\x00mounted"


def test_a_lifetime_ends_a_sandbox():
    box = Sandbox.run(max_lifetime_seconds=2)
    box.wait(timeout=60)
    box.wait_until_complete(timeout=60, raise_on_termination=False).result()
    assert box.status in (SandboxStatus.COMPLETED, SandboxStatus.TERMINATED)


def test_an_image_that_is_not_there_fails_the_sandbox_and_says_why():
    box = Sandbox.run(container_image="no-such-image:1")
    with pytest.raises(SandboxFailedError):
        box.wait(timeout=60)
    assert "no-such-image" in record(box.sandbox_id).status_reason


def record(sandbox_id):
    """All that is known of a sandbox; the SDK keeps some of it to itself."""
    from cwsandbox._proto import gateway_pb2, gateway_pb2_grpc

    with grpc.insecure_channel(os.environ["CWSANDBOX_BASE_URL"].removeprefix("http://")) as channel:
        gateway = gateway_pb2_grpc.GatewayServiceStub(channel)
        token = ("authorization", f"Bearer {os.environ['CWSANDBOX_API_KEY']}")
        request = gateway_pb2.GetSandboxRequest(sandbox_id=sandbox_id)
        return gateway.Get(request, metadata=[token], timeout=30)


def test_the_mode_is_the_default_unless_another_is_asked_for():
    with Sandbox.run(profile_names=["open"]) as box:
        assert box.applied_egress_mode == "internet"
    with Sandbox.run(profile_names=["open"], network=NetworkOptions(egress_mode="deny-all")) as box:
        assert box.applied_egress_mode == "deny-all"


def test_profiles_and_runners_can_be_discovered():
    runners = list_runners(include_resources=True)
    assert [runner.runner_id for runner in runners] == ["local"]
    assert runners[0].healthy and runners[0].resources.available_cpu_millicores > 0
    assert list_runners()[0].resources is None
    assert get_runner("local").resources is not None
    names = {profile.profile_name for profile in list_profiles()}
    assert names == {"open", "closed", "team", "elsewhere"} == set(runners[0].profile_names)
    modes = {mode.name for mode in get_profile("open").egress_modes}
    assert modes == {"internet", "deny-all"}
    with pytest.raises(ProfileNotFoundError):
        get_profile("no-such-profile")
    with pytest.raises(RunnerNotFoundError):
        get_runner("no-such-runner")


def test_a_session_runs_functions():
    with Session(SandboxDefaults(profile_names=("open",))) as session:

        @session.function()
        def add(x, y):
            return x + y

        assert add.remote(2, 3).result() == 5


def test_work_goes_on_in_another_sandbox():
    where = {"mount_path": "/data", "size": "64Mi"}
    with Sandbox.run(file_system_snapshot=where) as box:
        box.write_file("/data/result", b"42").result()
        snapshot = box.snapshot().result()
    with Sandbox.run(file_system_snapshot=where | {"file_system_snapshot_id": snapshot}) as box:
        assert box.read_file("/data/result").result() == b"42"
