"""`cryodeco subset`: which particles, in which job's rows, and what of it survives a kill or a full disk."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import starfile
import yaml
from conftest import BRIEF, TINY, command, cryodeco, newest_analysis
from cryosparc.dataset import CSDAT_FORMAT, Dataset

J12 = TINY / "project/J12"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with the least training there is; clusters of it are no better than chance, and here they only have to be the same ones."""
    outdir = tmp_path_factory.mktemp("subset") / "run"
    cryodeco("run", "--particles", J12, "--outdir", outdir, *BRIEF, "--seed", "1")
    return outdir


@pytest.fixture(scope="module")
def labels(run):
    return np.load(newest_analysis(run) / "clustering2/labels.npy")


def uids_of(path):
    return np.load(path)["uid"]


def subset(*words, **keywords):
    return cryodeco("subset", *words, **keywords)


def refused(*words):
    """The command's message; nothing may be left."""
    r = subset(*words, check=False)
    assert r.returncode == 2, r.stderr
    return r.stderr


# ---- which particles ---------------------------------------------------------------------------------------------------


def test_labels_give_the_clusters_files_again(run, labels, tmp_path):
    subset(run, "--labels", "1", "--output", tmp_path / "one")
    cluster = newest_analysis(run) / "clustering2/clustering_cs_star"
    assert (tmp_path / "one.cs").read_bytes() == (cluster / "cluster_1.cs").read_bytes()
    assert (tmp_path / "one.star").read_bytes() == (cluster / "cluster_1.star").read_bytes()
    group = yaml.safe_load((tmp_path / "one.csg").read_text())
    assert group["group"]["name"] == "one" and group["results"]["blob"] == {
        "metafile": ">one.cs", "num_items": int((labels == 1).sum()), "type": "particle.blob"}
    subset(run, "--labels", "0,1", "--output", tmp_path / "both", "--forms", "cs")
    assert (uids_of(tmp_path / "both.cs") == np.load(run / "out/uid.npy")).all()
    assert not (tmp_path / "both.csg").exists() and not (tmp_path / "both.star").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_every_way_to_name_particles_names_the_same(run, tmp_path):
    uids = np.load(run / "out/uid.npy")
    rows = np.sort(np.random.default_rng(1).choice(1000, 77, replace=False))
    mask = np.zeros(1000, bool)
    mask[rows] = True
    np.save(tmp_path / "uids.npy", uids[rows[::-1]])
    (tmp_path / "uids.txt").write_text("# picked by hand\n" + "".join(f"{u}\n" for u in uids[rows]) + f"{uids[rows[0]]}  # again\n")
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "mask.npy", mask)
    np.save(tmp_path / "labels.npy", np.where(mask, 3, -1).astype(np.int16))
    whole = Dataset.load(str(J12 / "downsampled_particles.cs"))
    whole.take(rows).save(str(tmp_path / "some.cs"), format=CSDAT_FORMAT)
    ways = {"uids.npy": "uids", "uids.txt": "uids", "some.cs": "uids", "rows.npy": "rows", "mask.npy": "rows"}
    for source in ([run], ["--particles", J12]):
        for file, option in ways.items():
            subset(*source, f"--{option}", tmp_path / file, "--output", tmp_path / "out", "--forms", "cs")
            assert (uids_of(tmp_path / "out.cs") == uids[rows]).all(), file
        subset(*source, "--labels", "3", "--labels_from", tmp_path / "labels.npy", "--output", tmp_path / "out", "--forms", "cs")
        assert (uids_of(tmp_path / "out.cs") == uids[rows]).all()
    # together they must all hold
    np.save(tmp_path / "even.npy", np.arange(0, 1000, 2))
    subset(run, "--rows", tmp_path / "even.npy", "--uids", tmp_path / "uids.npy", "--output", tmp_path / "out", "--forms", "cs")
    assert (uids_of(tmp_path / "out.cs") == uids[rows[rows % 2 == 0]]).all()


