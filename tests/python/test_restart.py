"""A run that is killed, stopped, asked for a checkpoint, out of disk or lost ends as it would have, or says why not."""
import collections
import json
import os
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import time

import pytest
import yaml
from checkpoints import blow_up, newest, on_the_way, read
from conftest import BRIEF, TINY, command, cryodeco

JOB = TINY / "project/J12"
LONG = os.environ.get("CRYODECO_LONG") == "1"
OFTEN = 0.002  # minutes between checkpoints: 0.12 s, several an epoch
# Pretraining, search epochs, and two kinds of epochs after them: all phases in two seconds.
SEARCH = """--use_conf_encoder False --k_num 2 --conf_table_dim 2 --hypervolume_layers 1 --feat_sigma 1 --lr 1e-3 --lr_conf_table 1e-2
            --hypervolume_dim 32 --pe_dim 8 --search_radii 6,8,10 --l_start 6 --base_healpy 1 --search_n_iter 1,2 --batch_size_hps 32
            --batch_size_pretrain 32 --batch_size_sgd 32 --snapshot_centroids 2""".split()
# The same with an initial model in their place.
INITIAL = [x for x in SEARCH if x not in ("--search_radii", "6,8,10")] + """--initial_radii 6,8 --initial_state_radii 8,8 --initial_states 2
            --initial_starts 2 --settle_epochs 1 --pose_refine gauss_newton --refine_radii 8,8,10""".split()
PLANS = {
    "known poses": [*BRIEF, "--n_imgs_pretrain", "1000", "--epochs_sgd", "3"],
    "search, table": [*SEARCH, "--epochs_sgd", "3"],
    "initial model": INITIAL,
    "search, Gauss-Newton": [*SEARCH, "--pose_refine", "gauss_newton", "--refine_radii", "8,10"],
}



def results(outdir):
    """Every file's bytes under out/ but for checkpoints on the way, and what holds times: the progress page, the report with the log, and TensorBoard's
    events; of a result group all but its time."""
    content = {}
    for p in sorted((outdir / "out").rglob("*")):
        if p.is_file() and not p.name.startswith(("checkpoint.", "events.")) and p.name not in ("progress.html", "report.html"):
            data = p.read_bytes()
            if p.suffix == ".csg":
                data = data.split(b"created:")[0]
            content[str(p.relative_to(outdir))] = data
    return content


def same_results(a, b, leave_out=()):
    a, b = ({name: data for name, data in results(x).items() if not name.startswith(tuple(leave_out))} for x in (a, b))
    assert a.keys() == b.keys()
    assert [name for name in a if a[name] != b[name]] == []


def metrics(outdir, event):
    return [x for x in map(json.loads, (outdir / "metrics.jsonl").read_text().splitlines()) if x["event"] == event]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Each plan run once to its end, and how long that took."""
    done = {}

    def run(name, *more):
        key = (name, *more)
        if key not in done:
            outdir = tmp_path_factory.mktemp("whole") / "run"
            start = time.time()
            cryodeco("run", "--particles", JOB, "--outdir", outdir, *PLANS[name], *more, "--seed", 3)
            done[key] = outdir, time.time() - start
        return done[key]

    return run


def start(outdir, *words, **keywords):
    words = [command(), "run", "--particles", JOB, "--outdir", outdir, *words]
    return subprocess.Popen([str(w) for w in words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, **keywords)


def wait_for(p, condition):
    while not condition():
        assert p.poll() is None, p.communicate()[1]
        time.sleep(0.01)


def epochs_of(outdir):
    """Epochs done so far; the file may end in half a line."""
    path = outdir / "metrics.jsonl"
    return path.read_text().count('"event":"epoch"') if path.exists() else 0


@pytest.mark.parametrize("plan", PLANS)
def test_killed_at_any_moment_and_resumed_ends_to_the_bit_as_without(tmp_path, uninterrupted, plan):
    """Chains of kills until there were enough of them; every chain's end is compared."""
    whole, seconds = uninterrupted(plan)
    dice = random.Random(plan)
    kills, hit, chain = 0, collections.Counter(), 0
    while kills < (13 if LONG else 2):  # fifty in all plans
        outdir = tmp_path / str(chain)
        while True:
            p = start(outdir, *PLANS[plan], "--seed", 3, "--checkpoint_minutes", OFTEN, "--resume", "auto", "--threads", dice.choice([1, 2]))
            try:
                text = p.communicate(timeout=dice.uniform(0.05, 0.8 * seconds))[1]
                break
            except subprocess.TimeoutExpired:
                p.kill()
                p.communicate()
                kills += 1
                hit[epochs_of(outdir)] += 1
        assert p.returncode == 0, text
        same_results(whole, outdir)
        told, expected = metrics(outdir, "epoch"), metrics(whole, "epoch")
        assert [x["epoch"] for x in told] == [x["epoch"] for x in expected]  # each once
        for name in ("loss", "images", "lr_decoder", "lr_latents", "radius", "kind", "moved_deg", "moved_px", "moved_latents"):
            assert [x.get(name) for x in told] == [x.get(name) for x in expected], name
        maps = [[(x["epoch"], x.get("agreement_A")) for x in metrics(run, "map")] for run in (outdir, whole)]
        assert maps[0] == maps[1]  # also the first after a restart is compared with the one before
        assert not (outdir / "old-out_000").exists() and not (outdir / "run.lock").exists()
        assert not list(outdir.rglob(".*.tmp-*"))
        assert len(on_the_way(outdir)) <= 2
        chain += 1
    print(f"{plan}: {kills} kills, after epochs done: {dict(sorted(hit.items()))}")


