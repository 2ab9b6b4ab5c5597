"""Runners that are processes of their own, each of an organization of its own, on this machine."""

import contextlib
import json
import os
import pathlib
import subprocess
from dataclasses import dataclass

from platform_process import shows_connected


@dataclass
class Joined:
    """A runner that has joined, and how its organization's administrator is known."""

    admin: pathlib.Path
    profile: str
    log: pathlib.Path
    process: subprocess.Popen

    def cwic(self, platform, *words, stdin=None):
        return as_admin(platform, self.admin.read_text(), *words, stdin=stdin)


def as_admin(platform, token, *words, stdin=None):
    env = dict(os.environ, CWIC_SERVER=platform.url, CWIC_TOKEN=token)
    done = subprocess.run(
        [platform.cwic_path, *words], input=stdin, env=env, text=True, capture_output=True, timeout=60, check=True,
    )
    return done.stdout.strip()


@contextlib.contextmanager
def joined(platform, organization, profile, *options):
    """A runner with this profile, by a join token, until it is asked to end."""
    def palisade(*words):
        words = [platform.palisade, *words, "--state-dir", str(platform.state)]
        done = subprocess.run(words, check=True, text=True, capture_output=True, timeout=30)
        return done.stdout.strip().splitlines()[-1]

    palisade("organization", "create", organization)
    token = palisade("token", "create", "--organization", organization, "--user", "eve", "--role", "sandbox-admin")
    admin = platform.directory / f"{organization}-token"
    admin.write_text(token)
    join = platform.directory / f"{organization}-join"
    join.write_text(palisade("token", "create", "--organization", organization, "--cluster", organization))
    made = as_admin(platform, token, "sandbox", "profile", "create", "-f", "-", stdin=json.dumps(profile))
    runner = {
        "identity": {"runner_id": organization, "zone": "local", "cluster_name": organization},
        "profile_bindings": [{"profile_template_id": made, "is_default": True}],
    }
    as_admin(platform, token, "sandbox", "runner", "create", "-f", "-", stdin=json.dumps(runner))
    path = platform.directory / f"{organization}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [platform.palisade, "runner", "--gateway", platform.url, "--join-token-file", str(join), "--no-pull",
             "--state-dir", str(platform.directory / organization), "--image-dir", str(platform.images), *options],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )

    def is_connected():
        assert process.poll() is None, path.read_text()
        return shows_connected(as_admin(platform, token, "sandbox", "runner", "get", organization, "-o", "json"))

    try:
        platform.wait_for(is_connected, f"the runner of {organization}")
        yield Joined(admin, made, path, process)
    finally:
        process.terminate()
        ended = process.wait(60)
    assert ended == 0, path.read_text()[-4000:]
