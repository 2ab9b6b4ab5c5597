#!/usr/bin/env bash
# Installs the official SDK, in the versions that are pinned, into a virtual
# environment of the project; prints its Python.
set -euo pipefail
cd "$(dirname "$0")/.."

venv="$PWD/.palisade/venv"
wanted="tests/sdk/requirements.txt"
if ! cmp -s "$wanted" "$venv/requirements.txt"; then
  rm -rf "$venv"
  mkdir -p .palisade
  /usr/bin/python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >&2
  cp "$wanted" "$venv/requirements.txt"
fi
echo "$venv/bin/python"
