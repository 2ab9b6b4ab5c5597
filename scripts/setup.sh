#!/usr/bin/env bash
# Installs what building, testing and the demo need on Debian 12.
#
# Does nothing that is already done, so that it can run every time. Other
# distributions: install the packages named here by hand.
set -euo pipefail

purpose="${1:-test}"

build_packages=(gcc libc6-dev make)
demo_packages=(crun nftables iproute2 mmdebstrap python3-venv)
test_packages=(runc docker-registry skopeo umoci busybox-static jq g++ openssl)

wanted=("${build_packages[@]}" "${demo_packages[@]}")
if [ "$purpose" = test ]; then
  wanted+=("${test_packages[@]}")
fi

# Node.js is often there from elsewhere, with npm in it.
if [ "$purpose" = test ]; then
  command -v node >/dev/null || wanted+=(nodejs)
  command -v npm >/dev/null || wanted+=(npm)
fi

missing=()
for package in "${wanted[@]}"; do
  state="$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)"
  [ "$state" = installed ] || missing+=("$package")
done

if [ "${#missing[@]}" -gt 0 ]; then
  sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  echo "setup: installing ${missing[*]}"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null; then
  echo "setup: cargo is missing; install Rust from https://rustup.rs and run this again" >&2
  exit 1
fi

# Unoptimised builds of tools take a quarter of the time and run for seconds.
install_tool() {
  cargo "$1" --version >/dev/null 2>&1 && return
  echo "setup: installing cargo-$1"
  CARGO_PROFILE_DEV_DEBUG=0 cargo install --debug --locked --quiet "cargo-$1"
}

if [ "$purpose" = test ]; then
  install_tool nextest
  install_tool deny
  install_tool fuzz
fi
