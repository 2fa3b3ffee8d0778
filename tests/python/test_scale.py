"""Ten million particles: their metadata, without images, read, joined and subset within 8 GiB. With --long, as the files take 7 GB."""
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import command

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench/peers"))
from datasets import make_job  # noqa: E402

LONG = os.environ.get("CRYODECO_LONG") == "1"


def measured(*words):
    """Peak resident memory in GiB of one command, in a process of its own so that no other child counts."""
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr); " \
           "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    r = subprocess.run([sys.executable, "-c", code, command(), *map(str, words)], check=True, capture_output=True, text=True)
    return int(r.stdout) / 2**20


@pytest.mark.parametrize("rows, limit_GiB", [(100_000, 0.25), pytest.param(10_000_000, 8, marks=pytest.mark.skipif(not LONG, reason="long"))])
def test_metadata_of_many_particles_fit_in_memory(rows, limit_GiB, tmp_path):
    if shutil.disk_usage(tmp_path).free < 1500 * rows:
        pytest.skip("no disk for that many rows")
    make_job(tmp_path / "P/J1", rows)
    np.save(tmp_path / "rows.npy", np.arange(1, rows, 2))
    words = ["subset", "--particles", tmp_path / "P/J1", "--rows", tmp_path / "rows.npy", "--output", tmp_path / "half"]
    assert measured(*words) < limit_GiB
    own, half = (np.load(p, mmap_mode="r") for p in (tmp_path / "P/J1/downsampled_particles.cs", tmp_path / "half.cs"))
    assert len(half) == rows // 2
    for k in (0, len(half) // 3, len(half) - 1):
        assert half[k]["uid"] == own[2 * k + 1]["uid"] and half[k]["blob/path"] == own[2 * k + 1]["blob/path"]
    assert measured(*words[:-2], "--output", tmp_path / "same", "--original", tmp_path / "P/J1", "--forms", "cs") < limit_GiB
    assert (np.load(tmp_path / "same.cs", mmap_mode="r")["uid"] == half["uid"]).all()
    assert measured("info", tmp_path / "P/J1") < limit_GiB
