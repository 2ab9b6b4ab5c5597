"""Runners on other machines: how they join, and what becomes of sandboxes and streams when the way to
them, they themselves or the gateway are lost in the middle of something."""

import json
import re
import shutil

import grpc
import pytest
from cwsandbox._proto import discovery_pb2, discovery_pb2_grpc, gateway_pb2, secrets_pb2

from remote_fleet import Fleet, authority, wait_for

# A runner that is silent counts as away after 10 s.
BOUND_SECONDS = 40
COUNT = "i=0; while [ $i -lt 100000 ]; do echo $i; i=$((i+1)); sleep 0.05; done"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), 1)
    try:
        fleet.open()
        for name in ["east", "west"]:
            fleet.new_runner(name).start()
        for runner in fleet.runners.values():
            runner.wait_connected()
        yield fleet
    finally:
        fleet.close()


@pytest.fixture
def east(fleet):
    """A runner that is there, before and after."""
    runner = fleet.runners["east"]
    runner.wait_connected()
    return runner


@pytest.fixture
def calls(fleet, east):
    return fleet.calls()


@pytest.fixture
def box(fleet, calls):
    """A sandbox on the runner east that writes to its log."""
    sandbox_id = calls.start("sh", "-c", COUNT, runner="east")
    calls.runs(sandbox_id)
    yield sandbox_id
    fleet.calls().Delete(gateway_pb2.DeleteSandboxRequest(sandbox_id=sandbox_id))


def follows(stream, enough=3):
    """Reads a stream that counts until it has come so far; the numbers that came."""
    text = b""
    while text.count(b"\n") < enough:
        frame = stream.next()
        kind = frame.WhichOneof("response")
        assert kind in ("ready", "output", "data"), frame
        text += frame.output.data if kind == "output" else frame.data.data if kind == "data" else b""
    return text


def boot_of(calls, sandbox_id):
    """What changes if the sandbox does not go on but begins anew."""
    code, text = calls.sh(sandbox_id, "stat -c %Z /proc/1; cut -d' ' -f22 /proc/1/stat")
    assert code == 0
    return text


def running(calls, sandbox_id, pattern):
    """How many processes of a sandbox have such a command line."""
    script = 'for p in /proc/[0-9]*; do echo "$(tr "\\0" " " < $p/cmdline)"; done 2>/dev/null | grep -c -e "$0"'
    stream = calls.exec(sandbox_id, "sh", "-c", script, pattern)
    stream.end_input()
    output, last = stream.rest()
    assert last.HasField("exit"), last
    # The asking shell itself ends with the pattern, and is none of them.
    return int(output)


