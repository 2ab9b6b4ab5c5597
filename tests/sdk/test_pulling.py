"""A sandbox whose image is in a registry only, here one on loopback."""

import re
import shutil
import subprocess

import pytest
from cwsandbox import Sandbox

from conftest import new_platform, with_profiles

BUSYBOX = "/bin/busybox"


def run(*command):
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture
def registry(tmp_path):
    """The address of a registry, and its process."""
    config = tmp_path / "registry.yml"
    config.write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\n"
        'http: {addr: "127.0.0.1:0"}\n'
    )
    log = tmp_path / "registry.log"
    with log.open("wb") as out, subprocess.Popen(["docker-registry", "serve", str(config)], stderr=out) as process:
        try:
            yield address(process, log), process
        finally:
            process.kill()


@pytest.fixture
def own_platform(tmp_path, monkeypatch):
    """A second platform, which may pull; its images are its own."""
    own = new_platform(tmp_path)
    own.may_pull, own.images = True, tmp_path / "images"
    own.start()
    try:
        with_profiles(own)
        monkeypatch.setenv("CWSANDBOX_BASE_URL", own.url)
        monkeypatch.setenv("CWSANDBOX_API_KEY", own.token("user"))
        yield
    finally:
        own.stop()


def address(process, log):
    while process.poll() is None:
        if found := re.search(r"listening on ([0-9.:]+)", log.read_text()):
            return found[1]
    raise AssertionError(f"the registry ended:\n{log.read_text()}")


def push(name, directory):
    """Puts an image with one program into a registry."""
    layout, bundle = directory / "layout", directory / "bundle"
    image = f"{layout}:it"
    run("umoci", "init", "--layout", str(layout))
    run("umoci", "new", "--image", image)
    run("umoci", "unpack", "--image", image, str(bundle))
    program = bundle / "rootfs" / BUSYBOX.lstrip("/")
    program.parent.mkdir()
    shutil.copy(BUSYBOX, program)
    run("umoci", "repack", "--image", image, str(bundle))
    run("skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{image}", f"docker://{name}")


@pytest.mark.usefixtures("own_platform")
def test_an_image_is_pulled_when_a_sandbox_needs_it(registry, tmp_path):
    at, process = registry
    name = f"{at}/tiny:1"
    push(name, tmp_path)
    with Sandbox.run(BUSYBOX, "sleep", "60", container_image=name) as box:
        box.wait(timeout=60)
        assert box.exec([BUSYBOX, "echo", "pulled"]).result().stdout == "pulled\n"

    process.kill()
    process.wait()
    with Sandbox.run(BUSYBOX, "sleep", "60", container_image=name) as box:
        box.wait(timeout=60)
        assert box.exec([BUSYBOX, "echo", "kept"]).result().stdout == "kept\n"
