"""From a profile file to a guarded sandbox, and back to a clean machine.

Run by scripts/demo.sh inside a network namespace that has a small internet
behind it. Every claim that is printed with a tick was checked; the first that
does not hold ends the demo with an error.
"""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "sdk"))

from platform_process import Platform  # noqa: E402

BIN = pathlib.Path(sys.argv[1])
IS_TERMINAL = sys.stdout.isatty() and "NO_COLOR" not in os.environ
BEGAN = time.monotonic()

# What a sandbox is asked to reach, and what stands there.
TARGETS = {
    "140.82.112.3": "GitHub, listed by ci",
    "2606:50c0:8000::153": "the same over IPv6",
    "93.184.215.14": "a web site",
    "2606:4700:4700::1111": "another over IPv6",
    "10.1.2.3": "a private network",
    "169.254.169.254": "cloud metadata",
    "198.51.100.2": "this machine",
    "127.0.0.1": "loopback",
}
LISTED = {"140.82.112.3", "2606:50c0:8000::153"}
PUBLIC = LISTED | {"93.184.215.14", "2606:4700:4700::1111"}

PROBE = """
import concurrent.futures, json, sys, urllib.request
def reaches(address):
    host = f"[{address}]" if ":" in address else address
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{host}/", timeout=2).read()
        return True
    except OSError:
        return False
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    print(json.dumps(dict(zip(sys.argv[1:], pool.map(reaches, sys.argv[1:])))))
"""

INSPECT = """
import os
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
maps = open("/proc/self/uid_map").read().split()
print(f"root inside is user {maps[1]} of the machine")
print(f"processes it can see: {len([p for p in os.listdir('/proc') if p.isdigit()])}")
print(f"capabilities to use: {bin(int(status['CapEff'], 16)).count('1')} of 41, new privileges: {'no' if status['NoNewPrivs'].strip() == '1' else 'YES'}, system calls filtered: {'yes' if status['Seccomp'].strip() == '2' else 'NO'}")
"""


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if IS_TERMINAL else text


def chapter(title):
    print(f"\n{paint('1;36', f'── {title} ')}{paint('36', '─' * max(0, 66 - len(title)))}")


def show(command):
    print(paint("1", f"$ {command}"))


def say(text):
    for line in text.rstrip("\n").splitlines():
        print(f"  {line}")


def check(claim, holds, otherwise=""):
    if not holds:
        print(f"  {paint('1;31', '✗')} {claim}\n    {otherwise}")
        sys.exit(1)
    print(f"  {paint('32', '✓')} {claim}")


def cwic(platform, *args, stdin=None, code=0):
    show("cwic " + " ".join(args))
    done = platform.cwic(*args, stdin=stdin, check=False)
    say(done.stdout + done.stderr)
    if done.returncode != code:
        check(f"exit code {code}", False, f"it was {done.returncode}")
    return done.stdout.strip()


def reach(box, expected):
    """Probes every target from inside, prints the table and checks it."""
    done = box.exec(["python3", "-c", PROBE, *TARGETS]).result()
    if done.returncode != 0:
        check("the probe runs", False, done.stderr)
    found = json.loads(done.stdout)
    for address, what in TARGETS.items():
        is_open = found[address]
        word = paint("32", "open  ") if is_open else paint("31", "closed")
        print(f"    {address:22} {what:24} {word}")
        if is_open != (address in expected):
            check("exactly what the profile says", False, f"{address} should be the other way round")
    check("exactly what the profile says, no more and no less", True)


