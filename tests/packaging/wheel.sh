#!/usr/bin/env bash
# wheel.sh [WHEEL]: the wheel in a machine that has Python and nothing else: sound, a run with its plot and report, from the shell and from Python.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/machine.sh"
if [ $# -eq 0 ]; then
    "$source_root/bootstrap" wheel
    set -- "$source_root"/dist/*.whl
fi
there 'apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null 2>&1'
cp "$1" "$place/root/"
cp -r "$source_root/tests/data/tiny/project" "$place/root/project"
say "$suite, $(there 'python3 --version'): $(basename "$1")"
there 'python3 -m venv v && v/bin/pip install -q *.whl'
expect "^sound$" "$(there 'v/bin/cryodeco selftest')"
there 'cat >ten.py' <<'PYTHON'
import cryodeco

result = cryodeco.run("project/J12", "results", preset="known_poses_quick", epochs_sgd=1, k_num=2, seed=1)
print(len(result), result.latents.shape, result.decode(result.latents[0]).shape)
PYTHON
expect "1000 (1000, 4) (32, 32, 32)" "$(there 'v/bin/python ten.py')"
for file in 'clustering2/z_pca.png' report.html; do
    [ -n "$(there "find results/out/analysis_2/$file -size +10k")" ] || { echo "$file was not made"; exit 1; }
done
[ -z "${KEEP_PLOT:-}" ] || cp "$place/root/results/out/analysis_2/clustering2/z_pca.png" "$KEEP_PLOT"
expect "CryoSPARC" "$(there 'v/bin/cryodeco cryosparc --help')"
# Made with CUDA's kernels: without its libraries they are missed by name, with them (here this machine's, where pip would put them) only the driver is.
if unzip -l "$1" | grep -q libcryodeco_cuda.so; then
    expect "libcublasLt.so.13.*cryodeco.cuda" "$(there 'v/bin/cryodeco selftest')"
    cublas=$(ls "${CUDA_HOME:-/usr/local/cuda}"/lib64/libcublasLt.so.13)
    libraries=$(dirname "$(there 'v/bin/python -c "import cryodeco; print(cryodeco.__path__[0])"')")/nvidia/cu13/lib
    mkdir -p "$place/root/libraries"
    cp -L "$cublas" "$(dirname "$cublas")"/libcufft.so.12 "$place/root/libraries"
    there "mkdir -p $libraries && mv libraries/* $libraries"
    expect "cuda  *not used: .*no driver of NVIDIA's" "$(there 'v/bin/cryodeco selftest')"
fi
say "$suite: fine"