def refused(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def test_each_runner_is_reached_by_its_name(fleet, calls):
    found = discovery_pb2_grpc.DiscoveryServiceStub(fleet.channel).ListAvailableRunners(
        discovery_pb2.ListAvailableRunnersRequest(healthy_only=True), metadata=calls.metadata, timeout=30)
    assert {runner.runner_id for runner in found.runners} == {"east", "west"}
    for name in ["east", "west"]:
        sandbox_id = calls.start("sleep", "infinity", runner=name)
        assert calls.runs(sandbox_id).runner_id == name
        assert calls.sh(sandbox_id, "echo here") == (0, "here\n")
        assert sandbox_id in fleet.runners[name].held()
        calls.Delete(gateway_pb2.DeleteSandboxRequest(sandbox_id=sandbox_id))
    error = refused(lambda: calls.start("sleep", "infinity", runner="north"))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION


def revoked(fleet):
    path = fleet.join_token("north")
    listed = fleet.palisade("token", "list", "--organization", fleet.ORGANIZATION)
    for line in listed.splitlines():
        if "cluster north" in line:
            fleet.palisade("token", "revoke", line.split()[0], "--organization", fleet.ORGANIZATION)
    return path


def changed(fleet):
    path = fleet.join_token("north")
    text = path.read_text().strip()
    path.write_text(text[:-1] + ("a" if text[-1] != "a" else "b"))
    return path


def of_a_user(fleet):
    path = fleet.directory / "user-token"
    path.write_text(fleet.user)
    return path


@pytest.mark.parametrize("token, reason", [
    (changed, "the token is not valid"),
    (revoked, "the token is not valid"),
    (of_a_user, "the token is for something else"),
    (lambda fleet: fleet.join_token("north", "--expires-days", "0"), "the token has expired"),
], ids=["wrong", "revoked", "a user's", "expired"])
def test_a_token_that_does_not_let_in_is_refused_with_the_reason(fleet, token, reason):
    with outsider(fleet, token(fleet)) as runner:
        runner.says(reason)


def test_a_server_of_another_authority_is_not_trusted(fleet):
    other = authority(fleet.directory / "other", "Other", fleet.gateway_address)
    with outsider(fleet, fleet.join_token("north"), other / "ca.pem") as runner:
        runner.says("could not be reached")
        # The log says what is wrong, not only that something is.
        runner.says("ertificate")
        assert "connected to the gateway" not in runner.log().replace("not connected to the gateway", "")


def test_a_runner_without_an_object_is_told_so(fleet):
    with outsider(fleet, fleet.join_token("north")) as runner:
        runner.says("has no managed runner for cluster north")


class outsider:
    """A runner of a cluster that the platform has no runner for."""

    def __init__(self, fleet, token, authority=None):
        self.fleet = fleet
        self.runner = fleet.bare_runner("north", token, authority)

    def __enter__(self):
        return self.runner.start()

    def __exit__(self, *_):
        assert self.runner.stop() == 0, self.runner.log()[-4000:]
        self.runner.disconnect_namespace()
        del self.fleet.runners["north"]


def test_a_token_that_is_revoked_ends_the_connection_that_it_opened(fleet, calls):
    west = fleet.runners["west"]
    sandbox_id = calls.start("sleep", "infinity", runner="west")
    calls.runs(sandbox_id)
    boot = boot_of(calls, sandbox_id)
    listed = fleet.palisade("token", "list", "--organization", fleet.ORGANIZATION)
    (token,) = re.findall(r"^(\S+) +cluster west ", listed, re.MULTILINE)
    fleet.palisade("token", "revoke", token, "--organization", fleet.ORGANIZATION)
    west.wait_disconnected()
    west.says("the token is not valid")
    # With a new token it is the same runner, with the same sandbox.
    assert west.stop() == 0
    fleet.join_token("west").rename(west.command[west.command.index("--join-token-file") + 1])
    west.start().wait_connected()
    assert boot_of(calls, sandbox_id) == boot
    calls.Delete(gateway_pb2.DeleteSandboxRequest(sandbox_id=sandbox_id))


def test_a_short_cut_goes_unnoticed_by_streams(calls, east, box):
    command = calls.exec(box, "sh", "-c", "i=0; while [ $i -lt 150 ]; do echo $i; i=$((i+1)); sleep 0.05; done")
    command.end_input()
    seen = follows(command)
    east.cut()
    try:
        with pytest.raises(TimeoutError):
            wait_for(lambda: not east.connected(), "nothing", 3)
    finally:
        east.heal()
    rest, last = command.rest()
    assert last.exit.exit_code == 0, last
    assert (seen + rest).decode().split() == [str(number) for number in range(150)]


def test_a_cut_ends_every_stream_with_its_reason_and_no_sandbox(calls, east, box):
    boot = boot_of(calls, box)
    command, logs = calls.exec(box, "sh", "-c", COUNT), calls.logs(box, follow=True)
    follows(command)
    first = logs.next()
    follows(logs)
    upload = calls.unary.AddFile.future(
        gateway_pb2.AddFileSandboxRequest(sandbox_id=box, filepath="/tmp/file", file_contents=bytes(20 << 20)),
        metadata=calls.metadata, timeout=2 * BOUND_SECONDS)
    east.cut()
    try:
        _, last = command.rest()
        assert last.error.code == "RUNNER_UNAVAILABLE", last
        lost = refused(logs.rest)
        assert lost.code() == grpc.StatusCode.UNAVAILABLE
        # It was done before the cut, or it is refused.
        if (failed := upload.exception(timeout=BOUND_SECONDS)) is not None:
            assert failed.code() == grpc.StatusCode.UNAVAILABLE, failed
        east.wait_disconnected(BOUND_SECONDS)
        # What needs the runner is refused at once, what does not is answered.
        assert calls.get(box).sandbox_status == gateway_pb2.SANDBOX_STATUS_RUNNING
        away = refused(lambda: calls.exec(box, "true").rest())
        assert away.code() == grpc.StatusCode.UNAVAILABLE
    finally:
        east.heal()
    east.wait_connected()
    assert boot_of(calls, box) == boot
    # The log goes on where it was left.
    session, offset = first.data.session_id, first.data.offset
    again = calls.logs(box, follow=True, resume_session_id=session, resume_offset=offset)
    after = again.next()
    assert after.data.session_id == session and after.data.offset > offset
    assert after.data.data.startswith(str(int(first.data.data.split()[-1]) + 1).encode())
    again.cancel()
    calls.AddFile(gateway_pb2.AddFileSandboxRequest(
        sandbox_id=box, filepath="/tmp/file", file_contents=b"whole"))
    assert calls.sh(box, "cat /tmp/file; ls -A /tmp") == (0, "wholefile\n")


def test_a_command_of_a_runner_that_was_cut_off_does_not_go_on_for_ever(calls, east, box):
    command = calls.exec(box, "sleep", "4711")
    assert command.next().HasField("ready")
    east.cut()
    try:
        _, last = command.rest()
        assert last.error.code == "RUNNER_UNAVAILABLE", last
    finally:
        east.heal()
    east.wait_connected()
    wait_for(lambda: not running(calls, box, "^sleep 4711"), "the command to be killed", BOUND_SECONDS)


def test_a_runner_that_ends_says_so_and_takes_its_sandboxes_over_again(calls, east, box):
    boot = boot_of(calls, box)
    command, logs = calls.exec(box, "sh", "-c", COUNT), calls.logs(box, follow=True)
    follows(command), follows(logs)
    assert east.stop() == 0
    for stream in [command, logs]:
        _, last = stream.rest()
        assert last.error.code == "RUNNER_DRAINING", last
    east.start().wait_connected()
    assert boot_of(calls, box) == boot


def test_a_runner_that_is_killed_ends_streams_and_not_sandboxes(calls, east, box):
    boot = boot_of(calls, box)
    command, logs = calls.exec(box, "sh", "-c", COUNT), calls.logs(box, follow=True)
    follows(command), follows(logs)
    east.kill()
    _, last = command.rest()
    assert last.error.code == "RUNNER_UNAVAILABLE", last
    assert refused(logs.rest).code() == grpc.StatusCode.UNAVAILABLE
    east.start().wait_connected()
    assert boot_of(calls, box) == boot
    assert calls.runs(box).runner_id == "east"


def test_a_gateway_that_is_killed_loses_streams_and_no_sandbox(fleet, calls, east, box):
    boot = boot_of(calls, box)
    command, logs = calls.exec(box, "sh", "-c", f"{COUNT} # second"), calls.logs(box, follow=True)
    ready = command.next().ready
    follows(command), follows(logs)
    fleet.server.kill()
    for stream in [command, logs]:
        assert refused(stream.rest).code() == grpc.StatusCode.UNAVAILABLE
    fleet.restart_server()
    east.wait_connected()
    calls = fleet.calls()
    assert boot_of(calls, box) == boot
    # The session was that process's, and the command went with it.
    again = calls.exec(box, resume_session_id=ready.session_id)
    assert again.rest()[1].error.code == "SESSION_NOT_FOUND"
    wait_for(lambda: not running(calls, box, "# second $"), "the command to be killed", BOUND_SECONDS)


def test_a_second_start_with_the_same_token_takes_the_line_and_the_first_is_told(fleet, calls):
    first = fleet.runners["west"]
    token = first.command[first.command.index("--join-token-file") + 1]
    second = fleet.bare_runner("west2", token)
    try:
        second.start().says("connected to the gateway")
        first.says("a later start of this runner is connected")
        assert second.process.poll() is None
    finally:
        assert second.stop() == 0, second.log()[-4000:]
        second.disconnect_namespace()
        del fleet.runners["west2"]
    first.wait_connected()


def test_a_runner_that_is_drained_takes_nothing_new_and_one_that_is_removed_is_gone(fleet, calls):
    south = fleet.new_runner("south").start()
    south.wait_connected()
    sandbox_id = calls.start("sleep", "infinity", runner="south")
    calls.runs(sandbox_id)
    fleet.cwic("sandbox", "runner", "delete", "south", "--drain=10m", "--no-wait", "--yes")
    assert calls.sh(sandbox_id, "echo here") == (0, "here\n")
    error = refused(lambda: calls.start("sleep", "infinity", runner="south"))
    assert error.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.RESOURCE_EXHAUSTED), error
    assert "is being deleted" in error.details(), error.details()
    # The end of its sandboxes is the end of the runner.
    command = calls.exec(sandbox_id, "sleep", "infinity")
    assert command.next().HasField("ready")
    fleet.cwic("sandbox", "runner", "delete", "south", "--force", "--yes")
    _, last = command.rest()
    assert last.exit.exit_code == 137 or last.error.code, last
    gone = lambda: fleet.cwic("sandbox", "runner", "get", "south", check=False).returncode == 3
    wait_for(gone, "the runner to be removed")
    south.says("has no managed runner for cluster south")
    wait_for(lambda: not south.held(), "its sandboxes to be gone")
    shown = json.loads(fleet.cwic("sandbox", "runner", "ls", "-o", "json").stdout)
    assert "south" not in json.dumps(shown)


