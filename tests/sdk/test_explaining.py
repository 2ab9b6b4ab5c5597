"""What placement would do is what it does, and a drained runner goes gently."""

import json
import os

import pytest
from cwsandbox import CWSandboxError, NetworkOptions, Sandbox

from conftest import new_platform, with_profiles


def explain(platform, request, token="user"):
    done = platform.cwic(
        "sandbox", "explain", "-f", "-", "-o", "json",
        stdin=json.dumps(request), check=False, token=token,
    )
    assert done.returncode in (0, 2), done.stderr
    answer = json.loads(done.stdout)
    assert answer["isAdmitted"] == (done.returncode == 0)
    return answer


@pytest.mark.usefixtures("platform")
def test_an_admitted_request_goes_where_it_was_explained_to(platform):
    answer = explain(platform, {"profile_names": ["closed"], "container_image": "python:3.11"})
    assert answer["winner"]["runnerId"] == "local"
    with Sandbox.run(profile_names=["closed"]) as box:
        box.wait(timeout=60)
        assert answer["winner"]["egressMode"] == "deny-all"
        told = platform.cwic("sandbox", "profile", "describe", "closed").stdout
        assert box.sandbox_id in told


@pytest.mark.usefixtures("platform")
def test_a_refused_request_is_refused_as_it_was_explained(platform):
    request = {"profile_names": ["closed"], "network": {"egress_mode": "internet"},
               "container_image": "python:3.11"}
    answer = explain(platform, request)
    with pytest.raises(CWSandboxError) as caught:
        with Sandbox.run(profile_names=["closed"], network=NetworkOptions(egress_mode="internet")):
            pass
    assert answer["refusal"]["reason"] == caught.value.reason
    assert answer["refusal"]["message"] in str(caught.value)
    closed = next(it for it in answer["candidates"] if it["profileName"] == "closed")
    assert closed["firstUnmet"]["constraint"] == "egress_mode"
    assert closed["closest"]["fields"] == {"network.egress_mode": "deny-all"}


def test_a_drain_takes_nothing_new_and_ends_what_is_left_at_its_limit(tmp_path, monkeypatch):
    platform = new_platform(tmp_path).start()
    try:
        with_profiles(platform)
        monkeypatch.setitem(os.environ, "CWSANDBOX_BASE_URL", platform.url)
        monkeypatch.setitem(os.environ, "CWSANDBOX_API_KEY", platform.token("user"))
        box = Sandbox.run("sleep", "600", profile_names=["open"])
        box.wait(timeout=60)
        refused = platform.cwic("sandbox", "runner", "delete", "local", "--yes", check=False)
        assert refused.returncode == 5 and "drain" in refused.stderr
        begun = platform.cwic("sandbox", "runner", "delete", "local", "--drain=1h", "--no-wait", "--yes")
        assert "taking no new sandboxes" in begun.stdout
        answer = explain(platform, {"container_image": "python:3.11"})
        assert answer["candidates"][0]["firstUnmet"]["constraint"] == "runner_kept"
        with pytest.raises(CWSandboxError):
            Sandbox.run(profile_names=["open"])
        # A second drain that ends sooner cuts the first one short.
        done = platform.cwic("sandbox", "runner", "delete", "local", "--drain=2s", "--yes")
        assert "waits for 1 sandbox to end" in done.stderr
        assert done.stdout.endswith("runner local deleted\n")
        gone = platform.cwic("sandbox", "runner", "get", "local", check=False)
        assert gone.returncode == 3
    finally:
        code = platform.stop()
        assert code == 0, platform.log()[-4000:]


@pytest.mark.usefixtures("platform")
def test_secrets_that_are_not_there_are_refused_as_a_start_refuses_them(platform):
    from cwsandbox import Secret

    request = {"profile_names": ["open"], "container_image": "python:3.11",
               "secret_stores": [{"store_name": "nowhere", "secrets": [{"path": "TOKEN", "env_var": "TOKEN"}]}]}
    done = platform.cwic("sandbox", "explain", "-f", "-", stdin=json.dumps(request), check=False, token="user")
    assert done.returncode not in (0, 2)
    assert "secret_stores[0].store_name" in done.stderr and "no such secret store" in done.stderr
    with pytest.raises(CWSandboxError) as caught:
        Sandbox.run(profile_names=["open"], secrets=[Secret(store="nowhere", name="TOKEN")])
    assert "no such secret store" in str(caught.value)


@pytest.mark.usefixtures("platform")
def test_what_the_server_does_not_have_is_refused_when_it_is_explained(platform):
    request = {"container_image": "python:3.11", "volumes": [{"volume_id": "v", "mount_path": "/v"}]}
    done = platform.cwic("sandbox", "explain", "-f", "-", stdin=json.dumps(request), check=False, token="user")
    assert done.returncode not in (0, 2)
    assert "no volumes" in done.stderr, done.stderr
