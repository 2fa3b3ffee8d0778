#!/usr/bin/env python3
"""Reading datasets and joining them, next to cryosparc-tools and pandas.

    python3 datasets.py make DIR [--rows 300000] [--join-rows 1000000]     the files, as a downsampling job and its passthrough have them
    python3 datasets.py compare DIR --ours build/release/bin/cryodeco [--rounds 5] [--seconds 2]

Both programs run by turns on the same files, each reading in a process of its own; the best round of each counts, in seconds of wall time and of the
processor (all threads), which other work on the machine changes less. cryosparc-tools: Dataset.load, then every column taken (texts as Python strings) and a dict of uids built. pandas: two frames that are
in memory, merged on uid, texts as categories of integers (its fastest), the columns that both have left out. `memory` is the peak of a process.
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

import numpy as np

OWN = [("uid", "<u8"), ("blob/path", "S110"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)), ("blob/psize_A", "<f4"), ("blob/sign", "<f4"),
       ("blob/import_sig", "<u8")]
PASSED = [("uid", "<u8"), ("ctf/type", "S9"), ("ctf/exp_group_id", "<u4"), *((f"ctf/{n}", "<f4") for n in (
    "accel_kv", "cs_mm", "amp_contrast", "df1_A", "df2_A", "df_angle_rad", "phase_shift_rad", "scale", "scale_const", "bfactor")),
    *((f"ctf/{n}", "<f4", (k,)) for n, k in (("shift_A", 2), ("tilt_A", 2), ("trefoil_A", 2), ("tetra_A", 4), ("anisomag", 4))),
    ("alignments3D/pose", "<f4", (3,)), ("alignments3D/shift", "<f4", (2,)), ("alignments3D/psize_A", "<f4"), ("alignments3D/split", "<u4"),
    ("alignments3D/class", "<u4"), ("alignments3D/error", "<f4"), ("location/micrograph_uid", "<u8"), ("location/exp_group_id", "<u4"),
    ("location/micrograph_path", "S120"), ("location/micrograph_shape", "<u4", (2,)), ("location/center_x_frac", "<f4"),
    ("location/center_y_frac", "<f4"), ("pick_stats/ncc_score", "<f4"), ("pick_stats/power", "<f4"), ("pick_stats/template_idx", "<u4")]
A_STACK = 300  # particles


def texts(n, pattern):
    return np.array([pattern % i for i in range(n // A_STACK + 1)])


def write(path, fields, uid, order, seed):
    """Row by row in chunks, so that ten million rows need no memory to make. Numbers are random in their last digits, as real ones are."""
    rng, n = np.random.default_rng(seed), len(order)
    dtype = np.dtype(fields)
    names = {"blob/path": texts(n, b"J12/downsample/%021d_FoilHole_29737816_Data_6848400_patch_aligned_doseweighted_particles.mrc"),
             "location/micrograph_path": texts(n, b"J3/motioncorrected/%021d_FoilHole_29737816_Data_6848400_patch_aligned_doseweighted.mrc")}
    with open(path, "wb") as f:
        np.lib.format.write_array_header_1_0(f, {"descr": dtype.descr, "fortran_order": False, "shape": (n,)})
        for a in range(0, n, 500_000):
            at = order[a:a + 500_000]
            rows = np.zeros(len(at), dtype)
            for name in dtype.names:
                if name in names:
                    rows[name] = names[name][at // A_STACK]
                elif dtype[name].base.kind == "f":
                    rows[name] = rng.normal(15000, 1000, rows[name].shape) if name in ("ctf/df1_A", "ctf/df2_A") else rng.random(rows[name].shape)
            rows["uid"] = uid[at]
            if "blob/idx" in dtype.names:
                rows["blob/idx"], rows["blob/shape"], rows["blob/psize_A"], rows["blob/sign"] = at % A_STACK, 128, 1.5, -1
            else:
                rows["ctf/type"], rows["ctf/accel_kv"], rows["ctf/cs_mm"], rows["ctf/amp_contrast"] = b"imported", 300, 2.7, 0.1
                rows["alignments3D/psize_A"], rows["alignments3D/split"] = 1.5, at % 2
                rows["location/micrograph_uid"], rows["location/micrograph_shape"] = at // A_STACK, (4000, 6000)
            rows.tofile(f)


def make_job(folder, rows, seed=0):
    """A job with no images: `rows` particles, and a passthrough file in another order."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    uid = rng.integers(1, 2**63, rows, dtype="u8")
    write(folder / "downsampled_particles.cs", OWN, uid, np.arange(rows), seed + 1)
    write(folder / f"{folder.name}_passthrough_particles.cs", PASSED, uid, rng.permutation(rows), seed + 2)


