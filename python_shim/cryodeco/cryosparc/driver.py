"""The life of an external job: everything is checked before it is created; then train in a child, watch, publish. design: a stop from
CryoSPARC is seen by asking for the status, a job is completed only if nobody stopped it, and an outage ends nothing."""
import argparse
import json
import os
import re
import signal
import sys
import tempfile
import time
from typing import Any, Dict, List, Optional

from .. import _cryodeco
from .._errors import Error
from .._result import open_result
from .child import Child
from .instance import EXIT_DONE, EXIT_FAILED, EXIT_NOT_STARTED, EXIT_STOPPED, CannotStart, Instance, Job
from .outputs import Outputs, check_full, where

POLL_S = float(os.environ.get("CRYODECO_POLL_S", "10"))
FLUSH_S = 1.0
PROGRESS_S = 300.0
ALIVE = ("running", "waiting")
OURS = re.compile(r"--(particles|datadir|outdir|resume|cache[-_]dir|config)\b")  # words that say where is read and written
PROGRESS = re.compile(r"\S.*\s{2}\d+ %\s")  # "epoch 3/12  45 %  123 images/s  0:12 left"
EXIT_CHECKPOINTED = 75
TILE = "z_pca.png"
FINDINGS = {TILE: "Latents on their first two principal components, by cluster, with the clusters' sizes",
            "umap_clusters.png": "Latents on their UMAP, by cluster", "../loss.png": "Loss over the epochs"}


class Stopped(Exception):
    """The job was killed, cleared or deleted in CryoSPARC: nothing more is written, and it is not completed."""


