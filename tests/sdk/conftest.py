"""One platform for all tests: `palisade dev`, an image made from Debian's
packages, and the profiles that the tests use."""

import contextlib
import os
import pathlib

import pytest

from platform_process import Platform

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Made once by scripts/image.sh; the image store is safe to share.
IMAGES = ROOT / ".palisade" / "images"

PROFILES = {
    "open": {
        "display_name": "open",
        "spec": {
            "namespace": {"strategy": "per-user"},
            "network": {
                "egress": {
                    "default": "internet",
                    "modes": {"internet": {"type": "internet"}, "deny-all": {"type": "none"}},
                }
            },
        },
    },
    "team": {
        "display_name": "team",
        "spec": {
            "namespace": {"strategy": "per-user"},
            "network": {
                "egress": {
                    "default": "user",
                    "modes": {mode: {"type": mode} for mode in ["none", "internet", "user", "org", "profile"]},
                },
                "ingress": {
                    "internal": {"scope": "user", "service": {"serviceType": "ClusterIP"}},
                    "shared": {"scope": "org", "service": {"serviceType": "ClusterIP"}},
                    "routed": {
                        "scope": "any",
                        "service": {"serviceType": "ClusterIP"},
                        "ingress": {"controllerName": "nginx", "template": "{{.SandboxID}}.example.com"},
                    },
                },
            },
        },
    },
    "closed": {
        "display_name": "closed",
        "spec": {
            "namespace": {"strategy": "per-user"},
            "resource_ceiling": {"cpu": "1", "memory": "256Mi"},
            "network": {"egress": {"default": "deny-all", "modes": {"deny-all": {"type": "none"}}}},
        },
    },
    "elsewhere": {
        "display_name": "elsewhere",
        "spec": {"namespace": {"strategy": "per-user"}, "runtime_class": "firecracker"},
    },
}


def binary(name):
    path = pathlib.Path(os.environ.get("PALISADE_BIN_DIR", ROOT / "target" / "debug")) / name
    assert path.exists(), f"{path} is missing; scripts/sdk.sh builds it"
    return str(path)


def new_platform(directory):
    """A platform with a state directory of its own; not started yet."""
    return Platform(directory, binary("palisade"), binary("cwic"), IMAGES)


@contextlib.contextmanager
def known_to_the_sdk(platform, token=None):
    """The SDK talks to this platform meanwhile, as its user if nobody else."""
    kept = {key: os.environ.get(key) for key in ("CWSANDBOX_BASE_URL", "CWSANDBOX_API_KEY")}
    os.environ.update(CWSANDBOX_BASE_URL=platform.url, CWSANDBOX_API_KEY=token or platform.token("user"))
    try:
        yield
    finally:
        for key, value in kept.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


@contextlib.contextmanager
def in_use(platform, *profiles):
    """Starts a platform with these profiles, the first as default, which the SDK talks to meanwhile."""
    platform.start()
    try:
        ids = [platform.create_profile(profile) for profile in profiles]
        platform.create_runner([
            {"profile_template_id": id, "is_default": place == 0} for place, id in enumerate(ids)
        ])
        with known_to_the_sdk(platform):
            yield platform
    finally:
        code = platform.stop()
    assert code == 0, platform.log()[-4000:]


def with_profiles(platform):
    """Makes the profiles and the runner that offers them."""
    ids = {name: platform.create_profile(document) for name, document in PROFILES.items()}
    platform.create_runner([
        {"profile_template_id": ids["open"], "is_default": True},
        {"profile_template_id": ids["closed"]},
        {"profile_template_id": ids["team"]},
        {"profile_template_id": ids["elsewhere"]},
    ])
    return ids


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    platform = new_platform(tmp_path_factory.mktemp("palisade")).start()
    try:
        with_profiles(platform)
        os.environ["CWSANDBOX_BASE_URL"] = platform.url
        os.environ["CWSANDBOX_API_KEY"] = platform.token("user")
        yield platform
    finally:
        code = platform.stop()
        (ROOT / ".palisade" / "sdk.log").write_text(platform.log())
        assert code == 0, platform.log()[-4000:]


@pytest.fixture(scope="session")
def sandbox(platform):
    """One sandbox that many tests share."""
    from cwsandbox import Sandbox

    with Sandbox.run(profile_names=["open"]) as shared:
        shared.wait(timeout=60)
        yield shared
