#!/usr/bin/env python3
"""How far estimated rotations are from the true ones, whatever frame and hand the map came out in. Needs numpy only.

    poses.py SET OUTDIR        of the newest epoch in OUTDIR/out; prints one line
"""
import pathlib
import re
import sys

import numpy as np
from score import Truth

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


def rotation_errors_deg(true, found):
    """[N] angles in the better hand. A mirrored map has the poses F R Q with det Q = -1: F = diag(1, 1, -1) turns it back."""
    both = []
    for hand in (np.eye(3), MIRROR):
        seen = hand @ found @ hand  # proper again
        q = frame(true, seen)
        both.append(angles_deg(true, seen @ q))
    return min(both, key=np.median)


def newest_rotations(outdir):
    epoch = lambda p: int(re.search(r"rotation\.(\d+)\.npy", p.name).group(1))
    return np.load(max((pathlib.Path(outdir) / "out").glob("rotation.*.npy"), key=epoch)).astype(float)


def main():
    off = rotation_errors_deg(Truth(sys.argv[1]).of_row["R"].astype(float), newest_rotations(sys.argv[2]))
    print(f"rotations: median error {np.median(off):.2f} deg, {100 * (off < 10).mean():.1f} % within 10 deg")


if __name__ == "__main__":
    main()
