#!/usr/bin/env bash
# Builds the program that sandboxes of a cluster get, and prints where it is.
#
# Static, as it runs in images that have no libraries, and as the Linux backend builds
# it for itself.
#
#   scripts/kube/program.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

target="$(cargo metadata --no-deps --format-version 1 | jq -r .target_directory)/kube-program"
host="$(rustc -vV | sed -n 's/^host: //p')"
CARGO_ENCODED_RUSTFLAGS=-Ctarget-feature=+crt-static \
  cargo build --quiet --locked -p palisade-init --profile init --target "$host" --target-dir "$target" >&2
echo "$target/$host/init/palisade-init"
