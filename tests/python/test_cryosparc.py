"""`cryodeco cryosparc` as a process under both generations of the client, against the contract servers: a whole life, every fault, outputs read back
without the client, no secrets left."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import BRIEF, command
from cryosparc_server import PASSWORD, USER
from cryosparc_server_4 import LICENSE

HERE = pathlib.Path(__file__).parent
PACKAGE = pathlib.Path(os.environ.get("CRYODECO_PACKAGE", HERE.parents[1] / "build/release/python"))
LONG = pytest.mark.skipif(os.environ.get("CRYODECO_LONG") != "1", reason="long")
ROOT = HERE.parents[1]
# Both clients are called `cryosparc`: that of 4.7 has an environment of its own.
PYTHON = {5: sys.executable, 4: os.environ.get("CRYODECO_PYTHON_4", str(ROOT / ".venv/cryosparc-4.7/bin/python"))}


# What the set's two states need to be told apart.
SMALL_TRAINING = "--epochs_sgd 10 --n_imgs_pretrain 1000 --hypervolume_dim 128 --pe_dim 32 --batch_size_known_poses 8".split()


class World:
    """A project, a server for it, and drivers."""

    def __init__(self, place, project, generation=5):
        self.place, self.project, self.generation = place, project, generation
        self.state = place / "state"
        self.state.mkdir()
        self.drivers = []
        server = {5: "cryosparc_server.py", 4: "cryosparc_server_4.py"}[generation]
        self.server = subprocess.Popen([sys.executable, str(HERE / server), str(self.state), str(project)])
        wait(lambda: (self.state / "port").exists() and (self.state / "port").read_text())
        port = (self.state / "port").read_text()
        self.env = {**os.environ, "CRYOSPARC_EMAIL": USER, "CRYOSPARC_PASSWORD": PASSWORD, "CRYOSPARC_LICENSE_ID": LICENSE, "PYTHONPATH": str(PACKAGE),
                    "CRYOSPARC_BASE_URL": f"http://127.0.0.1:{port}", "CRYOSPARC_MASTER_HOSTNAME": "127.0.0.1", "CRYOSPARC_BASE_PORT": port,
                    "CRYOSPARC_COMMAND_RETRY_SECONDS": "1", "CRYODECO_PROGRAM": command(), "CRYODECO_POLL_S": "0.3", "CRYODECO_GRACE_S": "20",
                    "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self, *words, **env):
        p = subprocess.Popen([PYTHON[self.generation], "-m", "cryodeco.cryosparc", *map(str, words)], env={**self.env, **env}, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        self.drivers.append(p)
        return p

    def end(self, p, code):
        out, err = p.communicate(timeout=600)
        (self.place / f"said_{p.pid}.txt").write_text(out + err)
        assert p.returncode == code, err
        assert not children_of_session(self.project), "an orphan is left"
        return out + err

    def run(self, *words, code=0, **env):
        return self.end(self.start("run", "--project", "P3", "--workspace", "W1", "--particles", "J12.particles", *BRIEF, *words, **env), code)

    def begin(self, *words):
        """A driver whose child is in its first epochs, of so many that it will not end by itself."""
        p = self.start("run", "--project", "P3", "--workspace", "W1", "--particles", "J12.particles", *BRIEF, "--epochs_sgd", "100000", *words)
        metrics = self.project / "J99/cryodeco/run/metrics.jsonl"
        wait(lambda: metrics.exists() and '"event":"epoch"' in metrics.read_text(), p)
        for pid in children_of_session(self.project):
            assert b"CRYOSPARC_" not in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        return p

    def job(self, uid="J99"):
        return json.loads((self.state / "state.json").read_text()).get(uid)

    def user(self, what, uid="J99"):
        (self.state / "command").write_text(f"{what} {uid}")

    def operations(self):
        return [json.loads(line)["operation"] for line in (self.state / "requests.jsonl").read_text().splitlines()]

    def faults(self, **faults):
        (self.state / "faults.json").write_text(json.dumps({k.replace("__", "."): v for k, v in faults.items()}))


def wait(true, process=None, seconds=300):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)


def children_of_session(project):
    """Processes at work on the project, by their command lines."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(project / "J99/cryodeco").encode() in b" ".join(words):
            found.append(pid)
    return found


