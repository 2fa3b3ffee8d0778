"""The package for Python: runs, results as arrays without a copy, exceptions, Ctrl-C, threads, forks."""
import inspect
import json
import multiprocessing
import os
import pathlib
import pydoc
import re
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import TINY
from conftest import cryodeco as command

PACKAGE = pathlib.Path(os.environ.get("CRYODECO_PACKAGE", pathlib.Path(__file__).parents[2] / "build/release/python"))
sys.path.insert(0, str(PACKAGE))
import cryodeco  # noqa: E402

JOB = TINY / "project/J12"
# The least training there is; what is tested here does not depend on the result.
BRIEF = dict(use_gt_poses=True, use_conf_encoder=False, k_num=2, n_imgs_pose_search=0, epochs_sgd=0, n_imgs_pretrain=0, hypervolume_dim=32,
             hypervolume_layers=1, pe_dim=8, batch_size_known_poses=64, seed=1)


@pytest.fixture(scope="module")
def outdir(tmp_path_factory):
    """A run's directory. It is left open: a result that was used is what a fork is tested with."""
    path = tmp_path_factory.mktemp("package") / "run"
    cryodeco.run(JOB, path, **BRIEF)
    return path


def test_a_run_from_python_leaves_what_one_from_the_shell_leaves(tmp_path, outdir):
    words = [f"--{k}={v}" for k, v in BRIEF.items()]
    command("run", "--particles", JOB, "--outdir", tmp_path / "run", *words)
    for name in ("conf.1.npy", "weights.1.safetensors", "analysis_1/clustering2/labels.npy"):
        assert (tmp_path / "run/out" / name).read_bytes() == (outdir / "out" / name).read_bytes(), name


def test_a_result_has_the_runs_arrays_and_they_are_not_copies(outdir):
    result = cryodeco.open(outdir)
    out = outdir / "out"
    clustering = out / "analysis_1/clustering2"
    for array, file in [(result.uids, out / "uid.npy"), (result.latents, out / "conf.1.npy"), (result.poses.rotation, out / "rotation.1.npy"),
                        (result.poses.shift, out / "shift.1.npy"), (result.labels, clustering / "labels.npy"),
                        (result.probability, clustering / "probability.npy")]:
        stored = np.load(file)
        assert array.dtype == stored.dtype and np.array_equal(array, stored)
        assert not array.flags.owndata and not array.flags.writeable
    assert result.latents.ctypes.data == result.latents.ctypes.data  # of one mapping
    assert (result.epoch, result.clustering, len(result)) == (1, str(clustering), 1000)
    assert [os.path.basename(m) for m in result.maps] == ["vol_000.mrc", "vol_001.mrc"]


def test_arrays_outlive_files_that_are_cut(outdir, tmp_path):
    shutil.copytree(outdir, tmp_path / "run")
    result, again = cryodeco.open(tmp_path / "run"), cryodeco.open(tmp_path / "run")
    z = result.latents
    before = z.copy()
    os.truncate(tmp_path / "run/out/conf.1.npy", 200)  # as a server does that loses it
    assert np.array_equal(z, before)
    with pytest.raises(cryodeco.FormatError, match="conf.1.npy"):
        again.latents


def memory_kB():
    return int(re.search(r"RssAnon:\s+(\d+)", pathlib.Path("/proc/self/status").read_text()).group(1))


def test_a_million_latents_appear_without_memory_and_outlive_their_result(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "weights.0.safetensors").touch()
    np.save(out / "uid.npy", np.arange(1_000_000, dtype=np.uint64))
    latents = np.lib.format.open_memmap(out / "conf.0.npy", "w+", np.float32, (1_000_000, 128))  # 512 MB of holes
    latents[-1, -1] = 7
    del latents
    before = memory_kB()
    result = cryodeco.open(tmp_path)
    z = result.latents
    assert memory_kB() - before < 20_000 and z.shape == (1_000_000, 128)
    address = z.ctypes.data
    result.close()
    with pytest.raises(cryodeco.ArgumentError, match="closed"):
        result.latents
    del result
    (out / "conf.0.npy").unlink()
    assert z[-1, -1] == 7 and z.ctypes.data == address


