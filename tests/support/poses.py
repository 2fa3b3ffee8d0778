#!/usr/bin/env python3
"""How far estimated rotations are from the true ones, whatever frame and hand the map came out in. Needs numpy only.

    poses.py SET OUTDIR        of the newest epoch in OUTDIR/out; prints one line
"""
import itertools
import pathlib
import re
import sys

import numpy as np

MIRROR = np.diag([1.0, 1.0, -1.0])


def angles_deg(a, b):
    trace = np.einsum("nij,nij->n", a, b)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def frame(true, found, rounds=5):
    """The rotation Q of least median angle between true and found @ Q: the best single particle's, then a mean of the near ones."""
    each = np.einsum("nji,njk->nik", found, true)
    some = each[:: max(1, len(each) // 400)]
    best = min(some[:200], key=lambda q: np.median(angles_deg(some, np.broadcast_to(q, some.shape))))
    for _ in range(rounds):
        off = angles_deg(each, np.broadcast_to(best, each.shape))
        u, _, v = np.linalg.svd(each[off < max(10, np.median(off))].mean(0))
        best = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
    return best


def better_hand(true, found):
    """The hand h (I, or F = diag(1, 1, -1)) and rotation Q for which true ≈ h found h Q, and the [N] angles that are left. A mirrored map has
    poses F R F: h turns them back."""
    both = []
    for hand in (np.eye(3), MIRROR):
        seen = hand @ found @ hand  # proper again
        q = frame(true, seen)
        both.append((hand, q, angles_deg(true, seen @ q)))
    return min(both, key=lambda x: np.median(x[2]))


def rotation_errors_deg(true, found):
    """[N] angles in the better hand."""
    return better_hand(true, found)[2]


# ---------------------------------------------------------------- maps
def turned(volume, hand, q):
    """The map [z,y,x] in the truth's frame: v(r) = v'(r Qᵀ) of the map in the truth's hand, trilinear."""
    D = len(volume)
    if hand[2, 2] < 0:  # v(x, y, -z)
        volume = np.concatenate([volume[:1], volume[:0:-1]])
    at = np.arange(D) - D // 2
    z, y, x = np.meshgrid(at, at, at, indexing="ij")
    place = np.stack([x.ravel(), y.ravel(), z.ravel()], 1) @ q.T + D // 2
    low = np.floor(place).astype(int)
    part, out = place - low, np.zeros(D**3)
    for corner in itertools.product((0, 1), repeat=3):
        i = low + corner
        inside = ((i >= 0) & (i < D)).all(1)
        i = i[inside]
        out[inside] += np.prod(np.where(corner, part, 1 - part), 1)[inside] * volume[i[:, 2], i[:, 1], i[:, 0]]
    return out.reshape(D, D, D)


def moved_onto(volume, target):
    """The map displaced to where it correlates best with the target, to a fraction of a voxel."""
    D = len(volume)
    A, B = np.fft.fftn(volume), np.fft.fftn(target)
    c = np.fft.ifftn(A.conj() * B).real
    peak, d = np.unravel_index(c.argmax(), c.shape), []
    for axis in range(3):
        beside = [c[tuple((p + s * (a == axis)) % D for a, p in enumerate(peak))] for s in (-1, 0, 1)]
        d.append(peak[axis] + 0.5 * (beside[0] - beside[2]) / (beside[0] - 2 * beside[1] + beside[2]))
    k = np.fft.fftfreq(D)
    phase = sum(np.meshgrid(k * d[0], k * d[1], k * d[2], indexing="ij"))
    return np.fft.ifftn(A * np.exp(-2j * np.pi * phase)).real


def newest_rotations(outdir):
    epoch = lambda p: int(re.search(r"rotation\.(-?\d+)\.npy", p.name).group(1))
    return np.load(max((pathlib.Path(outdir) / "out").glob("rotation.*.npy"), key=epoch)).astype(float)


def main():
    from score import Truth

    off = rotation_errors_deg(Truth(sys.argv[1]).of_row["R"].astype(float), newest_rotations(sys.argv[2]))
    print(f"rotations: median error {np.median(off):.2f} deg, {100 * (off < 10).mean():.1f} % within 10 deg")


if __name__ == "__main__":
    main()
