"""The command line that comes with the SDK: `cwsandbox ls`, `exec`, `logs` and `sh`."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from terminal import Terminal
from test_cwic_run import cwic, on_terminal, tag  # noqa: F401

CWSANDBOX = pathlib.Path(sys.executable).with_name("cwsandbox")
TALK = "for n in 1 2 3; do echo line $n; done; exec sleep 600"


@pytest.fixture
def talking(platform, tag):
    """A sandbox that says three lines and goes on."""
    from cwsandbox import Sandbox

    with Sandbox.run("sh", "-c", TALK, profile_names=["open"], tags=[tag]) as sandbox:
        sandbox.wait(timeout=60)
        yield sandbox


def call(*words):
    return subprocess.run([CWSANDBOX, *words], capture_output=True, text=True, timeout=60)


def test_sandboxes_are_listed_by_status_and_tag(talking, tag):
    shown = call("ls", "--tag", tag, "--status", "running", "--output", "json")
    assert shown.returncode == 0, shown.stderr
    [found] = json.loads(shown.stdout)
    assert found["sandbox_id"] == talking.sandbox_id
    assert found["runner_id"] == "local"
    assert found["started_at"]
    assert talking.sandbox_id in call("ls", "--tag", tag).stdout
    assert "No sandboxes found" in call("ls", "--tag", tag, "--status", "failed").stdout


def test_a_command_has_its_directory_both_outputs_and_its_code(talking):
    ran = call("exec", "--cwd", "/etc", talking.sandbox_id, "sh", "-c", "pwd; echo no >&2; exit 7")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("/etc\n", "no\n", 7)


def test_a_command_that_takes_too_long_is_ended(talking):
    ran = call("exec", "--timeout", "1", talking.sandbox_id, "sleep", "321")
    assert ran.returncode != 0
    assert "imed out" in ran.stderr
    left = "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $f; done | grep -c 'sleep 3[2]1'"
    talking_still = call("exec", talking.sandbox_id, "sh", "-c", left)
    assert talking_still.stdout == "0\n"


def test_the_log_is_cut_and_stamped_as_asked(talking):
    assert call("logs", talking.sandbox_id).stdout == "line 1\nline 2\nline 3\n"
    assert call("logs", "--tail", "1", talking.sandbox_id).stdout == "line 3\n"
    stamped = call("logs", "--timestamps", talking.sandbox_id).stdout.splitlines()
    assert len(stamped) == 3
    assert all(line.startswith("20") and "line" in line for line in stamped), stamped


def test_a_shell_has_a_terminal_of_the_same_size(platform, talking):
    terminal = Terminal([CWSANDBOX, "sh", talking.sandbox_id, "--cmd", "/bin/sh"], dict(os.environ), 93, 31)
    try:
        terminal.expect("# ")
        terminal.type("stty size; echo rea''dy\n")
        assert "31 93" in terminal.expect("ready\r\n")
        terminal.resize(77, 20)
        terminal.type("until [ \"$(stty size)\" = '20 77' ]; do :; done; echo re''sized\n")
        terminal.expect("resized\r\n")
        terminal.type("exit 5\n")
        assert terminal.wait() == 5
        assert terminal.is_as_before()
    finally:
        terminal.close()


def test_a_sandbox_that_is_not_there_is_told_as_such(platform):
    gone = "0199c0de-0000-7000-8000-000000000000"
    for words in [["logs", gone], ["exec", gone, "true"]]:
        told = call(*words)
        assert told.returncode != 0
        assert "not found" in (told.stdout + told.stderr).lower(), told
