#!/usr/bin/env bash
# run.sh BUILD [SECONDS]: every fuzzer of a build for some seconds (default 60), from the golden files on. Stops at the first
# input that crashes, leaks, takes over 10 s or over 1 GB; it is then left in BUILD/fuzz/<reader>/found-*.
set -euo pipefail
build=$(cd "$1" && pwd)
seconds=${2:-60}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
files=$root/tests/golden/n_files

declare -A seeds=(
    [cs]="$files/cs/*.cs $files/cs/*.npy $files/bad/*.cs"
    [npy]="$files/cs/columns/*.npy $files/bad/*.npy"
    [mrc]="$files/mrc/*.mrc $files/bad/*.mrc"
    [safetensors]="$files/safetensors/*.safetensors $files/bad/*.safetensors"
    [star]="$files/star/*.star"
    [yaml]="$root/blueprints/*.y*ml"
)
for reader in cs npy mrc safetensors star yaml; do
    corpus=$build/fuzz/$reader
    mkdir -p "$corpus/corpus"
    for seed in ${seeds[$reader]}; do
        [ -f "$seed" ] && cp "$seed" "$corpus/corpus/"
    done
    dictionary=$root/tests/fuzz/$reader.dict
    [ -f "$dictionary" ] && words=(-dict="$dictionary") || words=()
    if ! "$build/tests/fuzz/fuzz_$reader" "${words[@]}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=512 -max_len=16384 \
        -print_final_stats=1 -artifact_prefix="$corpus/found-" "$corpus/corpus" >"$corpus/log" 2>&1; then
        tail -n 60 "$corpus/log"
        echo "fuzz_$reader failed: its input is beside $corpus/log" >&2
        exit 1
    fi
    awk -v reader="$reader" '/number_of_executed_units/ {n = $2} /cov:/ {c = $0} END {sub(/.*cov: /, "", c); sub(/ .*/, "", c);
        printf "%-12s %d inputs, %d edges reached\n", reader, n, c}' "$corpus/log"
done
