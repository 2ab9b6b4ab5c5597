"""What the protocol promises, sentence by sentence, said without the client library: it hides how an
answer came about. What needs minutes or a machine that is short of something is tested in the gateway."""

import concurrent.futures
import time

import grpc
import pytest
from cwsandbox._proto import discovery_pb2, discovery_pb2_grpc, gateway_pb2, streaming_pb2
from google.rpc import error_details_pb2, status_pb2

from remote_fleet import OVER, Calls, wait_for

MIB = 1 << 20


@pytest.fixture(scope="module")
def channel(platform):
    options = [("grpc.max_send_message_length", 100 * MIB), ("grpc.max_receive_message_length", 100 * MIB)]
    with grpc.insecure_channel(platform.url.removeprefix("http://"), options=options) as channel:
        yield channel


@pytest.fixture(scope="module")
def calls(platform, channel):
    return Calls(channel, platform.token("user"))


@pytest.fixture(scope="module")
def box(calls):
    sandbox_id = calls.start("sleep", "infinity", profile_names=["open"])
    calls.runs(sandbox_id)
    yield sandbox_id
    delete(calls, sandbox_id)


def delete(calls, sandbox_id):
    return calls.Delete(gateway_pb2.DeleteSandboxRequest(sandbox_id=sandbox_id))


