#!/usr/bin/env bash
# deb.sh [DIST]: the package installs in a clean system by its own dependencies, is sound there, and is gone after purge; the archive runs from two places.
# DIST: the folder with the package and the archive; made here otherwise.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/machine.sh"
dist=${1:-$source_root/dist}
[ $# -gt 0 ] || "$source_root/bootstrap" package
there 'apt-get update -qq'
cp "$dist"/cryodeco_*.deb "$place/root/"
listing='find / -xdev -path /proc -prune -o -path /dev -prune -o -path "*cryodeco*" -print'
there "$listing | grep -v '^/root/'" >"$place/root/before.txt" || true

say "$suite: installing the package"
there 'apt-get install -y -qq --no-install-recommends ./cryodeco_*.deb python3 python3-numpy >/dev/null 2>&1'
expect "^sound$" "$(there 'cryodeco selftest')"
there 'cd /tmp && cryodeco simulate /usr/share/cryodeco/structures/7cfn.pdb --n_particles 20 --box 32 --psize_A 5 --outdir s >/dev/null && rm -r s'
# Python compiles what it imports, as root into the package's own folder
there 'PYTHONPATH=$(dirname $(dirname $(find /usr/lib -path "*/cryodeco/python/cryodeco/__init__.py")))/ python3 -c "import cryodeco; print(cryodeco.__name__)"'
[ -n "$(there 'find /usr/lib -path "*cryodeco*" -name __pycache__')" ] || { echo "nothing was compiled: the next check would prove nothing"; exit 1; }
say "$suite: purging it"
there 'apt-get purge -y -qq cryodeco >/dev/null 2>&1'
left=$(there "$listing | grep -v '^/root/'" | grep -v '^/var/\(log\|cache\)/' | diff - "$place/root/before.txt" || true)
[ -z "$left" ] || { echo "left after purge:"; echo "$left"; exit 1; }

say "$suite: the archive, from two places" # its libraries are still there
cp "$dist"/cryodeco-*.tar.gz "$place/root/"
there 'mkdir /opt/a && tar -xf cryodeco-*.tar.gz -C /opt/a --strip-components 1 && /opt/a/bin/cryodeco selftest' >"$place/root/said.txt"
expect "^sound$" "$(cat "$place/root/said.txt")"
there 'mv /opt/a "/srv/another place" && "/srv/another place/bin/cryodeco" selftest' >"$place/root/said.txt"
expect "^sound$" "$(cat "$place/root/said.txt")"
expect "quick_look" "$(there '"/srv/another place/bin/cryodeco" run --preset no_such 2>&1')" # its presets are found too
say "$suite: fine"
