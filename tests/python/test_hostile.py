"""Input that means harm: words that would be code in a page, tags of YAML, paths that lead out of their place."""
import json
import re
import shutil

import numpy as np
import pytest
from conftest import BRIEF, TINY, cryodeco

EVIL = "<img src=x onerror=alert(1)>&'\""


@pytest.fixture(scope="module")
def evil_run(tmp_path_factory):
    """A run whose paths, micrographs and log lines hold markup."""
    place = tmp_path_factory.mktemp("hostile") / EVIL
    shutil.copytree(TINY / "project/J12", place / "J12")
    rows = np.load(place / "J12/J12_passthrough_particles.cs")
    if "location/micrograph_path" in rows.dtype.names:
        wide = np.dtype([(n, "S120") if n == "location/micrograph_path" else (n, rows.dtype[n]) for n in rows.dtype.names])
        rows = rows.astype(wide)
        rows["location/micrograph_path"] = f"J1/{EVIL}.mrc".encode()
        with open(place / "J12/J12_passthrough_particles.cs", "wb") as f:
            np.save(f, rows)
    cryodeco("run", "--particles", place / "J12", "--outdir", place / "run", *BRIEF, "--back_projection", "False")
    return place / "run/out"


def test_pages_escape_what_came_from_files_and_run_nothing_else(evil_run):
    for page in (evil_run / "analysis_1/report.html", evil_run / "progress.html"):
        text = page.read_text()
        assert "<img src=x" not in text and "onerror=alert" not in re.sub(r"&lt;img src=x onerror=alert|\\u003cimg src=x onerror=alert", "", text), page.name
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', (evil_run / "analysis_1/report.html").read_text()).group(1)
    assert "default-src 'none'" in policy and "unsafe-eval" not in policy and not re.search(r"script-src[^;]*'unsafe-inline'", policy)


@pytest.mark.parametrize("text", ["k_num: !!python/object/apply:os.system ['true']\n", "a: &x [1]\nb: *x\n", "k_num: [" + "[" * 10000 + "\n"])
def test_yaml_with_tags_or_anchors_is_refused(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    r = cryodeco("run", "--particles", TINY / "project/J12", "--outdir", tmp_path / "run", "--config", tmp_path / "c.yaml", *BRIEF, "--dry_run", "True", check=False)
    assert r.returncode == 2 and "error: " in r.stderr and "c.yaml" in r.stderr, r.stderr
    assert not (tmp_path / "run").exists()


CSG = """created: 2026-01-01 00:00:00.000000
group: {{description: '', name: particles, title: '', type: particle}}
results:
  blob: {{metafile: '{metafile}', num_items: 1000, type: particle.blob}}
version: v4.4.1
"""


@pytest.mark.parametrize("metafile", [">../../../../../etc/passwd", "/dev/zero", ">" + "../" * 2000 + "etc/passwd", ">", ".", "a\\x00b"])
def test_a_result_group_that_names_other_files_is_refused(tmp_path, metafile):
    (tmp_path / "g.csg").write_text(CSG.format(metafile=metafile))
    r = cryodeco("info", tmp_path / "g.csg", check=False, timeout=60)
    assert r.returncode in (1, 2) and "error: " in r.stderr, r.stdout + r.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["g.csg"]


@pytest.mark.parametrize("text", ["{", "[" * 100000, '{"output_results": 5}', '{"output_results": [{"metafiles": ["../../../../etc/passwd"], "group_name": "particles"}]}',
                                  '{"output_results": [{"metafiles": ["/dev/zero"], "group_name": "particles"}]}', json.dumps({"a": "x" * 10 ** 6})])
def test_a_hostile_job_json_is_an_error_or_passed_over(tmp_path, text):
    shutil.copytree(TINY / "project/J12", tmp_path / "J12")
    (tmp_path / "J12/job.json").write_text(text)
    for name in ("downsampled_particles.cs", "J12_passthrough_particles.cs"):
        (tmp_path / "J12" / name).unlink()
    r = cryodeco("info", tmp_path / "J12", check=False, timeout=60)
    assert r.returncode in (1, 2) and "error: " in r.stderr and "root:" not in r.stdout + r.stderr
