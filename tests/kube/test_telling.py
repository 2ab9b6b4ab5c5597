"""What a cluster cannot tell of sandboxes is said to be unknown, with the
reason, and is never shown as nothing."""

import json
import urllib.error
import urllib.request

import pytest
from cwsandbox import Sandbox

from conftest import IMAGE, PATIENCE_SECONDS

pytestmark = pytest.mark.usefixtures("runner")


@pytest.fixture(scope="module")
def box(runner):
    box = Sandbox.run("sleep", "1000", container_image=IMAGE, profile_names=["open"])
    box.wait(timeout=PATIENCE_SECONDS)
    yield box
    Sandbox.delete(box.sandbox_id, missing_ok=True).result()


def test_denials_are_refused_with_the_reason(system, box):
    shown = system.cwic("sandbox", "denials", box.sandbox_id, token="user", check=False)
    assert shown.returncode != 0 and shown.stdout == "", shown.stdout
    assert "do not tell in any common form what they refused" in shown.stderr, shown.stderr
    call = urllib.request.Request(
        f"{system.url}/v1beta2/sandbox/sandboxes/{box.sandbox_id}/denials",
        headers={"Authorization": f"Bearer {system.token('user')}"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(call, timeout=60)
    assert refused.value.code == 501
    assert "CWSANDBOX_NOT_IMPLEMENTED" in refused.value.read().decode()


def test_totals_of_a_profile_name_the_runners_that_are_not_in_them(system, box):
    total = system.cwic("sandbox", "denials", "--profile", "open", "-o", "json")
    assert "kube" in json.loads(total.stdout)["uncountedRunners"], total.stdout
    assert "runner kube is not counted" in total.stderr, total.stderr
    table = system.cwic("sandbox", "denials", "--profile", "open").stdout
    assert "unknown" in table, table


def test_what_a_sandbox_uses_is_unknown_and_not_zero(system, box):
    answer = json.loads(system.cwic("sandbox", "get", box.sandbox_id, "-o", "json", token="user").stdout)
    assert "currentResourceUsage" not in answer, answer
    described = system.cwic("sandbox", "describe", box.sandbox_id, token="user").stdout
    assert any(line.split() == ["Used:", "unknown"] for line in described.splitlines()), described


def test_a_runner_says_what_it_lacks_and_why(system, box):
    lacks = json.loads(system.cwic("sandbox", "runner", "get", "kube", "-o", "json").stdout)["lacks"]
    assert set(lacks) == {"usage", "denials", "names", "file_systems"}, lacks
    assert "metrics.k8s.io" in lacks["usage"], lacks
    described = system.cwic("sandbox", "runner", "describe", "kube").stdout
    assert "Lacks:" in described and "metrics.k8s.io" in described, described
