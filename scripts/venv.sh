#!/usr/bin/env bash
# Installs the official SDK, in the versions that are pinned, into a virtual
# environment of the project, and the tests that are published with it beside
# that; prints its Python.
set -euo pipefail
cd "$(dirname "$0")/.."

venv="$PWD/.palisade/venv"
wanted="tests/sdk/requirements.txt"
# A server of buckets, for the tests of snapshots.
buckets="tests/sdk/requirements-s3.txt"
suite="$PWD/.palisade/sdk-suite"
if ! cmp -s "$wanted" "$venv/requirements.txt"; then
  rm -rf "$venv"
  mkdir -p .palisade
  /usr/bin/python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >&2
  cp "$wanted" "$venv/requirements.txt"
fi
if ! cmp -s "$buckets" "$venv/requirements-s3.txt"; then
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$buckets" >&2
  cp "$buckets" "$venv/requirements-s3.txt"
fi
if ! cmp -s tests/sdk/suite.txt "$suite/suite.txt"; then
  rm -rf "$suite"
  "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
    --require-hashes --dest "$suite" -r tests/sdk/suite.txt >&2
  cp tests/sdk/suite.txt "$suite/suite.txt"
fi
echo "$venv/bin/python"
