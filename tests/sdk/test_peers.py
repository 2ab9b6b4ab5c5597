"""Sandboxes that talk to each other, as far as both of their profiles allow."""

import os

import pytest
from cwsandbox import CWSandboxError, NetworkOptions, Sandbox

pytestmark = pytest.mark.usefixtures("platform")

SERVE = ["python3", "-m", "http.server", "8080", "--directory", "/etc"]

CALL = """
import socket, sys, urllib.request
name, port = sys.argv[1], sys.argv[2]
try:
    address = socket.getaddrinfo(name, None, socket.AF_INET)[0][4][0]
except OSError:
    address = 'unknown'
try:
    answer = urllib.request.urlopen(f'http://{sys.argv[3] or name}:{port}/hostname', timeout=5)
    heard = answer.read().decode().strip()
except OSError:
    heard = 'nothing'
print(address, heard)
"""


def serving(level, **request):
    network = NetworkOptions(ingress_mode=level, exposed_ports=[8080], **request)
    return Sandbox.run(
        *SERVE, profile_names=["team"], network=network, ports=[{"container_port": 8080, "name": "web"}]
    )


def calling(mode):
    return Sandbox.run(profile_names=["team"], network=NetworkOptions(egress_mode=mode))


def name(sandbox, level):
    return f"{sandbox.sandbox_id}.{level}.sandbox.internal"


def call(caller, host, port=8080, address=""):
    done = caller.exec(["python3", "-c", CALL, host, str(port), address]).result()
    assert done.returncode == 0, done
    return done.stdout.split()


def until_served(caller, host):
    """The server needs a moment to listen after its sandbox runs."""
    for _ in range(100):
        address, heard = call(caller, host)
        if heard != "nothing":
            return address, heard
    raise AssertionError(f"{host} never answered")


@pytest.fixture(scope="module")
def target(platform):
    with serving("internal") as target:
        target.wait(timeout=60)
        yield target


def test_two_sandboxes_of_one_user_talk_by_name(target):
    assert target.applied_ingress_mode == "internal"
    assert target.exposed_ports == ((8080, "web"),)
    with calling("user") as caller:
        caller.wait(timeout=60)
        address, heard = until_served(caller, name(target, "internal"))
        assert heard == target.sandbox_id
        # By its address as well, and at no other port.
        assert call(caller, "no-such-name", address=address) == ["unknown", heard]
        assert call(caller, name(target, "internal"), port=22) == [address, "nothing"]
        # At no other level, and nothing but sandboxes has a name.
        assert call(caller, name(target, "shared"), address=address) == ["unknown", heard]
        assert call(caller, "example.com")[0] == "unknown"


@pytest.mark.parametrize("mode", ["internet", "none"])
def test_a_sandbox_whose_mode_reaches_no_peers_does_not(target, mode):
    with calling("user") as friend:
        friend.wait(timeout=60)
        address, _ = until_served(friend, name(target, "internal"))
    with calling(mode) as caller:
        caller.wait(timeout=60)
        assert call(caller, name(target, "internal"), address=address) == ["unknown", "nothing"]


def test_a_sandbox_of_another_user_is_refused(target, platform, monkeypatch):
    with calling("user") as friend:
        friend.wait(timeout=60)
        address, _ = until_served(friend, name(target, "internal"))
    monkeypatch.setitem(os.environ, "CWSANDBOX_API_KEY", platform.token("admin"))
    for mode in ["user", "org", "profile"]:
        with calling(mode) as stranger:
            stranger.wait(timeout=60)
            assert call(stranger, name(target, "internal"), address=address) == ["unknown", "nothing"]
    # What this one exposes to the organization is open to the other user, if its
    # mode reaches the organization.
    with serving("shared") as shared:
        shared.wait(timeout=60)
        monkeypatch.setitem(os.environ, "CWSANDBOX_API_KEY", platform.token("user"))
        with calling("org") as caller:
            caller.wait(timeout=60)
            assert until_served(caller, name(shared, "shared"))[1] == shared.sandbox_id
        with calling("user") as caller:
            caller.wait(timeout=60)
            assert call(caller, name(shared, "shared")) == ["unknown", "nothing"]
        monkeypatch.setitem(os.environ, "CWSANDBOX_API_KEY", platform.token("admin"))


def test_what_is_not_built_is_refused_with_the_reason():
    with pytest.raises(CWSandboxError) as caught:
        with serving("routed"):
            pass
    assert caught.value.reason == "CWSANDBOX_PROFILE_MISMATCH"
    assert "HTTP" in str(caught.value)
