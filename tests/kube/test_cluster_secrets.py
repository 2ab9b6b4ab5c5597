"""Secrets on a cluster: there for the process that they are for, in one Secret
beside it, and nowhere else."""

import json
import uuid

import grpc
import pytest
from cwsandbox import Sandbox, Secret
from cwsandbox._proto import gateway_pb2, gateway_pb2_grpc

from conftest import IMAGE, PATIENCE_SECONDS, PREFIX, Runner, kubectl, objects, only

KEPT = f"kept-{uuid.uuid4().hex}"
OWN = f"own-{uuid.uuid4().hex}"
NAMESPACE = "sandbox-secrets"


@pytest.fixture(scope="module")
def vault(system):
    """A runner that offers the Secrets of one namespace, and a store at the gateway."""
    kubectl("create", "namespace", NAMESPACE)
    kubectl("create", "secret", "generic", "db", "-n", NAMESPACE, f"--from-literal=password={OWN}")
    system.cwic("sandbox", "secret", "store", "create", "team")
    system.cwic("sandbox", "secret", "set", "team", "TOKEN", stdin=KEPT + "\n")
    profile = system.create_profile({"display_name": "with-secrets", "spec": {
        # A namespace of its own: it goes with the runner that made it, and no other one may expect that.
        "container_image": IMAGE, "namespace": {"strategy": "per-user", "namespacePrefix": f"{PREFIX}v-"},
        "network": {"egress": {"default": "deny-all", "modes": {"deny-all": {"type": "none"}}}},
    }})
    system.create_runner("vault", [{"profile_template_id": profile, "is_default": True}])
    runner = Runner(system, "vault", "--network-enforcement", "accept-none",
                    "--cluster-secrets-namespace", NAMESPACE, "--log", "debug").start()
    try:
        system.wait_for(lambda: system.is_connected("vault"), "the runner to connect")
        yield runner
    finally:
        code = runner.stop()
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        assert code == 0, runner.log()[-4000:]


def start(system, command, *keys):
    """Starts a sandbox with keys of a Secret of the cluster."""
    own = [gateway_pb2.RunnerClusterSecretReference(
        kubernetes=gateway_pb2.KubernetesSecretSource(secret_name="db", secret_key=key), env_var="OWN_PASS",
    ) for key in keys]
    request = gateway_pb2.StartSandboxRequest(
        command="sh", args=["-c", command], container_image=IMAGE, profile_names=["with-secrets"],
        runner_cluster_secrets=own)
    with grpc.insecure_channel(system.url.removeprefix("http://")) as channel:
        gateway = gateway_pb2_grpc.GatewayServiceStub(channel)
        auth = [("authorization", f"Bearer {system.token('user')}")]
        return gateway.Start(request, metadata=auth, timeout=60).sandbox_id


def gone(system, id):
    Sandbox.delete(id, missing_ok=True).result()
    kinds = ("pods", "secrets", "networkpolicies")
    system.wait_for(lambda: not any(objects(kind, sandbox_id=id) for kind in kinds), "everything to be gone")


def in_the_open(system, runner, value):
    """Where a value can be read that is not the Secret of its sandbox."""
    places = {kind: kubectl("get", kind, "-A", "-o", "json") for kind in
              ("pods", "events", "networkpolicies", "configmaps", "namespaces")}
    places["runner log"] = runner.log()
    places["server log"] = system.log()
    return [place for place, text in places.items() if value in text]


def test_a_value_of_a_store_is_in_the_sandbox_and_goes_with_it(system, vault):
    box = Sandbox.run("sh", "-c", "echo main $TOKEN; exec sleep 1000", container_image=IMAGE,
                      profile_names=["with-secrets"], secrets=[Secret(store="team", name="TOKEN")])
    box.wait(timeout=PATIENCE_SECONDS)
    assert box.exec(["sh", "-c", "echo $TOKEN"]).result().stdout == KEPT + "\n"
    logs = system.cwic("sandbox", "logs", box.sandbox_id, token="user").stdout
    assert f"main {KEPT}" in logs, "what a sandbox prints itself is its own affair"
    [variable] = [one for one in only("pod", box.sandbox_id)["spec"]["containers"][0]["env"] if one["name"] == "TOKEN"]
    assert set(variable["valueFrom"]) == {"secretKeyRef"}, variable
    described = system.cwic("sandbox", "get", box.sandbox_id, "-o", "json", token="user").stdout
    assert KEPT not in described
    assert in_the_open(system, vault, KEPT) == []
    gone(system, box.sandbox_id)


def test_a_value_of_the_cluster_never_leaves_it(system, vault):
    id = start(system, "exec sleep 1000", "password")
    box = Sandbox.from_id(id).result()
    box.wait(timeout=PATIENCE_SECONDS)
    assert box.exec(["sh", "-c", "echo $OWN_PASS"]).result().stdout == OWN + "\n"
    assert in_the_open(system, vault, OWN) == []
    gone(system, id)


def test_a_key_that_is_not_there_is_said_without_any_value(system, vault):
    id = start(system, "exec sleep 1000", "absent")

    def reason():
        seen = json.loads(system.cwic("sandbox", "get", id, "-o", "json", token="user").stdout)
        return seen.get("statusReason")

    said = system.wait_for(reason, "the reason")
    assert "no secret db with the key absent" in said and OWN not in said, said
    gone(system, id)
