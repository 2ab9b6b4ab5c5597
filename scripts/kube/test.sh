#!/usr/bin/env bash
# Runs the tests of the Kubernetes backend on a node that is brought up for them.
#
# Needs root. The first run builds Kubernetes, see scripts/kube/get.sh.
#
#   scripts/kube/test.sh [ARGUMENTS OF NEXTEST]
#   PALISADE_TEST_KUBECONFIG=FILE, PALISADE_TEST_RUNNER_KUBECONFIG=FILE
#       use this cluster instead, as its administrator and as a runner; it must have
#       the image 127.0.0.1:5000/busybox:1
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo clippy --locked -p palisade-backend-kube --features cluster-tests --all-targets -- -D warnings
cargo test --locked --no-run -p palisade-backend-kube --features cluster-tests --test cluster

if [ -z "${PALISADE_TEST_KUBECONFIG:-}" ]; then
  dir="$(mktemp -d /tmp/palisade-kube.XXXXXX)"
  trap 'scripts/kube/node.sh down "$dir"' EXIT
  PALISADE_TEST_KUBECONFIG="$(scripts/kube/node.sh up "$dir")"
  export PALISADE_TEST_KUBECONFIG
  export PALISADE_TEST_RUNNER_KUBECONFIG="$dir/runner.kubeconfig"
  PALISADE_TEST_KUBE_NETNS="$(scripts/kube/node.sh netns "$dir")"
  export PALISADE_TEST_KUBE_NETNS
fi
cargo nextest run --locked -p palisade-backend-kube --features cluster-tests --test cluster \
  --test-threads 8 --no-fail-fast "$@"
