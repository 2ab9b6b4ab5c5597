#!/usr/bin/env bash
# Runs the tests of the Kubernetes backend on a node that is brought up for them.
#
# Needs root. The first run builds Kubernetes, see scripts/kube/get.sh.
#
#   scripts/kube/test.sh                         everything
#   scripts/kube/test.sh [ARGUMENTS OF NEXTEST]  some tests of the backend
#   PALISADE_TEST_KUBECONFIG=FILE, PALISADE_TEST_RUNNER_KUBECONFIG=FILE
#       use this cluster instead, as its administrator and as a runner; it must have
#       the images of scripts/kube/images.sh, and its pods be reached from here
set -euo pipefail
cd "$(dirname "$0")/../.."

PATH="$(scripts/kube/tools.sh):$PATH"
export PATH
tests=(--locked -p palisade-backend-kube --features cluster-tests --test cluster)
cargo nextest run "${tests[@]}" --no-run

if [ -z "${PALISADE_TEST_KUBECONFIG:-}" ]; then
  PALISADE_TEST_PROGRAM="$(scripts/kube/program.sh)"
  export PALISADE_TEST_PROGRAM
  dir="$(mktemp -d /tmp/palisade-kube.XXXXXX)"
  trap 'scripts/kube/node.sh down "$dir"' EXIT
  PALISADE_TEST_KUBECONFIG="$(scripts/kube/node.sh up "$dir")"
  export PALISADE_TEST_KUBECONFIG
  export PALISADE_TEST_RUNNER_KUBECONFIG="$dir/runner.kubeconfig"
  PALISADE_TEST_KUBE_NETNS="$(scripts/kube/node.sh netns "$dir")"
  export PALISADE_TEST_KUBE_NETNS PALISADE_TEST_KUBE_DIR="$dir"
fi
# What a test of a whole node takes depends on what else the machine does.
run() {
  cargo nextest run "${tests[@]}" --profile kube -E "$1" "${@:2}"
}
if [ "$#" -gt 0 ]; then
  run 'all()' --test-threads 1 "$@"
  exit
fi
run 'not test(/^(addresses|node|outages)::/)' --test-threads 4
cargo build --locked -p palisade -p cwic
target="$(cargo metadata --no-deps --format-version 1 | jq -r .target_directory)"
export PALISADE_BIN_DIR="${PALISADE_BIN_DIR:-$target/debug}"
# The SDK does not end when it is asked to.
timeout --kill-after 5 3000 "$(scripts/venv.sh)" -m pytest -p no:cacheprovider -p no:asyncio --quiet tests/kube
# These stop parts of the node, or change it for all, so that nothing else may run.
run 'test(/^(addresses|node|outages)::/)' --test-threads 1
