#!/bin/sh
# exports.sh LIBRARY HEADER: the library shows exactly the functions that the public header marks DECO_API.
lists=$(mktemp -d)
nm -D --defined-only "$1" | awk '$2 ~ /[TDBR]/ {print $3}' | sort >"$lists/library"
sed -n '/DECO_API/s/.*[ *]\(deco_[A-Za-z_0-9]*\)(.*/\1/p' "$2" | sort >"$lists/header"
diff "$lists/header" "$lists/library"
code=$?
rm -rf "$lists"
exit $code
