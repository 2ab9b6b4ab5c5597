#!/usr/bin/env bash
# Makes the image python:3.11 out of Debian's packages, once, for tests and demo.
#
#   scripts/image.sh PALISADE
set -euo pipefail
cd "$(dirname "$0")/.."

palisade="$1"
images="$PWD/.palisade/images"
state="$PWD/.palisade/image-state"

if "$palisade" image list --state-dir "$state" --image-dir "$images" 2>/dev/null | grep -q 'python:3.11'; then
  exit 0
fi
echo "image: making python:3.11 out of Debian's packages"
"$palisade" image build-debian --name python:3.11 --state-dir "$state" --image-dir "$images"
