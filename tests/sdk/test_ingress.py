"""The HTTP entry point: clients on this machine reach what sandboxes expose under
a host name, and nothing else."""

import http.client
import os
import pathlib
import shutil
import socket
import ssl

import grpc
import pytest
from cwsandbox import CWSandboxError, NetworkOptions, Sandbox
from cwsandbox._proto import gateway_pb2, gateway_pb2_grpc

from conftest import in_use, new_platform

CERTIFICATES = pathlib.Path(__file__).resolve().parents[2] / "crates/http-router/tests/router/certificates"
PROFILE = {
    "display_name": "web",
    "spec": {
        "container_image": "python:3.11",
        "namespace": {"strategy": "per-user"},
        "network": {
            "egress": {
                "default": "none",
                "modes": {mode: {"type": mode} for mode in ("none", "org", "internet")},
            },
            "ingress": {
                "public": {
                    "scope": "any",
                    "service": {"serviceType": "ClusterIP"},
                    "ingress": {"controllerName": "palisade", "template": "{{.SandboxID}}.web.test"},
                },
                "ours": {
                    "scope": "org",
                    "service": {"serviceType": "ClusterIP"},
                    "ingress": {"controllerName": "palisade", "template": "{{.SandboxID}}.ours.test"},
                },
            },
        },
    },
}


EXPOSED = {
    "ports": [{"container_port": 8080, "name": "web"}],
    "network": NetworkOptions(ingress_mode="public", exposed_ports=[8080]),
}


def put_certificate(directory, name):
    """Replaces certificate and key, as a tool that renews them does."""
    for kind, to in ((".pem", "chain.pem"), (".key.pem", "key.pem")):
        new = directory / "new"
        shutil.copy(CERTIFICATES / (name + kind), new)
        new.rename(directory / to)


