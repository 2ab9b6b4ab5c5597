#!/usr/bin/env bash
# Installs what the tests in JavaScript need, in the versions that are pinned.
set -euo pipefail
cd "$(dirname "$0")/../tests/grpc-js"

if ! cmp -s package-lock.json node_modules/.installed-lock; then
  npm ci --silent >&2
  cp package-lock.json node_modules/.installed-lock
fi
