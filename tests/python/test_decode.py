"""`cryodeco decode`: maps at particles, at given latents and between them; their box, resolution and hand."""
import zipfile

import mrcfile
import numpy as np
import pytest
import yaml
from conftest import BRIEF, TINY, cryodeco


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    outdir = tmp_path_factory.mktemp("decode") / "run"
    cryodeco("run", "--particles", TINY / "project/J12", "--outdir", outdir, *BRIEF, "--seed", "3", "--log_heavy_interval", "0")
    return outdir


def maps(folder):
    found = []
    for path in sorted(folder.glob("vol_*.mrc")):
        with mrcfile.open(path) as m:
            found.append((m.data.astype(float), float(m.voxel_size.x)))
    return found


def decode(run, out, *words):
    cryodeco("decode", run, "--output", out, *words)
    return maps(out)


def latents(run):
    return np.load(max((run / "out").glob("conf.*.npy"), key=lambda p: int(p.name.split(".")[1])))


def shells(D):
    g = np.arange(D) - D // 2
    return np.sqrt(g[:, None, None] ** 2 + g[:, None] ** 2 + g ** 2)


def hartley(map_):
    F = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(map_)))
    return F.real - F.imag


def test_the_same_latents_give_the_same_maps(run, tmp_path):
    clustering = max((run / "out").glob("analysis_*")) / "clustering2"
    rows = np.loadtxt(clustering / "centers_ind.txt", dtype=int)
    np.save(tmp_path / "z.npy", latents(run)[rows])
    theirs = [m for m, _ in maps(clustering)]
    for words in (["--z", clustering / "centers.txt"], ["--z", tmp_path / "z.npy"], ["--at", f"{rows[0]},{rows[1]}"]):
        mine = decode(run, tmp_path / "maps", *words)
        assert len(mine) == 2 and all((a == b).all() for (a, _), b in zip(mine, theirs))
    script = (tmp_path / "maps/open_all.cxc").read_text()
    assert "open vol_000.mrc" in script and "open vol_001.mrc" in script and "vol_002" not in script
    assert "open vol_009.mrc" in (clustering.parent / "pc1_10/open_all.cxc").read_text()


def test_straight_ways_are_evenly_spaced(run, tmp_path):
    z = latents(run)
    mine = decode(run, tmp_path / "maps", "--at", "4,7,9", "--traverse", "direct", "--frames", "3")
    places = np.loadtxt(tmp_path / "maps/z_values.txt")
    assert len(mine) == 5
    expected = [z[4], (z[4] + z[7]) / 2, z[7], (z[7] + z[9]) / 2, z[9]]
    assert np.allclose(places, expected, atol=1e-6)


def test_ways_over_neighbours_go_from_neighbour_to_neighbour(run, tmp_path):
    z = latents(run).astype(float)
    decode(run, tmp_path / "maps", "--at", "4,700", "--traverse", "graph", "--frames", "1000")
    row = np.loadtxt(tmp_path / "maps/z_ind.txt", dtype=int)
    near = np.argsort(((z[:, None] - z) ** 2).sum(2), axis=1)[:, :15]
    assert row[0] == 4 and row[-1] == 700 and len(set(row)) == len(row) > 2
    assert all(b in near[a] or a in near[b] for a, b in zip(row, row[1:]))
    length = sum(np.linalg.norm(z[a] - z[b]) for a, b in zip(row, row[1:]))
    few = decode(run, tmp_path / "few", "--at", "4,700", "--traverse", "graph", "--frames", "4")
    thin = np.loadtxt(tmp_path / "few/z_ind.txt", dtype=int)
    assert len(few) == len(thin) == min(4, len(row)) and thin[0] == 4 and thin[-1] == 700 and set(thin) <= set(row)
    assert length >= np.linalg.norm(z[4] - z[700])


def near_each_frame(folder, frames):
    """uids of frames_cs/frame_<i>.cs; each must be importable by its group."""
    found = []
    for i in range(frames):
        path = folder / f"frames_cs/frame_{i:03d}.cs"
        found.append(list(np.load(path)["uid"]) if path.exists() else [])
        if found[-1]:
            group = yaml.safe_load(path.with_suffix(".csg").read_text())
            assert group["results"]["blob"] == {"metafile": f">{path.name}", "num_items": len(found[-1]), "type": "particle.blob"}
    return found


def check_archive(folder):
    with zipfile.ZipFile(folder / "series.zip") as z:
        assert z.testzip() is None and z.namelist() == [p.name for p in sorted(folder.glob("vol_*.mrc"))]
        assert all(z.read(name) == (folder / name).read_bytes() for name in z.namelist())
        return len(z.namelist())


