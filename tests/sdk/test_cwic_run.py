"""`cwic sandbox run` and the commands around it, as an administrator uses them."""

import json
import os
import signal
import subprocess
import uuid

import pytest

from terminal import Terminal

UP = ["python", "-c", "print('up', flush=True); import time; time.sleep(600)"]


@pytest.fixture
def cwic(platform):
    """Runs cwic, and opens it on terminals that are closed at the end."""
    return Driver(platform)


@pytest.fixture
def on_terminal(platform):
    opened = []

    def open_one(*args, **size):
        driver = Driver(platform)
        opened.append(Terminal(driver.words(*args), driver.env, **size))
        return opened[-1]

    yield open_one
    for terminal in opened:
        terminal.close()


class Driver:
    def __init__(self, platform):
        self.platform = platform
        self.env = dict(os.environ, CWIC_SERVER=platform.url, CWIC_TOKEN=platform.token("admin"),
                        TERM="xterm")

    def words(self, *args):
        """A command line; what is run has the image that is there."""
        image = ["--image", "python:3.11"] if args[0] == "run" else []
        return [self.platform.cwic_path, "sandbox", args[0], *image, *args[1:]]

    def __call__(self, *args, **options):
        return self.platform.cwic(*self.words(*args)[1:], check=False, **options)

    def ids(self, tag, *more):
        listed = self("ls", "--tag", tag, "-o", "name", *more)
        assert listed.returncode == 0, listed.stderr
        return listed.stdout.split()

    def wait_until_gone(self, tag):
        self.platform.wait_for(lambda: not self.ids(tag), f"the sandboxes of {tag} to be gone")


@pytest.fixture
def tag():
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def sandbox_id(cwic, tag):
    """A sandbox that runs, and is removed at the end."""
    started = cwic("run", "-d", "--profile", "open", "--tag", tag, "--", "sleep", "600")
    assert started.returncode == 0, started.stderr
    sandbox = started.stdout.strip()
    yield sandbox
    cwic("rm", sandbox, "--yes")


def test_the_output_of_a_command_is_printed_and_its_code_passed_on(cwic):
    ran = cwic("run", "--rm", "--", "python", "-c",
               "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)")
    assert sorted(ran.stdout.split()) == ["err", "out"]
    assert (ran.returncode, ran.stderr) == (7, "")


def test_a_command_that_ends_well_ends_well(cwic):
    ran = cwic("run", "--rm", "-e", "WHO=ada", "--", "python", "-c",
               "import os; print(os.environ['WHO'])")
    assert (ran.stdout, ran.returncode, ran.stderr) == ("ada\n", 0, "")


def test_a_program_that_does_not_exist_is_told(cwic):
    ran = cwic("run", "--rm", "--", "/no/such/program")
    assert ran.returncode == 127, ran
    assert "/no/such/program" in ran.stdout + ran.stderr


def test_a_refusal_says_why_and_what_would_fit(cwic):
    ran = cwic("run", "--profile", "closed", "--memory", "1Gi", "--", "true")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "CWSANDBOX_PROFILE_MISMATCH" in ran.stderr
    assert "--memory 256Mi" in ran.stderr


def test_a_sandbox_without_an_image_is_told_the_flag(platform):
    ran = platform.cwic("sandbox", "run", "--", "true", check=False)
    assert ran.returncode == 2 and "next: name an image: --image" in ran.stderr


def test_run_from_a_pipe_writes_no_progress(cwic):
    ran = cwic("run", "--rm", "--", "true")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_shell_with_rm_is_a_shell_and_leaves_nothing(cwic, on_terminal, tag):
    shell = on_terminal("run", "--rm", "-it", "--tag", tag, "--", "bash",
                        columns=91, rows=33)
    shell.type("echo $((6 * 7)); stty size; echo $TERM\n")
    shell.expect("\r\n42\r\n33 91\r\nxterm\r\n")
    assert len(cwic.ids(tag)) == 1
    shell.type("exit 3\n")
    assert shell.wait() == 3
    assert shell.is_as_before()
    cwic.wait_until_gone(tag)


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_nothing_with_rm(cwic, on_terminal, tag, number, code):
    run = on_terminal("run", "--rm", "--tag", tag, "--", *UP)
    run.expect("up")
    run.kill(number)
    assert run.wait() == code
    assert cwic.ids(tag) == []


def test_control_c_leaves_nothing_with_rm(cwic, on_terminal, tag):
    run = on_terminal("run", "--rm", "--tag", tag, "--", *UP)
    run.expect("up")
    run.type("\x03")
    assert run.wait() == 130
    assert cwic.ids(tag) == []


def test_a_closed_terminal_leaves_nothing_with_rm(cwic, on_terminal, tag):
    run = on_terminal("run", "--rm", "-it", "--tag", tag, "--", *UP)
    run.expect("up")
    run.hang_up()
    run.process.wait(60)
    cwic.wait_until_gone(tag)