class Signalled(Exception):
    """This process was asked to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _on_signal(number: int, _frame: Any) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second one ends at once
    raise Signalled(number)


class Driver:
    """One command: `a` are its words, `words` those for the program."""

    def __init__(self, a: argparse.Namespace, words: List[str]) -> None:
        self.a, self.words = a, words
        for word in words:
            if re.match(r"--(datadir|outdir)\b", word):
                raise CannotStart(f"{word}: a run inside CryoSPARC reads the project's directory and writes to the job's; leave it out")
        self.instance = Instance()
        self.job: Optional[Job] = None
        self.started = False  # the job runs, as far as CryoSPARC is concerned: "building" then means that it was cleared
        self.lock: Any = None  # on the job's folder: a second driver would fail the job of the first
        self._warned = False

    def say(self, text: str) -> None:
        print(self.instance.clean(text), file=sys.stderr, flush=True)

    # ---- before anything is created ----

    def local(self, path: str) -> str:
        """A path of the server's on this machine."""
        for pair in self.a.map_path or []:
            there, _, here = pair.partition("=")
            if path == there or path.startswith(there.rstrip("/") + "/"):
                return here + path[len(there):]
        return path

    def find_project(self) -> str:
        try:
            there = self.instance.project_dir(self.a.project)
        except Exception as error:
            raise CannotStart(f"project {self.a.project}: not found ({type(error).__name__})") from None
        here = self.local(there)
        if not os.path.isdir(here):
            raise CannotStart(f"{here}: the project directory of {self.a.project} is not visible on this machine; start cryodeco where it is "
                              f"mounted, or say where it is with --map-path {there}=HERE")
        if not os.access(here, os.W_OK | os.X_OK):
            raise CannotStart(f"{here}: the project directory cannot be written to by this user")
        return here

    def check_source(self, output: str, project_dir: str) -> Any:
        """The output's rows, once its job is complete and its files are seen here as there."""
        uid, name = where(output)
        cs, project = self.instance.cs, self.a.project
        while (status := self.instance.status(project, uid)) != "completed":
            if status == "deleted":
                raise CannotStart(f"{project} {uid}: there is no such job")
            if not self.a.wait or status in ("failed", "killed"):
                raise CannotStart(f"{project} {uid}: is {status}, not completed" + ("" if self.a.wait else "; --wait waits for it"))
            time.sleep(POLL_S)
        try:
            there = {os.path.basename(str(f).rstrip("/")) for f in self.instance.ask(lambda: cs.list_files(project, prefix=uid))}
            rows = self.instance.ask(lambda: cs.find_job(project, uid).load_output(name))
        except Exception as error:
            raise CannotStart(f"{project} {output}: cannot be loaded ({type(error).__name__}); is there an output of this name?") from None
        folder = os.path.join(project_dir, uid)
        missing = [f for f in there if not os.path.exists(os.path.join(folder, f))]
        if missing or not there:
            raise CannotStart(f"{folder}: does not hold what CryoSPARC lists for {uid} ({', '.join(sorted(missing)[:3]) or 'nothing'}); is it the "
                              "project's directory? --map-path SERVER=LOCAL says where it is")
        prefixes = rows.prefixes()
        for slot in ("blob", "ctf"):
            if slot not in prefixes:
                raise CannotStart(f"{project} {output}: has no {slot}; choose an output of particles with images and CTFs")
        return rows

    def check_run(self, rows: Any, project_dir: str) -> None:
        """All checks of `cryodeco run` on these rows and options; its words when something is wrong."""
        with tempfile.TemporaryDirectory(prefix="cryodeco-") as place:
            file = os.path.join(place, "particles.cs")
            rows.save(file)
            child = Child(["run", "--particles", file, "--datadir", project_dir, "--outdir", os.path.join(place, "run"), *self.words, "--dry_run",
                           "True"])
            lines: List[str] = []
            try:
                while (code := child.ended()) is None:
                    time.sleep(0.05)
                    lines += child.take_lines()
            finally:
                child.end()
            lines += child.take_lines()
        if code:
            raise CannotStart("\n".join(line for line in lines if line.startswith("error: ")) or f"cryodeco run ended with exit code {code}")
        for line in lines:
            if "forecast" in line or line.startswith("warning: "):
                self.say(line)

    # ---- the job ----

    def create(self, title: str) -> Job:
        a, cs = self.a, self.instance.cs
        project = self.instance.ask(lambda: cs.find_project(a.project))
        made = self.instance.ask(lambda: project.create_external_job(a.workspace, title, "Heterogeneous reconstruction by cryodeco."))
        job = self.job = Job(self.instance, made)
        job.add_particle_input("particles", [("blob", "blob", True), ("ctf", "ctf", True), ("alignments3D", "alignments3D", False)],
                               *where(a.particles))
        if a.particles_full:
            job.add_particle_input("particles_full", [("blob", "blob", True)], *where(a.particles_full))
        errors = job.build_errors()
        if errors:
            raise RuntimeError("the job cannot start: " + "; ".join(errors))
        self.say(f"job {job.project} {job.uid} created")
        return job

    def folder(self, job: Job) -> str:
        """Where our files of a job are: below its own directory, so that CryoSPARC keeps and deletes them with it. A directory outside the project
        is not written to, whatever the server says."""
        job.dir = self.local(job.dir)
        project, folder = os.path.realpath(self.find_project()), os.path.normpath(job.dir)
        if os.path.realpath(os.path.dirname(folder)) != project or os.path.basename(folder) != job.uid:
            raise RuntimeError(f"{job.dir}: is not in the project's directory {project}; nothing is written there")
        place = os.path.join(job.dir, "cryodeco")
        os.makedirs(place, exist_ok=True)
        return place

    def gentle(self, call: Any, *words: Any) -> None:
        """A log line or plot that does not arrive is no reason to end a run."""
        try:
            call(*words)
            self._warned = False
        except (Signalled, Stopped, KeyboardInterrupt):
            raise
        except Exception as error:
            if not self._warned:
                self.say(f"warning: CryoSPARC does not take it ({type(error).__name__}); the run goes on")
            self._warned = True

    def still_wanted(self, job: Job) -> bool:
        """False once the job was killed, cleared or deleted. An outage is no stop."""
        try:
            return job.status() in ALIVE
        except (Signalled, KeyboardInterrupt):
            raise
        except Exception as error:
            if not self._warned:
                self.say(f"warning: CryoSPARC does not answer ({type(error).__name__}); training goes on, and results stay on disk for publish")
            self._warned = True
            return True

    def train(self, job: Job, words: List[str], outdir: str) -> None:
        """The program as a child until it ends well."""
        child = Child(["run", *words])
        view = _View(self, job, outdir)
        asked = time.monotonic()
        lines: List[str] = []
        try:
            while (code := child.ended()) is None:
                time.sleep(0.1)
                lines += (fresh := child.take_lines())
                view.show(fresh)
                if time.monotonic() - asked >= POLL_S:
                    asked = time.monotonic()
                    if not self.still_wanted(job):
                        raise Stopped
        finally:
            child.end()
        lines += (fresh := child.take_lines())
        if not self.still_wanted(job):
            raise Stopped
        view.show(fresh, last=True)
        if code:
            words_of = [line for line in lines if line.startswith(("error: ", "warning: stopped"))] or lines[-3:]
            raise RuntimeError(("stopped with a checkpoint; cryodeco cryosparc run --resume " + job.uid + " goes on\n" if code == EXIT_CHECKPOINTED
                                else f"cryodeco ended with exit code {code}\n") + "\n".join(words_of))

    def publish(self, job: Job, outdir: str, particles: Any, full: Optional[Any]) -> None:
        result = open_result(outdir)
        names = Outputs(job, result, particles, full, lambda text: self.gentle(job.log, text)).publish()
        folder = result.clustering or ""
        for name, words in FINDINGS.items():
            if os.path.exists(os.path.join(folder, name)):
                self.gentle(job.plot, os.path.join(folder, name), words)
        if os.path.exists(os.path.join(folder, TILE)):
            self.gentle(job.tile, os.path.join(folder, TILE))
        if not self.still_wanted(job):
            raise Stopped
        job.complete()
        self.say(f"{job.project} {job.uid} completed: {', '.join(names)}")

    def load(self, job: Job, name: str) -> Any:
        return self.instance.ask(lambda: job.job.load_input(name))

    # ---- commands ----

    def run(self) -> int:
        a = self.a
        project_dir = self.find_project()
        outdir_name = "run"
        if a.resume:
            job = self._find(a.resume)
            return self.guard(lambda: self._train_and_publish(job, project_dir, outdir_name, True))
        rows = self.check_source(a.particles, project_dir)
        if a.particles_full:
            try:
                check_full(rows, self.check_source(a.particles_full, project_dir))
            except ValueError as error:
                raise CannotStart(str(error)) from None
        self.check_run(rows, project_dir)
        if a.dry_run:
            print(f"would create an external job in {a.project} {a.workspace} ({project_dir})\n"
                  f"  input particles: {a.particles}, {len(rows):,} rows" + (f"; particles_full: {a.particles_full}" if a.particles_full else "") +
                  "\n  outputs: cluster_<k>" + (", cluster_<k>_full" if a.particles_full else "") + ", particles_latent, volume_<k>\n"
                  "nothing was created")
            return EXIT_DONE
        return self.guard(lambda: self._start_and_train(project_dir, outdir_name))

    def _start(self, job: Job) -> None:
        job.start()
        self.started = True

    def _start_and_train(self, project_dir: str, name: str) -> None:
        job = self.create(self.a.title)
        place = self.folder(job)
        with open(os.path.join(place, "source.json"), "w", encoding="utf-8") as f:
            json.dump({"particles": self.a.particles, "particles_full": self.a.particles_full, "words": self.words}, f)
        self.lock = _cryodeco.lock(place)
        self._start(job)
        self._train_and_publish(job, project_dir, name, False)

    def _find(self, uid: str) -> Job:
        """A job of ours that nobody works on. Nothing of it is changed before that is sure."""
        try:
            job = Job(self.instance, self.instance.ask(lambda: self.instance.cs.find_external_job(self.a.project, uid)))
            status = job.status()
        except Exception as error:
            raise CannotStart(f"{self.a.project} {uid}: no external job that can be gone on with ({type(error).__name__})") from None
        job.dir = self.local(job.dir)
        place = os.path.join(job.dir, "cryodeco")
        if not os.path.exists(os.path.join(place, "source.json")):
            raise CannotStart(f"{place}: holds no run of cryodeco's; --resume goes on with a job that cryodeco cryosparc run made")
        if status == "completed":
            raise CannotStart(f"{self.a.project} {uid}: is completed; there is nothing to go on with")
        try:
            self.lock = _cryodeco.lock(place)
        except Error as error:
            raise CannotStart(str(error)) from None
        if status not in ALIVE:
            self.instance.ask(job.start)
        self.job, self.started = job, True
        return job

    def _train_and_publish(self, job: Job, project_dir: str, name: str, resume: bool) -> None:
        place = self.folder(job)
        file, outdir = os.path.join(place, "input_particles.cs"), os.path.join(place, name)
        source = read_source(place)
        particles = self.load(job, "particles")
        full = self.load(job, "particles_full") if source["particles_full"] else None
        if not os.path.exists(file):
            particles.save(file)
        # job.yaml has the options of a run that began; of one that did not, its words are kept
        words = self.words if not resume or os.path.exists(os.path.join(outdir, "job.yaml")) else [*(source["words"] or []), *self.words]
        more = ["--resume", "auto"] if resume else []
        self.train(job, ["--particles", file, "--datadir", project_dir, "--outdir", outdir, *words, *more], outdir)
        self.publish(job, outdir, particles, full)

    def publish_run(self) -> int:
        a = self.a
        self.find_project()
        beside = os.path.join(os.path.dirname(os.path.abspath(a.run_dir)), "source.json")
        if not a.particles and os.path.exists(beside):
            found = read_source(os.path.dirname(beside))
            a.particles, a.particles_full = found["particles"], a.particles_full or found["particles_full"]
        if not a.particles:
            raise CannotStart("particles is not given, and the run does not say which output it was of: --particles J42.particles")
        try:
            len(open_result(a.run_dir))
        except Exception as error:
            raise CannotStart(str(error)) from None

        def work() -> None:
            job = self.create(a.title)
            self.folder(job)
            self._start(job)
            self.publish(job, a.run_dir, self.load(job, "particles"), self.load(job, "particles_full") if a.particles_full else None)

        return self.guard(work)

    def check(self) -> int:
        a = self.a
        print(f"ok    cryosparc-tools {self.instance.version}\nok    logged in")
        server = self.instance.server_version()
        same = server.lstrip("v").split(".")[:2] == self.instance.version.split(".")[:2]
        print(f"{'ok   ' if same else 'warn '} CryoSPARC {server}" + ("" if same else ", of another version than cryosparc-tools"))
        if a.project:
            print(f"ok    project {a.project}: {self.find_project()} is visible and writable")
        if a.project and a.particles:
            rows = self.check_source(a.particles, self.find_project())
            print(f"ok    {a.particles}: {len(rows):,} particles with {', '.join(sorted(rows.prefixes()))}")
        print("job creation was not tried")
        return EXIT_DONE

    def guard(self, work: Any) -> int:
        """Runs what may fail once a job is there, and leaves the job in the state that is true."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _on_signal)
        try:
            work()
            return EXIT_DONE
        except Stopped:
            self.say("stopped from CryoSPARC; what was trained stays on disk")
            return EXIT_STOPPED
        except Signalled as s:
            self._fail(f"ended by {signal.Signals(s.number).name}; its checkpoint stays: cryodeco cryosparc run --project {self.a.project} --resume "
                       f"{self.job.uid if self.job else 'JOB'} goes on")
            return 128 + s.number
        except Exception as error:
            words = f"{error}" if isinstance(error, (RuntimeError, ValueError, OSError)) else f"{type(error).__name__}: {error}"
            if self.job is None:
                self.say(f"error: {words}")
                return EXIT_NOT_STARTED
            return self._fail(words)

    def _fail(self, words: str) -> int:
        self.say(f"error: {words}")
        if self.job:
            try:
                status = self.job.status()
                if status in ALIVE or (status == "building" and not self.started):
                    self.job.fail(words)
                else:
                    self.say(f"{self.job.uid} is {status} in CryoSPARC")
                    return EXIT_STOPPED if status in ("killed", "deleted", "building") else EXIT_FAILED
            except Exception as error:
                self.say(f"warning: CryoSPARC could not be told ({type(error).__name__}). What was trained stays on disk: cryodeco cryosparc publish "
                         f"gives it to a new job ({os.path.join(self.job.dir, 'cryodeco', 'run')})")
        return EXIT_FAILED


def read_source(place: str) -> Dict[str, Any]:
    """What a job's folder says of its run: outputs of other jobs, and words for the program. The folder is writable to others: nothing in it is trusted."""
    path = os.path.join(place, "source.json")
    try:
        with open(path, encoding="utf-8") as f:
            found = json.loads(f.read(1 << 20))
        words = found.get("words") or []
        for key in ("particles", "particles_full"):
            if found.get(key) is not None:
                where(found[key])
        if not all(isinstance(w, str) and not OURS.match(w) for w in words):
            raise ValueError("words")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RuntimeError(f"{path}: cannot be used ({type(error).__name__}); give the run to a new job with cryodeco cryosparc publish") from None
    return {"particles": found.get("particles"), "particles_full": found.get("particles_full"), "words": words}


