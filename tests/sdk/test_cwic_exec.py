"""Commands, files and ports of a sandbox through `cwic`."""

import concurrent.futures
import hashlib
import os
import random
import re
import signal
import socket
import stat
import subprocess
import urllib.request

import pytest

from test_cwic_run import Driver, cwic, on_terminal, sandbox_id, tag  # noqa: F401

MIB = 1024 * 1024


@pytest.mark.parametrize("command, code", [
    (["true"], 0), (["false"], 1), (["/etc/passwd"], 126), (["/no/such"], 127),
    (["sh", "-c", "kill -9 $$"], 137), (["sh", "-c", "exit 255"], 255),
])
def test_the_code_of_a_command_is_passed_on(cwic, sandbox_id, command, code):
    assert cwic("exec", sandbox_id, "--", *command).returncode == code


def test_both_outputs_and_input_are_passed_on(cwic, sandbox_id):
    ran = cwic("exec", "-i", sandbox_id, "--", "sh", "-c", "cat; echo err >&2", stdin="in\n")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("in\n", "err\n", 0)
    ran = cwic("exec", "-e", "A=b c", sandbox_id, "--", "sh", "-c", "cat; echo $A", stdin="in\n")
    assert ran.stdout == "b c\n"


def test_much_goes_in_and_comes_back_as_it_was(platform, cwic, sandbox_id):
    content = random.Random(7).randbytes(64 * MIB)
    ran = subprocess.run([platform.cwic_path, "sandbox", "exec", "-i", sandbox_id, "--", "cat"],
                         env=cwic.env, input=content, capture_output=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert hashlib.sha256(ran.stdout).digest() == hashlib.sha256(content).digest()


def test_a_terminal_is_refused_where_there_is_none(cwic, sandbox_id):
    ran = cwic("exec", "-it", sandbox_id, "--", "true", stdin="")
    assert ran.returncode == 64 and "leave out -t" in ran.stderr


def test_a_new_size_is_seen_inside(on_terminal, sandbox_id):
    shell = on_terminal("exec", "-it", sandbox_id, "--", "bash", columns=80, rows=24)
    shell.type("trap 'echo now $(stty size)' WINCH; echo re''ady\n")
    shell.expect("\r\nready\r\n")
    shell.resize(132, 50)
    shell.type("\n")
    shell.expect("now 50 132")
    shell.type("exit\n")
    assert shell.wait() == 0


def test_control_c_is_for_the_command(on_terminal, sandbox_id):
    shell = on_terminal("exec", "-it", sandbox_id, "--",
                        "sh", "-c", "echo up; exec sleep 600")
    shell.expect("up")
    shell.type("\x03")
    assert shell.wait() == 130
    assert shell.is_as_before()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_the_terminal_is_given_back_however_it_ends(cwic, platform, on_terminal, sandbox_id, number):
    shell = on_terminal("exec", "-it", sandbox_id, "--",
                        "sh", "-c", f"echo up; exec sleep 76{number.value}")
    shell.expect("up")
    assert not shell.is_as_before()
    shell.kill(number)
    assert shell.wait() == 128 + number
    assert shell.is_as_before()
    look = ["exec", sandbox_id, "--", "sh", "-c",
            f"cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 7[6]{number.value}'"]
    platform.wait_for(lambda: cwic(*look).stdout.strip() == "0", "the command to be killed")


def test_output_cannot_play_with_the_terminal(on_terminal, sandbox_id):
    script = r"printf '\033]0;owned\007\033[31mred\033[0m\n'"
    seen = on_terminal("exec", sandbox_id, "--", "sh", "-c", script)
    assert seen.expect("\x1b[31mred\x1b[0m\r\n") == "^[]0;owned^G"
    assert seen.wait() == 0


@pytest.mark.parametrize("size", [0, 5, 40 * MIB])
def test_files_are_copied_both_ways_with_their_modes(cwic, sandbox_id, tmp_path, size):
    content = random.Random(size).randbytes(size)
    source = tmp_path / "data.bin"
    source.write_bytes(content)
    source.chmod(0o750)
    sent = cwic("cp", str(source), f"{sandbox_id}:/tmp/new/dir/")
    assert (sent.returncode, sent.stderr) == (0, "")
    inside = cwic("exec", sandbox_id, "--", "sh", "-c",
                  "cd /tmp/new/dir; stat -c %a data.bin; sha256sum < data.bin; ls -A | wc -l").stdout
    assert inside.split() == ["750", hashlib.sha256(content).hexdigest(), "-", "1"]
    (tmp_path / "back").mkdir()
    got = cwic("cp", f"{sandbox_id}:/tmp/new/dir/data.bin", str(tmp_path / "back"))
    assert (got.returncode, got.stderr) == (0, "")
    back = tmp_path / "back" / "data.bin"
    assert back.read_bytes() == content
    assert stat.S_IMODE(back.stat().st_mode) == 0o750
    assert os.listdir(tmp_path / "back") == ["data.bin"]


def test_a_copy_into_a_directory_keeps_its_name(cwic, sandbox_id, tmp_path):
    (tmp_path / "f").write_text("x")
    cwic("exec", sandbox_id, "--", "mkdir", "-p", "/tmp/there")
    assert cwic("cp", str(tmp_path / "f"), f"{sandbox_id}:/tmp/there").returncode == 0
    assert cwic("exec", sandbox_id, "--", "cat", "/tmp/there/f").stdout == "x"


@pytest.mark.parametrize("has_tar", [True, False])
def test_directories_are_copied_both_ways(cwic, sandbox_id, tmp_path, has_tar):
    if not has_tar:
        cwic("exec", sandbox_id, "--", "sh", "-c", "rm $(command -v tar)")
        look = cwic("exec", sandbox_id, "--", "sh", "-c", "command -v tar")
        assert look.returncode != 0
    tree = tmp_path / "tree"
    (tree / "a" / "empty").mkdir(parents=True)
    (tree / "a" / "tool").write_bytes(b"#!/bin/sh\n" * 100_000)
    (tree / "a" / "tool").chmod(0o755)
    (tree / "link").symlink_to("a/tool")
    (tree / "a" / "closed").mkdir(mode=0o750)
    (tree / "a" / "closed" / "two words").write_text("x")
    with open(tree / "a" / "large", "wb") as large:
        large.truncate(33 * MIB)
    assert cwic("cp", str(tree), f"{sandbox_id}:/tmp/tree").returncode == 0
    assert cwic("exec", sandbox_id, "--", "readlink", "/tmp/tree/link").stdout == "a/tool\n"
    got = cwic("cp", f"{sandbox_id}:/tmp/tree", str(tmp_path / "back"))
    assert (got.returncode, got.stderr) == (0, "")
    back = tmp_path / "back"
    assert (back / "a" / "tool").read_bytes() == (tree / "a" / "tool").read_bytes()
    assert (back / "a" / "empty").is_dir()
    assert (back / "a" / "closed" / "two words").read_text() == "x"
    assert stat.S_IMODE((back / "a" / "closed").stat().st_mode) == 0o750
    assert (back / "a" / "large").stat().st_size == 33 * MIB
    assert stat.S_IMODE((back / "a" / "tool").stat().st_mode) == 0o755
    assert os.readlink(back / "link") == "a/tool"
    assert sorted(os.listdir(tmp_path)) == ["back", "tree"]


def test_copies_that_cannot_be_are_refused(cwic, sandbox_id, tmp_path):
    missing = cwic("cp", f"{sandbox_id}:/no/such", str(tmp_path / "x"))
    assert missing.returncode == 3 and "CWSANDBOX_FILE_NOT_FOUND" in missing.stderr
    assert cwic("cp", str(tmp_path / "none"), f"{sandbox_id}:/tmp/x").returncode == 1
    assert cwic("cp", "a", "b").returncode == 64
    assert cwic("cp", f"{sandbox_id}:relative", "b").returncode == 64
    assert os.listdir(tmp_path) == []


SERVER = """
import http.server, threading, socket
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.path.encode() * 1000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
def count():
    listener = socket.create_server(("::1", 9000), family=socket.AF_INET6)
    while True:
        connection, _ = listener.accept()
        total = 0
        while piece := connection.recv(65536):
            total += len(piece)
        connection.sendall(b"%d bytes" % total)
        connection.close()
threading.Thread(target=count, daemon=True).start()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler)
print("up", flush=True)
server.serve_forever()
"""


@pytest.fixture
def forwarded(platform, cwic, tag):
    """A sandbox with two servers under a profile that lets nothing out or in,
    and the local ports that lead to them and to one where nobody listens."""
    sandbox = cwic("run", "-d", "--profile", "closed", "--tag", tag, "--", "python", "-c",
                   SERVER).stdout.strip()
    platform.wait_for(lambda: "up" in cwic("logs", sandbox).stdout, "the servers")
    command = [platform.cwic_path, "sandbox", "port-forward", sandbox, ":8000", ":9000", ":7000"]
    forward = subprocess.Popen(command, env=cwic.env, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    ports = [int(re.search(r"127\.0\.0\.1:(\d+)", forward.stdout.readline())[1]) for _ in range(3)]
    yield sandbox, forward, ports
    forward.kill()
    forward.communicate()
    cwic("rm", sandbox, "--yes")


def test_a_server_inside_is_reached_twenty_times_at_once(forwarded):
    _, _, [web, _, _] = forwarded

    def fetch(number):
        with urllib.request.urlopen(f"http://127.0.0.1:{web}/{number:03}", timeout=60) as answer:
            return answer.read() == f"/{number:03}".encode() * 1000

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert all(pool.map(fetch, range(60)))


def test_each_direction_has_its_own_end(forwarded):
    _, _, [_, counting, _] = forwarded
    with socket.create_connection(("127.0.0.1", counting), timeout=60) as connection:
        connection.sendall(b"x" * (8 * MIB))
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(100):
            answer += piece
    assert answer == b"%d bytes" % (8 * MIB)


def test_a_closed_port_is_told_and_others_go_on(forwarded):
    _, forward, [web, _, closed] = forwarded
    with socket.create_connection(("127.0.0.1", closed), timeout=60) as connection:
        try:
            assert connection.recv(1) == b""
        except ConnectionResetError:
            pass
    told = "".join(forward.stderr.readline() for _ in range(2))
    assert "CWSANDBOX_PORT_CLOSED" in told and "port 7000" in told
    with urllib.request.urlopen(f"http://127.0.0.1:{web}/", timeout=60) as answer:
        assert answer.status == 200


def test_forwarding_ends_when_it_is_asked_to(forwarded):
    _, forward, [web, _, _] = forwarded
    with socket.create_connection(("127.0.0.1", web), timeout=60):
        forward.send_signal(signal.SIGINT)
        assert forward.wait(60) == 130


def test_forwarding_ends_with_the_sandbox(cwic, forwarded):
    sandbox, forward, _ = forwarded
    cwic("rm", sandbox, "--yes")
    assert forward.wait(60) != 0
    assert "nothing is forwarded any more" in forward.stderr.read()
