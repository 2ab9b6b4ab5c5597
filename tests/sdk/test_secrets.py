"""Secrets end to end: put in with cwic, named with the SDK, there in the sandbox,
and nowhere else: not in the state directory, the database, the logs or any answer."""

import json
import os
import pathlib
import urllib.error
import urllib.request

import grpc
import pytest
from cwsandbox import Sandbox, Secret
from cwsandbox._proto import gateway_pb2, gateway_pb2_grpc, secrets_pb2

from conftest import known_to_the_sdk, new_platform, with_profiles

KEPT = "kept-3f9c2a71d5"
FIELD = "field-8b1e44c0aa"
OWN = "own-77aa0c93fe"
FILE = "file-5cd21b9087"
VALUES = [KEPT, FIELD, OWN, FILE]
BUILT_IN = 1001


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    """A platform of its own, with stores of every kind."""
    directory = tmp_path_factory.mktemp("secrets")
    # Outside of the state directory, as an operator has them.
    files, own = directory / "files", directory / "own"
    (files / "db").mkdir(parents=True)
    (files / "db" / "password").write_text(FILE)
    (own / "db").mkdir(parents=True)
    (own / "db" / "password").write_text(OWN)
    platform = new_platform(directory / "platform")
    platform.directory.mkdir()
    platform.options = [
        "--secret-store", f"local/files=dir:{files}", "--runner-secrets", str(own), "--log", "debug",
    ]
    platform.start()
    try:
        with_profiles(platform)
        platform.cwic("sandbox", "secret", "store", "create", "team")
        platform.cwic("sandbox", "secret", "set", "team", "TOKEN", stdin=KEPT + "\n")
        platform.cwic("sandbox", "secret", "set", "team", "db", "--field", "password", stdin=FIELD)
        with known_to_the_sdk(platform):
            yield platform
    finally:
        code = platform.stop()
        assert code == 0, platform.log()[-4000:]


def use(platform):
    os.environ["CWSANDBOX_BASE_URL"] = platform.url
    os.environ["CWSANDBOX_API_KEY"] = platform.token("user")


SECRETS = [
    Secret(store="team", name="TOKEN"),
    Secret(store="team", name="db", field="password", env_var="DB_PASS"),
    Secret(store="files", name="db/password", env_var="FILE_PASS"),
]


def test_secrets_are_in_the_main_process_and_in_commands(vault):
    script = "echo main $TOKEN $DB_PASS $FILE_PASS; sleep infinity"
    with Sandbox.run("/bin/sh", "-c", script, profile_names=["open"], secrets=SECRETS) as box:
        box.wait(timeout=60)
        told = box.exec(["sh", "-c", "echo $TOKEN $DB_PASS $FILE_PASS"]).result().stdout
        assert told == f"{KEPT} {FIELD} {FILE}\n"
        described = vault.cwic("sandbox", "describe", box.sandbox_id, "-o", "json", token="user").stdout
        assert not any(value in described for value in VALUES)
        logs = vault.cwic("sandbox", "logs", box.sandbox_id, token="user").stdout
        assert f"main {KEPT} {FIELD} {FILE}" in logs, "what a sandbox prints itself is its own affair"


def test_secrets_of_the_runner_are_given_by_the_runner(vault):
    reference = gateway_pb2.RunnerClusterSecretReference(
        kubernetes=gateway_pb2.KubernetesSecretSource(secret_name="db", secret_key="password"),
        env_var="OWN_PASS",
    )
    with stub(vault, gateway_pb2_grpc.GatewayServiceStub) as (gateway, auth):
        started = gateway.Start(gateway_pb2.StartSandboxRequest(
            command="sleep", args=["infinity"], container_image="python:3.11", profile_names=["open"], runner_cluster_secrets=[reference],
        ), metadata=auth, timeout=60)
        box = Sandbox.from_id(started.sandbox_id).result()
        try:
            box.wait(timeout=60)
            assert box.exec(["printenv", "OWN_PASS"]).result().stdout == OWN + "\n"
        finally:
            box.stop().result()
        reference.kubernetes.secret_key = "absent"
        started = gateway.Start(gateway_pb2.StartSandboxRequest(
            command="sleep", args=["infinity"], container_image="python:3.11", profile_names=["open"], runner_cluster_secrets=[reference],
        ), metadata=auth, timeout=60)

        def reason():
            seen = gateway.Get(gateway_pb2.GetSandboxRequest(sandbox_id=started.sandbox_id), metadata=auth)
            return seen.status_reason if "absent" in seen.status_reason else None

        assert "no secret db with the key absent" in vault.wait_for(reason, "the refusal of the runner")


