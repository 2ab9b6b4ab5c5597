"""Ports of this machine and external addresses that lead to sandboxes, for each scope: who
gets in, what clients are told, what happens when there are none left, and that all of it
outlives a runner that is killed.

This machine itself stands for everybody outside: to a sandbox it is a stranger. Every address
here leads into namespaces that the platform made.
"""

import json
import os
import subprocess
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from cwsandbox import CWSandboxError, NetworkOptions, Sandbox
from cwsandbox._proto import gateway_pb2, gateway_pb2_grpc

from conftest import in_use, new_platform

SCOPES = ["user", "profile", "org", "any"]
SERVE = ["python3", "-m", "http.server", "8080", "--directory", "/etc"]
PORTS = [{"container_port": 8080, "name": "web"}]
CALL = """
import sys, urllib.request
try:
    print(urllib.request.urlopen(f'http://{sys.argv[1]}/hostname', timeout=5).read().decode().strip())
except OSError:
    print('nothing')
"""


def balanced(scope, pool=None, **more):
    service = {"serviceType": "LoadBalancer"}
    if pool:
        service["serviceSelectorAnnotation"] = {"key": "metallb.io/address-pool", "value": pool}
    return {"scope": scope, "service": service | more.pop("service", {}), **more}


def levels():
    made = {f"node-{scope}": {"scope": scope, "service": {"serviceType": "NodePort"}} for scope in SCOPES}
    made |= {f"balanced-{scope}": balanced(scope) for scope in SCOPES}
    return made | {
        "single": balanced("any", "single"),
        "patient": balanced("any", "single", expectsExternalAddress=True),
        "unknown-pool": balanced("any", "blue"),
        "named": balanced("any", service={"dnsAnnotation": {
            "key": "external-dns.alpha.kubernetes.io/hostname", "value": "box.example.com"}}),
    }


PROFILE = {
    "display_name": "services",
    "spec": {
        "container_image": "python:3.11",
        "namespace": {"strategy": "per-user"},
        "network": {
            "egress": {"default": "none", "modes": {
                mode: {"type": mode} for mode in ["none", "internet", "user", "org", "profile"]}},
            "ingress": levels(),
        },
    },
}


# For `cwic sandbox profile verify`.
MEASURED = {
    "display_name": "measured",
    "spec": {
        "container_image": "python:3.11",
        "namespace": {"strategy": "per-user"},
        "network": {
            "egress": {"default": "none", "modes": {mode: {"type": mode} for mode in ["none", "user"]}},
            "ingress": {
                "node": {"scope": "any", "service": {"serviceType": "NodePort"}},
                "open": balanced("any"),
                "team": balanced("user"),
            },
        },
    },
}


@pytest.fixture(scope="module")
def services(tmp_path_factory, platform):
    """A platform with ports and addresses."""
    own = new_platform(tmp_path_factory.mktemp("services"))
    own.records = own.directory / "records.json"
    own.options = [
        "--node-ports", "30100-30119", "--address-pool", "default=198.51.100.16/29",
        "--address-pool", "single=198.51.100.32/32", "--address-wait", "20",
        "--dns-records", str(own.records),
    ]
    with in_use(own, PROFILE, MEASURED):
        yield own
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    assert "198.51.100." not in routes
    tables = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    assert "198.51.100." not in tables and "30100" not in tables


def ask(platform, call):
    with grpc.insecure_channel(platform.url.removeprefix("http://")) as channel:
        token = [("authorization", f"Bearer {platform.token('user')}")]
        return call(gateway_pb2_grpc.GatewayServiceStub(channel), token)


def seen(platform, box):
    request = gateway_pb2.GetSandboxRequest(sandbox_id=box.sandbox_id)
    return ask(platform, lambda gateway, token: gateway.Get(request, metadata=token, timeout=10))


def start(level, *command, **network):
    network = NetworkOptions(ingress_mode=level, exposed_ports=[8080], **network)
    return Sandbox.run(*(command or SERVE), network=network, ports=PORTS)


def inside_of(platform, address):
    """The same port at an address of this machine that only leads to sandboxes."""
    host, _, port = address.rpartition(":")
    if host.startswith("198.51.100."):
        return address
    table = subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True, check=True).stdout
    own = [line.split() for line in table.splitlines() if " pal-" in line]
    # Of several platforms on this machine, all but this one know nothing of the port.
    return [f"{line[3].split('/')[0]}:{port}" for line in own]


def fetch(address):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{address}/hostname", timeout=3) as answer:
            return answer.read().decode().strip()
    except OSError:
        return None


def outside(platform, address):
    """What this machine hears there."""
    ways = inside_of(platform, address)
    heard = [fetch(way) for way in ([ways] if isinstance(ways, str) else ways)]
    return next((one for one in heard if one), None)


def until_heard(platform, address, name):
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        if (heard := outside(platform, address)) == name:
            return heard
        time.sleep(0.1)
    raise AssertionError(f"{address} never answered as {name}")


