"""`cwic sandbox profile verify` measures what is so, whatever is said of it."""

import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from conftest import new_platform
from joining import joined

# Beside all addresses that are in use: a machine that answers, behind this one.
OUTSIDE = "203.0.113.34"
NEAR = "203.0.113.33"

PROFILE = {
    "display_name": "measured",
    "spec": {
        "namespace": {"strategy": "per-user"},
        "network": {
            "egress": {
                "default": "deny-all",
                "modes": {
                    "deny-all": {"type": "none"},
                    "internet": {"type": "internet"},
                    "one": {"type": "allowlist", "cidrs": [f"{OUTSIDE}/32"]},
                    "mine": {"type": "user"},
                },
            },
            "ingress": {"team": {"scope": "user", "service": {"serviceType": "ClusterIP"}}},
        },
    },
}


def run(*words):
    return subprocess.run(words, check=True, text=True, capture_output=True, timeout=30).stdout


@pytest.fixture(scope="module")
def outside():
    """A namespace with an address of its own on a cable to this machine."""
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up; echo up; exec sleep infinity"],
        stdout=subprocess.PIPE, text=True,
    )
    try:
        assert holder.stdout.readline() == "up\n"
        pid = str(holder.pid)
        run("ip", "link", "add", "palverify", "type", "veth", "peer", "name", "eth0", "netns", pid)
        run("ip", "addr", "add", f"{NEAR}/30", "dev", "palverify")
        run("ip", "link", "set", "palverify", "up")
        inside = ["nsenter", "--net", "--target", pid]
        run(*inside, "ip", "addr", "add", f"{OUTSIDE}/30", "dev", "eth0")
        run(*inside, "ip", "link", "set", "eth0", "up")
        run(*inside, "ip", "route", "add", "default", "via", NEAR)
        yield
    finally:
        holder.kill()
        holder.wait(10)


@pytest.fixture(scope="module")
def measured(tmp_path_factory, outside):
    platform = new_platform(tmp_path_factory.mktemp("measured")).start()
    try:
        profile = platform.create_profile(PROFILE)
        platform.create_runner([{"profile_template_id": profile, "is_default": True}])
        platform.router = router_of(platform.process.pid)
        yield platform
    finally:
        code = platform.stop()
        assert code == 0, platform.log()[-4000:]


def router_of(pid):
    """The namespace of this one of the runners on this machine: it keeps it open."""
    held = {path.stat().st_ino for path in pathlib.Path(f"/proc/{pid}/fd").iterdir() if os.readlink(path).startswith("net:")}
    [router] = [path for path in pathlib.Path("/run/palisade").glob("*.netns") if path.stat().st_ino in held]
    return router


def words(platform, *more):
    other = str(platform.state / "tokens" / "user")
    return ["sandbox", "profile", "verify", "measured", "--image", "python:3.11", "--other-user-token-file", other, *more]


def verify(platform, *more):
    env = dict(os.environ, CWIC_SERVER=platform.url, CWIC_TOKEN=platform.token("admin"))
    return subprocess.run(
        [platform.cwic_path, *words(platform, *more)],
        env=env, text=True, capture_output=True, timeout=240, check=False,
    )


def nothing_is_left(platform):
    platform.wait_for(lambda: not platform.cwic("sandbox", "ls", "-o", "name").stdout.strip(), "the end of all")


def in_router(platform, *words):
    """Runs something in the namespace in which the rules of sandboxes are."""
    return run("nsenter", f"--net={platform.router}", *words)


def test_what_is_enforced_is_what_the_model_says(measured):
    done = verify(measured)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert re.fullmatch(r"\d+ probes, all equal to the model( \(\d+ unproven\))?", last), last
    count = int(last.split()[0])
    assert count > 300, last
    assert "not measured: other organization: give --other-organization-token-file" in done.stdout
    nothing_is_left(measured)

    told = json.loads(verify(measured, "-o", "json").stdout)
    assert told["mismatches"] == 0 and told["probes"] == len(told["rows"]) == count
    rows = {(row["egressMode"], row["probe"]): row for row in told["rows"]}
    # What is open was proved to be, and not only what is closed.
    for probe in [f"tcp/{OUTSIDE}/443", f"udp/{OUTSIDE}/443", f"icmp/{OUTSIDE}"]:
        row = rows["one", probe]
        assert (row["predicted"], row["result"]) == ("allowed", "equal"), row
    peers = [row for row in told["rows"] if row["target"].startswith("same user") and row["predicted"] == "allowed"]
    assert peers and {row["egressMode"] for row in peers} == {"mine"}, peers
    assert {row["result"] for row in peers} == {"equal"}, peers
    others = [row for row in told["rows"] if row["target"].startswith("other user")]
    assert others and {row["predicted"] for row in others} == {"refused"}, others
    nothing_is_left(measured)


