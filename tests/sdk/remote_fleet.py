"""A server and runners that are elsewhere: each runner in a network namespace of its own, behind a
bridge, with TLS between them. The way of a runner can be cut and healed.

Everything is made below one directory and below names with one tag, and is gone when it is closed.
Every wait is for a state and has a limit.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import grpc
from cwsandbox._proto import gateway_pb2, gateway_pb2_grpc, streaming_pb2, streaming_pb2_grpc

from certificates import certify
from conftest import IMAGES, binary
from platform_process import PATIENCE_SECONDS, shows_connected, wait_for

IMAGE = "python:3.11"
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OVER = {gateway_pb2.SANDBOX_STATUS_COMPLETED, gateway_pb2.SANDBOX_STATUS_TERMINATED,
        gateway_pb2.SANDBOX_STATUS_FAILED}


def run(*command, check=True, **more):
    done = subprocess.run(command, text=True, capture_output=True, timeout=PATIENCE_SECONDS, check=False, **more)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def authority(directory, name, address):
    """A directory with a private authority, and a certificate of it for one address."""
    directory.mkdir(exist_ok=True)
    certify(directory, address, name)
    return directory


class Process:
    """One process of the platform, and its log."""

    def __init__(self, directory, name, command):
        self.command = command
        self.log_path = directory / f"{name}.log"
        self.process = None
        self.offset = 0

    def start(self):
        with self.log_path.open("ab") as log:
            self.offset = log.tell()
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        return self

    def log(self):
        """What it wrote since it was started last."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_bytes()[self.offset:].decode(errors="replace")

    def says(self, words, seconds=PATIENCE_SECONDS):
        wait_for(lambda: words in self.log(), words, seconds, lambda: self.log()[-4000:])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_SECONDS)
        return self.process and self.process.returncode


class Runner(Process):
    """`palisade runner` in a network namespace of its own."""

    def __init__(self, fleet, name, number, token_file, authority_file):
        self.fleet, self.name = fleet, name
        self.namespace = f"{fleet.tag}-{name}"
        self.link = f"{fleet.tag}{number}"
        self.address = f"{fleet.network}.{number + 10}"
        self.state = fleet.directory / f"runner-{name}"
        super().__init__(fleet.directory, f"runner-{name}", [
            "nsenter", f"--net=/run/netns/{self.namespace}", binary("palisade"), "runner",
            "--gateway", fleet.url, "--join-token-file", str(token_file), "--gateway-ca", str(authority_file),
            "--state-dir", str(self.state), "--image-dir", str(IMAGES), "--no-pull",
            "--dns-upstream", fleet.gateway_address,
        ])

    def connect_namespace(self):
        run("ip", "netns", "add", self.namespace)
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "uplink", "netns", self.namespace)
        run("ip", "link", "set", self.link, "master", self.fleet.bridge, "up")
        for words in [["addr", "add", f"{self.address}/24", "dev", "uplink"], ["link", "set", "uplink", "up"],
                      ["link", "set", "lo", "up"], ["route", "add", "default", "via", self.fleet.gateway_address]]:
            run("ip", "-n", self.namespace, *words)

    def disconnect_namespace(self):
        run("ip", "netns", "del", self.namespace, check=False)
        run("ip", "link", "del", self.link, check=False)

    def sweep(self):
        """Ends what a test that failed left in sandboxes."""
        for instance in set(re.findall(r"network.instance=([0-9a-f]+)", self.log_path.read_text())):
            for processes in pathlib.Path("/sys/fs/cgroup").glob(f"**/palisade-{instance}/**/cgroup.procs"):
                for process in read(processes).split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(process), signal.SIGKILL)

    def cut(self):
        """Drops what it sends and what is sent to it, without a word to either side."""
        rules = ("table inet cut { chain in { type filter hook input priority -300; iifname uplink drop; }; "
                 "chain out { type filter hook output priority -300; oifname uplink drop; }; }")
        run("nsenter", f"--net=/run/netns/{self.namespace}", "nft", rules)

    def heal(self):
        run("nsenter", f"--net=/run/netns/{self.namespace}", "nft", "delete table inet cut")

    def connected(self):
        return shows_connected(self.fleet.cwic("sandbox", "runner", "get", self.name, "-o", "json").stdout)

    def wait_connected(self, seconds=PATIENCE_SECONDS):
        wait_for(self.connected, f"runner {self.name} to connect", seconds, lambda: self.log()[-4000:])

    def wait_disconnected(self, seconds=PATIENCE_SECONDS):
        wait_for(lambda: not self.connected(), f"runner {self.name} to be missed", seconds)

    def held(self):
        """What it has of sandboxes on the disk."""
        names = os.listdir(self.state / "sandboxes" / "sandboxes")
        return {name for name in names if UUID.fullmatch(name)}


