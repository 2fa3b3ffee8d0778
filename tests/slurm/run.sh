#!/usr/bin/env bash
# run.sh CRYODECO: the script that `cryodeco run --slurm` prints, under a real munged, slurmctld and slurmd of one machine: submit, warn, requeue, resume, end
# with the bytes of a run that nobody stopped; and scancel. They run without systemd, with a configuration, keys, ports and state of their own. Needs root
# (slurmd starts steps as their user) and Debian's munge, slurmctld, slurmd, slurm-client; says so and is skipped (exit code 77) where they are not.
# WARN=time waits for Slurm's own warning (minutes); otherwise the same signal is asked of it at once.
set -euo pipefail
cryodeco=$(realpath "$1")
root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
PATH=$(dirname "$cryodeco"):$PATH:/usr/sbin
export CRYODECO_BLUEPRINTS=$root/blueprints

for tool in munged slurmctld slurmd srun sbatch scontrol scancel squeue; do
    command -v "$tool" >/dev/null || { echo "skipped: $tool is not installed (apt install munge slurmctld slurmd slurm-client)"; exit 77; }
done
[ "$(id -u)" -eq 0 ] || { echo "skipped: slurmd needs root"; exit 77; }

place=$(mktemp -d /tmp/cryodeco-slurm.XXXXXX)
chmod 755 "$place"
mkdir "$place/state" "$place/spool" "$place/munge"
daemons=()
finish() {
    local code=$?
    for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    if [ "$code" -ne 0 ]; then tail -n 20 "$place"/*.log >&2 || true; fi
    rm -rf "$place"
}
trap finish EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
host=$(hostname -s)
export SLURM_CONF=$place/slurm.conf
cat >"$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket=$place/munge/socket
SlurmUser=root
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
KillWait=30
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=1000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF

dd if=/dev/urandom of="$place/munge/key" bs=1024 count=1 status=none
chmod 400 "$place/munge/key"
munged --foreground --force --key-file="$place/munge/key" --socket="$place/munge/socket" --pid-file="$place/munge/pid" \
    --seed-file="$place/munge/seed" --log-file="$place/munged.log" &
daemons+=($!)
until [ -S "$place/munge/socket" ]; do sleep 0.2; done
slurmctld -D >"$place/slurmctld.out.log" 2>&1 &
daemons+=($!)
slurmd -D -N "$host" >"$place/slurmd.out.log" 2>&1 &
daemons+=($!)

# until_true SECONDS WORDS...: waits for a command to succeed.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { echo "waited in vain for: $*" >&2; return 1; }
        sleep 0.5
    done
}
state() { squeue -h -j "$1" -t all -o %T 2>/dev/null || true; }
is() { [ "$(state "$1")" = "$2" ]; }
node_is_up() { sinfo -h -o %T | grep -q idle; }
until_true 120 node_is_up
echo "a cluster of one node is up: Slurm $(sinfo --version | cut -d' ' -f2)"

set_of=$root/tests/data/tiny/project/J12
words=(--particles "$set_of" --use_gt_poses True --use_conf_encoder False --hypervolume_dim 32 --pe_dim 8 --hypervolume_layers 1
    --conf_table_dim 4 --batch_size_known_poses 8 --n_imgs_pretrain 0 --n_imgs_pose_search 0 --epochs_sgd "${EPOCHS:-6}" --k_num 2 --seed 3 --threads 1
    --series False --back_projection False)
cd "$place"
cryodeco run "${words[@]}" --outdir "$place/whole" 2>/dev/null >/dev/null
echo "a run that nobody stops is done"

epochs_of() { local n; n=$(grep -c '"event":"epoch"' "$1/metrics.jsonl" 2>/dev/null) || true; echo "${n:-0}"; }
has_epochs() { [ "$(epochs_of "$1")" -ge "$2" ]; }
script() { # its memory is more than this node is said to have; a turn is short
    cryodeco run "${words[@]}" --outdir "$1" --slurm 2>/dev/null | sed "s/^#SBATCH --mem=.*/#SBATCH --mem=100M/; s/--time=24:00:00/--time=0:${2:-30}:00/; s/--cpus-per-task=[0-9]*/--cpus-per-task=1/"
}

# Submit, warn, requeue, resume, end.
script "$place/run" "$([ "${WARN:-}" = time ] && echo 3 || echo 30)" >run.sh
job=$(sbatch --parsable run.sh)
until_true 300 is "$job" RUNNING
until_true 600 has_epochs "$place/run" 2
if [ "${WARN:-}" != time ]; then scancel --signal=USR1 "$job"; fi
until_true 600 is "$job" PENDING
ls "$place"/run/out/checkpoint.* >/dev/null
grep -q "go on with --resume auto" cryodeco-"$job".log
echo "warned: stopped with a checkpoint after $(epochs_of "$place/run") epochs, and requeued"
again() { scontrol update JobId="$job" StartTime=now 2>/dev/null || true; is "$job" RUNNING || is "$job" COMPLETED; }
until_true 300 again
until_true 900 is "$job" COMPLETED
grep -q "going on in epoch" cryodeco-"$job".log
for file in "$place"/whole/out/weights.*.safetensors; do cmp "$file" "$place/run/out/$(basename "$file")"; done
echo "resumed, and ended with the bytes of the run that nobody stopped"

# scancel.
script "$place/cancelled" >cancelled.sh
job=$(sbatch --parsable cancelled.sh)
until_true 600 has_epochs "$place/cancelled" 2
scancel "$job"
until_true 120 is "$job" CANCELLED
unlocked() { [ ! -e "$place/cancelled/run.lock" ]; }
until_true 60 unlocked
ls "$place"/cancelled/out/checkpoint.* >/dev/null
if pgrep -f "outdir $place/cancelled" >/dev/null; then echo "a process is left" >&2; exit 1; fi
echo "cancelled: stopped with a checkpoint, nothing left"
