"""What happens around a run: same bits on any number of threads, kills, stops, other runs' results, dry runs, help."""
import json
import os
import pathlib
import random
import re
import resource
import signal
import subprocess
import time

import numpy as np
import pytest
import yaml
from conftest import BRIEF, TINY, command, cryodeco

JOB = TINY / "project/J12"
LONG = os.environ.get("CRYODECO_LONG") == "1"
LEFT_OUT = ("progress.html", "report.html")  # pages with times and places on them


def files(folder):
    """Every file's bytes by its name, but the pages full of times; of a result group all but the line with the time it was made."""
    content = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in LEFT_OUT and not p.name.startswith("events.")}
    return {name: re.sub(rb"created: .*", b"", data) if name.endswith(".csg") else data for name, data in content.items()}


def test_same_bits_on_one_two_and_three_threads(tmp_path):
    runs = []
    for threads in (1, 2, 3):
        outdir = tmp_path / str(threads)
        cryodeco("run", "--particles", JOB, "--outdir", outdir, *BRIEF, "--seed", 7, "--threads", threads, "--epochs_sgd", 1)
        runs.append(files(outdir / "out"))
    assert runs[0].keys() == runs[1].keys() == runs[2].keys()
    for name in runs[0]:
        assert runs[0][name] == runs[1][name] == runs[2][name], name
    assert any(name.endswith(".safetensors") for name in runs[0])


def whole(path):
    """Does a file under its final name open as what its name says?"""
    if path.suffix == ".npy" or path.suffix == ".cs":
        np.load(path)
    elif path.suffix == ".safetensors":
        raw = path.read_bytes()
        n = int.from_bytes(raw[:8], "little")
        end = max((t["data_offsets"][1] for k, t in json.loads(raw[8 : 8 + n]).items() if k != "__metadata__"), default=0)
        assert len(raw) == 8 + n + end
    elif path.suffix == ".mrc":
        raw = path.read_bytes()
        assert len(raw) == 1024 + 4 * np.prod(np.frombuffer(raw, "<i4", 3), dtype=int)
    elif path.suffix in (".yaml", ".csg"):
        assert yaml.safe_load(path.read_text())
    elif path.suffix == ".png":
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82")