BOTH = pytest.mark.parametrize("world", [5, 4], indirect=True, ids=["5.0", "4.7"])
BOTH_OF_LONG = pytest.mark.parametrize("world", [5, pytest.param(4, marks=LONG)], indirect=True, ids=["5.0", "4.7"])  # the older one in long runs


@pytest.fixture
def world(request, tmp_path, tiny_copy):
    w = World(tmp_path, tiny_copy, getattr(request, "param", 5))
    yield w
    for p in w.drivers:
        if p.poll() is None:
            p.kill()
            p.communicate()
    w.server.kill()
    w.server.wait()
    token = (w.state / "token").read_text() if (w.state / "token").exists() else None
    secrets = [s.encode() for s in (PASSWORD, LICENSE, token) if s]
    for path in [*w.project.rglob("*"), *tmp_path.glob("said_*"), w.state / "state.json"]:
        if path.is_file():
            data = path.read_bytes()
            assert not any(s in data for s in secrets), f"{path} holds a secret"


@BOTH
def test_a_whole_life(world):
    text = world.run("--seed", "1")
    job = world.job()
    assert job["status"] == "completed" and "J99 completed" in text
    assert set(job["outputs"]) == {"cluster_0", "cluster_1", "particles_latent", "volume_0", "volume_1"}
    given = np.load(world.project / "J12/downsampled_particles.cs")
    folder, run = world.project / "J99", world.project / "J99/cryodeco/run/out"
    labels, uid, z = np.load(run / "analysis_1/clustering2/labels.npy"), np.load(run / "uid.npy"), np.load(run / "conf.1.npy")
    for k in (0, 1):
        rows = np.load(folder / f"J99_cluster_{k}.cs")
        mask = np.isin(given["uid"], uid[labels == k])
        assert rows["uid"].tolist() == given["uid"][mask].tolist()  # exact, and in the input's order
        for name in [n for n in rows.dtype.names if n.startswith("blob/")]:
            assert rows[name].tolist() == given[name][mask].tolist(), name
        assert {n.split("/")[0] for n in rows.dtype.names} == {"uid", "blob"}  # known poses: the input's pass through
        assert np.load(folder / f"J99_passthrough_cluster_{k}.cs")["uid"].tolist() == rows["uid"].tolist()
        volume = np.load(folder / f"J99_volume_{k}.cs")
        clustering = run / "analysis_1/clustering2"
        files = {"map": clustering / f"vol_{k:03d}.mrc"}
        if world.generation == 5:  # whose register says that a refinement's volume has these
            files.update({"map_half_A": clustering / f"validation/half_0_{k:03d}.mrc", "map_half_B": clustering / f"validation/half_1_{k:03d}.mrc",
                          "mask_refine": clustering / f"validation/mask_{k:03d}.mrc"})
        assert {n.split("/")[0] for n in volume.dtype.names} == {"uid", *files}
        for slot, file in files.items():
            assert (world.project / volume[f"{slot}/path"][0].decode()).read_bytes() == file.read_bytes()
            assert volume[f"{slot}/shape"].tolist() == [[32, 32, 32]] and abs(volume[f"{slot}/psize_A"][0] - 4.5) < 1e-6
    latent = np.load(folder / "J99_particles_latent.cs")
    at = np.argsort(uid)[np.searchsorted(np.sort(uid), latent["uid"])]
    assert len(latent) == 1000
    for i in range(z.shape[1]):
        assert np.array_equal(latent[f"components_mode_{i}/value"], z[at, i]) and set(latent[f"components_mode_{i}/component"]) == {i}
    kinds = [e["type"] for e in job["events"]]
    assert kinds.count("checkpoint") >= 2 and "image" in kinds and (job["tile"] or world.generation == 4)
    assert any("epoch 1: loss" in e["text"] for e in job["events"])
    operations = world.operations()
    assert operations.count("jobs.mark_completed") == 1 and operations.index("jobs.add_external_output") > operations.index("jobs.mark_running")


