"""Latents from the vision transformer: a run with weights and without, what is trained, memory against time, going on, and bad weights."""
import json
import signal

import numpy as np
import pytest
from checkpoints import newest, on_the_way, read
from conftest import HERE, TINY, cryodeco
from test_restart import metrics, same_results, start, wait_for

JOB = TINY / "project/J12"
GOLDEN = HERE.parent / "golden/i_encoder/C48_depth2_Z6/checkpoint"
WEIGHTS = ["--pretrained_model_path", GOLDEN, "--encoder_heads", "2"]
RANDOM = "--finetune_strategy random_initial --encoder_width 24 --encoder_depth 1 --encoder_heads 2".split()
REPORTS = ["out/analysis_1/report.html", "out/analysis_2/report.html"]  # they show options and places
DECODER = "--feature_dim 5 --hypervolume_layers 1 --hypervolume_dim 32 --pe_dim 8 --k_num 2 --n_imgs_pose_search 0 --lr 1e-3".split()
KNOWN = [*DECODER, *"--use_gt_poses True --epochs_sgd 0 --n_imgs_pretrain 32 --batch_size_known_poses 20".split()]
SEARCH = [*DECODER, *"""--search_radii 6,8 --l_start 6 --base_healpy 1 --search_n_iter 1 --batch_size_hps 20 --batch_size_pretrain 32
                        --batch_size_sgd 32 --snapshot_centroids 2 --epochs_sgd 1""".split()]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.txt"
    path.write_text("\n".join(map(str, range(7, 71))))
    return ["--ind", path, "--seed", "4"]


def run(outdir, rows, *words):
    cryodeco("run", "--particles", JOB, "--outdir", outdir, *words, *rows)
    return outdir


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, rows):
    return run(tmp_path_factory.mktemp("tuned") / "run", rows, *KNOWN, *WEIGHTS)


def test_joint_training_follows_pytorch(tmp_path):
    """Its losses on the same batches from the same start (tests/bench/peers/joint.py, which made the file). The bound is the issue's 1 % over
    a hundred: after eight steps roundings have grown to 1e-5."""
    words = """--use_gt_poses True --finetune_strategy random_initial --encoder_width 48 --encoder_depth 2 --encoder_heads 2 --feature_dim 8
        --hypervolume_dim 128 --hypervolume_layers 2 --pe_dim 32 --feat_sigma 1.25 --lr 1e-3 --lr_conf_encoder 1e-3 --min_lr_encoder 1e-4
        --batch_size_known_poses 64 --n_imgs_pose_search 0 --n_imgs_pretrain 640 --log_interval 1 --log_heavy_interval 0 --k_num 2
        --epochs_sgd 2 --seed 1""".split()
    (tmp_path / "ind.txt").write_text("\n".join(map(str, range(128))))
    cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "run", "--ind", tmp_path / "ind.txt", *words)
    losses = [e["loss"] for e in metrics(tmp_path / "run", "losses") if e["epoch"] >= 0]
    theirs = np.load(HERE.parent / "data/joint_losses.npy")
    assert len(losses) == len(theirs) == 8
    assert np.abs(losses / theirs - 1).max() < 1e-4
    assert losses[-1] < 0.8 * losses[0]  # it trains


def encoder_of(outdir):
    notes, tensors = read(newest(outdir))
    return notes, {name[len("encoder."):]: x for name, x in tensors.items() if name.startswith("encoder.")}


def start_of(name):
    """The weights' own tensor."""
    raw = (GOLDEN / "model.safetensors").read_bytes()
    n = int.from_bytes(raw[:8], "little")
    entry = json.loads(raw[8 : 8 + n])[f"base_encoder.{name}"]
    return np.frombuffer(raw[8 + n :][slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])


def test_latents_are_the_encoders_and_every_trained_tensor_moves(tuned):
    notes, e = encoder_of(tuned)
    z = np.load(tuned / "out/conf.1.npy")
    assert z.shape == (64, 5) and np.isfinite(z).all() and z.std(axis=0).min() > 0
    assert (notes["encoder_width"], notes["encoder_depth"], notes["encoder_heads"]) == ("48", "2", "2")
    assert notes["encoder_batches"] == notes["encoder_steps"] == "8"  # two epochs of four batches; pretraining only looks
    assert np.array_equal(e["patch_embed.proj.weight"], start_of("patch_embed.proj.weight"))
    assert np.array_equal(e["pos_embed"], start_of("pos_embed"))
    still = [name for name in e if name.startswith(("cls", "blocks")) and np.array_equal(e[name], start_of(name))]
    assert still == []
    assert json.dumps(metrics(tuned, "epoch")[-1]["lr_latents"]) != "0"


