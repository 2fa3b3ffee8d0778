#!/bin/sh
# exports.sh LIBRARY HEADER: the library shows exactly the functions that the public header marks DECO_API.
nm -D --defined-only "$1" | awk '$2 ~ /[TDBR]/ {print $3}' | sort >/tmp/exports.$$
sed -n '/DECO_API/s/.*[ *]\(deco_[A-Za-z_0-9]*\)(.*/\1/p' "$2" | sort >/tmp/header.$$
diff /tmp/header.$$ /tmp/exports.$$
code=$?
rm -f /tmp/exports.$$ /tmp/header.$$
exit $code
