"""The HTTP entry point: clients on this machine reach what sandboxes expose under
a host name, and nothing else."""

import http.client
import os
import socket

import grpc
import pytest
from cwsandbox import NetworkOptions, Sandbox
from cwsandbox._proto import gateway_pb2, gateway_pb2_grpc

from conftest import new_platform

PROFILE = {
    "display_name": "web",
    "spec": {
        "container_image": "python:3.11",
        "namespace": {"strategy": "per-user"},
        "network": {
            "ingress": {
                "public": {
                    "scope": "any",
                    "service": {"serviceType": "ClusterIP"},
                    "ingress": {"controllerName": "palisade", "template": "{{.SandboxID}}.web.test"},
                },
            },
        },
    },
}


EXPOSED = {
    "ports": [{"container_port": 8080, "name": "web"}],
    "network": NetworkOptions(ingress_mode="public", exposed_ports=[8080]),
}


@pytest.fixture
def web(tmp_path, platform):
    """A platform with an entry point, and a profile that exposes ports there."""
    kept = {key: os.environ[key] for key in ("CWSANDBOX_BASE_URL", "CWSANDBOX_API_KEY")}
    own = new_platform(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        own.http = "127.0.0.1:%d" % free.getsockname()[1]
    own.start()
    try:
        own.create_runner([{"profile_template_id": own.create_profile(PROFILE), "is_default": True}])
        os.environ["CWSANDBOX_BASE_URL"] = own.url
        os.environ["CWSANDBOX_API_KEY"] = own.token("user")
        yield own
    finally:
        code = own.stop()
        os.environ.update(kept)
    assert code == 0, own.log()[-4000:]


def get(platform, host, path="/"):
    """The status, the reason of the router if it answered itself, and the body."""
    connection = http.client.HTTPConnection(platform.http, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.getheader("x-palisade-router"), answer.read()
    finally:
        connection.close()


def service_address(platform, box):
    with grpc.insecure_channel(platform.url.removeprefix("http://")) as channel:
        token = [("authorization", f"Bearer {platform.token('user')}")]
        request = gateway_pb2.GetSandboxRequest(sandbox_id=box.sandbox_id)
        seen = gateway_pb2_grpc.GatewayServiceStub(channel).Get(request, metadata=token, timeout=10)
    return seen.service_address


def served(platform, host, path="/"):
    platform.wait_for(lambda: get(platform, host, path)[0] == 200, "the server in the sandbox")
    return get(platform, host, path)[2]


def test_a_sandbox_is_reached_under_its_host_name_while_it_runs(web):
    server = ["python3", "-m", "http.server", "8080", "--directory", "/srv"]
    box = Sandbox.run(*server, **EXPOSED)
    box.wait(timeout=60)
    box.write_file("/srv/hello", b"from inside").result()
    host = f"{box.sandbox_id}.web.test"
    assert served(web, host, "/hello") == b"from inside"
    assert service_address(web, box) == f"{host}:{web.http.rpartition(':')[2]}"
    assert get(web, "other.web.test")[:2] == (404, "no-sandbox")

    # Whoever is taken over keeps its name.
    web.kill()
    web.start()
    os.environ["CWSANDBOX_BASE_URL"] = web.url
    web.wait_for_runner()
    assert served(web, host, "/hello") == b"from inside"
    box = Sandbox.from_id(box.sandbox_id).result()
    box.stop().result()
    web.wait_for(lambda: get(web, host)[:2] == (404, "no-sandbox"), "the name to be gone")


def test_a_port_that_is_not_served_says_so(web):
    with Sandbox.run("sleep", "infinity", **EXPOSED) as box:
        box.wait(timeout=60)
        status, reason, page = get(web, f"{box.sandbox_id}.web.test")
        assert (status, reason) == (502, "not-listening")
        assert b"8080" in page
