"""The cache of prepared images is whole, gone on with or made again, whatever happens while it is made; and training cannot tell."""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import mrcfile
import numpy as np
import pytest
from conftest import BRIEF, TINY, command, cryodeco
from cryosparc.dataset import Dataset
from test_encoder import KNOWN, RANDOM
from test_restart import SEARCH, same_results

LONG = os.environ.get("CRYODECO_LONG") == "1"
JOB = TINY / "project/J12"
NO_ENCODER = ("--use_conf_encoder", "False")


def cache(action, *words, root, **keywords):
    return cryodeco("cache", action, *words, "--cache_dir", root, **keywords)


def info(root):
    return json.loads(cache("info", "--json", root=root).stdout)


def directory(root):
    """Of the one cache there is."""
    (only,) = pathlib.Path(root).iterdir()
    return only


def expect_whole(root):
    (one,) = info(root)
    assert one["whole"] and one["images_done"] == one["images"]
    cache("verify", root=root)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A job of 64 px images in three chunks of the cache: 2,900 records of 34 kB in chunks of 32 MiB."""
    place = tmp_path_factory.mktemp("cache_project")
    job = place / "J1"
    job.mkdir()
    source = Dataset.load(JOB / "downsampled_particles.cs")
    passthrough = Dataset.load(JOB / "J12_passthrough_particles.cs")
    n, box = 2900, 64
    rows = np.arange(n) % len(source)
    both = source.innerjoin(passthrough)
    d = Dataset({name: both[name][rows] for name in both.descr() and [f[0] for f in both.descr()] if name != "uid"})
    d["uid"] = np.arange(1, n + 1, dtype="u8")
    d["blob/path"] = np.where(np.arange(n) < 1500, "J1/a.mrc", "J1/b.mrc")
    d["blob/idx"] = np.concatenate([np.arange(1500), np.arange(n - 1500)]).astype("u4")
    d["blob/shape"] = np.full((n, 2), box, "u4")
    d.save(job / "particles.cs")
    pixels = np.random.default_rng(1).normal(size=(n, box, box)).astype("f2")
    for name, part in ("a.mrc", pixels[:1500]), ("b.mrc", pixels[1500:]):
        with mrcfile.new(job / name, data=part) as m:
            m.voxel_size = 3
    return place


@pytest.fixture(scope="module")
def truth(project, tmp_path_factory):
    """The bytes of every record, made without any accident; and how long that took."""
    root = tmp_path_factory.mktemp("truth")
    start = time.monotonic()
    cache("build", project / "J1", root=root)
    seconds = time.monotonic() - start
    return records(root, project), seconds


def records(root, project):
    """Of every image, its checksum: records begin a page, with digest, stack, index, exponent and three zeros."""
    expect_whole(root)
    data = (directory(root) / "data.mdb").read_bytes()
    found = {}
    for page in range(0, len(data), 4096):
        head = np.frombuffer(data, "u8,i4,i4,i4,i4,i4,i4", 1, page + 16) if page + 48 <= len(data) else None
        if head is not None and not head[0]["f4"] and not head[0]["f5"] and not head[0]["f6"] and 0 <= head[0]["f1"] < 2 and -20 < head[0]["f3"] < 0:
            found[(int(head[0]["f1"]), int(head[0]["f2"]))] = int(head[0]["f0"])
    return found


long = pytest.mark.skipif(not LONG, reason="long")


@pytest.mark.parametrize("words", [pytest.param([*BRIEF, "--n_imgs_pretrain", "300"], id="known poses"),
                                   pytest.param([*SEARCH, "--box", "24"], marks=long, id="search, images cut"),
                                   pytest.param([*KNOWN, *RANDOM], marks=long, id="encoder")])
def test_training_cannot_tell_cache_from_stacks(words, tmp_path):
    plan = [*words, "--seed", "3", "--particles", JOB, "--shuffle_block", "50"]
    cryodeco("run", *plan, "--outdir", tmp_path / "stacks", "--cache", "none", "--cache_dir", tmp_path / "c")
    assert not (tmp_path / "c").exists()
    cryodeco("run", *plan, "--outdir", tmp_path / "cached", "--cache_dir", tmp_path / "c", "--prefetch", "1")
    expect_whole(tmp_path / "c")
    same_results(tmp_path / "stacks", tmp_path / "cached")
    maps = [sorted((tmp_path / run / "out").glob("analysis_*/**/validation/half_*.mrc")) for run in ("stacks", "cached")]
    assert len(maps[0]) == len(maps[1]) > 0  # the back-projection reads the cache too
    assert [mrcfile.read(p).tobytes() for p in maps[0]] == [mrcfile.read(p).tobytes() for p in maps[1]]
    assert (tmp_path / "cached/run.log").read_text().count("images are read from") == 2


def test_bytes_a_particle_on_disk(project, tmp_path):
    """64 px: 6,432 + 27,768 bytes in nine pages; the bounds at 128 px are a unit test's."""
    cache("build", project / "J1", root=tmp_path)
    size = os.stat(directory(tmp_path) / "data.mdb").st_blocks * 512
    assert size / 2900 < 9 * 4096 + 100


