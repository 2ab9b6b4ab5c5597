#!/usr/bin/env bash
# Runs the tests of the Kubernetes backend, and of the chart, that need an API server
# and no node: a stand-in says of pods what a kubelet would.
#
# Needs root. The first run builds the API server, see scripts/kube/get.sh. Without
# one the tests fail; whoever cannot have one says so by PALISADE_TEST_KUBE=off.
#
#   scripts/kube/test-api.sh                         everything
#   scripts/kube/test-api.sh [ARGUMENTS OF NEXTEST]  some tests of the backend
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "${PALISADE_TEST_KUBE:-}" = off ]; then
  cat >&2 <<'OFF'
==========================================================================
 SKIPPED, because PALISADE_TEST_KUBE=off: no test ran on a Kubernetes API
 server. What is built for clusters is NOT tested by this run.
==========================================================================
OFF
  exit 0
fi

PATH="$(scripts/kube/tools.sh):$PATH"
export PATH
dir="$(mktemp -d /tmp/palisade-api.XXXXXX)"
trap 'scripts/kube/node.sh down "$dir"' EXIT
if ! PALISADE_TEST_KUBECONFIG="$(scripts/kube/node.sh api "$dir")"; then
  cat >&2 <<'HOW'
kube: there is no API server to test with, and nothing is skipped on the quiet.
  It is built once from a source package of Debian 12 (scripts/kube/get.sh api), as root; a
  mirror of Debian that can be reached is named by PALISADE_DEBIAN_MIRROR, and a
  directory with kube-apiserver and etcd in bin/, and a file complete-api, by
  PALISADE_KUBE_DIR. To run all other tests and leave these out: PALISADE_TEST_KUBE=off make test
HOW
  exit 1
fi
export PALISADE_TEST_KUBECONFIG PALISADE_TEST_RUNNER_KUBECONFIG="$dir/runner.kubeconfig"
export PALISADE_TEST_KUBE_DIR="$dir" PALISADE_TEST_KUBE_NODE=stand-in

# Built like the other tests of `make test`, so that nothing is built twice.
run() {
  cargo nextest run --workspace --locked --features palisade-backend-kube/cluster-tests --profile kube \
    -E "binary_id(palisade-backend-kube::cluster) and $1" "${@:2}"
}
# Commands, logs, the probe of the network and what a node does by itself need a node.
without_node='not test(/^(conformance|direct|network|node)::/)'
if [ "$#" -gt 0 ]; then
  run "$without_node" "$@"
  exit
fi
run "$without_node and not test(/^(addresses|outages)::/)" --test-threads 4
# These stop the server, or add a node, so that nothing else may run.
run 'test(/^(addresses|outages)::/)' --test-threads 1
timeout --kill-after 5 900 "$(scripts/venv.sh)" -m pytest -p no:cacheprovider -p no:asyncio --quiet tests/kube/test_chart.py