def test_a_signal_leaves_nothing_behind(measured):
    env = dict(os.environ, CWIC_SERVER=measured.url, CWIC_TOKEN=measured.token("admin"))
    verifying = subprocess.Popen(
        [measured.cwic_path, *words(measured)], env=env,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    measured.wait_for(lambda: measured.cwic("sandbox", "ls", "-o", "name").stdout.strip(), "a probe sandbox")
    verifying.send_signal(signal.SIGINT)
    assert verifying.wait(60) == 130
    nothing_is_left(measured)


@pytest.fixture(scope="module")
def other_organization(measured):
    """A token of another organization that has a runner of its own on this machine."""
    with joined(measured, "evil", PROFILE) as runner:
        yield runner.admin


def test_sandboxes_of_another_organization_are_asked_about_and_closed(measured, other_organization):
    done = verify(measured, "--other-organization-token-file", str(other_organization), "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    rows = [row for row in told["rows"] if row["target"].startswith("other organization")]
    assert {row["egressMode"] for row in rows} == {"deny-all", "internet", "one", "mine"}, rows
    assert {(row["predicted"], row["result"]) for row in rows} == {("refused", "equal")}, rows
    assert {row["probe"].split("/")[0] for row in rows} >= {"tcp", "udp", "icmp"}, rows
    nothing_is_left(measured)


def verify_with(platform, change, *more):
    """What is measured while the rules are not those of the platform: `change` puts in ones with
    the comment `wrong`. Whenever addresses of this machine come or go, the runner loads its own
    table again, and with it what was measured meanwhile says nothing."""
    for _ in range(5):
        change()
        done = verify(platform, *more)
        if "wrong" in in_router(platform, "nft", "list", "table", "inet", "palisade"):
            return done
    raise AssertionError("the rules of the platform came back each time")


# From here on the rules are not those of the platform any more.
def test_a_hole_and_a_wall_that_the_model_does_not_know_are_found(measured):
    def hole():
        rule = ["oifname", "!=", "uplink", "accept", "comment", "wrong"]
        in_router(measured, "nft", "insert", "rule", "inet", "palisade", "forward", *rule)

    done = verify_with(measured, hole)
    assert done.returncode == 2, done.stdout + done.stderr
    wrong = [line for line in done.stdout.splitlines() if line.endswith("MISMATCH")]
    assert any("same user, same profile" in line and "tcp/" in line for line in wrong), done.stdout
    assert any("other user" in line for line in wrong), done.stdout
    assert "NOT equal to the model" in done.stdout.strip().splitlines()[-1]

    def wall():
        in_router(measured, "nft", "flush", "chain", "inet", "palisade", "forward")
        reject = ["reject", "with", "icmpx", "admin-prohibited", "comment", "wrong"]
        in_router(measured, "nft", "add", "rule", "inet", "palisade", "forward", *reject)

    done = verify_with(measured, wall)
    assert done.returncode == 2, done.stdout + done.stderr
    wrong = [line for line in done.stdout.splitlines() if line.endswith("MISMATCH")]
    assert any(f"udp/{OUTSIDE}/443" in line for line in wrong), done.stdout
    nothing_is_left(measured)


def test_where_nothing_is_enforced_that_is_what_is_told(measured):
    # As on a network that takes policies and ignores them: everything is let through.
    def nothing():
        for chain in ["input", "forward", "output"]:
            in_router(measured, "nft", "insert", "rule", "inet", "palisade", chain, "accept", "comment", "wrong")

    done = verify_with(measured, nothing, "-o", "json")
    assert done.returncode == 2, done.stdout + done.stderr
    told = json.loads(done.stdout)
    wrong = {(row["egressMode"], row["target"].split(",")[0]) for row in told["rows"] if row["result"] == "mismatch"}
    assert told["mismatches"] > 0 and wrong, done.stderr
    for mode in ["deny-all", "internet", "one"]:
        assert (mode, "same user") in wrong, wrong
        assert (mode, "other user") in wrong, wrong
    # What the model opens and the network opens are no mismatch.
    open_rows = [row for row in told["rows"] if row["predicted"] == "allowed"]
    assert "mismatch" not in {row["result"] for row in open_rows}, open_rows
