"""Bad input through the command: one clear message, exit code 2, nothing left behind. The particle set's own tests are in C."""
import os
import re

import numpy as np
import pytest
from conftest import BRIEF, TINY, cryodeco

JOB = TINY / "project/J12"


def refused(tmp_path, *words, says, code=2):
    """Runs `cryodeco run`, which must refuse and leave nothing."""
    outdir = tmp_path / "results"
    before = sorted(p for p in tmp_path.rglob("*"))
    r = cryodeco("run", "--outdir", outdir, *words, check=False)
    assert r.returncode == code, r.stderr
    errors = [line for line in r.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, r.stderr
    for word in [says] if isinstance(says, str) else says:
        assert word in errors[0], errors[0]
    assert not r.stdout
    assert sorted(p for p in tmp_path.rglob("*")) == before
    return errors[0]


def test_missing_job_directory(tmp_path):
    refused(tmp_path, "--particles", tmp_path / "J99", *BRIEF, says="J99")


def test_no_particles_given(tmp_path):
    refused(tmp_path, *BRIEF, says="--particles")


def test_two_candidates_are_listed_and_naming_one_works(tmp_path):
    refused(tmp_path, "--particles", TINY / "project/J14", *BRIEF, says=["split_0000.cs", "split_0001.cs"])
    cryodeco("run", "--particles", TINY / "project/J14/split_0001.cs", "--outdir", tmp_path / "results", *BRIEF)
    assert len(np.load(tmp_path / "results/out/uid.npy")) == 500


def test_unknown_option_gets_the_nearest_names(tmp_path):
    refused(tmp_path, "--particles", JOB, *BRIEF, "--epoch_sgd", "3", says="epochs_sgd")


def test_value_out_of_range_says_the_range(tmp_path):
    refused(tmp_path, "--particles", JOB, *BRIEF, "--hypervolume_layers", "1000", says=["hypervolume_layers", "1000", "64"])
    refused(tmp_path, "--particles", JOB, *BRIEF, "--lr", "fast", says=["lr", "fast"])


def test_more_clusters_than_particles(tmp_path):
    refused(tmp_path, "--particles", JOB, *BRIEF, "--k_num", "1001", says=["k_num", "1001", "1000"])


@pytest.mark.parametrize("word", ["--mixed_precision=bf16", "--gpu_ids=0", "--num_processes=2"])
def test_accelerates_own_options_are_refused_with_the_equivalent(tmp_path, word):
    assert len(refused(tmp_path, "--particles", JOB, *BRIEF, word, says=word[2:].split("=")[0])) > 60


def test_without_weights_it_names_what_runs_instead(tmp_path):
    refused(tmp_path, "--particles", JOB, says=["pretrained_model_path", "use_conf_encoder"])


def test_output_inside_the_input_is_refused(tmp_path, tiny_copy):
    before = sorted(tiny_copy.rglob("*"))
    r = cryodeco("run", "--particles", tiny_copy / "J12", "--outdir", tiny_copy / "J12/results", *BRIEF, check=False)
    assert r.returncode == 2 and "never written to" in r.stderr
    assert sorted(tiny_copy.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_output_that_cannot_be_written(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    r = cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "locked/results", *BRIEF, check=False)
    assert r.returncode == 2 and "locked" in r.stderr


def test_output_below_a_file(tmp_path):
    (tmp_path / "file").write_text("here")
    r = cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "file/results", *BRIEF, check=False)
    assert r.returncode == 2 and "not a directory" in r.stderr


def spoil_stack(project, spoil):
    stack = sorted((project / "J12/downsample").iterdir())[2]
    data = bytearray(stack.read_bytes())
    spoil(data)
    stack.write_bytes(data)
    return stack.name


def test_truncated_stack(tmp_path, tiny_copy):
    name = spoil_stack(tiny_copy, lambda d: d.__delitem__(slice(len(d) - 5000, None)))
    refused(tmp_path, "--particles", tiny_copy / "J12", *BRIEF, says=name)


def test_missing_stack_names_all_places_tried(tmp_path, tiny_copy):
    stack = sorted((tiny_copy / "J12/downsample").iterdir())[0]
    stack.unlink()
    message = refused(tmp_path, "--particles", tiny_copy / "J12", *BRIEF, "--datadir", tmp_path, says=stack.name)
    assert message.count(stack.name) >= 2 and str(tmp_path) in message


def test_nan_pixel_is_found_before_anything_is_written(tmp_path, tiny_copy):
    def spoil(data):
        kind, size = (np.float32, 4) if np.frombuffer(data, "<i4", 4)[3] == 2 else (np.float16, 2)
        start = 1024 + 3 * 32 * 32 * size + 77 * size
        data[start : start + size] = np.array(np.nan, kind).tobytes()

    name = spoil_stack(tiny_copy, spoil)
    message = refused(tmp_path, "--particles", tiny_copy / "J12", *BRIEF, says=[name, "row"])
    assert re.search(r"image 3\b", message)


def test_truncated_cs(tmp_path, tiny_copy):
    path = tiny_copy / "J12/downsampled_particles.cs"
    path.write_bytes(path.read_bytes()[:-1000])
    refused(tmp_path, "--particles", tiny_copy / "J12", *BRIEF, says="downsampled_particles.cs")


@pytest.mark.parametrize("name, content, says", [
    ("ind.txt", b"3\n1000\n", ["line 2", "1000", "0 to 999"]),
    ("ind.txt", b"3\n-1\n", ["line 2", "-1"]),
    ("ind.txt", b"3\n4\n3\n", ["lines 1 and 3", "row 3"]),
    ("ind.txt", b"# none\n", ["names no row"]),
    ("ind.pkl", b"\x80\x04\x95\x00.", ["pickle", "numpy.save"]),
    ("ind.npy", np.array([1.0, 2.0]), ["floating-point", "astype"]),
    ("ind.npy", np.zeros(999, bool), ["999 booleans", "1000 rows"]),
    ("ind.npy", np.array([[1], [2]]), ["2 dimensions"]),
])
def test_ind_that_selects_no_sound_set(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    refused(tmp_path, "--particles", JOB, *BRIEF, "--ind", path, says=[name, *says])
    refused(tmp_path, "--particles", JOB, *BRIEF, "--ind", tmp_path / "nowhere.npy", says="nowhere.npy")


def test_full_disk_is_exit_code_1_and_keeps_what_was_whole(tmp_path):
    """A file-size limit stands in for the full disk: the first file over it fails like one."""
    import resource

    limit = 60_000
    r = cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "results", *BRIEF, check=False, restore_signals=False,
                 preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert r.returncode == 1, r.stderr
    assert (tmp_path / "results/job.yaml").exists()
    left = [p for p in (tmp_path / "results").rglob("*") if p.is_file()]
    assert all(p.stat().st_size < limit and "tmp" not in p.name for p in left), left
