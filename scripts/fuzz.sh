#!/usr/bin/env bash
# Runs fuzz targets for a while each, and fails when one finds something.
# Usage: scripts/fuzz.sh [TARGET...]; FUZZ_SECONDS says how long (60).
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-60}
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  targets=(document request runner exec)
fi

# The instrumentation needs compiler options that are not stable yet; all code
# is safe, so that a memory sanitizer would have nothing to find.
export RUSTC_BOOTSTRAP=1
options=(--sanitizer none --debug-assertions --target-dir "${FUZZ_TARGET_DIR:-fuzz/target}")

for target in "${targets[@]}"; do
  cargo fuzz build "${options[@]}" "$target"
done
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for target in "${targets[@]}"; do
  echo "fuzz: $target for ${seconds} s"
  mkdir -p "fuzz/corpus/$target"
  # New inputs go to the first folder; the seeds are only read.
  if ! timeout --kill-after=10 $((seconds + 120)) \
    cargo fuzz run "${options[@]}" "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -print_funcs=0 -verbosity=0 >"$log" 2>&1; then
    tail -n 80 "$log" >&2
    echo "fuzz: $target found something; the input is in fuzz/artifacts/$target" >&2
    exit 1
  fi
  grep number_of_executed_units "$log" || true
done
