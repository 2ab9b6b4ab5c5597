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
# Of the whole workspace, as `make test` has built it: one crate by itself has other
# features of its dependencies, and would be built with all of them a second time. Two
# at a time, as each of them keeps the machine busy.
cargo nextest run --workspace --locked --features palisade-backend-kube/cluster-tests --profile ci --test-threads 2 \
  --success-output immediate -E 'package(palisade-backend-linux) and test(network::tests::matrix)' 2>&1 | tee "$said"
total="$({ grep -oE '[0-9]+ probes, all equal to the model' "$said" || true; } | awk '{ total += $1 } END { print total + 0 }')"
if [ "$total" -lt 300 ]; then
  echo "only $total probes were made" >&2
  exit 1
fi
echo "$total probes, all equal to the model"
