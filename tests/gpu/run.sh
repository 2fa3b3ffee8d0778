#!/usr/bin/env bash
# On a machine with a card, from the root of a built tree (cmake --preset cuda -DCRYODECO_TESTS=ON; cmake --build --preset cuda), no network:
#
#   tests/gpu/run.sh conformance   every operation against its reference, golden numbers included
#   tests/gpu/run.sh demo          the demo job on the card
#   tests/gpu/run.sh sanitizer     compute-sanitizer's memcheck, racecheck and synccheck over small shapes
#   tests/gpu/run.sh bench         `cryodeco bench` on card and CPU
#   tests/gpu/run.sh               all of them; each takes less than 9 minutes
#
# Output goes to tests/bench/gpu/<date>-<card>-<part>.txt with card, driver and command. BUILD names another build folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=${BUILD:-build/cuda}
export LD_LIBRARY_PATH=$PWD/$build${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} CRYODECO_NEEDS_CARD=1 CRYODECO_GOLDEN_DEVICE=cuda
limit=540

command -v nvidia-smi >/dev/null || { echo "gpu/run.sh: no nvidia-smi, so no card's driver here" >&2; exit 2; }
[ -e "$build/libcryodeco_cuda.so" ] || { echo "gpu/run.sh: $build/libcryodeco_cuda.so is not there; build it first" >&2; exit 2; }
card=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1)
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -1)

conformance() {
    local t
    for t in "$build"/tests/compute_test_conformance_* "$build"/tests/*_test_golden_{volume,training,encoder}; do
        echo "-- ${t##*/}"
        timeout $limit "$t" || return 1
    done
}
demo() { DEMO_DEVICE=cuda timeout $limit tests/demo.sh "$build/bin/cryodeco"; }
sanitizer() {
    command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not here: left out"; return; }
    local tool t
    for tool in memcheck racecheck synccheck; do
        for t in layers tables images; do
            echo "-- $tool, $t"
            timeout $limit compute-sanitizer --tool $tool --error-exitcode 1 "$build/tests/compute_test_conformance_$t" || return 1
        done
    done
}
bench() {
    timeout $limit "$build/bin/cryodeco" bench --device cuda || return 1
    timeout $limit "$build/bin/cryodeco" bench --device cpu
}

failed=0
for part in "${@:-conformance demo sanitizer bench}"; do
    for one in $part; do
        declare -F "$one" >/dev/null || { echo "gpu/run.sh: no part $one" >&2; exit 2; }
        mkdir -p tests/bench/gpu
        log=tests/bench/gpu/$(date +%Y-%m-%d)-${card// /_}-$one.txt
        {
            echo "$card, driver $driver, $(git rev-parse --short=10 HEAD), tests/gpu/run.sh $one"
            $one
        } >"$log" 2>&1 && echo "ok     $one ($log)" || { echo "FAILED $one ($log)"; failed=1; }
    done
done
exit $failed
