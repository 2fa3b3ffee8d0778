#!/usr/bin/env bash
# install.sh: INSTALL.md's lines in its order on a fresh machine, as a new user types them: by hand, bootstrap, prefix and module, for Python, CryoSPARC's
# clients, uninstall. The package and the wheel have deb.sh and wheel.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/machine.sh"
clone_there
cp -r "$source_root/tests/data/tiny/project" "$place/root/"
there 'mkdir -p /data && mv project /data/P3 && ln -s J12 /data/P3/J42'

say "$suite: building by hand"
sed -n '/^## Building by hand/,$p' "$source_root/INSTALL.md" | sed -n '/^```$/,/^```$/p' | grep -v '^```' >"$place/root/by_hand.sh"
there 'apt-get update -qq && cd cryodeco && DEBIAN_FRONTEND=noninteractive bash -eo pipefail <(sed "s/apt-get install/apt-get install -y -qq --no-install-recommends/" ~/by_hand.sh) >~/by_hand.log 2>&1' ||
    { tail -n 20 "$place/root/by_hand.log"; exit 1; }
expect "^sound$" "$(there '/opt/cryodeco/bin/cryodeco selftest')"
there 'pkg-config --exists cryodeco || PKG_CONFIG_PATH=/opt/cryodeco/lib/pkgconfig pkg-config --exists cryodeco'

say "$suite: one workstation in five lines"
there 'cd cryodeco && ./bootstrap install >/dev/null'
expect "^sound$" "$(there 'cryodeco selftest --cache_dir /tmp')"
expect "1,000" "$(there 'cryodeco info /data/P3/J42')"
expect "forecast" "$(there 'cryodeco run --particles /data/P3/J42 --outdir results --preset quick_look --k_num 4 --dry_run True 2>&1')"
expect "^[^-]*$" "$(there 'test ! -e results && echo nothing written')"

say "$suite: a prefix without root, and its module"
there 'apt-get install -y -qq --no-install-recommends environment-modules man-db python3-venv >/dev/null 2>&1'
there 'useradd -m ann && cp -r cryodeco /home/ann/ && rm -rf /home/ann/cryodeco/build && chown -R ann /home/ann/cryodeco'
there 'su ann -c "cd ~/cryodeco && ./bootstrap install --prefix ~/sw/cryodeco >/dev/null"'
cat >"$place/home/ann/module.sh" <<'SHELL'
source /etc/profile.d/modules.sh
module use ~/sw/cryodeco/share/modulefiles
module load cryodeco
command -v cryodeco
cryodeco selftest | tail -n 1
man -w cryodeco
python3 -c 'import cryodeco; print(cryodeco.__file__)'
source <(cryodeco options --form bash) && complete -p cryodeco
module unload cryodeco
command -v cryodeco
SHELL
loaded=$(there 'chmod a+r /home/ann/module.sh && su ann -c "bash ~/module.sh"')
for wanted in '^/home/ann/sw/cryodeco/bin/cryodeco$' '^sound$' '^/home/ann/sw/.*cryodeco.1' '^/home/ann/sw/.*/cryodeco/__init__.py$' '_cryodeco' '^/usr/local/bin/cryodeco$'; do
    expect "$wanted" "$loaded"
done
there 'mv /home/ann/sw /home/ann/elsewhere'
expect "^sound$" "$(there '/home/ann/elsewhere/cryodeco/bin/cryodeco selftest')"

say "$suite: uninstall"
there 'cd cryodeco && xargs rm -f <build/release/install_manifest.txt'
left=$(there 'find /usr/local -name "*cryodeco*" -not -type d')
[ -z "$left" ] || { echo "left: $left"; exit 1; }

say "$suite: for Python, and README's ten lines"
there 'python3 -m venv v && v/bin/pip install -q --disable-pip-version-check ./cryodeco mypy'
python3 - "$source_root/README.md" "$place/root" <<'PYTHON'
import pathlib, re, sys

example, printed = re.search(r"```python\n(import cryodeco\n.*?)```\n\n```\n(.*?)```", pathlib.Path(sys.argv[1]).read_text(), re.S).groups()
(pathlib.Path(sys.argv[2]) / "cryodeco/example.py").write_text(example)
(pathlib.Path(sys.argv[2]) / "printed.txt").write_text(printed)
PYTHON
there 'cd cryodeco && ~/v/bin/python example.py' >"$place/root/said.txt"
diff "$place/root/printed.txt" "$place/root/said.txt"
there 'cd /root/cryodeco && ~/v/bin/mypy --strict --no-incremental --python-executable ~/v/bin/python example.py'

say "$suite: CryoSPARC's clients"
for client in "cryosparc-tools~=5.0.0" "cryosparc-tools~=4.7.0"; do
    there "v/bin/pip install -q --disable-pip-version-check '$client'"
    expect "is not set" "$(there 'CRYODECO_PYTHON=~/v/bin/python v/bin/cryodeco cryosparc check --project P3 2>&1 || true')"
done
say "$suite: fine"