def test_decode_gives_the_map_that_the_run_wrote(outdir):
    import mrcfile

    result = cryodeco.open(outdir)
    row = int((outdir / "out/analysis_1/clustering2/centers_ind.txt").read_text().split()[1])
    maps = result.decode(result.latents[[0, row]])
    stored = mrcfile.read(result.maps[1])
    assert maps.shape == (2, 32, 32, 32) and result.box == 32 and result.psize_A == 4.5
    # the file's latent went through nine decimal digits
    assert np.abs(maps[1] - stored).max() <= 1e-5 * np.abs(stored).max()
    assert np.array_equal(result.decode(result.latents[row].tolist()), maps[1])
    for wrong in (np.zeros(3), np.full(4, np.nan), np.zeros((1, 1, 4))):
        with pytest.raises(cryodeco.ArgumentError):
            result.decode(wrong)


def test_subsets_are_written_as_cryosparc_knows_the_particles(tmp_path, outdir):
    result = cryodeco.open(outdir)
    given = np.load(JOB / "downsampled_particles.cs")
    for which in (result.labels == 1, result.uids[result.labels == 1][::-1]):
        subset = result.subset(which)
        path = subset.save(tmp_path / "one.cs")
        rows = np.load(path)
        assert len(subset) == (result.labels == 1).sum() and rows["uid"].tolist() == subset.uids.tolist()
        assert rows["blob/path"].tolist() == given["blob/path"][np.isin(given["uid"], subset.uids)].tolist()
        assert (tmp_path / "one.csg").exists() and (tmp_path / "one.star").exists()
    for wrong in (np.ones(3, bool), [1, 2], result.uids.astype(float), result.uids.astype(np.int64) * 0 - 1):
        with pytest.raises(cryodeco.ArgumentError):
            result.subset(wrong)
    with pytest.raises(cryodeco.ArgumentError):
        result.subset(np.zeros(1000, bool)).save(tmp_path / "none")


def test_other_particles_are_encoded_by_a_run_with_an_encoder(tmp_path, outdir):
    with pytest.raises(cryodeco.ArgumentError, match="table"):
        cryodeco.open(outdir).encode(JOB)
    weights = pathlib.Path(__file__).parents[1] / "golden/i_encoder/C48_depth2_Z6/checkpoint"
    np.save(tmp_path / "some.npy", np.arange(40))
    options = {**BRIEF, "use_conf_encoder": True, "pretrained_model_path": weights, "encoder_heads": 2, "feature_dim": 6, "clustering_type": "k-means++"}
    result = cryodeco.run(JOB, tmp_path / "run", ind=tmp_path / "some.npy", **options)
    np.save(tmp_path / "others.npy", np.arange(100, 130))
    encoded = result.encode(JOB, ind=tmp_path / "others.npy", use_gt_poses=True)
    assert encoded.uids.tolist() == cryodeco.open(outdir).uids[100:130].tolist()
    assert encoded.latents.shape == (30, 6) and np.isfinite(encoded.latents).all() and encoded.error.shape == (30,)
    kept = result.encode(JOB, tmp_path / "kept", ind=tmp_path / "others.npy")
    assert np.array_equal(kept.latents, encoded.latents) and kept.error is None and (tmp_path / "kept/conf.npy").exists()


def test_info_and_check_and_another_clustering(outdir, caplog):
    assert cryodeco.info(JOB)["particles"] == 1000
    caplog.set_level("INFO", "cryodeco")
    cryodeco.check(JOB, outdir / "not", **BRIEF)
    assert "forecast" in caplog.text and not (outdir / "not").exists()
    three = cryodeco.analyze(outdir, k_num=3, flip_hand=True)
    assert three.clustering.endswith("analysis_1_flipped/clustering3") and set(three.labels) == {0, 1, 2}
    unflipped = cryodeco.open(outdir)
    assert unflipped.clustering.endswith("analysis_1/clustering2")
    assert not np.array_equal(three.poses.rotation, unflipped.poses.rotation)


