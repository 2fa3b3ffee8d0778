"""Input that means harm: words that would be code in a page, tags of YAML, paths that lead out of their place."""
import json
import os
import re
import shutil

import numpy as np
import pytest
import yaml
from conftest import BRIEF, TINY, cryodeco

EVIL = "<img src=x onerror=alert(1)>&'\""
CODE = "</script><script>document.title=1</script>"


@pytest.fixture(scope="module")
def evil_run(tmp_path_factory):
    """A run whose paths, micrographs, columns and log lines hold markup, on a machine without fonts."""
    place = tmp_path_factory.mktemp("hostile") / EVIL
    shutil.copytree(TINY / "project/J12", place / "J12")
    rows = np.load(place / "J12/J12_passthrough_particles.cs")
    if "location/micrograph_path" in rows.dtype.names:
        wide = np.dtype([(n, "S120") if n == "location/micrograph_path" else (n, rows.dtype[n]) for n in rows.dtype.names])
        rows = rows.astype(wide)
        rows["location/micrograph_path"] = f"J1/{EVIL}{CODE}.mrc".encode()
        names = [(n, rows.dtype[n]) for n in rows.dtype.names] + [(f"evil{CODE}/'{EVIL}", "<f4"), (f"evil/{CODE}", "S64")]
        more = np.zeros(len(rows), names)
        for n in rows.dtype.names:
            more[n] = rows[n]
        more[names[-2][0]] = np.arange(len(rows))
        more[names[-1][0]] = CODE.encode() + b"\0" + CODE[:9].encode()  # a NUL in the middle
        with open(place / "J12/J12_passthrough_particles.cs", "wb") as f:
            np.save(f, more)
    bare = {"FONTCONFIG_FILE": "/dev/null", "XDG_DATA_HOME": str(place / "none"), "HOME": str(place / "none"), "PATH": os.environ["PATH"]}
    r = cryodeco("run", "--particles", place / "J12", "--outdir", place / "run", *BRIEF, "--back_projection", "False", env={**bare, **{k: v for k, v in os.environ.items() if k.startswith(("CRYODECO", "ASAN", "LD_", "UBSAN", "LSAN"))}})
    assert "warning" not in r.stderr.lower() or "font" not in r.stderr.lower(), r.stderr
    return place / "run/out"


def test_pages_escape_what_came_from_files_and_run_nothing_else(evil_run):
    for page in (evil_run / "analysis_1/report.html", evil_run / "progress.html"):
        text = page.read_text()
        assert "<img src=x" not in text and "onerror=alert" not in re.sub(r"&lt;img src=x onerror=alert|\\u003cimg src=x onerror=alert", "", text), page.name
        assert "<script>document" not in text, page.name
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', (evil_run / "analysis_1/report.html").read_text()).group(1)
    assert "default-src 'none'" in policy and "unsafe-eval" not in policy and not re.search(r"script-src[^;]*'unsafe-inline'", policy)


def test_hostile_columns_come_through_subsets_bit_for_bit(evil_run):
    path = evil_run / "analysis_1/clustering2/clustering_cs_star/cluster_0.cs"
    rows, given = np.load(path), np.load(evil_run.parent.parent / "J12/J12_passthrough_particles.cs")
    names = [n for n in rows.dtype.names if CODE in n]
    at = {u: i for i, u in enumerate(given["uid"])}
    assert len(names) == 2
    for n in names:
        assert (rows[n] == given[n][[at[u] for u in rows["uid"]]]).all()
    group = yaml.safe_load(path.with_suffix(".csg").read_text())
    assert all(r["num_items"] == len(rows) for r in group["results"].values())
    assert list((evil_run / "analysis_1").glob("umap*.png"))  # drawn without any font of the machine


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
