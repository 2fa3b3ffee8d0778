#!/usr/bin/env python3
"""How well a run matches the truth of the set it was given. Needs numpy only.

    score.py SET OUTDIR/out/analysis_N/clusteringK        prints one line a number

SET holds project/ and truth/ as `cryodeco simulate` makes them. Rows of the truth are joined to the input's on uid. Poses and maps found from
images alone are compared after turning them into the truth's frame and hand.
"""
import argparse
import itertools
import json
import pathlib
import sys

import numpy as np
from poses import better_hand, moved_onto, turned


# ---------------------------------------------------------------- reading
def read_map(path):
    """[z,y,x] float64 and the pixel size of an MRC file, mode 2 or 12."""
    raw = pathlib.Path(path).read_bytes()
    nx, ny, nz, mode = np.frombuffer(raw, "<i4", 4)
    mx = np.frombuffer(raw, "<i4", 1, 28)[0]
    xlen = np.frombuffer(raw, "<f4", 1, 40)[0]
    start = 1024 + np.frombuffer(raw, "<i4", 1, 92)[0]
    kind = {2: "<f4", 12: "<f2"}[int(mode)]
    return np.frombuffer(raw, kind, nx * ny * nz, start).reshape(nz, ny, nx).astype(float), float(xlen / mx)


class Truth:
    """The truth of each row of the input, in the input's order."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.info = json.loads((self.folder / "truth/truth.json").read_text())
        table = np.load(self.folder / "truth/particles.npy")
        self.rows = np.load(self.folder / self.info["particles_cs"])
        at = np.searchsorted(table["uid"], self.rows["uid"])
        self.of_row = table[at]
        assert (self.of_row["uid"] == self.rows["uid"]).all(), "the truth does not know some uids of the input"
        self.labels = self.of_row["label"].astype(int)
        self.box, self.pixel_A = self.info["box_px"], self.info["pixel_A"]
        self.maps = [read_map(self.folder / "truth" / m["file"])[0] for m in self.info["maps"]]


# ---------------------------------------------------------------- clusters
def adjusted_rand(a, b):
    """1: the same partition; 0: chance. Hubert and Arabie 1985."""
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    pairs = lambda x: (x * (x - 1) / 2).sum()
    both, rows, columns = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    expected = rows * columns / pairs(np.array([float(len(a))]))
    top = (rows + columns) / 2
    return (both - expected) / (top - expected) if top != expected else 1.0


def best_naming(true, found):
    """Class of each cluster, one to one, with the most particles right; and that share."""
    K = max(true.max(), found.max()) + 1
    table = np.zeros((K, K), int)
    np.add.at(table, (found, true), 1)
    name = max(itertools.permutations(range(K)), key=lambda p: sum(table[k, p[k]] for k in range(K)))
    return list(name), sum(table[k, name[k]] for k in range(K)) / len(true)


# ---------------------------------------------------------------- maps
def fourier(v):
    axes = tuple(range(-v.ndim, 0))
    return np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(v, axes=axes), axes=axes), axes=axes)


def shells(D):
    g = np.arange(D) - D // 2
    return np.round(np.sqrt(g[:, None, None] ** 2 + g[None, :, None] ** 2 + g[None, None, :] ** 2)).astype(int)


def fsc(a, b):
    """Fourier shell correlation in shells of whole radius 1 .. D/2 (index 0 is shell 1)."""
    D = a.shape[0]
    A, B, r = fourier(a), fourier(b), shells(D)
    total = lambda x: np.bincount(r.ravel(), x.ravel(), minlength=D)[1 : D // 2 + 1]
    return total((A * B.conj()).real) / np.sqrt(total(abs(A) ** 2) * total(abs(B) ** 2) + 1e-30)


def ctf(rows, D, pixel_A):
    """[N,D,D] CTF at the pixels of the centred transform. METHOD.md section 2."""
    g = (np.arange(D) - D // 2) / (D * pixel_A)
    sy, sx = np.meshgrid(g, g, indexing="ij")
    s2, theta = sx**2 + sy**2, np.arctan2(sy, sx)
    column = lambda name: rows["ctf/" + name].astype(float)[:, None, None]
    volts = 1e3 * column("accel_kv")
    wave = 12.2639 / np.sqrt(volts + 0.97845e-6 * volts**2)
    u, v = column("df1_A"), column("df2_A")
    defocus = 0.5 * (u + v + (u - v) * np.cos(2 * (theta - column("df_angle_rad"))))
    gamma = 2 * np.pi * (-0.5 * defocus * wave * s2 + 0.25e7 * column("cs_mm") * wave**3 * s2**2) - column("phase_shift_rad")
    w = column("amp_contrast")
    return np.sqrt(1 - w**2) * np.sin(gamma) - w * np.cos(gamma)


def images(truth):
    """[N,D,D] of the input's rows, by path and index."""
    stacks, out = {}, []
    for path, index in zip(truth.rows["blob/path"], truth.rows["blob/idx"]):
        path = path.decode().lstrip(">")
        if path not in stacks:
            stacks[path] = read_map(truth.folder / "project" / path)[0]
        out.append(stacks[path][index])
    return np.array(out)