@LONG
@BOTH
@pytest.mark.parametrize("k", [1, 40, "auto"])
def test_any_number_of_clusters(world, k):
    """Also one that only the analysis finds: outputs are declared when the job has long been running."""
    world.run("--seed", "1", "--k_num", k, *(SMALL_TRAINING if k == "auto" else []))
    job, run = world.job(), world.project / "J99/cryodeco/run/out"
    clustering = next(run.glob("analysis_*/clustering*"))
    labels, uid, given = np.load(clustering / "labels.npy"), np.load(run / "uid.npy"), np.load(world.project / "J12/downsampled_particles.cs")
    found = labels.max() + 1
    assert job["status"] == "completed" and (found == k or k == "auto" and found == 2 or k == 40 and found > 30)
    assert clustering.name == f"clustering{2 if k == 'auto' else k}"
    assert set(job["outputs"]) == {"particles_latent", *(f"cluster_{i}" for i in range(found)), *(f"volume_{i}" for i in range(found))}
    for i in range(found):
        rows = np.load(world.project / f"J99/J99_cluster_{i}.cs")
        mask = np.isin(given["uid"], uid[labels == i])
        assert rows["uid"].tolist() == given["uid"][mask].tolist() == given["uid"][labels == i].tolist()
        assert rows["blob/idx"].tolist() == given["blob/idx"][mask].tolist()
        volume = np.load(world.project / f"J99/J99_volume_{i}.cs")
        assert (world.project / volume["map/path"][0].decode()).read_bytes() == (clustering / f"vol_{i:03d}.mrc").read_bytes()
    assert np.load(world.project / "J99/J99_particles_latent.cs")["uid"].tolist() == given["uid"].tolist()
    operations = world.operations()
    assert operations.index("jobs.mark_running") < operations.index("jobs.add_external_output")
    assert max(i for i, o in enumerate(operations) if o == "jobs.save_output") < operations.index("jobs.mark_completed")


@LONG
@BOTH
def test_estimated_poses_are_outputs_of_their_own(world):
    world.run("--use_gt_poses", "False", "--refine_gt_poses", "True", "--k_num", "1")
    rows = np.load(world.project / "J99/J99_cluster_0.cs")
    found = np.load(next((world.project / "J99/cryodeco/run/out").glob("analysis_*/clustering1/clustering_cs_star/cluster_0.cs")))
    at = np.argsort(found["uid"])[np.searchsorted(np.sort(found["uid"]), rows["uid"])]
    for name in ("alignments3D/pose", "alignments3D/shift", "alignments3D/psize_A"):
        assert np.array_equal(rows[name], found[name][at]), name
    assert len(rows) == 1000 and set(world.job()["outputs"]) == {"cluster_0", "particles_latent", "volume_0"}


@BOTH_OF_LONG
@pytest.mark.parametrize("what, status", [("kill", "killed"), pytest.param("clear", "building", marks=LONG),
                                          pytest.param("delete", None, marks=LONG)])
def test_stopped_from_cryosparc(world, what, status):
    p = world.begin()
    wait(lambda: any(e["type"] == "image" and "Loss over the epochs" in e["text"] for e in world.job()["events"]), p)  # while it trains
    second = world.start("run", "--project", "P3", "--resume", "J99")  # which must not touch the job of the first
    said = second.communicate(timeout=300)[1]
    assert second.returncode == 4 and f"process {p.pid} on host" in said and world.job()["status"] == "running", said
    world.user(what)
    world.end(p, 3)
    job = world.job()
    assert (None if job is None or job.get("deleted") else job["status"]) == status
    operations = world.operations()
    assert "jobs.mark_completed" not in operations and "jobs.mark_failed" not in operations
    assert list((world.project / "J99/cryodeco/run/out").glob("*.safetensors"))