def read(path):
    """A file that may go meanwhile."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


class Fleet:
    """`palisade serve` with TLS, and runners that dial it."""

    ORGANIZATION = "acme"

    def __init__(self, directory, number):
        self.directory = pathlib.Path(directory)
        self.tag = f"pr{number}"
        self.bridge = f"{self.tag}br"
        self.network = f"10.23{number % 10}.{os.getpid() % 250}"
        self.gateway_address = f"{self.network}.1"
        self.state = self.directory / "server"
        self.runners, self.channel, self.server, self.url, self.address = {}, None, None, None, None

    def open(self):
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "addr", "add", f"{self.gateway_address}/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        self.trusted = authority(self.directory / "trusted", "Trusted", self.gateway_address)
        self.palisade("organization", "create", self.ORGANIZATION)
        token = lambda user, role: self.palisade(
            "token", "create", "--organization", self.ORGANIZATION, "--user", user, "--role", role)
        self.admin, self.user = token("root", "sandbox-admin"), token("ann", "sandbox-user")
        self.serve("0")
        self.address = self.url.removeprefix("https://")
        self.profile = self.cwic("sandbox", "profile", "create", "-f", "-", stdin=json.dumps({
            "display_name": "plain",
            "spec": {"namespace": {"strategy": "per-user"},
                     "network": {"egress": {"default": "none", "modes": {"none": {"type": "none"}}}}},
        })).stdout.strip()
        return self

    def serve(self, port):
        self.server = Process(self.directory, "server", [
            binary("palisade"), "serve", "--listen", f"{self.gateway_address}:{port}",
            "--state-dir", str(self.state), "--tls-cert", str(self.trusted / "server.pem"),
            "--tls-key", str(self.trusted / "server.key"),
        ]).start()
        found = lambda: re.search(r"^listening on (https://\S+)$", self.server.log(), re.MULTILINE)
        self.url = wait_for(found, "the address", told=self.server.log).group(1)

    def restart_server(self):
        """After it was killed, at the same port, so that runners find it."""
        self.serve(self.address.rsplit(":", 1)[1])

    def palisade(self, *words, check=True):
        done = run(binary("palisade"), *words, "--state-dir", str(self.state), check=check)
        return done.stdout.strip() if check else done

    def cwic(self, *words, stdin=None, check=True, token=None):
        env = dict(os.environ, CWIC_SERVER=self.url, CWIC_TOKEN=token or self.admin,
                   CWIC_CA_FILE=str(self.trusted / "ca.pem"))
        return run(binary("cwic"), *words, check=check, input=stdin, env=env)

    def join_token(self, cluster, *more):
        """A join token, in a file."""
        text = self.palisade("token", "create-runner", cluster, "--organization", self.ORGANIZATION, *more)
        path = self.directory / f"join-{cluster}-{len(list(self.directory.glob('join-*')))}"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def new_runner(self, name, token_file=None, authority_file=None):
        """A runner whose object exists; not started yet."""
        runner = self.bare_runner(name, token_file or self.join_token(name), authority_file)
        self.cwic("sandbox", "runner", "create", "-f", "-", stdin=json.dumps({
            "identity": {"runner_id": name, "zone": name, "cluster_name": name},
            "profile_bindings": [{"profile_template_id": self.profile, "is_default": True}],
        }))
        return runner

    def bare_runner(self, name, token_file, authority_file=None):
        number = len(self.runners) + 1
        runner = Runner(self, name, number, token_file, authority_file or self.trusted / "ca.pem")
        self.runners[name] = runner
        runner.connect_namespace()
        return runner

    def close(self):
        """Takes everything away, whatever failed before."""
        with contextlib.ExitStack() as last:
            last.callback(run, "ip", "link", "del", self.bridge, check=False)
            for runner in self.runners.values():
                last.callback(runner.disconnect_namespace)
            if self.server:
                last.callback(self.server.stop)
            for runner in self.runners.values():
                last.callback(runner.sweep)
                last.callback(runner.stop)
            self.end_sandboxes()
            if self.channel:
                self.channel.close()

    def end_sandboxes(self):
        """So that nothing of them outlives the test."""
        if not self.server or self.server.process.poll() is not None:
            return
        call = self.calls()
        for sandbox in call.List(gateway_pb2.ListSandboxesRequest(include_stopped=True)).sandboxes:
            call.Delete(gateway_pb2.DeleteSandboxRequest(sandbox_id=sandbox.sandbox_id))
        for runner in self.runners.values():
            if runner.process and runner.process.poll() is None:
                wait_for(lambda runner=runner: not runner.held(), "sandboxes to be gone", told=runner.log)

    def open_channel(self):
        credentials = grpc.ssl_channel_credentials((self.trusted / "ca.pem").read_bytes())
        return grpc.secure_channel(self.address, credentials, options=[("grpc.use_local_subchannel_pool", 1)])

    def calls(self):
        if self.channel:
            self.channel.close()
        self.channel = self.open_channel()
        return Calls(self.channel, self.user)


class Calls:
    """What the SDK calls, with a token and a limit."""

    def __init__(self, channel, token):
        self.metadata = [("authorization", f"Bearer {token}")]
        self.unary = gateway_pb2_grpc.GatewayServiceStub(channel)
        self.streams = streaming_pb2_grpc.GatewayStreamingServiceStub(channel)

    def __getattr__(self, name):
        method = getattr(self.unary, name)
        return lambda request, timeout=PATIENCE_SECONDS: method(request, metadata=self.metadata, timeout=timeout)

    def start(self, *command, runner=None, **more):
        request = gateway_pb2.StartSandboxRequest(
            command=command[0], args=command[1:], container_image=IMAGE,
            runner_ids=[runner] if runner else [], **more)
        return self.Start(request).sandbox_id

    def get(self, sandbox_id):
        return self.Get(gateway_pb2.GetSandboxRequest(sandbox_id=sandbox_id))

    def runs(self, sandbox_id):
        def running():
            seen = self.get(sandbox_id)
            assert seen.sandbox_status not in OVER, seen
            return seen.sandbox_status == gateway_pb2.SANDBOX_STATUS_RUNNING and seen
        return wait_for(running, f"sandbox {sandbox_id} to run")

    def sh(self, sandbox_id, script):
        """Runs a script to its end: exit code and output."""
        stream = self.exec(sandbox_id, "sh", "-c", script)
        stream.end_input()
        output, last = stream.rest()
        assert last.HasField("exit"), last
        return last.exit.exit_code, output.decode()

    def exec(self, sandbox_id, *command, timeout=None, **more):
        init = streaming_pb2.ExecStreamInit(sandbox_id=sandbox_id, command=command, **more)
        return Stream(self.streams.StreamExec, streaming_pb2.ExecStreamRequest(init=init), self.metadata, timeout)

    def logs(self, sandbox_id, timeout=None, **more):
        init = streaming_pb2.LogStreamInit(sandbox_id=sandbox_id, **more)
        return Stream(self.streams.StreamLogs, streaming_pb2.LogStreamRequest(init=init), self.metadata, timeout)


class Stream:
    """One stream, driven by hand; nothing here waits without a limit."""

    def __init__(self, method, first, metadata, timeout):
        self.requests = [first]
        self.is_input_over = False
        self.call = method(self._said(), metadata=metadata, timeout=timeout or 2 * PATIENCE_SECONDS)

    def _said(self):
        while True:
            if self.requests:
                yield self.requests.pop(0)
            elif self.is_input_over:
                return
            else:
                time.sleep(0.01)

    def say(self, request):
        self.requests.append(request)

    def stdin(self, data):
        self.say(streaming_pb2.ExecStreamRequest(stdin=streaming_pb2.ExecStreamData(data=data)))

    def end_input(self):
        self.is_input_over = True

    def next(self):
        return next(self.call)

    def rest(self):
        """All output and the last frame; a status other than OK is raised."""
        output, last = b"", None
        for frame in self.call:
            assert last is None, f"{frame} follows {last}"
            kind = frame.WhichOneof("response")
            if kind in ("output", "data"):
                output += frame.output.data if kind == "output" else frame.data.data
            elif kind != "ready":
                last = frame
        self.is_input_over = True
        return output, last

    def cancel(self):
        self.is_input_over = True
        self.call.cancel()
