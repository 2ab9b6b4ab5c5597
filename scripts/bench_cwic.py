#!/usr/bin/env python3
"""Measures how quick `cwic` is beside a program that everybody knows, in one run.

    scripts/bench_cwic.py DIRECTORY-OF-BINARIES [RUNS]

Prints Markdown. It judges nothing: the targets stand beside the figures. The
server is a platform of its own on loopback, whose state goes with it.
"""

import http.client
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


def timed(work, runs):
    work()  # Once for the caches of the system.
    laps = []
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        laps.append((time.perf_counter() - begun) * 1000)
    return sorted(laps)


def program(*command, env=None):
    return lambda: subprocess.run(
        command, env=env, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def row(what, laps, target=""):
    p99 = laps[min(len(laps) - 1, len(laps) * 99 // 100)]
    print(f"| {what} | {statistics.median(laps):.1f} ms | {p99:.1f} ms | {target} |")


def reference():
    if shutil.which("kubectl"):
        return ("kubectl", "version", "--client")
    return ("git", "--version")


def wait_for(path, limit=30):
    deadline = time.monotonic() + limit
    while not (path.exists() and path.read_text().strip()):
        if time.monotonic() > deadline:
            raise SystemExit(f"{path} did not come about")
        time.sleep(0.05)
    return path.read_text().strip()


def address_of(log, limit=30):
    """The address that the server says it listens on."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        for word in log.read_text().replace('"', " ").split():
            if word.startswith("http://127.0.0.1:"):
                return word.removeprefix("http://").strip(".,/")
        time.sleep(0.05)
    raise SystemExit("the server does not say where it is:\n" + log.read_text())


def main():
    bin_directory = pathlib.Path(sys.argv[1])
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    cwic = str(bin_directory / "cwic")
    with tempfile.TemporaryDirectory(prefix="palisade-bench-") as folder:
        folder = pathlib.Path(folder)
        log = folder / "log"
        with log.open("w") as sink:
            server = subprocess.Popen(
                [bin_directory / "palisade", "dev", "--no-pull", "--listen", "127.0.0.1:0", "--state-dir", folder / "state"],
                stdout=sink,
                stderr=sink,
            )
        try:
            token = wait_for(folder / "state" / "tokens" / "admin")
            address = address_of(log)
            env = {
                "HOME": str(folder),
                "PATH": os.environ["PATH"],
                "CWIC_SERVER": f"http://{address}",
                "CWIC_TOKEN": token,
            }

            def round_trip():
                connection = http.client.HTTPConnection(address)
                path = "/v1beta2/sandbox/profile-templates?pageSize=200"
                connection.request("GET", path, headers={"authorization": f"Bearer {token}"})
                assert connection.getresponse().read()

            print("| what | median | p99 | target |\n|---|---|---|---|")
            row(f"`{' '.join(reference())}`", timed(program(*reference()), runs))
            row("`cwic --help`", timed(program(cwic, "--help", env=env), runs), "≤ 20 ms")
            row("one round trip to the control plane", timed(round_trip, runs))
            get = program(cwic, "sandbox", "profile", "get", env=env)
            row("`cwic sandbox profile get`", timed(get, runs), "≤ 50 ms + a round trip")
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main()
