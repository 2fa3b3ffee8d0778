"""`cryodeco score`: a run that never was, its labels, poses and latents spoilt by known amounts, against the formulas written out once more."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import mrcfile
import numpy as np
import pytest
from conftest import TINY, cryodeco
from score import adjusted_rand

FLIP = np.diag([1.0, 1.0, -1.0])
EVALUATE = pathlib.Path(__file__).resolve().parents[3] / "shared/tools/evaluate.py"


def turns(vectors):
    """Rotation matrices of axis-angle vectors (radians), by Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=1)[:, None, None] + 1e-12
    x, y, z = (vectors / angle[:, :, 0]).T
    zero = np.zeros_like(x)
    K = np.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]]).transpose(2, 0, 1)
    return np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * (K @ K)


def information(a, b):
    """Normalised and adjusted mutual information, the expectation by shuffling labels."""
    def mutual(p, q):
        t = np.zeros((p.max() + 1, q.max() + 1))
        np.add.at(t, (p, q), 1)
        t /= len(p)
        e = t.sum(1)[:, None] * t.sum(0)
        return (t[t > 0] * np.log(t[t > 0] / e[t > 0])).sum()
    mean = (mutual(a, a) + mutual(b, b)) / 2
    rng = np.random.default_rng(1)
    chance = np.mean([mutual(a, rng.permutation(b)) for _ in range(400)])
    return mutual(a, b) / mean, (mutual(a, b) - chance) / (mean - chance)


@pytest.fixture
def run(tmp_path):
    """Poses in another frame, a displaced map, errors of 3 degrees and 0.3 px; a tenth of the labels wrong, 20 missing."""
    rng = np.random.default_rng(5)
    truth = np.load(TINY / "truth/particles.npy")
    truth = truth[rng.permutation(len(truth))[:700]]
    n = len(truth)
    label = np.where(rng.random(n) < 0.1, rng.integers(0, 3, n), 2 - truth["label"]).astype("<i4")
    label[:20] = -1
    frame, v = turns(np.array([[1.0, -0.4, 2.0]]))[0], np.array([1.5, -0.5, 0.7])
    noise = turns(np.radians(3) * rng.standard_normal((n, 3)) / np.sqrt(3))
    R = noise @ truth["R"] @ frame
    shift = truth["shift_px"] + truth["R"][:, :2] @ v + 0.3 * rng.standard_normal((n, 2))
    z = rng.standard_normal((n, 3)) + 4 * truth["label"][:, None]
    analysis = tmp_path / "out/analysis_3"
    (analysis / "clustering3").mkdir(parents=True)
    (tmp_path / "job.yaml").write_text("k_num: 3\n")
    np.save(tmp_path / "out/uid.npy", truth["uid"])
    np.save(tmp_path / "out/conf.3.npy", z.astype("<f4"))
    np.save(analysis / "rotation.npy", R.astype("<f4"))
    np.save(analysis / "shift.npy", shift.astype("<f4"))
    np.save(analysis / "clustering3/labels.npy", label)
    (analysis / "clustering3/vol_000.mrc").write_bytes((TINY / "truth/maps/class_0.mrc").read_bytes())
    return tmp_path, truth, label, R, z


def scored(outdir, *words):
    return json.loads(cryodeco("score", outdir, *words).stdout)


def test_labels_are_scored_as_the_formulas_say(run):
    outdir, truth, label, _, _ = run
    has = label >= 0
    true = truth["label"].astype(int)
    s = scored(outdir, "--truth", TINY / "truth")["clusters"]
    nmi, ami = information(true[has], label[has])
    counts = np.array([[((true == a) & (label == b)).sum() for b in range(3)] for a in range(2)])
    best = max(counts[0, b] + counts[1, d] for b in range(3) for d in range(3) if b != d)
    assert s["unassigned"] == 20 and s["clusters"] == 3
    assert s["ari"] == pytest.approx(adjusted_rand(true[has], label[has]), abs=1e-9)
    assert s["nmi"] == pytest.approx(nmi, abs=1e-9)
    assert s["ami"] == pytest.approx(ami, abs=2e-3)  # the expectation here is of 400 shuffles
    assert s["accuracy"] == pytest.approx(best / len(true), abs=1e-12)
    assert s["purity"] == pytest.approx(counts.max(0).sum() / len(true), abs=1e-12)
    assert s["assignment"] == {"1": 1, "2": 0}


