"""`--landscape`: many small maps compared with one another, their components and states."""
import shutil

import mrcfile
import numpy as np
import pytest
from conftest import TINY, cryodeco
from score import Truth, adjusted_rand

BOX, MAPS = 24, 40


def analyze(run, *words, **keywords):
    return cryodeco("analyze", run, "--back_projection", "False", "--series", "False", *words, **keywords)


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    outdir = tmp_path_factory.mktemp("landscape") / "run"
    shutil.copytree(tiny_run, outdir)
    analyze(outdir, "--landscape", MAPS, "--landscape_box", BOX, "--threads", "2", "--seed", "3")
    return outdir


def folder_of(run):
    (found,) = (run / "out").glob("analysis_*[0-9]/landscape")
    return found


def small(map_):
    """The shells up to BOX/2 of a map, in that box."""
    D = len(map_)
    F = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(map_)))
    g = np.arange(D) - D // 2
    F[g[:, None, None] ** 2 + g[:, None] ** 2 + g**2 > (BOX // 2) ** 2] = 0
    cut = slice(D // 2 - BOX // 2, D // 2 + BOX // 2)
    H = F[cut, cut, cut]
    H = H.real - H.imag  # its Hartley transform is its own inverse, but for the scale
    G = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(H)))
    return (G.real - G.imag) / D**3


def test_states_are_the_classes(run):
    here = folder_of(run)
    labels = np.load(here / "labels.npy")
    assert adjusted_rand(Truth(TINY).labels, labels) >= 0.95
    assert (np.load(here / "map_states.npy")[np.load(here / "nearest_map.npy")] == labels).all()
    rows, standing = (np.loadtxt(here / name, dtype=int) for name in ("centers_ind.txt", "states/centers_ind.txt"))
    assert len(rows) == MAPS and set(standing) <= set(rows) and list(labels[standing]) == [0, 1]
    for i in range(2):
        assert mrcfile.validate(here / f"states/vol_{i:03d}.mrc") and mrcfile.read(here / f"states/vol_{i:03d}.mrc").shape == (32, 32, 32)
    assert (here / "states/open_all.cxc").exists()
    text = (run / "run.log").read_text()
    assert f"landscape: {MAPS} maps of {BOX} px (6 A)" in text and "landscape: state 1: " in text


def test_components_are_those_of_the_decoders_maps(run, tmp_path):
    here = folder_of(run)
    cryodeco("decode", run, "--output", tmp_path / "maps", "--z", here / "centers.txt", "--series", "False")
    maps = np.array([small(mrcfile.read(p).astype(float)) for p in sorted((tmp_path / "maps").glob("vol_*.mrc"))])
    inside = mrcfile.read(here / "mask.mrc") == 1
    dense = np.array([m > 0.2 * np.percentile(m, 99.9) for m in maps]).any(0)
    assert len(maps) == MAPS and inside[dense].mean() > 0.999 and dense.sum() < inside.sum() < 0.7 * inside.size
    mean = maps.mean(0)
    for name, expected in ("mean.mrc", mean), ("mask.mrc", inside):
        with mrcfile.open(here / name) as m:
            assert abs(m.data - expected * inside).max() < 1e-4 * abs(mean).max() and m.voxel_size.x == 6
    U, s, V = np.linalg.svd((maps - mean)[:, inside], full_matrices=False)
    scores, ratio = np.load(here / "map_scores.npy"), np.load(here / "variance_ratio.npy")
    assert scores.shape == (MAPS, 20) and np.allclose(ratio, (s**2 / (s**2).sum())[:20], atol=1e-5)
    for k in range(2):  # those that stand apart: their signs are free
        mine = scores[:, k]
        sign = np.sign(mine @ U[:, k])
        assert abs(mine - sign * U[:, k] * s[k]).max() < 2e-3 * s[k] and mine[abs(mine).argmax()] > 0
        direction = mrcfile.read(here / f"component_{k + 1}.mrc")
        assert abs(direction[inside] - sign * V[k] * s[k] / np.sqrt(MAPS - 1)).max() < 2e-3 * abs(direction).max() and (direction[~inside] == 0).all()
    rows, place = np.loadtxt(here / "centers_ind.txt", dtype=int), np.load(here / "place.npy")
    assert place.shape == (1000, 20) and np.allclose(place[rows], scores, atol=1e-4 * s[0])  # a map's own particle is where its map is


def test_threads_do_not_matter_and_the_hand_only_mirrors(run, tmp_path):
    here, other = folder_of(run), tmp_path / "run"
    shutil.copytree(run, other)
    analyze(other, "--landscape", MAPS, "--landscape_box", BOX, "--threads", "1", "--seed", "3")
    analyze(other, "--landscape", MAPS, "--landscape_box", BOX, "--seed", "3", "--flip_hand", "True")
    for name in "labels.npy", "place.npy", "map_scores.npy", "component_1.mrc", "mean.mrc", "states/vol_000.mrc":
        assert (folder_of(other) / name).read_bytes() == (here / name).read_bytes(), name
    (flipped,) = (other / "out").glob("analysis_*_flipped/landscape")
    assert (np.load(flipped / "labels.npy") == np.load(here / "labels.npy")).all()
    mine, theirs = (mrcfile.read(p / "mean.mrc")[1:, 1:, 1:] for p in (flipped, here))
    assert np.allclose(mine, theirs[::-1], atol=1e-4 * abs(theirs).max())


def test_the_report_shows_it(run):
    text = (folder_of(run).parent / "report.html").read_text()
    assert "Landscape of maps" in text and "States of the landscape" in text and "landscape/landscape.png" in text


@pytest.mark.parametrize("words, said", [(["--landscape", "1"], "at least 2"), (["--landscape", "10", "--landscape_box", "25"], "must be even"),
                                         (["--landscape", "1001"], "0 to 1000")])
def test_what_cannot_be_is_refused(run, words, said):
    r = analyze(run, *words, check=False)
    assert r.returncode == 2 and said in r.stderr


def test_more_maps_than_particles_are_as_many(tmp_path):
    from conftest import BRIEF
    np.savetxt(tmp_path / "few.txt", np.arange(12), fmt="%d")
    cryodeco("run", "--particles", TINY / "project/J12", "--outdir", tmp_path / "run", *BRIEF, "--seed", "1", "--ind", tmp_path / "few.txt",
             "--batch_size_known_poses", "4", "--landscape", "500", "--back_projection", "False")
    assert np.load(folder_of(tmp_path / "run") / "map_scores.npy").shape == (12, 11)