def test_a_list_that_names_strangers_is_refused_with_counts(run, tmp_path):
    uids = np.load(run / "out/uid.npy")
    (tmp_path / "some.txt").write_text(f"{uids[5]}\n12345\n678\n")
    (tmp_path / "none.txt").write_text("12345\n")
    message = refused(run, "--uids", tmp_path / "some.txt", "--output", tmp_path / "x")
    assert "1 of its 3 uids" in message and "678" in message and "--partial True" in message
    assert "none of its 1 uids" in refused(run, "--uids", tmp_path / "none.txt", "--output", tmp_path / "x", "--partial", "True")
    assert not list(tmp_path.glob("x*"))
    r = subset(run, "--uids", tmp_path / "some.txt", "--output", tmp_path / "x", "--partial", "True")
    assert "warning" in r.stderr and uids_of(tmp_path / "x.cs").tolist() == [uids[5]]
    for text, word in [("12\nx7\n", "line 2"), ("1 2\n", "line 1"), ("-3\n", "line 1"), ("99999999999999999999\n", "line 1"), ("", "no uids")]:
        (tmp_path / "bad.txt").write_text(text)
        assert word in refused(run, "--uids", tmp_path / "bad.txt", "--output", tmp_path / "y")


def selection(outdir, **other):
    analysis = newest_analysis(outdir)
    return {**json.loads((analysis / "run.json").read_text()), **other}


def test_selections_of_the_report(run, labels, tmp_path):
    uids, z = np.load(run / "out/uid.npy"), np.load(newest_analysis(run) / "z_pca.npy")
    file = tmp_path / "s.json"

    def chosen(**other):
        file.write_text(json.dumps(selection(run, **other)))
        subset(run, "--selection", file, "--output", tmp_path / "s", "--forms", "cs")
        return uids_of(tmp_path / "s.cs")

    assert (chosen(uids=[str(u) for u in uids[10:20]]) == uids[10:20]).all()
    assert (chosen(rows=[[0, 3], [2, 4], [990, 10]]) == uids[np.r_[0:6, 990:1000]]).all()
    low, mid = float(np.percentile(z[:, 0], 20)), float(np.median(z[:, 1]))
    # a square with a notch, over all rows, whatever was drawn
    corners = [[low, -99], [99, -99], [99, 99], [low, 99], [low, mid + .2], [0, mid], [low, mid - .2]]
    x, y = z[:, 0].astype(float), z[:, 1].astype(float)
    inside = np.zeros(1000, bool)
    for (ax, ay), (bx, by) in zip(corners, corners[-1:] + corners[:-1]):
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    assert 0 < inside.sum() < 1000
    assert (chosen(axes=["pc_1", "pc_2"], polygon=corners, uids=["1"]) == uids[inside]).all()
    # any array of the analysis can be an axis
    np.save(newest_analysis(run) / "z_mine.npy", np.c_[labels, labels].astype("f4"))
    assert (chosen(axes=["mine_2", "mine_1"], polygon=[[.5, .5], [2, .5], [2, 2], [.5, 2]]) == uids[labels == 1]).all()

    for other, word in [(dict(run="0" * 16, rows=[[0, 1]]), "another run"), (dict(n=999, rows=[[0, 1]]), "999"),
                        (dict(rows=[[999, 2]]), "\"rows\""), (dict(uids=[17]), "decimal text"), ({}, "selects nothing"),
                        (dict(axes=["tsne_1", "tsne_2"], polygon=corners), "tsne.npy"), (dict(axes=["a/b_1", "c_1"], polygon=corners), "axis"),
                        (dict(analysis="analysis_77", rows=[[0, 1]]), "analysis_77"), (dict(version=2, rows=[]), "version 2"),
                        (dict(rows=[]), "no particle"), (dict(axes=["pc_1", "pc_9"], polygon=corners), "pc_9")]:
        file.write_text(json.dumps(selection(run, **other)))
        assert word in refused(run, "--selection", file, "--output", tmp_path / "t"), other
    file.write_text(json.dumps(selection(run, rows=[[0, 1]]))[:-3])
    assert "not JSON" in refused(run, "--selection", file, "--output", tmp_path / "t")
    assert not list(tmp_path.glob("t.*"))