@pytest.mark.parametrize("mirrored", [False, True])
def test_poses_are_scored_in_the_best_frame_and_hand(run, mirrored):
    outdir, truth, _, R, _ = run
    if mirrored:
        np.save(outdir / "out/analysis_3/rotation.npy", (FLIP @ R @ FLIP).astype("<f4"))
    s = scored(outdir, "--truth", TINY / "truth")
    assert s["rotations"]["hand"] == ("mirrored" if mirrored else "same")
    assert 2 < s["rotations"]["median_deg"] < 3.5  # of lengths of a normal vector with 3 degrees in all
    assert s["rotations"]["within_10_deg"] > 0.99 and s["rotations"]["other_hand_median_deg"] > 60
    assert s["shifts"]["map_displacement_px"] == pytest.approx([1.5, -0.5, 0.7], abs=0.05)
    assert 0.25 < s["shifts"]["median_px"] < 0.45 < 0.9 < s["shifts"]["raw_median_px"]


def test_latents_near_one_another_are_of_one_class(run):
    outdir, truth, _, _, z = run
    s = scored(outdir, "--truth", TINY / "truth")["latent"]
    z = np.load(outdir / "out/conf.3.npy").astype(float)
    d = ((z[:, None] - z) ** 2).sum(2)
    near = np.argsort(d, axis=1)[:, 1:21]
    y = truth["label"]
    assert s["knn"] == pytest.approx((y[near] == y[:, None]).mean(), abs=1e-4)
    assert s["knn_chance"] == pytest.approx((np.bincount(y) / len(y)) @ (np.bincount(y) / len(y)), abs=1e-9)


def test_labels_that_are_known_will_do(run):
    outdir, truth, label, _, _ = run
    np.save(outdir / "known.npy", truth["label"].astype("<i8"))
    s = scored(outdir, "--labels_evaluate", outdir / "known.npy")
    assert s["clusters"] == scored(outdir, "--truth", TINY / "truth")["clusters"] and "rotations" not in s


def read(path):
    with mrcfile.open(path) as m:
        return m.data.astype(float)


