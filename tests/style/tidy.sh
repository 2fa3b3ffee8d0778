#!/usr/bin/env bash
# clang-tidy over core/, plugin/ and mpi/ with the compile commands of a build folder; what is not built in it, or has not changed since it last
# passed, is left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=$1
passed=$build/tidy
mkdir -p "$passed"

check() {
    local file=$1 key
    grep -q "/$file\"" "$build/compile_commands.json" || return 0
    # A file's result depends on itself, all headers and the list of checks.
    key=$passed/$(cat "$file" .clang-tidy $(git ls-files 'core/*.h') | sha1sum | cut -d' ' -f1)
    [ -e "$key" ] && return
    clang-tidy --quiet -p "$build" "$file" 2>/dev/null && touch "$key"
}
export -f check
export build passed
git ls-files 'core/*.c' 'plugin/*.c' 'mpi/*.c' | xargs -P "$(nproc)" -I{} bash -c 'check {}'