@pytest.mark.parametrize("call, kind, words", [
    (lambda d: cryodeco.run(JOB, d / "x", k_mum=3), cryodeco.ArgumentError, "k_num"),
    (lambda d: cryodeco.run(JOB, d / "x", k_num=0), cryodeco.ArgumentError, "k_num is 0"),
    (lambda d: cryodeco.run(JOB, d / "x", ind=object()), TypeError, "object"),
    (lambda d: cryodeco.run(d / "J9", d / "x", **BRIEF), cryodeco.FileError, "J9"),
    (lambda d: cryodeco.open(d / "nothing"), cryodeco.FileError, "weights"),
    (lambda d: cryodeco.info(d / "J9"), OSError, "J9"),
])
def test_errors_are_exceptions_with_the_librarys_words(tmp_path, call, kind, words):
    with pytest.raises(kind, match=words):
        call(tmp_path)
    assert not list(tmp_path.iterdir())


def test_broken_files_of_a_result_are_named(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "weights.3.safetensors").touch()
    np.save(out / "uid.npy", np.arange(5, dtype=np.uint64))
    np.save(out / "conf.3.npy", np.zeros((4, 2), np.float32))
    np.save(out / "shift.3.npy", np.zeros((5, 2), np.float64))
    (out / "rotation.3.npy").write_bytes(b"\x93NUMPY")
    result = cryodeco.open(tmp_path)
    with pytest.raises(cryodeco.FormatError, match="conf.3.npy: has 4 rows"):
        result.latents
    with pytest.raises(cryodeco.FormatError, match="rotation.3.npy"):
        result.poses
    with pytest.raises(cryodeco.FileError, match="analyze"):
        result.labels
    (out / "rotation.3.npy").unlink()
    np.save(out / "rotation.3.npy", np.zeros((5, 3, 3), np.float32))
    with pytest.raises(cryodeco.FormatError, match="shift.3.npy: is of type <f8"):
        result.poses
    with pytest.raises(cryodeco.ArgumentError, match="below"):
        cryodeco.open(tmp_path, clustering="../../elsewhere")


def test_every_option_is_in_signature_and_help_and_stub():
    names = {r["name"] for r in json.loads(command("options", "--json").stdout) if "run" in r["commands"].split(", ")}
    names -= {"particles", "outdir", "dry_run"}
    assert "k_num" in names and len(names) > 80
    assert names <= set(inspect.signature(cryodeco.run).parameters)
    assert str(inspect.signature(cryodeco.run)) == "(particles, outdir, *, progress=None, **options)"
    text = pydoc.render_doc(cryodeco.run, renderer=pydoc.plaintext)
    assert max(map(len, text.splitlines())) < 160 and all(name in text for name in names)
    stub = (PACKAGE / "cryodeco/_commands.pyi").read_text()
    assert all(f"    {name}: Optional[" in stub for name in names)


def test_an_exception_in_the_progress_callback_stops_the_run_with_a_checkpoint(tmp_path):
    def progress(now):
        if now.what.startswith("epoch"):
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough") as caught:
        cryodeco.run(JOB, tmp_path / "run", progress=progress, **{**BRIEF, "epochs_sgd": 5000})
    assert isinstance(caught.value.__cause__, cryodeco.StoppedError)
    assert list((tmp_path / "run/out").glob("*.safetensors"))


INTERRUPTED = """
import cryodeco, sys
try:
    cryodeco.run(sys.argv[1], sys.argv[2], progress=lambda now: print(now.what, flush=True), **eval(sys.argv[3]))
except KeyboardInterrupt as e:
    print("interrupted", type(e.__cause__).__name__)
"""


def test_ctrl_c_stops_with_a_checkpoint_and_resume_goes_on(tmp_path):
    options = {**BRIEF, "epochs_sgd": 5000}
    p = subprocess.Popen([sys.executable, "-c", INTERRUPTED, str(JOB), str(tmp_path / "run"), repr(options)], stdout=subprocess.PIPE, text=True,
                         env={**os.environ, "PYTHONPATH": str(PACKAGE)})
    while not p.stdout.readline().startswith("epoch"):
        assert p.poll() is None
    p.send_signal(signal.SIGINT)
    assert p.communicate(timeout=60)[0].splitlines()[-1] == "interrupted StoppedError" and p.returncode == 0
    done = max(int(f.name.split(".")[1]) for f in (tmp_path / "run/out").glob("checkpoint.*"))
    with pytest.raises(LookupError):  # it goes on from there, and is stopped again
        cryodeco.run(JOB, tmp_path / "run", progress=lambda now: (_ for _ in ()).throw(LookupError(now.what)), resume="auto")
    assert max(int(f.name.split(".")[1]) for f in (tmp_path / "run/out").glob("checkpoint.*")) >= done