def test_another_run_of_the_same_input_is_another_run(run, tmp_path):
    cryodeco("run", "--particles", J12, "--outdir", tmp_path / "other", *BRIEF, "--seed", "2")
    (tmp_path / "s.json").write_text(json.dumps(selection(run, rows=[[0, 5]])))
    assert "another run" in refused(tmp_path / "other", "--selection", tmp_path / "s.json", "--output", tmp_path / "x")


def test_an_input_that_changed_since_the_run_is_refused(tiny_copy, tmp_path):
    cryodeco("run", "--particles", tiny_copy / "J12", "--outdir", tmp_path / "run", *BRIEF, "--seed", "1")
    cs = tiny_copy / "J12/downsampled_particles.cs"
    rows = np.load(cs)
    rows[[3, 4]] = rows[[4, 3]]
    with open(cs, "wb") as f:
        np.save(f, rows)
    assert "row 3" in refused(tmp_path / "run", "--labels", "0", "--output", tmp_path / "x")


# ---- several inputs --------------------------------------------------------------------------------------------------


def two_projects(folder):
    """The tiny set in two halves, each the job of a project of its own. Returns the jobs."""
    whole = np.load(J12 / "downsampled_particles.cs")
    jobs = []
    for k in range(2):
        job = folder / f"P{k}/J12"
        shutil.copytree(J12, job)
        with open(job / "downsampled_particles.cs", "wb") as f:
            np.save(f, whole[k::2])
        jobs.append(job)
    return jobs


def test_subsets_of_a_run_of_several_inputs(tmp_path):
    jobs = two_projects(tmp_path)
    inputs = [w for job in jobs for w in ("--particles", job)]
    cryodeco("run", *inputs, "--outdir", tmp_path / "run", *BRIEF, "--back_projection", "False", "--seed", "1")
    uids = np.load(tmp_path / "run/out/uid.npy")
    labels = np.load(newest_analysis(tmp_path / "run") / "clustering2/labels.npy")
    subset(tmp_path / "run", "--labels", "1", "--output", tmp_path / "s/one")
    rows = np.load(tmp_path / "s/one.cs")
    assert (rows["uid"] == uids[labels == 1]).all()
    cluster = newest_analysis(tmp_path / "run") / "clustering2/clustering_cs_star"
    assert (tmp_path / "s/one.cs").read_bytes() == (cluster / "cluster_1.cs").read_bytes()
    # paths of the first input count from its project, as ever; those of the other say where they are
    first = np.isin(rows["uid"], np.load(jobs[0] / "downsampled_particles.cs")["uid"])
    assert 0 < first.sum() < len(rows)
    for path, own in zip(rows["blob/path"], first):
        assert path.decode().startswith("J12/downsample/" if own else f"{tmp_path}/P1/J12/downsample/")
    # so the subset is an input itself, beside the first project or read from it
    said = json.loads(cryodeco("info", tmp_path / "s/one.cs", "--datadir", tmp_path / "P0", "--json", "True").stdout)
    assert said["problems"] == [] and said["particles"] == len(rows)
    names = starfile.read(tmp_path / "s/one.star")["particles"]["rlnImageName"]
    assert [n.split("@")[1] for n in names] == [p.decode() for p in rows["blob/path"]]
    # and the same project named twice has one: nothing changes
    shutil.move(jobs[1], tmp_path / "P0/J13")
    r = subset("--particles", jobs[0], "--particles", tmp_path / "P0/J13", "--output", tmp_path / "all", "--forms", "cs")
    assert set(np.load(tmp_path / "all.cs")["blob/path"]) == set(np.load(J12 / "downsampled_particles.cs")["blob/path"]), r.stderr