def call(caller, address):
    done = caller.exec(["python3", "-c", CALL, address]).result()
    assert done.returncode == 0, done
    return done.stdout.strip()


def until_called(caller, address, name):
    for _ in range(50):
        if (heard := call(caller, address)) == name:
            return heard
    raise AssertionError(f"{address} never answered as {name}: {heard}")


@pytest.fixture(scope="module")
def callers(services):
    boxes = {mode: Sandbox.run(network=NetworkOptions(egress_mode=mode)) for mode in ("org", "user", "internet", "none")}
    for box in boxes.values():
        box.wait(timeout=60)
    yield boxes
    for box in boxes.values():
        # The platform may have come back at another address.
        Sandbox.from_id(box.sandbox_id).result().stop().result()


@pytest.mark.parametrize("kind", ["node", "balanced"])
@pytest.mark.parametrize("scope", SCOPES)
def test_each_scope_is_reached_by_its_service_address_and_by_nobody_else(services, callers, kind, scope):
    box = start(f"{kind}-{scope}")
    told = box.service_address
    box.wait(timeout=60)
    shown = seen(services, box)
    address = shown.service_address
    assert told == address
    assert shown.applied_ingress_mode == f"{kind}-{scope}"
    assert [port.container_port for port in shown.exposed_ports] == [8080]
    port = int(address.rpartition(":")[2])
    assert port in range(30100, 30120) if kind == "node" else port == 8080
    until_called(callers["org"], address, box.sandbox_id)
    assert call(callers["user"], address) == box.sandbox_id
    assert call(callers["internet"], address) == "nothing"
    assert call(callers["none"], address) == "nothing"
    if scope == "any":
        until_heard(services, address, box.sandbox_id)
        if kind == "node":
            assert fetch(f"127.0.0.1:{port}") is None
    else:
        assert outside(services, address) is None
    box.stop().result()
    services.wait_for(lambda: outside(services, address) is None, "it to be closed")


def test_what_leads_to_a_sandbox_outlives_the_runner(services):
    boxes = [start("node-any"), start("balanced-any"), start("node-org")]
    for box in boxes:
        box.wait(timeout=60)
    addresses = [seen(services, box).service_address for box in boxes]
    for box, address in zip(boxes[:2], addresses):
        until_heard(services, address, box.sandbox_id)
    services.kill()
    for box, address in zip(boxes[:2], addresses):
        assert outside(services, address) == box.sandbox_id
    assert outside(services, addresses[2]) is None
    services.start()
    os.environ["CWSANDBOX_BASE_URL"] = services.url
    services.wait_for_runner()
    for box, address in zip(boxes, addresses):
        assert seen(services, box).service_address == address
    for box, address in zip(boxes[:2], addresses):
        assert outside(services, address) == box.sandbox_id
    for box in boxes:
        Sandbox.from_id(box.sandbox_id).result().stop().result()
    for address in addresses:
        services.wait_for(lambda: outside(services, address) is None, "it to be closed")


def failure(box):
    with pytest.raises(CWSandboxError) as failed:
        box.wait(timeout=60)
    return str(failed.value)


def reason(platform, box):
    return seen(platform, box).status_reason


def refused_start(level):
    """A start that is refused for lack of room: code, sentence, and how long to wait."""
    with pytest.raises(CWSandboxError) as caught:
        start(level).wait(timeout=60)
    error = caught.value
    cause = error.__cause__
    assert error.reason == "CWSANDBOX_NO_SUITABLE_RUNNER", error
    assert isinstance(cause, grpc.RpcError) and cause.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, cause
    violations = json.loads(error.metadata["violations"])
    assert violations[0]["constraint"] == "free_pool", violations
    # As RetryInfo, in the details of the status.
    details = dict(cause.trailing_metadata())["grpc-status-details-bin"]
    assert b"google.rpc.RetryInfo" in details
    return str(error)


def start_when_free(platform, level):
    """What was given back rests for ten seconds."""
    def attempt():
        try:
            return start(level)
        except CWSandboxError as error:
            assert "in use" in str(error), error
            return None
    box = platform.wait_for(attempt, f"room for {level}")
    box.wait(timeout=60)
    return box


def test_a_pool_that_is_taken_up_refuses_or_makes_wait(services):
    first = start("single")
    first.wait(timeout=60)
    assert "single, 1 of 1 in use" in refused_start("single")
    waiting = start("patient")
    services.wait_for(lambda: "waiting for an external address" in reason(services, waiting), "it to wait")
    assert "pool single" in reason(services, waiting)
    first.stop().result()
    # What was given back rests for ten seconds.
    waiting.wait(timeout=60)
    address = seen(services, waiting).service_address
    assert address == "198.51.100.32:8080"
    late = start("patient")
    failure(late)
    assert "it got no external address within 20 s" in reason(services, late)
    waiting.stop().result()