class _View:
    """What CryoSPARC's log shows of a run: its lines in batches, one progress line, checkpoints between phases, pictures as they appear."""

    def __init__(self, driver: Driver, job: Job, outdir: str) -> None:
        self.driver, self.job = driver, job
        self.pictures = os.path.join(outdir, "out", "progress")
        self.seen = set(os.listdir(self.pictures)) if os.path.isdir(self.pictures) else set()
        self.waiting: List[str] = []
        self.flushed, self.told = 0.0, -PROGRESS_S

    def show(self, lines: List[str], last: bool = False) -> None:
        for line in lines:
            self.driver.say(line)
            if PROGRESS.match(line):
                self.progress(line)
                continue
            if line.startswith(("epoch -1: pretraining", "epochs ", "principal components")):
                self.flush()
                self.driver.gentle(self.job.checkpoint, {"phase": line.split(":")[0]})
            self.waiting.append(line)
        if last or time.monotonic() - self.flushed >= FLUSH_S:
            self.flush()
            self.picture()

    def progress(self, line: str) -> None:
        """One line that is written over where the instance has such lines (5.x), otherwise one now and then."""
        now = time.monotonic()
        if self.job.instance.generation == 5 or now - self.told >= PROGRESS_S:
            self.told = now
            self.driver.gentle(self.job.log, line, "text", "progress")

    def flush(self) -> None:
        if self.waiting:
            level = "warning" if any(line.startswith("warning: ") for line in self.waiting) else "text"
            self.driver.gentle(self.job.log, "\n".join(self.waiting), level)
            self.waiting = []
        self.flushed = time.monotonic()

    def picture(self) -> None:
        names = set(os.listdir(self.pictures)) if os.path.isdir(self.pictures) else set()
        for name in sorted(n for n in names - self.seen if n.endswith(".png") and not n.startswith(".")):
            kind, epoch = name.split(".")[:2]
            text = {"map": "Map at the mean latent", "latents": "Latents on two principal components", "views": "View directions",
                    "loss": "Loss over the epochs"}.get(kind, kind)
            self.driver.gentle(self.job.plot, os.path.join(self.pictures, name), f"{text}, epoch {epoch}")
        self.seen |= names


__all__ = ["Driver", "EXIT_NOT_STARTED"]
