#!/usr/bin/env bash
# Measures sandboxes on Kubernetes: what a start costs beside a bare pod, what a command
# costs past the API server and through it, a hundred starts at once, and the memory of
# a runner that watches a thousand.
#
# Needs root, and gets what scripts/kube/get.sh gets. The first two run on a whole node;
# the others take an API server, and a stand-in that says what a node would.
#
#   scripts/kube/bench.sh
#   PALISADE_BENCH_PROFILE=dev    measures binaries that are not optimised
set -euo pipefail
cd "$(dirname "$0")/../.."

PATH="$(scripts/kube/tools.sh):$PATH"
export PATH
profile="${PALISADE_BENCH_PROFILE:-release}"
built=(--locked --profile "$profile")
cargo build "${built[@]}" -p palisade -p cwic
target="$(cargo metadata --no-deps --format-version 1 | jq -r .target_directory)"
[ "$profile" = dev ] && folder=debug || folder="$profile"
export PALISADE_BIN_DIR="${PALISADE_BIN_DIR:-$target/$folder}"
tests="$(cargo test "${built[@]}" --no-run --message-format json -p palisade-backend-kube \
  --features cluster-tests --test cluster | jq -r 'select(.executable != null) | .executable' | tail -n 1)"

dir=""
down() { [ -z "$dir" ] || scripts/kube/node.sh down "$dir"; }
trap down EXIT
bring() {
  down
  dir="$(mktemp -d /tmp/palisade-kube-bench.XXXXXX)"
  PALISADE_TEST_KUBECONFIG="$(scripts/kube/node.sh "$1" "$dir")"
  export PALISADE_TEST_KUBECONFIG PALISADE_TEST_RUNNER_KUBECONFIG="$dir/runner.kubeconfig"
}
# The tables, without what the tests say around them.
figures() { timeout --kill-after 5 900 "$tests" --nocapture "$@" | grep -v -e '^$' -e '^running' -e '^test '; }

PALISADE_TEST_PROGRAM="$(scripts/kube/program.sh)"
export PALISADE_TEST_PROGRAM
bring up
figures --ignored --exact figures::a_start_beside_a_bare_pod
figures --ignored --exact figures::a_command_past_the_server_beside_one_through_it
export PALISADE_TEST_KUBE_NODE=stand-in
bring api
figures --exact many::a_hundred_sandboxes_that_start_at_once_all_run_and_all_go
timeout --kill-after 5 1800 "$(scripts/venv.sh)" scripts/kube/bench.py 1000 "$tests"
