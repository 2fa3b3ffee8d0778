#!/usr/bin/env bash
# A new user on a fresh machine: told what is missing, then the README's two commands' first, then the installed program.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/machine.sh"
say "$suite: a fresh machine"
clone_there
there 'useradd -m ann && cp -r cryodeco /home/ann/ && chown -R ann /home/ann/cryodeco'
told=$(there 'su ann -c "cd ~/cryodeco && ./bootstrap install" 2>&1; echo "exit $?"')
expect "sudo apt-get install -y --no-install-recommends gcc " "$told"
expect "exit 2" "$told"
there 'cd cryodeco && ./bootstrap install >/dev/null'
expect "^sound$" "$(there 'su ann -c "cryodeco selftest"')"
expect "--k_num" "$(there 'cat /usr/local/share/man/man1/cryodeco.1' | sed 's/\\//g')"
there 'su ann -c "cd ~/cryodeco && ./bootstrap install >/dev/null && ~/.local/bin/cryodeco --version"' # all there: no right to install is needed
if [ "${CRYODECO_DEMO:-1}" = 1 ]; then
    there 'su ann -c "cd ~/cryodeco && ./bootstrap demo"'
fi
say "$suite: fine"
