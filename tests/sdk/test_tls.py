"""A server with a certificate of a private authority, and cwic that is told of it."""

import json
import os
import subprocess

import pytest

from certificates import certify
from conftest import binary, new_platform, with_profiles


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    certify(directory, "127.0.0.1")
    platform = new_platform(directory / "platform")
    platform.directory.mkdir()
    platform.authority = directory / "ca.pem"
    platform.options = ["--tls-cert", str(directory / "server.pem"), "--tls-key", str(directory / "server.key")]
    os.environ["CWIC_CA_FILE"] = str(platform.authority)
    try:
        platform.start()
        with_profiles(platform)
        yield platform
    finally:
        del os.environ["CWIC_CA_FILE"]
        assert platform.stop() == 0, platform.log()[-4000:]


def run(platform, *args, **env):
    settings = {key: value for key, value in os.environ.items() if not key.startswith("CWIC_")}
    return subprocess.run([binary("cwic"), *args], env=settings | env, text=True, capture_output=True, timeout=60)


def test_rest_and_grpc_go_to_a_server_with_a_private_certificate(private):
    known = {"CWIC_SERVER": private.url, "CWIC_TOKEN": private.token("admin"),
             "CWIC_CA_FILE": str(private.authority)}
    assert run(private, "sandbox", "profile", "ls", "-o", "name", **known).stdout.split() == \
        ["closed", "elsewhere", "open", "team"]
    ran = run(private, "sandbox", "run", "--rm", "--image", "python:3.11", "--", "python", "-c", "print(42)", **known)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "42\n", "")
    watched = run(private, "sandbox", "ls", "-o", "json", **known)
    assert json.loads(watched.stdout) == {"items": []}


def test_without_the_authority_nothing_is_sent(private):
    for command in (["profile", "ls"], ["ls"]):
        ran = run(private, "sandbox", *command, CWIC_SERVER=private.url, CWIC_TOKEN=private.token("admin"))
        assert (ran.returncode, ran.stdout) == (1, "")
        assert "cannot be reached" in ran.stderr and "ertificate" in ran.stderr, ran.stderr


def test_a_login_keeps_the_authority_for_its_server_alone(private, tmp_path):
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    logged_in = run(private, "auth", "login", private.token("admin"), "--server", private.url,
                    "--ca-file", os.path.relpath(private.authority), **home)
    assert logged_in.returncode == 0, logged_in.stderr
    assert run(private, "sandbox", "runner", "ls", "-o", "name", **home).stdout == "local\n"
    assert run(private, "sandbox", "ls", "-o", "name", **home).returncode == 0
    other = run(private, "sandbox", "ls", "--server", "https://127.0.0.1:1", "--token", "t", **home)
    assert other.returncode == 1 and "refused" in other.stderr, other.stderr