def test_copies_in_a_star_file_are_particles_of_their_own(tmp_path):
    """Symmetry expansion: every image three times, at another pose each."""
    subset("--particles", J12, "--output", tmp_path / "P/one")
    tables = starfile.read(tmp_path / "P/one.star")
    pandas = pytest.importorskip("pandas")
    copies = [tables["particles"].assign(rlnAngleRot=tables["particles"]["rlnAngleRot"] + 120 * k) for k in range(3)]
    tables["particles"] = pandas.concat(copies)
    starfile.write(tables, tmp_path / "P/three.star")
    words = ["--particles", tmp_path / "P/three.star", "--datadir", TINY / "project"]
    said = json.loads(cryodeco("info", *words, "--json", "True").stdout)
    assert said["particles"] == 3000 and said["problems"] == []
    assert said["cache_bytes"]["without_encoder"] < 1000 * 4096 + 1e6  # an image is kept once
    subset(*words, "--output", tmp_path / "all")
    uids = np.load(tmp_path / "all.cs")["uid"]
    assert len(set(uids.tolist())) == 3000
    np.save(tmp_path / "rows.npy", np.arange(1500, 2500))
    subset(*words, "--rows", tmp_path / "rows.npy", "--output", tmp_path / "some")
    assert (np.load(tmp_path / "some.cs")["uid"] == uids[1500:2500]).all()
    rot = starfile.read(tmp_path / "some.star")["particles"]["rlnAngleRot"]
    there = tables["particles"]["rlnAngleRot"].to_numpy()[1500:2500]
    assert np.abs((rot - there + 180) % 360 - 180).max() < 1e-2


# ---- back from RELION --------------------------------------------------------------------------------------------------


def test_images_named_by_a_star_file_find_their_uids(run, tmp_path):
    whole = np.load(J12 / "downsampled_particles.cs")
    rows = np.random.default_rng(2).choice(1000, 40, replace=False)

    def star(change):
        names = [f"{whole['blob/idx'][i] + 1:06d}@{change(whole['blob/path'][i].decode())}" for i in rows]
        (tmp_path / "r.star").write_text("data_particles\n\nloop_\n_rlnCoordinateX #1\n_rlnImageName #2\n" + "".join(f"1.0 {n}\n" for n in names))
        r = subset("--particles", J12, "--star", tmp_path / "r.star", "--output", tmp_path / "r", "--forms", "cs")
        assert (uids_of(tmp_path / "r.cs") == whole["uid"][np.sort(rows)]).all()
        return r.stderr

    assert "whole paths" in star(lambda p: p)
    assert "ending" in star(lambda p: p.replace(".mrc", ".mrcs"))
    assert "last two parts" in star(lambda p: "Extract/job007/" + p.split("/", 1)[1])
    assert "last part" in star(lambda p: "elsewhere/" + p.rsplit("/", 1)[1] + "s")
    (tmp_path / "r.star").write_text("data_\nloop_\n_rlnImageName\n1@nowhere.mrcs\n")
    assert "none of its 1 images" in refused("--particles", J12, "--star", tmp_path / "r.star", "--output", tmp_path / "q")
    (tmp_path / "r.star").write_text("data_\nloop_\n_rlnImageName\n0@nowhere.mrcs\n")
    assert "index@path" in refused("--particles", J12, "--star", tmp_path / "r.star", "--output", tmp_path / "q")