@pytest.fixture
def scarce(tmp_path, platform):
    """A platform with one port and one address."""
    own = new_platform(tmp_path)
    own.options = ["--node-ports", "30190-30190", "--address-pool", "default=198.51.100.48/32"]
    with in_use(own, PROFILE):
        yield own
    tables = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    assert "30190" not in tables and "198.51.100.48" not in tables


def explained(platform, level):
    request = {"network": {"ingress_mode": level, "exposed_ports": [8080]}, "ports": PORTS}
    done = platform.cwic(
        "sandbox", "explain", "-f", "-", "-o", "json", stdin=json.dumps(request), check=False, token="user")
    assert done.returncode == 2, done
    return done.stdout


@pytest.mark.parametrize("level,pool", [("node-any", "node ports"), ("balanced-any", "default")])
def test_the_last_of_a_pool_is_refused_to_the_next_and_free_again_after_the_end(scarce, level, pool):
    first = start(level)
    # Before the runner could tell of it as well as after.
    assert f"{pool}, 1 of 1 in use" in refused_start(level)
    first.wait(timeout=60)
    address = seen(scarce, first).service_address
    assert f"{pool}, 1 of 1 in use" in refused_start(level)
    told = explained(scarce, level)
    assert "free_pool" in told and f"{pool}, 1 of 1 in use" in told, told
    for _ in range(2):
        first.stop().result()
        first = start_when_free(scarce, level)
        assert seen(scarce, first).service_address == address
    first.stop().result()


@pytest.mark.parametrize("level,pool", [("node-any", "node ports"), ("balanced-any", "default")])
def test_of_those_who_want_the_last_of_a_pool_at_once_one_gets_it(scarce, level, pool):
    at_once = threading.Barrier(8)

    def attempt(_):
        at_once.wait(timeout=30)
        try:
            return start(level)
        except CWSandboxError as error:
            assert error.reason == "CWSANDBOX_NO_SUITABLE_RUNNER", error
            assert f"{pool}, 1 of 1 in use" in str(error), error
            return None

    with ThreadPoolExecutor(at_once.parties) as racers:
        [winner] = [box for box in racers.map(attempt, range(at_once.parties)) if box]
    winner.wait(timeout=60)
    host, _, port = seen(scarce, winner).service_address.rpartition(":")
    assert port == "30190" if level == "node-any" else (host, port) == ("198.51.100.48", "8080")
    winner.stop().result()
    # The losers hold nothing back.
    start_when_free(scarce, level).stop().result()


def test_a_pool_that_is_none_is_refused_with_those_that_are(services):
    with pytest.raises(CWSandboxError) as refused:
        start("unknown-pool").wait(timeout=60)
    told = str(refused.value)
    assert "no address pool blue; it has default, single" in told


def test_names_are_told_while_their_sandbox_runs(services):
    box = start("named")
    box.wait(timeout=60)
    address = seen(services, box).service_address
    [record] = json.loads(services.records.read_text())["records"]
    assert record == {
        "sandbox_id": box.sandbox_id, "key": "external-dns.alpha.kubernetes.io/hostname",
        "value": "box.example.com", "addresses": [address.rpartition(":")[0]], "ports": [8080],
        "service_address": address,
    }
    box.stop().result()
    services.wait_for(lambda: not json.loads(services.records.read_text())["records"], "the name to be gone")


def test_several_ports_follow_each_other(services):
    ports = [{"container_port": number, "name": f"p{number}"} for number in (8081, 8080)]
    network = NetworkOptions(ingress_mode="node-any", exposed_ports=[8081, 8080])
    with Sandbox.run(*SERVE, network=network, ports=ports) as box:
        box.wait(timeout=60)
        host, _, first = seen(services, box).service_address.rpartition(":")
        until_heard(services, f"{host}:{int(first) + 1}", box.sandbox_id)
        assert outside(services, f"{host}:{first}") is None


def test_verifying_a_profile_measures_what_leads_to_sandboxes(services):
    env = dict(os.environ, CWIC_SERVER=services.url, CWIC_TOKEN=services.token("admin"))
    words = ["sandbox", "profile", "verify", "measured", "-o", "json"]
    done = subprocess.run([services.cwic_path, *words], env=env, text=True, capture_output=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    told = json.loads(done.stdout)
    rows = [row for row in told["rows"] if " port by its " in row["target"]]
    for mode, level, service in [("user", "node", "NodePort"), ("user", "team", "LoadBalancer"), ("outside", "open", "LoadBalancer")]:
        target = f"same user, same profile, level {level}, exposed port by its {service}"
        found = [row for row in rows if row["egressMode"] == mode and row["target"] == target]
        assert found and {(row["predicted"], row["result"]) for row in found} == {("allowed", "equal")}, (target, found)
    closed = [row for row in rows if row["egressMode"] == "none" or "unexposed" in row["target"]]
    assert closed and {(row["predicted"], row["result"]) for row in closed} == {("refused", "equal")}, closed
    [team] = [row for row in rows if row["egressMode"] == "outside" and "level team" in row["target"]]
    assert (team["predicted"], team["result"]) == ("refused", "equal"), team
