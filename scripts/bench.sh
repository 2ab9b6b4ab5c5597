#!/usr/bin/env bash
# Measures the optimised binaries, beside the OCI runtime alone in the same run.
#
#   scripts/bench.sh [ARGUMENTS OF palisade-bench]
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked -p palisade -p cwic -p palisade-bench
target="$(cargo metadata --no-deps --format-version 1 | python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')"
bin="$target/release"
scripts/image.sh "$bin/palisade"

scripts/bench_cwic.py "$bin"

cargo bench --locked -p palisade-model --features testing --bench placement
cargo bench --locked -p palisade-http-router --bench overhead
# Both at once, as each by itself would build all dependencies with features of its own.
cargo test --release --locked --quiet -p palisade-gateway -p palisade-backend-linux --lib --test gateway -- \
  --ignored --nocapture --test-threads 1 load:: network::tests::cost network::tests::throughput

# Where both versions of control groups are mounted, crun by itself stumbles over
# the second one; it is hidden from the reference and the platform alike.
hide='[ ! -d /sys/fs/cgroup/unified ] || mount -t tmpfs none /sys/fs/cgroup/unified'
run=("$bin/palisade-bench" --bin "$bin" --images "$PWD/.palisade/images" "$@")
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
exec "${sudo[@]}" unshare --mount --propagation unchanged sh -c "$hide; exec \"\$@\"" bench "${run[@]}"
