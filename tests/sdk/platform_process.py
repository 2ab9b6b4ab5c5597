"""A real platform in a process of its own, for tests that use it from outside.

It keeps what it makes below one directory and leaves nothing when it is closed.
Every wait is for a state and has a limit.
"""

import http.client
import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request

PATIENCE_SECONDS = 60


def wait_for(condition, what, seconds=PATIENCE_SECONDS, told=lambda: "", pause=0.05):
    """Waits until the condition holds, and returns what it gave."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if found := condition():
            return found
        time.sleep(pause)
    raise TimeoutError(f"waited too long for {what}:\n{told()}")


def shows_connected(runner):
    """Whether a runner, as JSON, is connected."""
    return "CONNECTED" in runner and "DISCONNECTED" not in runner


class Platform:
    """`palisade dev` on a free port, with a state directory of its own."""

    def __init__(self, directory, palisade, cwic, images):
        self.directory = pathlib.Path(directory)
        self.images = images
        # Tests need no network: what they use is there before.
        self.may_pull = False
        # Where HTTP for host names of sandboxes is taken, if at all.
        self.http = None
        # Other options of `palisade dev`.
        self.options = []
        # A file with the authority that vouches for it, if it speaks TLS.
        self.authority = None
        self.state = self.directory / "state"
        self.palisade = palisade
        self.cwic_path = cwic
        self.log_path = self.directory / "palisade.log"
        self.process = None
        self.url = None

    def start(self):
        """Starts it and waits until it is ready."""
        log = self.log_path.open("ab")
        offset = log.tell()
        self.process = subprocess.Popen(
            [self.palisade, "dev", "--listen", "127.0.0.1:0",
             "--state-dir", str(self.state), "--image-dir", str(self.images)]
            + ([] if self.may_pull else ["--no-pull"])
            + ([] if self.http is None else ["--http-listen", self.http])
            + self.options,
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
        )
        log.close()
        self.url = self.wait_for(lambda: self._address(offset), "the address")
        self.wait_for(self._is_ready, "readiness")
        return self

    def _address(self, offset):
        if self.process.poll() is not None:
            raise RuntimeError(f"palisade dev ended:\n{self.log()}")
        text = self.log_path.read_bytes()[offset:].decode(errors="replace")
        found = re.search(r"^listening on (https?://\S+)$", text, re.MULTILINE)
        return found and found.group(1)

    def _is_ready(self):
        try:
            trusted = self.authority and ssl.create_default_context(cafile=self.authority)
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5, context=trusted) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError, http.client.HTTPException):
            return False

    def wait_for(self, condition, what):
        """Waits until the condition holds, and returns what it gave."""
        return wait_for(condition, what, told=lambda: self.log()[-4000:], pause=0.02)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def token(self, name):
        return (self.state / "tokens" / name).read_text().strip()

    def cwic(self, *args, stdin=None, check=True, token="admin"):
        """Runs cwic as an administrator."""
        env = dict(os.environ, CWIC_SERVER=self.url, CWIC_TOKEN=self.token(token))
        done = subprocess.run(
            [self.cwic_path, *args], input=stdin, env=env, text=True, capture_output=True,
            timeout=PATIENCE_SECONDS, check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"cwic {' '.join(args)}: {done.returncode}\n{done.stderr}")
        return done

    def create_profile(self, document):
        return self.cwic("sandbox", "profile", "create", "-f", "-", stdin=json.dumps(document)).stdout.strip()

    def create_runner(self, bindings):
        """Makes the runner object of this machine and waits until it is connected."""
        document = {
            "identity": {"runner_id": "local", "zone": "local", "cluster_name": "local"},
            "profile_bindings": bindings,
        }
        self.cwic("sandbox", "runner", "create", "-f", "-", stdin=json.dumps(document))
        self.wait_for_runner()

    def wait_for_runner(self):
        self.wait_for(self._is_connected, "the runner to connect")

    def _is_connected(self):
        return shows_connected(self.cwic("sandbox", "runner", "get", "local", "-o", "json").stdout)

    def kill(self):
        """Ends it as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)

    def stop(self):
        """Asks it to end."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_SECONDS)
        return self.process.returncode