def test_a_component_is_a_volume_series_with_the_particles_of_each_frame(run):
    analysis, uid = max((run / "out").glob("analysis_*")), np.load(run / "out/uid.npy")
    for c in (0, 1):
        folder, score = analysis / f"pc{c + 1}_10", np.load(analysis / "z_pca.npy")[:, c].astype(float)
        assert check_archive(folder) == 10
        place = (score - np.percentile(score, 5)) / (np.percentile(score, 95) - np.percentile(score, 5)) * 9
        assert np.allclose(np.load(folder / "frames.npy"), place, atol=1e-4)
        for i, rows in enumerate(near_each_frame(folder, 10)):
            sure = np.abs(np.abs(place - i) - 1) > 1e-3  # on the edge float32 decides
            assert len(rows) > 0 and (np.isin(uid, rows) == (np.abs(place - i) < 1))[sure].all()


@pytest.mark.parametrize("how", ["direct", "graph"])
def test_a_way_is_a_volume_series_with_the_particles_of_each_frame(run, tmp_path, how):
    z, uid, out = latents(run).astype(float), np.load(run / "out/uid.npy"), tmp_path / "maps"
    decode(run, out, "--at", "4,700", "--traverse", how, "--frames", "5")
    way = np.loadtxt(out / "z_values.txt")
    n = check_archive(out)
    a, v = way[:-1, None], np.diff(way, axis=0)[:, None]
    t = np.clip(((z - a) * v).sum(2) / (v ** 2).sum(2), 0, 1)
    d = np.linalg.norm(a + t[..., None] * v - z, axis=2)
    line = d.argmin(0)
    place, far = line + t[line, np.arange(len(z))], d.min(0) > np.linalg.norm(v, axis=2).sum() / 2
    theirs = np.load(out / "frames.npy")
    assert (np.isnan(theirs) == far).mean() > 0.999 and np.allclose(theirs[~far & ~np.isnan(theirs)], place[~far & ~np.isnan(theirs)], atol=1e-3)
    for i, rows in enumerate(near_each_frame(out, n)):
        assert set(rows) == set(uid[np.abs(theirs - i) < 1])
    decode(run, tmp_path / "bare", "--at", "4,700", "--traverse", how, "--frames", "5", "--series", "False")
    assert not (tmp_path / "bare/series.zip").exists() and not (tmp_path / "bare/frames_cs").exists()


def test_resolution_box_and_edges(run, tmp_path):
    (plain, psize), = decode(run, tmp_path / "plain", "--at", "0")
    D = len(plain)
    spectrum = np.fft.fftshift(np.fft.fftn(plain))
    (low, _), = decode(run, tmp_path / "low", "--at", "0", "--low_pass", D * psize / 6)
    ratio = np.fft.fftshift(np.fft.fftn(low))
    inside, outside = (shells(D) <= 5) & (shells(D) > 0), shells(D) >= 7
    assert np.abs(ratio[outside]).max() < 1e-4 * np.abs(spectrum).max()
    assert np.allclose(ratio[inside], spectrum[inside], atol=1e-4 * np.abs(spectrum).max())
    (small, wide), = decode(run, tmp_path / "small", "--at", "0", "--map_box", D // 2)
    assert small.shape == (D // 2,) * 3 and wide == pytest.approx(2 * psize, rel=1e-5)
    quarter = slice(D // 4, D - D // 4)
    expected = hartley(hartley(plain)[quarter, quarter, quarter]) / D ** 3
    assert np.allclose(small, expected, atol=1e-5 * np.abs(expected).max())
    (middle, same), = decode(run, tmp_path / "crop", "--at", "0", "--crop", 12)
    assert (middle == plain[D // 2 - 6:D // 2 + 6, D // 2 - 6:D // 2 + 6, D // 2 - 6:D // 2 + 6]).all() and same == pytest.approx(psize)
    (flipped, _), = decode(run, tmp_path / "flip", "--at", "0", "--flip_hand", "True")
    assert (flipped[1:] == plain[:0:-1]).all()


def test_what_makes_no_sense_is_refused(run, tmp_path):
    def refused(*words):
        r = cryodeco("decode", run, *words, check=False)
        assert r.returncode == 2 and not (tmp_path / "maps").exists(), r.stderr
        return r.stderr
    out = ("--output", tmp_path / "maps")
    assert "output is not given" in refused("--at", "0")
    assert "give either at" in refused(*out)
    assert "no particle 1000; they count from 0 to 999" in refused(*out, "--at", "1000")
    (tmp_path / "z.txt").write_text("1 2 3\n")
    assert "holds 3 numbers; latents of this run have 4 each" in refused(*out, "--z", tmp_path / "z.txt")
    (tmp_path / "z.txt").write_text("1 2 nan 4\n")
    assert "number 3 is 'nan'" in refused(*out, "--z", tmp_path / "z.txt")
    assert "there is only one" in refused(*out, "--at", "3", "--traverse", "direct")
    for words, said in ((("--map_box", "4096"), "at most that of the maps, 32"), (("--crop", "7"), "crop is 7; it must be even")):
        r = cryodeco("decode", run, *out, "--at", "0", *words, check=False)
        assert r.returncode != 0 and said in r.stderr and not (tmp_path / "maps").exists()
