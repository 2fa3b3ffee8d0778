#!/usr/bin/env python3
"""Preparing and loading images: ours beside what NumPy and SciPy do, on the same two cores.

    images.py build/release/bin/cryodeco DIRECTORY [--images 8000] [--box 128]

Makes a job of noise in DIRECTORY (kept for the next time), which should be on the disk that caches will be on. Wants numpy, scipy and
mrcfile.
"""
import argparse
import json
import multiprocessing
import pathlib
import subprocess
import time

import mrcfile
import numpy as np
import scipy.fft
import scipy.ndimage

PROCESSES = 2


def make_job(place, images, box):
    job = place / f"J{box}_{images}"
    if (job / "particles.cs").exists():
        return job
    job.mkdir(parents=True)
    draw = np.random.default_rng(1)
    with mrcfile.new_mmap(job / "stack.mrc", (images, box, box), mrc_mode=2) as m:
        for i in range(images):
            m.data[i] = draw.normal(size=(box, box))
    rows = np.zeros(
        images,
        [("uid", "<u8"), ("blob/path", f"S{len(job.name) + 10}"), ("blob/idx", "<u4"), ("blob/shape", "<u4", 2), ("blob/psize_A", "<f4"),
         ("blob/sign", "<f4"), ("ctf/accel_kv", "<f4"), ("ctf/cs_mm", "<f4"), ("ctf/amp_contrast", "<f4"), ("ctf/df1_A", "<f4"),
         ("ctf/df2_A", "<f4"), ("ctf/df_angle_rad", "<f4"), ("ctf/phase_shift_rad", "<f4")],
    )  # fmt: skip
    rows["uid"] = np.arange(images) + 1
    rows["blob/idx"] = np.arange(images)
    same = {"blob/path": f"{job.name}/stack.mrc".encode(), "blob/shape": box, "blob/psize_A": 1.5, "blob/sign": -1, "ctf/accel_kv": 300,
            "ctf/cs_mm": 2.7, "ctf/amp_contrast": 0.1, "ctf/df1_A": 15000, "ctf/df2_A": 14800}  # fmt: skip
    for name, value in same.items():
        rows[name] = value
    with open(job / "particles.cs", "wb") as f:
        np.save(f, rows)
    return job


def window(box):
    x = np.linspace(-1, 1, box, endpoint=False)
    r = np.hypot(x[:, None], x)
    return np.clip(1 - (r - 0.85) / 0.14, 0, 1).astype("f4")


def circle(box):
    k = np.arange(box + 1) - box // 2
    inside = k[:, None] ** 2 + k**2 <= (box // 2) ** 2
    inside[box // 2, box // 2] = False
    return inside


def peer(argument):
    """The same work an image, as one would write it in NumPy: METHOD.md 1.1 to 1.4 inside the circle as float16, and section 4's bytes."""
    path, first, count = argument
    with mrcfile.mmap(path) as m:
        stack = np.array(m.data[first : first + count])
    box = stack.shape[-1]
    w, inside = window(box), circle(box)
    y, x = np.ogrid[:224, :224]
    seen = (x - 111.5) ** 2 + (y - 111.5) ** 2 <= 94**2
    start = time.perf_counter()
    for image in stack:
        f = scipy.fft.fftshift(scipy.fft.fft2(scipy.fft.ifftshift(image * w)))
        h = np.pad((f.real - f.imag).astype("f4"), (0, 1), mode="wrap")
        values = (h / h.std())[inside].astype("f2")
        large = scipy.ndimage.zoom(image, 224 / box, order=3)
        pixels = ((large - large.min()) / (large.max() - large.min()) * 255).astype("u1")[seen]
    assert values.size and pixels.size == 27768
    return count / (time.perf_counter() - start)


def peer_rate(job, each=150):
    with multiprocessing.Pool(PROCESSES) as pool:
        return sum(pool.map(peer, [(job / "stack.mrc", i * each, each) for i in range(PROCESSES)], chunksize=1))


def ours(command, case, job, cache, *words):
    r = subprocess.run(
        [command, "bench", "--cases", case, "--particles", job, "--cache_dir", cache, "--threads", str(PROCESSES), "--json", *words],
        check=True, capture_output=True, text=True,
    )
    return json.loads(r.stdout)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("command", type=pathlib.Path)
    arguments.add_argument("directory", type=pathlib.Path)
    arguments.add_argument("--images", type=int, default=8000)
    arguments.add_argument("--box", type=int, default=128)
    a = arguments.parse_args()
    job = make_job(a.directory, a.images, a.box)
    cache = a.directory / "cache"
    for _ in range(2):  # side by side, twice, as other work on the machine comes and goes
        theirs, mine = peer_rate(job), ours(a.command, "prepare", job, cache)["value"]
        print(f"prepare, with the encoder's pixels: {mine:.0f} images/s, NumPy and SciPy {theirs:.0f}: {mine / theirs:.1f} times")
    for encoder in "True", "False":
        for case in "loader_stacks", "loader_warm", "loader_cold":
            r = ours(a.command, case, job, cache / encoder, "--use_conf_encoder", encoder)
            print(f"{case}, encoder {encoder}: {r['value']:.0f} images/s {r['shape']}")


if __name__ == "__main__":
    main()
