#!/usr/bin/env python3
"""Makes demo.png from what `./bootstrap demo` leaves. Needs numpy and matplotlib.

    docs/images/demo.py build/demo docs/images/demo.png
"""
import pathlib
import re
import sys

import matplotlib
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/support"))
from poses import better_hand, moved_onto, turned  # noqa: E402
from score import Truth, adjusted_rand, best_naming, images, read_map  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

COLOURS, GREY = [(0.0, 0.447, 0.698), (0.835, 0.369, 0.0)], (0.6, 0.6, 0.6)
FINER = 5  # pixels of a surface a voxel


def finer(volume):
    """The same map on a finer grid, without its last shells: zeros around its transform."""
    D = len(volume)
    F = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(volume)))
    F *= np.exp(-0.5 * (np.sqrt(sum(np.square(g - D // 2) for g in np.indices(F.shape))) / (0.25 * D)) ** 2)
    return np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(np.pad(F, (FINER - 1) * D // 2)))).real * FINER**3


def surface(volume, colour, level):
    """[D,D,4] the map's surface seen along z, lit from the upper left: the first voxel of each ray that is above the level."""
    v = finer(volume)
    v = v[:, ::-1]  # depth, up, across
    inside = v > level
    hit, depth = inside.any(0), inside.argmax(0)
    rows, columns = np.indices(depth.shape)
    n = -np.stack([g[depth, rows, columns] for g in np.gradient(v)])
    n /= np.linalg.norm(n, axis=0) + 1e-9
    light = np.array([-0.75, -0.5, -0.45])
    shade = 0.35 + 0.65 * np.clip(np.tensordot(light / np.linalg.norm(light), n, 1), 0, 1)
    middle = slice(len(hit) // 7, -(len(hit) // 7))
    return np.dstack([np.clip(c * shade, 0, 1) for c in colour] + [hit.astype(float)])[middle, middle]


def bare(ax, title=None, below=None):
    ax.set_xticks([]), ax.set_yticks([])
    for side in ax.spines.values():
        side.set_visible(False)
    if title:
        ax.set_title(title, fontsize=10)
    if below:
        ax.set_xlabel(below, fontsize=9)


def main():
    place, target = pathlib.Path(sys.argv[1]), sys.argv[2]
    truth, out = Truth(place / "set"), place / "run/out"
    analysis = max(out.glob("analysis_*"), key=lambda p: int(re.search(r"\d+", p.name).group()))
    labels, scores = np.load(analysis / "clustering2/labels.npy"), np.load(analysis / "z_pca.npy")
    name, _ = best_naming(truth.labels, labels)
    hand, q, _ = better_hand(truth.of_row["R"].astype(float), np.load(analysis / "rotation.npy").astype(float))

    figure = plt.figure(figsize=(12.1, 6.3))
    grid = figure.add_gridspec(3, 12, height_ratios=[1, 1, 0.72], left=0.01, right=0.945, top=0.94, bottom=0.06, wspace=0.15, hspace=0.22)
    pixels = images(truth)
    for i, row in enumerate((0, 1, 2, 5)):
        ax = figure.add_subplot(grid[i // 2, 2 * (i % 2) : 2 * (i % 2) + 2])
        ax.imshow(pixels[row], cmap="gray")
        bare(ax, "four of 1,200 particles" if i == 0 else None)
    level = 0.3 * max(np.quantile(v, 0.999) for v in truth.maps)
    for k in range(2):
        true = truth.maps[name[k]]
        found = moved_onto(turned(read_map(analysis / f"clustering2/vol_{k:03d}.mrc")[0], hand, q), true)
        found *= (true * true).sum() / (found * true).sum()  # on the truth's scale, for one level
        for row, volume, colour, title in ((0, found, COLOURS[k], f"map of cluster {k}"), (1, true, GREY, "truth")):
            ax = figure.add_subplot(grid[row, 4 + 2 * k : 6 + 2 * k])
            ax.imshow(surface(volume, colour, level))
            bare(ax, title)
    ax = figure.add_subplot(grid[0:2, 8:12])
    for k in range(2):
        of = labels == k
        ax.plot(*scores[of, :2].T, ".", ms=5, color=COLOURS[k], label=f"cluster {k}: {of.sum()}")
    ax.set_title(f"latents; adjusted Rand index {adjusted_rand(truth.labels, labels):.2f}", fontsize=10)
    ax.legend(loc="upper right", fontsize=9)
    ax.yaxis.tick_right(), ax.yaxis.set_label_position("right")
    ax.set_xlabel("PC1"), ax.set_ylabel("PC2")
    steps = sorted((int(p.name.split(".")[1]), p) for p in out.glob("reconstruct.*.mrc"))
    for i, (epoch, path) in enumerate(steps[:6]):
        ax = figure.add_subplot(grid[2, 2 * i : 2 * i + 2])
        volume = turned(read_map(path)[0], hand, q)
        ax.imshow(volume.sum(0)[::-1], cmap="gray", vmin=np.quantile(volume.sum(0), 0.05))
        bare(ax, below="after pretraining" if epoch < 0 else f"after epoch {epoch}")
        if i == 0:
            ax.set_title("how the map came about (projections)", fontsize=10, loc="left")
    figure.savefig(target, dpi=100)


if __name__ == "__main__":
    main()
