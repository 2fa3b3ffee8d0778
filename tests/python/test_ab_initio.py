"""Structure, poses and states from the tiny set's images alone."""
import json

import numpy as np
import pytest
from conftest import TINY, cryodeco, newest_analysis
from poses import newest_rotations, rotation_errors_deg
from score import Truth, adjusted_rand


@pytest.fixture(scope="module")
def quick_look(tmp_path_factory):
    outdir = tmp_path_factory.mktemp("quick_look")
    cryodeco("run", "--preset", "quick_look", "--particles", TINY / "project/J12", "--outdir", outdir, "--k_num", "2", "--seed", "1")
    return outdir


def test_clusters_are_the_classes(quick_look):
    assert adjusted_rand(Truth(TINY).labels, np.load(newest_analysis(quick_look) / "clustering2/labels.npy")) >= 0.95


def test_poses_are_found(quick_look):
    off = rotation_errors_deg(Truth(TINY).of_row["R"].astype(float), newest_rotations(quick_look))
    assert (off < 10).mean() >= 0.9


def test_subsets_carry_the_poses_found(quick_look):
    R, labels = newest_rotations(quick_look), np.load(newest_analysis(quick_look) / "clustering2/labels.npy")
    given = np.load(TINY / "project/J12/downsampled_particles.cs")
    for k in range(2):
        rows = np.load(newest_analysis(quick_look) / f"clustering2/clustering_cs_star/cluster_{k}.cs")
        assert (rows["uid"] == given["uid"][labels == k]).all()
        assert abs(np.array([exp(v).T for v in rows["alignments3D/pose"]]) - R[labels == k]).max() < 1e-4


def exp(v):
    """Rodrigues' formula."""
    a = np.linalg.norm(v)
    K = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]]) / max(a, 1e-12)
    return np.eye(3) + np.sin(a) * K + (1 - np.cos(a)) * K @ K


def test_log_and_metrics_tell_the_search(quick_look):
    epochs = [json.loads(x) for x in (quick_look / "metrics.jsonl").read_text().splitlines()]
    kinds = [x["kind"] for x in epochs if x["event"] == "epoch"]
    assert kinds[0] == "pretraining" and "search" in kinds and kinds[-1] == "refinement"
    moved = [x["moved_deg"] for x in epochs if x["event"] == "epoch" and x["kind"] != "pretraining"]
    assert moved[0] > 60 and moved[-1] < 5  # from random rotations to rest
    assert "poses moved" in (quick_look / "run.log").read_text()
