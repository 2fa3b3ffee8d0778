#!/usr/bin/env python3
"""A copy of a job whose poses are off: every rotation turned by so many degrees about an axis of its own, every shift moved by so many pixels of
the box. Needs numpy only.

    spoil_poses.py JOB NEW_JOB [--deg 8] [--px 2] [--seed 1]

Image paths still count from the job's project: run with --datadir PROJECT, or put NEW_JOB beside JOB.
"""
import argparse
import pathlib
import shutil

import numpy as np


def exp(v):
    """[n,3] axis-angle vectors to [n,3,3] matrices: Rodrigues' formula."""
    a = np.linalg.norm(v, axis=1)[:, None, None]
    K = np.zeros((len(v), 3, 3))
    K[:, 0, 1], K[:, 0, 2], K[:, 1, 2] = -v[:, 2], v[:, 1], -v[:, 0]
    K -= K.transpose(0, 2, 1)
    a = np.maximum(a, 1e-12)
    return np.eye(3) + np.sin(a) / a * K + (1 - np.cos(a)) / a**2 * K @ K


def log(R):
    """The way back, for angles below 180 degrees."""
    angle = np.arccos(np.clip((np.trace(R, axis1=1, axis2=2) - 1) / 2, -1, 1))
    axis = np.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]], 1)
    return axis * (angle / np.maximum(np.linalg.norm(axis, axis=1), 1e-12))[:, None]


def directions(random, n, dims):
    v = random.normal(size=(n, dims))
    return v / np.linalg.norm(v, axis=1)[:, None]


def spoil(job, new, deg=8.0, px=2.0, seed=1):
    """Every table of `job` that holds alignments3D is changed."""
    random = np.random.default_rng(seed)
    shutil.copytree(job, new)
    tables = {path: np.load(path) for path in sorted(pathlib.Path(new).glob("*.cs"))}
    psize_A = next(t["blob/psize_A"][0] for t in tables.values() if "blob/psize_A" in t.dtype.names)
    for path, rows in tables.items():
        if "alignments3D/pose" not in rows.dtype.names:
            continue
        turn = exp(np.radians(deg) * directions(random, len(rows), 3))
        rows["alignments3D/pose"] = log(exp(rows["alignments3D/pose"].astype(float)) @ turn)
        rows["alignments3D/shift"] += px * directions(random, len(rows), 2) * (psize_A / rows["alignments3D/psize_A"])[:, None]
        with open(path, "wb") as f:
            np.save(f, rows)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("job")
    p.add_argument("new_job")
    p.add_argument("--deg", type=float, default=8)
    p.add_argument("--px", type=float, default=2)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    spoil(a.job, a.new_job, a.deg, a.px, a.seed)


if __name__ == "__main__":
    main()
