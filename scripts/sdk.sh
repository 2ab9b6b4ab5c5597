#!/usr/bin/env bash
# Drives a real platform with the official Python SDK, with gRPC for JavaScript, and with cwic on terminals.
#
#   scripts/sdk.sh [PYTEST ARGUMENTS]
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --locked -p palisade -p cwic
target="$(cargo metadata --no-deps --format-version 1 | jq -r .target_directory)"
export PALISADE_BIN_DIR="${PALISADE_BIN_DIR:-$target/debug}"
scripts/image.sh "$PALISADE_BIN_DIR/palisade"
python="$(scripts/venv.sh tests)"
scripts/node.sh

sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo --preserve-env=PALISADE_BIN_DIR)
exec "${sudo[@]}" "$python" -m pytest -p no:cacheprovider -p no:asyncio --quiet tests/sdk "$@"