def fsc(a, b):
    """Shells [i - 1, i), i up to D/2 - 1; 1 at 0."""
    D = len(a)
    g = np.fft.fftfreq(D, 1 / D)
    shell = np.floor(np.sqrt(g[:, None, None] ** 2 + g[:, None] ** 2 + g ** 2)).astype(int).ravel() + 1
    A, B = np.fft.fftn(a).ravel(), np.fft.fftn(b).ravel()
    total = [np.bincount(shell, x, D)[1:D // 2] for x in ((A * B.conj()).real, abs(A) ** 2, abs(B) ** 2)]
    return np.r_[1, total[0] / np.sqrt(total[1] * total[2])]


def share_below(curve):
    return np.trapezoid(abs(curve)) / (len(curve) - 1) if hasattr(np, "trapezoid") else np.trapz(abs(curve)) / (len(curve) - 1)


@pytest.mark.parametrize("mirrored", [False, True])
def test_maps_are_scored_in_the_frame_of_the_poses(run, mirrored):
    """Both classes' maps, the other way round, one with noise, in a frame of their own: of a quarter turn about x, or of the other hand."""
    outdir, truth, label, _, _ = run
    analysis, rng = outdir / "out/analysis_3", np.random.default_rng(2)
    true = [read(TINY / f"truth/maps/class_{k}.mrc") for k in (0, 1)]
    noisy = true[1] + 0.5 * true[1].std() * rng.standard_normal(true[1].shape)
    turn = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    for name, v in (("vol_000.mrc", noisy), ("vol_001.mrc", true[0])):
        # v(x, y, -z), or v(x, z, -y); index D/2 is the origin
        v = np.roll(v[::-1], 1, 0) if mirrored else np.roll(v.transpose(1, 0, 2)[:, ::-1], 1, 1)
        with mrcfile.new(analysis / "clustering3" / name, overwrite=True) as m:
            m.set_data(np.ascontiguousarray(v, np.float32))
            m.voxel_size = 4.5
    R = FLIP @ truth["R"] @ FLIP if mirrored else truth["R"] @ turn
    np.save(analysis / "rotation.npy", R.astype("<f4"))
    np.save(analysis / "clustering3/labels.npy", np.where(label < 0, -1, 1 - truth["label"]).astype("<i4"))
    s = scored(outdir, "--truth", TINY / "truth")
    assert s["volumes"]["hand"] == ("mirrored" if mirrored else "same")
    first, second = s["volumes"]["each"]
    assert (first["volume"], first["label"], second["volume"], second["label"]) == ("vol_000.mrc", 1, "vol_001.mrc", 0)
    inside = np.sqrt(sum((np.indices(noisy.shape) - 16) ** 2)) < 16  # what a turned map has
    expected = share_below(fsc(noisy * inside, true[1]))
    assert first["auc"] == pytest.approx(expected, abs=0.01) and expected < 0.97  # interpolation takes a little
    assert second["auc"] > 0.99 and second["corr"] > 0.99 and second["fsc0143_A"] == 9
    rows = np.arange(0, len(truth), 7)
    rows = rows[label[rows] >= 0]
    perfect = (32 // 2 - 1) / 32
    means = np.where(truth["label"][rows] == 1, first["auc"], second["auc"]) * perfect
    assert s["per_image"]["images"] == len(rows) and s["per_image"]["auc_mean"] == pytest.approx(means.mean(), abs=1e-9)
    assert s["per_image"]["normalised"] == pytest.approx(means.mean() / perfect, abs=1e-9)


@pytest.mark.skipif(os.environ.get("CRYODECO_LONG") != "1" or not EVALUATE.exists(), reason="long, and takes the judge's own script")
@pytest.mark.parametrize("flip", [False, True])
def test_maps_are_scored_as_the_judges_script_does(tiny_run, tmp_path, flip):
    run, truth = tmp_path / "run", TINY / "truth"
    shutil.copytree(tiny_run, run)
    if flip:
        cryodeco("analyze", run, "--flip_hand", "True", "--k_num", "2", "--back_projection", "False")
    analysis = max((run / "out").glob("analysis_*_flipped" if flip else "analysis_*"))
    clustering = analysis / "clustering2"
    mine = scored(run, "--truth", truth, "--analysis", analysis.name)
    theirs = json.loads(subprocess.run([sys.executable, EVALUATE, truth, "--labels", clustering / "labels.npy", "--rotations", analysis / "rotation.npy",
                                        "--volumes", *sorted(clustering.glob("vol_*.mrc"))], check=True, capture_output=True, text=True).stdout)
    assert mine["volumes"]["hand"] == theirs["volumes"]["hand"]
    for a, b in zip(mine["volumes"]["each"], theirs["volumes"]["each"]):
        assert (a["truth"], a["label"]) == (b["truth"], b["label"]) and abs(a["auc"] - b["auc"]) < 1e-3 and abs(a["corr"] - b["corr"]) < 1e-3
    assert abs(mine["per_image"]["auc_mean"] - theirs["per_image"]["auc_mean"]) < 1e-3
    assert mine["rotations"]["hand"] == theirs["rotations"]["hand"]
    for name, value in theirs["rotations"].items():
        assert name == "hand" or abs(mine["rotations"][name] - value) < 1e-3, name


def test_what_does_not_fit_is_refused(run):
    outdir = run[0]
    r = cryodeco("score", outdir, check=False)
    assert r.returncode == 2 and "give either truth" in r.stderr
    np.save(outdir / "known.npy", np.zeros(3, "<i4"))
    r = cryodeco("score", outdir, "--labels_evaluate", outdir / "known.npy", check=False)
    assert r.returncode == 2 and "each of the 700 particles" in r.stderr
    uid = np.load(outdir / "out/uid.npy")
    uid[5] = 12345
    np.save(outdir / "out/uid.npy", uid)
    r = cryodeco("score", outdir, "--truth", TINY / "truth", check=False)
    assert r.returncode == 2 and "uid 12345 of row 5" in r.stderr