def test_two_runs_in_two_threads_and_a_third_after_them(tmp_path):
    found = {}

    def work(name):
        found[name] = cryodeco.run(JOB, tmp_path / name, threads=1, **BRIEF).latents

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    work("c")
    assert np.array_equal(found["a"], found["b"]) and np.array_equal(found["a"], found["c"])


def in_child(outdir, queue):
    queue.put(len(cryodeco.open(outdir).decode(np.zeros(4))))


def test_a_fork_refuses_the_parents_handles_and_spawn_works(outdir):
    result = cryodeco.open(outdir)
    labels = result.labels
    result.decode(np.zeros(4))
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        said = []
        for use in (lambda: result.decode(np.zeros(4)), lambda: result.labels):
            try:
                use()
                said.append("nothing")
            except cryodeco.UnsupportedError as e:
                said.append("spawn" if "spawn" in str(e) else str(e))
        said.append(str(int(labels[0])))  # what was there already is plain memory
        result.close()
        os.write(writer, " ".join(said).encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reader, 1000).decode() == f"spawn spawn {labels[0]}"
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=in_child, args=(outdir, queue))
    process.start()
    assert queue.get(timeout=60) == 32
    process.join()


def test_the_extension_keeps_to_the_stable_interface_of_python_3_9():
    extension = PACKAGE / "cryodeco/_cryodeco.abi3.so"
    r = subprocess.run([sys.executable, "-m", "abi3audit", "--strict", "--assume-minimum-abi3", "3.9", str(extension)], capture_output=True, text=True)
    assert r.returncode == 0, r.stdout + r.stderr


def test_the_package_passes_the_type_checker(tmp_path):
    (tmp_path / "use.py").write_text("import cryodeco\n\nresult = cryodeco.run('J1', 'out', k_num=3, clustering_type='gmm', initial_radii=[8, 9])\n"
                                     "result.decode(result.latents[0]).max()\n")
    (tmp_path / "misuse.py").write_text("import cryodeco\n\ncryodeco.run('J1', 'out', k_mum=3)\n"
                                        "cryodeco.run('J1', 'out', clustering_type='gnn')\n")
    r = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--no-incremental", "use.py", "misuse.py"], cwd=tmp_path, capture_output=True,
                       text=True, env={**os.environ, "MYPYPATH": str(PACKAGE)})
    assert re.findall(r"^(\S+):\d+: error", r.stdout, re.M) == ["misuse.py", "misuse.py"], r.stdout + r.stderr


def test_the_readmes_example_prints_what_stands_there(tmp_path):
    readme = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
    example, printed = re.search(r"```python\n(import cryodeco\n.*?)```\n\n```\n(.*?)```", readme, re.S).groups()
    (tmp_path / "tests").symlink_to(pathlib.Path(__file__).parents[1])
    (tmp_path / "example.py").write_text(example)
    env = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    r = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, env=env)
    assert r.stdout == printed, r.stdout + r.stderr
    r = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--no-incremental", "example.py"], cwd=tmp_path, capture_output=True, text=True,
                       env={**env, "MYPYPATH": str(PACKAGE)})
    assert r.returncode == 0, r.stdout


def test_the_notebook_runs(tmp_path, monkeypatch):
    root = pathlib.Path(__file__).parents[2]
    notebook = json.loads((root / "examples/first_run.ipynb").read_text())
    assert notebook["nbformat"] == 4 and all(not c.get("outputs") for c in notebook["cells"])  # kept without outputs
    (tmp_path / "tests").symlink_to(root / "tests")
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "first_run.ipynb", "exec"), names)
    assert names["volumes"].shape == (5, 32, 32, 32) and (tmp_path / "state_0.csg").exists()
