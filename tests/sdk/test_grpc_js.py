"""The platform through gRPC for JavaScript, on which the JavaScript SDK is built.

The SDK itself is not in the registry that tests install from; see
tests/grpc-js. What is tried here is another implementation of the transport
than that of Python: its resets, deadlines, half-closed streams and details of errors.
"""

import os
import pathlib
import subprocess

TESTS = pathlib.Path(__file__).resolve().parents[1] / "grpc-js"
LIMIT_SECONDS = 180


def test_every_test_of_grpc_for_javascript_passes(platform):
    done = subprocess.run(
        ["node", "--test"], cwd=TESTS, env=dict(os.environ, CWSANDBOX_BASE_URL=platform.url,
                                                CWSANDBOX_API_KEY=platform.token("user")),
        text=True, capture_output=True, timeout=LIMIT_SECONDS, check=False,
    )
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-4_000:]
