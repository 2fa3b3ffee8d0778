#!/usr/bin/env bash
# On a machine with a card, from the root of a built tree (cmake --preset cuda -DCRYODECO_TESTS=ON; cmake --build --preset cuda), no network:
#
#   tests/gpu/run.sh conformance   every operation against its reference, golden numbers included
#   tests/gpu/run.sh demo          the demo job on the card
#   tests/gpu/run.sh sanitizer     compute-sanitizer's memcheck, racecheck and synccheck over small shapes
#   tests/gpu/run.sh bench         `cryodeco bench` on the card, and peers.py beside it where PEERS names it and PyTorch is there
#   tests/gpu/run.sh kernels       where a step's time goes, by ncu
#   tests/gpu/run.sh               all of them; each takes less than 9 minutes (on an H100 all together some 3)
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
        for t in bf16 layers tables images; do
            echo "-- $tool, $t"
            timeout $limit compute-sanitizer --tool $tool --error-exitcode 1 "$build/tests/compute_test_conformance_$t" || return 1
        done
    done
}
bench() {
    timeout $limit "$build/bin/cryodeco" bench --device cuda --seconds 2 --json true || return 1
    [ -n "${PEERS:-}" ] || { echo "PEERS is not set: nothing to compare with"; return; }
    timeout $limit python3 "$PEERS" --device cuda --seconds 2 --cases decoder_eval,decoder_train,encoder_train,pose_search
}
kernels() {
    command -v ncu >/dev/null || { echo "ncu is not here: left out"; return; }
    local of
    for of in encoder_train decoder_train pose_search_exact; do
        echo "-- $of"
        timeout $limit ncu --clock-control none --csv --metrics gpu__time_duration.sum --launch-skip 100 --launch-count 600 \
            "$build/bin/cryodeco" bench --device cuda --seconds 0.01 --cases $of >build/kernels.csv || return 1
        python3 tests/gpu/kernels.py build/kernels.csv
    done
}

failed=0
for part in "${@:-conformance demo sanitizer bench kernels}"; do
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