@pytest.mark.parametrize("way", ["SIGTERM", pytest.param("SIGINT", marks=pytest.mark.skipif(not LONG, reason="long")), "STOP"])
def test_stopped_by_signal_or_file_leaves_a_checkpoint_and_goes_on_to_the_bit(tmp_path, uninterrupted, way):
    more = ["--epochs_sgd", "40"] if way == "STOP" else []  # the file is looked for once a second: it is to find the run in training
    whole, _ = uninterrupted("search, table", *more)
    outdir, words = tmp_path / "run", [*PLANS["search, table"], *more, "--seed", 3]
    p = start(outdir, *words)
    wait_for(p, lambda: epochs_of(outdir) >= 2)
    (outdir / "STOP").touch() if way == "STOP" else p.send_signal(getattr(signal, way))
    text = p.communicate(timeout=60)[1]
    assert p.returncode == 75 and "--resume auto" in text, text
    assert not (outdir / "STOP").exists() and not (outdir / "run.lock").exists()
    assert str(newest(outdir)) in text
    r = cryodeco("run", "--outdir", outdir, "--resume", "auto")  # all options are the run's own
    assert "going on in epoch" in r.stderr
    same_results(whole, outdir)


def test_a_stop_does_not_wait_for_the_end_of_a_long_search_batch(tmp_path):
    """The exact engine takes minutes for all images at once; the checkpoint is that of the batch's beginning."""
    outdir = tmp_path / "run"
    p = start(outdir, *SEARCH, "--pose_search_engine", "exact", "--search_batch", 1000, "--base_healpy", 2, "--epochs_sgd", 1, "--seed", 3)
    wait_for(p, lambda: epochs_of(outdir) >= 1)
    time.sleep(1)  # in the search by now
    asked = time.time()
    p.send_signal(signal.SIGTERM)
    text = p.communicate(timeout=60)[1]
    assert p.returncode == 75 and "in epoch 0, after batch 0 of 1" in text, text
    assert time.time() - asked < 20
    assert newest(outdir).exists()


def test_stopped_in_the_analysis_only_the_analysis_is_missing(tmp_path):
    outdir = tmp_path / "run"
    p = start(outdir, *BRIEF, "--k_num", "60", "--seed", 3)
    wait_for(p, lambda: (outdir / "run.log").exists() and "clustering 1000 latents" in (outdir / "run.log").read_text())
    p.send_signal(signal.SIGTERM)
    text = p.communicate(timeout=60)[1]
    assert p.returncode == 75 and re.search("stopped (during the analysis|while maps were made)", text), text
    assert not list((outdir / "out").glob("analysis_*"))
    r = cryodeco("run", "--outdir", outdir, "--resume", "auto")
    assert "only its analysis is missing" in r.stderr and (outdir / "out/analysis_1/clustering60").exists()
    assert not list((outdir / "out").glob(".analysis*"))


