"""INSTALL.md tells the truth: its errors are the program's, its sections in order; container files pass their linters."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from conftest import TINY, command, cryodeco

ROOT = pathlib.Path(__file__).parents[2]
JOB = TINY / "project/J12"
TABLE = ["--use_gt_poses", "True", "--use_conf_encoder", "False", "--k_num", "2"]


def listed_errors():
    text = (ROOT / "INSTALL.md").read_text().split("## The eleven commonest errors")[1].split("\n## ")[0]
    return re.findall(r"```\n\s*(error: .*)\n", text)


def provoke(tmp_path):
    """What the program says, in the order of the page."""
    alone, cut = tmp_path / "alone/J1", tmp_path / "cut/project"
    shutil.copytree(JOB, alone, ignore=shutil.ignore_patterns("*.mrc*"))
    shutil.copytree(TINY / "project", cut)
    stack = sorted(cut.rglob("*.mrc*"))[0]
    os.truncate(stack, stack.stat().st_size - 100)
    cryodeco("simulate", ROOT / "examples/structures/7cfn.pdb", "--n_particles", 8, "--box", 32, "--psize_A", 5, "--with_poses", "False", "--outdir",
             tmp_path / "blind")
    python = tmp_path / "python3"  # one that has nothing beside its own library
    python.write_text('#!/bin/sh\nexec /usr/bin/python3 -S -E "$@"\n')
    python.chmod(0o755)
    out = tmp_path / "out"
    run = ["run", "--outdir", out, "--particles"]
    for words in ([*run, JOB, "--use_gt_poses", "True"], [*run, tmp_path / "J42", *TABLE], [*run, alone, *TABLE], [*run, tmp_path / "blind/project/J1", *TABLE],
                  [*run, cut / "J12", *TABLE], ["run", "--particles", cut / "J12", "--outdir", cut / "J12/out", *TABLE], [*run, JOB, *TABLE, "--k_nmu", "3"],
                  [*run, JOB, *TABLE, "--mixed_precision", "bf16"], [*run, JOB, *TABLE, "--device", "cuda"], ["analyze", out]):
        r = cryodeco(*words, check=False)
        assert r.returncode == 2 and not out.exists(), (words, r.stderr)
        yield r.stderr
    r = subprocess.run([command(), "cryosparc", "check"], capture_output=True, text=True, env={**os.environ, "CRYODECO_PYTHON": str(python), "PYTHONPATH": ""})
    assert r.returncode == 4
    yield r.stderr


def test_the_commonest_errors_are_said_as_they_stand_there(tmp_path):
    listed = listed_errors()
    assert len(listed) == 11
    for wanted, said in zip(listed, provoke(tmp_path)):
        pattern = ".*".join(re.escape(part) for part in re.split(r"<[^>]*>", wanted))
        assert re.search(pattern, said), f"INSTALL.md has\n{wanted}\nbut the program says\n{said}"


def test_every_package_that_bootstrap_installs_stands_there():
    packages = re.search(r"BUILD_PACKAGES=\((.*?)\)", (ROOT / "bootstrap").read_text(), re.S).group(1).split()
    by_hand = (ROOT / "INSTALL.md").read_text().split("## Building by hand")[1]
    assert len(packages) > 15 and not [p for p in packages if not re.search(rf"\s{re.escape(p)}\s", by_hand)]


def test_commands_that_stand_there_are_options_and_commands_of_ours():
    for line in re.findall(r"^(?:srun )?cryodeco (.*)$", (ROOT / "INSTALL.md").read_text(), re.M):
        words = line.split()
        help_text = cryodeco(words[0], "--help", check=words[0] != "cryosparc").stdout
        for name in re.findall(r"--(\w+)", line):
            assert f"--{name} " in help_text, line


def test_container_files_pass_their_linters():
    beside = pathlib.Path(sys.executable).parent
    hadolint, spython = shutil.which("hadolint", path=beside), shutil.which("spython", path=beside)
    if not (hadolint and spython):
        pytest.skip("hadolint and spython are not installed")
    r = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert r.returncode == 0, r.stdout
    r = subprocess.run([spython, "recipe", "--parser", "singularity", ROOT / "apptainer.def"], capture_output=True, text=True)
    assert r.returncode == 0 and "./bootstrap package" in r.stdout and 'exec cryodeco "$@"' in r.stdout, r.stdout + r.stderr