@pytest.mark.parametrize("seed", range(50 if LONG else 5))
def test_killed_builder(project, truth, tmp_path, seed):
    whole, seconds = truth
    draw = random.Random(seed)
    kills = 0
    for attempt in range(20):
        p = subprocess.Popen([command(), "cache", "build", project / "J1", "--cache_dir", tmp_path], stderr=subprocess.PIPE, text=True)
        try:
            p.wait(seconds * draw.uniform(0.05, 0.9) if kills < 2 else None)
        except subprocess.TimeoutExpired:
            p.send_signal(signal.SIGKILL)
            p.wait()
            kills += 1
        log = p.stderr.read()
        p.stderr.close()
        if p.returncode == 0:
            break
        assert p.returncode == -signal.SIGKILL, log
        for one in info(tmp_path):  # a reader that comes now sees no cache, or one that says it is not finished
            assert not one["whole"] or one["images_done"] == 2900
    assert p.returncode == 0
    assert records(tmp_path, project) == whole


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory):
    library = tmp_path_factory.mktemp("shim") / "full_disk.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, pathlib.Path(__file__).parent / "full_disk.c", "-ldl"], check=True)
    return library


@pytest.mark.parametrize("tenth", range(10) if LONG else (0, 3, 9))
def test_full_disk(project, truth, full_disk, tmp_path, tenth):
    whole, _ = truth
    room = int((2900 * 9 * 4096) * (tenth + 0.37) / 10)
    environment = {**os.environ, "LD_PRELOAD": str(full_disk), "FULL_DISK_BYTES": str(room)}
    r = cache("build", project / "J1", root=tmp_path, check=False, env=environment)
    assert r.returncode == 1 and "data.mdb" in r.stderr, r.stderr
    assert "full" in r.stderr or "No space" in r.stderr
    for one in info(tmp_path):
        assert not one["whole"]
    cache("build", project / "J1", root=tmp_path)
    assert records(tmp_path, project) == whole


def test_no_room_is_said_beforehand(project, tmp_path):
    """On a file system of a megabyte, in a user namespace; where that is not allowed there is nothing to try on."""
    script = f'mount -t tmpfs -o size=1m none "{tmp_path}" && exec "$@"'
    words = ["unshare", "-rm", "sh", "-c", script, "sh", command(), "cache", "build", str(project / "J1"), "--cache_dir", str(tmp_path)]
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode or shutil.which("unshare") is None:
        pytest.skip("no user namespaces here")
    r = subprocess.run(words, capture_output=True, text=True)
    if "mount:" in r.stderr:
        pytest.skip(r.stderr)
    assert r.returncode in (1, 2) and "GB are free" in r.stderr and "--cache none" in r.stderr, r.stderr


def test_two_processes_at_once(project, truth, tmp_path):
    whole, _ = truth
    words = [command(), "cache", "build", project / "J1", "--cache_dir", tmp_path]
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    logs = [p.communicate(timeout=300)[1] for p in both]
    assert [p.returncode for p in both] == [0, 0], logs
    assert sum("2900 images of" in log for log in logs) == 1, logs  # one of them made it
    assert records(tmp_path, project) == whole


def test_rewritten_stack_is_noticed(tiny_copy, tmp_path):
    root = tmp_path / "c"
    job = tiny_copy / "J12"
    cache("build", job, *NO_ENCODER, root=root)
    before = directory(root)
    stack = sorted(tiny_copy.rglob("*.mrc*"))[0]
    with mrcfile.open(stack, "r+") as m:
        m.data[0] *= 2
    r = cache("build", job, *NO_ENCODER, root=root)
    assert str(stack.name) in r.stderr and "prepared again" in r.stderr
    assert directory(root) != before
    expect_whole(root)


def test_edited_defocus_needs_no_new_images(tiny_copy, tmp_path):
    root = tmp_path / "c"
    job = tiny_copy / "J12"
    plan = [*BRIEF, "--seed", "3", "--particles", job]
    cache("build", job, *NO_ENCODER, root=root)
    when = (directory(root) / "data.mdb").stat().st_mtime_ns
    for path in job.glob("*.cs"):
        d = Dataset.load(path)
        if "ctf/df1_A" in [f[0] for f in d.descr()]:
            d["ctf/df1_A"] += 3000
            d.save(path)
    cryodeco("run", *plan, "--outdir", tmp_path / "after", "--cache_dir", root)
    cryodeco("run", *plan, "--outdir", tmp_path / "stacks")
    assert (directory(root) / "data.mdb").stat().st_mtime_ns == when
    same_results(tmp_path / "after", tmp_path / "stacks")