def test_stopped_by_file_in_the_analysis_only_the_analysis_is_missing(tmp_path):
    outdir = tmp_path / "run"
    p = start(outdir, *BRIEF, "--k_num", "500", "--seed", 3)
    wait_for(p, lambda: (outdir / "run.log").exists() and "clustering 1000 latents" in (outdir / "run.log").read_text())
    (outdir / "STOP").touch()
    text = p.communicate(timeout=60)[1]
    assert p.returncode == 75 and "STOP is there" in text, text
    assert not (outdir / "STOP").exists() and not list((outdir / "out").glob("analysis_*"))


def test_time_is_over_and_the_next_run_goes_on(tmp_path):
    outdir, words = tmp_path / "run", [*BRIEF, "--seed", 3, "--epochs_sgd", "2000"]
    r = cryodeco("run", "--particles", JOB, "--outdir", outdir, *words, "--max_hours", 3 / 3600, check=False)
    assert r.returncode == 75 and "max_hours is near" in r.stderr and "--resume auto" in r.stderr, r.stderr
    at = int(newest(outdir).name.split(".")[1])
    r = cryodeco("run", "--outdir", outdir, "--resume", "auto", "--max_hours", 4 / 3600, check=False)
    assert r.returncode == 75 and "going on in epoch" in r.stderr and int(newest(outdir).name.split(".")[1]) > at, r.stderr


def test_killed_behind_the_analysis_and_before_the_report_leaves_no_half_of_them(tmp_path, uninterrupted):
    whole, _ = uninterrupted("known poses")
    outdir = tmp_path / "run"
    p = start(outdir, *PLANS["known poses"], "--seed", 3)
    while p.poll() is None and not (outdir / "out/.analysis_4.new/loss.png").exists():
        time.sleep(0.001)
    p.kill()
    p.communicate()
    cryodeco("run", "--outdir", outdir, "--resume", "auto")
    assert (outdir / "out/analysis_4/report.html").exists() and not list(outdir.rglob(".*.tmp-*"))
    same_results(whole, outdir)


def test_stop_file_of_before_stops_nothing(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/STOP").touch()
    r = cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "run", *BRIEF)
    assert "is removed" in r.stderr and not (tmp_path / "run/STOP").exists()


def test_sigusr2_writes_a_checkpoint_and_the_run_goes_on(tmp_path, uninterrupted):
    whole, _ = uninterrupted("known poses")
    outdir = tmp_path / "run"
    p = start(outdir, *PLANS["known poses"], "--seed", 3)
    wait_for(p, lambda: epochs_of(outdir) >= 2)
    p.send_signal(signal.SIGUSR2)
    wait_for(p, lambda: on_the_way(outdir))
    text = p.communicate(timeout=60)[1]
    assert p.returncode == 0 and f"checkpoint: {on_the_way(outdir)[0]}" in text, text
    same_results(whole, outdir)


def stopped(outdir, plan, after=2, seed=3):
    """A run of which two checkpoints on the way are left, killed."""
    p = start(outdir, *PLANS[plan], "--seed", seed, "--checkpoint_minutes", OFTEN)
    wait_for(p, lambda: epochs_of(outdir) >= after and len(on_the_way(outdir)) == 2)
    p.send_signal(signal.SIGTERM)
    text = p.communicate(timeout=60)[1]
    assert p.returncode == 75, text
    return outdir


