#!/usr/bin/env bash
# pages.sh BUILD: the manual page is good troff and has every option; the completion offers what the option table has.
set -euo pipefail
cryodeco=$1/bin/cryodeco
fail() { echo "$*" && exit 1; }
names=$("$cryodeco" options --json True | sed -n 's/^\t*"name":\t*"\(.*\)",$/\1/p')
[ "$(wc -w <<<"$names")" -gt 150 ] || fail "the option table was not read: $names"

page=$("$cryodeco" options --form man)
if command -v groff >/dev/null; then
    complaints=$(groff -man -Tutf8 -ww 2>&1 >"$1/pages/read.txt" <<<"$page")
    [ -z "$complaints" ] || fail "groff: $complaints"
    words=$(sed 's/.\x08//g' "$1/pages/read.txt") # bold is struck twice
    for name in $names; do
        [[ $words == *$'\n'"       --$name"[$' \n']* ]] || fail "the manual page lacks $name"
    done
    said=$(tr -s ' \n' ' ' <<<"$words")
    [[ $said == *"EXIT STATUS"*"75 stopped with"*"SEE ALSO"* && $said == *Å* ]] || fail "the manual page is cut"
else
    echo "no groff: the manual page is not set"
fi

PATH=$1/bin:$PATH
compopt() { :; } # acts on a completion in progress only
source <("$cryodeco" options --form bash)
# offers WORDS... : what Tab would offer after them; the last word is the one begun
offers() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _cryodeco
    echo "${COMPREPLY[*]}"
}
expect() {
    local wanted=$1 got
    shift
    got=$(offers "$@")
    [ "$got" = "$wanted" ] || fail "after '$*': '$got', not '$wanted'"
}
expect "run" cryodeco ru
expect "selftest" cryodeco help self
expect "--k_num" cryodeco run --k_nu
expect "--k_num" cryodeco run --k-nu
expect "" cryodeco simulate --k_nu
expect "gmm" cryodeco run --clustering_type gm
expect "gmm" cryodeco run --clustering-type = gm
expect "auto dark_on_light light_on_dark" cryodeco info --contrast =
expect "True" cryodeco run --use_gt_poses T
expect "" cryodeco run --k_num 1
expect "build info verify remove" cryodeco cache ""
expect "publish" cryodeco cryosparc pub
CRYODECO_BLUEPRINTS=$(dirname "$0")/../../blueprints
expect "quick_look" cryodeco run --preset qu
all=" $(for c in run analyze info subset decode score encode cache simulate bench selftest options; do offers cryodeco "$c" --; done | tr '\n' ' ')"
for name in $names; do
    [[ $all == *" --$name "* ]] || fail "the completion lacks $name"
done