def make(o):
    from cryosparc.dataset import CSDAT_FORMAT, Dataset

    make_job(o.folder / "P/J1", o.rows)
    make_job(o.folder / "P/J2", o.join_rows)
    own, passed = (np.load(p) for p in files(o.folder, "J1"))
    order = np.argsort(np.argsort(own["uid"]))
    passed = passed[np.argsort(passed["uid"])[order]]
    fields = own.dtype.descr + passed.dtype.descr[1:]
    rows = np.zeros(len(own), fields)
    for source in (own, passed):
        for name in source.dtype.names:
            rows[name] = source[name]
    with open(o.folder / "whole.npy.cs", "wb") as f:
        np.save(f, rows)
    Dataset.load(str(o.folder / "whole.npy.cs")).save(str(o.folder / "whole.csdat.cs"), format=CSDAT_FORMAT)


def files(folder, job):
    return folder / f"P/{job}/downsampled_particles.cs", folder / f"P/{job}/{job}_passthrough_particles.cs"


# ---- the peers, each in a process of its own ---------------------------------------------------------------------------


def peak_MB():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tools_read(path):
    from cryosparc.dataset import Dataset

    begin, cpu = time.perf_counter(), time.process_time()
    rows = Dataset.load(path)
    columns = [np.asarray(rows[name]) for name in rows.fields()]
    index = {uid: i for i, uid in enumerate(rows["uid"].tolist())}
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    begin = time.perf_counter()
    del rows
    Dataset.load(path)
    return dict(seconds=seconds, cpu=cpu, load_only=time.perf_counter() - begin, rows=len(index), columns=len(columns))


def pandas_join(own, passed):
    import pandas

    frames = []
    for path in (own, passed):
        rows, columns = np.load(path), {}
        for name in rows.dtype.names:
            column = rows[name]
            if column.dtype.kind == "S":
                columns[name] = pandas.factorize(column)[0]
            elif column.ndim == 1:
                columns[name] = np.ascontiguousarray(column)
            else:
                columns.update({f"{name}.{k}": np.ascontiguousarray(column[:, k]) for k in range(column.shape[1])})
        frames.append(pandas.DataFrame(columns))
    del rows
    begin, cpu = time.perf_counter(), time.process_time()
    merged = frames[0].merge(frames[1], on="uid", how="left", validate="one_to_one")
    return dict(seconds=time.perf_counter() - begin, cpu=time.process_time() - cpu, rows=len(merged), columns=merged.shape[1])


def compare(o):
    def child(words):
        r = subprocess.run(words, capture_output=True, text=True, check=True)
        return json.loads(r.stdout.splitlines()[-1])

    def peer(name, *paths):
        return child([sys.executable, __file__, "peer", name, *map(str, paths)])

    def ours(case, *paths):
        code = "import resource, subprocess, sys; r = subprocess.run(sys.argv[1:], capture_output=True, text=True, check=True); " \
               "print(r.stdout.strip()[:-1] + ', \"memory_MB\": %.0f}' % (resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024))"
        words = [o.ours, "bench", "--json", "--threads", "1", "--cases", case, "--seconds", str(o.seconds)]
        r = child([sys.executable, "-c", code, *words, *(w for p in paths for w in ("--particles", str(p)))])
        rows = r["shape"]["rows"]
        return dict(seconds=rows / r["value"], cpu=r["shape"]["cpu_s"], rows=rows, memory_MB=r["memory_MB"])

    cases = [("read, NPY", "dataset_read", "tools_read", [o.folder / "whole.npy.cs"]),
             ("read, CSDAT", "dataset_read", "tools_read", [o.folder / "whole.csdat.cs"]),
             ("join", "table_join", "pandas_join", files(o.folder, "J2"))]
    for title, case, name, paths in cases:
        mine, theirs = [], []
        for _ in range(o.rounds):
            mine.append(ours(case, *paths))
            theirs.append(peer(name, *paths))
        a, b = min(mine, key=lambda r: r["seconds"]), min(theirs, key=lambda r: r["seconds"])
        cpu = [1e3 * min(r["cpu"] for r in of) for of in (mine, theirs)]
        load = f" (Dataset.load alone {1e3 * min(r['load_only'] for r in theirs):.0f} ms)" if "load_only" in b else ""
        print(f"| {title} | {a['rows']:,} | {1e3 * a['seconds']:.0f} ms | {1e3 * b['seconds']:.0f} ms{load} | {b['seconds'] / a['seconds']:.1f} | "
              f"{cpu[0]:.0f}, {cpu[1]:.0f} ms | {cpu[1] / cpu[0]:.1f} | "
              f"{a['memory_MB']:.0f} MB | {b['memory_MB']:.0f} MB |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["make", "compare", "peer"])
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("paths", nargs="*")
    p.add_argument("--rows", type=int, default=300_000)
    p.add_argument("--join-rows", type=int, default=1_000_000)
    p.add_argument("--ours", default=os.environ.get("CRYODECO", "cryodeco"))
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=2)
    o = p.parse_args()
    if o.what == "peer":
        answer = {"tools_read": tools_read, "pandas_join": pandas_join}[str(o.folder)](*o.paths)
        print(json.dumps(dict(answer, memory_MB=peak_MB())))
    else:
        {"make": make, "compare": compare}[o.what](o)


if __name__ == "__main__":
    main()
