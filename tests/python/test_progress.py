"""out/progress.html: well-formed, its pictures there, and true whatever became of the run."""
import html.parser
import re
import resource
import signal
import subprocess
import time

import pytest
from conftest import BRIEF, TINY, command, cryodeco

JOB = TINY / "project/J12"
VOID = {"meta", "img", "br", "link"}


class Page(html.parser.HTMLParser):
    """Every tag closed in its turn; images and links collected."""

    def __init__(self, path):
        super().__init__()
        self.open, self.images, self.links, self.classes, self.refresh, self.words = [], [], [], set(), False, []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self.open, self.open
        self.text = " ".join(self.words)

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        assert len(a) == len(attributes), f"an attribute twice in <{tag}>"
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            assert a["alt"].strip()
            self.images.append(a["src"])
        if tag == "a":
            self.links.append(a["href"])
        if a.get("role") == "img":
            assert a["aria-label"].strip()
        self.classes |= set(a.get("class", "").split())
        self.refresh |= a.get("http-equiv") == "refresh"

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data):
        self.words.append(data)


def page_of(outdir):
    """The page, with everything it points to there."""
    path = outdir / "out/progress.html"
    page = Page(path)
    for place in page.images + page.links:
        assert "://" not in place and (path.parent / place).stat().st_size > 100, place
    for image in page.images:
        assert (path.parent / image).read_bytes().endswith(b"IEND\xaeB`\x82")
    return page


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of a few epochs whose names are made to break a page."""
    place = tmp_path_factory.mktemp("progress") / "a <b> & 'c' \"d\" größe"
    place.mkdir()
    (place / "project").symlink_to(TINY / "project")
    cryodeco("run", "--particles", place / "project/J12", "--outdir", place / "run", *BRIEF, "--epochs_sgd", 6, "--n_imgs_pretrain", 500,
             "--log_heavy_interval", 3)
    return place / "run"


def test_the_page_of_a_finished_run(finished):
    page = page_of(finished)
    assert "done" in page.classes and not page.refresh
    assert "analysis_7/clustering2/z_pca.png" in page.images
    assert "clustering2/vol_*.mrc" in page.text and "log_heavy_interval: 3" in page.text
    assert "a <b> & 'c' \"d\" größe" in page.text
    heavy = {-1, 0, 3, 6, 7}
    named = lambda pattern: {int(re.search(pattern, p.name).group(1)) for p in (finished / "out").rglob("*") if re.search(pattern, p.name)}
    assert named(r"^reconstruct\.(-?\d+)\.mrc$") == named(r"^map\.(-?\d+)\.png$") == heavy
    assert named(r"^latents\.(-?\d+)\.png$") == named(r"^views\.(-?\d+)\.png$") == heavy
    assert {f"progress/map.{e}.png" for e in heavy} <= set(page.images)
    assert page.text.count("training") >= 8  # a row for each epoch


def test_maps_of_heavy_epochs_stay_when_checkpoints_go(tmp_path):
    cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "run", *BRIEF, "--epochs_sgd", 6, "--log_heavy_interval", 4,
             "--checkpoint_minutes", 0)
    maps = sorted(int(p.name.split(".")[1]) for p in (tmp_path / "run/out").glob("reconstruct.*.mrc"))
    weights = sorted(int(p.name.split(".")[1]) for p in (tmp_path / "run/out").glob("weights.*.safetensors"))
    assert {0, 4, 7} <= set(maps) <= {0, 4, 7} | set(weights) and 0 not in weights
    page_of(tmp_path / "run")


def test_without_heavy_epochs_there_is_still_a_page(tmp_path):
    cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "run", *BRIEF, "--log_heavy_interval", 0)
    page = page_of(tmp_path / "run")
    assert not page.images and "log_heavy_interval 0" in page.text
    assert not (tmp_path / "run/out/progress").exists()


def start(outdir, *words):
    """A run under way, its first epochs done."""
    p = subprocess.Popen([command(), "run", "--particles", str(JOB), "--outdir", str(outdir), *map(str, [*BRIEF, *words])],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    metrics = outdir / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text().count('"event":"map"') < 2:
        time.sleep(0.05)
        assert p.poll() is None, p.stderr.read()
    return p


def test_a_killed_run_does_not_claim_to_run_for_ever(tmp_path):
    p = start(tmp_path / "run", "--epochs_sgd", 5000)
    p.kill()
    p.wait()
    page = page_of(tmp_path / "run")
    assert "running" in page.classes and page.refresh
    # What it said last, and from when on a browser shows that nothing came: an epoch is a fraction of a second here.
    state = re.search(r'data-updated="(\d+)" data-due="(\d+)"', (tmp_path / "run/out/progress.html").read_text())
    updated, due = map(int, state.groups())
    assert abs(time.time() - updated) < 60 and 30 < due - updated < 120
    assert time.strftime("%Y-%m-%d %H:%M", time.localtime(updated)) in page.text and "it was killed: go on with" in page.text


def test_a_stopped_run_says_how_to_go_on(tmp_path):
    p = start(tmp_path / "run", "--epochs_sgd", 5000)
    p.send_signal(signal.SIGTERM)
    assert p.wait(60) == 75
    page = page_of(tmp_path / "run")
    assert "stopped" in page.classes and not page.refresh and "--resume" in page.text


def test_a_failed_run_shows_its_message(tmp_path):
    """A file-size limit stands in for the full disk; pictures and page stay below it."""
    limit = 100_000
    r = cryodeco("run", "--particles", JOB, "--outdir", tmp_path / "run", *BRIEF, check=False, restore_signals=False,
                 preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert r.returncode == 1, r.stderr
    message = [line for line in r.stderr.splitlines() if line.startswith("error: ")][-1]
    page = Page(tmp_path / "run/out/progress.html")
    assert "failed" in page.classes and not page.refresh and message[len("error: ") :] in page.text