def test_secret_values_reach_a_sandbox_whose_runner_and_gateway_were_lost_before_it_started(fleet, calls):
    """The values are in the memory of a runner alone until the start: whoever restarts in between waits for them."""
    north = fleet.new_runner("waits").start()
    north.wait_connected()
    fleet.cwic("sandbox", "secret", "store", "create", "team")
    fleet.cwic("sandbox", "secret", "set", "team", "TOKEN", stdin="worth-waiting-for\n")
    secrets = [secrets_pb2.SecretStoreReference(store_name="team", secrets=[
        secrets_pb2.SecretMapping(path="TOKEN", env_var="TOKEN")])]
    # The instant is the test: the runner knows of the sandbox and did not start it yet. A file system
    # to be made makes that last.
    free = shutil.disk_usage(north.state).free
    mount = gateway_pb2.SandboxFileSystemMount(mount_path="/data", size=f"{min(32, free // 2 >> 30)}Gi")
    for _ in range(20):
        before = north.held()
        sandbox_id = calls.start("sh", "-c", "echo told $TOKEN; sleep infinity", runner="waits",
                                 secret_stores=secrets, file_system=mount)
        wait_for(lambda: north.held() - before, "the runner to know of the sandbox", pause=0)
        north.kill()
        fleet.server.kill()
        north.start().says("adopted=")
        north.says("not connected to the gateway")
        if "RUNNING" not in north.log():
            break
        fleet.restart_server()
        north.wait_connected()
        calls = fleet.calls()
    else:
        raise AssertionError("every sandbox had started before its runner was killed")
    assert "FAILED" not in north.log(), north.log()
    fleet.restart_server()
    north.wait_connected()
    calls = fleet.calls()
    calls.runs(sandbox_id)
    wait_for(lambda: calls.logs(sandbox_id).rest()[0] == b"told worth-waiting-for\n", "the value")
