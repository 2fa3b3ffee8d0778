"""What the tests share: the command, the tiny set, one whole run of it."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))

TINY = pathlib.Path(os.environ.get("CRYODECO_DATA", HERE.parent / "data")) / "tiny"
# The small decoder of docs/formats.md's examples: 1,000 particles of 32 px in well under a minute.
SMALL = """--use_gt_poses True --use_conf_encoder False --k_num 2 --conf_table_dim 4 --hypervolume_dim 128 --hypervolume_layers 2 --pe_dim 32
           --feat_sigma 1.25 --lr 1e-3 --lr_conf_table 5e-2 --batch_size_known_poses 8 --n_imgs_pose_search 0""".split()
# The same with the least training there is, for what does not depend on the result.
BRIEF = SMALL + "--epochs_sgd 0 --n_imgs_pretrain 0 --hypervolume_dim 32 --pe_dim 8 --batch_size_known_poses 64".split()


def command():
    return os.environ.get("CRYODECO", str(HERE.parents[1] / "build/release/bin/cryodeco"))


def cryodeco(*words, check=True, timeout=600, **keywords):
    """Runs the command; with `check`, it must succeed."""
    r = subprocess.run([command(), *map(str, words)], capture_output=True, text=True, timeout=timeout, **keywords)
    if check:
        assert r.returncode == 0, f"exit code {r.returncode}\n{r.stdout}\n{r.stderr}"
    return r


def newest_analysis(outdir):
    return max((outdir / "out").glob("analysis_*"), key=lambda p: int(p.name.split("_")[1]))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """The issue's recipe on tests/data/tiny, seed 1, on a copy that cannot be written to; returns the run's directory."""
    place = tmp_path_factory.mktemp("tiny")
    outdir = place / "run"
    r = cryodeco("run", "--particles", TINY / "project/J12", "--outdir", outdir, *SMALL, "--epochs_sgd", "10", "--seed", "1")
    (place / "stderr.txt").write_text(r.stderr)
    (place / "stdout.txt").write_text(r.stdout)
    return outdir


@pytest.fixture
def tiny_copy(tmp_path):
    """A copy of the tiny project that a test may spoil."""
    shutil.copytree(TINY / "project", tmp_path / "project")
    return tmp_path / "project"
