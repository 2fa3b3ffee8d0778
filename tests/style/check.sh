#!/usr/bin/env bash
# What a compiler does not see: formatting, and the rules of the house that are about text.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bad=0
complain() {
    printf '%s\n' "$1" >&2
    bad=1
}

mapfile -t sources < <(git ls-files '*.c' '*.h' '*.cc' '*.cu' '*.cuh')

# Versions of clang-format differ in their taste; the one of Debian 12 is the measure.
if clang-format --version | grep -q 'version 14\.'; then
    clang-format --dry-run --Werror "${sources[@]}" || complain "run clang-format -i on the files named above"
else
    echo "clang-format is not version 14: formatting not checked"
fi

# A folder names its headers from the top, so that the include path can say which ones it may see.
if grep -nE '#include "\.\./' "${sources[@]}"; then complain "include \"folder/file.h\", not \"../\""; fi
# oneDNN has two C interfaces, and signals have to wait for it; one file knows that.
if grep -lE '#include [<"](oneapi/)?dnnl' "${sources[@]}" | grep -v '^core/compute/cpu/dnnl\.c$'; then
    complain "only core/compute/cpu/dnnl.c may include dnnl.h"
fi
# GCC's OpenMP is invisible to the thread sanitizer and does not survive a fork: base/threads.h carries all parallel work.
if grep -nE '#pragma omp|#include <omp.h>' "${sources[@]}"; then complain "no OpenMP in our own code"; fi
# Measured FFT plans change the bits from run to run.
if grep -nE 'FFTW_(MEASURE|PATIENT|EXHAUSTIVE)' "${sources[@]}"; then complain "plan with FFTW_ESTIMATE"; fi
# The library never ends or talks past its host.
if grep -nE '\b(exit|abort|_exit|printf|puts|signal|sigaction)\(' $(git ls-files 'core/*.c' 'core/*.cc'); then
    complain "core/ neither exits, prints nor handles signals"
fi
long=$(git ls-files 'core/*.c' 'core/*.h' 'plugin/*.c' | xargs wc -l | awk '$1 > 600 && $2 != "total" {print $2 ": " $1 " lines"}')
[ -z "$long" ] || complain "over 600 lines, where a second responsibility may hide: $long"
exit $bad