@pytest.mark.parametrize("seed", range(40 if LONG else 8))
def test_killed_at_any_moment_no_partial_file_has_its_final_name(tmp_path, seed):
    outdir = tmp_path / "results"
    words = [command(), "run", "--particles", JOB, "--outdir", outdir, *BRIEF, "--checkpoint_minutes", "0", "--epochs_sgd", "3"]
    p = subprocess.Popen([str(w) for w in words], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    time.sleep(random.Random(seed).uniform(0.1, 4))
    p.kill()
    p.wait()
    for path in outdir.rglob("*") if outdir.exists() else []:
        if path.is_file() and not path.name.startswith("."):  # unfinished files are hidden ones
            whole(path)


def test_sigterm_leaves_a_whole_checkpoint_and_exit_code_75(tmp_path):
    outdir = tmp_path / "results"
    p = start(outdir, "--epochs_sgd", "5000")
    p.send_signal(signal.SIGTERM)
    text = p.communicate(timeout=60)[1]
    assert p.returncode == 75, text
    checkpoint = re.search(r"\S+\.safetensors", text)
    assert checkpoint, text
    whole(outdir / "out" / os.path.basename(checkpoint.group(0)))


def start(outdir, *words):
    """A run under way: past its first epoch."""
    words = [command(), "run", "--particles", JOB, "--outdir", outdir, *BRIEF, *words]
    p = subprocess.Popen([str(w) for w in words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    while not (outdir / "metrics.jsonl").exists() or '"event":"epoch"' not in (outdir / "metrics.jsonl").read_text():
        time.sleep(0.05)
        assert p.poll() is None, p.communicate()[1]
    return p


def test_a_second_process_on_the_same_directory_is_refused_and_leaves_no_trace(tmp_path):
    outdir = tmp_path / "results"
    p = start(outdir, "--epochs_sgd", "5000")
    try:
        assert (outdir / "run.lock").read_text() == f"{os.uname().nodename} {p.pid}\n"
        r = cryodeco("run", "--particles", JOB, "--outdir", outdir, *BRIEF, check=False)
        assert r.returncode == 2 and f"process {p.pid} on host {os.uname().nodename}" in r.stderr, r.stderr
        assert not (outdir / "old-out_000").exists()
    finally:
        p.kill()
        p.communicate()
    r = cryodeco("run", "--particles", JOB, "--outdir", outdir, *BRIEF)  # the killed one's lock is no hindrance
    assert f"taken over from process {p.pid}" in r.stderr and not (outdir / "run.lock").exists()


def test_a_run_under_way_is_analysed_beside_it(tmp_path):
    outdir = tmp_path / "results"
    p = start(outdir, "--epochs_sgd", "5000", "--checkpoint_minutes", "0")
    unfinished = outdir / f"out/.conf.7.npy.tmp-{p.pid}-9"
    dead = outdir / "out/.conf.7.npy.tmp-4194304-1"  # beyond the highest number of a process
    try:
        unfinished.touch()
        dead.touch()
        while not list((outdir / "out").glob("checkpoint.*")):
            time.sleep(0.05)
        r = cryodeco("analyze", outdir, "--k_num", "3", "--back_projection", "False")
        again = cryodeco("analyze", outdir, "--k_num", "2", "--flip_hand", "True", "--back_projection", "False")
        assert p.poll() is None and (outdir / "run.lock").read_text() == f"{os.uname().nodename} {p.pid}\n"
        assert unfinished.exists() and dead.exists()  # to be swept by who has the lock
    finally:
        p.send_signal(signal.SIGTERM)
        text = p.communicate(timeout=60)[1]
    assert p.returncode == 75, text
    whole(outdir / "out" / os.path.basename(re.findall(r"\S+\.safetensors", text)[-1]))
    made = pathlib.Path(re.search(r"report +(\S+)/report.html", r.stdout).group(1))
    assert "another process works in" in r.stderr and re.fullmatch(r"analysis_\d+\.\d+", made.name), r.stderr
    assert re.search(r"analysis_\d+\.\d+_flipped", again.stdout)
    assert made.name not in (outdir / "run.log").read_text() and not list(outdir.rglob("*.lock"))  # the log is the run's
    labels = np.load(made / "clustering3/labels.npy")
    cryodeco("subset", outdir, "--analysis", made.name, "--k_num", "3", "--labels", "1", "--output", tmp_path / "one")
    assert len(np.load(tmp_path / "one.cs")) == (labels == 1).sum()


def test_another_runs_results_are_kept_aside(tmp_path):
    outdir = tmp_path / "results"
    outdir.mkdir()
    (outdir / "notes.txt").write_text("mine")
    cryodeco("run", "--particles", JOB, "--outdir", outdir, *BRIEF, "--seed", 1)
    first = files(outdir / "out")
    cryodeco("run", "--particles", JOB, "--outdir", outdir, *BRIEF, "--seed", 2)
    assert files(outdir / "old-out_000/out") == first
    assert (outdir / "old-out_000/job.yaml").exists() and (outdir / "notes.txt").read_text() == "mine"
    cryodeco("run", "--particles", JOB, "--outdir", outdir, *BRIEF, "--seed", 1)
    assert files(outdir / "out") == first and (outdir / "old-out_001/out").exists()


def test_dry_run_checks_and_forecasts_and_writes_nothing(tmp_path):
    r = cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "results", *BRIEF, "--dry_run", "yes")
    assert "forecast" in r.stderr and not (tmp_path / "results").exists()


def test_the_input_is_never_written_to(tmp_path, tiny_copy):
    before = files(tiny_copy)
    for path in [tiny_copy, *tiny_copy.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    cryodeco("run", "--particles", tiny_copy / "J12", "--outdir", tmp_path / "results", *BRIEF)
    assert files(tiny_copy) == before
    for path in [tiny_copy, *tiny_copy.rglob("*")]:
        path.chmod(0o755)


def test_options_from_yaml_and_the_command_line_wins(tmp_path):
    config = tmp_path / "job.yaml"
    config.write_text(f"particles: {JOB}\noutdir: {tmp_path / 'a'}\nk_num: 3\nseed: 5\nuse-gt-poses: yes\nuse_conf_encoder: 0\n"
                      "hypervolume_dim: 32\npe_dim: 8\nhypervolume_layers: 1\nepochs_sgd: 0\nn_imgs_pose_search: 0\nn_imgs_pretrain: 0\n")
    cryodeco("run", "--k-num=2", "--config", config)
    job = yaml.safe_load((tmp_path / "a/job.yaml").read_text())
    assert (job["k_num"], job["seed"], job["hypervolume_dim"]) == (2, 5, 32)


def test_info_says_what_is_there():
    text = cryodeco("info", JOB).stdout
    for word in ("1,000", "32", "4.5", "300", "alignments3D"):
        assert word in text, text
    facts = json.loads(cryodeco("info", JOB, "--json").stdout)
    assert 1000 in facts.values()


def test_info_forecasts_a_run_with_its_options_and_says_what_would_fit():
    settings = ("--use_gt_poses", "True", "--use_conf_encoder", "False", "--epochs_sgd", "1", "--n_imgs_pose_search", "0")
    said = json.loads(cryodeco("info", JOB, "--forecast", "--json", *settings).stdout)
    assert said["fits"] and [(x["name"], x["epochs"]) for x in said["phases"]] == [("pretraining", 1), ("training", 3)]
    assert abs(sum(x["seconds"] for x in said["phases"]) / said["seconds"] - 1) < 1e-6 and said["memory_bytes"] < said["memory_allowed_bytes"]

    def workers(n):
        return json.loads(cryodeco("info", JOB, "--forecast", "--json", *BRIEF, "--threads", "1", "--workers", n).stdout)

    one, two = workers(1), workers(2)
    assert two["workers"] == 2 and two["memory_bytes"] == 2 * one["memory_bytes"]
    # The images are shared: half the time, as far as a machine that does other things tells.
    assert any(workers(2)["seconds"] < 0.8 * workers(1)["seconds"] for _ in range(5))
    text = cryodeco("info", JOB, "--forecast", *settings).stdout
    assert "training: 3 epochs" in text and "memory" in text and "disk" in text
    r = cryodeco("info", JOB, "--epochs_sgd", "1", check=False)  # without the word it is an option of run alone
    assert r.returncode == 2 and "epochs_sgd" in r.stderr


def test_a_run_that_memory_cannot_hold_is_refused_with_the_number_that_fits(tmp_path):
    settings = ("--use_gt_poses", "True", "--use_conf_encoder", "False", "--threads", "1", "--batch_size_known_poses", "4096")

    def small(megabytes):
        return lambda: resource.setrlimit(resource.RLIMIT_DATA, (megabytes << 20, megabytes << 20))

    def forecast(megabytes):
        return json.loads(cryodeco("info", JOB, "--forecast", "--json", *settings, preexec_fn=small(megabytes)).stdout)

    none = forecast(60)  # less than its decoder alone
    assert not none["fits"] and none["particles_that_fit"] == 0 and "no number of particles" in none["why_not"]
    limit = (none["memory_bytes"] >> 20) - 8
    said = forecast(limit)
    assert not said["fits"] and said["batch_that_fits"] == 2048 and "batches of at most 2048" in said["why_not"]
    r = cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "results", *settings, check=False, preexec_fn=small(limit))
    assert r.returncode == 2 and "batches of at most" in r.stderr and not (tmp_path / "results").exists()


def test_help_options_version_and_plugin():
    assert "run" in cryodeco("--help").stdout
    for name in ("run", "analyze", "info", "simulate", "bench"):
        assert "--" in cryodeco(name, "--help").stdout
    assert re.match(r"cryodeco \d+\.\d+\.\d+ \(\w+", cryodeco("--version").stdout)
    table = cryodeco("options").stdout
    for name in ("hypervolume_dim", "k_num", "epochs_sgd", "lr_conf_table"):
        assert name in table
    plugin = json.loads(cryodeco("plugin").stdout)
    assert {"job_type", "inputs", "parameters", "outputs"} <= set(plugin)
    assert cryodeco("fly", check=False).returncode == 2


@pytest.mark.skipif(not LONG, reason="long")
def test_memory_does_not_grow_with_the_particles_beyond_1_kB_each(tmp_path):
    peak = {}
    for n in (10_000, 100_000):
        cryodeco("simulate", TINY / "truth/maps/class_0.mrc", "--n_particles", n, "--box", 32, "--psize_A", 4.5, "--outdir", tmp_path / str(n),
                 timeout=3600)
        job = next((tmp_path / str(n) / "project").iterdir())
        words = ["/usr/bin/env", "python3", "-c",
                 "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
                 "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)",
                 command(), "run", "--particles", job, "--outdir", tmp_path / f"run{n}", *BRIEF, "--k_num", "1"]
        r = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=True)
        peak[n] = int(r.stdout.split()[-1]) * 1024
    assert (peak[100_000] - peak[10_000]) / 90_000 < 1000, peak
