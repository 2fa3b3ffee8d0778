#!/bin/sh
# onednn3.sh CC SOURCE SEE: the one file that knows oneDNN compiles with the headers of version 3 (in .venv) as it does with those of this
# machine, which may be version 2.
cc=$1 source=$2 see=$3
headers=$source/.venv/include
[ -e "$headers/dnnl.h" ] || { echo "no headers of oneDNN 3 in .venv; ./bootstrap test puts them there"; exit 1; }
grep -q 'DNNL_VERSION_MAJOR 3' "$headers/oneapi/dnnl/dnnl_version.h" || { echo "$headers is not oneDNN 3"; exit 1; }
for folder in base config formats formulas geometry compute; do flags="$flags -I$see/$folder"; done
exec "$cc" -std=c17 -D_GNU_SOURCE -I"$source/core/include" $flags -I"$headers" -Wall -Wextra -Wno-unused-parameter -Werror -fsyntax-only \
    "$source/core/compute/cpu/dnnl.c"
