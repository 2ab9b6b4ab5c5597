"""Figures for whoever collects them, at an address of their own."""

import re
import urllib.request

import pytest
from cwsandbox import NetworkOptions, Sandbox

from conftest import known_to_the_sdk, new_platform, with_profiles
from joining import joined

CLOSED = {
    "display_name": "closed",
    "spec": {
        "container_image": "python:3.11",
        "namespace": {"strategy": "per-user"},
        "network": {
            "egress": {"default": "deny-all", "modes": {"deny-all": {"type": "none"}}},
            "ingress": {"node": {"scope": "any", "service": {"serviceType": "NodePort"}}},
        },
    },
}


def scrape(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        return answer.read().decode()


def address_in(text):
    found = re.search(r"http://127\.0\.0\.1:\d+/metrics", text)
    return found and found.group(0)


@pytest.fixture
def measured(tmp_path):
    platform = new_platform(tmp_path)
    platform.options = ["--metrics-listen", "127.0.0.1:0"]
    platform.start()
    yield platform
    assert platform.stop() == 0, platform.log()[-4000:]


def test_metrics_are_served_where_they_were_asked_for(measured):
    url = measured.wait_for(lambda: address_in(measured.log()), "the address of the metrics")
    with_profiles(measured)
    text = measured.wait_for(
        lambda: 'palisade_runners{state="connected"} 1' in (text := scrape(url)) and text, "a runner",
    )
    assert "palisade_ready 1" in text and text.endswith("# EOF\n"), text
    assert re.search(r'^palisade_sandboxes\{organization="\w+",runner="[0-9a-f-]+"\} 0$', text, re.MULTILINE), text
    # Profiles of which nothing was heard have no series.
    assert "palisade_denied" not in text, text
    assert re.search(r"^process_resident_memory_bytes [1-9]\d+$", text, re.MULTILINE), text


def test_a_runner_of_its_own_serves_what_it_refuses_and_has_left(measured):
    options = ["--metrics-listen", "127.0.0.1:0", "--node-ports", "30180-30184"]
    with joined(measured, "other", CLOSED, *options) as runner, \
            known_to_the_sdk(measured, runner.admin.read_text()):
        url = measured.wait_for(lambda: address_in(runner.log.read_text()), "the address of the metrics")
        assert 'palisade_pool_size{kind="node ports",pool=""} 5' in scrape(url)
        network = NetworkOptions(ingress_mode="node", exposed_ports=[8080])
        with Sandbox.run(network=network, ports=[{"container_port": 8080, "name": "web"}]) as box:
            knock = "import socket; socket.create_connection(('198.51.100.1', 9), timeout=1)"
            assert box.exec(["python3", "-c", knock]).result().returncode == 1
            text = measured.wait_for(
                lambda: "palisade_denied_packets" in (text := scrape(url)) and text, "what was refused",
            )
            assert 'palisade_pool_used{kind="node ports",pool=""} 1' in text, text
        # A runner is of one organization, which is not named.
        series = rf'^palisade_denied_packets_total\{{profile="{runner.profile}",direction="outgoing"\}} [1-9]\d*$'
        assert re.search(series, text, re.MULTILINE), text
        assert "organization" not in text and "palisade_sandboxes" not in text, text