def refused(call, *args, **more):
    """The code, reason and metadata of a refusal."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, **more)
    error = caught.value
    trailer = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
    for detail in status_pb2.Status.FromString(trailer).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            assert info.domain == "cwsandbox.com"
            return error.code(), info.reason.removeprefix("CWSANDBOX_"), dict(info.metadata)
    raise AssertionError(f"{error} carries no reason")


# Start


def amounts(cpu, memory):
    return gateway_pb2.ResourceRequest(cpu=cpu, memory=memory)


@pytest.mark.parametrize("asked", [
    {"resource_requests": amounts("0.250", "131072Ki"), "resource_limits": amounts("500m", "0.25Gi")},
    {"resources": amounts("100m", "1e8")},
], ids=["both", "flat"])
def test_amounts_are_echoed_as_they_were_sent(calls, asked):
    started = calls.Start(gateway_pb2.StartSandboxRequest(
        command="sleep", args=["infinity"], container_image="python:3.11", profile_names=["open"], **asked))
    delete(calls, started.sandbox_id)
    flat = asked.get("resources")
    assert started.requested_resource_requests == (flat or asked["resource_requests"])
    assert started.requested_resource_limits == (flat or asked["resource_limits"])


def test_modes_and_ports_are_echoed_in_start_and_in_get(calls):
    network = gateway_pb2.NetworkOptions(ingress_mode="internal", exposed_ports=[8080], egress_mode="none")
    started = calls.Start(gateway_pb2.StartSandboxRequest(
        command="sleep", args=["infinity"], container_image="python:3.11", profile_names=["team"], network=network,
        ports=[gateway_pb2.Port(container_port=8080, name="web")]))
    seen = calls.get(started.sandbox_id)
    delete(calls, started.sandbox_id)
    for answer in [started, seen]:
        assert (answer.applied_ingress_mode, answer.applied_egress_mode) == ("internal", "none")
        assert [(port.container_port, port.name) for port in answer.exposed_ports] == [(8080, "web")]


def test_a_name_in_the_list_of_ids_is_a_name_and_is_told_as_the_profile(calls):
    sandbox_id = calls.start("sleep", "infinity", profile_ids=["closed"])
    seen = calls.get(sandbox_id)
    delete(calls, sandbox_id)
    assert (seen.profile_id, seen.runner_id) == ("closed", "local")


def test_what_is_not_there_to_be_chosen_is_refused_with_the_candidates(calls):
    code, reason, facts = refused(calls.start, "true", profile_names=["nowhere"])
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PROFILE_MISMATCH")
    assert int(facts["candidates"]) >= 1 and "violations" in facts


def test_a_start_that_is_repeated_with_its_key_is_one_start(calls):
    key = {"palisade.dev/idempotency-key": f"key-{time.monotonic_ns()}"}
    start = lambda _: calls.start("sleep", "infinity", profile_names=["open"], pod_annotations=key)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(start, range(4)))
    assert len(ids) == 1
    code, reason, _ = refused(calls.start, "true", profile_names=["open"], pod_annotations=key)
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    delete(calls, ids.pop())


def test_a_refusal_arrives_however_much_is_wrong(calls):
    # Clients take 8 KiB of headers; what is more is told as a limit of theirs.
    names = {f"{number}={'ü' * 20_000}": "" for number in range(40)}
    code, reason, facts = refused(calls.start, "true", environment_variables=names)
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert 0 < int(facts["field_violations_omitted"]) < 40
    names = [f"{number}-{'?' * 60}" for number in range(400)]
    assert refused(calls.start, "true", profile_names=names)[1] == "PROFILE_MISMATCH"


# Life


@pytest.mark.parametrize("method, message", [
    ("Get", gateway_pb2.GetSandboxRequest), ("Stop", gateway_pb2.StopSandboxRequest),
    ("Delete", gateway_pb2.DeleteSandboxRequest), ("Pause", gateway_pb2.PauseSandboxRequest),
    ("Resume", gateway_pb2.ResumeSandboxRequest),
])
@pytest.mark.parametrize("sandbox_id", ["no-id-at-all", "01890000-0000-7000-8000-000000000000"])
def test_a_sandbox_that_is_not_there_is_not_found(calls, method, message, sandbox_id):
    code, reason, _ = refused(getattr(calls, method), message(sandbox_id=sandbox_id))
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "SANDBOX_NOT_FOUND")


@pytest.mark.parametrize("method, message", [
    ("Get", gateway_pb2.GetSandboxRequest), ("Stop", gateway_pb2.StopSandboxRequest),
    ("Delete", gateway_pb2.DeleteSandboxRequest), ("Pause", gateway_pb2.PauseSandboxRequest),
    ("List", gateway_pb2.ListSandboxesRequest), ("Exec", gateway_pb2.ExecSandboxRequest),
])
def test_a_time_that_is_less_than_none_is_refused(calls, box, method, message):
    named = {} if method == "List" else {"sandbox_id": box}
    code, reason, _ = refused(getattr(calls, method), message(max_timeout_seconds=-1, **named))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert calls.get(box).sandbox_status == gateway_pb2.SANDBOX_STATUS_RUNNING


def test_no_get_sees_the_end_before_the_stop_was_answered(calls):
    sandbox_id = calls.start("sleep", "infinity", profile_names=["open"])
    calls.runs(sandbox_id)
    stop = calls.unary.Stop.future(
        gateway_pb2.StopSandboxRequest(sandbox_id=sandbox_id), metadata=calls.metadata, timeout=30)
    while not stop.done():
        status = calls.get(sandbox_id).sandbox_status
        assert stop.done() or status not in OVER, status
    assert stop.result().success


def test_stop_and_delete_are_the_same_however_often(calls):
    sandbox_id = calls.start("sleep", "infinity", profile_names=["open"])
    request = gateway_pb2.StopSandboxRequest(sandbox_id=sandbox_id, graceful_shutdown_seconds=1)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(answer.success for answer in pool.map(calls.Stop, [request] * 4))
    wait_for(lambda: calls.get(sandbox_id).sandbox_status in OVER, "the end")
    assert calls.Stop(request).success
    assert delete(calls, sandbox_id).success and delete(calls, sandbox_id).success
    assert calls.get(sandbox_id).sandbox_status in OVER


@pytest.mark.parametrize("script, code", [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_the_exit_code_of_the_main_process_is_told_with_the_end(calls, script, code):
    sandbox_id = calls.start("bash", "-c", script, profile_names=["open"])

    def completed():
        seen = calls.get(sandbox_id)
        if seen.sandbox_status in OVER:
            # Not a moment later.
            assert seen.HasField("exit_code"), seen
            return seen
        return None
    seen = wait_for(completed, "the end")
    assert (seen.sandbox_status, seen.exit_code) == (gateway_pb2.SANDBOX_STATUS_COMPLETED, code)


def test_a_snapshot_on_stop_of_what_has_no_file_system_is_refused_and_nothing_is_stopped(calls, box):
    request = gateway_pb2.StopSandboxRequest(sandbox_id=box, file_system_snapshot_on_stop=True)
    code, _, _ = refused(calls.Stop, request)
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert calls.get(box).sandbox_status == gateway_pb2.SANDBOX_STATUS_RUNNING


# List


def pages(calls, between=lambda number: None, **request):
    found, token, number = [], "", 0
    while True:
        page = calls.List(gateway_pb2.ListSandboxesRequest(page_token=token, **request))
        found.append([sandbox.sandbox_id for sandbox in page.sandboxes])
        token = page.next_page_token
        if not token:
            return found
        number += 1
        assert number < 100
        between(number)


def test_pages_hold_everything_once_while_others_come_and_go(calls):
    tag = f"churn-{time.monotonic_ns()}"
    start = lambda: calls.start("sleep", "infinity", profile_names=["open"], tags=[tag])
    kept = {start() for _ in range(6)}
    going = [start() for _ in range(3)]
    came = []

    def churn(number):
        came.append(start())
        if going:
            delete(calls, going.pop())
    found = pages(calls, churn, page_size=2, tags=[tag])
    every = [sandbox_id for page in found for sandbox_id in page]
    assert max(map(len, found)) <= 2 and len(every) == len(set(every))
    assert kept <= set(every)
    for sandbox_id in [*kept, *going, *came]:
        delete(calls, sandbox_id)


def test_what_is_over_is_listed_only_when_it_is_asked_for(calls):
    tags = [f"over-{time.monotonic_ns()}", "second"]
    sandbox_id = calls.start("true", profile_names=["open"], tags=tags)
    wait_for(lambda: calls.get(sandbox_id).sandbox_status in OVER, "the end")
    listed = lambda **more: pages(calls, **more)[0]
    assert listed(tags=tags) == []
    assert listed(tags=tags, include_stopped=True) == [sandbox_id]
    assert listed(tags=tags, status=gateway_pb2.SANDBOX_STATUS_COMPLETED) == [sandbox_id]
    assert listed(tags=tags, status=gateway_pb2.SANDBOX_STATUS_RUNNING, include_stopped=True) == []
    assert listed(tags=[*tags, "third"], include_stopped=True) == []
    assert listed(tags=tags, include_stopped=True, profile_names=["closed"]) == []
    assert listed(tags=tags, include_stopped=True, profile_names=["closed", "open"]) == [sandbox_id]


def test_a_token_of_no_page_is_refused(calls):
    code, reason, _ = refused(calls.List, gateway_pb2.ListSandboxesRequest(page_token="made-up"))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


# Files


def read(calls, box, path):
    return calls.RetrieveFile(gateway_pb2.RetrieveFileSandboxRequest(sandbox_id=box, filepath=path)).file_contents


def write(calls, box, path, content=b"x"):
    return calls.AddFile(gateway_pb2.AddFileSandboxRequest(sandbox_id=box, filepath=path, file_contents=content))


def test_parents_are_made_and_bytes_come_back(calls, box):
    content = bytes(range(256)) * 1000
    write(calls, box, "/new/directories/file", content)
    assert read(calls, box, "/new/directories/file") == content


@pytest.mark.parametrize("prepare, path, reading, writing", [
    ("true", "/tmp/absent", "FILE_NOT_FOUND", None),
    ("mkdir -p /tmp/folder", "/tmp/folder", "FILE_IS_DIRECTORY", "FILE_IS_DIRECTORY"),
    ("echo x > /tmp/plain", "/tmp/plain/below", "FILE_NOT_FOUND", None),
    ("true", "/", "FILE_IS_DIRECTORY", "FILE_IS_DIRECTORY"),
    ("true", "/tmp/", "FILE_IS_DIRECTORY", "FILE_IS_DIRECTORY"),
    ("echo x > /tmp/plain", "/tmp/plain/below", None, "FILE_IO_FAILED"),
    ("ln -sfn /tmp/loop /tmp/loop", "/tmp/loop", "FILE_IO_FAILED", "FILE_IO_FAILED"),
    ("rm -f /tmp/pipe; mkfifo /tmp/pipe", "/tmp/pipe", "FILE_IO_FAILED", None),
    ("true", "/proc/sys/kernel/hostname", None, "FILE_PERMISSION_DENIED"),
], ids=["absent", "directory", "below a file", "root", "slash", "through a file", "loop", "pipe", "read-only"])
def test_every_failure_of_a_file_has_its_reason_and_path(calls, box, prepare, path, reading, writing):
    assert calls.sh(box, prepare)[0] == 0
    if reading:
        _, reason, facts = refused(read, calls, box, path)
        assert (reason, facts["filepath"]) == (reading, path)
    if writing:
        _, reason, facts = refused(write, calls, box, path)
        assert facts["filepath"] == path
        assert reason == writing or (path.startswith("/proc") and reason == "FILE_IO_FAILED"), reason


def test_the_longest_path_is_told_whole(calls, box):
    path = "/tmp/" + "/".join(["ü" * 100] * 20)
    code, reason, facts = refused(read, calls, box, path)
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "FILE_NOT_FOUND")
    assert facts["filepath"] == path


@pytest.mark.parametrize("path", ["relative", "", "/nul\0inside"])
def test_a_path_that_is_none_is_refused_with_its_field(calls, box, path):
    assert refused(read, calls, box, path)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert refused(write, calls, box, path)[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


def test_a_file_beyond_the_limit_is_told_with_both_sizes(calls, box):
    _, reason, facts = refused(write, calls, box, "/tmp/large", bytes(33 * MIB))
    assert reason == "FILE_TOO_LARGE"
    assert facts["operation"] == "write" and facts["filepath"] == "/tmp/large"
    assert (int(facts["size_bytes"]), int(facts["max_size_bytes"])) == (33 * MIB, 32 * MIB)
    assert calls.sh(box, "test ! -e /tmp/large; truncate -s 40M /tmp/sparse")[0] == 0
    _, reason, facts = refused(read, calls, box, "/tmp/sparse")
    assert reason == "FILE_TOO_LARGE"
    assert facts["operation"] == "read" and int(facts["size_bytes"]) == 40 * MIB
    # As large as may be, in both directions; and what never ends is not read for ever.
    write(calls, box, "/tmp/most", bytes(32 * MIB))
    assert len(read(calls, box, "/tmp/most")) == 32 * MIB
    assert refused(read, calls, box, "/dev/zero")[1] in ("FILE_TOO_LARGE", "FILE_IO_FAILED")


def test_links_and_dots_lead_nowhere_but_into_the_sandbox(calls, box):
    own = calls.sh(box, "echo inside > /etc/mark; ln -sfn /etc/mark /tmp/absolute; "
                        "ln -sfn ../../../../../../etc/mark /tmp/relative; ln -sfn /proc/1/root/etc/mark /tmp/magic; "
                        "ln -sfn / /tmp/top")
    assert own[0] == 0
    for path in ["/tmp/absolute", "/tmp/relative", "/tmp/top/etc/mark", "/tmp/../etc/mark"]:
        assert read(calls, box, path) == b"inside\n", path
    for path in ["/../../../../etc/mark", "/tmp/../../../etc/mark"]:
        assert refused(read, calls, box, path)[0] == grpc.StatusCode.INVALID_ARGUMENT, path
    write(calls, box, "/tmp/top/../tmp/top/tmp/through", b"written")
    assert calls.sh(box, "cat /tmp/through") == (0, "written")
    # The root of process 1 is that of the sandbox, if it is followed at all.
    try:
        assert read(calls, box, "/tmp/magic") == b"inside\n"
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION,
                                grpc.StatusCode.INTERNAL, grpc.StatusCode.NOT_FOUND), error


def test_a_reader_sees_a_file_before_or_after_it_was_replaced(calls, box):
    first, second = b"a" * (4 * MIB), b"b" * (2 * MIB)
    write(calls, box, "/tmp/replaced", first)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        writing = pool.submit(lambda: [write(calls, box, "/tmp/replaced", it) for it in [second, first] * 4])
        while not writing.done():
            assert read(calls, box, "/tmp/replaced") in (first, second)
        writing.result()
    assert calls.sh(box, "ls -A /tmp | grep -c replaced") == (0, "1\n")


# Exec


def frames(stream):
    return [(frame.WhichOneof("response"), frame) for frame in stream.call]


def ended(calls, box, *command, **more):
    stream = calls.exec(box, *command, **more)
    stream.end_input()
    return frames(stream)


def test_a_command_is_ready_once_and_ends_once(calls, box):
    told = ended(calls, box, "sh", "-c", "echo out; echo err >&2; exit 5")
    kinds = [kind for kind, _ in told]
    assert kinds[0] == "ready" and kinds[-1] == "exit" and set(kinds[1:-1]) == {"output"}
    assert told[0][1].ready.session_id and told[0][1].ready.HasField("ready_at")
    assert told[-1][1].exit.exit_code == 5 and told[-1][1].exit.HasField("completed_at")
    streams = {frame.output.stream_type: frame.output.data for kind, frame in told if kind == "output"}
    assert streams == {streaming_pb2.ExecStreamOutput.STREAM_TYPE_STDOUT: b"out\n",
                       streaming_pb2.ExecStreamOutput.STREAM_TYPE_STDERR: b"err\n"}


@pytest.mark.parametrize("command, code", [
    (["no-such-program"], 127), (["/etc/hostname"], 126), (["/etc"], 126),
    (["bash", "-c", "kill -9 $$"], 137), (["bash", "-c", "kill -15 $$"], 143), (["false"], 1),
])
def test_exit_codes_are_those_of_a_shell(calls, box, command, code):
    assert ended(calls, box, *command)[-1][1].exit.exit_code == code


def test_the_end_of_input_is_no_end_of_the_command(calls, box):
    stream = calls.exec(box, "sh", "-c", "cat; sleep 0.3; echo after")
    stream.stdin(b"before\n")
    stream.end_input()
    output, last = stream.rest()
    assert (output, last.exit.exit_code) == (b"before\nafter\n", 0)


def test_the_exit_does_not_wait_for_the_end_of_input(calls, box):
    stream = calls.exec(box, "true")
    assert stream.rest()[1].exit.exit_code == 0


def test_large_frames_of_bytes_that_are_no_text_come_back(calls, box):
    data = bytes(range(256)) * 4096
    stream = calls.exec(box, "sh", "-c", "sha256sum; head -c 300 /dev/zero; printf '\\377\\376'")
    for _ in range(8):
        stream.stdin(data)
    stream.end_input()
    import hashlib
    output, last = stream.rest()
    assert output.startswith(hashlib.sha256(data * 8).hexdigest().encode()) and output.endswith(b"\0\377\376")
    assert last.exit.exit_code == 0


def test_a_frame_may_be_as_large_as_any_message(calls, box):
    data = bytes(range(256)) * (90 * 4096)
    stream = calls.exec(box, "sha256sum")
    stream.stdin(data)
    stream.stdin(data[:5 * MIB])
    stream.end_input()
    import hashlib
    output, last = stream.rest()
    assert output.startswith(hashlib.sha256(data + data[:5 * MIB]).hexdigest().encode())
    assert last.exit.exit_code == 0


@pytest.mark.parametrize("method", [
    "GatewayService/List", "DiscoveryService/ListProfiles", "SecretStoreService/ListSecretStores",
])
def test_every_call_takes_large_messages(calls, channel, method):
    # A field that nobody knows, which is passed over.
    size = 20 * MIB
    padding = b"\xfa\x7f" + bytes([size & 0x7f | 0x80, size >> 7 & 0x7f | 0x80, size >> 14 & 0x7f | 0x80, size >> 21])
    call = channel.unary_unary(f"/coreweave.sandbox.v1beta2.{method}")
    call(padding + bytes(size), metadata=calls.metadata, timeout=60)


def test_each_write_is_a_frame_of_its_own(calls, box):
    told = ended(calls, box, "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done")
    assert [frame.output.data for kind, frame in told if kind == "output"] == [b"%d\n" % n for n in range(1, 6)]


@pytest.mark.parametrize("how", ["cancelled", "too late"])
def test_a_command_whose_client_gave_up_is_killed_with_all_that_it_started(calls, box, how):
    mark = f"4{time.monotonic_ns() % 10 ** 8}"
    stream = calls.exec(box, "sh", "-c", f"sleep {mark} & setsid sleep {mark} & sleep {mark}",
                        timeout=None if how == "cancelled" else 2)
    assert stream.next().HasField("ready")
    count = f"for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done 2>/dev/null | grep -c '^sleep {mark}'"
    wait_for(lambda: calls.sh(box, count)[1] == "3\n", "the command to run", 10)
    if how == "cancelled":
        stream.cancel()
    wait_for(lambda: calls.sh(box, count)[1] == "0\n", "the command to be gone", 10)
    stream.cancel()


def test_a_stream_of_what_does_not_run_is_a_status(calls):
    assert refused(lambda: calls.exec("no-id", "true").rest())[:2] == (grpc.StatusCode.NOT_FOUND, "SANDBOX_NOT_FOUND")
    sandbox_id = calls.start("true", profile_names=["open"])
    wait_for(lambda: calls.get(sandbox_id).sandbox_status in OVER, "the end")
    code, reason, _ = refused(lambda: calls.exec(sandbox_id, "true").rest())
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SANDBOX_NOT_RUNNING")


def test_a_session_that_is_not_known_is_told_in_band(calls, box):
    told = ended(calls, box, resume_session_id="0" * 64)
    assert [(kind, frame.error.code) for kind, frame in told] == [("error", "SESSION_NOT_FOUND")]


def test_a_frame_where_it_has_no_place_ends_the_stream_with_a_word(calls, box):
    stream = calls.exec(box, "sleep", "infinity")
    assert stream.next().HasField("ready")
    stream.say(streaming_pb2.ExecStreamRequest(init=streaming_pb2.ExecStreamInit(sandbox_id=box, command=["true"])))
    assert stream.rest()[1].error.code == "INVALID_REQUEST"
    silent = calls.exec("", "true")
    assert refused(silent.rest)[0] in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


def test_an_answer_that_is_kept_in_part_says_how_much_there_was(calls, box):
    request = gateway_pb2.ExecSandboxRequest(
        sandbox_id=box, buffered_max_kib=1, output_handling=gateway_pb2.OUTPUT_POLICY_BUFFERED,
        command=["sh", "-c", "head -c 5000 /dev/zero; head -c 10 /dev/zero >&2; exit 4"])
    result = calls.Exec(request).result
    assert (len(result.stdout), result.stdout_truncated, result.stdout_bytes_produced) == (1024, True, 5000)
    assert (len(result.stderr), result.stderr_truncated, result.stderr_bytes_produced) == (10, False, 10)
    assert result.exit_code == 4


# Logs


@pytest.fixture(scope="module")
def written(calls):
    """A sandbox that wrote ten lines to both of its outputs, and goes on."""
    script = "for i in 0 1 2 3 4 5 6 7 8 9; do echo line $i; sleep 0.1; done; echo end >&2; sleep infinity"
    sandbox_id = calls.start("sh", "-c", script, profile_names=["open"])
    calls.runs(sandbox_id)
    calls.sh(sandbox_id, "echo never")
    wait_for(lambda: b"end\n" in calls.logs(sandbox_id).rest()[0], "the lines")
    yield sandbox_id
    delete(calls, sandbox_id)


WHOLE = b"".join(b"line %d\n" % number for number in range(10)) + b"end\n"


def test_the_log_is_that_of_the_main_process_with_its_places(calls, written):
    told = frames(calls.logs(written))
    assert told[-1][0] == "complete"
    chunks = [frame.data for _, frame in told[:-1]]
    assert b"".join(chunk.data for chunk in chunks) == WHOLE
    assert len({chunk.session_id for chunk in chunks}) == 1 and chunks[0].session_id
    place = 0
    for chunk in chunks:
        place += len(chunk.data)
        assert chunk.offset == place


def test_a_tail_is_of_whole_lines_and_instants_stand_before_lines(calls, written):
    assert calls.logs(written, tail_lines=3).rest()[0] == b"line 8\nline 9\nend\n"
    stamped = calls.logs(written, tail_lines=2, timestamps=True).rest()[0].decode().splitlines()
    assert [line.split(" ", 1)[1] for line in stamped] == ["line 9", "end"]
    assert all(line[10] == "T" and "Z " in line for line in stamped)


def test_a_log_since_an_instant_leaves_out_what_was_before(calls, written):
    chunks = [frame.data for kind, frame in frames(calls.logs(written)) if kind == "data"]
    since = chunks[5].timestamp
    text = calls.logs(written, since_time=since).rest()[0]
    assert text == b"".join(chunk.data for chunk in chunks[5:])


def test_a_log_that_is_followed_ends_when_it_is_enough(calls, written):
    stream = calls.logs(written, follow=True)
    stream.next()
    stream.say(streaming_pb2.LogStreamRequest(close=streaming_pb2.LogStreamClose()))
    assert stream.rest()[1].HasField("complete")


def test_a_session_of_logs_goes_on_where_the_client_was(calls, written):
    stream = calls.logs(written, follow=True)
    first = stream.next().data
    stream.cancel()
    resume = lambda session, offset: calls.logs(
        written, follow=True, resume_session_id=session, resume_offset=offset)
    again = resume(first.session_id, first.offset)
    text = b""
    while not text.endswith(b"end\n"):
        text += again.next().data.data
    assert first.data + text == WHOLE
    again.cancel()
    # From its beginning, as well; and not from where it never was.
    assert resume(first.session_id, 0).next().data.data.startswith(b"line 0\n")
    (kind, frame), = frames(resume(first.session_id, 10 ** 9))
    assert (kind, frame.error.code) == ("error", "INVALID_RESUME_OFFSET")
    (kind, frame), = frames(resume("0" * 64, 0))
    assert (kind, frame.error.code) == ("error", "SESSION_NOT_FOUND")


def test_the_log_is_there_after_the_end(calls):
    sandbox_id = calls.start("sh", "-c", "echo last words", profile_names=["open"])
    wait_for(lambda: calls.get(sandbox_id).sandbox_status in OVER, "the end")
    for follow in [False, True]:
        output, last = calls.logs(sandbox_id, follow=follow).rest()
        assert output == b"last words\n" and last.HasField("complete")


# Discovery


@pytest.fixture(scope="module")
def discovery(channel, calls):
    stub = discovery_pb2_grpc.DiscoveryServiceStub(channel)
    return lambda name, request: getattr(stub, name)(request, metadata=calls.metadata, timeout=30)


def test_a_view_that_is_basic_has_no_resources_and_a_full_one_has(discovery):
    runners = lambda view: discovery("ListAvailableRunners", discovery_pb2.ListAvailableRunnersRequest(view=view)).runners
    for view in [discovery_pb2.RUNNER_VIEW_UNSPECIFIED, discovery_pb2.RUNNER_VIEW_BASIC]:
        (runner,) = runners(view)
        assert not runner.HasField("resources") and runner.HasField("capabilities") and runner.HasField("connected_at")
    (full,) = runners(discovery_pb2.RUNNER_VIEW_FULL)
    assert full.resources.available_cpu_millicores > 0 and full.healthy
    one = discovery("GetAvailableRunner", discovery_pb2.GetAvailableRunnerRequest(runner_id="local"))
    assert one.HasField("resources")


@pytest.mark.parametrize("filters", [
    {"runner_group_id": "none"}, {"profile_name": "none"}, {"gpu_type": "none"}, {"architecture": "none"},
])
def test_a_filter_that_nothing_passes_is_an_empty_list(discovery, filters):
    request = discovery_pb2.ListAvailableRunnersRequest(**filters)
    assert list(discovery("ListAvailableRunners", request).runners) == []


def test_runners_and_profiles_that_are_not_there_are_not_found(discovery):
    for name, request, reason in [
        ("GetAvailableRunner", discovery_pb2.GetAvailableRunnerRequest(runner_id="none"), "RUNNER_NOT_FOUND"),
        ("GetProfile", discovery_pb2.GetProfileRequest(profile_name="none"), "PROFILE_NOT_FOUND"),
        ("GetProfile", discovery_pb2.GetProfileRequest(profile_name="open", runner_id="none"), "RUNNER_NOT_FOUND"),
    ]:
        code, told, _ = refused(discovery, name, request)
        assert (code, told) == (grpc.StatusCode.NOT_FOUND, reason)


def test_profiles_and_runners_name_each_other(discovery):
    (runner,) = discovery("ListAvailableRunners", discovery_pb2.ListAvailableRunnersRequest()).runners
    profiles = discovery("ListProfiles", discovery_pb2.ListProfilesRequest()).profiles
    assert {profile.profile_name for profile in profiles} == set(runner.profile_names)
    assert all(profile.runner_id == runner.runner_id for profile in profiles)
    paged, token = [], ""
    while True:
        page = discovery("ListProfiles", discovery_pb2.ListProfilesRequest(page_size=1, page_token=token))
        paged += [profile.profile_name for profile in page.profiles]
        token = page.next_page_token
        if not token:
            break
    assert sorted(paged) == sorted(runner.profile_names)
