"""`cwic sandbox profile verify` on a cluster tells what is so: where nothing
enforces network policies it says what gets through, and where something does,
it proves that."""

import json
import os
import subprocess

import pytest

from conftest import IMAGE, PATIENCE_SECONDS, PREFIX, Runner
from test_deploying import image  # noqa: F401

# The program that asks comes out of it, by way of an init container.
PROGRAM_IMAGE = "127.0.0.1:5000/palisade:test"
CLOSED = {"default": "deny-all", "modes": {"deny-all": {"type": "none"}}}
PROFILES = {
    "closed": {"egress": CLOSED},
    "peers": {
        "egress": {"default": "mine", "modes": {"mine": {"type": "user"}}},
        "ingress": {"team": {"scope": "user", "service": {"serviceType": "ClusterIP"}}},
    },
}
# What a network plugin would do under policies that close everything.
ENFORCING = """
table bridge palisade_verifying {
  chain between { type filter hook forward priority 0; policy drop; ether type arp accept; }
  chain to_node { type filter hook input priority 0; policy accept; ether type { ip, ip6 } drop; }
}
"""


def in_node(*words, stdin=None):
    netns = f"/run/netns/{os.environ['PALISADE_TEST_KUBE_NETNS']}"
    return subprocess.run(["nsenter", f"--net={netns}", "--", *words], input=stdin, text=True,
                          capture_output=True, timeout=60, check=True)


@pytest.fixture(scope="module")
def measured(system):
    """Profiles of this file, by name."""
    ids = {}
    for name, network in PROFILES.items():
        ids[name] = system.create_profile({"display_name": f"measured-{name}", "spec": {
            "container_image": IMAGE, "namespace": {"strategy": "per-user", "namespacePrefix": PREFIX},
            "network": network,
        }})
    return ids


@pytest.fixture
def start(system, measured):
    """Starts a runner that offers them."""
    runners = []

    def begin(name, *options):
        bindings = [{"profile_template_id": id, "is_default": name == "closed"} for name, id in measured.items()]
        system.create_runner(name, bindings)
        runners.append(Runner(system, name, *options).start())
        system.wait_for(lambda: system.is_connected(name), "the runner to connect")
        return runners[-1]

    yield begin
    for runner in runners:
        assert runner.stop() == 0, runner.log()[-4000:]
        system.cwic("sandbox", "runner", "delete", runner.name, "--yes")


def verify(system, profile, runner, *more):
    words = ["sandbox", "profile", "verify", f"measured-{profile}", "--runner", runner, *more]
    return system.cwic(*words, check=False)


def nothing_is_left(system):
    system.wait_for(lambda: not system.cwic("sandbox", "ls", "-o", "name").stdout.strip(), "the end of the probe sandboxes")


def test_where_nothing_enforces_policies_it_says_what_gets_through(system, start, image):  # noqa: F811
    start("verify-open", "--network-enforcement", "accept-none", "--program-image", PROGRAM_IMAGE)
    done = verify(system, "closed", "verify-open", "-o", "json")
    assert done.returncode == 2, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["mismatches"] > 0 and told["probes"] > 50, told
    reached = [row for row in told["rows"] if row["result"] == "mismatch"]
    assert {row["predicted"] for row in reached} == {"refused"}, reached
    # Nothing is exposed there, and everything answers.
    assert any(row["target"].startswith("same user") and row["measured"] == "open" for row in reached), reached

    table = verify(system, "peers", "verify-open")
    assert table.returncode == 2 and "MISMATCH" in table.stdout, table.stdout + table.stderr
    assert "not measured: names of sandboxes: a cluster's resolver" in table.stdout
    nothing_is_left(system)


def test_where_they_are_enforced_all_is_equal_to_the_model(system, start, image):  # noqa: F811
    start("verify-shut", "--network-enforcement", "trusted", "--program-image", PROGRAM_IMAGE)
    in_node("nft", "-f", "-", stdin=ENFORCING)
    try:
        done = verify(system, "closed", "verify-shut", "-o", "json")
    finally:
        in_node("nft", "delete", "table", "bridge", "palisade_verifying")
    told = json.loads(done.stdout)
    wrong = [row for row in told["rows"] if row["result"] == "mismatch"]
    assert (done.returncode, wrong) == (0, []), done.stderr
    nothing_is_left(system)


def test_what_cannot_be_measured_is_refused_with_the_reason(system, start):
    start("verify-bare", "--network-enforcement", "accept-none")
    bare = verify(system, "closed", "verify-bare")
    assert bare.returncode == 2 and "--program-image" in bare.stderr, bare.stderr
    runner = start("verify-required", "--program-image", PROGRAM_IMAGE)
    system.wait_for(lambda: "NOT enforced" in runner.log(), "what the runner found out", PATIENCE_SECONDS)

    def refusal():
        refused = verify(system, "closed", "verify-required")
        assert refused.returncode == 2, refused.stdout + refused.stderr
        return "does not enforce network policies" in refused.stderr

    system.wait_for(refusal, "the refusal with its reason")
    lacks = json.loads(system.cwic("sandbox", "runner", "get", "verify-required", "-o", "json").stdout)["lacks"]
    assert "does not enforce network policies" in lacks["egress"], lacks
    nothing_is_left(system)