def test_a_flipped_bit_is_refused_by_checksum_and_the_checkpoint_before_is_used(tmp_path, uninterrupted):
    whole, _ = uninterrupted("known poses")
    outdir = stopped(tmp_path / "run", "known poses")
    bad = newest(outdir)
    raw = bytearray(bad.read_bytes())
    raw[len(raw) // 2] ^= 4
    bad.write_bytes(raw)
    r = cryodeco("run", "--outdir", outdir, "--resume", str(bad), check=False)  # asked for by name there is no other
    assert r.returncode == 2 and "checksum" in r.stderr
    r = cryodeco("run", "--outdir", outdir, "--resume", "auto")
    assert bad.name in r.stderr and "checksum" in r.stderr and "going on from the one before" in r.stderr
    assert (outdir / "old-out_000/out" / bad.name).exists() and not bad.exists()
    same_results(whole, outdir)


def test_nothing_but_damaged_checkpoints_is_an_error_and_nothing_is_touched(tmp_path):
    outdir = stopped(tmp_path / "run", "known poses")
    for path in (outdir / "out").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-4])
    before = results(outdir)
    r = cryodeco("run", "--outdir", outdir, "--resume", "auto", check=False)
    assert r.returncode == 2 and "error: " in r.stderr and results(outdir) == before


def test_going_back_to_an_epoch_keeps_aside_what_lies_beyond(tmp_path, uninterrupted):
    whole, _ = uninterrupted("known poses")
    outdir = stopped(tmp_path / "run", "known poses", after=3)
    later = newest(outdir).name
    cryodeco("run", "--outdir", outdir, "--resume", "-1")
    assert (outdir / "old-out_000/out" / later).exists()
    same_results(whole, outdir)
    assert [x["epoch"] for x in metrics(outdir, "epoch")] == [x["epoch"] for x in metrics(whole, "epoch")]
    r = cryodeco("run", "--outdir", outdir, "--resume", "2", check=False)
    assert r.returncode == 2 and "weights.2.safetensors: not found" in r.stderr


def test_a_stopped_run_can_be_analysed_as_it_stands_and_still_goes_on(tmp_path, uninterrupted):
    whole, _ = uninterrupted("known poses")
    outdir = stopped(tmp_path / "run", "known poses", after=3)
    epoch = int(newest(outdir).name.split(".")[1])
    r = cryodeco("analyze", outdir)
    analysis = outdir / f"out/analysis_{epoch}"
    assert "as it stands" in r.stderr and len(list(analysis.glob("clustering2/vol_*.mrc"))) == 2
    cryodeco("run", "--outdir", outdir, "--resume", "auto")
    assert (outdir / f"old-out_000/out/analysis_{epoch}/report.html").exists()  # the run's own is not taken for made
    shutil.rmtree(outdir / "old-out_000")
    same_results(whole, outdir)
    before = results(outdir)
    cryodeco("analyze", outdir)  # of a finished run, from its weights: the same again
    assert results(outdir) == before


def test_what_would_be_another_run_is_refused_by_name(tmp_path, tiny_copy):
    outdir = stopped(tmp_path / "run", "known poses")
    before = results(outdir)

    def refused(*words):
        r = cryodeco("run", "--outdir", outdir, "--resume", "auto", *words, check=False)
        assert r.returncode == 2 and results(outdir) == before and not (outdir / "run.lock").exists(), r.stderr
        return r.stderr

    text = refused("--lr", "0.5", "--epochs_sgd", "1", "--k_num", "3")
    assert "lr was 0.001 and is 0.5" in text and "epochs_sgd was 3 and is 1" in text and "k_num" not in text
    assert "the input changed since the run" in refused("--particles", TINY / "project/J14/split_0001.cs")
    stack = sorted((tiny_copy / "J12/downsample").iterdir())[2]
    raw = bytearray(stack.read_bytes())
    raw[-2048:] = raw[-4096:-2048]  # the last of its images is the last but one
    stack.write_bytes(raw)
    assert "the images changed since the run" in refused("--particles", tiny_copy / "J12")


