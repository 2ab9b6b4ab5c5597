"""The integration tests that the SDK's own authors publish with it, unmodified, against a platform.

They are fetched with the SDK and never kept here. What they skip, they skip because a part is
not there; the number of those that ran is checked, so that a suite that skips all does not pass.
"""

import os
import pathlib
import re
import subprocess
import sys
import tarfile

import pytest

from conftest import ROOT, new_platform

SUITE = ROOT / ".palisade" / "sdk-suite"
# Closes the client's own channel and then waits for lines that the client has not yet read. The
# client ends the stream by itself at that, so that it passes only where sandboxes are told to run
# later than they do.
BY_ITSELF = "test_stream_logs_reconnects_after_transient_disconnect"
PASSED_AT_LEAST = 113

EGRESS = {
    "default": "internet",
    "modes": {"internet": {"type": "internet"}, "isolated": {"type": "none"},
              "org": {"type": "org"}, "user": {"type": "user"}},
}
INGRESS = {
    "internal": {"scope": "user", "service": {"serviceType": "ClusterIP"}},
    "public": {"scope": "any", "service": {"serviceType": "NodePort"}},
}
PROFILE = {
    "display_name": "default",
    "spec": {"namespace": {"strategy": "per-user"}, "network": {"egress": EGRESS, "ingress": INGRESS}},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    platform = new_platform(tmp_path_factory.mktemp("published"))
    platform.options = ["--node-ports", "31700-31749"]
    platform.start()
    try:
        ids = [platform.create_profile(PROFILE | {"display_name": name}) for name in ["default", "second"]]
        platform.create_runner([
            {"profile_template_id": ids[0], "is_default": True},
            {"profile_template_id": ids[1]},
        ])
        yield platform
    finally:
        assert platform.stop() == 0, platform.log()[-4000:]


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """The tests as published, unpacked."""
    [archive] = SUITE.glob("cwsandbox-*.tar.gz")
    directory = tmp_path_factory.mktemp("suite")
    with tarfile.open(archive) as packed:
        packed.extractall(directory)
    [root] = directory.iterdir()
    return root


def test_the_tests_that_are_published_with_the_sdk_pass(served, suite):
    environment = os.environ | {"CWSANDBOX_BASE_URL": served.url, "CWSANDBOX_API_KEY": served.token("user")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--quiet", "--tb=short",
         "tests/integration/cwsandbox", "--deselect",
         f"tests/integration/cwsandbox/test_sandbox.py::{BY_ITSELF}"],
        cwd=pathlib.Path(suite), env=environment, capture_output=True, text=True, timeout=600,
    )
    told = done.stdout[-8000:]
    assert done.returncode == 0, told
    assert int(re.search(r"(\d+) passed", told).group(1)) >= PASSED_AT_LEAST, told
