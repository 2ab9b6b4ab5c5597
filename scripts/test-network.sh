#!/usr/bin/env bash
# Probes the network of sandboxes with real sockets, and counts the probes.
#
# Every egress mode against every kind of target, protocol and IP version, and
# every level of ingress against every caller, in network namespaces that the tests
# make: on several hosts, while policies change and sandboxes come and go, with no
# runner, and while one is killed and starts again. Each probe is compared with the
# decision of `model::policy`. One that differs fails its test, and so this.
set -euo pipefail
cd "$(dirname "$0")/.."

said="$(mktemp)"
trap 'rm -f "$said"' EXIT
# Two at a time, as each of them keeps the machine busy.
cargo test --locked --quiet -p palisade-backend-linux --lib -- \
  --nocapture --test-threads 2 network::tests::matrix | tee "$said"
# The dots of the test runner may stand in front of a line.
total="$({ grep -oE '[0-9]+ probes, all equal to the model' "$said" || true; } | awk '{ total += $1 } END { print total + 0 }')"
if [ "$total" -lt 300 ]; then
  echo "only $total probes were made" >&2
  exit 1
fi
echo "$total probes, all equal to the model"
