#!/usr/bin/env python3
"""Measures the memory of a runner that watches many sandboxes in a cluster.

    bench.py COUNT STAND_IN

STAND_IN is the binary of the backend's tests, which plays the node; scripts/kube/bench.sh
brings the API server up, says where everything is, and runs this.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "kube"))

from conftest import IMAGE, PROFILES, Runner, System, kubectl  # noqa: E402
from cwsandbox import Sandbox  # noqa: E402
from cwsandbox.exceptions import SandboxError  # noqa: E402

AT_ONCE = 16
START_SECONDS_MAX = 1200
SETTLING_SECONDS = 15


def memory_mib(pid, key="VmRSS"):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith(key + ":")]
    return int(line.split()[1]) / 1024


def running(instance):
    shown = kubectl("get", "pods", "-A", "-l", f"app.kubernetes.io/instance={instance}",
                    "--field-selector=status.phase=Running", "-o", "name")
    return len(shown.splitlines())


def start(_):
    return Sandbox.run("sleep", "1000", container_image=IMAGE, profile_names=["open"]).sandbox_id


def is_taken_on():
    """Whether a sandbox starts: the runner may not have seen its node yet."""
    try:
        return start(0)
    except SandboxError:
        return None


def measure(system, runner, count):
    before = memory_mib(runner.process.pid)
    system.wait_for(is_taken_on, "the first sandbox to be taken on")
    with ThreadPoolExecutor(AT_ONCE) as starters:
        list(starters.map(start, range(1, count)))
    system.wait_for(lambda: running(runner.instance) >= count, "all pods to run", START_SECONDS_MAX)
    # What the last of them took is given back by then, or never.
    time.sleep(SETTLING_SECONDS)
    after, most = memory_mib(runner.process.pid), memory_mib(runner.process.pid, "VmHWM")
    print("| runner, resident memory | | target |\n|---|---|---|")
    print(f"| without sandboxes | {before:.0f} MiB | |")
    print(f"| with {count} watched | {after:.0f} MiB | ≤ 60 MiB |")
    print(f"| … at its most | {most:.0f} MiB | |", flush=True)


def main(count, stand_in):
    with tempfile.TemporaryDirectory() as directory:
        system = System(directory).start()
        os.environ["CWSANDBOX_BASE_URL"], os.environ["CWSANDBOX_API_KEY"] = system.url, system.token("user")
        profile = system.create_profile(PROFILES["open"])
        system.create_runner("kube", [{"profile_template_id": profile, "is_default": True}])
        runner = Runner(system, "kube", "--network-enforcement", "accept-none").start()
        until = pathlib.Path(directory) / "done"
        node = subprocess.Popen(
            [stand_in, "--ignored", "--exact", "figures::stands_in_for_a_node"], stdout=subprocess.DEVNULL,
            env={**os.environ, "PALISADE_BENCH_INSTANCE": runner.instance, "PALISADE_BENCH_UNTIL": str(until)})
        try:
            system.wait_for(lambda: system.is_connected("kube"), "the runner to connect")
            measure(system, runner, count)
        finally:
            until.touch()
            node.wait(30)
            # What they ran is gone with the cluster.
            runner.kill()
            system.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