@BOTH_OF_LONG
def test_sigterm_fails_the_job_with_a_checkpoint_and_resume_completes_it(world):
    p = world.begin()
    p.send_signal(signal.SIGTERM)
    text = world.end(p, 128 + signal.SIGTERM)
    assert "--resume J99" in text and world.job()["status"] == "failed"
    yaml = world.project / "J99/cryodeco/run/job.yaml"
    epochs = 1 + max(int(f.name.split(".")[1]) for f in (yaml.parent / "out").glob("checkpoint.*"))
    yaml.write_text(yaml.read_text().replace("epochs_sgd: 100000", f"epochs_sgd: {epochs}"))
    world.end(world.start("run", "--project", "P3", "--resume", "J99"), 0)
    assert world.job()["status"] == "completed" and "J100" not in json.loads((world.state / "state.json").read_text())


@BOTH_OF_LONG
def test_an_outage_and_an_expired_token_end_nothing(world):
    p = world.start("run", "--project", "P3", "--workspace", "W1", "--particles", "J12.particles", *BRIEF, "--epochs_sgd", "20")
    wait(lambda: (world.project / "J99/cryodeco/run/run.log").exists(), p)
    world.faults(jobs__get_status={"status": 503, "times": 2}, jobs__add_event_log={"cut": "before", "times": 4}, assets__upload={"status": 500})
    (world.state / "expire").touch()
    assert "the run goes on" in world.end(p, 0)
    assert world.job()["status"] == "completed" and world.operations().count("login") == (2 if world.generation == 5 else 1)  # 4.7 has no tokens


def clear_while_publishing(world, p):
    wait(lambda: (world.job() or {}).get("outputs"), p)
    world.user("clear")


@BOTH_OF_LONG
@pytest.mark.parametrize("fault, code, status", [pytest.param({"lose": 3}, 1, "failed", marks=LONG), ({"cut": "during", "times": 1}, 0, "completed"),
                                                 pytest.param({"cut": "after", "times": 1}, 0, "completed", marks=LONG),
                                                 pytest.param({"delay": 1}, 3, "building", marks=LONG)])
def test_outputs_that_do_not_arrive_whole(world, fault, code, status):
    """A broken upload is repeated by the client with what is left of it, and by us with all of it; a job whose outputs are not whole is not completed."""
    world.faults(jobs__save_output=fault)
    p = world.start("run", "--project", "P3", "--workspace", "W1", "--particles", "J12.particles", *BRIEF, "--back_projection", "False")
    if status == "building":
        clear_while_publishing(world, p)
    text = world.end(p, code)
    assert world.job()["status"] == status
    if status == "completed":
        assert sum(world.job()["outputs"][f"cluster_{k}"]["num"] for k in (0, 1)) == world.job()["outputs"]["particles_latent"]["num"] == 1000
    else:
        assert "jobs.mark_completed" not in world.operations()
    if "lose" in fault:
        assert "arrived; publish the run again" in text
    if status == "building":
        assert "jobs.mark_failed" not in world.operations()
    if code == 1:
        world.faults()
        world.end(world.start("publish", "--project", "P3", "--workspace", "W1", world.project / "J99/cryodeco/run"), 0)
        assert world.job("J100")["status"] == "completed" and world.job("J100")["outputs"]["particles_latent"]["num"] == 1000


@pytest.mark.parametrize("world, client", [(5, 4), (4, 5)], indirect=["world"], ids=["4.7 on 5", "5 on 4.7"])
def test_a_client_of_the_other_generation_is_told_so(world, client):
    world.generation = client
    text = world.end(world.start("check", "--project", "P3", CRYOSPARC_COMMAND_RETRY_SECONDS="0"), 4)
    assert "fits the instance's version" in text


@BOTH_OF_LONG
def test_another_version_is_warned_of(world):
    world.faults(config__get_version={"answer": "v5.9.0" if world.generation == 5 else {"jsonrpc": "2.0", "id": "1", "result": "v4.9.0"}})
    assert "of another version than cryosparc-tools" in world.end(world.start("check", "--project", "P3"), 0)


@LONG
@BOTH
def test_a_failing_run_is_a_failed_job_with_the_librarys_words(world):
    p = world.begin()
    os.kill(int(children_of_session(world.project)[0]), signal.SIGKILL)
    text = world.end(p, 1)
    assert "exit code -9" in text and world.job()["status"] == "failed"
    assert any(e["type"] == "error" for e in world.job()["events"])


