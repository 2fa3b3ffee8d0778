#!/bin/sh
# wrong_arrow.sh CC SEE INCLUDE: a file of base/ that includes formats/ must not compile, one of formats/ that includes base/ must.
compile() { # what it may see..., then the header
    flags=
    while [ $# -gt 1 ]; do flags="$flags -I$see/$1"; shift; done
    echo "#include \"$1\"" | "$cc" -std=c17 -D_GNU_SOURCE -I"$include" $flags -fsyntax-only -x c - 2>/dev/null
}
cc=$1 see=$2 include=$3
compile base config formats base/status.h || { echo "formats cannot see base"; exit 1; }
! compile base formats/table.h || { echo "base sees formats"; exit 1; }
! compile base config formats formulas geometry compute particles/particles.h || { echo "compute sees particles"; exit 1; }
