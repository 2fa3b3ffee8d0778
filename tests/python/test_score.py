"""`cryodeco score`: a run that never was, its labels, poses and latents spoilt by known amounts, against the formulas written out once more."""
import json

import numpy as np
import pytest
from conftest import TINY, cryodeco
from score import adjusted_rand

FLIP = np.diag([1.0, 1.0, -1.0])


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
