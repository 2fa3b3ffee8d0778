#!/usr/bin/env python3
"""How fast umap-learn and scikit-learn do what `cryodeco bench --cases umap,gmm,pca` does: a peers' script for compare.py.

Same shapes, the same kind of clouds, the same passes (of the mixture one start and 20 steps on all rows); everything is compiled and warm before the clock starts. umap-learn without a
seed, so that it uses its threads.
"""
import argparse
import json
import os
import time

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--cases", default="umap,gmm,pca")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seconds", type=float, default=3)
args = parser.parse_args()
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = str(args.threads)

import warnings  # noqa: E402

import numpy as np  # noqa: E402

warnings.filterwarnings("ignore")
ROWS = 100_000


def clouds(n, dims):
    rng = np.random.default_rng(1)
    return (2.5 * rng.normal(size=(8, dims))[rng.integers(0, 8, n)] + rng.normal(size=(n, dims))).astype(np.float32)


def umap(x):
    from umap import UMAP
    UMAP(n_neighbors=15, min_dist=0.1, n_epochs=200, n_jobs=args.threads).fit_transform(x)


def gmm(x):
    from sklearn.mixture import GaussianMixture
    GaussianMixture(8, max_iter=20, tol=0, init_params="k-means++", random_state=1).fit(x)


def pca(x):
    from sklearn.decomposition import PCA
    PCA().fit_transform(x)


for name in args.cases.split(","):
    run, dims = {"umap": (umap, 16), "gmm": (gmm, 16), "pca": (pca, 64)}[name]
    x, best, begun = clouds(ROWS, dims), 0.0, None
    run(x[:5000])  # warm: numba compiles, threads start
    begun = time.perf_counter()
    while not best or time.perf_counter() - begun < args.seconds:
        start = time.perf_counter()
        run(x)
        best = max(best, ROWS / (time.perf_counter() - start))
    print(json.dumps({"case": name, "value": best, "unit": "rows/s", "threads": args.threads, "shape": {"rows": ROWS, "dims": dims}}), flush=True)
