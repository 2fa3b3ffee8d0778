"""What an analysis says of itself: its files, its words, and what it does without images."""
import csv
import json
import shutil

import mrcfile
import pytest

from conftest import BRIEF, cryodeco, newest_analysis


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from conftest import TINY
    place = tmp_path_factory.mktemp("answers")
    shutil.copytree(TINY / "project", place / "project")
    cryodeco("run", "--particles", place / "project/J12", "--outdir", place / "run", *BRIEF, "--seed", "1")
    return place


def test_every_file_is_there_and_readable(run):
    folder = newest_analysis(run / "run") / "clustering2"
    answers = json.loads((folder / "answers.json").read_text())
    assert answers["answer"] in {"states", "continuous", "no heterogeneity found", "nothing to believe"}
    assert len(answers["stability"]["jaccard"]) == 2 and answers["stability"]["refits"] == 20
    assert answers["latents_moved"] > 0
    words = (folder / "summary.txt").read_text().splitlines()
    assert [("CHECK: " if w["check"] else "") + w["text"] for w in answers["words"]] == words
    log = (run / "run/run.log").read_text()
    assert all(w["text"] in log for w in answers["words"])
    rows = list(csv.DictReader(open(folder / "nuisance.csv")))
    assert {"defocus", "exposure group", "shift length"} <= {r["column"] for r in rows}
    found = json.loads((folder / "validation/validation.json").read_text())
    assert found["poses"] == "given" and found["box"] == 32 and len(found["clusters"]) == 2
    assert sum(c["particles"] for c in found["clusters"]) == 1000
    for i, c in enumerate(found["clusters"]):
        assert sum(c["half_sets"]) == c["particles"]
        for name in "map", "half_0", "half_1", "mask", "agreement":
            path = folder / f"validation/{name}_{i:03d}.mrc"
            assert mrcfile.validate(path)
            assert mrcfile.read(path).shape == (32, 32, 32)
        for name in f"fsc_{i:03d}.png", f"views_{i:03d}.png":
            assert (folder / "validation" / name).read_bytes().startswith(b"\x89PNG")
        curves = list(csv.DictReader(open(folder / f"validation/fsc_{i:03d}.csv")))
        assert [int(r["shell"]) for r in curves] == list(range(1, 17))
        assert c["twin"]["particles_hold"].keys() == {"shell", "resolution_A", "at_limit"} and isinstance(c["twin"]["less_detail"], bool)
        assert float(curves[0]["half"]) > 0.9  # 500 particles at true poses: the lowest shell is sure


def test_maps_are_held_against_particles_kept_from_the_decoder(run):
    cryodeco("run", "--particles", run / "project/J12", "--outdir", run / "held", *BRIEF, "--seed", "1", "--hold_out", "0.2")
    found = json.loads((newest_analysis(run / "held") / "clustering2/validation/validation.json").read_text())["clusters"]
    unseen = [c["twin"]["unseen_particles"] for c in found]
    assert abs(sum(unseen) - 200) < 65  # five standard deviations
    assert all(abs(c["twin"]["fsc_unseen"] / c["twin"]["fsc_as_many_seen"] - 1) < 0.3 for c in found)  # given poses, trained briefly
    assert "was not trained on" in (newest_analysis(run / "held") / "clustering2/summary.txt").read_text()
    none = json.loads((newest_analysis(run / "run") / "clustering2/validation/validation.json").read_text())["clusters"]
    assert [c["twin"]["fsc_unseen"] for c in none] == [None, None]


def test_a_curve_that_does_not_fall_has_no_number(run):
    folder = newest_analysis(run / "run") / "clustering2"
    for c in json.loads((folder / "validation/validation.json").read_text())["clusters"]:
        for name in "half_0.5", "half_0.143", "corrected_0.5", "corrected_0.143":
            assert (c[name]["resolution_A"] is None) == c[name]["at_limit"]
    assert "the box's limit" in (folder / "summary.txt").read_text()


def test_effects_are_shares_and_only_what_is_beyond_chance_is_marked(run):
    folder = newest_analysis(run / "run") / "clustering2"
    for r in csv.DictReader(open(folder / "nuisance.csv")):
        assert 0 <= float(r["effect"]) <= 1 and (r["marked"] == "0" or r["beyond_chance"] == "1")


def test_without_images_the_rest_is_whole(run):
    stacks = [p for p in (run / "project").rglob("*.mrc*")]
    assert stacks
    for p in stacks:
        p.rename(p.with_name(p.name + ".gone"))
    try:
        r = cryodeco("analyze", run / "run", "--k_num", "3")
    finally:
        for p in stacks:
            p.with_name(p.name + ".gone").rename(p)
    folder = newest_analysis(run / "run") / "clustering3"
    assert "images" in r.stderr and not (folder / "validation").exists()
    assert (folder / "nuisance.csv").exists() and (folder / "vol_002.mrc").exists() and (folder / "clustering_cs_star/cluster_0.csg").exists()
    assert json.loads((folder / "answers.json").read_text())["maps_differ"] is None


def test_it_can_be_left_out(run):
    cryodeco("analyze", run / "run", "--k_num", "4", "--back_projection", "False")
    folder = newest_analysis(run / "run") / "clustering4"
    assert not (folder / "validation").exists() and (folder / "summary.txt").exists()