def test_starfile_reads_what_is_written_and_the_way_back_is_closed(run, labels, tmp_path):
    subset(run, "--labels", "0", "--output", tmp_path / "zero")
    tables = starfile.read(tmp_path / "zero.star")
    rows = np.load(tmp_path / "zero.cs")
    assert len(tables["particles"]) == (labels == 0).sum() and set(tables["particles"]["rlnClassNumber"]) == {1}
    assert np.allclose(tables["particles"]["rlnDefocusU"], rows["ctf/df1_A"], rtol=1e-6)
    # RELION sorts its rows anew and drops some
    tables["particles"] = tables["particles"].sample(frac=0.5, random_state=3)
    starfile.write(tables, tmp_path / "half.star")
    subset("--particles", J12, "--star", tmp_path / "half.star", "--output", tmp_path / "half", "--forms", "cs")
    half = uids_of(tmp_path / "half.cs")
    assert len(half) == len(tables["particles"]) and set(half) < set(rows["uid"])


# ---- the job at full size ----------------------------------------------------------------------------------------------


def joined():
    own, passed = np.load(J12 / "downsampled_particles.cs"), np.load(J12 / "J12_passthrough_particles.cs")
    at = {u: i for i, u in enumerate(passed["uid"])}
    passed = passed[[at[u] for u in own["uid"]]]
    columns = {n: own[n] for n in own.dtype.names}
    columns.update({n: passed[n] for n in passed.dtype.names if n not in columns})
    return columns


def write_job(folder, columns, order):
    rows = np.zeros(len(order), [(n, c.dtype, c.shape[1:]) for n, c in columns.items()])
    for n, c in columns.items():
        rows[n] = c[order]
    folder.mkdir(parents=True)
    with open(folder / "extracted_particles.cs", "wb") as f:
        np.save(f, rows)
    return rows


def full_size(seed=5):
    """The tiny set as if J12 had been downsampled from it by 2 and, for every third particle, recentred."""
    columns = joined()
    rng = np.random.default_rng(seed)
    columns["blob/shape"] = columns["blob/shape"] * 2
    columns["blob/psize_A"] = columns["blob/psize_A"] / 2
    columns["blob/path"] = np.char.replace(columns["blob/path"], b"J12/downsample", b"J5/extract").astype("S200")
    columns["alignments3D/shift"] = rng.normal(size=(1000, 2)).astype("f4")
    columns["location/center_x_frac"] = columns["location/center_x_frac"] + np.where(np.arange(1000) % 3 == 0, 3e-4, 0).astype("f4")
    return columns, rng.permutation(1000)


def test_original_rows_are_the_jobs_own(run, labels, tmp_path):
    columns, order = full_size()
    whole = write_job(tmp_path / "P/J5", columns, order)
    r = subset(run, "--labels", "1", "--original", tmp_path / "P/J5", "--output", tmp_path / "full", "--json", "True")
    member = np.isin(whole["uid"], np.load(run / "out/uid.npy")[labels == 1])
    rows = np.load(tmp_path / "full.cs")
    assert rows.dtype.names == whole.dtype.names and rows.tobytes() == whole[member].astype(rows.dtype).tobytes()
    answer = json.loads(r.stdout)
    moved = np.isin(whole["uid"], joined()["uid"][::3]) & member
    assert answer["joined_on"] == "uid" and answer["particles"] == member.sum() and answer["recentred"] == moved.sum()
    assert "recentred" in r.stderr
    tables = starfile.read(tmp_path / "full.star")
    assert set(tables["particles"]["rlnClassNumber"]) == {2} and tables["optics"]["rlnImageSize"].tolist()[0] == 64
    assert np.allclose(tables["particles"]["rlnOriginXAngst"], (whole["alignments3D/shift"][:, 0] * whole["alignments3D/psize_A"])[member], atol=1e-4)


