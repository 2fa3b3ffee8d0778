#!/usr/bin/env bash
# run.sh BUILD [SECONDS]: every fuzzer of a build for some seconds (default 60), from the golden files on, as many at once as there are cores.
# FUZZ_RUNS=N: so many inputs each, however long that takes. READERS="cs star": these alone. Stops at the first input that crashes, leaks, takes
# over 10 s or over 1 GB; it is then left in BUILD/fuzz/<reader>/found-*.
set -euo pipefail
build=$(cd "$1" && pwd)
seconds=${2:-60}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

seeds_of() {
    local files=$root/tests/golden/n_files
    case $1 in
        cs) echo "$files/cs/*.cs $files/cs/*.npy $files/bad/*.cs" ;;
        csdat) echo "$files/cs/csdat_*.cs $files/bad/csdat_*.cs" ;;
        npy) echo "$files/cs/columns/*.npy $files/bad/*.npy" ;;
        mrc) echo "$files/mrc/*.mrc $files/bad/*.mrc" ;;
        safetensors) echo "$files/safetensors/*.safetensors $files/bad/*.safetensors" ;;
        csg) echo "$files/csg/*.csg" ;;
        star) echo "$files/star/*.star" ;;
        yaml) echo "$root/blueprints/*.y*ml" ;;
        job_json) echo "$root/tests/data/tiny/project/J*/job.json" ;;
        *) echo "$root/tests/fuzz/seeds/$1/*" ;;
    esac
}

fuzz() {
    local reader=$1 corpus=$build/fuzz/$1 dictionary=$root/tests/fuzz/$1.dict number=0 words=() until=(-max_total_time="$seconds")
    mkdir -p "$corpus/corpus"
    for seed in $(seeds_of "$reader"); do # several jobs have a job.json
        [ -f "$seed" ] && cp "$seed" "$corpus/corpus/seed$((number++))-$(basename "$seed")"
    done
    [ -f "$dictionary" ] && words=(-dict="$dictionary")
    [ -z "${FUZZ_RUNS:-}" ] || until=(-runs="$FUZZ_RUNS")
    if ! "$build/tests/fuzz/fuzz_$reader" "${words[@]}" "${until[@]}" -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=512 -max_len=16384 \
        -print_final_stats=1 -artifact_prefix="$corpus/found-" "$corpus/corpus" >"$corpus/log" 2>&1; then
        tail -n 60 "$corpus/log"
        echo "fuzz_$reader failed: its input is beside $corpus/log" >&2
        return 255 # xargs begins no other
    fi
    awk -v reader="$reader" '/number_of_executed_units/ {n = $2} /cov:/ {c = $0} END {sub(/.*cov: /, "", c); sub(/ .*/, "", c);
        printf "%-12s %d inputs, %d edges reached\n", reader, n, c}' "$corpus/log"
}
export -f fuzz seeds_of
export build seconds root
readers=${READERS:-$(cd "$root/tests/fuzz" && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')}
printf '%s\n' $readers | xargs -P "$(nproc)" -I{} bash -c 'set -euo pipefail; fuzz {}'