def test_a_terminal_that_says_more_than_once_that_it_goes_leaves_nothing_with_rm(cwic, tag):
    command = cwic.words("run", "--rm", "--tag", tag, "--", *UP)
    run = subprocess.Popen(command, env=cwic.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert run.stdout.readline() == b"up\n"
    while run.poll() is None:
        run.send_signal(signal.SIGHUP)
    run.stdout.close()
    cwic.wait_until_gone(tag)


def test_without_rm_a_sandbox_that_is_left_stops_and_is_named(cwic, on_terminal, tag):
    run = on_terminal("run", "--tag", tag, "--", *UP)
    run.expect("up")
    [sandbox] = cwic.ids(tag)
    run.type("\x03")
    assert run.wait() == 130
    run.expect(f"cwic sandbox logs {sandbox}")
    cwic.wait_until_gone(tag)
    assert cwic.ids(tag, "--all-states") == [sandbox]
    assert cwic("logs", sandbox).stdout == "up\n"


def test_a_reader_that_has_read_enough_ends_it(platform, cwic, tag):
    command = cwic.words("run", "--rm", "--tag", tag, "--", "python", "-c",
                         "while True: print('y')")
    run = subprocess.Popen(command, env=cwic.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdout.readline() == b"y\n"
    run.stdout.close()
    assert run.wait(60) == 0, run.stderr.read()
    run.stderr.close()
    assert cwic.ids(tag) == []


def test_a_detached_sandbox_prints_its_id_and_is_listed(cwic, sandbox_id, tag):
    assert cwic.ids(tag) == [sandbox_id]
    shown = json.loads(cwic("get", sandbox_id, "-o", "json").stdout)
    assert shown["sandboxId"] == sandbox_id
    assert shown["sandboxStatus"] == "SANDBOX_STATUS_RUNNING"
    assert shown["appliedEgressMode"] == "internet"
    described = cwic("describe", sandbox_id).stdout
    assert "RUNNING" in described and "internet" in described
    table = cwic("ls", "--tag", tag).stdout.splitlines()
    assert table[0].split()[:2] == ["SANDBOX", "STATUS"] and len(table) == 2


def test_a_stopped_sandbox_tells_its_end(cwic, platform, tag):
    started = cwic("run", "-d", "--tag", tag, "--", "python", "-c",
                   "import signal, sys; signal.signal(15, lambda *_: sys.exit(5)); "
                   "print('up', flush=True); signal.pause()")
    sandbox = started.stdout.strip()
    platform.wait_for(lambda: "up" in cwic("logs", sandbox).stdout, "the main process")
    assert cwic("stop", sandbox, "--grace", "20s").returncode == 0
    cwic.wait_until_gone(tag)
    shown = json.loads(cwic("get", sandbox, "-o", "json").stdout)
    assert shown["exitCode"] == 5
    assert cwic("rm", sandbox, "--yes").returncode == 0


def test_what_does_not_exist_is_said_not_to(cwic):
    nobody = str(uuid.uuid4())
    for words in (["get", nobody], ["logs", nobody], ["exec", nobody, "--", "true"],
                  ["stop", nobody], ["rm", nobody, "--yes"], ["port-forward", nobody, "80"]):
        ran = cwic(*words)
        assert (ran.returncode, ran.stdout) == (3, ""), ran
        assert "CWSANDBOX_SANDBOX_NOT_FOUND" in ran.stderr


def test_logs_can_be_cut_and_followed(cwic, platform, tag):
    script = "import time\nfor i in range(5): print('line', i, flush=True)\ntime.sleep(600)"
    sandbox = cwic("run", "-d", "--tag", tag, "--", "python", "-c", script).stdout.strip()
    platform.wait_for(lambda: "line 4" in cwic("logs", sandbox).stdout, "the lines")
    assert cwic("logs", sandbox, "--tail", "2").stdout == "line 3\nline 4\n"
    assert cwic("logs", sandbox, "--since", "1h").stdout.startswith("line 0\n")
    stamped = cwic("logs", sandbox, "--timestamps", "--tail", "1").stdout
    assert stamped.startswith("20") and stamped.endswith("Z line 4\n")
    follow = subprocess.Popen([platform.cwic_path, "sandbox", "logs", "-f", sandbox],
                              env=cwic.env, stdout=subprocess.PIPE)
    assert follow.stdout.readline() == b"line 0\n"
    cwic("rm", sandbox, "--yes")
    follow.wait(60)
    follow.stdout.close()


def test_watching_a_list_shows_what_changes(cwic, tag):
    watch = subprocess.Popen(cwic.words("ls", "--watch", "--tag", tag, "-o", "name"),
                             env=cwic.env, stdout=subprocess.PIPE, text=True)
    sandbox = cwic("run", "-d", "--tag", tag, "--", "sleep", "600").stdout.strip()
    assert watch.stdout.readline().strip() == sandbox
    watch.send_signal(signal.SIGINT)
    watch.wait(60)
    watch.stdout.close()
    cwic("rm", sandbox, "--yes")


def test_a_bad_amount_is_told_by_its_flag(cwic):
    ran = cwic("run", "--memory", "much", "--", "true")
    assert (ran.returncode, ran.stdout) == (64, "")
    assert "--memory " in ran.stderr and "resource_requests" not in ran.stderr


def test_the_end_at_its_maximum_lifetime_is_told(cwic):
    ran = cwic("run", "--rm", "--max-lifetime", "1s", "--", "sleep", "600")
    assert (ran.returncode, ran.stdout) == (143, "")
    assert "maximum lifetime of 1 s" in ran.stderr


def test_stopping_waits_for_the_end(cwic, sandbox_id):
    stopped = cwic("stop", sandbox_id, "--grace", "1s", "-o", "json")
    assert stopped.returncode == 0, stopped.stderr
    [told] = json.loads(stopped.stdout)["items"]
    assert (told["result"], told["name"]) == ("stopped", sandbox_id)
    shown = json.loads(cwic("get", sandbox_id, "-o", "json").stdout)
    assert shown["exitCode"] == told["exitCode"]