@BOTH_OF_LONG
def test_what_cannot_start_creates_nothing(world):
    for words, env, said in [
        (["--k_num", "0"], {}, "k_num is 0"),
        (["--particles", "J77.particles"], {}, "no such job"),
        (["--particles", "J12.nothing"], {}, "cannot be loaded"),
        (["--project", "P9"], {}, "P9"),
        ([], {"CRYOSPARC_PASSWORD": "wrong-planted-7"}, "no connection"),
        (["--map-path", "/=/nowhere/"], {}, "not visible"),
        (["--resume", "J12"], {}, "no external job"),
        (["--outdir", "/tmp"], {}, "leave it out"),
    ]:
        text = world.run(*words, code=4, **env)
        assert said in text and "wrong-planted" not in text, text
    assert world.job() is None and not (world.project / "J99").exists()


def test_a_job_directory_outside_the_project_is_not_written_to(world):
    elsewhere = world.place / "elsewhere/J99"
    elsewhere.mkdir(parents=True)
    world.faults(jobs__get_directory={"answer": str(elsewhere)})
    assert "is not in the project's directory" in world.run(code=1)
    assert not list(elsewhere.iterdir()) and world.job()["status"] == "failed"


@pytest.mark.parametrize("text", ["", "[" * 100000, "[1]", '{"particles": "J1.a;rm"}', '{"particles": ["J1.a"]}', '{"words": [1]}', '{"words": ["--outdir=/etc"]}',
                                  '{"words": ["--cache_dir", "/etc"]}', '{"words": 5}'])
def test_what_lies_in_a_jobs_folder_is_not_trusted(tmp_path, text):
    sys.path.insert(0, str(PACKAGE))
    from cryodeco.cryosparc.driver import read_source

    (tmp_path / "source.json").write_text(text)
    with pytest.raises(RuntimeError, match="cannot be used"):
        read_source(str(tmp_path))
    (tmp_path / "source.json").write_text('{"particles": "J12.particles", "particles_full": null, "words": ["--k_num", "4"]}')
    assert read_source(str(tmp_path))["words"] == ["--k_num", "4"]


@BOTH_OF_LONG
def test_dry_run_and_check_create_nothing(world):
    text = world.run("--dry-run")
    assert "nothing was created" in text and "forecast" in text
    p = world.start("check", "--project", "P3", "--particles", "J12.particles")
    assert "1,000 particles" in world.end(p, 0)
    assert "jobs.create" not in world.operations()


@LONG
@BOTH
def test_publish_of_a_finished_run(world):
    subprocess.run([command(), "run", "--particles", world.project / "J12", "--outdir", world.place / "run", *BRIEF, "--k_num", "40"], check=True,
                   capture_output=True)
    world.end(world.start("publish", "--project", "P3", "--workspace", "W1", "--particles", "J12.particles", world.place / "run"), 0)
    outputs = world.job()["outputs"]
    clusters = [n for n in outputs if n.startswith("cluster_")]
    assert len(clusters) > 30 and sum(outputs[n]["num"] for n in clusters) == 1000 and world.job()["status"] == "completed"


def add_job(project, uid, change):
    """A copy of J12 with another uid and changed rows."""
    folder = project / uid
    folder.mkdir()
    rows = np.load(project / "J12/downsampled_particles.cs")
    more = np.load(project / "J12/J12_passthrough_particles.cs")
    rows, more = change(rows.copy(), more.copy())
    np.save(open(folder / "full.cs", "wb"), rows)
    np.save(open(folder / f"{uid}_passthrough_particles.cs", "wb"), more)


