"""Whole runs on the emulated card: the host code of a run on a device that is not the CPU, against the same run on the CPU."""
import json
import os
import pathlib

import pytest
from conftest import HERE, command, cryodeco

EMULATED = pathlib.Path(command()).parents[1] / "emulated"
LIBRARY = EMULATED / "libcryodeco_cuda.so"
# Switching between fibres takes its time: a small box, a small decoder, 48 particles.
SMALL = """--use_conf_encoder False --k_num 1 --conf_table_dim 2 --hypervolume_dim 16 --hypervolume_layers 1 --pe_dim 4 --feat_sigma 1.25
           --lr_conf_table 5e-2 --n_imgs_pretrain 16 --seed 1 --threads 1""".split()
KNOWN = "--use_gt_poses True --lr 1e-3 --n_imgs_pose_search 0 --epochs_sgd 1 --batch_size_known_poses 8".split()
AB_INITIO = """--preset quick_look --epochs_sgd 1 --initial_radii 5,6,7 --initial_state_radii 7 --initial_starts 1 --initial_states 1
               --refine_radii 6,7""".split()

pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="built without the emulated card")


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    place = tmp_path_factory.mktemp("emulated") / "set"
    cryodeco("simulate", HERE.parents[1] / "examples/structures/7cfn.pdb", "--outdir", place, "--box", "20", "--psize_A", "10",
             "--n_particles", "48", "--snr", "1", "--n_stacks", "1", "--seed", "1")
    return place / "project/J1"


def losses(job, outdir, device, words):
    environment = dict(os.environ, LD_LIBRARY_PATH=str(EMULATED), CRYODECO_BLUEPRINTS=str(HERE.parents[1] / "blueprints"))
    cryodeco("run", "--particles", job, "--outdir", outdir, "--device", device, *SMALL, *words, env=environment)
    events = [json.loads(line) for line in (outdir / "metrics.jsonl").read_text().splitlines()]
    assert events[0]["device"] == device
    return [e["loss"] for e in events if "loss" in e]


@pytest.mark.parametrize("card, words", [("cuda:1", KNOWN), ("cuda:2", AB_INITIO)], ids=["known_poses", "from_images_alone"])
def test_a_run_on_a_card_is_the_cpus(tmp_path, job, card, words):
    """Two steps of pretraining and 18 of training with known poses; initial model, pretraining and refinement without. float32 on both, sums in
    another order: 1e-8 apart here, 1e-4 allowed."""
    cpu = losses(job, tmp_path / "cpu", "cpu", words)
    there = losses(job, tmp_path / "card", card, words)
    assert len(cpu) == (4 if words is KNOWN else 3)
    assert there == pytest.approx(cpu, rel=1e-4)
    if words is KNOWN:  # threads and blocks in another order: the same bits, as twice on one card
        losses(job, tmp_path / "again", "cuda:2", words)
        for name in ("conf.2.npy", "weights.2.safetensors", "reconstruct.2.mrc"):
            assert (tmp_path / "card/out" / name).read_bytes() == (tmp_path / "again/out" / name).read_bytes(), name
