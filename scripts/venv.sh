#!/usr/bin/env bash
# Installs the official SDK, in the versions that are pinned, into a virtual
# environment of the project; prints its Python.
#
#   scripts/venv.sh         what using the SDK takes
#   scripts/venv.sh tests   and what all tests with it take: more packages, a server
#                           of buckets, and the tests that are published with the SDK
set -euo pipefail
cd "$(dirname "$0")/.."

purpose="${1:-}"
venv="$PWD/.palisade/venv"
suite="$PWD/.palisade/sdk-suite"
pip=("$venv/bin/pip" --quiet --disable-pip-version-check)

# Installs what a list names, unless that was done.
install() {
  local list="tests/sdk/$1"
  if ! cmp -s "$list" "$venv/$1"; then
    "${pip[@]}" install -r "$list" >&2
    cp "$list" "$venv/$1"
  fi
}

if ! cmp -s tests/sdk/requirements.txt "$venv/requirements.txt"; then
  rm -rf "$venv"
  mkdir -p .palisade
  /usr/bin/python3 -m venv "$venv" >&2
fi
install requirements.txt
if [ "$purpose" = tests ]; then
  install requirements-tests.txt
  install requirements-s3.txt
  if ! cmp -s tests/sdk/suite.txt "$suite/suite.txt"; then
    rm -rf "$suite"
    "${pip[@]}" download --no-deps --no-binary cwsandbox --require-hashes \
      --dest "$suite" -r tests/sdk/suite.txt >&2
    cp tests/sdk/suite.txt "$suite/suite.txt"
  fi
fi
echo "$venv/bin/python"
