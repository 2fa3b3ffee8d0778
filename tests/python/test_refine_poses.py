"""Poses that another program found, off by 8 degrees and a thirtieth of the box: refine_gt_poses mends them."""
import numpy as np
import pytest
from conftest import TINY, cryodeco, newest_analysis
from poses import newest_rotations, rotation_errors_deg
from score import Truth, adjusted_rand
from spoil_poses import spoil


@pytest.fixture(scope="module")
def refined(tmp_path_factory):
    place = tmp_path_factory.mktemp("refined")
    spoil(TINY / "project/J12", place / "J12", deg=8, px=1)
    cryodeco("run", "--preset", "refine_poses_quick", "--particles", place / "J12", "--datadir", TINY / "project", "--outdir", place / "run",
             "--k_num", "2", "--seed", "1")
    return place / "run"


def test_rotations_are_off_by_less_than_half(refined):
    off = rotation_errors_deg(Truth(TINY).of_row["R"].astype(float), newest_rotations(refined))
    assert np.median(off) < 4


def test_shifts_are_within_a_quarter_pixel(refined):
    shift = np.load(max((refined / "out").glob("shift.*.npy")))
    off = shift - Truth(TINY).of_row["shift_px"]
    assert np.median(np.hypot(*(off - np.median(off, 0)).T)) < 0.25


def test_clusters_are_the_classes(refined):
    assert adjusted_rand(Truth(TINY).labels, np.load(newest_analysis(refined) / "clustering2/labels.npy")) >= 0.95