@pytest.fixture
def web(tmp_path, platform):
    """A platform with an entry point, and a profile that exposes ports there."""
    own = new_platform(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as other:
        own.http = "127.0.0.1:%d" % free.getsockname()[1]
        own.https = other.getsockname()
    put_certificate(tmp_path, "first")
    own.options = ["--https-listen", "%s:%d" % own.https, "--http-tls-cert", str(tmp_path / "chain.pem"),
                   "--http-tls-key", str(tmp_path / "key.pem")]
    with in_use(own, PROFILE):
        yield own


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


def speak(platform, request):
    """What the router answers to exactly these bytes."""
    host, port = platform.http.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as stream:
        stream.sendall(request.encode())
        # Not until its end: some of these leave a connection open.
        answer = http.client.HTTPResponse(stream)
        answer.begin()
        return f"HTTP/1.1 {answer.status} {answer.read().decode(errors='replace')}"


def test_no_game_with_host_names_leads_to_another_sandbox(web):
    server = ["python3", "-m", "http.server", "8080", "--directory", "/srv"]
    boxes = [Sandbox.run(*server, **EXPOSED) for _ in range(2)]
    for box, name in zip(boxes, ("one", "two")):
        box.wait(timeout=60)
        box.write_file("/srv/who", name.encode()).result()
    one, two = (f"{box.sandbox_id}.web.test" for box in boxes)
    assert served(web, one, "/who") == b"one" and served(web, two, "/who") == b"two"
    games = [
        f"GET /who HTTP/1.1\r\nHost: {one}\r\nHost: {two}\r\nConnection: close\r\n\r\n",
        f"GET http://{two}/who HTTP/1.1\r\nHost: {one}\r\nConnection: close\r\n\r\n",
        f"GET /who HTTP/1.1\r\nHost: {one}, {two}\r\nConnection: close\r\n\r\n",
        f"GET /who HTTP/1.1\r\nHost: {one}@{two}\r\nConnection: close\r\n\r\n",
        "GET /who HTTP/1.1\r\nHost: {{.SandboxID}}.web.test\r\nConnection: close\r\n\r\n",
        "GET /who HTTP/1.1\r\nHost: *.web.test\r\nConnection: close\r\n\r\n",
        f"CONNECT {two}:8080 HTTP/1.1\r\nHost: {one}\r\nConnection: close\r\n\r\n",
    ]
    for game in games:
        answer = speak(web, game)
        assert answer.startswith(("HTTP/1.1 400", "HTTP/1.1 405")), (game, answer)
    forged = f"GET /who HTTP/1.1\r\nHost: {one}\r\nX-Forwarded-Host: {two}\r\nConnection: close\r\n\r\n"
    assert speak(web, forged).endswith("one")
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"
    gone = speak(web, f"GET / HTTP/1.1\r\nHost: {one.replace('web', 'ours')}\r\n{upgrade}\r\n")
    assert gone.startswith("HTTP/1.1 404"), gone
    for box in boxes:
        box.stop().result()


ASK = """
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
try:
    with socket.create_connection((host, port), timeout=5) as stream:
        stream.sendall(f'GET /who HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n'.encode())
        answer = stream.makefile('rb').read().decode(errors='replace')
        print(answer.splitlines()[0].split()[1], answer.rsplit('\\r\\n', 1)[-1])
except socket.gaierror:
    print('no name')
except OSError as error:
    print('refused')
"""


def ask(box, host, port):
    """What a program in a sandbox gets from a host name, by the resolver of the runner."""
    return box.exec(["python3", "-c", ASK, host, str(port)]).result().stdout.strip()


def test_a_host_name_for_the_organization_is_for_its_sandboxes_and_nobody_else(web):
    port = int(web.http.rpartition(":")[2])
    server = ["python3", "-m", "http.server", "8080", "--directory", "/srv"]
    ours = {**EXPOSED, "network": NetworkOptions(ingress_mode="ours", exposed_ports=[8080])}
    box = Sandbox.run(*server, **ours)
    callers = {
        mode: Sandbox.run("sleep", "infinity", network=NetworkOptions(egress_mode=mode))
        for mode in ("org", "internet", "none")
    }
    for each in (box, *callers.values()):
        each.wait(timeout=60)
    box.write_file("/srv/who", b"ours").result()
    host = f"{box.sandbox_id}.ours.test"
    web.wait_for(lambda: ask(callers["org"], host, port) == "200 ours", "the server in the sandbox")
    # For others there is no such name, neither in DNS nor at the router.
    assert ask(callers["org"], f"{callers['org'].sandbox_id}.ours.test", port) == "no name"
    assert {ask(callers[mode], host, port) for mode in ("internet", "none")} <= {"no name", "refused"}
    seen = {name: get(web, name)[:2] for name in (host, "00000000-0000-0000-0000-000000000000.ours.test")}
    assert set(seen.values()) == {(404, "no-sandbox")}, seen
    box.stop().result()
    web.wait_for(lambda: ask(callers["org"], host, port) == "no name", "the name to be gone")
    for each in callers.values():
        each.stop().result()


def secure_get(platform, host, path, trusted):
    context = ssl.create_default_context(cafile=str(CERTIFICATES / f"{trusted}.pem"))
    context.check_hostname = False
    with socket.create_connection(platform.https, timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="box.example.com") as stream:
            stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while more := stream.recv(65536):
                answer += more
    return answer


def test_tls_is_spoken_and_its_certificate_can_be_replaced(web, tmp_path):
    server = ["python3", "-m", "http.server", "8080", "--directory", "/etc"]
    box = Sandbox.run(*server, **EXPOSED)
    box.wait(timeout=60)
    host = f"{box.sandbox_id}.web.test"
    served(web, host, "/hostname")
    assert box.sandbox_id.encode() in secure_get(web, host, "/hostname", "first")
    put_certificate(tmp_path, "second")

    def is_replaced():
        try:
            return secure_get(web, host, "/hostname", "second")
        except ssl.SSLError:
            return None

    assert box.sandbox_id.encode() in web.wait_for(is_replaced, "the new certificate")
    with pytest.raises(ssl.SSLError):
        secure_get(web, host, "/hostname", "first")
    box.stop().result()
