"""Presets are sound on small data, and CryoSPARC's blueprints hold what its models require."""
import importlib
import importlib.util
import json
import re

import pytest
import yaml
from conftest import HERE, TINY, cryodeco

ROOT = HERE.parents[1]
BLUEPRINTS = ROOT / "blueprints"
PRESETS = sorted(p.stem for p in BLUEPRINTS.glob("*.yaml"))
WEIGHTS = ["--pretrained_model_path", ROOT / "tests/golden/i_encoder/C48_depth2_Z6/checkpoint", "--encoder_heads", "2"]
SMALL_DECODER = "--hypervolume_dim 32 --hypervolume_layers 1 --pe_dim 8".split()
# What each is for, as the reference's README and METHOD.md have it.
MEANT = {"compositional": {"feature_dim": 128}, "simple_motion": {"feature_dim": 4}, "complex_motion": {"feature_dim": 64},
         "known_poses": {"use_gt_poses": True, "use_conf_encoder": False, "lr_conf_table": 0.01}, "large": {"epochs_sgd": 20, "clustering_type": "k-means++"}}


def values(name):
    return yaml.safe_load((BLUEPRINTS / f"{name}.yaml").read_text())


def test_every_preset_is_explained():
    page = (BLUEPRINTS / "README.md").read_text()
    assert set(PRESETS) == set(re.findall(r"^\| `([\w-]+)` \|", page, re.M)) >= set(MEANT) | {"quick_look", "2026-01"}
    for name, meant in MEANT.items():
        assert meant.items() <= values(name).items(), name
    for name in ("known_poses", "large"):
        assert values(name)["warm_up_epochs"] == 0, name  # the table's rate falls as long as there are epochs, also where epochs_sgd is given


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_can_be_run(tmp_path, name):
    """All checks of a run. With weights where it has an encoder, which are small here."""
    more = WEIGHTS if values(name).get("use_conf_encoder", True) else []
    r = cryodeco("run", "--preset", name, "--particles", TINY / "project/J12", "--outdir", tmp_path / "run", *more, "--dry_run", "True")
    assert "forecast: " in r.stderr and not (tmp_path / "run").exists()


def test_a_preset_gives_what_it_says(tmp_path):
    cryodeco("run", "--preset", "known_poses", "--particles", TINY / "project/J12", "--outdir", tmp_path / "run", *SMALL_DECODER, "--epochs_sgd", "0",
             "--k_num", "2", "--back_projection", "False", "--n_imgs_pretrain", "0")
    recorded = yaml.safe_load((tmp_path / "run/job.yaml").read_text())
    wanted = values("known_poses") | {"epochs_sgd": 0, "k_num": 2}
    assert {k: recorded[k] for k in wanted} == wanted
    assert (tmp_path / "run/out/analysis_1/clustering2/clustering_cs_star/cluster_0.csg").exists()


CRYOSPARC = sorted((BLUEPRINTS / "cryosparc").glob("*.json"))
SPEC = {"type", "ui_tile_width", "ui_tile_height", "resource_spec"}


@pytest.mark.parametrize("path", CRYOSPARC, ids=[p.stem for p in CRYOSPARC])
def test_a_blueprint_holds_what_cryosparcs_models_require(path):
    text = path.read_text()
    found = json.loads(text)
    assert f"`{path.name}`" in (BLUEPRINTS / "README.md").read_text()
    assert re.fullmatch(r"v\d+\.\d+\.\d+", found["csVersion"])
    if "jobs" in found:
        for job in found["jobs"]:
            assert {"jobType", "spec", "groups"} <= set(job) and SPEC <= set(job["spec"]) and job["spec"]["type"] == job["jobType"]
            assert all("jobType" in parent for parent in job["parents"])
            assert {p["jobType"] for p in job["parents"]} <= {j["jobType"] for j in found["jobs"]}
    else:
        assert found["jobType"] and all("value" in p for p in found["parameters"].values())
    for module, model in (("blueprint", "Blueprint"), ("workflow", "Workflow")):  # of a client that has them; 5.0.3 does not
        if importlib.util.find_spec(f"cryosparc.models.{module}") and ("jobs" in found) == (model == "Workflow"):
            getattr(importlib.import_module(f"cryosparc.models.{module}"), model).model_validate_json(text)


def test_blueprints_are_of_jobs_before_and_after_ours():
    kinds = {json.loads(p.read_text()).get("jobType") for p in CRYOSPARC}
    assert {"downsample_particles", "homo_refine_new", "nonuniform_refine_new"} <= kinds
    assert not any("snowflake" in p.read_text() for p in CRYOSPARC)  # an external job has no parameters