def test_what_is_not_there_is_refused_with_its_place(vault):
    for secret, field, words in [
        (Secret(store="absent", name="TOKEN"), "secret_stores[0].store_name", "there are files, team"),
        (Secret(store="team", name="absent"), "secret_stores[0].secrets[0].path", "no secret absent"),
        (Secret(store="team", name="TOKEN", field="x", env_var="X"), "secret_stores[0].secrets[0].field", "field x"),
        (Secret(store="team", name="../../etc/passwd", env_var="X"), "secret_stores[0].secrets[0].path", "'.."),
    ]:
        with pytest.raises(Exception) as refused:
            Sandbox.run(profile_names=["open"], secrets=[secret])
        cause = refused.value.__cause__
        assert cause.code() == grpc.StatusCode.INVALID_ARGUMENT, refused.value
        assert field in cause.details() and words in cause.details(), cause.details()
    with pytest.raises(Exception) as refused:
        Sandbox.run(profile_names=["open"], secrets=[SECRETS[0]], environment_variables={"TOKEN": "plain"})
    assert "secret_stores[0].secrets[0].env_var" in refused.value.__cause__.details()


def test_stores_are_kept_by_administrators_over_grpc_and_rest(vault):
    with stub(vault, SecretStores, "admin") as (stores, admin):
        made = stores.CreateSecretStore(
            secrets_pb2.CreateSecretStoreRequest(name="over-grpc", provider_type=BUILT_IN), metadata=admin)
        assert made.secret_store.organization_id == "local" and made.secret_store.created_at.seconds > 0
        listed = stores.ListSecretStores(secrets_pb2.ListSecretStoresRequest(page_size=1), metadata=admin)
        assert [store.name for store in listed.secret_stores] == ["files"] and listed.next_page_token
        rest = stores.ListSecretStores(
            secrets_pb2.ListSecretStoresRequest(page_token=listed.next_page_token), metadata=admin)
        assert [store.name for store in rest.secret_stores] == ["over-grpc", "team"]
        assert rest.next_page_token == ""
        found = stores.GetSecretStore(secrets_pb2.GetSecretStoreRequest(name="over-grpc"), metadata=admin)
        assert found.secret_store == made.secret_store
        for request, code in [
            (dict(name="over-grpc", provider_type=BUILT_IN), grpc.StatusCode.ALREADY_EXISTS),
            (dict(name="ab", provider_type=BUILT_IN), grpc.StatusCode.INVALID_ARGUMENT),
            (dict(name="no-provider"), grpc.StatusCode.INVALID_ARGUMENT),
            (dict(name="wandb", provider_type=1, wandb=secrets_pb2.WandBStoreConfig(team="t")),
             grpc.StatusCode.UNIMPLEMENTED),
        ]:
            with pytest.raises(grpc.RpcError) as refused:
                stores.CreateSecretStore(secrets_pb2.CreateSecretStoreRequest(**request), metadata=admin)
            assert refused.value.code() == code, refused.value.details()
        stores.DeleteSecretStore(secrets_pb2.DeleteSecretStoreRequest(name="over-grpc"), metadata=admin)
        with pytest.raises(grpc.RpcError) as refused:
            stores.DeleteSecretStore(secrets_pb2.DeleteSecretStoreRequest(name="over-grpc"), metadata=admin)
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
        with pytest.raises(grpc.RpcError) as refused:
            stores.DeleteSecretStore(secrets_pb2.DeleteSecretStoreRequest(name="files"), metadata=admin)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    with stub(vault, SecretStores, "user") as (stores, user):
        assert len(stores.ListSecretStores(secrets_pb2.ListSecretStoresRequest(), metadata=user).secret_stores) == 2
        with pytest.raises(grpc.RpcError) as refused:
            stores.CreateSecretStore(
                secrets_pb2.CreateSecretStoreRequest(name="mine", provider_type=BUILT_IN), metadata=user)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert rest_call(vault, "GET", "/v1beta2/secretstores/team")[1]["secretStore"]["name"] == "team"
    path = "/v1beta2/sandbox/secret-stores/team/secrets"
    assert rest_call(vault, "PUT", path, {"path": "tmp", "value": KEPT}, token="user")[0] == 403
    status, answer = rest_call(vault, "PUT", path, {"path": "tmp", "value": KEPT})
    assert status == 200 and answer["path"] == "tmp" and "value" not in answer
    names = [secret["path"] for secret in rest_call(vault, "GET", path, token="user")[1]["secrets"]]
    assert names == ["TOKEN", "db", "tmp"]
    assert rest_call(vault, "DELETE", path + "?path=tmp")[0] == 200
    assert rest_call(vault, "DELETE", path + "?path=tmp")[0] == 404
    listed = vault.cwic("sandbox", "secret", "ls", "team").stdout
    assert "TOKEN" in listed and not any(value in listed for value in VALUES)


