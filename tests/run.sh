#!/usr/bin/env bash
# The whole test suite, fastest findings first: style, warnings, tests, sanitizers, fuzzing. LONG=1 adds the long runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
configure_and_build() {
    local preset=$1
    shift
    say "building ($preset)"
    cmake --preset "$preset" "$@" >"build/$preset.configure.log" 2>&1 || { cat "build/$preset.configure.log"; exit 1; }
    cmake --build --preset "$preset" >"build/$preset.build.log" 2>&1 || { cat "build/$preset.build.log"; exit 1; } # ninja before 1.11 has no --quiet
}

say "style"
tests/style/check.sh

cards='80-real;90a-real' # kernels are compiled for these, and in long runs for all
[ "${LONG:-0}" = 1 ] && cards=
configure_and_build release -DCRYODECO_WERROR=ON -DCRYODECO_TESTS=ON -DCRYODECO_LONG="${LONG:-0}" -DCRYODECO_CUDA=AUTO -DCRYODECO_CUDA_CARDS="$cards"
[ -e build/release/libcryodeco_cuda.so ] || say "NO NVCC HERE: CUDA's kernels are not compiled, only run by emulation"
say "clang-tidy"
tests/style/tidy.sh build/release

configure_and_build sanitize -DCRYODECO_TESTS=ON
say "tests under the address and undefined-behaviour sanitizers"
slow='analysis_test_(answers|cluster_count)$' # statistics of many sets: half a minute and more each
[ "${LONG:-0}" = 1 ] && slow='^$'
ctest --test-dir build/sanitize -L 'unit|golden' -E "$slow" -j2 --output-on-failure --quiet
LSAN_OPTIONS=suppressions=$PWD/tests/support/leaks.supp:print_suppressions=0 CRYODECO=$PWD/build/sanitize/bin/cryodeco \
    python -m pytest -q -p no:cacheprovider tests/python/test_bad_input.py
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
    CRYODECO=$PWD/build/sanitize/bin/cryodeco CRYODECO_PACKAGE=$PWD/build/sanitize/python \
    python -m pytest -q -p no:cacheprovider tests/python/test_package.py -k "copies or million or broken or fork or callback"

configure_and_build tsan -DCRYODECO_TESTS=ON
say "tests under the thread sanitizer"
slow='analysis_test_(answers|umap|clusters|cluster_count|hand|figures)|training_test_search$' # up to minutes each under this sanitizer
[ "${LONG:-0}" = 1 ] && slow='^$'
ctest --test-dir build/tsan -L threads -E "$slow" -j2 --output-on-failure --quiet

configure_and_build fuzz
if [ "${LONG:-0}" = 1 ]; then
    say "fuzzing, a million inputs a reader"
    FUZZ_RUNS=1000000 tests/fuzz/run.sh build/fuzz
else
    say "fuzzing, ${FUZZ_SECONDS:-4} s a reader"
    tests/fuzz/run.sh build/fuzz "${FUZZ_SECONDS:-4}"
fi

if [ "${LONG:-0}" = 1 ]; then
    say "fresh machines: the README's commands, the .deb, the wheel, INSTALL.md line by line"
    tests/packaging/fresh.sh
    tests/packaging/deb.sh
    tests/packaging/wheel.sh
    tests/packaging/install.sh
fi

say "all tests (release)"
CRYODECO_LONG="${LONG:-0}" ctest --test-dir build/release -j2 --output-on-failure
