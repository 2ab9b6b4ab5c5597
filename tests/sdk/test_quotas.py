"""What an administrator allows each user, as the SDK of that user meets it."""

import json
from datetime import timedelta

import pytest
from cwsandbox import CWSandboxError, Sandbox

from conftest import known_to_the_sdk, new_platform, with_profiles

PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A platform whose quotas can be changed."""
    own = new_platform(tmp_path_factory.mktemp("quotas")).start()
    try:
        with_profiles(own)
        with known_to_the_sdk(own):
            yield own
    finally:
        code = own.stop()
        assert code == 0, own.log()[-4000:]


@pytest.fixture
def limit(own):
    yield lambda *words: own.cwic("sandbox", "quota", "set", "--user", "user", *words)
    own.cwic("sandbox", "quota", "set", "--user", "user", "--remove")


def refusal(**request):
    with pytest.raises(CWSandboxError) as caught:
        with Sandbox.run("sleep", "infinity", **request):
            pass
    return caught.value


def told(error):
    return {key: error.metadata[key] for key in ["limit", "scope", "used", "asked", "allowed"]
            if key in error.metadata}


def test_one_sandbox_too_many_is_refused_until_one_is_gone(own, limit):
    limit("--max-sandboxes", "1")
    with Sandbox.run("sleep", "infinity") as first:
        first.wait(timeout=PATIENCE_SECONDS)
        error = refusal()
        assert error.reason == "CWSANDBOX_QUOTA_EXCEEDED"
        assert told(error) == {"limit": "sandboxes", "scope": "user", "used": "1", "asked": "1", "allowed": "1"}
        assert "stop one" in str(error)
        shown = json.loads(own.cwic("sandbox", "quota", "get", "-o", "json", token="user").stdout)
        assert shown["user"]["sandboxes"] == {"used": 1, "max": 1}
    with Sandbox.run("echo", "room"):
        pass


def test_more_starts_in_a_minute_than_allowed_are_told_when_to_try_again(limit):
    limit("--max-starts-per-minute", "1")
    error = None
    for _ in range(3):
        try:
            with Sandbox.run("echo", "at most one of them"):
                pass
        except CWSandboxError as refused:
            error = refused
            break
    assert error.reason == "CWSANDBOX_QUOTA_EXCEEDED"
    assert (error.metadata["limit"], error.metadata["allowed"]) == ("starts_per_minute", "1")
    assert timedelta(0) < error.retry_delay <= timedelta(minutes=1)


def test_a_sandbox_beyond_the_size_of_one_is_refused_with_the_size(limit):
    limit("--max-memory", "64Mi")
    error = refusal(resources={"cpu": "100m", "memory": "128Mi"})
    assert error.reason == "CWSANDBOX_NO_SUITABLE_RUNNER"
    assert "128Mi of memory and the quota of the caller is 64Mi" in str(error)
    with Sandbox.run("echo", "it fits", resources={"cpu": "100m", "memory": "64Mi"}):
        pass
