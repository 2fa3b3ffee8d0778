"""`cryodeco decode`: maps at particles, at given latents and between them; their box, resolution and hand."""
import mrcfile
import numpy as np
import pytest
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
