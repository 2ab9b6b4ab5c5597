"""What the SDK's examples show beside its quick start, written anew."""

import asyncio
import contextlib
import hashlib
import time
from datetime import UTC, datetime, timedelta

import cwsandbox
import pytest
from cwsandbox import Sandbox, SandboxDefaults, Session
from cwsandbox.exceptions import SandboxExecutionError, SandboxNotFoundError, SandboxTimeoutError

pytestmark = pytest.mark.usefixtures("platform")


def defaults(tag):
    return SandboxDefaults(profile_names=("open",), tags=(tag,))


@pytest.fixture
def tag():
    return f"example-{time.time_ns()}"


def test_one_line_runs_a_command_and_stops():
    box = Sandbox.run("echo", "Hello, World!")
    box.stop().result()
    assert box.get_status().name in ("COMPLETED", "TERMINATED")


def test_the_same_works_with_await(tag):
    async def story():
        async with Sandbox.run("sleep", "infinity", defaults=defaults(tag)) as box:
            assert (await box.exec(["python3", "-c", "print(2 + 2)"])).stdout == "4\n"
            await box.write_file("/tmp/test.txt", b"async content")
            assert await box.read_file("/tmp/test.txt") == b"async content"
            words = ["one", "two", "three"]
            done = await asyncio.gather(*(box.exec(["echo", word]) for word in words))
            assert [each.stdout.strip() for each in done] == words
            process = box.exec(["cat"], stdin=True)
            await process.stdin.write(b"async hello\n")
            await process.stdin.close()
            assert (await process).stdout == "async hello\n"
            assert [found.sandbox_id for found in await Sandbox.list(tags=[tag])] == [box.sandbox_id]
            attached = await Sandbox.from_id(box.sandbox_id)
            assert (await attached.exec(["hostname"])).returncode == 0
        await Sandbox.delete(box.sandbox_id, missing_ok=True)

    asyncio.run(story())


def test_a_session_stops_all_that_it_started(tag):
    with Session(defaults(tag)) as session:
        boxes = [session.sandbox() for _ in range(3)]
        running = [box.exec(["sh", "-c", f"sleep 0.{n}; echo {n}"]) for n, box in enumerate(boxes)]
        seen = []
        while running:
            done, running = cwsandbox.wait(running, num_returns=1)
            seen += [each.result().stdout.strip() for each in done]
        assert sorted(seen) == ["0", "1", "2"]
    assert Sandbox.list(tags=[tag]).result() == []
    assert len(Sandbox.list(tags=[tag], include_stopped=True).result()) == 3


def test_a_session_adopts_what_others_left(tag):
    left = [Sandbox.run(defaults=defaults(tag)).sandbox_id for _ in range(2)]
    with Session(defaults(tag)) as session:
        adopted = session.list(tags=[tag], adopt=True).result()
        assert sorted(box.sandbox_id for box in adopted) == sorted(left)
    assert Sandbox.list(tags=[tag]).result() == []


def test_old_sandboxes_are_found_by_their_age(tag):
    with Sandbox.run(defaults=defaults(tag)) as box:
        box.wait(timeout=60)
        (found,) = Sandbox.list(status="running", tags=[tag]).result()
        age = datetime.now(UTC) - found.started_at.replace(tzinfo=UTC)
        assert timedelta(seconds=-5) < age < timedelta(minutes=5)


def test_errors_are_of_their_kinds(sandbox):
    assert sandbox.exec(["sh", "-c", "exit 42"]).result().returncode == 42
    with pytest.raises(SandboxExecutionError):
        sandbox.exec(["sh", "-c", "exit 1"], check=True).result()
    with pytest.raises(SandboxTimeoutError):
        sandbox.exec(["sleep", "10"], timeout_seconds=1).result()
    with pytest.raises(SandboxNotFoundError):
        Sandbox.delete("0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d").result()


def test_a_large_file_is_read_as_a_stream(sandbox):
    make = "import random; random.seed(7); open('/tmp/big','wb').write(random.randbytes(64 << 20))"
    sandbox.exec(["python3", "-c", make], check=True).result()
    digest = hashlib.sha256()
    with contextlib.closing(sandbox.read_file_streaming("/tmp/big")) as reader:
        for chunk in reader:
            digest.update(chunk)
    told = sandbox.exec(["sha256sum", "/tmp/big"]).result().stdout.split()[0]
    assert digest.hexdigest() == told


def test_logs_are_followed_with_instants(tag):
    script = "for n in 1 2 3; do echo line $n; sleep 0.1; done"
    box = Sandbox.run("sh", "-c", script, defaults=defaults(tag))
    box.wait(timeout=60)
    lines = "".join(box.stream_logs(follow=True, timestamps=True)).splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["line 1", "line 2", "line 3"]
    for line in lines:
        datetime.fromisoformat(line.split(" ", 1)[0].replace("Z", "+00:00"))
