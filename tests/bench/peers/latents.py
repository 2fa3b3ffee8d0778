#!/usr/bin/env python3
"""Latents laid out and clustered, next to scikit-learn and umap-learn: how well, on five generated sets, the mean of some seeds.

    python3 latents.py --fit build/release/tests/bench_fit_latents [--seeds 5] [--rows 2000] [--sets clouds,rings] [--json FILE]

`ari`: of a Gaussian mixture's labels with the truth (full covariances, 20 restarts of at most 100 iterations; latents of more than 16
dimensions by their UMAP to 16, each program's own). `log_likelihood`: mean of a row of the latents, or of their first 16 principal components,
under the mixture fitted to them (in 128 dimensions some hundred rows a cluster fit anything, and the likelihood says nothing).
`trustworthiness`: of the UMAP in the plane, 15 neighbours (scikit-learn's definition). Ours may be 0.01 below the peer's, and the exit status says
whether it is.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np

ALLOWED = 0.01


def clouds(rng, n):
    """Eight round states in eight dimensions."""
    label = rng.integers(0, 8, n)
    return 2.2 * rng.normal(size=(8, 8))[label] + rng.normal(size=(n, 8)), label


def unequal(rng, n):
    """Five states from 4 to 45 % of the particles, each longer in some directions."""
    label = rng.choice(5, n, p=[0.45, 0.27, 0.16, 0.08, 0.04])
    shape = rng.normal(size=(5, 6, 6)) * rng.uniform(0.2, 1.0, size=(5, 1, 6))
    return 4 * rng.normal(size=(5, 6))[label] + np.einsum("nij,nj->ni", shape[label], rng.normal(size=(n, 6))), label


def rings(rng, n):
    """Three closed motions, linked, in five dimensions."""
    label, angle = rng.integers(0, 3, n), rng.uniform(0, 2 * np.pi, n)
    x = np.zeros((n, 5))
    for k, (a, b, at) in enumerate([(0, 1, 0), (1, 2, 1), (2, 3, -1)]):
        here = label == k
        x[here, a], x[here, b] = np.cos(angle[here]), np.sin(angle[here])
        x[here, 0] += at
    return x + 0.05 * rng.normal(size=x.shape), label


def wide(rng, n):
    """Six states in ten of 128 dimensions."""
    label = rng.integers(0, 6, n)
    x = 2 * rng.normal(size=(6, 10))[label] + rng.normal(size=(n, 10))
    return x @ np.linalg.qr(rng.normal(size=(128, 10)))[0].T + 0.3 * rng.normal(size=(n, 128)), label


def branches(rng, n):
    """A motion that forks: four arms from one point, in six dimensions."""
    label, along = rng.integers(0, 4, n), rng.uniform(0, 1, n)
    return 6 * along[:, None] * np.linalg.qr(rng.normal(size=(6, 6)))[0][label] + 0.25 * rng.normal(size=(n, 6)), label


SETS = {f.__name__: f for f in (clouds, unequal, rings, wide, branches)}


def measure(truth, labels, likelihood, x, layout):
    from sklearn.manifold import trustworthiness
    from sklearn.metrics import adjusted_rand_score
    return {"ari": adjusted_rand_score(truth, labels), "log_likelihood": likelihood, "trustworthiness": trustworthiness(x, layout, n_neighbors=15)}


def narrowed(x):
    """What mixtures are compared on."""
    if x.shape[1] <= 16:
        return x
    x = x - x.mean(0)
    return np.ascontiguousarray(x @ np.linalg.svd(x, full_matrices=False)[2][:16].T, np.float32)


def theirs(x, truth, K, seed):
    from sklearn.mixture import GaussianMixture
    from umap import UMAP

    def mixture(of):
        return GaussianMixture(K, n_init=20, max_iter=100, random_state=seed).fit(of)

    layout = UMAP(n_neighbors=15, min_dist=0.1, random_state=seed).fit_transform(x)
    fitted, flat = mixture(narrowed(x)), narrowed(x)
    if x.shape[1] > 16:
        narrow = UMAP(n_neighbors=15, min_dist=0.1, n_components=16, random_state=seed).fit_transform(x)
        labels = mixture(narrow).predict(narrow)
    else:
        labels = fitted.predict(flat)
    return measure(truth, labels, fitted.score(flat), x, layout)


def ours(fit, x, truth, K, seed):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        np.save(folder / "z.npy", x)
        np.save(folder / "x.npy", narrowed(x))
        said = subprocess.run([fit, folder / "z.npy", folder / "x.npy", folder, str(K), str(seed), "2"], check=True, capture_output=True, text=True).stdout
        return measure(truth, np.load(folder / "labels.npy"), json.loads(said)["log_likelihood"], x, np.load(folder / "umap.npy"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit", required=True, help="bench_fit_latents of a build")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--json", help="where to put every number")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    bad, all_of = 0, {}

    print("| set | what | ours | peer | difference |\n|---|---|---|---|---|")
    for name in args.sets.split(","):
        pairs = []
        for seed in range(1, args.seeds + 1):
            x, truth = SETS[name](np.random.default_rng(seed), args.rows)
            x, K = np.ascontiguousarray(x, np.float32), int(truth.max()) + 1
            pairs.append((ours(args.fit, x, truth, K, seed), theirs(x, truth, K, seed)))
        all_of[name] = pairs
        for what in pairs[0][0]:
            a, b = (np.mean([p[i][what] for p in pairs]) for i in (0, 1))
            bad += not a >= b - ALLOWED
            print(f"| {name} | {what} | {a:.4f} | {b:.4f} | {a - b:+.4f}{'' if a >= b - ALLOWED else ' **below**'} |", flush=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(all_of))
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
