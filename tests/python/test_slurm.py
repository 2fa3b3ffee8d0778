"""The batch script that `cryodeco run --slurm` prints: clean, and right under a stub of Slurm. Under a real one: tests/slurm/run.sh."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from conftest import BRIEF, TINY, command, cryodeco

JOB = TINY / "project/J12"


def script(tmp_path, *more):
    path = tmp_path / "run.sh"
    path.write_text(cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "out of 'here'", *BRIEF, "--slurm", *more).stdout)
    assert not (tmp_path / "out of 'here'").exists()
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", path], check=True)
    return path


@pytest.mark.parametrize("launcher", ["srun", "mpirun"])
def test_code_75_asks_for_another_turn_and_others_do_not(tmp_path, launcher):
    path = script(tmp_path, "--launcher", launcher, "--nodes", "2", "--max_hours", "1.5")
    text = path.read_text()
    assert "--nodes=2" in text and "--time=1:30:00 --requeue" in text and "max_hours" not in text
    assert f"--signal={'B:' if launcher == 'mpirun' else ''}USR1@120" in text
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for name, body in ((launcher, f'printf "%s\\n" "$@" > {tmp_path}/words; exit $CODE'), ("scontrol", f'echo "$@" >> {tmp_path}/asked')):
        (stubs / name).write_text(f"#!/bin/bash\n{body}\n")
        (stubs / name).chmod(0o755)
    for code in (0, 1, 75):
        r = subprocess.run(["bash", path], env={**os.environ, "PATH": f"{stubs}:{os.environ['PATH']}", "CODE": str(code), "SLURM_JOB_ID": "7"})
        assert r.returncode == code
        assert (tmp_path / "asked").exists() == (code == 75)
    words = (tmp_path / "words").read_text().split("\n")
    assert words[words.index("--outdir") + 1] == str(tmp_path / "out of 'here'") and words[-3:-1] == ["--resume", "auto"]
    assert (tmp_path / "asked").read_text() == "requeue 7\n"


def test_a_warning_under_mpirun_becomes_a_stop_file(tmp_path):
    path, outdir, stubs = script(tmp_path, "--launcher", "mpirun"), tmp_path / "out of 'here'", tmp_path / "stubs"
    outdir.mkdir()
    stubs.mkdir()
    (stubs / "mpirun").write_text(f'#!/bin/bash\nkill -USR1 $PPID\nfor i in {{1..200}}; do [ -e "{outdir}/STOP" ] && exit 75; sleep 0.05; done\nexit 1\n')
    (stubs / "scontrol").write_text(f'#!/bin/bash\necho "$@" > {tmp_path}/asked\n')
    for stub in stubs.iterdir():
        stub.chmod(0o755)
    r = subprocess.run(["bash", path], env={**os.environ, "PATH": f"{stubs}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}, timeout=60)
    assert r.returncode == 75 and (tmp_path / "asked").read_text() == "requeue 7\n"


def test_workers_of_one_task_share_what_is_asked_for(tmp_path):
    def asked(*more):
        text = script(tmp_path, "--threads", "3", *more).read_text()
        assert text.count("#!/bin/bash") == 1
        return text, int(re.search(r"--mem=(\d+)M", text)[1])
    one, two = asked(), asked("--workers", "2")
    assert "--cpus-per-task=3\n" in one[0] and "--cpus-per-task=6\n" in two[0] and "--workers 2 " in two[0]
    assert two[1] == 2 * one[1]
    r = cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "none", *BRIEF, "--slurm", "--workers", "2", "--tasks", "2", check=False)
    assert r.returncode == 2 and "tasks are workers already" in r.stderr and not r.stdout


@pytest.mark.skipif(os.environ.get("CRYODECO_LONG") != "1", reason="long")
def test_under_a_real_slurm():
    r = subprocess.run([pathlib.Path(__file__).parents[1] / "slurm/run.sh", command()], capture_output=True, text=True)
    if r.returncode == 77:
        pytest.skip(r.stdout.strip())
    assert r.returncode == 0, r.stdout + r.stderr
