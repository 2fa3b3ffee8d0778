"""Every command of the guide is run: those that train with --dry_run, the others on a small run; what goes to CryoSPARC against the contract server or its
parser. Links lead somewhere."""
import json
import pathlib
import re
import shlex
import shutil
import subprocess

import numpy as np
import pytest
from conftest import BRIEF, TINY, command, cryodeco
from test_cryosparc import PYTHON, World

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs/guide").glob("*.md"))
WEIGHTS = ROOT / "tests/golden/i_encoder/C48_depth2_Z6/checkpoint"


def commands(page):
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.M | re.S) for line in block.splitlines() if line]
    assert all(line.startswith("cryodeco ") for line in lines), lines
    return [shlex.split(line)[1:] for line in lines]


def test_links_lead_somewhere_and_options_exist():
    known = {o["name"] for o in json.loads(cryodeco("options", "--json").stdout)}
    others = {"particles-full", "project", "workspace", "dry-run", "mixed_precision", "num_processes", "wait", "help"}
    for page in [*PAGES, ROOT / "docs/cryosparc.md", ROOT / "blueprints/README.md"]:
        text = page.read_text()
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"
        for option in re.findall(r"(?<![\w-])--([a-z][\w-]*)", text):
            assert option.replace("-", "_") in known or option in others | {"map-path", "resume"}, f"{page.name}: --{option}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the guide's paths lead to something: the project with J42 and J17, a finished run, files that it speaks of."""
    here = tmp_path_factory.mktemp("guide")
    shutil.copytree(TINY / "project", here / "P3")
    for job in ("J42", "J17"):
        (here / "P3" / job).symlink_to("J12")
    cryodeco("run", "--particles", here / "P3/J42", "--outdir", here / "results", *BRIEF, "--k_num", "4", "--seed", "1", "--back_projection", "False")
    run = json.loads((here / "results/out/analysis_1/run.json").read_text())
    uids = np.load(here / "results/out/uid.npy")[:5]
    (here / "selection.json").write_text(json.dumps({"version": 1, **run, "n": 1000, "uids": [str(u) for u in uids]}))
    shutil.copy(here / "results/out/analysis_1/clustering4/clustering_cs_star/cluster_0.star", here / "back.star")
    (here / "tenth.txt").write_text("\n".join(map(str, range(0, 1000, 10))))
    return here


def checked(words):
    """A command as it is run here."""
    words = [w.replace("/data/P3/J99/cryodeco/run", "results").replace("/data/P3", "P3").replace("/data/weights/cryo_ief_checkpoint", str(WEIGHTS)) for w in words]
    if words[0] == "run":
        words += ["--dry_run", "True"]
        if str(WEIGHTS) in words:
            words += ["--encoder_heads", "2"]
    if words[0] == "analyze":
        words += ["--back_projection", "False"]  # for the time it takes
    if words[0] in ("selftest", "cryosparc"):  # test_selftest.py, and below
        words += ["--help"]
    return words


@pytest.mark.parametrize("page", PAGES, ids=[p.stem for p in PAGES])
def test_commands_of_the_guide(place, page):
    for words in commands(page):
        if words[0] == "cryosparc":
            continue
        r = subprocess.run([command(), *checked(words)], cwd=place, capture_output=True, text=True, timeout=600)
        assert r.returncode == 0, f"cryodeco {shlex.join(words)}\n{r.stdout}\n{r.stderr}"


def test_commands_of_the_guide_that_go_to_cryosparc(tmp_path, place):
    """What creates nothing is run; the words of the others are taken (their life is in test_cryosparc.py)."""
    told = [w[1:] for page in PAGES for w in commands(page) if w[0] == "cryosparc"]
    assert {w[0] for w in told} == {"check", "run", "publish"}
    world = World(tmp_path, place / "P3")
    try:
        for words in told:
            if words[0] == "check" or "--dry-run" in words:
                world.end(world.start(*words), 0)
            else:
                r = subprocess.run([PYTHON[5], "-m", "cryodeco.cryosparc", *words, "--help"], env=world.env, capture_output=True, text=True)
                assert r.returncode == 0 and set(w for w in words if w.startswith("--")) - set(re.findall(r"--[\w-]+", r.stdout)) <= {"--preset", "--k_num"}
    finally:
        world.server.kill()
        world.server.wait()