def test_values_are_nowhere_but_in_the_sandbox(vault):
    """While one runs, and after it is over."""
    box = Sandbox.run("sleep", "infinity", profile_names=["open"], secrets=SECRETS)
    box.wait(timeout=60)
    assert box.exec(["printenv", "TOKEN"]).result().stdout == KEPT + "\n"
    with stub(vault, gateway_pb2_grpc.GatewayServiceStub) as (gateway, auth):
        seen = gateway.Get(gateway_pb2.GetSandboxRequest(sandbox_id=box.sandbox_id), metadata=auth)
        assert not any(value in str(seen) for value in VALUES)
    assert_nowhere(vault, box.sandbox_id)
    box.stop().result()
    assert_nowhere(vault)


def test_after_restarts_and_a_new_key_sandboxes_still_get_them(vault):
    box = Sandbox.run("sleep", "infinity", profile_names=["open"], secrets=SECRETS)
    box.wait(timeout=60)
    vault.kill()
    rotated = run(vault, "secrets", "rotate-key", "--state-dir", str(vault.state))
    assert "2 secrets are sealed with a new key" in rotated
    vault.start()
    vault.wait_for_runner()
    use(vault)
    again = Sandbox.from_id(box.sandbox_id).result()
    assert again.exec(["printenv", "TOKEN"]).result().stdout == KEPT + "\n", "it runs on and has them"
    # While the server runs, too.
    run(vault, "secrets", "rotate-key", "--state-dir", str(vault.state))
    with Sandbox.run("sleep", "infinity", profile_names=["open"], secrets=SECRETS) as fresh:
        fresh.wait(timeout=60)
        assert fresh.exec(["printenv", "DB_PASS"]).result().stdout == FIELD + "\n"
    again.stop().result()
    key = (vault.state / "secrets.key")
    assert key.stat().st_mode & 0o777 == 0o600
    assert_nowhere(vault)


def assert_nowhere(platform, sandbox_id=None):
    """No value is in the state directory, in a log, or in the arguments of a process
    that is not the sandbox's own."""
    for path in platform.directory.rglob("*"):
        # What a sandbox printed is what it printed.
        if not path.is_file() or path.name in ("log", "log.index"):
            continue
        content = path.read_bytes()
        found = [value for value in VALUES if value.encode() in content]
        assert not found, f"{found} in {path}"
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue
        assert not any(value.encode() in words for value in VALUES if b"sandbox" in words), process
    if sandbox_id:
        config = list(platform.state.rglob(f"{sandbox_id}/bundle/config.json"))
        assert config, "there is a bundle, and no value was in it"


class SecretStores:
    """The SDK has the messages of this service, and no stub."""

    def __init__(self, channel):
        for name in ("CreateSecretStore", "GetSecretStore", "ListSecretStores", "DeleteSecretStore"):
            setattr(self, name, channel.unary_unary(
                f"/coreweave.sandbox.v1beta2.SecretStoreService/{name}",
                request_serializer=getattr(secrets_pb2, f"{name}Request").SerializeToString,
                response_deserializer=getattr(secrets_pb2, f"{name}Response").FromString,
            ))


class stub:
    """A stub of the SDK's own, and whose token goes with its calls."""

    def __init__(self, platform, kind, token="user"):
        self.channel = grpc.insecure_channel(platform.url.removeprefix("http://"))
        self.stub = kind(self.channel)
        self.auth = [("authorization", f"Bearer {platform.token(token)}")]

    def __enter__(self):
        return self.stub, self.auth

    def __exit__(self, *_):
        self.channel.close()


def rest_call(platform, method, path, body=None, token="admin"):
    request = urllib.request.Request(
        platform.url + path, method=method, data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": f"Bearer {platform.token(token)}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def run(platform, *args):
    import subprocess

    done = subprocess.run([platform.palisade, *args], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