def test_what_is_frozen_keeps_its_bytes(tmp_path, rows):
    for strategy, trained in (("mlp_layer", "head."), ("vit_block", ("head.", "blocks.1."))):
        outdir = run(tmp_path / strategy, rows, *KNOWN, *WEIGHTS, "--finetune_strategy", strategy, "--finetune_layer_num", 1)
        _, tensors = read(newest(outdir))
        _, e = encoder_of(outdir)
        moved = {name for name in e if not name.startswith("head.") and "running" not in name and not np.array_equal(e[name], start_of(name))}
        assert all(name.startswith(trained) for name in moved)
        assert bool(moved) == (strategy == "vit_block")
        assert not np.array_equal(e["blocks.0.norm2.running_mean"], start_of("blocks.0.norm2.running_mean"))  # they run in training mode
        assert {name.split("encoder.")[1] for name in tensors if name.startswith("adam.m.encoder.")} == {
            name for name in e if name.startswith(trained) and "running" not in name}


def test_checkpointing_changes_memory_and_no_bit(tmp_path, rows, tuned):
    other = run(tmp_path / "run", rows, *KNOWN, *WEIGHTS, "--gradient_checkpointing", "False", "--threads", "1")
    same_results(tuned, other, leave_out=REPORTS)


@pytest.mark.parametrize("plan", ["known", "search"])
def test_a_run_killed_on_the_way_ends_as_one_that_was_not(tmp_path, rows, plan):
    words = [*(KNOWN if plan == "known" else SEARCH), *RANDOM, *rows, "--checkpoint_minutes", "0.0005"]
    whole = run(tmp_path / "whole/run", [], *words)
    cut = tmp_path / "cut/run"
    p = start(cut, *words)
    wait_for(p, lambda: on_the_way(cut))
    p.send_signal(signal.SIGKILL)
    p.wait()
    cryodeco("run", "--outdir", cut, "--resume", "auto")
    same_results(whole, cut, leave_out=REPORTS)
    notes, _ = encoder_of(cut)
    assert notes["encoder_steps"] == encoder_of(whole)[0]["encoder_steps"] != "0"


def refused(tmp_path, *words, says):
    r = cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "out", *KNOWN, *words, check=False)
    assert r.returncode == 2 and not (tmp_path / "out").exists(), r.stderr
    for word in says:
        assert word in r.stderr, r.stderr


def test_without_weights_it_says_what_is_lost_and_what_runs(tmp_path):
    refused(tmp_path, says=["pretrained_model_path", "huggingface.co/westlake-repl/Cryo-IEF", "academic use only", "--use_conf_encoder False",
                            "random_initial"])


def test_bad_weights_are_refused_before_anything_is_written(tmp_path):
    refused(tmp_path, "--pretrained_model_path", GOLDEN, says=["width is 48", "--encoder_heads"])
    refused(tmp_path, "--pretrained_model_path", tmp_path, says=["holds no model.safetensors"])
    whole = (GOLDEN / "model.safetensors").read_bytes()
    cut = tmp_path / "model.safetensors"
    cut.write_bytes(whole[: len(whole) // 2])
    refused(tmp_path, "--pretrained_model_path", tmp_path, "--encoder_heads", 2, says=["model.safetensors", "truncated"])
    refused(tmp_path, "--pretrained_model_path", GOLDEN, "--encoder_heads", 2, "--encoder_depth", 3, says=["encoder_depth", "their own"])
    refused(tmp_path, *RANDOM, "--encoder_heads", 5, says=["heads"])


def test_terms_of_the_weights_are_told(tmp_path):
    r = cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "out", *KNOWN, *WEIGHTS, "--dry_run", "True")
    assert "academic research only" in r.stderr


def test_encode_gives_the_runs_own_latents_and_those_of_others(tmp_path, rows, tuned):
    out = tmp_path / "own"
    r = cryodeco("encode", tuned, "--particles", JOB, *rows[:2], "--output", out, "--use_gt_poses", "True")
    assert "conf.npy" in r.stdout
    own = np.load(out / "conf.npy")
    assert np.array_equal(np.load(out / "uid.npy"), np.load(tuned / "out/uid.npy"))
    # Batches of another size: products with other numbers of rows round otherwise.
    assert np.abs(own - np.load(tuned / "out/conf.1.npy")).max() < 1e-5 * np.abs(own).max()
    error = np.load(out / "error.npy")
    assert error.shape == (64,) and abs(error.mean() / metrics(tuned, "epoch")[-1]["loss"] - 1) < 0.1
    cryodeco("encode", tuned, "--particles", JOB, "--output", tmp_path / "all", "--threads", 1)
    assert np.load(tmp_path / "all/conf.npy").shape == (1000, 5)
    assert np.abs(np.load(tmp_path / "all/conf.npy")[7:71] - own).max() < 1e-5 * np.abs(own).max()
    assert not (tmp_path / "all/error.npy").exists()


def test_encode_says_what_it_cannot_do(tmp_path, tuned):
    r = cryodeco("encode", tuned, "--particles", JOB, check=False)
    assert r.returncode == 2 and "--output DIR" in r.stderr
    r = cryodeco("encode", tmp_path, "--particles", JOB, "--output", tmp_path / "o", check=False)
    assert r.returncode == 2 and "holds no weights" in r.stderr
    r = cryodeco("encode", tuned, "--particles", JOB, "--output", JOB / "o", check=False)
    assert r.returncode == 2 and "never written to" in r.stderr
