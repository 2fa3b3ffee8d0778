#!/usr/bin/env bash
# demo.sh CRYODECO [DIR]: simulates a G protein with and without its receptor, solves it from the images alone, and compares with the truth.
set -euo pipefail
cryodeco=$(realpath "$1")
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
place=${2:-$here/build/demo}
rm -rf "$place"
mkdir -p "$place"

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
export CRYODECO_BLUEPRINTS=$here/blueprints

say "simulating 1,200 noisy particles of two states"
structure=$here/examples/structures/7cfn.pdb
"$cryodeco" simulate "$structure" "$structure:ABGN" --n_particles 1200 --box 48 --psize_A 4 --snr 0.4 --noise coloured --seed 1 --outdir "$place/set"

say "solving them: structure, poses and states from the images alone"
printf 'watch it in a browser: file://%s/run/out/progress.html\n' "$place"
"$cryodeco" run --preset quick_look --particles "$place/set/project/J1" --outdir "$place/run" --k_num 2 --seed 1 ${DEMO_DEVICE:+--device "$DEMO_DEVICE"} | tee "$place/where.txt"

say "against the truth"
analysis=$(sed -n 's|^plot *\(.*\)/z_pca.png$|\1|p' "$place/where.txt")
python3 "$here/tests/support/score.py" "$place/set" "$analysis" --found-poses --least-ari 0.95