def test_a_finished_run_has_nothing_to_do_unless_asked_for_more(tmp_path):
    outdir, words = tmp_path / "run", [*PLANS["known poses"], "--seed", 3, "--resume", "auto", "--particles", JOB]
    r = cryodeco("run", "--outdir", outdir, *words)
    assert "a new one begins" in r.stderr
    before = {p: p.stat().st_mtime_ns for p in outdir.rglob("*")}
    r = cryodeco("run", "--outdir", outdir, *words)
    assert "nothing to do" in r.stderr and "clustering2" in r.stdout
    assert {p: p.stat().st_mtime_ns for p in outdir.rglob("*")} == before
    dead = subprocess.Popen(["true"])
    dead.wait()
    (outdir / f"out/.progress.html.tmp-{dead.pid}-7").touch()  # of a run killed while it put down its last page
    cryodeco("run", "--outdir", outdir, *words)
    assert {*outdir.rglob("*")} == {*before}
    r = cryodeco("run", "--outdir", outdir, "--resume", "auto", "--k_num", "3")
    assert "only its analysis is missing" in r.stderr and (outdir / "out/analysis_4/clustering3").exists()
    cryodeco("run", "--outdir", outdir, "--resume", "auto", "--k_num", "3", "--epochs_sgd", "5")
    whole = tmp_path / "whole"
    cryodeco("run", "--particles", JOB, "--outdir", whole, *PLANS["known poses"], "--seed", 3, "--epochs_sgd", "5")
    assert (outdir / "out/weights.6.safetensors").read_bytes() == (whole / "out/weights.6.safetensors").read_bytes()
    assert yaml.safe_load((outdir / "job.yaml").read_text())["epochs_sgd"] == 5 and (outdir / "out/analysis_6").exists()


def test_going_on_with_other_kernels_is_said(tmp_path):
    outdir = tmp_path / "run"
    p = start(outdir, *PLANS["known poses"], "--seed", 3, "--epochs_sgd", "0", env=dict(os.environ, CRYODECO_KERNELS="plain"))
    assert not p.communicate()[1].count("kernels until here") and p.returncode == 0
    on = ["run", "--outdir", outdir, "--resume", "auto", "--epochs_sgd"]
    assert "made with plain kernels until here and goes on with" in cryodeco(*on, "1").stderr
    assert "kernels until here" not in cryodeco(*on, "2").stderr


def test_resume_without_a_run_says_so(tmp_path):
    r = cryodeco("run", "--outdir", tmp_path / "run", "--resume", "5", check=False)
    assert r.returncode == 2 and "job.yaml: not found" in r.stderr and not (tmp_path / "run").exists()
    r = cryodeco("run", "--outdir", tmp_path / "run", "--resume", "auto", check=False)
    assert r.returncode == 2 and "particles is not given" in r.stderr and not (tmp_path / "run").exists()