@pytest.mark.parametrize("case", [pytest.param("same", marks=LONG), "recentred", pytest.param("foreign", marks=LONG)])
def test_subsets_at_full_size(tmp_path, tiny_copy, case):
    def change(rows, more):
        rows["blob/idx"] += 7  # another stack's
        if case == "recentred":
            more["location/center_x_frac"][3] += 0.01
        if case == "foreign":
            rows["uid"] += 1
            more["uid"] += 1
        return rows, more

    add_job(tiny_copy, "J5", change)
    w = World(tmp_path, tiny_copy)
    try:
        text = w.run("--particles-full", "J5.particles", code=0 if case == "same" else 4)
        if case == "same":
            full, small = np.load(tiny_copy / "J99/J99_cluster_0_full.cs"), np.load(tiny_copy / "J99/J99_cluster_0.cs")
            source = np.load(tiny_copy / "J5/full.cs")
            source = source[np.isin(source["uid"], small["uid"])]
            assert set(full["uid"]) == set(small["uid"])
            for name in [n for n in full.dtype.names if n.startswith("blob/")]:
                assert full[name].tolist() == source[name].tolist(), name
        else:
            assert {"recentred": "recentred", "foreign": "another set"}[case] in text and w.job() is None
    finally:
        w.server.kill()
        w.server.wait()


def fourier_crop(image, box):
    """An image in a smaller box, as Downsample Particles makes it."""
    whole, at = np.fft.fftshift(np.fft.fft2(image)), (len(image) - box) // 2
    return np.fft.ifft2(np.fft.ifftshift(whole[at:at + box, at:at + box])).real.astype(np.float32) * (box / len(image)) ** 2


@LONG
def test_subsets_at_full_size_of_a_true_pair(tmp_path):
    """Images of 128 px and their own twins of 64 px: each full-size row is the very image whose twin is in the cluster."""
    import mrcfile

    structure = ROOT / "examples/structures/7cfn.pdb"
    subprocess.run([command(), "simulate", structure, f"{structure}:ABGN", "--n_particles", "200", "--box", "128", "--psize_A", "1.5", "--seed", "1",
                    "--outdir", tmp_path / "set"], check=True, capture_output=True)
    project = tmp_path / "set/project"
    main = next(f for f in (project / "J1").glob("*.cs") if "passthrough" not in f.name)
    full = np.load(main)
    twins = project / "J2"
    twins.mkdir()
    more = list((project / "J1").glob("*passthrough*.cs"))
    small = full.copy()
    for path in np.unique(full["blob/path"]):
        stack = mrcfile.read(project / path.decode()).astype(np.float32)
        with mrcfile.new(twins / pathlib.Path(path.decode()).name) as out:
            out.set_data(np.stack([fourier_crop(image, 64) for image in stack]))
            out.voxel_size = 3
    small["blob/path"] = [f"J2/{pathlib.Path(p.decode()).name}".encode() for p in full["blob/path"]]
    small["blob/shape"], small["blob/psize_A"] = 64, 3
    order = np.random.default_rng(1).permutation(len(small))
    with open(twins / "small.cs", "wb") as f:
        np.save(f, small[order])
    for file in more:
        (twins / file.name.replace("J1", "J2")).write_bytes(file.read_bytes())
    w = World(tmp_path, project)
    try:
        text = w.end(w.start("run", "--project", "P3", "--workspace", "W1", "--particles", "J2.particles", "--particles-full", "J1.particles", *BRIEF,
                             "--back_projection", "False"), 0)
        assert "completed" in text
        found = 0
        for k in (0, 1):
            big, little = np.load(project / f"J99/J99_cluster_{k}_full.cs"), np.load(project / f"J99/J99_cluster_{k}.cs")
            source = full[np.isin(full["uid"], little["uid"])]
            assert big["uid"].tolist() == source["uid"].tolist() and set(big["uid"]) == set(little["uid"])
            for name in [n for n in big.dtype.names if n.startswith("blob/")]:
                assert big[name].tobytes() == source[name].astype(big[name].dtype).tobytes(), name
            by_uid = {r["uid"]: r for r in little}
            for row in big[:10]:
                twin = by_uid[row["uid"]]
                large = mrcfile.read(project / row["blob/path"].decode())[row["blob/idx"]].astype(np.float32)
                assert np.allclose(fourier_crop(large, 64), mrcfile.read(project / twin["blob/path"].decode())[twin["blob/idx"]], atol=1e-5)
            found += len(big)
        assert found == 200
    finally:
        w.server.kill()
        w.server.wait()