def test_original_keeps_the_half_sets(run, tmp_path):
    columns, order = full_size()
    split = columns.pop("alignments3D/split")
    write_job(tmp_path / "P/J5", columns, order)
    subset(run, "--labels", "0", "--original", tmp_path / "P/J5", "--output", tmp_path / "full")
    rows = np.load(tmp_path / "full.cs")
    of_uid = dict(zip(columns["uid"], split))
    assert rows["alignments3D/split"].tolist() == [of_uid[u] for u in rows["uid"]]
    assert starfile.read(tmp_path / "full.star")["particles"]["rlnRandomSubset"].tolist() == (rows["alignments3D/split"] + 1).tolist()
    columns["alignments3D/split"] = 1 - split
    write_job(tmp_path / "P/J6", columns, order)
    assert "other half set" in subset(run, "--labels", "0", "--original", tmp_path / "P/J6", "--output", tmp_path / "full").stderr
    rows = np.load(tmp_path / "full.cs")
    assert rows["alignments3D/split"].tolist() == [1 - of_uid[u] for u in rows["uid"]]


def test_original_of_other_particles_is_refused_with_the_reason(run, labels, tmp_path):
    columns, order = full_size()
    ours = np.load(run / "out/uid.npy")[labels == 1]
    write_job(tmp_path / "P/J5", columns, order[:700])
    there = np.isin(ours, columns["uid"][order[:700]]).sum()
    message = refused(run, "--labels", "1", "--original", tmp_path / "P/J5", "--output", tmp_path / "x")
    assert f"has {there} of the {len(ours)} particles" in message and "--partial True" in message
    subset(run, "--labels", "1", "--original", tmp_path / "P/J5", "--output", tmp_path / "some", "--partial", "True")
    assert len(uids_of(tmp_path / "some.cs")) == there
    columns["uid"] = columns["uid"] ^ np.uint64(1 << 40)
    write_job(tmp_path / "P/J6", columns, order)
    message = refused(run, "--labels", "1", "--original", tmp_path / "P/J6", "--output", tmp_path / "x")
    assert "picked anew" in message or "--match image" in message
    columns["blob/path"] = joined()["blob/path"]
    write_job(tmp_path / "P/J7", columns, order)
    assert "--match image" in refused(run, "--labels", "1", "--original", tmp_path / "P/J7", "--output", tmp_path / "x")
    r = subset(run, "--labels", "1", "--original", tmp_path / "P/J7", "--output", tmp_path / "again", "--match", "image")
    assert "whole paths" in r.stderr and set(uids_of(tmp_path / "again.cs")) == set(ours ^ np.uint64(1 << 40))
    assert not list(tmp_path.glob("x.*"))


def expanded(columns, copies, seed):
    rng = np.random.default_rng(seed)
    n = len(columns["uid"])
    out = {name: np.repeat(c, copies, axis=0) for name, c in columns.items()}
    out["sym_expand/src_uid"] = np.repeat(columns["uid"], copies)
    out["sym_expand/idx"] = np.tile(np.arange(copies, dtype="u4"), n)
    out["uid"] = rng.integers(1, 2**63, n * copies, dtype="u8")
    return out


@pytest.mark.parametrize("here, there", [(2, 1), (1, 2), (2, 2)])
def test_symmetry_expanded_particles_find_their_sources(here, there, tmp_path):
    columns, order = full_size()
    small = expanded(columns, here, 1) if here > 1 else columns
    large = expanded(columns, there, 2) if there > 1 else columns
    small = write_job(tmp_path / "P/J30", small, np.random.default_rng(3).permutation(1000 * here))
    large = write_job(tmp_path / "P/J31", large, np.random.default_rng(4).permutation(1000 * there))
    rows = np.sort(np.random.default_rng(6).choice(len(small), 90, replace=False))
    np.save(tmp_path / "rows.npy", rows)
    r = subset("--particles", tmp_path / "P/J30", "--rows", tmp_path / "rows.npy", "--original", tmp_path / "P/J31", "--output", tmp_path / "e",
               "--json")
    if here == there:
        wanted = set(zip(small["sym_expand/src_uid"][rows].tolist(), small["sym_expand/idx"][rows].tolist()))
        member = [pair in wanted for pair in zip(large["sym_expand/src_uid"].tolist(), large["sym_expand/idx"].tolist())]
    else:
        wanted = small["sym_expand/src_uid" if here > 1 else "uid"][rows]
        member = np.isin(large["sym_expand/src_uid" if there > 1 else "uid"], wanted)
    assert (uids_of(tmp_path / "e.cs") == large["uid"][member]).all()
    assert "sym_expand" in json.loads(r.stdout)["joined_on"] and json.loads(r.stdout)["matched"] == 90