def read(path):
    """What is in a file of a process; nothing once the process has ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def inventory(state):
    """Everything that a sandbox could leave on this machine, by name."""

    def lines(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.splitlines()

    # What runners leave on a machine is named after their state directory.
    instance = hashlib.sha256(str(state).encode()).hexdigest()[:10]
    mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    cgroups = [str(path) for path in pathlib.Path("/sys/fs/cgroup").glob(f"**/*{instance}*")]
    processes = [
        (entry / "comm").read_text().strip()
        for entry in pathlib.Path("/proc").glob("[0-9]*")
        if entry.name != str(os.getpid()) and str(state).encode() in read(entry / "cmdline") + read(entry / "mountinfo")
    ]
    return {
        "processes": processes,
        "mounts": [line for line in mounts if str(state) in line],
        "network namespaces": [str(path) for path in pathlib.Path("/run/palisade").glob(f"{instance}*")],
        "interfaces and addresses": [line.split()[1] + " " + line.split()[3] for line in lines("ip", "-o", "address")],
        "rules": lines("nft", "list", "ruleset"),
        "routes": lines("ip", "route"),
        "control groups": cgroups,
        "files of sandboxes": [str(p) for p in (state / "sandboxes").glob("**/*") if p.is_dir() and re.search(r"[0-9a-f]{8}-", p.name)],
    }


def story(platform, before):
    from cwsandbox import NetworkOptions, Sandbox
    from cwsandbox.exceptions import CWSandboxError

    chapter("The platform")
    platform.start()
    show("palisade dev")
    say(f"listening on {platform.url}")
    os.environ["CWSANDBOX_BASE_URL"] = platform.url
    os.environ["CWSANDBOX_API_KEY"] = platform.token("user")

    chapter("An administrator writes down what sandboxes may do")
    examples = "examples/profiles"
    deny_all = cwic(platform, "sandbox", "profile", "create", "-f", f"{examples}/deny-all.yaml")
    agents = cwic(platform, "sandbox", "profile", "create", "-f", f"{examples}/split.yaml")
    ci = cwic(platform, "sandbox", "profile", "create", "-f", f"{examples}/ci.yaml")
    say(paint("2", "…and offers two of them on this machine, one as the default:"))
    bindings = [
        {"profile_template_id": agents, "is_default": True},
        {"profile_template_id": deny_all, "profile_name": "untrusted"},
    ]
    identity = {"runner_id": "local", "zone": "here", "cluster_name": "local"}
    runner = {"identity": identity, "profile_bindings": bindings}
    cwic(platform, "sandbox", "runner", "create", "-f", "-", stdin=json.dumps(runner))
    platform.wait_for_runner()
    cwic(platform, "sandbox", "runner", "ls")
    say(paint("2", "Later, ci joins them. The list is replaced as a whole, in one transaction:"))
    bindings.append({"profile_template_id": ci})
    cwic(platform, "sandbox", "runner", "edit", "local", "-f", "-", stdin=json.dumps({"profile_bindings": bindings}))
    cwic(platform, "sandbox", "profile", "ls")

    chapter("A user starts a sandbox with the official SDK")
    show("Sandbox.run()")
    asked = time.monotonic()
    with Sandbox.run() as box:
        box.wait(timeout=30)
        done = box.exec(["python3", "-c", "import platform; print('Python', platform.python_version(), 'on', platform.node())"]).result()
        say(f"{done.stdout.strip()}, {1000 * (time.monotonic() - asked):.0f} ms after it was asked for")
        check(f"it runs under the default profile, with egress {box.applied_egress_mode!r}", box.applied_egress_mode == "internet")
        box.write_file("/work/data.bin", bytes(range(256))).result()
        check("files come back as they were written", box.read_file("/work/data.bin").result() == bytes(range(256)))
        say(box.exec(["python3", "-c", INSPECT]).result().stdout)
        outside = f"cat {platform.state}/tokens/admin || ls {ROOT}/scripts || mount -t tmpfs none /mnt"
        check("it sees no file of the machine and mounts nothing", box.exec(["sh", "-c", outside]).result().returncode != 0)
        box.exec(["sh", "-c", "kill -9 1"]).result()
        check("it cannot end the process that holds it", box.exec(["true"]).result().returncode == 0)

        # So that finding nothing at the end means something.
        seen = inventory(platform.state)
        unseen = [what for what in ("processes", "network namespaces", "control groups", "files of sandboxes") if not seen[what]]
        check("what it holds on the machine can be seen and counted", not unseen, unseen)

        chapter("The network guardrail, measured from the inside")
        say("profile agents, egress internet (the default):")
        reach(box, PUBLIC)
    with Sandbox.run(profile_names=["agents"], network=NetworkOptions(egress_mode="deny-all")) as box:
        box.wait(timeout=30)
        say("profile agents, egress deny-all (asked for at launch):")
        reach(box, set())
    with Sandbox.run(profile_names=["ci"]) as box:
        box.wait(timeout=30)
        say("profile ci, egress ci-allowlist:")
        reach(box, LISTED)

    chapter("What a profile does not offer is refused, with the reason")
    show('Sandbox.run(profile_names=["untrusted"], network={"egress_mode": "internet"})')
    try:
        Sandbox.run(profile_names=["untrusted"], network=NetworkOptions(egress_mode="internet")).stop().result()
        check("it is refused", False)
    except CWSandboxError as error:
        say(f"{error.reason}: {error}")
        say(f"closest: {error.metadata.get('closest')}")
        check("PROFILE_MISMATCH", error.reason == "CWSANDBOX_PROFILE_MISMATCH")
    show('Sandbox.run(resources={"cpu": "1", "memory": "4Ti"})')
    try:
        Sandbox.run(resources={"cpu": "1", "memory": "4Ti"}).stop().result()
        check("it is refused", False)
    except CWSandboxError as error:
        say(f"{error.reason}: {error}")
        say(f"closest: {error.metadata.get('closest')}")
        check("NO_SUITABLE_RUNNER", error.reason == "CWSANDBOX_NO_SUITABLE_RUNNER")

    chapter("What is in use is not deleted")
    cwic(platform, "sandbox", "profile", "delete", "ci", "--yes", code=5)
    request = urllib.request.Request(
        f"{platform.url}/v1beta2/sandbox/profile-templates/{ci}", method="DELETE",
        headers={"Authorization": f"Bearer {platform.token('admin')}"},
    )
    try:
        urllib.request.urlopen(request, timeout=10)
        status = 200
    except urllib.error.HTTPError as error:
        status = error.code
    check(f"over REST it is {status}", status == 409)

    chapter("Everything ends")
    check("no sandbox lives any more", Sandbox.list().result() == [])
    ended = Sandbox.list(include_stopped=True).result()
    for box in ended:
        Sandbox.delete(box.sandbox_id).result()
    say(f"the {len(ended)} that ended are deleted, with their logs")
    platform.wait_for(lambda: not inventory(platform.state)["files of sandboxes"], "the files to go")
    cwic(platform, "sandbox", "runner", "delete", "local", "--yes")
    platform.wait_for(lambda: platform.cwic("sandbox", "runner", "get", "local", check=False).returncode == 3, "the runner to go")
    cwic(platform, "sandbox", "profile", "delete", "ci", "agents", "deny-all", "--yes")
    code = platform.stop()
    check("the platform ended by itself when it was asked to", code == 0, platform.log()[-2000:])
    after = inventory(platform.state)
    for what, found in after.items():
        left = [item for item in found if item not in before[what]]
        check(f"{what}: none left", not left, left)


def main():
    with tempfile.TemporaryDirectory(prefix="palisade-demo-") as directory:
        platform = Platform(directory, str(BIN / "palisade"), str(BIN / "cwic"), ROOT / ".palisade" / "images")
        before = inventory(platform.state)
        try:
            story(platform, before)
        except BaseException:
            if platform.process:
                platform.stop()
                print(platform.log()[-3000:], file=sys.stderr)
            raise
    print(f"\n{paint('1;32', 'All of it held.')} {time.monotonic() - BEGAN:.1f} s\n")


main()
