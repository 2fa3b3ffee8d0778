"""Structure, poses and states from the tiny set's images alone."""
import json
import pathlib

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


def events(run, name):
    return [x for x in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if x["event"] == name]


def test_log_and_metrics_tell_how_poses_were_found(quick_look):
    passes, (verdict,) = events(quick_look, "initial_pass"), events(quick_look, "convergence")
    assert {x["start"] for x in passes} == {1, 2} and passes[-1]["same_poses"] > 0.8
    assert verdict["converged"] and verdict["compared"] and verdict["agreement"] > 0.8
    kinds = [x["kind"] for x in events(quick_look, "epoch")]
    assert kinds[0] == "pretraining" and kinds[-1] == "refinement" and "search" not in kinds
    assert events(quick_look, "epoch")[-1]["moved_deg"] < 5  # at rest
    assert "starts from two seeds found the same structure" in (quick_look / "run.log").read_text()


def marks(run, k_num=2):
    found = json.loads((newest_analysis(run) / f"clustering{k_num}/validation/validation.json").read_text())
    return [set(c["marks"]) for c in found["clusters"]]


def test_its_maps_are_not_called_wrong(quick_look):
    """A decoder that was trained briefly lags behind its images in the outer shells, which is no fault."""
    assert marks(quick_look) == [set(), set()]


def test_noise_alone_is_called_not_converged(tmp_path):
    """The worst result would be a confident wrong map: images that hold next to nothing must not pass for a structure."""
    structure = pathlib.Path(__file__).parents[2] / "examples/structures/7cfn.pdb"
    cryodeco("simulate", structure, "--n_particles", "300", "--box", "32", "--psize_A", "6", "--snr", "0.001", "--seed", "1", "--outdir", tmp_path / "set")
    text = cryodeco("run", "--preset", "quick_look", "--particles", tmp_path / "set/project/J1", "--outdir", tmp_path / "run", "--k_num", "2",
                    "--seed", "1", "--initial_radii", "8,8,8", "--initial_state_radii", "8", "--refine_radii", "8", "--settle_epochs", "1").stdout
    (verdict,) = events(tmp_path / "run", "convergence")
    assert verdict["compared"] and not verdict["converged"]
    assert "do not believe" in text and "NOT CONVERGED" in (tmp_path / "run/run.log").read_text()
    assert all(m & {"noise", "not_confirmed", "too_few_particles"} for m in marks(tmp_path / "run"))
    assert json.loads((newest_analysis(tmp_path / "run") / "clustering2/answers.json").read_text())["answer"] == "nothing to believe"


def test_initial_models_are_the_same_on_any_number_of_threads(tmp_path):
    found = []
    for threads in (1, 2, 3):
        run = tmp_path / str(threads)
        cryodeco("run", "--preset", "quick_look", "--particles", TINY / "project/J12", "--outdir", run, "--k_num", "2", "--seed", "4", "--threads", threads,
                 "--initial_radii", "8,8", "--initial_starts", "2", "--initial_state_radii", "8,10", "--refine_radii", "8", "--settle_epochs", "1",
                 "--initial_images", "600")
        found.append([(run / "out" / name).read_bytes() for name in ("rotation.0.npy", "shift.0.npy", "conf.0.npy")])
    assert found[0] == found[1] == found[2]


def test_one_structure_at_known_shifts_with_a_pose_table(tmp_path):
    """The ways of a search that quick_look does not take: Z = 0, shifts of the input, poses trained by Adam, a growing mask."""
    run = tmp_path / "run"
    cryodeco("run", "--preset", "quick_look", "--particles", TINY / "project/J12", "--outdir", run, "--seed", "1", "--conf_table_dim", "0",
             "--use_gt_trans", "True", "--pose_refine", "table", "--lr_pose_table", "1e-3", "--output_mask", "frequency_marching", "--l_start_fm", "9",
             "--add_one_frequency_every", "4000")
    truth = Truth(TINY).of_row
    assert (rotation_errors_deg(truth["R"].astype(float), newest_rotations(run)) < 10).mean() >= 0.9
    assert abs(np.load(run / "out/shift.6.npy") - truth["shift_px"]).max() < 1e-4  # the input's, in pixels of 1.5 Å
    assert np.load(run / "out/conf.6.npy").shape == (1000, 0)
    assert sorted(p.name for p in (run / "out/analysis_6").glob("vol*.mrc")) == ["vol_000.mrc"]
    epochs = [json.loads(x) for x in (run / "metrics.jsonl").read_text().splitlines()]
    assert [x["radius"] for x in epochs if x["event"] == "epoch"] == [9] * 4 + [10] * 4