# ---- what is never harmed ----------------------------------------------------------------------------------------------


def test_inputs_are_not_written_to(run, tiny_copy, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in tiny_copy.rglob("*")}
    assert "never written to" in refused(run, "--labels", "0", "--original", tiny_copy / "J12", "--output", tiny_copy / "J12/sub/x")
    assert "never written to" in refused("--particles", tiny_copy / "J12/downsampled_particles.cs", "--output", tiny_copy / "J12/x")
    subset(run, "--labels", "0", "--original", tiny_copy / "J12", "--output", tmp_path / "x")
    assert {p: p.stat().st_mtime_ns for p in tiny_copy.rglob("*")} == before


def test_slips_are_answered(run, tmp_path):
    for words, answer in [(["--labels", "0"], "output is not given"), (["--output", tmp_path / "x"], "nothing says which"),
                          (["--labels", "2", "--output", tmp_path / "x"], "from 0 to 1"),
                          (["--labels", "0", "--k_num", "5", "--output", tmp_path / "x"], "--k_num 5"),
                          (["--labels", "0", "--forms", "csg", "--output", tmp_path / "x"], "without cs"),
                          (["--labels", "0", "--forms", "cs,pdf", "--output", tmp_path / "x"], "cs|csg|star"),
                          (["--labels", "0", "--match", "image", "--output", tmp_path / "x"], "original is not given"),
                          (["--labels", "0", "--output", tmp_path / "x", "--particles", J12], "leave one out"),
                          (["--labels", "0", "--output", f"{tmp_path}/"], "name")]:
        assert answer in refused(run, *words), words
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """40,000 rows without images, so that writing takes a while."""
    folder = tmp_path_factory.mktemp("large")
    columns = {n: np.tile(c, (40,) + (1,) * (c.ndim - 1)) for n, c in joined().items()}
    columns["uid"] = np.random.default_rng(1).permutation(np.arange(1, 40001).astype("u8") * 7919)
    write_job(folder / "P/J1", columns, np.arange(40000))
    np.save(folder / "a.npy", np.arange(0, 40000, 2))
    np.save(folder / "b.npy", np.arange(0, 40000, 3))
    return folder


def check_whole(stem, sizes):
    """Each file is one of the whole ones; a .csg that is there describes the .cs beside it."""
    cs, star, csg = (stem.with_suffix(e) for e in (".cs", ".star", ".csg"))
    rows = len(np.load(cs)) if cs.exists() else 0
    assert rows in {0, *sizes}
    if csg.exists():
        assert yaml.safe_load(csg.read_text())["results"]["blob"]["num_items"] == rows
    if star.exists():
        assert sum(line.count("@") for line in star.read_text().splitlines()) in sizes


def test_killed_at_any_moment_it_leaves_whole_files(large, tmp_path):
    words = ["subset", "--particles", large / "P/J1", "--output", tmp_path / "s"]
    begin = time.monotonic()
    cryodeco(*words, "--rows", large / "a.npy")
    whole = time.monotonic() - begin
    rng = np.random.default_rng(11)
    for i in range(50 if os.environ.get("CRYODECO_LONG") == "1" else 8):
        child = subprocess.Popen([command(), *map(str, words), "--rows", str(large / f"{'ba'[i % 2]}.npy")], stderr=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, 1.1 * whole))
        child.send_signal(signal.SIGKILL)
        child.wait()
        check_whole(tmp_path / "s", (20000, 13334))
    cryodeco(*words, "--rows", large / "b.npy")
    check_whole(tmp_path / "s", (13334,))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.cs", "s.csg", "s.star"]