def test_damage_is_found_and_mended(tmp_path):
    cache("build", JOB, root=tmp_path)
    data = directory(tmp_path) / "data.mdb"
    content = bytearray(data.read_bytes())
    good = bytes(content)
    content[len(content) // 2] ^= 4
    data.write_bytes(content)
    r = cache("verify", root=tmp_path, check=False)
    assert r.returncode == 1 and "is damaged" in r.stdout + r.stderr
    for cut in (0, 100, 5000, len(good) // 3, len(good) - 5000):
        data.write_bytes(good[:cut])
        assert cache("verify", root=tmp_path, check=False).returncode in (0, 1)
        cache("info", root=tmp_path)
        cache("build", JOB, root=tmp_path)
        expect_whole(tmp_path)


@pytest.fixture(scope="module")
def hidden_cut(tmp_path_factory):
    """fstat says that a cache is as long as ever: so it is on a disk that fails where it is read."""
    place = tmp_path_factory.mktemp("shim")
    (place / "long.c").write_text("""#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int fstat(int fd, struct stat *s)
{
    int (*real)(int, struct stat *) = (int (*)(int, struct stat *))dlsym(RTLD_NEXT, "fstat");
    char link[64], path[4096] = "";
    int rc = real(fd, s);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) > 0 && strstr(path, "/data.mdb"))
        s->st_size = (off_t)1 << 40;
    return rc;
}
int fstat64(int fd, struct stat64 *s) { return fstat(fd, (struct stat *)s); }
""")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", place / "long.so", place / "long.c", "-ldl"], check=True)
    return place / "long.so"


@pytest.mark.parametrize("told", (True, False))
def test_a_cache_cut_short_under_a_run_ends_it_with_a_message(told, hidden_cut, tmp_path):
    cache("build", JOB, *NO_ENCODER, root=tmp_path / "c")
    data = directory(tmp_path / "c") / "data.mdb"
    environment = os.environ if told else {**os.environ, "LD_PRELOAD": str(hidden_cut)}
    words = [command(), "run", "--particles", JOB, "--outdir", tmp_path / "o", "--cache_dir", tmp_path / "c", *BRIEF, "--epochs_sgd", "1000"]
    run = subprocess.Popen(list(map(str, words)), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment)
    lines = []
    for line in run.stderr:
        lines.append(line)
        if "epoch" in line and "loss" in line:
            os.truncate(data, 16384)
            break
    lines.append(run.communicate(timeout=120)[1])
    said = "".join(lines)
    assert run.returncode == 1, (run.returncode, said)
    assert str(data) in said and ("truncated" if told else "was cut short") in said, said
    cache("build", JOB, *NO_ENCODER, root=tmp_path / "c")  # and the next run makes it again
    expect_whole(tmp_path / "c")


def test_damaged_anywhere_never_crashes(tmp_path):
    """Pages of the tree, too: any answer but a signal."""
    cache("build", JOB, *NO_ENCODER, root=tmp_path)
    data = directory(tmp_path) / "data.mdb"
    good = data.read_bytes()
    draw = random.Random(1)
    for _ in range(200 if LONG else 15):
        content = bytearray(good)
        for _ in range(draw.choice((1, 8, 64))):
            content[draw.randrange(len(content))] = draw.randrange(256)
        data.write_bytes(content)
        for action in "info", "verify":
            assert cache(action, root=tmp_path, check=False).returncode in (0, 1, 2)


def test_remove(tmp_path):
    cache("build", JOB, *NO_ENCODER, root=tmp_path / "c")
    (tmp_path / "c" / "mine.txt").write_text("not a cache")
    r = cache("remove", root=tmp_path / "c")
    assert "removed" in r.stdout
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["mine.txt"]
    assert "no cache" in cache("info", JOB, root=tmp_path / "c").stdout


def test_input_is_left_alone(tiny_copy, tmp_path):
    before = sorted((str(p), p.stat().st_mtime_ns) for p in tiny_copy.rglob("*"))
    cache("build", tiny_copy / "J12", root=tmp_path / "c")
    assert sorted((str(p), p.stat().st_mtime_ns) for p in tiny_copy.rglob("*")) == before


    r = cache("build", tiny_copy / "J12", root=tiny_copy / "J12/cache", check=False)
    assert r.returncode == 2 and "never written to" in r.stderr
    assert sorted((str(p), p.stat().st_mtime_ns) for p in tiny_copy.rglob("*")) == before


def test_dry_run_makes_none(tmp_path):
    cryodeco("run", *BRIEF, "--particles", JOB, "--outdir", tmp_path / "o", "--cache_dir", tmp_path / "c", "--dry_run", "True")
    assert not (tmp_path / "c").exists() and not (tmp_path / "o").exists()


def test_read_only_cache_is_shared(tmp_path):
    """Another's: the directory and what is in it cannot be written to (root may; then there is nothing to try)."""
    cache("build", JOB, *NO_ENCODER, root=tmp_path / "c")
    one = directory(tmp_path / "c")
    for path, mode in (one / "data.mdb", 0o444), (one / "lock", 0o444), (one, 0o555), (tmp_path / "c", 0o555):
        path.chmod(mode)
    try:
        cache("build", JOB, *NO_ENCODER, root=tmp_path / "c")
        cache("verify", root=tmp_path / "c")
    finally:
        for path in tmp_path / "c", one:
            path.chmod(0o755)


def test_usage(tmp_path):
    assert "cache_dir" in cryodeco("cache", "build", JOB, check=False).stderr
    assert "JOB" in cache("build", root=tmp_path, check=False).stderr
    assert cryodeco("cache", "destroy", "--cache_dir", tmp_path, check=False).returncode == 2