def joined_ctf_rows(truth):
    """A record array with the ctf columns in the input's order, wherever they are kept."""
    if "ctf/df1_A" in truth.rows.dtype.names:
        return truth.rows
    job = (truth.folder / truth.info["particles_cs"]).parent
    for path in sorted(job.glob("*passthrough*.cs")):
        other = np.load(path)
        if "ctf/df1_A" in other.dtype.names and np.isin(truth.rows["uid"], other["uid"]).all():
            order = np.argsort(other["uid"])
            return other[order[np.searchsorted(other["uid"], truth.rows["uid"], sorter=order)]]
    sys.exit(f"{job}: no file with CTF columns")


def back_projection(truth, members, wiener=0.02):
    """CTF-weighted back-projection of the members with their true poses: the map that needs no learning.

    Σ CTF·image / (Σ CTF² + wiener·mean), trilinear in the transform, images shifted by their true shifts."""
    D, pixel = truth.box, truth.pixel_A
    rows, of_row = joined_ctf_rows(truth)[members], truth.of_row[members]
    sign = -truth.rows["blob/sign"][members].astype(float)[:, None, None]
    g = np.arange(D) - D // 2
    ky, kx = np.meshgrid(g, g, indexing="ij")
    F = fourier_images(images(truth)[members]) * sign
    shift = of_row["shift_px"].astype(float)
    F *= np.exp(-2j * np.pi * (kx * shift[:, 0, None, None] + ky * shift[:, 1, None, None]) / D)
    C = ctf(rows, D, pixel)
    top, weight = np.zeros(D**3, complex), np.zeros(D**3)
    inside = kx**2 + ky**2 <= (D // 2 - 1) ** 2
    points = np.stack([kx[inside], ky[inside], np.zeros(inside.sum())], 1).astype(float)
    for f, c, R in zip(F, C, of_row["R"].astype(float)):
        at = points @ R + D // 2
        low = np.floor(at).astype(int)
        part = at - low
        for corner in itertools.product((0, 1), repeat=3):
            i = low + corner
            w = np.prod(np.where(corner, part, 1 - part), 1)
            ok = ((i >= 0) & (i < D)).all(1)
            flat = (i[ok, 2] * D + i[ok, 1]) * D + i[ok, 0]
            np.add.at(top, flat, (w * c[inside] * f[inside])[ok])
            np.add.at(weight, flat, (w * c[inside] ** 2)[ok])
    V = top / (weight + wiener * weight[weight > 0].mean())
    return np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(V.reshape(D, D, D)))).real


def fourier_images(stack):
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(stack, axes=(1, 2))), axes=(1, 2))


# ---------------------------------------------------------------- main
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set")
    parser.add_argument("clustering")
    parser.add_argument("--found-poses", action="store_true", help="poses were found in the run: compare them too")
    parser.add_argument("--least-ari", type=float, default=-1, help="exit with 1 below this adjusted Rand index")
    a = parser.parse_args()
    truth, folder = Truth(a.set), pathlib.Path(a.clustering)
    labels = np.load(folder / "labels.npy")
    ari = adjusted_rand(truth.labels, labels)
    name, share = best_naming(truth.labels, labels)
    print(f"clusters against the truth: adjusted Rand index {ari:.3f}, {100 * share:.1f} % of the particles in the right one")
    carry = lambda found, true: found
    if a.found_poses:
        hand, q, off = better_hand(truth.of_row["R"].astype(float), np.load(folder.parent / "rotation.npy").astype(float))
        print(f"poses against the truth in its frame ({'its hand' if hand[2, 2] > 0 else 'mirrored: the hand is a toss of a coin'}): "
              f"median error {np.median(off):.1f}°, {100 * (off < 10).mean():.1f} % within 10°")
        carry = lambda found, true: moved_onto(turned(found, hand, q), true)
    for k, path in enumerate(sorted(folder.glob("vol_*.mrc"))):
        curve = fsc(carry(read_map(path)[0], truth.maps[name[k]]), truth.maps[name[k]])
        below = np.flatnonzero(curve < 0.5)
        radius = below[0] + 1 if len(below) else truth.box // 2
        print(f"{path.name} against the true map of class {name[k]}: FSC falls below 0.5 at {truth.box * truth.pixel_A / radius:.1f} Å")
    sys.exit(int(ari < a.least_ari))


if __name__ == "__main__":
    main()