def full_disk(megabytes, script):
    """Runs the script where /mnt is a small disk of its own; skips where user namespaces are not allowed."""
    r = subprocess.run(["unshare", "-Urm", "sh", "-c", f"mount -t tmpfs -o size={megabytes}m none /mnt || exit 99; {script}"],
                       capture_output=True, text=True)
    if r.returncode == 99 or "unshare" in r.stderr:
        pytest.skip("no small disks can be made here")
    return r


def test_a_full_disk_leaves_what_was_whole(large):
    if not shutil.which("unshare"):
        pytest.skip("no unshare here")
    run = f"{command()} subset --particles {large}/P/J1 --output /mnt/s --rows {large}"
    told = 0
    for megabytes in (1, 3, 5, 7, 9, 10, 11, 12, 13, 14) if os.environ.get("CRYODECO_LONG") == "1" else (3, 10, 13):
        # a small subset first; then one that does not fit: the small one stays, and nothing else
        r = full_disk(megabytes, f"head -c 2000 /dev/zero > /mnt/other; {run}/few.txt || exit 98; sha1sum /mnt/s.*; echo ==; {run}/a.npy; "
                                 "echo code $?; sha1sum /mnt/s.*; ls -A /mnt | wc -l")
        assert r.returncode == 0, r.stderr
        before, after = r.stdout.split("==\n")
        if "code 0" not in after:
            told += 1
            assert "make room" in r.stderr and "code 1" in after
            assert re.findall(r"[0-9a-f]{40}  /mnt/s.*", after) == re.findall(r"[0-9a-f]{40}  /mnt/s.*", before)
            assert after.splitlines()[-1] == "4"  # the three, and the other file
    assert told


@pytest.fixture(scope="module", autouse=True)
def few(large):
    (large / "few.txt").write_text("1\n2\n3\n")


# ---- round trips -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["npy", "csdat"])
def test_datasets_of_cryosparc_tools_come_back_column_by_column(form, tmp_path):
    """Every column kind there is, texts beyond ASCII too: saved by cryosparc-tools, a subset taken, read by cryosparc-tools."""
    rng = np.random.default_rng(1)
    n = 300
    whole = Dataset.load(str(J12 / "downsampled_particles.cs")).take(np.arange(n))
    passed = Dataset.load(str(J12 / "J12_passthrough_particles.cs"))
    whole = Dataset.innerjoin(whole, passed)
    whole.add_fields(["a/text", "a/c8", "a/u1", "a/i8", "a/f8", "a/m"], ["O", "c8", "u1", "i8", "f8", ("f4", (2, 3))])
    whole["a/text"] = [f"Zelle {i} ä€" if i % 3 else "" for i in range(len(whole))]
    whole["a/c8"] = (rng.normal(size=n) + 1j * rng.normal(size=n)).astype("c8")
    whole["a/u1"], whole["a/i8"] = rng.integers(0, 255, n), rng.integers(-2**62, 2**62, n)
    whole["a/f8"], whole["a/m"] = rng.normal(size=n), rng.normal(size=(n, 2, 3))
    (tmp_path / "P/J9").mkdir(parents=True)
    path = tmp_path / "P/J9/J9_particles.cs"
    if form == "csdat":
        whole.save(str(path), format=CSDAT_FORMAT)
    else:
        whole.save(str(path))
    rows = np.sort(rng.choice(n, 100, replace=False))
    np.save(tmp_path / "rows.npy", rows)
    subset("--particles", path, "--rows", tmp_path / "rows.npy", "--output", tmp_path / "s")
    back, expected = Dataset.load(str(tmp_path / "s.cs")), whole.take(rows)
    assert set(back.fields()) == set(expected.fields())
    for name in expected.fields():
        assert np.asarray(back[name]).tolist() == np.asarray(expected[name]).tolist(), name