def test_full_disk_during_a_checkpoint_the_old_one_stands_and_the_run_goes_on(tmp_path, uninterrupted):
    """A file-size limit stands in for the full disk: it is put on the process and taken off again."""
    whole, _ = uninterrupted("known poses")
    outdir = tmp_path / "run"
    p = start(outdir, *PLANS["known poses"], "--seed", 3, "--checkpoint_minutes", OFTEN, restore_signals=False)
    wait_for(p, lambda: epochs_of(outdir) >= 2 and on_the_way(outdir))
    resource.prlimit(p.pid, resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
    stands = newest(outdir)
    wait_for(p, lambda: "the run goes on" in (outdir / "run.log").read_text())
    assert stands.exists() and read(stands)
    resource.prlimit(p.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    text = p.communicate(timeout=60)[1]
    assert p.returncode == 0 and "File too large; the run goes on" in text, text
    same_results(whole, outdir, ("out/progress/", "out/reconstruct.0"))  # pictures are not tried again


def test_full_disk_at_the_end_is_exit_code_1_and_resume_finishes(tmp_path, uninterrupted):
    whole, _ = uninterrupted("known poses")
    outdir = tmp_path / "run"
    p = start(outdir, *PLANS["known poses"], "--seed", 3, "--checkpoint_minutes", OFTEN, restore_signals=False)
    wait_for(p, lambda: on_the_way(outdir))
    resource.prlimit(p.pid, resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
    text = p.communicate(timeout=60)[1]
    assert p.returncode == 1 and "error: " in text, text
    cryodeco("run", "--outdir", outdir, "--resume", "auto")
    same_results(whole, outdir, ("out/progress/", "out/reconstruct.0"))


@pytest.mark.parametrize("tenth", range(10) if LONG else (3,))
def test_a_disk_that_fills_up_anywhere_leaves_whole_checkpoints(tmp_path, uninterrupted, tenth):
    """On a small disk of its own, to which another writes once the run has begun: room for so many tenths of what the run leaves. Then there is room again."""
    whole, _ = uninterrupted("search, table")
    room = int(sum(p.stat().st_size for p in whole.rglob("*") if p.is_file()) * (tenth + 0.37) / 10)
    words = ["run", "--outdir", "/mnt/run", "--particles", JOB, *PLANS["search, table"], "--seed", 3, "--checkpoint_minutes", OFTEN]
    script = f"""mount -t tmpfs -o size=128m none /mnt || exit 99
        {shlex.join([command(), *map(str, words)])} 2>&1 & run=$!
        until [ -e /mnt/run/metrics.jsonl ]; do sleep 0.01; kill -0 $run || exit 98; done
        head -c $(($(df --output=avail -B1 /mnt | tail -n 1) - {room})) /dev/zero >/mnt/other
        wait $run; echo code $?
        cp -r /mnt/run {tmp_path}/full; rm /mnt/other
        {shlex.join([command(), *map(str, words), "--resume", "auto"])} >&2 && cp -r /mnt/run {tmp_path}/run"""
    r = subprocess.run(["unshare", "-Urm", "sh", "-c", script], capture_output=True, text=True)
    if r.returncode == 99 or "unshare" in r.stderr:
        pytest.skip("no small disks can be made here")
    assert r.returncode == 0, r.stdout + r.stderr
    assert "code 1\n" in r.stdout and "error: " in r.stdout and "No space left" in r.stdout if tenth < 6 else "code " in r.stdout, r.stdout
    for path in (tmp_path / "full").rglob("*.safetensors"):
        assert path.name.startswith(".") or read(path)
    same_results(whole, tmp_path / "run", ("out/progress/", "out/reconstruct."))  # pictures are not tried again


def test_divergence_goes_back_with_half_the_learning_rates(tmp_path):
    outdir = tmp_path / "run"
    r = cryodeco("run", "--particles", JOB, "--outdir", outdir, *PLANS["known poses"], "--seed", 3, "--lr", "1")
    assert "training diverged" in r.stderr and "learning rates of 1/2" in r.stderr
    assert [x["halvings"] for x in metrics(outdir, "rollback")] == [1]
    told = metrics(outdir, "epoch")
    assert [x["epoch"] for x in told] == [-1, 0, 1, 2, 3, 4] and {x["lr_decoder"] for x in told} == {0.5}
    assert read(outdir / "out/weights.4.safetensors")[0]["halvings"] == "1"  # a resumed run goes on so
    cryodeco("run", "--outdir", outdir, "--resume", "auto", "--epochs_sgd", "4")
    assert metrics(outdir, "epoch")[-1]["lr_decoder"] == 0.5


def test_divergence_for_the_fourth_time_is_an_error_that_says_what_to_lower(tmp_path):
    outdir = tmp_path / "run"
    r = cryodeco("run", "--particles", JOB, "--outdir", outdir, *PLANS["known poses"], "--seed", 3, "--lr", "1", "--hypervolume_layers", "8",
                 "--decoder_ln", "False", "--n_imgs_pretrain", "200", check=False)
    assert r.returncode == 1 and r.stderr.count("going back") == 3
    assert "halved 3 times" in r.stderr and "--lr" in r.stderr.splitlines()[-1]


def test_a_checkpoint_that_was_lost_already_is_left_for_the_one_before(tmp_path):
    """Whole by its checksum, but its decoder is blown up: gone back to once, then not a second time."""
    outdir = stopped(tmp_path / "run", "known poses")
    lost = newest(outdir)
    blow_up(lost, "decoder.final_fc.weight" if "decoder.final_fc.weight" in read(lost)[1] else last_weight(lost), 1e6)
    r = cryodeco("run", "--outdir", outdir, "--resume", "auto")
    assert r.stderr.count("going back") == 2 and (outdir / "old-out_000/out" / lost.name).exists()
    assert read(outdir / "out/weights.4.safetensors")[0]["halvings"] == "2"


def last_weight(path):
    """The decoder's last layer, whose size is the loss's."""
    return [name for name in read(path)[1] if name.startswith("decoder.") and name.endswith(".weight")][-1]
