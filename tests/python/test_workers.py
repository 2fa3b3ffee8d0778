"""Several processes train one model: the same losses as one, the same bits twice, and when one of them is lost one message and no process."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest
from conftest import BRIEF, TINY, command, cryodeco

JOB = TINY / "project/J12"
LONG = os.environ.get("CRYODECO_LONG") == "1"
long = pytest.mark.skipif(not LONG, reason="seconds each; ./bootstrap test --long")
KNOWN = [*BRIEF, "--n_imgs_pretrain", "256", "--epochs_sgd", "1", "--batch_size_known_poses", "30", "--threads", "1"]  # 3 epochs; a last batch of 10
SEARCH = """--use_conf_encoder False --k_num 2 --conf_table_dim 2 --hypervolume_layers 1 --feat_sigma 1 --lr 1e-3 --lr_conf_table 1e-2 --threads 1
            --hypervolume_dim 32 --pe_dim 8 --search_radii 6,8 --l_start 6 --base_healpy 1 --search_n_iter 1,2 --batch_size_hps 32 --hold_out 0.1
            --batch_size_pretrain 32 --batch_size_sgd 32 --snapshot_centroids 2 --epochs_sgd 1""".split()
ENCODER = """--use_gt_poses True --use_conf_encoder True --finetune_strategy random_initial --encoder_width 48 --encoder_depth 2 --encoder_heads 3
             --feature_dim 4 --k_num 2 --n_imgs_pretrain 64 --n_imgs_pose_search 0 --epochs_sgd 1 --hypervolume_dim 32 --pe_dim 8 --hypervolume_layers 1
             --batch_size_known_poses 50 --lr_conf_encoder 1e-3 --threads 1""".split()


def train(outdir, workers, options, *more, check=True):
    return cryodeco("run", "--particles", JOB, "--outdir", outdir, *options, "--seed", 5, "--workers", workers, "--batch_is_global", "True", *more, check=check)


def epochs(outdir):
    return [x for x in map(json.loads, (outdir / "metrics.jsonl").read_text().splitlines()) if x["event"] == "epoch"]


def newest_weights(outdir):
    return max((outdir / "out").glob("weights.*.safetensors"), key=lambda p: int(p.name.split(".")[1])).read_bytes()


def same_losses(a, b):
    """A float32 sum of 2^k numbers in another order is off by up to k·2^-24 of the numbers' size, and a step of Adam turns the sign of a gradient
    that is nothing but such error into a whole step of its rate. What is equal at first (1e-6, a few last bits) therefore grows with the steps, by
    a factor of about 10 an epoch of 34 steps here: 1e-5 in the first epoch, ten times that in each one after it."""
    a, b = epochs(a), epochs(b)
    assert [(x["epoch"], x["images"]) for x in a] == [(x["epoch"], x["images"]) for x in b]
    for i, (x, y) in enumerate(zip(a, b)):
        assert x["loss"] == pytest.approx(y["loss"], rel=1e-5 * 10**i)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    outdir = tmp_path_factory.mktemp("alone") / "run"
    train(outdir, 1, KNOWN)
    return outdir


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    outdir = tmp_path_factory.mktemp("two") / "run"
    train(outdir, 2, KNOWN)
    return outdir


def test_a_batch_of_all_together_gives_the_losses_of_one_worker(alone, two):
    same_losses(alone, two)


@long
@pytest.mark.parametrize("workers", [2, 4])
def test_the_same_number_of_workers_gives_the_same_bits(tmp_path, alone, workers):
    for name in "run", "again":
        train(tmp_path / name, workers, KNOWN)
    same_losses(alone, tmp_path / "run")
    assert newest_weights(tmp_path / "run") == newest_weights(tmp_path / "again")


@long
@pytest.mark.parametrize("options", [SEARCH, ENCODER, [*SEARCH, "--pose_refine", "gauss_newton"]], ids=["search", "encoder", "refinement"])
def test_search_and_encoder_give_the_losses_of_one_worker_too(tmp_path, options):
    for workers in (1, 2, 4):
        train(tmp_path / str(workers), workers, options)
    for workers in (2, 4):
        first = [e["loss"] for e in epochs(tmp_path / "1")]
        # A pose that moves to the next one of the grid changes its image's loss: nothing but the first epochs is equal to the last bits.
        for a, b in zip(first, [e["loss"] for e in epochs(tmp_path / str(workers))]):
            assert b == pytest.approx(a, rel=1e-5 if options is ENCODER else 5e-3)
        train(tmp_path / f"{workers} again", workers, options)
        assert newest_weights(tmp_path / str(workers)) == newest_weights(tmp_path / f"{workers} again")


def test_each_worker_has_a_batch_and_rates_are_times_their_number(tmp_path, alone):
    cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "run", *KNOWN, "--seed", 5, "--workers", 3, "--log_interval", "90", "--threads", 0)
    one, three = epochs(alone)[-1], epochs(tmp_path / "run")[-1]
    for rate in ("lr_decoder", "lr_latents"):
        assert three[rate] == pytest.approx(3 * one[rate], rel=1e-2)  # of the last batch: the schedule has moved on less far in fewer batches
    steps = [x["images"] for x in map(json.loads, (tmp_path / "run/metrics.jsonl").read_text().splitlines()) if x["event"] == "losses" and x["epoch"] == 0]
    assert steps[:3] == [90, 180, 270]  # images of a step: 30 of each
    log = (tmp_path / "run/run.log").read_text()
    share = int(re.search(r"this one with (\d+) thread", log)[1])
    looked = cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "none", *KNOWN, "--threads", 0, "--dry_run", "True").stderr
    cores = int(re.search(r"(\d+) threads?\b", looked)[1])
    assert share == max(1, cores // 3)
    assert cores == share or f"the other workers are done: the analysis has {cores} threads" in log


def start(outdir, workers, *options):
    return subprocess.Popen([command(), "run", "--particles", str(JOB), "--outdir", str(outdir), *map(str, options), "--seed", "5", "--workers", str(workers),
                             "--batch_is_global", "True"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def workers_of(process):
    return sorted(int(x) for x in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())


def wait_for(outdir, words, process):
    end = time.time() + 60
    while time.time() < end and process.poll() is None:
        if (outdir / "run.log").exists() and words in (outdir / "run.log").read_text():
            return
        time.sleep(0.01)
    raise AssertionError(f"{words} did not come\n{process.communicate()[1]}")


LONGER = [*KNOWN, "--epochs_sgd", "6", "--checkpoint_minutes", "0.002"]


@pytest.mark.parametrize("which,number,words", [
    (2, signal.SIGKILL, "worker 2 of 4"),
    pytest.param(0, signal.SIGKILL, "worker 0 of 4", marks=long),
    pytest.param(1, signal.SIGSTOP, "no sign of life for 1", marks=long),
])
def test_a_lost_worker_ends_the_job_with_one_message_and_a_whole_checkpoint(tmp_path, which, number, words):
    outdir = tmp_path / "run"
    process = start(outdir, 4, *LONGER, "--worker_timeout", "50")
    wait_for(outdir, "epoch 1:", process)
    children = workers_of(process)
    assert len(children) == 4
    os.kill(children[which], number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(re.findall("^error: ", said, re.M)) == 1 and words in said, said
    assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in children)
    assert not list((outdir / "out").glob("*.tmp*"))
    if not LONG:
        return
    r = train(outdir, 2, LONGER, "--resume", "auto")
    assert "going on in epoch" in r.stderr
    assert epochs(outdir)[-1]["epoch"] == 7


@long
def test_a_signal_stops_all_at_one_step_and_any_number_goes_on(tmp_path):
    whole, outdir = tmp_path / "whole", tmp_path / "run"
    train(whole, 2, LONGER)
    process = start(outdir, 2, *LONGER)
    wait_for(outdir, "epoch 1:", process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75 and "go on with --resume auto" in said, said
    shutil.copytree(outdir, tmp_path / "other")
    train(outdir, 2, LONGER, "--resume", "auto")
    assert newest_weights(whole) == newest_weights(outdir)
    train(tmp_path / "other", 3, LONGER, "--resume", "auto")
    assert [x["images"] for x in epochs(tmp_path / "other")] == [x["images"] for x in epochs(whole)]


@long
def test_sigusr2_writes_a_checkpoint_and_all_go_on(tmp_path):
    outdir = tmp_path / "run"
    process = start(outdir, 2, *KNOWN, "--epochs_sgd", "6")
    wait_for(outdir, "epoch 1:", process)
    process.send_signal(signal.SIGUSR2)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0 and "checkpoint: " in said, said


def test_bad_input_is_said_once(tmp_path):
    r = train(tmp_path / "run", 3, [*KNOWN, "--k_num", "100000"], check=False)
    assert r.returncode == 2 and r.stderr.count("error:") == 1, r.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not shutil.which("mpirun"), reason="there is no mpirun")
@pytest.mark.parametrize("options,words", [(["--no_such_option", "1"], "there is no option"), (["--use_conf_encoder", "True"], "pretrained_model_path")])
def test_bad_options_are_said_once_under_mpirun(tmp_path, options, words):
    r = subprocess.run(["mpirun", "--oversubscribe", "--allow-run-as-root", "-n", "3", command(), "run", "--particles", str(JOB), "--outdir",
                        str(tmp_path / "run"), *KNOWN, *options], capture_output=True, text=True, timeout=60)
    assert r.returncode == 2 and r.stderr.count("error: ") == 1 and words in r.stderr, r.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not shutil.which("mpirun"), reason="there is no mpirun")
def test_mpi_gives_the_bits_of_sockets(tmp_path, two):
    mpi = ["mpirun", "--oversubscribe", "--allow-run-as-root", "-n", "2"]
    if not (pathlib.Path(command()).parents[1] / "libcryodeco_mpi.so").exists():
        pytest.skip("built without MPI")
    r = subprocess.run([*mpi, command(), "run", "--particles", str(JOB), "--outdir", str(tmp_path / "mpi"), *KNOWN, "--seed", "5", "--batch_is_global", "True"],
                       capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, r.stderr
    assert newest_weights(two) == newest_weights(tmp_path / "mpi")


@pytest.mark.skipif(not shutil.which("mpirun") or not LONG, reason="seconds of waiting; ./bootstrap test --long")
def test_a_lost_worker_of_mpi_is_named(tmp_path):
    outdir = tmp_path / "run"
    process = subprocess.Popen(["mpirun", "--oversubscribe", "--allow-run-as-root", "-n", "4", command(), "run", "--particles", str(JOB), "--outdir", str(outdir),
                                *LONGER, "--seed", "5"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(outdir, "epoch 1:", process)
    os.kill(workers_of(process)[2], signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert len(re.findall("^error: ", said, re.M)) == 1 and "worker 2 of 4" in said, said
