"""What was refused to a sandbox on the network is told to those who ask."""

import json
import urllib.error
import urllib.request

import pytest
from cwsandbox import Sandbox

ATTEMPT = """
import socket
with socket.socket() as s:
    s.settimeout(2)
    try:
        s.connect(('1.1.1.1', 443))
    except OSError:
        pass
"""


def get(platform, path, token="user"):
    request = urllib.request.Request(
        f"{platform.url}/v1beta2/sandbox/{path}",
        headers={"Authorization": f"Bearer {platform.token(token)}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_a_refused_connection_is_told_with_both_ends_and_counted(platform):
    before = get(platform, "profile-templates/closed/denials")["packets"]
    with Sandbox.run(profile_names=["closed"]) as box:
        box.wait(timeout=60)
        path = f"sandboxes/{box.sandbox_id}/denials"
        assert get(platform, path)["recent"] == []
        assert box.exec(["python3", "-c", ATTEMPT]).result().returncode == 0
        told = platform.wait_for(lambda: (d := get(platform, path))["recent"] and d, "a denial")
    assert told["egressMode"] == "deny-all" and told["packets"] >= 1
    flow = told["recent"][0]
    assert (flow["protocol"], flow["destination"], flow["destinationPort"]) == ("tcp", "1.1.1.1", 443)
    assert flow["source"].startswith("10.") and flow["times"] >= 1
    totals = get(platform, "profile-templates/closed/denials")
    assert totals["packets"] > before and totals["since"].startswith("20")
    shown = platform.cwic("sandbox", "denials", box.sandbox_id)
    assert "1.1.1.1:443" in shown.stdout and "deny-all" in shown.stderr, shown
    shown = platform.cwic("sandbox", "denials", "--profile", "closed", "-o", "json").stdout
    assert json.loads(shown)["packets"] >= totals["packets"]
    # Once for people who read the log, with who tried what.
    lines = [line for line in platform.log().splitlines() if "refused a flow of a sandbox" in line]
    lines = [line for line in lines if box.sandbox_id in line and "1.1.1.1" in line]
    assert len(lines) == 1, lines


def test_denials_of_a_sandbox_that_never_was_are_not_found(platform):
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(platform, "sandboxes/01890a5d-ac96-774b-bcce-b302099a8057/denials")
    assert caught.value.code == 404
    assert json.load(caught.value)["details"][0]["reason"] == "CWSANDBOX_SANDBOX_NOT_FOUND"
